//! The seam between the server and the agent of this host, which do not know each other.
//!
//! Carries what is desired down and what came of it up, and puts the agent's answers into the
//! server's words.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use portcullis_agent::audit::Kind;
use portcullis_agent::board::Passes;
use portcullis_agent::hub::{Heard, Listener};
use portcullis_agent::kernel::ReasonCount;
use portcullis_agent::network::Network;
use portcullis_agent::pinned::{self, HostSettings, Watch};
use portcullis_agent::reader::LiveFlow;
use portcullis_agent::sys::{self, Sizes, Unreadable};
use portcullis_agent::thread::AgentHandle;
use portcullis_agent::view::{BindingState, InterfaceCount, RuleHits};
use portcullis_core::host::Report;
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::rule::Policy;
use portcullis_core::text::DeviceName;
use portcullis_server::control::message::{
    BindingRow, FlowList, FlowRow, HealRow, HitRow, Problem, ReasonRow,
};
use portcullis_server::host::{AgentEnd, Filter, HostLink, HostView, link};
use portcullis_server::metrics::{
    InterfaceSeries, JudgedSeries, PassSeries, RuleSeries, Telemetry,
};
use portcullis_wire::flow_event::{FlowEvent, time_text};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::configuration::Configuration;
use crate::failure::Failure;

/// Flows that are listed at once.
const FLOWS_LISTED_MAX: usize = 10_000;
/// Events that wait for a follower; more are lost to it.
const FOLLOWER_EVENTS_MAX: usize = 4096;
const NOT_YET: &str = "the agent has not started yet";
/// Directory of the agent's own files, in the data directory.
const AGENT_DIRECTORY: &str = "agent";

/// A running agent.
pub(crate) struct Enforcement {
    host: pinned::Host,
}

impl Enforcement {
    /// Ends the agent. What the kernel enforces stays in place.
    pub(crate) fn stop(self) {
        if !self.host.stop() {
            tracing::error!("the agent ended by a fault of the program; see above");
        }
    }
}

/// The agent's side of the link, before there is an agent.
pub(crate) struct Seam {
    view: Arc<View>,
    end: AgentEnd,
    settings: HostSettings,
}

/// Makes the link to an agent, if this host can have one.
pub(crate) fn prepare(configuration: &Configuration) -> Result<(HostLink, Seam), Failure> {
    let hook = sys::usable_hook(configuration.hook).map_err(|missing| {
        let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let help = missing.first().map_or("", |missing| missing.help);
        let help = format!("{help}; or serve the API alone with `--no-agent`");
        Failure::new("CannotEnforce", format!("this host lacks {}", list.join(", ")), help)
    })?;
    let view = Arc::new(View::default());
    let (link, end) = link(view.clone());
    let _ = view.report.set(end.report.subscribe());
    let settings = HostSettings {
        directory: configuration.data.join(AGENT_DIRECTORY),
        instance: configuration.instance.clone(),
        hook,
        sizes: Sizes::default(),
        switches: configuration.switches.clone(),
        flow_log: configuration.flow_log.clone(),
    };
    Ok((link, Seam { view, end, settings }))
}

/// Starts the agent. The server has its data directory to itself by then, and so has the agent.
pub(crate) fn start(seam: Seam) -> Result<Enforcement, Failure> {
    let Seam { view, end, settings } = seam;
    tracing::info!(hook = %settings.hook, "enforcing");
    let reports = end.report;
    let started = pinned::start(settings, move |report| {
        reports.send_replace(report);
    });
    let host = started.map_err(|error| {
        let help =
            "run one `portcullis serve` for each `--instance`, as root, or with `--no-agent`";
        let unreadable = error.get_ref().and_then(|cause| cause.downcast_ref::<Unreadable>());
        Failure::because("CannotEnforce", &error, unreadable.map_or(help, Unreadable::help))
    })?;
    let _ = view.agent.set(host.agent.clone());
    let _ = view.watch.set(host.watch.clone());
    let mut desired = end.desired;
    let down = host.agent.clone();
    tokio::spawn(async move {
        loop {
            let newest = desired.borrow_and_update().clone();
            if let Some(newest) = newest
                && down.desire(newest).is_err()
            {
                return;
            }
            if desired.changed().await.is_err() {
                return;
            }
        }
    });
    Ok(Enforcement { host })
}

