//! Variables on the whole way: declared in a profile, carried by a bundle, given on the host, put where they are needed.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "common/available.rs"]
mod available;
mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::{Ran, Sandbox};
use serde_json::Value;

const VARIABLES: &str = r#"
    - {name: text}
    - {name: code, regex: "[a-z]{3}-[0-9]{2}", default: abc-01}
    - {name: number, format: number, default: 1}
    - {name: flag, format: boolean, default: false}
    - {name: address, format: ipv4, default: 10.0.0.10}
    - {name: network, format: ipv4cidr, default: 10.42.0.0/16, immutable: true}
    - {name: address6, format: ipv6, default: "fd00::10"}
    - {name: release, format: version, default: 1.0.0}
    - {name: edition, options: [basic, full], default: basic}
    - {name: port, format: number, options: [80, 443], default: 80}
    - {name: fixed, readOnly: true, default: always}
    - {name: quiet, hidden: true, default: shh}
    - {name: secret, sensitive: true, regex: "[ -~]{4,40}", required: true}
"#;

const MANIFEST: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: shop, namespace: shop}
data:
  text: "{{.carrack.var.text | default "nothing"}}"
  code: "{{.carrack.var.code}}"
  network: "{{ .carrack.var.network }}"
  block: |
    number={{.carrack.var.number}}
    edition={{.carrack.var.edition}}
---
apiVersion: v1
kind: Secret
metadata: {name: shop, namespace: shop}
stringData:
  password: '{{.carrack.var.secret}}'
"#;

const FIXED: &str = "flag={{.carrack.var.flag}} port={{.carrack.var.port}} fixed={{.carrack.var.fixed}}\n";

fn profile(version: &str, variables: &str) -> String {
    format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: shop, version: {version}}}\nspec:\n  \
         variables:{variables}  packs:\n    - name: k3s\n      layer: k8s\n      distribution: k3s\n      files: [{{source: \
         ./shop.conf, path: /etc/shop.conf, template: true}}]\n    - {{name: shop, layer: addon, manifests: [./shop.yaml]}}\n"
    )
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("shop.yaml", MANIFEST);
    sandbox.write("shop.conf", FIXED);
    build(&sandbox, "1.0.0", VARIABLES);
    fs::create_dir(sandbox.work().join("host")).unwrap();
    sandbox
}

