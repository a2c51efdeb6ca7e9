//! VPCs: the space in which addresses are unique, its IPv4 block, and its IPv6 block where it has
//! one.
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::{
    Context, CreateVpc, DescribeVpcs, Edit, ModifyVpcAttribute, Outcome, VpcIpv6, VpcRow, Written,
};
use crate::error::ApiError;
use crate::ids::VpcId;
use crate::limits::{USER_CIDRS_MAX, VPC_IPV6_PREFIX_LENGTH, VPC_PREFIX_LENGTHS};
use crate::net::{Cidr, Family, Prefix};
use crate::records::{Change, Record, RecordKey, VSwitch, Vpc};
use crate::state::account::{region_of, sees};
use crate::state::describe::{Descending, in_sight, part};
use crate::state::{Decision, State, draw};
use crate::text::Tags;

/// 172.16.0.0/12: `CidrBlock` where none is sent.
const CIDR_DEFAULT: (Ipv4Addr, u8) = (Ipv4Addr::new(172, 16, 0, 0), 12);
/// Blocks that no VPC may touch: this host, shared, loopback, link-local, multicast and beyond.
const CIDRS_FORBIDDEN: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];
/// Blocks in which an IPv6 block may lie: global unicast and unique local.
const IPV6_ALLOWED: [(Ipv6Addr, u8); 2] = [
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
];

/// Whether two prefixes share an address.
pub(super) fn overlap(one: Prefix, other: Prefix) -> bool {
    one.contains(other.address()) || other.contains(one.address())
}

/// Whether all of `inner` is in `outer`.
pub(super) fn encloses(outer: Prefix, inner: Prefix) -> bool {
    outer.length() <= inner.length() && outer.contains(inner.address())
}

/// The block that a CIDR writes out: with its length and without host bits.
pub(super) fn block(cidr: Cidr, family: Family) -> Option<Prefix> {
    let prefix = cidr.prefix();
    (cidr.family() == family && Cidr::from(prefix) == cidr).then_some(prefix)
}

/// The refusal of an IPv4 block.
pub(super) fn bad_cidr(help: &'static str) -> ApiError {
    ApiError::invalid("InvalidCidrBlock.Malformed", "The specified CidrBlock is not valid.")
        .at("CidrBlock")
        .help(help)
}

/// Unknown to an action of the Vpc product.
pub(super) fn vpc_not_found() -> ApiError {
    ApiError::not_found("InvalidVpcID.NotFound", "The specified VPC does not exist.").at("VpcId")
}

impl State {
    /// The VPC, if it is the caller's own.
    pub(super) fn own_vpc(&self, context: &Context<'_>, id: &VpcId) -> Option<&Vpc> {
        self.vpcs.get(id).filter(|vpc| sees(context, vpc.owner, &vpc.region))
    }

