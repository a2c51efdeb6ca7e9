//! One interface at a device in a namespace, two policies for it, and the packets that tell which
//! of them is in force.
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use portcullis_agent::device::Devices;
use portcullis_agent::ledger::{LedgerFile, boot_id};
use portcullis_agent::run::{Agent, Settings};
use portcullis_agent::sys::{Datapath, Hook, Instance, Sizes, TestVerdict};
use portcullis_core::host::{BoundInterface, Desired, IdleTimes};
use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId};
use portcullis_core::net::{Mac, Ports, Prefix, Protocol};
use portcullis_core::records::ConnectionTracking;
use portcullis_core::resolve::interface_policy;
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::verdict::Reason;
use portcullis_core::world::{Group, GroupType, InnerAccess, Interface, World};

use crate::netns::Namespace;
use crate::packet::{Flags, Mac as MacBytes};
use crate::packet_case::{Carried, Draft, Internet};

/// The name of the device.
pub(super) const DEVICE: &str = "inner";
pub(super) const MAC: MacBytes = [2, 0, 0, 0, 0, 1];
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
/// Ports that one policy accepts and the other drops, and one that neither accepts.
pub(super) const ONLY_EVEN: u16 = 1001;
pub(super) const ONLY_ODD: u16 = 1002;
pub(super) const NEVER: u16 = 1003;
const STEADY: u16 = 80;
/// Most rules beside those that matter: a policy takes a while to be written. No two neighbours of
/// a parity have the same, or what an older policy left would pass for what is not yet written.
const FILLERS: u64 = 200;
const FLOWS_MAX: u32 = 4096;

/// A namespace with the device, and where the agent keeps its own.
pub(super) struct Ground {
    pub(super) namespace: Namespace,
    pub(super) instance: Instance,
    pub(super) directory: tempfile::TempDir,
}

impl Ground {
    pub(super) fn new(name: &str) -> Result<Self, String> {
        let namespace = Namespace::new()?;
        namespace.ip(&format!(
            "link add {DEVICE} type veth peer name outer\nlink set {DEVICE} up\nlink set outer up"
        ))?;
        let name = format!("test-{}-{name}", std::process::id());
        let instance = Instance::new(&name).map_err(told)?;
        let directory = tempfile::tempdir().map_err(told)?;
        Ok(Self { namespace, instance, directory })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = self.instance.detach_all() {
            eprintln!("{}: {error}", self.instance.directory().display());
        }
    }
}

pub(super) fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The agent on an instance, of the calling thread's namespace.
pub(super) fn agent(instance: &Instance, directory: &Path) -> Result<Agent<Datapath>, String> {
    let datapath = Datapath::open(instance, &sizes(), Hook::Tcx).map_err(told)?;
    // Nobody reads them here.
    datapath.set_events_per_second(0).map_err(told)?;
    let boot_id = boot_id().map_err(told)?;
    let settings = Settings { boot_id, pick_up_s: 0, keep_established: false, check_s: 1 };
    let file = LedgerFile::new(directory).map_err(told)?;
    Agent::new(datapath, file, settings).map_err(told)
}

/// One pass for the policy of a number; an error unless it is in force.
pub(super) fn enact(agent: &mut Agent<Datapath>, number: u64) -> Result<(), String> {
    let devices = Devices::list().map_err(told)?;
    let report = agent.pass(&desired(number), &devices);
    if report.failed.is_empty() && report.pending.is_empty() {
        return Ok(());
    }
    Err(format!("policy {number} is not in force: {report:?}"))
}

pub(super) fn sizes() -> Sizes {
    Sizes {
        pool_words: 1 << 20,
        slots: 4,
        members: 64,
        flows: 1 << 14,
        fragments: 256,
        counters: 2048,
        event_bytes: 4096,
    }
}

fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    match text.parse() {
        Ok(id) => id,
        Err(error) => unreachable!("`{text}` is an id: {error:?}"),
    }
}

fn rule(name: &str, policy: Policy, protocol: Protocol, port: Option<u16>, last: bool) -> Rule {
    let ports = port.and_then(|port| Ports::range(port, port)).unwrap_or(Ports::Any);
    Rule {
        id: id(name),
        direction: Direction::Egress,
        protocol,
        ports: PortMatch::Ports(ports),
        source_ports: Ports::Any,
        peer: Peer::Cidr(id("0.0.0.0/0")),
        local: None,
        policy,
        priority: if last {
            Priority::new(100).unwrap_or(Priority::DEFAULT)
        } else {
            Priority::DEFAULT
        },
    }
}

