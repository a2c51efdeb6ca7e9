//! What is said on the control socket: one JSON object a line, a question and its answer.
//!
//! Every line names the version of the language; another version is refused, so that an old
//! client and a new server never misunderstand each other. Nothing here knows how an answer is
//! found.

use portcullis_wire::flow_event::FlowEvent;
use serde::{Deserialize, Serialize};

use crate::control::account::{AccountRow, Kept, KeyRow, NewKey, VpcRow};
use crate::control::run::RunRow;

/// The version of this language. It changes when a line of before would be misunderstood.
pub const VERSION: u32 = 1;

/// How long an export may take, in milliseconds; a million records took some seconds.
const EXPORT_TIME_MAX_MS: u64 = 10 * 60 * 1000;

/// One line from a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`VERSION`].
    pub version: u32,
    /// What is asked for.
    #[serde(flatten)]
    pub request: Request,
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Tie a network interface to a host-side device.
    Bind {
        /// The id of the interface.
        interface: String,
        /// The name of the device.
        device: String,
        /// How long to wait until the policy is in force, in milliseconds.
        wait_timeout_ms: u64,
    },
    /// Untie a network interface.
    Unbind {
        /// The id of the interface.
        interface: String,
        /// How long to wait until the device is released, in milliseconds.
        wait_timeout_ms: u64,
    },
    /// List what is tied, and how it stands.
    Bindings {},
    /// List how often each rule decided.
    Hits {},
    /// List what was dropped and why.
    Drops {},
    /// List what was let through and why.
    Passes {},
    /// List how often others' changes in the kernel were put right.
    Heals {},
    /// List the flows that are running.
    Flows {
        /// The id of their interface; empty: all.
        interface: String,
    },
    /// Tell events as they happen, until the client hangs up.
    Follow {
        /// The id of their interface; empty: all.
        interface: String,
        /// Whether only what is dropped is told.
        deny: bool,
    },
    /// How the server stands.
    Status {},
    /// Write all that is kept to a file.
    Export {
        /// The absolute path of the file; one that is there is replaced.
        path: String,
    },
    /// Make an account.
    CreateAccount {
        /// Its name.
        name: String,
    },
    /// List the accounts.
    Accounts {},
    /// Delete an account that owns nothing.
    DeleteAccount {
        /// Its number or name.
        account: String,
    },
    /// Make an access key.
    CreateKey {
        /// The number or name of its account.
        account: String,
    },
    /// Make a temporary access key.
    CreateToken {
        /// The number or name of its account.
        account: String,
        /// How long it is good for, in seconds.
        life_s: u64,
    },
    /// List access keys.
    Keys {
        /// The number or name of their account; empty: of all.
        account: String,
    },
    /// Let an access key be used no longer.
    DisableKey {
        /// Its id.
        key: String,
    },
    /// Let an access key be used again.
    EnableKey {
        /// Its id.
        key: String,
    },
    /// Delete an access key.
    DeleteKey {
        /// Its id.
        key: String,
    },
    /// Make an access key in the place of another.
    RotateKey {
        /// The id of the old one.
        key: String,
        /// Whether the old one may be used further on.
        keep_old: bool,
    },
    /// Let an account use a VPC of another.
    ShareVpc {
        /// The id of the VPC.
        vpc: String,
        /// The number or name of the account.
        account: String,
    },
    /// Let it use the VPC no longer.
    UnshareVpc {
        /// The id of the VPC.
        vpc: String,
        /// The number or name of the account.
        account: String,
    },
    /// List the VPCs of all accounts.
    Vpcs {},
    /// Make an interface for a run and tie it to the run's device.
    StartRun {
        /// The name of the device, under which the run holds its lease.
        device: String,
        /// The ids of the groups.
        groups: Vec<String>,
        /// The id of the vSwitch; empty: the only one.
        vswitch: String,
        /// Its address; empty: the lowest free one.
        address: String,
        /// Its address in IPv6: `any` one, this one, or none where it is empty.
        ipv6: String,
        /// How long to wait until the policy is in force, in milliseconds.
        wait_timeout_ms: u64,
    },
    /// Untie and delete the interface of a run.
    EndRun {
        /// The name of the device.
        device: String,
        /// How long to wait until the device is released, in milliseconds.
        wait_timeout_ms: u64,
    },
}

