//! Walks the words of an image as the kernel program does, in user space.
//!
//! It reads blobs and nothing else: no rule, no world, no name. A word that points outside the
//! image is an error, never a verdict.
use core::net::{IpAddr, Ipv4Addr};

use portcullis_core::flow::{DHCPV6_SERVERS, Flow, dhcp};
use portcullis_core::net::{Family, Mac, address_bits, protocol};
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::Reason;

use crate::abi::{self, row_words, section_parts};

/// The image points outside itself or says what it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedImage;

/// What the image says of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Accept or drop.
    pub policy: Policy,
    /// The step that decided.
    pub reason: Reason,
    /// Counter number of the rule, if a rule decided.
    pub counter: Option<u32>,
}

/// A blob: the pool from its first word on.
#[derive(Debug, Clone, Copy)]
struct Blob<'a>(&'a [u64]);

impl<'a> Blob<'a> {
    fn word(self, at: u64) -> Result<u64, DamagedImage> {
        usize::try_from(at).ok().and_then(|at| self.0.get(at)).copied().ok_or(DamagedImage)
    }

    fn at(self, offset: u64) -> Result<Self, DamagedImage> {
        let offset = usize::try_from(offset).map_err(|_| DamagedImage)?;
        self.0.get(offset..).map(Self).ok_or(DamagedImage)
    }

    fn run(self, offset: u64, count: usize) -> Result<&'a [u64], DamagedImage> {
        self.at(offset)?.0.get(..count).ok_or(DamagedImage)
    }

    /// The words of a section of things that take `width` words each.
    fn section(self, header_word: u64, width: usize) -> Result<&'a [u64], DamagedImage> {
        let (offset, count) = section_parts(self.word(header_word)?);
        self.run(offset, count as usize * width)
    }
}

/// The number that `width` words make, the highest first.
fn number(words: &[u64]) -> u128 {
    words.iter().fold(0, |number, word| (number << 64) | u128::from(*word))
}

/// Words of an address.
fn width(family: Family) -> usize {
    match family {
        Family::V4 => 1,
        Family::V6 => 2,
    }
}

/// Judges a flow by the INTERFACE blob at pool offset `interface`. `groups` are the numbers of the
/// remote address's groups in the VPC of the number given to it.
pub fn judge<'m>(
    pool: &[u64],
    interface: u64,
    flow: &Flow,
    groups: impl FnOnce(u32, IpAddr) -> &'m [u32],
) -> Result<Outcome, DamagedImage> {
    let blob = Interface(Blob(pool).at(interface)?);
    let decided = |policy, reason| Ok(Outcome { policy, reason, counter: None });
    if let Some(policy) = blob.baseline(flow)? {
        return decided(policy, Reason::Baseline);
    }
    if blob.is_spoofed(flow)? {
        return decided(Policy::Drop, Reason::Spoofed);
    }
    let vpc = u32::try_from(blob.0.word(abi::INTERFACE_VPC)?).map_err(|_| DamagedImage)?;
    let groups = groups(vpc, flow.remote());
    if blob.is_intra_group(flow.remote(), groups)? {
        return decided(Policy::Accept, Reason::IntraGroup);
    }
    let table = blob.0.word(match flow.direction() {
        Direction::Egress => abi::INTERFACE_EGRESS,
        Direction::Ingress => abi::INTERFACE_INGRESS,
    })?;
    Table(Blob(pool).at(table)?).judge(flow, groups)
}

/// An INTERFACE blob.
struct Interface<'a>(Blob<'a>);

