//! `carrack-install`, the offline host's tool. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    carrack::cli::installer::main(std::env::args_os())
}
