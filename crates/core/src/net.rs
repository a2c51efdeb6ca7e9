//! Addresses, prefixes, ports and protocols, parsed once into values that cannot be wrong.
//!
//! Knows how these are written and what they contain; knows nothing of rules.
use alloc::string::{String, ToString};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::limits::{IPV4_PREFIX_LENGTH, IPV6_PREFIX_LENGTH};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bits in an address of this family.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// An address as a number, the order in which ranges of a family are compared.
pub fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// What a text was expected to be and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetError {
    /// What was expected, e.g. "an IPv4 or IPv6 address or CIDR".
    pub expected: &'static str,
    /// The text as given.
    pub text: String,
}

impl NetError {
    fn new(expected: &'static str, text: &str) -> Self {
        Self { expected, text: text.into() }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.expected)
    }
}

impl core::error::Error for NetError {}

/// A set of addresses that share their first `length` bits; host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits around `address`; host bits are cleared. `None` if the family
    /// has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let family = Family::of(address);
        if length > family.bits() {
            return None;
        }
        let address = match address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(u32::from(128 - length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
            }
        };
        Some(Self { address, length })
    }

    /// The prefix of exactly one address.
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: Family::of(address).bits() }
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The number of fixed bits.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The family of the addresses.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// Whether `address` is one of the prefix's (never, if of the other family).
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::new(address, self.length).is_some_and(|p| p == *self)
    }

    /// First and last address as numbers of the family.
    pub fn range(&self) -> (u128, u128) {
        let first = address_bits(self.address);
        let host_bits = u32::from(self.family().bits() - self.length);
        let host_mask = 1u128.checked_shl(host_bits).map_or(u128::MAX, |end| end - 1);
        (first, first | host_mask)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address or CIDR as a user wrote it: `10.0.0.1`, `10.0.0.1/8`, `2001:db8::/32`.
///
/// Keeps whether a length was given and the host bits, because answers echo them; [`Cidr::prefix`]
/// is what it means. IPv6 is printed in its canonical (RFC 5952) form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    length: Option<u8>,
}

impl Cidr {
    /// The addresses meant: host bits masked, a bare address alone.
    pub fn prefix(&self) -> Prefix {
        let all = Family::of(self.address).bits();
        Prefix::new(self.address, self.length.unwrap_or(all)).unwrap_or(Prefix::host(self.address))
    }

    /// The prefix that is written: a bare address alone. `None` where host bits are set.
    pub fn exact(&self) -> Option<Prefix> {
        Some(self.prefix()).filter(|prefix| prefix.address == self.address)
    }

