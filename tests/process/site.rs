//! What a run was given besides its bundle, and is not the same any more when it is resumed: a person decides.

use std::fs;
use std::path::PathBuf;

use carrack::oci::Digest;

use super::Host;

/// So many that content comes for some time.
const FILES: usize = 40;
const APPLY: &[&str] = &["apply", "open.tar.zst", "--site", "stick/site.yaml", "--yes"];

/// A host with a bundle whose variables a site fills in.
fn host() -> Host {
    let host = Host::new(FILES);
    let mut profile = fs::read_to_string(host.sandbox.work().join("p/carrack.yaml")).unwrap();
    profile = profile.replace(
        "spec:\n  packs:",
        "spec:\n  variables:\n    - {name: key, required: true}\n    - {name: note, default: none}\n    - {name: secret, sensitive: \
         true, required: true}\n  packs:",
    );
    profile.push_str("        - {source: ./values, path: /opt/shop/values, mode: \"0600\", template: true}\n");
    host.sandbox.write("p/carrack.yaml", profile);
    host.sandbox.write("p/values", "{{.carrack.var.key}} {{.carrack.var.note}} {{.carrack.var.secret}}\n");
    let ran = host.sandbox.carrack(&["build", "p", "-o", "open.tar.zst"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    write(&host, "site.yaml", &site("GOOD"));
    write(&host, "secret", "GOODSECRET\n");
    write(&host, "note", "GOODNOTE");
    host
}

fn site(key: &str) -> String {
    format!(
        "apiVersion: carrack/v1\nkind: Site\nspec:\n  variables: {{key: {key}, note: {{fromFile: ./note}}, secret: {{fromFile: \
         secret}}}}\n"
    )
}

fn write(host: &Host, name: &str, text: &str) -> PathBuf {
    host.sandbox.write(&format!("stick/{name}"), text)
}

/// Kills a run before it has changed anything.
fn interrupt(host: &Host, arguments: &[&str]) {
    loop {
        let mut child = host.command(arguments).spawn().unwrap();
        let folder = host.at("/var/lib/carrack/journal");
        while !folder.join("preparing.json").exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        if folder.join("preparing.json").exists() {
            return;
        }
        // It had come further.
        host.run(&["resume"], 0);
        host.run(&["uninstall", "--yes"], 0);
    }
}

fn installed(host: &Host) -> Option<String> {
    fs::read_to_string(host.at("/opt/shop/values")).ok()
}

/// Something that happens to a file.
type Happens<'a> = Box<dyn Fn(&PathBuf) + 'a>;

#[test]
fn another_site_is_not_resumed_with() {
    let host = host();
    let at = |name: &str| host.sandbox.work().join("stick").join(name);
    let write = |text: &'static str| move |path: &PathBuf| fs::write(path, text).unwrap();
    let other = site("EVIL");
    let cases: [(&str, &str, Happens<'_>); 9] = [
        ("site.yaml", "another value", Box::new(|path| fs::write(path, &other).unwrap())),
        ("site.yaml", "a comment", Box::new(|path| fs::write(path, site("GOOD") + "# same\n").unwrap())),
        ("site.yaml", "nothing valid", Box::new(write("EVIL: ["))),
        ("site.yaml", "gone", Box::new(|path| fs::remove_file(path).unwrap())),
        ("secret", "another value", Box::new(write("EVILSECRET\n"))),
        ("secret", "another line end", Box::new(write("GOODSECRET\r\n"))),
        ("secret", "gone", Box::new(|path| fs::remove_file(path).unwrap())),
        ("secret", "a folder", Box::new(|path| fs::remove_file(path).and_then(|()| fs::create_dir(path)).unwrap())),
        ("note", "more", Box::new(write("GOODNOTE and more"))),
    ];
    for (name, what, happens) in cases {
        interrupt(&host, APPLY);
        let good = fs::read(at(name)).unwrap();
        happens(&at(name));
        for _ in 0..2 {
            let ran = host.run(&["resume"], 40);
            assert!(ran.stderr.contains(&format!("/stick/{name} is not the file that")), "{what}: {}", ran.stderr);
            assert!(ran.stderr.contains("hint: ") && !ran.stderr.contains("EVIL"), "{what}: {}", ran.stderr);
            assert_eq!(installed(&host), None, "{what}");
        }
        let _ = fs::remove_dir(at(name));
        fs::write(at(name), good).unwrap();
        host.run(&["resume"], 0);
        assert_eq!(installed(&host).as_deref(), Some("GOOD GOODNOTE GOODSECRET\n"), "{what}");
        host.run(&["uninstall", "--yes"], 0);
    }
}

#[test]
fn a_person_decides_for_another_site_by_applying_again() {
    let host = host();
    interrupt(&host, APPLY);
    write(&host, "site.yaml", &site("NEW"));
    write(&host, "secret", "NEWSECRET");
    let ran = host.run(&["resume"], 40);
    for name in ["site.yaml", "secret"] {
        assert!(ran.stderr.contains(&format!("cause: $ROOT/work/stick/{name}")), "{}", ran.stderr);
    }
    host.run(APPLY, 0);
    assert_eq!(installed(&host).as_deref(), Some("NEW GOODNOTE NEWSECRET\n"));
}

/// Whoever does not want it any more says so: nothing goes on with it then, not the next start of the host either.
#[test]
fn what_had_changed_nothing_is_given_up() {
    let host = host();
    interrupt(&host, APPLY);
    let other = host.run(&["uninstall", "other", "--yes"], 40).stderr;
    assert!(other.contains("nothing is installed"), "{other}");
    let told = host.run(&["uninstall", "--yes"], 0).stderr;
    assert!(told.contains("is given up: the files that it had begun are removed, and nothing is installed"), "{told}");
    let left: Vec<_> = fs::read_dir(host.at("/")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    host.run(&["uninstall", "--yes"], 40);
    interrupt(&host, APPLY);
    let told: serde_json::Value = serde_json::from_str(&host.run(&["uninstall", "--json"], 0).stdout).unwrap();
    assert_eq!((&told["changed"], &told["givenUp"]), (&true.into(), &true.into()));
}

/// A secret that was given on the command line is not written down. What would stand in its place is not it.
#[test]
fn another_value_is_not_resumed_with() {
    let host = host();
    interrupt(&host, &[APPLY, &["--set", "secret=SETSECRET", "--set", "note=kept"]].concat());
    let journal = fs::read_to_string(host.at("/var/lib/carrack/journal/preparing.json")).unwrap();
    assert!(!journal.contains("SETSECRET") && !journal.contains("GOODSECRET") && journal.contains("note=kept"));
    assert!(!journal.contains(&Digest::of(b"SETSECRET").hex()), "a digest that tables have");
    let ran = host.run(&["resume"], 40);
    assert!(ran.stderr.contains("the interrupted run had another value of secret"), "{}", ran.stderr);
    assert_eq!(installed(&host), None);
    host.run(&[APPLY, &["--set", "secret=SETSECRET", "--set", "note=kept"]].concat(), 0);
    assert_eq!(installed(&host).as_deref(), Some("GOOD kept SETSECRET\n"));
}

/// Journals of earlier versions have neither files nor values.
#[test]
fn a_journal_without_pins_is_resumed() {
    let host = host();
    interrupt(&host, APPLY);
    let path = host.at("/var/lib/carrack/journal/preparing.json");
    let mut journal: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let command = journal["command"].as_object_mut().unwrap();
    assert!(command.remove("site").is_some() && command.remove("values").is_some());
    fs::write(&path, serde_json::to_vec(&journal).unwrap()).unwrap();
    host.run(&["resume"], 0);
    assert_eq!(installed(&host).as_deref(), Some("GOOD GOODNOTE GOODSECRET\n"));
}
