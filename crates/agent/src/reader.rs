//! The reader of the event ring: a thread that waits for records, names them and tells them on.
//!
//! The agent has it read out what is there before numbers are given to others, so that no event
//! bears a name that came later. Nobody who enforces waits for a listener here.
use std::cmp::Reverse;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::verdict::DecidingRule;
use portcullis_wire::flow_event::{EventName, time_text};

use crate::event::{self, Almanac, Calendar, Names, in_words, lost};
use crate::hub::Hub;
use crate::ledger::Ledger;
use crate::sys::{EventKind, Events, FlowEntry, FlowTable};

/// How long the thread waits for a record before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);
/// After records came, more may gather for so long: one waking for many.
const GATHER: Duration = Duration::from_millis(20);

/// The ring, the names of what is in it, and who listens.
pub struct Reader {
    /// Held while the ring is read, by one at a time.
    ring: Mutex<Events>,
    /// Held for one event at most, so that whoever enforces need not wait for the others.
    names: Mutex<Names>,
    flows: FlowTable,
    almanac: Almanac,
    hub: Arc<Hub>,
    read: [AtomicU64; EventKind::ALL.len()],
    stopped: AtomicBool,
}

/// Unix time in milliseconds.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A flow that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFlow {
    /// Its interface.
    pub interface: NetworkInterfaceId,
    /// What the kernel holds.
    pub entry: FlowEntry,
    /// The rule that it is let through by, if one decided.
    pub rule: Option<DecidingRule>,
    /// How long it has been running, in milliseconds.
    pub age_ms: u64,
}

impl Reader {
    /// A reader of this ring and this table.
    pub fn new(events: Events, flows: FlowTable, hub: Arc<Hub>) -> Self {
        Self {
            ring: Mutex::new(events),
            names: Mutex::default(),
            flows,
            almanac: Almanac::default(),
            hub,
            read: Default::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Lets the thread end, once it has looked.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Who listens.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Learns names before the kernel hears of their numbers.
    pub fn learn(&self, ledger: &Ledger, rules: impl Iterator<Item = (u32, DecidingRule)>) {
        let interface =
            |(name, place): (&str, &crate::ledger::Place)| Some((place.handle, name.parse().ok()?));
        locked(&self.names).learn(ledger.places().filter_map(interface), rules);
    }

    /// Forgets all names but those in use, after the events that may bear them have been read.
    pub fn settle(&self, handle: impl Fn(u64) -> bool, counter: impl Fn(u32) -> bool) {
        self.hub.tell_missed(&time_text(unix_ms()));
        if locked(&self.names).are_all(&handle, &counter) {
            return;
        }
        self.read_out();
        locked(&self.names).keep(handle, counter);
    }

    /// Reads out what is there now; what comes meanwhile is left for later where it is much.
    pub fn read_out(&self) {
        let mut ring = locked(&self.ring);
        let calendar = self.calendar();
        let nobody = self.hub.is_empty();
        for _ in 0..ring.records_max() {
            let Some(event) = ring.next_event() else { return };
            if let Some(count) = self.read.get(event.kind as usize) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            if !nobody {
                let told = in_words(&event, &locked(&self.names), calendar);
                self.hub.tell(told);
            }
        }
    }

    /// Events of each kind that were read.
    pub fn read(&self) -> impl Iterator<Item = (EventName, u64)> {
        let counts = self.read.iter().map(|count| count.load(Ordering::Relaxed));
        EventKind::ALL.map(event::name).into_iter().zip(counts)
    }

    /// The rules whose names are known, with their counters.
    pub fn rules(&self) -> Vec<(u32, DecidingRule)> {
        let names = locked(&self.names);
        names.rules().map(|(number, rule)| (number, rule.clone())).collect()
    }

    /// Tells that the kernel left events of an interface out.
    pub fn tell_lost(&self, interface: &str, count: u64) {
        self.hub.tell(lost(time_text(unix_ms()), Some(interface), count));
    }

    /// From the kernel's clock to the calendar, now.
    pub fn calendar(&self) -> Calendar {
        self.almanac.calendar(self.flows.now_ns(), unix_ms())
    }

    /// Live flows, of one interface if wanted, the youngest first: at most `most`, and how many
    /// more there are.
    pub fn live_flows(
        &self,
        interface: Option<&str>,
        most: usize,
    ) -> io::Result<(Vec<LiveFlow>, usize)> {
        let entries = self.flows.all()?;
        let now_ns = self.flows.now_ns();
        let wanted = locked(&self.names).handles(interface);
        let is_live = |entry: &FlowEntry| {
            let idle_ns = now_ns.wrapping_sub(entry.seen_ns) as i64;
            wanted.contains(&entry.key.handle)
                && idle_ns < i64::try_from(entry.idle_ns).unwrap_or(i64::MAX)
        };
        let mut entries: Vec<FlowEntry> = entries.into_iter().filter(is_live).collect();
        entries.sort_by_key(|entry| (Reverse(entry.began_ns), entry.key));
        let more = entries.len().saturating_sub(most);
        entries.truncate(most);
        let names = locked(&self.names);
        let named = |entry: FlowEntry| {
            Some(LiveFlow {
                interface: names.interface(entry.key.handle)?.clone(),
                rule: entry.counter.and_then(|counter| names.rule(counter)).cloned(),
                age_ms: now_ns.saturating_sub(entry.began_ns) / 1_000_000,
                entry,
            })
        };
        Ok((entries.into_iter().filter_map(named).collect(), more))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread; it ends when it is told to, or nobody else has the reader any more.
pub fn start(reader: &Arc<Reader>) -> io::Result<JoinHandle<()>> {
    let ring = locked(&reader.ring).as_fd().try_clone_to_owned()?;
    let reader: Weak<Reader> = Arc::downgrade(reader);
    std::thread::Builder::new().name("events".into()).spawn(move || {
        let wait = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
        loop {
            let ready = poll(&mut [PollFd::new(ring.as_fd(), PollFlags::POLLIN)], wait);
            let Some(reader) = reader.upgrade().filter(|reader| !reader.is_stopped()) else {
                return;
            };
            match ready {
                Ok(0) => {}
                Ok(_) => {
                    reader.read_out();
                    drop(reader);
                    std::thread::sleep(GATHER);
                }
                Err(error) => {
                    tracing::warn!(%error, "the event ring cannot be waited for");
                    std::thread::sleep(LOOK);
                }
            }
        }
    })
}
