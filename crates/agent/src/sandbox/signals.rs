//! The signals that are handed on to the command, and how they are heard.
use std::io;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Left as they are: faults of our own, and what stops a process together with its whole group.
const LEFT: [Signal; 11] = [
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGPIPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// From now on signals do nothing by themselves and are told by [`next`].
pub(super) fn take() -> io::Result<SignalFd> {
    let mut set = SigSet::all();
    for signal in LEFT {
        set.remove(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?)
}

/// Waits for a signal; `Some` if it is one to hand on. What the terminal sends, it has sent to the
/// command too, and that a child has ended is our own affair.
pub(super) fn next(signals: &SignalFd) -> io::Result<Option<Signal>> {
    let told = match signals.read_signal() {
        Ok(Some(told)) => told,
        Ok(None) | Err(Errno::EINTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let signal = Signal::try_from(told.ssi_signo.cast_signed()).ok();
    let is_ours = signal == Some(Signal::SIGCHLD) || told.ssi_code == libc::SI_KERNEL;
    Ok(signal.filter(|_| !is_ours))
}
