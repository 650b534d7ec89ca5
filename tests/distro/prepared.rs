//! Systems that are prepared below a folder, through the real programs: everything of the golden trees is there, and all that
//! their first start needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use carrack::distro::Step;
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};
use serde_json::Value;

use crate::cases::{CASES, Machine};
use crate::common::{Ran, Sandbox, copy};
use crate::line;

const DISTRIBUTIONS: [&str; 3] = ["k3s", "rke2", "kubeadm"];
/// The image as the golden trees have it.
const KUBE_VIP: &str = "ghcr.io/kube-vip/kube-vip:v0.9.2";
/// What is there for the first start.
const FIRST_START: [&str; 4] = [
    "etc/systemd/system/carrack-resume.service",
    "etc/systemd/system/multi-user.target.wants/carrack-resume.service",
    "var/lib/carrack/bin/carrack-install",
    "var/lib/carrack/journal/starting.json",
];

/// A bundle of the machine's distribution, and a registry that its image is from.
struct Bundle {
    sandbox: Sandbox,
    distribution: &'static str,
    image: String,
}

impl Bundle {
    fn new(distribution: &'static str) -> Self {
        let (sandbox, machine) = (Sandbox::new(), Machine::of(distribution));
        let registry = InProcessRegistry::start().unwrap();
        let layers = vec![Layer::tar(&[("kube-vip", 0o755, b"program".as_slice())]).unwrap().zstd().unwrap()];
        let platform = carrack::oci::Platform::of_this_machine();
        registry.put_image("kube-vip/kube-vip", Some("v0.9.2"), &Image { platform, layers, command: Vec::new() });
        let image = format!("{}/kube-vip/kube-vip:v0.9.2", registry.host());
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        copy(&fixtures.join("site"), &sandbox.work());
        fs::copy(fixtures.join("distro/stand-in/distribution"), sandbox.work().join("program")).unwrap();
        sandbox.write("shop.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
        let file = |path: &String| format!("        - {{source: ./program, path: {path}, mode: \"0755\"}}\n");
        let files: String = machine.files.iter().map(file).collect();
        let config: String = machine.config.lines().map(|line| format!("        {line}\n")).collect();
        let chart = match distribution {
            "kubeadm" => {
                sandbox.write("cilium/Chart.yaml", "apiVersion: v2\nname: cilium\nversion: 1.17.1\n");
                sandbox.write("cilium/templates/none.yaml", "");
                sandbox.write("values.yaml", "a: 1\n");
                "    - {name: cilium, layer: cni, chart: {source: ./cilium, namespace: kube-system, values: [./values.yaml]}}\n"
            }
            _ => "",
        };
        sandbox.write(
            "carrack.yaml",
            format!(
                "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: 1.0.0}}\nspec:\n  packs:\n    \
                 - name: k8s\n      layer: k8s\n      distribution: {distribution}\n      version: {}\n      config:\n{config}      \
                 images: [\"{image}\"]\n      files:\n{files}{chart}    \
                 - {{name: shop, layer: addon, manifests: [./shop.yaml]}}\n",
                machine.version
            ),
        );
        let built = sandbox.carrack(&["build", ".", "-o", "edge.tar.zst", "--allow-unrendered"]);
        assert_eq!(built.code, 0, "{}", built.stderr);
        Self { sandbox, distribution, image }
    }

    /// A folder that becomes a machine's root.
    fn root(&self, name: &str) -> PathBuf {
        let root = self.sandbox.work().join(name);
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/hostname"), "Box-1\n").unwrap();
        fs::write(root.join("etc/os-release"), "ID=debian\n").unwrap();
        root
    }

    fn install(&self, command: &str, root: &str, more: &[&str]) -> Ran {
        let arguments = [&[command, "--root", root], more].concat();
        self.sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), &arguments)
    }

    /// Prepares a system for a site, and returns its root.
    fn prepare(&self, name: &str, site: &str) -> PathBuf {
        let (root, flags) = (self.root(name), ["edge.tar.zst", "--site", site]);
        let planned = self.install("plan", name, &flags);
        assert_eq!(planned.code, 0, "{name}: {}{}", planned.stdout, planned.stderr);
        assert_eq!(tree(&root).len(), 2, "plan changes nothing");
        let applied = self.install("apply", name, &[&flags[..], &["--yes"]].concat());
        assert_eq!(applied.code, 0, "{name}: {}", applied.stderr);
        assert!(applied.stderr.contains("prepared: the services start"), "{}", applied.stderr);
        // What is there besides is the first start's, and what goes away with it.
        let told = |path: &str| planned.stdout.contains(&format!("/{path}"));
        let own = |path: &str| {
            FIRST_START.contains(&path) || path.ends_with("-unfinished.conf") || path.ends_with(".carrack-old")
        };
        for path in tree(&root).keys().filter(|path| path.starts_with("etc") && !own(path)) {
            let there = ["etc/os-release", "etc/hostname"].contains(&path.as_str());
            assert!(there || told(path), "{path} in\n{}", planned.stdout);
        }
        root
    }

    /// The site of one of the golden trees.
    fn site(&self, case: &str) -> String {
        let port = if self.distribution == "rke2" { 9345 } else { 6443 };
        let join = |server: bool| {
            let kubeadm = self.distribution == "kubeadm";
            let hash = if kubeadm { format!("caCertHash: sha256:{}, ", "ab".repeat(32)) } else { String::new() };
            let key = if kubeadm && server { "certificateKeyFile: ./case-key, " } else { "" };
            format!("cluster: {{{hash}{key}join: \"https://10.0.0.11:{port}\", tokenFile: ./case-token}}")
        };
        let fields = match case {
            "server" => String::new(),
            "further-server" => join(true),
            "agent" => format!("role: agent, {}", join(false)),
            "virtual-ip" => "endpoint: {vip: 10.0.0.10, interface: eth0}".to_owned(),
            "dns" => "endpoint: {dns: api.store.example.org}".to_owned(),
            "proxy" => "proxy: {http: \"http://proxy:3128\", https: \"http://proxy:3128\", noProxy: [10.0.0.0/8, .example.org]}".to_owned(),
            "address" => "nodeAddress: \"10.0.0.12,fd00::12\", dummyRoute: true, proxy: {http: \"http://proxy:3128\", https: \"http://proxy:3128\", \
                noProxy: [10.0.0.0/8, .example.org]}"
                .to_owned(),
            "further-server-address" => format!("nodeAddress: 10.0.0.12, {}", join(true)),
            "agent-address" => format!("role: agent, nodeAddress: 10.0.0.13, dummyRoute: true, {}", join(false)),
            "custom-root" => "installRoot: /opt/edge".to_owned(),
            _ => panic!("{case}"),
        };
        self.sandbox.write("case-token", format!("{}\n", crate::cases::token(self.distribution).0));
        self.sandbox.write("case-key", format!("{}\n", "cd".repeat(32)));
        let name = format!("case-{case}.yaml");
        self.sandbox.write(&name, format!("apiVersion: carrack/v1\nkind: Site\nspec: {{{fields}}}\n"));
        name
    }

    fn archive(&self, data: &str) -> Option<String> {
        (self.distribution != "kubeadm").then(|| format!("{data}/agent/images/edge-1.0.0.tar.zst"))
    }
}

