//! Network namespaces owned by values: made when the value is made, gone when it is dropped.
//!
//! Names are `pc-<process>-<number>`; what a killed process left behind is found by its number and
//! removed by the next one. Only devices and addresses are known here, no product.

mod link;
mod tap;

pub use link::Link;
pub use tap::TapGuest;

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const FOLDER: &str = "/run/netns";
const PREFIX: &str = "pc-";

static MADE: AtomicU32 = AtomicU32::new(0);

/// A network namespace of our own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
}

impl Namespace {
    /// Makes an empty namespace with its loopback device up.
    ///
    /// # Errors
    /// When the machine does not let this process make one.
    pub fn new() -> Result<Self, String> {
        let namespace = Self::named()?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    fn named() -> Result<Self, String> {
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        must_succeed(Command::new("ip").args(["netns", "add", &name]))?;
        let opened = File::open(path_of(&name));
        let handle = match opened {
            Ok(handle) => handle,
            Err(error) => {
                remove(&name);
                return Err(format!("{name}: {error}"));
            }
        };
        Ok(Self { name, handle })
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs work on a thread of its own inside the namespace. Sockets made there stay there, and
    /// may be used from anywhere.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    ///
    /// # Panics
    /// When the work does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, String> {
        let entered = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.handle, CloneFlags::CLONE_NEWNET)
                    .map_err(|error| format!("{}: {error}", self.name))?;
                Ok(work())
            });
            thread.join()
        });
        entered.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a program inside. It dies with nobody: the caller keeps the child.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, String> {
        // A child lives where the thread lived that made it.
        let spawned = self.enter(|| apart(command).spawn())?;
        spawned.map_err(|error| format!("{:?}: {error}", command.get_program()))
    }

    /// Runs `ip` commands inside, one a line.
    ///
    /// # Errors
    /// When one is refused.
    pub fn ip(&self, lines: &str) -> Result<(), String> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name, "-batch", "-"]).stdin(Stdio::piped());
        let mut child = apart(&mut command)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("ip: {error}"))?;
        let written = child.stdin.take().map(|mut input| input.write_all(lines.as_bytes()));
        let output = child.wait_with_output().map_err(|error| format!("ip: {error}"))?;
        if output.status.success() && !matches!(written, Some(Err(_))) {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: ip: {}\n{lines}", self.name, told.trim()))
    }

    /// Sets a kernel parameter of the namespace, such as `net.ipv4.ip_forward`.
    ///
    /// # Errors
    /// When there is no such parameter or it refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<(), String> {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        let written = self.enter(|| std::fs::write(&path, value))?;
        written.map_err(|error| format!("{name}: {error}"))
    }

    /// Whether a device of this name is inside.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn has_device(&self, name: &str) -> Result<bool, String> {
        self.enter(|| nix::net::if_::if_nametoindex(name).is_ok())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Whether this process may make namespaces and devices.
///
/// # Errors
/// Says what is missing.
pub fn available() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("root".to_owned());
    }
    // The first line of what was said is enough: the rest repeats the command.
    let first = |said: String| said.lines().next().unwrap_or_default().to_owned();
    let lacks = |what: &'static str| move |said: String| format!("{what} ({})", first(said));
    let namespace = Namespace::named().map_err(lacks("the right to make network namespaces"))?;
    namespace
        .ip("link set lo up\nlink add pc-a type veth peer name pc-b")
        .map_err(lacks("the right to make network devices"))?;
    namespace
        .ip("link add pc-c type bridge")
        .map_err(lacks("network bridges, or the right to make them"))?;
    namespace
        .sysctl("net.ipv4.ip_forward", "1")
        .map_err(lacks("the right to set kernel parameters in a network namespace"))?;
    namespace.sysctl("net.ipv6.conf.all.disable_ipv6", "0").map_err(lacks("IPv6"))
}

/// Removes namespaces whose makers are no more, with the programs still running in them.
///
/// # Errors
/// When the folder of namespaces cannot be read.
pub fn remove_leftovers() -> Result<Vec<String>, String> {
    let mut removed = Vec::new();
    for name in names()? {
        let Some(process) = maker(&name) else { continue };
        if Path::new(&format!("/proc/{process}")).exists() {
            continue;
        }
        end_programs(&name);
        remove(&name);
        removed.push(name);
    }
    Ok(removed)
}

/// The namespaces that a process made and that are still there.
///
/// # Errors
/// When the folder of namespaces cannot be read.
pub fn made_by(process: u32) -> Result<Vec<String>, String> {
    Ok(names()?.into_iter().filter(|name| maker(name) == Some(process)).collect())
}

fn names() -> Result<Vec<String>, String> {
    let entries = match std::fs::read_dir(FOLDER) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{FOLDER}: {error}")),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

fn maker(name: &str) -> Option<u32> {
    let (process, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    process.parse().ok()
}

fn path_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn remove(name: &str) {
    // Nothing more can be done about a failure while values are being dropped.
    let mut command = Command::new("ip");
    let _ = apart(&mut command).args(["netns", "del", name]).stderr(Stdio::null()).status();
}

fn end_programs(name: &str) {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else { return };
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        let Ok(process) = word.parse() else { continue };
        let process = nix::unistd::Pid::from_raw(process);
        let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL);
    }
}

/// Puts a program into a group of its own: Ctrl-C reaches us alone, and we end all in order.
fn apart(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or fails; its own words are passed on.
pub fn must_succeed(command: &mut Command) -> Result<String, String> {
    let output = apart(command).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{:?}: {}", command.get_program(), told.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::need;

    #[test]
    fn only_our_names_have_a_maker() {
        assert_eq!(maker("pc-12-3"), Some(12));
        for other in ["pc-12", "pc-x-3", "pc-12-x", "other", "pc--1"] {
            assert_eq!(maker(other), None, "{other}");
        }
    }

    #[test]
    fn a_namespace_ends_with_its_value_even_in_a_panic() {
        if !need("namespaces", available) {
            return;
        }
        let namespace = Namespace::new().unwrap();
        let name = namespace.name().to_owned();
        assert!(made_by(std::process::id()).unwrap().contains(&name));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _kept = namespace;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert!(!made_by(std::process::id()).unwrap().contains(&name));
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        if !need("namespaces", available) {
            return;
        }
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let name = format!("{PREFIX}{}-0", child.id());
        must_succeed(Command::new("ip").args(["netns", "add", &name])).unwrap();
        let mine = Namespace::new().unwrap();
        assert!(remove_leftovers().unwrap().contains(&name));
        assert!(!names().unwrap().contains(&name));
        assert!(names().unwrap().iter().any(|other| other == mine.name()));
    }

    #[test]
    fn work_and_programs_run_inside() {
        if !need("namespaces", available) {
            return;
        }
        let namespace = Namespace::new().unwrap();
        namespace.ip("link add pc-a type veth peer name pc-b").unwrap();
        assert!(namespace.has_device("pc-a").unwrap());
        assert!(nix::net::if_::if_nametoindex("pc-a").is_err(), "only inside");
        let mut command = Command::new("ip");
        let child = namespace.spawn(command.args(["link", "show", "pc-b"])).unwrap();
        assert!(child.wait_with_output().unwrap().status.success());
        namespace.sysctl("net.ipv4.ip_forward", "1").unwrap();
        let refused = namespace.ip("link set nothing up").unwrap_err();
        assert!(refused.contains("nothing"), "{refused}");
    }
}
