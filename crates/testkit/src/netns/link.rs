//! Raw frames on a device inside a namespace: sent as given, received as they come.

use super::Namespace;
use crate::packet::Mac;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// A frame of this many bytes is the longest that is received.
const FRAME_BYTES_MAX: usize = 65_536;

/// A socket that sends and receives whole frames on one device.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    device: String,
    mac: Mac,
}

impl Link {
    /// Opens the device.
    ///
    /// # Errors
    /// When there is no such device or raw sockets are not allowed.
    pub fn new(namespace: &Namespace, device: &str) -> Result<Self, String> {
        let opened = namespace.enter(|| open(device))?;
        let (socket, mac) = opened.map_err(|error| format!("{device}: {error}"))?;
        Ok(Self { socket, device: device.to_owned(), mac })
    }

    /// The device's own address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the device does not take it.
    pub fn send(&self, frame: &[u8]) -> Result<(), String> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .map(|_| ())
            .map_err(|error| format!("{}: {error}", self.device))
    }

    /// The next frame that is already there.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn receive_now(&self) -> Result<Option<Vec<u8>>, String> {
        let mut buffer = vec![0; FRAME_BYTES_MAX];
        match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => {
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Err(Errno::EAGAIN) => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.device)),
        }
    }

    /// The next frame, if one comes soon enough.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<Vec<u8>>, String> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut waited = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut waited, timeout).map_err(|error| format!("{}: {error}", self.device))?;
        self.receive_now()
    }

    /// Waits for a frame that is wanted; the others are thrown away.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn receive<T>(
        &self,
        what: &str,
        patience: Duration,
        mut wanted: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, String> {
        crate::wait::until(what, patience, || {
            while let Some(frame) = self.receive_now()? {
                if let Some(found) = wanted(&frame) {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })
    }
}

fn open(device: &str) -> Result<(OwnedFd, Mac), Errno> {
    // The interface list is the one safe way to a link-layer address that can be bound to.
    let place = nix::ifaddrs::getifaddrs()?
        .filter(|interface| interface.interface_name == device)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .ok_or(Errno::ENODEV)?;
    let socket =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    bind(socket.as_raw_fd(), &place)?;
    Ok((socket, place.addr().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::need;
    use crate::netns::available;
    use crate::packet::Ethernet;

    #[test]
    fn a_frame_crosses_a_pair_as_it_was_sent() {
        if !need("namespaces", available) {
            return;
        }
        let namespace = Namespace::new().unwrap();
        namespace
            .ip("link add pc-a type veth peer name pc-b\nlink set pc-a up\nlink set pc-b up")
            .unwrap();
        let (a, b) = (Link::new(&namespace, "pc-a"), Link::new(&namespace, "pc-b"));
        let (a, b) = (a.unwrap(), b.unwrap());
        let frame = Ethernet::new([2; 6], [4; 6]).frame(0x88b5, &[7; 50]);
        a.send(&frame).unwrap();
        let same = |got: &[u8]| (got == frame).then_some(());
        b.receive("the frame", Duration::from_secs(5), same).unwrap();
        assert!(Link::new(&namespace, "pc-none").is_err());
    }
}
