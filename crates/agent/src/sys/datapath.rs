//! The program and its maps, held open: everything that is written to or read back from the kernel.
//!
//! Writes words where it is told and refuses to know what they mean.
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use portcullis_compile::members::MemberKey;
use portcullis_core::net::Family;
use portcullis_core::rule::Direction;
use portcullis_core::verdict::Reason;

use super::abi::{self, CONFIG_WORDS, SLOT_WORDS};
use super::call::{self, Barrier, Map, TestContext};
use super::devices::DeviceTable;
use super::hooks::{self, Hook, Hooks, Standing};
use super::places::Places;
use super::told::Told;
use super::words::Words;
use super::{CountTable, Events, FlowTable, Instance, Sizes, object, upgrade};
use crate::audit::MembersPart;
use crate::kernel::TORN;
use crate::layout::Flow;

/// Device number of the loopback device, on which test packets arrive.
const LOOPBACK: u32 = 1;
/// A frame that the sweep is run on; it is not looked at.
const EMPTY_FRAME: [u8; 64] = [0; 64];

/// Most events of one interface in a second, unless set otherwise after opening.
const EVENTS_PER_SECOND: u64 = 1000;

#[derive(Debug)]
pub(super) struct Maps {
    members: Map,
    pub(super) flows: Map,
    fragments: Map,
    pub(super) hits: Map,
    pub(super) reasons: Map,
    events: Map,
}

#[derive(Debug)]
struct Programs {
    egress: OwnedFd,
    ingress: OwnedFd,
    sweep: OwnedFd,
    adopt: OwnedFd,
}

/// The kernel program with its maps.
#[derive(Debug)]
pub struct Datapath {
    hooks: Option<Hooks>,
    maps: Maps,
    programs: Programs,
    pool: Words,
    pool_words: u32,
    config: Words,
    config_map: OwnedFd,
    slots: Words,
    slots_map: OwnedFd,
    slot_count: u32,
    told: Told,
    retired: Words,
    devices: DeviceTable,
    places: Arc<Places>,
    barrier: Barrier,
}

/// What became of a flow that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adopted {
    /// It goes on here.
    Taken,
    /// It had idled out.
    Over,
    /// There is no room for it, or nobody whose it is.
    Refused,
}

/// What the program says of a packet in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestVerdict {
    /// Let through.
    pub accepted: bool,
    /// Why.
    pub reason: Reason,
    /// Number of the rule's counter, if a rule decided.
    pub counter: Option<u32>,
}

impl Datapath {
    /// Opens an instance: its pinned maps as they are, or new ones of these sizes. Programs are
    /// loaded afresh and put where an earlier agent's stand, without a gap. What an older layout
    /// holds is carried over; one that cannot be read is [`super::Unreadable`], and untouched.
    pub fn open(instance: &Instance, sizes: &Sizes, hook: Hook) -> io::Result<Self> {
        Self::open_told(instance, sizes, hook, &mut |_| ())
    }

    /// The same, which tells the name of each step of carrying over after it has been made: for
    /// tests that die there.
    pub fn open_told(
        instance: &Instance,
        sizes: &Sizes,
        hook: Hook,
        told: &mut dyn FnMut(&'static str),
    ) -> io::Result<Self> {
        let older = upgrade::older(instance)?;
        let sizes = older.iter().try_fold(*sizes, |sizes, older| older.sizes(&sizes))?;
        let directory = instance.directory();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory)?;
        let loaded = object::load(&sizes, Some(directory))?;
        let datapath = Self::new(loaded, Some(Hooks::new(directory, hook)))?;
        datapath.set_events_per_second(EVENTS_PER_SECOND)?;
        told("maps");
        for older in &older {
            upgrade::carry_over(&datapath, instance, older, datapath.hooks()?, told)?;
        }
        upgrade::finish(instance, told)?;
        datapath.hooks()?.take_over(datapath.hooked())?;
        Ok(datapath)
    }

    /// A datapath that nothing else sees and that ends with this value. Nothing is attached to it.
    pub fn private(sizes: &Sizes) -> io::Result<Self> {
        Self::new(object::load(sizes, None)?, None)
    }

