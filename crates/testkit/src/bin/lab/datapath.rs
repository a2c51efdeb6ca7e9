//! `lab datapath`: the measuring half of `./x bench datapath`. Reads lines `put CONTENDER` and
//! `measure PART CONTENDER`, answers each with one line of JSON, and ends with its input.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Args;
use portcullis_testkit::bench::session::{Options, Refused, Session};
use portcullis_testkit::lab;
use portcullis_testkit::netns;
use serde_json::{Value, json};

/// Put contenders in place and send packets through them, as the lines of the input say.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The same seed makes the same rules and packets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rules of the policy.
    #[arg(long, default_value_t = 1_000)]
    rules: usize,
    /// Members of the groups that rules name.
    #[arg(long, default_value_t = 100_000)]
    members: usize,
    /// Where to keep what the contenders are made of.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// The program `portcullis`.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
}

/// Answers until the input ends.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    netns::available()?;
    netns::remove_leftovers()?;
    lab::product::remove_leftovers(&arguments.program)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut session = Session::new(Options {
        seed: arguments.seed,
        rules: arguments.rules,
        members: arguments.members,
        folder: arguments.out.clone(),
        processor: processors - 1,
    });
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let answer = answer(&mut session, &line);
        println!("{answer}");
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn answer(session: &mut Session, line: &str) -> Value {
    let found = match line.split_once(' ') {
        Some(("put", name)) => match session.put(name) {
            Ok(sample) => Ok(sample),
            Err(Refused::Absent(reason)) => return json!({ "absent": reason }),
            Err(Refused::Wrong(reason)) => Err(reason),
        },
        Some(("measure", rest)) => match rest.split_once(' ') {
            Some((part, name)) => session.measure(name, part),
            None => Err(format!("measure what of whom: `{line}`?")),
        },
        _ => Err(format!("what is `{line}`?")),
    };
    match found {
        Ok(sample) => json!(sample),
        Err(reason) => json!({ "failed": reason }),
    }
}
