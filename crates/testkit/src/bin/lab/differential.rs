//! `lab differential`: random policies and packet sequences through the three judges, for long.
//!
//! Tells the seed, the rate and what occurred; a difference is told as a case and fails.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use portcullis_agent::sys;
use portcullis_testkit::differential::{self, Plan};

/// Pairs between two lines of progress.
const PAIRS_PER_LINE: u64 = 5_000_000;

/// Packets and their sequences judged by reference, compiled tables and kernel program (root)
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Pairs of policy and packet
    #[arg(long, default_value_t = 100_000_000)]
    pairs: u64,
    /// Where the policies come from; without it, another place every time
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; without it, one for each processor
    #[arg(long)]
    threads: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    sys::probe().map_err(|missing| {
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    // Seeds of neighbouring seconds have no subject in common.
    let seed = arguments.seed.unwrap_or(now << 24);
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    println!("seed {seed}, {} pairs, {threads} threads", arguments.pairs);
    let (began, lines) = (Instant::now(), AtomicU64::new(1));
    let plan = Plan { seed, pairs: arguments.pairs, threads };
    let outcome = differential::run(&plan, |coverage| {
        let line = lines.load(Ordering::Relaxed);
        if coverage.packets() >= line * PAIRS_PER_LINE {
            lines.store(line + 1, Ordering::Relaxed);
            println!("{} pairs, {:.0} s", coverage.packets(), began.elapsed().as_secs_f64());
        }
    })
    .map_err(|error| error.to_string())?;
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", outcome.coverage);
    let rate = outcome.coverage.packets() as f64 / seconds;
    println!("seed {seed}: {rate:.0} pairs a second, {seconds:.0} s");
    match outcome.case {
        None => Ok(()),
        Some(case) => Err(format!("the judges disagree; keep this in cases/packets:\n\n{case}")),
    }
}
