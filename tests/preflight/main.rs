//! Preflight on made-up machines: files of `/proc`, `/sys` and `/etc` below a folder, and what is said of them.
//!
//! `fixtures/hosts/NAME` is the root of a machine; its file `space` has a line for each file system: the folder, bytes in
//! all, bytes that are free.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use carrack::apply::preflight::{Check, Verdict, preflight, table};
use carrack::apply::{Asked, Choices, ImageFolder, Inputs, Source, Target, TargetRuntime};
use carrack::bundle::{BundledImage, BundledManifest, Contents, HostFile, ResolvedPack, ResolvedProfile};
use carrack::host::addresses::InterfaceAddress;
use carrack::host::disk::Space;
use carrack::host::{Facts, Root};
use carrack::oci::{Blob, Descriptor, Digest, Platform, media_type};
use carrack::requirements::Requirements;
use carrack::site::node::{Address, Membership, Node, Registries, Role, Secret};
use carrack::variables::Values;
use std::sync::Arc;

use common::Sandbox;

const AMD64: &str = "linux/amd64";

fn folder(host: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts").join(host)
}

/// The machine in the folder `host`, whose file systems are below `root` here.
fn facts(host: &Path, root: &Path) -> Facts {
    let text = fs::read_to_string(host.join("space")).unwrap();
    let mut systems: Vec<Space> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (size, free) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
        systems.push(Space { folder: fields[0].into(), free, size, device: systems.len() as u64 });
    }
    let root = root.to_owned();
    Facts::below(host, move |path| {
        let path = Path::new("/").join(path.strip_prefix(&root).unwrap());
        Ok(systems.iter().rfind(|space| path.starts_with(&space.folder)).unwrap().clone())
    })
}

fn k3s(version: &str) -> ResolvedProfile {
    let iscsi = Requirements { commands: vec!["iscsiadm".to_owned()], ..Requirements::default() };
    let pack = |name: &str, layer: &str| ResolvedPack {
        name: name.to_owned(),
        layer: layer.to_owned(),
        ..ResolvedPack::default()
    };
    let distribution = Some("k3s".to_owned());
    ResolvedProfile {
        name: "edge".to_owned(),
        version: "1.0.0".to_owned(),
        platforms: vec![AMD64.parse().unwrap()],
        packs: vec![
            ResolvedPack { distribution, version: Some(version.to_owned()), ..pack("k3s", "k8s") },
            ResolvedPack { requirements: iscsi, ..pack("longhorn", "csi") },
        ],
        ..ResolvedProfile::default()
    }
}

/// A bundle with a file of 4 GiB.
fn contents(profile: ResolvedProfile) -> Contents {
    let blob = Descriptor { size: 4 << 30, ..Descriptor::of(media_type::HOST_FILE, b"") };
    let file = |blob: &Descriptor, path: &str| HostFile {
        blob: blob.clone(),
        pack: "k3s".to_owned(),
        path: path.to_owned(),
        mode: 0o644,
        owner: None,
        platform: None,
        template: false,
    };
    let program = Descriptor::of(media_type::HOST_FILE, b"a program");
    let programs = ["k3s", "rke2"].map(|name| file(&program, &format!("/usr/local/bin/{name}")));
    let large = file(&blob, "/var/lib/rancher/k3s/agent/images/base.tar");
    Contents {
        identity: Digest::of(b""),
        profile,
        created: Some("2026-11-20T08:00:00Z".to_owned()),
        requires_installer: None,
        files: programs.into_iter().chain([large]).collect(),
        manifests: Vec::new(),
        charts: Vec::new(),
        config: None,
        images: Vec::new(),
    }
}

/// What preflight says of `host` for a profile.
fn checks(host: &str, profile: ResolvedProfile) -> Vec<Check> {
    checks_of(&folder(host), profile)
}

fn checks_of(host: &Path, profile: ResolvedProfile) -> Vec<Check> {
    checks_for(host, profile, Node::alone())
}

fn checks_for(host: &Path, profile: ResolvedProfile, node: &Node) -> Vec<Check> {
    checks_below(tempfile::tempdir().unwrap().path(), host, profile, node)
}

