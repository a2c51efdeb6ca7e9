//! Instances: the rows and decoders of their actions. An instance is registered, not run: what asks
//! for a machine stands in `machines`.
use std::net::Ipv4Addr;

use portcullis_core::command::{
    BatchMode, Command, CreateNetworkInterface, DeleteInstances, DescribeInstances, InstanceBatch,
    InstanceFilters, ModifyInstanceAttribute, NewInstance, RunInstances,
};
use portcullis_core::ids::InstanceId;
use portcullis_core::limits::{
    IDS_PER_FILTER_MAX, INSTANCES_PER_CALL_MAX, MAX_RESULTS_MAX, QUEUE_NUMBER_MAX,
};
use portcullis_core::records::InstanceStatus;

use super::addresses::{IPV6, IPV6_COUNT, up_to};
use super::interfaces::VSWITCH_ID;
use super::machines::{self, MACHINE};
use super::run_interfaces;
use super::shared::{
    self, ANY_TEXT, NEXT_TOKEN, PAGES, REGION, REGION_OPTIONAL, RESOURCE_GROUP_ID,
    SECURITY_GROUP_ID, TAGS, boolean, ignored, integer, max_results, row, text, unsupported,
    unsupported_unless,
};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::limits::INTERFACE_GROUPS_NAMED_MAX;
use crate::ecs::refusal::{Refusal, code};

pub(super) const INSTANCE_ID: Parameter = text(
    "InstanceId",
    code::INSTANCE_MALFORMED,
    "an instance's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The instance.",
);
const NAME: Parameter = text(
    "InstanceName",
    code::INSTANCE_NAME,
    "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter",
    "A name; the id where it is absent.",
);
const DESCRIPTION: Parameter = text(
    "Description",
    code::DESCRIPTION,
    "2 to 256 printable characters that do not begin with http:// or https://",
    "A description.",
);
const HOST_NAME: Parameter =
    text("HostName", code::HOST_NAME, LABEL, "The name of the host; kept and echoed.");
const LABEL: &str = "1 to 128 printable characters that do not begin with http:// or https://";
const QUEUES: Parameter = integer(
    "NetworkInterfaceQueueNumber",
    "a number from 1 to 2048",
    "`QueueNumber` of its primary interface.",
);
const PROTECTION: Parameter =
    boolean("DeletionProtection", "Whether it cannot be deleted until this is taken back.");
