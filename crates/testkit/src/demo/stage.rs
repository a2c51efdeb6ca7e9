//! Where the story is carried out: what a stage can do, and what it reports. Two kinds exist.

use crate::lab::estate::{Call, Estate, authorize_action};
use crate::lab::language::{FlowKind, FlowLine, Judgement, Step, read};
use crate::lab::product::Product;
use std::time::Duration;

/// A place where the story can happen.
pub(super) trait Stage {
    /// What exists in the API.
    fn estate(&self) -> &Estate;
    /// The program.
    fn product(&self) -> &Product;
    /// Makes a change, and times its effect by the fate of a flow.
    fn change(&mut self, line: &str, watch: Option<&str>) -> Result<Option<Change>, String>;
    /// Sends a flow.
    fn flow(&mut self, line: &str) -> Result<Row, String>;
    /// Opens a stream that goes on.
    fn open_stream(&mut self, line: &str) -> Result<Row, String>;
    /// The stream must halt.
    fn stream_stops(&mut self, line: &str) -> Result<Row, String>;
    /// The stream must go on.
    fn stream_goes_on(&mut self, line: &str) -> Result<Row, String>;
}

/// A call that was made.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The action.
    pub(super) action: &'static str,
    /// Its parameters as they were sent, without those of every call.
    pub(super) parameters: Vec<(String, String)>,
    /// The rule that it made.
    pub(super) rule: Option<String>,
    /// What the answer says about enforcement.
    pub(super) status: String,
    /// From the call to its answer.
    pub(super) answered: Duration,
    /// From the call to its effect on packets.
    pub(super) effect: Option<Duration>,
}

/// One flow, what was expected and what was seen.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Who to whom.
    pub(super) flow: String,
    /// The word for what is expected.
    pub(super) expected: &'static str,
    /// The word for what happened.
    pub(super) happened: &'static str,
    /// What was said of it, in order: reason, and the rule's id or nothing.
    pub(super) said: Vec<(String, String)>,
    /// From the call before it to its effect.
    pub(super) effect: Option<Duration>,
    /// How it differs from what was expected.
    pub(super) trouble: Option<String>,
}

/// What was seen of a flow, in the same words as what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// It got through.
    pub(super) passes: bool,
    /// What was said of it; rules by id.
    pub(super) judgements: Vec<Judgement>,
}

/// Reads a line that must be a flow.
pub(super) fn flow_line(line: &str) -> Result<FlowLine, String> {
    match read(line)? {
        Some(Step::Flow(flow)) => Ok(flow),
        _ => Err(format!("`{line}` is no flow")),
    }
}

/// Reads a line that must be a step.
pub(super) fn step(line: &str) -> Result<Step, String> {
    read(line)?.ok_or_else(|| "an empty line".to_owned())
}

/// A call before it is made: its action and parameters, as they are shown.
pub(super) struct Described {
    action: &'static str,
    parameters: Vec<(String, String)>,
}

/// The call that a step makes, if it is one that is shown.
pub(super) fn describe(estate: &Estate, step: &Step) -> Result<Option<Described>, String> {
    let rule_call = |action, line| {
        let parameters = estate.parameters(line)?;
        Ok(Some(Described { action, parameters }))
    };
    match step {
        Step::Authorize(line) => rule_call(authorize_action(line), line),
        Step::Revoke(name) => {
            let line = &estate.rule(name)?.line;
            let action =
                if line.egress { "RevokeSecurityGroupEgress" } else { "RevokeSecurityGroup" };
            rule_call(action, line)
        }
        _ => Ok(None),
    }
}

/// What is shown of a call that was made.
pub(super) fn change_made(
    estate: &Estate,
    step: &Step,
    described: Option<Described>,
    call: Option<Call>,
    effect: Option<Duration>,
) -> Option<Change> {
    let (Described { action, parameters }, call) = described.zip(call)?;
    let rule = match step {
        Step::Authorize(line) => estate.rule(&line.name).ok().map(|rule| rule.id.clone()),
        _ => None,
    };
    let status = call.answer.text("/EnforcementStatus").unwrap_or_default();
    Some(Change { action, parameters, rule, status, answered: call.took, effect })
}

/// A row for a flow that was sent.
pub(super) fn row(estate: &Estate, line: &FlowLine, seen: &Seen) -> Result<Row, String> {
    let mut expected = Vec::new();
    for judgement in &line.judgements {
        let rule = match &judgement.rule {
            Some(name) => Some(estate.rule(name)?.id.clone()),
            None => None,
        };
        expected.push(Judgement { rule, ..judgement.clone() });
    }
    let wanted = Seen { passes: line.passes, judgements: expected };
    let trouble = (*seen != wanted).then(|| {
        let list = |seen: &Seen| {
            let said = seen.judgements.iter().map(ToString::to_string).collect::<Vec<_>>();
            let word = if seen.passes { "passes" } else { "dropped" };
            format!("{word}; {}", said.join("; "))
        };
        format!("expected: {}\n    but saw: {}", list(&wanted), list(seen))
    });
    Ok(Row {
        flow: flow_text(line),
        expected: if line.passes { "pass" } else { "drop" },
        happened: if seen.passes { "passed" } else { "dropped" },
        said: seen.judgements.iter().map(said).collect(),
        effect: None,
        trouble,
    })
}

/// What was said, for a table: the reason, and the rule's id or nothing.
pub(super) fn said(judgement: &Judgement) -> (String, String) {
    let Judgement { instance, direction, reason, rule } = judgement;
    (format!("{instance} {direction}: {reason}"), rule.clone().unwrap_or_default())
}

/// A flow for a table.
pub(super) fn flow_text(line: &FlowLine) -> String {
    let (to, family) = match line.to.strip_suffix('6') {
        Some(to) => (to, " IPv6"),
        None => (line.to.as_str(), ""),
    };
    match line.kind {
        FlowKind::Tcp => format!("{} → {to} TCP {}{family}", line.from, line.port),
        FlowKind::Udp => format!("{} → {to} UDP {}{family}", line.from, line.port),
        FlowKind::Ping => format!("{} → {to} ping{family}", line.from),
    }
}
