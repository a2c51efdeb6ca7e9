//! The interfaces of RunInstances: the primary one of the call's own parameters or of
//! `NetworkInterface.N`, and further ones of the latter.
use portcullis_core::command::{CreateNetworkInterface, FurtherInterface, WantedAddresses};
use portcullis_core::ids::{SecurityGroupId, VSwitchId};
use portcullis_core::limits::{QUEUE_NUMBER_MAX, SECONDARY_ADDRESSES_MAX};
use portcullis_core::records::InterfaceRole;

use super::addresses::{IPV4, up_to, wanted_ipv6_addresses};
use super::interfaces::groups;
use super::shared::{boolean, ignored, integer, row, text, unsupported, unsupported_unless};
use super::{Kind, Parameter};
use crate::ecs::arguments::Arguments;
use crate::ecs::limits::{INSTANCE_INTERFACES_NAMED_MAX, INTERFACE_GROUPS_NAMED_MAX};
use crate::ecs::refusal::{Refusal, code};

const LIST: &str = "NetworkInterface.N";
const HARDWARE: &str = "There is no hardware to set.";
const RDMA: &str = "Remote direct memory access is not offered.";
const GROUP: &str = "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`";

pub(super) const ROWS: &[Parameter] = &[
    row(
        LIST,
        Kind::Structures,
        code::JSON,
        "a list of interfaces",
        "Interfaces, 32 at most, of which one may be the primary one.",
    ),
    text(
        "NetworkInterface.N.InstanceType",
        code::NETWORK_INTERFACE,
        "Primary or Secondary",
        "`Primary`: instead of the call's own vSwitch, groups and addresses. `Secondary`: a \
         further one, the default.",
    ),
    text(
        "NetworkInterface.N.NetworkInterfaceId",
        code::INTERFACE_NOT_FOUND,
        "an interface's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "An interface that is there already; beside it nothing else may be said.",
    ),
    text(
        "NetworkInterface.N.VSwitchId",
        code::ECS_VSWITCH_NOT_FOUND,
        "a vSwitch's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "Its vSwitch; of a further one that of the primary one by default.",
    ),
    text(
        "NetworkInterface.N.SecurityGroupId",
        code::SECURITY_GROUP_ID_MALFORMED,
        GROUP,
        "Its one group; of a further one those of the primary one by default.",
    ),
    row(
        "NetworkInterface.N.SecurityGroupIds.N",
        Kind::List,
        code::SECURITY_GROUP_ID_MALFORMED,
        GROUP,
        "Its groups, instead of the one.",
    ),
    text(
        "NetworkInterface.N.PrimaryIpAddress",
        code::PRIVATE_IP,
        IPV4,
        "Its primary address; the lowest free one by default.",
    ),
    integer(
        "NetworkInterface.N.SecondaryPrivateIpAddressCount",
        "a number from 1 to 49",
        "How many further IPv4 addresses to choose.",
    ),
    row(
        "NetworkInterface.N.Ipv6Address.N",
        Kind::List,
        code::IPV6_ADDRESS,
        "an IPv6 address",
        "IPv6 addresses of the primary one.",
    ),
    integer(
        "NetworkInterface.N.Ipv6AddressCount",
        "a number from 1 to 10",
        "How many IPv6 addresses to choose for the primary one.",
    ),
    text(
        "NetworkInterface.N.NetworkInterfaceName",
        code::INTERFACE_NAME,
        "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter",
        "Its name.",
    ),
    text(
        "NetworkInterface.N.Description",
        code::DESCRIPTION,
        "2 to 256 printable characters that do not begin with http:// or https://",
        "Its description.",
    ),
    boolean(
        "NetworkInterface.N.SourceDestCheck",
        "Whether packets' addresses are held against its own; on where unset.",
    ),
    boolean(
        "NetworkInterface.N.DeleteOnRelease",
        "Whether a further one goes with the instance; the default.",
    ),
    integer("NetworkInterface.N.QueueNumber", "a number from 1 to 2048", "Kept and echoed."),
    unsupported_unless(
        "NetworkInterface.N.NetworkInterfaceTrafficMode",
        Kind::Text,
        &["Standard"],
        RDMA,
    ),
    unsupported("NetworkInterface.N.QueuePairNumber", Kind::Integer, RDMA),
    ignored("NetworkInterface.N.NetworkCardIndex", Kind::Integer, HARDWARE),
    ignored("NetworkInterface.N.RxQueueSize", Kind::Integer, HARDWARE),
    ignored("NetworkInterface.N.TxQueueSize", Kind::Integer, HARDWARE),
];

/// The primary interface and the further ones.
pub(super) fn read(
    arguments: &Arguments<'_>,
) -> Result<(CreateNetworkInterface, Vec<FurtherInterface>), Refusal> {
    let structures = arguments.structures(LIST, INSTANCE_INTERFACES_NAMED_MAX)?;
    let (mut primary, mut others) = (None, Vec::new());
    for (number, parameters) in &structures {
        let inner = arguments.inner(LIST, *number, parameters);
        let roles = [InterfaceRole::Primary, InterfaceRole::Secondary];
        let role = inner.convert("InstanceType", |text| {
            roles.into_iter().find(|role| role.name().eq_ignore_ascii_case(text))
        })?;
        match role.unwrap_or(InterfaceRole::Secondary) {
            InterfaceRole::Primary if primary.is_some() => {
                let message = "More than one interface is the primary one.";
                return Err(code::NETWORK_INTERFACE
                    .refuse(message)
                    .at(inner.place("InstanceType")));
            }
            InterfaceRole::Primary => primary = Some(listed_primary(arguments, &inner)?),
            InterfaceRole::Secondary => others.push(inner),
        }
    }
    let primary = match primary {
        Some(primary) => primary,
        None => own_primary(arguments)?,
    };
    let further = others.iter().map(|inner| further(inner, &primary)).collect::<Result<_, _>>()?;
    Ok((primary, further))
}

