//! Network interfaces: the rows and decoders of their actions. What an interface may be is the
//! state's.
use portcullis_core::command::{
    Command, CreateNetworkInterface, DescribeNetworkInterfaces, InterfaceStatus,
    ModifyNetworkInterfaceAttribute, Paging,
};
use portcullis_core::ids::SecurityGroupId;
use portcullis_core::limits::{
    GROUPS_PER_INTERFACE_MAX, IDS_PER_FILTER_MAX, INTERFACE_RESULTS_MAX, INTERFACE_RESULTS_MIN,
    IPV6_ADDRESSES_MAX, MAX_RESULTS_DEFAULT, SECONDARY_ADDRESSES_MAX,
};
use portcullis_core::records::ConnectionTracking;

use super::shared::{
    self, NEXT_TOKEN, PAGES, REGION, RESOURCE_GROUP_ID, SECURITY_GROUP_ID, TAGS, boolean, integer,
    max_results, row, text, unsupported,
};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::limits::INTERFACE_GROUPS_NAMED_MAX;
use crate::ecs::parameters::Parameters;
use crate::ecs::refusal::{Refusal, code};

const NAME_LIMITS: &str = "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter";
const DESCRIPTION_LIMITS: &str =
    "2 to 256 printable characters that do not begin with http:// or https://";
const INTERFACE_LIMITS: &str = "an interface's id: 1 to 100 letters, digits, `-`, `_`, `.`";

const INTERFACE_ID: Parameter = text(
    "NetworkInterfaceId",
    code::INTERFACE_NOT_FOUND,
    INTERFACE_LIMITS,
    "The network interface.",
);
const VSWITCH_ID: Parameter = text(
    "VSwitchId",
    code::ECS_VSWITCH_NOT_FOUND,
    "a vSwitch's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The vSwitch.",
);
const NAME: Parameter = text("NetworkInterfaceName", code::INTERFACE_NAME, NAME_LIMITS, "A name.");
const DESCRIPTION: Parameter =
    text("Description", code::DESCRIPTION, DESCRIPTION_LIMITS, "A description.");
const IPV4: &str = "an IPv4 address";
const PRIMARY: Parameter = text("PrimaryIpAddress", code::PRIVATE_IP, IPV4, "The primary address.");
const PRIVATE: Parameter = row(
    "PrivateIpAddress.N",
    Kind::List,
    code::PRIVATE_IP,
    IPV4,
    "Further IPv4 addresses, 49 at most.",
);
const IPV6: Parameter = row(
    "Ipv6Address.N",
    Kind::List,
    code::IPV6_ADDRESS,
    "an IPv6 address",
    "IPv6 addresses, 10 at most.",
);
const CHECK: Parameter = boolean(
    "SourceDestCheck",
    "Whether packets' addresses are held against the interface's own; on where unset.",
);
const DELETE_ON_RELEASE: Parameter =
    boolean("DeleteOnRelease", "Kept and echoed; true by default.");

/// Idle times, dotted or as one JSON text.
const TRACKING: &[Parameter] = &[
    row(
        "ConnectionTrackingConfiguration",
        Kind::Structure,
        code::JSON,
        "an object",
        "Idle times of flows, dotted or as one JSON text.",
    ),
    integer(
        "ConnectionTrackingConfiguration.TcpEstablishedTimeout",
        "one of 30, 60, 80, 100, 200, 300, 500, 700, 910",
        "Seconds until an established TCP flow without packets ends; 910 by default.",
    ),
    integer(
        "ConnectionTrackingConfiguration.TcpClosedAndTimeWaitTimeout",
        "a number from 3 to 15",
        "Seconds until a closed TCP flow ends; 3 by default.",
    ),
    integer(
        "ConnectionTrackingConfiguration.UdpTimeout",
        "one of 10, 20, 30, 60, 80, 100",
        "Seconds until a UDP flow without packets ends; 30 by default.",
    ),
];

