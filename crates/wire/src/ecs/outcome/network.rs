//! Fields of VPCs, vSwitches, their route tables, and regions.
use portcullis_core::command::{RouteTableRow, VSwitchRow, VpcRow};
use portcullis_core::ids::RouteTableId;
use portcullis_core::records::VSwitch;
use portcullis_core::settings::Region;
use portcullis_core::text::Tags;

use super::time;
use crate::ecs::answer::{Answer, Fields};
use crate::ecs::render::Presentation;

pub(super) fn region(presentation: &Presentation, region: &Region) -> Answer {
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

pub(super) fn vpc(row: &VpcRow) -> Answer {
    vpc_fields(Fields::new(), row)
        .text("CenStatus", "Detached")
        .list("RouterTableIds", "RouterTableIds", [Answer::of(&row.vpc.route_table)])
        .list("NatGatewayIds", "NatGatewayIds", [])
        .into()
}

/// Fields that DescribeVpcs and DescribeVpcAttribute share.
fn vpc_fields(fields: Fields, row: &VpcRow) -> Fields {
    let vpc = &row.vpc;
    let fields = fields
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
        .text("DnsHostnameStatus", "DISABLED")
        .text("DhcpOptionsSetId", "")
        .text("DhcpOptionsSetStatus", "")
        .list("VSwitchIds", "VSwitchId", row.vswitches.iter().map(Answer::of))
        .list("UserCidrs", "UserCidr", vpc.user_cidrs.iter().map(Answer::of))
        .list("SecondaryCidrBlocks", "SecondaryCidrBlock", []);
    let block = |block| Fields::new().text("Ipv6CidrBlock", block).text("Ipv6Isp", "BGP").into();
    let blocks = vpc.ipv6_cidr.map(block);
    vpc_tags(fields.list("Ipv6CidrBlocks", "Ipv6CidrBlock", blocks), &vpc.tags)
}

pub(super) fn vpc_attribute(fields: Fields, row: &VpcRow) -> Fields {
    let count = |kind: &str, count: usize| -> Answer {
        Fields::new().text("ResourceType", kind).number("ResourceCount", count).into()
    };
    let resources = [count("VSwitch", row.vswitches.len()), count("VRouter", 1)];
    vpc_fields(fields, row)
        .flag("ClassicLinkEnabled", false)
        .text("Ipv4GatewayId", "")
        .flag("SupportIpv4Gateway", false)
        .list("CloudResources", "CloudResourceSetType", resources)
        .list("AssociatedCens", "AssociatedCen", [])
        .list("AssociatedPropagationSources", "AssociatedPropagationSources", [])
}

pub(super) fn vswitch(fields: Fields, row: &VSwitchRow) -> Fields {
    let vswitch = &row.vswitch;
    let fields = fields
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
        .text_or_empty("ResourceGroupId", row.resource_group.as_ref())
        .text("NetworkAclId", "")
        .text("ShareType", "")
        .with("RouteTable", table(&row.route_table).into());
    vpc_tags(fields, &vswitch.tags)
}

/// A route table's id and type.
fn table(id: &RouteTableId) -> Fields {
    Fields::new().text("RouteTableId", id).text("RouteTableType", "System")
}

/// What both lists of route tables say of one.
fn table_fields(row: &RouteTableRow) -> Fields {
    let vpc = &row.vpc;
    table(&vpc.route_table)
        .text("Status", "Available")
        .text("CreationTime", time::format(vpc.created_ms))
        .text_or_empty("ResourceGroupId", vpc.resource_group.as_ref())
        .list("VSwitchIds", "VSwitchId", row.vswitches.iter().map(|own| Answer::of(&own.id)))
}

pub(super) fn route_table(row: &RouteTableRow) -> Answer {
    let vswitches = row.vswitches.iter().filter(|_| row.with_routes);
    let routes = vswitches.flat_map(|vswitch| routes(row, vswitch));
    table_fields(row)
        .text("VRouterId", &row.vpc.router)
        .list("RouteEntrys", "RouteEntry", routes)
        .into()
}

/// A route to each block of a vSwitch, which is at hand.
fn routes(row: &RouteTableRow, vswitch: &VSwitch) -> impl Iterator<Item = Answer> {
    let blocks = core::iter::once(vswitch.cidr).chain(vswitch.ipv6_cidr);
    blocks.map(|block| {
        Fields::new()
            .text("RouteTableId", &row.vpc.route_table)
            .text("RouteEntryId", "")
            .text("RouteEntryName", "")
            .text("Description", "")
            .text("DestinationCidrBlock", block)
            .text("Type", "System")
            .text("Status", "Available")
            .text("NextHopType", "local")
            .text("InstanceId", "")
            .list("NextHops", "NextHop", [])
            .into()
    })
}

pub(super) fn route_table_item(row: &RouteTableRow) -> Answer {
    let fields = table_fields(row)
        .text("VpcId", &row.vpc.id)
        .text("RouterId", &row.vpc.router)
        .text("RouterType", "VRouter")
        .text("RouteTableName", "")
        .text("Description", "")
        .text("AssociateType", "VSwitch")
        .number("OwnerId", row.vpc.owner.0)
        .flag("RoutePropagationEnable", true)
        .list("GatewayIds", "GatewayIds", []);
    vpc_tags(fields, &Tags::default()).into()
}
