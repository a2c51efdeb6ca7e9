//! What this machine lacks to enforce anything, named one by one.
//!
//! Tries each thing and leaves nothing behind; knows nothing of policies.
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Hook, Sizes, bpffs, call, object};
use crate::traffic_control::{Side, TrafficControl};

/// The oldest kernel with all that the program needs of it, `bpf_for_each_map_elem` the youngest.
const RELEASE_LEAST: (u32, u32) = (5, 13);
/// The only device of a fresh network namespace.
const LOOPBACK: u32 = 1;

/// One thing that is missing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What, as a fragment: "the right to load eBPF programs (CAP_BPF, CAP_NET_ADMIN)".
    pub what: String,
    /// What the kernel said.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.message)
    }
}

fn missing(what: &str, message: impl fmt::Display, help: &'static str) -> Missing {
    Missing { what: what.to_string(), message: message.to_string(), help }
}

/// The smallest program and maps: enough to see whether the kernel takes them.
fn smallest() -> Sizes {
    Sizes {
        pool_words: 4096,
        slots: 1,
        members: 1,
        flows: 1,
        fragments: 16,
        counters: 1,
        event_bytes: 4096,
    }
}

/// The kernel's release as (major, minor).
fn release() -> (u32, u32) {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn call_missing(error: &io::Error) -> Missing {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => missing(
            "the bpf(2) system call",
            error,
            "use a kernel with CONFIG_BPF_SYSCALL, or let the container's seccomp profile pass it",
        ),
        _ => missing(
            "the right to use eBPF (CAP_BPF, CAP_NET_ADMIN)",
            error,
            "run as root on the host, or give the container these capabilities",
        ),
    }
}

/// Whether the tcx hooks are there: attaching to a device that cannot exist fails with ENODEV only
/// where they are known.
fn tcx(program: BorrowedFd<'_>) -> Result<(), Missing> {
    let nowhere = i32::MAX as u32;
    match call::attach(program, nowhere, call::TCX_INGRESS) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        Err(error) => Err(missing(
            "the tcx hooks of Linux 6.6",
            error,
            "use a kernel of 6.6 or later, or `--hook clsact`",
        )),
        Ok(_) => Ok(()),
    }
}

/// Whether a filter can be put on a clsact qdisc: tried on the loopback of a network namespace that
/// ends with the thread.
fn clsact(program: BorrowedFd<'_>) -> Result<(), Missing> {
    let program = program.try_clone_to_owned();
    let try_it = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
        let mut traffic = TrafficControl::open()?;
        traffic.make_clsact(LOOPBACK)?;
        let program = program?;
        [Side::Ingress, Side::Egress]
            .into_iter()
            .try_for_each(|side| traffic.put(LOOPBACK, side, None, program.as_fd(), "probe"))
    };
    let tried = std::thread::spawn(try_it).join();
    tried.unwrap_or_else(|_| Err(io::Error::other("the attempt ended early"))).map_err(|error| {
        missing(
            "clsact filters (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF, CONFIG_NET_CLS_ACT)",
            error,
            "use a kernel that has them, and run as root on the host",
        )
    })
}

/// The hook to use with this program: the one that is wanted, or tcx where it exists, else clsact.
fn hook(program: BorrowedFd<'_>, wanted: Option<Hook>) -> Result<Hook, Missing> {
    match wanted {
        Some(Hook::Tcx) => tcx(program).map(|()| Hook::Tcx),
        Some(Hook::Clsact) => clsact(program).map(|()| Hook::Clsact),
        None => match tcx(program) {
            Ok(()) => Ok(Hook::Tcx),
            Err(missing) => clsact(program).map(|()| Hook::Clsact).map_err(|_| missing),
        },
    }
}

/// Everything that is missing on this machine; `Ok` if programs can be loaded, attached and pinned.
pub fn probe() -> Result<(), Vec<Missing>> {
    usable_hook(None).map(drop)
}

/// The hook that programs are to be put at, or everything that is missing on this machine.
pub fn usable_hook(wanted: Option<Hook>) -> Result<Hook, Vec<Missing>> {
    let mut found = Vec::new();
    // SAFETY: takes and gives nothing but a number.
    let user = unsafe { libc::geteuid() };
    if user != 0 {
        found.push(missing("root", format!("running as user {user}"), "run it as root"));
    }
    let (major, minor) = release();
    if (major, minor) < RELEASE_LEAST {
        let (least_major, least_minor) = RELEASE_LEAST;
        found.push(missing(
            &format!("Linux {least_major}.{least_minor} or later"),
            format!("this is Linux {major}.{minor}"),
            "use a newer kernel",
        ));
    }
    if let Err(error) = call::probe() {
        found.push(call_missing(&error));
        return Err(found);
    }
    if !found.is_empty() {
        return Err(found);
    }
    let mut usable = None;
    match object::load(&smallest(), None) {
        Ok(loaded) => match loaded.programs.get("pc_egress") {
            Some(program) => match hook(program.as_fd(), wanted) {
                Ok(hook) => usable = Some(hook),
                Err(missing) => found.push(missing),
            },
            None => found.push(missing("the kernel program", "it is not there", "build it again")),
        },
        Err(error) => found.push(missing(
            "the right to load eBPF programs (CAP_BPF, CAP_NET_ADMIN)",
            super::short(&error),
            "run as root on the host, or give the container these capabilities",
        )),
    }
    if let Err(error) = bpffs::ensure() {
        found.push(missing(
            "a BPF file system to pin programs in",
            error,
            "mount one: mount -t bpf bpf /sys/fs/bpf",
        ));
    }
    match usable {
        Some(hook) if found.is_empty() => Ok(hook),
        _ => Err(found),
    }
}
