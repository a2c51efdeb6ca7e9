//! `lab load`: a load on a server of its own, ours or a rival; prints one line of JSON.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use portcullis_testkit::load::{Moto, Ours, Work};
use serde_json::json;

/// Start a server, load it over loopback, and say how it did.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Which server.
    #[arg(long)]
    server: ServerKind,
    /// Its program.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// What the requests do.
    #[arg(long)]
    work: WorkKind,
    /// Connections at the same time.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests in all.
    #[arg(long, default_value_t = 1_000)]
    requests: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ServerKind {
    /// `portcullis serve`
    Portcullis,
    /// `moto_server`
    Moto,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WorkKind {
    /// Each request adds a rule
    Authorize,
    /// Each request reads a thousand rules
    Describe,
}

/// Loads the server and prints the line.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let Arguments { program, connections, requests, .. } = arguments;
    let work = match arguments.work {
        WorkKind::Authorize => Work::Authorize,
        WorkKind::Describe => Work::Describe,
    };
    let took = match arguments.server {
        ServerKind::Portcullis => {
            Ours::start(program, work)?.load(work, *connections, *requests)?
        }
        ServerKind::Moto => Moto::start(program)?.load(work, *connections, *requests)?,
    };
    let line = json!({
        "per_second": took.per_second(),
        "p50_us": took.percentile_us(50),
        "p99_us": took.percentile_us(99),
        "answer_bytes": took.bytes_per_answer(),
        "server_cpu_us": took.server_us_per_answer(),
    });
    println!("{line}");
    Ok(())
}
