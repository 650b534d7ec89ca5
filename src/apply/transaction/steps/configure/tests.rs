use std::os::unix::fs::PermissionsExt;

use super::*;

/// Makes the manifests that kubeadm would, each with what the configuration says.
const KUBEADM: &str = "case $* in\n\
    'init phase control-plane '*) cp $6 $root/etc/kubernetes/manifests/kube-$4.yaml ;;\n\
    'init phase certs '*) echo new >$root/pki/apiserver.crt ;;\n\
    esac";
/// Shows static pods as their manifests are, and leases that are renewed.
const KUBECTL: &str = "for last; do :; done\n\
    case $* in\n\
    *' get pod '*) cksum <$root/etc/kubernetes/manifests/kube-apiserver.yaml | tr -d ' '; echo True ;;\n\
    *' get lease '*) date +%N ;;\n\
    *'get node '*) cat $root/node.json 2>/dev/null ;;\n\
    esac";
const SERVER: &str = "kind: InitConfiguration\nbootstrapTokens: [{token: canary}]\nnodeRegistration: {name: till, kubeletExtraArgs: \
    [{name: node-labels, value: tier=edge}]}\n---\nkind: ClusterConfiguration\ncertificatesDir: /pki\napiServer: {extraArgs: \
    [{name: v, value: '2'}]}\n";
const AGENT: &str = "kind: JoinConfiguration\nnodeRegistration: {name: till, taints: [{key: a, effect: NoSchedule}]}\n";

struct Host {
    folder: tempfile::TempDir,
    step: Configure,
}