const ZONE: Parameter = text(
    "ZoneId",
    code::ZONE_NOT_FOUND,
    "a zone's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The zone; must be the vSwitch's.",
);
const JSON_LIST: &str = "a JSON list of 100 at most";

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "RunInstances",
        products: &[Product::Ecs],
        summary: "Registers instances with their interfaces; they count as running.",
        write: true,
        parameters: &[NEW, RUN, run_interfaces::ROWS, machines::BOTH, machines::RUN, TAGS],
        decode: run,
    },
    Action {
        name: "CreateInstance",
        products: &[Product::Ecs],
        summary: "Registers one instance with its primary interface; it counts as stopped.",
        write: true,
        parameters: &[NEW, CREATE, machines::BOTH, machines::CREATE, TAGS],
        decode: |arguments| Ok(Command::CreateInstance(Box::new(new(arguments)?))),
    },
    Action {
        name: "StartInstances",
        products: &[Product::Ecs],
        summary: "Lets stopped instances count as running.",
        write: true,
        parameters: &[BATCH, MODE],
        decode: |arguments| Ok(Command::StartInstances(batch(arguments, mode(arguments)?)?)),
    },
    Action {
        name: "StartInstance",
        products: &[Product::Ecs],
        summary: "Lets a stopped instance count as running.",
        write: true,
        parameters: &[
            &[INSTANCE_ID.required()],
            &[ignored("InitLocalDisk", Kind::Boolean, MACHINE)],
        ],
        decode: |arguments| Ok(Command::StartInstances(single(arguments)?)),
    },
    Action {
        name: "StopInstances",
        products: &[Product::Ecs],
        summary: "Lets running instances count as stopped.",
        write: true,
        parameters: &[BATCH, MODE, STOP],
        decode: |arguments| Ok(Command::StopInstances(batch(arguments, mode(arguments)?)?)),
    },
    Action {
        name: "StopInstance",
        products: &[Product::Ecs],
        summary: "Lets a running instance count as stopped.",
        write: true,
        parameters: &[
            &[
                INSTANCE_ID.required(),
                ignored("ConfirmStop", Kind::Boolean, MACHINE),
                ignored("Hibernate", Kind::Boolean, MACHINE),
            ],
            STOP,
        ],
        decode: |arguments| Ok(Command::StopInstances(single(arguments)?)),
    },
    Action {
        name: "DeleteInstances",
        products: &[Product::Ecs],
        summary: "Deletes stopped instances with their primary interfaces and those that go along.",
        write: true,
        parameters: &[BATCH, DELETE],
        decode: |arguments| {
            Ok(Command::DeleteInstances(DeleteInstances {
                batch: batch(arguments, BatchMode::AllTogether)?,
                force: arguments.boolean("Force")?.unwrap_or(false),
            }))
        },
    },
    Action {
        name: "DeleteInstance",
        products: &[Product::Ecs],
        summary: "Deletes a stopped instance, with its primary interface and those that go along.",
        write: true,
        parameters: &[&[INSTANCE_ID.required()], DELETE],
        decode: |arguments| {
            Ok(Command::DeleteInstances(DeleteInstances {
                batch: single(arguments)?,
                force: arguments.boolean("Force")?.unwrap_or(false),
            }))
        },
    },
    Action {
        name: "DescribeInstances",
        products: &[Product::Ecs],
        summary: "Lists instances; filters are joined by \"and\".",
        write: false,
        parameters: &[DESCRIBE, DESCRIBE_NOTHING, TAGS, PAGES],
        decode: describe,
    },
    Action {
        name: "DescribeInstanceAttribute",
        products: &[Product::Ecs],
        summary: "Shows one instance.",
        write: false,
        parameters: &[&[INSTANCE_ID.required()]],
        decode: |arguments| {
            Ok(Command::DescribeInstanceAttribute { instance: arguments.required("InstanceId")? })
        },
    },
    Action {
        name: "ModifyInstanceAttribute",
        products: &[Product::Ecs],
        summary: "Changes an instance; `SecurityGroupIds.N` are all its groups from now on.",
        write: true,
        parameters: &[MODIFY],
        decode: modify,
    },
];

/// Of a new instance, whichever action makes it.
const NEW: &[Parameter] = &[
    REGION,
    ZONE,
    VSWITCH_ID.documented("The vSwitch of its primary interface."),
    SECURITY_GROUP_ID.documented("The one group of its primary interface."),
    text(
        "PrivateIpAddress",
        code::PRIVATE_IP,
        "an IPv4 address",
        "The primary address; the lowest free one of the vSwitch by default.",
    ),
    NAME,
    DESCRIPTION,
    HOST_NAME,
    text("ImageId", code::INVALID_PARAMETER, LABEL, "The image; kept and echoed."),
    text("KeyPairName", code::INVALID_PARAMETER, LABEL, "The key pair; kept and echoed."),
    PROTECTION,
    RESOURCE_GROUP_ID,
    unsupported_unless(
        "InternetMaxBandwidthOut",
        Kind::Integer,
        &["0"],
        "Public addresses are not offered.",
    ),
];

const INSTANCE_TYPE: Parameter =
    text("InstanceType", code::INVALID_PARAMETER, LABEL, "The type; kept and echoed.");
const TEMPLATE: &str = "Launch templates are not offered.";

const RUN: &[Parameter] = &[
    INSTANCE_TYPE,
    row(
        "SecurityGroupIds.N",
        Kind::List,
        code::SECURITY_GROUP_ID_MALFORMED,
        "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "The groups of its primary interface, instead of `SecurityGroupId`.",
    ),
    IPV6,
    IPV6_COUNT,
    QUEUES,
    integer("Amount", "a number from 1 to 100", "How many instances; 1 by default."),
    boolean("UniqueSuffix", "Whether the names of several end in 001, 002 and so on."),
    unsupported("LaunchTemplateId", Kind::Text, TEMPLATE),
    unsupported("LaunchTemplateName", Kind::Text, TEMPLATE),
    unsupported("LaunchTemplateVersion", Kind::Integer, TEMPLATE),
    unsupported("AutoReleaseTime", Kind::Text, "No instance goes by itself."),
];

