//! Devices that the host is to have, with their addresses and routes.
//!
//! Knows rtnetlink and nothing of what the devices are for. Each conversation is about one network
//! namespace, that of its making.
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, setns};
use portcullis_core::net::{Mac, Prefix};

/// Most datagrams of the answer to one request.
const DATAGRAMS_MAX: usize = 64;
/// The network namespace of the calling thread.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A conversation with the kernel about one network namespace.
pub struct Network {
    socket: Socket,
    sequence: u32,
}

impl Network {
    /// About the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// About another one, which the calling thread enters for a moment.
    ///
    /// # Errors
    /// What the kernel says. The thread is where it was, unless the error says so.
    pub fn open_in(namespace: impl AsFd) -> io::Result<Self> {
        let own = File::open(OWN_NAMESPACE)?;
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        let opened = Self::open();
        setns(own, CloneFlags::CLONE_NEWNET).map_err(|error| {
            io::Error::other(format!("the network namespace cannot be left again: {error}"))
        })?;
        opened
    }

    /// Makes a veth device, and its peer in another namespace. Both are down.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn make_veth(&mut self, name: &str, peer: &str, there: impl AsFd) -> io::Result<()> {
        let mut other = LinkMessage::default();
        other.attributes.push(LinkAttribute::IfName(peer.into()));
        other.attributes.push(LinkAttribute::NetNsFd(there.as_fd().as_raw_fd()));
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.into()));
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
        ]));
        self.change(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Removes a device; one that is gone is no error.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.into()));
        match self.change(RouteNetlinkMessage::DelLink(link), 0) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// The kernel's number for a device.
    ///
    /// # Errors
    /// What the kernel says, such as that there is none.
    pub fn index(&mut self, name: &str) -> io::Result<u32> {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.into()));
        let mut found = None;
        self.ask(RouteNetlinkMessage::GetLink(link), NLM_F_ACK, |answer| {
            if let RouteNetlinkMessage::NewLink(link) = answer {
                found = Some(link.header.index);
            }
        })?;
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives a device, which is down, this hardware address.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_mac(&mut self, index: u32, mac: Mac) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
        self.change(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Raises a device.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Gives a device an address that it shares a network with nobody by. Nobody is asked whether
    /// it is free.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn add_address(&mut self, index: u32, address: IpAddr) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = if address.is_ipv4() { 32 } else { 128 };
        message.header.scope = AddressScope::Universe;
        message.header.index = index;
        if address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
        }
        message.attributes.push(AddressAttribute::Address(address));
        message.attributes.push(AddressAttribute::Local(address));
        self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Leads a network to a device: to a router there, or straight. A router need not be on a
    /// network of the device's own.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn add_route(&mut self, index: u32, to: Prefix, router: Option<IpAddr>) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to.address());
        message.header.destination_prefix_length = to.length();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Boot;
        message.header.kind = RouteType::Unicast;
        message.header.scope = match router {
            Some(_) => RouteScope::Universe,
            None => RouteScope::Link,
        };
        if to.length() > 0 {
            message.attributes.push(RouteAttribute::Destination(to.address().into()));
        }
        if let Some(router) = router {
            message.header.flags = RouteFlags::Onlink;
            message.attributes.push(RouteAttribute::Gateway(router.into()));
        }
        message.attributes.push(RouteAttribute::Oif(index));
        self.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, flags | NLM_F_ACK, |_| ())
    }

    /// Sends a request and reads until it is acknowledged.
    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut found: impl FnMut(RouteNetlinkMessage),
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
        for _ in 0..DATAGRAMS_MAX {
            let (bytes, _) = self.socket.recv_from_full()?;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let answer: NetlinkMessage<RouteNetlinkMessage> =
                    NetlinkMessage::deserialize(rest).map_err(io::Error::other)?;
                let length = (answer.header.length as usize).next_multiple_of(4);
                rest = rest.get(length.max(4)..).unwrap_or_default();
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(()),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(inner) => found(inner),
                    _ => {}
                }
            }
        }
        Err(io::Error::other("the kernel's answer about devices does not end"))
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
