//! Stored records: how the state's records look as keys and values.
//!
//! Knows bytes and the nouns of the core, not where they are kept. A key begins with the record's
//! kind and goes on with its id; kinds are numbered so that keys in byte order are records in an
//! order in which they can be absorbed. A value begins with the version of its layout; an unknown
//! version is refused, never guessed at. Text is UTF-8 after its length, a number a varint, an
//! option or a variant a byte and what it holds. The layouts are listed in `layout`, one per
//! record. What is secret is sealed with a key that is an argument.
mod field;
mod layout;
mod nouns;
pub mod seal;
#[cfg(test)]
mod tests;

use std::fmt;

use portcullis_core::ids::AccountId;
use portcullis_core::records::{Change, Record, RecordKey};

use field::Reader;
use seal::{Fingerprint, SealKey};

/// The version of every layout but those that [`newest`] names.
const VERSION: u8 = 1;
/// Access keys whose secrets are sealed; those of before held them as they are.
const ACCESS_KEY_SEALED: u8 = 2;
/// Interfaces with prefixes, queues and attachment.
const INTERFACE_WITH_PREFIXES: u8 = 2;
/// Between the group and the rule in a rule's key; ids have no such byte.
const SEPARATOR: u8 = 0;

/// The first byte of a key.
mod kind {
    pub(super) const ACCOUNT: u8 = 1;
    pub(super) const ACCESS_KEY: u8 = 2;
    pub(super) const VPC: u8 = 3;
    pub(super) const VSWITCH: u8 = 4;
    pub(super) const GROUP: u8 = 5;
    pub(super) const RULE: u8 = 6;
    pub(super) const INTERFACE: u8 = 7;
    pub(super) const BINDING: u8 = 8;
    pub(super) const TOKEN: u8 = 9;
    pub(super) const INSTANCE: u8 = 20;
    pub(super) const PREFIX_LIST: u8 = 10;
    pub(super) const PORT_RANGE_LIST: u8 = 11;
    pub(super) const VPC_SHARE: u8 = 32;
}

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// The record's key, as text where it is text.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The key is of no kind that is known here.
    UnknownKind,
    /// The key of a known kind holds no id.
    BadKey,
    /// The layout is not known here: another, probably newer, program wrote it.
    UnknownVersion(u8),
    /// What is secret in it was sealed with another key than the one that is at hand.
    OtherKey {
        /// The key it was sealed with.
        sealed: Fingerprint,
        /// The key at hand.
        own: Fingerprint,
    },
    /// What is secret in it cannot be opened, though the key is right: the record was changed.
    BadSeal,
    /// The value ends before this does.
    Truncated(&'static str),
    /// Bytes follow the end of the record.
    TrailingBytes(usize),
    /// The bytes of this are none that were ever written.
    BadValue(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record `{}`: ", self.key)?;
        match &self.problem {
            Problem::UnknownKind => f.write_str("its kind is not known here"),
            Problem::BadKey => f.write_str("its key is damaged"),
            Problem::UnknownVersion(version) => write!(
                f,
                "its format version {version} is not known here; \
                 was it written by a newer portcullis?"
            ),
            Problem::OtherKey { sealed, own } => {
                write!(f, "it is sealed with the key {sealed}, and the key at hand is {own}")
            }
            Problem::BadSeal => f.write_str("its sealed part does not fit it; was it changed?"),
            Problem::Truncated(what) => write!(f, "it ends within its {what}"),
            Problem::TrailingBytes(count) => write!(f, "{count} bytes follow its end"),
            Problem::BadValue(what) => write!(f, "its {what} is damaged"),
        }
    }
}

impl std::error::Error for RecordError {}

/// The key that a record is stored under.
pub fn encode_key(key: &RecordKey) -> Vec<u8> {
    fn text(kind: u8, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + text.len());
        bytes.push(kind);
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }
    match key {
        RecordKey::Account(id) => {
            let mut bytes = vec![kind::ACCOUNT];
            bytes.extend_from_slice(&id.0.to_be_bytes());
            bytes
        }
        RecordKey::AccessKey(id) => text(kind::ACCESS_KEY, id.as_str()),
        RecordKey::Vpc(id) => text(kind::VPC, id.as_str()),
        RecordKey::VSwitch(id) => text(kind::VSWITCH, id.as_str()),
        RecordKey::Group(id) => text(kind::GROUP, id.as_str()),
        RecordKey::Rule(group, id) => {
            let mut bytes = text(kind::RULE, group.as_str());
            bytes.push(SEPARATOR);
            bytes.extend_from_slice(id.as_str().as_bytes());
            bytes
        }
        RecordKey::Interface(id) => text(kind::INTERFACE, id.as_str()),
        RecordKey::Binding(id) => text(kind::BINDING, id.as_str()),
        RecordKey::PrefixList(id) => text(kind::PREFIX_LIST, id.as_str()),
        RecordKey::PortRangeList(id) => text(kind::PORT_RANGE_LIST, id.as_str()),
        RecordKey::Token(account, token) => {
            let mut bytes = vec![kind::TOKEN];
            bytes.extend_from_slice(&account.0.to_be_bytes());
            bytes.extend_from_slice(token.as_str().as_bytes());
            bytes
        }
        RecordKey::Instance(id) => text(kind::INSTANCE, id.as_str()),
        RecordKey::VpcShare(vpc, account) => {
            let mut bytes = vec![kind::VPC_SHARE];
            bytes.extend_from_slice(&account.0.to_be_bytes());
            bytes.extend_from_slice(vpc.as_str().as_bytes());
            bytes
        }
    }
}

