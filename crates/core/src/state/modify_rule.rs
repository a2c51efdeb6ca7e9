//! Rules changed in place: they keep their id, their kind of peer and their kind of ports.
//!
//! What makes a rule and who may be its peer is known next door; here the old rule and the fields
//! that were sent become the new one.
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{Context, Edit, ModifiedRule, ModifyRule, RuleFields, RuleSpec};
use crate::error::ApiError;
use crate::ids::SecurityGroupRuleId;
use crate::net::{Cidr, Family};
use crate::records::{Change, PeerOwner, Record, RuleRecord};
use crate::rule::{Direction, Peer, PortMatch};
use crate::state::content::Content;
use crate::state::rules::{check_count, nic_type_of, rule_of};
use crate::state::{Decision, GroupEntry, State};
use crate::text::RuleDescription;

/// What a rule's peer is. It stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerKind {
    Cidr(Family),
    Group,
    PrefixList,
}

/// The kind of the peer that is sent, by the same precedence as for a new rule, and its parameter.
fn sent_peer(direction: Direction, fields: &RuleFields) -> Option<(PeerKind, &'static str)> {
    let (cidr, ipv6_cidr, names) = match direction {
        Direction::Egress => (
            fields.dest_cidr,
            fields.ipv6_dest_cidr,
            ["DestCidrIp", "Ipv6DestCidrIp", "DestGroupId", "DestPrefixListId"],
        ),
        Direction::Ingress => (
            fields.source_cidr,
            fields.ipv6_source_cidr,
            ["SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId", "SourcePrefixListId"],
        ),
    };
    let [cidr_name, ipv6_name, group_name, list_name] = names;
    let sent = [
        cidr.map(|_| (PeerKind::Cidr(Family::V4), cidr_name)),
        ipv6_cidr.map(|_| (PeerKind::Cidr(Family::V6), ipv6_name)),
        fields.peer_group.as_ref().map(|_| (PeerKind::Group, group_name)),
        fields.peer_prefix_list.as_ref().map(|_| (PeerKind::PrefixList, list_name)),
    ];
    sent.into_iter().flatten().next()
}

/// Whether the fields leave the rule what it is: the kind of its peer, the family of its own side,
/// a list or no list of ports, and the network.
fn check_kinds(old: &RuleRecord, fields: &RuleFields, group: &GroupEntry) -> Result<(), ApiError> {
    let refuse = |code, message, place| Err(ApiError::invalid(code, message).at(place));
    let kind = match &old.rule.peer {
        Peer::Cidr(cidr) => PeerKind::Cidr(cidr.family()),
        Peer::Group(_) => PeerKind::Group,
        Peer::PrefixList(_) => PeerKind::PrefixList,
    };
    let (local, ipv6_local, local_names) = match old.rule.direction {
        Direction::Egress => {
            (fields.source_cidr, fields.ipv6_source_cidr, ["SourceCidrIp", "Ipv6SourceCidrIp"])
        }
        Direction::Ingress => {
            (fields.dest_cidr, fields.ipv6_dest_cidr, ["DestCidrIp", "Ipv6DestCidrIp"])
        }
    };
    let [local_name, ipv6_local_name] = local_names;
    let wrong_local = match old.rule.local.map(|local| local.family()) {
        Some(Family::V4) => ipv6_local.map(|_| ipv6_local_name),
        Some(Family::V6) => local.map(|_| local_name),
        None => None,
    };
    let wrong_peer =
        sent_peer(old.rule.direction, fields).filter(|(sent, _)| *sent != kind).map(|sent| sent.1);
    if let Some(place) = wrong_peer.or(wrong_local) {
        let message = "The source or destination type of the rule cannot be modified.";
        return refuse("InvalidOperation.ModifySgRuleEntityType", message, place);
    }
    let place = match (&old.rule.ports, fields.ports, &fields.port_range_list) {
        (PortMatch::List(_), Some(_), _) => Some("PortRange"),
        (PortMatch::Ports(_), None, Some(_)) => Some("PortRangeListId"),
        (PortMatch::List(_) | PortMatch::Ports(_), _, _) => None,
    };
    if let Some(place) = place {
        let message = "A rule with a port range list stays one, and one without stays without.";
        return refuse("InvalidOperation.ModifyPortRangeType", message, place);
    }
    // VPC groups have one network, whatever is sent.
    let other_network = fields.nic_type.is_some_and(|nic_type| nic_type != old.nic_type);
    if group.record.vpc.is_none() && other_network {
        return refuse(
            "InvalidOperation.ModifyNicType",
            "The NicType cannot be modified.",
            "NicType",
        );
    }
    Ok(())
}

