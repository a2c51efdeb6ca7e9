//! Which interface is tied to which device of this host. Knows nothing of what happens at the
//! device.
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{Context, RunDevice};
use crate::error::ApiError;
use crate::ids::NetworkInterfaceId;
use crate::records::{Binding, Change, Record, RecordKey};
use crate::state::interface::interface_not_found;
use crate::state::{Decision, State};
use crate::text::DeviceName;

impl State {
    /// Ties an interface to a device; the same once more changes nothing.
    pub(super) fn bind(
        &self,
        context: &Context<'_>,
        interface: &NetworkInterfaceId,
        device: &DeviceName,
    ) -> Result<Decision, ApiError> {
        if !self.interfaces.contains_key(interface) {
            return Err(interface_not_found());
        }
        if let Some(bound) = self.bindings.get(interface) {
            if bound.device == *device {
                return Ok(Decision::done(Vec::new()));
            }
            let message = alloc::format!("`{interface}` is bound to `{}` already.", bound.device);
            return Err(ApiError::forbidden("InvalidOperation.InvalidEniState", message)
                .at("NetworkInterfaceId")
                .help("Unbind it first."));
        }
        if RunDevice::of(device).is_some() {
            let message = alloc::format!("`{device}` is a name for devices of runs.");
            return Err(ApiError::forbidden("InvalidOperation.DeviceOfRun", message)
                .at("Device")
                .help("Give the device another name."));
        }
        if let Some(other) = self.index.devices.get(device) {
            let message = alloc::format!("`{device}` is bound to `{other}` already.");
            return Err(ApiError::forbidden("InvalidOperation.DeviceInUse", message)
                .at("Device")
                .help("Unbind that interface first."));
        }
        let binding = Binding {
            interface: interface.clone(),
            device: device.clone(),
            created_ms: context.now_ms,
        };
        Ok(Decision::done(vec![Change::Put(Record::Binding(binding))]))
    }

    pub(super) fn unbind(&self, interface: &NetworkInterfaceId) -> Result<Decision, ApiError> {
        let Some(bound) = self.bindings.get(interface) else {
            let message = alloc::format!("`{interface}` is not bound.");
            return Err(
                ApiError::not_found("InvalidBinding.NotFound", message).at("NetworkInterfaceId")
            );
        };
        // Its command would run on without rules.
        if RunDevice::of(&bound.device).is_some() {
            let message = alloc::format!("`{interface}` is that of a run.");
            return Err(ApiError::forbidden("InvalidOperation.DeviceOfRun", message)
                .at("NetworkInterfaceId")
                .help("End the command of that run; its interface goes with it."));
        }
        Ok(Decision::done(vec![Change::Delete(RecordKey::Binding(interface.clone()))]))
    }

    pub(super) fn put_binding(&mut self, record: Binding) {
        self.remove_binding(&record.interface);
        self.index.devices.insert(record.device.clone(), record.interface.clone());
        self.bindings.insert(record.interface.clone(), record);
    }

    pub(super) fn remove_binding(&mut self, interface: &NetworkInterfaceId) {
        if let Some(old) = self.bindings.remove(interface) {
            self.index.devices.remove(&old.device);
        }
    }
}
