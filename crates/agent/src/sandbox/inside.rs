//! The half inside: the first process of the new process namespace.
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::line::Line;
use super::{Commanded, Ending, signals};

/// Where programs look for their name servers.
const RESOLVER_FILE: &str = "/etc/resolv.conf";
/// A folder that every host has, to prepare a file in: hidden for a moment, from nobody else.
const WORK_FOLDER: &str = "/proc";

/// Lives as long as the command does, and tells the other half what happens.
pub(super) fn live(talk: &UnixStream, commanded: &Commanded) -> i32 {
    match attempt(talk, commanded) {
        Ok(()) => 0,
        Err(line) => {
            let mut talk = talk;
            let _ = talk.write_all(line.text().as_bytes());
            1
        }
    }
}

fn attempt(talk: &UnixStream, commanded: &Commanded) -> Result<(), Line> {
    // If the other half has gone before this, its end of the conversation is closed.
    set_pdeathsig(Signal::SIGKILL).map_err(failed("ask for a signal"))?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(failed("make a network namespace"))?;
    // What the host mounts later is seen here; what is mounted here is not seen there.
    let nothing = None::<&Path>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_SLAVE, nothing)
        .map_err(failed("make a mount namespace"))?;
    if !commanded.name_servers.is_empty() {
        name_servers(&commanded.name_servers)?;
    }
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        nothing,
    )
    .map_err(failed("mount /proc of the process namespace"))?;
    tell(talk, &Line::Ready)?;
    let mut word = String::new();
    let heard = BufReader::new(talk).read_line(&mut word);
    if heard.is_err() || Line::read(&word) != Some(Line::Go) {
        return Err(Line::Failed("the other half is gone".into()));
    }
    // Taken only now: the command inherits what is held back. One that came before was not ours.
    let child = start(commanded)?;
    let signals = signals::take().map_err(failed("take signals"))?;
    tell(talk, &Line::Started)?;
    loop {
        if let Some(ending) = collect(child).map_err(failed("wait for the command"))? {
            return tell(talk, &Line::Ended(ending));
        }
        if let Some(signal) = signals::next(&signals).map_err(failed("hear signals"))? {
            // It may have ended meanwhile.
            let _ = kill(child, signal);
        }
    }
}

fn failed<E: Display>(action: &'static str) -> impl Fn(E) -> Line {
    move |error| Line::Failed(format!("cannot {action}: {error}"))
}

fn tell(talk: &UnixStream, line: &Line) -> Result<(), Line> {
    let mut talk = talk;
    talk.write_all(line.text().as_bytes()).map_err(failed("tell the other half"))
}

/// The command begins with no signal held back and none ignored that was not before.
fn start(commanded: &Commanded) -> Result<Pid, Line> {
    let started = Command::new(&commanded.program).args(&commanded.arguments).spawn();
    let child = started.map_err(|error| Line::NotStarted {
        is_absent: error.kind() == io::ErrorKind::NotFound,
        message: format!("{}: {error}", commanded.program.display()),
    })?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(failed("number the command"))
}

/// Collects whatever has ended; how the command did, if it has.
fn collect(child: Pid) -> io::Result<Option<Ending>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(own, status) if own == child => {
                return Ok(Some(Ending::Exited(status as u8)));
            }
            WaitStatus::Signaled(own, signal, _) if own == child => {
                return Ok(Some(Ending::Signaled(signal as u8)));
            }
            WaitStatus::StillAlive => return Ok(None),
            _ => {}
        }
    }
}

/// A resolver's file of its own, over that of the host.
fn name_servers(servers: &[IpAddr]) -> Result<(), Line> {
    let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    let (nothing, file) = (None::<&Path>, Path::new(WORK_FOLDER).join("resolv.conf"));
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), WORK_FOLDER, Some("tmpfs"), flags, Some("mode=755,size=64k"))
        .map_err(failed("mount a folder for the name servers"))?;
    std::fs::write(&file, text).map_err(failed("write the name servers"))?;
    mount(Some(&file), RESOLVER_FILE, nothing, MsFlags::MS_BIND, nothing)
        .map_err(failed("put the name servers at /etc/resolv.conf, which must be a file"))?;
    umount2(WORK_FOLDER, MntFlags::MNT_DETACH).map_err(failed("unmount a folder"))
}
