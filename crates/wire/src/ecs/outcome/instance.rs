//! Fields of instances. What only a machine would have is empty, so that clients find it.
use portcullis_core::command::{InstanceResponse, InstanceRow};
use portcullis_core::records::{InstanceStatus, InterfaceRecord};

use super::{ecs_tags, interface, time};
use crate::ecs::answer::{Answer, Fields};

/// `ExpiredTime` of what never does.
const NEVER: &str = "2099-12-31T15:59Z";
/// `CurrentStatus` of an instance that is gone.
const DELETED: &str = "Deleted";

/// One of DescribeInstances.
pub(super) fn instance(row: &InstanceRow) -> Answer {
    let instance = &row.instance;
    let started = instance.started_ms.map(time::format);
    let interfaces = std::iter::once(&row.primary).chain(&row.further).map(of_instance);
    let fields = common(Fields::new(), row)
        .text_or_empty("StartTime", started)
        .text_or_empty("ResourceGroupId", instance.resource_group.as_ref())
        .text_or_empty("KeyPairName", instance.key_pair.as_ref())
        .flag("DeletionProtection", instance.deletion_protection)
        .flag("DeviceAvailable", true)
        .flag("Recyclable", false)
        .text("SpotStrategy", "NoSpot")
        .text("DeploymentSetId", "")
        .text("HpcClusterId", "")
        .with("RdmaIpAddress", no_addresses())
        .list("NetworkInterfaces", "NetworkInterface", interfaces);
    ecs_tags(fields, &instance.tags).into()
}

/// All of DescribeInstanceAttribute.
pub(super) fn attribute(fields: Fields, row: &InstanceRow) -> Fields {
    common(fields, row).flag("EnableJumboFrame", false).flag("EnableNetworkEncryption", false)
}

/// What both actions show.
fn common(fields: Fields, row: &InstanceRow) -> Fields {
    let (instance, primary) = (&row.instance, &row.primary);
    let name = instance.name.as_ref().map_or(instance.id.as_str(), |name| name.as_str());
    let addresses = std::iter::once(&primary.primary).chain(&primary.secondary).map(Answer::of);
    let vpc = Fields::new()
        .text("VpcId", &primary.vpc)
        .text("VSwitchId", &primary.vswitch)
        .text("NatIpAddress", "")
        .with(
            "PrivateIpAddress",
            Fields::new().with("IpAddress", Answer::List(addresses.collect())).into(),
        );
    let host = Fields::new().text("DedicatedHostId", "").text("DedicatedHostName", "");
    let elastic = Fields::new()
        .text("AllocationId", "")
        .text("IpAddress", "")
        .text("InternetChargeType", "")
        .number("Bandwidth", 0);
    fields
        .text("InstanceId", &instance.id)
        .text("InstanceName", name)
        .text_or_empty("Description", instance.description.as_ref())
        .text_or_empty("HostName", instance.host_name.as_ref())
        .text_or_empty("InstanceType", instance.instance_type.as_ref())
        .text_or_empty("ImageId", instance.image.as_ref())
        .text("Status", instance.status.name())
        .text("RegionId", &instance.region)
        .text("ZoneId", &primary.zone)
        .text("ClusterId", "")
        .text("VlanId", "")
        .text("SerialNumber", "")
        .text("InstanceNetworkType", "vpc")
        .text("InstanceChargeType", "PostPaid")
        .text("InternetChargeType", "PayByTraffic")
        .number("InternetMaxBandwidthIn", 0)
        .number("InternetMaxBandwidthOut", 0)
        .text("StoppedMode", "Not-applicable")
        .text("CreditSpecification", "")
        .text("CreationTime", time::format(instance.created_ms))
        .text("ExpiredTime", NEVER)
        .list("SecurityGroupIds", "SecurityGroupId", primary.groups.iter().map(Answer::of))
        .with("VpcAttributes", vpc.into())
        .with("InnerIpAddress", no_addresses())
        .with("PublicIpAddress", no_addresses())
        .with("EipAddress", elastic.into())
        .with("DedicatedHostAttribute", host.into())
        .list("OperationLocks", "LockReason", [])
}

fn no_addresses() -> Answer {
    Fields::new().with("IpAddress", Answer::List(Vec::new())).into()
}

fn of_instance(record: &InterfaceRecord) -> Answer {
    let fields = Fields::new()
        .text("NetworkInterfaceId", &record.id)
        .text("MacAddress", record.mac)
        .text("PrimaryIpAddress", record.primary)
        .text("Type", record.role().name());
    interface::addresses(fields, record).into()
}

/// How it went with one instance of a batch.
pub(super) fn response(response: &InstanceResponse) -> Answer {
    let current = response.current.map(InstanceStatus::name);
    let gone = response.previous.map(|_| DELETED);
    Fields::new()
        .text("InstanceId", &response.instance)
        .text("Code", &response.code)
        .text("Message", &response.message)
        .text_or_empty("PreviousStatus", response.previous.map(InstanceStatus::name))
        .text_or_empty("CurrentStatus", current.or(gone))
        .into()
}
