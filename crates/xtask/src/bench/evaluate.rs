//! The suite `evaluate`: how many flows per second the command `portcullis evaluate` judges on each
//! engine, start, reading and printing included. All engines must print the same before they race.

use super::frame::{Measure, Plan, Rival, Sample};
use super::{Choice, Prepared, world};
use crate::{Outcome, run};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const RULES: &[usize] = &[100, 1_000];
const FLOWS: usize = 100_000;
const ENGINES: &[&str] = &["reference", "compiled", "kernel"];
const SEED: u64 = 20_140_526;

/// One engine over one world.
#[derive(Clone)]
struct Contender {
    name: String,
    engine: &'static str,
    world: PathBuf,
    flows: PathBuf,
}

impl Contender {
    fn command(&self, program: &Path) -> Command {
        let mut command = run::command(&program.to_string_lossy(), &["evaluate", "--engine"]);
        command.arg(self.engine).arg("--world").arg(&self.world).arg("--flows").arg(&self.flows);
        command
    }
}

/// Builds the program, writes the worlds, and lets every engine show that it can and agrees.
pub(super) fn prepare(_: &Choice) -> Outcome<Prepared> {
    run::headline("building portcullis");
    run::must_succeed(run::cargo(&["build", "--release", "-p", "portcullis"]))?;
    let target = run::target_directory()?;
    let program = target.join("release/portcullis");
    let folder = target.join("bench/evaluate");
    let mut contenders = Vec::new();
    let mut not_run = Vec::new();
    for &rules in RULES {
        let (world, flows) = write(&folder, rules)?;
        let mut agreed: Option<Vec<u8>> = None;
        for &engine in ENGINES {
            let name = format!("{engine} at {rules} rules");
            let contender = Contender { name, engine, world: world.clone(), flows: flows.clone() };
            match verdicts(&contender, &program) {
                Err(reason) => not_run.push(format!("{}: {reason}", contender.name)),
                Ok(verdicts) if agreed.as_ref().is_some_and(|agreed| *agreed != verdicts) => {
                    return Err(format!("{} disagrees with the others", contender.name));
                }
                Ok(verdicts) => {
                    agreed = Some(verdicts);
                    contenders.push(contender);
                }
            }
        }
    }
    let plan = plan(&contenders)?;
    let run_once = Box::new(move |name: &str| {
        let contender = contenders.iter().find(|contender| contender.name == name);
        timed(contender.ok_or_else(|| format!("no contender `{name}`"))?, &program)
    });
    Ok(Prepared::whole(plan, run_once, not_run))
}

fn plan(contenders: &[Contender]) -> Outcome<Plan> {
    let names: Vec<String> = contenders.iter().map(|contender| contender.name.clone()).collect();
    let measures = contenders.iter().map(|contender| {
        let rival = contender.name.replacen(contender.engine, "reference", 1);
        let rival = (rival != contender.name && names.contains(&rival)).then_some(rival);
        Measure {
            contender: contender.name.clone(),
            number: "flows_per_second",
            unit: "1/s",
            higher_is_better: true,
            goal: goal(&contender.name).filter(|_| rival.is_some()),
            limit: None,
            rival: rival.map(|contender| Rival { contender, number: "flows_per_second" }),
        }
    });
    let noise = names.first().ok_or("no engine can run")?.clone();
    let measures = measures.collect();
    Ok(Plan { measures, contenders: names, noise, added: Vec::new() })
}

/// The tables are for many rules: there they must beat reading the rules one by one, start, reading
/// and printing of both included.
fn goal(name: &str) -> Option<f64> {
    (name == "compiled at 1000 rules").then_some(1.2)
}

fn write(folder: &Path, rules: usize) -> Outcome<(PathBuf, PathBuf)> {
    let (world_text, flows_text) = world::make(rules, FLOWS, SEED);
    let world = folder.join(format!("world-{rules}.json"));
    let flows = folder.join(format!("flows-{rules}.jsonl"));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&world, world_text))
        .and_then(|()| std::fs::write(&flows, flows_text))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok((world, flows))
}

/// What the engine prints, or the first line of what it complains of.
fn verdicts(contender: &Contender, program: &Path) -> Outcome<Vec<u8>> {
    let output = contender.command(program).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(complaint.lines().next().unwrap_or("failed without a word").to_owned())
}

fn timed(contender: &Contender, program: &Path) -> Outcome<Sample> {
    let nothing = File::options().write(true).open("/dev/null").map_err(|e| e.to_string())?;
    let mut command = contender.command(program);
    command.stdin(Stdio::null()).stdout(nothing);
    let start = Instant::now();
    run::must_succeed(command)?;
    let flows_per_second = FLOWS as f64 / start.elapsed().as_secs_f64();
    Ok(Sample::from([("flows_per_second".to_owned(), flows_per_second)]))
}

#[cfg(test)]
mod tests {
    use super::{Contender, plan};
    use std::path::PathBuf;

    fn contender(engine: &'static str, rules: usize) -> Contender {
        let name = format!("{engine} at {rules} rules");
        Contender { name, engine, world: PathBuf::new(), flows: PathBuf::new() }
    }

    #[test]
    fn each_engine_is_held_against_the_reference_on_the_same_world() {
        let contenders = [
            contender("reference", 100),
            contender("compiled", 100),
            contender("reference", 1_000),
            contender("kernel", 1_000),
        ];
        let plan = plan(&contenders).unwrap();
        let rivals: Vec<Option<&str>> =
            plan.measures.iter().map(|one| Some(one.rival.as_ref()?.contender.as_str())).collect();
        assert_eq!(
            rivals,
            [None, Some("reference at 100 rules"), None, Some("reference at 1000 rules")]
        );
        assert_eq!(plan.noise, "reference at 100 rules");
        assert!(plan.measures.iter().all(|measure| measure.goal.is_none()));
    }

    #[test]
    fn the_tables_have_a_goal_where_there_are_many_rules() {
        let contenders = [contender("reference", 1_000), contender("compiled", 1_000)];
        let plan = plan(&contenders).unwrap();
        assert_eq!(plan.measures[1].goal, Some(1.2));
        assert_eq!(super::plan(&contenders[1..]).unwrap().measures[0].goal, None);
    }
}
