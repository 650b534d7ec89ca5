use super::*;

const SERVER: &str = "kind: InitConfiguration\nnodeRegistration:\n  name: till\n  criSocket: unix:///run/c.sock\n  \
    taints: [{key: a, value: b, effect: NoSchedule}]\n  kubeletExtraArgs: [{name: node-labels, value: tier=edge}]\n---\n\
    kind: ClusterConfiguration\nkubernetesVersion: v1.34.4\nnetworking: {podSubnet: 10.244.0.0/16}\n\
    apiServer: {extraArgs: [{name: v, value: '2'}]}\n---\nkind: KubeletConfiguration\nmaxPods: 50\n";
const AGENT: &str = "kind: JoinConfiguration\nnodeRegistration:\n  name: shelf\n  taints: [{key: a, effect: NoSchedule}]\n  \
    kubeletExtraArgs: [{name: node-ip, value: 10.0.0.2}]\ndiscovery: {bootstrapToken: {token: canary}}\n";

fn of(text: &str) -> Configuration {
    Configuration::parse(&[text]).unwrap()
}

/// What changes where `from` in `text` becomes `to`.
fn changed(text: &str, from: &str, to: &str) -> Changes {
    assert!(text.contains(from), "{from}");
    of(&text.replace(from, to)).changes(&[of(text)], "host")
}

#[test]
fn what_means_the_same_changes_nothing() {
    let same = [
        ("v1.34.4", "v1.34.5"),
        ("[{name: v, value: '2'}]", "{v: 2}"),
        ("maxPods: 50", "'maxPods': 50"),
        ("unix:///run/c.sock", "/run/c.sock"),
        ("networking: {podSubnet", "networking: {dnsDomain: cluster.local, podSubnet"),
        ("kind: ClusterConfiguration", "certificatesDir: /etc/kubernetes/pki\nkind: ClusterConfiguration"),
        (
            "nodeRegistration:",
            "bootstrapTokens: [{token: other}]\nlocalAPIEndpoint: {bindPort: 6443}\nnodeRegistration:",
        ),
    ];
    for (from, to) in same {
        assert_eq!(changed(SERVER, from, to), Changes::default(), "{from} -> {to}");
    }
    assert_eq!(of(SERVER).changes(&[of(&of(SERVER).record())], "host"), Changes::default());
}

#[test]
fn what_changes_says_what_restarts() {
    let extra = "apiServer: {extraArgs: [{name: v, value: '2'}]";
    let cases: [(&str, &str, &[&str], &str); 8] = [
        ("value: '2'", "value: '3'", &["kube-apiserver"], "apiServer.extraArgs"),
        (extra, "scheduler: {extraArgs: []}\napiServer: {extraArgs: [{name: v, value: '2'}]", &[], ""),
        (
            extra,
            "controllerManager: {extraArgs: [{name: v, value: '4'}]}\napiServer: {extraArgs: [{name: v, value: '2'}]",
            &["kube-controller-manager"],
            "controllerManager.extraArgs",
        ),
        (
            extra,
            "etcd: {local: {extraArgs: [{name: v, value: '4'}]}}\napiServer: {extraArgs: [{name: v, value: '2'}]",
            &["etcd"],
            "etcd.local.extraArgs",
        ),
        ("maxPods: 50", "maxPods: 60", &["kubelet"], "KubeletConfiguration.maxPods"),
        ("name: node-labels", "name: v", &["kubelet"], "kubeletExtraArgs.v"),
        ("value: tier=edge", "value: tier=store", &[], "label tier=store"),
        ("value: b, effect", "value: c, effect", &[], "taint a=c:NoSchedule"),
    ];
    for (from, to, restarts, field) in cases {
        let changes = changed(SERVER, from, to);
        assert_eq!(changes.restarts(), restarts, "{to}: {changes:?}");
        assert!(field.is_empty() || changes.fields.contains(&field.to_owned()), "{changes:?}");
        assert!(changes.fixed.is_empty(), "{changes:?}");
    }
    let proxy = of(&format!("{SERVER}---\nkind: KubeProxyConfiguration\nmode: nftables\n"));
    assert_eq!(proxy.changes(&[of(SERVER)], "host").restarts(), ["kube-proxy"]);
    let names = changed(SERVER, "apiServer: {", "apiServer: {certSANs: [shop.example.org], ");
    assert_eq!(names.certificate.as_deref(), Some(["shop.example.org".to_owned()].as_slice()));
    assert!(names.cluster && names.components.is_empty());
}

