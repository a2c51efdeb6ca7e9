//! Which groups an interface is in, and what must hold before it is in others.
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{Context, Joiner};
use crate::error::ApiError;
use crate::ids::{SecurityGroupId, VpcId};
use crate::records::{Change, GroupRecord, InterfaceRecord, Record};
use crate::state::account::region_of;
use crate::state::group::capacity;
use crate::state::instance::instance_not_found;
use crate::state::{Decision, State};
use crate::world::GroupType;

use super::interface_not_found;

/// By which action an interface gets into groups: some refusals have other codes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Entrance {
    /// It is made or changed.
    Interface,
    /// It is made with its instance.
    Instance,
    /// JoinSecurityGroup.
    JoinInterface,
    /// JoinSecurityGroup of an instance.
    JoinInstance,
}

impl Entrance {
    fn is_join(self) -> bool {
        matches!(self, Self::JoinInterface | Self::JoinInstance)
    }

    fn too_many(self, message: String) -> ApiError {
        if self.is_join() {
            ApiError::invalid("InstanceSecurityGroupLimitExceeded", message)
        } else {
            ApiError::invalid("JoinedGroupLimitExceed", message)
        }
    }

    pub(super) fn full(self) -> ApiError {
        let message = "The specified security group has reached its quota of members.";
        if self.is_join() {
            ApiError::forbidden("SecurityGroupInstanceLimitExceeded", message)
        } else {
            ApiError::forbidden("SecurityGroupInstanceLimitExceed", message)
        }
    }

    fn other_vpc(self) -> ApiError {
        let message = "The security group and the network interface are not in the same VPC.";
        match self {
            Self::Interface | Self::JoinInterface => {
                ApiError::forbidden("InvalidOperation.VpcMismatch", message)
            }
            Self::Instance => ApiError::invalid("InvalidParameter.Mismatch", message),
            Self::JoinInstance => ApiError::invalid("InvalidInstanceId.Mismatch", message),
        }
    }
}

/// An interface that wants to be in these groups.
pub(in crate::state) struct Entry<'a> {
    /// Its VPC.
    pub(in crate::state) vpc: &'a VpcId,
    /// Those it wants to be in.
    pub(in crate::state) groups: &'a [SecurityGroupId],
    /// Those it is in.
    pub(in crate::state) old: &'a [SecurityGroupId],
    /// How many addresses and prefixes it has.
    pub(in crate::state) address_count: usize,
    /// By which action.
    pub(in crate::state) entrance: Entrance,
}

impl Entry<'_> {
    /// Whether a group is of the interface's VPC.
    fn check_vpc(&self, group: &GroupRecord) -> Result<(), ApiError> {
        match &group.vpc {
            None => {
                let message = "The specified security group is not in a VPC.";
                Err(ApiError::forbidden("InvalidSecurityGroupId.NotVpc", message))
            }
            Some(other) if other != self.vpc => Err(self.entrance.other_vpc()),
            Some(_) => Ok(()),
        }
    }
}

/// How much interfaces that are made by the same command add to their groups.
#[derive(Debug, Default)]
pub(in crate::state) struct Joined {
    addresses: BTreeMap<SecurityGroupId, usize>,
    interfaces: BTreeMap<SecurityGroupId, usize>,
}

impl Joined {
    pub(super) fn add(&mut self, record: &InterfaceRecord) {
        for group in &record.groups {
            *self.addresses.entry(group.clone()).or_default() += record.address_count();
            *self.interfaces.entry(group.clone()).or_default() += 1;
        }
    }

    fn of(&self, group: &GroupRecord) -> usize {
        let counts = match group.group_type {
            GroupType::Basic => &self.addresses,
            GroupType::Enterprise => &self.interfaces,
        };
        counts.get(&group.id).copied().unwrap_or(0)
    }
}

