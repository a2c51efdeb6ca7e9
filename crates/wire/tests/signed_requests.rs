//! Requests as the public clients signed them (`cases/signed`, each file a request as it was sent),
//! verified whole, and again with one thing changed at a time.
//!
//! Made by: aliyun-python-sdk-core 2.16.1 (`rpc-core-…`), alibabacloud_tea_rpc (`rpc-tea-split…`),
//! alibabacloud_tea_openapi 0.4.6 (`acs3-…`, `rpc-tea-token`), aliyun-python-sdk-asapi 2.4.7.2
//! (`asapi-…`); `…-documented` are published vectors, `gateway-…` follow the published
//! algorithm.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use portcullis_core::ids::AccountId;
use portcullis_core::records::AccessKeySecret;
use portcullis_wire::ecs::action::dispatch;
use portcullis_wire::ecs::carrier::Call;
use portcullis_wire::ecs::decode::decode;
use portcullis_wire::ecs::http::HttpRequest;
use portcullis_wire::ecs::refusal::Refusal;
use portcullis_wire::ecs::signature::{
    Authenticated, SignatureFamily, SigningKey, SigningSession, verify,
};
use portcullis_wire::ecs::time;
use std::path::{Path, PathBuf};

/// Within 15 minutes of every captured request.
const CAPTURED: &str = "2026-11-24T12:24:00Z";
/// When the others were made.
const MADE: [(&str, u64); 6] = [
    ("acs3-documented", 1_795_485_645_000),
    ("asapi-documented", 1_795_485_647_000),
    ("asapi-documented-sha1", 1_795_485_647_000),
    ("gateway-documented", 1_671_538_946_068),
    ("gateway-nonce-token", 1_671_538_946_068),
    ("gateway-json", 1_671_538_946_068),
];
const TOKEN: &str = "to+ken/==";

struct Signed {
    name: String,
    request: HttpRequest,
    now_ms: u64,
}

impl Signed {
    fn family(&self) -> SignatureFamily {
        match self.name.split('-').next().unwrap() {
            "acs3" => SignatureFamily::Acs3,
            "asapi" => SignatureFamily::Asapi,
            "gateway" => SignatureFamily::XCa,
            _ => SignatureFamily::Rpc,
        }
    }

    fn verify(&self) -> Result<Authenticated, Refusal> {
        let call = Call::read(&self.request)?;
        let session = SigningSession { token: TOKEN.to_owned(), expires_at_ms: u64::MAX };
        let session = Some(session).filter(|_| self.name.contains("token"));
        let key = SigningKey {
            account: AccountId(7),
            secret: AccessKeySecret::new(b"testsecret"),
            active: true,
            session,
        };
        verify(&call, self.now_ms, |id| {
            Some(key).filter(|_| matches!(id, "testid" | "166626688517370"))
        })
    }

    /// The code of the refusal once something is changed.
    fn changed(&self, change: impl FnOnce(&mut HttpRequest)) -> String {
        let mut request = self.request.clone();
        change(&mut request);
        assert_ne!(request, self.request, "{}: nothing was changed", self.name);
        let changed = Self { name: self.name.clone(), request, now_ms: self.now_ms };
        match changed.verify() {
            Ok(_) => "accepted".to_owned(),
            Err(refusal) => refusal.code.into_owned(),
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/signed")
}

fn read(path: &Path) -> Signed {
    let text = std::fs::read_to_string(path).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let mut request = HttpRequest::new(first[0], first[1]);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        request = request.with_header(name, value.trim());
    }
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let made = MADE.iter().find(|(own, _)| *own == name).map(|(_, made)| *made);
    let now_ms = made.unwrap_or_else(|| time::parse(CAPTURED).unwrap());
    Signed { name, request: request.with_body(body.trim_end_matches('\n')), now_ms }
}

fn all() -> Vec<Signed> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 20);
    paths.iter().map(|path| read(path)).collect()
}

fn one(name: &str) -> Signed {
    read(&folder().join(format!("{name}.http")))
}

