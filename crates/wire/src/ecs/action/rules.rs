//! Authorizing, modifying and revoking rules, flat or as `Permissions`. The two directions mirror
//! each other: the peer is the destination of an egress rule and the source of an ingress rule.
use portcullis_core::command::{
    Authorize, Command, ModifiedRule, ModifyRule, Revoke, RevokedRules, RuleFields, RuleSpec,
};
use portcullis_core::ids::AccountId;
use portcullis_core::net::Protocol;
use portcullis_core::rule::{Direction, Priority};

use super::groups::nic_type;
use super::shared::{REGION, SECURITY_GROUP_ID, row, text};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::limits::LIST_INDEX_MAX;
use crate::ecs::refusal::{Refusal, code};

/// Declares the rows of one direction's rule fields, flat and below `Permissions.N`.
macro_rules! rule_rows {
    ($prefix:literal, $own:ident) => {
        &[
            text(
                concat!($prefix, "IpProtocol"),
                code::PROTOCOL,
                "ALL, TCP, UDP, ICMP, ICMPv6, GRE or a number from 0 to 255",
                "The protocol, in any case. Required unless a rule is named by its id.",
            ),
            text(
                concat!($prefix, "PortRange"),
                code::PORT_RANGE,
                "a port range: `first/last` from 1 to 65535, or `-1/-1`",
                "Destination ports: `first/last` with TCP and UDP, `-1/-1` with all others. \
                 Required unless `PortRangeListId` is sent or a rule is named by its id.",
            ),
            text(
                concat!($prefix, "PortRangeListId"),
                code::PORT_RANGE_LIST_NOT_FOUND,
                "a port range list's id: 1 to 100 letters, digits, `-`, `_`, `.`",
                "Destination ports by list; not looked at beside `PortRange`.",
            ),
            text(
                concat!($prefix, "SourcePortRange"),
                code::SOURCE_PORT_RANGE,
                "a port range: `first/last` from 1 to 65535, or `-1/-1`",
                "Source ports; all by default.",
            ),
            text(
                concat!($prefix, "SourceCidrIp"),
                code::SOURCE_CIDR,
                "an IPv4 address or CIDR",
                "Source addresses: the peer of an ingress rule, the group's own side of an egress \
                 rule.",
            ),
            text(
                concat!($prefix, "Ipv6SourceCidrIp"),
                code::IPV6_SOURCE_CIDR,
                "an IPv6 address or CIDR",
                "IPv6 source addresses; not together with `SourceCidrIp`.",
            ),
            text(
                concat!($prefix, "DestCidrIp"),
                code::DEST_CIDR,
                "an IPv4 address or CIDR",
                "Destination addresses: the peer of an egress rule, the group's own side of an \
                 ingress rule.",
            ),
            text(
                concat!($prefix, "Ipv6DestCidrIp"),
                code::IPV6_DEST_CIDR,
                "an IPv6 address or CIDR",
                "IPv6 destination addresses; not together with `DestCidrIp`.",
            ),
            text(
                concat!($prefix, "Policy"),
                code::POLICY,
                "accept or drop",
                "`accept` (default) or `drop`, in any case.",
            ),
            text(
                concat!($prefix, "Priority"),
                code::PRIORITY,
                "a whole number",
                "1 (default) to 100; the lower number is asked first.",
            ),
            text(
                concat!($prefix, "NicType"),
                code::NIC_TYPE,
                "internet or intranet",
                "The network of a classic group's rule; VPC groups are always `intranet`.",
            ),
            text(
                concat!($prefix, "Description"),
                code::GROUP_DESCRIPTION,
                "1 to 512 printable characters",
                "A description; no part of what a rule is.",
            ),
            $own::group(concat!($prefix, peer_name!($own, "GroupId"))),
            $own::owner_id(concat!($prefix, peer_name!($own, "GroupOwnerId"))),
            $own::owner_account(concat!($prefix, peer_name!($own, "GroupOwnerAccount"))),
            $own::prefix_list(concat!($prefix, peer_name!($own, "PrefixListId"))),
        ]
    };
}

macro_rules! peer_name {
    (egress, $name:literal) => {
        concat!("Dest", $name)
    };
    (ingress, $name:literal) => {
        concat!("Source", $name)
    };
}