const PREFIX_DOC: &str = "Prefixes of an interface are not offered.";

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateNetworkInterface",
        products: &[Product::Ecs],
        summary: "Makes a network interface: the unit of enforcement.",
        write: true,
        parameters: &[CREATE, TRACKING, TAGS],
        decode: create,
    },
    Action {
        name: "DescribeNetworkInterfaces",
        products: &[Product::Ecs],
        summary: "Lists network interfaces; filters are joined by \"and\".",
        write: false,
        parameters: &[DESCRIBE, TAGS, PAGES],
        decode: describe,
    },
    Action {
        name: "ModifyNetworkInterfaceAttribute",
        products: &[Product::Ecs],
        summary: "Changes a network interface; `SecurityGroupId.N` are all its groups from now on.",
        write: true,
        parameters: &[
            &[
                REGION,
                INTERFACE_ID.required(),
                row(
                    "SecurityGroupId.N",
                    Kind::List,
                    code::SECURITY_GROUP_ID_MALFORMED,
                    "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`",
                    "All groups of the interface from now on.",
                ),
                NAME,
                DESCRIPTION.documented("A description; sent empty it goes."),
                CHECK,
                DELETE_ON_RELEASE,
            ],
            TRACKING,
        ],
        decode: modify,
    },
    Action {
        name: "DeleteNetworkInterface",
        products: &[Product::Ecs],
        summary: "Deletes an interface that is bound to no device; it leaves its groups.",
        write: true,
        parameters: &[&[REGION, INTERFACE_ID.required()]],
        decode: |arguments| {
            Ok(Command::DeleteNetworkInterface {
                interface: arguments.required("NetworkInterfaceId")?,
            })
        },
    },
];

const CREATE: &[Parameter] = &[
    REGION,
    VSWITCH_ID.required(),
    SECURITY_GROUP_ID.documented("The one group. Either this or `SecurityGroupIds.N`."),
    row(
        "SecurityGroupIds.N",
        Kind::List,
        code::SECURITY_GROUP_ID_MALFORMED,
        "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "The groups.",
    ),
    PRIMARY.documented("The primary address; the lowest free one of the vSwitch by default."),
    PRIVATE,
    integer(
        "SecondaryPrivateIpAddressCount",
        "a number from 1 to 49",
        "How many further IPv4 addresses to choose.",
    ),
    IPV6,
    integer("Ipv6AddressCount", "a number from 1 to 10", "How many IPv6 addresses to choose."),
    text(
        "MacAddress",
        code::MAC_ADDRESS,
        "a MAC address of six hexadecimal pairs",
        "The hardware address, an extension of ours; chosen where absent.",
    ),
    NAME,
    DESCRIPTION,
    CHECK,
    DELETE_ON_RELEASE,
    RESOURCE_GROUP_ID,
    text(
        "InstanceType",
        code::UNSUPPORTED,
        "Secondary, the one type offered",
        "`Secondary`, which is the default.",
    ),
    unsupported("Ipv4Prefix.N", Kind::List, PREFIX_DOC),
    unsupported("Ipv4PrefixCount", Kind::Integer, PREFIX_DOC),
    unsupported("Ipv6Prefix.N", Kind::List, PREFIX_DOC),
    unsupported("Ipv6PrefixCount", Kind::Integer, PREFIX_DOC),
];

fn create(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    arguments
        .convert("InstanceType", |text| text.eq_ignore_ascii_case("Secondary").then_some(()))?;
    let most = SECONDARY_ADDRESSES_MAX as u8;
    let most_ipv6 = IPV6_ADDRESSES_MAX as u8;
    let count = arguments.integer("SecondaryPrivateIpAddressCount", 1..=most)?;
    let ipv6_count = arguments.integer("Ipv6AddressCount", 1..=most_ipv6)?;
    let tracking = Tracking::of(arguments)?;
    Ok(Command::CreateNetworkInterface(CreateNetworkInterface {
        vswitch: arguments.required("VSwitchId")?,
        groups: groups(arguments)?,
        primary: arguments.parse("PrimaryIpAddress")?,
        secondary: arguments.list("PrivateIpAddress.N", SECONDARY_ADDRESSES_MAX + 1)?,
        secondary_count: count.unwrap_or(0),
        ipv6: arguments.list("Ipv6Address.N", IPV6_ADDRESSES_MAX)?,
        ipv6_count: ipv6_count.unwrap_or(0),
        mac: arguments.parse("MacAddress")?,
        name: arguments.parse("NetworkInterfaceName")?,
        description: arguments.parse("Description")?,
        source_dest_check: arguments.boolean("SourceDestCheck")?,
        delete_on_release: arguments.boolean("DeleteOnRelease")?,
        connection_tracking: tracking.whole(),
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tags(arguments)?,
    }))
}

