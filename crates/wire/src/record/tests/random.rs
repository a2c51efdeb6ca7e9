//! Records of every kind, as random as they can be.
use std::sync::Arc;

use portcullis_core::command::{InstanceResponse, Written};
use portcullis_core::ids::AccountId;
use portcullis_core::list::{List, ListEntry, ListKind};
use portcullis_core::net::{Cidr, Family, Ipv4Prefix, Ipv6Prefix, Mac, Ports, Prefix, Protocol};
use portcullis_core::records::{
    AccessKey, AccessKeySecret, Account, Attachment, Binding, ConnectionTracking, GroupRecord,
    Instance, InstanceStatus, InterfaceRecord, InterfaceRole, KeySession, NicType, PeerOwner,
    Record, RuleRecord, SecurityToken, TokenRecord, VSwitch, Vpc, VpcShare,
};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::text::{Tag, Tags};
use portcullis_core::world::{GroupType, InnerAccess};
use proptest::prelude::*;
use proptest::{collection, option, sample};

fn text<T: std::str::FromStr + std::fmt::Debug>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T::Err: std::fmt::Debug,
{
    pattern.prop_map(|text: String| text.parse().unwrap())
}

fn id<T: std::str::FromStr + std::fmt::Debug>() -> impl Strategy<Value = T>
where
    T::Err: std::fmt::Debug,
{
    text("[a-zA-Z0-9._-]{1,100}")
}

fn cidr() -> impl Strategy<Value = Cidr> {
    prop_oneof![
        (any::<[u8; 4]>(), option::of(0..=32u8))
            .prop_map(|(octets, length)| cidr_of(std::net::Ipv4Addr::from(octets).into(), length)),
        (any::<[u8; 16]>(), option::of(0..=128u8))
            .prop_map(|(octets, length)| cidr_of(std::net::Ipv6Addr::from(octets).into(), length)),
    ]
}

fn cidr_of(address: std::net::IpAddr, length: Option<u8>) -> Cidr {
    match length {
        Some(length) => format!("{address}/{length}").parse().unwrap(),
        None => address.to_string().parse().unwrap(),
    }
}

fn tags() -> impl Strategy<Value = Tags> {
    collection::btree_map("[a-z]{1,8}", ".{0,8}", 0..4).prop_map(|tags| {
        let tag = |(key, value): (String, String)| {
            let value = value.replace(char::is_control, "");
            Tag { key: format!("k{key}").parse().unwrap(), value: value.parse().unwrap() }
        };
        Tags::new(tags.into_iter().map(tag).collect()).unwrap()
    })
}

fn vpc() -> impl Strategy<Value = Record> {
    let names = (id(), any::<u64>(), id(), option::of(text("[^\\p{C}h]{1,128}")));
    let blocks = (cidr(), option::of(cidr()), collection::vec(cidr(), 0..3));
    let rest = (option::of(text("[^\\p{C}h]{1,256}")), id(), id(), option::of(id()), tags());
    (names, blocks, rest, any::<u64>()).prop_map(|(names, blocks, rest, created_ms)| {
        Record::Vpc(Vpc {
            id: names.0,
            owner: AccountId(names.1),
            region: names.2,
            name: names.3,
            description: rest.0,
            cidr: blocks.0.prefix(),
            ipv6_cidr: blocks.1.map(|cidr| cidr.prefix()),
            user_cidrs: blocks.2,
            router: rest.1,
            route_table: rest.2,
            resource_group: rest.3,
            tags: rest.4,
            created_ms,
        })
    })
}

fn vswitch() -> impl Strategy<Value = Record> {
    let names = (id(), any::<u64>(), id(), id(), id());
    let rest = (option::of(text("[^\\p{C}h]{1,128}")), cidr(), option::of(cidr()), tags());
    (names, rest, any::<u64>()).prop_map(|(names, rest, created_ms)| {
        Record::VSwitch(VSwitch {
            id: names.0,
            owner: AccountId(names.1),
            region: names.2,
            vpc: names.3,
            zone: names.4,
            name: rest.0,
            description: None,
            cidr: rest.1.prefix(),
            ipv6_cidr: rest.2.map(|cidr| cidr.prefix()),
            tags: rest.3,
            created_ms,
        })
    })
}

