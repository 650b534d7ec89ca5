//! A containerd of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running containerd, ended when dropped.
pub(crate) struct Real {
    child: Child,
    folder: tempfile::TempDir,
}

impl Real {
    /// Whether one can be started here; says so where not.
    pub(crate) fn is_possible() -> bool {
        super::available::available("apply into a real containerd", &["containerd", "ctr", "runc"])
    }

    /// Starts one.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (root, state, socket) = (at("root"), at("state"), at("c.sock"));
        // Without the CRI plugin, which wants a network set up for pods.
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {socket:?}\n"
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("containerd");
        command.arg("-c").arg(folder.path().join("config.toml"));
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let real = Self { child, folder };
        // There is nothing to wait on but the answer itself.
        let ready = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            real.socket().exists() && real.ctr_in("default", &["version"]).is_some()
        });
        assert!(ready, "{}", std::fs::read_to_string(real.folder.path().join("log")).unwrap());
        real
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What `ctr` prints, in the kubelet's namespace.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> String {
        self.ctr_in("k8s.io", arguments).unwrap_or_else(|| panic!("ctr {arguments:?} failed"))
    }

    pub(crate) fn ctr_in(&self, namespace: &str, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.socket()).args(["-n", namespace]).args(arguments);
        let output = command.output().unwrap();
        if !output.status.success() {
            println!("ctr {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(String::from_utf8(output.stdout).unwrap())
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
