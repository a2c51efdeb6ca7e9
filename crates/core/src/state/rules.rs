//! Rules of a group: authorized, revoked, counted, and never twice. A call happens whole or not at
//! all.
//!
//! What one rule's fields say together is known by [`RuleSpec`]; here it meets the group, its
//! network and its peers.
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::{Authorize, Context, Revoke, RevokedRules, RuleSpec};
use crate::error::ApiError;
use crate::ids::{AccountId, SecurityGroupId, SecurityGroupRuleId};
use crate::limits::PERMISSIONS_PER_CALL_MAX;
use crate::list::{PortRanges, Prefixes};
use crate::net::Family;
use crate::records::{Change, GroupRecord, NicType, PeerOwner, Record, RecordKey, RuleRecord};
use crate::rule::{Direction, Peer, PortMatch, Rule};
use crate::state::content::Content;
use crate::state::index::shift;
use crate::state::{Decision, GroupEntry, State, draw};
use crate::world::GroupType;

/// The names of a peer's parameters and codes, by direction.
struct PeerNames {
    group: &'static str,
    group_invalid: &'static str,
    group_not_found: &'static str,
    group_mismatch: &'static str,
    owner: &'static str,
    owner_conflict: &'static str,
    prefix_list: &'static str,
}

const DEST: PeerNames = PeerNames {
    group: "DestGroupId",
    group_invalid: "InvalidParam.DestGroupId",
    group_not_found: "InvalidDestGroupId.NotFound",
    group_mismatch: "InvalidDestGroupId.Mismatch",
    owner: "DestGroupOwnerAccount",
    owner_conflict: "InvalidParam.DestGroupOwner",
    prefix_list: "DestPrefixListId",
};

const SOURCE: PeerNames = PeerNames {
    group: "SourceGroupId",
    group_invalid: "InvalidParam.SourceGroupId",
    group_not_found: "InvalidSourceGroupId.NotFound",
    group_mismatch: "InvalidSourceGroupId.Mismatch",
    owner: "SourceGroupOwnerAccount",
    owner_conflict: "InvalidParam.SourceGroupOwner",
    prefix_list: "SourcePrefixListId",
};

fn names(direction: Direction) -> &'static PeerNames {
    match direction {
        Direction::Egress => &DEST,
        Direction::Ingress => &SOURCE,
    }
}

/// A rule that may be added, before it has an id.
pub(super) struct Draft<'a> {
    spec: &'a RuleSpec,
    nic_type: NicType,
    pub(super) peer_owner: Option<Box<PeerOwner>>,
}

impl Draft<'_> {
    pub(super) fn content(&self) -> Content<'_> {
        Content::of_spec(self.spec, self.nic_type)
    }
}

/// `NicType` where a rule of a classic group does not say.
const CLASSIC_NIC_TYPE_DEFAULT: NicType = NicType::Internet;

pub(super) fn nic_type_of(group: &GroupEntry, spec: &RuleSpec) -> NicType {
    match group.record.vpc {
        Some(_) => NicType::Intranet,
        None => spec.nic_type.unwrap_or(CLASSIC_NIC_TYPE_DEFAULT),
    }
}

impl State {
    pub(super) fn authorize(
        &self,
        context: &mut Context<'_>,
        command: &Authorize,
    ) -> Result<Decision, ApiError> {
        let group = self.own_group(context, &command.group)?;
        check_count(command.rules.len(), command.direction, &command.rules)?;
        if command.rules.is_empty() {
            return Err(ApiError::missing("Permissions"));
        }
        let drafts: Vec<Draft<'_>> = (1..)
            .zip(&command.rules)
            .map(|(number, spec)| {
                let draft = self.draft(context, group, spec);
                draft.map_err(|error| match command.rules.len() {
                    1 => error,
                    count => of_many(error, number, count),
                })
            })
            .collect::<Result<_, _>>()?;
        let mut rest = drafts.as_slice();
        while let Some((first, others)) = rest.split_first() {
            if others.iter().any(|other| first.content() == other.content()) {
                return Err(ApiError::invalid(
                    "InvalidParam.DuplicatePermissions",
                    "The specified Permissions hold the same rule twice.",
                )
                .at("Permissions"));
            }
            rest = others;
        }
        let new = drafts.iter().filter(|draft| group.rules.alike(&draft.content()).is_none());
        let new: Vec<&Draft<'_>> = new.collect();
        let contents = || new.iter().map(|draft| (&draft.spec.peer, &draft.spec.ports));
        let more = contents().map(|(peer, ports)| self.places(peer, ports)).sum();
        self.check_rule_quota(context, group, more, 0)?;
        self.check_associations(context, &command.group, contents())?;
        let mut ids: Vec<SecurityGroupRuleId> = Vec::new();
        for _ in &new {
            let taken = |id: &SecurityGroupRuleId| group.rules.contains(id) || ids.contains(id);
            ids.push(draw::id(context.dice, "sgr-", taken)?);
        }
        // Rules of one moment are listed by id: in the order of the call, then.
        ids.sort();
        let mut changes = Vec::new();
        for (draft, id) in new.into_iter().zip(ids) {
            changes.push(Change::Put(Record::Rule(Arc::new(RuleRecord {
                group: command.group.clone(),
                rule: Arc::new(rule_of(draft.spec, id)),
                nic_type: draft.nic_type,
                peer_owner: draft.peer_owner.clone(),
                description: draft.spec.description.clone(),
                created_ms: context.now_ms,
            }))));
        }
        Ok(Decision::done(changes))
    }

