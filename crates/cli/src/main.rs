//! The one binary: its subcommands and their exit status.
//!
//! Each subcommand is a file of [`commands`]; what it decides, it asks the other crates.
mod commands;
mod failure;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Security groups for your own machines.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Evaluate(commands::evaluate::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
