//! The mirror of `datapath/state.h`: what the kernel program and its user side share beyond policy.
//!
//! The header is the original and says what each word means; a test compares the numbers. Values
//! are read from and written to bytes here, in the machine's own order, so that no layout of Rust's
//! matters.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_compile::members::MemberKey;
use portcullis_core::net::{Family, Prefix, address_bits};
use portcullis_core::rule::Direction;
use portcullis_core::verdict::Reason;

use crate::kernel::Count;
use crate::layout::Flow;

/// Words of the `config` map.
pub(super) const CONFIG_MEMBERSHIP: usize = 0;
pub(super) const CONFIG_CLOCK_OFFSET_NS: usize = 1;
pub(super) const CONFIG_FLAGS: usize = 2;
pub(super) const CONFIG_EVENTS_PER_SECOND: usize = 3;
pub(super) const CONFIG_DHCP4_SERVERS: usize = 4;
pub(super) const CONFIG_MEMBER_LENGTHS4: usize = 16;
pub(super) const CONFIG_MEMBER_LENGTHS6: usize = 20;
pub(super) const CONFIG_WORDS: usize = 24;

/// Most DHCPv4 servers that a host's configuration may name.
pub const DHCP4_SERVERS_MAX: usize = 8;
/// Words of the set of prefix lengths that members of one family have.
pub(super) const MEMBER_LENGTH_WORDS: usize = 3;
/// Any link-local address is taken for an interface's own.
pub(super) const CONFIG_FLAG_ANY_LINK_LOCAL: u64 = 1;

/// Bytes and words of a slot.
pub(super) const SLOT_WORDS: usize = 16;
pub(super) const SLOT_WORD: usize = 0;
pub(super) const SLOT_PICK_UP_UNTIL: usize = 1;
pub(super) const SLOT_BLOCKS_LENT: usize = 2;
pub(super) const SLOT_PLACES_CLAIM: usize = 8;
pub(super) const SLOT_EVENTS_LOST: usize = 13;

/// Buckets of the `devices` map, and the places of one.
pub(super) const DEVICE_BUCKETS: usize = 1024;
pub(super) const DEVICES_PER_BUCKET: usize = 8;

/// Places that a word speaks of, words that speak of a block, places of a block.
pub(super) const WORD_PLACES: u32 = 64;
pub(super) const BLOCK_WORDS: u32 = 4;
pub(super) const BLOCK_PLACES: u32 = 256;
/// Blocks that a slot may have, its reserve included.
pub(super) const SLOT_BLOCKS: u32 = 256;
/// Words of the value of `place_words`; the first says which places are used.
pub(super) const PLACE_WORD_WORDS: usize = 4;
/// Words of `spare`.
pub(super) const SPARE_WORDS: usize = 5;
pub(super) const SPARE_FIRST: usize = 0;
pub(super) const SPARE_END: usize = 1;

/// In `cb[0]`: the packet was accepted; the low byte is the reason.
pub(super) const CB_ACCEPT: u32 = 0x100;

pub(super) const MEMBER_KEY_BYTES: usize = 32;
pub(super) const FLOW_KEY_BYTES: usize = 48;
pub(super) const FLOW_BYTES: usize = 88;
/// Where the flow of an older layout begins in the frame that is handed to `pc_adopt`.
const ADOPTED_AT: usize = 16;
#[cfg(test)]
const ADOPTED_BYTES: usize = 120;
pub(super) const COUNT_BYTES: usize = 24;
pub(super) const EVENT_BYTES: usize = 120;
/// Numbers of the `reasons` map for one slot and direction.
pub(super) const REASON_STRIDE: usize = 32;

/// Rule counters that one word of the `retired` map speaks of.
pub(super) const COUNTERS_PER_WORD: u32 = 64;

pub(super) const FLOW_FIRST_INGRESS: u32 = 1;
pub(super) const FLOW_BLOCKED: u32 = 2;

/// `bytes[at..at + N]`, zeros beyond the end.
pub(crate) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(found) = bytes.get(at..at + N) {
        out.copy_from_slice(found);
    }
    out
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(part(bytes, at))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(part(bytes, at))
}

fn quarter(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(part(bytes, at))
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    u8::from_ne_bytes(part(bytes, at))
}

/// An address from two words, high first.
fn address(bytes: &[u8], at: usize, family: u8) -> IpAddr {
    let (high, low) = (word(bytes, at), word(bytes, at + 8));
    if family == 6 {
        IpAddr::V6(Ipv6Addr::from_bits((u128::from(high) << 64) | u128::from(low)))
    } else {
        IpAddr::V4(Ipv4Addr::from_bits(low as u32))
    }
}

