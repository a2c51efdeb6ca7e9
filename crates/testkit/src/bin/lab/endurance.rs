//! `lab endurance`: swaps, deaths and floods, as many as asked; and `lab enforce`, the agent that
//! the deaths kill.
use std::path::PathBuf;
use std::time::Instant;

use portcullis_testkit::{endurance, lab};

/// Policies swapped under load, an agent killed over and over, floods at a full table (root)
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Policies put in force under load
    #[arg(long, default_value_t = 10_000)]
    swaps: u64,
    /// Agents killed
    #[arg(long, default_value_t = 1_000)]
    deaths: u64,
    /// Packets of floods
    #[arg(long, default_value_t = 3_000_000)]
    flood: u64,
    /// When agents are killed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// An agent that puts one policy in force after the other until it is killed
#[derive(Debug, clap::Args)]
pub(crate) struct Enforce {
    /// The instance
    #[arg(long)]
    instance: String,
    /// The agent's own directory
    #[arg(long)]
    directory: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    lab::available()?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let timed = |what: String, began: Instant| {
        println!("{what}, {:.0} s", began.elapsed().as_secs_f64());
    };
    let began = Instant::now();
    timed(format!("{:?}", endurance::flood(arguments.flood)?), began);
    let began = Instant::now();
    timed(format!("{:?}", endurance::swaps(arguments.swaps)?), began);
    let began = Instant::now();
    let deaths = endurance::deaths(&program, arguments.deaths, arguments.seed)?;
    timed(format!("{deaths:?}"), began);
    Ok(())
}

pub(crate) fn enforce(arguments: &Enforce) -> Result<(), String> {
    endurance::enforce(&arguments.instance, &arguments.directory)
}