impl Interface<'_> {
    fn owns(&self, address: IpAddr) -> Result<bool, DamagedImage> {
        let family = Family::of(address);
        let header_word = match family {
            Family::V4 => abi::INTERFACE_OWN4,
            Family::V6 => abi::INTERFACE_OWN6,
        };
        let (width, address) = (width(family), address_bits(address));
        Ok(self.0.section(header_word, 2 * width)?.chunks_exact(2 * width).any(|range| {
            let (first, last) = range.split_at(width);
            (number(first)..=number(last)).contains(&address)
        }))
    }

    fn has_flag(&self, flag: u64) -> Result<bool, DamagedImage> {
        Ok(self.0.word(abi::INTERFACE_FLAGS)? & flag != 0)
    }

    fn is_own_link_local(&self, address: IpAddr) -> Result<bool, DamagedImage> {
        if !self.has_flag(abi::FLAG_MAC)? {
            return Ok(false);
        }
        let [_, _, mac @ ..] = self.0.word(abi::INTERFACE_MAC)?.to_be_bytes();
        Ok(address == IpAddr::V6(Mac(mac).link_local()))
    }

    fn baseline(&self, flow: &Flow) -> Result<Option<Policy>, DamagedImage> {
        let Some(ports) = flow.ports().filter(|_| flow.protocol() == protocol::UDP) else {
            return Ok(None);
        };
        let pair = (ports.source, ports.destination);
        let (source, destination) = (flow.source(), flow.destination());
        let accepted = match (flow.direction(), flow.family()) {
            (Direction::Egress, Family::V4) if pair == (dhcp::V4_SERVER, dhcp::V4_CLIENT) => {
                return Ok(Some(Policy::Drop));
            }
            (Direction::Egress, Family::V6) if pair == (dhcp::V6_SERVER, dhcp::V6_CLIENT) => {
                return Ok(Some(Policy::Drop));
            }
            (Direction::Egress, Family::V4) if pair == (dhcp::V4_CLIENT, dhcp::V4_SERVER) => {
                destination == IpAddr::V4(Ipv4Addr::BROADCAST)
                    && (source == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || self.owns(source)?)
            }
            (Direction::Ingress, Family::V4) if pair == (dhcp::V4_SERVER, dhcp::V4_CLIENT) => {
                destination == IpAddr::V4(Ipv4Addr::BROADCAST) || self.owns(destination)?
            }
            (Direction::Egress, Family::V6) if pair == (dhcp::V6_CLIENT, dhcp::V6_SERVER) => {
                destination == IpAddr::V6(DHCPV6_SERVERS) && self.is_own_link_local(source)?
            }
            (Direction::Ingress, Family::V6) if pair == (dhcp::V6_SERVER, dhcp::V6_CLIENT) => {
                self.owns(destination)? || self.is_own_link_local(destination)?
            }
            _ => false,
        };
        Ok(accepted.then_some(Policy::Accept))
    }

    fn is_spoofed(&self, flow: &Flow) -> Result<bool, DamagedImage> {
        if flow.direction() == Direction::Egress
            && let IpAddr::V6(source) = flow.source()
            && source.is_unicast_link_local()
        {
            return Ok(true);
        }
        if !self.has_flag(abi::FLAG_CHECK_ADDRESSES)? || self.owns(flow.local())? {
            return Ok(false);
        }
        let destination = flow.destination();
        let is_for_many =
            destination.is_multicast() || destination == IpAddr::V4(Ipv4Addr::BROADCAST);
        Ok(flow.direction() == Direction::Egress || !is_for_many)
    }

    fn is_intra_group(&self, remote: IpAddr, groups: &[u32]) -> Result<bool, DamagedImage> {
        let intra = self.0.section(abi::INTERFACE_INTRA, 1)?;
        let shares = groups.iter().any(|group| intra.contains(&u64::from(*group)));
        Ok(shares && !self.owns(remote)?)
    }
}

/// A TABLE blob.
struct Table<'a>(Blob<'a>);

impl<'a> Table<'a> {
    fn judge(&self, flow: &Flow, groups: &[u32]) -> Result<Outcome, DamagedImage> {
        let first = match self.0.word(abi::TABLE_FORM)? {
            abi::FORM_VECTORS => self.first_of_vectors(flow, groups)?,
            abi::FORM_CLASSES => self.first_of_classes(flow, groups)?,
            _ => return Err(DamagedImage),
        };
        if let Some(rule) = first {
            return self.action(rule);
        }
        let policy = match self.0.word(abi::TABLE_DEFAULT)? {
            0 => Policy::Drop,
            1 => Policy::Accept,
            _ => return Err(DamagedImage),
        };
        Ok(Outcome { policy, reason: Reason::Default, counter: None })
    }

