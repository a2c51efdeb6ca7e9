//! VPCs, vSwitches and their route tables.
use portcullis_core::command::{
    Command, CreateVSwitch, CreateVpc, DescribeRouteTables, DescribeVSwitches, DescribeVpcs,
    ModifyVSwitchAttribute, ModifyVpcAttribute, Paging, VSwitchIpv6, VpcIpv6,
};
use portcullis_core::ids::AccountId;
use portcullis_core::limits::IDS_PER_FILTER_MAX;

use super::shared::{
    self, ANY_TEXT, PAGES, REGION, REGION_OPTIONAL, RESOURCE_GROUP_ID, TAGS, boolean, comma_list,
    ignored, integer, text,
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
const WITH_IPV6: Parameter = boolean("EnableIpv6", "Those with an IPv6 block, or those without.");
const ISP: Parameter = shared::unsupported_unless(
    "Ipv6Isp",
    Kind::Text,
    &["BGP"],
    "IPv6 blocks are of no provider in particular.",
);
const DNS_HOSTNAME: Parameter =
    shared::unsupported("EnableDnsHostname", Kind::Boolean, "Names are not served here.");
const ROUTE_TABLE_ID: Parameter = text(
    "RouteTableId",
    code::INVALID_PARAMETER,
    "a route table's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The system route table of a VPC.",
);

const fn owner(name: &'static str) -> Parameter {
    integer(name, "an account's number", "Those of this account.")
}

pub(super) const ACTIONS: &[Action] = &[
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
        parameters: &[&[
            REGION_OPTIONAL,
            VPC_ID.required(),
            ignored("ForceDelete", Kind::Boolean, "It concerns gateways, of which there are none."),
        ]],
        decode: |arguments| Ok(Command::DeleteVpc { vpc: arguments.required("VpcId")? }),
    },
    Action {
        name: "ModifyVpcAttribute",
        products: &[Product::Vpc],
        summary: "Changes a VPC.",
        write: true,
        parameters: &[MODIFY_VPC],
        decode: modify_vpc,
    },
    Action {
        name: "DescribeVpcAttribute",
        products: &[Product::Vpc],
        summary: "Shows a VPC.",
        write: false,
        parameters: &[&[
            REGION,
            VPC_ID.required(),
            ignored("IsDefault", Kind::Boolean, "The VPC is named by its id."),
        ]],
        decode: |arguments| Ok(Command::DescribeVpcAttribute { vpc: arguments.required("VpcId")? }),
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
    Action {
        name: "DescribeVSwitchAttributes",
        products: &[Product::Vpc],
        summary: "Shows a vSwitch.",
        write: false,
        parameters: &[&[REGION_OPTIONAL, VSWITCH_ID.required()]],
        decode: |arguments| {
            Ok(Command::DescribeVSwitchAttributes { vswitch: arguments.required("VSwitchId")? })
        },
    },
    Action {
        name: "ModifyVSwitchAttribute",
        products: &[Product::Vpc],
        summary: "Changes a vSwitch.",
        write: true,
        parameters: &[MODIFY_VSWITCH],
        decode: modify_vswitch,
    },
    Action {
        name: "DescribeRouteTables",
        products: &[Product::Vpc],
        summary: "Lists route tables and routes: a VPC has one, with a route to each vSwitch.",
        write: false,
        parameters: &[ROUTE_TABLES, PAGES],
        decode: route_tables,
    },
    Action {
        name: "DescribeRouteTableList",
        products: &[Product::Vpc],
        summary: "Lists route tables without their routes.",
        write: false,
        parameters: &[ROUTE_TABLE_LIST, TAGS, PAGES],
        decode: route_table_list,
    },
];

const CREATE_VPC: &[Parameter] = &[
    REGION,
    text(
        "CidrBlock",
        code::CIDR_BLOCK,
        "an IPv4 CIDR block, /8 to /28",
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
    ISP,
    DNS_HOSTNAME,
    shared::unsupported("Ipv4IpamPoolId", Kind::Text, "Address pools are not offered."),
    shared::unsupported("Ipv6IpamPoolId", Kind::Text, "Address pools are not offered."),
    shared::unsupported("Ipv4CidrMask", Kind::Integer, "Address pools are not offered."),
    shared::unsupported("Ipv6CidrMask", Kind::Integer, "Address pools are not offered."),
];

fn create_vpc(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::CreateVpc(CreateVpc {
        cidr: arguments.parse("CidrBlock")?,
        ipv6: vpc_ipv6(arguments, "EnableIpv6")?.unwrap_or_default(),
        name: arguments.parse("VpcName")?,
        description: arguments.parse("Description")?,
        user_cidrs: comma_list(arguments, "UserCidr", IDS_PER_FILTER_MAX)?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tags(arguments)?,
    }))
}

/// The IPv6 block that is asked for; nothing where nothing is said of it.
fn vpc_ipv6(arguments: &Arguments<'_>, enable: &'static str) -> Result<Option<VpcIpv6>, Refusal> {
    match (arguments.boolean(enable)?, arguments.parse("Ipv6CidrBlock")?) {
        (Some(true), Some(block)) => Ok(Some(VpcIpv6::Given(block))),
        (Some(true), None) => Ok(Some(VpcIpv6::Assigned)),
        (Some(false), None) => Ok(Some(VpcIpv6::Disabled)),
        (None, None) => Ok(None),
        (None | Some(false), Some(block)) => {
            let help = format!("Send `{enable}=true` with it.");
            Err(arguments.refuse("Ipv6CidrBlock", &block.to_string()).with_help(help))
        }
    }
}

const MODIFY_VPC: &[Parameter] = &[
    REGION_OPTIONAL,
    VPC_ID.required(),
    text("VpcName", code::VPC_NAME, LABEL_LIMITS, "A new name."),
    DESCRIPTION.documented("A new description; sent empty it goes."),
    text(
        "CidrBlock",
        code::CIDR_BLOCK,
        "an IPv4 CIDR block, /8 to /28",
        "A new IPv4 block, in which all vSwitches lie.",
    ),
    boolean(
        "EnableIPv6",
        "`true`: it gets an IPv6 block, if it has none. `false`: it loses its block, which no \
         vSwitch may have a part of.",
    ),
    text(
        "Ipv6CidrBlock",
        code::IPV6_CIDR_BLOCK,
        "an IPv6 CIDR block",
        "The IPv6 block, with `EnableIPv6=true`; a free one by default. It never changes.",
    ),
    ISP,
    DNS_HOSTNAME,
];

fn modify_vpc(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::ModifyVpcAttribute(ModifyVpcAttribute {
        vpc: arguments.required("VpcId")?,
        name: arguments.parse("VpcName")?,
        description: arguments.edit("Description")?,
        cidr: arguments.parse("CidrBlock")?,
        ipv6: vpc_ipv6(arguments, "EnableIPv6")?,
    }))
}