    fn new(mut loaded: object::Loaded, hooks: Option<Hooks>) -> io::Result<Self> {
        let processors = processors()?;
        let mut map = |name: &str| match loaded.maps.remove(name) {
            Some(descriptor) => Map::new(descriptor, processors),
            None => Err(io::Error::other(format!("map `{name}` is missing"))),
        };
        let (pool, config, slots) = (map("pool")?, map("config")?, map("slots")?);
        let retired = map("retired")?;
        let devices = map("devices")?;
        let places = Arc::new(Places::open(&mut map, slots.entries)?);
        let maps = Maps {
            members: map("members")?,
            flows: map("flows")?,
            fragments: map("fragments")?,
            hits: map("hits")?,
            reasons: map("reasons")?,
            events: map("events")?,
        };
        let mut program = |name: &str| {
            loaded.programs.remove(name).ok_or_else(|| io::Error::other(format!("no `{name}`")))
        };
        let programs = Programs {
            egress: program("pc_egress")?,
            ingress: program("pc_ingress")?,
            sweep: program("pc_sweep")?,
            adopt: program("pc_adopt")?,
        };
        let slot_count = slots.entries;
        let config_map = config.descriptor().try_clone_to_owned()?;
        let config = Words::map(config.descriptor(), CONFIG_WORDS)?;
        let slots_map = slots.descriptor().try_clone_to_owned()?;
        let slots = Words::map(slots.descriptor(), slot_count as usize * SLOT_WORDS)?;
        Ok(Self {
            hooks,
            pool: Words::map(pool.descriptor(), pool.entries as usize)?,
            pool_words: pool.entries,
            told: Told::found(&config, &slots, slot_count),
            config,
            config_map,
            slots,
            slots_map,
            slot_count,
            devices: DeviceTable::map(devices.descriptor())?,
            barrier: Barrier::new()?,
            retired: Words::map(retired.descriptor(), retired.entries as usize)?,
            places,
            maps,
            programs,
        })
    }

    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    pub(super) fn maps(&self) -> &Maps {
        &self.maps
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// What stands at devices, in the order of [`hooks::HOOKS`].
    pub(super) fn hooked(&self) -> hooks::Programs<'_> {
        [self.programs.egress.as_fd(), self.programs.ingress.as_fd()]
    }

    /// Words of the policy pool.
    pub fn pool_words(&self) -> u32 {
        self.pool_words
    }

    /// Slots there are.
    pub fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// Rule counters there are.
    pub fn counter_count(&self) -> u32 {
        self.maps.hits.entries
    }

    /// Members there may be, of all groups.
    pub fn member_limit(&self) -> u32 {
        self.maps.members.entries
    }

    /// Flows there may be, of all slots.
    pub fn flow_limit(&self) -> u32 {
        self.maps.flows.entries
    }

    /// Now, on the clock by which flows age.
    pub fn now_ns(&self) -> u64 {
        monotonic_ns().wrapping_add(self.config_word(abi::CONFIG_CLOCK_OFFSET_NS))
    }

    /// Writes words that no packet reads yet.
    pub fn write_pool(&self, offset: u32, words: &[u64]) -> io::Result<()> {
        words.iter().zip(offset as usize..).try_for_each(|(word, at)| self.pool.store(at, *word))
    }

    /// Reads words; shorter than asked where the pool ends.
    pub fn read_pool(&self, offset: u32, count: u32) -> Vec<u64> {
        let end = offset as usize + count as usize;
        (offset as usize..end).map_while(|at| self.pool.load(at)).collect()
    }

    pub(super) fn slot_field(&self, slot: u32, field: usize) -> u64 {
        self.slots.load(slot as usize * SLOT_WORDS + field).unwrap_or(0)
    }

    pub(super) fn clear_slot_field(&self, slot: u32, field: usize) -> io::Result<()> {
        self.slots.store(slot as usize * SLOT_WORDS + field, 0)
    }

    /// A slot's word, (generation << 32) | pool offset of the INTERFACE blob; 0 (nothing passes)
    /// beyond the last slot.
    pub fn slot_word(&self, slot: u32) -> u64 {
        self.slot_field(slot, abi::SLOT_WORD)
    }

    /// Sets a slot's word.
    pub fn set_slot_word(&self, slot: u32, word: u64) -> io::Result<()> {
        self.slots.store(slot as usize * SLOT_WORDS + abi::SLOT_WORD, word)
    }

    /// Until when packets of running flows may begin entries at a slot; 0: no longer.
    pub fn set_pick_up_until(&self, slot: u32, until_ns: u64) -> io::Result<()> {
        self.told.set_pick_up(slot, until_ns);
        self.slots.store(slot as usize * SLOT_WORDS + abi::SLOT_PICK_UP_UNTIL, until_ns)
    }