/// `SecurityGroupId` or `SecurityGroupIds.N`, exactly one of the two forms.
fn groups(arguments: &Arguments<'_>) -> Result<Vec<SecurityGroupId>, Refusal> {
    let one: Option<SecurityGroupId> = arguments.parse("SecurityGroupId")?;
    let many = arguments.list("SecurityGroupIds.N", INTERFACE_GROUPS_NAMED_MAX)?;
    match (one, many.is_empty()) {
        (Some(one), true) => Ok(vec![one]),
        (None, false) => Ok(many),
        (None, true) => Err(Refusal::missing("SecurityGroupId")),
        (Some(_), false) => {
            let message = "`SecurityGroupId` and `SecurityGroupIds.N` stand together";
            let help = "Send one of the two.";
            Err(code::CONFLICT.refuse(message).with_help(help).at("SecurityGroupIds.N"))
        }
    }
}

const DESCRIBE: &[Parameter] = &[
    REGION,
    row(
        "NetworkInterfaceId.N",
        Kind::List,
        code::INTERFACE_NOT_FOUND,
        INTERFACE_LIMITS,
        "These interfaces, 100 at most.",
    ),
    SECURITY_GROUP_ID.documented("Interfaces of this group."),
    VSWITCH_ID.documented("Interfaces of this vSwitch."),
    text(
        "VpcId",
        code::ECS_VPC_NOT_FOUND,
        "a VPC's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "Interfaces of this VPC.",
    ),
    PRIMARY.documented("Interfaces of this primary address."),
    PRIVATE.documented("Interfaces that have one of these IPv4 addresses."),
    IPV6.documented("Interfaces that have one of these IPv6 addresses."),
    NAME.documented("Interfaces of exactly this name."),
    text(
        "Status",
        code::INVALID_PARAMETER,
        "Available, Attaching, InUse, Detaching or Deleting",
        "Interfaces in this state.",
    ),
    text(
        "Type",
        code::INVALID_PARAMETER,
        "Primary or Secondary",
        "Interfaces of this type; all here are `Secondary`.",
    ),
    text(
        "InstanceId",
        code::INVALID_PARAMETER,
        shared::ANY_TEXT,
        "Interfaces of this instance; nothing here is attached to one.",
    ),
    RESOURCE_GROUP_ID.documented("Interfaces of this resource group."),
    NEXT_TOKEN,
    max_results(
        "a whole number",
        "Most rows of a part; counts as 10 at least and 500 at most, 10 by default.",
    ),
];

/// `Status` filters: those that an interface can be in here, and those that none is ever in.
const STATUSES: [(&str, Option<InterfaceStatus>); 5] = [
    ("Available", Some(InterfaceStatus::Available)),
    ("InUse", Some(InterfaceStatus::InUse)),
    ("Attaching", None),
    ("Detaching", None),
    ("Deleting", None),
];

fn describe(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let status = arguments.convert("Status", |text| {
        STATUSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, status)| *status)
    })?;
    let types = [("Secondary", true), ("Primary", false)];
    let secondary_type = arguments.convert("Type", |text| {
        types.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
    })?;
    Ok(Command::DescribeNetworkInterfaces(DescribeNetworkInterfaces {
        interfaces: arguments.list("NetworkInterfaceId.N", IDS_PER_FILTER_MAX)?,
        group: arguments.parse("SecurityGroupId")?,
        vswitch: arguments.parse("VSwitchId")?,
        vpc: arguments.parse("VpcId")?,
        primary: arguments.parse("PrimaryIpAddress")?,
        private_addresses: arguments.list("PrivateIpAddress.N", IDS_PER_FILTER_MAX)?,
        ipv6_addresses: arguments.list("Ipv6Address.N", IDS_PER_FILTER_MAX)?,
        name: arguments.parse("NetworkInterfaceName")?,
        status,
        secondary_type,
        of_instance: arguments.text("InstanceId").is_some(),
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tag_filters(arguments)?,
        paging: paging(arguments)?,
    }))
}

