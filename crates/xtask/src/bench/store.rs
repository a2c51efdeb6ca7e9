//! The suite `store`: durable records per second, one at a time and in groups of 64, and how long
//! the store takes to open, of the engine that ships beside its rivals and a bare log. The engines
//! run in a program of their own (`crates/store/examples/store_bench.rs`) that prints one line.

use super::frame::{Measure, Plan, Rival, Sample};
use super::{Choice, Prepared};
use crate::{Outcome, run};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The engine that ships goes first: its number is what the goals are about.
const ENGINES: &[&str] = &["embedded", "redb", "fjall", "wal-floor"];
/// Records per commit, and how many records one round writes.
const LOADS: &[(usize, usize)] = &[(1, 1_000), (64, 32_000)];

const NUMBERS: &[(&str, &str, bool)] = &[
    ("records_per_second", "1/s", true),
    ("p99_us", "us", false),
    ("open_and_load_ms", "ms", false),
];

/// Builds the program and lets every engine write one small round.
pub(super) fn prepare(_: &Choice) -> Outcome<Prepared> {
    run::headline("building the store's bench");
    let example = ["build", "--release", "-p", "portcullis-store", "--example", "store_bench"];
    run::must_succeed(run::cargo(&example))?;
    let target = run::target_directory()?;
    let program = target.join("release/examples/store_bench");
    let folder = target.join("bench/store");
    let mut engines = Vec::new();
    let mut not_run = Vec::new();
    for &engine in ENGINES {
        match round(&program, &folder, engine, 64, 640) {
            Ok(_) => engines.push(engine),
            Err(reason) => not_run.push(format!("{engine}: {reason}")),
        }
    }
    let plan = plan(&engines)?;
    let run_once = Box::new(move |name: &str| {
        let load = LOADS.iter().find_map(|&(group, records)| {
            let engine = engines.iter().find(|engine| named(engine, group) == name)?;
            Some((*engine, group, records))
        });
        let (engine, group, records) = load.ok_or_else(|| format!("no contender `{name}`"))?;
        round(&program, &folder, engine, group, records)
    });
    Ok(Prepared::whole(plan, run_once, not_run))
}

fn named(engine: &str, group: usize) -> String {
    format!("{engine}, {group} a commit")
}

fn plan(engines: &[&str]) -> Outcome<Plan> {
    let mut contenders = Vec::new();
    let mut measures = Vec::new();
    for &(group, _) in LOADS {
        contenders.extend(engines.iter().map(|engine| named(engine, group)));
        for &(number, unit, higher_is_better) in NUMBERS {
            for engine in engines {
                let rival = (*engine == "embedded").then(|| {
                    engines.iter().filter(|rival| **rival != "embedded").map(Some).collect()
                });
                // Ours is told once per rival, a rival once by itself.
                for rival in rival.unwrap_or_else(|| vec![None]) {
                    measures.push(Measure {
                        contender: named(engine, group),
                        number,
                        unit,
                        higher_is_better,
                        rival: rival.map(|rival| Rival { contender: named(rival, group), number }),
                        limit: None,
                        goal: goal(number, group, rival.copied()),
                    });
                }
            }
        }
    }
    let noise = contenders.first().ok_or("no engine can run")?.clone();
    Ok(Plan { contenders, measures, noise, added: Vec::new() })
}

/// Guards, history and revisions may cost as much as the bare engine below them, not more.
fn goal(number: &str, group: usize, rival: Option<&str>) -> Option<f64> {
    (number == "records_per_second" && group == 64 && rival == Some("redb")).then_some(0.5)
}

/// One round in a folder of its own, which does not outlive it.
fn round(
    program: &Path,
    folder: &Path,
    engine: &str,
    group: usize,
    records: usize,
) -> Outcome<Sample> {
    let scratch: PathBuf = folder.join(engine);
    let failed = |error: std::io::Error| format!("{}: {error}", scratch.display());
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).map_err(failed)?;
    }
    std::fs::create_dir_all(&scratch).map_err(failed)?;
    let mut command = run::command(&program.to_string_lossy(), &["--engine", engine]);
    command.args(["--records", &records.to_string(), "--group", &group.to_string(), "--dir"]);
    command.arg(&scratch);
    let text = run::output(command)?;
    std::fs::remove_dir_all(&scratch).map_err(failed)?;
    sample(&text)
}

/// The last line that the program printed, as numbers by name.
pub(super) fn sample(text: &str) -> Outcome<Sample> {
    let line = text.lines().last().unwrap_or_default();
    let value: Value =
        serde_json::from_str(line).map_err(|error| format!("not a line of JSON: {error}"))?;
    let object = value.as_object().ok_or("not an object of numbers")?;
    Ok(object.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect())
}

#[cfg(test)]
mod tests {
    use super::{plan, sample};

    #[test]
    fn reads_numbers_from_the_last_line() {
        let text = "opening\n{\"engine\":\"redb\",\"records_per_second\":12000.5,\"p99_us\":90}\n";
        let sample = sample(text).unwrap();
        assert_eq!(sample.get("records_per_second"), Some(&12_000.5));
        assert_eq!(sample.get("p99_us"), Some(&90.0));
        assert_eq!(sample.len(), 2);
    }

    #[test]
    fn refuses_what_is_no_line_of_numbers() {
        assert!(sample("").is_err());
        assert!(sample("done\n[1]").is_err());
    }

    #[test]
    fn ours_meets_every_rival_in_every_load() {
        let plan = plan(&["embedded", "redb", "wal-floor"]).unwrap();
        assert_eq!(plan.contenders.len(), 6);
        let ours = plan.measures.iter().filter(|measure| measure.rival.is_some()).count();
        assert_eq!(ours, 2 * 3 * 2);
        let goals: Vec<_> = plan.measures.iter().filter(|one| one.goal.is_some()).collect();
        assert_eq!(goals.len(), 1);
        let rival = goals[0].rival.as_ref().map(|rival| rival.contender.as_str());
        assert_eq!(rival, Some("redb, 64 a commit"));
        assert_eq!(plan.noise, "embedded, 1 a commit");
        assert!(super::plan(&[]).is_err());
    }
}
