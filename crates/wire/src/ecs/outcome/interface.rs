//! Fields of network interfaces and of what they are tied to.
use std::net::Ipv4Addr;

use portcullis_core::command::NetworkInterfaceRow;
use portcullis_core::records::{Binding, InterfaceRecord};

use super::{ecs_tags, time};
use crate::ecs::answer::{Answer, Fields};

pub(super) fn interface(row: &NetworkInterfaceRow) -> Answer {
    interface_fields(Fields::new(), &row.interface).text("Status", row.status.name()).into()
}

/// All of an interface but its status.
pub(super) fn interface_fields(fields: Fields, record: &InterfaceRecord) -> Fields {
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

pub(super) fn binding(binding: &Binding) -> Answer {
    Fields::new()
        .text("NetworkInterfaceId", &binding.interface)
        .text("Device", &binding.device)
        .text("CreationTime", time::format(binding.created_ms))
        .into()
}