const LIST_LIMITS: &str = "a prefix list's id: 1 to 100 letters, digits, `-`, `_`, `.`";
const GROUP_LIMITS: &str = "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`";
const OWNER_LIMITS: &str = "an account's number";
const GROUP_DOC: &str = "The peer: a group of the same VPC. Not looked at beside a peer CIDR.";
const OWNER_ID_DOC: &str =
    "The account of the peer group, by number; goes ahead of the one by name.";
const OWNER_ACCOUNT_DOC: &str = "The account of the peer group, by name; the caller's by default.";
const LIST_DOC: &str = "The peer: a prefix list. Not looked at beside a peer CIDR or group.";
const ACCOUNT_LIMITS: &str = "an account's name";

/// The peer's rows of an egress rule.
mod egress {
    use super::*;

    pub(super) const fn group(name: &'static str) -> Parameter {
        text(name, code::DEST_GROUP_NOT_FOUND, GROUP_LIMITS, GROUP_DOC)
    }
    pub(super) const fn owner_id(name: &'static str) -> Parameter {
        row(name, Kind::Integer, code::DEST_GROUP_OWNER, OWNER_LIMITS, OWNER_ID_DOC)
    }
    pub(super) const fn owner_account(name: &'static str) -> Parameter {
        text(name, code::DEST_GROUP_OWNER, ACCOUNT_LIMITS, OWNER_ACCOUNT_DOC)
    }
    pub(super) const fn prefix_list(name: &'static str) -> Parameter {
        text(name, code::PREFIX_LIST_NOT_FOUND, LIST_LIMITS, LIST_DOC)
    }
}

/// The peer's rows of an ingress rule.
mod ingress {
    use super::*;

    pub(super) const fn group(name: &'static str) -> Parameter {
        text(name, code::SOURCE_GROUP_NOT_FOUND, GROUP_LIMITS, GROUP_DOC)
    }
    pub(super) const fn owner_id(name: &'static str) -> Parameter {
        row(name, Kind::Integer, code::SOURCE_GROUP_OWNER, OWNER_LIMITS, OWNER_ID_DOC)
    }
    pub(super) const fn owner_account(name: &'static str) -> Parameter {
        text(name, code::SOURCE_GROUP_OWNER, ACCOUNT_LIMITS, OWNER_ACCOUNT_DOC)
    }
    pub(super) const fn prefix_list(name: &'static str) -> Parameter {
        text(name, code::PREFIX_LIST_NOT_FOUND, LIST_LIMITS, LIST_DOC)
    }
}

const PERMISSIONS: Parameter = row(
    "Permissions.N",
    Kind::Structures,
    code::PERMISSIONS,
    "a list of rules",
    "Rules, 100 at most, all or none: `Permissions.1.IpProtocol` and so on, or the list as one \
     JSON text. Not together with the flat fields.",
);

const GROUP: &[Parameter] = &[REGION, SECURITY_GROUP_ID.required(), PERMISSIONS];

const REVOKED: &[Parameter] = &[row(
    "SecurityGroupRuleId.N",
    Kind::List,
    code::RULE_ID,
    RULE_LIMITS,
    "Rules by id, 100 at most; each must exist. Not together with rule fields.",
)];

const RULE_LIMITS: &str = "a rule's id: 1 to 100 letters, digits, `-`, `_`, `.`";

const MODIFIED: &[Parameter] = &[
    REGION,
    SECURITY_GROUP_ID.required(),
    text(
        "SecurityGroupRuleId",
        code::RULE_ID,
        RULE_LIMITS,
        "The rule: fields that are sent take the place of its own; the kind of its peer, the \
         family of its addresses, its network and whether it names a port range list stay. Without \
         it the fields name the rule as for a revocation, and only `Description` changes.",
    ),
];

