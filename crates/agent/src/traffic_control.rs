//! TrafficControl control of devices: the clsact qdisc and the filters that hang on it.
//!
//! Knows rtnetlink and nothing of whose a filter is. What a foreign qdisc or filter says beyond its
//! kind, its place and its name is not looked at, so that none of them can confuse us.
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption, TcU32OptionFlags,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Most messages of one dump, far above what a host or a device carries.
const DUMP_MESSAGES_MAX: usize = 131_072;
/// The only kind of qdisc with both sides.
const CLSACT: &str = "clsact";
/// The kind of our filters.
const BPF: &str = "bpf";
/// `ETH_P_ALL` as filters state it.
const ALL_PROTOCOLS: u16 = 3u16.to_be();
/// Filters are for this machine's processors, never for a card's.
const SKIP_HARDWARE: u32 = 1;
/// Priorities that are tried: the lowest number goes first, ahead of everybody else's.
const PRIORITIES: std::ops::RangeInclusive<u16> = 1..=64;

/// Bytes of a message's header, of `struct tcmsg` behind it, and the attributes that are read.
const HEADER_BYTES: usize = 16;
const TCMSG_BYTES: usize = 20;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Attribute types carry flags above this.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// A side of a device, as its host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What arrives from the device.
    Ingress,
    /// What leaves by the device.
    Egress,
}

impl Side {
    fn parent(self) -> TcHandle {
        let minor = match self {
            Self::Ingress => TcHandle::MIN_INGRESS,
            Self::Egress => TcHandle::MIN_EGRESS,
        };
        TcHandle { minor, ..TcHandle::CLSACT }
    }
}

/// A filter at one side of a device, or the place of some.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Lower goes first.
    pub priority: u16,
    /// Of the frames that it looks at, in the order of the wire.
    pub protocol: u16,
    /// 0 for what is no filter itself but the place of some.
    pub handle: u32,
    /// Only those of chain 0 are asked without being called.
    pub chain: u32,
    /// What it is made of.
    pub kind: String,
    /// The name that its maker gave it.
    pub name: String,
    /// The kernel's number of its program.
    pub program: u32,
}

/// What stands at a device's two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Filters can be put at both sides.
    Clsact,
    /// Somebody's older kind, which has one side only.
    OneSided,
}

/// A conversation with the kernel about the network namespace of the thread that began it.
pub struct TrafficControl {
    socket: Socket,
    sequence: u32,
}

impl TrafficControl {
    /// Begins one.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The devices at which filters can be put already.
    pub fn queues(&mut self) -> io::Result<BTreeMap<u32, Queue>> {
        let mut found = BTreeMap::new();
        let ask = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
        self.dump(ask, |place, attributes| {
            if place.parent == u32::from(TcHandle::CLSACT) {
                let is_clsact = text(attribute(attributes, TCA_KIND)) == CLSACT;
                found.insert(place.device, if is_clsact { Queue::Clsact } else { Queue::OneSided });
            }
        })?;
        Ok(found)
    }

