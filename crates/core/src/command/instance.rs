//! What is asked of instances, and the rows of the answers.
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::command::{CreateNetworkInterface, Edit, Paging};
use crate::ids::{
    InstanceId, NetworkInterfaceId, ResourceGroupId, SecurityGroupId, VSwitchId, VpcId, ZoneId,
};
use crate::records::{Instance, InstanceStatus, InterfaceRecord};
use crate::text::{Description, Label, Name, TagFilter, Tags};

/// A new instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInstance {
    /// `InstanceName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Option<Description>,
    /// `HostName`.
    pub host_name: Option<Label>,
    /// `InstanceType`.
    pub instance_type: Option<Label>,
    /// `ImageId`.
    pub image: Option<Label>,
    /// `KeyPairName`.
    pub key_pair: Option<Label>,
    /// `DeletionProtection`; `None`: false.
    pub deletion_protection: Option<bool>,
    /// `ZoneId`; must be the vSwitch's.
    pub zone: Option<ZoneId>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
    /// Its primary interface.
    pub primary: CreateNetworkInterface,
}

impl NewInstance {
    /// One with this primary interface; all else as it is where nothing is said.
    pub fn new(primary: CreateNetworkInterface) -> Self {
        Self {
            name: None,
            description: None,
            host_name: None,
            instance_type: None,
            image: None,
            key_pair: None,
            deletion_protection: None,
            zone: None,
            resource_group: None,
            tags: Tags::default(),
            primary,
        }
    }
}

/// A further interface of a new instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FurtherInterface {
    /// Made with it.
    New(Box<CreateNetworkInterface>),
    /// One that is there, attached to it.
    Existing(NetworkInterfaceId),
}

/// RunInstances: made and started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInstances {
    /// Each of them. A primary address that is given is the first one's; the others have those that
    /// follow.
    pub instance: NewInstance,
    /// `NetworkInterface.N` of type `Secondary`.
    pub further: Vec<FurtherInterface>,
    /// `Amount`.
    pub amount: u8,
    /// `UniqueSuffix`: whether names end in 001, 002 and so on.
    pub unique_suffix: bool,
}

/// How several instances are treated by one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchMode {
    /// The form of one instance: the answer has nothing to say of it.
    Single,
    /// All or none.
    AllTogether,
    /// Each by itself; the answer says how it went.
    SuccessFirst,
}

/// StartInstance(s) and StopInstance(s).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceBatch {
    /// `InstanceId` or `InstanceId.N`.
    pub instances: Vec<InstanceId>,
    /// `BatchOptimization`.
    pub mode: BatchMode,
}

/// DeleteInstance and DeleteInstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteInstances {
    /// Which.
    pub batch: InstanceBatch,
    /// `Force`: running ones too.
    pub force: bool,
}

/// How it went with one instance of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceResponse {
    /// `InstanceId`.
    pub instance: InstanceId,
    /// `Code`: 200, or that of the refusal.
    pub code: String,
    /// `Message`.
    pub message: String,
    /// `PreviousStatus`; `None` of an unknown instance.
    pub previous: Option<InstanceStatus>,
    /// `CurrentStatus`; `None` where it is gone.
    pub current: Option<InstanceStatus>,
}

/// ModifyInstanceAttribute; `None` and [`Edit::Keep`] change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyInstanceAttribute {
    /// `InstanceId`.
    pub instance: InstanceId,
    /// `SecurityGroupIds.N`: all groups of its primary interface from now on.
    pub groups: Option<Vec<SecurityGroupId>>,
    /// `InstanceName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Edit<Description>,
    /// `HostName`.
    pub host_name: Option<Label>,
    /// `DeletionProtection`.
    pub deletion_protection: Option<bool>,
    /// `NetworkInterfaceQueueNumber` of its primary interface.
    pub queue_number: Option<u16>,
}

/// DescribeInstances. Filters are joined by "and", the values of one filter by "or".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilters {
    /// `InstanceIds`; `None` filters nothing, an empty list everything.
    pub instances: Option<Vec<InstanceId>>,
    /// `SecurityGroupId` of the primary interface.
    pub group: Option<SecurityGroupId>,
    /// `VpcId`.
    pub vpc: Option<VpcId>,
    /// `VSwitchId`.
    pub vswitch: Option<VSwitchId>,
    /// `ZoneId`.
    pub zone: Option<ZoneId>,
    /// `PrivateIpAddresses`: any IPv4 address of any of its interfaces.
    pub private_addresses: Option<Vec<Ipv4Addr>>,
    /// `Ipv6Address.N`: any IPv6 address of any of its interfaces.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// `InstanceName`; `*` stands for any characters.
    pub name: Option<String>,
    /// `Status`; `Some(None)` is a status that no instance here is in.
    pub status: Option<Option<InstanceStatus>>,
    /// `InstanceType`.
    pub instance_type: Option<Label>,
    /// `ImageId`.
    pub image: Option<Label>,
    /// `KeyPairName`.
    pub key_pair: Option<Label>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Whether there is a filter that nothing here meets, such as one for a public address.
    pub nothing: bool,
}

/// DescribeInstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeInstances {
    /// Which instances.
    pub filters: InstanceFilters,
    /// Which part of the rows.
    pub paging: Paging,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// The instance.
    pub instance: Instance,
    /// Its primary interface.
    pub primary: InterfaceRecord,
    /// Its other interfaces, first attached first.
    pub further: Vec<InterfaceRecord>,
}