#[test]
fn what_no_node_can_change_is_named_with_both_values() {
    let whole = "kind: ClusterConfiguration";
    let cases = [
        (
            "10.244.0.0/16",
            "10.8.0.0/16",
            "`clusterConfiguration.networking.podSubnet` would change from 10.244.0.0/16 to 10.8.0.0/16",
        ),
        (
            "networking: {podSubnet",
            "networking: {dnsDomain: shop.local, podSubnet",
            "`clusterConfiguration.networking.dnsDomain` would change from cluster.local to shop.local",
        ),
        (
            whole,
            "controlPlaneEndpoint: a:6443\nkind: ClusterConfiguration",
            "`clusterConfiguration.controlPlaneEndpoint` would change from nothing to a:6443",
        ),
        (
            whole,
            "etcd: {local: {dataDir: /d}}\nkind: ClusterConfiguration",
            "`clusterConfiguration.etcd.local.dataDir` would change from /var/lib/etcd to /d",
        ),
        (
            whole,
            "etcd: {external: {endpoints: [a]}}\nkind: ClusterConfiguration",
            "`clusterConfiguration.etcd` would change from local to external",
        ),
        (
            whole,
            "dns: {imageTag: v2}\nkind: ClusterConfiguration",
            "`clusterConfiguration.dns.imageTag` would change from nothing to v2",
        ),
        ("name: till", "name: other", "`nodeRegistration.name` would change from till to other"),
        ("run/c.sock", "run/d.sock", "`nodeRegistration.criSocket` would change from /run/c.sock to /run/d.sock"),
        (
            "name: node-labels, value: tier=edge",
            "name: root-dir, value: /k",
            "`nodeRegistration.kubeletExtraArgs.root-dir` would change from nothing to /k",
        ),
    ];
    for (from, to, expected) in cases {
        let fixed: Vec<String> = changed(SERVER, from, to).fixed.iter().map(ToString::to_string).collect();
        assert_eq!(fixed, [expected]);
    }
}

#[test]
fn labels_and_taints_come_and_go() {
    let changes = changed(SERVER, "value: tier=edge", "value: 'zone=a,tier=store'");
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(changes.labels.set, [label("zone", "a"), label("tier", "store")]);
    assert!(changes.labels.removed.is_empty());
    assert_eq!(changes.arguments, [label("node-labels", "zone=a,tier=store")].map(|(name, value)| (name, Some(value))));
    assert_eq!(changed(SERVER, "tier=edge", "zone=a").labels.removed, [label("tier", "edge")]);
    assert_eq!(
        changed(SERVER, "{key: a, value: b, effect: NoSchedule}", "").taints.removed[0].to_string(),
        "a=b:NoSchedule"
    );
    // An agent's kubelet registers with them; a server's does not.
    let agent = changed(AGENT, "effect: NoSchedule", "effect: NoExecute");
    assert_eq!(agent.arguments, [("register-with-taints".to_owned(), Some("a:NoExecute".to_owned()))]);
    assert_eq!(changed(SERVER, "value: b, effect", "value: c, effect").arguments, []);
}

#[test]
fn a_node_that_was_killed_on_its_way_may_have_parts_of_two() {
    let (one, two) = (of(SERVER), of(&SERVER.replace("tier=edge", "zone=b").replace("maxPods: 50", "maxPods: 60")));
    let back = one.changes(&[one.clone(), two.clone()], "host");
    assert_eq!(back.kubelet, ["maxPods"]);
    assert_eq!(back.labels.set, [("tier".to_owned(), "edge".to_owned())]);
    assert_eq!(back.labels.removed, [("zone".to_owned(), "b".to_owned())]);
    assert!(one.changes(std::slice::from_ref(&one), "host").is_empty());
}

#[test]
fn an_agent_remembers_no_secret_and_keeps_its_address() {
    assert!(!of(AGENT).record().contains("canary"));
    assert_eq!(changed(AGENT, "10.0.0.2", "10.0.0.3").fixed.len(), 1);
    let gone = changed(AGENT, "[{name: node-ip, value: 10.0.0.2}]", "[]");
    assert_eq!(gone, Changes::default(), "an address that comes or goes is that which it was made with");
    // What it did not know of before, it gets from the cluster.
    let more = Configuration::parse(&[AGENT, "kind: KubeletConfiguration\nmaxPods: 50\n"]).unwrap();
    assert_eq!(more.changes(&[of(AGENT)], "host").kubelet, ["maxPods"]);
    assert_eq!(more.kubelet_lacks(&["maxPods".to_owned()], "maxPods: 50\n"), Vec::<String>::new());
    assert_eq!(more.kubelet_lacks(&["maxPods".to_owned()], "maxPods: 110\n"), ["maxPods"]);
}

#[test]
fn phases_have_the_endpoint_that_was_made() {
    let text = of(SERVER).phases(Some(("10.0.0.1", "6443")));
    assert!(text.contains("\"advertiseAddress\": \"10.0.0.1\"\n  \"bindPort\": 6443\n"), "{text}");
    let joined = "kind: JoinConfiguration\ncontrolPlane: {localAPIEndpoint: {advertiseAddress: 10.0.0.2}}\n\
        nodeRegistration: {name: n2}\n---\napiVersion: a/v1\nkind: ClusterConfiguration\n";
    let text = of(joined).phases(None);
    assert!(text.starts_with("\"apiVersion\": \"a/v1\"\n\"kind\": \"InitConfiguration\"\n"), "{text}");
    assert!(text.contains("10.0.0.2") && !text.contains("JoinConfiguration"), "{text}");
}
