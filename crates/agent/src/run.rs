//! The agent itself: one pass brings the kernel to what is desired, and one thread makes a pass
//! whenever something changed.
//!
//! Knows the order of a pass and what to do when one fails: read the kernel again and try at the
//! next tick. It never opens anything because of an error. A pass that follows one which left
//! nothing to try again looks only at what is desired otherwise since. Time, devices, disk and
//! kernel are given to it.
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use portcullis_compile::numbers::Numbers;
use portcullis_core::host::{Desired, Report};
use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId};
use portcullis_core::rule::Rule;
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
use crate::policy::{self, Books, Scope};
use crate::reader::Reader;
use crate::tables::Tables;

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
    /// The changes of the numbers that the ledger knows.
    numbered: u64,
    /// `None` after a failure: to be read again.
    installed: Option<Installed>,
    tables: Tables,
    settled: Option<Settled>,
    /// Whether there may be counters of rules that no policy has any more.
    are_counters_due: bool,
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

/// What the last pass has brought about, if it left nothing to try again.
#[derive(Debug)]
struct Settled {
    desired: Arc<Desired>,
    devices: Devices,
    pending: BTreeMap<NetworkInterfaceId, String>,
}

/// Interfaces that do not have their policy, and why not.
type Failed = BTreeMap<NetworkInterfaceId, String>;

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
            numbered: numbers.changes(),
            numbers,
            installed: None,
            tables: Tables::default(),
            settled: None,
            are_counters_due: false,
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
        let settled = self.settled.as_ref().map(|settled| &settled.devices);
        settled == Some(devices) && self.installed.as_ref().is_some_and(agrees)
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
        self.learn_live();
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
        let passed = self.try_pass(desired, devices);
        let report = passed.unwrap_or_else(|error| self.give_up(desired, &error));
        self.settled = report.failed.is_empty().then(|| Settled {
            desired: Arc::new(desired.clone()),
            devices: devices.clone(),
            pending: report.pending.clone(),
        });
        report
    }

    /// Brings the kernel from what the last pass brought about to `desired`, looking at nothing but
    /// what is desired otherwise. `None`, and nothing is done, where that is not enough: other
    /// interfaces or devices, or something that was left to try again.
    pub fn follow(&mut self, desired: &Arc<Desired>) -> Option<Report> {
        let settled = self.settled.take()?;
        let scope = Scope::difference(&settled.desired, desired);
        let installed = self.installed.take_if(|_| scope.is_some());
        let Some((scope, mut installed)) = scope.zip(installed) else {
            self.settled = Some(settled);
            return None;
        };
        let enforced = self.enforce(&scope, &settled.devices, &mut installed);
        let failed = match enforced {
            Ok((failed, wrong)) => {
                self.installed = wrong.is_empty().then_some(installed);
                let slot = |bound: &NetworkInterfaceId| Some(self.ledger.place(bound)?.slot);
                let of_slot = scope.interfaces.iter().map(|bound| &bound.interface);
                let wrong =
                    of_slot.filter_map(|id| Some((id.clone(), wrong.get(&slot(id)?)?.clone())));
                wrong.chain(failed).collect::<Failed>()
            }
            Err(error) => return Some(self.give_up(desired, &error)),
        };
        let pending = settled.pending.clone();
        if failed.is_empty() {
            self.settled = Some(Settled { desired: Arc::clone(desired), ..settled });
        }
        // Else there is time for it at the next check.
        let are_many = self.numbers.rule_count() > self.kernel.counter_count() as usize / 2;
        if self.are_counters_due && are_many {
            self.learn_live();
            if let Err(error) = self.upkeep() {
                tracing::warn!(%error, "counters of rules that are gone were not taken back");
            }
        }
        Some(Report { revision: desired.revision, failed, pending })
    }

    /// What a pass comes to that the kernel has refused.
    fn give_up(&mut self, desired: &Desired, error: &io::Error) -> Report {
        tracing::error!(%error, "a pass failed; it is made again");
        self.installed = None;
        let why = format!("the host's kernel refused a change: {error}");
        let failed = desired.interfaces.iter().map(|bound| (bound.interface.clone(), why.clone()));
        Report { revision: desired.revision, failed: failed.collect(), pending: BTreeMap::new() }
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
        self.save_ledger(true)?;
        let refused = carry_out_attach(&attach, &mut self.kernel)?;
        installed.attached.extend(refused.keys().map(|device| (*device, TORN)));
        let (unplaced, wrong) = self.enforce(&Scope::all(desired), devices, &mut installed)?;

        let mut failed = attach.failed;
        for (interface, place) in self.ledger.places() {
            let error = taken_by(&attach.attach, place.slot).and_then(|d| refused.get(&d));
            if let (Some(error), Ok(interface)) = (error, interface.parse()) {
                failed.insert(interface, format!("its device cannot be filtered: {error}"));
            }
        }
        for (interface, why) in unplaced {
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
            self.are_counters_due = false;
            self.installed = Some(installed);
        }
        Ok(Report { revision: desired.revision, failed, pending: attach.pending })
    }

    /// The second half of a pass: policies and members, one wait for packets under way, and a look
    /// at what came of it. Answers who failed, and the slots that lead elsewhere.
    fn enforce(
        &mut self,
        scope: &Scope<'_>,
        devices: &Devices,
        installed: &mut Installed,
    ) -> io::Result<(Failed, BTreeMap<u32, String>)> {
        let mut books = Books {
            ledger: &mut self.ledger,
            numbers: &mut self.numbers,
            installed,
            tables: &mut self.tables,
            counters: self.kernel.counter_count(),
            member_limit: self.kernel.member_limit(),
            keep_established: self.settings.keep_established,
        };
        let plan = policy::decide(scope, devices, &mut books);
        self.save_ledger(plan.notes_devices)?;
        let pick_up_ns = self.settings.pick_up_s.saturating_mul(NS_PER_S);
        carry_out_policy(&plan, pick_up_ns, &mut self.kernel)?;
        if plan.changes_verdicts() || installed.pool.has_retired() {
            self.kernel.barrier()?;
        }
        let flipped = plan.flips.iter().map(|(slot, _)| *slot);
        let every = scope.is_all().then(|| installed.slots.keys().copied());
        let slots: BTreeSet<u32> = flipped.chain(every.into_iter().flatten()).collect();
        let wrong = read_back(&plan, slots, installed, &self.kernel)?;
        installed.pool.settle();
        if !plan.flips.is_empty() {
            self.live = None;
            self.are_counters_due = true;
        }
        if plan.changes_members() {
            self.turns.note_changed_members();
        }
        Ok((plan.failed, wrong))
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
        let mut seen = BTreeSet::new();
        for policy in desired.interfaces.iter().filter_map(|bound| bound.policy.as_ref().ok()) {
            // Interfaces of the same groups share their rules.
            if seen.insert([policy.egress.as_ptr(), policy.ingress.as_ptr()]) {
                let name = |group: &SecurityGroupId, rule: &Rule| DecidingRule {
                    group: group.clone(),
                    rule: rule.id.clone(),
                };
                live.extend(policy.all_rules().map(|rule| name(&rule.group, &rule.rule)));
            }
        }
        live
    }

    /// Finds out which rules are used, after passes that left it for later; the next upkeep takes
    /// the counters of the others back.
    fn learn_live(&mut self) {
        if !self.are_counters_due {
            return;
        }
        if let (Some(settled), Some(installed)) = (&self.settled, &self.installed) {
            self.live = Some(self.live_rules(&settled.desired, installed));
            self.are_counters_due = false;
        }
    }

    /// Numbers are durable before the kernel hears of them.
    fn save_ledger(&mut self, are_places_changed: bool) -> io::Result<()> {
        let are_numbers_changed = self.numbers.changes() != self.numbered;
        if are_numbers_changed {
            self.ledger.set_numbers(&self.numbers);
            self.numbered = self.numbers.changes();
        }
        if (are_places_changed || are_numbers_changed) && self.ledger != self.saved {
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