    /// The family of the addresses.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}

impl FromStr for Cidr {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let error = || NetError::new("an IPv4 or IPv6 address or CIDR", text);
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(parse_digits(length).ok_or_else(error)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        match length {
            Some(length) if length > u16::from(Family::of(address).bits()) => Err(error()),
            _ => Ok(Self { address, length: length.map(|l| l as u8) }),
        }
    }
}

impl From<Prefix> for Cidr {
    fn from(prefix: Prefix) -> Self {
        Self { address: prefix.address, length: Some(prefix.length) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            Some(length) => write!(f, "{}/{length}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! interface_prefixes {
    ($($(#[$doc:meta])* $name:ident $family:path, $length:path, $expected:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Prefix);

        impl $name {
            /// This prefix, if it is of the one family and length.
            pub fn new(prefix: Prefix) -> Option<Self> {
                let fits = prefix.family() == $family && prefix.length() == $length;
                fits.then_some(Self(prefix))
            }

            /// Its addresses.
            pub fn prefix(self) -> Prefix {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = NetError;

            fn from_str(text: &str) -> Result<Self, NetError> {
                let error = || NetError::new($expected, text);
                let cidr: Cidr = text.parse().map_err(|_| error())?;
                let whole = cidr == Cidr::from(cidr.prefix());
                Self::new(cidr.prefix()).filter(|_| whole).ok_or_else(error)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

interface_prefixes! {
    /// `Ipv4Prefix`: a block of IPv4 addresses that an interface has as a whole.
    Ipv4Prefix Family::V4, IPV4_PREFIX_LENGTH, "an IPv4 block of length 28 without host bits";
    /// `Ipv6Prefix`: a block of IPv6 addresses that an interface has as a whole.
    Ipv6Prefix Family::V6, IPV6_PREFIX_LENGTH, "an IPv6 block of length 80 without host bits";
}

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The interface's own link-local address: fe80::/64 with the modified EUI-64 of this address.
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let eui = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        Ipv6Addr::from_bits((0xfe80u128 << 112) | u128::from(eui))
    }
}

impl FromStr for Mac {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let error = || NetError::new("a MAC address of six hexadecimal pairs", text);
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(error)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of `IpProtocol`: every protocol, or one by its IANA number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `ALL`: every IP protocol.
    All,
    /// One protocol. 1 is meant for IPv4 only, 58 for IPv6 only.
    Number(u8),
}

/// IANA protocol numbers that have a name here.
pub mod protocol {
    /// ICMP (IPv4).
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// GRE.
    pub const GRE: u8 = 47;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;

    /// The named protocols, as the API writes them.
    pub const NAMES: [(&str, u8); 5] =
        [("TCP", TCP), ("UDP", UDP), ("ICMP", ICMP), ("ICMPV6", ICMPV6), ("GRE", GRE)];

    /// The number of a protocol by name (any case) or numeral.
    pub fn number(text: &str) -> Option<u8> {
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, number)| *number)
            .or_else(|| super::parse_digits(text).and_then(|n| u8::try_from(n).ok()))
    }
}

impl Protocol {
    /// TCP.
    pub const TCP: Self = Self::Number(protocol::TCP);
    /// UDP.
    pub const UDP: Self = Self::Number(protocol::UDP);
    /// ICMP.
    pub const ICMP: Self = Self::Number(protocol::ICMP);
    /// ICMPv6.
    pub const ICMPV6: Self = Self::Number(protocol::ICMPV6);

    /// Whether a rule of this protocol may name ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP)
    }

    /// Whether a packet of `family` and final protocol `number` is of this protocol.
    pub fn matches(self, family: Family, number: u8) -> bool {
        match (self, family) {
            (Self::All, _) => true,
            (Self::ICMP, Family::V6) | (Self::ICMPV6, Family::V4) => false,
            (Self::Number(own), _) => own == number,
        }
    }
}

impl FromStr for Protocol {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        if text.eq_ignore_ascii_case("ALL") {
            return Ok(Self::All);
        }
        let expected = "a protocol: ALL, TCP, UDP, ICMP, ICMPv6, GRE or a number from 0 to 255";
        protocol::number(text).map(Self::Number).ok_or_else(|| NetError::new(expected, text))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::Number(n) => match protocol::NAMES.iter().find(|(_, number)| number == n) {
                Some((name, _)) => f.write_str(name),
                None => n.fmt(f),
            },
        }
    }
}

/// A value of `PortRange`: any port (and protocols without ports), or both ends of a range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// `-1/-1`.
    Any,
    /// `first/last`, 1 ≤ first ≤ last.
    Range {
        /// Lowest port, included.
        first: u16,
        /// Highest port, included.
        last: u16,
    },
}

impl Ports {
    /// A range; `None` unless 1 ≤ first ≤ last.
    pub fn range(first: u16, last: u16) -> Option<Self> {
        (1..=last).contains(&first).then_some(Self::Range { first, last })
    }

    /// Whether a packet with this port (`None`: its protocol has none) is meant.
    pub fn contains(self, port: Option<u16>) -> bool {
        match self {
            Self::Any => true,
            Self::Range { first, last } => port.is_some_and(|p| (first..=last).contains(&p)),
        }
    }
}

impl FromStr for Ports {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        if text == "-1/-1" {
            return Ok(Self::Any);
        }
        text.split_once('/')
            .and_then(|(first, last)| Self::range(parse_digits(first)?, parse_digits(last)?))
            .ok_or_else(|| {
                NetError::new("a port range: `-1/-1`, or `first/last` from 1 to 65535", text)
            })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("-1/-1"),
            Self::Range { first, last } => write!(f, "{first}/{last}"),
        }
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

/// A decimal numeral of digits only (no sign, no blank), at most 65535.
fn parse_digits(text: &str) -> Option<u16> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        None
    } else {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cidr_is_echoed_as_written_and_means_its_masked_prefix() {
        for (text, echo, prefix) in [
            ("1.2.3.4", "1.2.3.4", "1.2.3.4/32"),
            ("1.2.3.4/32", "1.2.3.4/32", "1.2.3.4/32"),
            ("10.159.6.18/12", "10.159.6.18/12", "10.144.0.0/12"),
            ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0::1", "2001:db8::1", "2001:db8::1/128"),
            ("2001:db8:3c4d:15::1a2f:1a2b/0", "2001:db8:3c4d:15::1a2f:1a2b/0", "::/0"),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!((cidr.to_string(), cidr.prefix().to_string()), (echo.into(), prefix.into()));
        }
        let exact = |text: &str| text.parse::<Cidr>().unwrap().exact().map(|p| p.to_string());
        assert_eq!(exact("1.2.3.4"), Some("1.2.3.4/32".into()));
        assert_eq!(exact("2001:DB8::/32"), Some("2001:db8::/32".into()));
        assert_eq!(exact("10.0.0.1/8"), None);
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "::/129",
            "01.2.3.4",
            "::1%lo",
            "::/8 ",
        ] {
            assert_eq!(bad.parse::<Cidr>().unwrap_err().text, bad);
        }
    }

