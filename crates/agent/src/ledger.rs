//! What a host must remember across restarts of the agent: which number stands for what in the
//! kernel.
//!
//! Kernel maps speak of slots, handles and numbers; they outlive the process that handed them out.
//! The ledger is the book of those numbers, kept in one file that is replaced whole before a new
//! number is used. It knows nothing of rules or packets. Without its ledger an agent trusts nothing
//! that is pinned and begins closed.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use portcullis_compile::numbers::Numbers;
use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId, VpcId};
use portcullis_core::verdict::DecidingRule;
use serde::{Deserialize, Serialize};

/// The format of the file; a file of another format is refused.
const FORMAT: u32 = 1;
/// Name of the file in the agent's directory.
pub const FILE_NAME: &str = "ledger.json";

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

/// The device that an interface is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The name it was bound by; it may have another by now.
    pub device: String,
    /// The kernel's index, which outlives a renaming.
    pub index: u32,
    /// Whether it has had its pick-up window, or needed none. A device gets one once.
    pub picked_up: bool,
}

/// One interface's place on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Index into the kernel's slots.
    pub slot: u32,
    /// Number that no other interface ever had on this host.
    pub handle: u64,
    /// Where it was last attached.
    pub attachment: Option<Attachment>,
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
    groups: BTreeMap<u32, String>,
    vpcs: BTreeMap<u32, String>,
    rules: BTreeMap<u32, (String, String)>,
}

/// A bound of the host is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this host has room for {limit} {of}")]
pub struct Full {
    /// What there is no more room for.
    pub of: &'static str,
    /// The limit.
    pub limit: u32,
}

impl Ledger {
    /// An empty book for a boot. Handles begin at `first_handle`, above all that an earlier book of
    /// this boot can have given: the kernel's clock in nanoseconds is.
    pub fn new(boot_id: &str, first_handle: u64) -> Self {
        // Handle 0 is nobody's.
        let next_handle = first_handle.max(1);
        Self { format: FORMAT, boot_id: boot_id.into(), next_handle, ..Self::default() }
    }

    /// The numbers of groups, VPCs and rules in it; `None` if a name in it is no name.
    pub fn numbers(&self) -> Option<Numbers> {
        let mut groups = Vec::new();
        for (number, name) in &self.groups {
            groups.push((*number, name.parse::<SecurityGroupId>().ok()?));
        }
        let mut vpcs = Vec::new();
        for (number, name) in &self.vpcs {
            vpcs.push((*number, name.parse::<VpcId>().ok()?));
        }
        let mut rules = Vec::new();
        for (number, (group, rule)) in &self.rules {
            let rule = DecidingRule { group: group.parse().ok()?, rule: rule.parse().ok()? };
            rules.push((*number, rule));
        }
        Numbers::restore(groups, vpcs, rules).ok()
    }

    /// Enters the numbers as they are now.
    pub fn set_numbers(&mut self, numbers: &Numbers) {
        self.groups = numbers.groups().map(|(n, id)| (n, id.to_string())).collect();
        self.vpcs = numbers.vpcs().map(|(n, id)| (n, id.to_string())).collect();
        let names = |rule: &DecidingRule| (rule.group.to_string(), rule.rule.to_string());
        self.rules = numbers.rules().map(|(n, rule)| (n, names(rule))).collect();
    }

    /// The place of an interface, if it has one.
    pub fn place(&self, interface: &NetworkInterfaceId) -> Option<&Place> {
        self.places.get(interface.as_str())
    }

    /// The place of an interface, to be changed.
    pub fn place_mut(&mut self, interface: &NetworkInterfaceId) -> Option<&mut Place> {
        self.places.get_mut(interface.as_str())
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
            Place { slot, handle, attachment: None }
        }))
    }

    /// Gives an interface's place back. Its slot may be used again, its handle never.
    pub fn leave_place(&mut self, interface: &str) -> Option<Place> {
        self.slots.hand_back(interface);
        self.places.remove(interface)
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

    /// The agent's own directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The ledger of this boot; `None` if there is none: no file, one of an earlier boot, or one
    /// that cannot be read (then a warning says so, and the agent begins closed).
    pub fn load(&self, boot_id: &str) -> io::Result<Option<Ledger>> {
        let path = self.directory.join(FILE_NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Ledger>(&bytes) {
            Ok(ledger) if ledger.format != FORMAT => {
                let format = ledger.format;
                tracing::warn!(path = %path.display(), format, "unknown ledger format");
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
        let mut ledger = Ledger::new("boot", 0);
        let a = ledger.take_place(&eni("eni-a"), 2).unwrap().clone();
        let b = ledger.take_place(&eni("eni-b"), 2).unwrap().clone();
        assert_eq!(ledger.take_place(&eni("eni-a"), 2).unwrap(), &a);
        assert_eq!((a.slot, b.slot), (0, 1));
        assert_eq!(
            ledger.take_place(&eni("eni-c"), 2).unwrap_err().to_string(),
            "this host has room for 2 bound interfaces"
        );
        ledger.leave_place("eni-a");
        let c = ledger.take_place(&eni("eni-c"), 2).unwrap().clone();
        assert_eq!(c.slot, a.slot);
        assert!(c.handle > b.handle && b.handle > a.handle);
    }

    #[test]
    fn a_saved_ledger_is_read_back_on_the_same_boot_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(directory.path()).unwrap();
        assert_eq!(file.load("boot-1").unwrap(), None);
        let mut ledger = Ledger::new("boot-1", 0);
        ledger.take_place(&eni("eni-a"), 9).unwrap().attachment =
            Some(Attachment { device: "veth0".into(), index: 7, picked_up: true });
        let mut numbers = Numbers::new();
        let group: SecurityGroupId = "sg-1".parse().unwrap();
        numbers.group(&group).unwrap();
        numbers.vpc(&"vpc-1".parse().unwrap()).unwrap();
        numbers.rule(&DecidingRule { group, rule: "sgr-1".parse().unwrap() }).unwrap();
        ledger.set_numbers(&numbers);
        file.save(&ledger).unwrap();
        let loaded = file.load("boot-1").unwrap().unwrap();
        assert_eq!(loaded, ledger);
        let mut again = loaded.clone();
        again.set_numbers(&loaded.numbers().unwrap());
        assert_eq!(again, ledger);
        assert_eq!(file.load("boot-2").unwrap(), None);
        fs::write(directory.path().join(FILE_NAME), "{").unwrap();
        assert_eq!(file.load("boot-1").unwrap(), None);
    }
}
