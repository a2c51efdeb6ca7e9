//! The seam to the agent of this host: what it should do goes down, what it did comes up.
//!
//! The server knows no agent. Whoever assembles the program takes the two ends of [`link`], gives
//! one to each side, and a [`HostView`] for the questions that only the kernel can answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::host::{Desired, Report};
use portcullis_core::ids::{AccountId, NetworkInterfaceId};
use portcullis_core::state::State;
use portcullis_core::text::DeviceName;
use portcullis_wire::ecs::render::{Enforcement, EnforcementStatus};
use portcullis_wire::flow_event::{EventName, FlowEvent};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::control::message::{BindingRow, FlowList, HealRow, HitRow, Problem, ReasonRow};
use crate::listen::stopped;
use crate::metrics::Telemetry;
use crate::published::{Following, Published};

/// What the kernel knows and the state does not.
pub trait HostView: Send + Sync {
    /// How each tied interface stands.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn bindings(&self) -> Result<Vec<BindingRow>, String>;

    /// How often each rule of a tied interface decided.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn hits(&self) -> Result<Vec<HitRow>, String>;

    /// What was dropped at each tied interface, by reason.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn drops(&self) -> Result<Vec<ReasonRow>, String>;

    /// What was let through at each tied interface, by reason.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn passes(&self) -> Result<Vec<ReasonRow>, String>;

    /// How often others' changes in the kernel were put right, by what they changed.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn heals(&self) -> Result<Vec<HealRow>, String>;

    /// Removes a device of the host, so that nothing passes there any more; one that is gone is no
    /// error.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn remove_device(&self, device: &DeviceName) -> Result<(), String>;

    /// The flows that are running, of one interface or of all.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn flows(&self, interface: Option<&str>) -> Result<FlowList, String>;

    /// All that there is to measure. It is read while the agent does its work.
    ///
    /// # Errors
    /// What went wrong, in words for the operator.
    fn telemetry(&self) -> Result<Telemetry, String>;

    /// Events from now on. Whoever does not take them in time misses some, and is told how many.
    ///
    /// # Errors
    /// A refusal, where too many follow already.
    fn follow(&self, filter: Filter) -> Result<mpsc::Receiver<FlowEvent>, Problem>;
}

/// What a follower wants to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this interface only.
    pub interface: Option<String>,
    /// Only what is dropped.
    pub deny: bool,
}

impl Filter {
    /// Whether it wants this event. What is missing always concerns it.
    pub fn wants(&self, event: &FlowEvent) -> bool {
        let is_lost = event.event == EventName::Lost;
        let is_there = self.interface.is_none() || self.interface == event.interface;
        (is_there || (is_lost && event.interface.is_none()))
            && (!self.deny || is_lost || event.event == EventName::Deny)
    }
}

/// The server's end.
pub struct HostLink {
    desired: watch::Sender<Option<Arc<Desired>>>,
    report: watch::Receiver<Report>,
    view: Arc<dyn HostView>,
}

/// The agent's end.
#[derive(Debug)]
pub struct AgentEnd {
    /// What the host should enforce, newest only; nothing until the server has started.
    pub desired: watch::Receiver<Option<Arc<Desired>>>,
    /// What it does enforce, read back from the kernel.
    pub report: watch::Sender<Report>,
}

/// The two ends of one seam.
pub fn link(view: Arc<dyn HostView>) -> (HostLink, AgentEnd) {
    let (desired, desired_end) = watch::channel(None);
    let (report_end, report) = watch::channel(Report::default());
    (HostLink { desired, report, view }, AgentEnd { desired: desired_end, report: report_end })
}

/// Waits for the host, and says how it stands. Without an agent it says so.
pub(crate) struct Host {
    published: Arc<Published>,
    report: Option<watch::Receiver<Report>>,
    view: Option<Arc<dyn HostView>>,
    stop: watch::Receiver<bool>,
}

impl Host {
    /// Connects the link, if there is one, and keeps the desired state flowing until `stop`.
    pub(crate) fn connect(
        link: Option<HostLink>,
        published: Arc<Published>,
        stop: watch::Receiver<bool>,
    ) -> Host {
        let (report, view) = match link {
            None => (None, None),
            Some(HostLink { desired, report, view }) => {
                tokio::spawn(keep_telling(desired, published.follow(), stop.clone()));
                (Some(report), Some(view))
            }
        };
        Host { published, report, view, stop }
    }

    /// Whether there is an agent.
    pub(crate) fn enforces(&self) -> bool {
        self.report.is_some()
    }

    /// How many of the bound interfaces stand how. Without its place on the host an interface has
    /// not been looked at yet.
    pub(crate) fn count(
        &self,
        bound: &[NetworkInterfaceId],
        is_placed: impl Fn(&str) -> bool,
    ) -> Count {
        let Some(report) = &self.report else { return Count::default() };
        let report = report.borrow().clone();
        let mut count = Count { revision: report.revision, ..Count::default() };
        for interface in bound {
            if report.failed.contains_key(interface) {
                count.failed += 1;
            } else if report.pending.contains_key(interface) || !is_placed(interface.as_str()) {
                count.pending += 1;
            } else {
                count.enforced += 1;
            }
        }
        count
    }

    /// The kernel's answers, where there is an agent.
    pub(crate) fn view(&self) -> Option<Arc<dyn HostView>> {
        self.view.clone()
    }

