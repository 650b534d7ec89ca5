//! Configuration that changes on nodes that run: what is fixed is refused, all else arrives, a second apply changes nothing, and a
//! rollback takes it away again.

use std::fs;

use super::bundle::{CHANGED, FIRST, FIXED, UNKNOWN, Version};
use super::cluster::{AGENT, Cluster, INSTALLER, KUBECTL, SERVER, command};
use super::node::Node;

const TAINT: &str = "spare=true:PreferNoSchedule";

/// Brings [`CHANGED`] and another site to both nodes, and takes them back.
pub(crate) fn comes_and_goes(cluster: &mut Cluster<'_>) {
    refused(cluster);
    let sites = [SERVER.0, AGENT.0].map(|name| {
        let path = cluster.stick.join(format!("{name}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        let labels = text.lines().find(|line| line.contains("nodeLabels")).unwrap();
        let other = format!("  nodeLabels: {{counter: north}}\n  nodeTaints: [\"{TAINT}\"]");
        fs::write(&path, text.replace(labels, &other)).unwrap();
        (path, text)
    });
    let planned = plan(&mut cluster.server, SERVER.0, &CHANGED);
    let restarts = "\nrestarts: kube-apiserver, kube-controller-manager, kubelet, kube-proxy\n";
    assert!(planned.contains(restarts), "{planned}");
    let planned = plan(&mut cluster.agent, AGENT.0, &CHANGED);
    let by_hand = format!("kubectl taint node {} --overwrite {TAINT}", AGENT.0);
    assert!(planned.contains("\nrestarts: kubelet\n") && planned.contains(&by_hand), "{planned}");

    let proxies = "get pods -n kube-system -l k8s-app=kube-proxy -o jsonpath='{.items[*].metadata.uid}'";
    let proxies_before = cluster.kubectl(proxies);
    cluster.upgrade(&CHANGED);
    arrived(cluster);
    assert_ne!(cluster.kubectl(proxies), proxies_before);
    // What an agent may not do itself, it knows to be missing until somebody did it.
    assert!(plan(&mut cluster.agent, AGENT.0, &CHANGED).contains(&by_hand));
    cluster.kubectl(&by_hand.replace("kubectl ", ""));
    println!("{}", cluster.agent.succeed(&command(AGENT.0, &CHANGED)));
    for (node, name) in [(&mut cluster.server, SERVER.0), (&mut cluster.agent, AGENT.0)] {
        let again = node.succeed(&command(name, &CHANGED));
        assert!(again.contains("nothing to change"), "{again}");
    }
    assert_eq!(cluster.kubectl(&taints(AGENT.0)), TAINT);

    println!("{}", cluster.server.succeed(&format!("{INSTALLER} rollback --yes")));
    println!("{}", cluster.agent.succeed(&format!("{INSTALLER} rollback --yes")));
    cluster.kubectl(&format!("taint node {} {TAINT}-", AGENT.0));
    left(cluster);
    for (path, text) in sites {
        fs::write(path, text).unwrap();
    }
    for (node, name) in [(&mut cluster.server, SERVER.0), (&mut cluster.agent, AGENT.0)] {
        println!("{}", node.succeed(&command(name, &FIRST)));
        let again = node.succeed(&command(name, &FIRST));
        assert!(again.contains("nothing to change"), "{again}");
    }
}

/// What no node can change is named before anything changes.
fn refused(cluster: &mut Cluster<'_>) {
    let told = cluster.server.expect(40, &command(SERVER.0, &FIXED));
    let podsubnet = "`clusterConfiguration.networking.podSubnet` would change from 10.244.0.0/16 to 10.240.0.0/12";
    assert!(told.contains(podsubnet), "{told}");
}

/// What the API server ends of is taken back, and the cluster has not heard of it. The API is away for minutes meanwhile.
pub(crate) fn is_taken_back(server: &mut Node<'_>, site: &str) {
    let kept = format!("{KUBECTL} {}", configured());
    let before = server.succeed(&kept);
    let told = server.expect(50, &command(site, &UNKNOWN));
    println!("{told}");
    assert!(told.contains("made kube-apiserver again, which ends again and again: "), "{told}");
    assert!(told.contains("unknown flag: --no-such-flag"), "{told}");
    assert_eq!(server.succeed(&kept), before);
}

/// What the cluster keeps.
fn configured() -> String {
    "get configmap -n kube-system kubeadm-config kubelet-config -o jsonpath='{.items[*].data}'".to_owned()
}

fn plan(node: &mut Node<'_>, site: &str, version: &Version) -> String {
    let told =
        node.succeed(&format!("{INSTALLER} plan /media/usb/{} --site /media/usb/{site}.yaml 2>&1", version.bundle()));
    println!("{told}");
    told
}

fn taints(name: &str) -> String {
    format!("get node {name} -o jsonpath='{{range .spec.taints[*]}}{{.key}}={{.value}}:{{.effect}}{{end}}'")
}

/// Whether a process of this server has the argument.
fn has_argument(cluster: &mut Cluster<'_>, argument: &str) -> bool {
    // In brackets, so that what looks does not find itself.
    let (first, rest) = argument.split_at(1);
    cluster.server.run(&format!("grep -qs '[{first}]{rest}' /proc/[0-9]*/cmdline")).code == 0
}

fn arrived(cluster: &mut Cluster<'_>) {
    assert!(has_argument(cluster, "event-ttl=2h") && has_argument(cluster, "node-monitor-period=7s"));
    let capacity = "get nodes -o jsonpath='{.items[*].status.capacity.pods}'";
    cluster.server.wait_for("room for 47 pods", &format!("[ \"$({KUBECTL} {capacity})\" = '47 47' ]"));
    let labels = "get nodes -o jsonpath='{.items[*].metadata.labels.counter}+{.items[*].metadata.labels.shelf}'";
    assert_eq!(cluster.kubectl(labels), "north north+");
    assert_eq!(cluster.kubectl(&taints(SERVER.0)), TAINT);
    cluster.kubectl("--tls-server-name=shop.example.org get --raw /readyz");
    let kept = cluster.kubectl(&configured());
    assert!(kept.contains("event-ttl") && kept.contains("maxPods: 47"), "{kept}");
    let proxy = cluster.kubectl("get configmap -n kube-system kube-proxy -o jsonpath='{.data}'");
    assert!(proxy.contains("tcpBeLiberal: true"), "{proxy}");
}

fn left(cluster: &mut Cluster<'_>) {
    assert!(!has_argument(cluster, "event-ttl=2h") && !has_argument(cluster, "node-monitor-period=7s"));
    let capacity = "get nodes -o jsonpath='{.items[*].status.capacity.pods}'";
    cluster.server.wait_for("room for 110 pods", &format!("[ \"$({KUBECTL} {capacity})\" = '110 110' ]"));
    let labels = "get nodes -o jsonpath='{.items[*].metadata.labels.counter}+{.items[*].metadata.labels.shelf}'";
    assert_eq!(cluster.kubectl(labels), "+2 1");
    assert_eq!(cluster.kubectl(&taints(SERVER.0)), "");
    let kept = cluster.kubectl(&configured());
    assert!(!kept.contains("event-ttl") && !kept.contains("maxPods: 47"), "{kept}");
}
