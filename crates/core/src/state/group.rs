//! Security groups as such: made, listed, changed, and deleted when nothing depends on them. Their
//! rules are next door.
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{
    Context, CreateSecurityGroup, DescribeSecurityGroupAttribute, DescribeSecurityGroups, Edit,
    GroupReferences, ModifySecurityGroupAttribute, Outcome, RuleRow, SecurityGroupAttribute,
    SecurityGroupRow, Written,
};
use crate::error::ApiError;
use crate::ids::SecurityGroupId;
use crate::records::{Change, GroupRecord, Record, RecordKey, RuleRecord};
use crate::rule::{Peer, PortMatch};
use crate::settings::Quotas;
use crate::state::account::{region_of, sees};
use crate::state::describe::{Descending, RuleKey, in_sight, part};
use crate::state::{Decision, GroupEntry, State, draw};
use crate::text::{ListName, Name};
use crate::world::{GroupType, InnerAccess};

/// Unknown to an action of the Ecs product.
fn vpc_not_found() -> ApiError {
    ApiError::not_found("InvalidVpcId.NotFound", "The specified VPC does not exist.").at("VpcId")
}

/// Unknown, or another account's.
pub(super) fn group_not_found() -> ApiError {
    ApiError::not_found(
        "InvalidSecurityGroupId.NotFound",
        "The specified SecurityGroupId does not exist.",
    )
    .at("SecurityGroupId")
}

/// How much a group may hold: addresses of a basic one, interfaces of an enterprise one.
pub(super) fn capacity(quotas: &Quotas, group_type: GroupType) -> usize {
    match group_type {
        GroupType::Basic => quotas.addresses_per_basic_group,
        GroupType::Enterprise => quotas.interfaces_per_enterprise_group,
    }
}

impl State {
    /// The group with its rules, if the caller may see it.
    pub(super) fn own_group(
        &self,
        context: &Context<'_>,
        id: &SecurityGroupId,
    ) -> Result<&GroupEntry, ApiError> {
        self.groups
            .get(id)
            .filter(|entry| sees(context, entry.record.owner, &entry.record.region))
            .ok_or_else(group_not_found)
    }

    pub(super) fn create_group(
        &self,
        context: &mut Context<'_>,
        command: &CreateSecurityGroup,
    ) -> Result<Decision, ApiError> {
        let region = region_of(context)?;
        match &command.vpc {
            Some(vpc) => {
                self.usable_vpc(context, vpc).ok_or_else(vpc_not_found)?;
            }
            None if command.group_type == GroupType::Enterprise => {
                return Err(ApiError::forbidden(
                    "InvalidVpcId.NotFound",
                    "The VpcId must not be empty when an enterprise security group is created.",
                )
                .at("VpcId"));
            }
            None => {}
        }
        let owned = self.index.groups.count(&(context.caller, region.clone()));
        if owned >= context.settings.quotas.groups_per_region {
            return Err(ApiError::forbidden(
                "QuotaExceed.SecurityGroup",
                "The number of security groups in the region has reached its quota.",
            ));
        }
        let group = GroupRecord {
            id: draw::id(context.dice, "sg-", |id| self.groups.contains_key(id))?,
            owner: context.caller,
            region,
            vpc: command.vpc.clone(),
            group_type: command.group_type,
            inner_access: match command.group_type {
                GroupType::Basic => InnerAccess::Accept,
                GroupType::Enterprise => InnerAccess::Drop,
            },
            name: command.name.clone(),
            description: command.description.clone(),
            resource_group: command.resource_group.clone(),
            tags: command.tags.clone(),
            created_ms: context.now_ms,
        };
        let written = Written::SecurityGroup { group: group.id.clone() };
        Ok(Decision::write(written, vec![Change::Put(Record::Group(group))]))
    }