/// The same of the machine whose files are below `root`.
fn checks_below(root: &Path, host: &Path, profile: ResolvedProfile, node: &Node) -> Vec<Check> {
    let root = Root::new(root).unwrap();
    let has = |interface: &str, address: &str| InterfaceAddress {
        interface: interface.to_owned(),
        address: address.parse().unwrap(),
        lasting: true,
    };
    let facts = facts(host, root.folder()).with_addresses(vec![has("eth0", "10.0.0.5"), has("eth0", "fd00::5")]);
    let platform = facts.platform().unwrap_or(AMD64.parse::<Platform>().unwrap());
    let target = Target {
        root,
        runtime: TargetRuntime::None,
        platform,
        keep: 1,
        choices: Choices::default(),
        asked: Asked::default(),
        containerd: None,
    };
    let source = Source::new(BTreeMap::new().into_iter().collect(), |_| unreachable!("nothing is read"));
    let (contents, values) = (contents(profile), Values::new());
    let inputs = Inputs { contents: &contents, source: &source, values: &values, node };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(preflight(Some(inputs), &target, Some(&facts))).unwrap()
}

/// The table, with what to do below it.
fn shown(checks: &[Check]) -> String {
    let hints = checks.iter().filter_map(|check| Some(format!("{}: {}", check.name, check.hint.as_ref()?)));
    let hints: Vec<String> = hints.collect();
    format!("{}\n\n{}", table(checks), hints.join("\n")).trim_end().to_owned()
}

fn verdict(checks: &[Check], name: &str) -> Verdict {
    checks.iter().find(|check| check.name == name).unwrap().verdict
}

macro_rules! hosts {
    ($($test:ident: $host:literal, fails: $fails:expr;)*) => {
        $(#[test]
        fn $test() {
            let mut profile = k3s("1.32.5+k3s1");
            if $host == "no-memory-cgroup" {
                profile.platforms.push("linux/arm64".parse().unwrap());
            }
            let checks = checks($host, profile);
            insta::assert_snapshot!($host, shown(&checks));
            let failed: Vec<&str> = checks.iter().filter(|check| check.failed()).map(|check| check.name.as_str()).collect();
            let expected: &[&str] = &$fails;
            assert_eq!(failed, expected);
        })*

        #[test]
        fn every_machine_has_its_table() {
            let mut machines: Vec<String> = fs::read_dir(folder("")).unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            machines.sort();
            let mut tables = vec![$($host),*];
            tables.sort_unstable();
            assert_eq!(machines, tables);
        }
    };
}

hosts! {
    a_good_machine: "good", fails: [];
    a_small_machine: "too-small", fails: ["processors", "memory", "disk", "space"];
    a_disk_that_rotates: "hard-disk", fails: ["ssd"];
    an_old_kernel: "old-kernel", fails: ["kernel", "cgroups", "clock", "module-vxlan"];
    control_groups_of_version_1: "cgroup-v1", fails: [];
    control_groups_without_memory: "no-memory-cgroup", fails: ["cgroups"];
    swap_on_a_virtual_disk: "swap", fails: [];
    ports_that_are_taken: "port-taken", fails: ["port-6443", "port-10250", "port-8472-udp"];
    another_kubernetes: "other-kubernetes", fails: ["conflicts"];
    data_on_fat: "fat-data", fails: ["overlay"];
    selinux_and_a_firewall: "selinux", fails: ["command-iscsiadm"];
    another_architecture: "other-architecture", fails: ["platform"];
}

#[test]
fn kubernetes_1_35_refuses_control_groups_of_version_1() {
    assert_eq!(verdict(&checks("cgroup-v1", k3s("1.34.9+k3s1")), "cgroups"), Verdict::Warn);
    assert_eq!(verdict(&checks("cgroup-v1", k3s("1.35.0+k3s1")), "cgroups"), Verdict::Fail);
}

#[test]
fn what_the_profile_says_comes_before_the_distribution() {
    let mut profile = k3s("1.32.5+k3s1");
    profile.requirements =
        Requirements { cpu_milli: 2000, memory: 1 << 30, disk: 10 << 30, ssd: Some(false), ..Requirements::default() };
    let small = checks("too-small", profile.clone());
    let failed: Vec<&str> = small.iter().filter(|check| check.failed()).map(|check| check.name.as_str()).collect();
    assert_eq!(failed, ["space"]);
    assert!(small.iter().all(|check| check.name != "ssd"));
    profile.packs[0].distribution = Some("none".to_owned());
    let names: Vec<String> = checks("too-small", profile).into_iter().map(|check| check.name).collect();
    assert_eq!(names, ["platform", "processors", "memory", "disk", "command-iscsiadm", "folders", "space"]);
}

