//! The suite `api`: signed durable `AuthorizeSecurityGroupEgress` per second, and descriptions of a
//! thousand rules, of `portcullis serve` beside moto and beside the bare store. The loads run in a
//! program of their own (`lab load`) that starts a fresh server, signs ahead of the clock, checks
//! every answer and prints one line.

use super::frame::{Measure, Plan, Rival, Sample};
use super::{Choice, Prepared, store};
use crate::{Outcome, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pinned rival.
const MOTO: &str = "crates/xtask/src/bench/moto.txt";

/// Bytes of a record's value in the bare store. An authorization of the load writes a rule (a key
/// of 49 bytes and a value of 29) and a nonce (37): as much in one record, whose key there has 37.
const STORE_VALUE_BYTES: &str = "78";

/// What is run in each round: who, what, over how many connections, and how many requests.
const CONTENDERS: &[Contender] = &[
    contender(Server::Portcullis, Work::Authorize, 1, 2_000),
    contender(Server::Portcullis, Work::Authorize, 8, 8_000),
    contender(Server::Portcullis, Work::Authorize, 64, 24_000),
    contender(Server::Portcullis, Work::Describe, 1, 200),
    contender(Server::Portcullis, Work::Describe, 8, 400),
    contender(Server::Portcullis, Work::Describe, 64, 400),
    contender(Server::Moto, Work::Authorize, 1, 200),
    contender(Server::Moto, Work::Authorize, 8, 300),
    contender(Server::Moto, Work::Authorize, 64, 400),
    contender(Server::Moto, Work::Describe, 1, 10),
    contender(Server::Moto, Work::Describe, 8, 24),
    contender(Server::Moto, Work::Describe, 64, 64),
    contender(Server::StoreWriters, Work::Authorize, 64, 40_000),
    contender(Server::StoreGroups, Work::Authorize, 64, 40_000),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Portcullis,
    Moto,
    /// The bare store, with as many writing threads as there are connections.
    StoreWriters,
    /// The bare store, one thread that commits as many records together.
    StoreGroups,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Authorize,
    Describe,
}

#[derive(Debug, Clone, Copy)]
struct Contender {
    server: Server,
    work: Work,
    connections: usize,
    requests: usize,
}

const fn contender(server: Server, work: Work, connections: usize, requests: usize) -> Contender {
    Contender { server, work, connections, requests }
}

impl Contender {
    fn name(&self) -> String {
        let count = self.connections;
        let work = match self.work {
            Work::Authorize => "authorize",
            Work::Describe => "describe 1,000",
        };
        match self.server {
            Server::Portcullis => format!("{work}, {count} conn."),
            Server::Moto => format!("moto {work}, {count} conn."),
            Server::StoreWriters => format!("store, {count} writers"),
            Server::StoreGroups => format!("store, {count} a commit"),
        }
    }

    fn is(&self, server: Server, work: Work, connections: usize) -> bool {
        (self.server, self.work, self.connections) == (server, work, connections)
    }
}

/// The programs of the suite.
struct Programs {
    lab: PathBuf,
    portcullis: PathBuf,
    store: PathBuf,
    moto: PathBuf,
    folder: PathBuf,
}

/// Builds the programs, fetches the rival, and lets everybody show that they can.
pub(super) fn prepare(_: &Choice) -> Outcome<Prepared> {
    run::headline("building portcullis and the load");
    run::must_succeed(run::cargo(&["build", "--release", "-p", "portcullis"]))?;
    run::must_succeed(run::cargo(&["build", "--release", "-p", "portcullis-testkit"]))?;
    let example = ["build", "--release", "-p", "portcullis-store", "--example", "store_bench"];
    run::must_succeed(run::cargo(&example))?;
    let target = run::target_directory()?;
    let folder = target.join("bench/api");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut not_run = Vec::new();
    let moto = target.join("bench/moto");
    if let Err(reason) = fetch_moto(&moto) {
        not_run.push(format!("moto: {reason}"));
    }
    let programs = Programs {
        lab: target.join("release/lab"),
        portcullis: target.join("release/portcullis"),
        store: target.join("release/examples/store_bench"),
        moto: moto.join("bin/moto_server"),
        folder,
    };
    let can_run = |contender: &&Contender| contender.server != Server::Moto || not_run.is_empty();
    let contenders: Vec<Contender> = CONTENDERS.iter().filter(can_run).copied().collect();
    let plan = plan(&contenders)?;
    let run_once = Box::new(move |name: &str| {
        let contender = contenders.iter().find(|contender| contender.name() == name);
        round(contender.ok_or_else(|| format!("no contender `{name}`"))?, &programs)
    });
    Ok(Prepared::whole(plan, run_once, not_run))
}

/// An environment of its own for moto, made once.
fn fetch_moto(folder: &Path) -> Outcome<()> {
    let installed = folder.join("installed.txt");
    let wanted = std::fs::read_to_string(run::root().join(MOTO));
    let wanted = wanted.map_err(|error| format!("{MOTO}: {error}"))?;
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run::headline("fetching moto");
    let place = folder.to_string_lossy();
    run::must_succeed(run::command("python3", &["-m", "venv", "--clear", &place]))?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--requirement", MOTO]).current_dir(run::root());
    run::must_succeed(pip)?;
    std::fs::write(&installed, wanted).map_err(|error| format!("{}: {error}", installed.display()))
}

fn plan(contenders: &[Contender]) -> Outcome<Plan> {
    let names: Vec<String> = contenders.iter().map(Contender::name).collect();
    let mut measures = Vec::new();
    for own in contenders {
        for &(number, unit, higher_is_better) in numbers(own) {
            let compared = comparisons(own, number).into_iter();
            let compared: Vec<_> =
                compared.filter(|(rival, _)| names.contains(&rival.contender)).collect();
            let alone = compared.is_empty().then_some((None, None));
            let compared = compared.into_iter().map(|(rival, goal)| (Some(rival), goal));
            for (rival, goal) in compared.chain(alone) {
                let contender = own.name();
                measures.push(Measure {
                    contender,
                    number,
                    unit,
                    higher_is_better,
                    rival,
                    goal,
                    limit: None,
                });
            }
        }
    }
    let noise = contenders.iter().find(|c| c.is(Server::Portcullis, Work::Authorize, 64));
    let noise = noise.ok_or("nothing can run")?.name();
    Ok(Plan { contenders: names, measures, noise, added: Vec::new() })
}

/// What is told of a contender.
fn numbers(contender: &Contender) -> &'static [(&'static str, &'static str, bool)] {
    const RATE: (&str, &str, bool) = ("per_second", "1/s", true);
    const P50: (&str, &str, bool) = ("p50_us", "us", false);
    const P99: (&str, &str, bool) = ("p99_us", "us", false);
    const CPU: (&str, &str, bool) = ("server_cpu_us", "us", false);
    const BYTES: (&str, &str, bool) = ("answer_bytes", "B", false);
    match (contender.server, contender.work) {
        (Server::StoreWriters | Server::StoreGroups, _) => &[RATE],
        (Server::Portcullis | Server::Moto, Work::Authorize) => &[RATE, P50, P99, CPU],
        (Server::Portcullis | Server::Moto, Work::Describe) => &[RATE, P50, P99, CPU, BYTES],
    }
}

