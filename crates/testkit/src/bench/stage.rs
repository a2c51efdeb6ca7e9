//! Where one contender is measured: two namespaces, the veth pair between them, sockets that take
//! what arrives, and a sender of frames whose processor time is the measure. It knows no contender.
//!
//! A veth device hands a frame over on the sender's own processor: what the thread that sends is
//! charged covers the contender and the way into the receiving socket.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage};
use nix::sys::socket::{bind, setsockopt, socket, sockopt};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::scenario::{INSTANCE, INSTANCE_MAC, INSTANCE_V6, Scenario, Tuple, own};
use crate::netns::{Link, Namespace};
use crate::packet::{Ethernet, Ipv4, Ipv6, Mac, Udp};
use crate::wait::until;

/// The host's end of the pair: where contenders stand.
pub const HOST_DEVICE: &str = "host0";
const INSTANCE_DEVICE: &str = "eth0";
const HOST_MAC: Mac = [2, 0, 0, 0, 0x77, 1];
/// The host's own address.
pub const HOST: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 1);
const HOST_V6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1);
/// Bytes that a datagram carries: its number, and what fills the least frame of Ethernet.
const PAYLOAD_BYTES: usize = 18;
/// The least that a socket may keep: a receiver that does not read costs the same for each packet.
const SOCKET_BYTES: usize = 2_048;
/// Packets that are asked about at the same time: fewer than a socket keeps.
const ASKED_TOGETHER: usize = 32;
/// What is sent arrives within this, or not at all.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The two ends and the sockets behind one of them.
#[derive(Debug)]
pub struct Stage {
    /// Where contenders stand and packets arrive.
    pub host: Arc<Namespace>,
    /// Where packets come from.
    pub instance: Namespace,
    link: Link,
    sinks: Vec<UdpSocket>,
    repliers: Vec<UdpSocket>,
}

/// Frames that are ready to be sent.
pub type Frames = Vec<Vec<u8>>;

impl Stage {
    /// Makes the place for a scenario: everything that its rules are about is the host itself.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn new(scenario: &Scenario) -> Result<Self, String> {
        let (host, instance) = (Arc::new(Namespace::new()?), Namespace::new()?);
        for namespace in [host.as_ref(), &instance] {
            for name in ["all", "default"] {
                namespace.sysctl(&format!("net.ipv4.conf.{name}.rp_filter"), "0")?;
                namespace.sysctl(&format!("net.ipv6.conf.{name}.accept_dad"), "0")?;
            }
        }
        let (own_mac, host_mac) = (text(INSTANCE_MAC), text(HOST_MAC));
        host.ip(&format!(
            "link add {HOST_DEVICE} address {host_mac} type veth peer name {INSTANCE_DEVICE} \
             address {own_mac} netns {}
             addr add {HOST}/24 dev {HOST_DEVICE}
             addr add {HOST_V6}/64 dev {HOST_DEVICE} nodad
             link set {HOST_DEVICE} up
             neigh add {INSTANCE} lladdr {own_mac} dev {HOST_DEVICE}
             neigh add {INSTANCE_V6} lladdr {own_mac} dev {HOST_DEVICE}
             route add local 10.0.0.0/8 dev lo
             route add local fd00::/64 dev lo",
            instance.name()
        ))?;
        instance.ip(&format!(
            "addr add {INSTANCE}/24 dev {INSTANCE_DEVICE}
             addr add {INSTANCE_V6}/64 dev {INSTANCE_DEVICE} nodad
             link set {INSTANCE_DEVICE} up
             neigh add {HOST} lladdr {host_mac} dev {INSTANCE_DEVICE}
             neigh add {HOST_V6} lladdr {host_mac} dev {INSTANCE_DEVICE}
             route add default via {HOST}
             route add default via {HOST_V6}"
        ))?;
        let bound = host.enter(|| {
            let any = |port: &u16| SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
            scenario.ports.iter().map(|port| sink(any(port))).collect::<Result<Vec<_>, _>>()
        })?;
        let link = Link::new(&instance, INSTANCE_DEVICE)?;
        Ok(Self { host, instance, link, sinks: bound?, repliers: Vec::new() })
    }

    /// Sends the frames and answers the processor time of one, in nanoseconds.
    ///
    /// # Errors
    /// When the device does not take them.
    pub fn send(&self, frames: &Frames, processor: usize) -> Result<f64, String> {
        let sent = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    pin(processor)?;
                    let before = thread_time()?;
                    frames.iter().try_for_each(|frame| self.link.send(frame))?;
                    Ok((thread_time()? - before).as_secs_f64() * 1e9)
                })
                .join()
        });
        let took: Result<f64, String> =
            sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(took? / frames.len() as f64)
    }

    /// The numbers of the packets that arrive, of two kinds: those that should and those that
    /// should not.
    ///
    /// # Errors
    /// When one that should arrive does not, or one that should not does.
    pub fn must_agree(&self, accepted: &[Tuple], dropped: &[Tuple]) -> Result<(), String> {
        self.drain();
        for tuples in accepted.chunks(ASKED_TOGETHER) {
            let mut missing: BTreeSet<usize> = (0..tuples.len()).collect();
            let frames = frames(tuples);
            frames.iter().try_for_each(|frame| self.link.send(frame))?;
            let arrived = until("accepted packets to arrive", ARRIVAL_TIMEOUT, || {
                for number in self.drain() {
                    missing.remove(&number);
                }
                Ok(missing.is_empty().then_some(()))
            });
            let example = missing.first().and_then(|number| tuples.get(*number));
            arrived.map_err(|error| format!("{error}: {example:?} and others"))?;
        }
        for tuples in dropped.chunks(ASKED_TOGETHER) {
            frames(tuples).iter().try_for_each(|frame| self.link.send(frame))?;
            // What is accepted is let through behind them: by then they would have arrived.
            let last = accepted.get(..1).ok_or("nothing is accepted")?;
            frames(last).iter().try_for_each(|frame| self.link.send(frame))?;
            let mut arrived = Vec::new();
            until("a packet behind dropped ones", ARRIVAL_TIMEOUT, || {
                arrived.extend(self.drain());
                Ok(arrived.contains(&0).then_some(()))
            })?;
            // Number 0 is of the one behind, and of the first of the others too.
            let counted = arrived.len();
            if counted != 1 {
                return Err(format!("{} of {tuples:?} should not arrive", counted - 1));
            }
        }
        Ok(())
    }

    /// Makes sockets that answer where these packets go to.
    ///
    /// # Errors
    /// When an address cannot be bound to.
    pub fn prepare_replies(&mut self, tuples: &[Tuple]) -> Result<(), String> {
        let ends: BTreeSet<(IpAddr, u16)> =
            tuples.iter().map(|tuple| (tuple.destination, tuple.destination_port)).collect();
        let bound = self.host.enter(|| {
            ends.into_iter().map(|end| sink(end.into())).collect::<Result<Vec<_>, _>>()
        })?;
        self.repliers = bound?;
        self.repliers.iter().try_for_each(least)
    }

    /// Answers each of these packets.
    ///
    /// # Errors
    /// When an answer is not sent.
    pub fn reply(&self, tuples: &[Tuple]) -> Result<(), String> {
        let at = |socket: &UdpSocket| socket.local_addr().map_err(|error| error.to_string());
        for socket in &self.repliers {
            let end = at(socket)?;
            for tuple in tuples.iter().filter(|tuple| to(tuple) == end) {
                let back = (own_of(tuple), tuple.source_port);
                socket.send_to(b"answer", back).map_err(|error| format!("{end}: {error}"))?;
            }
        }
        Ok(())
    }

    /// From now on the sockets keep as little as they can.
    ///
    /// # Errors
    /// When they refuse.
    pub fn stop_reading(&self) -> Result<(), String> {
        self.sinks.iter().try_for_each(least)
    }

    /// The numbers of all packets that have arrived.
    fn drain(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut bytes = [0; PAYLOAD_BYTES];
        for sink in &self.sinks {
            while sink.recv(&mut bytes).is_ok() {
                if let Some(number) = bytes.first_chunk::<4>() {
                    found.push(u32::from_be_bytes(*number) as usize);
                }
            }
        }
        found
    }
}