    /// All members with the pool offsets of their sets. Keys that make no sense are removed: they
    /// are nobody's.
    pub fn members(&self) -> io::Result<BTreeMap<MemberKey, u32>> {
        let mut members = BTreeMap::new();
        for (key, value) in self.maps.members.all()? {
            match member(&key, &value) {
                Some((key, set)) => drop(members.insert(key, set)),
                None => drop(self.maps.members.delete(&key)?),
            }
        }
        Ok(members)
    }

    /// Holds a part of the members, at most so many, against who should be there.
    pub fn compare_members(
        &self,
        wanted: &BTreeMap<MemberKey, u32>,
        from: Option<u32>,
        most: u32,
    ) -> io::Result<MembersPart> {
        let batch = self.maps.members.some(from, most)?;
        let is_wanted = |(key, value): &&(Vec<u8>, Vec<u8>)| {
            member(key, value).is_some_and(|(key, set)| wanted.get(&key) == Some(&set))
        };
        let same = batch.entries.iter().filter(is_wanted).count();
        let has_others = same != batch.entries.len();
        Ok(MembersPart { same: same as u32, has_others, next: batch.next })
    }

    /// Where the set of one member stands.
    pub fn member(&self, key: &MemberKey) -> io::Result<Option<u32>> {
        let value = self.maps.members.get(&abi::member_key_bytes(key))?;
        Ok(value.map(|bytes| abi::word(&bytes, 0) as u32))
    }

    /// Adds or replaces a member.
    pub fn put_member(&self, key: &MemberKey, set: u32) -> io::Result<()> {
        self.maps.members.put(&abi::member_key_bytes(key), &u64::from(set).to_ne_bytes())
    }

    /// Removes a member; one that is not there is no error.
    pub fn remove_member(&self, key: &MemberKey) -> io::Result<()> {
        self.maps.members.delete(&abi::member_key_bytes(key)).map(|_| ())
    }

    /// Says which prefix lengths members of a family have; those that stay are never out of sight
    /// meanwhile.
    pub fn set_member_lengths(&self, family: Family, lengths: &[u8]) -> io::Result<()> {
        let (first, words) = match family {
            Family::V4 => (abi::CONFIG_MEMBER_LENGTHS4, 1),
            Family::V6 => (abi::CONFIG_MEMBER_LENGTHS6, abi::MEMBER_LENGTH_WORDS),
        };
        let bits = abi::length_words(family, lengths);
        (first..).zip(bits).take(words).try_for_each(|(at, word)| self.set_config(at, word))
    }

    pub(super) fn config_word(&self, word: usize) -> u64 {
        self.config.load(word).unwrap_or(0)
    }

    pub(super) fn set_config(&self, word: usize, value: u64) -> io::Result<()> {
        self.told.set_config(word, value);
        self.config.store(word, value)
    }

    /// The number of the members map's content, part of what flows are judged by.
    pub fn membership(&self) -> u64 {
        self.config_word(abi::CONFIG_MEMBERSHIP)
    }

    /// Tells the program that memberships have changed, so that flows are judged again.
    pub fn raise_membership(&self) {
        if let Some(now) = self.config.raise(abi::CONFIG_MEMBERSHIP) {
            self.told.set_config(abi::CONFIG_MEMBERSHIP, now);
        }
    }

    /// Moves the program's clock: for tests.
    pub fn set_clock_offset_ns(&self, offset_ns: u64) -> io::Result<()> {
        self.set_config(abi::CONFIG_CLOCK_OFFSET_NS, offset_ns)
    }

    /// Most events of one interface in a second; more are counted as lost.
    pub fn set_events_per_second(&self, events: u64) -> io::Result<()> {
        self.set_config(abi::CONFIG_EVENTS_PER_SECOND, events)
    }

    /// Whether any link-local address is taken for an interface's own.
    pub fn set_any_link_local(&self, any: bool) -> io::Result<()> {
        let flag = if any { abi::CONFIG_FLAG_ANY_LINK_LOCAL } else { 0 };
        self.set_config(abi::CONFIG_FLAGS, flag)
    }

