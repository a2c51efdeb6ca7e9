//! A kernel of memory, which can die before any of its writes and shows each to a watcher; and a
//! judge of what it holds.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use portcullis_agent::audit::MembersPart;
use portcullis_agent::kernel::{Count, Kernel, ReasonCount, SlotWord};
use portcullis_compile::abi;
use portcullis_compile::interpret;
use portcullis_compile::members::MemberKey;
use portcullis_core::flow::Flow;
use portcullis_core::net::{Family, Prefix};
use portcullis_core::rule::Policy;
use portcullis_core::verdict::Reason;

const POOL_WORDS: u32 = 1 << 18;
const SLOTS: u32 = 32;
const COUNTERS: u32 = 256;
const MEMBERS: u32 = 4096;

/// What survives the agent. A pool that is not empty keeps its size.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) pool: Vec<u64>,
    pub(crate) slots: BTreeMap<u32, u64>,
    pub(crate) pick_ups: BTreeMap<u32, u64>,
    pub(crate) members: BTreeMap<MemberKey, u32>,
    pub(crate) lengths: BTreeMap<Family, Vec<u8>>,
    pub(crate) attached: BTreeMap<u32, u32>,
    pub(crate) halved: BTreeMap<u32, u32>,
    /// Instead of [`MEMBERS`].
    pub(crate) member_limit: Option<u32>,
    pub(crate) membership: u64,
    pub(crate) barriers: usize,
    /// A device that the kernel refuses to attach to.
    pub(crate) refuses: Option<u32>,
    /// Writes of the present agent.
    pub(crate) writes: usize,
}

pub(crate) type Shared = Rc<RefCell<Memory>>;
type Watcher = Box<dyn Fn(&Memory)>;

pub(crate) struct MemoryKernel {
    memory: Shared,
    dies_at: usize,
    watcher: Watcher,
    /// The prefix lengths that were told last.
    told: BTreeMap<Family, Vec<u8>>,
}

impl MemoryKernel {
    /// A kernel that never dies.
    pub(crate) fn new(memory: &Shared) -> Self {
        Self::dying(memory, usize::MAX, Box::new(|_| ()))
    }

    /// A kernel that refuses its write number `dies_at` and all after it.
    pub(crate) fn dying(memory: &Shared, dies_at: usize, watcher: Watcher) -> Self {
        if memory.borrow().pool.is_empty() {
            memory.borrow_mut().pool.resize(POOL_WORDS as usize, 0);
        }
        memory.borrow_mut().writes = 0;
        let told = memory.borrow().lengths.clone();
        Self { memory: memory.clone(), dies_at, watcher, told }
    }

    fn write<T>(&mut self, change: impl FnOnce(&mut Memory) -> T) -> io::Result<T> {
        let mut memory = self.memory.borrow_mut();
        if memory.writes == self.dies_at {
            return Err(io::Error::other("killed"));
        }
        memory.writes += 1;
        let answer = change(&mut memory);
        drop(memory);
        (self.watcher)(&self.memory.borrow());
        Ok(answer)
    }
}

impl Kernel for MemoryKernel {
    fn pool_words(&self) -> u32 {
        self.memory.borrow().pool.len() as u32
    }

    fn slot_count(&self) -> u32 {
        SLOTS
    }

    fn counter_count(&self) -> u32 {
        COUNTERS
    }

    fn member_limit(&self) -> u32 {
        self.memory.borrow().member_limit.unwrap_or(MEMBERS)
    }

    fn now_ns(&self) -> u64 {
        1_000
    }

    fn write_pool(&mut self, offset: u32, words: &[u64]) -> io::Result<()> {
        // In two halves: a half-written blob is what a kill leaves behind.
        let (first, second) = words.split_at(words.len() / 2);
        let offset = offset as usize;
        self.write(|memory| memory.pool[offset..offset + first.len()].copy_from_slice(first))?;
        let offset = offset + first.len();
        self.write(|memory| memory.pool[offset..offset + second.len()].copy_from_slice(second))
    }

    fn read_pool(&self, offset: u32, count: u32) -> Vec<u64> {
        let memory = self.memory.borrow();
        let end = (offset as usize + count as usize).min(memory.pool.len());
        memory.pool.get(offset as usize..end).unwrap_or_default().to_vec()
    }

    fn slot(&self, slot: u32) -> SlotWord {
        SlotWord::from_word(self.memory.borrow().slots.get(&slot).copied().unwrap_or(0))
    }

    fn set_slot(&mut self, slot: u32, word: SlotWord) -> io::Result<()> {
        self.write(|memory| memory.slots.insert(slot, word.to_word())).map(drop)
    }

    fn set_pick_up_until(&mut self, slot: u32, until_ns: u64) -> io::Result<()> {
        self.write(|memory| memory.pick_ups.insert(slot, until_ns)).map(drop)
    }

    fn members(&self) -> io::Result<BTreeMap<MemberKey, u32>> {
        Ok(self.memory.borrow().members.clone())
    }

    fn member(&self, key: MemberKey) -> io::Result<Option<u32>> {
        Ok(self.memory.borrow().members.get(&key).copied())
    }