impl State {
    /// The groups, each once, if the interface may be in all of them.
    pub(in crate::state) fn check_groups(
        &self,
        context: &Context<'_>,
        entry: &Entry<'_>,
        joined: &Joined,
    ) -> Result<Vec<SecurityGroupId>, ApiError> {
        let quotas = &context.settings.quotas;
        let mut unique: Vec<SecurityGroupId> = Vec::new();
        for group in entry.groups {
            if !unique.contains(group) {
                unique.push(group.clone());
            }
        }
        if unique.is_empty() {
            return Err(ApiError::missing("SecurityGroupId"));
        }
        if unique.len() > quotas.groups_per_interface() {
            let message = alloc::format!(
                "A network interface may be in at most {} security groups.",
                quotas.groups_per_interface()
            );
            return Err(entry.entrance.too_many(message).at("SecurityGroupId"));
        }
        let mut kind: Option<GroupType> = None;
        for id in &unique {
            let group = &self.own_group(context, id)?.record;
            entry.check_vpc(group).map_err(|error| error.at("SecurityGroupId"))?;
            if kind.is_some_and(|kind| kind != group.group_type) {
                let message = "Basic and enterprise security groups cannot be mixed.";
                return Err(ApiError::forbidden("OperationDenied", message).at("SecurityGroupId"));
            }
            kind = Some(group.group_type);
            self.check_room(context, entry, joined, group)
                .map_err(|error| error.at("SecurityGroupId"))?;
        }
        if unique.iter().any(|id| !entry.old.contains(id))
            && self.rule_sum(&unique) > quotas.rules_per_interface
        {
            let message = "The rules of all these security groups exceed the interface's quota.";
            return Err(ApiError::forbidden("AclLimitExceed", message).at("SecurityGroupId"));
        }
        Ok(unique)
    }

    /// Whether this one group has room for the interface.
    fn check_room(
        &self,
        context: &Context<'_>,
        entry: &Entry<'_>,
        joined: &Joined,
        group: &GroupRecord,
    ) -> Result<(), ApiError> {
        if entry.old.contains(&group.id) {
            return Ok(());
        }
        let more = match group.group_type {
            GroupType::Basic => entry.address_count,
            GroupType::Enterprise => 1,
        };
        let used = self.used(group.group_type, &group.id) + joined.of(group);
        if used + more > capacity(&context.settings.quotas, group.group_type) {
            return Err(entry.entrance.full());
        }
        Ok(())
    }

    /// The interface that joins or leaves, and how it does.
    fn joining(
        &self,
        context: &Context<'_>,
        joiner: &Joiner,
    ) -> Result<(&InterfaceRecord, Entrance), ApiError> {
        match joiner {
            Joiner::Interface(id) => {
                region_of(context)?;
                self.own_interface(context, id)
                    .map(|record| (record, Entrance::JoinInterface))
                    .ok_or_else(interface_not_found)
            }
            Joiner::Instance(id) => self
                .own_instance(context, id)
                .and_then(|instance| self.primary_interface(&instance.id))
                .map(|record| (record, Entrance::JoinInstance))
                .ok_or_else(instance_not_found),
        }
    }

    pub(in crate::state) fn join(
        &self,
        context: &Context<'_>,
        group: &SecurityGroupId,
        joiner: &Joiner,
    ) -> Result<Decision, ApiError> {
        self.own_group(context, group)?;
        let (old, entrance) = self.joining(context, joiner)?;
        if old.groups.contains(group) {
            return Err(ApiError::forbidden(
                "InvalidInstanceId.AlreadyExists",
                "The specified instance or network interface is in the security group already.",
            )
            .at("SecurityGroupId"));
        }
        let mut groups = old.groups.clone();
        groups.push(group.clone());
        let entry = Entry {
            vpc: &old.vpc,
            groups: &groups,
            old: &old.groups,
            address_count: old.address_count(),
            entrance,
        };
        let groups = self.check_groups(context, &entry, &Joined::default())?;
        Ok(moved(old, groups))
    }

    pub(in crate::state) fn leave(
        &self,
        context: &Context<'_>,
        group: &SecurityGroupId,
        joiner: &Joiner,
    ) -> Result<Decision, ApiError> {
        self.own_group(context, group)?;
        let (old, _) = self.joining(context, joiner)?;
        if !old.groups.contains(group) {
            return Err(ApiError::forbidden(
                "InstanceNotInSecurityGroup",
                "The specified instance or network interface is not in the security group.",
            )
            .at("SecurityGroupId"));
        }
        let groups: Vec<_> = old.groups.iter().filter(|own| *own != group).cloned().collect();
        if groups.is_empty() {
            return Err(ApiError::forbidden(
                "InstanceLastSecurityGroup",
                "An instance or a network interface is in one security group at least.",
            )
            .at("SecurityGroupId")
            .help("Join another group first."));
        }
        Ok(moved(old, groups))
    }
}

/// The same interface in these groups.
fn moved(old: &InterfaceRecord, groups: Vec<SecurityGroupId>) -> Decision {
    let record = InterfaceRecord { groups, ..old.clone() };
    Decision::done(vec![Change::Put(Record::Interface(Box::new(record)))])
}
