//! SYN and UDP floods at interfaces that together may have more flows than the host's table holds:
//! what others have established survives, and an interface that was silent still has its reserve.
use std::net::{IpAddr, Ipv4Addr};

use portcullis_agent::sys::{Datapath, Sizes};
use portcullis_compile::interface::{InterfaceSettings, compile};
use portcullis_compile::numbers::Numbers;
use portcullis_core::net::{Mac, Prefix};
use portcullis_core::resolve::InterfacePolicy;
use portcullis_core::rule::Direction;
use portcullis_core::verdict::Reason;
use portcullis_core::world::GroupType;

use super::ground::{MAC, OWN, sizes, told};
use crate::packet::Flags;
use crate::packet_case::{Carried, Draft, Internet};

/// The interface whose connections must survive, and those that are flooded.
const QUIET: u32 = 0;
const FLOODED: [u32; 3] = [1, 2, 3];
/// The interface that begins its first connection when the table is full.
const LATE: u32 = 4;
/// Flows that the host's table holds beyond the reserves, and the quota of each interface: two fill
/// it.
const TABLE: u32 = 512;
const QUOTA: u64 = 512;
/// Connections of the quiet interface, of either protocol.
const CONNECTIONS: u16 = 150;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood {
    /// Packets of the floods.
    pub packets: u64,
    /// Of them, those dropped because the table was full.
    pub refused: u64,
    /// Connections that lived through it.
    pub survived: u64,
    /// Connections that an interface could begin at the full table.
    pub late: u64,
}

const HANDSHAKE: [(bool, Flags); 3] =
    [(true, Flags::SYN), (false, Flags::SYN_ACK), (true, Flags::ACK)];

struct Host {
    datapath: Datapath,
}

impl Host {
    fn new() -> Result<Self, String> {
        let datapath = Datapath::private(&Sizes { flows: TABLE, slots: LATE + 1, ..sizes() });
        let datapath = datapath.map_err(told)?;
        datapath.set_events_per_second(0).map_err(told)?;
        let (mut numbers, mut free) = (Numbers::new(), 1);
        let mut place = |words: &[u64]| {
            let offset = free;
            free += words.len() as u32;
            datapath.write_pool(offset, words).map(|()| offset).map_err(told)
        };
        for slot in [QUIET, LATE].into_iter().chain(FLOODED) {
            let mut settings = InterfaceSettings::new(u64::from(slot) + 1);
            settings.quota = QUOTA;
            let compiled = compile(&policy(), &settings, &mut numbers).map_err(told)?;
            let tables = [place(&compiled.egress)?, place(&compiled.ingress)?];
            let [egress, ingress] = tables.map(u64::from);
            let blob = place(&compiled.interface.words(egress, ingress))?;
            datapath.set_slot_word(slot, (1 << 32) | u64::from(blob)).map_err(told)?;
        }
        Ok(Self { datapath })
    }

    fn out(&self, slot: u32, remote: Ipv4Addr, carried: Carried) -> Result<(bool, Reason), String> {
        self.run(slot, Direction::Egress, Internet::new(OWN.into(), remote.into(), carried))
    }

    fn run(
        &self,
        slot: u32,
        direction: Direction,
        packet: Internet,
    ) -> Result<(bool, Reason), String> {
        self.datapath.lead_tests_to(slot).map_err(told)?;
        let frame = Draft::of(packet).frame(direction, MAC);
        let said = self.datapath.test(direction, &frame).map_err(told)?;
        Ok((said.accepted, said.reason))
    }

    /// A packet of an interface's connection of a number, out or in.
    fn connection(
        &self,
        slot: u32,
        number: u16,
        out: bool,
        flags: Option<Flags>,
    ) -> Result<(bool, Reason), String> {
        let (here, there) = (10_000 + number, 443);
        let (source, destination) = if out { (here, there) } else { (there, here) };
        let carried = match flags {
            Some(flags) => Carried::Tcp { source, destination, flags: flags.0 },
            None => Carried::Udp { source, destination },
        };
        let (own, remote) = (IpAddr::V4(OWN), IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)));
        let (direction, from, to) = match out {
            true => (Direction::Egress, own, remote),
            false => (Direction::Ingress, remote, own),
        };
        self.run(slot, direction, Internet::new(from, to, carried))
    }
}

impl Host {
    /// Connections that an interface without any can begin and keep until it is told that the table
    /// is full.
    fn late(&self) -> Result<u64, String> {
        for number in 0..=u16::MAX {
            for (out, flags) in HANDSHAKE {
                match self.connection(LATE, number, out, Some(flags))? {
                    (true, _) => {}
                    (false, Reason::FlowTableFull) => return Ok(number.into()),
                    (false, reason) => {
                        return Err(format!("connection {number}: {}", reason.name()));
                    }
                }
            }
        }
        Err("the table has no end".to_owned())
    }
}

/// Lets everything out: a basic group without a rule.
fn policy() -> InterfacePolicy {
    let id = |text: &str| text.to_owned();
    let (Ok(interface), Ok(vpc)) = (id("eni-a").parse(), id("vpc-1").parse()) else {
        unreachable!("both are ids")
    };
    InterfacePolicy {
        interface,
        vpc,
        mac: Some(Mac(MAC)),
        addresses: vec![Prefix::host(IpAddr::V4(OWN))],
        checks_addresses: true,
        group_type: GroupType::Basic,
        intra_groups: Vec::new(),
        egress: [].into(),
        ingress: [].into(),
    }
}

/// Floods with so many packets, SYNs and datagrams in turn.
///
/// # Errors
/// Names the first connection that was lost.
pub fn flood(packets: u64) -> Result<Flood, String> {
    let host = Host::new()?;
    for number in 0..CONNECTIONS {
        for (out, flags) in HANDSHAKE {
            must_pass(host.connection(QUIET, number, out, Some(flags))?, number)?;
        }
        for out in [true, false] {
            must_pass(host.connection(QUIET, number, out, None)?, number)?;
        }
    }
    let mut found = Flood { packets, refused: 0, survived: 0, late: 0 };
    for number in 0..packets {
        let slot = FLOODED[number as usize / 2 % FLOODED.len()];
        let remote = Ipv4Addr::from_bits(0x0a02_0000 | (number / 40_000) as u32);
        let (source, destination) = (10_000 + (number % 40_000) as u16, 80);
        let carried = match number % 2 {
            0 => Carried::Tcp { source, destination, flags: Flags::SYN.0 },
            _ => Carried::Udp { source, destination },
        };
        let (accepted, reason) = host.out(slot, remote, carried)?;
        found.refused += u64::from(!accepted && reason == Reason::FlowTableFull);
    }
    for number in 0..CONNECTIONS {
        for out in [false, true] {
            must_be_tracked(host.connection(QUIET, number, out, Some(Flags::ACK))?, number)?;
            must_be_tracked(host.connection(QUIET, number, out, None)?, number)?;
        }
        found.survived += 2;
    }
    found.late = host.late()?;
    Ok(found)
}

fn must_pass((accepted, reason): (bool, Reason), number: u16) -> Result<(), String> {
    if accepted {
        return Ok(());
    }
    Err(format!("connection {number} did not begin: {}", reason.name()))
}

fn must_be_tracked((accepted, reason): (bool, Reason), number: u16) -> Result<(), String> {
    if accepted && reason == Reason::Tracked {
        return Ok(());
    }
    Err(format!("connection {number} was lost: {}", reason.name()))
}
