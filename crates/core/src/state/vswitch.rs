//! vSwitches: a part of a VPC's blocks, in a zone, out of which interfaces get their addresses.
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::{
    Context, CreateVSwitch, DescribeRouteTables, DescribeVSwitches, Edit, ModifyVSwitchAttribute,
    Outcome, Page, RouteTableRow, VSwitchIpv6, VSwitchRow, Written,
};
use crate::error::ApiError;
use crate::ids::{VSwitchId, VpcId};
use crate::limits::{VSWITCH_IPV6_PREFIX_LENGTH, VSWITCH_PREFIX_LENGTHS};
use crate::net::{Family, Prefix, address_bits};
use crate::records::{Change, Record, RecordKey, VSwitch, Vpc};
use crate::state::account::sees;
use crate::state::describe::{Descending, in_sight, part};
use crate::state::vpc::{bad_cidr, bad_ipv6_cidr, block, encloses, overlap, vpc_not_found};
use crate::state::{Decision, State, draw};

/// Addresses at the start of a block that no interface gets: the network's.
const RESERVED_AT_START: u128 = 1;
/// Addresses at the end of an IPv4 block that no interface gets.
const RESERVED_AT_END_IPV4: u128 = 3;
/// Addresses at the end of an IPv6 block that no interface gets.
const RESERVED_AT_END_IPV6: u128 = 9;

/// First and last address that an interface may have in a block.
pub(super) fn usable(block: Prefix) -> (u128, u128) {
    let (first, last) = block.range();
    let at_end = match block.family() {
        Family::V4 => RESERVED_AT_END_IPV4,
        Family::V6 => RESERVED_AT_END_IPV6,
    };
    (first + RESERVED_AT_START, last - at_end)
}

/// The address that a block keeps for whoever routes for it: the last but two, which no interface
/// gets.
fn gateway(block: Prefix) -> u128 {
    block.range().1 - 2
}

/// Where the packets of a vSwitch's interfaces go that leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateways {
    /// In IPv4.
    pub ipv4: Ipv4Addr,
    /// In IPv6, where the vSwitch has a block of it.
    pub ipv6: Option<Ipv6Addr>,
}

fn overlapped() -> ApiError {
    ApiError::invalid(
        "InvalidCidrBlock.Overlapped",
        "The specified CidrBlock overlaps with that of another vSwitch of the VPC.",
    )
    .at("CidrBlock")
}

/// Unknown to an action of the Vpc product.
fn vswitch_not_found() -> ApiError {
    ApiError::not_found("InvalidVswitchID.NotFound", "The specified vSwitch does not exist.")
        .at("VSwitchId")
}

impl State {
    /// The vSwitch, if the caller may see it.
    pub(super) fn own_vswitch(&self, context: &Context<'_>, id: &VSwitchId) -> Option<&VSwitch> {
        self.vswitches.get(id).filter(|vswitch| sees(context, vswitch.owner, &vswitch.region))
    }

    pub(super) fn create_vswitch(
        &self,
        context: &mut Context<'_>,
        command: &CreateVSwitch,
    ) -> Result<Decision, ApiError> {
        let vpc = self.usable_vpc(context, &command.vpc).ok_or_else(vpc_not_found)?;
        let cidr = block(command.cidr, Family::V4)
            .ok_or_else(|| bad_cidr("Send an IPv4 block with its length and without host bits."))?;
        if !VSWITCH_PREFIX_LENGTHS.contains(&cidr.length()) {
            return Err(bad_cidr("The length must be from 16 to 29."));
        }
        if !encloses(vpc.cidr, cidr) {
            return Err(bad_cidr("The block must lie in that of the VPC."));
        }
        if self.index.vswitches_of_vpc.count(&vpc.id) >= context.settings.quotas.vswitches_per_vpc {
            return Err(ApiError::forbidden(
                "QuotaExceeded.VSwitch",
                "The number of vSwitches of the VPC has reached its quota.",
            )
            .at("VpcId"));
        }
        if self.vswitches_of(&vpc.id).any(|other| overlap(other.cidr, cidr)) {
            return Err(overlapped());
        }
        let ipv6_cidr = match command.ipv6_index {
            None => None,
            Some(index) => Some(self.ipv6_block_of(vpc, index)?),
        };
        let vswitch = VSwitch {
            id: draw::id(context.dice, "vsw-", |id| self.vswitches.contains_key(id))?,
            owner: context.caller,
            region: vpc.region.clone(),
            vpc: vpc.id.clone(),
            zone: command.zone.clone(),
            name: command.name.clone(),
            description: command.description.clone(),
            cidr,
            ipv6_cidr,
            tags: command.tags.clone(),
            created_ms: context.now_ms,
        };
        let written = Written::VSwitch { vswitch: vswitch.id.clone() };
        Ok(Decision::write(written, vec![Change::Put(Record::VSwitch(vswitch))]))
    }

    pub(super) fn vswitches_of(&self, vpc: &VpcId) -> impl Iterator<Item = &VSwitch> {
        self.index.vswitches_of_vpc.get(vpc).filter_map(|id| self.vswitches.get(id))
    }

