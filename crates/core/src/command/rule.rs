//! A rule as a request describes it: the fields each on their own, and what they say together; and
//! what is asked of rules.
//!
//! [`RuleSpec::new`] is the one place that knows which fields may stand together and which goes
//! ahead of which. What depends on the group (its network, its type) or on the peer's existence is
//! left to the state.
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::Edit;
use crate::error::ApiError;
use crate::ids::{AccountId, PortRangeListId, PrefixListId, SecurityGroupId, SecurityGroupRuleId};
use crate::net::{Cidr, Family, Ports, Protocol};
use crate::records::{NicType, RuleRecord};
use crate::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use crate::text::{ListName, Name, RuleDescription};

/// The fields of one rule, each parsed alone; absent ones are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleFields {
    /// `IpProtocol`.
    pub protocol: Option<Protocol>,
    /// `PortRange`.
    pub ports: Option<Ports>,
    /// `PortRangeListId`; ignored beside `PortRange`.
    pub port_range_list: Option<PortRangeListId>,
    /// `SourcePortRange`.
    pub source_ports: Option<Ports>,
    /// `SourceCidrIp`.
    pub source_cidr: Option<Cidr>,
    /// `Ipv6SourceCidrIp`.
    pub ipv6_source_cidr: Option<Cidr>,
    /// `DestCidrIp`.
    pub dest_cidr: Option<Cidr>,
    /// `Ipv6DestCidrIp`.
    pub ipv6_dest_cidr: Option<Cidr>,
    /// `DestGroupId` of an egress rule, `SourceGroupId` of an ingress rule; ignored beside a peer
    /// CIDR.
    pub peer_group: Option<SecurityGroupId>,
    /// `DestGroupOwnerId` or `SourceGroupOwnerId`; ignored without a peer group.
    pub peer_owner_id: Option<AccountId>,
    /// `DestGroupOwnerAccount` or `SourceGroupOwnerAccount`; ignored without a peer group.
    pub peer_owner_account: Option<String>,
    /// `DestPrefixListId` or `SourcePrefixListId`; ignored beside a peer CIDR or a peer group.
    pub peer_prefix_list: Option<PrefixListId>,
    /// `Policy`.
    pub policy: Option<Policy>,
    /// `Priority`.
    pub priority: Option<Priority>,
    /// `NicType`.
    pub nic_type: Option<NicType>,
    /// `Description`.
    pub description: Option<RuleDescription>,
}

impl RuleFields {
    /// Only a protocol, all else absent.
    pub fn of_protocol(protocol: Protocol) -> Self {
        Self { protocol: Some(protocol), ..Self::default() }
    }
}

/// A rule whose fields fit together: one peer, the defaults filled in, what is overruled left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    pub(crate) direction: Direction,
    pub(crate) protocol: Protocol,
    pub(crate) ports: PortMatch,
    pub(crate) source_ports: Ports,
    pub(crate) peer: Peer,
    /// Both `None` unless the peer is a group.
    pub(crate) peer_owner_id: Option<AccountId>,
    pub(crate) peer_owner_account: Option<String>,
    pub(crate) local: Option<Cidr>,
    pub(crate) policy: Policy,
    pub(crate) priority: Priority,
    pub(crate) nic_type: Option<NicType>,
    pub(crate) description: Option<RuleDescription>,
}

/// `Policy` where none is sent.
const POLICY_DEFAULT: Policy = Policy::Accept;

impl RuleSpec {
    /// The rule that `fields` describe in this direction.
    pub fn new(direction: Direction, fields: RuleFields) -> Result<Self, ApiError> {
        let protocol = fields.protocol.ok_or_else(|| ApiError::missing("IpProtocol"))?;
        let (source, dest) = (
            one_family(&SOURCE, fields.source_cidr, fields.ipv6_source_cidr)?,
            one_family(&DEST, fields.dest_cidr, fields.ipv6_dest_cidr)?,
        );
        let (peer_cidr, local) = match direction {
            Direction::Egress => (dest, source),
            Direction::Ingress => (source, dest),
        };
        let ports = ports_of(protocol, &fields)?;
        let source_ports = fields.source_ports.unwrap_or(Ports::Any);
        if !protocol.has_ports() && source_ports != Ports::Any {
            return Err(ports_denied("SourcePortRange"));
        }
        let peer = peer_of(direction, peer_cidr, &fields)?;
        families_agree(protocol, peer_cidr, local)?;
        let is_group = matches!(peer, Peer::Group(_));
        Ok(Self {
            direction,
            protocol,
            ports,
            source_ports,
            peer,
            peer_owner_id: fields.peer_owner_id.filter(|_| is_group),
            peer_owner_account: fields.peer_owner_account.filter(|_| is_group),
            local,
            policy: fields.policy.unwrap_or(POLICY_DEFAULT),
            priority: fields.priority.unwrap_or(Priority::DEFAULT),
            nic_type: fields.nic_type,
            description: fields.description,
        })
    }