fn set_header(request: &mut HttpRequest, name: &str, change: impl Fn(&str) -> String) {
    for (own, value) in &mut request.headers {
        if own.eq_ignore_ascii_case(name) {
            *value = change(value);
        }
    }
}

fn drop_header(request: &mut HttpRequest, name: &str) {
    request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
}

#[test]
fn every_client_is_understood_and_believed() {
    for signed in all() {
        let evidence = signed.verify().map_err(|error| format!("{}: {error}", signed.name));
        assert_eq!(evidence.unwrap().account(), AccountId(7));
        let call = Call::read(&signed.request).unwrap();
        assert_eq!(SignatureFamily::of(&call), signed.family(), "{}", signed.name);
        let action = dispatch(&call).unwrap();
        assert_eq!(action.name, "AuthorizeSecurityGroupEgress", "{}", signed.name);
        // What was only captured to be signed need not be a whole call.
        let is_whole = call.parameters.get("IpProtocol").is_some()
            || call.parameters.get("Permissions.1.DestCidrIp").is_some();
        if is_whole && call.region().unwrap().is_some() {
            decode(action, &call).map_err(|error| format!("{}: {error}", signed.name)).unwrap();
        }
    }
}

#[test]
fn what_is_said_cannot_be_changed() {
    for signed in all() {
        let code = signed.changed(|request| {
            let other = |text: &str| text.replacen("sg-", "sg_", 1);
            request.query = other(&request.query);
            if !request.query.contains("sg_") {
                let body = String::from_utf8(request.body.clone()).unwrap();
                request.body = other(&body).into_bytes();
            }
        });
        // A body that is signed by its hash alone is compared with that first.
        let is_hashed = signed.name == "gateway-json";
        let expected = if is_hashed { "IncompleteSignature" } else { "SignatureDoesNotMatch" };
        assert_eq!(code, expected, "{}", signed.name);
        let code = signed.changed(|request| {
            request.method = if request.method == "GET" { "POST" } else { "GET" }.to_owned();
        });
        assert_eq!(code, "SignatureDoesNotMatch", "{}", signed.name);
    }
}

#[test]
fn every_family_has_the_window_and_asks_for_the_token() {
    for mut signed in all() {
        let made_ms = signed.verify().unwrap().timestamp_ms();
        for (now_ms, is_fresh) in [
            (made_ms + 900_000, true),
            (made_ms + 900_001, false),
            (made_ms - 900_000, true),
            (made_ms - 900_001, false),
        ] {
            signed.now_ms = now_ms;
            let code = signed.verify().map(|_| ()).map_err(|error| error.code.into_owned());
            let expected = if is_fresh { Ok(()) } else { Err("InvalidTimeStamp.Expired".into()) };
            assert_eq!(code, expected, "{}", signed.name);
        }
        signed.now_ms = made_ms;
        let with_token = signed.name.contains("token");
        let other = if with_token { "acs3-query" } else { "rpc-token" };
        signed.name = format!("{}-{other}", signed.name.replace("-token", ""));
        let code = signed.verify().unwrap_err().code;
        let expected = if with_token { "MismatchWithAccessKey" } else { "Malformed" };
        assert_eq!(code, format!("InvalidSecurityToken.{expected}"), "{}", signed.name);
    }
}

#[test]
fn an_acs3_signature_covers_what_the_server_reads() {
    let signed = one("acs3-token");
    for name in [
        "host",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
        "x-acs-action",
        "x-acs-version",
        "x-acs-security-token",
    ] {
        // The list ends at the comma before the signature.
        let unlisted = |text: &str| {
            let text = text.replace(&format!("={name};"), "=").replace(&format!(";{name};"), ";");
            text.replace(&format!(";{name},"), ",")
        };
        let code = signed.changed(|request| set_header(request, "authorization", unlisted));
        assert_eq!(code, "IncompleteSignature", "{name}");
        let code = signed.changed(|request| drop_header(request, name));
        assert_eq!(code, "IncompleteSignature", "{name}");
        let code = signed.changed(|request| request.headers.push((name.into(), "x".into())));
        assert_eq!(code, "IncompleteSignature", "{name} sent twice");
    }
    for name in ["accept", "user-agent", "x-acs-accesskey-id"] {
        let code = signed.changed(|request| set_header(request, name, |_| "other".into()));
        assert_eq!(code, "SignatureDoesNotMatch", "{name}");
    }
    let code = signed.changed(|request| request.path = "/asapi/v3".to_owned());
    assert_eq!(code, "SignatureDoesNotMatch");
}