    /// Makes a device's clsact qdisc; false if it has one.
    pub fn make_clsact(&mut self, device: u32) -> io::Result<bool> {
        let mut message = message(device, TcHandle::CLSACT);
        message.header.handle = TcHandle { minor: 0, ..TcHandle::CLSACT };
        message.attributes.push(TcAttribute::Kind(CLSACT.into()));
        let made = self
            .change(RouteNetlinkMessage::NewQueueDiscipline(message), NLM_F_CREATE | NLM_F_EXCL);
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(nix::libc::EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a device's clsact qdisc with all that hangs on it; one that is gone is no error.
    pub fn remove_clsact(&mut self, device: u32) -> io::Result<()> {
        let mut message = message(device, TcHandle::CLSACT);
        message.header.handle = TcHandle { minor: 0, ..TcHandle::CLSACT };
        message.attributes.push(TcAttribute::Kind(CLSACT.into()));
        gone_is_fine(self.change(RouteNetlinkMessage::DelQueueDiscipline(message), 0))
    }

    /// The filters at one side of a device; none of a device that is gone.
    pub fn filters(&mut self, device: u32, side: Side) -> io::Result<Vec<Filter>> {
        let mut found = Vec::new();
        let ask = RouteNetlinkMessage::GetTrafficFilter(message(device, side.parent()));
        let listed = self.dump(ask, |place, attributes| {
            let options = attribute(attributes, TCA_OPTIONS);
            found.push(Filter {
                priority: (place.info >> 16) as u16,
                protocol: place.info as u16,
                handle: place.handle,
                chain: number(attribute(attributes, TCA_CHAIN)),
                kind: text(attribute(attributes, TCA_KIND)),
                name: text(attribute(options, TCA_BPF_NAME)),
                program: number(attribute(options, TCA_BPF_ID)),
            });
        });
        gone_is_fine(listed)?;
        Ok(found)
    }

    /// Puts a program at one side of a device: into the filter `at`, without a moment between the
    /// old one and the new one, or ahead of all filters that are there.
    pub fn put(
        &mut self,
        device: u32,
        side: Side,
        at: Option<&Filter>,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> io::Result<()> {
        let (priority, handle, how) = match at {
            Some(filter) => (filter.priority, filter.handle, NLM_F_REPLACE | NLM_F_CREATE),
            None => {
                let priority = free_priority(&self.filters(device, side)?).ok_or_else(|| {
                    let most = PRIORITIES.end();
                    let message =
                        format!("others' filters have every priority up to {most} of the device");
                    io::Error::new(io::ErrorKind::AddrInUse, message)
                })?;
                (priority, 0, NLM_F_CREATE | NLM_F_EXCL)
            }
        };
        let mut message = filter_message(device, side, priority, handle);
        let options = [
            TcFilterBpfOption::ProgFd(program.as_raw_fd() as u32),
            TcFilterBpfOption::ProgName(name.into()),
            TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
            TcFilterBpfOption::FlagsGeneric(TcU32OptionFlags::from_bits_retain(SKIP_HARDWARE)),
        ];
        let options = options.into_iter().map(TcOption::Bpf).collect();
        message.attributes.push(TcAttribute::Options(options));
        self.change(RouteNetlinkMessage::NewTrafficFilter(message), how)
    }

    /// Removes one filter; one that is gone is no error.
    pub fn remove(&mut self, device: u32, side: Side, filter: &Filter) -> io::Result<()> {
        let message = filter_message(device, side, filter.priority, filter.handle);
        gone_is_fine(self.change(RouteNetlinkMessage::DelTrafficFilter(message), 0))
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, flags | NLM_F_ACK, |_, _| ())
    }

    fn dump(
        &mut self,
        message: RouteNetlinkMessage,
        found: impl FnMut(Place, &[u8]),
    ) -> io::Result<()> {
        self.ask(message, NLM_F_DUMP, found)
    }

    /// Sends a request and reads until its end; what is left of an earlier one is passed over.
    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut found: impl FnMut(Place, &[u8]),
    ) -> io::Result<()> {
        self.sequence += 1;
        let mut request =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(message));
        request.header.flags = flags | NLM_F_REQUEST;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        for _ in 0..DUMP_MESSAGES_MAX {
            let (bytes, _) = self.socket.recv_from_full()?;
            if let Some(end) = read(&bytes, self.sequence, &mut found) {
                return end;
            }
        }
        Err(io::Error::other("the kernel's answer about traffic control does not end"))
    }
}

/// Where something hangs: the parts of `struct tcmsg`.
#[derive(Debug, Clone, Copy)]
struct Place {
    device: u32,
    handle: u32,
    parent: u32,
    info: u32,
}

fn message(device: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(device.cast_signed());
    message.header.parent = parent;
    message
}

fn filter_message(device: u32, side: Side, priority: u16, handle: u32) -> TcMessage {
    let mut message = message(device, side.parent());
    message.header.handle = TcHandle::from(handle);
    message.header.info = (u32::from(priority) << 16) | u32::from(ALL_PROTOCOLS);
    message.attributes.push(TcAttribute::Kind(BPF.into()));
    message
}

/// Devices, qdiscs and filters may go at any time, and then they are where we wanted them.
fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    use nix::libc::{EINVAL, ENODEV, ENOENT};
    match done {
        // EINVAL: there is no qdisc that a filter could hang on.
        Err(error) if matches!(error.raw_os_error(), Some(ENOENT | ENODEV | EINVAL)) => Ok(()),
        other => other,
    }
}

