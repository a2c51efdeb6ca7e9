//! A small API client: signs with version 1.0, speaks HTTP/1.1, also from inside a namespace.
//!
//! It shares no line with the server it talks to, so that a mistake in one is seen by the other. It
//! knows how calls travel and nothing of what they mean.

use crate::netns::Namespace;
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A call that has not been answered after this time has failed.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);

const ECS_VERSION: &str = "2014-05-26";
const VPC_VERSION: &str = "2016-04-28";

static CALLS: AtomicU64 = AtomicU64::new(0);

/// How a call travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `GET /?…`
    Query,
    /// `POST /` with a form.
    Form,
    /// `POST /apsara/route/{product}/{action}` with a form.
    Route,
    /// The same with a JSON object.
    RouteJson,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Query, Self::Form, Self::Route, Self::RouteJson];
}

/// Who calls, and where.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The access key's name.
    pub key_id: String,
    /// The access key's secret.
    pub key_secret: String,
    /// The region of every call that names none.
    pub region: String,
    /// How calls travel.
    pub way: Way,
    /// From where; `None` from where this process is.
    pub namespace: Option<Arc<Namespace>>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, always an object.
    pub body: Value,
}

impl Answer {
    /// The text at a path such as `/SecurityGroupId`.
    ///
    /// # Errors
    /// When there is no text at this place.
    pub fn text(&self, pointer: &str) -> Result<String, String> {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.map(str::to_owned).ok_or_else(|| format!("no text at {pointer} in {}", self.body))
    }

    /// The list at a path such as `/Permissions/Permission`.
    ///
    /// # Errors
    /// When there is no list at this place.
    pub fn list(&self, pointer: &str) -> Result<&[Value], String> {
        let found = self.body.pointer(pointer).and_then(Value::as_array);
        found.map(Vec::as_slice).ok_or_else(|| format!("no list at {pointer} in {}", self.body))
    }
}

impl Client {
    /// Calls, and insists on success.
    ///
    /// # Errors
    /// When the call cannot be made or is refused.
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Answer, String> {
        let answer = self.try_call(action, parameters)?;
        if answer.status == 200 {
            return Ok(answer);
        }
        Err(format!("{action} was refused with {}: {}", answer.status, answer.body))
    }

    /// Calls, whatever the answer.
    ///
    /// # Errors
    /// When there is no answer that can be read.
    pub fn try_call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Answer, String> {
        let request = self.request(action, parameters);
        let exchanged = match &self.namespace {
            Some(namespace) => namespace.enter(|| exchange(self.address, &request))?,
            None => exchange(self.address, &request),
        };
        let bytes = exchanged.map_err(|error| format!("{action}: {error}"))?;
        read_answer(&bytes).map_err(|error| format!("{action}: {error}"))
    }

    /// A signed request as bytes, for a connection that stays open.
    pub fn kept_alive(&self, action: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
        self.whole(action, parameters, "")
    }

    /// A signed request as bytes, for a connection of its own.
    pub fn request(&self, action: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
        self.whole(action, parameters, "Connection: close\r\n")
    }

    fn whole(&self, action: &str, parameters: &[(&str, &str)], more_head: &str) -> Vec<u8> {
        let (method, product) = (self.method(), product_of(action));
        let mut common = self.common(action, product);
        let mut business = BTreeMap::new();
        for (name, value) in parameters {
            match common.get_mut(*name) {
                Some(common) => *common = (*value).to_owned(),
                None => _ = business.insert(*name, *value),
            }
        }
        let mut all = common.clone();
        all.extend(business.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let signature = sign(method, &all, &self.key_secret);
        common.insert("Signature".to_owned(), signature.clone());
        all.insert("Signature".to_owned(), signature);
        let route = format!("/apsara/route/{product}/{action}");
        let (target, kind, body) = match self.way {
            Way::Query => (format!("/?{}", form(&all)), "", String::new()),
            Way::Form => ("/".to_owned(), "application/x-www-form-urlencoded", form(&all)),
            Way::Route => (route, "application/x-www-form-urlencoded", form(&all)),
            Way::RouteJson => {
                let body = serde_json::json!(business).to_string();
                (format!("{route}?{}", form(&common)), "application/json", body)
            }
        };
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if !kind.is_empty() {
            head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        }
        head += &format!("Accept: application/json\r\n{more_head}\r\n");
        [head.into_bytes(), body.into_bytes()].concat()
    }

    fn method(&self) -> &'static str {
        if self.way == Way::Query { "GET" } else { "POST" }
    }