const DESCRIBE_VPCS: &[Parameter] = &[
    REGION,
    VPC_ID.documented("These VPCs, a comma-separated list."),
    text("VpcName", code::VPC_NAME, LABEL_LIMITS, "VPCs of this name."),
    IS_DEFAULT,
    WITH_IPV6,
    text("DhcpOptionsSetId", code::INVALID_PARAMETER, ANY_TEXT, "VPCs with these; none has any."),
    owner("VpcOwnerId"),
    RESOURCE_GROUP_ID.documented("VPCs of this resource group."),
];

fn describe_vpcs(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::DescribeVpcs(DescribeVpcs {
        vpcs: comma_list(arguments, "VpcId", IDS_PER_FILTER_MAX)?,
        name: arguments.parse("VpcName")?,
        is_default: arguments.boolean("IsDefault")?,
        enable_ipv6: arguments.boolean("EnableIpv6")?,
        with_dhcp_options: arguments.text("DhcpOptionsSetId").is_some(),
        owner: arguments.integer("VpcOwnerId", 0..=u64::MAX)?.map(AccountId),
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tag_filters(arguments)?,
        paging: shared::pages(arguments)?,
    }))
}

const CREATE_VSWITCH: &[Parameter] = &[
    REGION_OPTIONAL,
    VPC_ID.required(),
    ZONE_ID.required(),
    text(
        "CidrBlock",
        code::CIDR_BLOCK,
        "an IPv4 CIDR block, /16 to /29",
        "A part of the VPC's IPv4 block.",
    )
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
    WITH_IPV6,
    owner("VSwitchOwnerId"),
    ROUTE_TABLE_ID.documented("vSwitches of the VPC with this route table."),
    RESOURCE_GROUP_ID.documented("vSwitches of VPCs of this resource group."),
];

