//! Requests that a real client sent, sent again: byte for byte as recorded, but for the access key,
//! the time, the nonce and the signature over them. Knows signature version 1.0 and no client.

use super::request::{Key, Request, Stamp};
use crate::client::{escape, sign};
use std::collections::BTreeMap;

/// A request as a client put it on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, escaped as the client escapes.
    pub query: String,
    /// The body likewise.
    pub body: String,
}

impl Sent {
    /// What stands behind `sent`: a method and a path.
    pub(super) fn of(line: &str) -> Option<Self> {
        let (method, path) = line.split_once(' ')?;
        Some(Self { method: method.to_owned(), path: path.to_owned(), ..Self::default() })
    }

    /// Adds a line of the query (`?`) or the body (`&`); false for anything else.
    pub(super) fn add(&mut self, word: &str, text: &str) -> bool {
        let part = match word {
            "?" => &mut self.query,
            "&" => &mut self.body,
            _ => return false,
        };
        if !part.is_empty() {
            part.push('&');
        }
        part.push_str(text);
        true
    }

    /// The action that the request names in its query or body, if it does.
    pub(super) fn action(&self) -> Option<String> {
        let mut pairs = pieces(&self.query).chain(pieces(&self.body));
        pairs.find(|(name, _)| *name == "Action").map(|(_, value)| value.to_owned())
    }
}

/// The request, made good for the key and the time.
///
/// # Errors
/// When an escape cannot be read.
pub(super) fn request(
    sent: &Sent,
    headers: &[(String, String)],
    stamp: &Stamp,
    key: &Key,
) -> Result<Request, String> {
    let fresh = [
        ("AccessKeyId", key.id.as_str()),
        ("Timestamp", stamp.now.as_str()),
        ("SignatureNonce", stamp.nonce.as_str()),
    ];
    let mut signed = BTreeMap::new();
    for (name, value) in pieces(&sent.query).chain(pieces(&sent.body)) {
        let name = plain(name)?;
        let own = fresh.iter().find(|(fresh, _)| *fresh == name);
        let value = match own {
            Some((_, value)) => (*value).to_owned(),
            None => plain(value)?,
        };
        if name != "Signature" {
            signed.insert(name, value);
        }
    }
    let signature = sign(&sent.method, &signed, &key.secret);
    let again = |text: &str| {
        let redone = pieces(text).map(|(name, value)| {
            let own = fresh.iter().find(|(fresh, _)| *fresh == name).map(|(_, value)| *value);
            match own.or_else(|| (name == "Signature").then_some(signature.as_str())) {
                Some(value) => format!("{name}={}", escape(value)),
                None => format!("{name}={value}"),
            }
        });
        redone.collect::<Vec<_>>().join("&")
    };
    let query = again(&sent.query);
    let target =
        if query.is_empty() { sent.path.clone() } else { format!("{}?{query}", sent.path) };
    let mut all = vec![("Host".to_owned(), "portcullis.test".to_owned())];
    all.extend(headers.to_vec());
    let body = again(&sent.body).into_bytes();
    Ok(Request { method: sent.method.clone(), target, headers: all, body })
}

fn pieces(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// The text without escapes; a plus is a space, as it is in forms.
fn plain(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                let digits = std::str::from_utf8(&digits).unwrap_or("?");
                u8::from_str_radix(digits, 16).map_err(|_| format!("an escape in `{text}`"))?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|error| format!("`{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_to_a_time_is_redone_and_nothing_else() {
        let mut sent = Sent::of("POST /").unwrap();
        assert!(sent.add("?", "Action=CreateVpc&AccessKeyId=*&Timestamp=*"));
        assert!(sent.add("?", "SignatureNonce=*&Signature=*"));
        assert!(sent.add("&", "VpcName=a+b%2f"));
        assert!(!sent.add("header", ""));
        assert_eq!(sent.action().as_deref(), Some("CreateVpc"));
        let key = Key { id: "k".to_owned(), secret: "s".to_owned() };
        let now = "2026-01-01T00:00:00Z".to_owned();
        let stamp = Stamp { now, now_ms: 0, nonce: "n".to_owned() };
        let request = request(&sent, &[], &stamp, &key).unwrap();
        assert_eq!(request.body, b"VpcName=a+b%2f");
        let pairs = [
            ("Action", "CreateVpc"),
            ("AccessKeyId", "k"),
            ("Timestamp", "2026-01-01T00:00:00Z"),
            ("SignatureNonce", "n"),
            ("VpcName", "a b/"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signature = escape(&sign("POST", &pairs.into_iter().collect(), "s"));
        assert_eq!(
            request.target,
            "/?Action=CreateVpc&AccessKeyId=k&Timestamp=2026-01-01T00%3A00%3A00Z\
             &SignatureNonce=n&Signature="
                .to_owned()
                + &signature
        );
    }

    #[test]
    fn an_escape_that_is_none_is_said() {
        assert_eq!(plain("a%2").unwrap_err(), "an escape in `a%2`");
        assert!(plain("%ff").is_err());
    }
}
