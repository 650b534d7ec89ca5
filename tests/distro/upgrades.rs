//! What a later version changes on a machine that was installed with a site: golden plans, `fixtures/distro/upgrades`, for
//! every distribution, on a server and an agent, without a site, with another one, and with one that changes the machine's
//! part in its cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cases::{self, Machine};
use crate::common::{Ran, Sandbox};

const DISTRIBUTIONS: [&str; 4] = ["k3s", "rke2", "kubeadm", "canonical"];
/// No secret of a site is in any output.
const CANARY: &str = "canary-password";

struct Host {
    sandbox: Sandbox,
    distribution: &'static str,
}

impl Host {
    /// With bundles of 1.0.0 and 1.1.0, whose configurations differ in nothing.
    fn new(distribution: &'static str) -> Self {
        let (sandbox, machine) = (Sandbox::new(), Machine::of(distribution));
        sandbox.write("program", "#!/bin/sh\n");
        let file = |path: &String| format!("        - {{source: ./program, path: {path}, mode: \"0755\"}}\n");
        let files: String = machine.files.iter().map(file).collect();
        for version in ["1.0.0", "1.1.0"] {
            sandbox.write(
                "carrack.yaml",
                format!(
                    "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: {version}}}\nspec:\n  \
                     packs:\n    - name: k8s\n      layer: k8s\n      distribution: {distribution}\n      version: {}\n      \
                     files:\n{files}",
                    machine.version
                ),
            );
            let built = sandbox.carrack(&["build", ".", "-o", &format!("edge-{version}"), "--platform", "linux/amd64"]);
            assert_eq!(built.code, 0, "{}", built.stderr);
        }
        let root = sandbox.work().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/hostname"), "box-1\n").unwrap();
        let os = if distribution == "canonical" { "ID=ubuntu\n" } else { "ID=debian\n" };
        fs::write(root.join("etc/os-release"), os).unwrap();
        sandbox.write("token", format!("{}\n", cases::token(distribution).0));
        sandbox.write("key", format!("{}\n", "cd".repeat(32)));
        sandbox.write("password", CANARY);
        for secret in ["token", "key", "password"] {
            fs::set_permissions(sandbox.work().join(secret), fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self { sandbox, distribution }
    }

    fn root(&self) -> PathBuf {
        self.sandbox.work().join("root")
    }

    /// A site of a server or agent with `more` fields.
    fn site(&self, name: &str, agent: bool, server: &str, more: &str) {
        let port = match self.distribution {
            "rke2" => 9345,
            _ => 6443,
        };
        let hash = match self.distribution {
            "kubeadm" => format!("caCertHash: \"sha256:{}\", ", "ab".repeat(32)),
            _ => String::new(),
        };
        let fields = match (agent, self.distribution) {
            (true, _) => {
                format!("role: agent, cluster: {{{hash}join: \"https://{server}:{port}\", tokenFile: ./token}}")
            }
            (false, "canonical") => "cluster: {init: true}".to_owned(),
            (false, _) => "cluster: {init: true, tokenFile: ./token}".to_owned(),
        };
        self.sandbox.write(name, format!("apiVersion: carrack/v1\nkind: Site\nspec: {{{fields}, {more}}}\n"));
    }

    fn install(&self, arguments: &[&str]) -> Ran {
        let arguments = [arguments, &["--root", "root"]].concat();
        self.sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), &arguments)
    }

    /// Prepares the root with 1.0.0, and does what its first start does to what Carrack keeps.
    fn start_first(&self, site: &[&str]) {
        let applied = self.install(&[&["apply", "edge-1.0.0", "--yes"], site].concat());
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        let own = self.root().join("var/lib/carrack");
        let journal = own.join("journal/starting.json");
        if let Ok(text) = fs::read(&journal) {
            let mut record: Value = serde_json::from_slice(&text).unwrap();
            let result = record["result"].take();
            let folder = own.join("receipts");
            fs::create_dir_all(&folder).unwrap();
            let file = folder.join(result["file"].as_str().unwrap());
            fs::write(file, serde_json::to_vec_pretty(&result["receipt"]).unwrap()).unwrap();
            fs::remove_file(journal).unwrap();
        }
    }

    fn receipt(&self) -> Value {
        let folder = self.root().join("var/lib/carrack/receipts");
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        serde_json::from_slice(&fs::read(paths.pop().unwrap()).unwrap()).unwrap()
    }

    /// What a plan of 1.1.0 says.
    fn plan(&self, title: &str, more: &[&str]) -> String {
        let ran = self.install(&[&["plan", "edge-1.1.0"], more].concat());
        let text = format!("=== {title}\nexit {}\n{}{}\n", ran.code, ran.stdout, ran.stderr);
        assert!(!text.contains(CANARY) && !text.contains(&cases::token(self.distribution).0), "{text}");
        text
    }
}

