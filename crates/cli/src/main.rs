//! The one binary: its subcommands and their exit status.
//!
//! Each subcommand is a file of [`commands`]; what it decides, it asks the other crates.
mod client;
mod commands;
mod configuration;
mod enforcement;
mod failure;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::socket::Listing;

/// Security groups for your own machines.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<commands::serve::Arguments>),
    Bind(commands::bind::Arguments),
    Unbind(commands::unbind::Arguments),
    Run(commands::run::Arguments),
    /// Lists which interfaces are tied to which devices, and how they stand.
    Bindings(Listing),
    Hits(commands::hits::Arguments),
    /// Lists how often others' changes in the kernel were put right.
    Heals(Listing),
    /// Lists what was dropped at each tied interface, by reason.
    Drops(Listing),
    /// Lists what was let through at each tied interface, by reason.
    Passes(Listing),
    Flows(commands::flows::Arguments),
    Account(commands::account::Arguments),
    Key(commands::key::Arguments),
    Vpc(commands::vpc::Arguments),
    Api(commands::api::Arguments),
    Sign(commands::sign::Arguments),
    Export(commands::export::Arguments),
    Restore(commands::restore::Arguments),
    Detach(commands::detach::Arguments),
    Evaluate(commands::evaluate::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Bind(arguments) => commands::bind::run(arguments),
        Command::Unbind(arguments) => commands::unbind::run(arguments),
        Command::Run(arguments) => return commands::run::run(arguments),
        Command::Bindings(arguments) => commands::bindings::run(&arguments),
        Command::Hits(arguments) => commands::hits::run(&arguments),
        Command::Heals(arguments) => commands::heals::run(&arguments),
        Command::Drops(arguments) => commands::drops::run(&arguments),
        Command::Passes(arguments) => commands::passes::run(&arguments),
        Command::Flows(arguments) => commands::flows::run(&arguments),
        Command::Account(arguments) => commands::account::run(arguments),
        Command::Key(arguments) => commands::key::run(arguments),
        Command::Vpc(arguments) => commands::vpc::run(arguments),
        Command::Api(arguments) => commands::api::run(&arguments),
        Command::Sign(arguments) => commands::sign::run(&arguments),
        Command::Export(arguments) => commands::export::run(arguments),
        Command::Restore(arguments) => commands::restore::run(arguments),
        Command::Detach(arguments) => commands::detach::run(&arguments),
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
