//! The commands of `carrack-install`, the offline side.

mod apply;
mod ask;
mod hints;
mod pinned;
mod plan;
mod preflight;
mod resume;
mod revert;
mod signals;
mod status;
mod target;
mod variables;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{CliError, Common, Kind, Ui};
use crate::apply::Invocation;

/// Install a Carrack bundle on a host without a network
#[derive(Debug, Parser)]
#[command(name = "carrack-install", version, subcommand_required = true, arg_required_else_help = true)]
struct Installer {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Preflight(preflight::Args),
    Verify(super::verify::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Status(status::Args),
    Repair(revert::RepairArgs),
    Rollback(revert::RollbackArgs),
    Uninstall(revert::UninstallArgs),
    Resume(resume::Args),
}

/// Runs `carrack-install` with the process's arguments.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    super::exit(run(arguments))
}

/// Runs `carrack-install` with `arguments` (the program's name first) and returns its exit code.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    super::run(arguments, |parsed: &Installer| &parsed.common, execute)
}

fn execute(parsed: &Installer, ui: &Ui) -> Result<(), CliError> {
    let done = match &parsed.command {
        Command::Preflight(args) => preflight::run(args, ui),
        Command::Verify(args) => super::verify::run(args, ui),
        Command::Plan(args) => plan::run(args, ui),
        Command::Apply(args) => apply::run(args, ui),
        Command::Status(args) => status::run(args, ui),
        Command::Repair(args) => revert::repair(args, ui),
        Command::Rollback(args) => revert::rollback(args, ui),
        Command::Uninstall(args) => revert::uninstall(args, ui),
        Command::Resume(args) => resume::run(args, ui),
    };
    done.map_err(|mut error| {
        if let Some(root) = parsed.command.root() {
            error.hints.iter_mut().for_each(|hint| *hint = hints::rooted(hint, root));
        }
        error
    })
}

impl Command {
    /// The folder that `--root` names.
    fn root(&self) -> Option<&Path> {
        let root = match self {
            Self::Verify(_) => return None,
            Self::Preflight(args) => &args.target.root,
            Self::Plan(args) => &args.target.root,
            Self::Apply(args) => &args.target.root,
            Self::Status(args) => &args.root,
            Self::Repair(args) => &args.common.root,
            Self::Rollback(args) => &args.common.root,
            Self::Uninstall(args) => &args.common.root,
            Self::Resume(args) => &args.root,
        };
        root.as_deref()
    }
}

/// The bundle that somebody who called the installer with `arguments` meant.
fn bundle(arguments: &[String]) -> Option<PathBuf> {
    match parsed(arguments).ok()?.command {
        Command::Apply(args) => Some(args.bundle().to_owned()),
        _ => None,
    }
}

fn parsed(arguments: &[String]) -> Result<Installer, clap::Error> {
    Installer::try_parse_from(std::iter::once("carrack-install").chain(arguments.iter().map(String::as_str)))
}

/// Runs what an interrupted run was called with, which a journal says.
fn again(command: &Invocation, ui: &Ui) -> Result<(), CliError> {
    let parsed = parsed(&command.arguments).map_err(|error| {
        let message = error.render().to_string();
        CliError::new(Kind::Input, format!("the interrupted command cannot be run again: {}", message.trim()))
    })?;
    match &parsed.command {
        Command::Apply(args) => {
            resume::await_medium(args.bundle());
            apply::run_as(args, Some(command), ui)
        }
        _ => execute(&parsed, ui),
    }
}
