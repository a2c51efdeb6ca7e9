//! The network devices of this host: which exist, under which name and index, and when that
//! changes.
//!
//! Knows rtnetlink and nothing of interfaces (ENIs), policies or programs. Reads only; never
//! changes a device.
use std::collections::BTreeMap;
use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Kernel group that announces links (`RTNLGRP_LINK`).
const LINK_GROUP: u32 = 1;
/// Kernel group that announces qdiscs and filters (`RTNLGRP_TC`): ours may be among them.
const TRAFFIC_CONTROL_GROUP: u32 = 4;
/// Most bytes of announcements the kernel keeps for us before it says that some were lost.
const ANNOUNCEMENT_BUFFER_BYTES: usize = 1 << 20;
/// Most messages of one dump: 64 K devices and one mark each, far above what a host carries.
const DUMP_MESSAGES_MAX: usize = 131_072;

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The kernel's number for it; never used again while the host runs.
    pub index: u32,
    /// Its name now.
    pub name: String,
    /// Whether it is administratively up: packets may already be flowing.
    pub is_up: bool,
}

/// The devices of the host at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    by_index: BTreeMap<u32, Device>,
}

impl Devices {
    /// The devices as the kernel lists them now, in the network namespace of the calling thread.
    pub fn list() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.send(&dump_request(), 0)?;
        let mut devices = Vec::new();
        for _ in 0..DUMP_MESSAGES_MAX {
            let (bytes, _) = socket.recv_from_full()?;
            if read_dump(&bytes, &mut devices)? {
                return Ok(devices.into_iter().collect());
            }
        }
        Err(io::Error::other("the list of devices does not end"))
    }

    /// The device of this name.
    pub fn by_name(&self, name: &str) -> Option<&Device> {
        self.by_index.values().find(|device| device.name == name)
    }

    /// The device of this index.
    pub fn by_index(&self, index: u32) -> Option<&Device> {
        self.by_index.get(&index)
    }
}

impl FromIterator<Device> for Devices {
    fn from_iter<T: IntoIterator<Item = Device>>(devices: T) -> Self {
        Self { by_index: devices.into_iter().map(|d| (d.index, d)).collect() }
    }
}

/// Calls `changed` whenever a device or what hangs on one may have come, gone, or changed, until it
/// answers false. Blocks its thread; what changed is for [`Devices::list`] to say, so a lost
/// announcement costs nothing but one look.
pub fn watch(mut changed: impl FnMut() -> bool) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_rx_buf_sz(ANNOUNCEMENT_BUFFER_BYTES)?;
    socket.add_membership(LINK_GROUP)?;
    socket.add_membership(TRAFFIC_CONTROL_GROUP)?;
    loop {
        if !changed() {
            return Ok(());
        }
        match socket.recv_from_full() {
            Ok(_) => {}
            // ENOBUFS: announcements were lost. Something changed, which is all we need to know.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn dump_request() -> Vec<u8> {
    let mut request = NetlinkMessage::new(
        NetlinkHeader::default(),
        NetlinkPayload::from(RouteNetlinkMessage::GetLink(LinkMessage::default())),
    );
    request.header.flags = NLM_F_DUMP | NLM_F_REQUEST;
    request.header.sequence_number = 1;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    bytes
}

/// Adds the devices of one datagram; true when the dump has ended.
fn read_dump(bytes: &[u8], devices: &mut Vec<Device>) -> io::Result<bool> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let message: NetlinkMessage<RouteNetlinkMessage> =
            NetlinkMessage::deserialize(rest).map_err(io::Error::other)?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                devices.extend(device(&link));
            }
            _ => {}
        }
        let length = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(length.max(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn device(link: &LinkMessage) -> Option<Device> {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    Some(Device {
        index: link.header.index,
        name,
        is_up: link.header.flags.contains(LinkFlags::Up),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_its_loopback() {
        let devices = Devices::list().unwrap();
        let loopback = devices.by_name("lo").unwrap();
        assert_eq!(devices.by_index(loopback.index), Some(loopback));
        assert_eq!(devices.by_name("no-such-device"), None);
    }

    #[test]
    fn a_watcher_is_told_to_look_at_once_and_may_stop() {
        let mut looks = 0;
        watch(|| {
            looks += 1;
            false
        })
        .unwrap();
        assert_eq!(looks, 1);
    }
}
