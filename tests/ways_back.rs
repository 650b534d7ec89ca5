//! Upgrades, and the ways back from them: rollback, repair, uninstall. Below a root, through the real programs.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use common::{Ran, Sandbox};
use serde_json::Value;

/// A profile with these host files, each with its content.
fn build(sandbox: &Sandbox, version: &str, files: &[(&str, &str)]) -> String {
    build_of(sandbox, "shop", version, files)
}

/// The same of the profile `name`.
fn build_of(sandbox: &Sandbox, name: &str, version: &str, files: &[(&str, &str)]) -> String {
    let mut items = String::new();
    for (index, (path, content)) in files.iter().enumerate() {
        sandbox.write(&format!("profile/file-{version}-{index}"), content);
        items.push_str(&format!("        - {{source: ./file-{version}-{index}, path: {path}}}\n"));
    }
    sandbox.write(
        "profile/carrack.yaml",
        format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: {name}, version: {version}}}\nspec:\n  packs:\n    \
             - name: tools\n      layer: addon\n      files:\n{items}"
        ),
    );
    let bundle = format!("{name}-{version}.tar.zst");
    let ran = sandbox.carrack(&["build", "profile", "-o", &bundle]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    bundle
}

struct Host {
    sandbox: Sandbox,
}

impl Host {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.work().join("host")).unwrap();
        Self { sandbox }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.sandbox.work().join("host").join(path.trim_start_matches('/'))
    }

    fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let installer = Path::new(env!("CARGO_BIN_EXE_carrack-install"));
        let ran = self.sandbox.run(installer, &[arguments, &["--root", "host"]].concat());
        assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// Every path below the root, with content and mode.
    fn tree(&self) -> BTreeMap<String, String> {
        fn add(folder: &Path, root: &Path, tree: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let found = path.symlink_metadata().unwrap();
                let what = if found.is_symlink() {
                    format!("to {}", path.read_link().unwrap().display())
                } else if found.is_dir() {
                    add(&path, root, tree);
                    "folder".to_owned()
                } else if found.len() > 1 << 20 {
                    // The installer's own copy.
                    format!("{:04o} {} bytes", found.permissions().mode() & 0o7777, found.len())
                } else {
                    format!("{:04o} {}", found.permissions().mode() & 0o7777, fs::read_to_string(&path).unwrap())
                };
                tree.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
            }
        }
        let mut all = BTreeMap::new();
        add(&self.at("/"), &self.at("/"), &mut all);
        all
    }

    /// The same without what Carrack knows of it.
    fn files(&self) -> BTreeMap<String, String> {
        self.tree().into_iter().filter(|(path, _)| !path.starts_with("var")).collect()
    }
}

