//! The namespaces of the laboratory, their devices, addresses and routes; no product, no rules.

use crate::netns::Namespace;
use crate::packet::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The host's end of the way out.
pub const UPLINK: &str = "uplink";
/// The bridge that the instances hang on.
pub const BRIDGE: &str = "bridge";
/// An instance's own end of its device.
pub const INSTANCE_DEVICE: &str = "eth0";

/// A host outside.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Another address of the same host.
pub const OUTSIDE_OTHER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
/// The same host in IPv6.
pub const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 2);
/// A host behind a hop that takes smaller packets only.
pub const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// The same host in IPv6.
pub const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xfa, 0, 0, 0, 0, 2);
/// The largest packet that goes out to [`FAR`]; the least that IPv6 allows.
pub const NARROW_MTU: u16 = 1280;

/// Quick addresses, honest ICMP, ping for everybody: set before any device is made.
const SYSCTLS: [(&str, &str); 7] = [
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv4.icmp_ratelimit", "0"),
    ("net.ipv6.icmp.ratelimit", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
];
const FORWARDING: [(&str, &str); 2] =
    [("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")];

/// The place where instances are added.
#[derive(Debug)]
pub struct Topology {
    /// Where the product runs: forwards and bridges, and filters nothing by itself.
    pub host: Arc<Namespace>,
    /// The host outside, which also leads to `far`.
    pub outside: Namespace,
    /// The host behind the narrow hop.
    pub far: Namespace,
}

/// The subnet that instances live in, and the host's own addresses there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The first address, its last byte 0.
    pub ipv4: Ipv4Addr,
    /// The first address of a /64.
    pub ipv6: Ipv6Addr,
}

impl Subnet {
    /// The address with this last number; 1 is the host.
    pub fn address(&self, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.ipv4.octets();
        Ipv4Addr::new(a, b, c, number)
    }

    /// The same in IPv6.
    pub fn address_v6(&self, number: u8) -> Ipv6Addr {
        let [a, b, c, d, ..] = self.ipv6.segments();
        Ipv6Addr::new(a, b, c, d, 0, 0, 0, u16::from(number))
    }
}

/// A machine behind one device of the host.
#[derive(Debug)]
pub struct Instance {
    /// Inside the machine.
    pub namespace: Namespace,
    /// The host's end of its device.
    pub host_device: String,
    /// Its link-layer address.
    pub mac: Mac,
    /// Its address.
    pub ipv4: Ipv4Addr,
    /// Its address in IPv6.
    pub ipv6: Ipv6Addr,
    /// Where these addresses are from.
    pub subnet: Subnet,
}

impl Instance {
    /// Its address in the family of another.
    pub fn address_like(&self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() { self.ipv4.into() } else { self.ipv6.into() }
    }
}

impl Topology {
    /// Makes host, outside and far, connected and without instances.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn new(subnet: Subnet) -> Result<Self, String> {
        let (host, outside, far) = (Arc::new(namespace()?), namespace()?, namespace()?);
        for router in [host.as_ref(), &outside] {
            for (name, value) in FORWARDING {
                router.sysctl(name, value)?;
            }
        }
        host.ip(&format!(
            "link add {BRIDGE} type bridge mcast_snooping 0 stp_state 0
             addr add {}/24 dev {BRIDGE}
             addr add {}/64 dev {BRIDGE} nodad
             link set {BRIDGE} up
             link add {UPLINK} type veth peer name eth0 netns {}
             addr add 198.51.100.1/24 dev {UPLINK}
             addr add 2001:db8:51::1/64 dev {UPLINK} nodad
             link set {UPLINK} up
             route add 203.0.113.0/24 via {OUTSIDE}
             route add 2001:db8:fa::/64 via {OUTSIDE_V6}",
            subnet.address(1),
            subnet.address_v6(1),
            outside.name()
        ))?;
        // Bridged packets are the product's affair alone, whatever the machine's own firewall does.
        let _ = host.sysctl("net.bridge.bridge-nf-call-iptables", "0");
        let _ = host.sysctl("net.bridge.bridge-nf-call-ip6tables", "0");
        outside.ip(&format!(
            "addr add {OUTSIDE}/24 dev eth0
             addr add {OUTSIDE_OTHER}/24 dev eth0
             addr add {OUTSIDE_V6}/64 dev eth0 nodad
             link set eth0 up
             route add default via 198.51.100.1
             route add default via 2001:db8:51::1
             link add narrow mtu {NARROW_MTU} type veth peer name eth0 netns {}
             addr add 203.0.113.1/24 dev narrow
             addr add 2001:db8:fa::1/64 dev narrow nodad
             link set narrow up",
            far.name()
        ))?;
        far.ip(&format!(
            "addr add {FAR}/24 dev eth0
             addr add {FAR_V6}/64 dev eth0 nodad
             link set eth0 up
             route add default via 203.0.113.1
             route add default via 2001:db8:fa::1"
        ))?;
        Ok(Self { host, outside, far })
    }

    /// Adds an instance with a veth pair. The host's end is there and up when this returns.
    ///
    /// # Errors
    /// When its device cannot be made.
    pub fn instance(&self, name: &str, subnet: Subnet, number: u8) -> Result<Instance, String> {
        self.instance_with(name, subnet, number, [2, 0, 0, 0, 0x77, number])
    }

    /// The same with this link-layer address.
    ///
    /// # Errors
    /// When its device cannot be made.
    pub fn instance_with(
        &self,
        name: &str,
        subnet: Subnet,
        number: u8,
        mac: Mac,
    ) -> Result<Instance, String> {
        let namespace = namespace()?;
        let instance = Instance {
            host_device: format!("pc-{name}"),
            mac,
            ipv4: subnet.address(number),
            ipv6: subnet.address_v6(number),
            subnet,
            namespace,
        };
        self.plug(&instance)?;
        self.address(&instance)?;
        Ok(instance)
    }

    /// Makes the device of an instance, or makes it again after it vanished.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn plug(&self, instance: &Instance) -> Result<(), String> {
        let (device, mac) = (&instance.host_device, mac_text(instance.mac));
        self.host.ip(&format!(
            "link add {device} type veth peer name {INSTANCE_DEVICE} address {mac} netns {}
             link set {device} master {BRIDGE} addrgenmode none
             link set {device} up",
            instance.namespace.name()
        ))?;
        instance.namespace.ip(&format!("link set {INSTANCE_DEVICE} up"))
    }

    /// Gives an instance its addresses and its ways out, after its device was made.
    ///
    /// # Errors
    /// When they are refused.
    pub fn address(&self, instance: &Instance) -> Result<(), String> {
        let Instance { ipv4, ipv6, subnet, .. } = instance;
        instance.namespace.ip(&format!(
            "addr add {ipv4}/24 dev {INSTANCE_DEVICE}
             addr add {ipv6}/64 dev {INSTANCE_DEVICE} nodad
             route add default via {}
             route add default via {}",
            subnet.address(1),
            subnet.address_v6(1)
        ))
    }
}

/// A link-layer address as people write it.
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn namespace() -> Result<Namespace, String> {
    let namespace = Namespace::new()?;
    for (name, value) in SYSCTLS {
        namespace.sysctl(name, value)?;
    }
    Ok(namespace)
}
