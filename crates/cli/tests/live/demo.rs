//! The demo as a user starts it: what it prints, what it leaves behind, and how it is talked to.

use super::{PATIENCE, program};
use portcullis_testkit::capability::need;
use portcullis_testkit::lab::product::{pinned_instances, remove_leftovers};
use portcullis_testkit::{lab, netns};
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// From the first line of the demo to its last.
const DEMO_TIMEOUT: Duration = Duration::from_secs(60);

/// The laboratory's program, which is built beside ours.
fn lab_program() -> Result<PathBuf, String> {
    let path = program().with_file_name("lab");
    if path.exists() { Ok(path) } else { Err(format!("{} is not built", path.display())) }
}

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(lab_program().unwrap());
    command.arg("demo").args(arguments).env("PORTCULLIS_BIN", program());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn leaves_nothing(process: u32) {
    assert_eq!(netns::made_by(process).unwrap(), Vec::<String>::new(), "namespaces are left");
    let ours = format!("lab-{process}-");
    let pinned = pinned_instances();
    assert!(!pinned.iter().any(|name| name.starts_with(&ours)), "pins are left: {pinned:?}");
    let locks = Path::new("/run/portcullis").read_dir().into_iter().flatten().flatten();
    let mut locks = locks.filter_map(|entry| entry.file_name().into_string().ok());
    assert_eq!(locks.find(|name| name.starts_with(&ours)), None, "a lock is left");
    let kept = std::env::temp_dir().read_dir().unwrap().flatten();
    let mut kept = kept.filter_map(|entry| entry.file_name().into_string().ok());
    let ours = format!("portcullis-lab-{process}-");
    assert_eq!(kept.find(|name| name.starts_with(&ours)), None, "data is left");
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[test]
fn it_shows_every_flow_as_expected_and_leaves_nothing() {
    if !need("live", lab::available) || !need("demo", || lab_program().map(|_| ())) {
        return;
    }
    let child = demo(&[]).spawn().unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Everything went as expected."), "{text}");
    assert!(text.contains("POST /apsara/route/Ecs/AuthorizeSecurityGroupEgress"), "{text}");
    assert_eq!(text.matches('✗').count(), 0, "{text}");
    assert!(text.matches('✓').count() >= 15, "{text}");
    leaves_nothing(process);
}

#[test]
fn where_nothing_can_be_enforced_it_says_so_and_ends_well() {
    if !need("demo", || lab_program().map(|_| ())) {
        return;
    }
    // A place where everybody may look, which the folder of a build need not be.
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let copied = |from: &Path| {
        let to = place.path().join(from.file_name().unwrap());
        std::fs::copy(from, &to).unwrap();
        to
    };
    let (lab, portcullis) = (copied(&lab_program().unwrap()), copied(program()));
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(lab);
        command
    } else {
        Command::new(lab)
    };
    command.arg("demo").env("PORTCULLIS_BIN", portcullis).env("TMPDIR", "/tmp");
    let output = command.output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for part in ["not enforced here", "  • root", "NotEnforced", "Everything went as expected."] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// A demo that was left running, ended when it is dropped.
struct Kept {
    child: Child,
    lines: Receiver<String>,
}

impl Kept {
    fn start() -> Self {
        // A group of its own, as a shell makes one: a signal to it reaches all that is in it.
        let mut child = demo(&["--keep"]).process_group(0).spawn().unwrap();
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let streams: [Box<dyn Read + Send>; 2] = [Box::new(out), Box::new(err)];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// The next line that contains this.
    fn line(&self, part: &str) -> String {
        let deadline = Instant::now() + DEMO_TIMEOUT;
        let mut seen = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {part:?} in:\n{seen}");
            };
            if line.contains(part) {
                return line;
            }
            seen = seen + &line + "\n";
        }
    }

    /// Sends a signal to its whole group, as Ctrl-C does, and waits for the end.
    fn end(&mut self, signal: &str) -> std::process::ExitStatus {
        let group = format!("-{}", self.child.id());
        assert!(Command::new("kill").args([signal, "--", &group]).status().unwrap().success());
        portcullis_testkit::wait::until("the demo to end", PATIENCE, || {
            self.child.try_wait().map_err(|error| error.to_string())
        })
        .unwrap()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = netns::remove_leftovers();
        let _ = remove_leftovers(program());
    }
}

#[test]
fn left_running_it_can_be_talked_to() {
    if !need("live", lab::available) || !need("demo", || lab_program().map(|_| ())) {
        return;
    }
    let mut kept = Kept::start();
    let curl = kept.line("with curl:");
    let command = curl.split_once(':').unwrap().1;
    let sdk = kept.line("with the SDK:");
    kept.line("Ctrl-C ends it");

    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("8443/8443"), "the new rule is not there: {said}");

    if need("python sdk", python_sdk) {
        // The first two steps were taken before, and are kept for the next time.
        let (made, python) = sdk.rsplit_once(" && ").unwrap();
        assert!(made.contains("-m venv") && made.contains("pip install"), "{made}");
        let directory = made.split_once("-m venv ").unwrap().1.split_once(' ').unwrap().0;
        let python = python.replace(directory, &venv().to_string_lossy());
        let output = Command::new("sh").args(["-c", &python]).output().unwrap();
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("group-web"), "{said}");
    }
    let process = kept.child.id();
    assert!(kept.end("-TERM").success());
    leaves_nothing(process);
}

#[test]
fn interrupted_anywhere_it_leaves_nothing() {
    if !need("live", lab::available) || !need("demo", || lab_program().map(|_| ())) {
        return;
    }
    for (part, signal) in [("security groups", "-INT"), ("1. ", "-INT"), ("4. ", "-TERM")] {
        let mut kept = Kept::start();
        kept.line(part);
        let process = kept.child.id();
        assert_eq!(kept.end(signal).code(), Some(130), "after {part:?}");
        leaves_nothing(process);
    }
}

#[test]
fn what_a_killed_demo_left_is_removed_by_the_next() {
    if !need("live", lab::available) || !need("demo", || lab_program().map(|_| ())) {
        return;
    }
    let mut kept = Kept::start();
    kept.line("3. ");
    let process = kept.child.id();
    kept.child.kill().unwrap();
    kept.child.wait().unwrap();
    assert!(!netns::made_by(process).unwrap().is_empty());
    let mut next = Kept::start();
    next.line("1. ");
    leaves_nothing(process);
    next.end("-INT");
}

fn venv() -> PathBuf {
    program().with_file_name("sdk-venv")
}

/// A virtual environment with the SDK in it, made once beside the programs.
fn python_sdk() -> Result<(), String> {
    let python = venv().join("bin/python");
    let import = || {
        let output = Command::new(&python).args(["-c", "import aliyunsdkcore"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if import() {
        return Ok(());
    }
    let run = |command: &mut Command| netns::must_succeed(command).map(|_| ());
    run(Command::new("python3").args(["-m", "venv"]).arg(venv()))?;
    let install = ["-m", "pip", "install", "--quiet", "--no-input", "aliyun-python-sdk-core"];
    run(Command::new(&python).args(install))?;
    if import() { Ok(()) } else { Err("the SDK was installed and cannot be imported".to_owned()) }
}
