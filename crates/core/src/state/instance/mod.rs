//! Instances: registered with their primary interface, changed, and gone with it.
//!
//! No machine is run here: an instance is a name for interfaces that come and go together. Here are
//! changing and going, and what is indexed; making and listing are next door.
mod describe;
mod run;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{
    BatchMode, Context, DeleteInstances, Edit, InstanceBatch, InstanceResponse,
    ModifyInstanceAttribute, Written,
};
use crate::error::ApiError;
use crate::ids::InstanceId;
use crate::records::{
    Change, Instance, InstanceStatus, InterfaceRecord, InterfaceRole, Record, RecordKey,
};
use crate::state::account::sees;
use crate::state::interface::{Entrance, Entry, Joined};
use crate::state::{Decision, State};

/// Unknown, or another account's.
pub(super) fn instance_not_found() -> ApiError {
    ApiError::not_found("InvalidInstanceId.NotFound", "The specified InstanceId does not exist.")
        .at("InstanceId")
}

/// What becomes of one instance of a batch.
struct Step {
    current: Option<InstanceStatus>,
    changes: Vec<Change>,
}

fn wrong_status(instance: &Instance) -> ApiError {
    let message = alloc::format!(
        "The current status of the resource, {}, does not support this operation.",
        instance.status.name()
    );
    ApiError::forbidden("IncorrectInstanceStatus", message).at("InstanceId")
}

impl State {
    /// The instance, if the caller may see it.
    pub(super) fn own_instance(&self, context: &Context<'_>, id: &InstanceId) -> Option<&Instance> {
        self.instances.get(id).filter(|instance| sees(context, instance.owner, &instance.region))
    }

    /// The interfaces of an instance, by id.
    fn interfaces_of(&self, id: &InstanceId) -> impl Iterator<Item = &InterfaceRecord> {
        self.index.interfaces_of_instance.get(id).filter_map(|own| self.interfaces.get(own))
    }

    /// The primary interface of an instance.
    pub(super) fn primary_interface(&self, id: &InstanceId) -> Option<&InterfaceRecord> {
        self.interfaces_of(id).find(|record| record.role() == InterfaceRole::Primary)
    }

    pub(super) fn start_instances(
        &self,
        context: &Context<'_>,
        batch: &InstanceBatch,
    ) -> Result<Decision, ApiError> {
        let now_ms = context.now_ms;
        self.each(context, batch, |instance| match instance.status {
            InstanceStatus::Running => Err(wrong_status(instance)),
            InstanceStatus::Stopped => {
                let status = InstanceStatus::Running;
                let started = Instance { status, started_ms: Some(now_ms), ..instance.clone() };
                Ok(Step {
                    current: Some(status),
                    changes: vec![Change::Put(Record::Instance(Box::new(started)))],
                })
            }
        })
    }

    pub(super) fn stop_instances(
        &self,
        context: &Context<'_>,
        batch: &InstanceBatch,
    ) -> Result<Decision, ApiError> {
        self.each(context, batch, |instance| match instance.status {
            InstanceStatus::Stopped => Err(wrong_status(instance)),
            InstanceStatus::Running => {
                let status = InstanceStatus::Stopped;
                let stopped = Instance { status, ..instance.clone() };
                Ok(Step {
                    current: Some(status),
                    changes: vec![Change::Put(Record::Instance(Box::new(stopped)))],
                })
            }
        })
    }

    pub(super) fn delete_instances(
        &self,
        context: &Context<'_>,
        command: &DeleteInstances,
    ) -> Result<Decision, ApiError> {
        self.each(context, &command.batch, |instance| {
            if instance.deletion_protection {
                return Err(ApiError::forbidden(
                    "InvalidOperation.DeletionProtection",
                    "The instance is protected against deletion.",
                )
                .at("InstanceId")
                .help("Send ModifyInstanceAttribute with DeletionProtection=false first."));
            }
            if instance.status == InstanceStatus::Running && !command.force {
                return Err(wrong_status(instance).help("Stop it first, or send Force=true."));
            }
            let mut changes = Vec::new();
            for record in self.interfaces_of(&instance.id) {
                changes.push(self.released(record)?);
            }
            changes.push(Change::Delete(RecordKey::Instance(instance.id.clone())));
            Ok(Step { current: None, changes })
        })
    }

