//! What the program was told last, to be held against what its maps say.
//!
//! Knows words of the settings and the slots' pick-up windows, and refuses to know their meaning.
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Datapath;
use super::abi::{self, CONFIG_WORDS, SLOT_WORDS};
use super::words::Words;

/// Remembered words.
#[derive(Debug)]
pub(super) struct Told {
    config: Vec<AtomicU64>,
    pick_ups: Vec<AtomicU64>,
}

impl Told {
    /// At first, what is found.
    pub(super) fn found(config: &Words, slots: &Words, slot_count: u32) -> Self {
        let word = |words: &Words, at| AtomicU64::new(words.load(at).unwrap_or(0));
        let pick_up = |slot| word(slots, slot as usize * SLOT_WORDS + abi::SLOT_PICK_UP_UNTIL);
        Self {
            config: (0..CONFIG_WORDS).map(|at| word(config, at)).collect(),
            pick_ups: (0..slot_count).map(pick_up).collect(),
        }
    }

    pub(super) fn set_config(&self, word: usize, value: u64) {
        if let Some(told) = self.config.get(word) {
            told.store(value, Ordering::Relaxed);
        }
    }

    pub(super) fn set_pick_up(&self, slot: u32, until_ns: u64) {
        if let Some(told) = self.pick_ups.get(slot as usize) {
            told.store(until_ns, Ordering::Relaxed);
        }
    }

    fn config(&self) -> impl Iterator<Item = (usize, u64)> {
        self.config.iter().map(|told| told.load(Ordering::Relaxed)).enumerate()
    }

    fn pick_ups(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(self.pick_ups.iter().map(|told| told.load(Ordering::Relaxed)))
    }
}

impl Datapath {
    /// Whether settings and pick-up windows are those that were told last.
    pub fn settings_agree(&self) -> bool {
        let pick_up = |slot| self.slot_field(slot, abi::SLOT_PICK_UP_UNTIL);
        self.told().config().all(|(word, told)| self.config_word(word) == told)
            && self.told().pick_ups().all(|(slot, told)| pick_up(slot) == told)
    }

    /// Tells them again, and that memberships have changed.
    pub fn restore_settings(&self) -> io::Result<()> {
        self.told().config().try_for_each(|(word, told)| self.set_config(word, told))?;
        self.raise_membership();
        self.told().pick_ups().try_for_each(|(slot, told)| self.set_pick_up_until(slot, told))
    }
}