pub(super) fn member_key_bytes(key: &MemberKey) -> [u8; MEMBER_KEY_BYTES] {
    let bits = address_bits(key.prefix.address());
    let family: u32 = match key.prefix.family() {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    let mut bytes = [0; MEMBER_KEY_BYTES];
    bytes[..8].copy_from_slice(&u64::from(key.vpc).to_ne_bytes());
    bytes[8..16].copy_from_slice(&((bits >> 64) as u64).to_ne_bytes());
    bytes[16..24].copy_from_slice(&(bits as u64).to_ne_bytes());
    bytes[24..28].copy_from_slice(&family.to_ne_bytes());
    bytes[28..].copy_from_slice(&u32::from(key.prefix.length()).to_ne_bytes());
    bytes
}

pub(crate) fn member_key(bytes: &[u8]) -> Option<MemberKey> {
    let family = half(bytes, 24) as u8;
    let prefix = Prefix::new(address(bytes, 8, family), u8::try_from(half(bytes, 28)).ok()?)?;
    Some(MemberKey { vpc: u32::try_from(word(bytes, 0)).ok()?, prefix })
}

/// Prefix lengths of members as the program reads them: bit n of the words for the n-th length from
/// the longest down.
pub(super) fn length_words(family: Family, lengths: &[u8]) -> [u64; MEMBER_LENGTH_WORDS] {
    let mut words = [0; MEMBER_LENGTH_WORDS];
    for length in lengths {
        let bit = usize::from(family.bits().saturating_sub(*length));
        if let Some(word) = words.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }
    words
}

/// The number of a direction in the kernel.
pub(super) fn direction_number(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}

pub(super) fn direction_of(number: u8) -> Direction {
    if number == 0 { Direction::Egress } else { Direction::Ingress }
}

/// The reason with this number.
pub(super) fn reason_of(number: u8) -> Option<Reason> {
    Reason::ALL.get(usize::from(number)).copied()
}

/// Packets and bytes of a flow, by direction. A large segment counts as all that it is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Packets that left the instance.
    pub egress_packets: u64,
    /// Packets that entered it.
    pub ingress_packets: u64,
    /// Bytes of the frames that left.
    pub egress_bytes: u64,
    /// Bytes of the frames that entered.
    pub ingress_bytes: u64,
}

impl Traffic {
    fn from_bytes(bytes: &[u8], at: usize) -> Self {
        Self {
            egress_packets: word(bytes, at),
            ingress_packets: word(bytes, at + 8),
            egress_bytes: word(bytes, at + 16),
            ingress_bytes: word(bytes, at + 24),
        }
    }
}

/// What a flow is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The interface's handle.
    pub handle: u64,
    /// The interface's side.
    pub local: IpAddr,
    /// The other side.
    pub remote: IpAddr,
    /// Local port; the identifier of an echo; 0 without ports.
    pub local_port: u16,
    /// Remote port; 0 without ports.
    pub remote_port: u16,
    /// Final IP protocol.
    pub protocol: u8,
}

impl FlowKey {
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let family = byte(bytes, 45);
        Self {
            handle: word(bytes, 0),
            local: address(bytes, 8, family),
            remote: address(bytes, 24, family),
            local_port: quarter(bytes, 40),
            remote_port: quarter(bytes, 42),
            protocol: byte(bytes, 44),
        }
    }
}

/// A flow as the kernel holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowEntry {
    /// Which.
    pub key: FlowKey,
    /// Direction of the packet that began it.
    pub first: Direction,
    /// Its verdict has become drop.
    pub blocked: bool,
    /// The last accepted packet, on the program's clock.
    pub seen_ns: u64,
    /// How long it lives after that.
    pub idle_ns: u64,
    /// When it began.
    pub began_ns: u64,
    /// Its slot.
    pub slot: u32,
    /// Number of the rule's counter, if a rule accepted it.
    pub counter: Option<u32>,
    /// What was let through.
    pub traffic: Traffic,
}

impl FlowEntry {
    pub(super) fn from_bytes(key: &[u8], value: &[u8]) -> Self {
        let state = word(value, 0) as u32;
        Self {
            key: FlowKey::from_bytes(key),
            first: direction_of(u8::from(state & FLOW_FIRST_INGRESS != 0)),
            blocked: state & FLOW_BLOCKED != 0,
            seen_ns: word(value, 8),
            idle_ns: word(value, 24),
            began_ns: word(value, 32),
            slot: half(value, 40),
            counter: half(value, 48).checked_sub(1),
            traffic: Traffic::from_bytes(value, 56),
        }
    }
}