const CREATE: &[Parameter] = &[INSTANCE_TYPE.required()];

const BATCH: &[Parameter] = &[
    REGION,
    row(
        "InstanceId.N",
        Kind::List,
        code::INSTANCE_MALFORMED,
        "an instance's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "The instances, 100 at most.",
    )
    .required(),
];

const MODE: &[Parameter] = &[text(
    "BatchOptimization",
    code::INVALID_PARAMETER,
    "AllTogether or SuccessFirst",
    "`AllTogether` (default): all or none. `SuccessFirst`: each by itself.",
)];

const STOP: &[Parameter] = &[
    ignored("ForceStop", Kind::Boolean, MACHINE),
    ignored("StoppedMode", Kind::Text, "Nothing is charged."),
];

const DELETE: &[Parameter] = &[
    boolean("Force", "Whether running ones go too."),
    ignored("ForceStop", Kind::Boolean, MACHINE),
    ignored("TerminateSubscription", Kind::Boolean, "Nothing is charged."),
];

fn single(arguments: &Arguments<'_>) -> Result<InstanceBatch, Refusal> {
    Ok(InstanceBatch {
        instances: vec![arguments.required("InstanceId")?],
        mode: BatchMode::Single,
    })
}

fn batch(arguments: &Arguments<'_>, mode: BatchMode) -> Result<InstanceBatch, Refusal> {
    let instances: Vec<InstanceId> = arguments.list("InstanceId.N", INSTANCES_PER_CALL_MAX)?;
    if instances.is_empty() {
        return Err(Refusal::missing("InstanceId.N"));
    }
    Ok(InstanceBatch { instances, mode })
}

fn mode(arguments: &Arguments<'_>) -> Result<BatchMode, Refusal> {
    let modes =
        [("AllTogether", BatchMode::AllTogether), ("SuccessFirst", BatchMode::SuccessFirst)];
    let mode = arguments.convert("BatchOptimization", |text| {
        modes.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, mode)| *mode)
    })?;
    Ok(mode.unwrap_or(BatchMode::AllTogether))
}

/// What both actions say of a new instance beside its primary interface.
fn described(
    arguments: &Arguments<'_>,
    primary: CreateNetworkInterface,
) -> Result<NewInstance, Refusal> {
    Ok(NewInstance {
        name: arguments.parse("InstanceName")?,
        description: arguments.parse("Description")?,
        host_name: arguments.parse("HostName")?,
        instance_type: arguments.parse("InstanceType")?,
        image: arguments.parse("ImageId")?,
        key_pair: arguments.parse("KeyPairName")?,
        deletion_protection: arguments.boolean("DeletionProtection")?,
        zone: arguments.parse("ZoneId")?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tags(arguments)?,
        primary,
    })
}

fn new(arguments: &Arguments<'_>) -> Result<NewInstance, Refusal> {
    let group = arguments.required("SecurityGroupId")?;
    let primary = CreateNetworkInterface {
        primary: arguments.parse("PrivateIpAddress")?,
        ..CreateNetworkInterface::new(arguments.required("VSwitchId")?, vec![group])
    };
    described(arguments, primary)
}

fn run(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let (primary, further) = run_interfaces::read(arguments)?;
    Ok(Command::RunInstances(Box::new(RunInstances {
        instance: described(arguments, primary)?,
        further,
        amount: up_to(arguments, "Amount", INSTANCES_PER_CALL_MAX)?.max(1),
        unique_suffix: arguments.boolean("UniqueSuffix")?.unwrap_or(false),
    })))
}

