//! The fields of each action's answer: what the records hold, in the names, types and casing that
//! clients of the public API compare exactly.
use std::net::Ipv4Addr;

use portcullis_core::command::{
    Command, NetworkInterfaceRow, Outcome, Page, Paging, RuleRow, SecurityGroupAttribute,
    SecurityGroupRow, VSwitchRow, VpcRow, Written,
};
use portcullis_core::ids::RegionId;
use portcullis_core::net::{Cidr, Family, Ports};
use portcullis_core::records::{Binding, InterfaceRecord, RuleRecord};
use portcullis_core::rule::{Direction, Peer, PortMatch};
use portcullis_core::settings::Region;
use portcullis_core::text::Tags;
use portcullis_core::world::{GroupType, InnerAccess};

use super::answer::{Answer, Fields};
use super::decode::Decoded;
use super::render::Presentation;
use super::time;

/// `fields`, and those of the outcome.
pub(super) fn fields(
    fields: Fields,
    presentation: &Presentation,
    decoded: &Decoded,
    outcome: &Outcome,
) -> Fields {
    let paging = paging(&decoded.command);
    match outcome {
        Outcome::Written(written) => self::written(fields, written),
        Outcome::Regions(regions) => {
            let rows = regions.iter().map(|region| self::region(presentation, region));
            fields.list("Regions", "Region", rows)
        }
        Outcome::Vpcs(page) => {
            let rows = page.rows.iter().map(vpc);
            self::page(fields, &paging, page).list("Vpcs", "Vpc", rows)
        }
        Outcome::VSwitches(page) => {
            let rows = page.rows.iter().map(vswitch);
            self::page(fields, &paging, page).list("VSwitches", "VSwitch", rows)
        }
        Outcome::SecurityGroups(page) => {
            let rows = page.rows.iter().map(group);
            let fields = region_of(fields, decoded);
            self::page(fields, &paging, page).list("SecurityGroups", "SecurityGroup", rows)
        }
        Outcome::SecurityGroupAttribute(attribute) => group_attribute(fields, &paging, attribute),
        Outcome::NetworkInterfaces(page) => {
            let rows = page.rows.iter().map(interface);
            let name = "NetworkInterfaceSets";
            self::page(fields, &paging, page).list(name, "NetworkInterfaceSet", rows)
        }
        Outcome::Bindings(bindings) => {
            fields.list("Bindings", "Binding", bindings.iter().map(binding))
        }
    }
}

/// How the command asked for its rows.
fn paging(command: &Command) -> Paging {
    match command {
        Command::DescribeVpcs(command) => command.paging.clone(),
        Command::DescribeVSwitches(command) => command.paging.clone(),
        Command::DescribeSecurityGroups(command) => command.paging.clone(),
        Command::DescribeSecurityGroupAttribute(command) => command.paging.clone(),
        Command::DescribeNetworkInterfaces(command) => command.paging.clone(),
        Command::DescribeRegions
        | Command::CreateVpc(_)
        | Command::DeleteVpc { .. }
        | Command::CreateVSwitch(_)
        | Command::DeleteVSwitch { .. }
        | Command::CreateSecurityGroup(_)
        | Command::DeleteSecurityGroup { .. }
        | Command::ModifySecurityGroupPolicy { .. }
        | Command::Authorize(_)
        | Command::Revoke(_)
        | Command::CreateNetworkInterface(_)
        | Command::ModifyNetworkInterfaceAttribute(_)
        | Command::DeleteNetworkInterface { .. }
        | Command::CreateRootAccount(_)
        | Command::BindInterface { .. }
        | Command::UnbindInterface { .. }
        | Command::DescribeBindings => Paging::All,
    }
}

/// By number the total is told, by token the next token, which is empty on the last part.
fn page<T>(fields: Fields, paging: &Paging, page: &Page<T>) -> Fields {
    match paging {
        Paging::All => fields,
        Paging::Number { page: number, size } => fields
            .number("TotalCount", page.total)
            .number("PageNumber", *number)
            .number("PageSize", *size),
        Paging::Token { .. } => fields.text_or_empty("NextToken", page.next.as_ref()),
    }
}

fn region_of(fields: Fields, decoded: &Decoded) -> Fields {
    fields.text_or_empty("RegionId", decoded.region.as_ref().map(RegionId::as_str))
}

