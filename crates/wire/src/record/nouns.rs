//! How the core's nouns lie in a record. Texts go through their own parsers, so that no record
//! holds what no request could.
use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_core::command::InstanceResponse;
use portcullis_core::ids::{
    AccessKeyId, AccountId, InstanceId, NetworkInterfaceId, PortRangeListId, PrefixListId,
    RegionId, ResourceGroupId, RouteTableId, RouterId, SecurityGroupId, SecurityGroupRuleId,
    VSwitchId, VpcId, ZoneId,
};
use portcullis_core::list::ListEntry;
use portcullis_core::net::{Cidr, Family, Ipv4Prefix, Ipv6Prefix, Mac, Ports, Prefix, Protocol};
use portcullis_core::records::{
    AccessKeySecret, Attachment, ConnectionTracking, InstanceStatus, InterfaceRole, NicType,
    PeerOwner,
};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority};
use portcullis_core::text::{
    AccountName, ClientToken, Description, DeviceName, EntryDescription, Label, ListName, Name,
    NetworkDescription, RuleDescription, Tag, TagKey, TagValue, Tags,
};
use portcullis_core::world::{GroupType, InnerAccess};

use crate::record::Problem;
use crate::record::field::{Field, Reader, read_bytes, read_text, write_bytes};

macro_rules! texts {
    ($($noun:ident)*) => {$(
        impl Field for $noun {
            const NAME: &'static str = stringify!($noun);

            fn write(&self, out: &mut Vec<u8>) {
                write_bytes(self.as_str().as_bytes(), out);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
                let text = read_text(reader, Self::NAME)?;
                text.parse().map_err(|_| Problem::BadValue(Self::NAME))
            }
        }
    )*};
}

texts! {
    AccessKeyId NetworkInterfaceId PortRangeListId PrefixListId RegionId ResourceGroupId
    InstanceId RouteTableId RouterId SecurityGroupId SecurityGroupRuleId VSwitchId VpcId ZoneId
    AccountName ClientToken Description DeviceName EntryDescription Label ListName Name
    NetworkDescription RuleDescription TagKey TagValue
}

/// One byte each; the numbers are for ever.
macro_rules! choices {
    ($($noun:ident { $($value:path = $number:literal),* $(,)? })*) => {$(
        impl Field for $noun {
            const NAME: &'static str = stringify!($noun);

            fn write(&self, out: &mut Vec<u8>) {
                out.push(match self { $($value => $number,)* });
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
                match reader.byte(Self::NAME)? {
                    $($number => Ok($value),)*
                    _ => Err(Problem::BadValue(Self::NAME)),
                }
            }
        }
    )*};
}

choices! {
    GroupType { GroupType::Basic = 0, GroupType::Enterprise = 1 }
    InnerAccess { InnerAccess::Accept = 0, InnerAccess::Drop = 1 }
    NicType { NicType::Internet = 0, NicType::Intranet = 1 }
    Family { Family::V4 = 0, Family::V6 = 1 }
    Direction { Direction::Egress = 0, Direction::Ingress = 1 }
    Policy { Policy::Drop = 0, Policy::Accept = 1 }
    InterfaceRole { InterfaceRole::Primary = 0, InterfaceRole::Secondary = 1 }
    InstanceStatus { InstanceStatus::Running = 0, InstanceStatus::Stopped = 1 }
}

impl Field for AccountId {
    const NAME: &'static str = "AccountId";

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        u64::read(reader).map(Self)
    }
}

impl Field for AccessKeySecret {
    const NAME: &'static str = "AccessKeySecret";

    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.expose(), out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        read_bytes(reader, Self::NAME).map(Self::new)
    }
}

impl Field for Ipv4Addr {
    const NAME: &'static str = "IPv4 address";

    fn write(&self, out: &mut Vec<u8>) {
        self.octets().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        reader.array::<4>(Self::NAME).map(Self::from)
    }
}

impl Field for Ipv6Addr {
    const NAME: &'static str = "IPv6 address";

    fn write(&self, out: &mut Vec<u8>) {
        self.octets().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        reader.array::<16>(Self::NAME).map(Self::from)
    }
}

impl Field for Mac {
    const NAME: &'static str = "MAC address";

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        reader.array(Self::NAME).map(Self)
    }
}

/// As text: answers echo it to the letter.
impl Field for Cidr {
    const NAME: &'static str = "CIDR";

    fn write(&self, out: &mut Vec<u8>) {
        self.to_string().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let text = read_text(reader, Self::NAME)?;
        // Only the one spelling that `write` makes, so that no two texts are one record.
        let cidr: Option<Self> = text.parse().ok().filter(|cidr: &Self| cidr.to_string() == text);
        cidr.ok_or(Problem::BadValue(Self::NAME))
    }
}

impl Field for Prefix {
    const NAME: &'static str = "CIDR";

    fn write(&self, out: &mut Vec<u8>) {
        Cidr::from(*self).write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let cidr = Cidr::read(reader)?;
        let prefix = cidr.prefix();
        if Cidr::from(prefix) == cidr { Ok(prefix) } else { Err(Problem::BadValue(Self::NAME)) }
    }
}

