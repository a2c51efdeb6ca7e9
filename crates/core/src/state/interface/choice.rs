//! Addresses and prefixes that interfaces take out of a vSwitch's blocks, one after another. Knows
//! numbers in use, and no interface.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::WantedAddresses;
use crate::error::ApiError;
use crate::limits::{IPV4_PREFIX_LENGTH, IPV6_PREFIX_LENGTH};
use crate::net::{Family, Ipv4Prefix, Ipv6Prefix, Prefix};
use crate::records::VSwitch;
use crate::state::index::Pool;
use crate::state::spans::Spans;
use crate::state::vswitch::usable;

/// What interfaces of one vSwitch take within one command.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    ipv4: TakenOfBlock,
    ipv6: TakenOfBlock,
}

/// What they take out of one block of it. Nothing becomes free within a command, so each search
/// goes on where the last one for its length ended: a command that takes many looks once at what
/// is in use.
#[derive(Debug, Clone, Default)]
struct TakenOfBlock {
    spans: Spans,
    /// By length of prefix: no number below this begins a free one.
    searched: BTreeMap<u8, u128>,
}

/// IPv4 addresses and prefixes that were chosen and checked.
pub(super) struct Ipv4Choice {
    pub(super) secondary: Vec<Ipv4Addr>,
    pub(super) prefixes: Vec<Ipv4Prefix>,
}

/// IPv6 addresses and prefixes that were chosen and checked.
#[derive(Default)]
pub(super) struct Ipv6Choice {
    pub(super) addresses: Vec<Ipv6Addr>,
    pub(super) prefixes: Vec<Ipv6Prefix>,
}

/// For a new interface: its primary address, which is `given` or any, and the others. What is named
/// comes first, so that nothing chosen takes it.
pub(super) fn new_ipv4(
    vswitch: &VSwitch,
    pool: &Pool,
    taken: &mut Taken,
    given: Option<Ipv4Addr>,
    wanted: &WantedAddresses,
) -> Result<(Ipv4Addr, Ipv4Choice), ApiError> {
    let mut choice = Choice { block: vswitch.cidr, used: &pool.ipv4, taken: &mut taken.ipv4 };
    if let Some(primary) = given {
        choice.take(Prefix::host(IpAddr::V4(primary)), "PrimaryIpAddress")?;
    }
    let other = |address: &&Ipv4Addr| given != Some(**address);
    let secondary = wanted.secondary.iter().filter(other).copied().collect();
    let named = choice.named_ipv4(secondary, wanted)?;
    let primary = match given {
        Some(primary) => primary,
        None => choice.lowest_ipv4()?,
    };
    Ok((primary, choice.more_ipv4(named, wanted)?))
}

/// For an interface that is there.
pub(super) fn more_ipv4(
    vswitch: &VSwitch,
    pool: &Pool,
    wanted: &WantedAddresses,
) -> Result<Ipv4Choice, ApiError> {
    let mut taken = TakenOfBlock::default();
    let mut choice = Choice { block: vswitch.cidr, used: &pool.ipv4, taken: &mut taken };
    let named = choice.named_ipv4(wanted.secondary.clone(), wanted)?;
    choice.more_ipv4(named, wanted)
}

pub(super) fn ipv6(
    vswitch: &VSwitch,
    pool: &Pool,
    taken: &mut Taken,
    wanted: &WantedAddresses,
) -> Result<Ipv6Choice, ApiError> {
    let named = !wanted.ipv6.is_empty() || !wanted.ipv6_prefixes.is_empty();
    if !named && wanted.ipv6_count == 0 && wanted.ipv6_prefix_count == 0 {
        return Ok(Ipv6Choice::default());
    }
    let block = vswitch.ipv6_cidr.ok_or_else(|| {
        ApiError::forbidden(
            "InvalidVSwitch.Ipv6NotTurnOn",
            "The specified vSwitch has no IPv6 block.",
        )
        .at("VSwitchId")
    })?;
    let mut choice = Choice { block, used: &pool.ipv6, taken: &mut taken.ipv6 };
    let (mut addresses, mut prefixes) = (wanted.ipv6.clone(), wanted.ipv6_prefixes.clone());
    for address in &addresses {
        choice.take(Prefix::host(IpAddr::V6(*address)), "Ipv6Address")?;
    }
    for prefix in &prefixes {
        choice.take(prefix.prefix(), "Ipv6Prefix")?;
    }
    for _ in 0..wanted.ipv6_count {
        addresses.push(choice.lowest_ipv6()?);
    }
    for _ in 0..wanted.ipv6_prefix_count {
        let prefix = choice.lowest(IPV6_PREFIX_LENGTH, "Ipv6Prefix")?;
        prefixes.push(Ipv6Prefix::new(prefix).ok_or_else(|| not_enough("Ipv6Prefix"))?);
    }
    Ok(Ipv6Choice { addresses, prefixes })
}

