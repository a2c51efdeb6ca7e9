//! What lies in each record, in order. What the key says is not said again.
//!
//! A list here is a format: a change to one is a new version (see `newest`), with the old list
//! kept for reading.
use std::sync::Arc;

use portcullis_core::command::Written;
use portcullis_core::ids::{
    AccessKeyId, AccountId, InstanceId, NetworkInterfaceId, SecurityGroupId, SecurityGroupRuleId,
    VSwitchId, VpcId,
};
use portcullis_core::list::{List, ListKind};
use portcullis_core::records::{
    AccessKey, Account, Binding, GroupRecord, Instance, InterfaceRecord, KeySession, Record,
    RecordKey, RuleRecord, SecurityToken, TokenRecord, VSwitch, Vpc, VpcShare,
};
use portcullis_core::rule::Rule;

use crate::record::field::{Field, Reader, read_bytes, read_text, write_bytes};
use crate::record::{ACCESS_KEY_SEALED, INTERFACE_WITH_PREFIXES, Problem, Sealing};

macro_rules! layouts {
    ($(
        $record:ident $write:ident $read:ident ($key:ident: $key_type:ty) [$($field:ident)*]
    )*) => {$(
        fn $write(record: &$record, out: &mut Vec<u8>) {
            $(record.$field.write(out);)*
        }

        fn $read($key: $key_type, reader: &mut Reader<'_>) -> Result<$record, Problem> {
            // Fields of a struct expression are read in the order in which they stand here.
            Ok($record { $key, $($field: Field::read(reader)?,)* })
        }
    )*};
}

layouts! {
    Account write_account read_account (id: AccountId) [name root created_ms]
    Vpc write_vpc read_vpc (id: VpcId) [
        owner region name description cidr ipv6_cidr user_cidrs router route_table
        resource_group tags created_ms
    ]
    VSwitch write_vswitch read_vswitch (id: VSwitchId) [
        owner region vpc zone name description cidr ipv6_cidr tags created_ms
    ]
    GroupRecord write_group read_group (id: SecurityGroupId) [
        owner region vpc group_type inner_access name description resource_group tags created_ms
    ]
    InterfaceRecord write_interface read_interface (id: NetworkInterfaceId) [
        owner region vpc vswitch zone name description mac primary secondary ipv6 ipv4_prefixes
        ipv6_prefixes groups source_dest_check delete_on_release connection_tracking queue_number
        attachment resource_group tags created_ms
    ]
    Instance write_instance read_instance (id: InstanceId) [
        owner region name description host_name instance_type image key_pair status
        deletion_protection resource_group tags created_ms started_ms
    ]
    Binding write_binding read_binding (interface: NetworkInterfaceId) [device created_ms]
}

/// What anybody may read, then secret and token, sealed and bound to the key and to all before.
fn write_access_key(record: &AccessKey, sealing: Sealing<'_>, out: &mut Vec<u8>) {
    record.account.write(out);
    record.active.write(out);
    record.created_ms.write(out);
    record.session.as_ref().map(|session| session.expires_ms).write(out);
    let mut secret = Vec::new();
    record.secret.write(&mut secret);
    if let Some(session) = &record.session {
        write_bytes(session.token.expose().as_bytes(), &mut secret);
    }
    let bound = [sealing.key, out].concat();
    write_bytes(&sealing.seal.seal(&bound, &secret), out);
}

fn read_access_key(
    id: AccessKeyId,
    version: u8,
    sealing: Sealing<'_>,
    reader: &mut Reader<'_>,
) -> Result<AccessKey, Problem> {
    if version < ACCESS_KEY_SEALED {
        return Ok(AccessKey {
            id,
            secret: Field::read(reader)?,
            account: Field::read(reader)?,
            active: Field::read(reader)?,
            created_ms: Field::read(reader)?,
            session: None,
        });
    }
    let before = reader.rest();
    let account = Field::read(reader)?;
    let active = Field::read(reader)?;
    let created_ms = Field::read(reader)?;
    let expires_ms: Option<u64> = Field::read(reader)?;
    let read = before.get(..before.len() - reader.remaining()).unwrap_or_default();
    let bound = [sealing.key, &[version], read].concat();
    let secret = sealing.seal.open(&bound, read_bytes(reader, "sealed secret")?)?;
    let mut reader = Reader::new(&secret);
    let secret = Field::read(&mut reader)?;
    let session = match expires_ms {
        None => None,
        Some(expires_ms) => {
            let token = SecurityToken::new(read_text(&mut reader, "token")?);
            Some(KeySession { token, expires_ms })
        }
    };
    match reader.remaining() {
        0 => Ok(AccessKey { id, secret, account, active, created_ms, session }),
        _ => Err(Problem::BadValue("sealed secret")),
    }
}

