//! A containerd of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running containerd, ended when dropped.
pub(crate) struct Real {
    child: Child,
    folder: tempfile::TempDir,
}

impl Real {
    /// Starts one; nothing, with a word, where that is not possible here.
    pub(crate) fn start() -> Option<Self> {
        let missing = match () {
            () if !is_root() => Some("not root"),
            () if Command::new("containerd").arg("--version").output().is_err() => Some("no containerd"),
            () => None,
        };
        if let Some(missing) = missing {
            assert!(std::env::var_os("CARRACK_REQUIRE_REAL").is_none(), "the real containerd is required: {missing}");
            println!("SKIPPED: the real containerd: {missing}");
            return None;
        }
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
        let ready = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            real.try_ctr(&["version"]).is_some()
        });
        assert!(ready, "{}", std::fs::read_to_string(real.folder.path().join("log")).unwrap());
        Some(real)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What `ctr` prints, in the kubelet's namespace.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> String {
        self.try_ctr(arguments).unwrap_or_else(|| panic!("ctr {arguments:?} failed"))
    }

    pub(crate) fn try_ctr(&self, arguments: &[&str]) -> Option<String> {
        self.ctr_in("k8s.io", arguments)
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

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