/// Every file and link below a folder, with its content and mode.
fn tree(root: &Path) -> BTreeMap<String, (Vec<u8>, u32)> {
    let (mut found, mut pending) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let facts = path.symlink_metadata().unwrap();
            if facts.is_dir() {
                pending.push(path);
                continue;
            }
            let content = match path.read_link() {
                Ok(to) => to.display().to_string().into_bytes(),
                Err(_) => fs::read(&path).unwrap(),
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            // What the installer keeps for itself has digests for names.
            if name.starts_with("var/lib/carrack/kept/") {
                continue;
            }
            found.insert(name, (content, facts.permissions().mode() & 0o7777));
        }
    }
    found
}

/// The parts of a golden tree: what follows `=== `, and the text below it.
fn golden(distribution: &str, case: &str) -> Vec<(String, String)> {
    let path = format!("fixtures/distro/{distribution}/{case}.snap");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let parts = text.split("\n=== ").skip(1).map(|part| part.split_once('\n').unwrap());
    parts.map(|(head, text)| (head.to_owned(), text.to_owned())).collect()
}

fn starting(root: &Path) -> Value {
    serde_json::from_slice(&fs::read(root.join("var/lib/carrack/journal/starting.json")).unwrap()).unwrap()
}

/// A system that is prepared is not looked at where it runs, so nothing is removed where its first start fails, and nothing counts
/// as Carrack's own until it was looked at.
fn nothing_is_removed_unseen(journal: &Value) {
    let undo: Vec<Step> = serde_json::from_value(journal["undo"].clone()).unwrap();
    assert!(!undo.iter().any(|step| matches!(step, Step::Remove { .. } | Step::Sweep { .. })), "{undo:?}");
    for claims in [&journal["claims"], &journal["result"]["receipt"]["claims"]] {
        let claims = claims.as_array().unwrap();
        assert!(!claims.is_empty() && claims.iter().all(|claim| claim["prepared"] == true), "{claims:?}");
    }
}