/// The public action takes any `MaxResults` and counts it as the nearest that it serves.
fn paging(arguments: &Arguments<'_>) -> Result<Paging, Refusal> {
    match shared::tokens(arguments, 0, MAX_RESULTS_DEFAULT, u32::MAX)? {
        Some(Paging::Token { after, max_results }) => {
            let max_results = max_results.clamp(INTERFACE_RESULTS_MIN, INTERFACE_RESULTS_MAX);
            Ok(Paging::Token { after, max_results })
        }
        Some(Paging::All | Paging::Number { .. }) | None => shared::pages(arguments),
    }
}

fn modify(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let groups = arguments.list("SecurityGroupId.N", INTERFACE_GROUPS_NAMED_MAX)?;
    let tracking = Tracking::of(arguments)?;
    Ok(Command::ModifyNetworkInterfaceAttribute(ModifyNetworkInterfaceAttribute {
        interface: arguments.required("NetworkInterfaceId")?,
        groups: Some(groups).filter(|groups| !groups.is_empty()),
        name: arguments.parse("NetworkInterfaceName")?,
        description: shared::edit(arguments, "Description")?,
        source_dest_check: arguments.boolean("SourceDestCheck")?,
        delete_on_release: arguments.boolean("DeleteOnRelease")?,
        tcp_established_s: tracking.tcp_established_s,
        tcp_closed_s: tracking.tcp_closed_s,
        udp_s: tracking.udp_s,
    }))
}

/// `ConnectionTrackingConfiguration` as sent.
struct Tracking {
    tcp_established_s: Option<u16>,
    tcp_closed_s: Option<u16>,
    udp_s: Option<u16>,
}

impl Tracking {
    fn of(arguments: &Arguments<'_>) -> Result<Self, Refusal> {
        let unpacked: Parameters;
        let arguments = match arguments.text("ConnectionTrackingConfiguration") {
            Some(text) => {
                unpacked = Parameters::of_json("ConnectionTrackingConfiguration", text)?;
                &arguments.over(&unpacked)
            }
            None => arguments,
        };
        let seconds = |name: &'static str, fits: &dyn Fn(&u16) -> bool| {
            arguments.convert(name, |text| {
                let plain = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|number| plain && fits(number))
            })
        };
        Ok(Self {
            tcp_established_s: seconds(
                "ConnectionTrackingConfiguration.TcpEstablishedTimeout",
                &|n| ConnectionTracking::TCP_ESTABLISHED_S.contains(n),
            )?,
            tcp_closed_s: seconds(
                "ConnectionTrackingConfiguration.TcpClosedAndTimeWaitTimeout",
                &|n| ConnectionTracking::TCP_CLOSED_S.contains(n),
            )?,
            udp_s: seconds("ConnectionTrackingConfiguration.UdpTimeout", &|n| {
                ConnectionTracking::UDP_S.contains(n)
            })?,
        })
    }

    /// All three, what is left out as it is by default; nothing where nothing was sent.
    fn whole(&self) -> Option<ConnectionTracking> {
        if self.tcp_established_s.is_none() && self.tcp_closed_s.is_none() && self.udp_s.is_none() {
            return None;
        }
        let default = ConnectionTracking::DEFAULT;
        ConnectionTracking::new(
            self.tcp_established_s.unwrap_or(default.tcp_established_s()),
            self.tcp_closed_s.unwrap_or(default.tcp_closed_s()),
            self.udp_s.unwrap_or(default.udp_s()),
        )
    }
}

const _: () = assert!(SECONDARY_ADDRESSES_MAX <= u8::MAX as usize);
const _: () = assert!(GROUPS_PER_INTERFACE_MAX <= INTERFACE_GROUPS_NAMED_MAX);
