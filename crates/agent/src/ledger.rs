//! What a host must remember across restarts of the agent: which number stands for what in the kernel.
//!
//! Kernel maps speak of slots, handles and numbers; they outlive the process that handed them out. The ledger is the book of
//! those numbers, kept in one file that is replaced whole before a new number is used. It knows nothing of rules or packets.
//! Without its ledger an agent trusts nothing that is pinned and begins closed.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId, SecurityGroupRuleId, VpcId};
use serde::{Deserialize, Serialize};

/// The format of the file; a file of another format is refused.
const FORMAT: u32 = 1;
/// Name of the file in the agent's directory.
pub const FILE_NAME: &str = "ledger.json";

/// Numbers given to things of one kind, never given twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Numbering {
    next: u64,
    numbers: BTreeMap<String, u64>,
}

impl Numbering {
    fn number(&mut self, name: &str) -> u64 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(name.into(), number);
        number
    }
}

/// Numbers out of a bounded range, given again after they were handed back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Places {
    taken: BTreeMap<String, u32>,
    free: BTreeSet<u32>,
    /// No number from here on was ever given.
    next: u32,
}

impl Places {
    fn place(&mut self, name: &str, end: u32) -> Option<u32> {
        if let Some(place) = self.taken.get(name) {
            return Some(*place);
        }
        let place = match self.free.pop_first() {
            Some(place) => place,
            None if self.next < end => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        self.taken.insert(name.into(), place);
        Some(place)
    }

    fn hand_back(&mut self, name: &str) -> Option<u32> {
        let place = self.taken.remove(name)?;
        self.free.insert(place);
        Some(place)
    }
}

/// One interface's place on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Index into the kernel's slots.
    pub slot: u32,
    /// Number that no other interface ever had on this host.
    pub handle: u64,
    /// The device it was last attached to, and its kernel index; an index outlives a renaming.
    pub device: Option<(String, u32)>,
    /// End of the pick-up window that its device was given, in kernel time; 0: none. A device is given one once.
    pub pick_up_until_ns: u64,
}

/// The book of numbers. A value: nothing is written until [`LedgerFile::save`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    format: u32,
    /// The boot this book is about; kernel maps do not outlive it.
    boot_id: String,
    next_handle: u64,
    places: BTreeMap<String, Place>,
    slots: Places,
    groups: Numbering,
    vpcs: Numbering,
    rules: Places,
}

/// A bound of the host is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this host has room for {limit} {of}; unbind or revoke some first")]
pub struct Full {
    /// What there is no more room for.
    pub of: &'static str,
    /// The limit.
    pub limit: u32,
}

impl Ledger {
    /// An empty book for a boot.
    pub fn new(boot_id: &str) -> Self {
        // Numbers start at 1, so that a zero word in a kernel map never means anything.
        let numbering = Numbering { next: 1, numbers: BTreeMap::new() };
        Self {
            format: FORMAT,
            boot_id: boot_id.into(),
            next_handle: 1,
            groups: numbering.clone(),
            vpcs: numbering,
            ..Self::default()
        }
    }

    /// The place of an interface, if it has one.
    pub fn place(&self, interface: &NetworkInterfaceId) -> Option<&Place> {
        self.places.get(interface.as_str())
    }

    /// All interfaces that have a place.
    pub fn places(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.places.iter().map(|(name, place)| (name.as_str(), place))
    }

    /// Gives an interface its place, the one it has if it has one.
    pub fn take_place(
        &mut self,
        interface: &NetworkInterfaceId,
        slots: u32,
    ) -> Result<&mut Place, Full> {
        let name = interface.as_str();
        let slot =
            self.slots.place(name, slots).ok_or(Full { of: "bound interfaces", limit: slots })?;
        let next_handle = &mut self.next_handle;
        Ok(self.places.entry(name.into()).or_insert_with(|| {
            let handle = *next_handle;
            *next_handle += 1;
            Place { slot, handle, device: None, pick_up_until_ns: 0 }
        }))
    }

    /// Gives an interface's place back. Its slot may be used again, its handle never.
    pub fn leave_place(&mut self, interface: &str) -> Option<Place> {
        self.slots.hand_back(interface);
        self.places.remove(interface)
    }

    /// The number of a group.
    pub fn group(&mut self, id: &SecurityGroupId) -> u64 {
        self.groups.number(id.as_str())
    }

    /// The number of a VPC.
    pub fn vpc(&mut self, id: &VpcId) -> u64 {
        self.vpcs.number(id.as_str())
    }