fn describe_vswitches(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::DescribeVSwitches(DescribeVSwitches {
        vpc: arguments.parse("VpcId")?,
        vswitches: comma_list(arguments, "VSwitchId", IDS_PER_FILTER_MAX)?,
        zone: arguments.parse("ZoneId")?,
        name: arguments.parse("VSwitchName")?,
        is_default: arguments.boolean("IsDefault")?,
        enable_ipv6: arguments.boolean("EnableIpv6")?,
        owner: arguments.integer("VSwitchOwnerId", 0..=u64::MAX)?.map(AccountId),
        route_table: arguments.parse("RouteTableId")?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tag_filters(arguments)?,
        paging: shared::pages(arguments)?,
    }))
}

const MODIFY_VSWITCH: &[Parameter] = &[
    REGION_OPTIONAL,
    VSWITCH_ID.required(),
    text("VSwitchName", code::VSWITCH_NAME, LABEL_LIMITS, "A new name."),
    DESCRIPTION.documented("A new description; sent empty it goes."),
    boolean(
        "EnableIPv6",
        "`true`: it gets the IPv6 block that `Ipv6CidrBlock` counts. `false`: it loses its block, \
         out of which no interface may have an address.",
    ),
    integer(
        "Ipv6CidrBlock",
        "a number from 0 to 255",
        "Which /64 of the VPC's IPv6 block it gets. It never changes.",
    ),
    shared::unsupported("VpcIpv6CidrBlock", Kind::Text, "A VPC has one IPv6 block."),
];

fn modify_vswitch(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let enable = arguments.boolean("EnableIPv6")?;
    let ipv6 = match (enable, arguments.integer("Ipv6CidrBlock", 0..=u8::MAX)?) {
        (None, None) => None,
        (Some(true), None) => Some(VSwitchIpv6::Enabled),
        (Some(false), None) => Some(VSwitchIpv6::Disabled),
        (None | Some(true), Some(number)) => Some(VSwitchIpv6::Number(number)),
        (Some(false), Some(_)) => {
            let message = "`EnableIPv6=false` and `Ipv6CidrBlock` stand together.";
            let help = "Send one of the two.";
            return Err(code::CONFLICT.refuse(message).with_help(help).at("Ipv6CidrBlock"));
        }
    };
    Ok(Command::ModifyVSwitchAttribute(ModifyVSwitchAttribute {
        vswitch: arguments.required("VSwitchId")?,
        name: arguments.parse("VSwitchName")?,
        description: arguments.edit("Description")?,
        ipv6,
    }))
}

const ROUTER_LIMITS: &str = "a router's id: 1 to 100 letters, digits, `-`, `_`, `.`";
const ROUTER_ID: Parameter =
    text("RouterId", code::INVALID_PARAMETER, ROUTER_LIMITS, "Route tables of this router.");
