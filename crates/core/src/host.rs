//! What a host should enforce, and what it says it does: pure values between the state and the
//! agent.
//!
//! Knows no kernel and no device beyond its name.
mod derivation;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{NetworkInterfaceId, SecurityGroupId, VpcId};
use crate::limits::FLOWS_PER_INTERFACE_DEFAULT;
use crate::net::Prefix;
use crate::records::{Change, ConnectionTracking, GroupRecord, InterfaceRecord, Record, RecordKey};
use crate::resolve::{InterfacePolicy, Resolver};
use crate::shared::SharedMap;
use crate::state::State;
use crate::text::DeviceName;
use crate::world::World;
pub use derivation::Derivation;

/// Why an interface has no policy. It stays closed, or keeps its last good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyError {
    /// The interface, or one of its groups, does not exist.
    Dangling,
}

impl core::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Dangling => f.write_str("the interface or one of its groups does not exist"),
        }
    }
}

impl core::error::Error for PolicyError {}

/// Idle times of an interface's flows (`docs/reference/verdicts.md`, section 4), in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdleTimes {
    /// TCP, established.
    pub tcp_established_s: u16,
    /// TCP, not yet established.
    pub tcp_unanswered_s: u16,
    /// TCP, closed or reset.
    pub tcp_closed_s: u16,
    /// UDP.
    pub udp_s: u16,
    /// Every other protocol.
    pub other_s: u16,
}

impl IdleTimes {
    /// TCP that is not yet established idles out after this.
    pub const TCP_UNANSWERED_S: u16 = 30;
    /// Protocols other than TCP and UDP idle out after this.
    pub const OTHER_S: u16 = 30;

    /// These of the interface's own, the rest fixed.
    pub fn new(tracking: ConnectionTracking) -> Self {
        Self {
            tcp_established_s: tracking.tcp_established_s(),
            tcp_unanswered_s: Self::TCP_UNANSWERED_S,
            tcp_closed_s: tracking.tcp_closed_s(),
            udp_s: tracking.udp_s(),
            other_s: Self::OTHER_S,
        }
    }
}

/// One interface that is tied to a device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundInterface {
    /// The interface.
    pub interface: NetworkInterfaceId,
    /// The device.
    pub device: DeviceName,
    /// What to enforce there.
    pub policy: Result<InterfacePolicy, PolicyError>,
    /// How long its flows may idle.
    pub idle_times: IdleTimes,
    /// How many live flows it may have.
    pub flows_max: u32,
}

impl BoundInterface {
    fn new(
        interface: &NetworkInterfaceId,
        device: &DeviceName,
        policy: Option<InterfacePolicy>,
        tracking: Option<ConnectionTracking>,
    ) -> Self {
        Self {
            interface: interface.clone(),
            device: device.clone(),
            policy: policy.ok_or(PolicyError::Dangling),
            idle_times: IdleTimes::new(tracking.unwrap_or(ConnectionTracking::DEFAULT)),
            flows_max: FLOWS_PER_INTERFACE_DEFAULT,
        }
    }
}

/// The addresses of one VPC's members: each prefix with the groups that its interface is in,
/// sorted.
pub type Members = SharedMap<Prefix, Arc<[SecurityGroupId]>>;

/// What a host should enforce, as of a revision. Whoever works it out anew keeps what has not
/// changed since the last one: the same `Arc` of an interface, the same pieces of members. What
/// differs is then found at no cost; nothing but time is lost where it is built afresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The store's revision that this is the state of.
    pub revision: u64,
    /// The bound interfaces, by id.
    pub interfaces: Vec<Arc<BoundInterface>>,
    /// Members per VPC, only of groups that one of the policies refers to.
    pub members: BTreeMap<VpcId, Members>,
}

impl Desired {
    /// These interfaces, and the members of the groups that their policies refer to.
    pub fn new(revision: u64, interfaces: Vec<Arc<BoundInterface>>, world: &World) -> Self {
        let mut desired = Self { revision, interfaces, members: BTreeMap::new() };
        for group in desired.referenced_groups() {
            for member in world.members(&group) {
                let vpc = desired.members.entry(member.vpc.clone()).or_default();
                for prefix in &member.addresses {
                    let known = vpc.get(prefix).into_iter().flat_map(|groups| groups.iter());
                    vpc.insert(*prefix, known.chain([&group]).cloned().collect());
                }
            }
        }
        desired
    }