/// Files of a machine without systemd: a container, or another way to start.
#[test]
fn what_has_to_be_started_needs_systemd() {
    let host = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(folder("good").join(".")).arg(host.path()).status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(host.path().join("run/systemd")).unwrap();
    let systemd = |host: &Path, profile: ResolvedProfile| {
        checks_of(host, profile).into_iter().find(|check| check.name == "systemd").map(|check| check.verdict)
    };
    for distribution in ["k3s", "rke2", "kubeadm", "canonical"] {
        let mut profile = k3s("1.32.5");
        profile.packs[0].distribution = Some(distribution.to_owned());
        assert_eq!(systemd(host.path(), profile.clone()), Some(Verdict::Fail), "{distribution}");
        assert_eq!(systemd(&folder("good"), profile), Some(Verdict::Ok), "{distribution}");
    }
    let mut profile = k3s("1.32.5");
    profile.packs[0].distribution = Some("none".to_owned());
    assert_eq!(systemd(host.path(), profile.clone()), None);
    profile.packs[0].services = vec!["shop.service".to_owned()];
    assert_eq!(systemd(host.path(), profile.clone()), Some(Verdict::Fail));
    assert_eq!(systemd(&folder("good"), profile), Some(Verdict::Ok));
}

/// What the packages of Debian and of Docker bring, what `containerd config default` prints, and what kubeadm needs.
#[test]
fn what_kubeadm_needs_of_containerds_configuration_is_looked_at() {
    const DEBIAN: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n";
    const DOCKER: &str = "disabled_plugins = [\"cri\"]\n";
    const GOOD: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n\
        [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
    let registries = Registries {
        mirrors: BTreeMap::from([("*".to_owned(), vec!["http://10.0.0.2:5000".to_owned()])]),
        ..Registries::default()
    };
    let site = Node { registries, ..Node::default() };
    let said = |text: Option<&str>, host: &str, node: &Node| {
        let root = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            fs::create_dir_all(root.path().join("etc/containerd")).unwrap();
            fs::write(root.path().join("etc/containerd/config.toml"), text).unwrap();
        }
        let mut profile = k3s("1.34.4");
        profile.packs[0].distribution = Some("kubeadm".to_owned());
        let checks = checks_below(root.path(), &folder(host), profile, node);
        let about = checks.iter().filter(|check| check.name.starts_with("containerd-"));
        about
            .map(|check| format!("{} {:?}", check.name.trim_start_matches("containerd-"), check.verdict))
            .collect::<Vec<_>>()
    };
    let alone = Node::alone();
    assert_eq!(said(Some(GOOD), "good", &site), ["cri Ok", "cgroups Ok", "network Ok", "registries Ok"]);
    assert_eq!(said(Some(GOOD), "good", alone), ["cri Ok", "cgroups Ok", "network Ok"]);
    assert_eq!(said(Some(DEBIAN), "good", alone), ["cri Ok", "cgroups Fail", "network Warn"]);
    assert_eq!(said(Some(DEBIAN), "cgroup-v1", &site), ["cri Ok", "cgroups Warn", "network Warn", "registries Fail"]);
    assert_eq!(said(Some(DOCKER), "good", alone), ["cri Fail", "cgroups Fail", "network Ok"]);
    assert_eq!(said(None, "good", alone), ["cri Ok", "cgroups Fail", "network Ok"]);
    // Others bring and configure their own.
    assert!(checks("good", k3s("1.34.4")).iter().all(|check| !check.name.starts_with("containerd-")));
}

#[test]
fn a_distribution_is_not_in_its_own_way() {
    let taken = |profile: ResolvedProfile| {
        let checks = checks("other-kubernetes", profile);
        checks.iter().filter(|check| check.failed()).map(|check| check.found.clone()).collect::<Vec<_>>().join("; ")
    };
    let mut rke2 = k3s("1.32.5+rke2r1");
    rke2.packs[0].distribution = Some("rke2".to_owned());
    assert!(taken(k3s("1.32.5+k3s1")).contains("rke2"));
    assert!(!taken(rke2).contains("rke2"));
}

