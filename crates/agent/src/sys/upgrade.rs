//! From an older layout's pins to ours, under traffic: first the policy, then the flows, then the
//! programs where they stand, then what flows did meanwhile; the older pins go last.
//!
//! Nothing is taken from the older layout until its directory is renamed, at once and as the last
//! thing: an upgrade that dies before is made again from the start by the next agent, and every
//! step of it may be made twice. At no instant is a device without a program: each is replaced
//! where it stands, by one that judges by the same policy.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use portcullis_compile::abi::LAYOUT_VERSION;
use portcullis_core::net::Family;

use super::call::{self, Map};
use super::datapath::{Adopted, processors};
use super::hooks::Hooks;
use super::words::Words;
use super::{Datapath, Instance, Sizes, object};
use crate::kernel::TORN;
use crate::layout::{Known, Layout, known};
use crate::membership::lengths;

/// Marks, in our directory, that the older policy has been brought in whole.
const MARK: &str = "policy-is-carried-over";
/// Behind the name of an instance's older directory when nothing is wanted of it any more. No
/// instance has such a name.
const DONE: &str = "_done";
/// Flows that are read at once.
const BATCH: u32 = 4096;

/// An instance is pinned in a layout that this version cannot take over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Of a release to come.
    #[error(
        "instance `{instance}` is enforced with layout {version} of the pinned maps, of a newer \
         portcullis than this one (layout {LAYOUT_VERSION})"
    )]
    Newer {
        /// The instance.
        instance: String,
        /// The layout.
        version: u32,
    },
    /// Of a release that is not read any more.
    #[error(
        "instance `{instance}` is enforced with layout {version} of the pinned maps, which this \
         portcullis (layout {LAYOUT_VERSION}) does not read"
    )]
    Forgotten {
        /// The instance.
        instance: String,
        /// The layout.
        version: u32,
    },
    /// An older portcullis was started after a newer one.
    #[error(
        "instance `{instance}` is enforced with the layouts {version} and {LAYOUT_VERSION} of the \
         pinned maps at the same time"
    )]
    Twice {
        /// The instance.
        instance: String,
        /// The older of the two.
        version: u32,
    },
}

impl Unreadable {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Newer { .. } => {
                "start that portcullis again; or, with it, `portcullis detach --all`, which opens \
                 every device"
            }
            Self::Forgotten { .. } | Self::Twice { .. } => {
                "`portcullis detach --all` lets go of it and opens every device; then start again"
            }
        }
    }

    fn error(self) -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, self)
    }
}

/// The older layouts that an instance is pinned in, oldest first.
pub(super) fn older(instance: &Instance) -> io::Result<Vec<Older>> {
    let mut found = Vec::new();
    for (version, directory) in instance.layouts()? {
        let name = instance.name().to_owned();
        match known(version) {
            Known::Own => {}
            Known::Older(layout) => found.push(Older { layout, directory }),
            Known::Newer => return Err(Unreadable::Newer { instance: name, version }.error()),
            Known::Forgotten => {
                return Err(Unreadable::Forgotten { instance: name, version }.error());
            }
        }
    }
    Ok(found)
}

/// Takes everything of an instance off every device, in whatever layout. Returns how many devices
/// were freed.
pub(super) fn detach_all(instance: &Instance) -> io::Result<usize> {
    let layouts = instance.layouts()?;
    // What a newer one keeps there is not ours to guess.
    if let Some(version) = layouts.keys().copied().find(|v| matches!(known(*v), Known::Newer)) {
        return Err(Unreadable::Newer { instance: instance.name().to_owned(), version }.error());
    }
    let mut freed = BTreeSet::new();
    for directory in layouts.into_values() {
        freed.extend(super::hooks::free_all(&directory)?);
        remove(&directory)?;
    }
    remove_done(instance)?;
    Ok(freed.len())
}

fn remove(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    fs::remove_dir(directory)
}

/// What upgrades that died at their very end left over.
pub(super) fn remove_done(instance: &Instance) -> io::Result<()> {
    let left = instance.directories_named(&format!("{}{DONE}", instance.name()))?;
    left.values().try_for_each(|directory| remove(directory))
}

/// Pins of an older layout.
#[derive(Debug)]
pub(super) struct Older {
    layout: &'static Layout,
    directory: PathBuf,
}

impl Older {
    fn map(&self, name: &str) -> io::Result<Map> {
        Map::new(call::open(&object::map_pin(&self.directory, name))?, processors()?)
    }

    /// Sizes that hold what is there.
    pub(super) fn sizes(&self, wanted: &Sizes) -> io::Result<Sizes> {
        let entries = |name: &str| self.map(name).map(|map| map.entries);
        Ok(Sizes {
            pool_words: wanted.pool_words.max(entries("pool")?),
            slots: wanted.slots.max(entries("slots")?),
            members: wanted.members.max(entries("members")?),
            flows: wanted.flows.max(entries("flows")?),
            counters: wanted.counters.max(entries("hits")?),
            ..*wanted
        })
    }
}