    /// The addresses that a vSwitch keeps for its router.
    pub fn gateways(&self, vswitch: &VSwitchId) -> Option<Gateways> {
        let vswitch = self.vswitches.get(vswitch)?;
        let ipv4 = u32::try_from(gateway(vswitch.cidr)).ok()?;
        let ipv6 = vswitch.ipv6_cidr.map(|block| Ipv6Addr::from_bits(gateway(block)));
        Some(Gateways { ipv4: Ipv4Addr::from_bits(ipv4), ipv6 })
    }

    /// The /64 of this number in the VPC's /56, if no other vSwitch has it.
    fn ipv6_block_of(&self, vpc: &Vpc, index: u8) -> Result<Prefix, ApiError> {
        let prefix = ipv6_part(vpc, index)?;
        if self.vswitches_of(&vpc.id).any(|other| other.ipv6_cidr == Some(prefix)) {
            return Err(ApiError::invalid(
                "InvalidIpv6CidrBlock.Overlapped",
                "The specified Ipv6CidrBlock is that of another vSwitch of the VPC.",
            )
            .at("Ipv6CidrBlock"));
        }
        Ok(prefix)
    }

    pub(super) fn delete_vswitch(
        &self,
        context: &Context<'_>,
        id: &VSwitchId,
    ) -> Result<Decision, ApiError> {
        let vswitch = self.own_vswitch(context, id).ok_or_else(vswitch_not_found)?;
        if self.index.interfaces_of_vswitch.count(&vswitch.id) > 0 {
            return Err(ApiError::forbidden(
                "DependencyViolation.NetworkInterface",
                "The specified vSwitch still has network interfaces.",
            )
            .at("VSwitchId")
            .help("Delete these first."));
        }
        Ok(Decision::done(vec![Change::Delete(RecordKey::VSwitch(vswitch.id.clone()))]))
    }

    pub(super) fn describe_vswitches(
        &self,
        context: &Context<'_>,
        command: &DescribeVSwitches,
    ) -> Result<Decision, ApiError> {
        let candidates: Vec<&VSwitchId> = match (&command.vpc, command.vswitches.is_empty()) {
            (_, false) => command.vswitches.iter().collect(),
            (Some(vpc), true) => self.index.vswitches_of_vpc.get(vpc).collect(),
            (None, true) => in_sight(&self.index.vswitches, context),
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.own_vswitch(context, id))
            .filter(|vswitch| {
                command.vpc.as_ref().is_none_or(|vpc| vswitch.vpc == *vpc)
                    && command.zone.as_ref().is_none_or(|zone| vswitch.zone == *zone)
                    && command.name.as_ref().is_none_or(|name| vswitch.name.as_ref() == Some(name))
                    && command.is_default != Some(true)
                    && command.enable_ipv6.is_none_or(|on| vswitch.ipv6_cidr.is_some() == on)
                    && command.owner.is_none_or(|owner| vswitch.owner == owner)
                    && vswitch.tags.meet(&command.tags)
                    && self.seen_vpc(context, &vswitch.vpc).is_some_and(|vpc| {
                        let table = &command.route_table;
                        table.as_ref().is_none_or(|table| vpc.route_table == *table)
                            && (command.resource_group.is_none()
                                || vpc.resource_group == command.resource_group)
                    })
            })
            .map(|vswitch| Descending(vswitch.id.clone()))
            .collect();
        let page = part(keys, &command.paging)?
            .rows(|key| self.vswitch_row(context, self.vswitches.get(&key.0)?.clone()));
        Ok(Decision::read(Outcome::VSwitches(page)))
    }

    pub(super) fn describe_vswitch_attributes(
        &self,
        context: &Context<'_>,
        id: &VSwitchId,
    ) -> Result<Decision, ApiError> {
        let vswitch = self.own_vswitch(context, id).cloned();
        let row = vswitch.and_then(|vswitch| self.vswitch_row(context, vswitch));
        let row = row.ok_or_else(vswitch_not_found)?;
        Ok(Decision::read(Outcome::VSwitch(alloc::boxed::Box::new(row))))
    }

    fn vswitch_row(&self, context: &Context<'_>, vswitch: VSwitch) -> Option<VSwitchRow> {
        let vpc = self.seen_vpc(context, &vswitch.vpc)?;
        Some(VSwitchRow {
            available_addresses: self.available_addresses(&vswitch),
            route_table: vpc.route_table.clone(),
            resource_group: vpc.resource_group.clone(),
            vswitch,
        })
    }

    pub(super) fn modify_vswitch(
        &self,
        context: &Context<'_>,
        command: &ModifyVSwitchAttribute,
    ) -> Result<Decision, ApiError> {
        let old = self.own_vswitch(context, &command.vswitch).ok_or_else(vswitch_not_found)?;
        let mut vswitch = old.clone();
        if let Some(name) = &command.name {
            vswitch.name = Some(name.clone());
        }
        match &command.description {
            Edit::Keep => {}
            Edit::Clear => vswitch.description = None,
            Edit::Set(text) => vswitch.description = Some(text.clone()),
        }
        if let Some(asked) = command.ipv6 {
            vswitch.ipv6_cidr = self.ipv6_block_of_vswitch(old, asked)?;
        }
        let change = (vswitch != *old).then_some(Change::Put(Record::VSwitch(vswitch)));
        Ok(Decision::done(change.into_iter().collect()))
    }