/// The first priority at which no filter of another kind stands.
fn free_priority(filters: &[Filter]) -> Option<u16> {
    let is_other = |filter: &&Filter| {
        filter.chain == 0 && (filter.kind != BPF || filter.protocol != ALL_PROTOCOLS)
    };
    let taken: Vec<u16> = filters.iter().filter(is_other).map(|filter| filter.priority).collect();
    PRIORITIES.into_iter().find(|priority| !taken.contains(priority))
}

/// Reads the messages of one datagram; how the request ended, if it has.
fn read(
    bytes: &[u8],
    sequence: u32,
    found: &mut impl FnMut(Place, &[u8]),
) -> Option<io::Result<()>> {
    let mut rest = bytes;
    while rest.len() >= HEADER_BYTES {
        let length = number(rest) as usize;
        let message = rest.get(..length)?;
        let kind = u16::from_ne_bytes([*message.get(4)?, *message.get(5)?]);
        let payload = message.get(HEADER_BYTES..)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        if number(message.get(8..)?) != sequence {
            continue;
        }
        match kind {
            NLMSG_DONE => return Some(Ok(())),
            NLMSG_ERROR => {
                return Some(match number(payload).cast_signed() {
                    0 => Ok(()),
                    code => Err(io::Error::from_raw_os_error(-code)),
                });
            }
            _ => {
                let at = |at: usize| number(payload.get(at..).unwrap_or_default());
                let place = Place { device: at(4), handle: at(8), parent: at(12), info: at(16) };
                found(place, payload.get(TCMSG_BYTES..).unwrap_or_default());
            }
        }
    }
    None
}

/// The bytes of an attribute; none if it is not there, or not whole.
fn attribute(attributes: &[u8], kind: u16) -> &[u8] {
    let mut rest = attributes;
    while let [low, high, kind_low, kind_high, ..] = rest {
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        if u16::from_ne_bytes([*kind_low, *kind_high]) & ATTRIBUTE_TYPE == kind {
            return rest.get(ATTRIBUTE_HEADER_BYTES..length).unwrap_or_default();
        }
        let next = length.max(ATTRIBUTE_HEADER_BYTES).next_multiple_of(4);
        rest = rest.get(next..).unwrap_or_default();
    }
    &[]
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(priority: u16, kind: &str, protocol: u16, chain: u32) -> Filter {
        Filter { priority, kind: kind.into(), protocol, chain, ..Filter::default() }
    }

    #[test]
    fn ours_goes_first_beside_what_it_can_stand_beside() {
        let ipv4 = 0x0800u16.to_be();
        let all = |kind: &str, priorities: &[u16]| -> Vec<Filter> {
            priorities.iter().map(|p| filter(*p, kind, ALL_PROTOCOLS, 0)).collect()
        };
        for (filters, expected) in [
            (vec![], Some(1)),
            (all("bpf", &[1, 2]), Some(1)),
            (all("matchall", &[1, 2, 4]), Some(3)),
            (vec![filter(1, "bpf", ipv4, 0)], Some(2)),
            (vec![filter(1, "matchall", ALL_PROTOCOLS, 7)], Some(1)),
            (all("u32", &PRIORITIES.collect::<Vec<_>>()), None),
        ] {
            assert_eq!(free_priority(&filters), expected, "{filters:?}");
        }
    }

    #[test]
    fn what_is_cut_short_is_passed_over() {
        let mut seen = 0;
        for bytes in [&[][..], &[1; 7], &[20, 0, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]] {
            assert!(read(bytes, 1, &mut |_, _| seen += 1).is_none());
        }
        assert_eq!(seen, 0);
        assert_eq!(attribute(&[8, 0, 1, 0, 7, 0], 1), &[] as &[u8]);
        assert_eq!(attribute(&[8, 0, 1, 0x80, 7, 0, 0, 0], 1), &[7, 0, 0, 0]);
        assert_eq!((text(b"ab\0c"), number(&[1])), ("ab".to_owned(), 0));
    }
}