    /// The first rule that matches: the lowest of the cells of the remote address and its groups.
    fn first_of_classes(&self, flow: &Flow, groups: &[u32]) -> Result<Option<u64>, DamagedImage> {
        let (ports, rows, cells, groups_word) = match flow.family() {
            Family::V4 => (
                abi::TABLE_CLASSES4_PORTS,
                abi::TABLE_CLASSES4_ROWS,
                abi::TABLE_CLASSES4_CELLS,
                abi::TABLE_CLASSES4_GROUPS,
            ),
            Family::V6 => (
                abi::TABLE_CLASSES6_PORTS,
                abi::TABLE_CLASSES6_ROWS,
                abi::TABLE_CLASSES6_CELLS,
                abi::TABLE_CLASSES6_GROUPS,
            ),
        };
        let port = flow.ports().map_or(0, |ports| ports.destination);
        let column = self.port_class(self.0.word(ports)?, flow.protocol(), port)?;
        let (rows, cells) = (self.0.word(rows)?, self.0.word(cells)?);
        let cell = |row: u64| {
            let page = self.entry(rows, row + column / abi::PAGE_CELLS)?;
            self.entry(cells, page * abi::PAGE_CELLS + column % abi::PAGE_CELLS)
        };
        let mut first = cell(self.remote_row(flow.remote())?)?;
        let named = self.0.section(groups_word, 1)?;
        for group in groups {
            if let Ok(at) = named.binary_search_by_key(group, |word| (word >> 32) as u32) {
                first = first.min(cell(named.get(at).ok_or(DamagedImage)? & 0xffff_ffff)?);
            }
        }
        Ok((first != abi::CELL_NONE).then_some(first))
    }

    /// A 16-bit number of those that stand four to a word.
    fn entry(&self, first: u64, number: u64) -> Result<u64, DamagedImage> {
        Ok(self.0.word(first + number / 4)? >> (number % 4 * 16) & 0xffff)
    }

    fn port_class(&self, tree: u64, protocol: u8, port: u16) -> Result<u64, DamagedImage> {
        let mut found = self.entry(tree, protocol.into())?;
        for index in [port >> 8, port >> 4 & 15, port & 15] {
            if found & abi::DEEPER != 0 {
                let chunk = tree + (found & !abi::DEEPER) * abi::CHUNK_WORDS;
                found = self.entry(chunk, index.into())?;
            }
        }
        if found & abi::DEEPER == 0 { Ok(found) } else { Err(DamagedImage) }
    }

    fn remote_row(&self, remote: IpAddr) -> Result<u64, DamagedImage> {
        let bits = address_bits(remote);
        let last_of = |words: &[u64], key: u64| {
            words.partition_point(|word| *word <= key).checked_sub(1).ok_or(DamagedImage)
        };
        if Family::of(remote) == Family::V4 {
            let words = self.0.section(abi::TABLE_CLASSES4_REMOTE, 1)?;
            let at = last_of(words, ((bits as u64) << 32) | 0xffff_ffff)?;
            return Ok(words.get(at).ok_or(DamagedImage)? & 0xffff_ffff);
        }
        let mut section = self.0.word(abi::TABLE_CLASSES6_REMOTE)?;
        for half in [(bits >> 64) as u64, bits as u64] {
            let (offset, count) = section_parts(section);
            let at = last_of(self.0.run(offset, count as usize)?, half)? as u64;
            let value = self.0.word(offset + count + at)?;
            if value & abi::INNER == 0 {
                return Ok(value);
            }
            section = value & !abi::INNER;
        }
        Err(DamagedImage)
    }

