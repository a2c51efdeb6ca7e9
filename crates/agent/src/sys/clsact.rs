//! The program as clsact filters, for kernels without tcx: filters outlive the agent by themselves.
//!
//! A filter of ours is known by its name, which tells the instance and the program. A qdisc that we
//! made is remembered by an empty directory beside the pins, and goes with our last filter unless
//! somebody else's hang on it; the filters of others are never touched.
use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::hooks::{HOOKS, Spot};
use crate::traffic_control::{Filter, Queue, TrafficControl};

const MARK_PREFIX: &str = "qdisc_";

/// An instance's filters.
#[derive(Debug, Clone)]
pub(super) struct Filters<'a> {
    directory: &'a Path,
}

impl<'a> Filters<'a> {
    pub(super) fn of(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// The same for each layout of the maps, so that a newer agent finds what an older one left.
    fn name(&self, program: &str) -> String {
        let instance = self.directory.file_name().unwrap_or_default().to_string_lossy();
        format!("portcullis/{instance}/{program}")
    }

    fn mark(&self, device: u32) -> PathBuf {
        self.directory.join(format!("{MARK_PREFIX}{device}"))
    }

    fn own(
        &self,
        traffic: &mut TrafficControl,
        device: u32,
        spot: &Spot,
    ) -> io::Result<impl Iterator<Item = Filter> + use<>> {
        let (name, all) = (self.name(spot.program), traffic.filters(device, spot.side)?);
        Ok(all.into_iter().filter(move |filter| filter.name == name && filter.handle != 0))
    }

    /// Our filter at a spot of a device.
    pub(super) fn find(
        &self,
        traffic: &mut TrafficControl,
        device: u32,
        spot: &Spot,
    ) -> io::Result<Option<Filter>> {
        Ok(self.own(traffic, device, spot)?.next())
    }

    /// Puts a program at a spot: into the filter that is there, or into a new one.
    pub(super) fn attach(
        &self,
        traffic: &mut TrafficControl,
        device: u32,
        spot: &Spot,
        program: BorrowedFd<'_>,
    ) -> io::Result<()> {
        match traffic.queues()?.get(&device) {
            Some(Queue::Clsact) => {}
            Some(Queue::OneSided) => {
                let message = "somebody's `ingress` qdisc is where `clsact` would have to be";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
            }
            // After the qdisc: a mark that is lost leaves an empty qdisc behind, one that is early
            // could cost somebody else's.
            None if traffic.make_clsact(device)? => make(&self.mark(device))?,
            None => {}
        }
        let at = self.find(traffic, device, spot)?;
        traffic.put(device, spot.side, at.as_ref(), program, &self.name(spot.program))
    }

    /// Puts a program into the filter that an older agent left at a spot. `false`: it left none.
    pub(super) fn carry_over(
        &self,
        traffic: &mut TrafficControl,
        older: &Self,
        device: u32,
        spot: &Spot,
        program: BorrowedFd<'_>,
    ) -> io::Result<bool> {
        if older.mark(device).is_dir() {
            make(&self.mark(device))?;
        }
        if traffic.queues()?.get(&device) != Some(&Queue::Clsact) {
            return Ok(false);
        }
        let Some(at) = self.find(traffic, device, spot)? else { return Ok(false) };
        traffic.put(device, spot.side, Some(&at), program, &self.name(spot.program))?;
        Ok(true)
    }

    /// Takes our filters off a device, and the qdisc if we made it and nothing else hangs on it.
    pub(super) fn detach(&self, traffic: &mut TrafficControl, device: u32) -> io::Result<()> {
        for spot in &HOOKS {
            for filter in self.own(traffic, device, spot)? {
                traffic.remove(device, spot.side, &filter)?;
            }
        }
        let mark = self.mark(device);
        if !mark.is_dir() {
            return Ok(());
        }
        let mut is_empty = true;
        for spot in &HOOKS {
            is_empty &= traffic.filters(device, spot.side)?.is_empty();
        }
        if is_empty {
            traffic.remove_clsact(device)?;
        }
        match std::fs::remove_dir(mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The devices with a qdisc that we made.
    pub(super) fn marked(&self) -> io::Result<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(self.directory)? {
            let name = entry?.file_name();
            let device = name.to_str().and_then(|name| name.strip_prefix(MARK_PREFIX));
            found.extend(device.and_then(|device| device.parse::<u32>().ok()));
        }
        Ok(found)
    }

    /// All devices with a filter of ours.
    pub(super) fn devices(&self, traffic: &mut TrafficControl) -> io::Result<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        for (device, queue) in traffic.queues()? {
            for spot in HOOKS.iter().filter(|_| queue == Queue::Clsact) {
                if self.find(traffic, device, spot)?.is_some() {
                    found.insert(device);
                }
            }
        }
        Ok(found)
    }
}

fn make(mark: &Path) -> io::Result<()> {
    match std::fs::create_dir(mark) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