fn group() -> impl Strategy<Value = Record> {
    let kinds = (
        sample::select(vec![GroupType::Basic, GroupType::Enterprise]),
        sample::select(vec![InnerAccess::Accept, InnerAccess::Drop]),
    );
    let names = (
        id(),
        any::<u64>(),
        id(),
        option::of(id()),
        option::of(text("[a-z\u{4e00}-\u{9fa5}]{2,128}")),
    );
    let rest = (option::of(text("[^\\p{C}h]{2,256}")), option::of(id()), tags(), any::<u64>());
    (names, kinds, rest).prop_map(|(names, kinds, rest)| {
        Record::Group(GroupRecord {
            id: names.0,
            owner: AccountId(names.1),
            region: names.2,
            vpc: names.3,
            group_type: kinds.0,
            inner_access: kinds.1,
            name: names.4,
            description: rest.0,
            resource_group: rest.1,
            tags: rest.2,
            created_ms: rest.3,
        })
    })
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        Just(Ports::Any),
        (1..=u16::MAX)
            .prop_flat_map(|first| (Just(first), first..=u16::MAX))
            .prop_map(|(first, last)| Ports::range(first, last).unwrap()),
    ]
}

fn rule() -> impl Strategy<Value = Record> {
    let peer = prop_oneof![
        cidr().prop_map(Peer::Cidr),
        id().prop_map(Peer::Group),
        id().prop_map(Peer::PrefixList)
    ];
    let port_match =
        prop_oneof![ports().prop_map(PortMatch::Ports), id().prop_map(PortMatch::List)];
    let protocol = prop_oneof![Just(Protocol::All), any::<u8>().prop_map(Protocol::Number)];
    let kinds = (
        sample::select(vec![Direction::Egress, Direction::Ingress]),
        sample::select(vec![Policy::Accept, Policy::Drop]),
        sample::select(vec![NicType::Internet, NicType::Intranet]),
        1..=100u8,
    );
    let owner = option::of((any::<u64>(), option::of(".{0,20}")));
    let rest = (option::of(cidr()), option::of(text("[^\\p{C}]{1,512}")), any::<u64>(), owner);
    (id(), id(), (protocol, port_match, ports(), peer), kinds, rest).prop_map(
        |(group, id, what, kinds, rest)| {
            Record::Rule(Arc::new(RuleRecord {
                group,
                rule: Arc::new(Rule {
                    id,
                    direction: kinds.0,
                    protocol: what.0,
                    ports: what.1,
                    source_ports: what.2,
                    peer: what.3,
                    local: rest.0,
                    policy: kinds.1,
                    priority: Priority::new(kinds.3).unwrap(),
                }),
                nic_type: kinds.2,
                peer_owner: rest.3.map(|(account, text)| {
                    Box::new(PeerOwner { account: AccountId(account), text })
                }),
                description: rest.1,
                created_ms: rest.2,
            }))
        },
    )
}

fn ipv4_prefixes() -> impl Strategy<Value = Vec<Ipv4Prefix>> {
    let prefix = any::<[u8; 4]>().prop_map(|octets| {
        let address = std::net::Ipv4Addr::from(octets).into();
        Ipv4Prefix::new(Prefix::new(address, 28).unwrap()).unwrap()
    });
    collection::vec(prefix, 0..3)
}

fn ipv6_prefixes() -> impl Strategy<Value = Vec<Ipv6Prefix>> {
    let prefix = any::<[u8; 16]>().prop_map(|octets| {
        let address = std::net::Ipv6Addr::from(octets).into();
        Ipv6Prefix::new(Prefix::new(address, 80).unwrap()).unwrap()
    });
    collection::vec(prefix, 0..3)
}

fn status() -> impl Strategy<Value = InstanceStatus> {
    sample::select(vec![InstanceStatus::Running, InstanceStatus::Stopped])
}