/// The fields of one side, by family: those sent, or else what is there.
fn side(sent: (Option<Cidr>, Option<Cidr>), there: Option<Cidr>) -> (Option<Cidr>, Option<Cidr>) {
    match (sent, there) {
        ((None, None), Some(cidr)) if cidr.family() == Family::V4 => (Some(cidr), None),
        ((None, None), there) => (None, there),
        (sent, _) => sent,
    }
}

/// Whether the peer group's owner stays what it was.
fn keeps_owner(old: &RuleRecord, fields: &RuleFields) -> bool {
    let same_group = match (&fields.peer_group, &old.rule.peer) {
        (None, _) => true,
        (Some(sent), Peer::Group(group)) => sent == group,
        (Some(_), Peer::Cidr(_) | Peer::PrefixList(_)) => false,
    };
    same_group && fields.peer_owner_id.is_none() && fields.peer_owner_account.is_none()
}

/// The old rule's fields with those sent in their place.
fn merged(old: &RuleRecord, fields: &RuleFields) -> RuleFields {
    let rule = &old.rule;
    let (peer_cidr, peer_group, peer_prefix_list) = match &rule.peer {
        Peer::Cidr(cidr) => (Some(*cidr), None, None),
        Peer::Group(group) => (None, Some(group.clone()), None),
        Peer::PrefixList(list) => (None, None, Some(list.clone())),
    };
    let (source, dest) = match rule.direction {
        Direction::Egress => (rule.local, peer_cidr),
        Direction::Ingress => (peer_cidr, rule.local),
    };
    let (source_cidr, ipv6_source_cidr) =
        side((fields.source_cidr, fields.ipv6_source_cidr), source);
    let (dest_cidr, ipv6_dest_cidr) = side((fields.dest_cidr, fields.ipv6_dest_cidr), dest);
    let (ports, port_range_list) = match (&fields.ports, &fields.port_range_list, &rule.ports) {
        (None, None, PortMatch::Ports(ports)) => (Some(*ports), None),
        (None, None, PortMatch::List(list)) => (None, Some(list.clone())),
        (ports, list, _) => (*ports, list.clone()),
    };
    let kept_owner = old.peer_owner.as_ref().filter(|_| keeps_owner(old, fields));
    RuleFields {
        protocol: fields.protocol.or(Some(rule.protocol)),
        ports,
        port_range_list,
        source_ports: fields.source_ports.or(Some(rule.source_ports)),
        source_cidr,
        ipv6_source_cidr,
        dest_cidr,
        ipv6_dest_cidr,
        peer_group: fields.peer_group.clone().or(peer_group),
        peer_owner_id: fields.peer_owner_id.or(kept_owner.map(|owner| owner.account)),
        peer_owner_account: fields.peer_owner_account.clone(),
        peer_prefix_list: fields.peer_prefix_list.clone().or(peer_prefix_list),
        policy: fields.policy.or(Some(rule.policy)),
        priority: fields.priority.or(Some(rule.priority)),
        nic_type: Some(old.nic_type),
        description: None,
    }
}

fn edited(old: &RuleRecord, edit: &Edit<RuleDescription>) -> Option<RuleDescription> {
    match edit {
        Edit::Keep => old.description.clone(),
        Edit::Clear => None,
        Edit::Set(text) => Some(text.clone()),
    }
}

/// Nothing to change, or the new record in the old one's place.
fn replaced(old: &RuleRecord, new: RuleRecord) -> Decision {
    let changes =
        if *old == new { Vec::new() } else { vec![Change::Put(Record::Rule(Arc::new(new)))] };
    Decision::done(changes)
}