    #[test]
    fn a_prefix_contains_its_range_and_nothing_of_the_other_family() {
        let prefix: Prefix = "10.0.0.0/30".parse::<Cidr>().unwrap().prefix();
        let base = u128::from(0x0a00_0000u32);
        assert_eq!(prefix.range(), (base, base + 3));
        assert!(prefix.contains("10.0.0.3".parse().unwrap()));
        assert!(!prefix.contains("10.0.0.4".parse().unwrap()));
        assert!(!prefix.contains("::a00:3".parse().unwrap()));
        assert_eq!("::/0".parse::<Cidr>().unwrap().prefix().range(), (0, u128::MAX));
    }

    #[test]
    fn ports_and_protocols() {
        assert_eq!("-1/-1".parse(), Ok(Ports::Any));
        assert_eq!("80/90".parse(), Ok(Ports::Range { first: 80, last: 90 }));
        for bad in ["", "80", "200/1", "0/1", "1/65536", "+1/2", "-1/1", "1/2/3", " 1/2"] {
            assert!(bad.parse::<Ports>().is_err(), "{bad}");
        }
        assert!(
            Ports::Any.contains(None) && !Ports::Range { first: 1, last: 65535 }.contains(None)
        );
        for (text, name) in
            [("tcp", "TCP"), ("17", "UDP"), ("IcmpV6", "ICMPV6"), ("all", "ALL"), ("2", "2")]
        {
            assert_eq!(text.parse::<Protocol>().unwrap().to_string(), name);
        }
        for bad in ["", "256", "-1", "any"] {
            assert!(bad.parse::<Protocol>().is_err(), "{bad}");
        }
        assert!(!Protocol::ICMP.matches(Family::V6, 1) && Protocol::All.matches(Family::V6, 1));
    }

    #[test]
    fn a_mac_has_its_link_local_address() {
        let mac: Mac = "02:00:00:00:00:0A".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:00:00:00:0a");
        assert_eq!(mac.link_local().to_string(), "fe80::ff:fe00:a");
        for bad in
            ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "2:0:0:0:0:0", "02-00-00-00-00-00"]
        {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