/// An image that is a layer of `size` bytes, and what is said of space for it.
fn space_for(host: &Path, size: u64, node: &Node) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let root = Root::new(root.path()).unwrap();
    let facts = facts(host, root.folder());
    let (runtime, platform) = (TargetRuntime::Folder(ImageFolder::K3s), AMD64.parse::<Platform>().unwrap());
    let manifest = BundledManifest {
        manifest: Blob::of(media_type::IMAGE_MANIFEST, b""),
        platform: Some(Arc::new(platform.clone())),
        config: Blob::of(media_type::IMAGE_CONFIG, b""),
        layers: [Blob { size, ..Blob::of(media_type::IMAGE_MANIFEST, b"layer") }].into(),
    };
    let target = manifest.manifest.clone();
    let reference = "registry.example.org/shop/api:1".parse().unwrap();
    let mut contents = contents(k3s("1.32.5+k3s1"));
    contents.files.clear();
    contents.images.push(BundledImage {
        reference,
        target,
        platforms: vec![],
        indexes: vec![],
        manifests: vec![manifest],
    });
    let source = Source::new(BTreeMap::new().into_iter().collect(), |_| unreachable!("nothing is read"));
    let (values, target) = (
        Values::new(),
        Target {
            root,
            runtime,
            platform,
            keep: 1,
            choices: Choices::default(),
            asked: Asked::default(),
            containerd: None,
        },
    );
    let inputs = Inputs { contents: &contents, source: &source, values: &values, node };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let checks = runtime.block_on(preflight(Some(inputs), &target, Some(&facts))).unwrap();
    let space = checks.iter().filter(|check| check.name == "space");
    space.map(|check| format!("{:?} {}", check.verdict, check.needed)).collect()
}

#[test]
fn images_are_counted_in_the_archive_and_where_they_are_unpacked() {
    let kept = |needed: &str| format!("{needed}, and 5 % left for the kubelet (3.00 GiB)");
    assert_eq!(space_for(&folder("good"), 10 << 30, Node::alone()), [kept("Ok 30.00 GiB in /")]);
    assert_eq!(space_for(&folder("good"), 20 << 30, Node::alone()), [kept("Fail 60.00 GiB in /")]);
    // It has run before, and may have the images.
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&folder("good"), copy.path());
    fs::create_dir_all(copy.path().join("var/lib/rancher/k3s/agent/containerd")).unwrap();
    assert_eq!(space_for(copy.path(), 20 << 30, Node::alone()), [kept("Ok 20.00 GiB in /")]);
    // The kubelet calls a disk full before it is: 50 GiB are free.
    assert_eq!(space_for(copy.path(), 46 << 30, Node::alone()), [kept("Ok 46.00 GiB in /")]);
    assert_eq!(space_for(copy.path(), 48 << 30, Node::alone()), [kept("Fail 48.00 GiB in /")]);
    // Each disk for itself: the kubelet's folder is on the other one.
    let both = space_for(&folder("fat-data"), 10 << 30, Node::alone());
    assert_eq!(both[0], kept("Ok 0 B in /"));
    assert_eq!(both[1], "Fail 30.00 GiB in /var/lib/rancher, and 5 % left for the kubelet (1.40 GiB)");
}

#[test]
fn ports_of_the_cluster_itself_do_not_stop_its_upgrade() {
    let found = |program: Option<&str>| {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&folder("port-taken"), copy.path());
        if let Some(program) = program {
            fs::write(copy.path().join("proc/812/comm"), format!("{program}\n")).unwrap();
        }
        fs::create_dir_all(copy.path().join("usr/local/bin")).unwrap();
        fs::hard_link(copy.path().join("usr/sbin/iscsiadm"), copy.path().join("usr/local/bin/k3s")).unwrap();
        let checks = checks_of(copy.path(), k3s("1.32.5+k3s1"));
        let ports = checks.iter().filter(|check| check.name.starts_with("port-"));
        ports.map(|check| format!("{:?} {}", check.verdict, check.found)).collect::<Vec<_>>()
    };
    assert_eq!(found(Some("k3s-server")), ["Ok in use by k3s-server", "Ok in use by k3s", "Ok in use by k3s"]);
    assert_eq!(found(None)[0], "Fail in use by haproxy");
}