impl State {
    pub(super) fn modify_rule(
        &self,
        context: &Context<'_>,
        command: &ModifyRule,
    ) -> Result<Decision, ApiError> {
        let group = self.own_group(context, &command.group)?;
        match &command.rule {
            ModifiedRule::Content(spec) => {
                check_count(1, command.direction, core::slice::from_ref(spec))?;
                let nic_type = nic_type_of(group, spec);
                let old =
                    group.rules.alike(&Content::of_spec(spec, nic_type)).ok_or_else(|| {
                        ApiError::not_found(
                            "SecurityGroupRule.NotFound",
                            "The target security group rule does not exist.",
                        )
                    })?;
                let description = edited(old, &command.description);
                Ok(replaced(old, RuleRecord { description, ..RuleRecord::clone(old) }))
            }
            ModifiedRule::Id(id, fields) => {
                let mine = |old: &&Arc<RuleRecord>| old.rule.direction == command.direction;
                let old = group.rules.get(id).filter(mine).ok_or_else(|| no_such_rule(id))?;
                self.modify_rule_by_id(context, group, old, fields, &command.description)
            }
        }
    }

    fn modify_rule_by_id(
        &self,
        context: &Context<'_>,
        group: &GroupEntry,
        old: &RuleRecord,
        fields: &RuleFields,
        description: &Edit<RuleDescription>,
    ) -> Result<Decision, ApiError> {
        check_kinds(old, fields, group)?;
        let spec = RuleSpec::new(old.rule.direction, merged(old, fields))?;
        self.check_list_kind(old, &spec)?;
        let draft = self.draft(context, group, &spec)?;
        let alike = group.rules.alike(&draft.content());
        if alike.is_some_and(|other| other.rule.id != old.rule.id) {
            return Err(ApiError::invalid(
                "InvalidOperation.RuleDuplicate",
                "The modified rule would be the same as another one.",
            ));
        }
        let more = self.places(&spec.peer, &spec.ports);
        let fewer = self.places(&old.rule.peer, &old.rule.ports);
        self.check_rule_quota(context, group, more, fewer)?;
        let lists = core::iter::once((&spec.peer, &spec.ports));
        self.check_associations(context, &old.group, lists)?;
        let peer_owner: Option<Box<PeerOwner>> = match keeps_owner(old, fields) {
            // As it was called then.
            true => old.peer_owner.clone(),
            false => draft.peer_owner.clone(),
        };
        let new = RuleRecord {
            group: old.group.clone(),
            rule: Arc::new(rule_of(&spec, old.rule.id.clone())),
            nic_type: old.nic_type,
            peer_owner,
            description: edited(old, description),
            created_ms: old.created_ms,
        };
        Ok(replaced(old, new))
    }

    /// One prefix list may take another's place if it is of the same family.
    fn check_list_kind(&self, old: &RuleRecord, spec: &RuleSpec) -> Result<(), ApiError> {
        let family = |peer: &Peer| match peer {
            Peer::PrefixList(list) => self.prefix_lists.get(list).map(|list| list.scope),
            Peer::Cidr(_) | Peer::Group(_) => None,
        };
        match (family(&old.rule.peer), family(&spec.peer)) {
            (Some(one), Some(other)) if one != other => Err(ApiError::invalid(
                "InvalidOperation.ModifySgRuleEntityType",
                "The address family of the prefix list cannot be modified.",
            )
            .at(match spec.direction {
                Direction::Egress => "DestPrefixListId",
                Direction::Ingress => "SourcePrefixListId",
            })),
            _ => Ok(()),
        }
    }
}

fn no_such_rule(id: &SecurityGroupRuleId) -> ApiError {
    let message = alloc::format!("The specified SecurityGroupRuleId `{id}` does not exist.");
    ApiError::not_found("InvalidSecurityGroupRuleId.NotFound", message)
        .at("SecurityGroupRuleId")
        .help("Rules of the other direction are changed by the other action.")
}
