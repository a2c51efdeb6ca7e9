//! The language of live tests: what is set up, what travels, what is expected, one thing a line.
//!
//! ```text
//! group extra enterprise                             a group, basic unless said otherwise
//! instance a in a                                    an instance, in these groups
//! web = a egress accept tcp 80/80 to outside         a rule of group `a`, named `web`
//! in = a ingress accept tcp ports:web from prefix:p  a rule that names lists
//! revoke web
//! a joins extra                                      and `a leaves extra`
//! inner a drop                                       members of `a` are judged by its rules
//! a tcp outside:80 -> passes; a egress rule web      a flow, and what is said of it
//! a udp b:53 from 4000 -> dropped; b ingress default
//! ```
//! `#` begins a remark. Here lines become values; doing them is the scene's affair.

use std::fmt::Display;

/// A line that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new group, and whether it is an enterprise group.
    Group {
        /// Its name in the script.
        name: String,
        /// `enterprise` instead of `normal`.
        enterprise: bool,
    },
    /// A new instance in some groups, bound and in force.
    Instance {
        /// Its name in the script.
        name: String,
        /// Its groups.
        groups: Vec<String>,
    },
    /// A new rule.
    Authorize(RuleLine),
    /// A rule goes.
    Revoke(String),
    /// An instance is in one more group.
    Join(String, String),
    /// An instance leaves a group.
    Leave(String, String),
    /// Whether members of a group reach each other whatever the rules say.
    Inner {
        /// The group.
        group: String,
        /// `Accept` instead of `Drop`.
        accept: bool,
    },
    /// Something travels.
    Flow(FlowLine),
}

/// A rule as a script writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLine {
    /// Its name in the script.
    pub name: String,
    /// The group it stands in.
    pub group: String,
    /// `egress`, not `ingress`.
    pub egress: bool,
    /// `accept` or `drop`.
    pub policy: String,
    /// As the API takes it.
    pub protocol: String,
    /// As the API takes it, or `ports:NAME` of a port range list.
    pub ports: String,
    /// A place, a CIDR, `anywhere`, `anywhere6`, `group:NAME`, or `prefix:NAME` of a prefix list.
    pub peer: String,
    /// 1 unless said otherwise.
    pub priority: String,
    /// Where set.
    pub source_ports: Option<String>,
    /// The rule's own side, where set.
    pub local: Option<String>,
}

/// A flow as a script writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowLine {
    /// The place it starts at.
    pub from: String,
    /// `tcp`, `udp` or `ping`.
    pub kind: FlowKind,
    /// The place it goes to.
    pub to: String,
    /// The port it goes to.
    pub port: u16,
    /// The port it comes from; 0 for any.
    pub source_port: u16,
    /// Whether it shall arrive.
    pub passes: bool,
    /// What shall be said of it.
    pub judgements: Vec<Judgement>,
}

/// What travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowKind {
    /// A TCP handshake.
    Tcp,
    /// A datagram.
    Udp,
    /// An echo request and its reply.
    Ping,
}

/// What one instance's interface says of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The instance.
    pub instance: String,
    /// `egress` or `ingress`.
    pub direction: String,
    /// The reason, as verdicts name it.
    pub reason: String,
    /// The rule's name in the script, where the reason is a rule.
    pub rule: Option<String>,
}

impl Display for Judgement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { instance, direction, reason, rule } = self;
        write!(formatter, "{instance} {direction} {reason}")?;
        rule.iter().try_for_each(|rule| write!(formatter, " {rule}"))
    }
}

/// Reads one line; `None` for a line that says nothing.
///
/// # Errors
/// When it is not understood.
pub fn read(line: &str) -> Result<Option<Step>, String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() {
        return Ok(None);
    }
    if let Some((flow, expected)) = line.split_once("->") {
        return read_flow(flow, expected).map(|flow| Some(Step::Flow(flow)));
    }
    if let Some((name, rule)) = line.split_once(" = ") {
        return read_rule(name.trim(), rule).map(|rule| Some(Step::Authorize(rule)));
    }
    let own = |word: &str| word.to_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    let step = match *words {
        ["group", name] => Step::Group { name: own(name), enterprise: false },
        ["group", name, "enterprise"] => Step::Group { name: own(name), enterprise: true },
        ["instance", name, "in", ref groups @ ..] if !groups.is_empty() => {
            let groups = groups.iter().map(|group| own(group)).collect();
            Step::Instance { name: own(name), groups }
        }
        ["revoke", name] => Step::Revoke(own(name)),
        [instance, "joins", group] => Step::Join(own(instance), own(group)),
        [instance, "leaves", group] => Step::Leave(own(instance), own(group)),
        ["inner", group, word @ ("accept" | "drop")] => {
            Step::Inner { group: own(group), accept: word == "accept" }
        }
        _ => return Err("not a line of this language".to_owned()),
    };
    Ok(Some(step))
}

