//! What this machine lacks to enforce anything, named one by one.
//!
//! Tries each thing and leaves nothing behind; knows nothing of policies.
use std::fmt;
use std::io;
use std::os::fd::AsFd;

use super::{Sizes, bpffs, call, object};

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
fn tcx(program: std::os::fd::BorrowedFd<'_>) -> Option<Missing> {
    let nowhere = i32::MAX as u32;
    let error = call::attach(program, nowhere, call::TCX_INGRESS).err()?;
    if error.raw_os_error() == Some(libc::ENODEV) {
        return None;
    }
    Some(missing("the tcx hooks of Linux 6.6", error, "use a kernel of 6.6 or later"))
}

/// Everything that is missing on this machine; `Ok` if programs can be loaded, attached and pinned.
pub fn probe() -> Result<(), Vec<Missing>> {
    let mut found = Vec::new();
    // SAFETY: takes and gives nothing but a number.
    let user = unsafe { libc::geteuid() };
    if user != 0 {
        found.push(missing("root", format!("running as user {user}"), "run it as root"));
    }
    let (major, minor) = release();
    if (major, minor) < (6, 6) {
        found.push(missing(
            "Linux 6.6 or later",
            format!("this is Linux {major}.{minor}"),
            "use a kernel of 6.6 or later",
        ));
    }
    if let Err(error) = call::probe() {
        found.push(call_missing(&error));
        return Err(found);
    }
    if !found.is_empty() {
        return Err(found);
    }
    match object::load(&smallest(), None) {
        Ok(loaded) => {
            found.extend(loaded.programs.get("pc_egress").and_then(|p| tcx(p.as_fd())));
        }
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
    if found.is_empty() { Ok(()) } else { Err(found) }
}
