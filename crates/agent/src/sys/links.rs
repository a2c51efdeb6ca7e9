//! The program at the hooks of devices: links that are pinned, so that they stay when the agent
//! goes.
//!
//! A link's pin is named after the device's index and the direction seen from the instance. The
//! instance's egress is the host device's ingress.
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use portcullis_core::rule::Direction;

use super::call;

/// Both directions with the program's name and the hook of each.
pub(super) const HOOKS: [(Direction, &str, u32); 2] = [
    (Direction::Egress, "pc_egress", call::TCX_INGRESS),
    (Direction::Ingress, "pc_ingress", call::TCX_EGRESS),
];

pub(super) fn pin(directory: &Path, device: u32, program: &str) -> PathBuf {
    directory.join(format!("link_{device}_{program}"))
}

/// The device and program in a pin's name.
fn parts(name: &str) -> Option<(u32, &str)> {
    let (device, program) = name.strip_prefix("link_")?.split_once('_')?;
    Some((device.parse().ok()?, program))
}

/// Whether the pinned link still stands at its device.
fn is_alive(path: &Path, device: u32, hook: u32) -> bool {
    call::open(path)
        .and_then(|link| call::link_place(link.as_fd()))
        .is_ok_and(|place| place == Some((device, hook)))
}

/// Puts a program at a device's hook: into the link that is there, or into a new one.
pub(super) fn attach(
    directory: &Path,
    device: u32,
    program: BorrowedFd<'_>,
    (name, hook): (&str, u32),
) -> io::Result<()> {
    let path = pin(directory, device, name);
    if is_alive(&path, device, hook) {
        return call::replace(call::open(&path)?.as_fd(), program);
    }
    remove(&path)?;
    let link = call::attach(program, device, hook)?;
    call::pin(link.as_fd(), &path)
}

/// Takes a link off its device and removes its pin; either may be gone.
pub(super) fn detach(path: &Path) -> io::Result<()> {
    match call::open(path) {
        Ok(link) => call::detach(link.as_fd())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    remove(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The pins in a directory: path, device, program.
pub(super) fn pins(directory: &Path) -> io::Result<Vec<(PathBuf, u32, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if let Some((device, program)) = entry.file_name().to_str().and_then(parts) {
            found.push((entry.path(), device, program.to_string()));
        }
    }
    found.sort();
    Ok(found)
}

/// Devices at which links of both directions stand.
pub(super) fn attached(directory: &Path) -> io::Result<Vec<u32>> {
    let pins = pins(directory)?;
    let mut devices: Vec<u32> = pins.iter().map(|(_, device, _)| *device).collect();
    devices.dedup();
    devices.sort_unstable();
    devices.dedup();
    devices.retain(|device| {
        HOOKS.iter().all(|(_, name, hook)| is_alive(&pin(directory, *device, name), *device, *hook))
    });
    Ok(devices)
}
