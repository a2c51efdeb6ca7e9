//! The documents say what the program does: their commands run, and what they mention exists. What
//! the commands are for stands in the documents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use portcullis_testkit::capability::need;
use portcullis_testkit::docs::{Setting, check_mention, mentions, read, run};
use portcullis_testkit::netns;
use std::path::{Path, PathBuf};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Every Markdown file at the root and under `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("docs")];
    let at_root = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    found.extend(at_root.filter(|path| is_document(path)));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if is_document(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// Runs one document in a fresh folder that has what lies beside it.
fn run_document(path: &Path, as_root: bool) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let from = entry.unwrap().path();
        if from.is_file() && !is_document(&from) && from.parent() != Some(&root()) {
            std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
        }
    }
    let programs = Path::new(PROGRAM).parent().unwrap().to_path_buf();
    let setting = Setting { programs, folder: folder.path().to_path_buf(), root: as_root };
    let text = std::fs::read_to_string(path).unwrap();
    read(&text).and_then(|shown| run(&shown, &setting))
}

fn run_documents(as_root: bool) -> Vec<String> {
    let mut failures = Vec::new();
    let mut ran = 0;
    for path in documents() {
        match run_document(&path, as_root) {
            Ok(count) => ran += count,
            Err(message) => failures.push(format!("{}: {message}", path.display())),
        }
    }
    assert!(ran > 0 || !failures.is_empty(), "no document shows a command");
    failures
}

#[test]
fn the_commands_of_the_documents_run() {
    let failures = run_documents(false);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_commands_of_the_documents_run_as_root() {
    if need("documents, as root", netns::available) {
        let failures = run_documents(true);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

#[test]
fn what_the_documents_mention_exists() {
    let mut failures = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for mention in mentions(&text) {
            if let Err(message) = check_mention(Path::new(PROGRAM), &mention) {
                failures.push(format!("{}: {message}", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
