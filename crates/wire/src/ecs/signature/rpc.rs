//! Signatures over parameters: version 1.0, and version 2.1 of the Apsara Stack gateway.
//!
//! Both are an HMAC over all parameters, query and body together, but `Signature` itself. Empty
//! values are signed, and the path is always signed as `/`. Version 1.0 has HMAC-SHA1, version 2.1
//! HMAC-SHA256 too. Signing stands beside verifying, so that clients of our own and tests use the
//! same string.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::claim::{Claim, Places, incomplete, mac, mismatch, no_such_method, required, timestamp};
use super::{Authenticated, SigningKey};
use crate::ecs::carrier::Call;
use crate::ecs::form::{encode, encode_pairs};
use crate::ecs::parameters::Parameters;
use crate::ecs::refusal::{Refusal, code, shown};

/// The only method of version 1.0.
pub const METHOD: &str = "HMAC-SHA1";
/// The version of the public API.
pub const VERSION: &str = "1.0";
/// The method that version 2.1 has beside [`METHOD`].
pub const METHOD_SHA256: &str = "HMAC-SHA256";
/// The version of the Apsara Stack gateway.
pub const GATEWAY_VERSION: &str = "2.1";

const PLACES: Places = Places {
    access_key_id: "AccessKeyId",
    timestamp: "Timestamp",
    nonce: "SignatureNonce",
    token: "SecurityToken",
};

/// The text that is signed.
pub fn string_to_sign(http_method: &str, parameters: &Parameters) -> String {
    let signed = parameters.pairs().filter(|(name, _)| *name != "Signature");
    format!("{http_method}&%2F&{}", encode(&encode_pairs(signed)))
}

/// The value of `Signature` for these parameters, by HMAC-SHA1.
pub fn sign(http_method: &str, parameters: &Parameters, secret: &[u8]) -> String {
    let text = string_to_sign(http_method, parameters);
    let made: Hmac<Sha1> = mac(&keyed(secret), text.as_bytes());
    STANDARD.encode(made.finalize().into_bytes())
}

/// The secret as these signatures use it.
fn keyed(secret: &[u8]) -> Vec<u8> {
    [secret, b"&"].concat()
}

pub(super) fn verify(
    call: &Call<'_>,
    now_ms: u64,
    lookup: impl FnOnce(&str) -> Option<SigningKey>,
) -> Result<Authenticated, Refusal> {
    let fields = Fields::read(call)?;
    let claim = Claim {
        access_key_id: fields.access_key_id,
        nonce: fields.nonce.into(),
        timestamp_ms: timestamp(PLACES.timestamp, fields.timestamp)?,
        token: call.parameters.get(PLACES.token),
        places: &PLACES,
    };
    claim.settle(now_ms, lookup, |secret| {
        let text = string_to_sign(&call.request.method, call.signed());
        let (secret, bytes) = (keyed(secret), text.as_bytes());
        let verified = match fields.method {
            Method::Sha1 => mac::<Hmac<Sha1>>(&secret, bytes).verify_slice(&fields.signature),
            Method::Sha256 => mac::<Hmac<Sha256>>(&secret, bytes).verify_slice(&fields.signature),
        };
        verified.map_err(|_| mismatch("Signature", &text))
    })
}

/// The hash below the HMAC.
#[derive(Debug, Clone, Copy)]
enum Method {
    Sha1,
    Sha256,
}

impl Method {
    /// The method of this name, where the version has it.
    fn of(version: &str, name: &str) -> Result<Self, Refusal> {
        let is = |own: &str| name.eq_ignore_ascii_case(own);
        match version {
            VERSION if is(METHOD) => Ok(Self::Sha1),
            VERSION => Err(no_such_method(SIGNATURE_METHOD, name, "Use `HMAC-SHA1`.")),
            GATEWAY_VERSION if is(METHOD) => Ok(Self::Sha1),
            GATEWAY_VERSION if is(METHOD_SHA256) => Ok(Self::Sha256),
            GATEWAY_VERSION => {
                let help = "Use `HMAC-SHA256` or `HMAC-SHA1`.";
                Err(no_such_method(SIGNATURE_METHOD, name, help))
            }
            _ => {
                let message =
                    format!("the signature version `{}` is not supported", shown(version));
                Err(code::SIGNATURE_VERSION
                    .refuse(message)
                    .with_help("Use `SignatureVersion=1.0`.")
                    .at("SignatureVersion"))
            }
        }
    }
}

const SIGNATURE_METHOD: &str = "SignatureMethod";

struct Fields<'a> {
    access_key_id: &'a str,
    nonce: &'a str,
    timestamp: &'a str,
    method: Method,
    signature: Vec<u8>,
}

