//! `carrack completions` and `carrack man`: generated from the command line's own definition.

use std::path::PathBuf;

use clap::CommandFactory;

use super::Operator;
use crate::cli::{CliError, Kind, Ui};
use crate::io::AtPath;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  carrack completions bash > /etc/bash_completion.d/carrack")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Print the manual page, or write the pages of all commands
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  carrack man | man -l -\n  carrack man --dir /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write one page for each command into this folder instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs, ui: &Ui) -> Result<(), CliError> {
    refuse_json("completions", ui)?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Operator::command(), "carrack", &mut script);
    ui.data(&String::from_utf8_lossy(&script));
    Ok(())
}

pub(super) fn man(args: &ManArgs, ui: &Ui) -> Result<(), CliError> {
    refuse_json("man", ui)?;
    let command = Operator::command().disable_help_subcommand(true);
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(command).render(&mut page);
        rendered.map_err(|error| CliError::from_error(Kind::Bug, &error))?;
        ui.data(&String::from_utf8_lossy(&page));
        return Ok(());
    };
    std::fs::create_dir_all(dir).at("create the folder", dir)?;
    clap_mangen::generate_to(command, dir).at("write manual pages into", dir)?;
    Ok(())
}

/// What is printed has a form of its own.
pub(super) fn refuse_json(command: &str, ui: &Ui) -> Result<(), CliError> {
    if ui.wants_json() {
        return Err(CliError::new(
            Kind::Usage,
            format!("carrack {command} has nothing to say in JSON: leave --json out"),
        ));
    }
    Ok(())
}