    pub(super) fn delete_group(
        &self,
        context: &Context<'_>,
        id: &SecurityGroupId,
    ) -> Result<Decision, ApiError> {
        let entry = self.own_group(context, id)?;
        let in_use = |message: alloc::string::String, help: &'static str| {
            Err(ApiError::forbidden("DependencyViolation", message)
                .at("SecurityGroupId")
                .help(help))
        };
        if self.world.member_count(id) > 0 {
            let message = "There is still instance(s) in the specified security group.".into();
            return in_use(message, "Delete its network interfaces or give them other groups.");
        }
        if let Some(other) = self.index.references.get(id).find(|other| *other != id) {
            let message = alloc::format!(
                "The specified security group has been authorized in another one, `{other}`."
            );
            return in_use(message, "Revoke the rules that name the group first.");
        }
        let rules = entry.rules.iter().map(|record| &record.rule.id);
        let mut changes: Vec<Change> =
            rules.map(|rule| Change::Delete(RecordKey::Rule(id.clone(), rule.clone()))).collect();
        changes.push(Change::Delete(RecordKey::Group(id.clone())));
        Ok(Decision::done(changes))
    }

    pub(super) fn modify_group_policy(
        &self,
        context: &Context<'_>,
        id: &SecurityGroupId,
        inner_access: InnerAccess,
    ) -> Result<Decision, ApiError> {
        let entry = self.own_group(context, id)?;
        if entry.record.inner_access == inner_access {
            return Ok(Decision::done(Vec::new()));
        }
        if entry.record.group_type == GroupType::Enterprise {
            return Err(ApiError::invalid(
                "InvalidPolicy.Malformed",
                "The InnerAccessPolicy of an enterprise security group is always Drop.",
            )
            .at("InnerAccessPolicy"));
        }
        let record = GroupRecord { inner_access, ..entry.record.clone() };
        Ok(Decision::done(vec![Change::Put(Record::Group(record))]))
    }

    pub(super) fn modify_group(
        &self,
        context: &Context<'_>,
        command: &ModifySecurityGroupAttribute,
    ) -> Result<Decision, ApiError> {
        let old = &self.own_group(context, &command.group)?.record;
        let mut record = old.clone();
        if let Some(name) = &command.name {
            record.name = Some(name.clone());
        }
        match &command.description {
            Edit::Keep => {}
            Edit::Clear => record.description = None,
            Edit::Set(text) => record.description = Some(text.clone()),
        }
        let changes =
            if record == *old { vec![] } else { vec![Change::Put(Record::Group(record))] };
        Ok(Decision::done(changes))
    }

    /// The groups that name each of these in a rule, whosever they are: its owner must know what
    /// keeps it from being deleted.
    pub(super) fn describe_references(
        &self,
        context: &Context<'_>,
        groups: &[SecurityGroupId],
    ) -> Result<Decision, ApiError> {
        let mut rows: Vec<GroupReferences> = Vec::new();
        for id in groups {
            self.own_group(context, id)?;
            if rows.iter().any(|row| row.group == *id) {
                continue;
            }
            let others = self.index.references.get(id).filter_map(|other| self.groups.get(other));
            let referencing =
                others.map(|other| (other.record.id.clone(), other.record.owner)).collect();
            rows.push(GroupReferences { group: id.clone(), referencing });
        }
        Ok(Decision::read(Outcome::SecurityGroupReferences(rows)))
    }

    pub(super) fn describe_groups(
        &self,
        context: &Context<'_>,
        command: &DescribeSecurityGroups,
    ) -> Result<Decision, ApiError> {
        let candidates: Vec<&SecurityGroupId> = match (&command.groups, &command.vpc) {
            (Some(groups), _) => groups.iter().collect(),
            (None, Some(vpc)) => self.index.groups_of_vpc.get(vpc).collect(),
            (None, None) => in_sight(&self.index.groups, context),
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.own_group(context, id).ok())
            .map(|entry| &entry.record)
            .filter(|group| {
                command.vpc.as_ref().is_none_or(|vpc| group.vpc.as_ref() == Some(vpc))
                    && command.name.as_ref().is_none_or(|name| group.name.as_ref() == Some(name))
                    && command.group_type.is_none_or(|kind| group.group_type == kind)
                    && command.in_vpc.is_none_or(|in_vpc| group.vpc.is_some() == in_vpc)
                    && (command.resource_group.is_none()
                        || group.resource_group == command.resource_group)
                    && group.tags.meet(&command.tags)
            })
            .map(|group| Descending(group.id.clone()))
            .collect();
        let quotas = &context.settings.quotas;
        let page = part(keys, &command.paging)?.rows(|key| self.group_row(quotas, &key.0));
        Ok(Decision::read(Outcome::SecurityGroups(page)))
    }

    fn group_row(&self, quotas: &Quotas, id: &SecurityGroupId) -> Option<SecurityGroupRow> {
        let entry = self.groups.get(id)?;
        let address_count = self.index.addresses_of_group.get(id).copied().unwrap_or(0);
        let used = self.used(entry.record.group_type, id);
        Some(SecurityGroupRow {
            group: entry.record.clone(),
            address_count,
            available_amount: capacity(quotas, entry.record.group_type).saturating_sub(used),
            rule_count: entry.rules.len(),
            group_rule_count: self.index.group_rules_of_group.get(id).copied().unwrap_or(0),
        })
    }

    /// How much of its [`capacity`] a group holds.
    pub(super) fn used(&self, group_type: GroupType, id: &SecurityGroupId) -> usize {
        match group_type {
            GroupType::Basic => self.index.addresses_of_group.get(id).copied().unwrap_or(0),
            GroupType::Enterprise => self.world.member_count(id),
        }
    }

    pub(super) fn describe_group_attribute(
        &self,
        context: &Context<'_>,
        command: &DescribeSecurityGroupAttribute,
    ) -> Result<Decision, ApiError> {
        let entry = self.own_group(context, &command.group)?;
        let nic_type = match entry.record.vpc {
            Some(_) => None,
            None => command.nic_type,
        };
        let keys = entry
            .rules
            .iter()
            .filter(|record| {
                command.direction.is_none_or(|direction| record.rule.direction == direction)
                    && nic_type.is_none_or(|nic_type| record.nic_type == nic_type)
            })
            .map(|record| RuleKey { created_ms: record.created_ms, id: record.rule.id.clone() })
            .collect();
        let rules = part(keys, &command.paging)?.rows(|key| {
            let record = entry.rules.get(&key.id)?.clone();
            let peer_group_name = self.peer_group_name(context, &record);
            let (prefix_list_name, port_range_list_name) = self.list_names(&record);
            Some(RuleRow { record, peer_group_name, prefix_list_name, port_range_list_name })
        });
        let attribute = SecurityGroupAttribute { group: entry.record.clone(), rules };
        Ok(Decision::read(Outcome::SecurityGroupAttribute(Box::new(attribute))))
    }

    fn peer_group_name(&self, context: &Context<'_>, record: &RuleRecord) -> Option<Name> {
        match &record.rule.peer {
            Peer::Group(group) => self.own_group(context, group).ok()?.record.name.clone(),
            Peer::Cidr(_) | Peer::PrefixList(_) => None,
        }
    }

    /// The names of the lists that the rule names. Both are of the group's own account.
    fn list_names(&self, record: &RuleRecord) -> (Option<ListName>, Option<ListName>) {
        let prefix_list = match &record.rule.peer {
            Peer::PrefixList(list) => self.prefix_lists.get(list).map(|list| list.name.clone()),
            Peer::Cidr(_) | Peer::Group(_) => None,
        };
        let ports = match &record.rule.ports {
            PortMatch::List(list) => self.port_range_lists.get(list).map(|list| list.name.clone()),
            PortMatch::Ports(_) => None,
        };
        (prefix_list, ports)
    }

    pub(super) fn put_group(&mut self, record: GroupRecord) {
        let id = record.id.clone();
        let rules = self.world.remove_group(&id).map(|group| group.rules).unwrap_or_default();
        self.world.put_group(record.in_world(rules));
        let entries = match self.groups.remove(&id) {
            Some(old) => {
                self.unindex_group(&old.record);
                old.rules
            }
            None => Default::default(),
        };
        self.index.groups.insert((record.owner, record.region.clone()), id.clone());
        if let Some(vpc) = &record.vpc {
            self.index.groups_of_vpc.insert(vpc.clone(), id.clone());
        }
        self.groups.insert(id, GroupEntry { record, rules: entries });
    }

    pub(super) fn remove_group(&mut self, id: &SecurityGroupId) {
        let entry = self.groups.get(id).into_iter();
        let rules = entry.flat_map(|entry| entry.rules.iter().map(|record| record.rule.id.clone()));
        let rules: Vec<_> = rules.collect();
        for rule in rules {
            self.remove_rule(id, &rule);
        }
        self.world.remove_group(id);
        if let Some(old) = self.groups.remove(id) {
            self.unindex_group(&old.record);
        }
    }

    fn unindex_group(&mut self, record: &GroupRecord) {
        self.index.groups.remove(&(record.owner, record.region.clone()), &record.id);
        if let Some(vpc) = &record.vpc {
            self.index.groups_of_vpc.remove(vpc, &record.id);
        }
    }
}
