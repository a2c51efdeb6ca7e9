//! The metrics at an address of their own: `GET /metrics`, in the text format of Prometheus.
//!
//! Read when they are asked for, by one asker at a time, without a question to the agent, so that
//! nobody who enforces waits for them. What there is to measure is in [`table`].

mod calls;
mod page;
pub mod table;
mod telemetry;

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_wire::ecs::http::{HttpRequest, HttpResponse};
use tokio::sync::Mutex;

use crate::host::{Count, Host};
use crate::limits::Limits;
use crate::listen::Service;
use crate::published::Published;
use page::Page;

pub(crate) use calls::{Calls, OK, UNKNOWN};
pub use telemetry::{InterfaceSeries, JudgedSeries, PassSeries, RuleSeries, Telemetry};

/// Where they are.
const PATH: &str = "/metrics";
/// Connections at the same time: a few scrapers and a person. One more is turned away.
pub const CONNECTIONS_MAX: usize = 16;
/// Bytes of a request's line and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a stopping server waits for what is being read.
const GRACE_TIME_MAX_MS: u64 = 1000;

/// The bounds of a connection to the metrics.
pub(crate) fn limits() -> Limits {
    Limits {
        connections_max: CONNECTIONS_MAX,
        head_bytes_max: HEAD_BYTES_MAX,
        body_bytes_max: 0,
        grace_time_max_ms: GRACE_TIME_MAX_MS,
        ..Limits::default()
    }
}

/// Whoever answers.
pub(crate) struct Metrics {
    published: Arc<Published>,
    host: Arc<Host>,
    calls: Arc<Calls>,
    program_version: &'static str,
    /// Held by the one whose page is being read.
    turn: Mutex<()>,
}

impl Service for Metrics {
    async fn answer(&self, request: HttpRequest) -> HttpResponse {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET" | "HEAD", PATH) => text(200, self.page().await),
            (_, PATH) => text(405, "only GET is answered\n".to_owned()),
            _ => text(404, format!("the metrics are at {PATH}\n")),
        }
    }
}

fn text(status: u16, body: String) -> HttpResponse {
    HttpResponse {
        status,
        content_type: page::CONTENT_TYPE,
        headers: Vec::new(),
        body: body.into_bytes(),
    }
}

impl Metrics {
    pub(crate) fn new(
        published: &Arc<Published>,
        host: &Arc<Host>,
        calls: &Arc<Calls>,
        program_version: &'static str,
    ) -> Metrics {
        Metrics {
            published: Arc::clone(published),
            host: Arc::clone(host),
            calls: Arc::clone(calls),
            program_version,
            turn: Mutex::default(),
        }
    }

    async fn page(&self) -> String {
        let _turn = self.turn.lock().await;
        let telemetry = match self.host.view() {
            None => None,
            // The kernel may take a while.
            Some(view) => match tokio::task::spawn_blocking(move || view.telemetry()).await {
                Ok(Ok(telemetry)) => Some(telemetry),
                Ok(Err(error)) => {
                    tracing::warn!(error, "the host cannot be measured");
                    None
                }
                Err(error) => {
                    tracing::error!(%error, "the host cannot be measured");
                    None
                }
            },
        };
        let mut page = Page::default();
        self.add_server(&mut page, telemetry.as_ref());
        if let Some(telemetry) = &telemetry {
            add_host(&mut page, telemetry);
        }
        page.into_text()
    }

    /// What the server knows by itself, and how its host stands.
    fn add_server(&self, page: &mut Page, telemetry: Option<&Telemetry>) {
        let (revision, bound) = self.published.read(|state, revision| {
            let bound: Vec<_> = state.bindings().map(|b| b.interface.clone()).collect();
            (revision, bound)
        });
        page.add(&table::BUILD_INFO, [([self.program_version], 1)]);
        page.add_one(&table::STORE_REVISION, revision);
        let calls = self.calls.all();
        let calls = calls.iter().map(|(action, code, count)| ([*action, code.as_str()], *count));
        page.add(&table::API_REQUESTS, calls);
        page.add_one(&table::BINDINGS, bound.len());
        page.add_one(&table::ENFORCING, u8::from(self.host.enforces()));
        let Some(telemetry) = telemetry else { return };
        let placed: BTreeSet<&str> =
            telemetry.interfaces.iter().map(|at| at.interface.as_str()).collect();
        let count = self.host.count(&bound, |id| placed.contains(id));
        let Count { enforced, failed, pending, revision } = count;
        let states = [("enforced", enforced), ("failed", failed), ("pending", pending)];
        page.add(&table::INTERFACES, states.map(|(state, count)| ([state], count)));
        page.add_one(&table::REVISION_DESIRED, telemetry.revision_desired);
        page.add_one(&table::REVISION_IN_FORCE, revision);
    }
}

/// What the agent and the kernel know.
fn add_host(page: &mut Page, telemetry: &Telemetry) {
    let PassSeries { complete, incomplete, at_most, seconds } = &telemetry.passes;
    page.add(&table::PASSES, [(["complete"], complete), (["incomplete"], incomplete)]);
    page.add_histogram(&table::PASS_SECONDS, at_most, complete + incomplete, *seconds);
    page.add(&table::HEALS, telemetry.heals.iter().map(|(changed, times)| ([*changed], *times)));
    let rules = || telemetry.rules.iter().map(|of| ([of.group.as_str(), of.rule.as_str()], of));
    page.add(&table::RULE_PACKETS, rules().map(|(labels, of)| (labels, of.packets)));
    page.add(&table::RULE_BYTES, rules().map(|(labels, of)| (labels, of.bytes)));
    let hit = rules().filter(|(_, of)| of.last_hit_unix_ms > 0);
    let seconds = |unix_ms: u64| format!("{}.{:03}", unix_ms / 1000, unix_ms % 1000);
    page.add(&table::RULE_LAST_HIT, hit.map(|(labels, of)| (labels, seconds(of.last_hit_unix_ms))));
    let judged = || {
        telemetry.interfaces.iter().flat_map(|at| {
            let row = |of: &JudgedSeries| {
                ([at.interface.as_str(), of.direction, of.verdict, of.reason], *of)
            };
            at.judged.iter().map(row)
        })
    };
    page.add(&table::INTERFACE_PACKETS, judged().map(|(labels, of)| (labels, of.packets)));
    page.add(&table::INTERFACE_BYTES, judged().map(|(labels, of)| (labels, of.bytes)));
    let interfaces = || telemetry.interfaces.iter().map(|at| ([at.interface.as_str()], at));
    page.add(&table::FLOWS, interfaces().map(|(labels, at)| (labels, at.flows)));
    page.add(
        &table::FLOWS_LIMIT,
        interfaces().filter_map(|(labels, at)| Some((labels, at.flows_limit?))),
    );
    page.add_one(&table::HOST_FLOWS, telemetry.interfaces.iter().map(|at| at.flows).sum::<u64>());
    page.add_one(&table::HOST_FLOWS_LIMIT, telemetry.flows_limit);
    page.add(&table::EVENTS, telemetry.events.iter().map(|(event, count)| ([*event], *count)));
    page.add(&table::EVENTS_LOST, interfaces().map(|(labels, at)| (labels, at.events_lost)));
    page.add_one(&table::EVENTS_MISSED, telemetry.events_missed);
    page.add_one(&table::LOG_WRITTEN, telemetry.log_written);
    page.add_one(&table::LOG_UNWRITTEN, telemetry.log_unwritten);
}
