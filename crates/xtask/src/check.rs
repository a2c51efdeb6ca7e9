//! `./x test` and `./x ci`: which checks there are, in which order, and how their outcome is told.
//! The checks themselves are cargo's, tidy's and the tests'.

use crate::tally::Tally;
use crate::{Outcome, conformance, datapath, deny, run, tidy};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

/// Set for the tests when a suite that cannot run has to fail.
const REQUIRE_ALL: &str = "PORTCULLIS_REQUIRE_ALL";
/// Names the file to which the tests append `suite: reason` for each suite that cannot run.
const NOT_RUN: &str = "PORTCULLIS_NOT_RUN";

/// A check that is not a test of cargo's.
type Check = (&'static str, fn() -> Outcome<()>);

const CHECKS: &[Check] = &[
    ("format", || run::must_succeed(run::cargo(&["fmt", "--all", "--check"]))),
    ("tidy", || tidy::run(&[])),
    ("clippy", clippy),
    ("documentation", documentation),
];

/// Every check, then every test; closes with the suites not run and the sum.
pub(crate) fn test(arguments: &[String]) -> Outcome<()> {
    let require_all = match arguments {
        [] => std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false"),
        [only] if only == "--all" => true,
        _ => return Err("takes nothing but --all".to_owned()),
    };
    let mut tally = Tally::default();
    let mut complaints = Vec::new();
    let mut not_run = BTreeSet::new();
    for (name, check) in CHECKS {
        run::headline(name);
        let start = Instant::now();
        let outcome = check();
        tally.check(outcome.is_ok());
        eprintln!("{name}: {} s", start.elapsed().as_secs());
        if let Err(message) = outcome {
            eprintln!("{name}: {message}");
            complaints.push(format!("{name}: {message}"));
        }
    }
    run::headline("kernel object");
    match datapath::verify() {
        Ok(datapath::Verified::Same) => tally.check(true),
        Ok(datapath::Verified::NotRun(reason)) => {
            if require_all {
                tally.check(false);
                complaints.push(format!("kernel object: cannot be checked: {reason}"));
            }
            not_run.insert(format!("kernel object: {reason}"));
        }
        Err(message) => {
            tally.check(false);
            complaints.push(format!("kernel object: {message}"));
        }
    }
    run::headline("tests");
    let start = Instant::now();
    if let Err(message) = cargo_test(require_all, &mut tally, &mut not_run) {
        complaints.push(message);
    }
    eprintln!("tests: {} s", start.elapsed().as_secs());
    close(&tally, &complaints, &not_run)
}

/// What the build machine runs.
pub(crate) fn ci(arguments: &[String]) -> Outcome<()> {
    if !arguments.is_empty() {
        return Err("takes no arguments".to_owned());
    }
    let tested = test(&["--all".to_owned()]);
    run::headline("conformance");
    let conforming = conformance::run(&[]);
    run::headline("deny");
    deny::run(&[]).and(conforming).and(tested)
}

fn clippy() -> Outcome<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run::must_succeed(run::cargo(&arguments))
}

fn documentation() -> Outcome<()> {
    let mut command = run::cargo(&["doc", "--no-deps", "--workspace"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run::must_succeed(command)
}

fn cargo_test(require_all: bool, tally: &mut Tally, not_run: &mut BTreeSet<String>) -> Outcome<()> {
    let file = run::target_directory()?.join("suites-not-run.txt");
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))
        .and_then(|()| std::fs::write(&file, ""))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = run::cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.env(NOT_RUN, &file);
    if require_all {
        command.env(REQUIRE_ALL, "1");
    } else {
        command.env_remove(REQUIRE_ALL);
    }
    let failed_before = tally.failed;
    let well = run::streamed(command, |line| tally.see(line))?;
    let told = std::fs::read_to_string(&file).unwrap_or_default();
    not_run.extend(told.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    if !well && tally.failed == failed_before {
        // It did not compile, or a test program died without a closing line.
        tally.check(false);
    }
    if well { Ok(()) } else { Err("tests: see above".to_owned()) }
}

fn close(tally: &Tally, complaints: &[String], not_run: &BTreeSet<String>) -> Outcome<()> {
    println!();
    if !complaints.is_empty() {
        println!("Failed:");
        complaints.iter().for_each(|line| println!("  {line}"));
    }
    if not_run.is_empty() {
        println!("Suites not run: none");
    } else {
        println!("Suites not run:");
        not_run.iter().for_each(|line| println!("  {line}"));
    }
    println!("{}", tally.summary());
    if complaints.is_empty() && tally.failed == 0 {
        Ok(())
    } else {
        Err("not everything passed".to_owned())
    }
}
