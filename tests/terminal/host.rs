//! Steps on a host: units that start, that do not, and what is seen of it. In a copy-on-write view of this machine, with a stand-in
//! for systemctl.

use std::fs;
use std::path::Path;

use crate::available::available;
use crate::common::Sandbox;
use crate::scene::{carrack, installer};
use crate::terminal::{Left, Terminal};

/// Starts units once a file `go` is there, unless `refuse` is.
const SYSTEMCTL: &str = r#"#!/bin/sh
verb= unit=
for word; do case $word in -*) ;; *) if [ -z "$verb" ]; then verb=$word; else unit=$word; fi;; esac; done
mkdir -p /run/units
case $verb in
show)
    state=inactive; [ ! -e "/run/units/$unit" ] || state=active
    printf 'LoadState=loaded\nActiveState=%s\nSubState=x\nResult=success\nType=notify\nNRestarts=0\nJob=0\n' "$state";;
start|restart)
    while [ ! -e /in/go ]; do sleep 0.05; done
    [ ! -e /in/refuse ] || { rm /in/refuse; echo 'the stand-in refuses' >&2; exit 1; }
    touch "/run/units/$unit";;
stop) rm -f "/run/units/$unit";;
is-enabled) test -e "/run/units/$unit";;
esac
"#;

/// Mounts a view of `/`, with `$1` as `/in` and `$2` as `/programs`, and runs the script `$3` in it.
const VIEW: &str = r#"
set -e
mount -t tmpfs view "$1/view"
cd "$1/view"
mkdir upper work root
mount -t overlay view -o lowerdir=/,upperdir=upper,workdir=work root
mkdir -p root/in root/programs root/run/systemd/system root/usr/local/sbin
mount --bind "$1" root/in
mount --bind "$2" root/programs
mount -t proc proc root/proc
mount --bind /dev root/dev
install -m 755 "$1/systemctl" root/usr/local/sbin/systemctl
exec chroot root /bin/sh -c "$3"
"#;

struct View {
    sandbox: Sandbox,
}

impl View {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        for version in ["1.0.0", "1.1.0"] {
            sandbox.write("profile/shop.service", format!("[Service]\nExecStart=/bin/true {version}\n"));
            sandbox.write(
                "profile/carrack.yaml",
                format!(
                    "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: {version}}}\nspec:\n  packs:\n    - \
                     name: shop\n      layer: addon\n      files: [{{source: ./shop.service, path: \
                     /etc/systemd/system/shop.service}}]\n      services: [shop.service]\n"
                ),
            );
            let bundle = format!("edge-{version}.tar.zst");
            let ran = sandbox.run(carrack(), &["build", "profile", "-o", &bundle]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
        }
        sandbox.write("systemctl", SYSTEMCTL);
        fs::create_dir(sandbox.work().join("view")).unwrap();
        Self { sandbox }
    }

    fn start(&self, script: &str, columns: u16) -> Terminal {
        let folder = self.sandbox.work();
        let programs = installer().parent().unwrap().display().to_string();
        let folder_name = folder.display().to_string();
        let words = ["--mount", "--pid", "--fork", "/bin/sh", "-c", VIEW, "view", &folder_name, &programs, script];
        let path = std::env::var_os("PATH").unwrap();
        Terminal::start(Path::new("unshare"), &words, &folder, &[("PATH", &path)], columns)
    }

    /// Lets the unit start, or not.
    fn go(&self, well: bool) {
        if !well {
            self.sandbox.write("refuse", "");
        }
        self.sandbox.write("go", "");
    }
}

const APPLY: &str = "/programs/carrack-install apply --runtime none --yes /in/edge";

fn seen(left: &Left, name: &str) {
    insta::assert_snapshot!(name, left.screen());
}

fn is_available(test: &str) -> bool {
    available(test, &["unshare", "mount", "chroot", "install"])
}

#[test]
fn every_step_is_shown() {
    if !is_available("every_step_is_shown") {
        return;
    }
    for columns in [40, 80, 120] {
        let view = View::new();
        let script = format!(
            "{APPLY}-1.0.0.tar.zst; {APPLY}-1.1.0.tar.zst; /programs/carrack-install rollback --yes; \
             systemctl stop shop.service; /programs/carrack-install repair --yes; /programs/carrack-install uninstall --yes"
        );
        let mut terminal = view.start(&script, columns);
        // Drawn while it is waited for, with how long it has been and may be.
        terminal.wait_for("step 1 of 1: start shop.service");
        view.go(true);
        let left = terminal.end();
        assert_eq!(left.code, 0, "{}", left.text());
        seen(&left, &format!("steps-{columns}"));
    }
}

#[test]
fn a_step_that_fails_is_undone_in_view() {
    if !is_available("a_step_that_fails_is_undone_in_view") {
        return;
    }
    let view = View::new();
    let script = format!("touch /in/go; {APPLY}-1.0.0.tar.zst; touch /in/refuse; {APPLY}-1.1.0.tar.zst");
    let left = view.start(&script, 80).end();
    assert_eq!(left.code, 50, "{}", left.text());
    seen(&left, "steps-undone");
}

/// Where standard error is no terminal each step is a line, and with `--quiet` nothing is.
#[test]
fn steps_are_lines_in_a_log() {
    if !is_available("steps_are_lines_in_a_log") {
        return;
    }
    let view = View::new();
    let script = format!("touch /in/go; {APPLY}-1.0.0.tar.zst 2>/in/log && {APPLY}-1.1.0.tar.zst --quiet 2>/in/quiet");
    let left = view.start(&script, 80).end();
    assert_eq!(left.code, 0, "{}", left.text());
    let read = |name: &str| fs::read_to_string(view.sandbox.work().join(name)).unwrap();
    assert_eq!(read("quiet"), "");
    let log = read("log");
    let steps: Vec<&str> = log.lines().filter(|line| line.starts_with("step ")).collect();
    assert_eq!(steps, ["step 1 of 1: start shop.service (at most 20 min)"], "{log}");
    assert!(!log.contains('\x1b') && !log.contains('\r'), "{log:?}");
}
