//! The commands of `carrack`, the connected side.

mod check;
mod diff;
mod images;
mod init;
mod inspect;
mod lock;
mod schema;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{CliError, Common, Ui, verify};

/// Carry Kubernetes clusters across an air gap
#[derive(Debug, Parser)]
#[command(name = "carrack", version, subcommand_required = true, arg_required_else_help = true)]
struct Operator {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Check(check::Args),
    Images(images::Args),
    Lock(lock::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Schema(schema::Args),
}

/// Runs `carrack` with the process's arguments.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    super::exit(run(arguments))
}

/// Runs `carrack` with `arguments` (the program's name first) and returns its exit code.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    super::run(arguments, |parsed: &Operator| &parsed.common, execute)
}

fn execute(parsed: &Operator, ui: &Ui) -> Result<(), CliError> {
    match &parsed.command {
        Command::Init(args) => init::run(args, ui),
        Command::Check(args) => check::run(args, ui),
        Command::Images(args) => images::run(args, ui),
        Command::Lock(args) => lock::run(args, ui),
        Command::Schema(args) => schema::run(args, ui),
        Command::Diff(args) => diff::run(args, ui),
        Command::Inspect(args) => inspect::run(args, ui),
        Command::Verify(args) => verify::run(args, ui),
    }
}