    /// The DHCPv4 servers to which clients may speak directly; at most [`abi::DHCP4_SERVERS_MAX`].
    pub fn set_dhcp4_servers(&self, servers: &[std::net::Ipv4Addr]) -> io::Result<()> {
        if servers.len() > abi::DHCP4_SERVERS_MAX {
            let message = format!("more than {} DHCPv4 servers", abi::DHCP4_SERVERS_MAX);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        (0..abi::DHCP4_SERVERS_MAX).try_for_each(|at| {
            let server = servers.get(at).map_or(0, |server| u64::from(server.to_bits()));
            self.set_config(abi::CONFIG_DHCP4_SERVERS + at, server)
        })
    }

    fn hooks(&self) -> io::Result<&Hooks> {
        self.hooks
            .as_ref()
            .ok_or_else(|| io::Error::other("a private datapath is not attached to devices"))
    }

    /// The slot of each device at whose hooks the programs of both directions stand, and [`TORN`]
    /// for each other one of which something is left.
    pub fn attached(&self) -> io::Result<BTreeMap<u32, u32>> {
        let slots = self.devices.all();
        let standing = self.hooks()?.standing(slots.keys().copied(), self.hooked())?;
        let slot = |(device, found): (u32, Standing)| {
            let is_whole = found == Standing::Whole;
            (device, slots.get(&device).copied().filter(|_| is_whole).unwrap_or(TORN))
        };
        Ok(standing.into_iter().map(slot).collect())
    }

    /// The slot that each device was led to at whose hooks a part of ours stands.
    pub fn halved(&self) -> io::Result<BTreeMap<u32, u32>> {
        let slots = self.devices.all();
        let standing = self.hooks()?.standing(slots.keys().copied(), self.hooked())?;
        let parts = standing.into_iter().filter(|(_, found)| *found == Standing::Part);
        Ok(parts.filter_map(|(device, _)| Some((device, *slots.get(&device)?))).collect())
    }

    /// Whether any device leads to a slot.
    pub(super) fn is_leading(&self) -> bool {
        !self.devices.all().is_empty()
    }

    /// Leads a device (of this network namespace) to a slot and attaches the programs, whatever was
    /// there of ours. One that cannot be led gets them all the same, and nothing passes there.
    pub fn attach(&self, device: u32, slot: u32) -> io::Result<()> {
        let hooks = self.hooks()?;
        let led = self.devices.lead(device, slot);
        hooks.attach(device, self.hooked())?;
        led
    }

    /// Takes the programs off a device; one that is gone is no error.
    pub fn detach(&self, device: u32) -> io::Result<()> {
        self.hooks()?.detach(device)?;
        self.devices.forget(device)
    }

    fn run_sweep(&self, mark: u32) -> io::Result<u32> {
        let context = TestContext { mark, ..TestContext::default() };
        call::test_run(self.programs.sweep.as_fd(), &EMPTY_FRAME, context).map(|run| run.cb[0])
    }

    /// Removes expired flows. Returns how many.
    pub fn sweep(&self) -> io::Result<u32> {
        self.run_sweep(0)
    }

    /// Removes expired flows as [`Datapath::sweep`] does; afterwards no flow names one of these
    /// rule counters, unless it is judged by a rule that has it. Returns how many were removed.
    pub fn sweep_without(&self, counters: &[u32]) -> io::Result<u32> {
        let word = |counter: u32| (counter / abi::COUNTERS_PER_WORD) as usize;
        for counter in counters {
            let bits = self.retired.load(word(*counter)).unwrap_or(0);
            let bit = 1 << (counter % abi::COUNTERS_PER_WORD);
            self.retired.store(word(*counter), bits | bit)?;
        }
        let swept = self.sweep();
        counters.iter().try_for_each(|counter| self.retired.store(word(*counter), 0))?;
        swept
    }

    /// Forgets all flows of a slot. Returns how many.
    pub fn forget_flows(&self, slot: u32) -> io::Result<u32> {
        self.run_sweep(slot + 1)
    }

    /// Takes over a flow of an older layout, or what it did since.
    pub(super) fn adopt(&self, flow: &Flow) -> io::Result<Adopted> {
        let frame = abi::adopted_frame(flow);
        let run = call::test_run(self.programs.adopt.as_fd(), &frame, TestContext::default())?;
        Ok(match run.cb[0] {
            1 => Adopted::Taken,
            2 => Adopted::Over,
            _ => Adopted::Refused,
        })
    }

    /// Returns when no packet is being judged that could have seen what was there before the call:
    /// some milliseconds.
    pub fn barrier(&self) -> io::Result<()> {
        self.barrier.wait()
    }

    /// The event ring; one reader at a time.
    pub fn events(&self) -> io::Result<Events> {
        let events = &self.maps.events;
        Events::new(events.descriptor().try_clone_to_owned()?, events.entries)
    }

    /// The counts, to be read beside this.
    pub fn count_table(&self) -> io::Result<CountTable> {
        CountTable::new(
            self.maps.hits.descriptor().try_clone_to_owned()?,
            self.maps.reasons.descriptor().try_clone_to_owned()?,
            Words::map(self.slots_map.as_fd(), self.slot_count as usize * SLOT_WORDS)?,
            Arc::clone(&self.places),
        )
    }

    /// The flow table, to be read beside this.
    pub fn flow_table(&self) -> io::Result<FlowTable> {
        FlowTable::new(
            self.maps.flows.descriptor().try_clone_to_owned()?,
            Words::map(self.config_map.as_fd(), CONFIG_WORDS)?,
        )
    }

    pub(super) fn direction_program(&self, direction: Direction) -> std::os::fd::BorrowedFd<'_> {
        match direction {
            Direction::Egress => self.programs.egress.as_fd(),
            Direction::Ingress => self.programs.ingress.as_fd(),
        }
    }