impl Request {
    /// How long its answer may wait for the host, in milliseconds.
    pub fn wait_timeout_ms(&self) -> u64 {
        match self {
            Request::Bind { wait_timeout_ms, .. }
            | Request::Unbind { wait_timeout_ms, .. }
            | Request::StartRun { wait_timeout_ms, .. }
            | Request::EndRun { wait_timeout_ms, .. } => *wait_timeout_ms,
            Request::Export { .. } => EXPORT_TIME_MAX_MS,
            Request::Bindings {}
            | Request::Hits {}
            | Request::Drops {}
            | Request::Passes {}
            | Request::Heals {}
            | Request::Flows { .. }
            | Request::Follow { .. }
            | Request::Status {}
            | Request::CreateAccount { .. }
            | Request::Accounts {}
            | Request::DeleteAccount { .. }
            | Request::CreateKey { .. }
            | Request::CreateToken { .. }
            | Request::Keys { .. }
            | Request::DisableKey { .. }
            | Request::EnableKey { .. }
            | Request::DeleteKey { .. }
            | Request::RotateKey { .. }
            | Request::ShareVpc { .. }
            | Request::UnshareVpc { .. }
            | Request::Vpcs {} => 0,
        }
    }
}

/// One line from the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// [`VERSION`].
    pub version: u32,
    /// What became of the question.
    #[serde(flatten)]
    pub result: Outcome,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Answer(Answer),
    /// It was refused, and nothing changed.
    Error(Problem),
}

/// An answer, by the kind of question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To `bind`, `unbind` and `end-run`.
    Changed(Changed),
    /// To `bindings`.
    Bindings(Vec<BindingRow>),
    /// To `hits`.
    Hits(Vec<HitRow>),
    /// To `drops`.
    Drops(Vec<ReasonRow>),
    /// To `passes`.
    Passes(Vec<ReasonRow>),
    /// To `heals`.
    Heals(Vec<HealRow>),
    /// To `flows`.
    Flows(FlowList),
    /// To `follow`, at once.
    Following(Following),
    /// To `follow`, for each event.
    Event(Box<FlowEvent>),
    /// To `status`.
    Status(Status),
    /// To `export`.
    Exported(Exported),
    /// To `create-account`.
    Account(AccountRow),
    /// To `accounts`.
    Accounts(Vec<AccountRow>),
    /// To `create-key`, `create-token` and `rotate-key`.
    NewKey(NewKey),
    /// To `keys`.
    Keys(Vec<KeyRow>),
    /// To `vpcs`.
    Vpcs(Vec<VpcRow>),
    /// To `start-run`.
    Run(RunRow),
    /// To what is done when it is kept.
    Kept(Kept),
}

/// A change that is durable, and whether it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The revision of the change.
    pub revision: u64,
    /// `Enforced`, `Pending`, `Failed` or `NotEnforced`.
    pub enforcement: String,
    /// Why, where it is not `Enforced`; may be empty.
    pub detail: String,
}

/// One tied interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BindingRow {
    /// The id of the interface.
    pub interface: String,
    /// The device it is tied to.
    pub device: String,
    /// How it stands: `enforced`, `closed`, `absent`, `failed`, or `not-enforced` without an agent.
    pub state: String,
    /// Why, where there is more to say.
    pub detail: String,
}

/// How often one rule decided, at all interfaces of the host together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HitRow {
    /// The id of the rule's group.
    pub group: String,
    /// The id of the rule.
    pub rule: String,
    /// Packets it decided.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last one came; empty: never.
    pub last_hit: String,
}

/// The flows that are running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowList {
    /// The youngest of them.
    pub flows: Vec<FlowRow>,
    /// How many more there are.
    pub left_out: usize,
}

/// A flow that is running.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FlowRow {
    /// The id of its interface.
    pub interface: String,
    /// `egress` or `ingress`: of the packet that began it.
    pub direction: String,
    /// The final IP protocol's number.
    pub protocol: u8,
    /// The interface's side, with its port where there is one.
    pub local: String,
    /// The other side.
    pub remote: String,
    /// `live`, or `blocked` when its verdict has become drop.
    pub state: String,
    /// The id of the rule that it is let through by; empty: no rule decided.
    pub rule: String,
    /// Packets let through, both ways together.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long it has been running, in milliseconds.
    pub age_ms: u64,
}

/// From now on events are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Following {}

/// What was dropped, or let through, at one interface for one reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReasonRow {
    /// The id of the interface.
    pub interface: String,
    /// `egress` or `ingress`.
    pub direction: String,
    /// The reason, as verdicts name it.
    pub reason: String,
    /// Packets that it decided about.
    pub packets: u64,
}

