//! The real kernel behind the agent's [`Kernel`]: each call is one of [`Datapath`]'s.
//!
//! Adds nothing but names, so that what planning and execution are tested against is what they get.
use std::collections::BTreeMap;
use std::io;

use portcullis_compile::members::MemberKey;
use portcullis_core::net::Family;

use super::Datapath;
use crate::audit::MembersPart;
use crate::kernel::{Count, Kernel, ReasonCount, SlotWord};
use crate::ledger::boot_id;

impl Kernel for Datapath {
    fn pool_words(&self) -> u32 {
        self.pool_words()
    }

    fn slot_count(&self) -> u32 {
        self.slot_count()
    }

    fn counter_count(&self) -> u32 {
        self.counter_count()
    }

    fn member_limit(&self) -> u32 {
        self.member_limit()
    }

    fn now_ns(&self) -> u64 {
        self.now_ns()
    }

    fn write_pool(&mut self, offset: u32, words: &[u64]) -> io::Result<()> {
        Datapath::write_pool(self, offset, words)
    }

    fn read_pool(&self, offset: u32, count: u32) -> Vec<u64> {
        self.read_pool(offset, count)
    }

    fn slot(&self, slot: u32) -> SlotWord {
        SlotWord::from_word(self.slot_word(slot))
    }

    fn set_slot(&mut self, slot: u32, word: SlotWord) -> io::Result<()> {
        self.set_slot_word(slot, word.to_word())
    }

    fn set_pick_up_until(&mut self, slot: u32, until_ns: u64) -> io::Result<()> {
        Datapath::set_pick_up_until(self, slot, until_ns)
    }

    fn members(&self) -> io::Result<BTreeMap<MemberKey, u32>> {
        self.members()
    }

    fn member(&self, key: MemberKey) -> io::Result<Option<u32>> {
        Datapath::member(self, &key)
    }

    fn compare_members(
        &self,
        wanted: &BTreeMap<MemberKey, u32>,
        from: Option<u32>,
        most: u32,
    ) -> io::Result<MembersPart> {
        Datapath::compare_members(self, wanted, from, most)
    }

    fn put_member(&mut self, key: MemberKey, set: u32) -> io::Result<()> {
        Datapath::put_member(self, &key, set)
    }

    fn remove_member(&mut self, key: MemberKey) -> io::Result<()> {
        Datapath::remove_member(self, &key)
    }

    fn set_member_lengths(&mut self, family: Family, lengths: &[u8]) -> io::Result<()> {
        Datapath::set_member_lengths(self, family, lengths)
    }

    fn raise_membership(&mut self) -> io::Result<()> {
        Datapath::raise_membership(self);
        Ok(())
    }

    fn settings_agree(&self) -> bool {
        Datapath::settings_agree(self)
    }

    fn restore_settings(&mut self) -> io::Result<()> {
        Datapath::restore_settings(self)
    }

    fn attached(&self) -> io::Result<BTreeMap<u32, u32>> {
        self.attached()
    }

    fn halved(&self) -> io::Result<BTreeMap<u32, u32>> {
        self.halved()
    }

    fn attach(&mut self, device: u32, slot: u32) -> io::Result<()> {
        Datapath::attach(self, device, slot)
    }

    fn detach(&mut self, device: u32) -> io::Result<()> {
        Datapath::detach(self, device)
    }

    fn forget(&mut self, _handle: u64, slot: u32) -> io::Result<()> {
        // A slot's flows are all of one interface, so its number names them.
        self.forget_flows(slot)?;
        self.zero_reasons(slot)?;
        self.zero_events_lost(slot)
    }

    fn counter(&self, counter: u32) -> io::Result<Count> {
        Ok(self.hits(counter)?.unwrap_or_default())
    }

    fn reasons(&self, slot: u32) -> io::Result<Vec<ReasonCount>> {
        self.reasons(slot)
    }

    fn upkeep(&mut self, retired: &[u32]) -> io::Result<()> {
        self.sweep_without(retired).map(|_| ())
    }

    fn events_lost(&self, slot: u32) -> u64 {
        Datapath::events_lost(self, slot)
    }

    fn flow_count(&self, slot: u32) -> u64 {
        Datapath::flow_count(self, slot)
    }

    fn counters_name(&self) -> io::Result<String> {
        Ok(format!("{}/{}", boot_id()?, self.counters_id()?))
    }

    fn zero_counters(&mut self, counters: &[u32]) -> io::Result<()> {
        Datapath::zero_counters(self, counters)
    }

    fn barrier(&self) -> io::Result<()> {
        self.barrier()
    }
}
