//! Addresses and prefixes of network interfaces: the rows that name them, and the actions that
//! assign and unassign them. Which are free is the state's to know.
use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_core::command::{AssignAddresses, Command, UnassignAddresses, WantedAddresses};
use portcullis_core::limits::{
    INTERFACE_PREFIXES_MAX, IPV6_ADDRESSES_MAX, SECONDARY_ADDRESSES_MAX,
};
use portcullis_core::net::{Ipv4Prefix, Ipv6Prefix};

use super::interfaces::INTERFACE_ID;
use super::shared::{REGION, integer, row};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::refusal::{Refusal, code};

pub(super) const IPV4: &str = "an IPv4 address";

pub(super) const PRIVATE: Parameter = row(
    "PrivateIpAddress.N",
    Kind::List,
    code::PRIVATE_IP,
    IPV4,
    "Further IPv4 addresses, 49 at most.",
);
pub(super) const PRIVATE_COUNT: Parameter = integer(
    "SecondaryPrivateIpAddressCount",
    "a number from 1 to 49",
    "How many further IPv4 addresses to choose, instead of `PrivateIpAddress.N`.",
);
pub(super) const IPV6: Parameter = row(
    "Ipv6Address.N",
    Kind::List,
    code::IPV6_ADDRESS,
    "an IPv6 address",
    "IPv6 addresses, 10 at most.",
);
pub(super) const IPV6_COUNT: Parameter = integer(
    "Ipv6AddressCount",
    "a number from 1 to 10",
    "How many IPv6 addresses to choose, instead of `Ipv6Address.N`.",
);
const IPV4_PREFIX: Parameter = row(
    "Ipv4Prefix.N",
    Kind::List,
    code::INVALID_PARAMETER,
    "an IPv4 block of length 28 without host bits",
    "IPv4 prefixes, 10 at most; all their addresses are the interface's own.",
);
const IPV4_PREFIX_COUNT: Parameter = integer(
    "Ipv4PrefixCount",
    "a number from 1 to 10",
    "How many IPv4 prefixes to choose, instead of `Ipv4Prefix.N`.",
);
const IPV6_PREFIX: Parameter = row(
    "Ipv6Prefix.N",
    Kind::List,
    code::INVALID_PARAMETER,
    "an IPv6 block of length 80 without host bits",
    "IPv6 prefixes, 10 at most; all their addresses are the interface's own.",
);
const IPV6_PREFIX_COUNT: Parameter = integer(
    "Ipv6PrefixCount",
    "a number from 1 to 10",
    "How many IPv6 prefixes to choose, instead of `Ipv6Prefix.N`.",
);

/// IPv4 addresses and prefixes that an interface gets.
pub(super) const WANTED_IPV4: &[Parameter] =
    &[PRIVATE, PRIVATE_COUNT, IPV4_PREFIX, IPV4_PREFIX_COUNT];
/// IPv6 addresses and prefixes that an interface gets.
pub(super) const WANTED_IPV6: &[Parameter] = &[IPV6, IPV6_COUNT, IPV6_PREFIX, IPV6_PREFIX_COUNT];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "AssignPrivateIpAddresses",
        products: &[Product::Ecs],
        summary: "Gives an interface further IPv4 addresses or prefixes of its vSwitch.",
        write: true,
        parameters: &[&[REGION, INTERFACE_ID.required()], WANTED_IPV4],
        decode: |arguments| {
            let addresses = wanted_ipv4(arguments, SECONDARY_ADDRESSES_MAX)?;
            let command = assign(arguments, addresses, "PrivateIpAddress.N")?;
            Ok(Command::AssignPrivateIpAddresses(command))
        },
    },
    Action {
        name: "UnassignPrivateIpAddresses",
        products: &[Product::Ecs],
        summary: "Takes IPv4 addresses or prefixes from an interface; its primary address stays.",
        write: true,
        parameters: &[&[
            REGION,
            INTERFACE_ID.required(),
            PRIVATE.documented("Which of its further IPv4 addresses."),
            IPV4_PREFIX.documented("Which of its IPv4 prefixes."),
        ]],
        decode: |arguments| {
            let command = UnassignAddresses {
                interface: arguments.required("NetworkInterfaceId")?,
                secondary: arguments.list("PrivateIpAddress.N", SECONDARY_ADDRESSES_MAX)?,
                ipv4_prefixes: arguments.list("Ipv4Prefix.N", INTERFACE_PREFIXES_MAX)?,
                ipv6: Vec::new(),
                ipv6_prefixes: Vec::new(),
            };
            unassign(command, "PrivateIpAddress.N")
        },
    },
    Action {
        name: "AssignIpv6Addresses",
        products: &[Product::Ecs],
        summary: "Gives an interface IPv6 addresses or prefixes of its vSwitch.",
        write: true,
        parameters: &[&[REGION, INTERFACE_ID.required()], WANTED_IPV6],
        decode: |arguments| {
            let addresses = wanted_ipv6(arguments)?;
            let command = assign(arguments, addresses, "Ipv6Address.N")?;
            Ok(Command::AssignIpv6Addresses(command))
        },
    },
    Action {
        name: "UnassignIpv6Addresses",
        products: &[Product::Ecs],
        summary: "Takes IPv6 addresses or prefixes from an interface.",
        write: true,
        parameters: &[&[
            REGION,
            INTERFACE_ID.required(),
            IPV6.documented("Which of its IPv6 addresses."),
            IPV6_PREFIX.documented("Which of its IPv6 prefixes."),
        ]],
        decode: |arguments| {
            let command = UnassignAddresses {
                interface: arguments.required("NetworkInterfaceId")?,
                secondary: Vec::new(),
                ipv4_prefixes: Vec::new(),
                ipv6: arguments.list("Ipv6Address.N", IPV6_ADDRESSES_MAX)?,
                ipv6_prefixes: arguments.list("Ipv6Prefix.N", INTERFACE_PREFIXES_MAX)?,
            };
            unassign(command, "Ipv6Address.N")
        },
    },
];

