//! The agent itself: one pass brings the kernel to what is desired, and one thread makes a pass
//! whenever something changed.
//!
//! Knows the order of a pass and what to do when one fails: read the kernel again and try at the
//! next tick. It never opens anything because of an error. Time, devices, disk and kernel are given
//! to it.
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use portcullis_compile::numbers::Numbers;
use portcullis_core::host::{Desired, Report};
use portcullis_core::verdict::DecidingRule;

use crate::attach;
use crate::audit::{Heals, Kind, Turns};
use crate::board::{Board, Notice, Passes};
use crate::device::Devices;
use crate::event::Calendar;
use crate::execute::{carry_out_attach, carry_out_policy, read_back};
use crate::hits::{Hits, Total};
use crate::installed::Installed;
use crate::kernel::{Count, Kernel, SlotWord, TORN};
use crate::ledger::{Ledger, LedgerFile};
use crate::policy::{self, Books};
use crate::reader::Reader;

/// How long packets of flows that were running before an interface's first policy may begin
/// entries, unless configured.
pub const PICK_UP_S_DEFAULT: u64 = 60;
const NS_PER_S: u64 = 1_000_000_000;

/// How often an agent looks for what others changed, unless configured.
pub const CHECK_S_DEFAULT: u64 = 1;

/// What an agent is given.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Identity of the running boot.
    pub boot_id: String,
    /// Length of the pick-up window; 0: never.
    pub pick_up_s: u64,
    /// Whether flows keep their first verdict when rules change.
    pub keep_established: bool,
    /// Seconds between two looks for what others changed.
    pub check_s: u64,
}

/// One host's enforcement.
pub struct Agent<K> {
    kernel: K,
    settings: Settings,
    file: LedgerFile,
    saved: Ledger,
    ledger: Ledger,
    numbers: Numbers,
    /// `None` after a failure: to be read again.
    installed: Option<Installed>,
    /// The devices as the last pass found them, if it left nothing to try again.
    settled: Option<Devices>,
    turns: Turns,
    heals: Heals,
    /// Rules that some policy has, wanted or last good, as of a pass that came through.
    live: Option<BTreeSet<DecidingRule>>,
    hits: Hits,
    /// Who reads the kernel's events.
    reader: Option<Arc<Reader>>,
    /// For those who want to know how it stands without asking.
    board: Arc<Board>,
    /// Events that each slot had lost when it was last asked.
    events_lost: BTreeMap<u32, u64>,
}

impl<K: Kernel> Agent<K> {
    /// Takes over what an earlier agent left; closed, where its ledger is lost.
    pub fn new(mut kernel: K, file: LedgerFile, settings: Settings) -> io::Result<Self> {
        let loaded = file.load(&settings.boot_id)?;
        let known = loaded.and_then(|ledger| Some((ledger.numbers()?, ledger)));
        let holds = || {
            let numbers = known.iter().flat_map(|(numbers, _): &(Numbers, Ledger)| numbers.rules());
            let packets = |number| kernel.counter(number).map_or(0, |count| count.packets);
            numbers.map(|(number, rule)| (rule.clone(), packets(number))).collect()
        };
        let hits = Hits::load(file.directory(), kernel.counters_name()?, known.is_some(), holds);
        let (numbers, ledger) = match known {
            Some(known) => known,
            None => {
                forget_everything(&mut kernel)?;
                (Numbers::new(), Ledger::new(&settings.boot_id, kernel.now_ns()))
            }
        };
        let saved = ledger.clone();
        Ok(Self {
            kernel,
            settings,
            file,
            saved,
            ledger,
            numbers,
            installed: None,
            settled: None,
            turns: Turns::default(),
            heals: Heals::default(),
            live: None,
            hits,
            reader: None,
            board: Arc::default(),
            events_lost: BTreeMap::new(),
        })
    }

    /// Lets this reader know what the kernel's numbers stand for.
    pub fn tell_names_to(&mut self, reader: Arc<Reader>) {
        self.reader = Some(reader);
        self.tell_names();
        // What was lost before is nothing that whoever listens from now on has missed.
        let lost_before = |slot| (slot, self.kernel.events_lost(slot));
        self.events_lost = (0..self.kernel.slot_count()).map(lost_before).collect();
    }