fn build(sandbox: &Sandbox, version: &str, variables: &str) {
    sandbox.write("carrack.yaml", profile(version, variables));
    let ran = sandbox.carrack(&["build", ".", "-o", &format!("shop-{version}.tar.zst")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

fn install(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), arguments)
}

fn plan(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let all = ["plan", "shop-1.0.0.tar.zst", "--root", "host"];
    install(sandbox, &[&all[..], more].concat())
}

/// Values as `--set` gives them: the value as it is used, or what is said against it.
const GIVEN: &[(&str, &str, Result<&str, &str>)] = &[
    ("text", "", Ok("")),
    ("text", "two words", Ok("two words")),
    ("text", "a=b, {{.carrack.var.code}}", Ok("a=b, {{.carrack.var.code}}")),
    ("text", "\"quoted\": #no comment", Ok("\"quoted\": #no comment")),
    ("text", "line\nline", Ok("line\nline")),
    ("text", "ünïcödé ☃", Ok("ünïcödé ☃")),
    ("code", "xyz-99", Ok("xyz-99")),
    ("code", "xyz-9", Err("variable code is \"xyz-9\", expected text that matches [a-z]{3}-[0-9]{2}")),
    ("code", "axyz-99", Err("variable code is \"axyz-99\", expected text that matches [a-z]{3}-[0-9]{2}")),
    ("code", "xyz-99\n", Err("variable code is \"xyz-99\\n\", expected text that matches [a-z]{3}-[0-9]{2}")),
    ("number", "42", Ok("42")),
    ("number", "-7", Ok("-7")),
    ("number", "1.5e3", Ok("1.5e3")),
    ("number", "042", Err("variable number is \"042\", expected a number such as 42, -7 or 1.5")),
    ("number", "0x10", Err("variable number is \"0x10\", expected a number such as 42, -7 or 1.5")),
    ("number", "many", Err("variable number is \"many\", expected a number such as 42, -7 or 1.5")),
    ("number", "", Err("variable number is \"\", expected a number such as 42, -7 or 1.5")),
    ("flag", "true", Ok("true")),
    ("flag", "yes", Err("variable flag is \"yes\", expected true or false")),
    ("flag", "True", Err("variable flag is \"True\", expected true or false")),
    ("address", "192.168.0.1", Ok("192.168.0.1")),
    ("address", "10.0.0.256", Err("variable address is \"10.0.0.256\", expected an IPv4 address such as 10.0.0.10")),
    ("address", "010.0.0.1", Err("variable address is \"010.0.0.1\", expected an IPv4 address such as 10.0.0.10")),
    ("address", "fd00::1", Err("variable address is \"fd00::1\", expected an IPv4 address such as 10.0.0.10")),
    ("address", "10.0.0.0/8", Err("variable address is \"10.0.0.0/8\", expected an IPv4 address such as 10.0.0.10")),
    ("network", "10.0.0.0/8", Ok("10.0.0.0/8")),
    ("network", "0.0.0.0/0", Ok("0.0.0.0/0")),
    ("network", "10.0.0.0", Err("variable network is \"10.0.0.0\", expected an IPv4 network such as 10.42.0.0/16")),
    (
        "network",
        "10.0.0.0/33",
        Err("variable network is \"10.0.0.0/33\", expected an IPv4 network such as 10.42.0.0/16"),
    ),
    (
        "network",
        "10.1.2.3/8",
        Err(
            "variable network is \"10.1.2.3/8\", expected the address of a network without bits of a host, which here is \
             10.0.0.0/8",
        ),
    ),
    ("address6", "::1", Ok("::1")),
    ("address6", "FD00:0:0::0010", Ok("fd00::10")),
    (
        "address6",
        "fe80::1%eth0",
        Err("variable address6 is \"fe80::1%eth0\", expected an IPv6 address such as fd00::10"),
    ),
    ("address6", "10.0.0.1", Err("variable address6 is \"10.0.0.1\", expected an IPv6 address such as fd00::10")),
    ("release", "v1.32.5+k3s1", Ok("v1.32.5+k3s1")),
    ("release", "1.32", Err("variable release is \"1.32\", expected a version such as 1.32.5 or v1.32.5")),
    ("release", "latest", Err("variable release is \"latest\", expected a version such as 1.32.5 or v1.32.5")),
    ("edition", "full", Ok("full")),
    ("edition", "Full", Err("variable edition is \"Full\", expected one of \"basic\", \"full\"")),
    ("edition", "", Err("variable edition is \"\", expected one of \"basic\", \"full\"")),
    ("port", "443", Ok("443")),
    ("port", "8080", Err("variable port is \"8080\", expected one of \"80\", \"443\"")),
    ("fixed", "other", Err("variable fixed is read-only: it cannot be set")),
    ("quiet", "loud", Ok("loud")),
    ("secret", "abc", Err("variable secret is ••••, expected text that matches [ -~]{4,40}")),
    ("secret", "a long one", Ok("••••")),
    ("editon", "full", Err("variable editon is not in this bundle; did you mean edition?")),
];

#[test]
fn every_value_fits_or_is_told_why_not() {
    let sandbox = sandbox();
    assert!(GIVEN.len() > 40);
    for (name, value, expected) in GIVEN {
        let given = format!("{name}={value}");
        let mut more = vec!["--json", "--set", &*given];
        more.extend((*name != "secret").then_some(["--set", "secret=canary"]).into_iter().flatten());
        let ran = plan(&sandbox, &more);
        match expected {
            Ok(used) => {
                assert_eq!(ran.code, 0, "{given}: {}", ran.stderr);
                let report: Value = serde_json::from_str(&ran.stdout).unwrap();
                let told = report["variables"].as_array().unwrap().iter().find(|one| one["name"] == *name);
                assert_eq!(told.unwrap()["value"], *used, "{given}");
            }
            Err(message) => {
                assert_eq!(ran.code, 10, "{given}: {}", ran.stderr);
                let error: Value = serde_json::from_str(&ran.stdout).unwrap();
                assert_eq!(error["error"]["causes"], serde_json::json!([format!("--set: {message}")]), "{given}");
            }
        }
    }
}

/// Values as a site file has them, with what is said against them.
#[test]
fn a_site_says_values_in_yaml() {
    let sandbox = sandbox();
    let site = |variables: &str| {
        let text =
            format!("apiVersion: carrack/v1\nkind: Site\nspec:\n  variables:\n    secret: canary\n    {variables}\n");
        fs::set_permissions(sandbox.write("site.yaml", text), fs::Permissions::from_mode(0o600)).unwrap();
        plan(&sandbox, &["--site", "site.yaml"])
    };
    sandbox.write("value", "from a file\n");
    for good in ["number: 42", "number: \"42\"", "flag: true", "text: {fromFile: ./value}", "text: \"\"", "port: 443"] {
        let ran = site(good);
        assert_eq!(ran.code, 0, "{good}: {}", ran.stderr);
    }
    for (bad, message) in [
        ("text: 42", "site.yaml:6:11: variable text must be text, found a number; write it in quotes"),
        ("text: yes", ""),
        ("text: true", "site.yaml:6:11: variable text must be text, found a truth value; write it in quotes"),
        ("text:", "site.yaml:6:9: variable text has no value; an empty text is written \"\""),
        ("text: [a]", "site.yaml:6:11: variable text must be a single value, found a list"),
        ("number: many", "site.yaml:6:13: variable number is \"many\", expected a number such as 42, -7 or 1.5"),
        ("text: {fromFile: ./none}", "site.yaml:6:22: "),
        ("secret: canary2", "site.yaml:6:5: duplicate key"),
        (
            "text: {canary!}",
            "site.yaml:6:11: a value is a text, or `{fromFile: PATH}`; one with { or [ stands in quotes",
        ),
        ("fixed: other", "site.yaml:6:12: variable fixed is read-only: it cannot be set"),
    ] {
        let ran = site(bad);
        assert_eq!(ran.code == 0, message.is_empty(), "{bad}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{bad}: {}", ran.stderr);
        assert!(!format!("{ran:?}").contains("canary"), "{bad}: {ran:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let sandbox = sandbox();
    let ran = install(
        &sandbox,
        &["apply", "shop-1.0.0.tar.zst", "--root", "host", "--set", "number=x", "--set", "flag=x", "--set", "none=x"],
    );
    assert_eq!(ran.code, 10);
    for message in [
        "4 problems found",
        "--set: variable none is not in this bundle; it has text, code",
        "--set: variable number is \"x\"",
        "--set: variable flag is \"x\"",
        "shop-1.0.0.tar.zst: variable secret has no value; give text that matches [ -~]{4,40} in a site file: --site FILE",
    ] {
        assert!(ran.stderr.contains(message), "{message}: {}", ran.stderr);
    }
    assert_eq!(files(&sandbox.work().join("host")), Vec::<PathBuf>::new());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { found.push(path) }
        }
    }
    found.sort_unstable();
    found
}

/// Spellings of a value that must not be anywhere else: as it is, in base64, and as YAML and JSON escape it.
const CANARY: &str = "canary 'one' \\two";
const CANARIES: &[&str] = &["canary", "Y2FuYXJ5"];

#[test]
fn sensitive_values_are_where_they_are_needed_and_nowhere_else() {
    let sandbox = sandbox();
    let site = "apiVersion: carrack/v1\nkind: Site\nspec:\n  variables:\n    secret: {fromFile: ./secret}\n";
    sandbox.write("site.yaml", site);
    fs::set_permissions(sandbox.write("secret", CANARY), fs::Permissions::from_mode(0o600)).unwrap();
    let at = ["shop-1.0.0.tar.zst", "--root", "host", "--site", "site.yaml", "-v"];
    let mut said = Vec::new();
    for json in [&["--json"][..], &[]] {
        for command in ["preflight", "plan", "apply"] {
            said.push(install(&sandbox, &[&[command], &at[..], json].concat()));
        }
        said.push(install(&sandbox, &[&["status", "--root", "host"], json].concat()));
    }
    assert!(said.iter().all(|ran| ran.code == 0), "{said:?}");
    let status = &said.last().unwrap().stdout;
    let shown = "manifest •••• /var/lib/rancher/k3s/server/manifests/carrack-shop-shop.yaml";
    assert!(status.contains(shown) && status.contains("variable secret = ••••"), "{status}");
    // What is wrong with a value, and with the file that it is in, does not show it either.
    for wrong in ["canary\n\n", "canary canary canary canary canary canary canary"] {
        sandbox.write("secret", wrong);
        said.push(install(&sandbox, &[&["plan"], &at[..]].concat()));
        assert_eq!(said.last().unwrap().code, 10);
    }
    said.push(install(&sandbox, &["plan", "shop-1.0.0.tar.zst", "--root", "host", "--set", "secret=canary\t"]));
    said.push(install(&sandbox, &["plan", "shop-1.0.0.tar.zst", "--root", "host", "--set", "canary"]));
    for ran in &said {
        assert!(!CANARIES.iter().any(|canary| format!("{ran:?}").contains(canary)), "{ran:?}");
    }
    let host = sandbox.work().join("host");
    let with_canary: Vec<PathBuf> = files(&host)
        .into_iter()
        .filter(|file| {
            let content = fs::read(file).unwrap();
            let text = String::from_utf8_lossy(&content);
            CANARIES.iter().any(|canary| text.contains(canary))
        })
        .collect();
    let manifest = host.join("var/lib/rancher/k3s/server/manifests/carrack-shop-shop.yaml");
    assert_eq!(with_canary, std::slice::from_ref(&manifest));
    for private in [manifest, host.join("var/lib/carrack/receipts/0001-shop-1.0.0.json")] {
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600, "{}", private.display());
    }
}

