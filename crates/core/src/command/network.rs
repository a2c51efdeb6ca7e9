//! What is asked of VPCs and vSwitches, and the rows of their answers.
use alloc::vec::Vec;

use crate::command::{Edit, Paging};
use crate::ids::{AccountId, ResourceGroupId, RouteTableId, RouterId, VSwitchId, VpcId, ZoneId};
use crate::net::Cidr;
use crate::records::{VSwitch, Vpc};
use crate::text::{Label, NetworkDescription, TagFilter, Tags};

/// The IPv6 block that a VPC asks for.
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
    /// `EnableIpv6`: whether it has an IPv6 block.
    pub enable_ipv6: Option<bool>,
    /// Whether `DhcpOptionsSetId` is sent; no VPC here has one.
    pub with_dhcp_options: bool,
    /// `VpcOwnerId`.
    pub owner: Option<AccountId>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// ModifyVpcAttribute. What is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyVpcAttribute {
    /// `VpcId`.
    pub vpc: VpcId,
    /// `VpcName`.
    pub name: Option<Label>,
    /// `Description`.
    pub description: Edit<NetworkDescription>,
    /// `CidrBlock`.
    pub cidr: Option<Cidr>,
    /// `EnableIPv6`, `Ipv6CidrBlock`.
    pub ipv6: Option<VpcIpv6>,
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
    /// `EnableIpv6`: whether it has an IPv6 block.
    pub enable_ipv6: Option<bool>,
    /// `VSwitchOwnerId`.
    pub owner: Option<AccountId>,
    /// `RouteTableId`: that of its VPC.
    pub route_table: Option<RouteTableId>,
    /// `ResourceGroupId`: that of its VPC.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// The IPv6 block that a vSwitch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VSwitchIpv6 {
    /// None.
    Disabled,
    /// The one it has.
    Enabled,
    /// This /64 of the VPC's block.
    Number(u8),
}

/// ModifyVSwitchAttribute. What is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyVSwitchAttribute {
    /// `VSwitchId`.
    pub vswitch: VSwitchId,
    /// `VSwitchName`.
    pub name: Option<Label>,
    /// `Description`.
    pub description: Edit<NetworkDescription>,
    /// `EnableIPv6`, `Ipv6CidrBlock`.
    pub ipv6: Option<VSwitchIpv6>,
}

/// DescribeRouteTables and DescribeRouteTableList. Filters are joined by "and".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeRouteTables {
    /// `VpcId`.
    pub vpc: Option<VpcId>,
    /// `RouteTableId`.
    pub route_table: Option<RouteTableId>,
    /// `VRouterId`, `RouterId`.
    pub router: Option<RouterId>,
    /// Whether what is asked for is never met here: a name, a tag, another type or router.
    pub none_fits: bool,
    /// `Type`: whether system routes are asked for, the only ones here.
    pub system_routes: bool,
    /// `ResourceGroupId`: that of the VPC.
    pub resource_group: Option<ResourceGroupId>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// The system route table of a VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTableRow {
    /// The VPC.
    pub vpc: Vpc,
    /// Its vSwitches by id; each is a route.
    pub vswitches: Vec<VSwitch>,
    /// Whether routes are asked for.
    pub with_routes: bool,
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
    /// The route table of its VPC.
    pub route_table: RouteTableId,
    /// The resource group of its VPC.
    pub resource_group: Option<ResourceGroupId>,
}
