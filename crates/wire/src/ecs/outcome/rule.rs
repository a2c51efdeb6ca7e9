//! Fields of rules.
use portcullis_core::command::RuleRow;
use portcullis_core::net::{Cidr, Family, Ports};
use portcullis_core::records::RuleRecord;
use portcullis_core::rule::{Direction, Peer, PortMatch};

use super::time;
use crate::ecs::answer::{Answer, Fields};

/// What a rule says of one of its sides.
#[derive(Default)]
struct Side {
    cidr: String,
    ipv6_cidr: String,
    group: String,
    group_name: String,
    owner: String,
    prefix_list: String,
    prefix_list_name: String,
}

impl Side {
    fn put_cidr(&mut self, cidr: Cidr) {
        match cidr.family() {
            Family::V4 => self.cidr = cidr.to_string(),
            Family::V6 => self.ipv6_cidr = cidr.to_string(),
        }
    }

    fn peer(row: &RuleRow) -> Self {
        let mut side = Self::default();
        match &row.record.rule.peer {
            Peer::Cidr(cidr) => side.put_cidr(*cidr),
            Peer::Group(group) => {
                side.group = group.to_string();
                side.group_name =
                    row.peer_group_name.as_ref().map(ToString::to_string).unwrap_or_default();
                side.owner = owner(&row.record);
            }
            Peer::PrefixList(list) => {
                side.prefix_list = list.to_string();
                side.prefix_list_name =
                    row.prefix_list_name.as_ref().map(ToString::to_string).unwrap_or_default();
            }
        }
        side
    }
}

/// Empty for an own group, else the account as the request called it, else its number.
fn owner(record: &RuleRecord) -> String {
    match &record.peer_owner {
        None => String::new(),
        Some(owner) => owner.text.clone().unwrap_or_else(|| owner.account.to_string()),
    }
}

/// A rule; every key is there, with an empty text where there is nothing to say.
pub(super) fn rule(row: &RuleRow) -> Answer {
    let record = &row.record;
    let rule = &record.rule;
    let peer = Side::peer(row);
    let mut local = Side::default();
    if let Some(cidr) = rule.local {
        local.put_cidr(cidr);
    }
    let (source, dest) = match rule.direction {
        Direction::Egress => (local, peer),
        Direction::Ingress => (peer, local),
    };
    let (ports, port_list) = match &rule.ports {
        PortMatch::Ports(ports) => (ports.to_string(), String::new()),
        PortMatch::List(list) => (String::new(), list.to_string()),
    };
    let source_ports = match rule.source_ports {
        Ports::Any => String::new(),
        ports @ Ports::Range { .. } => ports.to_string(),
    };
    Fields::new()
        .text("SecurityGroupRuleId", &rule.id)
        .text("Direction", rule.direction.name())
        .text("IpProtocol", rule.protocol)
        .text("PortRange", ports)
        .text("PortRangeListId", port_list)
        .text_or_empty("PortRangeListName", row.port_range_list_name.as_ref())
        .text("SourcePortRange", source_ports)
        .text("Policy", rule.policy.name())
        .text("Priority", rule.priority)
        .text("NicType", record.nic_type.name())
        .text("SourceCidrIp", source.cidr)
        .text("Ipv6SourceCidrIp", source.ipv6_cidr)
        .text("SourceGroupId", source.group)
        .text("SourceGroupName", source.group_name)
        .text("SourceGroupOwnerAccount", source.owner)
        .text("SourcePrefixListId", source.prefix_list)
        .text("SourcePrefixListName", source.prefix_list_name)
        .text("DestCidrIp", dest.cidr)
        .text("Ipv6DestCidrIp", dest.ipv6_cidr)
        .text("DestGroupId", dest.group)
        .text("DestGroupName", dest.group_name)
        .text("DestGroupOwnerAccount", dest.owner)
        .text("DestPrefixListId", dest.prefix_list)
        .text("DestPrefixListName", dest.prefix_list_name)
        .text_or_empty("Description", record.description.as_ref())
        .text("CreateTime", time::format(record.created_ms))
        .into()
}
