//! Data that is somebody else's, in every folder that any distribution fills, at installation, failure, upgrade, rollback and
//! uninstallation: it stays as it is, whether the folders are plain, behind links, or file systems of their own. The scenario is
//! `scenario.sh`, which runs the real installer in a copy-on-write view of this machine that is thrown away.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(clippy::print_stdout, reason = "what cannot be tested here is said")]

#[path = "../common/available.rs"]
mod available;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Makes the file system and enters it: an overlay of this machine's on memory, with mounts, processes and network of its own.
const ENTER: &str = r#"
set -e
cd "$WORK"
mount -t tmpfs t .
cd "$WORK"
mkdir u w m
mount -t overlay o -o lowerdir=/,upperdir=u,workdir=w m
mkdir -p m/in m/run/systemd/system m/usr/local/sbin m/snap/bin
cp -r "$IN"/. m/in/
mount -t proc proc m/proc
mount -t tmpfs tmp m/tmp
for name in systemctl kubeadm snap; do cp m/in/stand-in m/usr/local/sbin/$name; done
rm -f m/usr/bin/systemctl
cp m/in/stand-in m/usr/bin/systemctl
cp m/in/stand-in m/usr/bin/snap
cp m/in/stand-in m/snap/bin/k8s
cp m/in/carrack-install m/usr/local/sbin/
[ "$1" != canonical ] || echo ID=ubuntu >m/etc/os-release
rm -f m/dev/null
mknod -m 666 m/dev/null c 1 3
exec chroot m /bin/sh /in/scenario.sh "$@"
"#;

const PLAIN: [&str; 3] = ["/var/lib/kubelet", "/var/lib/cni", "/var/log/pods"];

struct Case {
    distribution: &'static str,
    programs: &'static [&'static str],
    folders: &'static [&'static str],
}

const CASES: [Case; 4] = [
    Case {
        distribution: "k3s",
        programs: &["/usr/local/bin/k3s"],
        folders: &["/var/lib/rancher/k3s", "/etc/rancher/node", "/var/log/containers", "/run/k3s", "/run/flannel"],
    },
    Case {
        distribution: "rke2",
        programs: &["/usr/local/bin/rke2", "/var/lib/rancher/rke2/bin/kubectl"],
        folders: &["/etc/rancher/node", "/var/log/containers", "/run/k3s"],
    },
    Case {
        distribution: "kubeadm",
        programs: &["/usr/bin/kubeadm", "/usr/bin/kubelet", "/usr/bin/kubectl"],
        folders: &["/etc/kubernetes", "/var/lib/etcd"],
    },
    Case {
        distribution: "canonical",
        programs: &["/opt/k8s/core22.snap", "/opt/k8s/core22.assert", "/opt/k8s/k8s.snap", "/opt/k8s/k8s.assert"],
        folders: &["/var/snap/k8s", "/etc/kubernetes"],
    },
];

impl Case {
    fn folders(&self) -> Vec<&'static str> {
        let shared = PLAIN
            .iter()
            .filter(|path| self.distribution != "kubeadm" && self.distribution != "canonical" || **path == PLAIN[0]);
        self.folders.iter().chain(shared).copied().collect()
    }

    /// Two versions of a bundle, and what else the scenario needs.
    fn prepare(&self, folder: &Path) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_data");
        for (from, to) in [("scenario.sh", "scenario.sh"), ("stand-in.sh", "stand-in")] {
            fs::copy(here.join(from), folder.join(to)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_carrack-install"), folder.join("carrack-install")).unwrap();
        for program in ["stand-in", "carrack-install"] {
            fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(folder.join("folders"), self.folders().join("\n")).unwrap();
        for (version, kubernetes) in [("1.0.0", "1.30.0"), ("1.1.0", "1.31.0")] {
            let profile = folder.join(format!("profile-{version}"));
            fs::create_dir(&profile).unwrap();
            let program = fs::read_to_string(folder.join("stand-in")).unwrap();
            fs::write(profile.join("program"), format!("{program}# {version}\n")).unwrap();
            let mut text = format!(
                "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: {version}}}\nspec:\n  packs:\n  - name: \
                 k8s\n    layer: k8s\n    distribution: {}\n    version: {kubernetes}\n    files:\n",
                self.distribution
            );
            for path in self.programs {
                let _ = writeln!(text, "    - {{source: ./program, path: {path}, mode: \"0755\"}}");
            }
            fs::write(profile.join("carrack.yaml"), text).unwrap();
            let built = Command::new(env!("CARGO_BIN_EXE_carrack"))
                .args(["build", "-q", "-o"])
                .arg(folder.join(version))
                .arg(&profile)
                .output()
                .unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        }
    }

    fn run(&self, layout: &str) {
        let folder = tempfile::tempdir().unwrap();
        let (input, work) = (folder.path().join("in"), folder.path().join("work"));
        fs::create_dir(&input).unwrap();
        fs::create_dir(&work).unwrap();
        self.prepare(&input);
        let ran = Command::new("unshare")
            .args(["--mount", "--pid", "--uts", "--net", "--fork", "--kill-child", "sh", "-c", ENTER, "enter"])
            .args([self.distribution, layout])
            .args(self.folders())
            .env("WORK", &work)
            .env("IN", &input)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        let whole = ran.status.success() && said.contains("DONE") && !said.contains("WRONG");
        assert!(whole, "{said}{}", String::from_utf8_lossy(&ran.stderr));
    }
}

fn all(distribution: &str) {
    if !available::available(&format!("data of others and {distribution}"), &["unshare", "mount", "chroot"]) {
        return;
    }
    let case = CASES.iter().find(|case| case.distribution == distribution).unwrap();
    ["folder", "link", "mount"].iter().for_each(|layout| case.run(layout));
}

#[test]
fn k3s_touches_nothing_that_is_not_its_own() {
    all("k3s");
}

#[test]
fn rke2_touches_nothing_that_is_not_its_own() {
    all("rke2");
}

#[test]
fn kubeadm_touches_nothing_that_is_not_its_own() {
    all("kubeadm");
}

#[test]
fn canonical_kubernetes_touches_nothing_that_is_not_its_own() {
    all("canonical");
}