#[test]
fn an_agent_needs_the_ports_of_an_agent() {
    let node = |role| Node {
        role,
        cluster: Membership::Join {
            server: "https://10.0.0.11:6443".to_owned(),
            token: Secret("t".to_owned()),
            ca_hash: None,
            certificate_key: None,
        },
        ..Node::default()
    };
    let ports = |role| {
        let checks = checks_for(&folder("port-taken"), k3s("1.32.5+k3s1"), &node(role));
        let ports = checks.iter().filter(|check| check.name.starts_with("port-"));
        ports.map(|check| check.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ports(Role::Server), ["port-6443", "port-10250", "port-8472-udp"]);
    assert_eq!(ports(Role::Agent), ["port-10250", "port-8472-udp"]);
}

/// A node with these addresses, or none, and what else its site says.
fn addressed(addresses: &str, dummy_route: bool, joins: bool) -> Node {
    let all: Vec<_> = addresses.split(',').filter(|one| !one.is_empty()).map(|one| one.parse().unwrap()).collect();
    let address = (!all.is_empty()).then_some(Address { addresses: all, interface: None });
    let join = Membership::Join {
        server: "https://10.0.0.11:6443".to_owned(),
        token: Secret("t".to_owned()),
        ca_hash: None,
        certificate_key: None,
    };
    let cluster = if joins { join } else { Membership::default() };
    Node { address, dummy_route, cluster, ..Node::default() }
}

#[test]
fn the_address_that_a_site_gives_is_on_the_host() {
    let check = |addresses: &str| {
        let checks = checks_for(&folder("good"), k3s("1.32.5+k3s1"), &addressed(addresses, false, false));
        checks.into_iter().find(|check| check.name == "node-address")
    };
    assert_eq!(check(""), None);
    for (addresses, verdict, found) in [
        ("10.0.0.5", Verdict::Ok, "10.0.0.5 on eth0"),
        ("fd00::5,10.0.0.5", Verdict::Ok, "10.0.0.5 on eth0, fd00::5 on eth0"),
        ("10.0.0.6", Verdict::Fail, "10.0.0.5 on eth0, fd00::5 on eth0"),
        ("10.0.0.5,fd00::6", Verdict::Fail, "10.0.0.5 on eth0, fd00::5 on eth0"),
    ] {
        let check = check(addresses).unwrap();
        assert_eq!((check.verdict, check.found.as_str()), (verdict, found), "{addresses}");
        assert_eq!(check.hint.is_some(), verdict == Verdict::Fail);
    }
}

#[test]
fn a_host_without_a_default_route_is_told_what_it_needs() {
    let lines = |default: &str| {
        let host = tempfile::tempdir().unwrap();
        copy_tree(&folder("good"), host.path());
        let route = host.path().join("proc/net/route");
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
        let lan = "eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\n";
        let default = match default {
            "" => String::new(),
            interface => format!("{interface}\t00000000\tFF7100CB\t0003\t0\t0\t100000\t00000000\n"),
        };
        fs::write(route, format!("{head}{lan}{default}")).unwrap();
        host
    };
    let (none, own, eth0) = (lines(""), lines("carrack-dummy"), lines("eth0"));
    let of = |host: &tempfile::TempDir, addresses: &str, dummy_route: bool, joins: bool| {
        let node = addressed(addresses, dummy_route, joins);
        let checks = checks_for(host.path(), k3s("1.32.5+k3s1"), &node);
        let check = checks.into_iter().find(|check| check.name == "default-route").unwrap();
        (check.verdict, check.found, check.hint.unwrap_or_default())
    };
    // Its own route of before is none.
    for host in [&none, &own] {
        let (verdict, found, hint) = of(host, "", false, false);
        assert_eq!((verdict, found.as_str()), (Verdict::Warn, "none"));
        assert!(
            hint.contains("a default route") && hint.contains("`nodeAddress`") && hint.contains("`dummyRoute: true`")
        );
        let (verdict, _, hint) = of(host, "10.0.0.5", false, true);
        assert!(verdict == Verdict::Warn && hint.contains("`dummyRoute: true`"), "{hint}");
        let (verdict, found, _) = of(host, "10.0.0.5", true, true);
        assert_eq!((verdict, found.as_str()), (Verdict::Ok, "none; dummyRoute makes one"));
        // A machine alone needs no address that others reach.
        assert_eq!(of(host, "", true, false).0, Verdict::Warn);
        assert!(of(host, "", true, true).2.contains("give the site `nodeAddress`"));
    }
    assert_eq!(of(&eth0, "", false, true), (Verdict::Ok, "by eth0".to_owned(), String::new()));
    let (verdict, found, _) = of(&eth0, "10.0.0.5,fd00::5", false, false);
    assert_eq!((verdict, found.as_str()), (Verdict::Warn, "by eth0, none for IPv6"));
}

/// The machine has a FAT file system for the data, and the site says another folder.
#[test]
fn checks_look_where_the_site_has_the_data() {
    let elsewhere = Node { install_root: Some("/opt/edge".to_owned()), ..Node::default() };
    let of = |node: &Node| {
        let checks = checks_for(&folder("fat-data"), k3s("1.32.5+k3s1"), node);
        let about = checks.into_iter().filter(|check| ["overlay", "ssd"].contains(&check.name.as_str()));
        about.map(|check| format!("{} {:?}", check.needed, check.verdict)).collect::<Vec<_>>()
    };
    assert_eq!(of(Node::alone())[1], "ext4, xfs or the like below /var/lib/rancher/k3s Fail");
    assert_eq!(of(&elsewhere), ["SSD below /opt/edge Ok", "ext4, xfs or the like below /opt/edge Ok"]);
    let kept = "Ok 30.00 GiB in /, and 5 % left for the kubelet (3.00 GiB)";
    assert_eq!(space_for(&folder("fat-data"), 10 << 30, &elsewhere), [kept]);
    // The other way round: the site's folder is what is small, and counts as a part of the disk.
    let inside = Node { install_root: Some("/var/lib/rancher/edge".to_owned()), ..Node::default() };
    assert_eq!(space_for(&folder("fat-data"), 10 << 30, &inside)[1][..34], *"Fail 30.00 GiB in /var/lib/rancher");
    let disk = |node: &Node| {
        let checks = checks_for(&folder("fat-data"), k3s("1.32.5+k3s1"), node);
        checks.into_iter().find(|check| check.name == "disk").unwrap().found
    };
    assert_ne!(disk(&inside), disk(&elsewhere), "the file system of the data is a part of the disk");
}

/// Files, folders and links as they are.
fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_symlink() {
            std::os::unix::fs::symlink(from.read_link().unwrap(), to).unwrap();
        } else if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_tree(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// A bundle in a sandbox whose pack asks for what no machine has.
fn demanding(requirements: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let head = "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {name: edge, version: 1.0.0}\nspec:\n";
    let packs = format!("  packs: [{{name: a, layer: addon, imageLists: [none.txt], requirements: {requirements}}}]\n");
    sandbox.write("carrack.yaml", format!("{head}{packs}"));
    sandbox.write("none.txt", "# none\n");
    let built = sandbox.carrack(&["build", ".", "-o", "edge.tar.zst"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    sandbox
}

fn install(sandbox: &Sandbox, arguments: &[&str]) -> common::Ran {
    sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), arguments)
}

#[test]
fn what_is_skipped_does_not_count() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sandbox = demanding(&format!("{{commands: [no-such-program, sh], kernelModules: [overlay], ports: [{port}]}}"));
    let (taken, preflight) = (format!("port-{port}"), ["preflight", "edge.tar.zst"]);
    let refused = install(&sandbox, &preflight);
    assert_eq!(refused.code, 40, "{}", refused.stderr);
    for row in [&format!("FAIL  {taken}"), "FAIL  command-no-such-program", "ok    command-sh"] {
        assert!(refused.stdout.contains(row), "{}", refused.stdout);
    }
    assert!(refused.stderr.contains(&format!("{taken}: needed free, found in use by preflight")), "{}", refused.stderr);
    assert!(refused.stderr.contains("leave it out: --skip command-no-such-program"), "{}", refused.stderr);

    let skips = ["--skip", &taken, "--skip", "command-no-such-program", "--skip", "folders", "--skip", "memory"];
    let ran = install(&sandbox, &[&preflight[..], &skips, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["version"], &report["ready"]), (&1.into(), &true.into()));
    let of = |name: &str| report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap();
    assert_eq!((&of(&taken)["verdict"], &of(&taken)["ok"]), (&"skipped".into(), &true.into()));
    assert_eq!((&of("command-sh")["verdict"], &of("command-sh")["needed"]), (&"ok".into(), &"program sh".into()));

    for command in ["preflight", "plan", "apply"] {
        let ran = install(&sandbox, &[command, "edge.tar.zst", "--skip", "port-1", "--root", "."]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("there is no check \"port-1\""), "{}", ran.stderr);
        assert!(ran.stderr.contains("the checks here are folders, installer, platform"), "{}", ran.stderr);
    }
}

#[test]
fn receipts_say_what_was_checked_and_skipped() {
    let sandbox = demanding("{memory: 1MiB}");
    fs::create_dir(sandbox.work().join("host")).unwrap();
    let ran = install(&sandbox, &["apply", "edge.tar.zst", "--root", "host", "--yes", "--skip", "folders"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let receipt = fs::read(sandbox.work().join("host/var/lib/carrack/receipts/0001-edge-1.0.0.json")).unwrap();
    let mut receipt: serde_json::Value = serde_json::from_slice(&receipt).unwrap();
    let verdicts: Vec<String> = receipt["preflight"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| format!("{} {}", check["name"].as_str().unwrap(), check["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(verdicts, ["platform ok", "installer ok", "folders skipped"]);

    // One that an earlier installer wrote.
    receipt.as_object_mut().unwrap().remove("preflight");
    sandbox.write("host/var/lib/carrack/receipts/0001-edge-1.0.0.json", receipt.to_string());
    let ran = install(&sandbox, &["status", "--root", "host"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn an_older_version_is_taken_only_where_that_is_said() {
    let sandbox = demanding("{memory: 1MiB}");
    fs::create_dir(sandbox.work().join("host")).unwrap();
    let on_host = |command: &str, more: &[&str]| {
        install(&sandbox, &[&[command, "edge.tar.zst", "--root", "host"][..], more].concat())
    };
    assert_eq!(on_host("apply", &["--yes"]).code, 0);
    let again = on_host("preflight", &[]);
    assert!(
        again.stdout.contains("ok    downgrade  needed 1.0.0 or older installed"),
        "{}{}",
        again.stdout,
        again.stderr
    );
    let first = "host/var/lib/carrack/receipts/0001-edge-1.0.0.json";
    let mut newer: serde_json::Value = serde_json::from_slice(&fs::read(sandbox.work().join(first)).unwrap()).unwrap();
    (newer["version"], newer["bundle"]) = ("1.0.1".into(), format!("sha256:{:064}", 0).into());
    sandbox.write("host/var/lib/carrack/receipts/0002-edge-1.0.1.json", newer.to_string());
    for command in ["preflight", "plan", "apply"] {
        let refused = on_host(command, &[]);
        assert_eq!(refused.code, 40, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("downgrade: needed 1.0.0 or older installed, found 1.0.1"),
            "{}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains("where the older one is really wanted: --allow-downgrade"),
            "{}",
            refused.stderr
        );
    }
    for command in ["preflight", "plan", "apply"] {
        let taken = on_host(command, &["--allow-downgrade"]);
        assert_eq!(taken.code, 0, "{}", taken.stderr);
    }
    let third = fs::read(sandbox.work().join("host/var/lib/carrack/receipts/0003-edge-1.0.0.json")).unwrap();
    let third: serde_json::Value = serde_json::from_slice(&third).unwrap();
    let warned = |check: &&serde_json::Value| check["name"] == "downgrade" && check["verdict"] == "warn";
    assert_eq!(third["preflight"].as_array().unwrap().iter().filter(warned).count(), 1, "{third}");
    // The newest receipt counts: the older version is what is installed now.
    let again = on_host("apply", &["--yes"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
}
