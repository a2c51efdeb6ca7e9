//! Which addresses interfaces have: all numbers in use are looked through for each one.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_core::command::*;
use portcullis_core::net::{Ipv4Prefix, Ipv6Prefix, Prefix};

use super::model::*;
use super::networks::block;
use super::pair::*;

const SECONDARY_MAX: usize = 49;
const IPV6_MAX: usize = 10;
const PREFIXES_MAX: usize = 10;
/// Addresses in a /28.
const IPV4_PREFIX: u128 = 16;
/// Addresses in a /80.
const IPV6_PREFIX: u128 = 1 << 48;
const FULL: &str = "SecurityGroupInstanceLimitExceed";

/// What is asked for, as numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) primary: Option<u128>,
    pub(super) named: Own,
    pub(super) secondary_count: u8,
    pub(super) ipv4_prefix_count: u8,
    pub(super) ipv6_count: u8,
    pub(super) ipv6_prefix_count: u8,
}

impl Wanted {
    pub(super) fn is_named(&self) -> bool {
        Own { primary: 0, ..self.named.clone() } != Own::default()
    }

    /// How many addresses and prefixes an interface would have that is made so.
    pub(super) fn count(&self) -> usize {
        let primary = |own: &&u128| Some(**own) == self.primary;
        let same = self.named.secondary.iter().filter(primary).count();
        let counts =
            [self.secondary_count, self.ipv4_prefix_count, self.ipv6_count, self.ipv6_prefix_count];
        self.named.count() - same + counts.iter().map(|n| usize::from(*n)).sum::<usize>()
    }
}

type Span = (u128, u128);

fn spans(own: &Own) -> Vec<Span> {
    let hosts = own.secondary.iter().chain(&own.ipv6).map(|n| (*n, *n));
    let ipv4 = own.ipv4_prefixes.iter().map(|n| (*n, n + (IPV4_PREFIX - 1)));
    let ipv6 = own.ipv6_prefixes.iter().map(|n| (*n, n + (IPV6_PREFIX - 1)));
    std::iter::once((own.primary, own.primary)).chain(hosts).chain(ipv4).chain(ipv6).collect()
}

fn meets(spans: &[Span], (first, last): Span) -> Option<&Span> {
    spans.iter().find(|own| own.0 <= last && first <= own.1)
}

/// Without the reserved ones.
fn usable(cidr: &str) -> Span {
    let (first, last, is_ipv4) = block(cidr);
    (first + 1, last - if is_ipv4 { 3 } else { 9 })
}

/// The lowest free span of this size, which is taken.
fn lowest(cidr: &str, size: u128, used: &mut Vec<Span>) -> Option<u128> {
    let (from, to) = usable(cidr);
    let aligned = |n: u128| n.div_ceil(size) * size;
    let mut first = aligned(from);
    while first + (size - 1) <= to {
        match meets(used, (first, first + (size - 1))) {
            None => {
                used.push((first, first + (size - 1)));
                return Some(first);
            }
            Some((_, last)) => first = aligned(last + 1),
        }
    }
    None
}

/// What is wrong with what is named in a block; what is not is used from now on.
fn take(cidr: &str, named: &[Span], outside: &str, used: &mut Vec<Span>) -> Refusals {
    let (from, to) = usable(cidr);
    let (mut refusals, mut taken) = (Refusals::new(), Vec::new());
    for span in named {
        if span.0 < from || span.1 > to {
            refusals.insert(outside.into());
        }
        if meets(&taken, *span).is_some() {
            refusals.insert("InvalidPrivateIpAddress.Duplicated".into());
        }
        if meets(used, *span).is_some() {
            refusals.insert("InvalidIp.IpRepeated".into());
        }
        taken.push(*span);
    }
    used.extend(taken);
    refusals
}

