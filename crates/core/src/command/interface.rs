//! What is asked of network interfaces, and the rows of the answers.
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::command::{Edit, Paging};
use crate::ids::{NetworkInterfaceId, ResourceGroupId, SecurityGroupId, VSwitchId, VpcId};
use crate::net::Mac;
use crate::records::{ConnectionTracking, InterfaceRecord};
use crate::text::{Description, Name, TagFilter, Tags};

/// CreateNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNetworkInterface {
    /// `VSwitchId`.
    pub vswitch: VSwitchId,
    /// `SecurityGroupId` or `SecurityGroupIds.N`.
    pub groups: Vec<SecurityGroupId>,
    /// `PrimaryIpAddress`; `None`: the lowest free one.
    pub primary: Option<Ipv4Addr>,
    /// `PrivateIpAddress.N`. One that equals the primary address is not another address.
    pub secondary: Vec<Ipv4Addr>,
    /// `SecondaryPrivateIpAddressCount`: how many more, chosen here.
    pub secondary_count: u8,
    /// `Ipv6Address.N`.
    pub ipv6: Vec<Ipv6Addr>,
    /// `Ipv6AddressCount`: how many more, chosen here.
    pub ipv6_count: u8,
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
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
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
    /// `Type`: whether `Secondary`, the only one here, was asked for.
    pub secondary_type: Option<bool>,
    /// `InstanceId`; nothing here is attached to an instance.
    pub of_instance: bool,
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
    /// Free. Entered when it is made or unbound, left when it is bound.
    Available,
    /// Bound to a device. Entered when it is bound, left when it is unbound.
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
    /// Whether it is bound.
    pub status: InterfaceStatus,
}
