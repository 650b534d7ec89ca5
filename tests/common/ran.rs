//! What a command on another system left: a node, or a machine.

use std::thread;
use std::time::{Duration, Instant};

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    /// Standard output and error, as they came.
    pub(crate) output: String,
}

impl Ran {
    /// What it printed, where it has ended with this code. `what` is the command, for the message.
    pub(crate) fn expected(self, code: i32, what: &str) -> String {
        assert_eq!(self.code, code, "{what}\n{}", self.output);
        self.output
    }
}

/// Runs a command until it succeeds, for as long as `patience` lasts.
pub(crate) fn wait_for(what: &str, patience: Duration, mut run: impl FnMut() -> Ran) {
    let deadline = Instant::now() + patience;
    loop {
        let ran = run();
        if ran.code == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{what} does not come: {}", ran.output);
        thread::sleep(Duration::from_millis(200));
    }
}
