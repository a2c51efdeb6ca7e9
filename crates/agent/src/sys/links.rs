//! The program as tcx links: links that are pinned, so that they stay when the agent goes.
//!
//! A link's pin is named after the device's index and the direction seen from the instance.
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::call;
use super::hooks::{HOOKS, Spot};

fn pin(directory: &Path, device: u32, spot: &Spot) -> PathBuf {
    directory.join(format!("link_{device}_{}", spot.program))
}

/// The program of the pinned link, if it still stands at its device.
pub(super) fn stands(directory: &Path, device: u32, spot: &Spot) -> Option<u32> {
    let link = call::open(&pin(directory, device, spot)).ok()?;
    let place = call::link_place(link.as_fd()).ok()??;
    (place.device == device && place.hook == spot.tcx).then_some(place.program)
}

/// Puts a program at a device's spot: into the link that is there, or into a new one.
pub(super) fn attach(
    directory: &Path,
    device: u32,
    program: BorrowedFd<'_>,
    spot: &Spot,
) -> io::Result<()> {
    let path = pin(directory, device, spot);
    if stands(directory, device, spot).is_some() {
        return call::replace(call::open(&path)?.as_fd(), program);
    }
    remove(&path)?;
    let link = call::attach(program, device, spot.tcx)?;
    call::pin(link.as_fd(), &path)
}

/// Puts a program into a link of an older directory, and pins the link in ours too. `false` where
/// none stands.
pub(super) fn carry_over(
    older: &Path,
    directory: &Path,
    device: u32,
    program: BorrowedFd<'_>,
    spot: &Spot,
) -> io::Result<bool> {
    if stands(older, device, spot).is_none() {
        return Ok(false);
    }
    let link = call::open(&pin(older, device, spot))?;
    if let Err(error) = call::replace(link.as_fd(), program) {
        // The device went away meanwhile, and its links with it.
        return if stands(older, device, spot).is_none() { Ok(false) } else { Err(error) };
    }
    let own = pin(directory, device, spot);
    if stands(directory, device, spot).is_some() {
        return Ok(true);
    }
    remove(&own)?;
    call::pin(link.as_fd(), &own).map(|()| true)
}

/// Takes the links off a device and removes their pins; any may be gone.
pub(super) fn detach_all(directory: &Path, device: u32) -> io::Result<()> {
    HOOKS.iter().try_for_each(|spot| {
        let path = pin(directory, device, spot);
        match call::open(&path) {
            Ok(link) => call::detach(link.as_fd())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        remove(&path)
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The devices that have pins.
pub(super) fn devices(directory: &Path) -> io::Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix("link_"));
        let device = rest.and_then(|rest| rest.split_once('_')?.0.parse::<u32>().ok());
        found.extend(device);
    }
    Ok(found)
}
