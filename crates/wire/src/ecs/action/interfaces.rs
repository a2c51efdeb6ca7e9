//! Network interfaces: the rows and decoders of their actions. What an interface may be is the
//! state's.
use portcullis_core::command::{
    Command, CreateNetworkInterface, DescribeNetworkInterfaces, InterfaceAttribute,
    InterfaceStatus, ModifyNetworkInterfaceAttribute, Paging, WantedAddresses,
};
use portcullis_core::ids::SecurityGroupId;
use portcullis_core::limits::{
    GROUPS_PER_INTERFACE_MAX, IDS_PER_FILTER_MAX, INTERFACE_RESULTS_MAX, INTERFACE_RESULTS_MIN,
    MAX_RESULTS_DEFAULT, QUEUE_NUMBER_MAX, SECONDARY_ADDRESSES_MAX,
};
use portcullis_core::records::{ConnectionTracking, InterfaceRole};

use super::addresses::{IPV4, IPV6, PRIVATE, WANTED_IPV4, WANTED_IPV6, wanted_ipv4, wanted_ipv6};
use super::shared::{
    self, NEXT_TOKEN, PAGES, REGION, RESOURCE_GROUP_ID, SECURITY_GROUP_ID, TAGS, boolean, ignored,
    integer, max_results, row, text, unsupported, unsupported_unless,
};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::limits::INTERFACE_GROUPS_NAMED_MAX;
use crate::ecs::refusal::{Refusal, code};

const NAME_LIMITS: &str = "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter";
const DESCRIPTION_LIMITS: &str =
    "2 to 256 printable characters that do not begin with http:// or https://";
pub(super) const INTERFACE_LIMITS: &str =
    "an interface's id: 1 to 100 letters, digits, `-`, `_`, `.`";

pub(super) const INTERFACE_ID: Parameter = text(
    "NetworkInterfaceId",
    code::INTERFACE_NOT_FOUND,
    INTERFACE_LIMITS,
    "The network interface.",
);
pub(super) const VSWITCH_ID: Parameter = text(
    "VSwitchId",
    code::ECS_VSWITCH_NOT_FOUND,
    "a vSwitch's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The vSwitch.",
);
const NAME: Parameter = text("NetworkInterfaceName", code::INTERFACE_NAME, NAME_LIMITS, "A name.");
const DESCRIPTION: Parameter =
    text("Description", code::DESCRIPTION, DESCRIPTION_LIMITS, "A description.");
const PRIMARY: Parameter = text("PrimaryIpAddress", code::PRIVATE_IP, IPV4, "The primary address.");
const CHECK: Parameter = boolean(
    "SourceDestCheck",
    "Whether packets' addresses are held against the interface's own; on where unset.",
);
const DELETE_ON_RELEASE: Parameter =
    boolean("DeleteOnRelease", "Whether it goes with the instance it is attached to; the default.");
const QUEUES: Parameter =
    integer("QueueNumber", "a number from 1 to 2048", "How many queues it has; kept and echoed.");
/// The instance of an action of interfaces, whose code is spelled otherwise.
const INSTANCE: Parameter = text(
    "InstanceId",
    code::INTERFACE_INSTANCE_MALFORMED,
    "an instance's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The instance.",
);
const HARDWARE: &str = "There is no hardware to set.";
const RDMA: &str = "Remote direct memory access is not offered.";

/// What concerns hardware that is not there.
const DEVICE: &[Parameter] = &[
    ignored("RxQueueSize", Kind::Integer, HARDWARE),
    ignored("TxQueueSize", Kind::Integer, HARDWARE),
    ignored("EnhancedNetwork", Kind::Structure, HARDWARE),
    unsupported("NetworkInterfaceTrafficConfig", Kind::Structure, RDMA),
];

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

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateNetworkInterface",
        products: &[Product::Ecs],
        summary: "Makes a network interface: the unit of enforcement.",
        write: true,
        parameters: &[CREATE, WANTED_IPV4, WANTED_IPV6, TRACKING, DEVICE, TAGS],
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
                QUEUES,
            ],
            TRACKING,
            DEVICE,
        ],
        decode: modify,
    },
    Action {
        name: "DeleteNetworkInterface",
        products: &[Product::Ecs],
        summary: "Deletes an interface that is neither attached nor bound; it leaves its groups.",
        write: true,
        parameters: &[&[REGION, INTERFACE_ID.required()]],
        decode: |arguments| {
            Ok(Command::DeleteNetworkInterface {
                interface: arguments.required("NetworkInterfaceId")?,
            })
        },
    },
    Action {
        name: "DescribeNetworkInterfaceAttribute",
        products: &[Product::Ecs],
        summary: "Shows one network interface, its idle times included.",
        write: false,
        parameters: &[ATTRIBUTE],
        decode: describe_attribute,
    },
    Action {
        name: "AttachNetworkInterface",
        products: &[Product::Ecs],
        summary: "Attaches an interface to an instance of its VPC and zone.",
        write: true,
        parameters: &[
            ATTACHMENT,
            &[
                ignored("NetworkCardIndex", Kind::Integer, HARDWARE),
                ignored(
                    "WaitForNetworkConfigurationReady",
                    Kind::Boolean,
                    "It is ready when the answer comes.",
                ),
            ],
        ],
        decode: |arguments| {
            Ok(Command::AttachNetworkInterface {
                interface: arguments.required("NetworkInterfaceId")?,
                instance: arguments.required("InstanceId")?,
            })
        },
    },
    Action {
        name: "DetachNetworkInterface",
        products: &[Product::Ecs],
        summary: "Detaches an interface, which is not the primary one, from its instance.",
        write: true,
        parameters: &[ATTACHMENT],
        decode: |arguments| {
            Ok(Command::DetachNetworkInterface {
                interface: arguments.required("NetworkInterfaceId")?,
                instance: arguments.required("InstanceId")?,
            })
        },
    },
];