impl Model {
    /// The addresses that are got in a vSwitch, by a new interface or by one that is there.
    pub(super) fn choose(
        &self,
        vswitch: &VSwitch,
        wanted: &Wanted,
        is_new: bool,
    ) -> Result<Own, Refusals> {
        let others = self.interfaces.iter().filter(|own| own.vswitch == vswitch.id);
        let mut used: Vec<Span> = others.flat_map(|own| spans(&own.own)).collect();
        let mut own = wanted.named.clone();
        own.secondary.retain(|n| !is_new || Some(*n) != wanted.primary);
        let hosts = |of: &[u128]| of.iter().map(|n| (*n, *n)).collect::<Vec<Span>>();
        let ipv4 = own.ipv4_prefixes.iter().map(|n| (*n, n + (IPV4_PREFIX - 1)));
        let primary = wanted.primary.iter().map(|n| (*n, *n));
        let named: Vec<Span> = primary.chain(hosts(&own.secondary)).chain(ipv4).collect();
        let mut refusals = take(&vswitch.cidr, &named, "InvalidVSwitchId.IpInvalid", &mut used);
        let mut not_enough = false;
        let mut next = |cidr: &str, size: u128| {
            let found = lowest(cidr, size, &mut used);
            not_enough |= found.is_none();
            found.unwrap_or_default()
        };
        if is_new {
            own.primary = wanted.primary.unwrap_or_else(|| next(&vswitch.cidr, 1));
        }
        own.secondary.extend((0..wanted.secondary_count).map(|_| next(&vswitch.cidr, 1)));
        let more = (0..wanted.ipv4_prefix_count).map(|_| next(&vswitch.cidr, IPV4_PREFIX));
        own.ipv4_prefixes.extend(more);
        if not_enough && refusals.is_empty() {
            refusals = only("InvalidVSwitchId.IpNotEnough");
        }
        let ipv6 = !own.ipv6.is_empty() || !own.ipv6_prefixes.is_empty();
        if ipv6 || wanted.ipv6_count + wanted.ipv6_prefix_count > 0 {
            refusals.append(&mut choose_ipv6(vswitch, wanted, &mut own, &mut used));
        }
        if refusals.is_empty() { Ok(own) } else { Err(refusals) }
    }

    fn check_assigned(&self, old: &Interface, new: &Own) -> Refusals {
        let mut refusals = count_refusals(new);
        let more = new.count() - old.own.count();
        let full = |id: &String| {
            let group = get(&self.groups, id);
            !group.enterprise && self.used(group) + more > ADDRESSES_PER_GROUP
        };
        if old.groups.iter().any(full) {
            refusals.insert(FULL.into());
        }
        refusals
    }
}

fn choose_ipv6(
    vswitch: &VSwitch,
    wanted: &Wanted,
    own: &mut Own,
    used: &mut Vec<Span>,
) -> Refusals {
    let Some(cidr) = &vswitch.ipv6 else { return only("InvalidVSwitch.Ipv6NotTurnOn") };
    let hosts = own.ipv6.iter().map(|n| (*n, *n));
    let prefixes = own.ipv6_prefixes.iter().map(|n| (*n, n + (IPV6_PREFIX - 1)));
    let named: Vec<Span> = hosts.chain(prefixes).collect();
    let refusals = take(cidr, &named, "InvalidIp.Address", used);
    // A /64 has room for all that may be asked for.
    own.ipv6.extend((0..wanted.ipv6_count).filter_map(|_| lowest(cidr, 1, used)));
    let more = (0..wanted.ipv6_prefix_count).filter_map(|_| lowest(cidr, IPV6_PREFIX, used));
    own.ipv6_prefixes.extend(more);
    refusals
}

/// Whether an interface may have so many.
pub(super) fn count_refusals(own: &Own) -> Refusals {
    let mut refusals = Refusals::new();
    if own.secondary.len() > SECONDARY_MAX || own.ipv4_prefixes.len() > PREFIXES_MAX {
        refusals.insert("InvalidOperation.Ipv4CountExceeded".into());
    }
    if own.ipv6.len() > IPV6_MAX || own.ipv6_prefixes.len() > PREFIXES_MAX {
        refusals.insert("InvalidOperation.Ipv6CountExceeded".into());
    }
    refusals
}

pub(super) fn ipv4(number: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(number).unwrap())
}

fn ipv4_prefix(number: u128) -> Ipv4Prefix {
    Ipv4Prefix::new(Prefix::new(IpAddr::V4(ipv4(number)), 28).unwrap()).unwrap()
}

