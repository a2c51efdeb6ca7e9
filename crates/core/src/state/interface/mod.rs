//! Network interfaces: addresses out of their vSwitch, groups of their VPC, and who may be deleted.
//!
//! Here are their making, changing and going, and what is indexed of them; one module each for
//! where addresses come from, for groups, for what is attached to instances and for what is listed.
mod addresses;
mod attach;
mod choice;
mod describe;
mod draft;
mod membership;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{
    Context, CreateNetworkInterface, Edit, ModifyNetworkInterfaceAttribute, Written,
};
use crate::error::ApiError;
use crate::ids::{NetworkInterfaceId, SecurityGroupId};
use crate::net::Family;
use crate::records::{Change, ConnectionTracking, InterfaceRecord, Record, RecordKey};
use crate::state::account::sees;
use crate::state::index::shift;
use crate::state::{Decision, State};
pub(super) use attach::attachable;
pub(super) use draft::Draft;
pub(super) use membership::{Entrance, Entry, Joined};

/// Unknown, or another account's.
pub(super) fn interface_not_found() -> ApiError {
    ApiError::not_found("InvalidEniId.NotFound", "The specified NetworkInterfaceId does not exist.")
        .at("NetworkInterfaceId")
}

/// Unknown to an action of the Ecs product, or another account's.
pub(super) fn vswitch_not_found() -> ApiError {
    ApiError::not_found("InvalidVSwitchId.NotFound", "The specified vSwitch does not exist.")
        .at("VSwitchId")
}

impl State {
    /// The interface, if the caller may see it.
    pub(super) fn own_interface(
        &self,
        context: &Context<'_>,
        id: &NetworkInterfaceId,
    ) -> Option<&InterfaceRecord> {
        self.interfaces.get(id).filter(|record| sees(context, record.owner, &record.region))
    }

    pub(super) fn create_interface(
        &self,
        context: &mut Context<'_>,
        command: &CreateNetworkInterface,
    ) -> Result<Decision, ApiError> {
        let record = Draft::new(self).interface(context, command, Entrance::Interface)?;
        let record = Box::new(record);
        let written = Written::NetworkInterface(record.clone());
        Ok(Decision::write(written, vec![Change::Put(Record::Interface(record))]))
    }

    pub(super) fn modify_interface(
        &self,
        context: &Context<'_>,
        command: &ModifyNetworkInterfaceAttribute,
    ) -> Result<Decision, ApiError> {
        let old =
            self.own_interface(context, &command.interface).ok_or_else(interface_not_found)?;
        let mut record = old.clone();
        if let Some(groups) = &command.groups {
            let entry = Entry {
                vpc: &old.vpc,
                groups,
                old: &old.groups,
                address_count: old.address_count(),
                entrance: Entrance::Interface,
            };
            record.groups = self.check_groups(context, &entry, &Joined::default())?;
        }
        if let Some(name) = &command.name {
            record.name = Some(name.clone());
        }
        match &command.description {
            Edit::Keep => {}
            Edit::Clear => record.description = None,
            Edit::Set(description) => record.description = Some(description.clone()),
        }
        if command.source_dest_check.is_some() {
            record.source_dest_check = command.source_dest_check;
        }
        if let Some(delete_on_release) = command.delete_on_release {
            record.delete_on_release = delete_on_release;
        }
        if command.queue_number.is_some() {
            record.queue_number = command.queue_number;
        }
        record.connection_tracking = merged_tracking(old.connection_tracking, command)?;
        let changes = if record == *old {
            Vec::new()
        } else {
            vec![Change::Put(Record::Interface(Box::new(record)))]
        };
        Ok(Decision::done(changes))
    }

    pub(super) fn delete_interface(
        &self,
        context: &Context<'_>,
        id: &NetworkInterfaceId,
    ) -> Result<Decision, ApiError> {
        let record = self.own_interface(context, id).ok_or_else(interface_not_found)?;
        if let Some(attachment) = &record.attachment {
            let message = alloc::format!(
                "The network interface is attached to `{}` and cannot be deleted.",
                attachment.instance
            );
            return Err(ApiError::forbidden("InvalidOperation.InvalidEniState", message)
                .at("NetworkInterfaceId")
                .help("Detach it first; a primary interface goes with its instance."));
        }
        if let Some(binding) = self.bindings.get(id) {
            let message = alloc::format!(
                "The network interface is bound to `{}` and cannot be deleted.",
                binding.device
            );
            return Err(ApiError::forbidden("InvalidOperation.InvalidEniState", message)
                .at("NetworkInterfaceId")
                .help("Unbind it first."));
        }
        Ok(Decision::done(vec![Change::Delete(RecordKey::Interface(record.id.clone()))]))
    }

