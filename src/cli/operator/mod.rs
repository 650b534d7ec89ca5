//! The commands of `carrack`, the connected side.

mod build;
mod check;
mod demo;
mod diff;
mod discover;
mod export;
mod generate;
mod hints;
mod images;
mod import;
mod init;
mod inspect;
mod lock;
mod open;
mod pack;
mod schema;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{CliError, Common, Kind, Ui, verify};
use crate::registry::{Options, Registry};

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
    Pack(pack::Args),
    Build(build::BuildArgs),
    Export(export::Args),
    Import(import::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Demo(demo::Args),
    Schema(schema::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// How registries are reached, for every command that asks one.
#[derive(Debug, clap::Args)]
struct RegistryArgs {
    /// Speak plain HTTP to this host; may be repeated (this machine is spoken to that way anyway)
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,
    /// How many images or blobs to fetch at a time
    #[arg(long, short, value_name = "N", default_value = "4")]
    jobs: NonZeroUsize,
}

impl RegistryArgs {
    fn client(&self) -> Registry {
        Registry::new(Options { plain_http: self.plain_http.clone() })
    }
}

/// What asynchronous steps run on.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Runtime::new()
        .map_err(|error| CliError::new(Kind::Local, format!("cannot start working threads: {error}")))
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
    let done = match &parsed.command {
        Command::Init(args) => init::run(args, ui),
        Command::Check(args) => check::run(args, ui),
        Command::Images(args) => images::run(args, ui),
        Command::Lock(args) => lock::run(args, ui),
        Command::Pack(args) => pack::run(args, ui),
        Command::Build(args) => build::run(args, ui),
        Command::Export(args) => export::run(args, ui),
        Command::Import(args) => import::run(args, ui),
        Command::Inspect(args) => inspect::run(args, ui),
        Command::Verify(args) => verify::run(args, ui),
        Command::Diff(args) => diff::run(args, ui),
        Command::Demo(args) => demo::run(args, ui),
        Command::Schema(args) => schema::run(args, ui),
        Command::Completions(args) => generate::completions(args, ui),
        Command::Man(args) => generate::man(args, ui),
    };
    done.map_err(|mut error| {
        if let Some(profile) = parsed.command.profile() {
            error.hints.iter_mut().for_each(|hint| *hint = hints::named(hint, profile));
        }
        error
    })
}

impl Command {
    /// The profile that the command is about.
    fn profile(&self) -> Option<&Path> {
        match self {
            Self::Check(args) => Some(&args.profile),
            Self::Images(args) => Some(&args.profile),
            Self::Lock(args) => Some(&args.profile),
            Self::Build(args) => Some(&args.profile),
            _ => None,
        }
    }
}