fn ipv6_prefix(number: u128) -> Ipv6Prefix {
    let address = IpAddr::V6(Ipv6Addr::from_bits(number));
    Ipv6Prefix::new(Prefix::new(address, 80).unwrap()).unwrap()
}

pub(super) fn wanted_addresses(wanted: &Wanted) -> WantedAddresses {
    let named = &wanted.named;
    WantedAddresses {
        secondary: named.secondary.iter().copied().map(ipv4).collect(),
        secondary_count: wanted.secondary_count,
        ipv4_prefixes: named.ipv4_prefixes.iter().copied().map(ipv4_prefix).collect(),
        ipv4_prefix_count: wanted.ipv4_prefix_count,
        ipv6: named.ipv6.iter().copied().map(Ipv6Addr::from_bits).collect(),
        ipv6_count: wanted.ipv6_count,
        ipv6_prefixes: named.ipv6_prefixes.iter().copied().map(ipv6_prefix).collect(),
        ipv6_prefix_count: wanted.ipv6_prefix_count,
    }
}

impl Pair {
    /// A number of addresses that are chosen: mostly none, rarely too many.
    fn some_count(&mut self, many: u8) -> u8 {
        match self.dice.below(30) {
            0 => many,
            1..=4 => 1,
            5 => 2,
            _ => 0,
        }
    }

    /// Addresses and prefixes in and about the block of a vSwitch.
    pub(super) fn some_addresses(&mut self, vswitch: &str) -> Wanted {
        let found = self.model.vswitches.iter().find(|own| own.id == vswitch).cloned();
        let cidr = found.as_ref().map_or("10.0.0.0/24".to_string(), |own| own.cidr.clone());
        let ipv6 = found.and_then(|own| own.ipv6).unwrap_or("fd00:0:0:100::/64".to_string());
        let (ipv4, ipv6) = (block(&cidr).0, block(&ipv6).0);
        let mut some = |base: u128, size: u128, one_in: usize| {
            let mut numbers = Vec::new();
            while self.chance(one_in) {
                numbers.push(base / size * size + size * self.dice.below(9) as u128);
            }
            numbers
        };
        let named = Own {
            primary: 0,
            secondary: some(ipv4, 1, 5),
            ipv4_prefixes: some(ipv4, IPV4_PREFIX, 12),
            ipv6: some(ipv6, 1, 6),
            ipv6_prefixes: some(ipv6, IPV6_PREFIX, 12),
        };
        Wanted {
            primary: self.chance(4).then(|| ipv4 + self.dice.below(9) as u128),
            named,
            secondary_count: self.some_count(50),
            ipv4_prefix_count: self.some_count(1),
            ipv6_count: self.some_count(11),
            ipv6_prefix_count: self.some_count(11),
        }
    }

    /// More addresses for an interface, of one family.
    pub(super) fn assign(&mut self) {
        let (id, is_ipv6) = (self.some_interface(), self.chance(2));
        let old = self.who.own(&self.model.interfaces, &id).cloned();
        let vswitch = old.as_ref().map_or("vsw-none".to_string(), |own| own.vswitch.clone());
        let all = Wanted { primary: None, ..self.some_addresses(&vswitch) };
        let mut wanted = Wanted::default();
        if is_ipv6 {
            wanted.named =
                Own { primary: 0, secondary: vec![], ipv4_prefixes: vec![], ..all.named };
            (wanted.ipv6_count, wanted.ipv6_prefix_count) = (all.ipv6_count, all.ipv6_prefix_count);
        } else {
            wanted.named = Own { primary: 0, ipv6: vec![], ipv6_prefixes: vec![], ..all.named };
            wanted.secondary_count = all.secondary_count;
            wanted.ipv4_prefix_count = all.ipv4_prefix_count;
        }
        let assigned =
            AssignAddresses { interface: parsed(&id), addresses: wanted_addresses(&wanted) };
        let command = match is_ipv6 {
            true => Command::AssignIpv6Addresses(assigned),
            false => Command::AssignPrivateIpAddresses(assigned),
        };
        if wanted.count() == 1 {
            self.send(&command, &only("MissingParameter"));
            return;
        }
        let Some(old) = old else {
            self.send(&command, &only("InvalidEniId.NotFound"));
            return;
        };
        let vswitch = get(&self.model.vswitches, &vswitch);
        let chosen = self.model.choose(vswitch, &wanted, false);
        let (refusals, new) = match chosen {
            Err(refusals) => {
                // What would be too many anyway may be said first.
                let mut counts = counted(&old.own, &wanted);
                counts.extend(refusals);
                (counts, old.own.clone())
            }
            Ok(more) => {
                let mut new = old.own.clone();
                new.secondary.extend(more.secondary);
                new.ipv4_prefixes.extend(more.ipv4_prefixes);
                new.ipv6.extend(more.ipv6);
                new.ipv6_prefixes.extend(more.ipv6_prefixes);
                (self.model.check_assigned(&old, &new), new)
            }
        };
        if self.send(&command, &refusals).is_some() {
            get_mut(&mut self.model.interfaces, &id).own = new;
        }
    }

