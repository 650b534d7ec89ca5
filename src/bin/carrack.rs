//! `carrack`, the operator's tool. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    carrack::cli::operator::main(std::env::args_os())
}
