//! Every record that can be is the same after it was stored, and damaged bytes are refused.
use std::sync::Arc;

use portcullis_core::command::{InstanceResponse, Written};
use portcullis_core::ids::AccountId;
use portcullis_core::list::{List, ListEntry, ListKind};
use portcullis_core::net::{Cidr, Family, Ipv4Prefix, Ipv6Prefix, Mac, Ports, Prefix, Protocol};
use portcullis_core::records::{
    AccessKey, AccessKeySecret, Account, Attachment, Binding, Change, ConnectionTracking,
    GroupRecord, Instance, InstanceStatus, InterfaceRecord, InterfaceRole, KeySession, NicType,
    PeerOwner, Record, RecordKey, RuleRecord, SecurityToken, TokenRecord, VSwitch, Vpc, VpcShare,
};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::text::{Tag, Tags};
use portcullis_core::world::{GroupType, InnerAccess};
use proptest::prelude::*;
use proptest::{collection, option, sample};

use super::seal::SEAL_KEY_BYTES;
use super::*;

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

fn seal() -> SealKey {
    SealKey::new(&[1; SEAL_KEY_BYTES])
}

fn record() -> impl Strategy<Value = Record> {
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

proptest! {
    #[test]
    fn a_record_is_the_same_after_it_was_stored(record in record()) {
        let (key, value) = encode(&Change::Put(record.clone()), &seal());
        let value = value.unwrap();
        prop_assert_eq!(decode_key(&key), Ok(record.key()));
        prop_assert_eq!(decode(&key, &value, &seal()), Ok(record.clone()));
        prop_assert_eq!(encode(&Change::Delete(record.key()), &seal()), (key.clone(), None));

        let mut newer = value.clone();
        newer[0] += 1;
        let error = decode(&key, &newer, &seal()).unwrap_err();
        prop_assert_eq!(error.problem, Problem::UnknownVersion(newer[0]));
        for end in 0..value.len() {
            prop_assert!(decode(&key, &value[..end], &seal()).is_err());
        }
        let mut longer = value;
        longer.push(0);
        let error = decode(&key, &longer, &seal()).unwrap_err();
        prop_assert_eq!(error.problem, Problem::TrailingBytes(1));
    }

    #[test]
    fn keys_are_ordered_as_records_are_absorbed(one in record(), other in record()) {
        let kind = |key: &RecordKey| encode_key(key)[0];
        let (one, other) = (one.key(), other.key());
        if std::mem::discriminant(&one) != std::mem::discriminant(&other) {
            prop_assert_eq!(kind(&one).cmp(&kind(&other)), one.cmp(&other));
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_are_another_record(
        record in record(),
        place in any::<sample::Index>(),
        bit in 0..8u8,
    ) {
        let (key, value) = encode(&Change::Put(record.clone()), &seal());
        let mut value = value.unwrap();
        let index = place.index(value.len());
        value[index] ^= 1 << bit;
        prop_assert_ne!(decode(&key, &value, &seal()), Ok(record));
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise(
        key in collection::vec(any::<u8>(), 0..40),
        value in collection::vec(any::<u8>(), 0..80),
    ) {
        let _ = decode(&key, &value, &seal());
    }
}

#[test]
fn errors_name_the_record_and_what_is_wrong() {
    for (key, value, message) in [
        (
            &b"\x05sg-1"[..],
            &b"\x02"[..],
            "record `\\x05sg-1`: its format version 2 is not known here; \
             was it written by a newer portcullis?",
        ),
        (b"\x05sg-1", b"", "record `\\x05sg-1`: it ends within its version"),
        (b"\x05sg-1", b"\x01\x07", "record `\\x05sg-1`: it ends within its number"),
        (b"\x05sg-1", b"\x01\x07\x01 ", "record `\\x05sg-1`: its RegionId is damaged"),
        (b"\x63x", b"\x01", "record `cx`: its kind is not known here"),
        (b"\x06sg-1", b"\x01", "record `\\x06sg-1`: its key is damaged"),
        (b"", b"\x01", "record ``: its key is damaged"),
    ] {
        assert_eq!(decode(key, value, &seal()).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_layout_of_version_1_stays_what_it_is() {
    let rule = Record::Rule(Arc::new(RuleRecord {
        group: "sg-1".parse().unwrap(),
        rule: Arc::new(Rule {
            id: "sgr-1".parse().unwrap(),
            direction: Direction::Egress,
            protocol: Protocol::TCP,
            ports: PortMatch::Ports("443/443".parse().unwrap()),
            source_ports: Ports::Any,
            peer: Peer::Cidr("10.0.0.0/8".parse().unwrap()),
            local: None,
            policy: Policy::Accept,
            priority: Priority::DEFAULT,
        }),
        nic_type: NicType::Intranet,
        peer_owner: None,
        description: Some("web".parse().unwrap()),
        created_ms: 300,
    }));
    let (key, value) = encode(&Change::Put(rule), &seal());
    assert_eq!(key, b"\x06sg-1\0sgr-1");
    let expected = b"\x01\x00\x01\x06\x00\x01\xbb\x03\xbb\x03\x00\x00\x0a\
        10.0.0.0/8\x00\x01\x01\x01\x00\x01\x03web\xac\x02";
    assert_eq!(value.unwrap(), expected);
}

fn access_key(session: Option<KeySession>) -> Record {
    Record::AccessKey(AccessKey {
        id: "LTAI1".parse().unwrap(),
        secret: AccessKeySecret::new(b"the secret"),
        account: AccountId(300),
        active: true,
        created_ms: 5,
        session,
    })
}

#[test]
fn a_secret_lies_sealed_and_the_plain_layout_of_before_is_read() {
    let token = SecurityToken::new("the token");
    for session in [None, Some(KeySession { token, expires_ms: 9 })] {
        let record = access_key(session);
        let (key, value) = encode(&Change::Put(record.clone()), &seal());
        let value = value.unwrap();
        assert!(!is_outdated(&key, &value));
        for secret in [&b"the secret"[..], b"the token"] {
            assert!(!value.windows(secret.len()).any(|part| part == secret));
        }
        // Nothing of the record can be changed beside its seal, and no seal stands for another.
        for index in 1..value.len() {
            let mut changed = value.clone();
            changed[index] ^= 1;
            assert!(decode(&key, &changed, &seal()).is_err(), "byte {index}");
        }
        let error = decode(b"\x02LTAI2", &value, &seal()).unwrap_err();
        assert_eq!(error.problem, Problem::BadSeal);
        let error = decode(&key, &value, &SealKey::new(&[2; SEAL_KEY_BYTES])).unwrap_err();
        assert!(matches!(error.problem, Problem::OtherKey { .. }), "{error}");
    }
    let plain = b"\x01\x0athe secret\xac\x02\x01\x05";
    let key = encode_key(&access_key(None).key());
    assert_eq!(decode(&key, plain, &seal()), Ok(access_key(None)));
    assert!(is_outdated(&key, plain));
}

/// An interface as version 1 has it.
const INTERFACE_1: &[u8] = b"\x07\x03r-1\x05vpc-1\x05vsw-1\x05r-1-a\x01\x03web\x00\
    \x02\x00\x00\x00\x00\x01\x0a\x00\x00\x01\x01\x0a\x00\x00\x02\
    \x01\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x04sg-1\
    \x01\x00\x01\x01\xac\x02\x03<\x00\x01\x01k\x01v\xac\x02";

fn interface_of_1() -> InterfaceRecord {
    InterfaceRecord {
        id: "eni-1".parse().unwrap(),
        owner: AccountId(7),
        region: "r-1".parse().unwrap(),
        vpc: "vpc-1".parse().unwrap(),
        vswitch: "vsw-1".parse().unwrap(),
        zone: "r-1-a".parse().unwrap(),
        name: Some("web".parse().unwrap()),
        description: None,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        primary: [10, 0, 0, 1].into(),
        secondary: vec![[10, 0, 0, 2].into()],
        ipv6: vec!["2001:db8::1".parse().unwrap()],
        ipv4_prefixes: Vec::new(),
        ipv6_prefixes: Vec::new(),
        groups: vec!["sg-1".parse().unwrap()],
        source_dest_check: Some(false),
        delete_on_release: true,
        connection_tracking: ConnectionTracking::new(300, 3, 60),
        queue_number: None,
        attachment: None,
        resource_group: None,
        tags: Tags::new(vec![Tag { key: "k".parse().unwrap(), value: "v".parse().unwrap() }])
            .unwrap(),
        created_ms: 300,
    }
}

#[test]
fn interfaces_of_version_1_are_still_read() {
    let value = [b"\x01", INTERFACE_1].concat();
    let read = decode(b"\x07eni-1", &value, &seal()).unwrap();
    assert_eq!(read, Record::Interface(Box::new(interface_of_1())));
    assert!(is_outdated(b"\x07eni-1", &value));
    let (_, again) = encode(&Change::Put(read), &seal());
    assert_eq!(again.unwrap()[0], 2);

    let mut token = b"\x01".to_vec();
    token.extend([9; 32]);
    token.extend(b"\x04\x05eni-1");
    token.extend(INTERFACE_1);
    token.extend(b"\xac\x02");
    let Record::Token(read) = decode(b"\x09\0\0\0\0\0\0\0\x07t", &token, &seal()).unwrap() else {
        panic!("no token")
    };
    assert_eq!(read.written, Written::NetworkInterface(Box::new(interface_of_1())));
}