const EGRESS_FLAT: &[Parameter] = rule_rows!("", egress);
const EGRESS_LISTED: &[Parameter] = rule_rows!("Permissions.N.", egress);
const INGRESS_FLAT: &[Parameter] = rule_rows!("", ingress);
const INGRESS_LISTED: &[Parameter] = rule_rows!("Permissions.N.", ingress);

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "AuthorizeSecurityGroup",
        products: &[Product::Ecs],
        summary: "Adds ingress rules to a group; a rule that is there already is no error.",
        write: true,
        parameters: &[GROUP, INGRESS_FLAT, INGRESS_LISTED],
        decode: |arguments| authorize(arguments, Direction::Ingress),
    },
    Action {
        name: "AuthorizeSecurityGroupEgress",
        products: &[Product::Ecs],
        summary: "Adds egress rules to a group; a rule that is there already is no error.",
        write: true,
        parameters: &[GROUP, EGRESS_FLAT, EGRESS_LISTED],
        decode: |arguments| authorize(arguments, Direction::Egress),
    },
    Action {
        name: "ModifySecurityGroupRule",
        products: &[Product::Ecs],
        summary: "Changes an ingress rule in place.",
        write: true,
        parameters: &[MODIFIED, INGRESS_FLAT],
        decode: |arguments| modify(arguments, Direction::Ingress),
    },
    Action {
        name: "ModifySecurityGroupEgressRule",
        products: &[Product::Ecs],
        summary: "Changes an egress rule in place.",
        write: true,
        parameters: &[MODIFIED, EGRESS_FLAT],
        decode: |arguments| modify(arguments, Direction::Egress),
    },
    Action {
        name: "RevokeSecurityGroup",
        products: &[Product::Ecs],
        summary: "Removes ingress rules by content or id; by content, one not there is no error.",
        write: true,
        parameters: &[GROUP, REVOKED, INGRESS_FLAT, INGRESS_LISTED],
        decode: |arguments| revoke(arguments, Direction::Ingress),
    },
    Action {
        name: "RevokeSecurityGroupEgress",
        products: &[Product::Ecs],
        summary: "Removes egress rules by content or id; by content, one not there is no error.",
        write: true,
        parameters: &[GROUP, REVOKED, EGRESS_FLAT, EGRESS_LISTED],
        decode: |arguments| revoke(arguments, Direction::Egress),
    },
];

fn authorize(arguments: &Arguments<'_>, direction: Direction) -> Result<Command, Refusal> {
    let group = arguments.required("SecurityGroupId")?;
    let rules = match listed(arguments, direction)? {
        Some(rules) => rules,
        None => vec![spec(arguments, direction)?],
    };
    Ok(Command::Authorize(Authorize { group, direction, rules }))
}

fn revoke(arguments: &Arguments<'_>, direction: Direction) -> Result<Command, Refusal> {
    let group = arguments.required("SecurityGroupId")?;
    let ids = arguments.list("SecurityGroupRuleId.N", LIST_INDEX_MAX)?;
    let listed = listed(arguments, direction)?;
    let flat = flat_field(arguments, direction);
    let rules = match (ids.is_empty(), listed, flat) {
        (false, None, None) => RevokedRules::Ids(ids),
        (false, _, _) => {
            let message = "`SecurityGroupRuleId` and rule fields stand together";
            let help = "Name the rules by id or by content.";
            return Err(code::RULE_ID.refuse(message).with_help(help).at("SecurityGroupRuleId.N"));
        }
        (true, Some(rules), _) => RevokedRules::Content(rules),
        (true, None, Some(_)) => RevokedRules::Content(vec![spec(arguments, direction)?]),
        (true, None, None) => {
            let message = "No rule is named: `SecurityGroupRuleId`, `Permissions` or rule fields.";
            return Err(code::MISSING_PARAMETER.refuse(message).at("SecurityGroupRuleId.N"));
        }
    };
    Ok(Command::Revoke(Revoke { group, direction, rules }))
}

fn modify(arguments: &Arguments<'_>, direction: Direction) -> Result<Command, Refusal> {
    let group = arguments.required("SecurityGroupId")?;
    let description = arguments.edit("Description")?;
    let rule = match arguments.parse("SecurityGroupRuleId")? {
        Some(id) => ModifiedRule::Id(id, Box::new(fields(arguments, direction)?)),
        None => ModifiedRule::Content(spec(arguments, direction)?),
    };
    Ok(Command::ModifyRule(ModifyRule { group, direction, rule, description }))
}

/// The rules of `Permissions.N`; nothing where there are none.
fn listed(
    arguments: &Arguments<'_>,
    direction: Direction,
) -> Result<Option<Vec<RuleSpec>>, Refusal> {
    let items = arguments.structures("Permissions.N", LIST_INDEX_MAX)?;
    if items.is_empty() {
        return Ok(None);
    }
    if let Some(name) = flat_field(arguments, direction) {
        let message = format!("`Permissions` and the flat field `{name}` stand together");
        return Err(code::PERMISSIONS.refuse(message).with_help("Use one form.").at(name));
    }
    let rules = items.iter().map(|(number, parameters)| {
        spec(&arguments.inner("Permissions.N", *number, parameters), direction)
    });
    rules.collect::<Result<_, _>>().map(Some)
}

