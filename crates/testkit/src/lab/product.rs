//! The product as its users have it: the program `portcullis`, its API and its control socket.
//!
//! Starts, kills and restarts the program; what it should answer is the tests' affair.

use crate::client::{Client, Way};
use crate::netns::{Namespace, must_succeed};
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The region that everything happens in: the one of the call it all starts from.
pub const REGION: &str = "cn-qingdao-env17-d01";
/// The access key of every laboratory.
pub const KEY_ID: &str = "portcullislab";
/// Its secret, worth nothing outside.
pub const KEY_SECRET: &str = "secret-of-the-laboratory";

/// What it says when it is ready, before its address.
const READY: &str = "portcullis is ready at http://";

/// Names the program when the caller does not.
pub const PROGRAM: &str = "PORTCULLIS_BIN";

const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(20);
const CONTROL_VERSION: u32 = 1;

const DIRECTORY_PREFIX: &str = "portcullis-lab-";
const INSTANCE_PREFIX: &str = "lab-";
/// Where running programs hold their locks.
const LOCK_FOLDER: &str = "/run/portcullis";
/// Where programs may be pinned.
const BPF_FOLDERS: [&str; 2] = ["/sys/fs/bpf", "/run/portcullis/bpf"];

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running, or stopped, `portcullis serve` with its data directory.
#[derive(Debug)]
pub struct Product {
    program: PathBuf,
    directory: tempfile::TempDir,
    namespace: Option<Arc<Namespace>>,
    listen: String,
    instance: String,
    flags: Vec<String>,
    child: Option<Child>,
}

