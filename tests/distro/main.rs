//! What each distribution is given, for each kind of machine: golden trees in `fixtures/distro/DISTRIBUTION/CASE.snap`, and
//! every name in them held against what that distribution publishes, `fixtures/distro/DISTRIBUTION/options.txt`.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod cases;
#[cfg(all(feature = "operator", feature = "installer"))]
#[path = "../common/mod.rs"]
mod common;
#[cfg(all(feature = "operator", feature = "installer"))]
mod prepared;
mod published;
mod stand_in;
#[cfg(all(feature = "operator", feature = "installer"))]
mod upgrades;

use std::fmt::Write as _;

use carrack::distro::{Setup, Step, looked_for};
use carrack::site::node::{Address, Endpoint, Membership, Role, Secret, Taint};

use cases::{CASES, DISTRIBUTIONS, Machine};

/// A tree as people read it.
fn rendered(setup: &Setup) -> String {
    let mut text = String::new();
    for file in &setup.files {
        let private = if file.private { " private" } else { "" };
        let _ = write!(text, "=== {} {:04o}{private}\n{}\n", file.path, file.mode, file.text);
    }
    let mut part = |name: &str, steps: &[Step]| {
        let _ = writeln!(text, "=== {name}");
        steps.iter().for_each(|step| line(&mut text, step));
        text.push('\n');
    };
    part("start", &setup.start);
    part("remove", &setup.remove);
    if let Some(save) = &setup.save {
        part(&format!("save {}", save.state), &save.save);
        part("restore", &save.restore);
    }
    text
}

fn line(text: &mut String, step: &Step) {
    let _ = match step {
        Step::Start { unit, restart: true } => writeln!(text, "start again {unit}"),
        Step::Start { unit, .. } => writeln!(text, "start {unit}"),
        Step::Stop { unit } => writeln!(text, "stop {unit}"),
        Step::Disable { unit } => writeln!(text, "disable {unit}"),
        Step::Enabled { unit, enabled: true } => writeln!(text, "enable {unit}, leaving it as it runs"),
        Step::Enabled { unit, .. } => writeln!(text, "disable {unit}, leaving it as it runs"),
        Step::Copy { from, to, unless, over } => {
            let over = if *over { ", leaving what is there besides" } else { "" };
            let _ = writeln!(text, "copy {from} -> {to}{over}");
            unless.iter().try_for_each(|path| writeln!(text, "  unless {path}"))
        }
        Step::Folder { path } => writeln!(text, "make the empty folder {path}"),
        Step::Sweep { unit, data, state, kubelet, interfaces } => {
            let named = [("unit", unit), ("data", data), ("state", state)];
            let named = named.iter().filter_map(|(name, value)| Some(format!(" {name} {}", value.as_ref()?)));
            let named: String = named.collect();
            writeln!(text, "sweep{named} kubelet {kubelet} {}", interfaces.join(" "))
        }
        Step::Remove { path } => writeln!(text, "remove {path}"),
        Step::Configure(configure) => writeln!(
            text,
            "bring what has changed of {} to {} within {} s\n  {}\n  {}",
            configure.config(),
            configure.node,
            configure.seconds,
            configure.kubeadm,
            words(&configure.kubectl)
        ),
        Step::Join(join) => writeln!(
            text,
            "join within {} s: {}\n  POST {} to {}: name {}, token of {}, config of {}, the address of the route to {} with port {}\n  \
             where {} is",
            join.seconds,
            join.what,
            join.request,
            join.socket,
            join.name,
            join.token,
            join.config,
            join.server,
            join.port,
            join.when
        ),
        Step::Load { what, command, seconds } => {
            writeln!(text, "load within {seconds} s: {what}\n  {}", words(command))
        }
        Step::Ready { kubectl, node, everything, workloads, releases, seconds } => {
            let whole = if *everything {
                format!(" with {} {}", workloads.join(", "), releases.join(", "))
            } else {
                String::new()
            };
            writeln!(text, "wait up to {seconds} s until {node} works{whole}\n  {}", words(kubectl))
        }
        Step::Wait { what, command, seconds } => writeln!(text, "wait up to {seconds} s: {what}\n  {}", words(command)),
        Step::Run { what, command, unless, undo, seconds } => {
            let _ = writeln!(text, "run up to {seconds} s: {what}\n  {}", words(command));
            let _ = unless.iter().try_for_each(|path| writeln!(text, "  unless {path}"));
            undo.iter().try_for_each(|undo| writeln!(text, "  undo {}", words(undo)))
        }
    };
}