/// The frame in which a flow of an older layout is handed over.
pub(super) fn adopted_frame(flow: &Flow) -> Vec<u8> {
    let mut frame = vec![0; ADOPTED_AT];
    let words = |frame: &mut Vec<u8>, words: &[u64]| {
        frame.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    };
    words(&mut frame, &[flow.handle]);
    words(&mut frame, &flow.local);
    words(&mut frame, &flow.remote);
    frame.extend(flow.local_port.to_ne_bytes());
    frame.extend(flow.remote_port.to_ne_bytes());
    frame.extend([flow.protocol, flow.family, flow.asker, 0]);
    words(&mut frame, &[flow.seen_ns, flow.idle_ns, flow.began_ns]);
    words(&mut frame, &flow.packets);
    words(&mut frame, &flow.bytes);
    for half in [flow.state, flow.slot, flow.counter, flow.reason] {
        frame.extend(half.to_ne_bytes());
    }
    frame
}

/// The sum of a count over the values of all processors.
pub(super) fn count_sum(bytes: &[u8]) -> Count {
    bytes.chunks_exact(COUNT_BYTES).fold(Count::default(), |sum, value| Count {
        packets: sum.packets + word(value, 0),
        bytes: sum.bytes + word(value, 8),
        last_seen_ns: sum.last_seen_ns.max(word(value, 16)),
    })
}

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A flow began.
    New,
    /// A packet was dropped.
    Deny,
    /// A running flow's verdict became drop.
    Revoke,
    /// A blocked flow's verdict became accept again.
    Recover,
    /// A flow ended: idle, evicted or forgotten.
    End,
}

impl EventKind {
    /// All of them, in the kernel's order.
    pub const ALL: [Self; 5] = [Self::New, Self::Deny, Self::Revoke, Self::Recover, Self::End];
}

/// How a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// Nothing came for its idle time.
    Idle,
    /// Both sides had said so.
    Closed,
    /// A side had reset it.
    Reset,
    /// Its verdict was drop when it idled out.
    Blocked,
    /// Its place went to another flow.
    GaveWay,
    /// Another flow of the same key began.
    Replaced,
    /// Its interface is here no longer.
    Forgotten,
}

impl EndCause {
    /// All of them, by their numbers.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Closed,
        Self::Reset,
        Self::Blocked,
        Self::GaveWay,
        Self::Replaced,
        Self::Forgotten,
    ];

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Blocked => "blocked",
            Self::GaveWay => "gave-way",
            Self::Replaced => "replaced",
            Self::Forgotten => "forgotten",
        }
    }
}

/// One record of the event ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When, on the program's clock.
    pub now_ns: u64,
    /// What.
    pub kind: EventKind,
    /// The flow, or the packet's place in one; all zeros but for the handle if the packet was not
    /// understood.
    pub flow: FlowKey,
    /// When the flow began; 0 if the event is about none.
    pub began_ns: u64,
    /// The last accepted packet.
    pub seen_ns: u64,
    /// Of the flow so far, or of the packet at hand.
    pub traffic: Traffic,
    /// The interface's slot.
    pub slot: u32,
    /// Number of the rule's counter, if a rule decided.
    pub counter: Option<u32>,
    /// Of the packet or of the flow's first.
    pub direction: Direction,
    /// Why; of [`EventKind::End`], why the flow was last accepted.
    pub reason: Reason,
    /// How the flow ended; of meaning for [`EventKind::End`] only.
    pub cause: EndCause,
}