    /// The row of a value's class: that of the last boundary not above it.
    fn class_row(
        &self,
        (bounds, classes): (u64, u64),
        width: usize,
        value: u128,
        words: usize,
    ) -> Result<&'a [u64], DamagedImage> {
        let bounds = self.0.section(bounds, width)?;
        // A binary search over boundaries of `width` words.
        let (mut low, mut high) = (0, bounds.len() / width);
        while high - low > 1 {
            let middle = (low + high) / 2;
            let bound = bounds.get(middle * width..(middle + 1) * width).ok_or(DamagedImage)?;
            if number(bound) <= value { low = middle } else { high = middle }
        }
        let offset = self.0.section(classes, 1)?.get(low).ok_or(DamagedImage)?;
        self.0.run(*offset, words)
    }

    /// The first rule that matches, by the rows that packets' fields lead to.
    fn first_of_vectors(&self, flow: &Flow, groups: &[u32]) -> Result<Option<u64>, DamagedImage> {
        let rules = self.0.word(abi::TABLE_RULES)? as usize;
        let words = row_words(rules);
        let (remote, local, protocols) = match flow.family() {
            Family::V4 => (
                (abi::TABLE_REMOTE4_BOUNDS, abi::TABLE_REMOTE4_CLASSES),
                (abi::TABLE_LOCAL4_BOUNDS, abi::TABLE_LOCAL4_CLASSES),
                abi::TABLE_PROTOCOL4,
            ),
            Family::V6 => (
                (abi::TABLE_REMOTE6_BOUNDS, abi::TABLE_REMOTE6_CLASSES),
                (abi::TABLE_LOCAL6_BOUNDS, abi::TABLE_LOCAL6_CLASSES),
                abi::TABLE_PROTOCOL6,
            ),
        };
        let width = width(flow.family());
        let remote = self.class_row(remote, width, address_bits(flow.remote()), words)?;
        let local = self.class_row(local, width, address_bits(flow.local()), words)?;
        let by_protocol = self.0.section(protocols, 1)?;
        let protocol = by_protocol.get(usize::from(flow.protocol())).ok_or(DamagedImage)?;
        let protocol = self.0.run(*protocol, words)?;
        // A packet without ports has port 0, which only "any" matches.
        let (source, destination) = flow.ports().map_or((0, 0), |p| (p.source, p.destination));
        let dport = (abi::TABLE_DPORT_BOUNDS, abi::TABLE_DPORT_CLASSES);
        let dport = self.class_row(dport, 1, u128::from(destination), words)?;
        let sport = (abi::TABLE_SPORT_BOUNDS, abi::TABLE_SPORT_CLASSES);
        let sport = self.class_row(sport, 1, u128::from(source), words)?;
        let by_group = self.group_rows(groups, words)?;
        let rest = local.iter().zip(protocol).zip(dport).zip(sport);
        for (word, (remote, (((local, protocol), dport), sport))) in
            remote.iter().zip(rest).enumerate()
        {
            let named = by_group.iter().flatten().filter_map(|row| row.get(word));
            let remote = named.fold(*remote, |all, row| all | row);
            let possible = remote & local & protocol & dport & sport;
            if possible != 0 {
                return Ok(Some(word as u64 * 64 + u64::from(possible.trailing_zeros())));
            }
        }
        Ok(None)
    }

    /// The rows of those of the remote address's groups that rules name.
    fn group_rows(
        &self,
        groups: &[u32],
        words: usize,
    ) -> Result<[Option<&'a [u64]>; abi::GROUPS_PER_MEMBER_MAX as usize], DamagedImage> {
        let named = self.0.section(abi::TABLE_GROUP_NUMBERS, 1)?;
        let offsets = self.0.section(abi::TABLE_GROUP_ROWS, 1)?;
        let mut rows = [None; abi::GROUPS_PER_MEMBER_MAX as usize];
        for (row, group) in rows.iter_mut().zip(groups) {
            if let Ok(position) = named.binary_search(&u64::from(*group)) {
                let offset = offsets.get(position).ok_or(DamagedImage)?;
                *row = Some(self.0.run(*offset, words)?);
            }
        }
        Ok(rows)
    }

    fn action(&self, rule: u64) -> Result<Outcome, DamagedImage> {
        let actions = self.0.section(abi::TABLE_ACTIONS, 1)?;
        let action = actions.get(rule as usize).ok_or(DamagedImage)?;
        let counter = u32::try_from(action & !abi::ACTION_ACCEPT).map_err(|_| DamagedImage)?;
        let policy = if action & abi::ACTION_ACCEPT == 0 { Policy::Drop } else { Policy::Accept };
        Ok(Outcome { policy, reason: Reason::Rule, counter: Some(counter) })
    }
}
