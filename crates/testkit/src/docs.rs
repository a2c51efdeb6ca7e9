//! Runs the commands that a document shows. It reads Markdown, types each command into one shell
//! per document and compares what comes back; what the commands mean it does not know.
//!
//! Only fences marked `console` are run. In them a line that starts with `$ ` is a command, a line
//! that starts with `> ` goes on with it, and what follows is what it must print: `[..]` stands for
//! any text within a line, a line `...` for any number of lines, one space for many. A command
//! without lines after it may print what it likes. Every command must succeed. More words after
//! `console` say when: `long` is never run, `root` only where the caller allows it, and then the
//! whole document runs in network and mount namespaces of its own, with nothing but the loopback
//! device.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A command that takes longer than this belongs into a fence marked `long`.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// What a command complains of is part of what the reader sees.
const OPENING: &str = "exec 2>&1";

/// The namespaces are empty: the loopback device has to be raised. What a document makes there
/// (other namespaces, pins) vanishes with it and does not meet the machine's.
const OPENING_AS_ROOT: &str = "exec 2>&1; mount -t tmpfs none /run \
    && mount -t bpf none /sys/fs/bpf && ip link set lo up";

/// Printed by the shell after each command, followed by its exit status.
const END_MARK: &str = "--end-of-command--";

/// One command of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The line of the document on which it stands, from 1.
    pub line: usize,
    /// What to type.
    pub command: String,
    /// What it must print; nothing said when empty.
    pub expected: Vec<String>,
    /// Whether it needs the rights of root and a kernel that enforces.
    pub root: bool,
}

/// Where and how the commands of a document run.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Put in front of `PATH`: the folder of the programs that the document speaks of.
    pub programs: PathBuf,
    /// The folder that the commands start in; also their `HOME`.
    pub folder: PathBuf,
    /// Whether fences marked `root` are run; takes root.
    pub root: bool,
}

/// All commands of a document that a test can run, in order.
///
/// # Errors
/// A `console` fence that does not begin with a command, or has a word that means nothing here.
pub fn read(document: &str) -> Result<Vec<Shown>, String> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut fence: Option<Fence> = None;
    for (index, line) in document.lines().enumerate() {
        let place = index + 1;
        if let Some(info) = line.trim_start().strip_prefix("```") {
            fence = match fence {
                Some(_) => None,
                None => Some(Fence::parse(info, place)?),
            };
            continue;
        }
        let Some(fence) = fence.as_mut().filter(|fence| fence.console && !fence.long) else {
            continue;
        };
        if let Some(command) = line.strip_prefix("$ ") {
            fence.begun = true;
            let command = command.to_owned();
            shown.push(Shown { line: place, command, expected: Vec::new(), root: fence.root });
            continue;
        }
        let Some(last) = shown.last_mut().filter(|_| fence.begun) else {
            return Err(format!("line {place}: a console fence begins with `$ ` and a command"));
        };
        match line.strip_prefix("> ") {
            Some(more) if last.expected.is_empty() && last.command.ends_with('\\') => {
                last.command.push('\n');
                last.command.push_str(more);
            }
            _ => last.expected.push(line.to_owned()),
        }
    }
    Ok(shown)
}

struct Fence {
    console: bool,
    long: bool,
    root: bool,
    begun: bool,
}

impl Fence {
    fn parse(info: &str, place: usize) -> Result<Fence, String> {
        let mut words = info.split_whitespace();
        let console = words.next() == Some("console");
        let mut fence = Fence { console, long: false, root: false, begun: false };
        for word in words.filter(|_| console) {
            match word {
                "long" => fence.long = true,
                "root" => fence.root = true,
                other => return Err(format!("line {place}: `{other}` means nothing on a fence")),
            }
        }
        Ok(fence)
    }
}

/// Runs the commands in one shell, in order, and returns how many ran.
///
/// # Errors
/// The first command that fails, takes too long or prints something else than the document says.
pub fn run(shown: &[Shown], setting: &Setting) -> Result<usize, String> {
    let mut shell = Shell::start(setting)?;
    let mut count = 0;
    for one in shown.iter().filter(|one| setting.root || !one.root) {
        let told = |message: String| format!("line {}: `{}`: {message}", one.line, one.command);
        let (printed, status) = shell.type_in(&one.command).map_err(told)?;
        if status != 0 {
            return Err(told(format!("exit status {status}; it printed:\n{}", printed.join("\n"))));
        }
        if !one.expected.is_empty() && !same(&one.expected, &printed) {
            let (expected, printed) = (one.expected.join("\n"), printed.join("\n"));
            return Err(told(format!("the document says:\n{expected}\nit printed:\n{printed}")));
        }
        count += 1;
    }
    Ok(count)
}

