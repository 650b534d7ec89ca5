//! The distribution that a cluster is made with.

use serde_json::{Value, json};

use super::cluster::{Cluster, container, object};
use super::server::ApiServer;
use super::{Place, succeed};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A cluster with these nodes, by version and labels, and something to export.
fn cluster(nodes: &[(&str, Value)]) -> Cluster {
    let cluster = Cluster::without_nodes(ApiServer::plain());
    for (index, (version, labels)) in nodes.iter().enumerate() {
        let info = json!({"nodeInfo": {"kubeletVersion": version, "architecture": "amd64"}});
        let mut node = object("v1", "Node", "", &format!("node-{index}"), json!({"status": info}));
        node["metadata"]["labels"] = labels.clone();
        cluster.add(node);
    }
    cluster.add(object("v1", "ConfigMap", "shop", "one", json!({"data": {"a": "b"}})));
    cluster
}

fn server() -> Value {
    json!({"node-role.kubernetes.io/control-plane": ""})
}

/// A pod of the system with one image, a static one as its kubelet shows it.
fn system_pod(cluster: &Cluster, name: &str, image: &str, id: &str) {
    let status = json!({"containerStatuses": [{"name": "main", "image": image, "imageID": id}]});
    let spec = json!({"containers": [container("main", image)]});
    let mut pod = object("v1", "Pod", "kube-system", name, json!({"spec": spec, "status": status}));
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x".into();
    cluster.add(pod);
}

fn kubeadm_map(cluster: &Cluster, name: &str, key: &str, text: &str) {
    cluster.add(object("v1", "ConfigMap", "kube-system", name, json!({"data": {key: text}})));
}

const CONFIGURATION: &str = "apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
apiServer:
  certSANs: [10.1.2.3, node-0.lab]
  extraArgs:
  - {name: authorization-mode, value: 'Node,RBAC'}
  - {name: etcd-servers, value: 'https://root:canary-etcd@10.1.2.3'}
  - {name: oidc-client-secret, value: canary-oidc}
certificateKey: canary-certificate-key
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controlPlaneEndpoint: 10.1.2.3:6443
imageRepository: mirror.lab/k8s
kubernetesVersion: v1.34.4
networking: {dnsDomain: cluster.local, podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}
";

/// What of the profile is before the second pack, or the profile where there is none.
fn pack(place: &Place) -> String {
    let profile = place.file("carrack.yaml");
    let start = profile.find("  - name: ").unwrap();
    let end = profile[start + 1..].find("  - name: cluster\n").map_or(profile.len(), |end| start + 1 + end);
    profile[start..end].to_owned()
}

#[test]
fn kubeadm_comes_with_version_images_and_configuration() {
    let cluster = cluster(&[("v1.34.4", server()), ("v1.34.4", server())]);
    kubeadm_map(&cluster, "kubeadm-config", "ClusterConfiguration", CONFIGURATION);
    let kubelet = "kind: KubeletConfiguration\ncgroupDriver: systemd\nmaxPods: 200\nclusterDNS: [10.96.0.10]\nstaticPodURL: http://x:canary-url@y\nevictionHard: {memory.available: 100Mi}\nsyncFrequency: 0s\n";
    kubeadm_map(&cluster, "kubelet-config", "kubelet", kubelet);
    kubeadm_map(
        &cluster,
        "kube-proxy",
        "config.conf",
        "mode: ipvs\nhostnameOverride: node-0\nipvs: {strictARP: true}\n",
    );
    for (component, ids) in
        [("kube-apiserver", [A, A]), ("kube-scheduler", [A, B]), ("etcd", ["", ""]), ("kube-vip", [B, B])]
    {
        for (index, id) in ids.iter().enumerate() {
            let image = format!("mirror.lab/k8s/{component}:v1");
            let id =
                if id.is_empty() { format!("sha256:{A}") } else { format!("mirror.lab/k8s/{component}@sha256:{id}") };
            system_pod(&cluster, &format!("{component}-node-{index}"), &image, &id);
        }
    }
    let place = Place::of(&cluster);
    succeed(place.export(&[]));
    let expected = format!(
        "  - name: kubeadm
    layer: k8s
    version: \"1.34.4\"
    distribution: kubeadm
    apiVersions:
    - example.org/v1
    - example.org/v1/Widget
    config:
      clusterConfiguration:
        apiServer:
          extraArgs:
          - name: authorization-mode
            value: Node,RBAC
        clusterName: kubernetes
        imageRepository: mirror.lab/k8s
        networking:
          dnsDomain: cluster.local
          podSubnet: 10.244.0.0/16
          serviceSubnet: 10.96.0.0/12
      kubeProxyConfiguration:
        ipvs:
          strictARP: true
        mode: ipvs
      kubeletConfiguration:
        cgroupDriver: systemd
        evictionHard:
          memory.available: 100Mi
        maxPods: 200
    images:
    - mirror.lab/k8s/etcd:v1
    - mirror.lab/k8s/kube-apiserver:v1@sha256:{A}
    - mirror.lab/k8s/kube-scheduler:v1
    - mirror.lab/k8s/kube-vip:v1@sha256:{B}
"
    );
    assert_eq!(pack(&place), expected);
    succeed(place.sandbox.carrack(&["check", "out"]));
    let notes = place.file("NOT-EXPORTED.md");
    let first = notes.split("\n## ").nth(1).unwrap();
    for told in [
        "To decide first",
        &format!("mirror.lab/k8s/kube-scheduler:v1 of the distribution: its pods run sha256:{A} and sha256:{B}"),
        "mirror.lab/k8s/etcd:v1 of the distribution: no pod tells a digest",
        "Arguments of the apiServer, etcd-servers, oidc-client-secret: ",
        "kubeadm-config: apiServer.certSANs, certificateKey, controlPlaneEndpoint are not exported",
        "kube-proxy: hostnameOverride",
        "staticPodURL",
        "`pause`",
    ] {
        assert!(first.contains(told), "{told}: {first}");
    }
    for file in place.files() {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("canary"), "{}: {text}", file.display());
    }
    assert!(notes.contains("objects that Kubernetes makes by itself"), "{notes}");
}