fn instance() -> impl Strategy<Value = Record> {
    let label = || option::of(text("[^\\p{C}h]{1,128}"));
    let names = (id(), any::<u64>(), id(), option::of(text("[a-z]{2,128}")));
    let rest = (status(), any::<bool>(), option::of(id()), tags(), option::of(any::<u64>()));
    let labels = (label(), label(), label(), label());
    (names, labels, rest, any::<u64>()).prop_map(|(names, labels, rest, created_ms)| {
        Record::Instance(Box::new(Instance {
            id: names.0,
            owner: AccountId(names.1),
            region: names.2,
            name: names.3,
            description: None,
            host_name: labels.0,
            instance_type: labels.1,
            image: labels.2,
            key_pair: labels.3,
            status: rest.0,
            deletion_protection: rest.1,
            resource_group: rest.2,
            tags: rest.3,
            created_ms,
            started_ms: rest.4,
        }))
    })
}

fn written_of_instances() -> impl Strategy<Value = Written> {
    let response = (id(), ".{0,20}", ".{0,20}", option::of(status()), option::of(status()))
        .prop_map(|(instance, code, message, previous, current)| InstanceResponse {
            instance,
            code,
            message,
            previous,
            current,
        });
    let ipv4 = collection::vec(any::<[u8; 4]>(), 0..3);
    let ipv6 = collection::vec(any::<[u8; 16]>(), 0..3);
    prop_oneof![
        (id(), ipv4, ipv4_prefixes()).prop_map(|(interface, addresses, prefixes)| {
            let addresses = addresses.into_iter().map(Into::into).collect();
            Written::AssignedIpv4 { interface, addresses, prefixes }
        }),
        (id(), ipv6, ipv6_prefixes()).prop_map(|(interface, addresses, prefixes)| {
            let addresses = addresses.into_iter().map(Into::into).collect();
            Written::AssignedIpv6 { interface, addresses, prefixes }
        }),
        collection::vec(id(), 0..3).prop_map(Written::Instances),
        id().prop_map(|instance| Written::Instance { instance }),
        collection::vec(response, 0..3).prop_map(Written::Batch),
    ]
}

fn interface() -> impl Strategy<Value = InterfaceRecord> {
    let names = (id(), any::<u64>(), id(), id(), id(), id());
    let addresses = (
        any::<[u8; 6]>(),
        any::<[u8; 4]>(),
        collection::vec(any::<[u8; 4]>(), 0..4),
        collection::vec(any::<[u8; 16]>(), 0..3),
    );
    let tracking = (
        sample::select(&ConnectionTracking::TCP_ESTABLISHED_S[..]),
        ConnectionTracking::TCP_CLOSED_S,
        sample::select(&ConnectionTracking::UDP_S[..]),
    );
    let rest = (
        collection::vec(id(), 0..4),
        option::of(any::<bool>()),
        any::<bool>(),
        option::of(tracking),
        tags(),
        any::<u64>(),
    );
    let role = sample::select(vec![InterfaceRole::Primary, InterfaceRole::Secondary]);
    let attachment = (id(), role, any::<u64>())
        .prop_map(|(instance, role, attached_ms)| Attachment { instance, role, attached_ms });
    let more = (ipv4_prefixes(), ipv6_prefixes(), option::of(any::<u16>()), option::of(attachment));
    (names, addresses, rest, more).prop_map(|(names, addresses, rest, more)| InterfaceRecord {
        id: names.0,
        owner: AccountId(names.1),
        region: names.2,
        vpc: names.3,
        vswitch: names.4,
        zone: names.5,
        name: None,
        description: None,
        mac: Mac(addresses.0),
        primary: addresses.1.into(),
        secondary: addresses.2.into_iter().map(Into::into).collect(),
        ipv6: addresses.3.into_iter().map(Into::into).collect(),
        ipv4_prefixes: more.0,
        ipv6_prefixes: more.1,
        groups: rest.0,
        source_dest_check: rest.1,
        delete_on_release: rest.2,
        connection_tracking: rest
            .3
            .map(|(tcp, closed, udp)| ConnectionTracking::new(tcp, closed, udp).unwrap()),
        queue_number: more.2,
        attachment: more.3,
        resource_group: None,
        tags: rest.4,
        created_ms: rest.5,
    })
}