#[test]
fn golden_plans_of_upgrades() {
    for distribution in DISTRIBUTIONS {
        for agent in [false, true] {
            let host = Host::new(distribution);
            let fields = "hostname: store-7, registries: {mirrors: {docker.io: {endpoint: [\"https://r.store:5000\"]}}, \
                configs: {\"r.store:5000\": {auth: {username: u, passwordFile: ./password}}}}";
            let labels = if agent && distribution == "canonical" { "nodeTaints" } else { "nodeLabels" };
            let label = |value: &str| match labels {
                "nodeTaints" => format!("{fields}, nodeTaints: [\"tier={value}:NoSchedule\"]"),
                _ => format!("{fields}, nodeLabels: {{tier: {value}}}"),
            };
            host.site("first.yaml", agent, "10.0.0.11", &label("edge"));
            host.site("other.yaml", agent, "10.0.0.11", &label("store"));
            host.site("role.yaml", !agent, "10.0.0.11", fields);
            host.site("elsewhere.yaml", true, "10.0.0.99", &label("edge"));
            host.start_first(&["--site", "first.yaml"]);
            let mut text = host.plan("without a site", &[]);
            text += &host.plan("the same site", &["--site", "first.yaml"]);
            text += &host.plan("another site", &["--site", "other.yaml"]);
            text += &host.plan("another part in the cluster", &["--site", "role.yaml"]);
            text += &host.plan("another part, as somebody wants it", &["--site", "role.yaml", "--change-role"]);
            if agent {
                text += &host.plan("another cluster", &["--site", "elsewhere.yaml"]);
                text +=
                    &host.plan("another cluster, as somebody wants it", &["--site", "elsewhere.yaml", "--change-role"]);
            }
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path("../../fixtures/distro/upgrades");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            let name = format!("{distribution}-{}", if agent { "agent" } else { "server" });
            settings.bind(|| insta::assert_snapshot!(name, text));
        }
    }
}

#[test]
fn a_secret_of_a_site_is_kept_where_it_stands_and_nowhere_else() {
    for distribution in DISTRIBUTIONS {
        let host = Host::new(distribution);
        let fields = "registries: {configs: {\"r.store:5000\": {auth: {username: u, passwordFile: ./password}}}}, proxy: {http: \
            \"http://u:p%24w@proxy:3128\"}";
        host.site("site.yaml", true, "10.0.0.11", fields);
        host.start_first(&["--site", "site.yaml"]);
        let site = &host.receipt()["site"];
        assert_eq!(site["machine"]["role"], "agent", "{site}");
        let text = site.to_string();
        assert!(!text.contains(&cases::token(distribution).0), "{distribution}: {text}");
        let kept = site["secrets"].as_array().unwrap();
        assert!(kept.iter().all(|one| one["at"]["path"].is_string() || one["text"].is_string()), "{text}");
        assert!(kept[0]["at"]["path"].is_string(), "the token stands in a file of {distribution}: {text}");
    }
}

#[test]
fn what_was_chosen_counts_until_it_is_chosen_anew() {
    let host = Host::new("k3s");
    let flags = ["--runtime", "none", "--keep", "3", "--skip", "memory"];
    host.start_first(&[&flags[..], &["--allow-downgrade"]].concat());
    let chosen = serde_json::json!({"runtime": "none", "keep": 3, "skip": ["memory"]});
    assert_eq!(host.receipt()["choices"], chosen);
    let status = host.install(&["status"]);
    assert!(status.stdout.contains("chosen   --runtime none --keep 3 --skip memory\n"), "{}", status.stdout);
    let journal = |more: &[&str]| {
        let applied = host.install(&[&["apply", "edge-1.1.0", "--yes"], more].concat());
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        let path = host.root().join("var/lib/carrack/journal/starting.json");
        let record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        // The next one finds no journal.
        fs::remove_file(path).unwrap();
        record["result"]["receipt"]["choices"].clone()
    };
    assert_eq!(journal(&[]), chosen);
    let anew = serde_json::json!({"runtime": "none", "keep": 0, "skip": []});
    let mut found = journal(&["--keep", "0", "--skip", "none"]);
    found["skip"] = found.get("skip").cloned().unwrap_or_else(|| serde_json::json!([]));
    assert_eq!(found, anew);
}