const ATTACHMENT: &[Parameter] = &[
    REGION,
    INTERFACE_ID.required(),
    INSTANCE.required(),
    unsupported("TrunkNetworkInstanceId", Kind::Text, "Trunk interfaces are not offered."),
];

const ATTRIBUTE: &[Parameter] = &[
    REGION,
    INTERFACE_ID.required(),
    text(
        "Attribute",
        code::INVALID_PARAMETER,
        "attachment or connectionTrackingConfiguration",
        "`connectionTrackingConfiguration` adds the idle times; `attachment` says no more than \
         the answer without it.",
    ),
    ignored("Tag.N", Kind::Structures, NOT_A_FILTER),
    ignored("Tag.N.Key", Kind::Text, NOT_A_FILTER),
    ignored("Tag.N.Value", Kind::Text, NOT_A_FILTER),
];
const NOT_A_FILTER: &str = "One interface is named; the public action does not use tags either.";

fn describe_attribute(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let attributes = [
        ("attachment", InterfaceAttribute::Attachment),
        ("connectionTrackingConfiguration", InterfaceAttribute::ConnectionTracking),
    ];
    let attribute = arguments.convert("Attribute", |text| {
        attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, own)| *own)
    })?;
    Ok(Command::DescribeNetworkInterfaceAttribute {
        interface: arguments.required("NetworkInterfaceId")?,
        attribute: attribute.unwrap_or(InterfaceAttribute::All),
    })
}

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
    QUEUES,
    unsupported("QueuePairNumber", Kind::Integer, RDMA),
    unsupported_unless("NetworkInterfaceTrafficMode", Kind::Text, &["Standard"], RDMA),
    ignored("BusinessType", Kind::Text, "It has no meaning outside the cloud."),
    ignored("Visible", Kind::Boolean, "It has no meaning outside the cloud."),
];

fn create(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    arguments
        .convert("InstanceType", |text| text.eq_ignore_ascii_case("Secondary").then_some(()))?;
    // The primary address may be named among them.
    let ipv4 = wanted_ipv4(arguments, SECONDARY_ADDRESSES_MAX + 1)?;
    let ipv6 = wanted_ipv6(arguments)?;
    let tracking = Tracking::of(arguments)?;
    Ok(Command::CreateNetworkInterface(CreateNetworkInterface {
        vswitch: arguments.required("VSwitchId")?,
        groups: groups(arguments)?,
        primary: arguments.parse("PrimaryIpAddress")?,
        addresses: WantedAddresses {
            ipv6: ipv6.ipv6,
            ipv6_count: ipv6.ipv6_count,
            ipv6_prefixes: ipv6.ipv6_prefixes,
            ipv6_prefix_count: ipv6.ipv6_prefix_count,
            ..ipv4
        },
        mac: arguments.parse("MacAddress")?,
        name: arguments.parse("NetworkInterfaceName")?,
        description: arguments.parse("Description")?,
        source_dest_check: arguments.boolean("SourceDestCheck")?,
        delete_on_release: arguments.boolean("DeleteOnRelease")?,
        connection_tracking: tracking.whole(),
        queue_number: queue_number(arguments)?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tags(arguments)?,
    }))
}

fn queue_number(arguments: &Arguments<'_>) -> Result<Option<u16>, Refusal> {
    arguments.integer("QueueNumber", 1..=QUEUE_NUMBER_MAX)
}

/// `SecurityGroupId` or `SecurityGroupIds.N`, exactly one of the two forms.
pub(super) fn groups(arguments: &Arguments<'_>) -> Result<Vec<SecurityGroupId>, Refusal> {
    let one: Option<SecurityGroupId> = arguments.parse("SecurityGroupId")?;
    let many = arguments.list("SecurityGroupIds.N", INTERFACE_GROUPS_NAMED_MAX)?;
    match (one, many.is_empty()) {
        (Some(one), true) => Ok(vec![one]),
        (None, false) => Ok(many),
        (None, true) => {
            Err(Refusal::missing("SecurityGroupId").at(arguments.place("SecurityGroupId")))
        }
        (Some(_), false) => {
            let message = "`SecurityGroupId` and `SecurityGroupIds.N` stand together";
            let help = "Send one of the two.";
            let place = arguments.place("SecurityGroupIds.N");
            Err(code::CONFLICT.refuse(message).with_help(help).at(place))
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
        "Interfaces of this type; what is not attached is `Secondary`.",
    ),
    INSTANCE.documented("Interfaces of this instance."),
    boolean("ServiceManaged", "Only those that a cloud service manages; there are none."),
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
    let types = [InterfaceRole::Primary, InterfaceRole::Secondary];
    let role = arguments.convert("Type", |text| {
        types.into_iter().find(|role| role.name().eq_ignore_ascii_case(text))
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
        role,
        instance: arguments.parse("InstanceId")?,
        service_managed: arguments.boolean("ServiceManaged")?,
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
        description: arguments.edit("Description")?,
        source_dest_check: arguments.boolean("SourceDestCheck")?,
        delete_on_release: arguments.boolean("DeleteOnRelease")?,
        queue_number: queue_number(arguments)?,
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
        let unpacked = arguments.object("ConnectionTrackingConfiguration")?;
        let of_text = unpacked.as_ref().map(|unpacked| arguments.over(unpacked));
        let arguments = of_text.as_ref().unwrap_or(arguments);
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

const _: () = assert!(GROUPS_PER_INTERFACE_MAX <= INTERFACE_GROUPS_NAMED_MAX);
