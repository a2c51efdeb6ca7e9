//! `./x bench`: rivals in the same run, interleaved, with the noise floor stated. Here are the
//! arguments and the list of suites; the frame, the arithmetic and the suites have their own files.

mod api;
mod evaluate;
mod frame;
mod report;
mod statistics;
mod store;
mod world;

use crate::Outcome;
use frame::{Pace, Plan, Sample};
use serde_json::Value;
use std::path::PathBuf;

/// Rounds that count, unless said otherwise: enough for an interval, few enough to wait for.
const ROUNDS_DEFAULT: usize = 11;
/// Fewer than this make no interval.
const ROUNDS_MIN: usize = 5;
const ROUNDS_MAX: usize = 1_000;
const SEED_DEFAULT: u64 = 1;

/// Runs one round of the contender of this name.
type RunOnce = Box<dyn FnMut(&str) -> Outcome<Sample>>;

/// A suite that is built and ready: what to compare, and how one contender runs one round.
struct Prepared {
    plan: Plan,
    run_once: RunOnce,
    /// Contenders that this machine cannot run, with the reason.
    not_run: Vec<String>,
}

/// One entry of the list.
struct Suite {
    name: &'static str,
    help: &'static str,
    prepare: fn() -> Outcome<Prepared>,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "api",
        help: "signed durable calls per second of `portcullis serve`, beside moto and the store",
        prepare: api::prepare,
    },
    Suite {
        name: "evaluate",
        help: "flows per second of `portcullis evaluate` on each engine, at 100 and 1,000 rules",
        prepare: evaluate::prepare,
    },
    Suite {
        name: "store",
        help: "durable records per second: the embedded engine beside redb, fjall and a bare log",
        prepare: store::prepare,
    },
];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    suite: String,
    pace: (usize, u64),
    json: Option<PathBuf>,
}

/// Runs one suite; without a name lists them.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    if arguments.is_empty() {
        for suite in SUITES {
            println!("  ./x bench {:<10} {}", suite.name, suite.help);
        }
        return Ok(());
    }
    let wish = parse(arguments)?;
    let suite = SUITES.iter().find(|suite| suite.name == wish.suite).ok_or_else(|| {
        let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        format!("no suite `{}`; there are: {}", wish.suite, names.join(", "))
    })?;
    let (rounds, seed) = wish.pace;
    let pace = Pace { rounds, seed };
    let machine = report::machine();
    let mut prepared = (suite.prepare)()?;
    let progress = |round| eprintln!("round {round} of {rounds}");
    let found = frame::compare(&prepared.plan, pace, &mut prepared.run_once, progress)?;
    println!("{}", report::table(suite.name, &machine, pace, &found));
    for line in &prepared.not_run {
        println!("not run: {line}");
    }
    if let Some(path) = wish.json {
        let mut document = report::document(suite.name, &machine, pace, &found);
        if let Some(map) = document.as_object_mut() {
            map.insert("not_run".to_owned(), Value::from(prepared.not_run));
        }
        std::fs::write(&path, format!("{document:#}\n"))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Outcome<Wish> {
    let mut wish = Wish { suite: String::new(), pace: (ROUNDS_DEFAULT, SEED_DEFAULT), json: None };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--json" => wish.json = Some(PathBuf::from(value()?)),
            "--rounds" => {
                let rounds = value()?.parse().ok();
                let fits = rounds.filter(|rounds| (ROUNDS_MIN..=ROUNDS_MAX).contains(rounds));
                wish.pace.0 =
                    fits.ok_or_else(|| format!("--rounds wants {ROUNDS_MIN} to {ROUNDS_MAX}"))?;
            }
            "--seed" => {
                wish.pace.1 = value()?.parse().map_err(|_| "--seed wants a number".to_owned())?;
            }
            name if wish.suite.is_empty() && !name.starts_with('-') => {
                name.clone_into(&mut wish.suite)
            }
            other => return Err(format!("what is `{other}`? `./x help` shows the usage")),
        }
    }
    if wish.suite.is_empty() { Err("which suite?".to_owned()) } else { Ok(wish) }
}

#[cfg(test)]
mod tests {
    use super::{Wish, parse};
    use std::path::PathBuf;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn reads_the_command_line() {
        let wish = parse(&words("store --rounds 20 --json out.json --seed 9")).unwrap();
        let json = Some(PathBuf::from("out.json"));
        assert_eq!(wish, Wish { suite: "store".to_owned(), pace: (20, 9), json });
        assert_eq!(parse(&words("evaluate")).unwrap().pace, (11, 1));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["store --rounds 4", "store --rounds 1001", "store --json", "--seed 1", "a b"] {
            assert!(parse(&words(line)).is_err(), "{line}");
        }
    }
}