/// One shell, in a process group of its own, so that what it leaves running ends with it.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn start(setting: &Setting) -> Result<Shell, String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(if setting.root { "unshare" } else { "bash" });
        if setting.root {
            command.args(["--net", "--mount", "bash"]);
        }
        command
            .args(["--noprofile", "--norc"])
            .current_dir(&setting.folder)
            .env("HOME", &setting.folder)
            .env("PATH", format!("{}:{path}", setting.programs.display()))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PORTCULLIS_") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().map_err(|error| format!("cannot start bash: {error}"))?;
        let input = child.stdin.take().ok_or("bash has no input")?;
        let output = child.stdout.take().ok_or("bash has no output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut shell = Shell { child, input, lines };
        match shell.type_in(if setting.root { OPENING_AS_ROOT } else { OPENING })? {
            (_, 0) => Ok(shell),
            (printed, _) => Err(format!("the shell cannot begin: {}", printed.join("; "))),
        }
    }

    /// Types a command, waits for its end, and returns its lines and its exit status.
    fn type_in(&mut self, command: &str) -> Result<(Vec<String>, i32), String> {
        let typed = format!("{command}\nprintf '\\n%s %s\\n' '{END_MARK}' \"$?\"\n");
        self.input
            .write_all(typed.as_bytes())
            .and_then(|()| self.input.flush())
            .map_err(|error| format!("the shell is gone: {error}"))?;
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let mut printed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => match line.strip_prefix(END_MARK) {
                    Some(status) => {
                        let status = status.trim().parse().map_err(|_| "no exit status")?;
                        // The mark stands on a line of its own even where the last line was open.
                        if printed.last().is_some_and(String::is_empty) {
                            printed.pop();
                        }
                        return Ok((printed, status));
                    }
                    None => printed.push(line),
                },
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = COMMAND_TIMEOUT.as_secs();
                    return Err(format!(
                        "not done after {seconds} s; so far:\n{}",
                        printed.join("\n")
                    ));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("it ended the shell, after:\n{}", printed.join("\n")));
                }
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The group is ours alone: the shell was made its leader. Without a number there is none.
        if let Ok(leader) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// Whether the printed lines are what the document says.
fn same(expected: &[String], printed: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return printed.is_empty() };
    if first == "..." {
        return (0..=printed.len()).any(|skipped| same(rest, &printed[skipped..]));
    }
    let Some((line, others)) = printed.split_first() else { return false };
    same_line(&one_space(first), &one_space(line)) && same(rest, others)
}

/// Spaces are there to align columns, whose widths follow their content: one is as good as many.
fn one_space(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether one line is what the document says, with `[..]` for any text.
fn same_line(expected: &str, printed: &str) -> bool {
    let Some((head, tail)) = expected.split_once("[..]") else { return expected == printed };
    let Some(rest) = printed.strip_prefix(head) else { return false };
    let ends = rest.char_indices().map(|(index, _)| index).chain([rest.len()]);
    ends.into_iter().any(|index| same_line(tail, &rest[index..]))
}

/// A `portcullis` command that a document speaks of, in a code span or in a fence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// The line of the document, from 1.
    pub line: usize,
    /// The subcommand, with its own verb where it has one.
    pub subcommand: String,
    /// The long options that are given to it.
    pub options: Vec<String>,
}

/// Every `portcullis WORD … --option` in the code spans and fences of a document.
pub fn mentions(document: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in document.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.extend(mention(index + 1, line));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.filter_map(|span| mention(index + 1, span)));
        }
    }
    found
}

fn mention(line: usize, text: &str) -> Option<Mention> {
    let text = text.strip_prefix("$ ").unwrap_or(text);
    let mut words = text.split_whitespace().peekable();
    // Environment variables may stand before the program.
    let program = words.by_ref().find(|word| !word.contains('=') && *word != "sudo")?;
    if program != "portcullis" {
        return None;
    }
    let subcommand =
        words.next().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))?;
    let is_verb = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let verb = words.next_if(|word| word.starts_with(char::is_alphabetic) && is_verb(word));
    let subcommand = [Some(subcommand), verb].into_iter().flatten().collect::<Vec<_>>().join(" ");
    // Behind `--` another program's words begin.
    let until = |word: &&str| !matches!(*word, "--" | "|" | ">" | "&" | "&&" | ";" | "2>&1");
    let options = words
        .take_while(until)
        .map(|word| word.trim_matches(['[', ']', ',']))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.split('=').next().unwrap_or(word).to_owned())
        .collect();
    Some(Mention { line, subcommand, options })
}

