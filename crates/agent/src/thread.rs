//! The agent's thread: one place where news, ticks and questions come in, and one pass at a time
//! goes out.
//!
//! News is cheap and coalesced: of many desired states only the newest is carried out. A tick heals
//! what others changed and lets flows age. The thread ends when told to, or when its handle is
//! gone; the kernel goes on enforcing.
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_core::host::{Desired, Report};

use crate::audit::Heals;
use crate::board::Passes;
use crate::device::{self, Devices};
use crate::event::{Almanac, Calendar};
use crate::hits::SAVE_EVERY;
use crate::kernel::Kernel;
use crate::reader::unix_ms;
use crate::run::Agent;
use crate::view::{BindingState, InterfaceCount, RuleHits};

/// How often flows age; whether the kernel is still as it was left is looked at with every tick, or
/// every few.
pub const TICK: Duration = Duration::from_secs(1);

enum Ask {
    Desired(Arc<Desired>),
    /// Devices may have changed.
    Look,
    Heals(Sender<io::Result<Heals>>),
    Bindings(Sender<io::Result<Vec<BindingState>>>),
    Hits(Sender<io::Result<Vec<RuleHits>>>),
    Counts {
        with_accepted: bool,
        answer: Sender<io::Result<Vec<InterfaceCount>>>,
    },
    Stop,
}

/// Speaks to a running agent. Cheap to clone.
#[derive(Clone)]
pub struct AgentHandle {
    asks: Sender<Ask>,
}

/// The agent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent of this host has ended")]
pub struct Ended;

impl From<Ended> for io::Error {
    fn from(ended: Ended) -> Self {
        io::Error::other(ended)
    }
}

impl AgentHandle {
    /// Says what the host should enforce from now on. Older news that was not yet carried out is
    /// dropped.
    pub fn desire(&self, desired: Arc<Desired>) -> Result<(), Ended> {
        self.asks.send(Ask::Desired(desired)).map_err(|_| Ended)
    }

    /// The bound interfaces as they are now.
    pub fn bindings(&self) -> io::Result<Vec<BindingState>> {
        self.ask(Ask::Bindings)
    }

    /// How often others' changes were put right.
    pub fn heals(&self) -> io::Result<Heals> {
        self.ask(Ask::Heals)
    }

    /// Hits of every rule that some bound interface has.
    pub fn hits(&self) -> io::Result<Vec<RuleHits>> {
        self.ask(Ask::Hits)
    }

    /// Drops at bound interfaces by reason, and accepted packets too if wanted.
    pub fn counts(&self, with_accepted: bool) -> io::Result<Vec<InterfaceCount>> {
        self.ask(|answer| Ask::Counts { with_accepted, answer })
    }

    /// Ends the agent after the pass it is in. What is enforced stays enforced.
    pub fn stop(&self) {
        // An agent that has ended already has stopped.
        let _ = self.asks.send(Ask::Stop);
    }

    fn ask<T>(&self, ask: impl FnOnce(Sender<io::Result<T>>) -> Ask) -> io::Result<T> {
        let (answer, answered) = channel();
        self.asks.send(ask(answer)).map_err(|_| Ended)?;
        answered.recv().map_err(|_| Ended)?
    }
}

/// Starts the agent in the calling thread's network namespace. `report` is told what came of each
/// pass; `on_tick` is called once a [`TICK`].
pub fn start<K: Kernel + Send + 'static>(
    agent: Agent<K>,
    report: impl FnMut(Report) + Send + 'static,
    on_tick: impl FnMut() + Send + 'static,
) -> io::Result<(AgentHandle, JoinHandle<()>)> {
    let (asks, inbox) = channel();
    let handle = AgentHandle { asks: asks.clone() };
    std::thread::Builder::new().name("devices".into()).spawn(move || {
        let told = device::watch(|| asks.send(Ask::Look).is_ok());
        if let Err(error) = told {
            tracing::warn!(%error, "devices are only looked at every {} ms", TICK.as_millis());
        }
    })?;
    let thread = std::thread::Builder::new().name("agent".into()).spawn(move || {
        let (hits_saved, saving) = (Instant::now(), None);
        let (almanac, passes, desired) = (Almanac::default(), Passes::default(), None);
        Loop { agent, hits_saved, saving, almanac, passes, desired, report, on_tick }.run(&inbox);
    })?;
    Ok((handle, thread))
}

fn is_busy(thread: &JoinHandle<()>) -> bool {
    !thread.is_finished()
}