/// Version 1 of an interface: without prefixes, queues and attachment.
fn read_interface_1(
    id: NetworkInterfaceId,
    reader: &mut Reader<'_>,
) -> Result<InterfaceRecord, Problem> {
    Ok(InterfaceRecord {
        id,
        owner: Field::read(reader)?,
        region: Field::read(reader)?,
        vpc: Field::read(reader)?,
        vswitch: Field::read(reader)?,
        zone: Field::read(reader)?,
        name: Field::read(reader)?,
        description: Field::read(reader)?,
        mac: Field::read(reader)?,
        primary: Field::read(reader)?,
        secondary: Field::read(reader)?,
        ipv6: Field::read(reader)?,
        ipv4_prefixes: Vec::new(),
        ipv6_prefixes: Vec::new(),
        groups: Field::read(reader)?,
        source_dest_check: Field::read(reader)?,
        delete_on_release: Field::read(reader)?,
        connection_tracking: Field::read(reader)?,
        queue_number: None,
        attachment: None,
        resource_group: Field::read(reader)?,
        tags: Field::read(reader)?,
        created_ms: Field::read(reader)?,
    })
}

fn write_rule(record: &RuleRecord, out: &mut Vec<u8>) {
    let rule = &record.rule;
    rule.direction.write(out);
    rule.protocol.write(out);
    rule.ports.write(out);
    rule.source_ports.write(out);
    rule.peer.write(out);
    rule.local.write(out);
    rule.policy.write(out);
    rule.priority.write(out);
    record.nic_type.write(out);
    record.peer_owner.write(out);
    record.description.write(out);
    record.created_ms.write(out);
}

fn read_rule(
    group: SecurityGroupId,
    id: SecurityGroupRuleId,
    reader: &mut Reader<'_>,
) -> Result<RuleRecord, Problem> {
    let rule = Rule {
        id,
        direction: Field::read(reader)?,
        protocol: Field::read(reader)?,
        ports: Field::read(reader)?,
        source_ports: Field::read(reader)?,
        peer: Field::read(reader)?,
        local: Field::read(reader)?,
        policy: Field::read(reader)?,
        priority: Field::read(reader)?,
    };
    Ok(RuleRecord {
        group,
        rule: Arc::new(rule),
        nic_type: Field::read(reader)?,
        peer_owner: Field::read(reader)?,
        description: Field::read(reader)?,
        created_ms: Field::read(reader)?,
    })
}

fn write_list<K: ListKind>(record: &List<K>, out: &mut Vec<u8>)
where
    K::Scope: Field,
    K::Value: Field,
{
    record.owner.write(out);
    record.region.write(out);
    record.name.write(out);
    record.description.write(out);
    record.scope.write(out);
    record.max_entries.write(out);
    record.entries.write(out);
    record.resource_group.write(out);
    record.tags.write(out);
    record.created_ms.write(out);
}

