//! One rule of a security group: what it matches and what it says.
//!
//! A [`Rule`] holds what decides verdicts and nothing else; names, descriptions and times belong to
//! the state around it.
use core::fmt;
use core::str::FromStr;

use crate::ids::{PortRangeListId, PrefixListId, SecurityGroupId, SecurityGroupRuleId};
use crate::limits::{PRIORITY_MAX, PRIORITY_MIN};
use crate::net::{Cidr, Ports, Protocol};

/// Seen from the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Leaving the instance.
    Egress,
    /// Entering the instance.
    Ingress,
}

impl Direction {
    /// The API's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    /// The other one.
    pub const fn reverse(self) -> Self {
        match self {
            Self::Egress => Self::Ingress,
            Self::Ingress => Self::Egress,
        }
    }
}

/// What a rule, or a whole judgement, says of a packet. Drops are silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Refused without an answer. Ordered first: at equal priority drop goes ahead of accept.
    Drop,
    /// Let through.
    Accept,
}

impl Policy {
    /// The API's spelling in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "Accept",
            Self::Drop => "Drop",
        }
    }
}

/// `Priority`, 1 to 100; the lower number is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// The default of the API.
    pub const DEFAULT: Self = Self(PRIORITY_MIN);

    /// `None` unless 1 to 100.
    pub fn new(number: u8) -> Option<Self> {
        (PRIORITY_MIN..=PRIORITY_MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The one peer of a rule: who is on the remote side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Addresses written in the rule.
    Cidr(Cidr),
    /// The addresses of the interfaces that are in that group now.
    Group(SecurityGroupId),
    /// The list's entries now.
    PrefixList(PrefixListId),
}

/// The destination ports of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortMatch {
    /// `PortRange`.
    Ports(Ports),
    /// `PortRangeListId`: the list's entries now.
    List(PortRangeListId),
}

/// One rule. `ports` is always the packet's destination port, `source_ports` its source port, in
/// both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its stable id.
    pub id: SecurityGroupRuleId,
    /// Which packets it is asked about.
    pub direction: Direction,
    /// `IpProtocol`.
    pub protocol: Protocol,
    /// `PortRange` or `PortRangeListId`.
    pub ports: PortMatch,
    /// `SourcePortRange`.
    pub source_ports: Ports,
    /// Destination of an egress rule, source of an ingress rule.
    pub peer: Peer,
    /// The local side's addresses: `SourceCidrIp`/`Ipv6SourceCidrIp` of an egress rule,
    /// `DestCidrIp`/`Ipv6DestCidrIp` of an ingress rule. `None`: all.
    pub local: Option<Cidr>,
    /// What it says.
    pub policy: Policy,
    /// When it is asked.
    pub priority: Priority,
}

/// The text is none of an enumeration's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameError;

impl FromStr for Direction {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        [Self::Egress, Self::Ingress]
            .into_iter()
            .find(|d| d.name().eq_ignore_ascii_case(text))
            .ok_or(NameError)
    }
}

impl FromStr for Policy {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        [Self::Accept, Self::Drop]
            .into_iter()
            .find(|p| p.name().eq_ignore_ascii_case(text))
            .ok_or(NameError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_any_case_and_priorities_have_two_ends() {
        assert_eq!("EGRESS".parse(), Ok(Direction::Egress));
        assert_eq!("accept".parse(), Ok(Policy::Accept));
        assert_eq!("Allow".parse::<Policy>(), Err(NameError));
        assert!(Priority::new(1).is_some() && Priority::new(100).is_some());
        assert!(Priority::new(0).is_none() && Priority::new(101).is_none());
        assert!(Policy::Drop < Policy::Accept);
    }
}