fn warn(saved: io::Result<()>) {
    if let Err(error) = saved {
        tracing::warn!(%error, "hits were not made durable");
    }
}

struct Loop<K, R, T> {
    agent: Agent<K>,
    hits_saved: Instant,
    saving: Option<JoinHandle<()>>,
    almanac: Almanac,
    passes: Passes,
    desired: Option<Arc<Desired>>,
    report: R,
    on_tick: T,
}

impl<K: Kernel, R: FnMut(Report), T: FnMut()> Loop<K, R, T> {
    fn run(mut self, inbox: &Receiver<Ask>) {
        let mut next_tick = Instant::now() + TICK;
        let mut ticks = 0;
        loop {
            let first =
                match inbox.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                    Ok(ask) => Some(ask),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
            let is_tick = Instant::now() >= next_tick;
            ticks += u64::from(is_tick);
            let is_check = is_tick && ticks % self.agent.check_s() == 0;
            let (mut is_news, mut look_needed) = (false, is_check);
            for ask in first.into_iter().chain(inbox.try_iter()) {
                match ask {
                    Ask::Desired(desired) => {
                        self.desired = Some(desired);
                        is_news = true;
                    }
                    Ask::Look => look_needed = true,
                    Ask::Stop => return self.stop(),
                    question => self.answer(question),
                }
            }
            if is_tick {
                next_tick = Instant::now() + TICK;
                (self.on_tick)();
                if let Err(error) = self.agent.upkeep() {
                    tracing::warn!(%error, "flows were not looked after");
                }
                self.save_hits();
                self.agent.pin_up(self.desired.clone(), self.passes);
            }
            let is_followed = is_news && self.follow();
            if look_needed || (is_news && !is_followed) {
                self.pass(is_news && !is_followed, is_check);
            }
        }
    }

    /// News that concern neither interfaces nor devices need no look at the host.
    fn follow(&mut self) -> bool {
        let began = Instant::now();
        let report = self.desired.as_ref().and_then(|desired| self.agent.follow(desired));
        let Some(report) = report else { return false };
        self.passes.count(began.elapsed(), report.failed.is_empty());
        (self.report)(report);
        true
    }

    /// Until it has been told what to enforce, an agent leaves everything as it is. Without news,
    /// a pass is made only where the host is not as the last one left it.
    fn pass(&mut self, is_news: bool, is_check: bool) {
        let Some(desired) = &self.desired else { return };
        let report = match Devices::list() {
            Ok(devices)
                if !is_news
                    && self.agent.is_settled(&devices)
                    && (!is_check || self.agent.audit()) =>
            {
                return;
            }
            Ok(devices) => {
                let began = Instant::now();
                let report = self.agent.pass(desired, &devices);
                self.passes.count(began.elapsed(), report.failed.is_empty());
                report
            }
            Err(error) => {
                tracing::error!(%error, "the host's devices cannot be listed");
                return;
            }
        };
        (self.report)(report);
    }

    /// Elsewhere: the disk may be slow.
    fn save_hits(&mut self) {
        if self.hits_saved.elapsed() < SAVE_EVERY || self.saving.as_ref().is_some_and(is_busy) {
            return;
        }
        self.hits_saved = Instant::now();
        match self.agent.save_hits(self.calendar()) {
            Ok(save) => self.saving = Some(std::thread::spawn(move || warn(save()))),
            Err(error) => warn(Err(error)),
        }
    }

    fn stop(mut self) {
        if let Some(saving) = self.saving.take() {
            // One that panicked has said so.
            let _ = saving.join();
        }
        warn(self.agent.save_hits(self.calendar()).and_then(|save| save()));
    }

    fn calendar(&self) -> Calendar {
        self.almanac.calendar(self.agent.kernel().now_ns(), unix_ms())
    }

    fn answer(&self, question: Ask) {
        // Whoever asked may be gone.
        let _ = match question {
            Ask::Bindings(answer) => {
                let bindings = Devices::list().map(|devices| self.agent.bindings(&devices));
                answer.send(bindings).is_ok()
            }
            Ask::Heals(answer) => answer.send(Ok(self.agent.heals())).is_ok(),
            Ask::Hits(answer) => answer.send(self.agent.hits(self.calendar())).is_ok(),
            Ask::Counts { with_accepted, answer } => {
                answer.send(self.agent.counts(with_accepted)).is_ok()
            }
            Ask::Desired(_) | Ask::Look | Ask::Stop => true,
        };
    }
}