/// How often others' changes in the kernel were put right, since the agent started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HealRow {
    /// What they changed: `devices`, `slots`, `members`, `policies` or `settings`.
    pub changed: String,
    /// How often.
    pub times: u64,
}

/// How the server stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub program_version: String,
    /// The process.
    pub process_id: u32,
    /// Where the API is served.
    pub listen: String,
    /// The newest revision that is in answers.
    pub revision: u64,
    /// Whether an agent enforces on this host.
    pub enforcing: bool,
    /// How many interfaces are tied.
    pub bindings: usize,
}

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The file.
    pub path: String,
    /// The revision that it is of.
    pub revision: u64,
}

/// Why a question was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name for programs.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next; may be empty.
    pub help: String,
    /// The part of the question concerned; may be empty.
    pub place: String,
}

impl Reply {
    /// The line of an answer.
    pub fn answer(answer: Answer) -> Reply {
        Reply { version: VERSION, result: Outcome::Answer(answer) }
    }

    /// The line of a refusal.
    pub fn problem(problem: Problem) -> Reply {
        Reply { version: VERSION, result: Outcome::Error(problem) }
    }
}

impl Problem {
    /// A refusal with these four parts.
    pub fn new(code: &str, message: impl Into<String>, help: &str, place: &str) -> Problem {
        Problem {
            code: code.to_owned(),
            message: message.into(),
            help: help.to_owned(),
            place: place.to_owned(),
        }
    }
}

/// Reads a client's line.
///
/// # Errors
/// A [`Problem`] to answer with.
pub fn read_question(line: &[u8]) -> Result<Request, Problem> {
    /// The one field that every version has.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let malformed = |error: serde_json::Error| {
        Problem::new(
            "MalformedQuestion",
            format!("the line is no question: {error}"),
            "send one JSON object a line, as the `portcullis` program does",
            "",
        )
    };
    let Versioned { version } = serde_json::from_slice(line).map_err(malformed)?;
    if version != VERSION {
        return Err(Problem::new(
            "UnknownVersion",
            format!("the question is in version {version}, this server speaks {VERSION}"),
            "use the `portcullis` program of the server's own version",
            "version",
        ));
    }
    let mut value: serde_json::Value = serde_json::from_slice(line).map_err(malformed)?;
    // `deny_unknown_fields` and a flattened version exclude each other; the version is done with.
    if let Some(object) = value.as_object_mut() {
        object.remove("version");
    }
    serde_json::from_value(value).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_line_and_comes_back() {
        let request =
            Request::Bind { interface: "eni-1".into(), device: "veth1".into(), wait_timeout_ms: 5 };
        let question = Question { version: VERSION, request: request.clone() };
        let line = serde_json::to_string(&question).unwrap();
        assert_eq!(
            line,
            r#"{"version":1,"request":"bind","interface":"eni-1","device":"veth1","#.to_owned()
                + r#""wait_timeout_ms":5}"#
        );
        assert_eq!(read_question(line.as_bytes()), Ok(request));
        assert_eq!(
            read_question(br#"{"version":1,"request":"bindings"}"#),
            Ok(Request::Bindings {})
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (line, code) in [
            ("", "MalformedQuestion"),
            ("{}", "MalformedQuestion"),
            ("[1]", "MalformedQuestion"),
            (r#"{"version":2,"request":"bindings","more":true}"#, "UnknownVersion"),
            (r#"{"version":1,"request":"open"}"#, "MalformedQuestion"),
            (r#"{"version":1,"request":"hits","more":true}"#, "MalformedQuestion"),
            (r#"{"version":1,"request":"bind","interface":"eni-1"}"#, "MalformedQuestion"),
        ] {
            assert_eq!(read_question(line.as_bytes()).unwrap_err().code, code, "{line}");
        }
    }

    #[test]
    fn a_reply_is_a_line_and_comes_back() {
        for (reply, expected) in [
            (Reply::answer(Answer::Hits(vec![])), r#"{"version":1,"answer":{"hits":[]}}"#),
            (
                Reply::problem(Problem::new("C", "m", "h", "p")),
                r#"{"version":1,"error":{"code":"C","message":"m","help":"h","place":"p"}}"#,
            ),
        ] {
            let line = serde_json::to_string(&reply).unwrap();
            assert_eq!(line, expected);
            assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
        }
    }
}
