//! The one binary, `portcullis`: arguments in, one command run, an exit status out.
//!
//! What a command does stands in [`commands`], one file each; nothing is decided here.

mod commands;
mod configuration;
mod failure;

use std::process::ExitCode;

use clap::Parser;

/// Security groups for your own machines.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    match Program::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