    fn common(&self, action: &str, product: &str) -> BTreeMap<String, String> {
        let now = jiff::Timestamp::now();
        let version = if product == "Vpc" { VPC_VERSION } else { ECS_VERSION };
        let number = CALLS.fetch_add(1, Ordering::SeqCst);
        let nonce = format!("{}-{number}-{}", std::process::id(), now.as_nanosecond());
        let mut common: BTreeMap<String, String> = [
            ("Action", action),
            ("Version", version),
            ("Format", "JSON"),
            ("AccessKeyId", &self.key_id),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", &nonce),
            ("Timestamp", &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            ("RegionId", &self.region),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if matches!(self.way, Way::Route | Way::RouteJson) {
            common.insert("regionId".to_owned(), self.region.clone());
        }
        common
    }
}

/// Signature version 1.0 over all parameters of a request.
pub fn sign(method: &str, parameters: &BTreeMap<String, String>, secret: &str) -> String {
    let text = format!("{method}&%2F&{}", escape(&form(parameters)));
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).expect("a key");
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

fn form(parameters: &BTreeMap<String, String>) -> String {
    let pairs = parameters.iter();
    pairs
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The text as it stands in a query: all but letters, digits and `-_.~` escaped.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

fn product_of(action: &str) -> &'static str {
    if action.contains("Vpc") || action.contains("VSwitch") { "Vpc" } else { "Ecs" }
}

fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, CALL_TIMEOUT)?;
    stream.set_read_timeout(Some(CALL_TIMEOUT))?;
    stream.set_write_timeout(Some(CALL_TIMEOUT))?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn read_answer(bytes: &[u8]) -> Result<Answer, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("an answer without an end of headers")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status in `{head}`"))?;
    let body: Value =
        serde_json::from_str(body).map_err(|error| format!("{status}, {error}: {body}"))?;
    if !body.is_object() {
        return Err(format!("{status}, not an object: {body}"));
    }
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(way: Way) -> Client {
        Client {
            address: ([127, 0, 0, 1], 80).into(),
            key_id: "testid".to_owned(),
            key_secret: "testsecret".to_owned(),
            region: "cn-hangzhou".to_owned(),
            way,
            namespace: None,
        }
    }

    #[test]
    fn signs_as_the_published_example() {
        let parameters = [
            ("AccessKeyId", "testid"),
            ("Action", "DescribeRegions"),
            ("Format", "XML"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "2016-02-23T12:46:24Z"),
            ("Version", "2014-05-26"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signature = sign("GET", &parameters.into(), "testsecret");
        assert_eq!(signature, "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
    }

    #[test]
    fn every_way_carries_the_parameters() {
        for way in Way::ALL {
            let parameters = [("SecurityGroupId", "sg-1"), ("Description", "a b*~")];
            let request = client(way).request("AuthorizeSecurityGroupEgress", &parameters);
            let request = String::from_utf8(request).unwrap();
            let first = request.lines().next().unwrap();
            let (line, body) = match way {
                Way::Query => ("GET /?A", ""),
                Way::Form => ("POST / HTTP", "&SecurityGroupId=sg-1"),
                Way::Route => (
                    "POST /apsara/route/Ecs/AuthorizeSecurityGroupEgress HTTP",
                    "&Description=a%20b%2A~&",
                ),
                Way::RouteJson => (
                    "POST /apsara/route/Ecs/AuthorizeSecurityGroupEgress?A",
                    "{\"Description\":\"a b*~\",\"SecurityGroupId\":\"sg-1\"}",
                ),
            };
            assert!(first.starts_with(line), "{way:?}: {first}");
            let got = request.split_once("\r\n\r\n").unwrap().1;
            assert!(got.contains(body), "{way:?}: {got}");
        }
    }

    #[test]
    fn a_parameter_replaces_the_common_one() {
        let request = client(Way::Query).request("DescribeRegions", &[("RegionId", "other")]);
        let request = String::from_utf8(request).unwrap();
        assert_eq!(request.matches("RegionId=").count(), 1);
        assert!(request.contains("RegionId=other"));
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let answer =
            read_answer(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n{\"Code\":\"X\"}").unwrap();
        assert_eq!((answer.status, answer.text("/Code").unwrap().as_str()), (404, "X"));
        assert!(answer.text("/Message").is_err());
        assert!(read_answer(b"HTTP/1.1 200 OK\r\n\r\n[]").is_err());
        assert!(read_answer(b"HTTP/1.1 200 OK\r\n").is_err());
    }
}
