//! Running other programs from the repository's root: one place for headlines, environments and
//! errors that name the command. It does not know what the programs mean.

use crate::Outcome;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's root: two levels above this crate, as it was when this program was compiled.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// A command that starts in the repository's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Cargo, the same one that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&cargo, arguments)
}

/// Prints what is about to happen.
pub(crate) fn headline(text: &str) {
    eprintln!("\n== {text}");
}

/// Runs a command with its output on the terminal; anything but success is an error.
pub(crate) fn must_succeed(mut command: Command) -> Outcome<()> {
    let status = command.status().map_err(|error| cannot_start(&command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", shown(&command))) }
}

/// Runs a command and returns what it printed; its errors go to the terminal.
pub(crate) fn output(mut command: Command) -> Outcome<String> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| cannot_start(&command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}`: {}", shown(&command), output.status));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("`{}` printed something other than UTF-8", shown(&command)))
}

/// Runs a command, passes every line it prints on to the terminal and to `see`, and returns whether
/// it ended well.
pub(crate) fn streamed(mut command: Command, mut see: impl FnMut(&str)) -> Outcome<bool> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
    let stdout = child.stdout.take().ok_or("the child has no standard output")?;
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if count == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        see(text.trim_end());
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    Ok(status.success())
}

/// What `cargo metadata` says about our own crates.
pub(crate) fn metadata() -> Outcome<Value> {
    let text = output(cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// The folder that cargo builds into.
pub(crate) fn target_directory() -> Outcome<PathBuf> {
    let metadata = metadata()?;
    let path = metadata.get("target_directory").and_then(Value::as_str);
    path.map(PathBuf::from).ok_or_else(|| "cargo metadata names no target_directory".to_owned())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut text = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", shown(command))
}