    /// Where this agent says how it stands.
    pub fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    /// Says how it stands.
    pub fn pin_up(&self, desired: Option<Arc<Desired>>, passes: Passes) {
        let place =
            |(name, place): (&str, &crate::ledger::Place)| Some((name.parse().ok()?, place.slot));
        self.board.pin_up(Notice {
            desired,
            places: self.ledger.places().filter_map(place).collect(),
            hits_before: self.hits.all_before(),
            heals: self.heals,
            passes,
        });
    }

    /// What time does by itself: flows idle out, events are read out, and the counters of rules
    /// that no policy has any more are zeroed and may be given again.
    pub fn upkeep(&mut self) -> io::Result<()> {
        // A pass that failed has not said which rules are used.
        let live = self.installed.as_ref().and_then(|_| self.live.take());
        let is_gone = |rule: &DecidingRule| live.as_ref().is_some_and(|live| !live.contains(rule));
        let gone = self.numbers.rules().filter(|(_, rule)| is_gone(rule));
        let retired: Vec<u32> = gone.map(|(number, _)| number).collect();
        self.kernel.upkeep(&retired)?;
        if let Some(reader) = &self.reader {
            let handles: BTreeSet<u64> = self.ledger.places().map(|(_, p)| p.handle).collect();
            let retired: BTreeSet<u32> = retired.iter().copied().collect();
            reader.settle(|handle| handles.contains(&handle), |number| !retired.contains(&number));
        }
        if !retired.is_empty() {
            self.kernel.zero_counters(&retired)?;
        }
        if let Some(live) = live {
            self.numbers.retain_rules(|rule| live.contains(rule));
            self.hits.keep(&live);
        }
        self.tell_lost();
        Ok(())
    }

    /// Tells how many events the kernel has left out since it was last asked.
    fn tell_lost(&mut self) {
        let Some(reader) = &self.reader else { return };
        for (name, place) in self.ledger.places() {
            let now = self.kernel.events_lost(place.slot);
            let before = self.events_lost.insert(place.slot, now).unwrap_or(0);
            // A slot that another interface has got counts from zero.
            let lost = now.checked_sub(before).unwrap_or(now);
            if lost > 0 {
                reader.tell_lost(name, lost);
            }
        }
    }

    fn tell_names(&self) {
        if let Some(reader) = &self.reader {
            let rules = self.numbers.rules().map(|(number, rule)| (number, rule.clone()));
            reader.learn(&self.ledger, rules);
        }
    }

    /// What a rule has decided since it was made, as far as this host knows.
    pub fn total(&self, number: u32, rule: &DecidingRule, calendar: Calendar) -> io::Result<Total> {
        Ok(self.hits.before(rule).and(self.counted(number, calendar)?))
    }

    fn counted(&self, number: u32, calendar: Calendar) -> io::Result<Total> {
        let Count { packets, bytes, last_seen_ns } = self.kernel.counter(number)?;
        let last_hit_unix_ms = if packets == 0 { 0 } else { calendar.unix_ms(last_seen_ns) };
        Ok(Total { packets, bytes, last_hit_unix_ms })
    }