/// The first rule field that stands flat in the call.
fn flat_field(arguments: &Arguments<'_>, direction: Direction) -> Option<&'static str> {
    let rows = match direction {
        Direction::Egress => EGRESS_FLAT,
        Direction::Ingress => INGRESS_FLAT,
    };
    rows.iter().map(|row| row.name).find(|name| arguments.parameters().get(name).is_some())
}

/// The names of the fields that hold the peer.
struct PeerNames {
    cidr: &'static str,
    ipv6_cidr: &'static str,
    group: &'static str,
    owner_id: &'static str,
    owner_account: &'static str,
    prefix_list: &'static str,
}

const DEST: PeerNames = PeerNames {
    cidr: "DestCidrIp",
    ipv6_cidr: "Ipv6DestCidrIp",
    group: "DestGroupId",
    owner_id: "DestGroupOwnerId",
    owner_account: "DestGroupOwnerAccount",
    prefix_list: "DestPrefixListId",
};

const SOURCE: PeerNames = PeerNames {
    cidr: "SourceCidrIp",
    ipv6_cidr: "Ipv6SourceCidrIp",
    group: "SourceGroupId",
    owner_id: "SourceGroupOwnerId",
    owner_account: "SourceGroupOwnerAccount",
    prefix_list: "SourcePrefixListId",
};

/// One rule from its fields.
fn spec(arguments: &Arguments<'_>, direction: Direction) -> Result<RuleSpec, Refusal> {
    arguments.required::<Protocol>("IpProtocol")?;
    RuleSpec::new(direction, fields(arguments, direction)?).map_err(|error| {
        let mut refusal = Refusal::from(error);
        refusal.place = arguments.place(&refusal.place);
        refusal
    })
}

/// The fields of one rule. One that another overrules is not even read.
fn fields(arguments: &Arguments<'_>, direction: Direction) -> Result<RuleFields, Refusal> {
    let names = match direction {
        Direction::Egress => DEST,
        Direction::Ingress => SOURCE,
    };
    let protocol = arguments.parse("IpProtocol")?;
    let mut fields = RuleFields { protocol, ..RuleFields::default() };
    fields.ports = arguments.parse("PortRange")?;
    if fields.ports.is_none() {
        fields.port_range_list = arguments.parse("PortRangeListId")?;
    }
    fields.source_ports = arguments.parse("SourcePortRange")?;
    fields.source_cidr = arguments.parse("SourceCidrIp")?;
    fields.ipv6_source_cidr = arguments.parse("Ipv6SourceCidrIp")?;
    fields.dest_cidr = arguments.parse("DestCidrIp")?;
    fields.ipv6_dest_cidr = arguments.parse("Ipv6DestCidrIp")?;
    let by_cidr = [names.cidr, names.ipv6_cidr].iter().any(|name| arguments.text(name).is_some());
    if !by_cidr {
        fields.peer_group = arguments.parse(names.group)?;
        if fields.peer_group.is_some() {
            let owner = arguments.integer(names.owner_id, 0..=u64::MAX)?;
            fields.peer_owner_id = owner.map(AccountId);
            fields.peer_owner_account = arguments.text(names.owner_account).map(str::to_owned);
        } else {
            fields.peer_prefix_list = arguments.parse(names.prefix_list)?;
        }
    }
    fields.policy = arguments.parse("Policy")?;
    fields.priority = priority(arguments)?;
    fields.nic_type = arguments.convert("NicType", nic_type)?;
    fields.description = arguments.parse("Description")?;
    Ok(fields)
}

/// The text, if it is digits behind at most a minus sign.
fn numeral(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

/// A text that is no number and a number outside the range have codes of their own.
fn priority(arguments: &Arguments<'_>) -> Result<Option<Priority>, Refusal> {
    let Some(number) = arguments.convert("Priority", |text| numeral(text)?.parse::<i64>().ok())?
    else {
        return Ok(None);
    };
    let priority = u8::try_from(number).ok().and_then(Priority::new).ok_or_else(|| {
        let message = format!("the priority `{number}` is not from 1 to 100");
        code::PRIORITY_NOT_SUPPORTED.refuse(message).at(arguments.place("Priority"))
    })?;
    Ok(Some(priority))
}