#[test]
fn an_acs3_signature_covers_how_its_body_is_read() {
    let unlisted = |text: &str| text.replace(";content-type;", ";");
    for name in ["acs3-json-body", "acs3-form-body"] {
        let signed = one(name);
        let code = signed.changed(|request| {
            set_header(request, "content-type", |_| "text/plain".into());
        });
        assert_eq!(code, "InvalidParameter.ContentType", "{name}");
        let code = signed.changed(|request| set_header(request, "authorization", unlisted));
        assert_eq!(code, "IncompleteSignature", "{name}");
        let code = signed.changed(|request| {
            drop_header(request, "content-type");
            set_header(request, "authorization", unlisted);
        });
        assert_eq!(code, "SignatureDoesNotMatch", "{name}: the first byte tells, which is hashed");
    }
    // Without a body it says nothing.
    let signed = one("acs3-query");
    let code = signed.changed(|request| request.headers.push(("content-type".into(), "x".into())));
    assert_eq!(code, "accepted");
}

#[test]
fn an_acs3_header_is_taken_apart_or_refused() {
    let signed = one("acs3-query");
    for (from, to, code) in [
        ("ACS3-HMAC-SHA256", "ACS3-HMAC-SM3", "InvalidSignatureMethod"),
        ("ACS3-HMAC-SHA256", "ACS3-RSA-SHA256", "InvalidSignatureMethod"),
        ("Credential=", "Cred=", "IncompleteSignature"),
        ("SignedHeaders=", "SignedHeaders=,", "IncompleteSignature"),
        ("accept;", "accept;accept;", "IncompleteSignature"),
        ("accept;", "accept;x-absent;", "IncompleteSignature"),
        ("Signature=", "Signature=0", "IncompleteSignature"),
        ("Signature=", "Signature=zz", "IncompleteSignature"),
        ("Signature=", "Signature=00", "SignatureDoesNotMatch"),
        ("testid", "other", "InvalidAccessKeyId.NotFound"),
        (",", ", ", "accepted"),
    ] {
        let replaced = |text: &str| text.replace(from, to);
        let got = signed.changed(|request| set_header(request, "authorization", replaced));
        assert_eq!(got, code, "{to}");
    }
    let many: String = (0..70).map(|n| format!("x-{n};")).collect();
    let code = signed.changed(|request| {
        request.headers.extend((0..70).map(|n| (format!("x-{n}"), "v".to_owned())));
        set_header(request, "authorization", |text| text.replace("accept;", &many));
    });
    assert_eq!(code, "IncompleteSignature");
}

#[test]
fn a_wrong_acs3_signature_is_told_both_texts() {
    let mut signed = one("acs3-form-body");
    set_header(&mut signed.request, "user-agent", |_| "other".into());
    let error = signed.verify().unwrap_err();
    let (_, tail) = error.message.split_once(':').unwrap();
    assert!(tail.starts_with("ACS3-HMAC-SHA256\n") && tail.len() == 17 + 64, "{tail}");
    assert!(error.help.contains("\nuser-agent:other\n"), "{}", error.help);
    let mut signed = one("acs3-form-body");
    signed.request.body.push(b'x');
    let error = signed.verify().unwrap_err();
    assert_eq!(error.code, "SignatureDoesNotMatch");
    assert!(error.help.contains("is not the hash of the body"), "{}", error.help);
}