    /// The counter of a rule.
    pub fn rule(&mut self, id: &SecurityGroupRuleId, counters: u32) -> Result<u32, Full> {
        let full = Full { of: "rules with counters", limit: counters };
        self.rules.place(id.as_str(), counters).ok_or(full)
    }

    /// All rules that have a counter.
    pub fn rules(&self) -> impl Iterator<Item = (&str, u32)> {
        self.rules.taken.iter().map(|(name, counter)| (name.as_str(), *counter))
    }

    /// Takes counters back from rules that `keep` does not want; answers the counters that are free now, to be zeroed.
    pub fn retain_rules(&mut self, mut keep: impl FnMut(&str) -> bool) -> Vec<u32> {
        let gone: Vec<String> =
            self.rules.taken.keys().filter(|name| !keep(name)).cloned().collect();
        gone.iter().filter_map(|name| self.rules.hand_back(name)).collect()
    }
}

/// The ledger's file.
#[derive(Debug, Clone)]
pub struct LedgerFile {
    directory: PathBuf,
}

impl LedgerFile {
    /// The file in the agent's own directory, which is made if need be.
    pub fn new(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.into() })
    }

    /// The ledger of this boot; `None` if there is none: no file, one of an earlier boot, or one that cannot be read
    /// (then a warning says so, and the agent begins closed).
    pub fn load(&self, boot_id: &str) -> io::Result<Option<Ledger>> {
        let path = self.directory.join(FILE_NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Ledger>(&bytes) {
            Ok(ledger) if ledger.format != FORMAT => {
                tracing::warn!(path = %path.display(), format = ledger.format, "unknown ledger format");
                Ok(None)
            }
            Ok(ledger) => Ok((ledger.boot_id == boot_id).then_some(ledger)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the ledger cannot be read");
                Ok(None)
            }
        }
    }

    /// Replaces the file; on return the new one is durable.
    pub fn save(&self, ledger: &Ledger) -> io::Result<()> {
        let path = self.directory.join(FILE_NAME);
        let beside = self.directory.join(format!("{FILE_NAME}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(ledger)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.directory)?.sync_all()
    }
}

/// The identity of the running boot.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eni(text: &str) -> NetworkInterfaceId {
        text.parse().unwrap()
    }

    #[test]
    fn slots_return_and_handles_never() {
        let mut ledger = Ledger::new("boot");
        let a = ledger.take_place(&eni("eni-a"), 2).unwrap().clone();
        let b = ledger.take_place(&eni("eni-b"), 2).unwrap().clone();
        assert_eq!(ledger.take_place(&eni("eni-a"), 2).unwrap(), &a);
        assert_eq!((a.slot, b.slot), (0, 1));
        assert_eq!(
            ledger.take_place(&eni("eni-c"), 2).unwrap_err().to_string(),
            "this host has room for 2 bound interfaces; unbind or revoke some first"
        );
        ledger.leave_place("eni-a");
        let c = ledger.take_place(&eni("eni-c"), 2).unwrap().clone();
        assert_eq!(c.slot, a.slot);
        assert!(c.handle > b.handle && b.handle > a.handle);
    }

    #[test]
    fn counters_are_bounded_and_come_back() {
        let mut ledger = Ledger::new("boot");
        let rule = |text: &str| text.parse::<SecurityGroupRuleId>().unwrap();
        assert_eq!(ledger.rule(&rule("sgr-1"), 2), Ok(0));
        assert_eq!(ledger.rule(&rule("sgr-2"), 2), Ok(1));
        assert_eq!(ledger.rule(&rule("sgr-3"), 2).unwrap_err().limit, 2);
        assert_eq!(ledger.retain_rules(|name| name != "sgr-1"), vec![0]);
        assert_eq!(ledger.rule(&rule("sgr-3"), 2), Ok(0));
        assert_eq!(ledger.rules().collect::<Vec<_>>(), vec![("sgr-2", 1), ("sgr-3", 0)]);
    }

    #[test]
    fn a_saved_ledger_is_read_back_on_the_same_boot_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(directory.path()).unwrap();
        assert_eq!(file.load("boot-1").unwrap(), None);
        let mut ledger = Ledger::new("boot-1");
        ledger.take_place(&eni("eni-a"), 9).unwrap().device = Some(("veth0".into(), 7));
        ledger.group(&"sg-1".parse().unwrap());
        file.save(&ledger).unwrap();
        assert_eq!(file.load("boot-1").unwrap(), Some(ledger));
        assert_eq!(file.load("boot-2").unwrap(), None);
        fs::write(directory.path().join(FILE_NAME), "{").unwrap();
        assert_eq!(file.load("boot-1").unwrap(), None);
    }
}