    pub(super) fn unassign(&mut self) {
        let id = self.some_interface();
        let found = self.model.interfaces.iter().find(|own| own.id == id).cloned();
        let own = found.as_ref().map(|own| own.own.clone()).unwrap_or_default();
        let mut some = |of: &[u128], other: u128| {
            let mut gone: Vec<u128> = of.iter().copied().filter(|_| self.chance(2)).collect();
            if self.chance(15) {
                gone.push(other);
            }
            gone
        };
        let gone = Own {
            primary: 0,
            secondary: some(&own.secondary, own.primary),
            ipv4_prefixes: some(&own.ipv4_prefixes, 0),
            ipv6: some(&own.ipv6, 1),
            ipv6_prefixes: some(&own.ipv6_prefixes, 0),
        };
        let wanted = wanted_addresses(&Wanted { named: gone.clone(), ..Wanted::default() });
        let command = Command::UnassignAddresses(UnassignAddresses {
            interface: parsed(&id),
            secondary: wanted.secondary,
            ipv4_prefixes: wanted.ipv4_prefixes,
            ipv6: wanted.ipv6,
            ipv6_prefixes: wanted.ipv6_prefixes,
        });
        if gone == Own::default() {
            self.send(&command, &only("MissingParameter"));
            return;
        }
        let Some(old) = self.who.own(&self.model.interfaces, &id).cloned() else {
            self.send(&command, &only("InvalidEniId.NotFound"));
            return;
        };
        let own = old.own;
        let mut refusals = Refusals::new();
        if gone.secondary.contains(&own.primary) {
            refusals.insert("InvalidParameter".into());
        }
        let pairs = [
            (&gone.secondary, &own.secondary),
            (&gone.ipv4_prefixes, &own.ipv4_prefixes),
            (&gone.ipv6, &own.ipv6),
            (&gone.ipv6_prefixes, &own.ipv6_prefixes),
        ];
        if pairs.iter().any(|(gone, own)| gone.iter().any(|n| !own.contains(n))) {
            refusals.insert("InvalidIp.IpUnassigned".into());
        }
        if self.send(&command, &refusals).is_some() {
            let own = &mut get_mut(&mut self.model.interfaces, &id).own;
            own.secondary.retain(|n| !gone.secondary.contains(n));
            own.ipv4_prefixes.retain(|n| !gone.ipv4_prefixes.contains(n));
            own.ipv6.retain(|n| !gone.ipv6.contains(n));
            own.ipv6_prefixes.retain(|n| !gone.ipv6_prefixes.contains(n));
        }
    }
}

/// The refusals of the numbers that an interface would come to.
pub(super) fn counted(own: &Own, wanted: &Wanted) -> Refusals {
    let more = |own: &[u128], named: &[u128], count: u8| {
        vec![0; own.len() + named.len() + usize::from(count)]
    };
    let named = &wanted.named;
    count_refusals(&Own {
        primary: 0,
        secondary: more(&own.secondary, &named.secondary, wanted.secondary_count),
        ipv4_prefixes: more(&own.ipv4_prefixes, &named.ipv4_prefixes, wanted.ipv4_prefix_count),
        ipv6: more(&own.ipv6, &named.ipv6, wanted.ipv6_count),
        ipv6_prefixes: more(&own.ipv6_prefixes, &named.ipv6_prefixes, wanted.ipv6_prefix_count),
    })
}