macro_rules! interface_prefixes {
    ($($noun:ident)*) => {$(
        impl Field for $noun {
            const NAME: &'static str = stringify!($noun);

            fn write(&self, out: &mut Vec<u8>) {
                self.prefix().write(out);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
                Self::new(Prefix::read(reader)?).ok_or(Problem::BadValue(Self::NAME))
            }
        }
    )*};
}

interface_prefixes! { Ipv4Prefix Ipv6Prefix }

impl Field for Attachment {
    const NAME: &'static str = "attachment";

    fn write(&self, out: &mut Vec<u8>) {
        self.instance.write(out);
        self.role.write(out);
        self.attached_ms.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let (instance, role) = (Field::read(reader)?, Field::read(reader)?);
        Ok(Self { instance, role, attached_ms: Field::read(reader)? })
    }
}

impl Field for InstanceResponse {
    const NAME: &'static str = "response";

    fn write(&self, out: &mut Vec<u8>) {
        self.instance.write(out);
        self.code.write(out);
        self.message.write(out);
        self.previous.write(out);
        self.current.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let (instance, code, message) =
            (Field::read(reader)?, Field::read(reader)?, Field::read(reader)?);
        let (previous, current) = (Field::read(reader)?, Field::read(reader)?);
        Ok(Self { instance, code, message, previous, current })
    }
}

impl Field for Protocol {
    const NAME: &'static str = "protocol";

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::All => out.push(0),
            Self::Number(number) => out.extend_from_slice(&[1, *number]),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        match reader.byte(Self::NAME)? {
            0 => Ok(Self::All),
            1 => reader.byte(Self::NAME).map(Self::Number),
            _ => Err(Problem::BadValue(Self::NAME)),
        }
    }
}

impl Field for Ports {
    const NAME: &'static str = "port range";

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Any => out.push(0),
            Self::Range { first, last } => {
                out.push(1);
                first.write(out);
                last.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        match reader.byte(Self::NAME)? {
            0 => Ok(Self::Any),
            1 => {
                let (first, last) = (u16::read(reader)?, u16::read(reader)?);
                Self::range(first, last).ok_or(Problem::BadValue(Self::NAME))
            }
            _ => Err(Problem::BadValue(Self::NAME)),
        }
    }
}

impl Field for PortMatch {
    const NAME: &'static str = "ports";

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ports(ports) => {
                out.push(0);
                ports.write(out);
            }
            Self::List(list) => {
                out.push(1);
                list.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        match reader.byte(Self::NAME)? {
            0 => Ports::read(reader).map(Self::Ports),
            1 => PortRangeListId::read(reader).map(Self::List),
            _ => Err(Problem::BadValue(Self::NAME)),
        }
    }
}

impl Field for Peer {
    const NAME: &'static str = "peer";

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Cidr(cidr) => {
                out.push(0);
                cidr.write(out);
            }
            Self::Group(group) => {
                out.push(1);
                group.write(out);
            }
            Self::PrefixList(list) => {
                out.push(2);
                list.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        match reader.byte(Self::NAME)? {
            0 => Cidr::read(reader).map(Self::Cidr),
            1 => SecurityGroupId::read(reader).map(Self::Group),
            2 => PrefixListId::read(reader).map(Self::PrefixList),
            _ => Err(Problem::BadValue(Self::NAME)),
        }
    }
}

impl Field for Priority {
    const NAME: &'static str = "priority";

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.number());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        Self::new(reader.byte(Self::NAME)?).ok_or(Problem::BadValue(Self::NAME))
    }
}

impl Field for Box<PeerOwner> {
    const NAME: &'static str = "peer's owner";

    fn write(&self, out: &mut Vec<u8>) {
        self.account.write(out);
        self.text.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let (account, text) = (Field::read(reader)?, Field::read(reader)?);
        Ok(Box::new(PeerOwner { account, text }))
    }
}

impl Field for ConnectionTracking {
    const NAME: &'static str = "idle times";

    fn write(&self, out: &mut Vec<u8>) {
        self.tcp_established_s().write(out);
        self.tcp_closed_s().write(out);
        self.udp_s().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let (established, closed) = (u16::read(reader)?, u16::read(reader)?);
        let udp = u16::read(reader)?;
        Self::new(established, closed, udp).ok_or(Problem::BadValue(Self::NAME))
    }
}

impl<V: Field> Field for ListEntry<V> {
    const NAME: &'static str = V::NAME;

    fn write(&self, out: &mut Vec<u8>) {
        self.value.write(out);
        self.description.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(Self { value: Field::read(reader)?, description: Field::read(reader)? })
    }
}

impl Field for Tag {
    const NAME: &'static str = "tag";

    fn write(&self, out: &mut Vec<u8>) {
        self.key.write(out);
        self.value.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(Self { key: Field::read(reader)?, value: Field::read(reader)? })
    }
}

impl Field for Tags {
    const NAME: &'static str = "tags";

    fn write(&self, out: &mut Vec<u8>) {
        self.iter().cloned().collect::<Vec<Tag>>().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        Self::new(Field::read(reader)?).map_err(|_| Problem::BadValue(Self::NAME))
    }
}