fn written(fields: Fields, written: &Written) -> Fields {
    match written {
        Written::Done => fields,
        Written::Vpc { vpc, router, route_table, resource_group } => fields
            .text("VpcId", vpc)
            .text("VRouterId", router)
            .text("RouteTableId", route_table)
            .text_or_empty("ResourceGroupId", resource_group.as_ref()),
        Written::VSwitch { vswitch } => fields.text("VSwitchId", vswitch),
        Written::SecurityGroup { group } => fields.text("SecurityGroupId", group),
        Written::NetworkInterface(record) => {
            interface_fields(fields, record).text("Status", "Available")
        }
        Written::Account { account } => fields.text("AccountId", account),
    }
}

fn region(presentation: &Presentation, region: &Region) -> Answer {
    Fields::new()
        .text("RegionId", &region.id)
        .text("LocalName", &region.local_name)
        .text("RegionEndpoint", presentation.host())
        .text("Status", "available")
        .into()
}

/// Tags of VPCs and vSwitches.
fn vpc_tags(fields: Fields, tags: &Tags) -> Fields {
    let tags = tags.iter().map(|tag| {
        Fields::new().text("Key", tag.key.as_str()).text("Value", tag.value.as_str()).into()
    });
    fields.list("Tags", "Tag", tags)
}

/// Tags of groups and interfaces.
fn ecs_tags(fields: Fields, tags: &Tags) -> Fields {
    let tags = tags.iter().map(|tag| {
        Fields::new().text("TagKey", tag.key.as_str()).text("TagValue", tag.value.as_str()).into()
    });
    fields.list("Tags", "Tag", tags)
}

fn vpc(row: &VpcRow) -> Answer {
    let vpc = &row.vpc;
    let fields = Fields::new()
        .text("VpcId", &vpc.id)
        .text_or_empty("VpcName", vpc.name.as_ref())
        .text_or_empty("Description", vpc.description.as_ref())
        .text("RegionId", &vpc.region)
        .text("Status", "Available")
        .text("CidrBlock", vpc.cidr)
        .text_or_empty("Ipv6CidrBlock", vpc.ipv6_cidr)
        .flag("EnabledIpv6", vpc.ipv6_cidr.is_some())
        .flag("IsDefault", false)
        .text("CreationTime", time::format(vpc.created_ms))
        .text("VRouterId", &vpc.router)
        .number("OwnerId", vpc.owner.0)
        .text_or_empty("ResourceGroupId", vpc.resource_group.as_ref())
        .list("VSwitchIds", "VSwitchId", row.vswitches.iter().map(Answer::of))
        .list("UserCidrs", "UserCidr", vpc.user_cidrs.iter().map(Answer::of))
        .list("SecondaryCidrBlocks", "SecondaryCidrBlock", [])
        .list("RouterTableIds", "RouterTableIds", [Answer::of(&vpc.route_table)])
        .list("NatGatewayIds", "NatGatewayIds", []);
    let blocks = vpc.ipv6_cidr.map(|block| Fields::new().text("Ipv6CidrBlock", block).into());
    vpc_tags(fields.list("Ipv6CidrBlocks", "Ipv6CidrBlock", blocks), &vpc.tags).into()
}

fn vswitch(row: &VSwitchRow) -> Answer {
    let vswitch = &row.vswitch;
    let fields = Fields::new()
        .text("VSwitchId", &vswitch.id)
        .text("VpcId", &vswitch.vpc)
        .text_or_empty("VSwitchName", vswitch.name.as_ref())
        .text_or_empty("Description", vswitch.description.as_ref())
        .text("ZoneId", &vswitch.zone)
        .text("Status", "Available")
        .text("CidrBlock", vswitch.cidr)
        .text_or_empty("Ipv6CidrBlock", vswitch.ipv6_cidr)
        .flag("EnabledIpv6", vswitch.ipv6_cidr.is_some())
        .number("AvailableIpAddressCount", row.available_addresses)
        .flag("IsDefault", false)
        .text("CreationTime", time::format(vswitch.created_ms))
        .number("OwnerId", vswitch.owner.0)
        .text("ResourceGroupId", "");
    vpc_tags(fields, &vswitch.tags).into()
}

fn group(row: &SecurityGroupRow) -> Answer {
    let group = &row.group;
    let fields = Fields::new()
        .text("SecurityGroupId", &group.id)
        .text_or_empty("SecurityGroupName", group.name.as_ref())
        .text_or_empty("Description", group.description.as_ref())
        .text("SecurityGroupType", group_type(group.group_type))
        .text_or_empty("VpcId", group.vpc.as_ref())
        .text("CreationTime", time::format(group.created_ms))
        .text_or_empty("ResourceGroupId", group.resource_group.as_ref())
        .flag("ServiceManaged", false)
        .number("EcsCount", row.address_count)
        .number("AvailableInstanceAmount", row.available_amount)
        .number("RuleCount", row.rule_count)
        .number("GroupToGroupRuleCount", row.group_rule_count);
    ecs_tags(fields, &group.tags).into()
}