impl Product {
    /// Starts the program with a fresh data directory and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; its own words are passed on.
    pub fn start(
        program: &Path,
        namespace: Option<Arc<Namespace>>,
        flags: &[&str],
    ) -> Result<Self, String> {
        let number = STARTED.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}-{number}", std::process::id());
        let prefix = format!("{DIRECTORY_PREFIX}{name}-");
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir();
        let mut product = Self {
            program: program.to_owned(),
            directory: directory.map_err(|error| format!("a data directory: {error}"))?,
            namespace,
            listen: "127.0.0.1:0".to_owned(),
            instance: format!("{INSTANCE_PREFIX}{name}"),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            child: None,
        };
        product.resume()?;
        Ok(product)
    }

    /// Starts the program again with the same data.
    ///
    /// # Errors
    /// When it does not start, or runs already.
    pub fn resume(&mut self) -> Result<(), String> {
        if self.child.is_some() {
            return Err("it is running".to_owned());
        }
        let said_before = self.log();
        let log = self.log_path();
        let open = || File::options().create(true).append(true).open(&log);
        let (out, err) = (open(), open());
        let (Ok(out), Ok(err)) = (out, err) else {
            return Err(format!("{} cannot be written", log.display()));
        };
        let mut command = self.command(&["serve", "--listen", &self.listen]);
        command.args(&self.flags).stdin(Stdio::null()).stdout(out).stderr(err);
        self.child = Some(self.spawn(&mut command)?);
        let ready = until("`portcullis serve` to be ready", START_TIMEOUT, || {
            self.must_live()?;
            let said = self.log();
            let new = said.get(said_before.len()..).unwrap_or_default();
            let line = new.lines().find_map(|line| line.strip_prefix(READY));
            Ok(line.and_then(|rest| Some(rest.split_once(';')?.0.to_owned())))
        });
        // From now on at this port, so that clients find it after a restart.
        self.listen = ready.map_err(|error| format!("{error}\n{}", self.log()))?;
        Ok(())
    }

    /// Gives it more flags from its next start on.
    pub fn add_flags(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Gives it other flags instead of those it had, from its next start on.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags.clear();
        self.add_flags(flags);
    }

    /// Kills it without a word, as a crash would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self) -> Result<(), String> {
        let mut child = self.child.take().ok_or("it is not running")?;
        child.kill().and_then(|()| child.wait()).map(|_| ()).map_err(|error| error.to_string())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop in time or not well.
    pub fn terminate(&mut self) -> Result<(), String> {
        let child = self.child.as_mut().ok_or("it is not running")?;
        signal_terminate(child)?;
        let status = until("`portcullis serve` to stop", STOP_TIMEOUT, || {
            child.try_wait().map_err(|error| error.to_string())
        })?;
        self.child = None;
        if status.success() { Ok(()) } else { Err(format!("{status}\n{}", self.log())) }
    }

    /// The number of the running process.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Does something while every thread of the process stands still.
    ///
    /// # Errors
    /// When it does not run, or cannot be stopped.
    pub fn pause_while<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        let failed = |error: nix::Error| format!("pausing: {error}");
        let process = self.process().and_then(|id| i32::try_from(id).ok()).ok_or("not running")?;
        let process = Pid::from_raw(process);
        kill(process, Signal::SIGSTOP).map_err(failed)?;
        // Told when the last thread has stopped; left for whoever waits for the end.
        let stopped = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        let done = waitid(Id::Pid(process), stopped).map(|_| work());
        kill(process, Signal::SIGCONT).map_err(failed)?;
        done.map_err(failed)
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// All it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A client of its API.
    ///
    /// # Errors
    /// When it does not serve at an address.
    pub fn client(&self, way: Way) -> Result<Client, String> {
        let address: Result<SocketAddr, _> = self.listen.parse();
        Ok(Client {
            address: address.map_err(|error| format!("`{}`: {error}", self.listen))?,
            key_id: KEY_ID.to_owned(),
            key_secret: KEY_SECRET.to_owned(),
            region: REGION.to_owned(),
            way,
            namespace: self.namespace.clone(),
        })
    }

    /// Starts one of its other commands, with pipes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin(&self, arguments: &[&str]) -> Result<Child, String> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn(&mut command)
    }

    /// Runs one of its other commands to the end, whatever the end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_run(&self, arguments: &[&str]) -> Result<Output, String> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn(&mut command)?;
        child.wait_with_output().map_err(|error| error.to_string())
    }

    /// Runs one of its other commands and insists on success.
    ///
    /// # Errors
    /// When it fails; its own words are passed on.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.try_run(arguments)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let complained = String::from_utf8_lossy(&output.stderr);
        Err(format!("portcullis {}: {}{said}{complained}", arguments.join(" "), output.status))
    }

    /// Takes what it enforces off the kernel. It must not be running.
    ///
    /// # Errors
    /// When it fails; its own words are passed on.
    pub fn detach_all(&self) -> Result<String, String> {
        let said = self.run(&["detach", "--all", "--instance", &self.instance])?;
        remove_lock(&self.instance);
        Ok(said)
    }

    /// The name under which it pins what it enforces.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Asks the control socket; the answer is what stands in `answer`.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub fn ask(&self, question: &Value) -> Result<Value, String> {
        let mut question = question.clone();
        if let Some(object) = question.as_object_mut() {
            object.insert("version".to_owned(), CONTROL_VERSION.into());
        }
        let line = exchange(&self.data().join("control.sock"), &question);
        let line = line.map_err(|error| format!("control socket: {error}"))?;
        let mut reply: Value =
            serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        match reply.get_mut("answer") {
            Some(answer) => Ok(answer.take()),
            None => Err(format!("refused: {reply}")),
        }
    }

    /// Fails with its own words when it has ended by itself.
    fn must_live(&mut self) -> Result<(), String> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let ended = child.try_wait().map_err(|error| error.to_string())?;
        let Some(status) = ended else { return Ok(()) };
        self.child = None;
        Err(format!("`portcullis serve` ended with {status}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command.env("PORTCULLIS_DATA", self.data());
        // Pins of its own: several laboratories may run beside each other and beside a real one.
        command.env("PORTCULLIS_INSTANCE", &self.instance);
        command.env("PORTCULLIS_ACCESS_KEY_ID", KEY_ID);
        command.env("PORTCULLIS_ACCESS_KEY_SECRET", KEY_SECRET);
        // A file of the machine's own must not change what the laboratory does.
        command.env("PORTCULLIS_CONFIG", "/dev/null");
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, String> {
        match &self.namespace {
            Some(namespace) => namespace.spawn(command),
            // A group of its own: Ctrl-C reaches us alone, and we end it in order.
            None => command
                .process_group(0)
                .spawn()
                .map_err(|error| format!("{}: {error}", self.program.display())),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("serve.log")
    }
}

/// Removes what laboratories have pinned and kept whose process is no more.
///
/// # Errors
/// When a program that should let go does not.
pub fn remove_leftovers(program: &Path) -> Result<(), String> {
    for instance in pinned_instances() {
        if is_left_over(instance.strip_prefix(INSTANCE_PREFIX)) {
            detach_left_over(program, &instance)?;
        }
    }
    for lock in Path::new(LOCK_FOLDER).read_dir().into_iter().flatten().flatten() {
        let name = lock.file_name();
        if is_left_over(name.to_str().and_then(|name| name.strip_prefix(INSTANCE_PREFIX))) {
            let _ = std::fs::remove_file(lock.path());
        }
    }
    let folder = std::env::temp_dir();
    let entries = folder.read_dir().map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if is_left_over(name.to_str().and_then(|name| name.strip_prefix(DIRECTORY_PREFIX))) {
            // It may be another user's.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Its program may be dying still, and another laboratory may be doing the same.
fn detach_left_over(program: &Path, instance: &str) -> Result<(), String> {
    let mut complaint = String::new();
    let done = until("a killed laboratory's pins to go", STOP_TIMEOUT, || {
        let mut detach = Command::new(program);
        let detached = must_succeed(detach.args(["detach", "--all", "--instance", instance]));
        let is_pinned = pinned_instances().iter().any(|name| name == instance);
        complaint = detached.err().unwrap_or_default();
        Ok((!is_pinned).then_some(()))
    });
    done.map_err(|error| format!("{error}: {complaint}"))?;
    remove_lock(instance);
    Ok(())
}

/// The instances that have something pinned on this machine, by name.
pub fn pinned_instances() -> Vec<String> {
    let folders = BPF_FOLDERS.iter().map(|folder| Path::new(folder).join("portcullis"));
    let versions = folders.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    let instances = versions.filter_map(|version| version.path().read_dir().ok()).flatten();
    instances.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The lock of an instance outlives it; a name that is never used again needs none.
fn remove_lock(instance: &str) {
    let _ = std::fs::remove_file(Path::new(LOCK_FOLDER).join(format!("{instance}.lock")));
}

/// Whether the process that made something named `PROCESS-…` is no more.
fn is_left_over(name: Option<&str>) -> bool {
    let maker = name.and_then(|name| name.split_once('-')).map(|(process, _)| process);
    let maker = maker.filter(|process| process.parse::<u32>().is_ok());
    maker.is_some_and(|process| !Path::new("/proc").join(process).exists())
}

impl Drop for Product {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn signal_terminate(child: &Child) -> Result<(), String> {
    let process = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    kill(Pid::from_raw(process), Signal::SIGTERM).map_err(|error| error.to_string())
}

fn exchange(path: &Path, question: &Value) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(CONTROL_TIMEOUT))?;
    stream.set_write_timeout(Some(CONTROL_TIMEOUT))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}
