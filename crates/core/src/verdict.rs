//! What is said of a packet, and why.
//!
//! The words here are those of every judge: the reference evaluator, the compiled tables and the
//! kernel program.
use alloc::string::String;
use core::fmt;

use crate::flow::Flow;
use crate::ids::{SecurityGroupId, SecurityGroupRuleId};
use crate::rule::Policy;

/// Why a packet was let through or dropped: the first step that applied, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Headers do not parse or contradict their lengths.
    Malformed,
    /// VLAN-tagged, or neither IPv4, IPv6 nor ARP.
    Unsupported,
    /// Traffic without which no network works, or its forgery.
    Baseline,
    /// A source (egress) or destination (ingress) that is not the interface's.
    Spoofed,
    /// Of a live flow that is accepted.
    Tracked,
    /// Of a live flow whose verdict has become drop.
    Blocked,
    /// It can begin no flow and belongs to none.
    NoFlow,
    /// A later fragment without its accepted first.
    FragmentOrphan,
    /// The interface has no policy yet.
    Closed,
    /// The remote side shares a basic group that lets its members reach each other.
    IntraGroup,
    /// A rule matched.
    Rule,
    /// No rule matched: what the group's type says.
    Default,
    /// Accepted, but the interface may hold no more flows.
    FlowTableFull,
}

impl Reason {
    /// All reasons, in the order of judgement.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::Unsupported,
        Self::Baseline,
        Self::Spoofed,
        Self::Tracked,
        Self::Blocked,
        Self::NoFlow,
        Self::FragmentOrphan,
        Self::Closed,
        Self::IntraGroup,
        Self::Rule,
        Self::Default,
        Self::FlowTableFull,
    ];

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Baseline => "baseline",
            Self::Spoofed => "spoofed",
            Self::Tracked => "tracked",
            Self::Blocked => "blocked",
            Self::NoFlow => "no-flow",
            Self::FragmentOrphan => "fragment-orphan",
            Self::Closed => "closed",
            Self::IntraGroup => "intra-group",
            Self::Rule => "rule",
            Self::Default => "default",
            Self::FlowTableFull => "flow-table-full",
        }
    }
}

/// The rule that decided, and its group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecidingRule {
    /// The group it stands in.
    pub group: SecurityGroupId,
    /// The rule.
    pub rule: SecurityGroupRuleId,
}

/// A judgement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verdict {
    /// Accept or drop.
    pub policy: Policy,
    /// The step that decided.
    pub reason: Reason,
    /// Set exactly when the reason is [`Reason::Rule`].
    pub rule: Option<DecidingRule>,
}

impl Verdict {
    /// A judgement by anything but a rule.
    pub fn without_rule(policy: Policy, reason: Reason) -> Self {
        Self { policy, reason, rule: None }
    }
}

/// Why a judge could not judge. It is never a verdict: who enforces keeps what was in force, and
/// opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgeError {
    /// Stable name of the failure.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub help: &'static str,
    /// The flow's field, the interface or the map that it happened at.
    pub place: String,
}

impl fmt::Display for JudgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl core::error::Error for JudgeError {}

/// Whoever gives a verdict on the first packet of a new flow: the reference evaluator, the compiled
/// tables, the kernel program. On the same world they never disagree.
pub trait Judge {
    /// The verdict on `flow`, with empty state and the interface's own source MAC.
    fn judge(&mut self, flow: &Flow) -> Result<Verdict, JudgeError>;
}
