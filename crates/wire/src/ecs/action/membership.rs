//! Who joins and leaves groups.
use portcullis_core::command::{Command, Joiner};

use super::instances::INSTANCE_ID;
use super::interfaces::INTERFACE_ID;
use super::shared::{REGION_OPTIONAL, SECURITY_GROUP_ID};
use super::{Action, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::refusal::{Refusal, code};

const PARAMETERS: &[Parameter] = &[
    REGION_OPTIONAL.documented("The region; mandatory beside `NetworkInterfaceId`."),
    SECURITY_GROUP_ID.required(),
    INSTANCE_ID.documented("The instance whose primary interface it is. Either this or the next."),
    INTERFACE_ID.documented("The network interface."),
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "JoinSecurityGroup",
        products: &[Product::Ecs],
        summary: "Puts an instance or a network interface into one more group.",
        write: true,
        parameters: &[PARAMETERS],
        decode: |arguments| {
            Ok(Command::JoinSecurityGroup {
                group: arguments.required("SecurityGroupId")?,
                joiner: joiner(arguments)?,
            })
        },
    },
    Action {
        name: "LeaveSecurityGroup",
        products: &[Product::Ecs],
        summary: "Takes an instance or a network interface out of one of its groups.",
        write: true,
        parameters: &[PARAMETERS],
        decode: |arguments| {
            Ok(Command::LeaveSecurityGroup {
                group: arguments.required("SecurityGroupId")?,
                joiner: joiner(arguments)?,
            })
        },
    },
];

fn joiner(arguments: &Arguments<'_>) -> Result<Joiner, Refusal> {
    let instance = arguments.parse("InstanceId")?;
    let interface = arguments.parse("NetworkInterfaceId")?;
    match (instance, interface) {
        (Some(instance), None) => Ok(Joiner::Instance(instance)),
        (None, Some(interface)) => Ok(Joiner::Interface(interface)),
        (None, None) => {
            Err(Refusal::missing("InstanceId")
                .with_help("Send `InstanceId` or `NetworkInterfaceId`."))
        }
        (Some(_), Some(_)) => {
            let message = "`InstanceId` and `NetworkInterfaceId` stand together";
            let help = "Send one of the two.";
            Err(code::CONFLICT.refuse(message).with_help(help).at("NetworkInterfaceId"))
        }
    }
}
