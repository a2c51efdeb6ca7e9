//! Every error of a world file or flow line is a case in `cases/world-errors`: the input, and the
//! error whole.
#![allow(clippy::unwrap_used, clippy::panic)] // All of this is test code.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_wire::world::{InputError, read_flow, read_world};

/// The parts of a case file: `== name` begins each.
fn part<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = text.find(&format!("== {name}\n"))? + name.len() + 4;
    let rest = &text[begin..];
    Some(rest.find("\n== ").map_or(rest, |end| &rest[..end]).trim_end())
}

/// The first error of a world and its flows.
fn error_of(world: &str, flows: &str) -> Option<InputError> {
    let world = match read_world(world) {
        Ok(world) => world,
        Err(error) => return Some(error),
    };
    let mut lines = flows.lines().zip(1..);
    lines.find_map(|(line, number)| read_flow(&world, number, line).err())
}

fn shown(error: Option<&InputError>) -> String {
    error.map_or_else(String::new, |error| {
        let InputError { code, message, help, place } = error;
        format!("code: {code}\nplace: {place}\nmessage: {message}\nhelp: {help}")
    })
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/world-errors");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().unwrap() == "case").collect();
    paths.sort();
    paths
}

#[test]
fn every_error_is_told_with_code_place_message_and_help() {
    let mut failures = String::new();
    let cases = cases();
    for path in &cases {
        let text = fs::read_to_string(path).unwrap();
        let world = part(&text, "world").unwrap();
        let found = shown(error_of(world, part(&text, "flows").unwrap_or("")).as_ref());
        let expected = part(&text, "error").unwrap();
        if found != expected {
            let name = path.file_name().unwrap().to_string_lossy();
            failures += &format!("{name}\nexpected:\n{expected}\nfound:\n{found}\n\n");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(cases.len() > 50, "only {} cases were found", cases.len());
}
