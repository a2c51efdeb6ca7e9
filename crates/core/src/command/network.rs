//! What is asked of VPCs and vSwitches, and the rows of their answers.
use alloc::vec::Vec;

use crate::command::Paging;
use crate::ids::{ResourceGroupId, VSwitchId, VpcId, ZoneId};
use crate::net::Cidr;
use crate::records::{VSwitch, Vpc};
use crate::text::{Label, NetworkDescription, TagFilter, Tags};

/// The IPv6 block that a new VPC asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum VpcIpv6 {
    /// None.
    #[default]
    Disabled,
    /// `EnableIpv6`: any free one.
    Assigned,
    /// `EnableIpv6` and `Ipv6CidrBlock`: this one.
    Given(Cidr),
}

/// CreateVpc.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateVpc {
    /// `CidrBlock`; `None`: 172.16.0.0/12.
    pub cidr: Option<Cidr>,
    /// `EnableIpv6`, `Ipv6CidrBlock`.
    pub ipv6: VpcIpv6,
    /// `VpcName`.
    pub name: Option<Label>,
    /// `Description`.
    pub description: Option<NetworkDescription>,
    /// `UserCidr`, a list in one text.
    pub user_cidrs: Vec<Cidr>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
}

/// DescribeVpcs. Filters are joined by "and"; an empty list or `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeVpcs {
    /// `VpcId`, a comma-separated list.
    pub vpcs: Vec<VpcId>,
    /// `VpcName`.
    pub name: Option<Label>,
    /// `IsDefault`; no VPC here is.
    pub is_default: Option<bool>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// CreateVSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateVSwitch {
    /// `VpcId`.
    pub vpc: VpcId,
    /// `ZoneId`.
    pub zone: ZoneId,
    /// `CidrBlock`.
    pub cidr: Cidr,
    /// `Ipv6CidrBlock`: which /64 of the VPC's IPv6 block.
    pub ipv6_index: Option<u8>,
    /// `VSwitchName`.
    pub name: Option<Label>,
    /// `Description`.
    pub description: Option<NetworkDescription>,
    /// `Tag.N`.
    pub tags: Tags,
}

/// DescribeVSwitches. Filters are joined by "and".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeVSwitches {
    /// `VpcId`.
    pub vpc: Option<VpcId>,
    /// `VSwitchId`, a comma-separated list.
    pub vswitches: Vec<VSwitchId>,
    /// `ZoneId`.
    pub zone: Option<ZoneId>,
    /// `VSwitchName`.
    pub name: Option<Label>,
    /// `IsDefault`; no vSwitch here is.
    pub is_default: Option<bool>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// One VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcRow {
    /// The VPC.
    pub vpc: Vpc,
    /// Its vSwitches, by id.
    pub vswitches: Vec<VSwitchId>,
}

/// One vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VSwitchRow {
    /// The vSwitch.
    pub vswitch: VSwitch,
    /// `AvailableIpAddressCount`: IPv4 addresses that an interface may still get.
    pub available_addresses: u32,
}