    /// What makes the hits as they are now durable; it may be done elsewhere.
    pub fn save_hits(
        &self,
        calendar: Calendar,
    ) -> io::Result<impl FnOnce() -> io::Result<()> + Send + 'static> {
        let counted = |(number, rule): (u32, &DecidingRule)| {
            Ok((rule.clone(), self.counted(number, calendar)?))
        };
        let counted = self.numbers.rules().map(counted).collect::<io::Result<Vec<_>>>()?;
        Ok(self.hits.save(counted.into_iter()))
    }

    /// Whether a pass for what was desired last would find everything as the last one left it.
    pub fn is_settled(&self, devices: &Devices) -> bool {
        let agrees = |installed: &Installed| installed.agrees_with(&self.kernel).unwrap_or(false);
        self.settled.as_ref() == Some(devices) && self.installed.as_ref().is_some_and(agrees)
    }

    /// Looks further: whether members, policies and settings are still as they were written, a part
    /// of them at a time. What is not is noted, and the next pass puts it right.
    pub fn audit(&mut self) -> bool {
        let mut changed = Vec::new();
        if let Some(installed) = &self.installed {
            let members = self.turns.members_agree(installed, &self.kernel);
            if !members.unwrap_or(false) {
                changed.push(Kind::Members);
            }
            if !self.turns.policies_agree(installed, &self.kernel) {
                changed.push(Kind::Policies);
            }
        }
        if !changed.is_empty() {
            self.installed = None;
        }
        if !self.kernel.settings_agree() {
            match self.kernel.restore_settings() {
                Ok(()) => changed.push(Kind::Settings),
                Err(error) => tracing::error!(%error, "changed settings cannot be restored"),
            }
        }
        changed.iter().for_each(|kind| self.note(*kind));
        changed.is_empty()
    }

    /// How often others' changes were put right.
    pub fn heals(&self) -> Heals {
        self.heals
    }

    fn note(&mut self, kind: Kind) {
        tracing::warn!(changed = kind.name(), "somebody changed what is enforced; it is put right");
        self.heals.add(kind);
    }

    /// Brings the kernel to `desired`, as far as it can be, and says how far that is.
    pub fn pass(&mut self, desired: &Desired, devices: &Devices) -> Report {
        self.settled = None;
        self.turns = Turns::default();
        match self.try_pass(desired, devices) {
            Ok(report) => {
                self.settled = report.failed.is_empty().then(|| devices.clone());
                report
            }
            Err(error) => {
                tracing::error!(%error, "a pass failed; it is made again");
                self.installed = None;
                let failed = |b: &portcullis_core::host::BoundInterface| {
                    (b.interface.clone(), format!("the host's kernel refused a change: {error}"))
                };
                Report {
                    revision: desired.revision,
                    failed: desired.interfaces.iter().map(failed).collect(),
                    pending: BTreeMap::new(),
                }
            }
        }
    }

    /// Seconds between two looks for what others changed; at least one.
    pub fn check_s(&self) -> u64 {
        self.settings.check_s.max(1)
    }

    /// The kernel.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Places of interfaces.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Numbers of rules.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Whether some policy has this rule, as far as the last pass knows.
    pub fn is_live(&self, rule: &DecidingRule) -> bool {
        self.live.as_ref().is_none_or(|live| live.contains(rule))
    }

    /// What is installed, if the last pass came through.
    pub fn installed(&self) -> Option<&Installed> {
        self.installed.as_ref()
    }

    fn try_pass(&mut self, desired: &Desired, devices: &Devices) -> io::Result<Report> {
        self.live = None;
        let mut installed = match self.installed.take() {
            Some(installed) if installed.agrees_with(&self.kernel)? => installed,
            Some(installed) => {
                self.note_differences(&installed, devices)?;
                self.read_kernel()?
            }
            None => self.read_kernel()?,
        };
        let attach = attach::decide(
            desired,
            devices,
            self.kernel.slot_count(),
            &mut self.ledger,
            &mut self.numbers,
            &mut installed,
        );
        self.save_ledger()?;
        let refused = carry_out_attach(&attach, &mut self.kernel)?;
        installed.attached.extend(refused.keys().map(|device| (*device, TORN)));

        let mut books = Books {
            ledger: &mut self.ledger,
            numbers: &mut self.numbers,
            installed: &mut installed,
            counters: self.kernel.counter_count(),
            member_limit: self.kernel.member_limit(),
            keep_established: self.settings.keep_established,
        };
        let plan = policy::decide(desired, devices, &mut books);
        self.save_ledger()?;
        carry_out_policy(
            &plan,
            self.settings.pick_up_s.saturating_mul(NS_PER_S),
            &mut self.kernel,
        )?;
        if plan.changes_verdicts() || installed.pool.has_retired() {
            self.kernel.barrier()?;
        }
        let wrong = read_back(&plan, &installed, &self.kernel)?;
        installed.pool.settle();

        let mut failed = attach.failed;
        for (interface, place) in self.ledger.places() {
            let error = taken_by(&attach.attach, place.slot).and_then(|d| refused.get(&d));
            if let (Some(error), Ok(interface)) = (error, interface.parse()) {
                failed.insert(interface, format!("its device cannot be filtered: {error}"));
            }
        }
        for (interface, why) in plan.failed {
            failed.entry(interface).or_insert(why);
        }
        for bound in &desired.interfaces {
            let slot = self.ledger.place(&bound.interface).map(|place| place.slot);
            if let Some(why) = slot.and_then(|slot| wrong.get(&slot)) {
                failed.entry(bound.interface.clone()).or_insert_with(|| why.clone());
            }
        }
        if wrong.is_empty() {
            self.live = Some(self.live_rules(desired, &installed));
            self.installed = Some(installed);
        }
        Ok(Report { revision: desired.revision, failed, pending: attach.pending })
    }

    /// Notes what others did to slots and devices. A device that is gone was not changed, it went.
    fn note_differences(&mut self, installed: &Installed, devices: &Devices) -> io::Result<()> {
        if !installed.slots_agree(&self.kernel) {
            self.note(Kind::Slots);
        }
        let now = self.kernel.attached()?;
        let is_there = |device: &&u32| devices.by_index(**device).is_some();
        let mut those = installed.attached.keys().chain(now.keys()).filter(is_there);
        if those.any(|device| installed.attached.get(device) != now.get(device)) {
            self.note(Kind::Devices);
        }
        Ok(())
    }

    /// Reads what the kernel holds. Nobody knows how far an earlier pass came: flows are judged
    /// again, since members may have changed without it, and space that is free now may still be
    /// read by packets before the barrier.
    fn read_kernel(&mut self) -> io::Result<Installed> {
        self.kernel.raise_membership()?;
        let installed = Installed::read(&mut self.kernel)?;
        self.kernel.barrier()?;
        Ok(installed)
    }

    /// The rules that some policy has, wanted or last good.
    fn live_rules(&self, desired: &Desired, installed: &Installed) -> BTreeSet<DecidingRule> {
        let counting = installed.rule_counters();
        let of_kernel = self.numbers.rules().filter(|(number, _)| counting.contains(number));
        let mut live: BTreeSet<DecidingRule> = of_kernel.map(|(_, rule)| rule.clone()).collect();
        let wanted = desired
            .interfaces
            .iter()
            .filter_map(|bound| bound.policy.as_ref().ok())
            .flat_map(|policy| policy.egress.iter().chain(&policy.ingress))
            .map(|rule| DecidingRule { group: rule.group.clone(), rule: rule.rule.id.clone() });
        live.extend(wanted);
        live
    }

    /// Numbers are durable before the kernel hears of them.
    fn save_ledger(&mut self) -> io::Result<()> {
        self.ledger.set_numbers(&self.numbers);
        if self.ledger != self.saved {
            self.file.save(&self.ledger)?;
            self.saved = self.ledger.clone();
            self.tell_names();
        }
        Ok(())
    }
}

/// The device that was to be led to a slot.
fn taken_by(attach: &[(u32, u32)], slot: u32) -> Option<u32> {
    attach.iter().find(|(_, led_to)| *led_to == slot).map(|(device, _)| *device)
}

/// Without a ledger nothing that is pinned can be told from garbage: every slot is closed, every
/// member gone.
fn forget_everything(kernel: &mut impl Kernel) -> io::Result<()> {
    for slot in 0..kernel.slot_count() {
        let before = kernel.slot(slot);
        if before.blob != 0 {
            tracing::warn!(slot, "a slot of an unknown agent is closed");
            let generation = before.generation.wrapping_add(1);
            kernel.set_slot(slot, SlotWord { generation, blob: 0 })?;
            // Flows that nobody can name any more would use up the slot's quota.
            kernel.forget(0, slot)?;
        }
    }
    for key in kernel.members()?.into_keys() {
        kernel.remove_member(key)?;
    }
    let counters: Vec<u32> = (0..kernel.counter_count()).collect();
    kernel.zero_counters(&counters)?;
    kernel.barrier()
}
