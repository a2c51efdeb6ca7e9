//! `./x bench`: rivals in the same run, interleaved, with the noise floor stated. Here are the
//! arguments and the list of suites; the frame, the arithmetic and the suites have their own files.

mod api;
mod datapath;
mod evaluate;
mod frame;
mod page;
mod report;
mod statistics;
mod store;
mod world;

use crate::Outcome;
use frame::{Pace, Plan, Report, Sample};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Rounds that count, unless said otherwise: enough for an interval, few enough to wait for.
const ROUNDS_DEFAULT: usize = 11;
/// Fewer than this make no interval.
const ROUNDS_MIN: usize = 5;
const ROUNDS_MAX: usize = 1_000;
const SEED_DEFAULT: u64 = 1;

/// Runs one round of the contender of this name.
type RunOnce = Box<dyn FnMut(&str) -> Outcome<Sample>>;

/// What the command line leaves to the suite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Choice {
    /// These parts alone, of a suite that has parts.
    only: Vec<String>,
    /// Smaller and sooner, for those who are at work on it.
    quick: bool,
}

/// One comparison of a suite: rounds of its own.
struct Part {
    name: String,
    plan: Plan,
    run_once: RunOnce,
    /// How many rounds for each that is asked for.
    rounds_times: usize,
}

/// A suite that is built and ready: what to compare, and how one contender runs one round.
struct Prepared {
    parts: Vec<Part>,
    /// Contenders that this machine cannot run, with the reason.
    not_run: Vec<String>,
}

impl Prepared {
    /// A suite of one part.
    fn whole(plan: Plan, run_once: RunOnce, not_run: Vec<String>) -> Self {
        let part = Part { name: String::new(), plan, run_once, rounds_times: 1 };
        Self { parts: vec![part], not_run }
    }
}

/// One entry of the list.
struct Suite {
    name: &'static str,
    help: &'static str,
    prepare: fn(&Choice) -> Outcome<Prepared>,
    has_parts: bool,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "api",
        help: "signed durable calls per second of `portcullis serve`, beside moto and the store",
        prepare: api::prepare,
        has_parts: false,
    },
    Suite {
        name: "datapath",
        help: "what the kernel's enforcement costs, beside nftables, iptables and eBPF lists",
        prepare: datapath::prepare,
        has_parts: true,
    },
    Suite {
        name: "evaluate",
        help: "flows per second of `portcullis evaluate` on each engine, at 100 and 1,000 rules",
        prepare: evaluate::prepare,
        has_parts: false,
    },
    Suite {
        name: "store",
        help: "durable records per second: the embedded engine beside redb, fjall and a bare log",
        prepare: store::prepare,
        has_parts: false,
    },
];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    suite: String,
    pace: (usize, u64),
    choice: Choice,
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
    if !suite.has_parts && wish.choice != Choice::default() {
        return Err(format!("the suite `{}` has no parts and is never quick", suite.name));
    }
    let mut prepared = (suite.prepare)(&wish.choice)?;
    let found = rounds_of(&mut prepared.parts, pace)?;
    println!("{}", report::table(suite.name, &machine, pace, &found));
    for line in &prepared.not_run {
        println!("not run: {line}");
    }
    if let Some(path) = wish.json {
        let mut document = report::document(suite.name, &machine, pace, &found);
        if let Some(map) = document.as_object_mut() {
            map.insert("not_run".to_owned(), Value::from(prepared.not_run));
        }
        write(&path, &document)?;
    }
    Ok(())
}

/// Writes the JSON, and beside it the page and the plot that are made of it.
fn write(path: &Path, document: &Value) -> Outcome<()> {
    let (plot, page) = (path.with_extension("svg"), path.with_extension("md"));
    let plot_name = plot.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (path, text) in [
        (path, format!("{document:#}\n")),
        (&page, page::page(document, &plot_name)),
        (&plot, page::plot(document)),
    ] {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The rounds of each part, and what all of them found. The noise is that of the first part.
fn rounds_of(parts: &mut [Part], pace: Pace) -> Outcome<Report> {
    let mut all: Option<Report> = None;
    for part in parts {
        let pace = Pace { rounds: pace.rounds * part.rounds_times, ..pace };
        let (name, rounds) = (&part.name, pace.rounds);
        let progress = |round| eprintln!("{name} round {round} of {rounds}");
        let found = frame::compare(&part.plan, pace, &mut part.run_once, progress)?;
        match &mut all {
            None => all = Some(found),
            Some(all) => all.results.extend(found.results),
        }
    }
    all.ok_or_else(|| "nothing to compare".to_owned())
}

fn parse(arguments: &[String]) -> Outcome<Wish> {
    let (pace, choice) = ((ROUNDS_DEFAULT, SEED_DEFAULT), Choice::default());
    let mut wish = Wish { suite: String::new(), pace, choice, json: None };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--json" => wish.json = Some(PathBuf::from(value()?)),
            "--only" => wish.choice.only.push(value()?.clone()),
            "--quick" => {
                wish.choice.quick = true;
                wish.pace.0 = ROUNDS_MIN;
            }
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
    use super::{Choice, Wish, parse};
    use std::path::PathBuf;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn reads_the_command_line() {
        let wish = parse(&words("store --rounds 20 --json out.json --seed 9")).unwrap();
        let json = Some(PathBuf::from("out.json"));
        let choice = Choice::default();
        assert_eq!(wish, Wish { suite: "store".to_owned(), pace: (20, 9), choice, json });
        assert_eq!(parse(&words("evaluate")).unwrap().pace, (11, 1));
        let wish = parse(&words("datapath --quick --only denied --only change")).unwrap();
        let only = vec!["denied".to_owned(), "change".to_owned()];
        assert_eq!((wish.choice, wish.pace.0), (Choice { only, quick: true }, 5));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["store --rounds 4", "store --rounds 1001", "store --json", "--seed 1", "a b"] {
            assert!(parse(&words(line)).is_err(), "{line}");
        }
    }
}