    /// The groups that one of the policies refers to.
    pub fn referenced_groups(&self) -> BTreeSet<SecurityGroupId> {
        let (mut seen, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for policy in self.interfaces.iter().filter_map(|bound| bound.policy.as_ref().ok()) {
            groups.extend(policy.intra_groups.iter().cloned());
            // Interfaces of the same groups share their rules: these are looked at once.
            if seen.insert([policy.egress.as_ptr(), policy.ingress.as_ptr()]) {
                groups.extend(policy.referenced_groups());
            }
        }
        groups
    }
}

/// What a host does enforce, after it has read it back from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The revision of the [`Desired`] that was carried out.
    pub revision: u64,
    /// Interfaces that do not have the policy of that revision, and why not.
    pub failed: BTreeMap<NetworkInterfaceId, String>,
    /// Interfaces that wait for something, such as a device that is not there, and for what.
    pub pending: BTreeMap<NetworkInterfaceId, String>,
}

/// What the host should enforce when the state is this one, which the store numbers `revision`.
pub fn desired(state: &State, revision: u64) -> Desired {
    let mut resolver = Resolver::new(state.world());
    let interfaces = state.bindings().map(|binding| {
        let tracking =
            state.interface(&binding.interface).and_then(|record| record.connection_tracking);
        let policy = resolver.policy(&binding.interface);
        Arc::new(BoundInterface::new(&binding.interface, &binding.device, policy, tracking))
    });
    Desired::new(revision, interfaces.collect(), state.world())
}

/// The interfaces whose verdicts these changes to `state` may change, and whose enforcement a write
/// therefore waits for: those that it ties or unties, and tied ones. All others stay as they are.
pub fn concerned(state: &State, changes: &[Change]) -> BTreeSet<NetworkInterfaceId> {
    let mut interfaces = BTreeSet::new();
    // Groups with other rules, or other members; then those whose rules name such members.
    let mut groups = BTreeSet::new();
    for change in changes {
        match change.key() {
            RecordKey::Rule(group, _) => {
                groups.insert(group);
            }
            RecordKey::Group(group) => {
                let after = match change {
                    Change::Put(Record::Group(record)) => Some(record),
                    Change::Put(_) | Change::Delete(_) => None,
                };
                let both = state.group(&group).zip(after);
                if !both.is_some_and(|(before, after)| groups_decide_alike(before, after)) {
                    groups.insert(group);
                }
            }
            RecordKey::Interface(id) => {
                let after = match change {
                    Change::Put(Record::Interface(record)) => Some(record.as_ref()),
                    Change::Put(_) | Change::Delete(_) => None,
                };
                let before = state.interface(&id);
                if before.zip(after).is_some_and(|(before, after)| decide_alike(before, after)) {
                    continue;
                }
                let members_of = before.into_iter().chain(after);
                for group in members_of.flat_map(|record| &record.groups) {
                    groups.extend(state.groups_naming(group).cloned());
                    groups.insert(group.clone());
                }
            }
            RecordKey::PrefixList(id) => {
                let is_renamed = matches!(change, Change::Put(Record::PrefixList(after))
                    if state.prefix_list(&id).is_some_and(|old| old.entries == after.entries));
                if !is_renamed {
                    groups.extend(state.groups_naming_prefix_list(&id).cloned());
                }
            }
            RecordKey::PortRangeList(id) => {
                let is_renamed = matches!(change, Change::Put(Record::PortRangeList(after))
                    if state.port_range_list(&id).is_some_and(|old| old.entries == after.entries));
                if !is_renamed {
                    groups.extend(state.groups_naming_port_range_list(&id).cloned());
                }
            }
            RecordKey::Binding(id) => {
                interfaces.insert(id);
            }
            RecordKey::Account(_)
            | RecordKey::AccessKey(_)
            | RecordKey::Vpc(_)
            | RecordKey::VSwitch(_)
            | RecordKey::Token(..)
            | RecordKey::VpcShare(..)
            | RecordKey::Instance(_) => {}
        }
    }
    let tied = state.bindings().filter_map(|binding| state.interface(&binding.interface));
    let in_groups = tied.filter(|record| record.groups.iter().any(|g| groups.contains(g)));
    interfaces.extend(in_groups.map(|record| record.id.clone()));
    interfaces
}

/// Whether two states of a group mean the same to every verdict: its name and its tags do not
/// matter.
fn groups_decide_alike(one: &GroupRecord, other: &GroupRecord) -> bool {
    one.vpc == other.vpc
        && one.group_type == other.group_type
        && one.inner_access == other.inner_access
}

/// Whether two states of an interface mean the same to every verdict: a new name or another
/// attachment does not matter.
fn decide_alike(one: &InterfaceRecord, other: &InterfaceRecord) -> bool {
    one.mac == other.mac
        && one.prefixes().eq(other.prefixes())
        && one.groups == other.groups
        && one.source_dest_check == other.source_dest_check
        && one.connection_tracking == other.connection_tracking
}
