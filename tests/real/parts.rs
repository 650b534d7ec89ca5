//! Real parts, started for one test and ended with it: a registry, a containerd, a network namespace without a route.

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use super::available::available;
pub(crate) use super::layers::{busybox_layer, layer, speaking};
use carrack::oci::{Descriptor, Digest};
use carrack::registry::in_process::InProcessRegistry;

/// A process that ends with its owner.
pub struct Server(Child);

impl Server {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.0.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                let _ = self.0.kill();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Waits for `ready`, failing with the log when it does not come.
pub fn wait_until(what: &str, log: &Path, ready: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < deadline, "{what} does not come:\n{}", fs::read_to_string(log).unwrap_or_default());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command to its end.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs a command that must succeed, and returns what it printed.
pub fn output<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = run(program, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Debian's docker-registry on a free port.
pub struct RealRegistry {
    pub host: String,
    _server: Server,
}

impl RealRegistry {
    pub fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let (config, log) = (folder.join("registry.yml"), folder.join("registry.log"));
        let storage = folder.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{host}\"}}\n",
            storage.display()
        );
        fs::write(&config, text).unwrap();
        let server = Server::start(Command::new("docker-registry").arg("serve").arg(&config), &log);
        wait_until("the registry", &log, || TcpStream::connect(&host).is_ok());
        Self { host, _server: server }
    }

    /// Copies `name` from the registry inside this process, with all platforms and digests.
    pub fn copy_from(&self, source: &InProcessRegistry, name: &str) {
        let (from, to) = (format!("docker://{}/{name}", source.host()), format!("docker://{}/{name}", self.host));
        let flags = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"];
        output("skopeo", flags.into_iter().chain([from.as_str(), to.as_str()]));
    }
}

/// A network namespace that has nothing but an unconfigured loopback device.
pub struct NoNetwork(String);

impl NoNetwork {
    pub fn make() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("carrack-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        output("ip", ["netns", "add", &name]);
        assert_eq!(output("ip", ["-n", &name, "route"]), "", "a namespace without a route");
        Self(name)
    }

    /// A command that runs inside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        // Not `ip netns exec`: that mounts another /sys, in which runc finds no control groups.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0)).arg("--").arg(program);
        command
    }
}

impl Drop for NoNetwork {
    fn drop(&mut self) {
        run("ip", ["netns", "delete", &self.0]);
    }
}

/// containerd with a root of its own, in a namespace without network.
pub struct Containerd {
    pub address: PathBuf,
    pub network: NoNetwork,
    program: PathBuf,
    folder: PathBuf,
    server: Option<Server>,
}

impl Containerd {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, "")
    }

    /// Starts with more lines of configuration.
    pub fn start_with(folder: &Path, config: &str) -> Self {
        Self::start_program(Path::new("containerd"), folder, config)
    }

    /// Starts another than the system's.
    pub fn start_program(program: &Path, folder: &Path, config: &str) -> Self {
        let folder = folder.join("containerd");
        fs::create_dir_all(&folder).unwrap();
        let address = folder.join("c.sock");
        let text = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n[grpc]\n  address = \"{0}/c.sock\"\n{config}\n",
            folder.display()
        );
        fs::write(folder.join("config.toml"), text).unwrap();
        let (network, program) = (NoNetwork::make(), program.to_owned());
        let mut this = Self { address, network, program, folder, server: None };
        this.serve();
        this
    }

    fn serve(&mut self) {
        let log = self.folder.join("log");
        let mut command = self.network.command(&self.program);
        self.server = Some(Server::start(command.arg("-c").arg(self.folder.join("config.toml")), &log));
        wait_until("containerd", &log, || {
            UnixStream::connect(&self.address).is_ok() && self.run(["version"]).status.success()
        });
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Ends it and starts it again on the same root.
    pub fn restart(&mut self) {
        self.stop();
        self.serve();
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.network.command("ctr");
        command.arg("-a").arg(&self.address).args(["-n", "k8s.io"]).args(arguments).output().unwrap()
    }

    /// Runs `ctr` in the namespace `k8s.io`; it must succeed.
    pub fn ctr<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "ctr: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs a container of `image` to its end and returns what it printed. It is written to a file by the runtime's shim:
    /// over a pipe, `ctr` loses the output of a container that ends at once.
    pub fn run_image(&self, image: &str, id: &str) -> String {
        let log = self.folder.join(format!("{id}.log"));
        self.ctr(["run", "--rm", "--log-uri", &format!("file://{}", log.display()), image, id]);
        wait_until("the container's output", &log, || fs::read(&log).is_ok_and(|text| text.ends_with(b"\n")));
        fs::read_to_string(log).unwrap()
    }

    /// The names of all images, sorted.
    pub fn images(&self) -> Vec<String> {
        let mut names: Vec<String> = self.ctr(["images", "ls", "-q"]).lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// `carrack-install` in the same namespace, pointed at this containerd.
    pub fn installer(&self, command: &str) -> Command {
        let mut installer = self.network.command(env!("CARGO_BIN_EXE_carrack-install"));
        installer.arg(command).arg("--containerd-address").arg(&self.address);
        installer
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.server = None;
        // Containers' and snapshots' mounts would keep the folder from being removed.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let inside = self.folder.display().to_string();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&inside)) {
            run("umount", ["-l", mount]);
        }
    }
}

/// The digest of what a registry serves for `reference`, as skopeo sees it.
pub fn raw_digest(reference: &str) -> Digest {
    let raw = run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    assert!(raw.status.success(), "{}", String::from_utf8_lossy(&raw.stderr));
    Digest::of(&raw.stdout)
}

/// An index of amd64, 386 and arm64 images and an attestation, as docker buildx makes them. Returns its descriptor and
/// that of the amd64 image.
pub fn put_multi_platform(registry: &InProcessRegistry, repository: &str, tag: &str) -> (Descriptor, Descriptor) {
    let mut manifests = Vec::new();
    for platform in ["linux/amd64", "linux/386", "linux/arm64/v8"] {
        let own = layer(&[("etc/platform", platform)]);
        let image = speaking(platform, vec![busybox_layer(&[]), own], &format!("I am {platform}"));
        manifests.push(registry.put_image(repository, None, &image));
    }
    let amd64 = manifests[0].clone();
    manifests.push(registry.put_attestation(repository, &amd64));
    (registry.put_index(repository, Some(tag), manifests), amd64)
}