/// The primary interface of the call's own parameters.
fn own_primary(arguments: &Arguments<'_>) -> Result<CreateNetworkInterface, Refusal> {
    Ok(CreateNetworkInterface {
        primary: arguments.parse("PrivateIpAddress")?,
        addresses: wanted_ipv6_addresses(arguments)?,
        queue_number: arguments.integer("NetworkInterfaceQueueNumber", 1..=QUEUE_NUMBER_MAX)?,
        ..CreateNetworkInterface::new(arguments.required("VSwitchId")?, groups(arguments)?)
    })
}

/// The primary interface of the list: the call itself has nothing more to say of it.
fn listed_primary(
    arguments: &Arguments<'_>,
    inner: &Arguments<'_>,
) -> Result<CreateNetworkInterface, Refusal> {
    let texts = ["VSwitchId", "SecurityGroupId", "PrivateIpAddress", "Ipv6AddressCount"];
    let lists = ["SecurityGroupIds.N", "Ipv6Address.N"];
    for name in texts.into_iter().chain(["NetworkInterfaceQueueNumber"]) {
        if arguments.text(name).is_some() {
            return Err(twice(name));
        }
    }
    for name in lists {
        if !arguments.list::<String>(name, usize::MAX)?.is_empty() {
            return Err(twice(name));
        }
    }
    if let Some(id) = inner.text("NetworkInterfaceId") {
        let message = format!("`{id}` exists already and cannot be a primary interface.");
        let place = inner.place("NetworkInterfaceId");
        return Err(code::NETWORK_INTERFACE.refuse(message).at(place));
    }
    let addresses = WantedAddresses {
        secondary_count: up_to(inner, "SecondaryPrivateIpAddressCount", SECONDARY_ADDRESSES_MAX)?,
        ..wanted_ipv6_addresses(inner)?
    };
    let made = made(inner, inner.required("VSwitchId")?, groups(inner)?)?;
    Ok(CreateNetworkInterface { addresses, delete_on_release: None, ..made })
}

fn twice(name: &'static str) -> Refusal {
    let message = format!("`{name}` stands beside a primary interface in `NetworkInterface.N`");
    code::CONFLICT.refuse(message).with_help("Say it in one place.").at(name)
}

/// A further interface: one that is there, or a new one like the primary one.
fn further(
    inner: &Arguments<'_>,
    primary: &CreateNetworkInterface,
) -> Result<FurtherInterface, Refusal> {
    let ipv6 = wanted_ipv6_addresses(inner)?;
    if ipv6 != WantedAddresses::default() {
        let message = "Only the primary interface is made with IPv6 addresses.";
        return Err(code::NETWORK_INTERFACE
            .refuse(message)
            .with_help("Send AssignIpv6Addresses later.")
            .at(inner.place("Ipv6Address")));
    }
    if let Some(id) = inner.parse("NetworkInterfaceId")? {
        let said = inner.parameters().pairs().filter(|(_, value)| !value.is_empty());
        let more = said
            .map(|(name, _)| name)
            .filter(|name| inner.obeys(name))
            .find(|name| !["InstanceType", "NetworkInterfaceId"].contains(name));
        return match more {
            None => Ok(FurtherInterface::Existing(id)),
            Some(name) => {
                let message = format!("`{name}` stands beside an interface that exists already.");
                Err(code::NETWORK_INTERFACE.refuse(message).at(inner.place(name)))
            }
        };
    }
    let vswitch = inner.parse("VSwitchId")?.unwrap_or_else(|| primary.vswitch.clone());
    let named = inner.text("SecurityGroupId").is_some()
        || !inner
            .list::<SecurityGroupId>("SecurityGroupIds.N", INTERFACE_GROUPS_NAMED_MAX)?
            .is_empty();
    let groups = if named { groups(inner)? } else { primary.groups.clone() };
    let count = up_to(inner, "SecondaryPrivateIpAddressCount", SECONDARY_ADDRESSES_MAX)?;
    let addresses = WantedAddresses { secondary_count: count, ..WantedAddresses::default() };
    let made = made(inner, vswitch, groups)?;
    Ok(FurtherInterface::New(Box::new(CreateNetworkInterface { addresses, ..made })))
}

/// What both kinds say of themselves, without addresses beside the primary one.
fn made(
    inner: &Arguments<'_>,
    vswitch: VSwitchId,
    groups: Vec<SecurityGroupId>,
) -> Result<CreateNetworkInterface, Refusal> {
    Ok(CreateNetworkInterface {
        primary: inner.parse("PrimaryIpAddress")?,
        name: inner.parse("NetworkInterfaceName")?,
        description: inner.parse("Description")?,
        source_dest_check: inner.boolean("SourceDestCheck")?,
        delete_on_release: inner.boolean("DeleteOnRelease")?,
        queue_number: inner.integer("QueueNumber", 1..=QUEUE_NUMBER_MAX)?,
        ..CreateNetworkInterface::new(vswitch, groups)
    })
}