fn read_list<K: ListKind>(id: K::Id, reader: &mut Reader<'_>) -> Result<List<K>, Problem>
where
    K::Scope: Field,
    K::Value: Field,
{
    Ok(List {
        id,
        owner: Field::read(reader)?,
        region: Field::read(reader)?,
        name: Field::read(reader)?,
        description: Field::read(reader)?,
        scope: Field::read(reader)?,
        max_entries: Field::read(reader)?,
        entries: Field::read(reader)?,
        resource_group: Field::read(reader)?,
        tags: Field::read(reader)?,
        created_ms: Field::read(reader)?,
    })
}

fn write_token(record: &TokenRecord, out: &mut Vec<u8>) {
    record.digest.write(out);
    record.written.write(out);
    record.expires_ms.write(out);
}

impl Field for Written {
    const NAME: &'static str = "answer";

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Done => out.push(0),
            Self::Vpc { vpc, router, route_table, resource_group } => {
                out.push(1);
                vpc.write(out);
                router.write(out);
                route_table.write(out);
                resource_group.write(out);
            }
            Self::VSwitch { vswitch } => {
                out.push(2);
                vswitch.write(out);
            }
            Self::SecurityGroup { group } => {
                out.push(3);
                group.write(out);
            }
            Self::NetworkInterface(interface) => {
                out.push(20);
                interface.id.write(out);
                write_interface(interface, out);
            }
            Self::Account { account } => {
                out.push(5);
                account.write(out);
            }
            Self::PrefixList { list } => {
                out.push(6);
                list.write(out);
            }
            Self::PortRangeList { list } => {
                out.push(7);
                list.write(out);
            }
            Self::AssignedIpv4 { interface, addresses, prefixes } => {
                out.push(21);
                interface.write(out);
                addresses.write(out);
                prefixes.write(out);
            }
            Self::AssignedIpv6 { interface, addresses, prefixes } => {
                out.push(22);
                interface.write(out);
                addresses.write(out);
                prefixes.write(out);
            }
            Self::Instances(instances) => {
                out.push(23);
                instances.write(out);
            }
            Self::Instance { instance } => {
                out.push(24);
                instance.write(out);
            }
            Self::Batch(responses) => {
                out.push(25);
                responses.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(match reader.byte(Self::NAME)? {
            0 => Self::Done,
            1 => Self::Vpc {
                vpc: Field::read(reader)?,
                router: Field::read(reader)?,
                route_table: Field::read(reader)?,
                resource_group: Field::read(reader)?,
            },
            2 => Self::VSwitch { vswitch: Field::read(reader)? },
            3 => Self::SecurityGroup { group: Field::read(reader)? },
            4 => {
                // An interface as version 1 of its record has it.
                let id = Field::read(reader)?;
                Self::NetworkInterface(Box::new(read_interface_1(id, reader)?))
            }
            5 => Self::Account { account: Field::read(reader)? },
            20 => {
                let id = Field::read(reader)?;
                Self::NetworkInterface(Box::new(read_interface(id, reader)?))
            }
            6 => Self::PrefixList { list: Field::read(reader)? },
            7 => Self::PortRangeList { list: Field::read(reader)? },
            21 => Self::AssignedIpv4 {
                interface: Field::read(reader)?,
                addresses: Field::read(reader)?,
                prefixes: Field::read(reader)?,
            },
            22 => Self::AssignedIpv6 {
                interface: Field::read(reader)?,
                addresses: Field::read(reader)?,
                prefixes: Field::read(reader)?,
            },
            23 => Self::Instances(Field::read(reader)?),
            24 => Self::Instance { instance: Field::read(reader)? },
            25 => Self::Batch(Field::read(reader)?),
            _ => return Err(Problem::BadValue(Self::NAME)),
        })
    }
}

/// Writes what follows the version.
pub(super) fn write(record: &Record, sealing: Sealing<'_>, out: &mut Vec<u8>) {
    match record {
        Record::Account(record) => write_account(record, out),
        Record::AccessKey(record) => write_access_key(record, sealing, out),
        Record::Vpc(record) => write_vpc(record, out),
        Record::VSwitch(record) => write_vswitch(record, out),
        Record::Group(record) => write_group(record, out),
        Record::Rule(record) => write_rule(record, out),
        Record::Interface(record) => write_interface(record, out),
        Record::Binding(record) => write_binding(record, out),
        Record::Token(record) => write_token(record, out),
        Record::PrefixList(record) => write_list(record, out),
        Record::PortRangeList(record) => write_list(record, out),
        Record::VpcShare(record) => record.created_ms.write(out),
        Record::Instance(record) => write_instance(record, out),
    }
}

/// Reads what follows the version.
pub(super) fn read(
    key: RecordKey,
    version: u8,
    sealing: Sealing<'_>,
    reader: &mut Reader<'_>,
) -> Result<Record, Problem> {
    Ok(match key {
        RecordKey::Account(id) => Record::Account(read_account(id, reader)?),
        RecordKey::AccessKey(id) => {
            Record::AccessKey(read_access_key(id, version, sealing, reader)?)
        }
        RecordKey::Vpc(id) => Record::Vpc(read_vpc(id, reader)?),
        RecordKey::VSwitch(id) => Record::VSwitch(read_vswitch(id, reader)?),
        RecordKey::Group(id) => Record::Group(read_group(id, reader)?),
        RecordKey::Rule(group, id) => Record::Rule(Arc::new(read_rule(group, id, reader)?)),
        RecordKey::Interface(id) if version < INTERFACE_WITH_PREFIXES => {
            Record::Interface(Box::new(read_interface_1(id, reader)?))
        }
        RecordKey::Interface(id) => Record::Interface(Box::new(read_interface(id, reader)?)),
        RecordKey::Binding(id) => Record::Binding(read_binding(id, reader)?),
        RecordKey::PrefixList(id) => Record::PrefixList(read_list(id, reader)?),
        RecordKey::PortRangeList(id) => Record::PortRangeList(read_list(id, reader)?),
        RecordKey::Token(account, token) => Record::Token(TokenRecord {
            account,
            token,
            digest: Field::read(reader)?,
            written: Field::read(reader)?,
            expires_ms: Field::read(reader)?,
        }),
        RecordKey::VpcShare(vpc, account) => {
            Record::VpcShare(VpcShare { vpc, account, created_ms: Field::read(reader)? })
        }
        RecordKey::Instance(id) => Record::Instance(Box::new(read_instance(id, reader)?)),
    })
}
