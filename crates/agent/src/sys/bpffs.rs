//! The BPF file system, in which maps, programs and links outlive the agent.
//!
//! Knows where it is or may be mounted; knows nothing of what is in it.
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const MAGIC: i64 = 0xcafe_4a11;
/// Where distributions mount it.
const USUAL: &str = "/sys/fs/bpf";
/// Where we mount it if the usual place is not there or not empty.
const OWN: &str = "/run/portcullis/bpf";

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Whether a BPF file system is mounted at `path`.
pub fn is_mounted(path: &Path) -> bool {
    let Ok(path) = text(path) else { return false };
    // SAFETY: an all-zero statfs is a valid value, and the call fills it.
    let (result, found) = unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        (libc::statfs(path.as_ptr(), &raw mut found), found)
    };
    result == 0 && found.f_type == MAGIC
}

fn mount_at(path: &Path) -> io::Result<()> {
    let path = text(path)?;
    // SAFETY: all pointers are to strings that live across the call.
    let result = unsafe {
        libc::mount(
            c"bpf".as_ptr(),
            path.as_ptr(),
            c"bpf".as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
            c"mode=0700".as_ptr().cast(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// The directory of a BPF file system; mounts one, for root alone, if there is none.
pub fn ensure() -> io::Result<PathBuf> {
    let (usual, own) = (PathBuf::from(USUAL), PathBuf::from(OWN));
    // Ours first: what an earlier start put there must be found again though somebody mounts the
    // usual one later.
    if is_mounted(&own) {
        return Ok(own);
    }
    if is_mounted(&usual) || (is_empty(&usual) && mount_at(&usual).is_ok()) {
        return Ok(usual);
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&own)?;
    mount_at(&own)?;
    Ok(own)
}
