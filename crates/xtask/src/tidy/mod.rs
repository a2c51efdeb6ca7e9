//! `./x tidy`: the house rules that no other tool checks. The rules are pure functions from files
//! to findings; only this file reads the disk.

mod arrows;
mod documents;
mod source;
mod words;

use crate::{CHORES, Outcome, run};
use std::fmt;

/// One file of the repository, by its path from the root.
#[derive(Debug)]
pub(crate) struct File {
    path: String,
    text: String,
}

/// One broken rule and its place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks the whole repository and prints what it finds.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    if !arguments.is_empty() {
        return Err("takes no arguments".to_owned());
    }
    let (files, paths) = collect()?;
    let chores: Vec<&str> = CHORES.iter().map(|chore| chore.name).collect();
    let mut findings = arrows::check(&run::metadata()?)?;
    for file in &files {
        findings.extend(words::check(file));
        findings.extend(source::check(file));
    }
    findings.extend(documents::check(&files, &paths, &chores));
    findings.sort();
    findings.iter().for_each(|finding| println!("{finding}"));
    match findings.len() {
        0 => {
            println!("tidy: {} files, nothing found", files.len());
            Ok(())
        }
        count => Err(format!("{count} findings")),
    }
}

/// All text files that git knows or would take, and the paths of all files.
fn collect() -> Outcome<(Vec<File>, Vec<String>)> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = run::output(run::command("git", &list))?;
    let root = run::root();
    let mut files = Vec::new();
    let mut paths = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A file that was deleted but not yet staged is still listed.
        let Ok(bytes) = std::fs::read(root.join(path)) else {
            continue;
        };
        paths.push(path.to_owned());
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    paths.sort();
    paths.dedup();
    Ok((files, paths))
}
