//! From a step to the request that it describes, signed as a client of the public API signs.
//! Shares no line with the server's own code.

use super::language::{Exchange, Way};
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

type Pairs = BTreeMap<String, String>;

/// The request of a step: its way, `now` as text, a nonce that was not used before, and the key.
pub(super) fn request(step: &Exchange, way: Way, now: &str, nonce: &str, key: &Key) -> Request {
    let route = matches!(way, Way::Route | Way::Json);
    let (product, action) = product_and_action(&step.action);
    let mut common = common(step, way, now, nonce, key);
    common.retain(|name, _| !step.omitted.contains(name));
    let mut business = Pairs::new();
    for (name, value) in &step.parameters {
        match common.get_mut(name) {
            Some(own) => own.clone_from(value),
            None => _ = business.insert(name.clone(), value.clone()),
        }
    }
    let json = step.json.as_ref().map(|text| flatten(text));
    let mut signed = common.clone();
    signed.extend(business.clone());
    signed.extend(json.unwrap_or_default());
    let get = way == Way::Query;
    let method = step.method.clone().unwrap_or(if get { "GET" } else { "POST" }.to_owned());
    if !step.unsigned {
        let secret = step.secret.as_ref().unwrap_or(&key.secret);
        let signature = sign(&method, &signed, secret);
        common.entry("Signature".to_owned()).or_insert(signature);
    }
    let mut everything = common.clone();
    everything.extend(business.clone());
    let form_type = "application/x-www-form-urlencoded";
    let object = |pairs: &Pairs| serde_json::json!(pairs).to_string();
    let (path, mut query, kind, body) = match way {
        Way::Query => ("/".to_owned(), form(&everything), "", String::new()),
        Way::Form => ("/".to_owned(), form(&common), form_type, form(&business)),
        Way::Route => (String::new(), String::new(), form_type, form(&everything)),
        Way::Json => (String::new(), form(&common), "application/json", object(&business)),
        Way::Gateway => {
            ("/asapi/v3/".to_owned(), form(&common), "application/json", object(&everything))
        }
    };
    let body = step.json.clone().unwrap_or(body);
    let path = if route { format!("/apsara/route/{product}/{action}") } else { path };
    let path = step.path.clone().unwrap_or(path);
    if let Some(more) = &step.query {
        query = if query.is_empty() { more.clone() } else { format!("{query}&{more}") };
    }
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    let mut headers = vec![("Host".to_owned(), "portcullis.test".to_owned())];
    headers.extend(step.headers.clone());
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed && !kind.is_empty() {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let body = step.body.clone().unwrap_or(body).into_bytes();
    Request { method, target, headers, body }
}

fn common(step: &Exchange, way: Way, now: &str, nonce: &str, key: &Key) -> Pairs {
    let (product, action) = product_and_action(&step.action);
    let version = match product {
        "Vpc" => "2016-04-28",
        "Sts" => "2015-04-01",
        "Location" => "2015-06-12",
        _ => "2014-05-26",
    };
    let mut pairs = vec![
        ("AccessKeyId", key.id.as_str()),
        ("RegionId", "cn-hangzhou"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", nonce),
        ("SignatureVersion", "1.0"),
        ("Timestamp", now),
    ];
    if !matches!(way, Way::Route | Way::Json) {
        pairs.extend([("Action", action), ("Format", "JSON"), ("Version", version)]);
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

fn form(pairs: &Pairs) -> String {
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

/// What a client signs of a JSON body: lists by number, objects as compact text, `null` not at all.
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
            let quoted = there.map(|(name, value)| {
                format!("{}:{}", Value::from(name.as_str()), Value::from(plain(value)))
            });
            format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
        }
        value => value.to_string(),
    }
}
