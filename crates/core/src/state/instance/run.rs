//! New instances, each with its interfaces.
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use crate::command::{Context, FurtherInterface, NewInstance, RunInstances, Written};
use crate::error::ApiError;
use crate::ids::InstanceId;
use crate::records::{
    Attachment, Change, Instance, InstanceStatus, InterfaceRecord, InterfaceRole, Record,
};
use crate::state::interface::{Draft, Entrance, attachable};
use crate::state::{Decision, State, draw};
use crate::text::Name;

/// Digits that `UniqueSuffix` appends.
const SUFFIX_DIGITS: usize = 3;

impl State {
    /// Made and started.
    pub(in crate::state) fn run_instances(
        &self,
        context: &mut Context<'_>,
        command: &RunInstances,
    ) -> Result<Decision, ApiError> {
        let mut draft = Draft::new(self);
        let (mut changes, mut instances, mut ids) = (Vec::new(), Vec::new(), BTreeSet::new());
        let existing =
            |further: &FurtherInterface| matches!(further, FurtherInterface::Existing(_));
        if command.amount > 1 && command.further.iter().any(existing) {
            let message = "One network interface cannot be attached to several instances.";
            return Err(ApiError::invalid("InvalidParam.NetworkInterface", message)
                .at("NetworkInterfaceId")
                .help("Send Amount=1 with it."));
        }
        for number in 0..command.amount {
            let wanted = numbered(command, number)?;
            let (instance, primary) =
                self.instance(context, &mut draft, &wanted, InstanceStatus::Running, &ids)?;
            for (place, further) in command.further.iter().enumerate() {
                let record = self.further(context, &mut draft, further, &primary, place + 1)?;
                changes.push(Change::Put(Record::Interface(Box::new(record))));
            }
            changes.push(Change::Put(Record::Interface(Box::new(primary))));
            ids.insert(instance.id.clone());
            instances.push(instance.id.clone());
            changes.push(Change::Put(Record::Instance(Box::new(instance))));
        }
        let mut seen = BTreeSet::new();
        if !changes.iter().all(|change| seen.insert(change.key())) {
            let message = "One network interface is named twice.";
            return Err(ApiError::invalid("InvalidParam.NetworkInterface", message)
                .at("NetworkInterfaceId"));
        }
        Ok(Decision::write(Written::Instances(instances), changes))
    }

    /// Made and not started.
    pub(in crate::state) fn create_instance(
        &self,
        context: &mut Context<'_>,
        command: &NewInstance,
    ) -> Result<Decision, ApiError> {
        let (stopped, none) = (InstanceStatus::Stopped, BTreeSet::new());
        let (instance, primary) =
            self.instance(context, &mut Draft::new(self), command, stopped, &none)?;
        let written = Written::Instance { instance: instance.id.clone() };
        let changes = vec![
            Change::Put(Record::Interface(Box::new(primary))),
            Change::Put(Record::Instance(Box::new(instance))),
        ];
        Ok(Decision::write(written, changes))
    }

    fn instance(
        &self,
        context: &mut Context<'_>,
        draft: &mut Draft<'_>,
        wanted: &NewInstance,
        status: InstanceStatus,
        others: &BTreeSet<InstanceId>,
    ) -> Result<(Instance, InterfaceRecord), ApiError> {
        let mut primary = draft.interface(context, &wanted.primary, Entrance::Instance)?;
        if wanted.zone.as_ref().is_some_and(|zone| *zone != primary.zone) {
            let message = "The specified vSwitch is not in the specified zone.";
            return Err(ApiError::invalid("InvalidParameter.Mismatch", message).at("ZoneId"));
        }
        let is_taken = |id: &InstanceId| self.instances.contains_key(id) || others.contains(id);
        let instance = Instance {
            id: draw::id(context.dice, "i-", is_taken)?,
            owner: context.caller,
            region: primary.region.clone(),
            name: wanted.name.clone(),
            description: wanted.description.clone(),
            host_name: wanted.host_name.clone(),
            instance_type: wanted.instance_type.clone(),
            image: wanted.image.clone(),
            key_pair: wanted.key_pair.clone(),
            status,
            deletion_protection: wanted.deletion_protection.unwrap_or(false),
            resource_group: wanted.resource_group.clone(),
            tags: wanted.tags.clone(),
            created_ms: context.now_ms,
            started_ms: (status == InstanceStatus::Running).then_some(context.now_ms),
        };
        primary.attachment = Some(Attachment {
            instance: instance.id.clone(),
            role: InterfaceRole::Primary,
            attached_ms: context.now_ms,
        });
        Ok((instance, primary))
    }

    /// A further interface of the instance whose primary interface this is, and which has `count`.
    fn further(
        &self,
        context: &mut Context<'_>,
        draft: &mut Draft<'_>,
        further: &FurtherInterface,
        primary: &InterfaceRecord,
        count: usize,
    ) -> Result<InterfaceRecord, ApiError> {
        match further {
            FurtherInterface::Existing(id) => self.attached(context, id, primary, count),
            FurtherInterface::New(wanted) => {
                let mut record = draft.interface(context, wanted, Entrance::Instance)?;
                attachable(context, &record, primary, count)?;
                record.attachment = primary
                    .attachment
                    .clone()
                    .map(|own| Attachment { role: InterfaceRole::Secondary, ..own });
                Ok(record)
            }
        }
    }
}

/// What is wanted of one of several instances.
fn numbered(command: &RunInstances, number: u8) -> Result<NewInstance, ApiError> {
    let mut wanted = command.instance.clone();
    if let Some(first) = wanted.primary.primary {
        let address = first.to_bits().checked_add(u32::from(number));
        wanted.primary.primary = address.map(Ipv4Addr::from_bits);
    }
    if number > 0 {
        let addresses = &wanted.primary.addresses;
        let named = !addresses.secondary.is_empty()
            || !addresses.ipv6.is_empty()
            || !addresses.ipv4_prefixes.is_empty()
            || !addresses.ipv6_prefixes.is_empty();
        if named {
            let message = "Several instances cannot have the same addresses.";
            return Err(ApiError::invalid("InvalidParam.NetworkInterface", message)
                .at("Ipv6Address")
                .help("Send Amount=1 with them."));
        }
    }
    if let (true, Some(name)) = (command.unique_suffix && command.amount > 1, &wanted.name) {
        let text = alloc::format!("{name}{:0SUFFIX_DIGITS$}", u16::from(number) + 1);
        let name: Name = text.parse().map_err(|_| {
            let message = "The name is too long for three more digits.";
            ApiError::forbidden("InvalidParams.InstanceNameExceed", message).at("InstanceName")
        })?;
        wanted.name = Some(name);
    }
    Ok(wanted)
}