/// Even policies accept one port and odd ones the other; all accept the steady one and drop all
/// else, and every policy has rules of its own for that.
fn world(number: u64) -> World {
    let mut world = World::new();
    let group: SecurityGroupId = id("sg-a");
    world.put_group(Group {
        id: group.clone(),
        vpc: Some(id("vpc-1")),
        group_type: GroupType::Basic,
        inner_access: InnerAccess::Drop,
        rules: BTreeMap::new(),
    });
    let is_even = number.is_multiple_of(2);
    let (side, open) = if is_even { ("even", ONLY_EVEN) } else { ("odd", ONLY_ODD) };
    let mut rules = vec![
        rule("sgr-steady", Policy::Accept, Protocol::TCP, Some(STEADY), false),
        rule(&format!("sgr-{side}"), Policy::Accept, Protocol::UDP, Some(open), false),
        rule(&format!("sgr-{side}-rest"), Policy::Drop, Protocol::All, None, true),
    ];
    for filler in 0..1 + (number * 37) % FILLERS {
        let port = 20_000 + filler as u16 * 7 + u16::from(is_even);
        let name = format!("sgr-{side}-{filler}");
        rules.push(rule(&name, Policy::Accept, Protocol::UDP, Some(port), false));
    }
    for rule in rules {
        world.put_rule(&group, Arc::new(rule));
    }
    world.put_interface(Interface {
        id: interface(),
        vpc: id("vpc-1"),
        mac: Some(Mac(MAC)),
        addresses: vec![Prefix::host(IpAddr::V4(OWN))],
        groups: vec![group],
        source_dest_check: None,
    });
    world
}

fn interface() -> NetworkInterfaceId {
    id("eni-a")
}

fn desired(number: u64) -> Desired {
    let world = world(number);
    let Some(policy) = interface_policy(&world, &interface()) else {
        unreachable!("the interface has its group")
    };
    let bound = BoundInterface {
        interface: interface(),
        device: id(DEVICE),
        policy: Ok(policy),
        idle_times: IdleTimes::new(ConnectionTracking::DEFAULT),
        flows_max: FLOWS_MAX,
    };
    Desired { revision: number + 1, interfaces: vec![Arc::new(bound)], members: BTreeMap::new() }
}

/// Runs packets at the device and knows what they may be told.
pub(super) struct Observer {
    datapath: Datapath,
    device: u32,
    /// Packets so far; each first packet is of a flow of its own.
    pub(super) packets: u64,
}

/// What a pair of first packets says: the number of the policy, modulo two.
pub(super) type Parity = u64;

impl Observer {
    /// In the calling thread's namespace.
    pub(super) fn new(instance: &Instance) -> Result<Self, String> {
        let datapath = Datapath::open(instance, &sizes(), Hook::Tcx).map_err(told)?;
        datapath.set_events_per_second(0).map_err(told)?;
        let device = nix::net::if_::if_nametoindex(DEVICE).map_err(told)?;
        Ok(Self { datapath, device, packets: 0 })
    }

    fn test(&mut self, direction: Direction, packet: Internet) -> Result<TestVerdict, String> {
        self.packets += 1;
        let frame = Draft::of(packet).frame(direction, MAC);
        self.datapath.test_at(self.device, direction, &frame).map_err(told)
    }

    /// The first packet of a new flow to a port.
    pub(super) fn first(&mut self, port: u16) -> Result<TestVerdict, String> {
        let (low, high) = (self.packets % 50_000, self.packets / 50_000);
        let remote = Ipv4Addr::from_bits(0x0a01_0000 | (high as u32 & 0xffff));
        let carried = Carried::Udp { source: 10_000 + low as u16, destination: port };
        self.test(Direction::Egress, Internet::new(OWN.into(), remote.into(), carried))
    }

    /// Which policy judges a first packet to one of the two ports, by its rules alone.
    pub(super) fn parity(&mut self, port: u16) -> Result<Parity, String> {
        let said = self.first(port)?;
        if said.reason != Reason::Rule {
            return Err(format!("a first packet was judged by no rule: {said:?}"));
        }
        let accepting = u64::from(port == ONLY_ODD);
        Ok(if said.accepted { accepting } else { 1 - accepting })
    }

    fn steady(&mut self, out: bool, flags: u8) -> Result<TestVerdict, String> {
        let (remote, port) = (IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1)), 40_000);
        if out {
            let carried = Carried::Tcp { source: port, destination: STEADY, flags };
            return self.test(Direction::Egress, Internet::new(OWN.into(), remote, carried));
        }
        let carried = Carried::Tcp { source: STEADY, destination: port, flags };
        self.test(Direction::Ingress, Internet::new(remote, OWN.into(), carried))
    }

    /// Establishes the connection that must never be cut.
    pub(super) fn establish(&mut self) -> Result<(), String> {
        let handshake = [(true, Flags::SYN), (false, Flags::SYN_ACK), (true, Flags::ACK)];
        for (out, flags) in handshake {
            let said = self.steady(out, flags.0)?;
            if !said.accepted {
                return Err(format!("the connection was not established: {said:?}"));
            }
        }
        Ok(())
    }

    /// A packet of the connection in either direction, and one to the port that nobody accepts.
    pub(super) fn invariants(&mut self) -> Result<(), String> {
        for out in [true, false] {
            let said = self.steady(out, Flags::ACK.0)?;
            if (said.accepted, said.reason) != (true, Reason::Tracked) {
                return Err(format!("the established connection was cut: {said:?}"));
            }
        }
        let said = self.first(NEVER)?;
        if said.accepted {
            return Err(format!("a packet passed against every policy: {said:?}"));
        }
        Ok(())
    }
}