fn to(tuple: &Tuple) -> SocketAddr {
    (tuple.destination, tuple.destination_port).into()
}

fn own_of(tuple: &Tuple) -> IpAddr {
    own(portcullis_core::net::Family::of(tuple.destination))
}

fn sink(at: SocketAddr) -> Result<UdpSocket, String> {
    let failed = |error: nix::errno::Errno| format!("{at}: {error}");
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(family, SockType::Datagram, flags, None).map_err(failed)?;
    // One address of a port has a socket of its own beside that of all.
    setsockopt(&made, sockopt::ReuseAddr, &true).map_err(failed)?;
    bind(made.as_raw_fd(), &SockaddrStorage::from(at)).map_err(failed)?;
    Ok(made.into())
}

fn least(socket: &UdpSocket) -> Result<(), String> {
    setsockopt(&socket.as_fd(), sockopt::RcvBuf, &SOCKET_BYTES).map_err(|error| error.to_string())
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Keeps the calling thread on one processor.
///
/// # Errors
/// When there is no such processor.
pub fn pin(processor: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    let done = set.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    done.map_err(|error| format!("processor {processor}: {error}"))
}

/// The processor time that the calling thread has taken.
///
/// # Errors
/// When there is no such clock.
pub fn thread_time() -> Result<Duration, String> {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    now.map(Duration::from).map_err(|error| format!("the clock of a thread: {error}"))
}

/// Datagrams from the instance, each with its number.
pub fn frames(tuples: &[Tuple]) -> Frames {
    tuples.iter().zip(0..).map(|(tuple, number)| frame(tuple, number)).collect()
}

fn frame(tuple: &Tuple, number: u32) -> Vec<u8> {
    let mut payload = [0; PAYLOAD_BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    let udp = Udp::new(tuple.source_port, tuple.destination_port);
    let head = Ethernet::new(INSTANCE_MAC, HOST_MAC);
    match tuple.destination {
        IpAddr::V4(to) => {
            let datagram = udp.over(INSTANCE, to, &payload);
            head.ipv4(&Ipv4::new(INSTANCE, to, 17).wrap(&datagram))
        }
        IpAddr::V6(to) => {
            let datagram = udp.over(INSTANCE_V6, to, &payload);
            head.ipv6(&Ipv6::new(INSTANCE_V6, to, 17).wrap(&datagram))
        }
    }
}