    /// The VPC as the caller sees it. How its owner sorts and tags a shared one is not shared.
    pub(super) fn seen_vpc(&self, context: &Context<'_>, id: &VpcId) -> Option<Cow<'_, Vpc>> {
        let vpc = self.usable_vpc(context, id)?;
        if vpc.owner == context.caller {
            return Some(Cow::Borrowed(vpc));
        }
        Some(Cow::Owned(Vpc { resource_group: None, tags: Tags::default(), ..vpc.clone() }))
    }

    pub(super) fn create_vpc(
        &self,
        context: &mut Context<'_>,
        command: &CreateVpc,
    ) -> Result<Decision, ApiError> {
        let region = region_of(context)?;
        let cidr = vpc_cidr(command.cidr)?;
        let is_block = |cidr: &Cidr| block(*cidr, Family::V4).is_some();
        if command.user_cidrs.len() > USER_CIDRS_MAX || !command.user_cidrs.iter().all(is_block) {
            let help = alloc::format!(
                "At most {USER_CIDRS_MAX} IPv4 blocks, each with its length and without host bits."
            );
            return Err(ApiError::invalid(
                "InvalidUserCidr.Malformed",
                "The specified UserCidr is not valid.",
            )
            .at("UserCidr")
            .help(help));
        }
        let owned = self.index.vpcs.count(&(context.caller, region.clone()));
        if owned >= context.settings.quotas.vpcs_per_region {
            return Err(ApiError::forbidden(
                "QuotaExceeded.Vpc",
                "The number of VPCs in the region has reached its quota.",
            ));
        }
        let ipv6_cidr = self.ipv6_block_for(context, &command.ipv6)?;
        let vpc = Vpc {
            id: draw::id(context.dice, "vpc-", |id| self.vpcs.contains_key(id))?,
            owner: context.caller,
            region,
            name: command.name.clone(),
            description: command.description.clone(),
            cidr,
            ipv6_cidr,
            user_cidrs: command.user_cidrs.clone(),
            router: draw::id(context.dice, "vrt-", |id| self.index.vpcs_by_router.has(id))?,
            route_table: draw::id(context.dice, "vtb-", |id| {
                self.index.vpcs_by_route_table.has(id)
            })?,
            resource_group: command.resource_group.clone(),
            tags: command.tags.clone(),
            created_ms: context.now_ms,
        };
        let written = Written::Vpc {
            vpc: vpc.id.clone(),
            router: vpc.router.clone(),
            route_table: vpc.route_table.clone(),
            resource_group: vpc.resource_group.clone(),
        };
        Ok(Decision::write(written, vec![Change::Put(Record::Vpc(vpc))]))
    }

    fn ipv6_block_for(
        &self,
        context: &mut Context<'_>,
        asked: &VpcIpv6,
    ) -> Result<Option<Prefix>, ApiError> {
        match asked {
            VpcIpv6::Disabled => Ok(None),
            VpcIpv6::Assigned => {
                let taken = |drawn: &Prefix| self.index.vpcs_by_ipv6_block.has(drawn);
                draw::ipv6_block(context.dice, taken).map(Some)
            }
            VpcIpv6::Given(cidr) => vpc_ipv6_cidr(*cidr).map(Some),
        }
    }

    pub(super) fn modify_vpc(
        &self,
        context: &mut Context<'_>,
        command: &ModifyVpcAttribute,
    ) -> Result<Decision, ApiError> {
        let old = self.own_vpc(context, &command.vpc).ok_or_else(vpc_not_found)?;
        let mut vpc = old.clone();
        if let Some(name) = &command.name {
            vpc.name = Some(name.clone());
        }
        match &command.description {
            Edit::Keep => {}
            Edit::Clear => vpc.description = None,
            Edit::Set(text) => vpc.description = Some(text.clone()),
        }
        if command.cidr.is_some() {
            vpc.cidr = vpc_cidr(command.cidr)?;
            let mut vswitches = self.vswitches_of(&vpc.id);
            if let Some(outside) = vswitches.find(|vswitch| !encloses(vpc.cidr, vswitch.cidr)) {
                return Err(still_in_use(
                    context,
                    "CidrBlock",
                    outside,
                    "lies outside the new block",
                ));
            }
        }
        match (&command.ipv6, old.ipv6_cidr) {
            (None, _) | (Some(VpcIpv6::Assigned), Some(_)) => {}
            (Some(VpcIpv6::Given(cidr)), Some(own)) => {
                if vpc_ipv6_cidr(*cidr)? != own {
                    let message = "The VPC has an IPv6 block already, which cannot be changed.";
                    return Err(bad_ipv6_cidr(message));
                }
            }
            (Some(VpcIpv6::Disabled), Some(_)) => {
                let mut vswitches = self.vswitches_of(&vpc.id);
                if let Some(vswitch) = vswitches.find(|vswitch| vswitch.ipv6_cidr.is_some()) {
                    return Err(still_in_use(
                        context,
                        "EnableIPv6",
                        vswitch,
                        "has a part of the block",
                    ));
                }
                vpc.ipv6_cidr = None;
            }
            (Some(asked), None) => vpc.ipv6_cidr = self.ipv6_block_for(context, asked)?,
        }
        let changed = vpc != *old;
        Ok(Decision::done(changed.then_some(Change::Put(Record::Vpc(vpc))).into_iter().collect()))
    }

    pub(super) fn describe_vpc_attribute(
        &self,
        context: &Context<'_>,
        id: &VpcId,
    ) -> Result<Decision, ApiError> {
        let vpc = self.seen_vpc(context, id).ok_or_else(vpc_not_found)?.into_owned();
        Ok(Decision::read(Outcome::Vpc(alloc::boxed::Box::new(self.vpc_row(context, vpc)))))
    }

    /// With the caller's own vSwitches: those of others in a shared VPC are theirs to see.
    fn vpc_row(&self, context: &Context<'_>, vpc: Vpc) -> VpcRow {
        let own = self.vswitches_of(&vpc.id).filter(|vswitch| vswitch.owner == context.caller);
        let vswitches = own.map(|vswitch| vswitch.id.clone()).collect();
        VpcRow { vpc, vswitches }
    }

    pub(super) fn delete_vpc(
        &self,
        context: &Context<'_>,
        id: &VpcId,
    ) -> Result<Decision, ApiError> {
        let vpc = self.own_vpc(context, id).ok_or_else(vpc_not_found)?;
        let in_use = |code: &'static str, what: &str| {
            let message = alloc::format!("The specified VPC still has {what}.");
            Err(ApiError::forbidden(code, message).at("VpcId").help("Delete these first."))
        };
        if self.index.vswitches_of_vpc.count(&vpc.id) > 0 {
            return in_use("DependencyViolation.VSwitch", "vSwitches");
        }
        if self.index.groups_of_vpc.count(&vpc.id) > 0 {
            return in_use("DependencyViolation.SecurityGroup", "security groups");
        }
        // Nobody uses it; the shares go with it, for no action of the API ends them.
        let shares = self.index.shares_of_vpc.get(id);
        let shares = shares.map(|account| RecordKey::VpcShare(id.clone(), *account));
        let keys = shares.chain([RecordKey::Vpc(vpc.id.clone())]);
        Ok(Decision::done(keys.map(Change::Delete).collect()))
    }