fn group_type(group_type: GroupType) -> &'static str {
    match group_type {
        GroupType::Basic => "normal",
        GroupType::Enterprise => "enterprise",
    }
}

fn group_attribute(fields: Fields, paging: &Paging, attribute: &SecurityGroupAttribute) -> Fields {
    let group = &attribute.group;
    let fields = fields
        .text("RegionId", &group.region)
        .text("SecurityGroupId", &group.id)
        .text_or_empty("SecurityGroupName", group.name.as_ref())
        .text_or_empty("Description", group.description.as_ref())
        .text_or_empty("VpcId", group.vpc.as_ref())
        .text(
            "InnerAccessPolicy",
            match group.inner_access {
                InnerAccess::Accept => "Accept",
                InnerAccess::Drop => "Drop",
            },
        );
    let fields = match paging {
        Paging::Token { .. } => fields.text_or_empty("NextToken", attribute.rules.next.as_ref()),
        Paging::All | Paging::Number { .. } => fields,
    };
    fields.list("Permissions", "Permission", attribute.rules.rows.iter().map(rule))
}

/// What a rule says of one of its sides.
#[derive(Default)]
struct Side {
    cidr: String,
    ipv6_cidr: String,
    group: String,
    group_name: String,
    owner: String,
    prefix_list: String,
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
            Peer::PrefixList(list) => side.prefix_list = list.to_string(),
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
fn rule(row: &RuleRow) -> Answer {
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
        .text("PortRangeListName", "")
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
        .text("SourcePrefixListName", "")
        .text("DestCidrIp", dest.cidr)
        .text("Ipv6DestCidrIp", dest.ipv6_cidr)
        .text("DestGroupId", dest.group)
        .text("DestGroupName", dest.group_name)
        .text("DestGroupOwnerAccount", dest.owner)
        .text("DestPrefixListId", dest.prefix_list)
        .text("DestPrefixListName", "")
        .text_or_empty("Description", record.description.as_ref())
        .text("CreateTime", time::format(record.created_ms))
        .into()
}

fn interface(row: &NetworkInterfaceRow) -> Answer {
    interface_fields(Fields::new(), &row.interface).text("Status", row.status.name()).into()
}

/// All of an interface but its status.
fn interface_fields(fields: Fields, record: &InterfaceRecord) -> Fields {
    let address = |address: &Ipv4Addr, primary: bool| {
        Fields::new().text("PrivateIpAddress", address).flag("Primary", primary).into()
    };
    let addresses = std::iter::once(address(&record.primary, true))
        .chain(record.secondary.iter().map(|own| address(own, false)));
    let ipv6 = record.ipv6.iter().map(|own| Fields::new().text("Ipv6Address", own).into());
    let mut fields = fields
        .text("NetworkInterfaceId", &record.id)
        .text_or_empty("NetworkInterfaceName", record.name.as_ref())
        .text_or_empty("Description", record.description.as_ref())
        .text("Type", "Secondary")
        .text("VpcId", &record.vpc)
        .text("VSwitchId", &record.vswitch)
        .text("ZoneId", &record.zone)
        .text("MacAddress", record.mac)
        .text("PrivateIpAddress", record.primary)
        .list("PrivateIpSets", "PrivateIpSet", addresses)
        .list("Ipv6Sets", "Ipv6Set", ipv6)
        .list("Ipv4PrefixSets", "Ipv4PrefixSet", [])
        .list("Ipv6PrefixSets", "Ipv6PrefixSet", [])
        .list("SecurityGroupIds", "SecurityGroupId", record.groups.iter().map(Answer::of))
        .text_or_empty("ResourceGroupId", record.resource_group.as_ref())
        .text("CreationTime", time::format(record.created_ms))
        .text("OwnerId", record.owner)
        .text("InstanceId", "")
        .number("QueueNumber", 1)
        .text("NetworkInterfaceTrafficMode", "Standard")
        .flag("DeleteOnRelease", record.delete_on_release)
        .flag("ServiceManaged", false)
        .with("Attachment", Fields::new().into())
        .with("AssociatedPublicIp", Fields::new().into());
    if let Some(check) = record.source_dest_check {
        fields = fields.flag("SourceDestCheck", check);
    }
    ecs_tags(fields, &record.tags)
}

fn binding(binding: &Binding) -> Answer {
    Fields::new()
        .text("NetworkInterfaceId", &binding.interface)
        .text("Device", &binding.device)
        .text("CreationTime", time::format(binding.created_ms))
        .into()
}
