//! What others changed in the kernel behind the agent's back, and how often that was put right.
//!
//! Devices, slots and settings are compared at every look. Members and policy words may be many: of
//! these a bounded part is compared at each tick, in turns, so that all of them have been after a
//! few. Nothing is repaired here.
use std::io;

use crate::installed::Installed;
use crate::kernel::Kernel;
use crate::pool::extent_word;

/// Most members that are compared at a tick: all that a host can have within 8 ticks.
pub const MEMBERS_PER_TICK: u32 = 1 << 14;
/// Policy words after which a tick leaves the rest to the next: all of the pool within 16 ticks.
pub const POOL_WORDS_PER_TICK: usize = 1 << 18;

/// What can be found changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A program was taken off a device, or the device is led elsewhere.
    Devices,
    /// A slot leads elsewhere, or nowhere.
    Slots,
    /// Members of groups are gone, led elsewhere, or nobody of ours.
    Members,
    /// Words of a policy are others.
    Policies,
    /// A setting of the program is another.
    Settings,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Devices, Self::Slots, Self::Members, Self::Policies, Self::Settings];

    /// Its name for operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Slots => "slots",
            Self::Members => "members",
            Self::Policies => "policies",
            Self::Settings => "settings",
        }
    }
}

/// How often something was found changed and put right, since the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heals {
    /// See [`Kind::Devices`].
    pub devices: u64,
    /// See [`Kind::Slots`].
    pub slots: u64,
    /// See [`Kind::Members`].
    pub members: u64,
    /// See [`Kind::Policies`].
    pub policies: u64,
    /// See [`Kind::Settings`].
    pub settings: u64,
}

impl Heals {
    /// The number of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Devices => self.devices,
            Kind::Slots => self.slots,
            Kind::Members => self.members,
            Kind::Policies => self.policies,
            Kind::Settings => self.settings,
        }
    }

    /// One more of a kind.
    pub fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::Devices => &mut self.devices,
            Kind::Slots => &mut self.slots,
            Kind::Members => &mut self.members,
            Kind::Policies => &mut self.policies,
            Kind::Settings => &mut self.settings,
        } += 1;
    }
}

/// A part of the members map, held against who should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MembersPart {
    /// Members that are as they should be.
    pub same: u32,
    /// Whether there are others.
    pub has_others: bool,
    /// Where the next part begins; `None` at the end.
    pub next: Option<u32>,
}

/// Where the turns are.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    members_from: Option<u32>,
    members_same: u32,
    /// Whether members were changed since the turn began: what was counted may be out of date.
    members_changed: bool,
    /// The last blob that was compared.
    pool_from: u32,
}

impl Turns {
    /// Says that a pass has changed members.
    pub fn note_changed_members(&mut self) {
        self.members_changed = true;
    }

    /// Compares the next part of the members. What is missing is known when all parts have been
    /// seen, and at once where nobody is left.
    pub fn members_agree(
        &mut self,
        installed: &Installed,
        kernel: &impl Kernel,
    ) -> io::Result<bool> {
        let wanted = installed.members.sets();
        let from = self.members_from.take();
        if from.is_none() {
            (self.members_same, self.members_changed) = (0, false);
        }
        let part = kernel.compare_members(wanted, from, MEMBERS_PER_TICK)?;
        self.members_same += part.same;
        self.members_from = part.next;
        if part.has_others || part.next.is_some() {
            return Ok(!part.has_others);
        }
        if std::mem::take(&mut self.members_changed) {
            // Nobody changes anything while all are counted at once.
            return all_members_agree(installed, kernel);
        }
        Ok(self.members_same as usize == wanted.len())
    }

    /// Compares the next policies with what was written.
    pub fn policies_agree(&mut self, installed: &Installed, kernel: &impl Kernel) -> bool {
        let mut compared = 0;
        for (offset, words) in installed.pool.blobs_after(self.pool_from) {
            if compared > POOL_WORDS_PER_TICK {
                return true;
            }
            let length = words.len() as u32;
            let found = kernel.read_pool(offset - 1, length + 1);
            if found.split_first() != Some((&extent_word(length), words)) {
                return false;
            }
            compared += words.len() + 1;
            self.pool_from = offset;
        }
        self.pool_from = 0;
        true
    }
}

fn all_members_agree(installed: &Installed, kernel: &impl Kernel) -> io::Result<bool> {
    let wanted = installed.members.sets();
    let (mut same, mut from) = (0, None);
    loop {
        let part = kernel.compare_members(wanted, from, MEMBERS_PER_TICK)?;
        same += part.same as usize;
        if part.has_others || part.next.is_none() {
            return Ok(!part.has_others && same == wanted.len());
        }
        from = part.next;
    }
}