impl Event {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let kind = *EventKind::ALL.get(usize::from(byte(bytes, 112)))?;
        Some(Self {
            now_ns: word(bytes, 0),
            kind,
            flow: FlowKey::from_bytes(bytes.get(8..8 + FLOW_KEY_BYTES)?),
            began_ns: word(bytes, 56),
            seen_ns: word(bytes, 64),
            traffic: Traffic::from_bytes(bytes, 72),
            slot: half(bytes, 104),
            counter: half(bytes, 108).checked_sub(1),
            direction: direction_of(byte(bytes, 113)),
            reason: reason_of(byte(bytes, 114))?,
            cause: *EndCause::ALL.get(usize::from(byte(bytes, 115)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use portcullis_core::limits;

    use super::*;

    const HEADER: &str = include_str!("../../../../datapath/state.h");

    /// Offsets of a structure's fields as C lays them out, and its size under the name "".
    fn layout(name: &str) -> BTreeMap<String, usize> {
        let start = HEADER.find(&format!("struct {name} {{\n")).unwrap();
        let body = &HEADER[start..][..HEADER[start..].find("\n};").unwrap()];
        let (mut at, mut found, mut widest) = (0usize, BTreeMap::new(), 1);
        for line in body.lines().skip(1) {
            let Some((declaration, _)) = line.trim().split_once(';') else { continue };
            let (kind, field) = declaration.rsplit_once(' ').unwrap();
            let (width, count) = match kind {
                "__u64" => (8, 1),
                "__u32" => (4, 1),
                "__u16" => (2, 1),
                "__u8" => (1, 1),
                "struct pc_flow_key" => (8, FLOW_KEY_BYTES / 8),
                other => panic!("a field of type {other}"),
            };
            let (field, times) = match field.split_once('[') {
                Some((field, times)) => (field, times.trim_end_matches(']').parse().unwrap()),
                None => (field, 1),
            };
            at = at.next_multiple_of(width);
            found.insert(field.to_string(), at);
            at += width * count * times;
            widest = widest.max(width);
        }
        found.insert(String::new(), at.next_multiple_of(widest));
        found
    }

    /// The numbers of an enumeration's names and of definitions that are numbers.
    fn number(name: &str) -> u64 {
        let mut next = 0;
        for line in HEADER.lines() {
            let line = line.split("/*").next().unwrap_or("").trim();
            if line.starts_with("enum ") {
                next = 0;
            }
            let (found, value) = if let Some(definition) = line.strip_prefix("#define ") {
                match definition.split_once(' ') {
                    Some((found, value)) => (found, value.trim().trim_end_matches(['u', 'l'])),
                    None => continue,
                }
            } else if let Some(found) = line.strip_suffix(',') {
                match found.split_once(" = ") {
                    Some((found, value)) => {
                        next = value.parse().unwrap();
                        (found, "")
                    }
                    None => (found, ""),
                }
            } else {
                match line.split_once(" = ") {
                    Some((found, value)) if line.starts_with("PC_") => (found, value),
                    _ => (line, ""),
                }
            };
            if found == name {
                let hexadecimal = value.strip_prefix("0x");
                return match (hexadecimal, value) {
                    (Some(digits), _) => u64::from_str_radix(digits, 16).unwrap(),
                    (None, "") => next,
                    (None, digits) => digits.parse().unwrap(),
                };
            }
            if found.starts_with("PC_") && value.is_empty() {
                next += 1;
            }
        }
        panic!("the header has no {name}")
    }

    #[test]
    fn structures_have_the_header_s_layout() {
        let size = |name: &str| layout(name)[""];
        assert_eq!(size("pc_slot"), SLOT_WORDS * 8);
        let slot = layout("pc_slot");
        for (field, word) in [
            ("word", SLOT_WORD),
            ("pick_up_until", SLOT_PICK_UP_UNTIL),
            ("blocks", SLOT_BLOCKS_LENT),
            ("places_claim", SLOT_PLACES_CLAIM),
            ("events_lost", SLOT_EVENTS_LOST),
        ] {
            assert_eq!(slot[field], word * 8, "{field}");
        }
        assert_eq!(size("pc_device_bucket"), DEVICES_PER_BUCKET * 8);
        assert_eq!(size("pc_place_word"), PLACE_WORD_WORDS * 8);
        assert_eq!(layout("pc_place_word")["used"], 0);
        assert_eq!(size("pc_spare"), SPARE_WORDS * 8);
        let spare = layout("pc_spare");
        assert_eq!(["first", "end"].map(|field| spare[field] / 8), [SPARE_FIRST, SPARE_END]);
        assert_eq!(size("pc_member_key"), MEMBER_KEY_BYTES);
        assert_eq!(size("pc_flow_key"), FLOW_KEY_BYTES);
        assert_eq!(size("pc_flow"), FLOW_BYTES);
        assert_eq!(size("pc_count"), COUNT_BYTES);
        assert_eq!(size("pc_event"), EVENT_BYTES);
        let flow = layout("pc_flow");
        assert_eq!(
            ["state", "seen", "idle_ns", "began", "slot", "counter", "packets", "bytes"]
                .map(|field| flow[field]),
            [0, 8, 24, 32, 40, 48, 56, 72]
        );
        let adopted = layout("pc_adopted");
        assert_eq!(
            ["key", "seen", "idle_ns", "began", "packets", "bytes", "state", "slot", "counter"]
                .map(|field| adopted[field]),
            [0, 48, 56, 64, 72, 88, 104, 108, 112]
        );
        assert_eq!((adopted["reason"], size("pc_adopted")), (116, ADOPTED_BYTES));
        assert_eq!(adopted_frame(&Flow::default()).len(), ADOPTED_AT + ADOPTED_BYTES);
        let event = layout("pc_event");
        assert_eq!(
            ["now", "flow", "began", "seen", "packets", "bytes", "slot", "counter"]
                .map(|field| event[field]),
            [0, 8, 56, 64, 72, 88, 104, 108]
        );
        assert_eq!(
            ["kind", "direction", "reason", "cause"].map(|field| event[field]),
            [112, 113, 114, 115]
        );
    }

    #[test]
    fn a_block_is_the_reserve_and_the_largest_quota_is_all_blocks() {
        assert_eq!(BLOCK_PLACES, BLOCK_WORDS * WORD_PLACES);
        assert_eq!(BLOCK_PLACES, limits::FLOWS_PER_INTERFACE_RESERVED);
        assert_eq!(SLOT_BLOCKS * BLOCK_PLACES, limits::FLOWS_PER_INTERFACE_MAX);
    }

    #[test]
    fn numbers_are_the_header_s() {
        for (name, value) in [
            ("PC_CONFIG_MEMBERSHIP", CONFIG_MEMBERSHIP),
            ("PC_CONFIG_CLOCK_OFFSET_NS", CONFIG_CLOCK_OFFSET_NS),
            ("PC_CONFIG_FLAGS", CONFIG_FLAGS),
            ("PC_CONFIG_EVENTS_PER_SECOND", CONFIG_EVENTS_PER_SECOND),
            ("PC_CONFIG_DHCP4_SERVERS", CONFIG_DHCP4_SERVERS),
            ("PC_CONFIG_MEMBER_LENGTHS4", CONFIG_MEMBER_LENGTHS4),
            ("PC_CONFIG_MEMBER_LENGTHS6", CONFIG_MEMBER_LENGTHS6),
            ("PC_CONFIG_WORDS", CONFIG_WORDS),
            ("PC_DHCP4_SERVERS_MAX", DHCP4_SERVERS_MAX),
            ("PC_MEMBER_LENGTH_WORDS", MEMBER_LENGTH_WORDS),
            ("PC_DEVICE_BUCKETS", DEVICE_BUCKETS),
            ("PC_DEVICES_PER_BUCKET", DEVICES_PER_BUCKET),
            ("PC_CONFIG_FLAG_ANY_LINK_LOCAL", CONFIG_FLAG_ANY_LINK_LOCAL as usize),
            ("PC_CB_ACCEPT", CB_ACCEPT as usize),
            ("PC_REASON_STRIDE", REASON_STRIDE),
            ("PC_ADOPTED_AT", ADOPTED_AT),
            ("PC_WORD_PLACES", WORD_PLACES as usize),
            ("PC_BLOCK_WORDS", BLOCK_WORDS as usize),
            ("PC_BLOCK_PLACES", BLOCK_PLACES as usize),
            ("PC_SLOT_BLOCKS", SLOT_BLOCKS as usize),
            ("PC_FLOW_FIRST_INGRESS", FLOW_FIRST_INGRESS as usize),
            ("PC_FLOW_BLOCKED", FLOW_BLOCKED as usize),
        ] {
            assert_eq!(number(name), value as u64, "{name}");
        }
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            let name = reason.name().replace('-', "_").to_uppercase();
            assert_eq!(number(&format!("PC_{name}")), position as u64, "{name}");
        }
        assert_eq!(number("PC_END_CAUSES"), EndCause::ALL.len() as u64);
        for (position, cause) in EndCause::ALL.into_iter().enumerate() {
            let name = cause.name().replace('-', "_").to_uppercase();
            assert_eq!(number(&format!("PC_END_{name}")), position as u64, "{name}");
        }
    }

    #[test]
    fn lengths_are_bits_from_the_longest_down() {
        assert_eq!(length_words(Family::V4, &[0, 28, 32]), [1 << 32 | 1 << 4 | 1, 0, 0]);
        assert_eq!(length_words(Family::V6, &[128, 65, 64, 1, 0]), [1 << 63 | 1, 1 << 63 | 1, 1]);
    }

    #[test]
    fn a_member_key_survives_its_bytes() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.7", "2001:db8::/80", "::1"] {
            let prefix = text.parse::<portcullis_core::net::Cidr>().unwrap().prefix();
            let key = MemberKey { vpc: 7, prefix };
            assert_eq!(member_key(&member_key_bytes(&key)), Some(key));
        }
    }
}
