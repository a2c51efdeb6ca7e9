//! A flow event as it stands in flow logs and on the control socket: one JSON object, whose fields
//! `docs/reference/flow-log.md` explains.
//!
//! Knows names and texts, not how they are found.
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened, in words that stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventName {
    /// A flow began.
    New,
    /// A packet was dropped.
    Deny,
    /// A running flow is blocked from now on.
    Revoke,
    /// A blocked flow goes on.
    Recover,
    /// A flow is over.
    End,
    /// Events that nobody was told of.
    Lost,
}

impl EventName {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Deny, Self::Revoke, Self::Recover, Self::End, Self::Lost];

    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Deny => "deny",
            Self::Revoke => "revoke",
            Self::Recover => "recover",
            Self::End => "end",
            Self::Lost => "lost",
        }
    }
}

/// One event. What it has nothing to say about is left out, and readers pass over fields that they
/// do not know: later versions may say more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEvent {
    /// When.
    pub time: String,
    /// What.
    pub event: EventName,
    /// The interface's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// `egress` or `ingress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// The final IP protocol's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// The interface's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_address: Option<IpAddr>,
    /// Its port, or the identifier of an echo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_port: Option<u16>,
    /// The other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<IpAddr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_port: Option<u16>,
    /// The step of the verdict that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The group of the rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How a flow ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Packets that left the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_packets: Option<u64>,
    /// Their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_bytes: Option<u64>,
    /// Packets that entered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_packets: Option<u64>,
    /// Their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_bytes: Option<u64>,
    /// When the flow began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// When its last packet came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// How many events are missing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

impl FlowEvent {
    /// An event that says nothing more yet.
    pub fn new(time: String, event: EventName) -> Self {
        Self {
            time,
            event,
            interface: None,
            direction: None,
            protocol: None,
            local_address: None,
            local_port: None,
            remote_address: None,
            remote_port: None,
            reason: None,
            group: None,
            rule: None,
            cause: None,
            egress_packets: None,
            egress_bytes: None,
            ingress_packets: None,
            ingress_bytes: None,
            start: None,
            end: None,
            lost: None,
        }
    }
}

/// A time with milliseconds, in UTC; later times than the calendar knows are its last.
pub fn time_text(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event with everything that there is to say.
    fn full() -> FlowEvent {
        let text = || Some("x".to_owned());
        let address = Some(IpAddr::from([10, 0, 0, 5]));
        FlowEvent {
            time: time_text(1_795_536_043_007),
            event: EventName::End,
            interface: text(),
            direction: text(),
            protocol: Some(6),
            local_address: address,
            local_port: Some(1),
            remote_address: address,
            remote_port: Some(2),
            reason: text(),
            group: text(),
            rule: text(),
            cause: text(),
            egress_packets: Some(1),
            egress_bytes: Some(2),
            ingress_packets: Some(3),
            ingress_bytes: Some(4),
            start: text(),
            end: text(),
            lost: Some(5),
        }
    }

    #[test]
    fn a_time_has_milliseconds() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time_text(1_795_536_043_007), "2026-11-24T16:00:43.007Z");
        assert!(time_text(u64::MAX).starts_with("9999-"));
    }

    #[test]
    fn an_event_is_a_line_and_comes_back() {
        let line = serde_json::to_string(&full()).unwrap();
        assert_eq!(serde_json::from_str::<FlowEvent>(&line).unwrap(), full());
        let little = FlowEvent::new(time_text(0), EventName::New);
        let line = serde_json::to_string(&little).unwrap();
        assert_eq!(line, r#"{"time":"1970-01-01T00:00:00.000Z","event":"new"}"#);
    }

    /// Every field that is written is explained, and nothing else is.
    #[test]
    fn the_reference_explains_every_field_and_event() {
        let page = include_str!("../../../docs/reference/flow-log.md");
        let named = |heading: &str| -> Vec<String> {
            let table = page.split(heading).nth(1).expect(heading);
            let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
            let rows = rows.take_while(|line| line.starts_with("| `"));
            rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
        };
        let written = serde_json::to_value(full()).unwrap();
        let mut written: Vec<String> = written.as_object().unwrap().keys().cloned().collect();
        let mut explained = named("## Fields");
        written.sort();
        explained.sort();
        assert_eq!(written, explained);
        assert_eq!(named("## Events"), EventName::ALL.map(EventName::name));
    }
}
