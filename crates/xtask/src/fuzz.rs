//! `./x fuzz`: every decoder against inputs that its coverage suggests, a minute each. The seeds
//! are those that `./x test` runs; the fuzzer is libFuzzer, built with the stable compiler's own
//! coverage flags, so that nothing needs to be installed.

use crate::{Outcome, run};
use std::path::{Path, PathBuf};

/// How long each target runs unless told otherwise, in seconds.
const SECONDS_DEFAULT: u64 = 60;
/// Most bytes of an input: as much as the largest seed, with room.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// An input that takes longer is a finding, in seconds.
const INPUT_SECONDS_MAX: u64 = 10;

/// What libFuzzer needs the compiler to put in.
const FLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Builds the targets and runs those that are named, or all.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    let (named, seconds) = read(arguments)?;
    let folder = run::root().join("fuzz");
    let targets = targets(&folder)?;
    if let Some(unknown) = named.iter().find(|name| !targets.contains(name)) {
        return Err(format!("there is no target `{unknown}`; there are {}", targets.join(", ")));
    }
    let chosen = if named.is_empty() { targets } else { named };
    run::headline("writing the seeds");
    let corpus = folder.join("corpus");
    let mut seeds = run::cargo(&["test", "-p", "portcullis-server", "--test", "seeds"]);
    seeds.env("PORTCULLIS_SEEDS", &corpus);
    run::must_succeed(seeds)?;
    let programs = build(&folder)?;
    let mut found = Vec::new();
    for target in chosen {
        run::headline(&format!("{target}: {seconds} s"));
        let program = programs.join(&target);
        let artifacts = folder.join("artifacts").join(&target);
        std::fs::create_dir_all(&artifacts).map_err(|error| error.to_string())?;
        let mut command = run::command(&program.display().to_string(), &[]);
        command
            .arg(corpus.join(&target))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg("-print_final_stats=1");
        if run::must_succeed(command).is_err() {
            found.push(target);
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "found something in {}; the inputs are in fuzz/artifacts. Mend it, and keep the input in \
         fuzz/seeds",
        found.join(", ")
    ))
}

/// Names, and `--seconds N`.
fn read(arguments: &[String]) -> Outcome<(Vec<String>, u64)> {
    let (mut named, mut seconds) = (Vec::new(), SECONDS_DEFAULT);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|text| text.parse().ok());
            seconds = number.ok_or("--seconds takes a number")?;
        } else {
            named.push(word.clone());
        }
    }
    Ok((named, seconds))
}

/// The programs of the fuzz crate.
fn targets(folder: &Path) -> Outcome<Vec<String>> {
    let entries = std::fs::read_dir(folder.join("fuzz_targets")).map_err(|e| e.to_string())?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds them all; the folder of the programs.
fn build(folder: &Path) -> Outcome<PathBuf> {
    let host = run::output(run::command("rustc", &["--print", "host-tuple"]))?;
    let host = host.trim();
    let target = run::target_directory()?.join("fuzz");
    let manifest = folder.join("Cargo.toml").display().to_string();
    let mut command =
        run::cargo(&["build", "--release", "--manifest-path", &manifest, "--target", host]);
    // With a target named the flags do not reach the programs that run while building.
    command.env("RUSTFLAGS", FLAGS.join(" ")).env("CARGO_TARGET_DIR", &target);
    run::must_succeed(command)?;
    Ok(target.join(host).join("release"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_may_be_named_and_the_time_set() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let read_words = |text| read(&words(text));
        assert_eq!(read(&[]), Ok((vec![], SECONDS_DEFAULT)));
        assert_eq!(read_words("form --seconds 5 json"), Ok((words("form json"), 5)));
        assert!(read_words("--seconds").is_err() && read_words("--seconds x").is_err());
    }

    #[test]
    fn every_program_is_a_target() {
        let names = targets(&run::root().join("fuzz")).unwrap();
        assert!(names.len() > 10 && names.contains(&"carrier".to_owned()), "{names:?}");
    }
}
