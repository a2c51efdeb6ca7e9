//! VPCs, vSwitches and regions.
use portcullis_core::command::{
    Command, CreateVSwitch, CreateVpc, DescribeVSwitches, DescribeVpcs, VpcIpv6,
};
use portcullis_core::limits::IDS_PER_FILTER_MAX;

use super::shared::{
    self, PAGES, REGION, REGION_OPTIONAL, RESOURCE_GROUP_ID, TAGS, boolean, comma_list, integer,
    text,
};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::refusal::{Refusal, code};

const VPC_LIMITS: &str = "a VPC's id: 1 to 100 letters, digits, `-`, `_`, `.`";
const VSWITCH_LIMITS: &str = "a vSwitch's id: 1 to 100 letters, digits, `-`, `_`, `.`";
const LABEL_LIMITS: &str =
    "1 to 128 printable characters that do not begin with http:// or https://";
const DESCRIPTION_LIMITS: &str =
    "1 to 256 printable characters that do not begin with http:// or https://";
const ZONE_LIMITS: &str = "a zone's id: 1 to 100 letters, digits, `-`, `_`, `.`";

const VPC_ID: Parameter = text("VpcId", code::VPC_VPC_NOT_FOUND, VPC_LIMITS, "The VPC.");
const VSWITCH_ID: Parameter =
    text("VSwitchId", code::VPC_VSWITCH_NOT_FOUND, VSWITCH_LIMITS, "The vSwitch.");
const ZONE_ID: Parameter = text("ZoneId", code::ZONE_NOT_FOUND, ZONE_LIMITS, "The zone.");
const DESCRIPTION: Parameter =
    text("Description", code::DESCRIPTION, DESCRIPTION_LIMITS, "A description.");
const IS_DEFAULT: Parameter = boolean("IsDefault", "Only default ones; there are none.");

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "DescribeRegions",
        products: &[Product::Ecs, Product::Vpc],
        summary: "Lists the regions of this server.",
        write: false,
        // Without `RegionId`: clients send their own default region, known here or not.
        parameters: &[&[shared::ignored(
            "AcceptLanguage",
            Kind::Text,
            "Names here are in one language.",
        )]],
        decode: |_| Ok(Command::DescribeRegions),
    },
    Action {
        name: "CreateVpc",
        products: &[Product::Vpc],
        summary: "Makes a VPC: the space in which addresses are unique.",
        write: true,
        parameters: &[CREATE_VPC, TAGS],
        decode: create_vpc,
    },
    Action {
        name: "DeleteVpc",
        products: &[Product::Vpc],
        summary: "Deletes a VPC that holds no vSwitch and no group.",
        write: true,
        parameters: &[&[REGION_OPTIONAL, VPC_ID.required()]],
        decode: |arguments| Ok(Command::DeleteVpc { vpc: arguments.required("VpcId")? }),
    },
    Action {
        name: "DescribeVpcs",
        products: &[Product::Vpc],
        summary: "Lists VPCs.",
        write: false,
        parameters: &[DESCRIBE_VPCS, TAGS, PAGES],
        decode: describe_vpcs,
    },
    Action {
        name: "CreateVSwitch",
        products: &[Product::Vpc],
        summary: "Makes a vSwitch: a subnet of a VPC.",
        write: true,
        parameters: &[CREATE_VSWITCH, TAGS],
        decode: create_vswitch,
    },
    Action {
        name: "DeleteVSwitch",
        products: &[Product::Vpc],
        summary: "Deletes a vSwitch that holds no network interface.",
        write: true,
        parameters: &[&[REGION_OPTIONAL, VSWITCH_ID.required()]],
        decode: |arguments| {
            Ok(Command::DeleteVSwitch { vswitch: arguments.required("VSwitchId")? })
        },
    },
    Action {
        name: "DescribeVSwitches",
        products: &[Product::Vpc],
        summary: "Lists vSwitches.",
        write: false,
        parameters: &[DESCRIBE_VSWITCHES, TAGS, PAGES],
        decode: describe_vswitches,
    },
];

