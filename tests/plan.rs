//! What somebody sees before anything changes: what becomes of each file, and what of the configuration that was changed by hand.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "common/available.rs"]
mod available;
mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Ran, Sandbox};
use serde_json::Value;

const CONFIG: &str = "etc/rancher/k3s/config.yaml.d/50-carrack.yaml";
const CHANGED: &str = "/var/lib/carrack/by-hand";

fn install(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), arguments)
}

/// Installs a version below `host`.
fn apply(sandbox: &Sandbox, version: &str, more: &[&str]) -> Ran {
    let bundle = format!("edge-{version}.tar.zst");
    let ran = install(sandbox, &[&["apply", &bundle, "--root", "host"], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

fn plan(sandbox: &Sandbox, version: &str, more: &[&str]) -> Ran {
    let bundle = format!("edge-{version}.tar.zst");
    let ran = install(sandbox, &[&["plan", &bundle, "--root", "host"], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

fn build(sandbox: &Sandbox, version: &str, spec: &str) {
    let profile = "apiVersion: carrack/v1\nkind: ClusterProfile\n";
    let profile = format!("{profile}metadata: {{name: edge, version: {version}}}\nspec:\n{spec}");
    sandbox.write("carrack.yaml", profile);
    let bundle = format!("edge-{version}.tar.zst");
    let ran = sandbox.carrack(&["build", ".", "-o", &bundle]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

fn file(entries: &str) -> String {
    format!("  packs:\n    - {{name: shop, layer: addon, files: [{entries}]}}\n")
}

/// Whoever installs where something cannot become ready, such as names without a name server, says so.
#[test]
fn what_is_applied_is_waited_for_unless_somebody_says_otherwise() {
    let sandbox = Sandbox::new();
    sandbox.write("k3s", "#!/bin/sh\n");
    sandbox.write("web.yaml", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web, namespace: shop}\n");
    let pack = "  packs:\n    - name: k3s\n      layer: k8s\n      version: 1.32.5\n      distribution: k3s\n      files: [{source: ./k3s, path: \
        /usr/local/bin/k3s}]\n    - {name: shop, layer: addon, manifests: [./web.yaml]}\n";
    for (version, ready) in
        [("1.0.0", ""), ("1.1.0", "  ready: {timeout: 5m}\n"), ("1.2.0", "  ready: {timeout: 0s}\n")]
    {
        build(&sandbox, version, &format!("{ready}{pack}"));
    }
    let waits = |host: &str, version: &str, more: &[&str]| {
        fs::create_dir(sandbox.work().join(host)).unwrap();
        let bundle = format!("edge-{version}.tar.zst");
        let ran = install(&sandbox, &[&["apply", &bundle, "--root", host, "--yes"], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let journal = fs::read(sandbox.work().join(host).join("var/lib/carrack/journal/starting.json")).unwrap();
        let journal: Value = serde_json::from_slice(&journal).unwrap();
        let steps = journal["start"].as_array().unwrap().clone();
        let ready = steps.into_iter().find(|step| step["kind"] == "ready");
        ready.map(|ready| (ready["seconds"].as_u64().unwrap(), ready["workloads"][0].as_str().unwrap().to_owned()))
    };
    let web = "Deployment shop/web".to_owned();
    assert_eq!(waits("usual", "1.0.0", &[]), Some((600, web.clone())));
    assert_eq!(waits("said", "1.1.0", &[]), Some((300, web)));
    assert_eq!(waits("nothing", "1.2.0", &[]), None);
    assert_eq!(waits("skipped", "1.1.0", &["--skip", "ready"]), None);
}

/// What it needs is a containerd that runs; what a site says has no part in it.
#[test]
fn images_alone_need_a_containerd_and_no_site() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "tool\n");
    build(&sandbox, "1.0.0", &file("{source: ./tool, path: /etc/tool}"));
    fs::create_dir(sandbox.work().join("host")).unwrap();
    for command in ["plan", "apply"] {
        let of = |more: &[&str]| {
            install(&sandbox, &[&[command, "edge-1.0.0.tar.zst", "--root", "host", "--images-only"], more].concat())
        };
        let refused = of(&[]);
        assert_eq!(refused.code, 40, "{}", refused.stderr);
        let told = "only images are asked for, and they do not go to a containerd that runs here";
        assert!(refused.stderr.contains(told) && refused.stderr.contains("--containerd-address"), "{}", refused.stderr);
        for flags in [&["--site", "site.yaml"][..], &["--set", "a=b"], &["--keep", "2"]] {
            assert_eq!(of(flags).code, 2, "{flags:?}");
        }
        assert_eq!(fs::read_dir(sandbox.work().join("host")).unwrap().count(), 0, "nothing is written");
    }
}

fn host(sandbox: &Sandbox, path: &str) -> String {
    fs::read_to_string(sandbox.work().join("host").join(path.trim_start_matches('/'))).unwrap()
}

/// Two versions of a file, of which the first is installed.
fn two_versions(first: &str, second: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("host")).unwrap();
    for (version, content) in [("1.0.0", first), ("2.0.0", second)] {
        sandbox.write("motd", content);
        build(&sandbox, version, &file("{source: ./motd, path: /etc/motd}"));
    }
    apply(&sandbox, "1.0.0", &[]);
    sandbox
}

#[test]
fn a_file_that_is_replaced_is_shown_line_by_line() {
    let sandbox = two_versions("one\ntwo\nthree\n", "one\n2\nthree\n");
    let ran = plan(&sandbox, "2.0.0", &[]);
    let want = "replace file     /etc/motd (12 B, 0644)\n        @@ -1,3 +1,3 @@\n         one\n        -two\n        +2\n         three\n";
    assert_eq!(ran.stdout, want);
    let report = json(&plan(&sandbox, "2.0.0", &["--json"]));
    assert_eq!(report["files"][0]["diff"], "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three");
    assert_eq!(report["files"][0].get("noDiff"), None);

    // As it is now, and not as it was installed; what a terminal would obey is spelled out.
    fs::write(sandbox.work().join("host/etc/motd"), "one\n\u{1b}[2J\u{9b}31m\rtwo\n").unwrap();
    let ran = plan(&sandbox, "2.0.0", &[]);
    assert!(ran.stdout.contains("        -\\u001b[2J\\u009b31m\\u000dtwo\n        +2\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains(['\u{1b}', '\u{9b}', '\r']), "{}", ran.stdout);

    // Without its content, where that stays.
    let motd = sandbox.work().join("host/etc/motd");
    fs::write(&motd, "one\n2\nthree\n").unwrap();
    fs::set_permissions(&motd, fs::Permissions::from_mode(0o600)).unwrap();
    let report = json(&plan(&sandbox, "2.0.0", &["--json"]));
    assert_eq!(report["files"][0]["noDiff"], "only its mode or owner changes");
    assert_eq!(report["files"][0].get("diff"), None);
}

#[test]
fn what_may_be_secret_or_no_text_is_not_shown() {
    let sandbox = two_versions("one\n", "two\n");
    let motd = sandbox.work().join("host/etc/motd");
    let seen = || {
        let ran = plan(&sandbox, "2.0.0", &[]);
        ran.stdout.lines().nth(1).unwrap_or_default().trim().to_owned()
    };
    fs::write(&motd, "canary\n").unwrap();
    fs::set_permissions(&motd, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(seen(), "what changes is not shown, since a secret may stand in it");
    fs::set_permissions(&motd, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(seen(), "@@ -1 +1 @@");
    for content in [&b"\xff\n"[..], b"a\0b", &vec![b'\n'; (64 << 10) + 1]] {
        fs::write(&motd, content).unwrap();
        assert_eq!(seen(), "what changes is not shown: it is not text, or has more than 64 KiB");
    }
    fs::remove_file(&motd).unwrap();
    std::os::unix::fs::symlink("issue", &motd).unwrap();
    assert_eq!(seen(), "a symbolic link is there now");
}

/// A value that nobody may see is not in a diff either: not the old one, not the new one, not beside other lines.
#[test]
fn a_sensitive_value_is_in_no_diff() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("host")).unwrap();
    let spec = "  variables:\n    - {name: password, sensitive: true, required: true}\n".to_owned()
        + &file("{source: ./login, path: /etc/login, template: true}");
    for (version, text) in [("1.0.0", "one {{.carrack.var.password}}\n"), ("2.0.0", "two {{.carrack.var.password}}\n")]
    {
        sandbox.write("login", text);
        build(&sandbox, version, &spec);
    }
    sandbox.write("login", "no password\n");
    build(&sandbox, "3.0.0", &file("{source: ./login, path: /etc/login}"));
    apply(&sandbox, "1.0.0", &["--set", "password=canary"]);
    assert!(host(&sandbox, "etc/login").contains("canary"));
    for version in ["2.0.0", "3.0.0"] {
        for json in [&["--json"][..], &[]] {
            let ran = plan(&sandbox, version, json);
            assert!(!format!("{ran:?}").contains("canary"), "{ran:?}");
            assert!(ran.stdout.contains("a secret may stand in it"), "{ran:?}");
        }
    }
}

/// Who is asked at a terminal sees the same as with `plan`.
#[test]
fn who_is_asked_sees_what_it_is_about() {
    if !available::available("who_is_asked_sees_what_it_is_about", &["script"]) {
        return;
    }
    let sandbox = two_versions("one\n", "two\n");
    for quiet in ["", " --quiet"] {
        let command = format!("{} apply edge-2.0.0.tar.zst --root host{quiet}", env!("CARGO_BIN_EXE_carrack-install"));
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--echo", "never", "--command", &command, "/dev/null"])
            .current_dir(sandbox.work())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "n").unwrap();
        let output = child.wait_with_output().unwrap();
        let seen = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        assert_eq!(output.status.code(), Some(130), "{seen}");
        let (before, _) = seen.split_once("apply edge 2.0.0 (sha256:").unwrap();
        assert!(seen.contains("[y/N]"), "{seen}");
        assert!(
            before
                .contains("replace file     /etc/motd (4 B, 0644)\n        @@ -1 +1 @@\n        -one\n        +two\n"),
            "{seen}"
        );
    }
    assert_eq!(host(&sandbox, "etc/motd"), "one\n");
}

/// A k3s of versions that differ in their `config`, the first of which has been started.
fn cluster(configs: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("host")).unwrap();
    sandbox.write("k3s", "#!/bin/sh\n");
    for (version, config) in configs {
        let pack = format!(
            "  packs:\n    - name: k3s\n      layer: k8s\n      distribution: k3s\n      files: [{{source: ./k3s, path: \
             /usr/local/bin/k3s, mode: \"0755\"}}]\n      config: {config}\n"
        );
        build(&sandbox, version, &pack);
    }
    apply(&sandbox, configs[0].0, &[]);
    started(&sandbox);
    sandbox
}

/// Ends what a prepared system does when it starts for the first time, without starting it.
fn started(sandbox: &Sandbox) -> Value {
    let own = sandbox.work().join("host/var/lib/carrack");
    let journal: Value = serde_json::from_slice(&fs::read(own.join("journal/starting.json")).unwrap()).unwrap();
    let (file, receipt) = (journal["result"]["file"].as_str().unwrap(), journal["result"]["receipt"].clone());
    for folder in ["receipts", "kept"] {
        fs::create_dir_all(own.join(folder)).unwrap();
    }
    for change in journal["files"].as_array().unwrap() {
        let backup = sandbox.work().join(format!("host{}.carrack-old", change["path"].as_str().unwrap()));
        if let (true, Some(digest)) = (backup.exists(), change["before"]["digest"].as_str()) {
            fs::rename(backup, own.join("kept").join(digest.trim_start_matches("sha256:"))).unwrap();
        }
    }
    fs::write(own.join("receipts").join(file), receipt.to_string()).unwrap();
    fs::remove_dir_all(own.join("journal")).unwrap();
    receipt
}

fn edit(sandbox: &Sandbox, path: &str, change: impl FnOnce(String) -> String) {
    let path = sandbox.work().join("host").join(path.trim_start_matches('/'));
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
}

/// Nothing differs from the receipt, and nothing is left to do.
fn settled(sandbox: &Sandbox, version: &str) {
    let ran = install(sandbox, &["status", "--root", "host"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = json(&plan(sandbox, version, &["--json"]));
    let actions: Vec<&Value> = report["files"].as_array().unwrap().iter().map(|file| &file["action"]).collect();
    assert!(actions.iter().all(|action| *action == "keep"), "{report:#}");
}

#[test]
fn what_a_person_set_stays_through_upgrades_and_the_way_back() {
    let sandbox = cluster(&[
        ("1.0.0", "{max-pods: 100, flannel-backend: vxlan}"),
        ("2.0.0", "{max-pods: 120, flannel-backend: vxlan, secrets-encryption: true}"),
        ("3.0.0", "{max-pods: 120, flannel-backend: host-gw}"),
    ]);
    let first = host(&sandbox, CONFIG);
    edit(&sandbox, CONFIG, |text| {
        format!("# for the big machine\n{}\"write-kubeconfig-mode\": \"0640\"\n", text.replace("100", "200"))
    });
    let left = host(&sandbox, CONFIG);

    // The same version once more: nothing is written, but the receipt says what is there.
    let report = json(&plan(&sandbox, "1.0.0", &["--json"]));
    let keys = serde_json::json!(["max-pods", "write-kubeconfig-mode"]);
    assert_eq!((&report["byHand"][0]["set"], &report["byHand"][0]["disputed"]), (&keys, &serde_json::json!([])));
    let ran = plan(&sandbox, "1.0.0", &[]);
    assert!(
        ran.stdout.contains(&format!("keep    config   /{CONFIG}: max-pods, write-kubeconfig-mode, set by hand\n")),
        "{}",
        ran.stdout
    );
    apply(&sandbox, "1.0.0", &[]);
    started(&sandbox);
    assert_eq!(host(&sandbox, CONFIG), left);
    settled(&sandbox, "1.0.0");

    // What the bundle adds comes, what both changed stays the person's.
    let ran = apply(&sandbox, "2.0.0", &[]);
    assert!(
        ran.stderr.contains(&format!("/{CONFIG}: max-pods was set by hand and stays so, but the bundle now has")),
        "{}",
        ran.stderr
    );
    started(&sandbox);
    assert_eq!(host(&sandbox, CONFIG), format!("{left}\"secrets-encryption\": true\n"));
    settled(&sandbox, "2.0.0");

    // A third one knows what the second wanted, and not what came of it.
    let ran = apply(&sandbox, "3.0.0", &["--keep", "2"]);
    assert!(!ran.stderr.contains("the bundle now has"), "{}", ran.stderr);
    let receipt = started(&sandbox);
    let third = host(&sandbox, CONFIG);
    assert_eq!(third, left.replace("vxlan", "host-gw"));
    settled(&sandbox, "3.0.0");
    let told = receipt["files"].as_array().unwrap().iter().find(|file| file["kind"] == "config").unwrap();
    assert_eq!(told["digest"], carrack::oci::Digest::of(third.as_bytes()).to_string());
    assert_ne!(told["wanted"], told["digest"]);

    // Changed further, and back to the second.
    edit(&sandbox, CONFIG, |text| text.replace("0640", "0600"));
    let report = json(&install(&sandbox, &["rollback", "--root", "host", "--dry-run", "--json"]));
    assert_eq!(report["byHand"][0]["set"], serde_json::json!(["write-kubeconfig-mode"]), "{report:#}");
    assert_eq!(report["byHand"][0]["disputed"], serde_json::json!([]));
    let ran = install(&sandbox, &["rollback", "--root", "host", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    started(&sandbox);
    assert_eq!(host(&sandbox, CONFIG), left.replace("0640", "0600") + "\"secrets-encryption\": true\n");
    settled(&sandbox, "2.0.0");

    // What is no longer theirs is the bundle's again.
    edit(&sandbox, CONFIG, |_| first.clone());
    apply(&sandbox, "1.0.0", &["--allow-downgrade", "--skip", "kubernetes-version"]);
    started(&sandbox);
    assert_eq!(host(&sandbox, CONFIG), first);
}

/// Where nobody has changed it since, the way back is to the very file that was there, whatever it was.
#[test]
fn the_way_back_leads_to_what_was_there() {
    let sandbox = cluster(&[("1.0.0", "{max-pods: 100}"), ("2.0.0", "{max-pods: 120, debug: true}")]);
    for broken in [false, true] {
        let more = if broken { "broken: [\n" } else { "# mine\nkubelet-arg: [v=2]\n" };
        edit(&sandbox, CONFIG, |text| text + more);
        let left = host(&sandbox, CONFIG);
        apply(&sandbox, "2.0.0", &[]);
        started(&sandbox);
        assert_ne!(host(&sandbox, CONFIG), left);
        let ran = install(&sandbox, &["rollback", "--root", "host", "--yes"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        started(&sandbox);
        assert_eq!(host(&sandbox, CONFIG), left);
        settled(&sandbox, "1.0.0");
    }
}

#[test]
fn what_cannot_be_joined_gives_way_and_is_kept() {
    let sandbox = cluster(&[("1.0.0", "{max-pods: 100}"), ("2.0.0", "{max-pods: 120}")]);
    edit(&sandbox, CONFIG, |text| text + "broken: [\n");
    let broken = host(&sandbox, CONFIG);

    // As long as the bundle wants what it wanted, the file is left alone, whatever it is.
    let ran = plan(&sandbox, "1.0.0", &[]);
    assert!(ran.stdout.contains(&format!("keep    config   /{CONFIG}: changed by hand\n")), "{}", ran.stdout);
    assert!(!ran.stdout.contains("replace"), "{}", ran.stdout);

    let copy = format!("{CHANGED}/0002/{CONFIG}");
    let ran = plan(&sandbox, "2.0.0", &[]);
    assert!(
        ran.stdout.contains(&format!("keep    config   {copy}: /{CONFIG} as it was changed by hand\n")),
        "{}",
        ran.stdout
    );
    let ran = apply(&sandbox, "2.0.0", &[]);
    assert!(ran.stderr.contains(&format!("it is replaced, and what it was is kept as {copy}")), "{}", ran.stderr);
    started(&sandbox);
    assert_eq!((host(&sandbox, &copy), host(&sandbox, CONFIG)), (broken, "\"max-pods\": 120\n".to_owned()));
    settled(&sandbox, "2.0.0");
}

/// Units, variables of the environment and tokens are no mappings.
#[test]
fn a_file_that_is_no_yaml_stays_while_the_bundle_wants_the_same() {
    let unit = "etc/systemd/system/k3s.service";
    let sandbox = cluster(&[("1.0.0", "{max-pods: 100}"), ("2.0.0", "{max-pods: 120}")]);
    edit(&sandbox, unit, |text| text + "# LimitCORE=0\n");
    let changed = host(&sandbox, unit);
    let ran = plan(&sandbox, "2.0.0", &[]);
    assert!(ran.stdout.contains(&format!("keep    config   /{unit}: changed by hand\n")), "{}", ran.stdout);
    apply(&sandbox, "2.0.0", &[]);
    started(&sandbox);
    assert_eq!((host(&sandbox, unit), host(&sandbox, CONFIG)), (changed.clone(), "\"max-pods\": 120\n".to_owned()));
    settled(&sandbox, "2.0.0");

    // It is a person's, so it stays when all else goes.
    let ran = install(&sandbox, &["uninstall", "--root", "host", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("/{unit} was changed since it was installed; it stays")), "{}", ran.stderr);
    assert_eq!(host(&sandbox, unit), changed);
    assert!(!sandbox.work().join("host").join(CONFIG).exists());
}

/// Every command that reads a bundle takes the one that is named by its whole identity, and no other.
#[test]
fn another_bundle_is_refused_by_its_identity() {
    let sandbox = Sandbox::new();
    sandbox.write("config", "one");
    let spec = file("{source: ./config, path: /etc/shop/config}");
    build(&sandbox, "1.0.0", &spec);
    build(&sandbox, "1.1.0", &spec);
    fs::create_dir(sandbox.work().join("host")).unwrap();
    let identity = |version: &str| {
        let ran = install(&sandbox, &["verify", &format!("edge-{version}.tar.zst")]);
        ran.stdout.trim().to_owned()
    };
    let (old, new) = (identity("1.0.0"), identity("1.1.0"));
    assert_ne!(old, new);
    let commands: [&[&str]; 5] = [
        &["apply", "edge-1.1.0.tar.zst", "--root", "host"],
        &["apply", "edge-1.1.0.tar.zst", "--root", "host", "--dry-run"],
        &["plan", "edge-1.1.0.tar.zst", "--root", "host"],
        &["preflight", "edge-1.1.0.tar.zst", "--root", "host"],
        &["verify", "edge-1.1.0.tar.zst"],
    ];
    for command in commands {
        let given = |identity: &str| install(&sandbox, &[command, &["--identity", identity]].concat());
        let ran = given(&old);
        assert_eq!(ran.code, 30, "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&old) && ran.stderr.contains(&new) && ran.stdout.is_empty(), "{}", ran.stderr);
        assert!(!sandbox.work().join("host/var").exists(), "{command:?} changed something");
        let unclear = [&new[..19], &new[7..], "sha256:", "", &new.to_uppercase(), &format!("{new}0"), "sha512:00"];
        for unclear in unclear {
            let ran = given(unclear);
            assert_eq!(ran.code, 2, "{command:?} {unclear:?}: {}", ran.stderr);
        }
    }
    let inspect = |identity: &str| sandbox.carrack(&["inspect", "edge-1.1.0.tar.zst", "--identity", identity]);
    assert_eq!((inspect(&old).code, inspect(&new).code), (30, 0));
    for command in commands.iter().rev() {
        let ran = install(&sandbox, &[*command, &["--identity", &new]].concat());
        assert_eq!(ran.code, 0, "{command:?}: {}", ran.stderr);
    }
    assert_eq!(host(&sandbox, "/etc/shop/config"), "one");
    let ran = install(&sandbox, &["preflight", "--identity", &new]);
    assert_eq!(ran.code, 2, "an identity of nothing: {}", ran.stderr);
}
