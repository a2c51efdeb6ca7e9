//! The first packet of a new flow, as far as rules look at it.
//!
//! Knows no bytes: packets on the wire are taken apart by the kernel program and by the packet
//! builder of the tests.
use core::net::{IpAddr, Ipv6Addr};

use crate::ids::NetworkInterfaceId;
use crate::net::{Family, protocol};
use crate::rule::Direction;

/// Ports of a TCP or UDP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowPorts {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// The first packet of a new flow at one interface: a SYN for TCP, an echo request for ICMP and
/// ICMPv6.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    interface: NetworkInterfaceId,
    direction: Direction,
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    ports: Option<FlowPorts>,
}

/// Why there is no such flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowError {
    /// Source and destination are of different families.
    Families,
    /// TCP and UDP have ports.
    PortsMissing,
    /// Other protocols have no ports.
    PortsGiven,
    /// 0, 43, 44 and 60 in IPv6 are headers, not final protocols.
    ExtensionHeader,
}

impl core::fmt::Display for FlowError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Families => "source and destination are of different address families",
            Self::PortsMissing => "TCP and UDP need a source and a destination port",
            Self::PortsGiven => "only TCP and UDP have ports",
            Self::ExtensionHeader => "an IPv6 extension header is not a final protocol",
        })
    }
}

impl core::error::Error for FlowError {}

/// UDP ports of DHCP: what the baseline knows its messages by.
pub mod dhcp {
    /// DHCPv4 server, and relay.
    pub const V4_SERVER: u16 = 67;
    /// DHCPv4 client.
    pub const V4_CLIENT: u16 = 68;
    /// DHCPv6 client.
    pub const V6_CLIENT: u16 = 546;
    /// DHCPv6 server, and relay.
    pub const V6_SERVER: u16 = 547;
}

/// `ff02::1:2`: where DHCPv6 clients find servers and relays.
pub const DHCPV6_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// IPv6 extension headers that are walked: hop-by-hop, routing, fragment, destination options.
pub const EXTENSION_HEADERS: [u8; 4] = [0, 43, 44, 60];

impl Flow {
    /// A flow whose parts fit together.
    pub fn new(
        interface: NetworkInterfaceId,
        direction: Direction,
        protocol_number: u8,
        source: IpAddr,
        destination: IpAddr,
        ports: Option<FlowPorts>,
    ) -> Result<Self, FlowError> {
        if Family::of(source) != Family::of(destination) {
            return Err(FlowError::Families);
        }
        if Family::of(source) == Family::V6 && EXTENSION_HEADERS.contains(&protocol_number) {
            return Err(FlowError::ExtensionHeader);
        }
        match (matches!(protocol_number, protocol::TCP | protocol::UDP), ports) {
            (true, None) => Err(FlowError::PortsMissing),
            (false, Some(_)) => Err(FlowError::PortsGiven),
            _ => Ok(Self {
                interface,
                direction,
                protocol: protocol_number,
                source,
                destination,
                ports,
            }),
        }
    }

    /// Where it is judged.
    pub fn interface(&self) -> &NetworkInterfaceId {
        &self.interface
    }

    /// Which way it goes there.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The final IP protocol.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// Source address.
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// Destination address.
    pub fn destination(&self) -> IpAddr {
        self.destination
    }

    /// The interface's side.
    pub fn local(&self) -> IpAddr {
        match self.direction {
            Direction::Egress => self.source,
            Direction::Ingress => self.destination,
        }
    }

    /// The other side.
    pub fn remote(&self) -> IpAddr {
        match self.direction {
            Direction::Egress => self.destination,
            Direction::Ingress => self.source,
        }
    }

    /// Ports, if the protocol has any.
    pub fn ports(&self) -> Option<FlowPorts> {
        self.ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_must_fit() {
        let flow = |protocol, source: &str, destination: &str, ports| {
            Flow::new(
                "eni-a".parse().unwrap(),
                Direction::Ingress,
                protocol,
                source.parse().unwrap(),
                destination.parse().unwrap(),
                ports,
            )
        };
        let ports = Some(FlowPorts { source: 1, destination: 2 });
        assert_eq!(flow(6, "::1", "1.1.1.1", ports), Err(FlowError::Families));
        assert_eq!(flow(6, "1.1.1.2", "1.1.1.1", None), Err(FlowError::PortsMissing));
        assert_eq!(flow(47, "1.1.1.2", "1.1.1.1", ports), Err(FlowError::PortsGiven));
        assert_eq!(flow(43, "::1", "::2", None), Err(FlowError::ExtensionHeader));
        let good = flow(17, "1.1.1.2", "1.1.1.1", ports).unwrap();
        assert_eq!(
            (good.local().to_string(), good.remote().to_string()),
            ("1.1.1.1".into(), "1.1.1.2".into())
        );
    }
}
