//! A node: Debian with systemd, containerd and runc, in a container of systemd-nspawn, without a route anywhere. It is
//! started, told what to run, and switched off; and it ends with its owner, however that ends.

mod groups;
mod namespaces;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use self::groups::Groups;
pub(crate) use self::namespaces::Namespaces;
use super::available::{available, skip};
use super::ran::{Ran, wait_for};

/// How long a node may take for anything.
const PATIENCE: Duration = Duration::from_secs(600);
const TOOLS: [&str; 7] = ["systemd-nspawn", "unshare", "nsenter", "setpriv", "ip", "tar", "zstd"];
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What nodes are plugged into: a bridge in a network of its own, which has neither an address nor a route.
pub(crate) struct Wire(Namespaces);

impl Wire {
    pub(crate) fn new() -> Self {
        Self(Namespaces::new("ip link add wire type bridge && ip link set wire up"))
    }
}

/// A node that is on, or off.
pub(crate) struct Node<'w> {
    name: String,
    folder: PathBuf,
    stick: PathBuf,
    wire: Option<&'w Wire>,
    running: Option<Running>,
}

/// The system's file; or says why the test cannot be run here.
pub(crate) fn system(test: &str) -> Option<PathBuf> {
    if !available(test, &TOOLS) {
        return None;
    }
    if !Groups::supported() {
        skip(&format!("{test}: needs control groups of version 1"));
        return None;
    }
    let system = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("node").join("root.tar.zst");
    if !system.is_file() {
        skip(&format!("{test}: needs scripts/debian-root to have been run"));
        return None;
    }
    Some(system)
}

impl<'w> Node<'w> {
    /// Unpacks the `system` into a folder of its own below `nodes`. The node reads the folder `stick` at `/media/usb`.
    pub(crate) fn new(name: &str, system: &Path, nodes: &Path, stick: &Path) -> Self {
        let folder = nodes.join(name);
        let root = folder.join("root");
        fs::create_dir_all(&root).unwrap();
        let unpacked = Command::new("tar").arg("-C").arg(&root).args(["-I", "zstd -d", "-xf"]).arg(system).status();
        assert!(unpacked.unwrap().success(), "{}", system.display());
        fs::write(root.join("etc/hostname"), format!("{name}\n")).unwrap();
        Self { name: name.to_owned(), folder, stick: stick.to_owned(), wire: None, running: None }
    }

    /// Plugs it into a wire. `setup` are lines of `ip -batch` that it runs at each start; its interface is `host0`.
    pub(crate) fn plug_into(&mut self, wire: &'w Wire, setup: &str) {
        fs::write(self.folder.join("root/etc/node/network"), setup).unwrap();
        self.wire = Some(wire);
    }

    /// Switches it on, and waits until systemd has started everything that it is going to.
    pub(crate) fn boot(&mut self) {
        assert!(self.running.is_none(), "{} is on", self.name);
        let groups = Groups::new(&self.name);
        let mut command = match self.wire {
            Some(wire) => wire.0.command("sh"),
            None => Command::new("sh"),
        };
        // The group of processes is entered before there are any. All of the node is in a namespace of processes that the
        // kernel ends with its first one, and that one with the thread that started it.
        let enter = "for hierarchy in /sys/fs/cgroup/*/; do echo $$ >\"$hierarchy$0/cgroup.procs\"; done; exec \"$@\"";
        command.args(["-euc", enter, groups.name(), "setpriv", "--pdeathsig", "KILL"]);
        command.args([
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "systemd-nspawn",
            "--quiet",
            "--boot",
        ]);
        command.args(["--register=no", "--keep-unit", "--capability=all", "--bind=/dev/kmsg", "--console=pipe"]);
        command.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"]);
        command.arg(format!("--machine={}", self.name)).arg("--directory").arg(self.folder.join("root"));
        command.arg(format!("--bind-ro={}:/media/usb", self.stick.display()));
        command.arg(if self.wire.is_some() { "--network-bridge=wire" } else { "--private-network" });
        command.env("SYSTEMD_SECCOMP", "0").env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes");
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0");
        let console = fs::File::create(self.console()).unwrap();
        command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
        self.running = Some(Running { unshare: command.spawn().unwrap(), _groups: groups });
        self.wait_for("systemd", "[ -x /etc/node/start ] && state=$(systemctl is-system-running --wait); [ $state = running ] || [ $state = degraded ]");
    }

    fn console(&self) -> PathBuf {
        self.folder.join("console")
    }

    /// Runs a command of the shell to its end.
    pub(crate) fn run(&mut self, script: &str) -> Ran {
        let running = self.running.as_mut().unwrap_or_else(|| panic!("{} is off", self.name));
        let Some(init) = running.init() else {
            let ended = running.unshare.try_wait().unwrap();
            let console = || fs::read_to_string(self.folder.join("console")).unwrap_or_default();
            assert!(ended.is_none(), "{} has ended: {}", self.name, console());
            return Ran { code: -1, output: "its first process is not there".to_owned() };
        };
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={init}")).args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
        command.args(["--root", "--wd", "--", "env", "-i", PATH, "HOME=/root", "bash", "-c"]);
        let ran = command.arg(format!("exec 2>&1\n{script}")).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let output = text(&ran.stdout) + &text(&ran.stderr);
        Ran { code: ran.status.code().unwrap_or(-1), output: output.trim_end_matches('\n').to_owned() }
    }

    /// Runs a command that must end with this code; returns what it printed.
    pub(crate) fn expect(&mut self, code: i32, script: &str) -> String {
        self.run(script).expected(code, &format!("{}: {script}", self.name))
    }

    /// Runs a command that must succeed; returns what it printed.
    pub(crate) fn succeed(&mut self, script: &str) -> String {
        self.expect(0, script)
    }

    /// Waits until `script` succeeds on the node.
    pub(crate) fn wait_for(&mut self, what: &str, script: &str) {
        wait_for(&format!("{}: {what}", self.name), PATIENCE, || self.run(script));
    }

    /// Ends it at once, with all that runs on it.
    pub(crate) fn cut_power(&mut self) {
        assert!(self.running.take().is_some(), "{} is off", self.name);
        if let Some(wire) = self.wire {
            // The kernel takes the node's end of the wire away later than its processes, and may have done so by now.
            let _ = wire.0.command("ip").args(["link", "delete", &format!("vb-{}", self.name)]).output();
        }
    }

    /// Shuts it down as a person would, and waits until it is off.
    pub(crate) fn power_off(&mut self) {
        self.run("systemctl poweroff");
        let mut running = self.running.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while running.unshare.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "{} does not go off", self.name);
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The processes of a node that is on.
struct Running {
    unshare: Child,
    _groups: Groups,
}

impl Running {
    /// systemd-nspawn, as this side numbers processes.
    fn nspawn(&self) -> Option<Pid> {
        child(rustix::process::Pid::from_child(&self.unshare))
    }

    /// The node's first process.
    fn init(&self) -> Option<Pid> {
        self.nspawn().and_then(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // With it the kernel ends all that it has started, before it is gone itself.
        if let Some(nspawn) = self.nspawn() {
            let _ = rustix::process::kill_process(nspawn, Signal::KILL);
        } else {
            let _ = self.unshare.kill();
        }
        let _ = self.unshare.wait();
    }
}

fn child(parent: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split(' ').next()?.parse().ok().and_then(Pid::from_raw)
}