    /// What becomes of an interface whose instance goes. One that is enforced on a device stays
    /// until it is unbound, so that no device is left open.
    fn released(&self, record: &InterfaceRecord) -> Result<Change, ApiError> {
        let goes = record.role() == InterfaceRole::Primary || record.delete_on_release;
        if !goes {
            let record = InterfaceRecord { attachment: None, ..record.clone() };
            return Ok(Change::Put(Record::Interface(Box::new(record))));
        }
        if let Some(binding) = self.bindings.get(&record.id) {
            let message = alloc::format!(
                "The network interface `{}` is bound to `{}` and cannot be deleted.",
                record.id,
                binding.device
            );
            return Err(ApiError::forbidden("InvalidOperation.InvalidEniState", message)
                .at("InstanceId")
                .help("Unbind it first."));
        }
        Ok(Change::Delete(RecordKey::Interface(record.id.clone())))
    }

    /// Does `step` with each instance of a batch once.
    fn each(
        &self,
        context: &Context<'_>,
        batch: &InstanceBatch,
        step: impl Fn(&Instance) -> Result<Step, ApiError>,
    ) -> Result<Decision, ApiError> {
        let mut ids: Vec<&InstanceId> = Vec::new();
        for id in &batch.instances {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let (mut changes, mut responses) = (Vec::new(), Vec::new());
        for id in ids {
            let instance = self.own_instance(context, id);
            let previous = instance.map(|instance| instance.status);
            let done = instance.ok_or_else(instance_not_found).and_then(&step);
            let (code, message, current) = match done {
                Ok(step) => {
                    changes.extend(step.changes);
                    ("200".to_string(), "success".to_string(), step.current)
                }
                Err(error) if batch.mode == BatchMode::SuccessFirst => {
                    (error.code.to_string(), error.message.to_string(), previous)
                }
                Err(error) => return Err(error),
            };
            let instance = id.clone();
            responses.push(InstanceResponse { instance, code, message, previous, current });
        }
        let written = match batch.mode {
            BatchMode::Single => Written::Done,
            BatchMode::AllTogether | BatchMode::SuccessFirst => Written::Batch(responses),
        };
        Ok(Decision::write(written, changes))
    }

    pub(super) fn modify_instance(
        &self,
        context: &Context<'_>,
        command: &ModifyInstanceAttribute,
    ) -> Result<Decision, ApiError> {
        let old = self.own_instance(context, &command.instance).ok_or_else(instance_not_found)?;
        let primary = self.primary_interface(&old.id).ok_or_else(instance_not_found)?;
        let mut instance = old.clone();
        if let Some(name) = &command.name {
            instance.name = Some(name.clone());
        }
        match &command.description {
            Edit::Keep => {}
            Edit::Clear => instance.description = None,
            Edit::Set(description) => instance.description = Some(description.clone()),
        }
        if let Some(host_name) = &command.host_name {
            instance.host_name = Some(host_name.clone());
        }
        if let Some(deletion_protection) = command.deletion_protection {
            instance.deletion_protection = deletion_protection;
        }
        let mut interface = primary.clone();
        if command.queue_number.is_some() {
            interface.queue_number = command.queue_number;
        }
        if let Some(groups) = &command.groups {
            let entry = Entry {
                vpc: &primary.vpc,
                groups,
                old: &primary.groups,
                address_count: primary.address_count(),
                entrance: Entrance::Interface,
            };
            interface.groups = self
                .check_groups(context, &entry, &Joined::default())
                .map_err(|error| error.at("SecurityGroupIds"))?;
        }
        let mut changes = Vec::new();
        if interface != *primary {
            changes.push(Change::Put(Record::Interface(Box::new(interface))));
        }
        if instance != *old {
            changes.push(Change::Put(Record::Instance(Box::new(instance))));
        }
        Ok(Decision::done(changes))
    }

    pub(super) fn put_instance(&mut self, record: Instance) {
        self.remove_instance(&record.id);
        self.index.instances.insert((record.owner, record.region.clone()), record.id.clone());
        self.instances.insert(record.id.clone(), record);
    }

    pub(super) fn remove_instance(&mut self, id: &InstanceId) {
        if let Some(old) = self.instances.remove(id) {
            self.index.instances.remove(&(old.owner, old.region), id);
        }
    }
}
