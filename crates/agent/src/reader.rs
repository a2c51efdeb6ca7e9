//! The reader of the event ring: a thread that waits for records, names them and tells them on.
//!
//! The agent has it read out what is there before numbers are given to others, so that no event
//! bears a name that came later. Nobody who enforces waits for a listener here.
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::verdict::DecidingRule;
use portcullis_wire::flow_event::time_text;

use crate::event::{Calendar, Names, in_words, lost};
use crate::hub::Hub;
use crate::ledger::Ledger;
use crate::sys::{Events, FlowEntry, FlowTable};

/// How long the thread waits for a record before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);
/// After records came, more may gather for so long: one waking for many.
const GATHER: Duration = Duration::from_millis(20);

struct Inner {
    events: Events,
    names: Names,
}

/// The ring, the names of what is in it, and who listens.
pub struct Reader {
    inner: Mutex<Inner>,
    flows: FlowTable,
    hub: Arc<Hub>,
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
        let inner = Mutex::new(Inner { events, names: Names::default() });
        Self { inner, flows, hub, stopped: AtomicBool::new(false) }
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
        self.inner().names.learn(ledger.places().filter_map(interface), rules);
    }

    /// Reads out what is there, then forgets all names but those in use.
    pub fn settle(&self, handle: impl Fn(u64) -> bool, counter: impl Fn(u32) -> bool) {
        let mut inner = self.inner();
        self.drain(&mut inner);
        inner.names.keep(handle, counter);
    }

    /// Reads out what is there.
    pub fn read_out(&self) {
        self.drain(&mut self.inner());
    }

    /// Tells that the kernel left events of an interface out.
    pub fn tell_lost(&self, interface: &str, count: u64) {
        self.hub.tell(lost(time_text(unix_ms()), Some(interface), count));
    }

    /// From the kernel's clock to the calendar, now.
    pub fn calendar(&self) -> Calendar {
        Calendar { kernel_ns: self.flows.now_ns(), unix_ms: unix_ms() }
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
        let inner = self.inner();
        let live = |entry: FlowEntry| {
            let id = inner.names.interface(entry.key.handle)?;
            let is_wanted = interface.is_none_or(|wanted| wanted == id.as_str());
            let idle_ns = now_ns.wrapping_sub(entry.seen_ns) as i64;
            if !is_wanted || idle_ns >= i64::try_from(entry.idle_ns).unwrap_or(i64::MAX) {
                return None;
            }
            Some(LiveFlow {
                interface: id.clone(),
                rule: entry.counter.and_then(|counter| inner.names.rule(counter)).cloned(),
                age_ms: now_ns.saturating_sub(entry.began_ns) / 1_000_000,
                entry,
            })
        };
        let mut flows: Vec<LiveFlow> = entries.into_iter().filter_map(live).collect();
        drop(inner);
        flows.sort_by(|a, b| (a.age_ms, a.entry.key).cmp(&(b.age_ms, b.entry.key)));
        let more = flows.len().saturating_sub(most);
        flows.truncate(most);
        Ok((flows, more))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn drain(&self, inner: &mut Inner) {
        let calendar = self.calendar();
        let nobody = self.hub.is_empty();
        while let Some(event) = inner.events.next_event() {
            if !nobody {
                self.hub.tell(in_words(&event, &inner.names, calendar));
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread; it ends when it is told to, or nobody else has the reader any more.
pub fn start(reader: &Arc<Reader>) -> io::Result<JoinHandle<()>> {
    let ring = reader.inner().events.as_fd().try_clone_to_owned()?;
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
