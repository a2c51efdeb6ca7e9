//! The program `lab`: what demo and benches need beside the product. Never shipped.
//!
//! Each subcommand is a file beside this one; all they do, the library does.
mod datapath;
mod demo;
mod differential;
mod endurance;
mod load;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Worlds, demos and measurements around Portcullis.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    World(world::Arguments),
    Load(load::Arguments),
    Differential(differential::Arguments),
    Datapath(datapath::Arguments),
    Endurance(endurance::Arguments),
    Enforce(endurance::Enforce),
    /// Real packets let through and dropped by signed calls, with the reason for each
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::World(arguments) => world::run(&arguments).map_err(|error| error.to_string()),
        Command::Load(arguments) => load::run(&arguments),
        Command::Differential(arguments) => differential::run(&arguments),
        Command::Datapath(arguments) => datapath::run(&arguments),
        Command::Endurance(arguments) => endurance::run(&arguments),
        Command::Enforce(arguments) => endurance::enforce(&arguments),
        Command::Demo(arguments) => return demo::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}
