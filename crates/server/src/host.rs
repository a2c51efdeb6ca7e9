//! The seam to the agent of this host: what it should do goes down, what it did comes up.
//!
//! The server knows no agent. Whoever assembles the program takes the two ends of [`link`], gives
//! one to each side, and a [`HostView`] for the questions that only the kernel can answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::host::{self, Desired, Report};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::state::State;
use portcullis_wire::ecs::render::{Enforcement, EnforcementStatus};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control::message::{BindingRow, HitRow, ReasonRow};
use crate::listen::stopped;
use crate::published::Published;

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
                tokio::spawn(keep_telling(desired, Arc::clone(&published), stop.clone()));
                (Some(report), Some(view))
            }
        };
        Host { published, report, view, stop }
    }

    /// Whether there is an agent.
    pub(crate) fn enforces(&self) -> bool {
        self.report.is_some()
    }

    /// The kernel's answers, where there is an agent.
    pub(crate) fn view(&self) -> Option<Arc<dyn HostView>> {
        self.view.clone()
    }

    /// Waits until the host enforces `revision` at the interfaces that the write concerns, not
    /// longer than `timeout`. `None`: at all of them.
    pub(crate) async fn wait(
        &self,
        revision: u64,
        timeout: Duration,
        concerned: Option<&BTreeSet<NetworkInterfaceId>>,
    ) -> Enforcement {
        let bound = self.published.read(|state, _| bound(state));
        let nowhere = plain(EnforcementStatus::NotEnforced);
        let Some(report) = &self.report else { return nowhere };
        if bound.is_empty() && concerned.is_none_or(BTreeSet::is_empty) {
            return nowhere;
        }
        let deadline = Instant::now() + timeout;
        let mut report = report.clone();
        let mut stop = self.stop.clone();
        loop {
            let last = report.borrow_and_update().clone();
            if let Some(enforcement) = judge(&last, revision, concerned) {
                return enforcement;
            }
            let moved = tokio::select! {
                moved = report.changed() => moved.is_ok(),
                () = tokio::time::sleep_until(deadline) => false,
                () = stopped(&mut stop) => false,
            };
            if !moved {
                let last = report.borrow().clone();
                let judged = judge(&last, revision, concerned);
                return judged.unwrap_or_else(|| waiting(&last, revision, concerned, bound));
            }
        }
    }
}

fn bound(state: &State) -> BTreeSet<NetworkInterfaceId> {
    state.bindings().map(|binding| binding.interface.clone()).collect()
}

/// An enforcement about which there is no more to say.
fn plain(status: EnforcementStatus) -> Enforcement {
    Enforcement { status, interfaces: Vec::new() }
}

/// What a report says about a revision; nothing while it is to be waited for.
fn judge(
    report: &Report,
    revision: u64,
    concerned: Option<&BTreeSet<NetworkInterfaceId>>,
) -> Option<Enforcement> {
    if report.revision < revision {
        return None;
    }
    let failed = named(&report.failed, concerned);
    if !failed.is_empty() {
        return Some(Enforcement { status: EnforcementStatus::Failed, interfaces: failed });
    }
    let is_pending = !named(&report.pending, concerned).is_empty();
    (!is_pending).then(|| plain(EnforcementStatus::Enforced))
}

/// What is waited for still. A host that has not answered is waited for by all that are tied, where
/// the write concerns none of them.
fn waiting(
    report: &Report,
    revision: u64,
    concerned: Option<&BTreeSet<NetworkInterfaceId>>,
    bound: BTreeSet<NetworkInterfaceId>,
) -> Enforcement {
    let interfaces = match report.revision < revision {
        true => {
            let all = concerned.filter(|concerned| !concerned.is_empty()).unwrap_or(&bound);
            all.iter().map(|interface| (interface.to_string(), String::new())).collect()
        }
        false => named(&report.pending, concerned),
    };
    Enforcement { status: EnforcementStatus::Pending, interfaces }
}

/// Those of these interfaces that are concerned, and why they are here.
fn named(
    reasons: &BTreeMap<NetworkInterfaceId, String>,
    concerned: Option<&BTreeSet<NetworkInterfaceId>>,
) -> Vec<(String, String)> {
    let is_concerned = |interface| concerned.is_none_or(|concerned| concerned.contains(interface));
    let those = reasons.iter().filter(|(interface, _)| is_concerned(*interface));
    those.map(|(interface, why)| (interface.to_string(), why.clone())).collect()
}

/// Tells the agent what it should do, as of the newest revision. Revisions that come faster than
/// they are worked out are skipped.
async fn keep_telling(
    desired: watch::Sender<Option<Arc<Desired>>>,
    published: Arc<Published>,
    mut stop: watch::Receiver<bool>,
) {
    let mut revisions = published.revisions();
    loop {
        revisions.mark_unchanged();
        let source = Arc::clone(&published);
        let worked_out = tokio::task::spawn_blocking(move || source.read(host::desired)).await;
        let Ok(next) = worked_out else { return };
        desired.send_replace(Some(Arc::new(next)));
        tokio::select! {
            moved = revisions.changed() => {
                if moved.is_err() {
                    return;
                }
            }
            () = stopped(&mut stop) => return,
        }
    }
}