#[test]
fn the_install_root_of_a_cluster_stays() {
    for distribution in ["k3s", "rke2", "kubeadm"] {
        let host = Host::new(distribution);
        host.site("site.yaml", false, "", "installRoot: /opt/edge");
        host.site("moved.yaml", false, "", "installRoot: /opt/other");
        host.site("usual.yaml", false, "", "hostname: box-1");
        host.start_first(&["--site", "site.yaml"]);
        for (site, to) in [("moved.yaml", "/opt/other"), ("usual.yaml", "the usual place")] {
            let ran = host.install(&["plan", "edge-1.1.0", "--site", site, "--change-role"]);
            assert_eq!(ran.code, 40, "{}", ran.stderr);
            assert!(
                ran.stderr.contains(&format!("`installRoot` of the site would change from /opt/edge to {to}")),
                "{}",
                ran.stderr
            );
        }
        let kept = host.install(&["plan", "edge-1.1.0"]);
        assert_eq!(kept.code, 0, "{}", kept.stderr);
    }
}

/// What has been applied is what counts, and not what the file says: an earlier run may have ended in between.
#[test]
fn a_plan_shows_what_changes_of_a_node_of_kubeadm_that_runs() {
    for agent in [false, true] {
        let host = Host::new("kubeadm");
        host.site("first.yaml", agent, "10.0.0.11", "hostname: store-7, nodeLabels: {tier: edge}");
        let changed = "hostname: store-7, nodeLabels: {tier: store}, nodeTaints: [\"spare=true:NoSchedule\"]";
        host.site("changed.yaml", agent, "10.0.0.11", changed);
        host.site("named.yaml", agent, "10.0.0.11", "hostname: store-8, nodeLabels: {tier: edge}");
        host.start_first(&["--site", "first.yaml"]);
        let plan = |site: &str, more: &[&str]| host.install(&[&["plan", "edge-1.1.0", "--site", site], more].concat());
        let none = plan("changed.yaml", &[]);
        assert!(
            none.code == 0 && !none.stdout.contains("cluster"),
            "it is no node yet: {}{}",
            none.stdout,
            none.stderr
        );

        let own = host.root().join("var/lib/carrack/kubeadm");
        fs::write(own.join("made"), "").unwrap();
        let same = plan("first.yaml", &[]);
        assert!(same.code == 0 && !same.stdout.contains("cluster"), "{}{}", same.stdout, same.stderr);
        let told = plan("changed.yaml", &[]);
        let fields = "change  cluster  label tier=store\nchange  cluster  taint spare=true:NoSchedule\n";
        assert!(told.stdout.contains(fields) && !told.stdout.contains("restarts:"), "{}{}", told.stdout, told.stderr);
        let by_hand = "on a server, run: kubectl taint node store-7 --overwrite spare=true:NoSchedule";
        assert_eq!(told.stderr.contains(by_hand), agent, "{}", told.stderr);
        let refused = plan("named.yaml", &[]);
        assert_eq!(refused.code, 40, "{}", refused.stderr);
        let why = "a node of kubeadm keeps what it was made with: `nodeRegistration.name` would change from store-7 to store-8";
        assert!(refused.stderr.contains(why), "{}", refused.stderr);

        let config = fs::read_to_string(own.join("config.yaml")).unwrap();
        let other = "\"kubeletExtraArgs\":\n    - \"name\": \"v\"\n      \"value\": \"4\"\n";
        fs::write(own.join("applied.yaml"), config.replace("\"kubeletExtraArgs\":\n", other)).unwrap();
        let told = plan("first.yaml", &["--json"]);
        let report: Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(report["configuration"][0], "kubeletExtraArgs.v", "{report}");
        assert_eq!(report["restarts"], serde_json::json!(["kubelet"]), "{report}");
        assert_eq!(report["changes"], true, "{report}");
    }
}