const DESCRIBE: &[Parameter] = &[
    REGION,
    text("InstanceIds", code::INSTANCE_MALFORMED, JSON_LIST, "These instances, a JSON list."),
    SECURITY_GROUP_ID.documented("Instances whose primary interface is in this group."),
    text(
        "VpcId",
        code::ECS_VPC_NOT_FOUND,
        "a VPC's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "Instances of this VPC.",
    ),
    VSWITCH_ID.documented("Instances whose primary interface is of this vSwitch."),
    ZONE.documented("Instances of this zone."),
    text(
        "PrivateIpAddresses",
        code::PRIVATE_IP,
        JSON_LIST,
        "Instances that have one of these IPv4 addresses, a JSON list.",
    ),
    IPV6.documented("Instances that have one of these IPv6 addresses."),
    text(
        "InstanceName",
        code::INSTANCE_NAME,
        ANY_TEXT,
        "Instances of this name; `*` stands for any characters.",
    ),
    text(
        "Status",
        code::INVALID_PARAMETER,
        "Running, Stopped, Pending, Starting or Stopping",
        "Instances in this state.",
    ),
    text("InstanceType", code::INVALID_PARAMETER, LABEL, "Instances of this type."),
    text("ImageId", code::INVALID_PARAMETER, LABEL, "Instances of this image."),
    text("KeyPairName", code::INVALID_PARAMETER, LABEL, "Instances of this key pair."),
    RESOURCE_GROUP_ID.documented("Instances of this resource group."),
    NEXT_TOKEN,
    max_results("a number from 1 to 100", "Most rows of a part; 10 beside `NextToken`."),
];

/// Filters of which all instances here or none meet any value.
const DESCRIBE_NOTHING: &[Parameter] = &[
    text(
        "InstanceNetworkType",
        code::INVALID_PARAMETER,
        "vpc or classic",
        "Instances of this network; all here are of `vpc`.",
    ),
    text(
        "InstanceChargeType",
        code::INVALID_PARAMETER,
        "PostPaid or PrePaid",
        "Instances charged so; all here count as `PostPaid`.",
    ),
    text(
        "InternetChargeType",
        code::INVALID_PARAMETER,
        "PayByTraffic or PayByBandwidth",
        "Instances charged so; all here count as `PayByTraffic`.",
    ),
    boolean("IoOptimized", "Instances that are; all here count as such."),
    text("InnerIpAddresses", code::INVALID_PARAMETER, ANY_TEXT, NO_ADDRESS),
    text("PublicIpAddresses", code::INVALID_PARAMETER, ANY_TEXT, NO_ADDRESS),
    text("EipAddresses", code::INVALID_PARAMETER, ANY_TEXT, NO_ADDRESS),
    text("RdmaIpAddresses", code::INVALID_PARAMETER, ANY_TEXT, NO_ADDRESS),
    text("LockReason", code::INVALID_PARAMETER, ANY_TEXT, "Locked instances; there are none."),
    text("HpcClusterId", code::INVALID_PARAMETER, ANY_TEXT, "Instances of a cluster; none is."),
    text(
        "InstanceTypeFamily",
        code::INVALID_PARAMETER,
        ANY_TEXT,
        "Instances of a family of types; types have none here.",
    ),
    unsupported("Filter.N", Kind::Structures, "Instances are not found by their times."),
    unsupported("Filter.N.Key", Kind::Text, "Instances are not found by their times."),
    unsupported("Filter.N.Value", Kind::Text, "Instances are not found by their times."),
    ignored("AdditionalAttributes.N", Kind::List, "The answer has all that there is."),
    ignored("DeviceAvailable", Kind::Boolean, MACHINE),
    ignored("NeedSaleCycle", Kind::Boolean, "Nothing is charged."),
    ignored("HttpEndpoint", Kind::Text, MACHINE),
    ignored("HttpPutResponseHopLimit", Kind::Integer, MACHINE),
    ignored("HttpTokens", Kind::Text, MACHINE),
];
const NO_ADDRESS: &str = "Instances that have such an address; none has.";

/// Filters of [`DESCRIBE_NOTHING`] that no instance meets.
const NEVER: [&str; 7] = [
    "InnerIpAddresses",
    "PublicIpAddresses",
    "EipAddresses",
    "RdmaIpAddresses",
    "LockReason",
    "HpcClusterId",
    "InstanceTypeFamily",
];