/// Whom a number of ours is held against, and what the ratio should be.
fn comparisons(own: &Contender, number: &'static str) -> Vec<(Rival, Option<f64>)> {
    if own.server != Server::Portcullis {
        return Vec::new();
    }
    let against = |server, number: &'static str| {
        let contender = Contender { server, ..*own }.name();
        Rival { contender, number }
    };
    let is_full = own.is(Server::Portcullis, Work::Authorize, 64);
    match number {
        "per_second" => {
            let moto = (against(Server::Moto, number), is_full.then_some(50.0));
            if !is_full {
                return vec![moto];
            }
            let writers = (against(Server::StoreWriters, number), Some(0.4));
            let groups = (against(Server::StoreGroups, number), Some(0.4));
            vec![moto, writers, groups]
        }
        // The slowest of a hundred is quicker than most of theirs.
        "p99_us" => {
            let goal = (own.work == Work::Authorize).then_some(1.0);
            vec![(against(Server::Moto, "p50_us"), goal)]
        }
        _ => vec![(against(Server::Moto, number), None)],
    }
}

/// One round in a folder of its own, which does not outlive it.
fn round(contender: &Contender, programs: &Programs) -> Outcome<Sample> {
    let scratch = programs.folder.join("round");
    let failed = |error: std::io::Error| format!("{}: {error}", scratch.display());
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).map_err(failed)?;
    }
    std::fs::create_dir_all(&scratch).map_err(failed)?;
    let mut sample = store::sample(&run::output(command(contender, programs, &scratch))?)?;
    if let Some(rate) = sample.remove("records_per_second") {
        sample.insert("per_second".to_owned(), rate);
    }
    std::fs::remove_dir_all(&scratch).map_err(failed)?;
    Ok(sample)
}

