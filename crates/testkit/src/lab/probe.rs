//! Real traffic by real sockets: one attempt, and whether it arrived. Why it did not, others know.

use crate::netns::Namespace;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt,
    socket, sockopt,
};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// What travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A TCP handshake.
    Tcp,
    /// One datagram there.
    Udp,
    /// An echo request there and its reply back.
    Ping,
}

/// One flow to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// What travels.
    pub kind: Kind,
    /// From where; the port is 0 for any.
    pub source: SocketAddr,
    /// Whereto; the port means nothing for a ping.
    pub destination: SocketAddr,
}

/// An attempt under way: both ends, and what was seen so far.
#[derive(Debug)]
pub struct Flight {
    source: SocketAddr,
    ends: Ends,
}

#[derive(Debug)]
enum Ends {
    Tcp { stream: TcpStream, listener: TcpListener },
    Udp { receiver: UdpSocket, _sender: UdpSocket },
    Ping { socket: UdpSocket },
}

impl Attempt {
    /// Sends the first packet from one namespace to another.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn launch(&self, from: &Namespace, to: &Namespace) -> Result<Flight, String> {
        let describe = |error: std::io::Error| format!("{self:?}: {error}");
        let ends = match self.kind {
            Kind::Tcp => {
                let listener = listen_tcp(to, self.destination)?;
                let stream = connect_tcp(from, self.source, self.destination)?;
                Ends::Tcp { stream, listener }
            }
            Kind::Udp => {
                let receiver = bind_udp(to, self.destination)?;
                receiver.set_nonblocking(true).map_err(describe)?;
                let sender = bind_udp(from, self.source)?;
                sender.connect(self.destination).map_err(describe)?;
                sender.send(b"probe").map_err(describe)?;
                Ends::Udp { receiver, _sender: sender }
            }
            Kind::Ping => Ends::Ping { socket: ping(from, self.source, self.destination.ip())? },
        };
        let source = match &ends {
            Ends::Tcp { stream, .. } => stream.local_addr(),
            Ends::Udp { _sender: sender, .. } => sender.local_addr(),
            // A ping socket's port is the echo identifier.
            Ends::Ping { socket } => socket.local_addr(),
        };
        Ok(Flight { source: source.map_err(describe)?, ends })
    }
}

impl Flight {
    /// The source with its port, or with its echo identifier as port.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// Whether the attempt has arrived by now.
    ///
    /// # Errors
    /// When something answers that should not: a reset, an unreachable.
    pub fn arrived(&mut self) -> Result<bool, String> {
        let mut buffer = [0; 64];
        let read = match &mut self.ends {
            Ends::Tcp { stream, .. } => return is_connected(stream),
            Ends::Udp { receiver, .. } => receiver.recv(&mut buffer),
            Ends::Ping { socket } => socket.recv(&mut buffer),
        };
        match read {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(format!("{:?}: {error}", self.source)),
        }
    }

    /// Both ends of the connection, once it has arrived: the caller's, and the listener's.
    ///
    /// # Errors
    /// When it is no TCP, or the listener has no connection to give.
    pub fn into_streams(self) -> Result<(TcpStream, TcpStream), String> {
        let Ends::Tcp { stream, listener } = self.ends else {
            return Err("not a connection".to_owned());
        };
        let accepted =
            crate::wait::until("a connection", Duration::from_secs(5), || {
                match listener.accept() {
                    Ok((accepted, _)) => Ok(Some(accepted)),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
                    Err(error) => Err(error.to_string()),
                }
            })?;
        for end in [&stream, &accepted] {
            end.set_nonblocking(true).map_err(|error| error.to_string())?;
            end.set_nodelay(true).map_err(|error| error.to_string())?;
        }
        Ok((stream, accepted))
    }
}