impl Host {
    /// A node that was made with `config`.
    fn made(config: &str, kubeadm: &str, kubectl: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, script: &str| {
            let path = folder.path().join(name);
            let root = folder.path().display();
            fs::write(&path, format!("#!/bin/sh\nroot={root}\necho \"{name} $*\" >>$root/calls\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.display().to_string()
        };
        let (kubeadm, kubectl) = (program("kubeadm", kubeadm), vec![program("kubectl", kubectl)]);
        let (node, state) = ("till".to_owned(), "/state".to_owned());
        let step = Configure { kubeadm, kubectl, node, folder: state, seconds: 60 };
        let host = Self { folder, step };
        for (name, text) in [("state/made", ""), ("etc/kubernetes/manifests/kube-apiserver.yaml", "old"), ("calls", "")]
        {
            host.write(name, text);
        }
        host.write("state/config.yaml", config);
        host.run().unwrap();
        host
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn run(&self) -> Result<Told, StepError> {
        configure(&self.step, &Root::new(self.folder.path()).unwrap(), &Interrupt::never())
    }

    /// Runs it with another configuration, and returns what was called.
    fn change(&self, from: &str, to: &str) -> (Result<Told, StepError>, String) {
        let text = self.text("state/config.yaml");
        assert!(text.contains(from), "{from}");
        self.write("state/config.yaml", &text.replace(from, to));
        self.write("calls", "");
        (self.run(), self.text("calls"))
    }
}

#[test]
fn what_is_the_same_is_left_as_it_is() {
    let host = Host::made(SERVER, KUBEADM, KUBECTL);
    assert!(host.text("state/applied.yaml").contains("InitConfiguration"), "it remembers what it was made with");
    assert!(!host.text("state/applied.yaml").contains("canary"));
    let (done, calls) = host.change("canary", "another");
    done.unwrap();
    assert_eq!(calls, "");
    // A node that somebody else made.
    fs::remove_file(host.folder.path().join("state/made")).unwrap();
    let (done, calls) = host.change("value: '2'", "value: '3'");
    done.unwrap();
    assert_eq!(calls, "");
}

#[test]
fn the_api_server_works_before_the_cluster_is_told() {
    let host = Host::made(SERVER, KUBEADM, KUBECTL);
    let (done, calls) = host.change("value: '2'", "value: '3'");
    done.unwrap();
    assert!(host.text("etc/kubernetes/manifests/kube-apiserver.yaml").contains("\"3\""));
    let kubeadm: Vec<&str> = calls.lines().filter_map(|call| call.strip_prefix("kubeadm init phase ")).collect();
    let starts = ["control-plane apiserver --config", "upload-config kubeadm --config"];
    assert!(kubeadm.len() == 2 && kubeadm.iter().zip(starts).all(|(call, start)| call.starts_with(start)), "{calls}");
    let at = |what: &str| calls.lines().position(|call| call.contains(what)).unwrap();
    assert!(at("get pod") < at("phase control-plane") && at("lease kube-scheduler") < at("upload-config"), "{calls}");
    assert!(host.text("state/applied.yaml").contains("\"3\"") || host.text("state/applied.yaml").contains("'3'"));
    assert_eq!(host.text("state/applying.yaml") + &host.text("state/phases.yaml"), "");
    let (done, calls) = host.change("kind", "kind");
    done.unwrap();
    assert_eq!(calls, "");
}

#[test]
fn what_the_api_server_ends_of_is_taken_back() {
    // It answers with the manifest of before only.
    let broken = format!("grep -q old $root/etc/kubernetes/manifests/kube-apiserver.yaml || exit 1\n{KUBECTL}");
    let crashes = format!(
        "{KUBEADM}\nlogs=$root/var/log/pods/kube-system_kube-apiserver-till_f00/kube-apiserver\n\
         grep -q no-such $6 && mkdir -p $logs && echo 'T stderr F unknown flag' >$logs/2.log && : >$logs/3.log\n:"
    );
    let host = Host::made(SERVER, &crashes, &broken);
    let (done, calls) = host.change("name: v", "name: no-such");
    let error = done.unwrap_err().to_string();
    assert!(error.contains("kube-apiserver again, which ends again and again: unknown flag"), "{error}");
    assert_eq!(host.text("etc/kubernetes/manifests/kube-apiserver.yaml"), "old");
    assert!(!calls.contains("upload-config") && host.text("state/applying.yaml").contains("no-such"), "{calls}");

    // The configuration of before is compared with both.
    let host = Host { step: Configure { kubeadm: "/bin/true".to_owned(), ..host.step.clone() }, ..host };
    let (done, _) = host.change("name: no-such", "name: v");
    done.unwrap();
    assert!(host.text("state/applying.yaml").is_empty() && !host.text("state/applied.yaml").contains("no-such"));
}

#[test]
fn programs_that_say_nothing_are_not_waited_for() {
    let host = Host::made(SERVER, "", "");
    host.write("pki/apiserver.crt", "old");
    let more = "---\nkind: KubeletConfiguration\nmaxPods: 9\n---\nkind: KubeProxyConfiguration\nmode: nftables\n---\nkind: \
        ClusterConfiguration\nscheduler: {extraArgs: []}";
    let (done, calls) = host.change("---\nkind: ClusterConfiguration", more);
    done.unwrap();
    let phases = ["upload-config kubelet", "upgrade node phase kubelet-config"];
    assert!(phases.iter().all(|phase| calls.contains(phase)), "{calls}");
    let (done, calls) = host.change("apiServer: {", "apiServer: {certSANs: [shop.example.org], ");
    done.unwrap();
    assert!(calls.contains("certs apiserver"), "{calls}");
    assert_eq!(host.text("pki/apiserver.crt"), "old");
    let (done, calls) = host.change("value: tier=edge", "value: zone=a");
    done.unwrap();
    assert!(calls.contains("kubectl label node till --overwrite zone=a tier-"), "{calls}");
}

#[test]
fn another_name_is_in_another_certificate() {
    let host = Host::made(SERVER, KUBEADM, KUBECTL);
    host.write("pki/apiserver.crt", "old");
    host.write("pki/apiserver.key", "old");
    let at =
        "metadata: {annotations: {kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: '10.0.0.1:6443'}}";
    host.write("etc/kubernetes/manifests/kube-apiserver.yaml", at);
    let (done, calls) = host.change("apiServer: {", "apiServer: {certSANs: [shop.example.org], ");
    done.unwrap();
    assert_eq!(host.text("pki/apiserver.crt"), "new\n");
    assert!(!host.folder.path().join("pki/apiserver.crt.carrack-old").exists());
    assert!(
        calls.contains("--server=https://10.0.0.1:6443 --tls-server-name=shop.example.org get --raw /readyz"),
        "{calls}"
    );
}

#[test]
fn labels_and_taints_of_others_stay() {
    let host = Host::made(
        &SERVER.replace("name: till,", "name: till, taints: [{key: a, effect: NoSchedule}],"),
        KUBEADM,
        KUBECTL,
    );
    host.write(
        "node.json",
        r#"{"metadata":{"labels":{"tier":"theirs"}},"spec":{"taints":[{"key":"b","effect":"NoExecute"}]}}"#,
    );
    let (done, calls) = host.change("value: tier=edge", "value: zone=a");
    done.unwrap();
    assert!(calls.contains("label node till --overwrite zone=a\n"), "{calls}");
    // It is gone by itself, or never was there.
    let (done, calls) = host.change("taints: [{key: a, effect: NoSchedule}]", "taints: []");
    done.unwrap();
    assert!(!calls.contains("kubectl taint"), "{calls}");
    let (done, calls) = host.change("taints: []", "taints: [{key: c, value: d, effect: NoSchedule}]");
    done.unwrap();
    assert!(calls.contains("taint node till --overwrite c=d:NoSchedule\n"), "{calls}");
}

#[test]
fn taints_of_an_agent_wait_for_a_server() {
    let host = Host::made(AGENT, KUBEADM, KUBECTL);
    host.write("node.json", r#"{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}"#);
    let (done, calls) = host.change("key: a", "key: b");
    let told = done.unwrap().warnings;
    assert!(told[0].ends_with("run: kubectl taint node till --overwrite b:NoSchedule a:NoSchedule-"), "{told:?}");
    assert!(!calls.contains("kubectl taint") && !host.text("state/applied.yaml").contains("\"b\""), "{calls}");
    host.write("node.json", r#"{"spec":{"taints":[{"key":"b","effect":"NoSchedule"}]}}"#);
    let (done, _) = host.change("key: b", "key: b");
    assert_eq!(done.unwrap().warnings, Vec::<String>::new());
    assert!(host.text("state/applied.yaml").contains("b"), "{}", host.text("state/applied.yaml"));
    let (_, calls) = host.change("key: b", "key: b");
    assert_eq!(calls, "");
}