fn installed(sandbox: &Sandbox) -> (Vec<Value>, String) {
    let host = sandbox.work().join("host");
    let text = fs::read_to_string(host.join("var/lib/rancher/k3s/server/manifests/carrack-shop-shop.yaml")).unwrap();
    use serde::Deserialize;
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect();
    (documents, fs::read_to_string(host.join("etc/shop.conf")).unwrap())
}

#[test]
fn an_upgrade_keeps_what_the_host_has() {
    let sandbox = sandbox();
    let secret = "it's: \"a # secret\"";
    let given = ["--set", "text=kept", "--set", "edition=full", "--set", "flag=true"];
    let first =
        [&["apply", "shop-1.0.0.tar.zst", "--root", "host", "--set"][..], &[&*format!("secret={secret}")], &given[..]];
    let ran = install(&sandbox, &first.concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("variable secret is sensitive: on a command line"), "{}", ran.stderr);

    // Another default is for hosts that have no value yet.
    build(&sandbox, "1.1.0", &VARIABLES.replace("default: abc-01", "default: zzz-99"));
    let upgrade = ["apply", "shop-1.1.0.tar.zst", "--root", "host"];
    let ran = install(&sandbox, &[&upgrade[..], &["--set", "edition=basic"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (documents, conf) = installed(&sandbox);
    assert_eq!(documents[0]["data"]["text"], "kept");
    assert_eq!(documents[0]["data"]["code"], "abc-01");
    assert_eq!(documents[0]["data"]["block"], "number=1\nedition=basic\n");
    assert_eq!(documents[1]["stringData"]["password"], secret);
    assert_eq!(conf, "flag=true port=80 fixed=always\n");

    let changed = install(&sandbox, &[&upgrade[..], &["--set", "network=10.0.0.0/8"]].concat());
    assert_eq!(changed.code, 10);
    let message = "variable network is immutable: this host has \"10.42.0.0/16\" and would get \"10.0.0.0/8\"";
    assert!(changed.stderr.contains(message), "{}", changed.stderr);

    // Killed while files changed, and the journal lost: the old one is still beside its place.
    let manifest = sandbox.work().join("host/var/lib/rancher/k3s/server/manifests/carrack-shop-shop.yaml");
    let old = manifest.with_extension("yaml.carrack-old");
    fs::rename(&manifest, &old).unwrap();
    let journal = sandbox.work().join("host/var/lib/carrack/journal");
    fs::create_dir(&journal).unwrap();
    fs::write(journal.join("changing.json.damaged"), "set aside, as the hint says").unwrap();
    let ran = install(&sandbox, &upgrade);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    fs::remove_dir_all(&journal).unwrap();
    assert_eq!(installed(&sandbox).0[1]["stringData"]["password"], secret);
    assert!(!old.exists());

    // A value is read from nowhere but the very file that was written.
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text + "# changed\n").unwrap();
    let lost = install(&sandbox, &upgrade);
    assert_eq!(lost.code, 10);
    let message = "variable secret: the value that it had is gone, since \
                   /var/lib/rancher/k3s/server/manifests/carrack-shop-shop.yaml is not what was installed; give it again in a \
                   site file: --site FILE";
    assert!(lost.stderr.contains(message), "{}", lost.stderr);
    let ran = install(&sandbox, &[&upgrade[..], &["--set", "secret=another"]].concat());
    assert_eq!((ran.code, ran.stderr.contains("is gone")), (0, false), "{}", ran.stderr);
    assert_eq!(installed(&sandbox).0[1]["stringData"]["password"], "another");
}

/// Runs a command at a terminal that shows what is typed, with what types there and what is seen.
fn at_a_terminal(sandbox: &Sandbox, command: &str) -> (Child, ChildStdin, ChildStdout) {
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--echo", "always", "--command", command, "/dev/null"])
        .current_dir(sandbox.work())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (keyboard, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, keyboard, screen)
}

/// Somebody at a terminal is asked for what is missing, again where it does not fit, and sees no secret of theirs.
#[test]
fn what_is_missing_is_asked_for_at_a_terminal() {
    if !available::available("what_is_missing_is_asked_for_at_a_terminal", &["script"]) {
        return;
    }
    let sandbox = sandbox();
    build(&sandbox, "2.0.0", &VARIABLES.replace("{name: text}", "{name: text, required: true, description: Words}"));
    let installer = env!("CARGO_BIN_EXE_carrack-install");
    let command = format!("{installer} apply shop-2.0.0.tar.zst --root host --set edition=full");
    let (mut child, mut keyboard, mut screen) = at_a_terminal(&sandbox, &command);
    let mut seen = String::new();
    let mut answer = |question: &str, words: &str| {
        let (mut byte, from) = ([0], seen.len());
        while !seen[from..].ends_with(question) {
            assert_eq!(screen.read(&mut byte).unwrap(), 1, "no {question:?} in {seen:?}");
            seen.push(byte[0].into());
        }
        writeln!(keyboard, "{words}").unwrap();
    };
    answer("Words (text), any text: ", "some words");
    answer("secret, text that matches [ -~]{4,40}: ", "can");
    answer("secret, text that matches [ -~]{4,40}: ", "canary one");
    answer("[y/N] ", "y");
    screen.read_to_string(&mut seen).unwrap();
    assert!(child.wait().unwrap().success(), "{seen}");
    assert!(seen.contains("\napply shop 2.0.0 (sha256:"), "{seen}");
    assert!(seen.contains("variable secret is "), "{seen}");
    assert!(seen.contains("some words"), "{seen}");
    assert!(!seen.contains("canary"), "{seen}");
    let (documents, _) = installed(&sandbox);
    assert_eq!(documents[0]["data"]["text"], "some words");
    assert_eq!(documents[1]["stringData"]["password"], "canary one");
}

/// One that is not required does not fall back to a default in silence.
#[test]
fn a_lost_secret_is_asked_for_even_where_it_has_a_default() {
    let sandbox = Sandbox::new();
    sandbox.write("shop.conf", FIXED);
    sandbox.write(
        "shop.yaml",
        MANIFEST.replace("'{{.carrack.var.secret}}'", "'{{.carrack.var.secret | default \"changeme\"}}'"),
    );
    build(&sandbox, "1.0.0", &VARIABLES.replace(", required: true}", "}"));
    fs::create_dir(sandbox.work().join("host")).unwrap();
    let apply = ["apply", "shop-1.0.0.tar.zst", "--root", "host"];
    assert_eq!(install(&sandbox, &[&apply[..], &["--set", "secret=canary"]].concat()).code, 0);
    let manifest = sandbox.work().join("host/var/lib/rancher/k3s/server/manifests/carrack-shop-shop.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("# a note\n{text}")).unwrap();
    let ran = install(&sandbox, &apply);
    assert_eq!(
        (ran.code, ran.stderr.contains("variable secret: the value that it had is gone")),
        (10, true),
        "{}",
        ran.stderr
    );
    assert!(fs::read_to_string(&manifest).unwrap().contains("canary"));
}

/// What nobody has chosen follows the profile where it has to; what somebody has chosen is theirs to change.
#[test]
fn a_default_gives_way_where_it_does_not_fit_any_more() {
    let sandbox = sandbox();
    let apply = ["apply", "shop-1.0.0.tar.zst", "--root", "host", "--set", "secret=canary"];
    assert_eq!(install(&sandbox, &[&apply[..], &["--set", "port=443"]].concat()).code, 0);
    let changed = VARIABLES.replace("options: [basic, full], default: basic", "options: [pro], default: pro");
    build(&sandbox, "2.0.0", &changed);
    let ran = install(&sandbox, &["apply", "shop-2.0.0.tar.zst", "--root", "host"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(installed(&sandbox).0[0]["data"]["block"], "number=1\nedition=pro\n");
    build(&sandbox, "3.0.0", &changed.replace("options: [80, 443], default: 80", "options: [8080], default: 8080"));
    let ran = install(&sandbox, &["apply", "shop-3.0.0.tar.zst", "--root", "host"]);
    assert_eq!(ran.code, 10);
    let message = "variable port is \"443\", expected one of \"8080\"; that is what this host has, give another";
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    if !available::available("an_interrupted_question_leaves_the_terminal_as_it_was", &["script", "stty"]) {
        return;
    }
    let sandbox = sandbox();
    let installer = env!("CARGO_BIN_EXE_carrack-install");
    let command = format!("{installer} apply shop-1.0.0.tar.zst --root host; echo ended with $?; stty -a");
    let (mut child, mut keyboard, mut screen) = at_a_terminal(&sandbox, &command);
    let (mut seen, mut byte) = (String::new(), [0]);
    while !seen.ends_with("{4,40}: ") {
        assert_eq!(screen.read(&mut byte).unwrap(), 1, "{seen:?}");
        seen.push(byte[0].into());
    }
    keyboard.write_all(b"cana\x7fry\x03").unwrap();
    screen.read_to_string(&mut seen).unwrap();
    child.wait().unwrap();
    assert!(seen.contains("interrupted; nothing was changed"), "{seen}");
    assert!(seen.contains("ended with 130"), "{seen}");
    let terminal = seen.split_once("ended with").unwrap().1;
    assert!(terminal.contains(" echo ") && terminal.contains(" icanon ") && terminal.contains("isig "), "{terminal}");
    assert!(!seen.contains("cana"), "{seen}");
}
