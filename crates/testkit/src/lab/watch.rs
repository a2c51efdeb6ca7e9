//! Steady traffic of any kind between two places, as raw frames, to see when its fate turns.
//!
//! Nobody need listen: what counts is whether a frame reaches the other side's device.

use super::language::{FlowKind, FlowLine};
use super::pulse::Pulse;
use super::scene::Scene;
use super::topology::{BRIDGE, INSTANCE_DEVICE, UPLINK};
use crate::netns::Link;
use crate::packet::{Ethernet, Flags, Icmp, Ipv4, Ipv6, Mac, Tcp, Udp, icmp, icmpv6};
use std::net::IpAddr;
use std::time::Duration;

/// The port, or the identifier, that this traffic comes from.
const SOURCE_PORT: u16 = 39_999;
const PROTOCOLS: [u8; 4] = [6, 17, 1, 58];

/// Begins to send what a line describes.
///
/// # Errors
/// When a place is not there.
pub fn frames(scene: &Scene, line: &FlowLine, pace: Duration) -> Result<Pulse, String> {
    let (from, source) = scene.source(line)?;
    let (to, destination) = scene.place(&line.to)?;
    let sender = Link::new(from, INSTANCE_DEVICE)?;
    let receiver = Link::new(to, INSTANCE_DEVICE)?;
    let is_instance = |name: &str| scene.instance(name.trim_end_matches('6')).ok();
    let next_hop: Mac = match (is_instance(&line.from), is_instance(&line.to)) {
        (Some(_), Some(peer)) => peer.mac,
        (Some(_), None) => Link::new(&scene.topology.host, BRIDGE)?.mac(),
        (None, _) => Link::new(&scene.topology.host, UPLINK)?.mac(),
    };
    let ethernet = Ethernet::new(sender.mac(), next_hop);
    let (kind, port) = (line.kind, line.port);
    let frame = move |mark: &[u8]| frame(&ethernet, kind, (source, destination), port, mark);
    Ok(Pulse::start_frames(sender, receiver, frame, pace))
}

fn frame(
    ethernet: &Ethernet,
    kind: FlowKind,
    (source, destination): (IpAddr, IpAddr),
    port: u16,
    mark: &[u8],
) -> Vec<u8> {
    let [tcp, udp, ping, ping6] = PROTOCOLS;
    let segment = match kind {
        FlowKind::Tcp => {
            Some((tcp, Tcp::new(SOURCE_PORT, port, Flags::SYN).over(source, destination, mark)))
        }
        FlowKind::Udp => Some((udp, Udp::new(SOURCE_PORT, port).over(source, destination, mark))),
        FlowKind::Ping => None,
    };
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (protocol, body) =
                segment.unwrap_or_else(|| (ping, icmp(Icmp::echo_request(SOURCE_PORT), mark)));
            ethernet.ipv4(&Ipv4::new(source, destination, protocol).wrap(&body))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let (protocol, body) = segment.unwrap_or_else(|| {
                let head = Icmp::echo_request_v6(SOURCE_PORT);
                (ping6, icmpv6(source, destination, head, mark))
            });
            ethernet.ipv6(&Ipv6::new(source, destination, protocol).wrap(&body))
        }
        // No packet has addresses of two families; an empty frame arrives nowhere.
        _ => Vec::new(),
    }
}