    /// Whether the rule says the same; ids are not looked at.
    pub fn describes(&self, rule: &Rule) -> bool {
        (self.protocol, &self.ports, self.source_ports, &self.peer)
            == (rule.protocol, &rule.ports, rule.source_ports, &rule.peer)
            && (self.direction, self.local, self.policy, self.priority)
                == (rule.direction, rule.local, rule.policy, rule.priority)
    }
}

/// The names of the fields of one side.
struct Side {
    cidr: &'static str,
    cidr_malformed: &'static str,
    ipv6_cidr: &'static str,
    ipv6_malformed: &'static str,
    both_families: &'static str,
}

const SOURCE: Side = Side {
    cidr: "SourceCidrIp",
    cidr_malformed: "InvalidSourceCidrIp.Malformed",
    ipv6_cidr: "Ipv6SourceCidrIp",
    ipv6_malformed: "InvalidParam.Ipv6SourceCidrIp",
    both_families: "InvalidParam.SourceIp",
};

const DEST: Side = Side {
    cidr: "DestCidrIp",
    cidr_malformed: "InvalidDestCidrIp.Malformed",
    ipv6_cidr: "Ipv6DestCidrIp",
    ipv6_malformed: "InvalidParam.Ipv6DestCidrIp",
    both_families: "InvalidParam.DestIp",
};

