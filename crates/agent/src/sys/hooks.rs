//! Where the program stands at devices: tcx links, or clsact filters on kernels that have none.
//!
//! One instance uses one of the two at all its devices. A device at which it finds the other is
//! moved: the new one stands before the old one goes, so that no packet passes unjudged; for a
//! moment one may be judged twice, by the same policy.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::clsact::Filters;
use super::{call, links};
use crate::traffic_control::{Side, TrafficControl};

/// How programs are put at devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// By tcx links, from Linux 6.6 on.
    Tcx,
    /// By filters on a clsact qdisc.
    Clsact,
}

impl Hook {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Tcx, Self::Clsact]
            .into_iter()
            .find(|hook| hook.name() == text)
            .ok_or_else(|| "there is no such hook".to_owned())
    }
}

/// One of the two spots at a device, and the program that stands there.
#[derive(Debug)]
pub(super) struct Spot {
    /// The program's name, after the direction as the instance sees it.
    pub(super) program: &'static str,
    /// As a tcx attach type.
    pub(super) tcx: u32,
    /// As a side of a clsact qdisc.
    pub(super) side: Side,
}

/// Both. The instance's egress is the host device's ingress.
pub(super) const HOOKS: [Spot; 2] = [
    Spot { program: "pc_egress", tcx: call::TCX_INGRESS, side: Side::Ingress },
    Spot { program: "pc_ingress", tcx: call::TCX_EGRESS, side: Side::Egress },
];

/// The programs of both spots, in the order of [`HOOKS`].
pub(super) type Programs<'a> = [BorrowedFd<'a>; 2];

/// The spots of an instance's devices.
#[derive(Debug)]
pub(super) struct Hooks {
    directory: PathBuf,
    hook: Hook,
}

impl Hooks {
    pub(super) fn new(directory: &Path, hook: Hook) -> Self {
        Self { directory: directory.into(), hook }
    }

    /// Puts programs at a device, into what is there of ours or anew; nothing of the other hook is
    /// left there afterwards.
    pub(super) fn attach(&self, device: u32, programs: Programs<'_>) -> io::Result<()> {
        let filters = Filters::of(&self.directory);
        let mut traffic = TrafficControl::open()?;
        for (spot, program) in HOOKS.iter().zip(programs) {
            match self.hook {
                Hook::Tcx => links::attach(&self.directory, device, program, spot)?,
                Hook::Clsact => filters.attach(&mut traffic, device, spot, program)?,
            }
        }
        match self.hook {
            Hook::Tcx => filters.detach(&mut traffic, device),
            Hook::Clsact => links::detach_all(&self.directory, device),
        }
    }

    /// Takes everything of ours off a device; one that is gone is no error.
    pub(super) fn detach(&self, device: u32) -> io::Result<()> {
        links::detach_all(&self.directory, device)?;
        Filters::of(&self.directory).detach(&mut TrafficControl::open()?, device)
    }

    /// Replaces the programs of an earlier agent wherever they stand, and moves them to this hook.
    /// A device where that fails keeps the old program, which goes on judging.
    pub(super) fn take_over(&self, programs: Programs<'_>) -> io::Result<()> {
        for device in self.found()? {
            if let Err(error) = self.attach(device, programs) {
                tracing::warn!(device, %error, "an earlier agent's program was not replaced");
            }
        }
        Ok(())
    }

    /// How programs are put here.
    pub(super) fn hook(&self) -> Hook {
        self.hook
    }

    /// Puts programs into what stands of an older layout at a device, each its own way, and makes
    /// it ours. What did not stand is for the next pass.
    pub(super) fn carry_over(
        &self,
        older: &Self,
        device: u32,
        programs: Programs<'_>,
        told: &mut dyn FnMut(&'static str),
    ) -> io::Result<()> {
        let (ours, theirs) = (Filters::of(&self.directory), Filters::of(&older.directory));
        let mut traffic = TrafficControl::open()?;
        for (spot, program) in HOOKS.iter().zip(programs) {
            links::carry_over(&older.directory, &self.directory, device, program, spot)?;
            ours.carry_over(&mut traffic, &theirs, device, spot, program)?;
            told("program");
        }
        Ok(())
    }

    /// The devices at which something of ours stands, by either hook.
    pub(super) fn found(&self) -> io::Result<BTreeSet<u32>> {
        let filters = Filters::of(&self.directory);
        let mut found = filters.devices(&mut TrafficControl::open()?)?;
        for device in links::devices(&self.directory)? {
            if HOOKS.iter().any(|spot| links::stands(&self.directory, device, spot).is_some()) {
                found.insert(device);
            }
        }
        Ok(found)
    }

    /// The devices of which something is left here, and those of `known`: how much of these very
    /// programs stands at their spots.
    pub(super) fn standing(
        &self,
        known: impl IntoIterator<Item = u32>,
        programs: Programs<'_>,
    ) -> io::Result<BTreeMap<u32, Standing>> {
        let ids = [call::program_id(programs[0])?, call::program_id(programs[1])?];
        let filters = Filters::of(&self.directory);
        let mut devices: BTreeSet<u32> = known.into_iter().collect();
        devices.extend(links::devices(&self.directory)?);
        devices.extend(filters.marked()?);
        let mut traffic = TrafficControl::open()?;
        let mut stands = |device, spot| {
            Ok::<_, io::Error>(match self.hook {
                Hook::Tcx => links::stands(&self.directory, device, spot),
                Hook::Clsact => {
                    filters.find(&mut traffic, device, spot)?.map(|filter| filter.program)
                }
            })
        };
        let mut found = BTreeMap::new();
        for device in devices {
            let [first, second] = [stands(device, &HOOKS[0])?, stands(device, &HOOKS[1])?];
            found.insert(device, Standing::of([first, second], ids));
        }
        Ok(found)
    }
}

/// How much of ours stands at a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Both programs.
    Whole,
    /// One of them, or an earlier agent's.
    Part,
    /// None.
    Nothing,
}

impl Standing {
    /// From what was found at the spots and what should be there.
    fn of(found: [Option<u32>; 2], wanted: [u32; 2]) -> Self {
        match found {
            [None, None] => Self::Nothing,
            _ if found == wanted.map(Some) => Self::Whole,
            _ => Self::Part,
        }
    }
}

/// Takes everything of an instance off every device. Returns the devices that were freed.
pub(super) fn free_all(directory: &Path) -> io::Result<BTreeSet<u32>> {
    let hooks = Hooks::new(directory, Hook::Tcx);
    let mut devices = hooks.found()?;
    devices.extend(links::devices(directory)?);
    devices.extend(Filters::of(directory).marked()?);
    devices.iter().try_for_each(|device| hooks.detach(*device))?;
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_known_by_its_name_alone() {
        for hook in [Hook::Tcx, Hook::Clsact] {
            assert_eq!(hook.to_string().parse(), Ok(hook));
        }
        for text in ["", "TCX", "xdp"] {
            assert_eq!(text.parse::<Hook>(), Err("there is no such hook".to_owned()));
        }
    }
}