/// A host that has something already: a file and a link that are replaced, and one that stays.
fn with_something() -> Host {
    let host = Host::new();
    fs::create_dir_all(host.at("/etc/shop")).unwrap();
    fs::write(host.at("/etc/shop/theirs"), "theirs").unwrap();
    fs::write(host.at("/etc/shop/config"), "what was there").unwrap();
    fs::set_permissions(host.at("/etc/shop/config"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("theirs", host.at("/etc/shop/link")).unwrap();
    host
}

const FIRST: [(&str, &str); 4] =
    [("/etc/shop/config", "one"), ("/etc/shop/link", "one"), ("/etc/shop/old", "old"), ("/opt/shop/deep/tool", "one")];
const SECOND: [(&str, &str); 4] =
    [("/etc/shop/config", "two"), ("/etc/shop/link", "one"), ("/etc/shop/new", "new"), ("/opt/shop/deep/tool", "two")];

#[test]
fn what_was_there_comes_back() {
    let host = with_something();
    let before = host.tree();
    let first = build(&host.sandbox, "1.0.0", &FIRST);
    let second = build(&host.sandbox, "1.1.0", &SECOND);
    host.run(&["apply", &first], 0);
    let installed = host.files();
    assert_eq!(installed["etc/shop/config"], "0644 one");
    let planned = host.run(&["plan", &second], 0);
    assert!(planned.stdout.contains("remove  file     /etc/shop/old"), "{}", planned.stdout);
    host.run(&["apply", &second], 0);
    let upgraded = host.files();
    assert!(upgraded.contains_key("etc/shop/new") && !upgraded.contains_key("etc/shop/old"), "{upgraded:?}");
    host.run(&["status"], 0);

    let shown = host.run(&["rollback", "--dry-run"], 0);
    assert!(
        shown.stderr.contains("roll shop 1.1.0 back to 1.0.0: 3 files to restore, 1 to remove"),
        "{}",
        shown.stderr
    );
    assert_eq!(host.files(), upgraded);
    host.run(&["rollback", "--yes"], 0);
    assert_eq!(host.files(), installed);
    let status = host.run(&["status"], 0);
    assert!(status.stdout.starts_with("shop 1.0.0\n"), "{}", status.stdout);
    // There is nothing before the first, and the second is not before it.
    let refused = host.run(&["rollback", "--yes"], 40);
    assert!(refused.stderr.contains("nothing was installed before shop 1.0.0"), "{}", refused.stderr);

    host.run(&["apply", &second], 0);
    assert_eq!(host.files(), upgraded);
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(host.tree(), before);
    assert!(host.run(&["uninstall", "--yes"], 40).stderr.contains("nothing is installed in"));
}

#[test]
fn what_somebody_has_changed_stays() {
    let host = with_something();
    let first = build(&host.sandbox, "1.0.0", &FIRST);
    let second = build(&host.sandbox, "1.1.0", &SECOND);
    host.run(&["apply", &first], 0);
    fs::write(host.at("/etc/shop/old"), "mine").unwrap();
    let told = host.run(&["apply", &second], 0);
    assert!(told.stderr.contains("/etc/shop/old is no longer wanted, but was changed"), "{}", told.stderr);
    assert_eq!(fs::read_to_string(host.at("/etc/shop/old")).unwrap(), "mine");
    fs::write(host.at("/etc/shop/new"), "mine too").unwrap();
    let told = host.run(&["uninstall", "--yes"], 0);
    assert!(told.stderr.contains("/etc/shop/new was changed since it was installed"), "{}", told.stderr);
    assert_eq!(fs::read_to_string(host.at("/etc/shop/new")).unwrap(), "mine too");
    assert_eq!(fs::read_to_string(host.at("/etc/shop/config")).unwrap(), "what was there");
}

#[test]
fn as_many_versions_are_kept_as_somebody_says() {
    let host = Host::new();
    let bundles: Vec<String> = (0..4)
        .map(|minor| build(&host.sandbox, &format!("1.{minor}.0"), &[("/etc/version", &format!("1.{minor}"))]))
        .collect();
    for bundle in &bundles {
        host.run(&["apply", bundle, "--keep", "2"], 0);
    }
    for version in ["1.2", "1.1"] {
        host.run(&["rollback", "--yes"], 0);
        assert_eq!(fs::read_to_string(host.at("/etc/version")).unwrap(), version);
    }
    let refused = host.run(&["rollback", "--yes"], 40);
    assert!(refused.stderr.contains("/etc/version: its content is not on this host any more"), "{}", refused.stderr);
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(host.tree(), BTreeMap::new());

    host.run(&["apply", &bundles[0], "--keep", "0"], 0);
    host.run(&["apply", &bundles[1], "--keep", "0"], 0);
    assert!(!host.tree().keys().any(|path| path.contains("kept")), "{:?}", host.tree());
    host.run(&["rollback", "--yes"], 40);
}

/// As the hints of status and repair say.
#[test]
fn installing_a_version_again_keeps_the_way_back() {
    let host = with_something();
    let first = build(&host.sandbox, "1.0.0", &FIRST);
    let second = build(&host.sandbox, "1.1.0", &SECOND);
    host.run(&["apply", &first], 0);
    let installed = host.files();
    host.run(&["apply", &second], 0);
    fs::remove_file(host.at("/etc/shop/new")).unwrap();
    fs::write(host.at("/etc/shop/config"), "somebody's").unwrap();
    let told = host.run(&["apply", &second], 0);
    assert!(
        told.stderr.contains("/etc/shop/config was changed since it was installed, and is replaced"),
        "{}",
        told.stderr
    );
    host.run(&["rollback", "--yes"], 0);
    assert_eq!(host.files(), installed);
}

#[test]
fn a_repair_puts_right_what_is_here_and_names_the_rest() {
    let host = Host::new();
    let bundle = build(&host.sandbox, "1.0.0", &FIRST);
    host.run(&["apply", &bundle], 0);
    let installed = host.tree();
    assert!(host.run(&["repair"], 0).stderr.contains("nothing to do"));
    fs::set_permissions(host.at("/etc/shop/config"), fs::Permissions::from_mode(0o666)).unwrap();
    host.run(&["status"], 40);
    host.run(&["repair", "--yes"], 0);
    host.run(&["status"], 0);
    assert_eq!(host.tree(), installed);

    fs::set_permissions(host.at("/etc/shop/config"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::remove_file(host.at("/opt/shop/deep/tool")).unwrap();
    let lost = host.run(&["repair", "--yes"], 40);
    assert!(lost.stderr.contains("/opt/shop/deep/tool: its content is not on this host any more"), "{}", lost.stderr);
    // Without `--root`, the command would install into the running host.
    assert!(lost.stderr.contains("carrack-install apply --root $ROOT/"), "{}", lost.stderr);
    assert_eq!(host.tree()["etc/shop/config"], "0644 one");
    host.run(&["apply", &bundle], 0);
    host.run(&["status"], 0);
}

#[test]
fn receipts_say_what_was_there_and_what_leads_back() {
    let host = with_something();
    let first = build(&host.sandbox, "1.0.0", &FIRST);
    let second = build(&host.sandbox, "1.1.0", &SECOND);
    host.run(&["apply", &first], 0);
    host.run(&["apply", &second], 0);
    let receipt: Value =
        serde_json::from_slice(&fs::read(host.at("/var/lib/carrack/receipts/0002-shop-1.1.0.json")).unwrap()).unwrap();
    assert_eq!((&receipt["receiptVersion"], &receipt["before"]), (&Value::from(4), &Value::from(1)));
    let original = |path: &str| {
        let files = receipt["files"].as_array().unwrap();
        files.iter().find(|file| file["path"] == path).unwrap()["original"].clone()
    };
    assert_eq!(
        (&original("/etc/shop/config")["mode"], &original("/etc/shop/link")["link"]),
        (&"0640".into(), &"theirs".into())
    );
    assert_eq!((original("/etc/shop/new"), original("/opt/shop/deep/tool")), (Value::Null, Value::Null));
    // Who may not read a file must not guess at it either.
    let mode = fs::metadata(host.at("/var/lib/carrack/receipts/0002-shop-1.1.0.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status: Value = serde_json::from_str(&host.run(&["status", "--json"], 0).stdout).unwrap();
    let shown = &status["profiles"][0]["installed"]["files"][0];
    assert_eq!((&shown["original"]["mode"], &shown["original"]["digest"]), (&"0640".into(), &Value::Null));
    assert!(original("/etc/shop/config")["digest"].is_string() && shown["digest"].is_string());
    let folders: Vec<&str> =
        receipt["folders"].as_array().unwrap().iter().map(|folder| folder.as_str().unwrap()).collect();
    assert_eq!(folders[..3], ["/opt", "/opt/shop", "/opt/shop/deep"]);
    let json = host.run(&["rollback", "--yes", "--json"], 0).stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["what"], &report["changed"]), (&"roll shop 1.1.0 back to 1.0.0".into(), &true.into()));
    assert_eq!(report["removed"], serde_json::json!(["/etc/shop/new"]));
}

#[test]
fn a_state_that_is_put_back_by_hand_is_told_before_anything_changes() {
    let host = Host::new();
    for (version, files) in [("1.0.0", &FIRST), ("1.1.0", &SECOND)] {
        host.run(&["apply", &build(&host.sandbox, version, files)], 0);
    }
    let path = host.at("/var/lib/carrack/receipts/0002-shop-1.1.0.json");
    let mut receipt: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let saved = |restore: Value| serde_json::json!({"folder": "/var/lib/carrack/states/0002", "made": "2026-11-20T08:00:00Z", "restore": restore});
    receipt["saved"] = saved(serde_json::json!([]));
    fs::write(&path, receipt.to_string()).unwrap();
    let shown = host.run(&["rollback", "--dry-run"], 0);
    for said in
        ["the cluster's state stays as it is", "2026-11-20T08:00:00Z", "/var/lib/carrack/states/0002", "by hand"]
    {
        assert!(shown.stderr.contains(said), "{said} in\n{}", shown.stderr);
    }
    assert!(!shown.stdout.contains("restore state"), "{}", shown.stdout);
    let report: Value = serde_json::from_str(&host.run(&["rollback", "--dry-run", "--json"], 0).stdout).unwrap();
    assert_eq!(report["stateOf"], Value::Null);
    assert_eq!(report["stateByHand"]["folder"], "/var/lib/carrack/states/0002");

    receipt["saved"] = saved(serde_json::json!([{"kind": "remove", "path": "/nonexistent"}]));
    fs::write(&path, receipt.to_string()).unwrap();
    let refused = host.run(&["rollback", "--dry-run"], 40);
    assert!(refused.stderr.contains("states/0002: the copy of the cluster's state is not on"), "{}", refused.stderr);
    fs::create_dir_all(host.at("/var/lib/carrack/states/0002")).unwrap();
    let shown = host.run(&["rollback", "--dry-run"], 0);
    assert!(shown.stdout.contains("of the cluster, as it was at 2026-11-20"), "{}", shown.stdout);
    assert!(!shown.stderr.contains("by hand"), "{}", shown.stderr);
}

#[test]
fn what_another_profile_has_stays_and_is_put_back() {
    let host = Host::new();
    let tools = build_of(&host.sandbox, "tools", "1.0.0", &[("/etc/both", "tools"), ("/etc/tools", "tools")]);
    let shop = build(&host.sandbox, "1.1.0", &[("/etc/both", "shop"), ("/etc/shop", "shop")]);
    let less = build(&host.sandbox, "1.2.0", &[("/etc/shop", "shop")]);
    host.run(&["apply", &tools], 0);
    let alone = host.files();
    host.run(&["apply", &shop], 0);
    assert_eq!(fs::read_to_string(host.at("/etc/both")).unwrap(), "shop");
    host.run(&["uninstall", "shop", "--yes"], 0);
    assert_eq!(host.files(), alone);
    host.run(&["status"], 0);

    host.run(&["apply", &shop], 0);
    host.run(&["apply", &less], 0);
    assert_eq!(fs::read_to_string(host.at("/etc/both")).unwrap(), "tools", "an upgrade that drops it");

    // The other way round: what came first goes first.
    host.run(&["uninstall", "shop", "--yes"], 0);
    host.run(&["apply", &shop], 0);
    host.run(&["apply", &tools], 0);
    host.run(&["uninstall", "tools", "--yes"], 0);
    assert_eq!(fs::read_to_string(host.at("/etc/both")).unwrap(), "shop");
    host.run(&["status"], 0);
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(host.tree(), BTreeMap::new());
}

#[test]
fn of_several_profiles_each_is_told_and_one_is_named() {
    let host = Host::new();
    let apply = |bundle: &str| host.run(&["apply", bundle], 0);
    let read = |path: &str| fs::read_to_string(host.at(path)).unwrap();
    let told = |code: i32| host.run(&["status", "--json"], code);
    let old = build_of(&host.sandbox, "tools", "1.0.0", &[("/etc/both", "old tools"), ("/etc/tools", "old")]);
    let new = build_of(&host.sandbox, "tools", "1.1.0", &[("/etc/both", "new tools"), ("/etc/tools", "new")]);
    let shop = build(&host.sandbox, "1.0.0", &[("/etc/both", "shop"), ("/etc/shop", "shop")]);
    [old, new].iter().for_each(|bundle| drop(apply(bundle)));
    let told_of = apply(&shop).stderr;
    assert!(told_of.contains("/etc/both is a file of tools, which is installed too"), "{told_of}");

    for command in ["rollback", "repair", "uninstall"] {
        let refused = host.run(&[command, "--yes"], 2).stderr;
        assert!(refused.contains("2 profiles are installed: shop, tools") && refused.contains("hint: "), "{refused}");
        let refused = host.run(&[command, "till", "--yes"], 40).stderr;
        assert!(refused.contains("no profile \"till\" is installed; installed: shop, tools"), "{refused}");
    }
    let status: Value = serde_json::from_str(&told(0).stdout).unwrap();
    let profiles = status["profiles"].as_array().unwrap();
    let names: Vec<_> = profiles.iter().map(|one| one["installed"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shop", "tools"]);

    // What one has taken stays when another one goes back or is repaired, and comes back when that one goes.
    host.run(&["rollback", "tools", "--yes"], 0);
    assert_eq!((read("/etc/both"), read("/etc/tools")), ("shop".to_owned(), "old".to_owned()));
    told(0);
    fs::write(host.at("/etc/both"), "somebody's").unwrap();
    fs::write(host.at("/etc/tools"), "somebody's").unwrap();
    let found = host.run(&["status"], 40).stderr;
    assert!(found.contains("1 difference from what tools 1.0.0 installed; 1 difference from what shop"), "{found}");
    assert!(found.contains("carrack-install repair PROFILE"), "{found}");
    host.run(&["repair", "tools", "--yes"], 40);
    assert_eq!(read("/etc/both"), "somebody's");
    fs::write(host.at("/etc/both"), "shop").unwrap();
    fs::write(host.at("/etc/tools"), "old").unwrap();
    host.run(&["uninstall", "shop", "--yes"], 0);
    assert_eq!(read("/etc/both"), "old tools");
    told(0);
}

/// The newest receipt, with this in it.
fn rewritten(host: &Host, file: &str, change: impl FnOnce(&mut Value)) {
    let path = host.at("/var/lib/carrack/receipts").join(file);
    let mut receipt: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut receipt);
    fs::write(&path, receipt.to_string()).unwrap();
}

#[test]
fn a_file_that_is_as_it_was_before_stays() {
    let host = Host::new();
    host.run(&["apply", &build(&host.sandbox, "1.0.0", &FIRST)], 0);
    let original = |digest: Value| serde_json::json!({"digest": digest, "size": 3, "mode": "0644", "owner": ""});
    rewritten(&host, "0001-shop-1.0.0.json", |receipt| {
        let digest = receipt["files"][0]["digest"].clone();
        receipt["files"][0]["original"] = original(digest);
        receipt["files"][2]["original"] = original(format!("sha256:{}", "0".repeat(64)).into());
    });
    let shown = host.run(&["uninstall", "--dry-run", "--json"], 0);
    let report: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(report["removed"], serde_json::json!(["/etc/shop/link", "/etc/shop/old", "/opt/shop/deep/tool"]));
    let done = host.run(&["uninstall", "--yes"], 0);
    assert!(done.stderr.contains("/etc/shop/old: what was there before is not on this host"), "{}", done.stderr);
    let files: Vec<String> = host.tree().into_keys().filter(|path| host.at(path).is_file()).collect();
    assert_eq!(files, ["etc/shop/config"]);
}

#[test]
fn what_nothing_is_left_of_can_be_uninstalled() {
    let host = Host::new();
    host.run(&["apply", &build(&host.sandbox, "1.0.0", &[("/etc/shop", "one")])], 0);
    fs::remove_file(host.at("/etc/shop")).unwrap();
    host.run(&["uninstall", "--yes"], 0);
    assert!(!host.at("/var").exists(), "{:?}", host.tree());
}

/// A host into which something with a unit was installed, so that its journal is there until its first start; and its bundle.
fn prepared() -> (Host, String) {
    let host = Host::new();
    let first = build(&host.sandbox, "1.0.0", &[("/etc/shop", "one")]);
    host.run(&["apply", &first], 0);
    host.sandbox.write("profile/shop.service", "[Service]\nExecStart=/bin/true\n");
    host.sandbox.write(
        "profile/carrack.yaml",
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {name: shop, version: 1.1.0}\nspec:\n  packs:\n    - name: \
         tools\n      layer: addon\n      services: [shop.service]\n      files: [{source: ./shop.service, path: \
         /etc/systemd/system/shop.service}]\n",
    );
    let ran = host.sandbox.carrack(&["build", "profile", "-o", "shop-1.1.0.tar.zst"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    host.run(&["apply", "shop-1.1.0.tar.zst"], 0);
    assert!(host.at("/var/lib/carrack/journal/starting.json").exists(), "{:?}", host.tree().keys());
    (host, "shop-1.1.0.tar.zst".to_owned())
}

#[test]
fn a_system_that_waits_for_its_first_start_is_left_alone() {
    let (host, _) = prepared();
    let before = host.tree();
    for command in ["repair", "rollback", "uninstall"] {
        for flag in ["--yes", "--dry-run"] {
            let refused = host.run(&[command, flag], 40);
            assert!(refused.stderr.contains("waits for its first start"), "{}", refused.stderr);
            assert_eq!(host.tree(), before, "{command} {flag}");
        }
    }
}

#[test]
fn preparing_again_with_the_same_changes_nothing() {
    let (host, bundle) = prepared();
    let before = host.tree();
    let again = host.run(&["apply", &bundle], 0);
    assert!(again.stderr.contains("nothing to change: it is prepared just so"), "{}", again.stderr);
    assert_eq!(host.tree(), before);
    let json: Value = serde_json::from_str(&host.run(&["apply", &bundle, "--json"], 0).stdout).unwrap();
    assert_eq!((&json["changed"], &json["deferred"]), (&false.into(), &true.into()));
    // What makes its first start go on is there again where it was cleaned away.
    fs::remove_dir_all(host.at("/etc/systemd/system/multi-user.target.wants")).unwrap();
    fs::remove_dir_all(host.at("/var/lib/carrack/bin")).unwrap();
    host.run(&["apply", &bundle], 0);
    assert_eq!(host.tree(), before);
    // What somebody has changed since is not as it was prepared.
    fs::write(host.at("/etc/systemd/system/shop.service"), "[Service]\n").unwrap();
    let refused = host.run(&["apply", &bundle], 40);
    assert!(refused.stderr.contains("waits for its first start"), "{}", refused.stderr);
}

#[test]
fn an_interrupted_run_is_told_by_all_that_only_look() {
    let (host, bundle) = prepared();
    let journal = |phase: &str| host.at("/var/lib/carrack/journal").join(format!("{phase}.json"));
    fs::rename(journal("starting"), journal("changing")).unwrap();
    let before = host.tree();
    let go_on = "go on with: carrack-install resume --root $ROOT/work/host";
    let refused: [&[&str]; 4] =
        [&["status"], &["repair", "--dry-run"], &["rollback", "--dry-run"], &["uninstall", "--dry-run"]];
    for command in refused {
        let told = host.run(command, 40).stderr;
        assert!(told.contains("interrupted: apply shop 1.1.0 (files were being changed)"), "{command:?}\n{told}");
        assert!(told.contains(go_on), "{command:?}\n{told}");
    }
    let warned: [&[&str]; 4] =
        [&["plan", &bundle], &["preflight"], &["preflight", &bundle], &["apply", &bundle, "--dry-run"]];
    for command in warned {
        let told = host.run(command, 0).stderr;
        assert!(told.contains("interrupted: apply shop 1.1.0") && told.contains(go_on), "{command:?}\n{told}");
    }
    assert_eq!(host.tree(), before);

    fs::write(journal("changing"), "garbage").unwrap();
    let told = host.run(&["status"], 25).stderr;
    assert!(told.contains("journal/changing.json.damaged") && told.contains("hint: "), "{told}");
    fs::rename(journal("changing"), journal("changing").with_extension("json.damaged")).unwrap();
    let told = host.run(&["status"], 40).stderr;
    assert!(told.contains("2 differences from what shop 1.0.0 installed") && told.contains(".carrack-old"), "{told}");
}

#[test]
fn what_is_resumed_is_the_root_that_was_named() {
    let (host, _) = prepared();
    let elsewhere = host.sandbox.work().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let folder = host.at("/var/lib/carrack/journal");
    // As it is where it was killed while content was on its way, and the disk is somewhere else by now.
    let mut journal: Value = serde_json::from_slice(&fs::read(folder.join("starting.json")).unwrap()).unwrap();
    assert_eq!(journal["command"]["arguments"][4], "host");
    for (path, change) in [("files", Value::Array(Vec::new())), ("made", Value::Array(Vec::new()))] {
        journal[path] = change;
    }
    journal["command"]["arguments"][4] = "elsewhere".into();
    fs::remove_file(folder.join("starting.json")).unwrap();
    fs::write(folder.join("preparing.json"), journal.to_string()).unwrap();
    fs::remove_file(host.at("/etc/systemd/system/shop.service")).unwrap();
    host.run(&["resume"], 0);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(host.at("/etc/systemd/system/shop.service").exists());
    assert!(folder.join("starting.json").exists());
}

#[test]
fn another_bundle_in_its_place_is_not_gone_on_with() {
    let (host, bundle) = prepared();
    let folder = host.at("/var/lib/carrack/journal");
    fs::rename(folder.join("starting.json"), folder.join("preparing.json")).unwrap();
    let other = build_of(&host.sandbox, "till", "1.0.0", &[("/etc/till", "one")]);
    let work = host.sandbox.work();
    fs::rename(work.join(&other), work.join(&bundle)).unwrap();
    let refused = host.run(&["resume"], 40).stderr;
    assert!(
        refused.contains("is till 1.0.0 (sha256:") && refused.contains("not the bundle that was being"),
        "{refused}"
    );
    assert!(!host.at("/etc/till").exists());
    host.run(&["apply", &bundle], 0);
    assert!(host.at("/etc/till").exists());
}

#[test]
fn a_rollback_tells_what_it_replaces_and_what_is_damaged() {
    let host = Host::new();
    for (version, text) in [("1.0.0", "one"), ("1.1.0", "two")] {
        host.run(&["apply", &build(&host.sandbox, version, &[("/etc/shop", text), ("/etc/both", text)])], 0);
    }
    fs::write(host.at("/etc/shop"), "somebody's").unwrap();
    let told = host.run(&["rollback", "--dry-run"], 0).stderr;
    assert!(told.contains("/etc/shop was changed since it was installed, and is replaced"), "{told}");
    assert!(!told.contains("/etc/both was changed"), "{told}");
    let kept = host.at("/var/lib/carrack/kept");
    for entry in fs::read_dir(&kept).unwrap() {
        fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    let before = host.tree();
    for flag in ["--dry-run", "--yes"] {
        let refused = host.run(&["rollback", flag], 40).stderr;
        assert!(refused.contains("/etc/both: its content is not on this host any more"), "{refused}");
        assert_eq!(host.tree(), before, "{flag}");
    }
}

#[test]
fn what_another_profile_leaves_is_ones_own_again() {
    let host = Host::new();
    let tools = build_of(&host.sandbox, "tools", "1.0.0", &[("/etc/both", "tools")]);
    let shop = build(&host.sandbox, "1.0.0", &[("/etc/both", "shop"), ("/etc/shop", "shop")]);
    let less = build(&host.sandbox, "1.1.0", &[("/etc/shop", "shop")]);
    [&tools, &shop, &less].iter().for_each(|bundle| drop(host.run(&["apply", bundle], 0)));
    assert_eq!(fs::read_to_string(host.at("/etc/both")).unwrap(), "tools");
    host.run(&["rollback", "shop", "--yes"], 0);
    assert_eq!(fs::read_to_string(host.at("/etc/both")).unwrap(), "shop", "it had put it there last");
    host.run(&["status"], 0);
    let gone = host.run(&["uninstall", "shop", "--dry-run"], 0).stderr;
    assert!(gone.contains("1 file to restore, 1 to remove"), "{gone}");
}

#[test]
fn a_root_that_is_not_there_is_no_folder_to_make() {
    let host = Host::new();
    fs::remove_dir(host.at("/")).unwrap();
    for command in ["status", "uninstall", "rollback", "repair", "resume"] {
        let told = host.run(&[command], 25).stderr;
        assert!(told.contains("name the folder that the bundle was installed into"), "{command}\n{told}");
    }
}