    pub(super) fn draft<'a>(
        &self,
        context: &Context<'_>,
        group: &GroupEntry,
        spec: &'a RuleSpec,
    ) -> Result<Draft<'a>, ApiError> {
        let nic_type = nic_type_of(group, spec);
        if group.record.vpc.is_none() {
            check_classic(spec, nic_type)?;
        }
        if let PortMatch::List(list) = &spec.ports {
            self.own_list::<PortRanges>(context, list)?;
        }
        let peer_owner = match &spec.peer {
            Peer::Cidr(_) => None,
            Peer::Group(peer) => self.check_peer_group(context, group, spec, peer)?,
            Peer::PrefixList(list) => {
                let names = names(spec.direction);
                let list = self.own_list::<Prefixes>(context, list);
                let list = list.map_err(|error| error.at(names.prefix_list))?;
                check_list_family(spec, list.scope, names)?;
                None
            }
        };
        Ok(Draft { spec, nic_type, peer_owner })
    }

    /// Whether the group may name this peer; the peer's owner, where it is another account.
    fn check_peer_group(
        &self,
        context: &Context<'_>,
        group: &GroupEntry,
        spec: &RuleSpec,
        peer: &SecurityGroupId,
    ) -> Result<Option<Box<PeerOwner>>, ApiError> {
        let names = names(spec.direction);
        let not_found = || {
            let message = alloc::format!("The specified {} does not exist.", names.group);
            ApiError::not_found(names.group_not_found, message).at(names.group)
        };
        let enterprise = |message: &'static str| {
            Err(ApiError::invalid(names.group_invalid, message).at(names.group))
        };
        if group.record.group_type == GroupType::Enterprise {
            return enterprise("An enterprise security group cannot have a group as peer.");
        }
        let owner = self.claimed_owner(context, spec, names)?.ok_or_else(not_found)?;
        if *peer == group.record.id {
            return Err(ApiError::forbidden(
                "InvalidSecurityGroup.IsSame",
                "The specified security group and its peer are the same.",
            )
            .at(names.group)
            .help("Members of one group reach each other by its InnerAccessPolicy."));
        }
        let found = self.groups.get(peer).filter(|entry| entry.record.owner == owner);
        let found = found.ok_or_else(not_found)?;
        let foreign = owner != context.caller;
        if foreign && !self.share_network(&group.record, &found.record) {
            return Err(not_found());
        }
        let same_network =
            found.record.vpc == group.record.vpc && found.record.region == group.record.region;
        if !same_network {
            return Err(ApiError::invalid(
                names.group_mismatch,
                "The specified security group and its peer are not in the same VPC.",
            )
            .at(names.group));
        }
        if found.record.group_type == GroupType::Enterprise {
            return enterprise("An enterprise security group cannot be a peer.");
        }
        let text = spec.peer_owner_account.clone();
        Ok(foreign.then(|| Box::new(PeerOwner { account: owner, text })))
    }

    /// Whether two groups of two accounts stand in one VPC that both accounts may use. Only then
    /// does the one exist for the other.
    fn share_network(&self, one: &GroupRecord, other: &GroupRecord) -> bool {
        let vpc = one.vpc.as_ref().filter(|vpc| other.vpc.as_ref() == Some(*vpc));
        vpc.and_then(|vpc| self.vpcs.get(vpc))
            .is_some_and(|vpc| self.may_use(one.owner, vpc) && self.may_use(other.owner, vpc))
    }

    /// The account that is said to own the peer group: the caller unless said otherwise; `None`:
    /// there is no such account.
    fn claimed_owner(
        &self,
        context: &Context<'_>,
        spec: &RuleSpec,
        names: &PeerNames,
    ) -> Result<Option<AccountId>, ApiError> {
        let by_id = spec.peer_owner_id.map(|id| self.accounts.get(&id).map(|account| account.id));
        let by_name = spec
            .peer_owner_account
            .as_deref()
            .map(|text| self.account_called(text).map(|account| account.id));
        match (by_id, by_name) {
            (None, None) => Ok(Some(context.caller)),
            // Neither is there, so that nothing says that they differ.
            (Some(None), Some(None)) => Ok(None),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (Some(Some(one)), Some(Some(other))) if one == other => Ok(Some(one)),
            (Some(_), Some(_)) => Err(ApiError::invalid(
                names.owner_conflict,
                "The specified owner id and owner account are not the same account.",
            )
            .at(names.owner)
            .help("Send only the owner id.")),
        }
    }

    pub(super) fn revoke(
        &self,
        context: &Context<'_>,
        command: &Revoke,
    ) -> Result<Decision, ApiError> {
        let group = self.own_group(context, &command.group)?;
        let mut revoked = match &command.rules {
            RevokedRules::Content(specs) => {
                check_count(specs.len(), command.direction, specs)?;
                self.find_by_content(group, specs)
            }
            RevokedRules::Ids(ids) => {
                check_id_count(ids.len())?;
                find_by_id(group, command.direction, ids)?
            }
        };
        revoked.sort_unstable();
        revoked.dedup();
        let keys = revoked.into_iter().map(|id| RecordKey::Rule(command.group.clone(), id));
        Ok(Decision::done(keys.map(Change::Delete).collect()))
    }

    /// A content that no rule has names nothing: revoking it is a success.
    fn find_by_content(&self, group: &GroupEntry, specs: &[RuleSpec]) -> Vec<SecurityGroupRuleId> {
        let find = |spec: &RuleSpec| {
            let nic_type = nic_type_of(group, spec);
            let found = group.rules.alike(&Content::of_spec(spec, nic_type));
            found.map(|record| record.rule.id.clone())
        };
        specs.iter().filter_map(find).collect()
    }

    pub(super) fn put_rule(&mut self, mut record: Arc<RuleRecord>) {
        self.remove_rule(&record.group, &record.rule.id);
        let Some(entry) = self.groups.get_mut(&record.group) else { return };
        if let Some(record) = Arc::get_mut(&mut record) {
            // A record that was just read has a text of its own for its group; one for all rules of
            // a group is enough.
            record.group = entry.record.id.clone();
        }
        if let Peer::Group(peer) = &record.rule.peer {
            self.index.references.add(peer, &record.group);
            shift(&mut self.index.group_rules_of_group, &record.group, 1, 0);
        }
        self.index.add_lists(&record.group, &record.rule.peer, &record.rule.ports);
        self.world.put_rule(&record.group, record.rule.clone());
        entry.rules.insert(record);
    }

    pub(super) fn remove_rule(&mut self, group: &SecurityGroupId, id: &SecurityGroupRuleId) {
        let Some(entry) = self.groups.get_mut(group) else { return };
        let Some(old) = entry.rules.remove(id) else { return };
        if let Peer::Group(peer) = &old.rule.peer {
            self.index.references.subtract(peer, group);
            shift(&mut self.index.group_rules_of_group, group, 0, 1);
        }
        self.index.subtract_lists(group, &old.rule.peer, &old.rule.ports);
        self.world.remove_rule(group, id);
    }
}