    /// Waits until the host enforces the write at the interfaces that it concerns, not longer than
    /// `timeout`. Only what the asker may see is named.
    pub(crate) async fn wait(&self, timeout: Duration, waited: &Waited<'_>) -> Enforcement {
        let standing = self.standing(timeout, waited).await;
        let Standing { status, interfaces } = standing;
        let named = self.published.read(|state, _| {
            let visible = interfaces.iter().filter(|(id, _)| waited.asker.sees(state, id));
            visible.map(|(interface, why)| (interface.to_string(), why.clone())).collect()
        });
        Enforcement { status, interfaces: named }
    }

    /// How the write stands when it has come to something, or the time is up.
    async fn standing(&self, timeout: Duration, waited: &Waited<'_>) -> Standing {
        let tied = self.published.read(|state, _| waited.asker.tied(state));
        let nowhere = Standing::plain(EnforcementStatus::NotEnforced);
        let Some(report) = &self.report else { return nowhere };
        if tied.is_empty() && waited.concerned.is_empty() {
            return nowhere;
        }
        let deadline = Instant::now() + timeout;
        let mut report = report.clone();
        let mut stop = self.stop.clone();
        loop {
            let last = report.borrow_and_update().clone();
            if let Some(standing) = judge(&last, waited) {
                return standing;
            }
            let over = tokio::select! {
                moved = report.changed() => match moved {
                    Ok(()) => continue,
                    // Whoever reported has ended: what it does enforce nobody knows.
                    Err(_) => EnforcementStatus::Unknown,
                },
                () = tokio::time::sleep_until(deadline) => EnforcementStatus::Pending,
                () = stopped(&mut stop) => EnforcementStatus::Pending,
            };
            let last = report.borrow().clone();
            let unfinished = || Standing { status: over, interfaces: awaited(&last, waited, tied) };
            return judge(&last, waited).unwrap_or_else(unfinished);
        }
    }
}

/// How bound interfaces stand, as of a revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) revision: u64,
    pub(crate) enforced: usize,
    pub(crate) failed: usize,
    pub(crate) pending: usize,
}

/// What is waited for, and on whose behalf.
pub(crate) struct Waited<'a> {
    /// The revision of the write.
    pub(crate) revision: u64,
    /// The interfaces that it concerns, whosever they are.
    pub(crate) concerned: &'a BTreeSet<NetworkInterfaceId>,
    /// Who is told.
    pub(crate) asker: Asker,
}

/// Who asks how interfaces stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    /// The operator of the host, who may see everything.
    Operator,
    /// An account: it may see its own interfaces. Others' count, and are not named.
    Account(AccountId),
}

impl Asker {
    /// What it may see of what is tied.
    pub(crate) fn tied(self, state: &State) -> BTreeSet<NetworkInterfaceId> {
        let tied = state.bindings().map(|binding| &binding.interface);
        tied.filter(|interface| self.sees(state, interface)).cloned().collect()
    }

    fn sees(self, state: &State, interface: &NetworkInterfaceId) -> bool {
        match self {
            Asker::Operator => true,
            Asker::Account(account) => {
                state.interface(interface).is_some_and(|record| record.owner == account)
            }
        }
    }
}

/// How a write stands, before it is told to anybody.
struct Standing {
    status: EnforcementStatus,
    interfaces: Vec<(NetworkInterfaceId, String)>,
}

impl Standing {
    /// One about which there is no more to say.
    fn plain(status: EnforcementStatus) -> Standing {
        Standing { status, interfaces: Vec::new() }
    }
}

/// What a report says about the write; nothing while it is to be waited for.
fn judge(report: &Report, waited: &Waited<'_>) -> Option<Standing> {
    if report.revision < waited.revision {
        return None;
    }
    let failed = those_of(&report.failed, waited.concerned);
    if !failed.is_empty() {
        return Some(Standing { status: EnforcementStatus::Failed, interfaces: failed });
    }
    let is_pending = !those_of(&report.pending, waited.concerned).is_empty();
    (!is_pending).then(|| Standing::plain(EnforcementStatus::Enforced))
}

/// What is waited for still. A host that has not answered is waited for by all that are tied, where
/// the write concerns none of them.
fn awaited(
    report: &Report,
    waited: &Waited<'_>,
    tied: BTreeSet<NetworkInterfaceId>,
) -> Vec<(NetworkInterfaceId, String)> {
    if report.revision >= waited.revision {
        return those_of(&report.pending, waited.concerned);
    }
    let all = if waited.concerned.is_empty() { &tied } else { waited.concerned };
    all.iter().map(|interface| (interface.clone(), String::new())).collect()
}

/// Those of these interfaces that are concerned, and why they are here.
fn those_of(
    reasons: &BTreeMap<NetworkInterfaceId, String>,
    concerned: &BTreeSet<NetworkInterfaceId>,
) -> Vec<(NetworkInterfaceId, String)> {
    let those = reasons.iter().filter(|(interface, _)| concerned.contains(*interface));
    those.map(|(interface, why)| (interface.clone(), why.clone())).collect()
}

/// Tells the agent what it should do, as of the newest revision. Revisions that come faster than
/// they are worked out are taken together.
async fn keep_telling(
    desired: watch::Sender<Option<Arc<Desired>>>,
    mut following: Following,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = following.derivation.desired(following.revision);
        desired.send_replace(Some(Arc::new(next)));
        let news = tokio::select! {
            news = following.news() => news,
            () = stopped(&mut stop) => None,
        };
        let Some(news) = news else { return };
        let worked_out = tokio::task::spawn_blocking(move || {
            following.follow(news);
            following
        });
        let Ok(followed) = worked_out.await else { return };
        following = followed;
    }
}
