//! The only code that prints. One file per command: its arguments, its run function, its output.
//!
//! Steps return values and typed errors; this module turns them into text, JSON and exit codes.

mod bar;
pub mod error;
mod fit;
mod identity;
#[cfg(feature = "installer")]
pub mod installer;
#[cfg(feature = "operator")]
pub mod operator;
mod shell;
pub mod ui;
mod verify;

pub use error::{CliError, Kind};
pub use ui::Ui;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Flags that every command of both binaries takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Common {
    /// Print one JSON document on standard output instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only data and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print more about what is done, and what it took
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Whether to colour what is printed for people
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ui::Color,
}

/// Parses `arguments` as `P` and runs it, printing its error where there is one. The result is the exit code of
/// docs/install.md's table.
fn run<P: clap::Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    common: impl Fn(&P) -> &Common,
    execute: impl FnOnce(&P, &Ui) -> Result<(), CliError>,
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match P::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() && arguments.iter().any(|argument| argument == "--json") => {
            let ui = Ui::new(&Common { json: true, ..Common::default() });
            let text = error.render().to_string();
            let message = text.lines().next().unwrap_or_default();
            ui.error(&CliError::new(Kind::Usage, message.strip_prefix("error: ").unwrap_or(message)));
            return Kind::Usage.code();
        }
        Err(error) => return print_usage(&error),
    };
    let ui = Ui::new(common(&parsed));
    let start = Instant::now();
    let result = execute(&parsed, &ui);
    let result = result.and_then(|()| ui.lost_data().map_or(Ok(()), Err));
    let memory = peak_memory().map(|bytes| format!(", {} of memory at most", ui::bytes(bytes))).unwrap_or_default();
    ui.detail(&format!("took {:.1} s{memory}", start.elapsed().as_secs_f64()));
    match result {
        Ok(()) => 0,
        Err(error) => {
            ui.error(&error);
            error.kind.code()
        }
    }
}

/// Prints help, the version, or what is wrong with the arguments. Clap decides between standard output and standard error. A reader
/// that has gone away is no failure; other than that, help that cannot be written is one.
fn print_usage(usage: &clap::Error) -> u8 {
    let printed = usage.print().and_then(|()| std::io::stdout().flush());
    match printed {
        _ if usage.use_stderr() => Kind::Usage.code(),
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let error = ui::lost_output(&error);
            Ui::new(&Common::default()).error(&error);
            error.kind.code()
        }
        _ => 0,
    }
}

/// Ends the process on Ctrl-C, without a rest of what was drawn on the terminal. Nothing may be under way that must not stop.
async fn interrupted(ui: Ui, hint: Option<&'static str>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        let error = CliError::new(Kind::Interrupted, "interrupted");
        ui.error(&match hint {
            Some(hint) => error.hint(hint),
            None => error,
        });
        std::process::exit(i32::from(Kind::Interrupted.code()));
    }
}

/// The most memory that this process has held so far, in bytes, by the kernel's account.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The same as a process exit code.
fn exit(code: u8) -> ExitCode {
    ExitCode::from(code)
}