/// The key and, unless the record goes, the value of a change; what is secret is sealed.
pub fn encode(change: &Change, seal: &SealKey) -> (Vec<u8>, Option<Vec<u8>>) {
    let key = encode_key(&change.key());
    let value = match change {
        Change::Put(record) => {
            let mut value = vec![newest(&key)];
            layout::write(record, Sealing { seal, key: &key }, &mut value);
            Some(value)
        }
        Change::Delete(_) => None,
    };
    (key, value)
}

/// What sealing and opening need to know beside the record: the key, and what stands under which
/// key of the store.
#[derive(Clone, Copy)]
struct Sealing<'a> {
    seal: &'a SealKey,
    key: &'a [u8],
}

/// The version that records under this key are written in.
fn newest(key: &[u8]) -> u8 {
    match key.first() {
        Some(&kind::ACCESS_KEY) => ACCESS_KEY_SEALED,
        Some(&kind::INTERFACE) => INTERFACE_WITH_PREFIXES,
        _ => VERSION,
    }
}

/// Whether a record is stored in a layout of before, so that it is to be written again.
pub fn is_outdated(key: &[u8], value: &[u8]) -> bool {
    value.first().is_some_and(|version| *version < newest(key))
}

/// What a stored key is the key of.
pub fn decode_key(key: &[u8]) -> Result<RecordKey, RecordError> {
    let error = |problem| RecordError { key: printable(key), problem };
    let bad = || error(Problem::BadKey);
    let (kind, rest) = key.split_first().ok_or_else(bad)?;
    fn id<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
        std::str::from_utf8(bytes).ok()?.parse().ok()
    }
    fn account(bytes: &[u8]) -> Option<(AccountId, &[u8])> {
        let (number, rest) = bytes.split_first_chunk()?;
        Some((AccountId(u64::from_be_bytes(*number)), rest))
    }
    let decoded =
        match *kind {
            kind::ACCOUNT => account(rest)
                .filter(|(_, rest)| rest.is_empty())
                .map(|(account, _)| RecordKey::Account(account)),
            kind::ACCESS_KEY => id(rest).map(RecordKey::AccessKey),
            kind::VPC => id(rest).map(RecordKey::Vpc),
            kind::VSWITCH => id(rest).map(RecordKey::VSwitch),
            kind::GROUP => id(rest).map(RecordKey::Group),
            kind::RULE => {
                let mut parts = rest.splitn(2, |byte| *byte == SEPARATOR);
                let group = parts.next().and_then(id);
                let rule = parts.next().and_then(id);
                group.zip(rule).map(|(group, rule)| RecordKey::Rule(group, rule))
            }
            kind::INTERFACE => id(rest).map(RecordKey::Interface),
            kind::BINDING => id(rest).map(RecordKey::Binding),
            kind::PREFIX_LIST => id(rest).map(RecordKey::PrefixList),
            kind::PORT_RANGE_LIST => id(rest).map(RecordKey::PortRangeList),
            kind::TOKEN => account(rest)
                .and_then(|(account, token)| Some(RecordKey::Token(account, id(token)?))),
            kind::VPC_SHARE => account(rest)
                .and_then(|(account, vpc)| Some(RecordKey::VpcShare(id(vpc)?, account))),
            kind::INSTANCE => id(rest).map(RecordKey::Instance),
            _ => return Err(error(Problem::UnknownKind)),
        };
    decoded.ok_or_else(bad)
}

/// The record that is stored under this key as this value.
pub fn decode(key: &[u8], value: &[u8], seal: &SealKey) -> Result<Record, RecordError> {
    let record_key = decode_key(key)?;
    let error = |problem| RecordError { key: printable(key), problem };
    let (version, rest) =
        value.split_first().ok_or_else(|| error(Problem::Truncated("version")))?;
    if !(VERSION..=newest(key)).contains(version) {
        return Err(error(Problem::UnknownVersion(*version)));
    }
    let mut reader = Reader::new(rest);
    let sealing = Sealing { seal, key };
    let record = layout::read(record_key, *version, sealing, &mut reader).map_err(error)?;
    match reader.remaining() {
        0 => Ok(record),
        count => Err(error(Problem::TrailingBytes(count))),
    }
}

fn printable(key: &[u8]) -> String {
    key.iter().map(|byte| byte.escape_ascii().to_string()).collect()
}
