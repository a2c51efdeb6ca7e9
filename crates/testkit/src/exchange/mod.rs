//! Recorded exchanges with the API, and the runner that plays them against a server: one without
//! sockets here, a real one over HTTP elsewhere. Knows no action; the cases do.

pub mod codes;
pub mod in_process;
pub mod language;
pub mod operator;
pub mod recorded;
pub mod request;
mod signatures;

use language::{Case, Check, Exchange, Rule, Share, Step, Throttled, Way};
use operator::Told;
use request::{Key, Request, Stamp};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// How much of an answer a failure shows.
const ANSWER_CHARACTERS_SHOWN: usize = 600;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// All header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A server under test.
pub trait Server {
    /// One exchange.
    ///
    /// # Errors
    /// When nothing came back.
    fn send(&mut self, request: &Request) -> Result<Reply, String>;

    /// Its clock, in milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// The access key `root`, where accounts are offered `other` and `old` (disabled), and where
    /// tokens are offered `temporary`, which ends an hour after the first moment.
    fn key(&self, name: &str) -> Option<Key>;

    /// Lets the account of a key use a VPC of another, or no longer, where it offers `accounts`.
    ///
    /// # Errors
    /// What the server says.
    fn share(&mut self, share: &Share) -> Result<(), String>;

    /// What its control socket replies to a question, whose version is left to it, where it offers
    /// `operator`.
    ///
    /// # Errors
    /// When nothing came back.
    fn tell(&mut self, question: Map<String, Value>) -> Result<Value, String>;

    /// Whether it offers what a case needs: `clock`, `quotas`, `accounts`, `operator`, `tokens`,
    /// `throttle`, `long-targets`.
    fn offers(&self, need: &str) -> bool;

    /// Moves its clock on, where it offers `clock`.
    fn later(&mut self, milliseconds: u64);

    /// Sets a quota, where it offers `quotas`.
    ///
    /// # Errors
    /// When there is no such quota.
    fn set_quota(&mut self, name: &str, number: usize) -> Result<(), String>;

    /// Allows calls only so often, where it offers `throttle`.
    ///
    /// # Errors
    /// When there is no such rate.
    fn throttle(&mut self, rules: &[Throttled]) -> Result<(), String>;
}

/// All cases of a folder, the files in the order of their names, then those of its folders.
///
/// # Errors
/// When a file cannot be read.
pub fn read_folder(folder: &Path) -> Result<Vec<Case>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let (mut folders, mut files): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| path.is_dir());
    files.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    files.sort();
    folders.sort();
    let mut setups = Vec::new();
    let mut cases = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        cases.extend(language::read(&name, &text, &mut setups)?);
    }
    for folder in folders {
        cases.extend(read_folder(&folder)?);
    }
    Ok(cases)
}

/// Whether the server offers all that the case needs.
pub fn is_runnable(case: &Case, server: &dyn Server) -> bool {
    case.needs.iter().all(|need| server.offers(need))
}

/// Plays a case in one way against a server that is new, or at least knows none of its names.
///
/// # Errors
/// With the step and what differs.
pub fn run<S: Server>(case: &Case, way: Way, server: &mut S) -> Result<(), String> {
    run_watched(case, way, server, &mut |_, _| Ok(()))
}

/// A call that is about to be made.
pub struct Watched<'a> {
    /// The call, names of what was kept not yet replaced.
    pub exchange: &'a Exchange,
    /// What was kept, by name.
    pub kept: &'a BTreeMap<String, String>,
    /// The way it goes.
    pub way: Way,
    /// The name of the key that signs it.
    pub key: &'a str,
}

/// As [`run`], and shows every call to `watch` before it is made.
///
/// # Errors
/// With the step and what differs, or what `watch` says.
pub fn run_watched<S: Server>(
    case: &Case,
    way: Way,
    server: &mut S,
    watch: &mut dyn FnMut(&S, &Watched<'_>) -> Result<(), String>,
) -> Result<(), String> {
    for (name, number) in &case.quotas {
        server.set_quota(name, *number)?;
    }
    server.throttle(&case.throttle)?;
    let (calls, key) = (0, "root".to_owned());
    let mut player = Player { server, kept: BTreeMap::new(), calls, case, way, key };
    for step in &case.steps {
        match step {
            Step::Later(seconds) => player.server.later(seconds * 1000),
            Step::As(name) => player.key.clone_from(name),
            Step::Share(share) => {
                let vpc = fill(&share.vpc, &player.kept, player.server.now_ms())?;
                let told = player.server.share(&Share { vpc, ..share.clone() });
                told.map_err(|error| format!("{} `{}`: {error}", case.place, case.title))?;
            }
            Step::Tell(told) => player.tell(told).map_err(|error| {
                let line = told.line;
                format!("{} `{}`, line {line}: {error}", case.place, case.title)
            })?,
            Step::Exchange(exchange) => player.watched(exchange, watch).map_err(|error| {
                let line = exchange.line;
                format!("{} `{}`, line {line}, {way:?}: {error}", case.place, case.title)
            })?,
        }
    }
    Ok(())
}

/// Makes a call with what was kept, signed by the key of a name, and takes whatever comes back.
///
/// # Errors
/// When the call cannot be made.
pub fn send(
    call: &Watched<'_>,
    nonce: String,
    server: &mut impl Server,
) -> Result<(Request, Reply), String> {
    let now_ms = server.now_ms();
    let exchange = &filled(call.exchange, call.kept, now_ms)?;
    let key = match call.key.starts_with('$') {
        // Whose secret the call says.
        true => Key { id: fill(call.key, call.kept, now_ms)?, secret: String::new() },
        false => server.key(call.key).ok_or_else(|| format!("no key `{}`", call.key))?,
    };
    let stamp = Stamp { now: time(now_ms), now_ms, nonce };
    let request = match &exchange.sent {
        Some(sent) => recorded::request(sent, &exchange.headers, &stamp, &key)?,
        None => request::request(exchange, call.way, &stamp, &key),
    };
    let reply = server.send(&request)?;
    Ok((request, reply))
}

struct Player<'a, S> {
    server: &'a mut S,
    kept: BTreeMap<String, String>,
    calls: u64,
    case: &'a Case,
    way: Way,
    /// Signs what names no key.
    key: String,
}

