//! What is asked of network interfaces, and the rows of the answers.
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::command::{Edit, Paging};
use crate::ids::{
    InstanceId, NetworkInterfaceId, ResourceGroupId, SecurityGroupId, VSwitchId, VpcId,
};
use crate::net::{Ipv4Prefix, Ipv6Prefix, Mac};
use crate::records::{ConnectionTracking, InterfaceRecord, InterfaceRole};
use crate::text::{Description, Name, TagFilter, Tags};

/// Addresses and prefixes that an interface is to get: named ones, and how many more are chosen
/// here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedAddresses {
    /// `PrivateIpAddress.N`. One that equals the primary address is not another address.
    pub secondary: Vec<Ipv4Addr>,
    /// `SecondaryPrivateIpAddressCount`.
    pub secondary_count: u8,
    /// `Ipv4Prefix.N`.
    pub ipv4_prefixes: Vec<Ipv4Prefix>,
    /// `Ipv4PrefixCount`.
    pub ipv4_prefix_count: u8,
    /// `Ipv6Address.N`.
    pub ipv6: Vec<Ipv6Addr>,
    /// `Ipv6AddressCount`.
    pub ipv6_count: u8,
    /// `Ipv6Prefix.N`.
    pub ipv6_prefixes: Vec<Ipv6Prefix>,
    /// `Ipv6PrefixCount`.
    pub ipv6_prefix_count: u8,
}

/// CreateNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNetworkInterface {
    /// `VSwitchId`.
    pub vswitch: VSwitchId,
    /// `SecurityGroupId` or `SecurityGroupIds.N`.
    pub groups: Vec<SecurityGroupId>,
    /// `PrimaryIpAddress`; `None`: the lowest free one.
    pub primary: Option<Ipv4Addr>,
    /// Its other addresses and its prefixes.
    pub addresses: WantedAddresses,
    /// `MacAddress`; `None`: chosen here.
    pub mac: Option<Mac>,
    /// `NetworkInterfaceName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Option<Description>,
    /// `SourceDestCheck`.
    pub source_dest_check: Option<bool>,
    /// `DeleteOnRelease`; `None`: true.
    pub delete_on_release: Option<bool>,
    /// `ConnectionTrackingConfiguration`, what it leaves out filled with the defaults.
    pub connection_tracking: Option<ConnectionTracking>,
    /// `QueueNumber`.
    pub queue_number: Option<u16>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
}

impl CreateNetworkInterface {
    /// One of these groups in this vSwitch; all else as it is where nothing is said.
    pub fn new(vswitch: VSwitchId, groups: Vec<SecurityGroupId>) -> Self {
        Self {
            vswitch,
            groups,
            primary: None,
            addresses: WantedAddresses::default(),
            mac: None,
            name: None,
            description: None,
            source_dest_check: None,
            delete_on_release: None,
            connection_tracking: None,
            queue_number: None,
            resource_group: None,
            tags: Tags::default(),
        }
    }
}

/// AssignPrivateIpAddresses and AssignIpv6Addresses, each of which names one family only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignAddresses {
    /// `NetworkInterfaceId`.
    pub interface: NetworkInterfaceId,
    /// What it gets.
    pub addresses: WantedAddresses,
}

/// UnassignPrivateIpAddresses and UnassignIpv6Addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnassignAddresses {
    /// `NetworkInterfaceId`.
    pub interface: NetworkInterfaceId,
    /// `PrivateIpAddress.N`; its primary address stays.
    pub secondary: Vec<Ipv4Addr>,
    /// `Ipv4Prefix.N`.
    pub ipv4_prefixes: Vec<Ipv4Prefix>,
    /// `Ipv6Address.N`.
    pub ipv6: Vec<Ipv6Addr>,
    /// `Ipv6Prefix.N`.
    pub ipv6_prefixes: Vec<Ipv6Prefix>,
}

/// Who joins or leaves a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joiner {
    /// `NetworkInterfaceId`.
    Interface(NetworkInterfaceId),
    /// `InstanceId`: its primary interface.
    Instance(InstanceId),
}

/// DescribeNetworkInterfaces. Filters are joined by "and", the values of one filter by "or".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeNetworkInterfaces {
    /// `NetworkInterfaceId.N`.
    pub interfaces: Vec<NetworkInterfaceId>,
    /// `SecurityGroupId`.
    pub group: Option<SecurityGroupId>,
    /// `VSwitchId`.
    pub vswitch: Option<VSwitchId>,
    /// `VpcId`.
    pub vpc: Option<VpcId>,
    /// `PrimaryIpAddress`.
    pub primary: Option<Ipv4Addr>,
    /// `PrivateIpAddress.N`: any IPv4 address of the interface.
    pub private_addresses: Vec<Ipv4Addr>,
    /// `Ipv6Address.N`.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// `NetworkInterfaceName`.
    pub name: Option<Name>,
    /// `Status`; `Some(None)` is a status that no interface here is in.
    pub status: Option<Option<InterfaceStatus>>,
    /// `Type`.
    pub role: Option<InterfaceRole>,
    /// `InstanceId`.
    pub instance: Option<InstanceId>,
    /// `ServiceManaged`; no interface here is.
    pub service_managed: Option<bool>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// ModifyNetworkInterfaceAttribute; `None` and [`Edit::Keep`] change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyNetworkInterfaceAttribute {
    /// `NetworkInterfaceId`.
    pub interface: NetworkInterfaceId,
    /// `SecurityGroupId.N`: all its groups from now on.
    pub groups: Option<Vec<SecurityGroupId>>,
    /// `NetworkInterfaceName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Edit<Description>,
    /// `SourceDestCheck`.
    pub source_dest_check: Option<bool>,
    /// `DeleteOnRelease`.
    pub delete_on_release: Option<bool>,
    /// `QueueNumber`.
    pub queue_number: Option<u16>,
    /// `ConnectionTrackingConfiguration.TcpEstablishedTimeout`.
    pub tcp_established_s: Option<u16>,
    /// `ConnectionTrackingConfiguration.TcpClosedAndTimeWaitTimeout`.
    pub tcp_closed_s: Option<u16>,
    /// `ConnectionTrackingConfiguration.UdpTimeout`.
    pub udp_s: Option<u16>,
}

/// `Status` of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceStatus {
    /// Free. Entered when it is made, and when it is neither attached nor bound any more.
    Available,
    /// Attached to an instance or bound to a device.
    InUse,
}

impl InterfaceStatus {
    /// The API's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::InUse => "InUse",
        }
    }
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterfaceRow {
    /// The interface.
    pub interface: InterfaceRecord,
    /// Whether it is attached or bound.
    pub status: InterfaceStatus,
}

/// `Attribute` of DescribeNetworkInterfaceAttribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceAttribute {
    /// None asked for in particular.
    All,
    /// `attachment`.
    Attachment,
    /// `connectionTrackingConfiguration`.
    ConnectionTracking,
}