/// The error says which of the call's rules it is about.
fn of_many(error: ApiError, number: usize, count: usize) -> ApiError {
    let help = alloc::format!("It is about rule {number} of {count}. {}", error.help);
    error.help(help.trim_end().to_owned())
}

pub(super) fn rule_of(spec: &RuleSpec, id: SecurityGroupRuleId) -> Rule {
    Rule {
        id,
        direction: spec.direction,
        protocol: spec.protocol,
        ports: spec.ports.clone(),
        source_ports: spec.source_ports,
        peer: spec.peer.clone(),
        local: spec.local,
        policy: spec.policy,
        priority: spec.priority,
    }
}

pub(super) fn check_count(
    count: usize,
    direction: Direction,
    specs: &[RuleSpec],
) -> Result<(), ApiError> {
    if count > PERMISSIONS_PER_CALL_MAX {
        let message = alloc::format!("A call may name at most {PERMISSIONS_PER_CALL_MAX} rules.");
        return Err(ApiError::invalid("InvalidParam.Permissions", message).at("Permissions"));
    }
    if specs.iter().any(|spec| spec.direction != direction) {
        let message = "A rule of the other direction cannot be part of this call.";
        return Err(ApiError::invalid("InvalidParam.Permissions", message).at("Permissions"));
    }
    Ok(())
}