/// The agent's answers in the server's words. Both parts are set before anybody asks.
#[derive(Default)]
struct View {
    agent: OnceLock<AgentHandle>,
    watch: OnceLock<Watch>,
    report: OnceLock<watch::Receiver<Report>>,
}

impl View {
    fn agent(&self) -> Result<&AgentHandle, String> {
        self.agent.get().ok_or_else(|| NOT_YET.to_owned())
    }

    fn watch(&self) -> Result<&Watch, String> {
        self.watch.get().ok_or_else(|| NOT_YET.to_owned())
    }

    fn row(&self, binding: &BindingState) -> BindingRow {
        let report = self.report.get().map(|report| report.borrow().clone()).unwrap_or_default();
        let failed = report.failed.get(&binding.interface);
        let pending = report.pending.get(&binding.interface);
        let (state, detail) = match (failed, pending) {
            (Some(why), _) if binding.closed => ("closed", why.clone()),
            (Some(why), _) => ("failed", why.clone()),
            (None, Some(why)) => ("absent", why.clone()),
            (None, None) if binding.closed => ("closed", String::new()),
            (None, None) => ("enforced", String::new()),
        };
        BindingRow {
            interface: binding.interface.to_string(),
            device: binding.device.clone(),
            state: state.into(),
            detail,
        }
    }
}

impl HostView for View {
    fn bindings(&self) -> Result<Vec<BindingRow>, String> {
        let bindings = self.agent()?.bindings().map_err(|error| error.to_string())?;
        Ok(bindings.iter().map(|binding| self.row(binding)).collect())
    }

    fn hits(&self) -> Result<Vec<HitRow>, String> {
        let hits = self.agent()?.hits().map_err(|error| error.to_string())?;
        let row = |hits: portcullis_agent::view::RuleHits| HitRow {
            group: hits.rule.group.to_string(),
            rule: hits.rule.rule.to_string(),
            packets: hits.total.packets,
            bytes: hits.total.bytes,
            last_hit: match hits.total.last_hit_unix_ms {
                0 => String::new(),
                unix_ms => time_text(unix_ms),
            },
        };
        Ok(hits.into_iter().map(row).collect())
    }

    fn drops(&self) -> Result<Vec<ReasonRow>, String> {
        let counts = self.agent()?.counts(false).map_err(|error| error.to_string())?;
        Ok(counts.into_iter().map(reason_row).collect())
    }

    fn remove_device(&self, device: &DeviceName) -> Result<(), String> {
        let removed = Network::open().and_then(|mut network| network.remove(device.as_str()));
        removed.map_err(|error| format!("device `{device}`: {error}"))
    }

    fn heals(&self) -> Result<Vec<HealRow>, String> {
        let heals = self.agent()?.heals().map_err(|error| error.to_string())?;
        let row = |kind: Kind| HealRow { changed: kind.name().into(), times: heals.of(kind) };
        Ok(Kind::ALL.into_iter().map(row).collect())
    }

    fn passes(&self) -> Result<Vec<ReasonRow>, String> {
        let counts = self.agent()?.counts(true).map_err(|error| error.to_string())?;
        let passed = counts.into_iter().filter(|count| count.of.policy == Policy::Accept);
        Ok(passed.map(reason_row).collect())
    }

    fn flows(&self, interface: Option<&str>) -> Result<FlowList, String> {
        let flows = self.watch()?.reader().live_flows(interface, FLOWS_LISTED_MAX);
        let (flows, left_out) = flows.map_err(|error| error.to_string())?;
        Ok(FlowList { flows: flows.iter().map(flow_row).collect(), left_out })
    }

    fn telemetry(&self) -> Result<Telemetry, String> {
        measure(self.watch()?).map_err(|error| error.to_string())
    }

    fn follow(&self, filter: Filter) -> Result<mpsc::Receiver<FlowEvent>, Problem> {
        let failed = |cause| Problem::new("HostFailed", cause, "try again soon", "");
        let watch = self.watch().map_err(failed)?;
        let (told, heard) = mpsc::channel(FOLLOWER_EVENTS_MAX);
        let listener = Box::new(Follower { filter, told });
        watch.reader().hub().follow(listener).map_err(|error| {
            Problem::new(
                "TooManyFollowers",
                error.to_string(),
                "end one of them, then try again",
                "",
            )
        })?;
        Ok(heard)
    }
}

