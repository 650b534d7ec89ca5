//! What packs ask of each other.

use super::*;

impl Setup {
    fn bundle_of(&self, name: &str, pack: &str) {
        self.profile(&[&format!("{{name: web, layer: addon, imageLists: [none.txt], {pack}}}")]);
        self.sandbox.write("none.txt", "# none\n");
        succeed(self.carrack(&["build", ".", "-o", name]));
    }

    fn install(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), arguments)
    }
}

#[test]
fn a_host_that_is_too_old_is_not_upgraded() {
    let setup = setup();
    setup.bundle_of("old", "version: 1.2.0");
    setup.bundle_of("between", "version: 1.3.0");
    setup.bundle_of("new", "version: 1.4.0, upgradeFrom: \"~1.3\"");
    fs::create_dir(setup.sandbox.work().join("host")).unwrap();
    let apply = |bundle: &str| setup.install(&["apply", bundle, "--root", "host", "--yes"]);
    succeed(apply("old"));
    fail(apply("new"), 40, &["upgrade-web: needed ~1.3 or nothing, found 1.2.0", "in between first"]);
    let forced = succeed(setup.install(&["apply", "new", "--root", "host", "--dry-run", "--skip", "upgrade-web"]));
    assert!(forced.stderr.contains("nothing to change"), "{}", forced.stderr);
    succeed(apply("between"));
    succeed(apply("new"));
    succeed(apply("new"));
    fs::create_dir(setup.sandbox.work().join("empty")).unwrap();
    succeed(setup.install(&["apply", "new", "--root", "empty", "--yes"]));
}

#[test]
fn what_packs_require_is_added_up_and_compared() {
    let setup = setup();
    let half = "requirements: {cpu: 60000, memory: 60TiB, disk: 6000TiB}";
    setup.profile(&[
        &format!("{{name: a, layer: addon, imageLists: [none.txt], {half}}}"),
        &format!("{{name: b, layer: addon, imageLists: [none.txt], {half}}}"),
    ]);
    setup.sandbox.write("none.txt", "# none\n");
    succeed(setup.build());
    let ran = setup.install(&["preflight", "edge.tar.zst"]);
    for needed in ["FAIL  processors", "needed 120000 ", "FAIL  memory", "needed 120.00 TiB", "FAIL  disk"] {
        assert!(ran.stdout.contains(needed), "{}", ran.stdout);
    }
    assert_eq!(ran.code, 40);
    fs::create_dir(setup.sandbox.work().join("host")).unwrap();
    // It will run on another machine.
    succeed(setup.install(&["preflight", "edge.tar.zst", "--root", "host"]));
}
