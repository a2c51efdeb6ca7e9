//! A command in network, mount and process namespaces of its own: the half that stays outside.
//!
//! Between the two stands a second process of this program, the first of the new process namespace.
//! It starts the command, hands it the signals that come from outside, collects what it leaves
//! behind, and says how it ended. When this process ends, however it ends, the kernel kills that
//! one, and with it everything in its process namespace; then the network namespace goes too.
//! Nothing is known here of interfaces and rules; what has the network namespace is for the caller.
mod inside;
mod line;
mod signals;

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_dumpable;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid};

use crate::sys::fork_alone;
use line::Line;

/// What shells add to the number of a signal that ended a command.
const SIGNAL_STATUS: u8 = 128;
/// Most name servers that a resolver asks (`MAXNS`).
pub const NAME_SERVERS_MAX: usize = 3;

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commanded {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The name servers it is to ask; none: those of the host.
    pub name_servers: Vec<IpAddr>,
}

/// Why a command does not run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Namespaces are for root.
    #[error("only root may make network namespaces")]
    NotRoot,
    /// The system refuses something.
    #[error("cannot {action}")]
    Refused {
        /// What was tried.
        action: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The inner half could not do something.
    #[error("{0}")]
    Inside(String),
    /// The program cannot be started.
    #[error("cannot start the command: {message}")]
    Command {
        /// Whether there is no such program.
        is_absent: bool,
        /// Why not.
        message: String,
    },
    /// The inner half is gone.
    #[error("the process namespace of the command ended before the command began")]
    Gone,
}

impl SandboxError {
    fn refused(action: &str, error: impl Into<io::Error>) -> Self {
        Self::Refused { action: action.into(), source: error.into() }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this status.
    Exited(u8),
    /// A signal of this number ended it.
    Signaled(u8),
}

/// Namespaces that wait for a command, or have one.
#[derive(Debug)]
pub struct Sandbox {
    inner: Inner,
    namespace: File,
    signals: Option<SignalFd>,
}

impl Sandbox {
    /// Makes the namespaces; nothing runs in them yet. The network namespace has only a loopback
    /// device, which is down. The caller must have one thread, and never another one.
    ///
    /// # Errors
    /// See [`SandboxError`].
    pub fn new(commanded: &Commanded) -> Result<Self, SandboxError> {
        if !geteuid().is_root() {
            return Err(SandboxError::NotRoot);
        }
        let failed =
            |action: &'static str| move |error: io::Error| SandboxError::refused(action, error);
        let (own, other) = UnixStream::pair().map_err(failed("make a pair of sockets"))?;
        unshare(CloneFlags::CLONE_NEWPID)
            .map_err(|error| SandboxError::refused("make a process namespace", error))?;
        let own = Cell::new(Some(own));
        let inner = fork_alone(|| {
            // Each process has one end only, or it would not see the other one go.
            drop(own.take());
            inside::live(&other, commanded)
        });
        drop(other);
        let mut inner = Inner {
            process: Pid::from_raw(inner.map_err(failed("make a process"))?),
            is_over: false,
            talk: own.into_inner().map(BufReader::new),
        };
        match inner.hear()? {
            Line::Ready => {}
            other => return Err(other.into_error()),
        }
        let path = format!("/proc/{}/ns/net", inner.process);
        let namespace = File::open(path).map_err(failed("find the network namespace"))?;
        Ok(Self { inner, namespace, signals: None })
    }

    /// Its network namespace.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Starts the command. From now on signals are for the command.
    ///
    /// # Errors
    /// See [`SandboxError`].
    pub fn launch(&mut self) -> Result<(), SandboxError> {
        let signals =
            signals::take().map_err(|error| SandboxError::refused("take signals", error))?;
        self.signals = Some(signals);
        self.inner.say(&Line::Go)?;
        match self.inner.hear()? {
            Line::Started => Ok(()),
            other => Err(other.into_error()),
        }
    }

    /// Waits until the command has ended and nothing of it is left.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(&mut self) -> io::Result<Ending> {
        let Some(signals) = &self.signals else {
            return Err(io::Error::other("the command was not started"));
        };
        let inner = &mut self.inner;
        let killed = loop {
            match waitpid(inner.process, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::Exited(..) => break None,
                WaitStatus::Signaled(_, signal, _) => break Some(signal as u8),
                _ => {}
            }
            if let Some(signal) = signals::next(signals)? {
                // It may have ended meanwhile.
                let _ = kill(inner.process, signal);
            }
        };
        inner.is_over = true;
        match (inner.hear(), killed) {
            (Ok(Line::Ended(ending)), _) => Ok(ending),
            (_, Some(signal)) => Ok(Ending::Signaled(signal)),
            (_, None) => Err(io::Error::other("nobody said how the command ended")),
        }
    }
}

/// The other half.
#[derive(Debug)]
struct Inner {
    process: Pid,
    is_over: bool,
    talk: Option<BufReader<UnixStream>>,
}

impl Inner {
    fn say(&mut self, line: &Line) -> Result<(), SandboxError> {
        let talk = self.talk.as_mut().ok_or(SandboxError::Gone)?;
        talk.get_mut().write_all(line.text().as_bytes()).map_err(|_| SandboxError::Gone)
    }

    fn hear(&mut self) -> Result<Line, SandboxError> {
        let mut text = String::new();
        let talk = self.talk.as_mut().ok_or(SandboxError::Gone)?;
        match talk.read_line(&mut text) {
            Ok(_) => Line::read(&text).ok_or(SandboxError::Gone),
            Err(_) => Err(SandboxError::Gone),
        }
    }
}

impl Drop for Inner {
    /// Ends whatever is inside.
    fn drop(&mut self) {
        if !self.is_over {
            let _ = kill(self.process, Signal::SIGKILL);
            let _ = waitpid(self.process, None);
        }
    }
}

/// Ends this process as the command ended: by the same signal where it was one, so that whoever
/// waits sees it. Returns the exit status where that does not end it.
pub fn end_as(ending: Ending) -> u8 {
    match ending {
        Ending::Exited(status) => status,
        Ending::Signaled(number) => {
            // The core, if there was to be one, is the command's.
            let _ = set_dumpable(false);
            if let Ok(signal) = Signal::try_from(i32::from(number)) {
                let mut set = SigSet::empty();
                set.add(signal);
                let _ = set.thread_unblock();
                let _ = raise(signal);
            }
            SIGNAL_STATUS.saturating_add(number)
        }
    }
}