fn one_family(
    side: &Side,
    cidr: Option<Cidr>,
    ipv6_cidr: Option<Cidr>,
) -> Result<Option<Cidr>, ApiError> {
    if let Some(cidr) = cidr
        && cidr.family() != Family::V4
    {
        let message = alloc::format!("The specified {} is not an IPv4 address or CIDR.", side.cidr);
        let help = alloc::format!("Send IPv6 addresses as {}.", side.ipv6_cidr);
        return Err(ApiError::invalid(side.cidr_malformed, message).at(side.cidr).help(help));
    }
    if let Some(cidr) = ipv6_cidr
        && cidr.family() != Family::V6
    {
        let message =
            alloc::format!("The specified {} is not an IPv6 address or CIDR.", side.ipv6_cidr);
        let help = alloc::format!("Send IPv4 addresses as {}.", side.cidr);
        return Err(ApiError::invalid(side.ipv6_malformed, message).at(side.ipv6_cidr).help(help));
    }
    match (cidr, ipv6_cidr) {
        (Some(_), Some(_)) => {
            let message = alloc::format!(
                "{} and {} cannot be specified together.",
                side.cidr,
                side.ipv6_cidr
            );
            Err(ApiError::invalid(side.both_families, message)
                .at(side.ipv6_cidr)
                .help("Make one rule per address family."))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn ports_denied(place: &'static str) -> ApiError {
    ApiError::invalid(
        "OperationDenied",
        "The specified IpProtocol does not exist or IpProtocol and PortRange do not match.",
    )
    .at(place)
    .help("Only TCP and UDP have ports; send `-1/-1` with any other protocol.")
}

fn ports_of(protocol: Protocol, fields: &RuleFields) -> Result<PortMatch, ApiError> {
    let has_ports = protocol.has_ports();
    match (fields.ports, &fields.port_range_list) {
        (Some(Ports::Any), _) if has_ports => {
            Err(ApiError::invalid("InvalidParam.PortRange", "The specified PortRange is invalid.")
                .at("PortRange")
                .help("With TCP and UDP send `first/last`; `1/65535` is every port."))
        }
        (Some(Ports::Range { .. }), _) if !has_ports => Err(ports_denied("PortRange")),
        (Some(ports), _) => Ok(PortMatch::Ports(ports)),
        (None, Some(_)) if !has_ports => Err(ApiError::invalid(
            "InvalidParam.ProtocolNotSupportPortRangeList",
            "The specified protocol does not support the port range list.",
        )
        .at("PortRangeListId")
        .help("Only TCP and UDP have ports; send `-1/-1` with any other protocol.")),
        (None, Some(list)) => Ok(PortMatch::List(list.clone())),
        (None, None) => Err(ApiError::missing("PortRange")),
    }
}

fn peer_of(
    direction: Direction,
    cidr: Option<Cidr>,
    fields: &RuleFields,
) -> Result<Peer, ApiError> {
    if let Some(cidr) = cidr {
        return Ok(Peer::Cidr(cidr));
    }
    if let Some(group) = &fields.peer_group {
        return Ok(Peer::Group(group.clone()));
    }
    if let Some(list) = &fields.peer_prefix_list {
        return Ok(Peer::PrefixList(list.clone()));
    }
    let (code, names, place) = match direction {
        Direction::Egress => (
            "MissingParameter.Dest",
            "DestCidrIp, Ipv6DestCidrIp, DestGroupId and DestPrefixListId",
            "DestCidrIp",
        ),
        Direction::Ingress => (
            "MissingParameter.Source",
            "SourceCidrIp, Ipv6SourceCidrIp, SourceGroupId and SourcePrefixListId",
            "SourceCidrIp",
        ),
    };
    let message = alloc::format!("One of {names} must be specified.");
    Err(ApiError::invalid(code, message).at(place))
}

/// ICMP is of IPv4, ICMPv6 of IPv6, and a packet has one family.
fn families_agree(
    protocol: Protocol,
    peer: Option<Cidr>,
    local: Option<Cidr>,
) -> Result<(), ApiError> {
    let required = match protocol {
        Protocol::ICMP => Some(Family::V4),
        Protocol::ICMPV6 => Some(Family::V6),
        Protocol::All | Protocol::Number(_) => peer.or(local).map(|c| c.family()),
    };
    let disagrees = |family| [peer, local].into_iter().flatten().any(|c| c.family() != family);
    match required {
        Some(Family::V4) if disagrees(Family::V4) => Err(ApiError::invalid(
            "InvalidParam.Ipv4ProtocolConflictWithIpv6Address",
            "An IPv4 protocol or address cannot be combined with an IPv6 address.",
        )
        .at("IpProtocol")),
        Some(Family::V6) if disagrees(Family::V6) => Err(ApiError::invalid(
            "InvalidParam.Ipv6ProtocolConflictWithIpv4Address",
            "An IPv6 protocol or address cannot be combined with an IPv4 address.",
        )
        .at("IpProtocol")),
        _ => same_sides(peer, local),
    }
}

fn same_sides(peer: Option<Cidr>, local: Option<Cidr>) -> Result<(), ApiError> {
    match (peer, local) {
        (Some(peer), Some(local)) if peer.prefix() == local.prefix() => Err(ApiError::invalid(
            "InvalidParamter.Conflict",
            "The specified source address and destination address cannot be the same.",
        )
        .at("SourceCidrIp")),
        _ => Ok(()),
    }
}

/// AuthorizeSecurityGroup and AuthorizeSecurityGroupEgress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorize {
    /// `SecurityGroupId`.
    pub group: SecurityGroupId,
    /// Which of the two actions; the direction of every rule.
    pub direction: Direction,
    /// The rules to add: the flat fields are a list of one.
    pub rules: Vec<RuleSpec>,
}

/// RevokeSecurityGroup and RevokeSecurityGroupEgress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// `SecurityGroupId`.
    pub group: SecurityGroupId,
    /// Which of the two actions.
    pub direction: Direction,
    /// Which rules.
    pub rules: RevokedRules,
}

/// How a request names the rules that it revokes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokedRules {
    /// Rules of this content; one that is not there is no error.
    Content(Vec<RuleSpec>),
    /// `SecurityGroupRuleId.N`; each must be there.
    Ids(Vec<SecurityGroupRuleId>),
}

/// ModifySecurityGroupRule and ModifySecurityGroupEgressRule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyRule {
    /// `SecurityGroupId`.
    pub group: SecurityGroupId,
    /// Which of the two actions.
    pub direction: Direction,
    /// Which rule, and what of it changes beside the description.
    pub rule: ModifiedRule,
    /// `Description`.
    pub description: Edit<RuleDescription>,
}

/// How a request names the rule that it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModifiedRule {
    /// The rule of this content, of which only the description changes.
    Content(RuleSpec),
    /// `SecurityGroupRuleId`; the fields that are there take the place of the rule's own.
    Id(SecurityGroupRuleId, Box<RuleFields>),
}

/// One rule, with what its peer is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// The rule.
    pub record: Arc<RuleRecord>,
    /// `SourceGroupName` or `DestGroupName`: of a peer group that the caller may see.
    pub peer_group_name: Option<Name>,
    /// `SourcePrefixListName` or `DestPrefixListName`.
    pub prefix_list_name: Option<ListName>,
    /// `PortRangeListName`.
    pub port_range_list_name: Option<ListName>,
}