const CREATE_VPC: &[Parameter] = &[
    REGION,
    text(
        "CidrBlock",
        code::CIDR_BLOCK,
        "an IPv4 CIDR block",
        "The IPv4 block; 172.16.0.0/12 by default.",
    ),
    boolean("EnableIpv6", "Whether it gets an IPv6 block, a /56."),
    text(
        "Ipv6CidrBlock",
        code::IPV6_CIDR_BLOCK,
        "an IPv6 CIDR block",
        "The IPv6 block, with `EnableIpv6=true`; a free one by default.",
    ),
    text(
        "UserCidr",
        code::USER_CIDR,
        "a comma-separated list of IPv4 CIDR blocks",
        "Further blocks of the user's own, kept and echoed; 3 at most.",
    ),
    text("VpcName", code::VPC_NAME, LABEL_LIMITS, "A name."),
    DESCRIPTION,
    RESOURCE_GROUP_ID,
    shared::unsupported("Ipv4IpamPoolId", Kind::Text, "Address pools are not offered."),
    shared::unsupported("Ipv6IpamPoolId", Kind::Text, "Address pools are not offered."),
    shared::unsupported("Ipv4CidrMask", Kind::Integer, "Address pools are not offered."),
    shared::unsupported("Ipv6CidrMask", Kind::Integer, "Address pools are not offered."),
];

fn create_vpc(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let enable_ipv6 = arguments.boolean("EnableIpv6")?;
    let ipv6 = match (enable_ipv6, arguments.parse("Ipv6CidrBlock")?) {
        (Some(true), Some(block)) => VpcIpv6::Given(block),
        (Some(true), None) => VpcIpv6::Assigned,
        (None | Some(false), None) => VpcIpv6::Disabled,
        (None | Some(false), Some(block)) => {
            let text = format!("{block}");
            let help = "Send `EnableIpv6=true` with it.";
            return Err(arguments.refuse("Ipv6CidrBlock", &text).with_help(help));
        }
    };
    Ok(Command::CreateVpc(CreateVpc {
        cidr: arguments.parse("CidrBlock")?,
        ipv6,
        name: arguments.parse("VpcName")?,
        description: arguments.parse("Description")?,
        user_cidrs: comma_list(arguments, "UserCidr", IDS_PER_FILTER_MAX)?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tags(arguments)?,
    }))
}

const DESCRIBE_VPCS: &[Parameter] = &[
    REGION,
    VPC_ID.documented("These VPCs, a comma-separated list."),
    text("VpcName", code::VPC_NAME, LABEL_LIMITS, "VPCs of this name."),
    IS_DEFAULT,
    RESOURCE_GROUP_ID.documented("VPCs of this resource group."),
];

fn describe_vpcs(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::DescribeVpcs(DescribeVpcs {
        vpcs: comma_list(arguments, "VpcId", IDS_PER_FILTER_MAX)?,
        name: arguments.parse("VpcName")?,
        is_default: arguments.boolean("IsDefault")?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tag_filters(arguments)?,
        paging: shared::pages(arguments)?,
    }))
}

const CREATE_VSWITCH: &[Parameter] = &[
    REGION_OPTIONAL,
    VPC_ID.required(),
    ZONE_ID.required(),
    text("CidrBlock", code::CIDR_BLOCK, "an IPv4 CIDR block", "A part of the VPC's IPv4 block.")
        .required(),
    integer(
        "Ipv6CidrBlock",
        "a number from 0 to 255",
        "Which /64 of the VPC's IPv6 block it gets; none by default.",
    ),
    text("VSwitchName", code::VSWITCH_NAME, LABEL_LIMITS, "A name."),
    DESCRIPTION,
    shared::unsupported("VpcIpv6CidrBlock", Kind::Text, "A VPC has one IPv6 block."),
];

fn create_vswitch(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::CreateVSwitch(CreateVSwitch {
        vpc: arguments.required("VpcId")?,
        zone: arguments.required("ZoneId")?,
        cidr: arguments.required("CidrBlock")?,
        ipv6_index: arguments.integer("Ipv6CidrBlock", 0..=u8::MAX)?,
        name: arguments.parse("VSwitchName")?,
        description: arguments.parse("Description")?,
        tags: shared::tags(arguments)?,
    }))
}

const DESCRIBE_VSWITCHES: &[Parameter] = &[
    REGION_OPTIONAL,
    VPC_ID.documented("vSwitches of this VPC."),
    VSWITCH_ID.documented("These vSwitches, a comma-separated list."),
    ZONE_ID.documented("vSwitches of this zone."),
    text("VSwitchName", code::VSWITCH_NAME, LABEL_LIMITS, "vSwitches of this name."),
    IS_DEFAULT,
];

fn describe_vswitches(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::DescribeVSwitches(DescribeVSwitches {
        vpc: arguments.parse("VpcId")?,
        vswitches: comma_list(arguments, "VSwitchId", IDS_PER_FILTER_MAX)?,
        zone: arguments.parse("ZoneId")?,
        name: arguments.parse("VSwitchName")?,
        is_default: arguments.boolean("IsDefault")?,
        tags: shared::tag_filters(arguments)?,
        paging: shared::pages(arguments)?,
    }))
}