fn command(contender: &Contender, programs: &Programs, scratch: &Path) -> Command {
    let (count, requests) = (contender.connections.to_string(), contender.requests.to_string());
    let (server, program) = match contender.server {
        Server::Portcullis => ("portcullis", &programs.portcullis),
        Server::Moto => ("moto", &programs.moto),
        Server::StoreWriters | Server::StoreGroups => {
            let mut command = Command::new(&programs.store);
            let shape =
                if contender.server == Server::StoreGroups { "--group" } else { "--writers" };
            command.args(["--engine", "embedded", "--phase", "write", "--records", &requests]);
            command.args([shape, &count, "--value-bytes", STORE_VALUE_BYTES, "--dir"]).arg(scratch);
            return command;
        }
    };
    let work = if contender.work == Work::Authorize { "authorize" } else { "describe" };
    let mut command = Command::new(&programs.lab);
    command.args(["load", "--server", server, "--work", work, "--connections", &count]);
    command.args(["--requests", &requests, "--program"]).arg(program);
    // The data directory is made below it: on this disk, whatever /tmp is.
    command.env("TMPDIR", scratch);
    command
}

#[cfg(test)]
mod tests {
    use super::{CONTENDERS, Contender, Server, plan};

    #[test]
    fn the_goals_are_those_that_were_set() {
        let plan = plan(CONTENDERS).unwrap();
        let goals: Vec<String> = plan
            .measures
            .iter()
            .filter_map(|one| {
                let (rival, goal) = (one.rival.as_ref()?, one.goal?);
                let theirs = format!("{} of {}", rival.number, rival.contender);
                Some(format!("{} of {} : {theirs} {goal}", one.number, one.contender))
            })
            .collect();
        assert_eq!(
            goals,
            [
                "p99_us of authorize, 1 conn. : p50_us of moto authorize, 1 conn. 1",
                "p99_us of authorize, 8 conn. : p50_us of moto authorize, 8 conn. 1",
                "per_second of authorize, 64 conn. : per_second of moto authorize, 64 conn. 50",
                "per_second of authorize, 64 conn. : per_second of store, 64 writers 0.4",
                "per_second of authorize, 64 conn. : per_second of store, 64 a commit 0.4",
                "p99_us of authorize, 64 conn. : p50_us of moto authorize, 64 conn. 1",
            ]
        );
        assert_eq!(plan.noise, "authorize, 64 conn.");
    }

    #[test]
    fn without_moto_the_rest_is_compared() {
        let own: Vec<Contender> =
            CONTENDERS.iter().filter(|one| one.server != Server::Moto).copied().collect();
        let plan = plan(&own).unwrap();
        assert_eq!(plan.measures.iter().filter(|one| one.rival.is_some()).count(), 2);
        assert!(plan.measures.iter().any(|one| one.number == "answer_bytes"));
        assert!(super::plan(&[]).is_err());
    }
}
