//! Which interface is attached to which instance.
use alloc::boxed::Box;
use alloc::vec;

use super::interface_not_found;
use crate::command::Context;
use crate::error::ApiError;
use crate::ids::{InstanceId, NetworkInterfaceId};
use crate::records::{Attachment, Change, InterfaceRecord, InterfaceRole, Record};
use crate::state::{Decision, State};

/// Unknown to an action of interfaces, or another account's.
fn instance_of_interface_not_found() -> ApiError {
    ApiError::not_found("InvalidEcsId.NotFound", "The specified InstanceId does not exist.")
        .at("InstanceId")
}

fn bad_state(message: alloc::string::String) -> ApiError {
    ApiError::invalid("InvalidOperation.InvalidEniState", message).at("NetworkInterfaceId")
}

impl State {
    pub(in crate::state) fn attach(
        &self,
        context: &Context<'_>,
        interface: &NetworkInterfaceId,
        instance: &InstanceId,
    ) -> Result<Decision, ApiError> {
        self.own_instance(context, instance).ok_or_else(instance_of_interface_not_found)?;
        let primary =
            self.primary_interface(instance).ok_or_else(instance_of_interface_not_found)?;
        let count = self.index.interfaces_of_instance.count(instance);
        let record = self.attached(context, interface, primary, count)?;
        Ok(Decision::done(vec![Change::Put(Record::Interface(Box::new(record)))]))
    }

    /// The interface as one of the instance whose primary interface this is, and which has so many.
    pub(in crate::state) fn attached(
        &self,
        context: &Context<'_>,
        interface: &NetworkInterfaceId,
        primary: &InterfaceRecord,
        count: usize,
    ) -> Result<InterfaceRecord, ApiError> {
        let record = self.own_interface(context, interface).ok_or_else(interface_not_found)?;
        if let Some(attachment) = &record.attachment {
            let message = alloc::format!(
                "The network interface is attached to `{}` already.",
                attachment.instance
            );
            return Err(bad_state(message).help("Detach it first."));
        }
        attachable(context, record, primary, count)?;
        let attachment = primary.attachment.as_ref().map(|own| Attachment {
            instance: own.instance.clone(),
            role: InterfaceRole::Secondary,
            attached_ms: context.now_ms,
        });
        Ok(InterfaceRecord { attachment, ..record.clone() })
    }

    pub(in crate::state) fn detach(
        &self,
        context: &Context<'_>,
        interface: &NetworkInterfaceId,
        instance: &InstanceId,
    ) -> Result<Decision, ApiError> {
        self.own_instance(context, instance).ok_or_else(instance_of_interface_not_found)?;
        let record = self.own_interface(context, interface).ok_or_else(interface_not_found)?;
        if record.instance() != Some(instance) {
            let message = "The network interface is not attached to the specified instance.";
            return Err(bad_state(message.into()));
        }
        match record.role() {
            InterfaceRole::Primary => Err(ApiError::invalid(
                "InvalidOperation.DetachPrimaryEniNotAllowed",
                "The primary network interface of an instance cannot be detached.",
            )
            .at("NetworkInterfaceId")),
            InterfaceRole::Secondary => {
                let record = InterfaceRecord { attachment: None, ..record.clone() };
                Ok(Decision::done(vec![Change::Put(Record::Interface(Box::new(record)))]))
            }
        }
    }
}

/// Whether an interface may be one of the instance whose primary interface this is, and which has
/// `count` of them.
pub(in crate::state) fn attachable(
    context: &Context<'_>,
    record: &InterfaceRecord,
    primary: &InterfaceRecord,
    count: usize,
) -> Result<(), ApiError> {
    if record.vpc != primary.vpc {
        return Err(ApiError::forbidden(
            "InvalidOperation.VpcMismatch",
            "The network interface and the instance are not in the same VPC.",
        )
        .at("NetworkInterfaceId"));
    }
    if record.zone != primary.zone {
        return Err(ApiError::forbidden(
            "InvalidOperation.AvailabilityZoneMismatch",
            "The network interface and the instance are not in the same zone.",
        )
        .at("NetworkInterfaceId"));
    }
    if count >= context.settings.quotas.interfaces_per_instance {
        return Err(ApiError::forbidden(
            "EniPerInstanceLimitExceeded",
            "The number of network interfaces of the instance has reached its quota.",
        )
        .at("InstanceId"));
    }
    Ok(())
}