fn not_enough(place: &'static str) -> ApiError {
    ApiError::forbidden(
        "InvalidVSwitchId.IpNotEnough",
        "The specified vSwitch does not have enough free addresses.",
    )
    .at(place)
}

/// Taking out of one block.
struct Choice<'a> {
    block: Prefix,
    used: &'a Spans,
    taken: &'a mut TakenOfBlock,
}

impl Choice<'_> {
    /// This very prefix; an address is one of all bits.
    fn take(&mut self, prefix: Prefix, place: &'static str) -> Result<(), ApiError> {
        let (first, last) = prefix.range();
        let (lowest, highest) = usable(self.block);
        let shown = Shown(prefix);
        if prefix.family() != self.block.family() || first < lowest || last > highest {
            let message = alloc::format!("The specified address `{shown}` cannot be used.");
            let help = alloc::format!(
                "It must lie in {}, and hold none of the block's reserved addresses.",
                self.block
            );
            let error = match self.block.family() {
                Family::V4 => ApiError::forbidden("InvalidVSwitchId.IpInvalid", message),
                Family::V6 => ApiError::forbidden("InvalidIp.Address", message),
            };
            return Err(error.at(place).help(help));
        }
        if self.taken.spans.overlap(first, last) {
            let message = alloc::format!("The address `{shown}` is given twice.");
            return Err(ApiError::invalid("InvalidPrivateIpAddress.Duplicated", message).at(place));
        }
        if self.used.overlap(first, last) {
            let message = alloc::format!("The specified address `{shown}` is in use.");
            return Err(ApiError::forbidden("InvalidIp.IpRepeated", message).at(place));
        }
        self.taken.spans.insert(first, last);
        Ok(())
    }

    /// The lowest prefix of this length that is free.
    fn lowest(&mut self, length: u8, place: &'static str) -> Result<Prefix, ApiError> {
        let family = self.block.family();
        let size = 1u128.checked_shl(u32::from(family.bits() - length)).unwrap_or(u128::MAX);
        let (lowest, to) = usable(self.block);
        let mut from = self.taken.searched.get(&length).copied().unwrap_or(lowest);
        loop {
            let free = self.used.lowest_free(from, to, size).ok_or_else(|| not_enough(place))?;
            let last = free + (size - 1);
            if !self.taken.spans.overlap(free, last) {
                self.taken.spans.insert(free, last);
                self.taken.searched.insert(length, last.saturating_add(1));
                let address = address_of(family, free);
                return Prefix::new(address, length).ok_or_else(|| not_enough(place));
            }
            // Behind what this command has taken itself.
            let behind = self.taken.spans.lowest_free(free, to, size);
            from = behind.ok_or_else(|| not_enough(place))?;
        }
    }

    fn named_ipv4(
        &mut self,
        secondary: Vec<Ipv4Addr>,
        wanted: &WantedAddresses,
    ) -> Result<Ipv4Choice, ApiError> {
        for address in &secondary {
            self.take(Prefix::host(IpAddr::V4(*address)), "PrivateIpAddress")?;
        }
        for prefix in &wanted.ipv4_prefixes {
            self.take(prefix.prefix(), "Ipv4Prefix")?;
        }
        Ok(Ipv4Choice { secondary, prefixes: wanted.ipv4_prefixes.clone() })
    }

    fn more_ipv4(
        &mut self,
        mut chosen: Ipv4Choice,
        wanted: &WantedAddresses,
    ) -> Result<Ipv4Choice, ApiError> {
        for _ in 0..wanted.secondary_count {
            chosen.secondary.push(self.lowest_ipv4()?);
        }
        for _ in 0..wanted.ipv4_prefix_count {
            let prefix = self.lowest(IPV4_PREFIX_LENGTH, "Ipv4Prefix")?;
            chosen.prefixes.push(Ipv4Prefix::new(prefix).ok_or_else(|| not_enough("Ipv4Prefix"))?);
        }
        Ok(chosen)
    }

    fn lowest_ipv4(&mut self) -> Result<Ipv4Addr, ApiError> {
        match self.lowest(Family::V4.bits(), "PrivateIpAddress")?.address() {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(_) => Err(not_enough("PrivateIpAddress")),
        }
    }

    fn lowest_ipv6(&mut self) -> Result<Ipv6Addr, ApiError> {
        match self.lowest(Family::V6.bits(), "Ipv6Address")?.address() {
            IpAddr::V6(address) => Ok(address),
            IpAddr::V4(_) => Err(not_enough("Ipv6Address")),
        }
    }
}

fn address_of(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

/// An address alone without its length.
struct Shown(Prefix);

impl core::fmt::Display for Shown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0 == Prefix::host(self.0.address()) {
            self.0.address().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}
