//! The programs in the guide's pages for the users of SDKs: each fence in a language of theirs is
//! run as it stands, but for the server's address. A program says by its exit status whether the
//! server did what the page says.

use super::environment::{Environment, quietly};
use super::playbook;
use super::server::{KEY, SECRET, Server};
use super::{Ground, Row};
use crate::{Outcome, run};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const NAME: &str = "guide";
/// What the pages' programs run in.
pub(crate) const ENVIRONMENTS: [Environment; 6] = [
    Environment::Python("rpc"),
    Environment::Python("tea"),
    Environment::Python("asapi"),
    playbook::ENVIRONMENT,
    Environment::Node,
    Environment::Go,
];
const PAGES: [&str; 4] = ["python.md", "go.md", "node.md", "ansible.md"];
/// The address in the pages.
const SHOWN_HOST: &str = "127.0.0.1:8080";
const SHOWN_PORT: &str = "port=8080";

/// Runs all of them against one server.
pub(crate) fn play(ground: &Ground) -> Outcome<Row> {
    let server = Server::start(&ground.program, &ground.folder, NAME)?;
    let port = server.place.rsplit(':').next().unwrap_or_default();
    let about = "the programs in the guide's pages";
    let mut row = Row { name: NAME, about, passed: 0, steps: 0, complaints: Vec::new() };
    for page in PAGES {
        let path = run::root().join("docs/guide").join(page);
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let programs = programs(&text);
        if programs.is_empty() {
            return Err(format!("docs/guide/{page} shows no program"));
        }
        for (line, kind, program) in programs {
            let program = program.replace(SHOWN_HOST, &server.place);
            let program = program.replace(SHOWN_PORT, &format!("port={port}"));
            row.steps += 1;
            match run_program(&ground.folder, &kind, &program, &server.place) {
                Ok(()) => row.passed += 1,
                Err(message) => row.complaints.push(format!("docs/guide/{page}:{line}: {message}")),
            }
        }
    }
    eprintln!("{NAME}: {} of {}", row.passed, row.steps);
    Ok(row)
}

/// The fences that are programs: line, words behind the backquotes, text.
fn programs(document: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (index, line) in document.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, Some(words)) => open = Some((index + 1, words.to_owned(), String::new())),
            (None, None) => {}
        }
    }
    found.retain(|(_, words, _)| !words.starts_with("console"));
    found
}

fn run_program(folder: &Path, kind: &str, program: &str, place: &str) -> Outcome<()> {
    let home = folder.join("guide");
    let file = |name: &str, text: &[u8]| -> Outcome<PathBuf> {
        let path = home.join(name);
        let written = std::fs::create_dir_all(&home).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    };
    let mut command = match kind.split_once(' ').unwrap_or((kind, "")) {
        ("python", name) => {
            let mut known = ENVIRONMENTS.into_iter();
            let known =
                known.find(|known| matches!(known, Environment::Python(own) if *own == name));
            let environment = known.ok_or_else(|| format!("no environment `{name}`"))?;
            let mut command = Command::new(environment.program(folder, "python"));
            command.arg(file("program.py", program.as_bytes())?);
            command
        }
        ("js", "") => {
            let mut command = Environment::Node.command(folder, &[]);
            command.arg(file("program.js", program.as_bytes())?);
            command
        }
        ("go", "") => {
            for pin in ["go.mod", "go.sum"] {
                let text = std::fs::read(run::root().join("conformance/go").join(pin));
                file(pin, &text.map_err(|error| error.to_string())?)?;
            }
            file("main.go", program.as_bytes())?;
            let mut command = run::command("go", &["run", "."]);
            command.current_dir(&home).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
            command
        }
        ("yaml", "") => {
            playbook::command(folder, &file("playbook.yml", program.as_bytes())?, place)
        }
        _ => return Err(format!("a fence marked `{kind}` cannot be run")),
    };
    command.env("PORTCULLIS_ACCESS_KEY_ID", KEY).env("PORTCULLIS_ACCESS_KEY_SECRET", SECRET);
    quietly(command)
}

#[cfg(test)]
mod tests {
    use super::programs;

    #[test]
    fn finds_the_programs_of_a_page() {
        let page = "text\n```python tea\na\n\nb\n```\n```console\n$ x\n```\n```js\nc\n```\n";
        let found = programs(page);
        let expected = [(2, "python tea", "a\n\nb\n"), (10, "js", "c\n")];
        let found: Vec<_> = found.iter().map(|(l, w, t)| (*l, w.as_str(), t.as_str())).collect();
        assert_eq!(found, expected);
    }
}
