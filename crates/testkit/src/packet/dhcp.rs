//! The four messages of a DHCPv4 lease, written and read. No lease is kept here.

use super::Mac;
use std::net::Ipv4Addr;

const FIXED_BYTES: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Which step of the exchange a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DhcpMessage {
    /// A client looks for servers.
    Discover,
    /// A server offers an address.
    Offer,
    /// The client asks for it.
    Request,
    /// The server grants it.
    Acknowledge,
}

impl DhcpMessage {
    fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Acknowledge => 5,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Discover, Self::Offer, Self::Request, Self::Acknowledge]
            .into_iter()
            .find(|message| message.number() == number)
    }
}

/// A DHCP message, the payload of a datagram between ports 68 and 67.
#[derive(Debug, Clone)]
pub struct Dhcp {
    /// Which step.
    pub message: DhcpMessage,
    /// The client's link-layer address.
    pub client: Mac,
    /// Common to all messages of one exchange.
    pub transaction: u32,
    /// The address that a server gives.
    pub your_address: Ipv4Addr,
}

impl Dhcp {
    /// A client looks for servers.
    pub fn discover(client: Mac, transaction: u32) -> Self {
        let your_address = Ipv4Addr::UNSPECIFIED;
        Self { message: DhcpMessage::Discover, client, transaction, your_address }
    }

    /// A server offers an address, to be filled in.
    pub fn offer(client: Mac, transaction: u32) -> Self {
        Self { message: DhcpMessage::Offer, ..Self::discover(client, transaction) }
    }

    /// The message as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let from_client = matches!(self.message, DhcpMessage::Discover | DhcpMessage::Request);
        let mut bytes = vec![if from_client { 1 } else { 2 }, 1, 6, 0];
        bytes.extend_from_slice(&self.transaction.to_be_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.your_address.octets());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.client);
        bytes.resize(FIXED_BYTES, 0);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(&[53, 1, self.message.number(), 255]);
        bytes
    }
}

/// What a message says, read from bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpAnswer {
    /// Which step.
    pub message: DhcpMessage,
    /// The client's link-layer address.
    pub client: Mac,
    /// Common to all messages of one exchange.
    pub transaction: u32,
    /// The address that a server gives.
    pub your_address: Ipv4Addr,
}

impl DhcpAnswer {
    /// Reads a message; `None` for what is not one of the four.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..at + 4)?.first_chunk::<4>().copied();
        if word(FIXED_BYTES)? != COOKIE {
            return None;
        }
        let mut options = bytes.get(FIXED_BYTES + 4..)?;
        let message = loop {
            match options {
                [0, rest @ ..] => options = rest,
                [53, 1, number, ..] => break DhcpMessage::from_number(*number)?,
                [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
                _ => return None,
            }
        };
        Some(Self {
            message,
            client: *bytes.get(28..34)?.first_chunk::<6>()?,
            transaction: u32::from_be_bytes(word(4)?),
            your_address: word(16)?.into(),
        })
    }
}