    /// Leads a device to a slot, where packets are judged only if the programs stand at it.
    pub fn lead(&self, device: u32, slot: u32) -> io::Result<()> {
        self.devices.lead(device, slot)
    }

    /// Leads test packets to a slot.
    pub fn lead_tests_to(&self, slot: u32) -> io::Result<()> {
        self.lead(LOOPBACK, slot)
    }

    /// Runs the program of a direction on a frame.
    pub fn test(&self, direction: Direction, frame: &[u8]) -> io::Result<TestVerdict> {
        self.test_in(direction, frame, TestContext::default())
    }

    /// The same at a device of the calling thread's network namespace.
    pub fn test_at(
        &self,
        device: u32,
        direction: Direction,
        frame: &[u8],
    ) -> io::Result<TestVerdict> {
        self.test_in(direction, frame, TestContext { device, ..TestContext::default() })
    }

    /// Runs the program of a direction on a frame that is cut into so many packets on the wire.
    pub fn test_aggregate(
        &self,
        direction: Direction,
        frame: &[u8],
        segments: u32,
    ) -> io::Result<TestVerdict> {
        self.test_in(direction, frame, TestContext { segments, ..TestContext::default() })
    }

    fn test_in(
        &self,
        direction: Direction,
        frame: &[u8],
        context: TestContext,
    ) -> io::Result<TestVerdict> {
        let run = call::test_run(self.direction_program(direction), frame, context)?;
        let accepted = run.cb[0] & abi::CB_ACCEPT != 0;
        // TCX_NEXT lets the packet on, TC_ACT_SHOT does not.
        let passed = match run.value {
            -1 => true,
            2 => false,
            other => return Err(io::Error::other(format!("the program returned {other}"))),
        };
        let reason = abi::reason_of(run.cb[0] as u8);
        let reason = reason.ok_or_else(|| io::Error::other("the program gave no known reason"))?;
        if accepted != passed {
            return Err(io::Error::other("the program does not do what it reports"));
        }
        Ok(TestVerdict { accepted, reason, counter: run.cb[1].checked_sub(1) })
    }

    /// Forgets every flow and fragment, whoever they belong to: for tests, one entry at a time.
    pub fn forget_everything(&self) -> io::Result<()> {
        for map in [&self.maps.flows, &self.maps.fragments] {
            while let Some(key) = map.next_key(None)? {
                map.delete(&key)?;
            }
        }
        self.places.clear()?;
        (0..self.slot_count as usize).try_for_each(|slot| {
            [abi::SLOT_BLOCKS_LENT, abi::SLOT_PLACES_CLAIM]
                .into_iter()
                .try_for_each(|field| self.slots.store(slot * SLOT_WORDS + field, 0))
        })
    }
}

/// The member of an entry, if it makes sense.
fn member(key: &[u8], value: &[u8]) -> Option<(MemberKey, u32)> {
    Some((abi::member_key(key)?, u32::try_from(abi::word(value, 0)).ok()?))
}

/// How many processors a per-CPU value may have.
pub(super) fn processors() -> io::Result<usize> {
    let text = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit(['-', ',']).next().and_then(|n| n.parse::<usize>().ok());
    last.map(|n| n + 1).ok_or_else(|| io::Error::other("the possible processors are not told"))
}

/// The kernel's monotonic clock, which the program reads too.
pub(super) fn monotonic_ns() -> u64 {
    // SAFETY: an all-zero timespec is a valid value, and the call fills it.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
        now
    };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
