//! Fields of VPCs, vSwitches and regions.
use portcullis_core::command::{VSwitchRow, VpcRow};
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

pub(super) fn vswitch(row: &VSwitchRow) -> Answer {
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