const TABLE_NAME: Parameter = text(
    "RouteTableName",
    code::INVALID_PARAMETER,
    ANY_TEXT,
    "Route tables of this name; system ones have none.",
);
const ROUTER_TYPE: Parameter = text(
    "RouterType",
    code::INVALID_PARAMETER,
    "VRouter or VBR",
    "Route tables of routers of this type; all here are `VRouter`.",
);
const TABLE_GROUP: Parameter =
    RESOURCE_GROUP_ID.documented("Route tables of VPCs of this resource group.");

const ROUTE_TABLES: &[Parameter] = &[
    REGION_OPTIONAL,
    ROUTE_TABLE_ID.documented("This route table."),
    text("VRouterId", code::INVALID_PARAMETER, ROUTER_LIMITS, "Route tables of this router."),
    ROUTER_ID.documented("The same; not together with `VRouterId`."),
    TABLE_NAME,
    ROUTER_TYPE,
    text(
        "Type",
        code::INVALID_PARAMETER,
        "System, Custom, BGP, CEN or ECR",
        "Routes of this type; all here are `System`.",
    ),
    TABLE_GROUP,
];

/// Whether the text is the first of the names, which is the one that is met here.
fn is_first(text: &str, names: &[&str]) -> Option<bool> {
    let met = names.iter().position(|own| own.eq_ignore_ascii_case(text))?;
    Some(met == 0)
}

const ROUTER_TYPES: [&str; 2] = ["VRouter", "VBR"];
const TABLE_TYPES: [&str; 2] = ["System", "Custom"];
const ROUTE_TYPES: [&str; 5] = ["System", "Custom", "BGP", "CEN", "ECR"];

/// What both actions ask for.
fn tables(arguments: &Arguments<'_>, paging: Paging) -> Result<DescribeRouteTables, Refusal> {
    let router_type = arguments.convert("RouterType", |text| is_first(text, &ROUTER_TYPES))?;
    Ok(DescribeRouteTables {
        vpc: None,
        route_table: arguments.parse("RouteTableId")?,
        router: arguments.parse("RouterId")?,
        none_fits: router_type == Some(false) || arguments.text("RouteTableName").is_some(),
        system_routes: true,
        resource_group: arguments.parse("ResourceGroupId")?,
        paging,
    })
}

fn route_tables(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let mut command = tables(arguments, shared::pages(arguments)?)?;
    let router = arguments.parse("VRouterId")?;
    if router.is_some() && command.router.is_some() {
        let message = "`VRouterId` and `RouterId` stand together.";
        let help = "Send one of the two.";
        return Err(code::CONFLICT.refuse(message).with_help(help).at("VRouterId"));
    }
    command.router = command.router.or(router);
    let routes = arguments.convert("Type", |text| is_first(text, &ROUTE_TYPES))?;
    command.system_routes = routes.unwrap_or(true);
    let named = command.router.is_some() || command.route_table.is_some();
    if !named && arguments.text("RouteTableName").is_none() {
        let message = "VRouterId, RouteTableId, RouterId or RouteTableName is mandatory.";
        return Err(code::MISSING_PARAMETER.refuse(message).at("VRouterId"));
    }
    Ok(Command::DescribeRouteTables(command))
}

const ROUTE_TABLE_LIST: &[Parameter] = &[
    REGION,
    VPC_ID.documented("The route table of this VPC."),
    ROUTE_TABLE_ID.documented("This route table."),
    ROUTER_ID,
    TABLE_NAME,
    ROUTER_TYPE,
    text(
        "RouteTableType",
        code::INVALID_PARAMETER,
        "System or Custom",
        "Route tables of this type; all here are `System`.",
    ),
    TABLE_GROUP,
];

fn route_table_list(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let mut command = tables(arguments, shared::pages(arguments)?)?;
    command.vpc = arguments.parse("VpcId")?;
    let system = arguments.convert("RouteTableType", |text| is_first(text, &TABLE_TYPES))?;
    // Route tables have no tags here.
    let tagged = !shared::tag_filters(arguments)?.is_empty();
    command.none_fits |= tagged || system == Some(false);
    Ok(Command::DescribeRouteTableList(command))
}