fn steps(journal: &Value) -> String {
    let steps: Vec<Step> = serde_json::from_value(journal["start"].clone()).unwrap();
    let mut text = String::new();
    steps.iter().for_each(|step| line(&mut text, step));
    text
}

#[test]
fn every_golden_tree_is_what_the_programs_write() {
    for distribution in DISTRIBUTIONS {
        let bundle = Bundle::new(distribution);
        for case in CASES.into_iter().filter(|case| *case != "everything") {
            let root = bundle.prepare(case, &bundle.site(case));
            let mut found = tree(&root);
            let data =
                if case == "custom-root" { "opt/edge".to_owned() } else { format!("var/lib/rancher/{distribution}") };
            // What the bundle brings besides.
            let machine = Machine::of(distribution);
            let mut brought: BTreeSet<String> = machine.files.iter().map(|file| file[1..].to_owned()).collect();
            brought.extend(bundle.archive(&data));
            match (distribution, case) {
                (_, "agent" | "agent-address") | ("kubeadm", "further-server" | "further-server-address") => {}
                ("kubeadm", _) => brought.extend(
                    ["manifests/shop/shop.yaml", "charts/cilium/cilium-1.17.1.tgz", "charts/cilium/cilium-values.yaml"]
                        .map(|path| format!("var/lib/carrack/{path}")),
                ),
                _ => drop(brought.insert(format!("{data}/server/manifests/carrack-shop-shop.yaml"))),
            }
            brought.extend(FIRST_START.map(str::to_owned));
            brought.extend(["etc/hostname".to_owned(), "etc/os-release".to_owned()]);
            for path in brought {
                assert!(found.remove(&path).is_some(), "{distribution} {case} lacks {path}");
            }
            found.retain(|path, _| !path.ends_with(".d/50-carrack-unfinished.conf"));
            for (head, text) in golden(distribution, case) {
                // Whose the folders are is told at the first start.
                let text = text.replace(KUBE_VIP, &bundle.image);
                if head == "start" {
                    let journal = starting(&root);
                    assert_eq!(steps(&journal).trim_end(), text.trim_end(), "{distribution} {case}");
                } else if let Some((path, mode)) = head.strip_prefix('/').and_then(|head| head.split_once(' ')) {
                    let (content, found_mode) =
                        found.remove(path).unwrap_or_else(|| panic!("{distribution} {case} lacks {path}"));
                    // Files are told apart by an empty line, which the last one does not have.
                    let content = String::from_utf8(content).unwrap();
                    assert_eq!(content.trim_end(), text.trim_end(), "{distribution} {case} {path}");
                    assert_eq!(format!("{found_mode:04o}"), mode.trim_end_matches(" private"), "{path}");
                }
            }
            assert_eq!(found.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "{distribution} {case}");
        }
    }
}