#[test]
fn a_gateway_signature_covers_what_the_server_reads() {
    let signed = one("gateway-nonce-token");
    let listed = |request: &mut HttpRequest, change: &dyn Fn(&str) -> String| {
        set_header(request, "x-ca-signature-headers", change);
    };
    for name in ["X-Ca-Key", "X-Ca-Timestamp"] {
        let without = |text: &str| text.replace(name, "");
        let code = signed.changed(|request| listed(request, &without));
        assert_eq!(code, "IncompleteSignature", "{name}");
    }
    for (name, value, code) in [
        ("X-Ca-Signature", "*", "IncompleteSignature"),
        ("X-Ca-Signature", "", "IncompleteSignature"),
        ("X-Ca-Signature", "AAAA", "SignatureDoesNotMatch"),
        ("X-Ca-Signature-Headers", "", "IncompleteSignature"),
        ("X-Ca-Key", "", "MissingAccessKeyId"),
        ("X-Ca-Timestamp", "", "IncompleteSignature"),
        ("X-Ca-Timestamp", "yesterday", "InvalidTimeStamp.Format"),
        ("X-Ca-Timestamp", "+1671538946068", "InvalidTimeStamp.Format"),
        ("X-Ca-Key", "other", "InvalidAccessKeyId.NotFound"),
        ("Accept", "text/xml", "SignatureDoesNotMatch"),
        ("Date", "", "SignatureDoesNotMatch"),
        ("X-Ca-Stage", "TEST", "SignatureDoesNotMatch"),
        ("UserEmail", "other@example.com", "accepted"),
    ] {
        let got = signed.changed(|request| set_header(request, name, |_| value.to_owned()));
        assert_eq!(got, code, "{name} {value}");
    }
    for (name, value, code) in [
        ("X-Ca-Signature-Method", "HmacSHA1", "InvalidSignatureMethod"),
        ("X-Ca-Signature-Method", "HmacSHA256", "accepted"),
        ("x-acs-action", "DescribeRegions", "IncompleteSignature"),
    ] {
        let header = || (name.to_owned(), value.to_owned());
        let got = signed.changed(|request| request.headers.push(header()));
        assert_eq!(got, code, "{name} {value}");
    }
    let code = signed.changed(|request| request.path = request.path.replace("Egress", ""));
    assert_eq!(code, "SignatureDoesNotMatch");
    let json = one("gateway-json");
    let code = json.changed(|request| drop_header(request, "content-md5"));
    assert_eq!(code, "IncompleteSignature");
}

#[test]
fn a_gateway_request_is_known_again_by_its_nonce_or_signature() {
    let with_nonce = one("gateway-nonce-token").verify().unwrap();
    let nonce = with_nonce.nonce_key().1.to_owned();
    assert_eq!(nonce, "1671538946068 9b5ab1ba-7a1f-4b8b-9a5e-1b7d0c7a4c11");
    let mut without = one("gateway-documented");
    let by_signature = without.verify().unwrap();
    assert!(by_signature.nonce_key().1.ends_with("6O49MwCJ/uwznHBhvIFxJiUmR9tg/BbZxOOcUMLZ9GA="));
    // A nonce that is not signed says nothing.
    without.request = without.request.with_header("X-Ca-Nonce", "another");
    assert_eq!(without.verify().unwrap().nonce_key(), by_signature.nonce_key());
}

#[test]
fn the_gateways_other_hash_is_refused_by_name() {
    let signed = one("asapi-query");
    let change = |to: &str| {
        signed.changed(|request| request.query = request.query.replace("HMAC-SHA256", to))
    };
    assert_eq!(change("HMAC-SM3"), "InvalidSignatureMethod");
    assert_eq!(change("HMAC-SHA1"), "SignatureDoesNotMatch");
    let code =
        signed.changed(|request| request.query = request.query.replace("sion=2.1", "sion=1.0"));
    assert_eq!(code, "InvalidSignatureMethod");
}
