//! Percent-encoding in its two dialects: what forms and queries send, and the one canonical
//! spelling that signatures are computed over. Knows text only.
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::limits::{NAME_BYTES_MAX, PARAMETERS_MAX, VALUE_BYTES_MAX};
use super::refusal::{Refusal, code, shown};

/// All but the unreserved `A-Z a-z 0-9 - _ . ~`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The canonical spelling: UTF-8, `%20` for a space, `%2A` for `*`, `~` as it is.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    push_encoded(&mut encoded, text);
    encoded
}

fn push_encoded(encoded: &mut String, text: &str) {
    encoded.extend(utf8_percent_encode(text, RESERVED));
}

/// `k=v` pairs in the canonical spelling, joined by `&`, in the order given.
pub fn encode_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut encoded = String::new();
    for (name, value) in pairs {
        if !encoded.is_empty() {
            encoded.push('&');
        }
        push_encoded(&mut encoded, name);
        encoded.push('=');
        push_encoded(&mut encoded, value);
    }
    encoded
}

/// The pairs of a query or form in the order sent; `+` and `%20` are both a space, a bare `k` is
/// `k=`.
pub fn decode_pairs(bytes: &[u8], place: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut pairs = Vec::new();
    for piece in bytes.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
        if pairs.len() == PARAMETERS_MAX {
            return Err(too_many(place));
        }
        let end = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
        let name = decode(&piece[..end], place)?;
        let value = decode(piece.get(end + 1..).unwrap_or_default(), &name)?;
        check_length(&name, &value)?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Text of a path segment, where `+` is itself.
pub fn decode_segment(text: &str) -> Result<String, Refusal> {
    match percent_decode(text.as_bytes()).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(not_utf8("path")),
    }
}

/// More parameters than a request may have.
pub(super) fn too_many(place: &str) -> Refusal {
    let message = format!("the request has more than {PARAMETERS_MAX} parameters");
    code::TOO_MANY.refuse(message).with_help("Split the call.").at(place)
}

/// Refuses a name or value beyond its bound.
pub(super) fn check_length(name: &str, value: &str) -> Result<(), Refusal> {
    if name.len() > NAME_BYTES_MAX {
        let message = format!("the name `{}` is longer than {NAME_BYTES_MAX} bytes", shown(name));
        return Err(code::TOO_LONG.refuse(message));
    }
    if value.len() > VALUE_BYTES_MAX {
        let message = format!("the value of `{name}` is longer than {VALUE_BYTES_MAX} bytes");
        return Err(code::TOO_LONG.refuse(message).at(name));
    }
    Ok(())
}

fn decode(bytes: &[u8], place: &str) -> Result<String, Refusal> {
    let is_plain = !bytes.iter().any(|byte| matches!(byte, b'+' | b'%'));
    let decoded = match is_plain {
        true => bytes.to_vec(),
        false => {
            let spaced: Vec<u8> =
                bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            percent_decode(&spaced).collect()
        }
    };
    String::from_utf8(decoded).map_err(|_| not_utf8(place))
}

fn not_utf8(place: &str) -> Refusal {
    let message = format!("`{place}` is not UTF-8 after percent-decoding");
    code::ENCODING.refuse(message).with_help("Encode all text as UTF-8.").at(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_spelling_is_that_of_the_signature() {
        assert_eq!(encode("a b*~中/+&=-_."), "a%20b%2A~%E4%B8%AD%2F%2B%26%3D-_.");
        assert_eq!(encode_pairs([("a", "1 2"), ("b", "")]), "a=1%202&b=");
    }

    #[test]
    fn both_spellings_of_a_space_are_read() {
        let pairs = decode_pairs(b"a=x+y&b=x%20y&&c&d=1=2&%E4=%", "query");
        assert_eq!(pairs.unwrap_err().code, "InvalidParameter.Encoding");
        let pairs = decode_pairs(b"a=x+y&b=x%20y&&c&d=1=2&e=%zz", "query").unwrap();
        let expected = [("a", "x y"), ("b", "x y"), ("c", ""), ("d", "1=2"), ("e", "%zz")];
        let expected: Vec<_> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(pairs, expected);
        assert_eq!(decode_segment("a+%62").unwrap(), "a+b");
    }

    #[test]
    fn every_bound_holds_at_its_edge() {
        let value = |n| format!("a={}", "v".repeat(n));
        assert!(decode_pairs(value(VALUE_BYTES_MAX).as_bytes(), "query").is_ok());
        let error = decode_pairs(value(VALUE_BYTES_MAX + 1).as_bytes(), "query").unwrap_err();
        assert_eq!((error.code.as_ref(), error.place.as_str()), ("InvalidParameter.TooLong", "a"));
        let name = |n| "n".repeat(n);
        assert!(decode_pairs(name(NAME_BYTES_MAX).as_bytes(), "query").is_ok());
        let error = decode_pairs(name(NAME_BYTES_MAX + 1).as_bytes(), "query").unwrap_err();
        assert_eq!(error.code, "InvalidParameter.TooLong");
        let many = |n| vec!["a"; n].join("&");
        assert!(decode_pairs(many(PARAMETERS_MAX).as_bytes(), "query").is_ok());
        let error = decode_pairs(many(PARAMETERS_MAX + 1).as_bytes(), "query").unwrap_err();
        assert_eq!(error.code, "InvalidParameter.TooMany");
    }
}