fn list<K: ListKind>(
    scope: impl Strategy<Value = K::Scope>,
    value: impl Strategy<Value = K::Value>,
) -> impl Strategy<Value = List<K>>
where
    <K::Id as std::str::FromStr>::Err: std::fmt::Debug,
{
    let entry = (value, option::of(text("[a-z]{2,32}")));
    let entry = entry.prop_map(|(value, description)| ListEntry { value, description });
    let names = (id(), any::<u64>(), id(), text("[a-z]{2,128}"), option::of(id()));
    let rest = (option::of(text("[a-z]{2,256}")), any::<u16>(), tags(), any::<u64>());
    (names, scope, collection::vec(entry, 0..5), rest).prop_map(|(names, scope, entries, rest)| {
        List {
            id: names.0,
            owner: AccountId(names.1),
            region: names.2,
            name: names.3,
            description: rest.0,
            scope,
            max_entries: rest.1,
            entries,
            resource_group: names.4,
            tags: rest.2,
            created_ms: rest.3,
        }
    })
}

fn token() -> impl Strategy<Value = Record> {
    let written = prop_oneof![
        Just(Written::Done),
        (id(), id(), id(), option::of(id())).prop_map(
            |(vpc, router, route_table, resource_group)| Written::Vpc {
                vpc,
                router,
                route_table,
                resource_group
            }
        ),
        id().prop_map(|vswitch| Written::VSwitch { vswitch }),
        id().prop_map(|group| Written::SecurityGroup { group }),
        interface().prop_map(|interface| Written::NetworkInterface(Box::new(interface))),
        any::<u64>().prop_map(|account| Written::Account { account: AccountId(account) }),
        written_of_instances(),
        id().prop_map(|list| Written::PrefixList { list }),
        id().prop_map(|list| Written::PortRangeList { list }),
    ];
    (any::<u64>(), text("[ -~]{1,64}"), any::<[u8; 32]>(), written, any::<u64>()).prop_map(
        |(account, token, digest, written, expires_ms)| {
            let account = AccountId(account);
            Record::Token(TokenRecord { account, token, digest, written, expires_ms })
        },
    )
}

pub(super) fn record() -> impl Strategy<Value = Record> {
    let account = (any::<u64>(), text("[!-~]{1,128}"), any::<bool>(), any::<u64>()).prop_map(
        |(account, name, root, created_ms)| {
            Record::Account(Account { id: AccountId(account), name, root, created_ms })
        },
    );
    let session = option::of(("[!-~]{0,64}", any::<u64>())).prop_map(|session| {
        session
            .map(|(token, expires_ms)| KeySession { token: SecurityToken::new(&token), expires_ms })
    });
    let secret = collection::vec(any::<u8>(), 0..64);
    let key = (id(), secret, any::<u64>(), any::<bool>(), session).prop_map(
        |(id, secret, account, active, session)| {
            Record::AccessKey(AccessKey {
                id,
                secret: AccessKeySecret::new(&secret),
                account: AccountId(account),
                active,
                created_ms: account,
                session,
            })
        },
    );
    let share = (id(), any::<u64>(), any::<u64>()).prop_map(|(vpc, account, created_ms)| {
        Record::VpcShare(VpcShare { vpc, account: AccountId(account), created_ms })
    });
    let binding = (id(), text("[a-z0-9-]{1,15}"), any::<u64>()).prop_map(
        |(interface, device, created_ms)| {
            Record::Binding(Binding { interface, device, created_ms })
        },
    );
    let interface = interface().prop_map(Box::new).prop_map(Record::Interface);
    let families = sample::select(vec![Family::V4, Family::V6]);
    let prefix_list = list(families, cidr().prop_map(|cidr| cidr.prefix()));
    let lists = prop_oneof![
        prefix_list.prop_map(Record::PrefixList),
        list(Just(()), ports()).prop_map(Record::PortRangeList),
    ];
    let bound = prop_oneof![interface, binding, token(), instance()];
    prop_oneof![account, key, vpc(), vswitch(), group(), rule(), bound, lists, share]
}
