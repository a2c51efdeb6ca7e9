//! Every record that can be is the same after it was stored, and damaged bytes are refused.
mod random;

use std::sync::Arc;

use portcullis_core::command::Written;
use portcullis_core::ids::AccountId;
use portcullis_core::net::{Mac, Ports, Protocol};
use portcullis_core::records::{
    AccessKey, AccessKeySecret, Change, ConnectionTracking, InterfaceRecord, KeySession, NicType,
    Record, RecordKey, RuleRecord, SecurityToken,
};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::text::{Tag, Tags};
use proptest::prelude::*;
use proptest::{collection, sample};

use super::seal::SEAL_KEY_BYTES;
use super::*;
use random::record;

fn seal() -> SealKey {
    SealKey::new(&[1; SEAL_KEY_BYTES])
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
