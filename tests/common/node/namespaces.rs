//! A network of its own, seen by nobody else. It ends with whoever made it, however that ends.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A namespace of the network and one of mounts.
pub(crate) struct Namespaces(Child);

impl Namespaces {
    /// Makes them, and runs a script of the shell in them that has to succeed.
    pub(crate) fn new(script: &str) -> Self {
        // It stays until its standard input is closed, which the kernel does when this process is gone.
        let script = format!("{script}\necho ready\nexec cat");
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-euc", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{script}");
        Self(keeper)
    }

    /// A command that runs inside. Its working folder is `/`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        // Not `ip netns exec`: that mounts another /sys, without control groups.
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.0.id())).args(["--net", "--mount", "--"]).arg(program);
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