/// A script is named by its first line.
fn words(command: &[String]) -> String {
    let word = |word: &String| match word.split_once('\n') {
        Some((first, _)) => format!("'{first} …'"),
        None if word.is_empty() || word.contains(' ') => format!("'{word}'"),
        None => word.clone(),
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn golden_trees() {
    for distribution in DISTRIBUTIONS {
        for case in CASES {
            let machine = Machine::case(distribution, case);
            let text = match machine.setup(distribution) {
                Ok(setup) => rendered(&setup),
                Err(refusals) => format!("refused:\n{}\n", refusals.join("\n")),
            };
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(format!("../../fixtures/distro/{distribution}"));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.set_description(format!(
                "every name is in fixtures/distro/{distribution}/options.txt, with where it is published"
            ));
            settings.bind(|| insta::assert_snapshot!(case, text));
        }
    }
}

#[test]
fn no_secret_is_in_a_step_or_in_a_file_that_is_not_private() {
    for distribution in DISTRIBUTIONS {
        for case in CASES {
            let Ok(setup) = Machine::case(distribution, case).setup(distribution) else { continue };
            let secrets =
                [cases::token(distribution).0, "cd".repeat(32), "pass%20word".to_owned(), "p\\\"w".to_owned()];
            let steps = format!("{:?} {:?} {:?}", setup.start, setup.remove, setup.save);
            for secret in &secrets {
                assert!(!steps.contains(secret.as_str()), "{distribution} {case}");
                for file in setup.files.iter().filter(|file| file.text.contains(secret.as_str())) {
                    assert!(file.private && file.mode & 0o077 == 0, "{distribution} {case} {}", file.path);
                }
            }
        }
    }
}

#[test]
fn what_the_profile_says_is_merged_with_what_the_site_says() {
    let config = |distribution: &str, profile: &str, change: &dyn Fn(&mut Machine)| {
        let mut machine = Machine::of(distribution);
        machine.config = profile.to_owned();
        change(&mut machine);
        machine
            .setup(distribution)
            .unwrap()
            .files
            .into_iter()
            .find(|file| file.path.contains("50-carrack"))
            .unwrap()
            .text
    };
    let dns = |machine: &mut Machine| machine.node.endpoint = Some(Endpoint::Dns("api".to_owned()));
    // A list of both; one of the site alone is added to what files before say.
    assert!(config("k3s", "tls-san: [a]\n", &dns).contains("\"tls-san\":\n  - \"a\"\n  - \"api\"\n"));
    assert!(config("k3s", "tls-san: a\n", &dns).contains("\"tls-san\":\n  - \"a\"\n  - \"api\"\n"));
    assert!(config("k3s", "tls-san+: [a]\n", &dns).contains("\"tls-san+\":\n  - \"a\"\n  - \"api\"\n"));
    assert!(config("k3s", "", &dns).contains("\"tls-san+\":\n  - \"api\"\n"));
    // Where both say one thing, the site counts.
    let hostname = |machine: &mut Machine| machine.node.hostname = Some("box".to_owned());
    assert_eq!(config("rke2", "node-name: other\n", &hostname), "\"node-name\": \"box\"\n");
    // A token of the site takes the place of the profile's, which would be read before it.
    let token = |machine: &mut Machine| machine.node.cluster = Membership::Init { token: Some(Secret("x".to_owned())) };
    assert!(!config("k3s", "token: profile\n", &token).contains("\"profile\""));
    // What the site does not speak of stays as it is written.
    assert_eq!(config("k3s", "write-kubeconfig-mode: 0644\n", &|_| ()), "\"write-kubeconfig-mode\": 0644\n");
}

#[test]
fn addresses_of_the_site_come_before_those_of_the_profile() {
    let address = Address { addresses: vec!["10.0.0.12".parse().unwrap()], interface: Some("eth0".to_owned()) };
    let files = |distribution: &str, profile: &str| {
        let mut machine = Machine::of(distribution);
        machine.config = profile.to_owned();
        machine.node.address = Some(address.clone());
        let setup = machine.setup(distribution).unwrap();
        setup.files.into_iter().map(|file| file.text).collect::<String>()
    };
    let k3s = files("k3s", "node-ip: 10.9.9.9\nadvertise-address: 10.9.9.9\n");
    assert_eq!(k3s.matches("\"10.0.0.12\"").count(), 2, "{k3s}");
    // The interface that k3s' Flannel would look for by the default route, unless the profile names one.
    assert!(k3s.contains("\"flannel-iface\": \"eth0\"\n") && !k3s.contains("10.9.9.9"), "{k3s}");
    assert!(files("k3s", "flannel-iface: eth7\n").contains("\"flannel-iface\": \"eth7\"\n"));
    assert!(!files("rke2", "").contains("flannel"));
    let profile = "initConfiguration:\n  localAPIEndpoint: {advertiseAddress: 10.9.9.9, bindPort: 7443}\n  \
        nodeRegistration: {kubeletExtraArgs: [{name: node-ip, value: 10.9.9.9}]}\n";
    let kubeadm = files("kubeadm", profile);
    assert!(kubeadm.contains("\"advertiseAddress\": \"10.0.0.12\"\n  \"bindPort\": 7443\n"), "{kubeadm}");
    assert!(kubeadm.contains("- \"name\": \"node-ip\"\n      \"value\": \"10.0.0.12\"\n"), "{kubeadm}");
    assert!(!kubeadm.contains("10.9.9.9"), "{kubeadm}");
    let canonical = files("canonical", "extra-node-kubelet-args: {\"--node-ip\": 10.9.9.9, \"--v\": \"2\"}\n");
    assert!(canonical.contains("\"--node-ip\": \"10.0.0.12\"\n") && canonical.contains("--v"), "{canonical}");
}

#[test]
fn k3s_has_etcd_where_others_are_to_come() {
    let has = |change: &dyn Fn(&mut Machine)| {
        let mut machine = Machine::of("k3s");
        change(&mut machine);
        machine.setup("k3s").unwrap().files.iter().any(|file| file.text.contains("cluster-init"))
    };
    assert!(!has(&|_| ()));
    assert!(has(&|machine| machine.node.endpoint = Some(Endpoint::Dns("api".to_owned()))));
    assert!(has(&|machine| machine.node.cluster = Membership::Init { token: Some(Secret("x".to_owned())) }));
    assert!(!has(&|machine| {
        machine.node.endpoint = Some(Endpoint::Dns("api".to_owned()));
        machine.config = "datastore-endpoint: postgres://db\n".to_owned();
    }));
}

#[test]
fn a_unit_that_the_bundle_or_a_package_brings_is_left_to_them() {
    let units = |change: &dyn Fn(&mut Machine)| {
        let mut machine = Machine::of("rke2");
        change(&mut machine);
        machine.setup("rke2").unwrap().files.iter().filter(|file| file.path.ends_with(".service")).count()
    };
    assert_eq!(units(&|_| ()), 1);
    let path = "/usr/local/lib/systemd/system/rke2-server.service".to_owned();
    assert_eq!(units(&|machine| machine.files.push(path.clone())), 0);
    assert_eq!(units(&|machine| machine.host.present.push(path.clone())), 0);
    // Carrack's own from the run before.
    assert_eq!(units(&|machine| machine.host.present.push("/etc/systemd/system/rke2-server.service".to_owned())), 1);
    assert!(looked_for().contains(&path));
}

#[test]
fn what_the_bundle_did_not_bring_is_not_taken_away() {
    for distribution in ["k3s", "rke2"] {
        let mut machine = Machine::of(distribution);
        machine.host.present.append(&mut machine.files);
        let setup = machine.setup(distribution).unwrap();
        assert_eq!(setup.remove, []);
        assert_eq!(setup.save, None);
        assert!(setup.files.iter().all(|file| !file.path.ends_with(".service")));
    }
}

#[test]
fn kubeadm_follows_the_version_of_the_pack() {
    let config = |version: &str, profile: &str| {
        let mut machine = Machine::of("kubeadm");
        (machine.version, machine.config) = (version.to_owned(), profile.to_owned());
        machine.node.labels.insert("tier".to_owned(), "store".to_owned());
        machine.setup("kubeadm").map(|setup| setup.files[0].text.clone())
    };
    let map = "initConfiguration: {nodeRegistration: {kubeletExtraArgs: {node-labels: a=b, v: \"2\"}}}\n";
    let list = "initConfiguration: {nodeRegistration: {kubeletExtraArgs: [{name: node-labels, value: a=b}, {name: v, value: \"2\"}]}}\n";
    for profile in [map, list] {
        let old = config("v1.30.1", profile).unwrap();
        assert!(
            old.contains("kubeadm.k8s.io/v1beta3") && old.contains("\"node-labels\": \"a=b,tier=store\"\n"),
            "{old}"
        );
        let new = config("1.31.0", profile).unwrap();
        let argument = "- \"name\": \"node-labels\"\n      \"value\": \"a=b,tier=store\"\n";
        assert!(new.contains("kubeadm.k8s.io/v1beta4") && new.contains(argument), "{new}");
    }
    for version in ["1.21.0", "2.0.0", "latest", ""] {
        assert!(config(version, "").unwrap_err()[0].contains("kubeadm needs"), "{version}");
    }
    let typo = config("1.31.0", "clusterconfiguration: {}\n").unwrap_err();
    assert!(typo[0].contains("did you mean `clusterConfiguration`"), "{typo:?}");
}

/// What the kubelet removes when a disk fills cannot be pulled again, and an old containerd does not tell it what is pinned.
#[test]
fn kubeadm_keeps_images_where_pins_are_not_told() {
    let configuration = |case: &str, forgets: bool, config: Option<&str>| {
        let mut machine = Machine::case("kubeadm", case);
        machine.host.forgets_pins = forgets;
        machine.config = config.map_or(machine.config, str::to_owned);
        let setup = machine.setup("kubeadm").unwrap();
        setup.files.into_iter().find(|file| file.path.ends_with("kubeadm/config.yaml")).unwrap().text
    };
    let (first, joining) = ("\"imageGCHighThresholdPercent\": 100\n", "\"image-gc-high-threshold\"");
    for (case, said) in [("server", first), ("agent", joining), ("further-server", joining)] {
        assert!(configuration(case, true, None).contains(said), "{case}");
        assert!(!configuration(case, false, None).contains(said), "{case}");
    }
    let own = "kubeletConfiguration: {imageGCHighThresholdPercent: 70}";
    assert!(configuration("server", true, Some(own)).contains("\"imageGCHighThresholdPercent\": 70\n"));
    assert!(!configuration("agent", true, Some(own)).contains(joining));
    let argument =
        "initConfiguration: {nodeRegistration: {kubeletExtraArgs: [{name: image-gc-high-threshold, value: \"80\"}]}}";
    assert!(!configuration("server", true, Some(argument)).contains(first));
}

#[test]
fn kubelets_want_space_that_is_free() {
    let wanted = |distribution: &str, config: Option<&str>| {
        let mut machine = Machine::of(distribution);
        machine.config = config.map_or(machine.config, str::to_owned);
        let eviction = machine.setup(distribution).unwrap().eviction.unwrap();
        (eviction.kubelet, eviction.nodefs.of(1 << 40) >> 30, eviction.imagefs.of(1 << 40) >> 30)
    };
    let usual = |nodefs, imagefs| ("/var/lib/kubelet".to_owned(), nodefs, imagefs);
    assert_eq!(wanted("kubeadm", None), usual(102, 153));
    assert_eq!(wanted("k3s", None), usual(51, 51));
    assert_eq!(wanted("rke2", None), usual(51, 51));
    assert_eq!(wanted("canonical", None), usual(1, 1));
    for (config, free) in [
        ("kubeletConfiguration: {evictionHard: {imagefs.available: 2Gi}}", usual(0, 2)),
        (
            "kubeletConfiguration: {mergeDefaultEvictionSettings: true, evictionHard: {imagefs.available: 2Gi}}",
            usual(102, 2),
        ),
        (
            "initConfiguration: {nodeRegistration: {kubeletExtraArgs: [{name: eviction-hard, value: \"nodefs.available<3Gi\"}, \
             {name: root-dir, value: /srv/kubelet}]}}",
            ("/srv/kubelet".to_owned(), 3, 0),
        ),
    ] {
        assert_eq!(wanted("kubeadm", Some(config)), free, "{config}");
    }
    let argument = "kubelet-arg: [eviction-hard=nodefs.available<20%]";
    assert_eq!(wanted("k3s", Some(argument)), usual(204, 0));
    let arguments = "extra-node-kubelet-args: {\"--eviction-hard\": \"imagefs.available<4Gi\"}";
    assert_eq!(wanted("canonical", Some(arguments)), usual(0, 4));
}

#[test]
fn kubeadm_upgrades_the_first_server_and_lets_the_others_follow() {
    let commands = |change: &dyn Fn(&mut Machine)| {
        let mut machine = Machine::of("kubeadm");
        machine.upgrade_from = Some("1.31.9".to_owned());
        change(&mut machine);
        rendered(&machine.setup("kubeadm").unwrap())
    };
    let first = commands(&|_| ());
    let at = |part: &str| first.find(part).unwrap_or_else(|| panic!("{part} in\n{first}"));
    assert!(at("systemctl start kubelet.service") < at("get --raw /readyz"));
    assert!(at("upgrade /usr/bin/kubeadm v1.32.5 box-1 /usr/bin/kubectl\n") < at("start again kubelet.service"));
    let join = cases::join("kubeadm", Role::Server);
    let further = commands(&|machine| machine.node.cluster = join.clone());
    assert!(further.contains("/usr/bin/kubeadm upgrade node\n") && !further.contains("upgrade apply"));
}

#[test]
fn what_cannot_be_done_is_refused_all_at_once() {
    let refused = |distribution: &str, change: &dyn Fn(&mut Machine)| {
        let mut machine = Machine::of(distribution);
        change(&mut machine);
        machine.setup(distribution).unwrap_err().join("\n")
    };
    let no_files = |machine: &mut Machine| machine.files.clear();
    for (distribution, change, expected) in [
        ("k3s", &no_files as &dyn Fn(&mut Machine), &["has the program k3s", "/usr/local/bin/k3s"][..]),
        ("kubeadm", &no_files, &["program kubeadm", "program kubelet", "program kubectl", "has Helm"]),
        ("canonical", &no_files, &["lacks k8s.snap or its base"]),
        (
            "canonical",
            &|machine| machine.files.retain(|file| file != "/opt/k8s/core22.assert"),
            &["without /opt/k8s/core22.assert"],
        ),
        (
            "canonical",
            &|machine| {
                machine.host.os = "debian".to_owned();
                machine.host.architecture = "arm64".to_owned();
                machine.node.install_root = Some("/opt/x".to_owned());
            },
            &["on Ubuntu, and this system is debian", "on amd64, and this machine is arm64", "`installRoot`"],
        ),
        (
            "rke2",
            &|machine| {
                machine.images.clear();
                machine.node.endpoint = Some(cases::vip());
                machine.config = "data-dir: /x\n".to_owned();
            },
            &["borne by kube-vip", "to `images` of the pack k8s", "`data-dir: /x`"],
        ),
        (
            "kubeadm",
            &|machine| machine.node.registries.rewrites.extend([cases::rewrites()]),
            &["mirrors.docker.io.rewrite"],
        ),
        ("canonical", &|machine| machine.node.registries.rewrites.extend([cases::rewrites()]), &["rewrites no names"]),
        ("rke2", &|machine| machine.node.cluster = cases::join("k3s", Role::Server), &["port 9345"]),
        (
            "k3s",
            &|machine| machine.node.cluster = cases::join("kubeadm", Role::Server),
            &["`cluster.caCertHash`", "`cluster.certificateKeyFile`"],
        ),
        ("k3s", &|machine| machine.node.role = Role::Agent, &["an agent joins a cluster"]),
        ("k3s", &|machine| machine.config = "- a\n".to_owned(), &["`config` of the pack k8s cannot be read"]),
        (
            "kubeadm",
            &|machine| machine.node.cluster = cases::join("k3s", Role::Server),
            &["caCertHash", "certificateKeyFile", "kubeadm's, six and sixteen"],
        ),
        (
            "k3s",
            &|machine| {
                machine.node.labels.insert("kubernetes.io/x".to_owned(), "y".to_owned());
            },
            &["refuses to set \"kubernetes.io/x\""],
        ),
        (
            "none",
            &|machine| machine.node.endpoint = Some(cases::vip()),
            &["`endpoint` of the site is for a Kubernetes distribution"],
        ),
        ("mikro", &|_| (), &["\"mikro\" is not one"]),
    ] {
        let found = refused(distribution, change);
        for part in expected {
            assert!(found.contains(part), "{part:?} not in\n{found}");
        }
    }
    let mut machine = Machine::case("k3s", "everything");
    machine.host.os = "haiku".to_owned();
    assert!(machine.setup("k3s").unwrap_err()[0].contains("where haiku keeps"));
}

#[test]
fn where_authorities_go_depends_on_the_system() {
    let folder = |os: &str, like: &[&str]| {
        let mut machine = Machine::case("k3s", "everything");
        machine.host.os = os.to_owned();
        machine.host.like = like.iter().map(|word| (*word).to_owned()).collect();
        let setup = machine.setup("k3s").unwrap();
        let file = setup.files.into_iter().find(|file| file.text.contains("CERTIFICATE")).unwrap();
        file.path
    };
    assert_eq!(folder("ubuntu", &["debian"]), "/usr/local/share/ca-certificates/corp-root.crt");
    assert_eq!(folder("rocky", &["rhel", "centos", "fedora"]), "/etc/pki/ca-trust/source/anchors/corp-root.crt");
    assert_eq!(folder("opensuse-leap", &["suse", "opensuse"]), "/etc/pki/trust/anchors/corp-root.crt");
}

#[test]
fn none_is_given_what_every_machine_is_given() {
    let mut machine = Machine::of("none");
    machine.node.hostname = Some("box".to_owned());
    let setup = machine.setup("none").unwrap();
    assert_eq!(setup.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["/etc/hostname"]);
    assert_eq!(setup.start.len(), 1);
    assert_eq!(Machine::of("none").setup("none").unwrap(), Setup::default());
    let taint = Taint { key: "a".to_owned(), value: String::new(), effect: "NoExecute".to_owned() };
    machine.node.taints.push(taint);
    assert!(machine.setup("none").is_err());
    let mut routed = Machine::of("none");
    routed.node.dummy_route = true;
    let setup = routed.setup("none").unwrap();
    assert_eq!(setup.files[0].path, "/etc/systemd/system/carrack-dummy-route.service");
    assert_eq!(setup.remove, [Step::Disable { unit: "carrack-dummy-route.service".to_owned() }]);
}

#[test]
fn into_a_folder_programs_may_come_later() {
    for distribution in DISTRIBUTIONS {
        let mut machine = Machine::of(distribution);
        machine.files.clear();
        machine.host.present.clear();
        machine.setup(distribution).unwrap_err();
        machine.host.running = false;
        let setup = machine.setup(distribution).unwrap();
        assert!(!setup.files.is_empty() && setup.start.is_empty() && setup.remove.is_empty(), "{distribution}");
        assert!(setup.files.iter().all(|file| !file.path.ends_with(".service")), "{distribution}");
    }
}