#[test]
fn every_site_is_prepared_for_its_first_start() {
    for distribution in DISTRIBUTIONS {
        let bundle = Bundle::new(distribution);
        if distribution == "kubeadm" {
            bundle.sandbox.write("token", "abcdef.0123456789abcdef\n");
        }
        let kubeadm_agent = "apiVersion: carrack/v1\nkind: Site\nspec:\n  role: agent\n  hostname: store-0044\n  cluster:\n    join: \
                             https://10.0.0.10:6443\n    tokenFile: ./token\n    caCertHash: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
        for site in ["server", "agent", "join", "vip", "dns", "proxy", "custom-root"] {
            let mut text = fs::read_to_string(bundle.sandbox.work().join(format!("{site}.yaml"))).unwrap();
            match (distribution, site) {
                ("kubeadm", "join") => {
                    text = fs::read_to_string(bundle.sandbox.work().join("join-kubeadm.yaml")).unwrap();
                }
                ("kubeadm", "agent") => kubeadm_agent.clone_into(&mut text),
                ("rke2", _) => text = text.replace(":6443", ":9345"),
                _ => {}
            }
            bundle.sandbox.write(&format!("a-{site}.yaml"), &text);
            let root = bundle.prepare(site, &format!("a-{site}.yaml"));
            let found = tree(&root);
            let name = text.lines().find_map(|line| line.trim().strip_prefix("hostname: ")).unwrap();
            assert_eq!(found["etc/hostname"].0, format!("{name}\n").into_bytes());
            // The unit is called at the first start, and what it runs is this installer.
            let unit = String::from_utf8(found[FIRST_START[0]].0.clone()).unwrap();
            assert!(unit.contains("ExecStart=/var/lib/carrack/bin/carrack-install resume\n"), "{unit}");
            assert_eq!(found[FIRST_START[1]].0, b"/etc/systemd/system/carrack-resume.service");
            assert_eq!(found[FIRST_START[2]].0, fs::read(env!("CARGO_BIN_EXE_carrack-install")).unwrap());
            assert_eq!(found[FIRST_START[2]].1, 0o755);
            let journal = starting(&root);
            nothing_is_removed_unseen(&journal);
            let steps = steps(&journal);
            assert!(steps.starts_with(&format!("run up to 10 s: call this machine {name}")), "{steps}");
            let unit = match (distribution, site) {
                ("kubeadm", _) => "kubelet.service",
                ("k3s", "agent") => "k3s-agent.service",
                ("k3s", _) => "k3s.service",
                (_, "agent") => "rke2-agent.service",
                _ => "rke2-server.service",
            };
            assert!(steps.contains(&format!("start {unit}\n")), "{steps}");
            assert!(steps.contains(&format!("node/{name}\n")), "{steps}");
            // Nothing is installed yet; the same again changes nothing, and for another machine it is refused.
            let receipt = &journal["result"]["receipt"];
            assert_eq!(receipt["runtime"]["kind"], if distribution == "kubeadm" { "none" } else { distribution });
            assert!(!found.keys().any(|path| path.starts_with("var/lib/carrack/receipts")));
            let status = bundle.install("status", site, &[]);
            assert_eq!(status.code, 40);
            assert!(
                status.stderr.contains("is prepared (apply edge 1.0.0), and waits for its first start"),
                "{}",
                status.stderr
            );
            assert!(!status.stderr.contains("nothing is installed"), "{}", status.stderr);
            let again = |named: &str, code: i32| {
                let file = format!("a-{named}.yaml");
                let again = bundle.install("apply", site, &["edge.tar.zst", "--site", &file, "--yes"]);
                assert_eq!(again.code, code, "{}", again.stderr);
                assert_eq!(tree(&root), found);
            };
            again(site, 0);
            if site == "agent" {
                again("server", 40);
            }
        }
    }
}

/// All of a cluster's data is in the folder that the site names, and nothing of it where it usually is.
#[test]
fn a_custom_root_has_everything() {
    for distribution in ["k3s", "rke2"] {
        let bundle = Bundle::new(distribution);
        let usual = tree(&bundle.prepare("usual", &bundle.site("virtual-ip")));
        let site = "apiVersion: carrack/v1\nkind: Site\nspec: {installRoot: /opt/edge, endpoint: {vip: 10.0.0.10, interface: eth0}}\n";
        bundle.sandbox.write("moved.yaml", site);
        let moved = tree(&bundle.prepare("moved", "moved.yaml"));
        let folder = format!("var/lib/rancher/{distribution}/");
        let expected: BTreeSet<String> = usual.keys().map(|path| path.replace(&folder, "opt/edge/")).collect();
        assert_eq!(moved.keys().cloned().collect::<BTreeSet<_>>(), expected);
        for path in [
            "agent/images/edge-1.0.0.tar.zst",
            "server/manifests/carrack-kube-vip.yaml",
            "server/manifests/carrack-shop-shop.yaml",
        ] {
            assert_eq!(moved[&format!("opt/edge/{path}")], usual[&format!("{folder}{path}")]);
        }
        let journal = starting(&bundle.sandbox.work().join("moved"));
        assert_eq!(journal["result"]["receipt"]["runtime"]["folder"], "/opt/edge/agent/images");
    }
}
