//! How a commit is spelled in the history: version, count, then each operation.
//!
//! Whole numbers are little-endian. It refuses to guess: anything but exactly one well-formed
//! commit is an error that says what is wrong.

use crate::contract::Operation;

/// The version in the first byte. A reader refuses any other.
const RECORD_VERSION: u8 = 1;
const TAG_PUT: u8 = 1;
const TAG_DELETE: u8 = 2;

/// Bytes of these operations, for [`decode`].
pub(super) fn encode(operations: &[Operation]) -> Vec<u8> {
    let mut bytes = vec![RECORD_VERSION];
    put_length(&mut bytes, operations.len());
    for operation in operations {
        match operation {
            Operation::Put { key, value } => {
                bytes.push(TAG_PUT);
                put_bytes(&mut bytes, key);
                put_bytes(&mut bytes, value);
            }
            Operation::Delete { key } => {
                bytes.push(TAG_DELETE);
                put_bytes(&mut bytes, key);
            }
        }
    }
    bytes
}

/// The operations in `bytes`, or what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Operation>, &'static str> {
    let mut rest = bytes;
    if take_byte(&mut rest)? != RECORD_VERSION {
        return Err("the record has an unknown version");
    }
    let count = take_length(&mut rest)?;
    // Not trusted for the allocation: the bytes may be anything.
    let mut operations = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        operations.push(match take_byte(&mut rest)? {
            TAG_PUT => {
                let key = take_bytes(&mut rest)?;
                Operation::Put { key, value: take_bytes(&mut rest)? }
            }
            TAG_DELETE => Operation::Delete { key: take_bytes(&mut rest)? },
            _ => return Err("the record has an unknown operation"),
        });
    }
    if rest.is_empty() { Ok(operations) } else { Err("the record is too long") }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    // The limits of a transaction keep every length far below four gigabytes.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
}

fn put_bytes(bytes: &mut Vec<u8>, field: &[u8]) {
    put_length(bytes, field.len());
    bytes.extend_from_slice(field);
}

const TOO_SHORT: &str = "the record is too short";

fn take_byte(rest: &mut &[u8]) -> Result<u8, &'static str> {
    let (byte, tail) = rest.split_first().ok_or(TOO_SHORT)?;
    *rest = tail;
    Ok(*byte)
}

fn take_length(rest: &mut &[u8]) -> Result<usize, &'static str> {
    let (length, tail) = rest.split_first_chunk::<4>().ok_or(TOO_SHORT)?;
    *rest = tail;
    usize::try_from(u32::from_le_bytes(*length)).map_err(|_| TOO_SHORT)
}

fn take_bytes(rest: &mut &[u8]) -> Result<Vec<u8>, &'static str> {
    let length = take_length(rest)?;
    let (field, tail) = rest.split_at_checked(length).ok_or(TOO_SHORT)?;
    *rest = tail;
    Ok(field.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<Operation> {
        vec![Operation::put("a", "one"), Operation::delete("b"), Operation::put("c", "")]
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for operations in [vec![], example()] {
            assert_eq!(decode(&encode(&operations)), Ok(operations));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let bytes = encode(&example());
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Err(TOO_SHORT), "cut at {end}");
        }
        assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), Err("the record is too long"));
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            decode(&bytes)
        };
        assert_eq!(with(0, 2), Err("the record has an unknown version"));
        assert_eq!(with(5, 3), Err("the record has an unknown operation"));
        assert_eq!(with(4, 0xff), Err(TOO_SHORT));
    }
}