fn read_rule(name: &str, text: &str) -> Result<RuleLine, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [group, direction @ ("egress" | "ingress"), policy, protocol, rest @ ..] = &*words else {
        return Err("a rule is: NAME = GROUP DIRECTION POLICY PROTOCOL …".to_owned());
    };
    let (ports, rest) = match rest {
        [ports, rest @ ..] if ports.contains('/') || ports.starts_with("ports:") => (*ports, rest),
        _ => ("-1/-1", rest),
    };
    let egress = *direction == "egress";
    let [link, peer, options @ ..] = rest else { return Err("a rule without a peer".to_owned()) };
    if *link != if egress { "to" } else { "from" } {
        return Err(format!("`{link}` does not go with {direction}"));
    }
    let mut rule = RuleLine {
        name: name.to_owned(),
        group: (*group).to_owned(),
        egress,
        policy: (*policy).to_owned(),
        protocol: (*protocol).to_owned(),
        ports: ports.to_owned(),
        peer: (*peer).to_owned(),
        priority: "1".to_owned(),
        source_ports: None,
        local: None,
    };
    for option in options.chunks(2) {
        match *option {
            ["priority", value] => value.clone_into(&mut rule.priority),
            ["source-ports", value] => rule.source_ports = Some(value.to_owned()),
            ["local", value] => rule.local = Some(value.to_owned()),
            _ => return Err(format!("unknown option {option:?}")),
        }
    }
    Ok(rule)
}

fn read_flow(flow: &str, expected: &str) -> Result<FlowLine, String> {
    let words: Vec<&str> = flow.split_whitespace().collect();
    let (from, kind, target, source_port) = match *words {
        [from, kind, target] => (from, kind, target, "0"),
        [from, kind, target, "from", port] => (from, kind, target, port),
        _ => return Err("a flow is: PLACE KIND PLACE[:PORT] [from PORT] -> …".to_owned()),
    };
    let kind = match kind {
        "tcp" => FlowKind::Tcp,
        "udp" => FlowKind::Udp,
        "ping" => FlowKind::Ping,
        _ => return Err(format!("`{kind}` does not travel here")),
    };
    let (to, port) = target.split_once(':').unwrap_or((target, "0"));
    let number = |text: &str| text.parse().map_err(|error| format!("port `{text}`: {error}"));
    let mut parts = expected.split(';').map(str::trim);
    let passes = match parts.next() {
        Some("passes") => true,
        Some("dropped") => false,
        other => return Err(format!("{other:?} is neither `passes` nor `dropped`")),
    };
    Ok(FlowLine {
        from: from.to_owned(),
        kind,
        to: to.to_owned(),
        port: number(port)?,
        source_port: number(source_port)?,
        passes,
        judgements: parts.map(read_judgement).collect::<Result<_, _>>()?,
    })
}

fn read_judgement(text: &str) -> Result<Judgement, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (instance, direction, reason, rule) = match *words {
        [instance, direction, "rule", rule] => (instance, direction, "rule", Some(rule.to_owned())),
        [instance, direction, reason] if reason != "rule" => (instance, direction, reason, None),
        _ => return Err(format!("`{text}` is not: INSTANCE DIRECTION REASON [RULE]")),
    };
    if !["egress", "ingress"].contains(&direction) {
        return Err(format!("`{direction}` is no direction"));
    }
    Ok(Judgement {
        instance: instance.to_owned(),
        direction: direction.to_owned(),
        reason: reason.to_owned(),
        rule,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_steps() {
        let step = |line: &str| read(line).unwrap();
        assert_eq!(step("  # a remark"), None);
        let group = Step::Group { name: "x".to_owned(), enterprise: true };
        assert_eq!(step("group x enterprise # remark"), Some(group));
        let Some(Step::Authorize(rule)) =
            step("web = a egress drop tcp 80/81 to 10.0.0.0/8 priority 7 source-ports 1/2")
        else {
            panic!("no rule");
        };
        assert_eq!((rule.name.as_str(), rule.group.as_str(), rule.egress), ("web", "a", true));
        assert_eq!((rule.ports.as_str(), rule.priority.as_str()), ("80/81", "7"));
        assert_eq!((rule.peer.as_str(), rule.source_ports), ("10.0.0.0/8", Some("1/2".to_owned())));
        let Some(Step::Flow(flow)) =
            step("a udp b:53 from 4000 -> dropped; a egress rule web; b ingress default")
        else {
            panic!("no flow");
        };
        assert_eq!(
            (flow.kind, flow.port, flow.source_port, flow.passes),
            (FlowKind::Udp, 53, 4000, false)
        );
        assert_eq!(flow.judgements[0].to_string(), "a egress rule web");
        assert_eq!(flow.judgements[1].to_string(), "b ingress default");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "open a",
            "instance a in",
            "r = a outward accept all to b",
            "r = a egress accept all from b",
            "r = a egress accept all",
            "r = a egress accept all to b priority",
            "a carrier outside -> passes",
            "a tcp outside:http -> passes",
            "a tcp outside:80 -> perhaps",
            "a tcp outside:80 -> passes; a egress rule",
            "a tcp outside:80 -> passes; a sideways default",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