#[test]
fn configurations_that_no_kubeadm_writes_are_left_out() {
    let huge = format!("clusterName: x\nfeatureGates: {{A: {}}}\n", "y".repeat(200_000));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nfeatureGates: {x: *e}\n";
    let path = "clusterName: '../../etc'\nimageRepository: 'x{{.carrack.var.y}}'\n\"../../x\\n## y\": 1\n";
    for text in [&*huge, bomb, "- 1\n---\n- 2\n", "a: [", "", path] {
        let cluster = cluster(&[("v1.29.3", server())]);
        kubeadm_map(&cluster, "kubeadm-config", "ClusterConfiguration", text);
        let place = Place::of(&cluster);
        succeed(place.export(&[]));
        let pack = pack(&place);
        assert!(pack.contains("version: \"1.29.3\"\n    distribution: kubeadm\n"), "{pack}");
        assert!(pack.len() < 20_000 && !pack.contains("carrack.var"), "{pack}");
        let notes = place.file("NOT-EXPORTED.md");
        assert!(notes.contains("ConfigMap kube-system/kubeadm-config"), "{notes}");
        assert!(!notes.contains("\n## y"), "{notes}");
        succeed(place.sandbox.carrack(&["check", "out"]));
    }
}

#[test]
fn distributions_are_told_by_their_nodes() {
    let canonical = json!({"k8sd.io/role": "control-plane", "node-role.kubernetes.io/control-plane": ""});
    for (nodes, name, version) in [
        (vec![("v1.33.1+k3s1", server())], "k3s", "1.33.1+k3s1"),
        (vec![("v1.33.1+rke2r1", server())], "rke2", "1.33.1+rke2r1"),
        (vec![("v1.32.5", canonical)], "canonical", "\"1.32.5\""),
        (vec![("v1.33.1+k3s1", server()), ("v1.32.5+k3s1", json!({}))], "k3s", "1.33.1+k3s1"),
    ] {
        let mixed = nodes.len() > 1;
        let cluster = cluster(&nodes);
        system_pod(&cluster, "coredns-1", "docker.io/rancher/x:1", &format!("docker.io/rancher/x@sha256:{A}"));
        let place = Place::of(&cluster);
        succeed(place.export(&[]));
        let pack = pack(&place);
        let start = format!("  - name: {name}\n    layer: k8s\n    version: {version}\n    distribution: {name}\n");
        assert!(pack.starts_with(&start), "{pack}");
        assert!(pack.contains(&format!("    images:\n    - docker.io/rancher/x:1@sha256:{A}\n")), "{pack}");
        assert_eq!(place.file("NOT-EXPORTED.md").contains("The nodes have several versions"), mixed);
    }
}

#[test]
fn what_is_no_distribution_gets_no_pack() {
    for (nodes, reason) in [
        (vec![("v1.32.5-eks-5d4a308", json!({}))], "does not say which distribution it is"),
        (vec![("v1.32.5", json!({"minikube.k8s.io/name": "x"}))], "a cluster of minikube"),
        (vec![("v1.32.5", server()), ("v1.31.5", server())], "the nodes have several versions, v1.31.5, v1.32.5"),
        (vec![("v1.32.5+k3s1", server()), ("v1.32.5", server())], "of several distributions"),
        (vec![("v1\n## x", server())], "no node tells its version"),
    ] {
        let cluster = cluster(&nodes);
        if !nodes[0].0.contains("eks") {
            kubeadm_map(&cluster, "kubeadm-config", "ClusterConfiguration", CONFIGURATION);
        }
        let place = Place::of(&cluster);
        succeed(place.export(&[]));
        assert!(!place.file("carrack.yaml").contains("layer: k8s"), "{reason}");
        let notes = place.file("NOT-EXPORTED.md");
        let first = notes.split("\n## ").nth(1).unwrap();
        assert!(first.starts_with("To decide first") && first.contains(reason), "{reason}: {notes}");
    }
}

#[test]
fn networks_and_storage_are_packs_of_their_layers() {
    let cluster = cluster(&[("v1.32.5+k3s1", server())]);
    let set = |namespace: &str, name: &str, image: &str| {
        let spec = json!({"containers": [{"name": "main", "image": image}]});
        object("apps/v1", "DaemonSet", namespace, name, json!({"spec": {"template": {"spec": spec}}}))
    };
    cluster.add(set("pay", "kube-flannel-ds", "ghcr.io/flannel-io/flannel:v1"));
    cluster.add(set("shop", "disks", "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2"));
    cluster.add(set("kube-system", "calico-node", "docker.io/calico/node:v3"));
    let place = Place::of(&cluster);
    succeed(place.export(&[]));
    let profile = place.file("carrack.yaml");
    assert!(profile.contains("- name: pay\n    layer: cni\n"), "{profile}");
    assert!(profile.contains("- name: shop\n    layer: csi\n"), "{profile}");
    let notes = place.file("NOT-EXPORTED.md");
    assert!(notes.contains("DaemonSet.apps kube-system/calico-node is the network between pods"), "{notes}");
}