    pub(super) fn put_interface(&mut self, record: InterfaceRecord) {
        self.remove_interface(&record.id);
        let id = record.id.clone();
        self.world.put_interface(record.in_world());
        self.index.interfaces.insert((record.owner, record.region.clone()), id.clone());
        self.index.interfaces_of_vswitch.insert(record.vswitch.clone(), id.clone());
        self.index.macs.insert(record.mac, id.clone());
        if let Some(instance) = record.instance() {
            self.index.interfaces_of_instance.insert(instance.clone(), id.clone());
        }
        let pool = self.index.pools.entry(record.vswitch.clone()).or_default();
        for prefix in record.prefixes() {
            let (first, last) = prefix.range();
            match prefix.family() {
                Family::V4 => {
                    pool.ipv4.insert(first, last);
                    pool.ipv4_count += size(first, last);
                }
                Family::V6 => pool.ipv6.insert(first, last),
            }
        }
        let combination = sorted(&record.groups);
        for group in &combination {
            self.index.combinations.add(group, &combination);
            shift(&mut self.index.addresses_of_group, group, record.address_count(), 0);
        }
        self.interfaces.insert(id, record);
    }

    pub(super) fn remove_interface(&mut self, id: &NetworkInterfaceId) {
        let Some(old) = self.interfaces.remove(id) else { return };
        self.world.remove_interface(id);
        self.index.interfaces.remove(&(old.owner, old.region.clone()), id);
        self.index.interfaces_of_vswitch.remove(&old.vswitch, id);
        self.index.macs.remove(&old.mac);
        if let Some(instance) = old.instance() {
            self.index.interfaces_of_instance.remove(instance, id);
        }
        if let Some(pool) = self.index.pools.get_mut(&old.vswitch) {
            for prefix in old.prefixes() {
                let (first, last) = prefix.range();
                match prefix.family() {
                    Family::V4 => {
                        pool.ipv4.remove(first, last);
                        pool.ipv4_count = pool.ipv4_count.saturating_sub(size(first, last));
                    }
                    Family::V6 => pool.ipv6.remove(first, last),
                }
            }
            if pool.ipv4.is_empty() && pool.ipv6.is_empty() {
                self.index.pools.remove(&old.vswitch);
            }
        }
        let combination = sorted(&old.groups);
        for group in &combination {
            self.index.combinations.subtract(group, &combination);
            shift(&mut self.index.addresses_of_group, group, 0, old.address_count());
        }
    }
}

fn sorted(groups: &[SecurityGroupId]) -> Vec<SecurityGroupId> {
    let mut sorted = groups.to_vec();
    sorted.sort_unstable();
    sorted
}

/// How many IPv4 addresses there are from the first to the last.
fn size(first: u128, last: u128) -> u32 {
    u32::try_from(last - first + 1).unwrap_or(u32::MAX)
}

/// Idle times as they are, with what the command sets; all of them unset stays unset.
fn merged_tracking(
    old: Option<ConnectionTracking>,
    command: &ModifyNetworkInterfaceAttribute,
) -> Result<Option<ConnectionTracking>, ApiError> {
    let (established, closed, udp) =
        (command.tcp_established_s, command.tcp_closed_s, command.udp_s);
    if established.is_none() && closed.is_none() && udp.is_none() {
        return Ok(old);
    }
    let base = old.unwrap_or(ConnectionTracking::DEFAULT);
    let merged = ConnectionTracking::new(
        established.unwrap_or(base.tcp_established_s()),
        closed.unwrap_or(base.tcp_closed_s()),
        udp.unwrap_or(base.udp_s()),
    );
    merged.map(Some).ok_or_else(|| {
        ApiError::invalid(
            "InvalidParameter.ConnectionTrackingConfiguration",
            "The specified ConnectionTrackingConfiguration is not valid.",
        )
        .at("ConnectionTrackingConfiguration")
        .help(
            "TcpEstablishedTimeout is 30, 60, 80, 100, 200, 300, 500, 700 or 910, \
             TcpClosedAndTimeWaitTimeout 3 to 15, UdpTimeout 10, 20, 30, 60, 80 or 100.",
        )
    })
}
