//! A virtual machine in QEMU: started on a disk and a USB stick, told what to run, and ended like a machine without power.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;

use super::ran::{Ran, wait_for};

/// How long the machine may say nothing. It is emulated, and shares its processors.
const PATIENCE: Duration = Duration::from_secs(900);
const KERNEL_COMMAND_LINE: &str = "console=ttyS0 root=/dev/vda rw loglevel=5 mitigations=off no_timer_check apparmor=0 audit=0 panic=-1 systemd.show_status=no";

/// What a machine is made of.
pub(crate) struct Parts {
    /// The folder that `scripts/vm-image` filled.
    pub(crate) image: PathBuf,
    /// Its root file system, raw.
    pub(crate) disk: PathBuf,
    /// The USB stick, raw.
    pub(crate) stick: PathBuf,
    /// Where every write and flush of the root disk is written down, in the format of dm-log-writes.
    pub(crate) log: Option<PathBuf>,
}

/// A machine that runs. It ends with its owner, as if its plug were pulled.
pub(crate) struct Machine {
    qemu: Child,
    port: BufReader<UnixStream>,
    /// What it prints on its serial line, for those who look for a reason.
    console: PathBuf,
    monitor: PathBuf,
    commands: u32,
}

impl Machine {
    /// Starts it and waits until it takes commands; other services may still be starting.
    pub(crate) fn boot(parts: &Parts) -> Self {
        let mut this = Self::start(parts, None);
        while this.line() != "@ready" {}
        this
    }

    /// Goes on from where [`Self::save`] was called, on a copy of the disk as it was then.
    pub(crate) fn resume(parts: &Parts, state: &Path) -> Self {
        Self::start(parts, Some(state))
    }