/// Puts the agent's numbers into the server's words. It asks the agent nothing.
fn measure(watch: &Watch) -> io::Result<Telemetry> {
    let notice = watch.notice();
    let limits: BTreeMap<&str, u32> = notice
        .desired
        .iter()
        .flat_map(|desired| &desired.interfaces)
        .map(|bound| (bound.interface.as_str(), bound.flows_max))
        .collect();
    let judged = |of: ReasonCount| JudgedSeries {
        direction: of.direction.name(),
        verdict: match of.policy {
            Policy::Accept => "accept",
            Policy::Drop => "drop",
        },
        reason: of.reason.name(),
        packets: of.count.packets,
        bytes: of.count.bytes,
    };
    let interface = |(id, slot): &(NetworkInterfaceId, u32)| {
        Ok(InterfaceSeries {
            interface: id.to_string(),
            judged: watch.counts().reasons(*slot)?.into_iter().map(judged).collect(),
            flows: watch.counts().flow_count(*slot),
            flows_limit: limits.get(id.as_str()).copied().map(u64::from),
            events_lost: watch.counts().events_lost(*slot),
        })
    };
    let rule = |hits: RuleHits| RuleSeries {
        group: hits.rule.group.to_string(),
        rule: hits.rule.rule.to_string(),
        packets: hits.total.packets,
        bytes: hits.total.bytes,
        last_hit_unix_ms: hits.total.last_hit_unix_ms,
    };
    let Passes { complete, incomplete, together, .. } = notice.passes;
    Ok(Telemetry {
        revision_desired: notice.desired.as_ref().map_or(0, |desired| desired.revision),
        rules: watch.hits()?.into_iter().map(rule).collect(),
        interfaces: notice.places.iter().map(interface).collect::<io::Result<_>>()?,
        flows_limit: watch.flows_max().into(),
        events: watch.reader().read().map(|(event, count)| (event.name(), count)).collect(),
        events_missed: watch.reader().hub().missed(),
        log_written: watch.log_counts().written(),
        log_unwritten: watch.log_counts().unwritten(),
        heals: Kind::ALL.map(|kind| (kind.name(), notice.heals.of(kind))).into(),
        passes: PassSeries {
            complete,
            incomplete,
            at_most: notice.passes.at_most(),
            seconds: together.as_secs_f64(),
        },
    })
}

/// Somebody who is told events over the control socket.
struct Follower {
    filter: Filter,
    told: mpsc::Sender<FlowEvent>,
}

impl Listener for Follower {
    fn wants(&self, event: &FlowEvent) -> bool {
        self.filter.wants(event)
    }

    fn hear(&mut self, event: &Arc<FlowEvent>) -> Heard {
        match self.told.try_send(FlowEvent::clone(event)) {
            Ok(()) => Heard::Yes,
            Err(TrySendError::Full(_)) => Heard::Full,
            Err(TrySendError::Closed(_)) => Heard::Gone,
        }
    }

    fn is_gone(&self) -> bool {
        self.told.is_closed()
    }
}

fn flow_row(flow: &LiveFlow) -> FlowRow {
    let key = &flow.entry.key;
    let side = |address, port| match port {
        0 => IpAddr::to_string(&address),
        port => SocketAddr::new(address, port).to_string(),
    };
    let traffic = &flow.entry.traffic;
    FlowRow {
        interface: flow.interface.to_string(),
        direction: flow.entry.first.name().into(),
        protocol: key.protocol,
        local: side(key.local, key.local_port),
        remote: side(key.remote, key.remote_port),
        state: if flow.entry.blocked { "blocked" } else { "live" }.into(),
        rule: flow.rule.as_ref().map_or_else(String::new, |rule| rule.rule.to_string()),
        packets: traffic.egress_packets + traffic.ingress_packets,
        bytes: traffic.egress_bytes + traffic.ingress_bytes,
        age_ms: flow.age_ms,
    }
}

fn reason_row(count: InterfaceCount) -> ReasonRow {
    ReasonRow {
        interface: count.interface.to_string(),
        direction: count.of.direction.name().into(),
        reason: count.of.reason.name().into(),
        packets: count.of.count.packets,
    }
}