fn assign(
    arguments: &Arguments<'_>,
    addresses: WantedAddresses,
    place: &'static str,
) -> Result<AssignAddresses, Refusal> {
    if addresses == WantedAddresses::default() {
        return Err(nothing_named(place));
    }
    Ok(AssignAddresses { interface: arguments.required("NetworkInterfaceId")?, addresses })
}

fn unassign(command: UnassignAddresses, place: &'static str) -> Result<Command, Refusal> {
    let named = !command.secondary.is_empty()
        || !command.ipv4_prefixes.is_empty()
        || !command.ipv6.is_empty()
        || !command.ipv6_prefixes.is_empty();
    if named { Ok(Command::UnassignAddresses(command)) } else { Err(nothing_named(place)) }
}

fn nothing_named(place: &'static str) -> Refusal {
    let message = "The call names no address and no prefix.";
    code::MISSING_PARAMETER.refuse(message).with_help(format!("Send `{place}`.")).at(place)
}

/// The IPv4 half of what an interface gets; `most` addresses may be named.
pub(super) fn wanted_ipv4(
    arguments: &Arguments<'_>,
    most: usize,
) -> Result<WantedAddresses, Refusal> {
    let secondary: Vec<Ipv4Addr> = arguments.list("PrivateIpAddress.N", most)?;
    let count = up_to(arguments, "SecondaryPrivateIpAddressCount", SECONDARY_ADDRESSES_MAX)?;
    either(secondary.is_empty(), count, ["PrivateIpAddress.N", "SecondaryPrivateIpAddressCount"])?;
    let prefixes: Vec<Ipv4Prefix> = arguments.list("Ipv4Prefix.N", INTERFACE_PREFIXES_MAX)?;
    let prefix_count = up_to(arguments, "Ipv4PrefixCount", INTERFACE_PREFIXES_MAX)?;
    either(prefixes.is_empty(), prefix_count, ["Ipv4Prefix.N", "Ipv4PrefixCount"])?;
    Ok(WantedAddresses {
        secondary,
        secondary_count: count,
        ipv4_prefixes: prefixes,
        ipv4_prefix_count: prefix_count,
        ..WantedAddresses::default()
    })
}

/// The IPv6 half.
pub(super) fn wanted_ipv6(arguments: &Arguments<'_>) -> Result<WantedAddresses, Refusal> {
    let prefixes: Vec<Ipv6Prefix> = arguments.list("Ipv6Prefix.N", INTERFACE_PREFIXES_MAX)?;
    let prefix_count = up_to(arguments, "Ipv6PrefixCount", INTERFACE_PREFIXES_MAX)?;
    either(prefixes.is_empty(), prefix_count, ["Ipv6Prefix.N", "Ipv6PrefixCount"])?;
    Ok(WantedAddresses {
        ipv6_prefixes: prefixes,
        ipv6_prefix_count: prefix_count,
        ..wanted_ipv6_addresses(arguments)?
    })
}

/// IPv6 addresses alone.
pub(super) fn wanted_ipv6_addresses(arguments: &Arguments<'_>) -> Result<WantedAddresses, Refusal> {
    let ipv6: Vec<Ipv6Addr> = arguments.list("Ipv6Address.N", IPV6_ADDRESSES_MAX)?;
    let ipv6_count = up_to(arguments, "Ipv6AddressCount", IPV6_ADDRESSES_MAX)?;
    either(ipv6.is_empty(), ipv6_count, ["Ipv6Address.N", "Ipv6AddressCount"])?;
    Ok(WantedAddresses { ipv6, ipv6_count, ..WantedAddresses::default() })
}

/// How many to choose: 1 at least where it is said.
pub(super) fn up_to(
    arguments: &Arguments<'_>,
    name: &'static str,
    most: usize,
) -> Result<u8, Refusal> {
    let most = u8::try_from(most).unwrap_or(u8::MAX);
    Ok(arguments.integer(name, 1..=most)?.unwrap_or(0))
}

/// Named ones or a number of them, not both.
fn either(none_named: bool, count: u8, names: [&'static str; 2]) -> Result<(), Refusal> {
    if none_named || count == 0 {
        return Ok(());
    }
    let [list, number] = names;
    let message = format!("`{list}` and `{number}` stand together");
    Err(code::CONFLICT.refuse(message).with_help("Send one of the two.").at(number))
}

const _: () = assert!(SECONDARY_ADDRESSES_MAX <= u8::MAX as usize);