impl<S: Server> Player<'_, S> {
    fn watched(
        &mut self,
        exchange: &Exchange,
        watch: &mut dyn FnMut(&S, &Watched<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let way = exchange.way.unwrap_or(self.way);
        let key = exchange.key.clone().unwrap_or_else(|| self.key.clone());
        self.calls += 1;
        let nonce = format!("{}-{way:?}-{}-{}", self.case.place, self.calls, self.server.now_ms());
        let call = Watched { exchange, kept: &self.kept, way, key: &key };
        watch(self.server, &call)?;
        let (request, reply) = send(&call, nonce, self.server)?;
        self.play(exchange, &request, &reply)
    }

    fn tell(&mut self, told: &Told) -> Result<(), String> {
        let question = told.question(&self.kept, self.server.now_ms())?;
        let reply = self.server.tell(question)?;
        let body = told.judge(&reply)?;
        let text = body.to_string();
        for check in &told.checks {
            self.check(check, body, &text).map_err(|error| format!("{error}: {text}"))?;
        }
        Ok(())
    }

    fn play(
        &mut self,
        exchange: &Exchange,
        request: &Request,
        reply: &Reply,
    ) -> Result<(), String> {
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let told = |what: String| {
            let shown: String = text.chars().take(ANSWER_CHARACTERS_SHOWN).collect();
            format!("{what}; the answer was {} {shown}", reply.status)
        };
        if reply.status != exchange.status {
            return Err(told(format!("status {} expected", exchange.status)));
        }
        let apsara = request.target.starts_with("/apsara/");
        let body = if reply.content_type == "application/json;charset=utf-8" {
            let body = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
            hold_always(&body, reply.status, apsara).map_err(told)?;
            body
        } else if reply.content_type == "text/xml;charset=utf-8" {
            Value::Null
        } else {
            return Err(told(format!("content type `{}`", reply.content_type)));
        };
        if let Some(code) = &exchange.code {
            let holds = match &body {
                Value::Null => text.contains(&format!("<Code>{code}</Code>")),
                body => body.get("Code").and_then(Value::as_str) == Some(code),
            };
            if !holds {
                return Err(told(format!("code {code} expected")));
            }
        }
        for check in &exchange.checks {
            match check.path.strip_prefix("header ") {
                Some(name) => check_header(check, name, reply).map_err(told)?,
                None => self.check(check, &body, &text).map_err(told)?,
            }
        }
        Ok(())
    }

    fn check(&mut self, check: &Check, body: &Value, text: &str) -> Result<(), String> {
        let mut check = check.clone();
        if let Rule::Equals(text) | Rule::Has(text) | Rule::Like(text) = &mut check.rule {
            // Only now: an earlier check of this very answer may have kept what is named.
            *text = fill(text, &self.kept, self.server.now_ms())?;
        }
        let path = &check.path;
        if path == "body" {
            return match &check.rule {
                Rule::Has(part) if text.contains(part.as_str()) => Ok(()),
                rule => Err(format!("body: {rule:?}")),
            };
        }
        if body.is_null() {
            return Err(format!("`{path}` is asked of XML, of which `body has` can be asked only"));
        }
        let found = find(body, path);
        let plain = found.map(plain);
        let holds = match &check.rule {
            Rule::Equals(expected) => plain.as_ref() == Some(expected),
            Rule::Has(part) => plain.as_ref().is_some_and(|text| text.contains(part.as_str())),
            Rule::Like(text) => {
                let expected =
                    serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))?;
                found.is_some_and(|value| is_like(value, &expected))
            }
            Rule::Absent => found.is_none(),
            Rule::Count(count) => {
                found.and_then(Value::as_array).is_some_and(|items| items.len() == *count)
            }
            Rule::Is(name) => found.is_some_and(|value| type_of(value) == name),
            Rule::As(name) => match plain.clone() {
                Some(text) if !text.is_empty() => {
                    self.kept.insert(name.clone(), text);
                    true
                }
                _ => false,
            },
        };
        if holds { Ok(()) } else { Err(format!("`{path}` is {plain:?}, not {:?}", check.rule)) }
    }
}