impl Flight {
    /// Ends what has arrived, and waits until its last packet has too, so that none of it is
    /// counted later.
    ///
    /// # Errors
    /// When the connection does not end.
    pub fn end(self) -> Result<(), String> {
        if !matches!(self.ends, Ends::Tcp { .. }) {
            return Ok(());
        }
        let (near, mut far) = self.into_streams()?;
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&near, sockopt::Linger, &at_once).map_err(|error| error.to_string())?;
        drop(near);
        let mut buffer = [0; 64];
        crate::wait::until("the connection to end", Duration::from_secs(5), || {
            match far.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(Some(())),
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                    Err(error.to_string())
                }
                _ => Ok(None),
            }
        })
    }
}

/// Listens inside a namespace.
///
/// # Errors
/// When the address is taken or not there.
pub fn listen_tcp(namespace: &Namespace, address: SocketAddr) -> Result<TcpListener, String> {
    let bound = namespace.enter(|| TcpListener::bind(address))?;
    let listener = bound.map_err(|error| format!("{address}: {error}"))?;
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(listener)
}

/// A datagram socket inside a namespace.
///
/// # Errors
/// When the address is taken or not there.
pub fn bind_udp(namespace: &Namespace, address: SocketAddr) -> Result<UdpSocket, String> {
    let bound = namespace.enter(|| UdpSocket::bind(address))?;
    bound.map_err(|error| format!("{address}: {error}"))
}

/// Begins to connect; the handshake goes on without us.
///
/// # Errors
/// When the socket cannot be made or there is no way.
pub fn connect_tcp(
    namespace: &Namespace,
    source: SocketAddr,
    destination: SocketAddr,
) -> Result<TcpStream, String> {
    let made = namespace.enter(|| {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family(source), SockType::Stream, flags, SockProtocol::Tcp)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(source))?;
        begin(&socket, destination)?;
        Ok(socket)
    })?;
    let socket = made.map_err(|error: nix::Error| format!("{source} to {destination}: {error}"))?;
    Ok(TcpStream::from(socket))
}

/// Sends echo requests from a socket of its own, one now.
fn ping(namespace: &Namespace, source: SocketAddr, target: IpAddr) -> Result<UdpSocket, String> {
    let made = namespace.enter(|| {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = if target.is_ipv4() { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
        let socket = socket(family(source), SockType::Datagram, flags, protocol)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(source))?;
        begin(&socket, SocketAddr::new(target, 0))?;
        Ok(socket)
    })?;
    let socket = made.map_err(|error: nix::Error| format!("ping {target}: {error}"))?;
    let socket = UdpSocket::from(socket);
    let kind = if target.is_ipv4() { 8 } else { 128 };
    socket.send(&[kind, 0, 0, 0, 0, 0, 0, 1]).map_err(|error| format!("ping {target}: {error}"))?;
    Ok(socket)
}

fn begin(socket: &OwnedFd, destination: SocketAddr) -> Result<(), nix::Error> {
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(destination)) {
        Err(nix::Error::EINPROGRESS) => Ok(()),
        done => done,
    }
}

/// Sends all bytes from one end and reads them at the other.
///
/// # Errors
/// When they do not arrive in time.
pub fn pass_bytes(
    from: &mut TcpStream,
    to: &mut TcpStream,
    bytes: &[u8],
    patience: Duration,
) -> Result<(), String> {
    let (mut sent, mut received) = (0, Vec::new());
    let mut buffer = vec![0; 65_536];
    crate::wait::until("bytes to pass", patience, || {
        if sent < bytes.len() {
            sent += now(from.write(bytes.get(sent..).unwrap_or_default()))?;
        }
        let read = now(to.read(&mut buffer))?;
        received.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok((received.len() >= bytes.len()).then_some(()))
    })?;
    if received == bytes { Ok(()) } else { Err("other bytes arrived than were sent".to_owned()) }
}

/// What a non-blocking read or write did, nothing included.
fn now(done: std::io::Result<usize>) -> Result<usize, String> {
    match done {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.to_string()),
    }
}

fn is_connected(stream: &TcpStream) -> Result<bool, String> {
    if let Some(error) = stream.take_error().map_err(|error| error.to_string())? {
        return Err(error.to_string());
    }
    Ok(stream.peer_addr().is_ok())
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
