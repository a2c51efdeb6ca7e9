//! `./x conformance`: the real SDKs, unmodified and pinned, against a live server on the loopback
//! interface. Each plays the one scenario in `conformance/scenario.json` through its own models;
//! here the steps are handed out and the answers compared. What actions mean, the scenario says.

mod clients;
mod environment;
mod guide;
mod playbook;
mod scenario;
mod server;

use crate::{Outcome, run};
use clients::{CLIENTS, Client};
use environment::Environment;
use scenario::{Kept, Step};
use serde_json::Value;
use server::{KEY, SECRET, Server};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A client that takes longer than this over one call hangs.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What all clients share.
struct Ground {
    /// Environments, data, certificates, logs.
    folder: PathBuf,
    /// The program under test.
    program: PathBuf,
    /// The certificate of our own authority.
    authority: PathBuf,
}

/// How one client did.
struct Row {
    name: &'static str,
    about: &'static str,
    passed: usize,
    steps: usize,
    complaints: Vec<String>,
}

/// Plays all clients, or those named.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    let clients = CLIENTS.iter().map(|client| client.name);
    let known = || clients.clone().chain(playbook::NAMES).chain([guide::NAME]);
    if let Some(other) = arguments.iter().find(|name| !known().any(|known| known == *name)) {
        let names: Vec<&str> = known().collect();
        return Err(format!("no client `{other}`; there are: {}", names.join(", ")));
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|word| word == name);
    let clients: Vec<&Client> = CLIENTS.iter().filter(|client| wanted(client.name)).collect();
    let mut environments: BTreeSet<_> = clients.iter().map(|client| client.environment).collect();
    let playbooks: Vec<_> = playbook::NAMES.into_iter().filter(|name| wanted(name)).collect();
    if !playbooks.is_empty() {
        environments.insert(playbook::ENVIRONMENT);
    }
    if wanted(guide::NAME) {
        environments.extend(guide::ENVIRONMENTS);
    }
    let start = Instant::now();
    let ground = prepare(&environments)?;
    eprintln!("prepared in {} s", start.elapsed().as_secs());
    let path = run::root().join("conformance/scenario.json");
    let text = std::fs::read_to_string(&path);
    let steps = Step::all(&text.map_err(|error| format!("{}: {error}", path.display()))?)?;
    let mut rows = Vec::new();
    for client in clients {
        rows.push(play(client, &steps, &ground)?);
    }
    for name in playbooks {
        rows.push(playbook::play(&ground, name)?);
    }
    if wanted(guide::NAME) {
        rows.push(guide::play(&ground)?);
    }
    report(&rows, start.elapsed())
}

/// Builds the server and makes every environment, side by side: downloads wait for the network,
/// the compiler for the processor.
fn prepare(environments: &BTreeSet<Environment>) -> Outcome<Ground> {
    let target = run::target_directory()?;
    let folder = target.join("conformance");
    std::fs::create_dir_all(folder.join("data")).map_err(|error| error.to_string())?;
    run::headline("the server and the clients' environments");
    std::thread::scope(|scope| {
        let all = &folder;
        let making: Vec<_> = environments
            .iter()
            .map(|environment| scope.spawn(move || environment.provide(all)))
            .collect();
        let built = run::must_succeed(run::cargo(&["build", "-p", "portcullis"]));
        let made = making.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err("an environment's thread died".to_owned()))
        });
        made.collect::<Outcome<Vec<()>>>().and(built)
    })?;
    let authority = server::certify(&folder)?;
    Ok(Ground { folder, program: target.join("debug/portcullis"), authority })
}

/// Plays the scenario through one client. A step that fails does not stop the next ones: those
/// that needed it fail too.
fn play(client: &'static Client, steps: &[Step], ground: &Ground) -> Outcome<Row> {
    let server = Server::start(&ground.program, &ground.folder, client.name)?;
    let mut driver = client.environment.command(&ground.folder, client.driver);
    let scheme = if client.tls { "https" } else { "http" };
    driver.env("CONFORMANCE_ENDPOINT", format!("{scheme}://{}", server.place));
    if client.tls {
        // The first is for our drivers, the others are how each SDK is told of an authority.
        let names = ["CONFORMANCE_CA", "ALIBABA_CLOUD_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
        for name in names.into_iter().chain(["SSL_CERT_FILE"]) {
            driver.env(name, &ground.authority);
        }
    }
    let (mut calls, outcomes) = converse(driver, &ground.folder, client.name)?;
    // What the steps call `$temporary_key` and so on.
    let temporary = Server::temporary_key(&ground.program, &ground.folder, client.name)?;
    let mut kept = Kept::from([
        ("temporary_key".to_owned(), temporary.key),
        ("temporary_secret".to_owned(), temporary.secret),
        ("temporary_token".to_owned(), temporary.token),
    ]);
    let mut row = Row {
        name: client.name,
        about: client.about,
        passed: 0,
        steps: steps.len(),
        complaints: Vec::new(),
    };
    for step in steps {
        let call = step.call(&kept, KEY, SECRET);
        let told = exchange(&mut calls, &outcomes, &call);
        let checked = told.and_then(|told| step.check(&told, client.shape, client.name, &mut kept));
        match checked {
            Ok(()) => row.passed += 1,
            Err(message) => row.complaints.push(format!("{}: {message}", step.name)),
        }
    }
    eprintln!("{}: {} of {}", row.name, row.passed, row.steps);
    Ok(row)
}

/// Starts a driver; its outcomes are read by a thread, so that waiting for one has an end. The
/// driver ends when its input does.
fn converse(
    mut driver: Command,
    folder: &Path,
    name: &str,
) -> Outcome<(ChildStdin, Receiver<String>)> {
    let log = std::fs::File::create(folder.join(format!("client-{name}.log")));
    driver.stdin(Stdio::piped()).stdout(Stdio::piped());
    driver.stderr(log.map_err(|error| error.to_string())?);
    let mut child =
        driver.spawn().map_err(|error| format!("`{}`: {error}", run::shown(&driver)))?;
    let calls = child.stdin.take().ok_or("the driver has no standard input")?;
    let stdout = child.stdout.take().ok_or("the driver has no standard output")?;
    let (send, outcomes) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
        let _ = child.wait();
    });
    Ok((calls, outcomes))
}

fn exchange(calls: &mut ChildStdin, outcomes: &Receiver<String>, call: &Value) -> Outcome<Value> {
    writeln!(calls, "{call}").map_err(|error| format!("the driver is gone: {error}"))?;
    let line = outcomes.recv_timeout(CALL_TIMEOUT);
    let line = line.map_err(|_| "the driver is gone, or hangs".to_owned())?;
    serde_json::from_str(&line).map_err(|error| format!("the driver said {line}: {error}"))
}

fn report(rows: &[Row], took: Duration) -> Outcome<()> {
    println!();
    for row in rows {
        println!("{:<12} {:>3} of {:<3} {}", row.name, row.passed, row.steps, row.about);
        for complaint in &row.complaints {
            println!("    {complaint}");
        }
    }
    let passed: usize = rows.iter().map(|row| row.passed).sum();
    let failed: usize = rows.iter().map(|row| row.steps - row.passed).sum();
    println!("\n{} clients in {} s", rows.len(), took.as_secs());
    println!("{passed} passed, {failed} failed");
    if failed == 0 { Ok(()) } else { Err("a client was not served as it expects".to_owned()) }
}