/// Whether a filter asks for what none is: each has two values, of which all have the first.
fn asks_for_the_other(
    arguments: &Arguments<'_>,
    name: &'static str,
    [first, other]: [&'static str; 2],
) -> Result<bool, Refusal> {
    let asked = arguments.convert(name, |text| {
        let is = |own: &str| own.eq_ignore_ascii_case(text);
        if is(first) { Some(false) } else { is(other).then_some(true) }
    })?;
    Ok(asked.unwrap_or(false))
}

/// `Status` filters: those that an instance can be in here, and those that none is ever in.
const STATUSES: [(&str, Option<InstanceStatus>); 5] = [
    ("Running", Some(InstanceStatus::Running)),
    ("Stopped", Some(InstanceStatus::Stopped)),
    ("Pending", None),
    ("Starting", None),
    ("Stopping", None),
];

fn describe(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let status = arguments.convert("Status", |text| {
        STATUSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, status)| *status)
    })?;
    let mut nothing = NEVER.iter().any(|name| arguments.text(name).is_some());
    for (name, values) in [
        ("InstanceNetworkType", ["vpc", "classic"]),
        ("InstanceChargeType", ["PostPaid", "PrePaid"]),
        ("InternetChargeType", ["PayByTraffic", "PayByBandwidth"]),
        ("IoOptimized", ["true", "false"]),
    ] {
        nothing |= asks_for_the_other(arguments, name, values)?;
    }
    let filters = InstanceFilters {
        instances: shared::json_list(arguments, "InstanceIds")?,
        group: arguments.parse("SecurityGroupId")?,
        vpc: arguments.parse("VpcId")?,
        vswitch: arguments.parse("VSwitchId")?,
        zone: arguments.parse("ZoneId")?,
        private_addresses: shared::json_list::<Ipv4Addr>(arguments, "PrivateIpAddresses")?,
        ipv6_addresses: arguments.list("Ipv6Address.N", IDS_PER_FILTER_MAX)?,
        name: arguments.text("InstanceName").map(str::to_owned),
        status,
        instance_type: arguments.parse("InstanceType")?,
        image: arguments.parse("ImageId")?,
        key_pair: arguments.parse("KeyPairName")?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tag_filters(arguments)?,
        nothing,
    };
    let paging = shared::pages_or_tokens(arguments, MAX_RESULTS_MAX)?;
    Ok(Command::DescribeInstances(Box::new(DescribeInstances { filters, paging })))
}

const MODIFY: &[Parameter] = &[
    REGION_OPTIONAL,
    INSTANCE_ID.required(),
    row(
        "SecurityGroupIds.N",
        Kind::List,
        code::SECURITY_GROUP_ID_MALFORMED,
        "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`",
        "All groups of its primary interface from now on.",
    ),
    NAME,
    DESCRIPTION.documented("A description; sent empty it goes."),
    HOST_NAME,
    PROTECTION,
    QUEUES,
    ignored("CpuOptions.Core", Kind::Integer, MACHINE),
    ignored("CpuOptions.ThreadsPerCore", Kind::Integer, MACHINE),
    ignored("CpuOptions.TopologyType", Kind::Text, MACHINE),
    ignored("CreditSpecification", Kind::Text, "Nothing is charged."),
    ignored("EnableJumboFrame", Kind::Boolean, MACHINE),
    ignored("EnableNetworkEncryption", Kind::Boolean, MACHINE),
    ignored("Password", Kind::Text, MACHINE),
    ignored("PrivateDnsNameOptions", Kind::Structure, MACHINE),
    ignored("Recyclable", Kind::Boolean, MACHINE),
    ignored("RemoteConnectionOptions", Kind::Structure, MACHINE),
    ignored("UserData", Kind::Text, MACHINE),
];

fn modify(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let groups = arguments.list("SecurityGroupIds.N", INTERFACE_GROUPS_NAMED_MAX)?;
    Ok(Command::ModifyInstanceAttribute(ModifyInstanceAttribute {
        instance: arguments.required("InstanceId")?,
        groups: Some(groups).filter(|groups| !groups.is_empty()),
        name: arguments.parse("InstanceName")?,
        description: arguments.edit("Description")?,
        host_name: arguments.parse("HostName")?,
        deletion_protection: arguments.boolean("DeletionProtection")?,
        queue_number: arguments.integer("NetworkInterfaceQueueNumber", 1..=QUEUE_NUMBER_MAX)?,
    }))
}
