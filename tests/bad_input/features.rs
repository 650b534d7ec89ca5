//! What later versions will do is refused by name until then, never accepted and ignored.

use super::common::Sandbox;
use super::{assert_refused, install, json_error, profile};

#[test]
fn flags_of_the_future_are_refused_by_name() {
    let sandbox = Sandbox::new();
    let build = ["--reuse", "--have", "--volume-size", "--sign-key", "--registries"];
    for (command, flags) in [("build", &build[..]), ("verify", &["--key"])] {
        for flag in flags {
            let ran = sandbox.carrack(&[command, "x", flag, "value"]);
            assert_refused(&ran, 2, &[&format!("unexpected argument '{flag}' found"), "Usage: carrack"]);
        }
    }
    for (command, flags) in [("apply", &["--key"][..]), ("plan", &["--key"]), ("verify", &["--key"])] {
        for flag in flags {
            let ran = install(&sandbox, &[command, "x", flag, "value"]);
            assert_refused(&ran, 2, &[&format!("unexpected argument '{flag}' found"), "Usage: carrack-install"]);
        }
    }
    for (ran, command) in [
        (sandbox.carrack(&["sign", "x"]), "sign"),
        (sandbox.carrack(&["keygen"]), "keygen"),
        (sandbox.carrack(&["copy", "x", "y"]), "copy"),
        (install(&sandbox, &["inventory"]), "inventory"),
    ] {
        assert_refused(&ran, 2, &[&format!("unrecognized subcommand '{command}'")]);
    }
}

#[test]
fn values_that_no_flag_takes_are_refused_by_name() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["build", ".", "-o", "x", "--jobs", "0"][..],
        &["build", ".", "-o", "x", "--level", "20"],
        &["build", ".", "-o", "x", "--platform", "linux"],
        &["verify", "x", "--color", "purple"],
    ] {
        let value = arguments.last().unwrap();
        assert_refused(&sandbox.carrack(arguments), 2, &[&format!("invalid value '{value}' for '--")]);
    }
    assert_refused(&install(&sandbox, &["apply", "x", "--runtime", "docker"]), 2, &["invalid value 'docker'"]);
}

/// Every command that takes a profile; what exactly it says of each mistake is told in tests/cli_profile.rs.
#[test]
fn a_wrong_profile_ends_every_command_the_same_way() {
    let sandbox = Sandbox::new();
    let bomb: String = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text + &format!("a{level}: &a{level} [{aliases}]\n")
    });
    let later = "is not supported by this version of Carrack yet";
    let good = profile("version: \"1\"");
    for (text, words) in [
        ("{a: [}".to_owned(), &["carrack.yaml:1:5", "not valid YAML"][..]),
        (bomb, &["aliases make this document too large"]),
        (profile("imagez: []"), &["carrack.yaml:6:", "unknown field `imagez`"]),
        (profile("layer: cni"), &["carrack.yaml:6:", "duplicate key \"layer\""]),
        (
            good.replace("addon", "k8s") + "    - {name: b, layer: k8s}\n",
            &["carrack.yaml:7:", "a second pack on layer `k8s`"],
        ),
        (profile("images: [\"a:b:c\"]"), &["\"a:b:c\" is not an image reference"]),
        (profile("files: [{source: ../x, path: /x}]"), &["`../x` is outside the profile's folder"]),
        (profile("files: [{source: none, path: /x}]"), &["`none` does not exist"]),
        (profile("files: [{source: carrack.yaml, path: /x, sha256: ab}]"), &["`sha256` is"]),
        (
            profile("files: [{source: https://example.org/x, path: /x}]"),
            &["a file from a server needs `sha256`", "https://example.org/x"],
        ),
        (profile("files: [{source: carrack.yaml, path: /x, extract: true}]"), &["`files[].extract`", later]),
        (profile("files: [{source: carrack.yaml, path: /x, symlink: /y}]"), &["`files[].symlink`", later]),
        (profile("chart: {}"), &["a chart has either `source`, or `repository` and `name`"]),
        (profile("config: {}"), &["`config` belongs to a pack on layer `k8s`"]),
        (good.replace("spec:", "spec:\n  variables: [{}]"), &["carrack.yaml:5:", "`name` is missing"]),
        (good.replace("spec:", "spec:\n  requirements: {installer: 1.0.0}"), &["`requirements.installer`", later]),
        (good.replace("ClusterProfile", "Site"), &["`kind` is \"Site\"", "a site file is for carrack-install"]),
    ] {
        sandbox.write("carrack.yaml", text);
        for arguments in [&["check", "."][..], &["images", "."], &["lock", "."], &["build", ".", "-o", "out"]] {
            assert_refused(&sandbox.carrack(arguments), 10, words);
        }
        let error = json_error(&sandbox.carrack(&["export", ".", "-o", "out", "--json"]), 10);
        let causes = error["causes"].to_string().replace("\\\"", "\"");
        words.iter().for_each(|word| assert!(causes.contains(word), "no {word:?} in {causes}"));
    }
    let mut left: Vec<_> = std::fs::read_dir(sandbox.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["carrack.yaml"]);
}