impl<'a> Fields<'a> {
    fn read(call: &'a Call<'_>) -> Result<Self, Refusal> {
        let Some(access_key_id) = call.parameters.get(PLACES.access_key_id) else {
            return Err(code::MISSING_ACCESS_KEY_ID
                .refuse("AccessKeyId is mandatory for this action.")
                .with_help("Every call is signed, on `/apsara/route` too.")
                .at(PLACES.access_key_id));
        };
        let field = |name: &'static str| required(name, call.parameters.get(name));
        let signature = field("Signature")?;
        let version = field("SignatureVersion")?;
        let method = field(SIGNATURE_METHOD)?;
        let nonce = field(PLACES.nonce)?;
        let timestamp = field(PLACES.timestamp)?;
        let method = Method::of(version, method)?;
        let signature = STANDARD.decode(signature).map_err(|_| {
            incomplete("Signature", "`Signature` is not base64.")
                .with_help("Percent-encode it: a `+` that is not becomes a space.")
        })?;
        Ok(Self { access_key_id, nonce, timestamp, method, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::http::HttpRequest;
    use crate::ecs::limits::{NONCE_BYTES_MAX, STRING_TO_SIGN_SHOWN_MAX};
    use crate::ecs::signature::SigningSession;
    use crate::ecs::time;
    use portcullis_core::ids::AccountId;
    use portcullis_core::records::AccessKeySecret;

    const DOCUMENTED: &str = "AccessKeyId=testid&Action=DescribeRegions&Format=XML\
        &SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf\
        &SignatureVersion=1.0&Timestamp=2016-02-23T12%3A46%3A24Z&Version=2014-05-26";
    const EMPTY_TYPE: &str = "SecurityGroupId=sg-1&IpProtocol=tcp&PortRange=80%2F80\
        &DestCidrIp=10.0.0.0%2F8&Description=a%20b%2A~%E4%B8%AD&Version=2014-05-26\
        &Action=AuthorizeSecurityGroupEgress&Format=JSON&RegionId=cn-qingdao-env17-d01\
        &Timestamp=2026-11-24T02%3A00%3A43Z&SignatureMethod=HMAC-SHA1&SignatureType=\
        &SignatureVersion=1.0&SignatureNonce=e4dac19cdf0e36241820ec9d3cb8ca5f&AccessKeyId=testid";
    const SECRET: &[u8] = b"testsecret";
    const NOW: &str = "2016-02-23T12:46:24Z";
    const NOW_MS: u64 = 1_456_231_584_000;

    fn key(active: bool) -> Option<SigningKey> {
        let secret = AccessKeySecret::new(SECRET);
        Some(SigningKey { account: AccountId(7), secret, active, session: None })
    }

    fn signed(method: &str, query: &str) -> String {
        let request = HttpRequest::new(method, &format!("/?{query}"));
        let call = Call::read(&request).unwrap();
        sign(method, call.signed(), SECRET)
    }

    fn check(request: &HttpRequest, now: &str) -> Result<Authenticated, Refusal> {
        let call = Call::read(request).unwrap();
        super::super::verify(&call, time::parse(now).unwrap(), |id| {
            key(true).filter(|_| id == "testid")
        })
    }

    fn code_of(query: &str) -> String {
        let request = HttpRequest::new("GET", &format!("/?{query}"));
        check(&request, NOW).unwrap_err().code.into_owned()
    }

    fn with_signature(query: &str) -> String {
        format!("{query}&Signature={}", encode(&signed("GET", query)))
    }

    #[test]
    fn the_published_vectors_hold() {
        assert_eq!(signed("GET", DOCUMENTED), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
        assert_eq!(signed("POST", EMPTY_TYPE), "fqrtwhWSD+l5UPSHv/ebo8hG7Gs=");
    }

    #[test]
    fn a_right_signature_leaves_evidence() {
        let request = HttpRequest::new("GET", &format!("/?{}", with_signature(DOCUMENTED)));
        let evidence = check(&request, NOW).unwrap();
        assert_eq!((evidence.access_key_id(), evidence.account()), ("testid", AccountId(7)));
        assert_eq!(evidence.nonce_key().1, "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf");
        assert!(check(&request, "2016-02-23T13:01:24Z").is_ok());
        assert!(check(&request, "2016-02-23T12:31:24Z").is_ok());
        for late in ["2016-02-23T13:01:25Z", "2016-02-23T12:31:23Z"] {
            let error = check(&request, late).unwrap_err();
            assert_eq!(error.code, "InvalidTimeStamp.Expired");
        }
        let last = evidence.expires_at_ms();
        assert!(last > time::parse("2016-02-23T13:01:24Z").unwrap());
    }

    #[test]
    fn where_the_parameters_stand_does_not_matter() {
        let query = with_signature(EMPTY_TYPE).replace(&encode(&signed("GET", EMPTY_TYPE)), "");
        let query = format!("{query}{}", encode("fqrtwhWSD+l5UPSHv/ebo8hG7Gs="));
        let now = "2026-11-24T02:00:43Z";
        let (business, common) = query.split_once("&Version").unwrap();
        let common = format!("Version{common}");
        let form = HttpRequest::new("POST", &format!("/asapi/v3?{common}"))
            .with_header("Content-Type", "application/x-www-form-urlencoded")
            .with_body(business);
        check(&form, now).unwrap();
        let json = r#"{"SecurityGroupId":"sg-1","IpProtocol":"tcp","PortRange":"80/80",
            "DestCidrIp":"10.0.0.0/8","Description":"a b*~中","Nothing":null}"#;
        let json = HttpRequest::new("POST", &format!("/?{common}"))
            .with_header("Content-Type", "application/json")
            .with_body(json);
        check(&json, now).unwrap();
    }

    #[test]
    fn a_wrong_signature_is_answered_with_the_string_to_sign() {
        let query = with_signature(DOCUMENTED).replace("Format=XML", "Format=JSON");
        let request = HttpRequest::new("GET", &format!("/?{query}"));
        let error = check(&request, NOW).unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("SignatureDoesNotMatch", 400));
        let (_, tail) = error.message.split_once(':').unwrap();
        assert!(tail.starts_with("GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions"));
        assert!(!tail.contains(':') && !tail.contains("Signature%3D"), "{tail}");
    }

    #[test]
    fn the_string_to_sign_is_repeated_within_its_bound() {
        let long = format!("Signature=AAAA&Description={}", "%25".repeat(60_000));
        let request = HttpRequest::new("POST", &format!("/?{DOCUMENTED}")).with_body(long);
        let error = check(&request, NOW).unwrap_err();
        let (_, tail) = error.message.split_once(':').unwrap();
        assert_eq!(
            (error.code.as_ref(), tail.len()),
            ("SignatureDoesNotMatch", STRING_TO_SIGN_SHOWN_MAX)
        );
    }

    #[test]
    fn every_field_is_asked_for() {
        let whole = with_signature(DOCUMENTED);
        let without = |name: &str| {
            let pieces: Vec<_> =
                whole.split('&').filter(|p| !p.starts_with(&format!("{name}="))).collect();
            pieces.join("&")
        };
        assert_eq!(code_of(&without("AccessKeyId")), "MissingAccessKeyId");
        let names =
            ["Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"];
        for name in names {
            assert_eq!(code_of(&without(name)), "IncompleteSignature", "{name}");
        }
        for (from, to, code) in [
            ("AccessKeyId=testid", "AccessKeyId=other", "InvalidAccessKeyId.NotFound"),
            ("HMAC-SHA1", "HMAC-SHA256", "InvalidSignatureMethod"),
            ("SignatureVersion=1.0", "SignatureVersion=3", "InvalidSignatureVersion"),
            ("2016-02-23T12%3A46%3A24Z", "2016-02-23", "InvalidTimeStamp.Format"),
            ("Signature=O", "Signature=*", "IncompleteSignature"),
            ("Signature=O", "Signature=P", "SignatureDoesNotMatch"),
        ] {
            assert_eq!(code_of(&whole.replace(from, to)), code, "{to}");
        }
        let long = format!("SignatureNonce={}", "n".repeat(NONCE_BYTES_MAX + 1));
        let query = whole.replace("SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", &long);
        assert_eq!(code_of(&query), "IncompleteSignature");
        let query = with_signature(&format!("{DOCUMENTED}&SecurityToken=t"));
        assert_eq!(code_of(&query), "InvalidSecurityToken.MismatchWithAccessKey");
    }

    #[test]
    fn a_disabled_key_is_told_so_only_with_its_secret() {
        let request = HttpRequest::new("GET", &format!("/?{}", with_signature(DOCUMENTED)));
        let call = Call::read(&request).unwrap();
        let error = super::super::verify(&call, time::parse(NOW).unwrap(), |_| key(false));
        assert_eq!(error.unwrap_err().code, "InvalidAccessKeyId.Inactive");
    }

    #[test]
    fn a_temporary_key_goes_with_its_token_until_it_expires() {
        let token = SigningSession { token: "to+ken/=".to_owned(), expires_at_ms: NOW_MS + 1 };
        let temporary = Some(SigningKey { session: Some(token), ..key(true).unwrap() });
        let code_of = |more: &str, now_ms: u64| {
            let query = with_signature(&format!("{DOCUMENTED}{more}"));
            let request = HttpRequest::new("GET", &format!("/?{query}"));
            let call = Call::read(&request).unwrap();
            let verified = super::super::verify(&call, now_ms, |_| temporary.clone());
            verified.map(|_| ()).map_err(|refusal| refusal.code.into_owned())
        };
        let own = "&SecurityToken=to%2Bken%2F%3D";
        assert_eq!(code_of(own, NOW_MS), Ok(()));
        for (more, now_ms, code) in [
            ("", NOW_MS, "InvalidSecurityToken.Malformed"),
            ("&SecurityToken=", NOW_MS, "InvalidSecurityToken.Malformed"),
            ("&SecurityToken=to", NOW_MS, "InvalidSecurityToken.MismatchWithAccessKey"),
            (own, NOW_MS + 1, "InvalidSecurityToken.Expired"),
        ] {
            assert_eq!(code_of(more, now_ms), Err(code.to_owned()), "{more}");
        }
    }
}
