//! The places of flows: what the program reads about them at its start, and how many are used.
//!
//! Knows blocks and bits; whose flow is at a place, and when one gives way, is the program's.
use std::io;

use super::abi::{self, BLOCK_WORDS, PLACE_WORD_WORDS, SLOT_BLOCKS, SPARE_WORDS};
use super::call::Map;
use super::words::Words;

/// The tables that say which places are used, and whose they are.
#[derive(Debug)]
pub(super) struct Places {
    words: Words,
    owners: Words,
    slot_blocks: Words,
    spare: Words,
    /// Blocks that are reserves, one for each slot; all others are lent.
    slots: u32,
    blocks: u32,
}

impl Places {
    /// Opens the maps, and tells the program which blocks are lent.
    pub(super) fn open(
        map: &mut impl FnMut(&str) -> io::Result<Map>,
        slots: u32,
    ) -> io::Result<Self> {
        let (words, owners) = (map("place_words")?, map("block_owners")?);
        let (slot_blocks, spare) = (map("slot_blocks")?, map("spare")?);
        let places = Self {
            words: Words::map(words.descriptor(), words.entries as usize * PLACE_WORD_WORDS)?,
            owners: Words::map(owners.descriptor(), owners.entries as usize)?,
            slot_blocks: Words::map(slot_blocks.descriptor(), slot_blocks.entries as usize)?,
            spare: Words::map(spare.descriptor(), SPARE_WORDS)?,
            slots,
            blocks: owners.entries,
        };
        places.spare.store(abi::SPARE_FIRST, u64::from(slots))?;
        places.spare.store(abi::SPARE_END, u64::from(places.blocks))?;
        Ok(places)
    }

    /// Places of a slot that are used.
    pub(super) fn used(&self, slot: u32) -> u64 {
        let is_its = |block: &u32| {
            let owner = self.owners.load(*block as usize).unwrap_or(0);
            owner as u32 == slot + 1
        };
        let lent = (self.slots..self.blocks).filter(is_its);
        [slot].into_iter().chain(lent).map(|block| self.used_of(block)).sum()
    }

    fn used_of(&self, block: u32) -> u64 {
        let first = block * BLOCK_WORDS;
        let word = |at: u32| self.words.load(at as usize * PLACE_WORD_WORDS).unwrap_or(0);
        (first..first + BLOCK_WORDS).map(|at| u64::from(word(at).count_ones())).sum()
    }

    /// Frees every place and takes every lent block back: for tests, when there is no flow.
    pub(super) fn clear(&self) -> io::Result<()> {
        let words = (self.blocks * BLOCK_WORDS) as usize * PLACE_WORD_WORDS;
        let zero = |words: &Words, count: usize| (0..count).try_for_each(|at| words.store(at, 0));
        zero(&self.words, words)?;
        zero(&self.owners, self.blocks as usize)?;
        zero(&self.slot_blocks, (self.slots * SLOT_BLOCKS) as usize)?;
        (abi::SPARE_END + 1..SPARE_WORDS).try_for_each(|at| self.spare.store(at, 0))
    }
}