    fn compare_members(
        &self,
        wanted: &BTreeMap<MemberKey, u32>,
        _from: Option<u32>,
        _most: u32,
    ) -> io::Result<MembersPart> {
        let memory = self.memory.borrow();
        let same = memory.members.iter().filter(|(key, set)| wanted.get(key) == Some(set)).count();
        let has_others = same != memory.members.len();
        Ok(MembersPart { same: same as u32, has_others, next: None })
    }

    fn put_member(&mut self, key: MemberKey, set: u32) -> io::Result<()> {
        self.write(|memory| memory.members.insert(key, set)).map(drop)
    }

    fn remove_member(&mut self, key: MemberKey) -> io::Result<()> {
        self.write(|memory| memory.members.remove(&key)).map(drop)
    }

    fn set_member_lengths(&mut self, family: Family, lengths: &[u8]) -> io::Result<()> {
        self.told.insert(family, lengths.to_vec());
        self.write(|memory| memory.lengths.insert(family, lengths.to_vec())).map(drop)
    }

    fn raise_membership(&mut self) -> io::Result<()> {
        self.write(|memory| memory.membership += 1)
    }

    fn settings_agree(&self) -> bool {
        self.memory.borrow().lengths == self.told
    }

    fn restore_settings(&mut self) -> io::Result<()> {
        let told = self.told.clone();
        self.write(|memory| memory.lengths = told)
    }

    fn attached(&self) -> io::Result<BTreeMap<u32, u32>> {
        Ok(self.memory.borrow().attached.clone())
    }

    fn halved(&self) -> io::Result<BTreeMap<u32, u32>> {
        Ok(self.memory.borrow().halved.clone())
    }

    fn attach(&mut self, device: u32, slot: u32) -> io::Result<()> {
        if self.memory.borrow().refuses == Some(device) {
            return Err(io::Error::other("no such device"));
        }
        self.write(|memory| {
            memory.halved.remove(&device);
            memory.attached.insert(device, slot)
        })
        .map(drop)
    }

    fn detach(&mut self, device: u32) -> io::Result<()> {
        self.write(|memory| {
            memory.halved.remove(&device);
            memory.attached.remove(&device)
        })
        .map(drop)
    }

    fn forget(&mut self, _handle: u64, _slot: u32) -> io::Result<()> {
        self.write(|_| ())
    }

    fn counter(&self, _counter: u32) -> io::Result<Count> {
        Ok(Count::default())
    }

    fn reasons(&self, _slot: u32) -> io::Result<Vec<ReasonCount>> {
        Ok(Vec::new())
    }

    fn upkeep(&mut self, _retired: &[u32]) -> io::Result<()> {
        Ok(())
    }

    fn events_lost(&self, _slot: u32) -> u64 {
        0
    }

    fn flow_count(&self, _slot: u32) -> u64 {
        0
    }

    fn counters_name(&self) -> io::Result<String> {
        Ok("memory".into())
    }

    fn zero_counters(&mut self, _counters: &[u32]) -> io::Result<()> {
        self.write(|_| ())
    }

    fn barrier(&self) -> io::Result<()> {
        self.memory.borrow_mut().barriers += 1;
        Ok(())
    }
}

/// What the kernel's words say of a flow at the device of this index; `None`: nothing passes there
/// but the baseline.
pub(crate) fn judge(memory: &Memory, device: u32, flow: &Flow) -> Option<(Policy, Reason)> {
    let slot = memory.attached.get(&device)?;
    let blob = SlotWord::from_word(memory.slots.get(slot).copied().unwrap_or(0)).blob;
    let flags = memory.pool.get(blob as usize + abi::INTERFACE_FLAGS as usize).copied()?;
    if blob == 0 || flags & abi::FLAG_CLOSED != 0 {
        return None;
    }
    let groups = groups_of(memory, flow.remote());
    let outcome = interpret::judge(&memory.pool, blob.into(), flow, |vpc, _| {
        groups.iter().find(|(of, _)| *of == vpc).map_or(&[], |(_, groups)| groups.as_slice())
    });
    let outcome = outcome.expect("what a slot leads to is whole");
    Some((outcome.policy, outcome.reason))
}

/// The groups of an address in each VPC, found as the kernel program finds them: by the lengths
/// that are in use.
fn groups_of(memory: &Memory, address: IpAddr) -> Vec<(u32, Vec<u32>)> {
    let mut found: Vec<(u32, Vec<u32>)> = Vec::new();
    for length in memory.lengths.get(&Family::of(address)).into_iter().flatten() {
        let prefix = Prefix::new(address, *length).unwrap();
        for (key, set) in memory.members.iter().filter(|(key, _)| key.prefix == prefix) {
            if found.iter().all(|(vpc, _)| *vpc != key.vpc) {
                let from = *set as usize + 1;
                let count = memory.pool[*set as usize] as usize;
                let groups = memory.pool[from..from + count].iter().map(|g| *g as u32).collect();
                found.push((key.vpc, groups));
            }
        }
    }
    found
}
