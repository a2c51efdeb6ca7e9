//! The start of an agent on this host: the pinned program of one instance, the ledger beside it,
//! and the thread.
//!
//! Puts the real parts together and decides nothing.
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use portcullis_core::host::Report;
use portcullis_core::verdict::DecidingRule;

use crate::board::{Board, Notice};
use crate::flow_log::{self, FlowLogSettings, LogCounts};
use crate::hits::Total;
use crate::hub::Hub;
use crate::kernel::Count;
use crate::ledger::{LedgerFile, boot_id};
use crate::reader::{self, Reader};
use crate::run::{Agent, CHECK_S_DEFAULT, PICK_UP_S_DEFAULT, Settings};
use crate::sys::{CountTable, Datapath, FlowTable, Hook, Instance, Sizes};
use crate::thread::{self, AgentHandle};
use crate::view::RuleHits;

/// The name under which an agent pins its maps and programs, unless configured.
pub const INSTANCE_DEFAULT: &str = "host";

/// Where and how an agent works.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// The agent's own directory, for its ledger.
    pub directory: PathBuf,
    /// The name under which it pins; one agent for each name.
    pub instance: String,
    /// How programs are put at devices; see [`crate::sys::usable_hook`].
    pub hook: Hook,
    /// Sizes of maps that are made; pinned ones keep theirs.
    pub sizes: Sizes,
    /// What the operator decides about verdicts on this host.
    pub switches: Switches,
    /// What is logged of flows, and where.
    pub flow_log: Option<FlowLogSettings>,
}

/// What the meaning of a verdict leaves to the host, the same for all its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches {
    /// Length of the pick-up window in seconds; 0: never.
    pub pick_up_s: u64,
    /// Flows keep their first verdict when rules change.
    pub keep_established: bool,
    /// Any link-local IPv6 address is taken for an interface's own.
    pub any_link_local: bool,
    /// DHCPv4 servers to which clients may speak directly.
    pub dhcp_servers: Vec<Ipv4Addr>,
    /// Seconds between two looks for what others changed.
    pub check_s: u64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            pick_up_s: PICK_UP_S_DEFAULT,
            keep_established: false,
            any_link_local: false,
            dhcp_servers: Vec::new(),
            check_s: CHECK_S_DEFAULT,
        }
    }
}

/// Where running agents hold their locks.
const LOCK_DIRECTORY: &str = "/run/portcullis";

