//! Runs: an interface and its binding come together and go together.
//!
//! One change makes both and one removes both, so that no crash leaves an interface of which nobody
//! knows that it was a run's. Whether the run still lives is asked elsewhere.
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{
    Context, CreateNetworkInterface, RunDevice, RunIpv6, StartRun, WantedAddresses, Written,
};
use crate::error::ApiError;
use crate::ids::{AccountId, VSwitchId, VpcId};
use crate::limits::{NAMED_IN_REFUSAL_MAX, RUNS_PER_HOST_MAX};
use crate::records::{Binding, Change, Record, RecordKey, VSwitch};
use crate::state::group::group_not_found;
use crate::state::interface::{Draft, Entrance};
use crate::state::{Decision, State};

/// The name of runs' interfaces.
const INTERFACE_NAME: &str = "portcullis-run";

impl State {
    /// Makes an interface and ties it to a device that may come later.
    pub(super) fn start_run(
        &self,
        context: &mut Context<'_>,
        command: &StartRun,
    ) -> Result<Decision, ApiError> {
        let device = command.device.device();
        if self.index.devices.contains_key(device) {
            let message = alloc::format!("`{device}` is that of another run.");
            return Err(ApiError::forbidden("InvalidOperation.DeviceInUse", message).at("Device"));
        }
        if self.runs().count() >= RUNS_PER_HOST_MAX {
            let message = alloc::format!("This host has {RUNS_PER_HOST_MAX} runs already.");
            return Err(ApiError::forbidden("TooManyRuns", message)
                .help("Wait until one of them has ended."));
        }
        let first = command.groups.first().ok_or_else(|| ApiError::missing("SecurityGroupId"))?;
        let group = &self.groups.get(first).ok_or_else(group_not_found)?.record;
        let vpc = group.vpc.as_ref().ok_or_else(|| {
            let message = "The specified security group is not in a VPC.";
            ApiError::forbidden("InvalidSecurityGroupId.NotVpc", message).at("SecurityGroupId")
        })?;
        let vswitch = match &command.vswitch {
            Some(vswitch) => vswitch.clone(),
            None => self.only_vswitch(group.owner, vpc)?,
        };
        let mut of_owner = Context {
            caller: group.owner,
            region: Some(group.region.clone()),
            now_ms: context.now_ms,
            dice: &mut *context.dice,
            settings: context.settings,
            idempotency: None,
            dry_run: false,
        };
        let wanted = interface_of(command, vswitch);
        let record = Draft::new(self).interface(&mut of_owner, &wanted, Entrance::Interface)?;
        let binding = Binding {
            interface: record.id.clone(),
            device: device.clone(),
            created_ms: context.now_ms,
        };
        let record = Box::new(record);
        let written = Written::NetworkInterface(record.clone());
        let changes =
            vec![Change::Put(Record::Interface(record)), Change::Put(Record::Binding(binding))];
        Ok(Decision::write(written, changes))
    }

    /// Removes what a run had, whatever was made of its interface meanwhile.
    pub(super) fn end_run(&self, device: &RunDevice) -> Result<Decision, ApiError> {
        let Some(interface) = self.index.devices.get(device.device()) else {
            let message = alloc::format!("There is no run with the device `{device}`.");
            return Err(ApiError::not_found("InvalidRun.NotFound", message).at("Device"));
        };
        Ok(Decision::done(vec![
            Change::Delete(RecordKey::Binding(interface.clone())),
            Change::Delete(RecordKey::Interface(interface.clone())),
        ]))
    }

    /// The bindings that are those of runs.
    pub fn runs(&self) -> impl Iterator<Item = (RunDevice, &Binding)> {
        self.bindings().filter_map(|binding| Some((RunDevice::of(&binding.device)?, binding)))
    }

    fn only_vswitch(&self, owner: AccountId, vpc: &VpcId) -> Result<VSwitchId, ApiError> {
        let own: Vec<&VSwitch> =
            self.vswitches_of(vpc).filter(|vswitch| vswitch.owner == owner).collect();
        match own[..] {
            [only] => Ok(only.id.clone()),
            [] => {
                let message = "The VPC of the security group has no vSwitch.";
                Err(ApiError::not_found("InvalidVSwitchId.NotFound", message)
                    .at("VSwitchId")
                    .help("Make one by CreateVSwitch first."))
            }
            _ => {
                let names =
                    own.iter().take(NAMED_IN_REFUSAL_MAX).map(|vswitch| vswitch.id.as_str());
                let names = names.collect::<Vec<_>>().join(", ");
                let message = "The VPC of the security group has several vSwitches.";
                Err(ApiError::invalid("InvalidVSwitchId.Ambiguous", message)
                    .at("VSwitchId")
                    .help(alloc::format!("Name one of them: {names}.")))
            }
        }
    }
}

fn interface_of(command: &StartRun, vswitch: VSwitchId) -> CreateNetworkInterface {
    let mut addresses = WantedAddresses::default();
    match command.ipv6 {
        RunIpv6::None => {}
        RunIpv6::Any => addresses.ipv6_count = 1,
        RunIpv6::This(address) => addresses.ipv6.push(address),
    }
    CreateNetworkInterface {
        primary: command.primary,
        addresses,
        name: INTERFACE_NAME.parse().ok(),
        ..CreateNetworkInterface::new(vswitch, command.groups.clone())
    }
}
