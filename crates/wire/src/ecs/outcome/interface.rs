//! Fields of network interfaces and of what they are tied to.
use std::net::Ipv4Addr;

use portcullis_core::command::{InterfaceAttribute, NetworkInterfaceRow};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::net::Ipv4Prefix;
use portcullis_core::records::{Binding, ConnectionTracking, InterfaceRecord};

use super::{ecs_tags, time};
use crate::ecs::answer::{Answer, Fields};

/// `QueueNumber` where none was set.
const QUEUES_DEFAULT: u16 = 1;

pub(super) fn interface(row: &NetworkInterfaceRow) -> Answer {
    interface_fields(Fields::new(), &row.interface).text("Status", row.status.name()).into()
}

/// The answer of DescribeNetworkInterfaceAttribute.
pub(super) fn attribute(
    fields: Fields,
    row: &NetworkInterfaceRow,
    attribute: InterfaceAttribute,
) -> Fields {
    let fields = interface_fields(fields, &row.interface).text("Status", row.status.name());
    match attribute {
        InterfaceAttribute::All | InterfaceAttribute::Attachment => fields,
        InterfaceAttribute::ConnectionTracking => {
            let times = row.interface.connection_tracking.unwrap_or(ConnectionTracking::DEFAULT);
            let times = Fields::new()
                .number("TcpEstablishedTimeout", times.tcp_established_s())
                .number("TcpClosedAndTimeWaitTimeout", times.tcp_closed_s())
                .number("UdpTimeout", times.udp_s());
            fields.with("ConnectionTrackingConfiguration", times.into())
        }
    }
}

/// `PrivateIpSets` and its like, the same wherever an interface is shown.
pub(super) fn addresses(fields: Fields, record: &InterfaceRecord) -> Fields {
    let address = |address: &Ipv4Addr, primary: bool| {
        Fields::new().text("PrivateIpAddress", address).flag("Primary", primary).into()
    };
    let addresses = std::iter::once(address(&record.primary, true))
        .chain(record.secondary.iter().map(|own| address(own, false)));
    let ipv6 = record.ipv6.iter().map(|own| Fields::new().text("Ipv6Address", own).into());
    let ipv4_prefixes =
        record.ipv4_prefixes.iter().map(|own| Fields::new().text("Ipv4Prefix", own).into());
    let ipv6_prefixes =
        record.ipv6_prefixes.iter().map(|own| Fields::new().text("Ipv6Prefix", own).into());
    fields
        .list("PrivateIpSets", "PrivateIpSet", addresses)
        .list("Ipv6Sets", "Ipv6Set", ipv6)
        .list("Ipv4PrefixSets", "Ipv4PrefixSet", ipv4_prefixes)
        .list("Ipv6PrefixSets", "Ipv6PrefixSet", ipv6_prefixes)
}

/// What a call has assigned: addresses and prefixes of IPv4.
pub(super) fn assigned_ipv4(
    interface: &NetworkInterfaceId,
    addresses: &[Ipv4Addr],
    prefixes: &[Ipv4Prefix],
) -> Answer {
    Fields::new()
        .text("NetworkInterfaceId", interface)
        .list("PrivateIpSet", "PrivateIpAddress", addresses.iter().map(Answer::of))
        .list("Ipv4PrefixSet", "Ipv4Prefixes", prefixes.iter().map(Answer::of))
        .into()
}

fn attachment(record: &InterfaceRecord) -> Answer {
    let fields = Fields::new();
    match &record.attachment {
        None => fields.into(),
        Some(own) => fields
            .text("InstanceId", &own.instance)
            .text("TrunkNetworkInterfaceId", "")
            .text("AttachedTime", time::format(own.attached_ms))
            .list("MemberNetworkInterfaceIds", "MemberNetworkInterfaceId", [])
            .into(),
    }
}

/// All of an interface but its status.
pub(super) fn interface_fields(fields: Fields, record: &InterfaceRecord) -> Fields {
    let fields = fields
        .text("NetworkInterfaceId", &record.id)
        .text_or_empty("NetworkInterfaceName", record.name.as_ref())
        .text_or_empty("Description", record.description.as_ref())
        .text("Type", record.role().name())
        .text("VpcId", &record.vpc)
        .text("VSwitchId", &record.vswitch)
        .text("ZoneId", &record.zone)
        .text("MacAddress", record.mac)
        .text("PrivateIpAddress", record.primary);
    let mut fields = addresses(fields, record)
        .list("SecurityGroupIds", "SecurityGroupId", record.groups.iter().map(Answer::of))
        .text_or_empty("ResourceGroupId", record.resource_group.as_ref())
        .text("CreationTime", time::format(record.created_ms))
        .text("OwnerId", record.owner)
        .text_or_empty("InstanceId", record.instance())
        .number("QueueNumber", record.queue_number.unwrap_or(QUEUES_DEFAULT))
        .text("NetworkInterfaceTrafficMode", "Standard")
        .flag("DeleteOnRelease", record.delete_on_release)
        .flag("ServiceManaged", false)
        .with("Attachment", attachment(record))
        .with("AssociatedPublicIp", Fields::new().into());
    if let Some(check) = record.source_dest_check {
        fields = fields.flag("SourceDestCheck", check);
    }
    ecs_tags(fields, &record.tags)
}

pub(super) fn binding(binding: &Binding) -> Answer {
    Fields::new()
        .text("NetworkInterfaceId", &binding.interface)
        .text("Device", &binding.device)
        .text("CreationTime", time::format(binding.created_ms))
        .into()
}