    fn start(parts: &Parts, state: Option<&Path>) -> Self {
        let sibling = |name: &str| parts.disk.with_extension(name);
        let (socket, console, monitor) = (sibling("port"), sibling("console"), sibling("monitor"));
        for path in [&socket, &monitor] {
            let _ = fs::remove_file(path);
        }
        // The kernel ends it when whoever started it is gone.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot"]);
        command.args(["-M", "q35", "-cpu", "max", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024"]);
        command.arg("-kernel").arg(parts.image.join("kernel")).arg("-initrd").arg(parts.image.join("initrd"));
        command.args(["-append", KERNEL_COMMAND_LINE, "-nic", "none", "-device", "virtio-rng-pci"]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", monitor.display()));
        // It waits for the harness, so that not a word is lost.
        command.arg("-chardev").arg(format!("socket,id=port,path={},server=on,wait=on", socket.display()));
        command.args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port,name=carrack"]);
        attach(&mut command, parts);
        if let Some(state) = state {
            command.arg("-incoming").arg(format!("exec:cat '{}'", state.display()));
        }
        let errors = fs::File::create(sibling("qemu")).unwrap();
        let mut qemu = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        let port = connect(&socket, &mut qemu, &sibling("qemu"));
        port.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { qemu, port: BufReader::new(port), console, monitor, commands: 0 }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.port.read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            let console = fs::read(&self.console).unwrap_or_default();
            let console = String::from_utf8_lossy(&console[console.len().saturating_sub(4000)..]).into_owned();
            panic!("the machine says no more ({read:?}). Last on its console:\n{console}");
        }
        String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()
    }

    /// Begins a command of the shell and does not wait for it.
    pub(crate) fn begin(&mut self, script: &str) {
        self.commands += 1;
        let script = base64::engine::general_purpose::STANDARD.encode(script);
        writeln!(self.port.get_mut(), "{} {script}", self.commands).unwrap();
    }

    /// Waits for the command that was begun last.
    pub(crate) fn end(&mut self) -> Ran {
        let end = format!("@{} ", self.commands);
        let mut output = String::new();
        loop {
            let line = self.line();
            if let Some(code) = line.strip_prefix(&end) {
                // The agent puts an empty line before its own.
                return Ran { code: code.parse().unwrap(), output: output.trim_end_matches('\n').to_owned() };
            }
            output.push_str(&line);
            output.push('\n');
        }
    }

    /// Runs a command of the shell to its end.
    pub(crate) fn run(&mut self, script: &str) -> Ran {
        self.begin(script);
        self.end()
    }

    /// Runs a command that must end with this code; returns what it printed.
    pub(crate) fn expect(&mut self, code: i32, script: &str) -> String {
        self.run(script).expected(code, script)
    }

    /// Runs a command that must succeed; returns what it printed.
    pub(crate) fn succeed(&mut self, script: &str) -> String {
        self.expect(0, script)
    }

    /// Waits until `script` succeeds in the machine.
    pub(crate) fn wait_for(&mut self, what: &str, script: &str) {
        wait_for(what, PATIENCE, || self.run(script));
    }

    /// Waits until systemd has started everything that it is going to.
    pub(crate) fn wait_for_boot(&mut self) {
        self.run("systemctl is-system-running --wait");
    }

    /// Pulls the plug. Returns whether the command that was begun last had ended before.
    ///
    /// The machine stands still first, until what it has sent to its disk is written down whole. QEMU then flushes the disk,
    /// which the machine did not ask for; [`super::power::fail`] knows.
    pub(crate) fn pull_plug(mut self) -> bool {
        self.monitor().ask(&serde_json::json!({"execute": "stop"}));
        self.kill();
        let mut rest = Vec::new();
        // What is in the socket still comes; a reset connection ends it too.
        let _ = self.port.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).lines().any(|line| line.starts_with(&format!("@{} ", self.commands)))
    }

    /// Shuts it down as a person would, and waits until it is off.
    pub(crate) fn power_off(mut self) {
        self.begin("systemctl poweroff");
        let deadline = Instant::now() + PATIENCE;
        while self.qemu.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the machine does not go off");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes its memory into a file, and ends it. With the disk as it is now it can be resumed.
    pub(crate) fn save(self, state: &Path) {
        let mut monitor = self.monitor();
        let uri = format!("exec:cat >'{}'", state.display());
        monitor.ask(&serde_json::json!({"execute": "migrate", "arguments": {"uri": uri}}));
        loop {
            let status = monitor.ask(&serde_json::json!({"execute": "query-migrate"}))["status"].clone();
            match status.as_str().unwrap_or_default() {
                "completed" => return,
                "failed" | "cancelled" => panic!("the machine's memory is not saved: {status}"),
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn monitor(&self) -> Monitor {
        let monitor = UnixStream::connect(&self.monitor).unwrap();
        monitor.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut monitor = Monitor(BufReader::new(monitor));
        monitor.ask(&serde_json::json!({"execute": "qmp_capabilities"}));
        monitor
    }

    fn kill(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// QEMU's own commands.
struct Monitor(BufReader<UnixStream>);

impl Monitor {
    fn ask(&mut self, request: &serde_json::Value) -> serde_json::Value {
        writeln!(self.0.get_mut(), "{request}").unwrap();
        // Besides answers there come a greeting and events.
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(answer.get("error").is_none(), "{request}: {answer}");
            if let Some(answer) = answer.get("return") {
                return answer.clone();
            }
        }
    }
}

/// The disk, and below it the log; and the stick, whose slot is such that nobody can write on it.
fn attach(command: &mut Command, parts: &Parts) {
    // Nothing is synced to the host's disk: the host keeps its power, so what QEMU has written is not lost with it.
    let file = |path: &Path| format!("driver=file,filename={},cache.no-flush=on", path.display());
    command.arg("-blockdev").arg(format!("{},node-name=disk", file(&parts.disk)));
    let drive = match &parts.log {
        None => "disk",
        Some(log) => {
            fs::File::create(log).unwrap();
            command.arg("-blockdev").arg(format!("{},node-name=log", file(log)));
            command.args(["-blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log"]);
            "logged"
        }
    };
    command.arg("-device").arg(format!("virtio-blk-pci,drive={drive}"));
    command.arg("-blockdev").arg(format!("{},node-name=stick,read-only=on", file(&parts.stick)));
    command.args(["-device", "qemu-xhci", "-device", "usb-storage,drive=stick"]);
}

fn connect(socket: &Path, qemu: &mut Child, errors: &Path) -> UnixStream {
    loop {
        match UnixStream::connect(socket) {
            Ok(port) => return port,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                let ended = qemu.try_wait().unwrap();
                assert!(ended.is_none(), "QEMU: {}", fs::read_to_string(errors).unwrap());
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{}: {error}", socket.display()),
        }
    }
}
