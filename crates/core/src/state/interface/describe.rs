//! Which interfaces are asked for, and how each stands.
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::interface_not_found;
use crate::command::{
    Context, DescribeNetworkInterfaces, InterfaceAttribute, InterfaceStatus, NetworkInterfaceRow,
    Outcome,
};
use crate::error::ApiError;
use crate::ids::NetworkInterfaceId;
use crate::records::InterfaceRecord;
use crate::state::describe::{Descending, in_sight, part};
use crate::state::{Decision, State};

impl State {
    pub(in crate::state) fn describe_interfaces(
        &self,
        context: &Context<'_>,
        command: &DescribeNetworkInterfaces,
    ) -> Result<Decision, ApiError> {
        let candidates: Vec<&NetworkInterfaceId> = if !command.interfaces.is_empty() {
            command.interfaces.iter().collect()
        } else if let Some(instance) = &command.instance {
            self.index.interfaces_of_instance.get(instance).collect()
        } else if let Some(group) = &command.group {
            self.world.members(group).map(|member| &member.id).collect()
        } else if let Some(vswitch) = &command.vswitch {
            self.index.interfaces_of_vswitch.get(vswitch).collect()
        } else if let Some(vpc) = &command.vpc {
            let vswitches = self.index.vswitches_of_vpc.get(vpc);
            vswitches.flat_map(|id| self.index.interfaces_of_vswitch.get(id)).collect()
        } else {
            in_sight(&self.index.interfaces, context)
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.own_interface(context, id))
            .filter(|record| meets(command, record, self.status(record)))
            .map(|record| Descending(record.id.clone()))
            .collect();
        let page = part(keys, &command.paging)?.rows(|key| {
            let interface = self.interfaces.get(&key.0)?.clone();
            Some(NetworkInterfaceRow { status: self.status(&interface), interface })
        });
        Ok(Decision::read(Outcome::NetworkInterfaces(page)))
    }

    pub(in crate::state) fn describe_interface_attribute(
        &self,
        context: &Context<'_>,
        id: &NetworkInterfaceId,
        attribute: InterfaceAttribute,
    ) -> Result<Decision, ApiError> {
        let interface = self.own_interface(context, id).ok_or_else(interface_not_found)?.clone();
        let row = NetworkInterfaceRow { status: self.status(&interface), interface };
        Ok(Decision::read(Outcome::NetworkInterfaceAttribute(Box::new(row), attribute)))
    }

    fn status(&self, record: &InterfaceRecord) -> InterfaceStatus {
        if record.attachment.is_some() || self.bindings.contains_key(&record.id) {
            InterfaceStatus::InUse
        } else {
            InterfaceStatus::Available
        }
    }
}

fn meets(
    command: &DescribeNetworkInterfaces,
    record: &InterfaceRecord,
    status: InterfaceStatus,
) -> bool {
    let has_ipv4 = |address: &Ipv4Addr| record.addresses().any(|own| own == IpAddr::V4(*address));
    command.group.as_ref().is_none_or(|group| record.groups.contains(group))
        && command.vswitch.as_ref().is_none_or(|vswitch| record.vswitch == *vswitch)
        && command.vpc.as_ref().is_none_or(|vpc| record.vpc == *vpc)
        && command.primary.is_none_or(|primary| record.primary == primary)
        && (command.private_addresses.is_empty() || command.private_addresses.iter().any(has_ipv4))
        && (command.ipv6_addresses.is_empty()
            || command.ipv6_addresses.iter().any(|address| record.ipv6.contains(address)))
        && command.name.as_ref().is_none_or(|name| record.name.as_ref() == Some(name))
        && command.status.is_none_or(|wanted| wanted == Some(status))
        && command.role.is_none_or(|role| record.role() == role)
        && (command.instance.is_none() || record.instance() == command.instance.as_ref())
        && command.service_managed != Some(true)
        && (command.resource_group.is_none() || record.resource_group == command.resource_group)
        && record.tags.meet(&command.tags)
}
