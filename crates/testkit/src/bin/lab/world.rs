//! `lab world`: a random world and flows in it, as files for `portcullis evaluate`.
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{FlowMaker, WorldSize, random_world};
use portcullis_wire::world::{flow_line, write_world};

/// Write a random world and flows aimed at the edges of its rules.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Rules in the world.
    #[arg(long, default_value_t = 1_000)]
    rules: usize,
    /// Flows in it.
    #[arg(long, default_value_t = 200_000)]
    flows: usize,
    /// The same seed makes the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of `world.json` and `flows.jsonl`; made if absent.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Writes both files.
pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let world = random_world(arguments.seed, WorldSize::with_rules(arguments.rules));
    fs::create_dir_all(&arguments.out)?;
    fs::write(arguments.out.join("world.json"), write_world(&world))?;
    let mut flows = BufWriter::new(File::create(arguments.out.join("flows.jsonl"))?);
    let (maker, mut random) = (FlowMaker::new(&world), Random::new(!arguments.seed));
    for _ in 0..arguments.flows {
        let Some(flow) = maker.flow(&mut random) else { break };
        writeln!(flows, "{}", flow_line(&flow))?;
    }
    flows.flush()
}
