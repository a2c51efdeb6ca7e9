//! From a step to the request that it describes, signed as a client of the public API signs.
//! Shares no line with the server's own code.

use super::language::{Exchange, Way};
use super::signatures;
use crate::client::sign;
use serde_json::Value;
use std::collections::BTreeMap;

/// A request as plain data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// What it signs with.
    pub secret: String,
}

/// When a request is made, and what makes it another one than all before.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    /// The time as text.
    pub(super) now: String,
    /// The same in milliseconds since 1970.
    pub(super) now_ms: u64,
    /// A nonce that was not used before.
    pub(super) nonce: String,
}

/// Names and values of parameters or header fields.
pub(super) type Pairs = BTreeMap<String, String>;

/// The request of a step: its way, its time and nonce, and the key.
pub(super) fn request(step: &Exchange, way: Way, stamp: &Stamp, key: &Key) -> Request {
    let mut common = common(step, way, stamp, key);
    common.retain(|name, _| !step.omitted.contains(name));
    let mut business = Pairs::new();
    for (name, value) in &step.parameters {
        match common.get_mut(name) {
            Some(own) => own.clone_from(value),
            None => _ = business.insert(name.clone(), value.clone()),
        }
    }
    // Of the schemes that sign header fields, the common ones are such fields.
    let is_field = |name: &str| name.starts_with("x-acs-") || name.starts_with("X-Ca-");
    let fields: Pairs = common.extract_if(.., |name, _| is_field(name)).collect();
    let get = way == Way::Query;
    let method = step.method.clone().unwrap_or(if get { "GET" } else { "POST" }.to_owned());
    let secret = step.secret.as_ref().unwrap_or(&key.secret);
    let signs_parameters = !matches!(way, Way::Acs3 | Way::Acs3Form | Way::XCa);
    if signs_parameters && !step.unsigned {
        let mut signed = common.clone();
        signed.extend(business.clone());
        signed.extend(step.json.as_ref().map(|text| flatten(text)).unwrap_or_default());
        let signature = match way {
            Way::Asapi => signatures::sign_sha256(&method, &signed, secret),
            _ => sign(&method, &signed, secret),
        };
        common.entry("Signature".to_owned()).or_insert(signature);
    }
    let (target, kind, body) = spread(step, way, &common, &business);
    let mut headers: Vec<(String, String)> = fields.into_iter().collect();
    if !step.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        headers.insert(0, ("Host".to_owned(), "portcullis.test".to_owned()));
    }
    headers.extend(step.headers.clone());
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed && !kind.is_empty() {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let mut request = Request { method, target, headers, body: body.into_bytes() };
    if !step.unsigned {
        match way {
            Way::Acs3 | Way::Acs3Form => signatures::sign_acs3(&mut request, &key.id, secret),
            Way::XCa => signatures::sign_x_ca(&mut request, secret),
            _ => {}
        }
    }
    request
}

/// Where the parameters stand: target, type of the body, body.
fn spread(
    step: &Exchange,
    way: Way,
    common: &Pairs,
    business: &Pairs,
) -> (String, &'static str, String) {
    let mut everything = common.clone();
    everything.extend(business.clone());
    let form_type = "application/x-www-form-urlencoded";
    let object = |pairs: &Pairs| serde_json::json!(pairs).to_string();
    let (product, action) = product_and_action(&step.action);
    let route = format!("/apsara/route/{product}/{action}");
    let root = || "/".to_owned();
    let (path, mut query, kind, body) = match way {
        Way::Query => (root(), form(&everything), "", String::new()),
        Way::Form | Way::Acs3Form => (root(), form(common), form_type, form(business)),
        Way::Route | Way::XCa => (route, String::new(), form_type, form(&everything)),
        Way::Json => (route, form(common), "application/json", object(business)),
        Way::Gateway | Way::Asapi => {
            ("/asapi/v3/".to_owned(), form(common), "application/json", object(&everything))
        }
        Way::Acs3 => (root(), form(&everything), "", String::new()),
    };
    let body = step.body.clone().or_else(|| step.json.clone()).unwrap_or(body);
    let path = step.path.clone().unwrap_or(path);
    if let Some(more) = &step.query {
        query = if query.is_empty() { more.clone() } else { format!("{query}&{more}") };
    }
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    (target, kind, body)
}

fn common(step: &Exchange, way: Way, stamp: &Stamp, key: &Key) -> Pairs {
    let (product, action) = product_and_action(&step.action);
    let version = match product {
        "Vpc" => "2016-04-28",
        "Sts" => "2015-04-01",
        "Location" => "2015-06-12",
        _ => "2014-05-26",
    };
    let (now, nonce) = (stamp.now.as_str(), stamp.nonce.as_str());
    let now_ms = stamp.now_ms.to_string();
    let mut pairs = vec![("RegionId", "cn-hangzhou")];
    let (method, signature_version) = match way {
        Way::Asapi => ("HMAC-SHA256", "2.1"),
        _ => ("HMAC-SHA1", "1.0"),
    };
    match way {
        Way::Acs3 | Way::Acs3Form => pairs.extend([
            ("x-acs-action", action),
            ("x-acs-date", now),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-version", version),
        ]),
        Way::XCa => pairs.extend([
            ("X-Ca-Key", key.id.as_str()),
            ("X-Ca-Nonce", nonce),
            ("X-Ca-Stage", "RELEASE"),
            ("X-Ca-Timestamp", &now_ms),
        ]),
        _ => pairs.extend([
            ("AccessKeyId", key.id.as_str()),
            ("SignatureMethod", method),
            ("SignatureNonce", nonce),
            ("SignatureVersion", signature_version),
            ("Timestamp", now),
        ]),
    }
    match way {
        Way::Query | Way::Form | Way::Gateway | Way::Asapi => {
            pairs.extend([("Action", action), ("Format", "JSON"), ("Version", version)])
        }
        Way::Acs3 | Way::Acs3Form => pairs.push(("Format", "JSON")),
        Way::Route | Way::Json | Way::XCa => {}
    }
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// `Product.Action`, or an action whose name tells its product.
fn product_and_action(text: &str) -> (&str, &str) {
    if let Some(named) = text.split_once('.') {
        return named;
    }
    let of_networks =
        ["Vpc", "VSwitch", "RouteTable", "UnTagResources", "MoveResourceGroup", "NetworkAcls"];
    let product = match text {
        "GetCallerIdentity" => "Sts",
        "DescribeEndpoints" => "Location",
        _ if of_networks.iter().any(|part| text.contains(part)) => "Vpc",
        _ => "Ecs",
    };
    (product, text)
}

pub(super) fn form(pairs: &Pairs) -> String {
    let escape = |text: &str| {
        let bytes = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        });
        bytes.collect::<String>()
    };
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// What a client signs of a JSON body: lists by number, objects as compact text in which nothing is
/// escaped, `null` not at all.
fn flatten(text: &str) -> Pairs {
    let mut pairs = Pairs::new();
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return pairs };
    for (name, value) in members {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    pairs.insert(format!("{name}.{}", index + 1), plain(item));
                }
            }
            Value::Null => {}
            value => _ = pairs.insert(name, plain(&value)),
        }
    }
    pairs
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let there = members.iter().filter(|(_, value)| !value.is_null());
            let quoted = there.map(|(name, value)| format!("\"{name}\":\"{}\"", plain(value)));
            format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let quoted = items.iter().map(|item| format!("\"{}\"", plain(item)));
            format!("[{}]", quoted.collect::<Vec<_>>().join(","))
        }
        value => value.to_string(),
    }
}