/// The right to change what an instance has pinned. Held by a running agent; ends with the value,
/// or the process.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes the right, unless somebody has it.
    pub fn take(instance: &str) -> io::Result<Self> {
        fs::create_dir_all(LOCK_DIRECTORY)?;
        let path = Path::new(LOCK_DIRECTORY).join(format!("{instance}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("a running agent enforces as instance `{instance}`"),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Takes an instance's programs off every device and removes every pin. Answers how many devices
/// were freed; they are open then. Refused while an agent runs.
pub fn detach_all(instance: &str) -> io::Result<usize> {
    let pinned = Instance::new(instance)?;
    let _lock = InstanceLock::take(instance)?;
    pinned.detach_all()
}

/// Starts the agent of this host in the calling thread's network namespace, on what an earlier one
/// has left pinned. `report` is told what came of each pass.
pub fn start(
    settings: HostSettings,
    report: impl FnMut(Report) + Send + 'static,
) -> io::Result<Host> {
    let instance = Instance::new(&settings.instance)?;
    let lock = InstanceLock::take(&settings.instance)?;
    let datapath = Datapath::open(&instance, &settings.sizes, settings.hook)?;
    let switches = settings.switches;
    datapath.set_any_link_local(switches.any_link_local)?;
    datapath.set_dhcp4_servers(&switches.dhcp_servers)?;
    let hub = Arc::new(Hub::default());
    let reader = Arc::new(Reader::new(datapath.events()?, datapath.flow_table()?, hub.clone()));
    let log_counts = Arc::new(LogCounts::default());
    let log = match settings.flow_log {
        Some(log) => {
            let (listener, thread) = flow_log::start(log, log_counts.clone())?;
            hub.keep(listener);
            Some(thread)
        }
        None => None,
    };
    let file = LedgerFile::new(&settings.directory)?;
    let of_agent = Settings {
        boot_id: boot_id()?,
        pick_up_s: switches.pick_up_s,
        keep_established: switches.keep_established,
        check_s: switches.check_s,
    };
    let (counts, flows) = (datapath.count_table()?, datapath.flow_table()?);
    let mut agent = Agent::new(datapath, file, of_agent)?;
    agent.tell_names_to(reader.clone());
    let board = agent.board();
    let read = reader::start(&reader)?;
    // Held for as long as the thread runs.
    let (handle, thread) = thread::start(agent, report, move || {
        let _ = &lock;
    })?;
    let watch =
        Watch { reader, board, counts: Arc::new(counts), flows: Arc::new(flows), log_counts };
    Ok(Host { agent: handle, thread, watch, read, log })
}

/// A running agent of this host.
pub struct Host {
    /// Speaks to it.
    pub agent: AgentHandle,
    /// Shows what passes.
    pub watch: Watch,
    thread: JoinHandle<()>,
    read: JoinHandle<()>,
    log: Option<JoinHandle<()>>,
}

impl Host {
    /// Ends the agent. What the kernel enforces stays in place; what was read out is logged.
    /// True if every thread came to its own end.
    pub fn stop(self) -> bool {
        self.agent.stop();
        let Self { thread, watch, read, log, .. } = self;
        let ended = thread.join();
        watch.reader.read_out();
        watch.reader.hub().close();
        watch.reader.stop();
        [Some(ended), Some(read.join()), log.map(JoinHandle::join)]
            .into_iter()
            .flatten()
            .all(|e| e.is_ok())
    }
}

/// Shows what passes at this host: live flows, and events as they come.
#[derive(Clone)]
pub struct Watch {
    reader: Arc<Reader>,
    board: Arc<Board>,
    counts: Arc<CountTable>,
    flows: Arc<FlowTable>,
    log_counts: Arc<LogCounts>,
}

impl Watch {
    /// The reader of events and flows.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What became of events at the flow log.
    pub fn log_counts(&self) -> &LogCounts {
        &self.log_counts
    }

    /// How the agent stood at its last tick.
    pub fn notice(&self) -> Arc<Notice> {
        self.board.read()
    }

    /// The counts in the kernel.
    pub fn counts(&self) -> &CountTable {
        &self.counts
    }

    /// Flows that the host has room for.
    pub fn flows_max(&self) -> u32 {
        self.flows.entries_max()
    }

    /// Every rule that was counted, with its hits, in the order of their counters.
    pub fn hits(&self) -> io::Result<Vec<RuleHits>> {
        let (calendar, notice) = (self.reader.calendar(), self.notice());
        let hits = |(number, rule): (u32, DecidingRule)| {
            let Count { packets, bytes, last_seen_ns } = self.counts.hits(number)?;
            let last_hit_unix_ms = if packets == 0 { 0 } else { calendar.unix_ms(last_seen_ns) };
            let before = notice.hits_before.get(&rule).copied().unwrap_or_default();
            let total = before.and(Total { packets, bytes, last_hit_unix_ms });
            Ok((number, RuleHits { rule, total }))
        };
        let hits = self.reader.rules().into_iter().map(hits).collect::<io::Result<Vec<_>>>()?;
        // What has another name by now may have counted for another rule.
        let names: BTreeMap<u32, DecidingRule> = self.reader.rules().into_iter().collect();
        let is_same = |(number, hits): &(u32, RuleHits)| names.get(number) == Some(&hits.rule);
        Ok(hits.into_iter().filter(is_same).map(|(_, hits)| hits).collect())
    }
}