/// What is told after each step: its name.
pub(super) type Told<'a> = &'a mut dyn FnMut(&'static str);

/// Carries an older layout over; `hooks` are ours.
pub(super) fn carry_over(
    datapath: &Datapath,
    instance: &Instance,
    older: &Older,
    hooks: &Hooks,
    told: Told<'_>,
) -> io::Result<()> {
    let mark = instance.directory().join(MARK);
    if !mark.is_dir() {
        if datapath.is_leading() {
            let (instance, version) = (instance.name().to_owned(), older.layout.version);
            return Err(Unreadable::Twice { instance, version }.error());
        }
        carry_policy(datapath, older, told)?;
        carry_counts(datapath, older)?;
        told("counts");
        fs::create_dir(&mark)?;
        told("mark");
    }
    let mut flows = Flows { map: older.map("flows")?, read: HashMap::new(), refused: 0 };
    for step in ["flows", "flows of the first round"] {
        flows.carry(datapath, older.layout)?;
        told(step);
    }
    replace_programs(datapath, older, hooks, told)?;
    flows.carry(datapath, older.layout)?;
    told("flows of the second round");
    // Packets that the older programs still have at hand end here.
    datapath.barrier()?;
    flows.carry(datapath, older.layout)?;
    told("flows of the last round");
    if flows.refused > 0 {
        tracing::warn!(flows = flows.refused, "flows of the older layout found no room");
    }
    let done = instance.name().to_owned() + DONE;
    fs::rename(&older.directory, older.directory.with_file_name(done))?;
    told("rename");
    Ok(())
}

/// After the last of the older layouts.
pub(super) fn finish(instance: &Instance, told: Told<'_>) -> io::Result<()> {
    remove_done(instance)?;
    told("removal");
    match fs::remove_dir(instance.directory().join(MARK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Everything that verdicts depend on. No device leads here yet.
fn carry_policy(datapath: &Datapath, older: &Older, told: Told<'_>) -> io::Result<()> {
    let layout = older.layout;
    datapath.forget_everything()?;
    let (pool, config, slots) = (older.map("pool")?, older.map("config")?, older.map("slots")?);
    let words = |map: &Map, count: usize| {
        let words = Words::map(map.descriptor(), count)?;
        Ok::<_, io::Error>((0..count).map_while(|at| words.load(at)).collect::<Vec<u64>>())
    };
    datapath.write_pool(0, &words(&pool, pool.entries as usize)?)?;
    told("pool");
    let settings = (layout.settings)(&words(&config, layout.config_words)?);
    datapath.set_clock_offset_ns(settings.clock_offset_ns)?;
    datapath.set_any_link_local(settings.any_link_local)?;
    datapath.set_dhcp4_servers(&settings.dhcp4_servers)?;
    let entries = older.map("members")?.all()?;
    let members: BTreeMap<_, _> =
        entries.iter().filter_map(|(key, set)| (layout.member)(key, set)).collect();
    for key in datapath.members()?.into_keys().filter(|key| !members.contains_key(key)) {
        datapath.remove_member(&key)?;
    }
    for (key, set) in &members {
        datapath.put_member(key, *set)?;
    }
    let [v4, v6] = lengths(members.keys());
    datapath.set_member_lengths(Family::V4, &v4)?;
    datapath.set_member_lengths(Family::V6, &v6)?;
    told("members");
    let slots = words(&slots, slots.entries as usize * layout.slot_words)?;
    let mut slots = slots.chunks_exact(layout.slot_words).map(layout.slot);
    for number in 0..datapath.slot_count() {
        let slot = slots.next().unwrap_or_default();
        datapath.set_slot_word(number, slot.word)?;
        datapath.set_pick_up_until(number, slot.pick_up_until_ns)?;
    }
    told("slots");
    Ok(())
}

/// What rules and reasons have counted so far. What the older programs count from here on is lost.
fn carry_counts(datapath: &Datapath, older: &Older) -> io::Result<()> {
    let ours = datapath.maps();
    for (name, to) in [("hits", &ours.hits), ("reasons", &ours.reasons)] {
        let from = older.map(name)?;
        for number in 0..from.entries.min(to.entries) {
            let key = number.to_ne_bytes();
            if let Some(value) = from.get(&key)?
                && value.iter().any(|byte| *byte != 0)
            {
                to.put(&key, &value)?;
            }
        }
    }
    Ok(())
}

/// The older flows and how they were when they were last carried over.
struct Flows {
    map: Map,
    read: HashMap<Vec<u8>, u64>,
    refused: usize,
}

impl Flows {
    /// Hands over every flow that is new or has changed since the last round.
    fn carry(&mut self, datapath: &Datapath, layout: &Layout) -> io::Result<()> {
        let mut next = None;
        self.refused = 0;
        loop {
            let batch = self.map.some(next, BATCH)?;
            for (key, value) in batch.entries {
                let mut hasher = DefaultHasher::new();
                value.hash(&mut hasher);
                let now = hasher.finish();
                if self.read.get(&key) == Some(&now) {
                    continue;
                }
                let Some(flow) = (layout.flow)(&key, &value) else { continue };
                if datapath.adopt(&flow)? == Adopted::Refused {
                    self.refused += 1;
                } else {
                    self.read.insert(key, now);
                }
            }
            match batch.next {
                Some(from) => next = Some(from),
                None => return Ok(()),
            }
        }
    }
}

/// At every device at which the older programs stand.
fn replace_programs(
    datapath: &Datapath,
    older: &Older,
    hooks: &Hooks,
    told: Told<'_>,
) -> io::Result<()> {
    let entries = older.map("devices")?.all()?;
    let led: BTreeMap<u32, u32> =
        entries.iter().filter_map(|(device, slot)| (older.layout.device)(device, slot)).collect();
    let theirs = Hooks::new(&older.directory, hooks.hook());
    for device in theirs.found()? {
        // A device that leads to no slot passes nothing, and still does.
        if let Err(error) = datapath.lead(device, led.get(&device).copied().unwrap_or(TORN)) {
            tracing::warn!(device, %error, "nothing passes at a device of an older agent");
        }
        told("device");
        hooks.carry_over(&theirs, device, datapath.hooked(), told)?;
    }
    Ok(())
}