#[test]
fn a_node_keeps_the_address_that_it_has_in_its_cluster() {
    for distribution in DISTRIBUTIONS {
        for agent in [false, true] {
            let host = Host::new(distribution);
            for (name, field) in [
                ("one.yaml", "nodeAddress: 10.0.0.12"),
                ("two.yaml", "nodeAddress: 10.0.0.13"),
                ("none.yaml", "hostname: box-1"),
                ("interface.yaml", "nodeAddress: {interface: eth0}"),
            ] {
                host.site(name, agent, "10.0.0.11", field);
            }
            host.start_first(&["--site", "one.yaml"]);
            assert_eq!(host.receipt()["site"]["machine"]["address"]["addresses"], serde_json::json!(["10.0.0.12"]));
            // Without a site it is kept, and another one is refused where the cluster counts on this one.
            let plan = |site: &[&str]| host.install(&[&["plan", "edge-1.1.0"], site].concat());
            let kept = plan(&[]);
            assert!(kept.code == 0 && !kept.stdout.contains("nodeAddress"), "{}{}", kept.stdout, kept.stderr);
            let changed = plan(&["--site", "two.yaml"]);
            let changes = "the address of this node changes from 10.0.0.12 to 10.0.0.13";
            if agent && ["k3s", "rke2"].contains(&distribution) {
                assert_eq!(changed.code, 0, "{}", changed.stderr);
                assert!(changed.stderr.contains(changes), "{}", changed.stderr);
                assert!(changed.stdout.contains("nodeAddress: 10.0.0.12 -> 10.0.0.13"), "{}", changed.stdout);
            } else {
                assert_eq!(changed.code, 40, "{}", changed.stderr);
                let refused = "`nodeAddress` of the site would change from 10.0.0.12 to 10.0.0.13";
                assert!(changed.stderr.contains(refused), "{}", changed.stderr);
            }
            let left = plan(&["--site", "none.yaml"]);
            let told = match distribution {
                "kubeadm" | "canonical" => "keeps the address that it was made with",
                _ => "the address of this node becomes that of its default route",
            };
            assert!(left.code == 0 && left.stderr.contains(told), "{}", left.stderr);
            // Of the machine that a folder becomes, nobody knows the addresses here.
            let unknown = plan(&["--site", "interface.yaml"]);
            assert_eq!(unknown.code, 40, "{}", unknown.stderr);
            assert!(unknown.stderr.contains("give the addresses"), "{}", unknown.stderr);
        }
    }
}

#[test]
fn a_site_that_no_receipt_has_is_asked_for() {
    for distribution in DISTRIBUTIONS {
        for agent in [false, true] {
            let host = Host::new(distribution);
            host.site("site.yaml", agent, "10.0.0.11", "hostname: store-7");
            host.start_first(&["--site", "site.yaml"]);
            forget(&host);
            let ran = host.install(&["plan", "edge-1.1.0"]);
            assert_eq!(ran.code, 40, "{distribution}: {}", ran.stderr);
            assert!(ran.stderr.contains("was installed with a site that no receipt has"), "{}", ran.stderr);
            let given = host.install(&["plan", "edge-1.1.0", "--site", "site.yaml"]);
            assert_eq!(given.code, 0, "{distribution}: {}", given.stderr);
        }
        // And where there was none, none is asked for.
        let host = Host::new(distribution);
        host.start_first(&[]);
        forget(&host);
        let ran = host.install(&["plan", "edge-1.1.0"]);
        assert_eq!(ran.code, 0, "{distribution}: {}", ran.stderr);
    }
}

/// Makes the receipt one of an installer that did not write sites down.
fn forget(host: &Host) {
    let path = host.root().join("var/lib/carrack/receipts/0001-edge-1.0.0.json");
    let mut receipt: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = receipt.as_object_mut().unwrap();
    fields.retain(|key, _| key != "site" && key != "choices");
    fields.insert("receiptVersion".to_owned(), 3.into());
    fs::write(path, serde_json::to_vec(&receipt).unwrap()).unwrap();
}

#[test]
fn a_site_of_a_receipt_is_checked_as_a_site_file_is() {
    for (pointer, value) in [
        ("/site/machine/installRoot", "/opt/../etc"),
        ("/site/machine/hostname", "n1\nroot"),
        ("/site/machine/cluster/server", "http://evil"),
        ("/site/machine/labels/tier", "a\nb"),
    ] {
        let host = Host::new("k3s");
        host.site("site.yaml", true, "10.0.0.11", "hostname: n1, installRoot: /opt/edge, nodeLabels: {tier: edge}");
        host.start_first(&["--site", "site.yaml"]);
        let path = host.root().join("var/lib/carrack/receipts/0001-edge-1.0.0.json");
        let mut receipt: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        *receipt.pointer_mut(pointer).unwrap() = value.into();
        fs::write(path, serde_json::to_vec(&receipt).unwrap()).unwrap();
        let ran = host.install(&["plan", "edge-1.1.0"]);
        assert_eq!(ran.code, 25, "{pointer}: {}", ran.stderr);
        assert!(ran.stderr.contains("no site file can have"), "{}", ran.stderr);
    }
}

#[test]
fn a_secret_that_somebody_has_changed_has_to_be_given_again() {
    let host = Host::new("k3s");
    host.site("site.yaml", true, "10.0.0.11", "hostname: n1");
    host.start_first(&["--site", "site.yaml"]);
    fs::write(host.root().join("etc/rancher/k3s/carrack-token"), "another\n").unwrap();
    let ran = host.install(&["plan", "edge-1.1.0"]);
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("carrack-token is not what was installed") && ran.stderr.contains("--site FILE"),
        "{}",
        ran.stderr
    );
    let given = host.install(&["plan", "edge-1.1.0", "--site", "site.yaml"]);
    assert_eq!(given.code, 0, "{}", given.stderr);
}