    pub(super) fn describe_vpcs(
        &self,
        context: &Context<'_>,
        command: &DescribeVpcs,
    ) -> Result<Decision, ApiError> {
        let candidates: Vec<&VpcId> = if command.vpcs.is_empty() {
            let mut own = in_sight(&self.index.vpcs, context);
            own.extend(self.vpcs_shared_with(context.caller));
            own
        } else {
            command.vpcs.iter().collect()
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.seen_vpc(context, id))
            .filter(|vpc| {
                command.name.as_ref().is_none_or(|name| vpc.name.as_ref() == Some(name))
                    && command.is_default != Some(true)
                    && command.enable_ipv6.is_none_or(|on| vpc.ipv6_cidr.is_some() == on)
                    && !command.with_dhcp_options
                    && command.owner.is_none_or(|owner| vpc.owner == owner)
                    && (command.resource_group.is_none()
                        || vpc.resource_group == command.resource_group)
                    && vpc.tags.meet(&command.tags)
            })
            .map(|vpc| Descending(vpc.id.clone()))
            .collect();
        let page = part(keys, &command.paging)?
            .rows(|key| Some(self.vpc_row(context, self.seen_vpc(context, &key.0)?.into_owned())));
        Ok(Decision::read(Outcome::Vpcs(page)))
    }

    pub(super) fn put_vpc(&mut self, record: Vpc) {
        self.remove_vpc(&record.id);
        let (index, id) = (&mut self.index, record.id.clone());
        index.vpcs.insert((record.owner, record.region.clone()), id.clone());
        index.vpcs_by_router.insert(record.router.clone(), id.clone());
        index.vpcs_by_route_table.insert(record.route_table.clone(), id.clone());
        if let Some(block) = record.ipv6_cidr {
            index.vpcs_by_ipv6_block.insert(block, id.clone());
        }
        self.vpcs.insert(id, record);
    }

    pub(super) fn remove_vpc(&mut self, id: &VpcId) {
        if let Some(old) = self.vpcs.remove(id) {
            self.index.vpcs.remove(&(old.owner, old.region), id);
            self.index.vpcs_by_router.remove(&old.router, id);
            self.index.vpcs_by_route_table.remove(&old.route_table, id);
            if let Some(block) = old.ipv6_cidr {
                self.index.vpcs_by_ipv6_block.remove(&block, id);
            }
        }
    }
}

fn vpc_cidr(cidr: Option<Cidr>) -> Result<Prefix, ApiError> {
    let Some(cidr) = cidr else {
        let (address, length) = CIDR_DEFAULT;
        return Prefix::new(IpAddr::V4(address), length).ok_or_else(|| bad_cidr(""));
    };
    let prefix = block(cidr, Family::V4).ok_or_else(|| {
        bad_cidr("Send an IPv4 block with its length and without host bits, such as 10.0.0.0/16.")
    })?;
    if !VPC_PREFIX_LENGTHS.contains(&prefix.length()) {
        return Err(bad_cidr("The length must be from 8 to 28."));
    }
    let forbidden = CIDRS_FORBIDDEN
        .iter()
        .filter_map(|(address, length)| Prefix::new(IpAddr::V4(*address), *length))
        .any(|forbidden| overlap(forbidden, prefix));
    if forbidden {
        return Err(bad_cidr("The block touches addresses that are reserved."));
    }
    Ok(prefix)
}

fn vpc_ipv6_cidr(cidr: Cidr) -> Result<Prefix, ApiError> {
    let allowed = |prefix: &Prefix| {
        IPV6_ALLOWED
            .iter()
            .filter_map(|(address, length)| Prefix::new(IpAddr::V6(*address), *length))
            .any(|allowed| encloses(allowed, *prefix))
    };
    block(cidr, Family::V6)
        .filter(|prefix| prefix.length() == VPC_IPV6_PREFIX_LENGTH && allowed(prefix))
        .ok_or_else(|| {
            bad_ipv6_cidr("The specified Ipv6CidrBlock is not valid.")
                .help("Send a /56 of unicast addresses without host bits.")
        })
}

/// The refusal of an IPv6 block.
pub(super) fn bad_ipv6_cidr(message: &'static str) -> ApiError {
    ApiError::invalid("InvalidIpv6CidrBlock.Malformed", message).at("Ipv6CidrBlock")
}

fn still_in_use(
    context: &Context<'_>,
    place: &'static str,
    vswitch: &VSwitch,
    why: &str,
) -> ApiError {
    let message = match vswitch.owner == context.caller {
        true => alloc::format!("The vSwitch `{}` of the VPC {why}.", vswitch.id),
        false => alloc::format!("A vSwitch that another account has in the VPC {why}."),
    };
    ApiError::forbidden("DependencyViolation.VSwitch", message).at(place)
}