/// Whether the program knows the subcommand and the options, by its own help.
///
/// # Errors
/// Names what the program does not know.
pub fn check_mention(program: &Path, mention: &Mention) -> Result<(), String> {
    let output = Command::new(program)
        .args(mention.subcommand.split(' '))
        .arg("--help")
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", program.display()))?;
    let Mention { line, subcommand, options } = mention;
    if !output.status.success() {
        return Err(format!("line {line}: dead command: `portcullis {subcommand}`"));
    }
    let help = String::from_utf8_lossy(&output.stdout);
    let known: Vec<&str> = help
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--"))
        .collect();
    match options.iter().find(|option| !known.contains(&option.as_str())) {
        Some(option) => {
            Err(format!("line {line}: dead option: `portcullis {subcommand} {option}`"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Setting, Shown, mentions, read, run, same_line};
    use crate::capability::need;

    fn outcome(document: &str, root: bool) -> Result<usize, String> {
        let name = format!("documents-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let setting = Setting { programs: folder.clone(), folder: folder.clone(), root };
        let outcome = read(document).and_then(|shown| run(&shown, &setting));
        std::fs::remove_dir_all(&folder).unwrap();
        outcome
    }

    #[test]
    fn reads_commands_and_what_they_print() {
        let document = "text\n```console\n$ echo a \\\n> b\na b\n$ true\n```\n\
                        ```sh\n$ rm -r /\n```\n\
                        ```console long\n$ ./x test\n```\n```console root\n$ ip link\n```\n";
        let shown = read(document).unwrap();
        assert_eq!(
            shown[0],
            Shown {
                line: 3,
                command: "echo a \\\nb".to_owned(),
                expected: vec!["a b".to_owned()],
                root: false
            }
        );
        let commands: Vec<(&str, bool)> =
            shown.iter().map(|one| (one.command.as_str(), one.root)).collect();
        assert_eq!(commands[1..], [("true", false), ("ip link", true)]);
    }

    #[test]
    fn refuses_fences_that_it_cannot_read() {
        assert!(read("```console\noutput first\n```\n").is_err());
        assert!(read("```console quick\n$ true\n```\n").is_err());
    }

    #[test]
    fn one_shell_serves_a_whole_document() {
        let document = "```console\n$ word=gate; cd /\n```\n\
                        ```console\n$ echo \"$word in $(pwd)\"\n\
                        gate in /\n```\n";
        assert_eq!(outcome(document, false), Ok(2));
    }

    #[test]
    fn output_is_compared_where_it_is_shown() {
        let fence = |lines: &str| format!("```console\n{lines}\n```\n");
        assert_eq!(outcome(&fence("$ echo sg-4f2a; printf open\nsg-[..]\nopen"), false), Ok(1));
        assert_eq!(outcome(&fence("$ seq 9\n1\n...\n8\n9"), false), Ok(1));
        assert_eq!(outcome(&fence("$ seq 9"), false), Ok(1));
        assert_eq!(outcome(&fence("$ echo 'a    b '\na b"), false), Ok(1));
        let error = outcome(&fence("$ echo a >&2\nb"), false).unwrap_err();
        assert_eq!(error, "line 2: `echo a >&2`: the document says:\nb\nit printed:\na");
        assert!(outcome(&fence("$ seq 3\n1\n2"), false).is_err());
    }

    #[test]
    fn a_command_that_fails_fails_the_document() {
        let error = outcome("```console\n$ echo no; false\n```\n", false).unwrap_err();
        assert_eq!(error, "line 2: `echo no; false`: exit status 1; it printed:\nno");
        let error = outcome("```console\n$ exit 3\n$ true\n```\n", false).unwrap_err();
        assert!(error.starts_with("line 2: `exit 3`: "), "{error}");
    }

    #[test]
    fn fences_for_root_run_where_allowed() {
        let document = "```console root\n$ false\n```\n```console\n$ true\n```\n";
        assert_eq!(outcome(document, false), Ok(1));
        if need("documents", crate::netns::available) {
            assert!(outcome(document, true).is_err());
        }
    }

    #[test]
    fn fences_for_root_see_the_loopback_device_only() {
        if need("documents", crate::netns::available) {
            let document = "```console root\n$ ip -brief link\nlo [..]\n```\n";
            assert_eq!(outcome(document, true), Ok(1));
        }
    }

    #[test]
    fn a_wildcard_stands_for_any_text() {
        assert!(same_line("a [..] c", "a b b c"));
        assert!(same_line("[..]", ""));
        assert!(same_line("[..]x[..]", "yxz"));
        assert!(!same_line("a [..] c", "a b"));
        assert!(!same_line("a", "ab"));
    }

    #[test]
    fn finds_the_commands_that_a_document_speaks_of() {
        let document = "Run `portcullis serve --listen ADDR [--no-agent]` or\n\
                        `cargo build -p portcullis`.\n\
                        ```console\n$ A=1 portcullis bind eni-1 tap0 | grep --quiet x\n\
                        $ portcullis run --dns A -- x --y\n```\n\
                        `portcullis` alone, `portcullis --help`.\n";
        let found = mentions(document);
        let told: Vec<(usize, &str, Vec<&str>)> = found
            .iter()
            .map(|one| {
                let options = one.options.iter().map(String::as_str).collect();
                (one.line, one.subcommand.as_str(), options)
            })
            .collect();
        let expected = [
            (1, "serve", vec!["--listen", "--no-agent"]),
            (4, "bind", vec![]),
            (5, "run", vec!["--dns"]),
        ];
        assert_eq!(told, expected);
    }
}