/// The exchange with what was kept in place of `$name`.
fn filled(
    exchange: &Exchange,
    kept: &BTreeMap<String, String>,
    now_ms: u64,
) -> Result<Exchange, String> {
    let mut filled = exchange.clone();
    for (_, value) in filled.parameters.iter_mut().chain(&mut filled.headers) {
        *value = fill(value, kept, now_ms)?;
    }
    let Exchange { query, json, body, secret, .. } = &mut filled;
    for text in [query, json, body, secret].into_iter().flatten() {
        *text = fill(text, kept, now_ms)?;
    }
    if let Some(sent) = &mut filled.sent {
        sent.query = fill(&sent.query, kept, now_ms)?;
        sent.body = fill(&sent.body, kept, now_ms)?;
    }
    Ok(filled)
}

fn fill(text: &str, kept: &BTreeMap<String, String>, now_ms: u64) -> Result<String, String> {
    let mut pieces = text.split('$');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        if let Some((seconds, rest)) =
            piece.strip_prefix('(').and_then(|piece| piece.split_once(')'))
        {
            let seconds: i64 = seconds.parse().map_err(|_| format!("no seconds in `{text}`"))?;
            filled += &time(now_ms.saturating_add_signed(seconds * 1000));
            filled += rest;
            continue;
        }
        let end = piece.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(piece.len());
        let (name, rest) = piece.split_at(end);
        filled += kept.get(name).ok_or_else(|| format!("nothing kept as `{name}`"))?;
        filled += rest;
    }
    Ok(filled)
}

/// A check of a header field.
fn check_header(check: &Check, name: &str, reply: &Reply) -> Result<(), String> {
    let found = reply.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    let found = found.map(|(_, value)| value.as_str());
    let holds = match &check.rule {
        Rule::Equals(text) => found == Some(text),
        Rule::Has(text) => found.is_some_and(|value| value.contains(text.as_str())),
        Rule::Absent => found.is_none(),
        Rule::Count(_) | Rule::Is(_) | Rule::As(_) | Rule::Like(_) => false,
    };
    if holds { Ok(()) } else { Err(format!("header `{name}` is {found:?}, not {:?}", check.rule)) }
}

/// What holds for every JSON answer, whatever the case says.
fn hold_always(body: &Value, status: u16, apsara: bool) -> Result<(), String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let id = text("RequestId").filter(|id| id.len() == 36).ok_or("no RequestId")?;
    if apsara != (text("RequestID") == Some(id)) {
        return Err("RequestID is for the Apsara route, and equal to RequestId".to_owned());
    }
    if status == 200 {
        return match body.get("Code") {
            None => Ok(()),
            Some(_) => Err("a success with a Code".to_owned()),
        };
    }
    for name in ["HostId", "Code", "Message", "Recommend"] {
        text(name).ok_or_else(|| format!("no text `{name}`"))?;
    }
    let sample = body.get("errorSample");
    if apsara != sample.is_some() {
        return Err("errorSample is for the Apsara route".to_owned());
    }
    if let Some(sample) = sample {
        let told = format!("{}: {}", text("Code").unwrap_or(""), text("Message").unwrap_or(""));
        let expected = serde_json::json!({"resultCode": -1, "resultMsg": told, "result": null});
        if *sample != expected {
            return Err(format!("errorSample is not {expected}"));
        }
    }
    Ok(())
}

/// The value at `A.B.0.C`; a number is a place in a list.
fn find<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    })
}

/// Whether the value has all members that the other has; lists are of one length.
fn is_like(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(members), Value::Object(expected)) => expected
            .iter()
            .all(|(name, expected)| members.get(name).is_some_and(|own| is_like(own, expected))),
        (Value::Array(items), Value::Array(expected)) => {
            items.len() == expected.len()
                && items.iter().zip(expected).all(|(own, expected)| is_like(own, expected))
        }
        (value, expected) => value == expected,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|t| jiff::Timestamp::from_millisecond(t).ok());
    time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::is_like;
    use serde_json::json;

    #[test]
    fn what_is_like_has_all_that_is_asked_for_and_lists_of_one_length() {
        let value = json!({"A": 1, "B": {"C": "", "D": [{"E": true, "F": null}]}});
        for (expected, holds) in [
            (json!({}), true),
            (json!({"A": 1, "B": {"D": [{"E": true}]}}), true),
            (json!({"A": "1"}), false),
            (json!({"B": {"C": null}}), false),
            (json!({"B": {"D": []}}), false),
            (json!({"B": {"D": [{"E": false}]}}), false),
            (json!({"G": null}), false),
        ] {
            assert_eq!(is_like(&value, &expected), holds, "{expected}");
        }
    }
}
