//! A containerd of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use carrack::oci::Digest;

/// A containerd, ended when dropped.
pub(crate) struct Real {
    /// While it runs.
    child: Mutex<Option<Child>>,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Real {
    /// Whether one can be started here; says so where not.
    pub(crate) fn is_possible() -> bool {
        super::available::available("apply into a real containerd", &["containerd", "ctr", "runc", "mount", "umount"])
    }

    /// One of version 2, where `CARRACK_CONTAINERD2` names it; says so where not.
    pub(crate) fn later() -> Option<PathBuf> {
        let named = std::env::var_os("CARRACK_CONTAINERD2").filter(|program| !program.is_empty());
        if named.is_none() {
            super::available::skip("apply into a containerd of version 2: needs one, named in CARRACK_CONTAINERD2");
        }
        named.filter(|_| Self::is_possible()).map(PathBuf::from)
    }

    /// Starts the system's.
    pub(crate) fn start() -> Self {
        Self::start_program(Path::new("containerd"))
    }

    pub(crate) fn start_program(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (root, state, socket) = (at("root"), at("state"), at("c.sock"));
        // Without the CRI plugin, which wants a network set up for pods.
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \
             \"io.containerd.cri.v1.images\", \"io.containerd.cri.v1.runtime\"]\n[grpc]\naddress = {socket:?}\n"
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let real = Self { child: Mutex::default(), program: program.to_owned(), folder };
        real.serve();
        real
    }

    /// Starts it again, on what it had.
    pub(crate) fn serve(&self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.folder.path().join("config.toml"));
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        *self.child.lock().unwrap() = Some(child);
        // There is nothing to wait on but the answer itself.
        let ready = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            self.socket().exists() && self.ctr_in("default", &["version"]).is_some()
        });
        assert!(ready, "{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    /// Kills it in the middle of whatever it does.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Gives it a new disk of so many bytes for what it keeps.
    pub(crate) fn put_on_a_disk(&self, bytes: usize) {
        self.kill();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", &self.root()]);
        self.serve();
    }

    /// Makes that disk larger.
    pub(crate) fn grow_the_disk(&self, bytes: usize) {
        run("mount", &["-o", &format!("remount,size={bytes}"), &self.root()]);
    }

    fn root(&self) -> String {
        self.folder.path().join("root").display().to_string()
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.path().join("root/io.containerd.content.v1.content/blobs/sha256").join(digest.hex())
    }

    /// Where its snapshots are.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.folder.path().join("root/io.containerd.snapshotter.v1.overlayfs/snapshots")
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
        self.kill();
        // Its mounts would keep the folder from being removed.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let inside = self.folder.path().display().to_string();
        let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with(&inside));
        for mount in mounted {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program} {arguments:?}");
}
