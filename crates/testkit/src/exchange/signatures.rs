//! The signatures of clients other than version 1.0, each as the client makes it. Shares no line
//! with the server's own code.

use super::request::{Pairs, Request, form};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Version 2.1: as version 1.0, with HMAC-SHA256.
pub(super) fn sign_sha256(method: &str, parameters: &Pairs, secret: &str) -> String {
    let all = Pairs::from([(String::new(), form(parameters))]);
    let text = format!("{method}&%2F&{}", &form(&all)[1..]);
    STANDARD.encode(hmac(&format!("{secret}&"), &text))
}

/// `Authorization` of ACS3-HMAC-SHA256 over every header field that is there.
pub(super) fn sign_acs3(request: &mut Request, key_id: &str, secret: &str) {
    let (path, query) = split(&request.target);
    let hash = hexadecimal(&Sha256::digest(&request.body));
    request.headers.push(("x-acs-content-sha256".to_owned(), hash.clone()));
    let mut fields = request.headers.clone();
    fields.iter_mut().for_each(|(name, _)| *name = name.to_lowercase());
    fields.sort();
    let mut query: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = fields.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let query = query.join("&");
    let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{hash}", request.method);
    let text = format!("ACS3-HMAC-SHA256\n{}", hexadecimal(&Sha256::digest(canonical)));
    let signature = hexadecimal(&hmac(secret, &text));
    let value =
        format!("ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}");
    request.headers.push(("Authorization".to_owned(), value));
}

/// `X-Ca-Signature` over every field of the scheme, and the parameters of a form.
pub(super) fn sign_x_ca(request: &mut Request, secret: &str) {
    let (path, query) = split(&request.target);
    let field = |name: &str| {
        let found = request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut text = format!("{}\n", request.method);
    for name in ["Accept", "Content-MD5", "Content-Type", "Date"] {
        text += &format!("{}\n", field(name));
    }
    let is_signed =
        |name: &str| name.starts_with("X-Ca-") || name.eq_ignore_ascii_case("x-acs-action");
    let mut signed: Vec<_> = request.headers.iter().filter(|(name, _)| is_signed(name)).collect();
    signed.sort();
    for (name, value) in &signed {
        text += &format!("{name}:{value}\n");
    }
    let listed: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let listed = listed.join(",");
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let mut pairs: Vec<String> = query.split('&').chain(body.split('&')).map(decoded).collect();
    pairs.retain(|pair| !pair.is_empty());
    pairs.sort();
    text += path;
    if !pairs.is_empty() {
        text += &format!("?{}", pairs.join("&"));
    }
    let signature = STANDARD.encode(hmac(secret, &text));
    request.headers.push(("X-Ca-Signature-Headers".to_owned(), listed));
    request.headers.push(("X-Ca-Signature".to_owned(), signature));
}

fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// `k=v` without percent-encoding, `k` alone where the value is empty.
fn decoded(pair: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = pair.trim_end_matches('=').as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        let hex = |text: &[u8]| u8::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
        match (first, others) {
            (b'%', [high, low, after @ ..]) if let Some(byte) = hex(&[*high, *low]) => {
                bytes.push(byte);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hmac(secret: &str, text: &str) -> Vec<u8> {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