fn check_id_count(count: usize) -> Result<(), ApiError> {
    if count <= PERMISSIONS_PER_CALL_MAX {
        return Ok(());
    }
    let message = alloc::format!("A call may name at most {PERMISSIONS_PER_CALL_MAX} rules.");
    Err(ApiError::invalid("InvalidParam.SecurityGroupRuleId", message).at("SecurityGroupRuleId"))
}

fn find_by_id(
    group: &GroupEntry,
    direction: Direction,
    ids: &[SecurityGroupRuleId],
) -> Result<Vec<SecurityGroupRuleId>, ApiError> {
    let there = |id: &&SecurityGroupRuleId| {
        group.rules.get(id).is_some_and(|record| record.rule.direction == direction)
    };
    match ids.iter().find(|id| !there(id)) {
        None => Ok(ids.to_vec()),
        Some(id) => {
            let message = alloc::format!(
                "The specified SecurityGroupRuleId `{id}` does not exist among the {} rules.",
                direction.name()
            );
            Err(ApiError::invalid("InvalidSecurityGroupRule.RuleNotExist", message)
                .at("SecurityGroupRuleId"))
        }
    }
}

/// A classic group has no IPv6 and no lists, and reaches groups by its intranet only.
fn check_classic(spec: &RuleSpec, nic_type: NicType) -> Result<(), ApiError> {
    let names = names(spec.direction);
    let peer = match &spec.peer {
        Peer::Cidr(cidr) => Some(*cidr),
        Peer::Group(_) if nic_type != NicType::Intranet => {
            return Err(ApiError::forbidden(
                names.group_mismatch,
                "The specified NicType is required or must be intranet.",
            )
            .at("NicType"));
        }
        Peer::Group(_) => None,
        Peer::PrefixList(_) => {
            return Err(ApiError::invalid(
                "NotSupported.ClassicNetworkPrefixList",
                "The prefix list is not supported for a classic security group.",
            )
            .at(names.prefix_list));
        }
    };
    if matches!(spec.ports, PortMatch::List(_)) {
        return Err(ApiError::invalid(
            "NotSupported.ClassicNetworkPortRangeList",
            "The port range list is not supported for a classic security group.",
        )
        .at("PortRangeListId"));
    }
    let (peer_place, local_place) = match spec.direction {
        Direction::Egress => ("Ipv6DestCidrIp", "Ipv6SourceCidrIp"),
        Direction::Ingress => ("Ipv6SourceCidrIp", "Ipv6DestCidrIp"),
    };
    for (cidr, place) in [(peer, peer_place), (spec.local, local_place)] {
        if cidr.is_some_and(|cidr| cidr.family() == Family::V6) {
            let message = alloc::format!("{place} is only supported for VPC security groups.");
            return Err(
                ApiError::invalid(alloc::format!("InvalidParam.{place}"), message).at(place)
            );
        }
    }
    Ok(())
}

/// The entries of a list and the rest of the rule must be able to meet in one packet.
fn check_list_family(spec: &RuleSpec, family: Family, names: &PeerNames) -> Result<(), ApiError> {
    let fits = spec.local.is_none_or(|local| local.family() == family)
        && match (spec.protocol, family) {
            (crate::net::Protocol::ICMP, Family::V6) => false,
            (crate::net::Protocol::ICMPV6, Family::V4) => false,
            (_, Family::V4 | Family::V6) => true,
        };
    if fits {
        return Ok(());
    }
    Err(ApiError::invalid(
        "InvalidParam.PrefixListAddressFamilyMismatch",
        "The address family of the specified prefix list does not match the rule.",
    )
    .at(names.prefix_list))
}