    /// The IPv6 block that a vSwitch has once it is changed as asked.
    fn ipv6_block_of_vswitch(
        &self,
        vswitch: &VSwitch,
        asked: VSwitchIpv6,
    ) -> Result<Option<Prefix>, ApiError> {
        let vpc = self.vpcs.get(&vswitch.vpc).ok_or_else(vpc_not_found)?;
        match (asked, vswitch.ipv6_cidr) {
            (VSwitchIpv6::Disabled, None) => Ok(None),
            (VSwitchIpv6::Disabled, Some(_)) => {
                let pool = self.index.pools.get(&vswitch.id);
                if pool.is_some_and(|pool| !pool.ipv6.is_empty()) {
                    return Err(ApiError::forbidden(
                        "DependencyViolation.Ipv6Address",
                        "Network interfaces of the vSwitch still have IPv6 addresses.",
                    )
                    .at("EnableIPv6")
                    .help("Take these addresses from the interfaces first."));
                }
                Ok(None)
            }
            (VSwitchIpv6::Enabled, Some(own)) => Ok(Some(own)),
            (VSwitchIpv6::Enabled, None) => Err(ApiError::missing("Ipv6CidrBlock")),
            (VSwitchIpv6::Number(index), None) => self.ipv6_block_of(vpc, index).map(Some),
            (VSwitchIpv6::Number(index), Some(own)) => {
                if ipv6_part(vpc, index)? == own {
                    return Ok(Some(own));
                }
                let message = "The vSwitch has an IPv6 block already, which cannot be changed.";
                Err(bad_ipv6_cidr(message))
            }
        }
    }

    /// A VPC has one route table, the system's, with a route to each of its vSwitches.
    pub(super) fn describe_route_tables(
        &self,
        context: &Context<'_>,
        command: &DescribeRouteTables,
        outcome: fn(Page<RouteTableRow>) -> Outcome,
    ) -> Result<Decision, ApiError> {
        let candidates: Vec<&VpcId> = match &command.vpc {
            Some(vpc) => alloc::vec![vpc],
            None => in_sight(&self.index.vpcs, context),
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.own_vpc(context, id))
            .filter(|vpc| {
                !command.none_fits
                    && command.route_table.as_ref().is_none_or(|own| vpc.route_table == *own)
                    && command.router.as_ref().is_none_or(|own| vpc.router == *own)
                    && (command.resource_group.is_none()
                        || vpc.resource_group == command.resource_group)
            })
            .map(|vpc| Descending(vpc.id.clone()))
            .collect();
        let page = part(keys, &command.paging)?.rows(|key| {
            Some(RouteTableRow {
                vpc: self.vpcs.get(&key.0)?.clone(),
                vswitches: self
                    .vswitches_of(&key.0)
                    .filter(|vswitch| vswitch.owner == context.caller)
                    .cloned()
                    .collect(),
                with_routes: command.system_routes,
            })
        });
        Ok(Decision::read(outcome(page)))
    }

    fn available_addresses(&self, vswitch: &VSwitch) -> u32 {
        let (first, last) = usable(vswitch.cidr);
        let size = u32::try_from(last - first + 1).unwrap_or(u32::MAX);
        let used = self.index.pools.get(&vswitch.id).map_or(0, |pool| pool.ipv4_count);
        size.saturating_sub(used)
    }

    pub(super) fn put_vswitch(&mut self, record: VSwitch) {
        self.remove_vswitch(&record.id);
        self.index.vswitches.insert((record.owner, record.region.clone()), record.id.clone());
        self.index.vswitches_of_vpc.insert(record.vpc.clone(), record.id.clone());
        self.vswitches.insert(record.id.clone(), record);
    }

    pub(super) fn remove_vswitch(&mut self, id: &VSwitchId) {
        if let Some(old) = self.vswitches.remove(id) {
            self.index.vswitches.remove(&(old.owner, old.region), id);
            self.index.vswitches_of_vpc.remove(&old.vpc, id);
        }
    }
}

/// The /64 of this number in the VPC's /56.
fn ipv6_part(vpc: &Vpc, index: u8) -> Result<Prefix, ApiError> {
    let whole = vpc.ipv6_cidr.ok_or_else(|| {
        bad_ipv6_cidr("The VPC has no IPv6 block.").help("Give the VPC one by EnableIpv6 first.")
    })?;
    let bits = address_bits(whole.address()) | (u128::from(index) << 64);
    let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
    Prefix::new(address, VSWITCH_IPV6_PREFIX_LENGTH)
        .ok_or_else(|| bad_ipv6_cidr("The specified Ipv6CidrBlock is not valid."))
}
