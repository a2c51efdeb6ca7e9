//! A second process of the same program, for whoever has one thread only.
//!
//! Knows nothing of what the second one does.
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Exit status of a child that has panicked.
const PANICKED: i32 = 125;

/// Goes on in two processes: the new one does `work`, ends with its result as the exit status and
/// runs nothing else, no destructor either. The number of the new one is returned to the old one.
///
/// # Errors
/// When there is more than one thread, or the system refuses.
pub fn fork_alone(work: impl FnOnce() -> i32) -> io::Result<i32> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads cannot go on in two"));
    }
    // SAFETY: there is one thread, so the child finds no lock held and nothing half changed.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED);
            // SAFETY: ends the process; nothing of it is used afterwards.
            unsafe { libc::_exit(status) }
        }
        child => Ok(child),
    }
}
