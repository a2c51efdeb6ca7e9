//! The case language: worlds, flows and the verdicts that they must have, one readable line each.
//!
//! `cases/policy/README.md` describes it to whoever writes cases. It reads text; who judges the
//! flows and what a verdict means, it does not know.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use portcullis_core::flow::{Flow, FlowPorts};
use portcullis_core::net::{Cidr, Family, Mac, Ports, protocol};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::verdict::{DecidingRule, Reason, Verdict};
use portcullis_core::world::{
    Group, GroupType, InnerAccess, Interface, PortRangeList, PrefixList, World,
};

/// A flow of a case and the verdict that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The line it stands in, counted from 1.
    pub line: usize,
    /// The flow.
    pub flow: Flow,
    /// Its verdict.
    pub verdict: Verdict,
}

/// A world as it is for a while, and the flows judged in it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The world.
    pub world: World,
    /// The flows.
    pub expectations: Vec<Expectation>,
}

/// Parses a case file. The error names its line.
pub fn parse_case(text: &str) -> Result<Vec<Scene>, String> {
    let mut scenes: Vec<Scene> = Vec::new();
    let mut world = World::new();
    let mut group = None;
    // Whether the world has changed since the last flow.
    let mut changed = true;
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split_once('#').map_or(text, |(text, _)| text);
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let at = |error: String| format!("line {line}: {error}");
        if words.contains(&"->") {
            if changed {
                scenes.push(Scene { world: world.clone(), expectations: Vec::new() });
                changed = false;
            }
            let expectation = read_flow(&world, line, &words).map_err(at)?;
            if let Some(scene) = scenes.last_mut() {
                scene.expectations.push(expectation);
            }
            continue;
        }
        changed = true;
        let mut words = Words(words.into_iter());
        if text.starts_with(' ') {
            let group = group.as_ref().ok_or_else(|| at("a rule without a group".into()))?;
            world.put_rule(group, Arc::new(read_rule(words).map_err(at)?));
            continue;
        }
        match words.next("a keyword").map_err(at)? {
            "group" => {
                let read = read_group(&world, words).map_err(at)?;
                group = Some(read.id.clone());
                world.put_group(read);
            }
            "interface" => world.put_interface(read_interface(words).map_err(at)?),
            "prefixes" => world.put_prefix_list(read_prefixes(words).map_err(at)?),
            "ports" => world.put_port_range_list(read_ports(words).map_err(at)?),
            other => return Err(at(format!("unknown keyword `{other}`"))),
        }
    }
    Ok(scenes)
}

/// The words of a line, taken one by one.
struct Words<'a>(std::vec::IntoIter<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| format!("{what} is missing"))
    }

    fn value<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        value(self.next(what)?, what)
    }

    fn rest<T: FromStr>(self, what: &str) -> Result<Vec<T>, String> {
        self.0.map(|word| value(word, what)).collect()
    }
}

fn value<T: FromStr>(word: &str, what: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is not {what}"))
}

/// `group ID VPC [normal|enterprise] [accept|drop]`. A group that is there keeps its rules.
fn read_group(world: &World, mut words: Words<'_>) -> Result<Group, String> {
    let id = words.value("a group id")?;
    let vpc = Some(words.value("a VPC id")?);
    let mut group_type = GroupType::Basic;
    let mut inner_access = None;
    for word in words.0 {
        match word {
            "normal" => group_type = GroupType::Basic,
            "enterprise" => group_type = GroupType::Enterprise,
            "accept" => inner_access = Some(InnerAccess::Accept),
            "drop" => inner_access = Some(InnerAccess::Drop),
            other => return Err(format!("`{other}` is no type or inner access of a group")),
        }
    }
    let by_type = match group_type {
        GroupType::Basic => InnerAccess::Accept,
        GroupType::Enterprise => InnerAccess::Drop,
    };
    let rules = world.group(&id).map_or_else(BTreeMap::new, |group| group.rules.clone());
    Ok(Group { id, vpc, group_type, inner_access: inner_access.unwrap_or(by_type), rules })
}

/// `ID DIRECTION POLICY PRIORITY PROTOCOL PORTS PEER [sports PORTS] [local CIDR]`.
fn read_rule(mut words: Words<'_>) -> Result<Rule, String> {
    let mut rule = Rule {
        id: words.value("a rule id")?,
        direction: read_direction(&mut words)?,
        policy: words.next("a policy")?.parse::<Policy>().map_err(|_| "no policy")?,
        priority: Priority::new(words.value("a priority")?).ok_or("no priority")?,
        protocol: words.value("a protocol")?,
        ports: match words.next("ports")? {
            list if list.starts_with("prl-") => PortMatch::List(value(list, "a list id")?),
            ports => PortMatch::Ports(port_range(ports)?),
        },
        peer: match words.next("a peer")? {
            group if group.starts_with("sg-") => Peer::Group(value(group, "a group id")?),
            list if list.starts_with("pl-") => Peer::PrefixList(value(list, "a list id")?),
            cidr => Peer::Cidr(value(cidr, "a CIDR")?),
        },
        source_ports: Ports::Any,
        local: None,
    };
    while let Ok(word) = words.next("") {
        match word {
            "sports" => rule.source_ports = port_range(words.next("source ports")?)?,
            "local" => rule.local = Some(words.value("a CIDR")?),
            other => return Err(format!("`{other}` is neither `sports` nor `local`")),
        }
    }
    Ok(rule)
}

fn read_direction(words: &mut Words<'_>) -> Result<Direction, String> {
    words.next("a direction")?.parse().map_err(|_| "a direction is egress or ingress".into())
}

fn port_range(word: &str) -> Result<Ports, String> {
    if word == "any" { Ok(Ports::Any) } else { value(word, "a port range or `any`") }
}

/// `interface ID VPC MAC|- ADDRESS… in GROUP… [unchecked]`.
fn read_interface(mut words: Words<'_>) -> Result<Interface, String> {
    let id = words.value("an interface id")?;
    let vpc = words.value("a VPC id")?;
    let mac = match words.next("a MAC or `-`")? {
        "-" => None,
        mac => Some(value::<Mac>(mac, "a MAC")?),
    };
    let mut interface = Interface {
        id,
        vpc,
        mac,
        addresses: Vec::new(),
        groups: Vec::new(),
        source_dest_check: None,
    };
    loop {
        match words.next("`in`")? {
            "in" => break,
            word => interface.addresses.push(value::<Cidr>(word, "an address")?.prefix()),
        }
    }
    while let Ok(word) = words.next("") {
        match word {
            "unchecked" => interface.source_dest_check = Some(false),
            group => interface.groups.push(value(group, "a group id")?),
        }
    }
    Ok(interface)
}

/// `prefixes ID IPv4|IPv6 CIDR…`.
fn read_prefixes(mut words: Words<'_>) -> Result<PrefixList, String> {
    let id = words.value("a prefix list id")?;
    let family = match words.next("a family")? {
        "IPv4" => Family::V4,
        "IPv6" => Family::V6,
        other => return Err(format!("`{other}` is no family")),
    };
    Ok(PrefixList { id, family, entries: words.rest("a CIDR")? })
}

/// `ports ID PORTS…`.
fn read_ports(mut words: Words<'_>) -> Result<PortRangeList, String> {
    let id = words.value("a port range list id")?;
    let entries = words.0.map(port_range).collect::<Result<_, _>>()?;
    Ok(PortRangeList { id, entries })
}

/// `INTERFACE DIRECTION PROTOCOL SOURCE > DESTINATION -> POLICY REASON [RULE]`.
fn read_flow(world: &World, line: usize, words: &[&str]) -> Result<Expectation, String> {
    let &[
        interface,
        direction,
        protocol,
        source,
        ">",
        destination,
        "->",
        policy,
        reason,
        ref rule @ ..,
    ] = words
    else {
        let shape = "INTERFACE DIRECTION PROTOCOL SOURCE > DESTINATION -> POLICY REASON [RULE]";
        return Err(format!("a flow is `{shape}`"));
    };
    let protocol =
        protocol::number(protocol).ok_or_else(|| format!("`{protocol}` is no protocol"))?;
    let has_ports = matches!(protocol, protocol::TCP | protocol::UDP);
    let (source, source_port) = endpoint(source, has_ports)?;
    let (destination, destination_port) = endpoint(destination, has_ports)?;
    let ports =
        has_ports.then_some(FlowPorts { source: source_port, destination: destination_port });
    let direction = direction.parse().map_err(|_| "a direction is egress or ingress")?;
    let interface = value(interface, "an interface id")?;
    let flow =
        Flow::new(interface, direction, protocol, source, destination, ports).map_err(text)?;
    let policy = policy.parse().map_err(|_| format!("`{policy}` is no policy"))?;
    let named = Reason::ALL.into_iter().find(|known| known.name() == reason);
    let reason = named.ok_or_else(|| format!("`{reason}` is no reason"))?;
    let rule = match (reason, rule) {
        (Reason::Rule, [rule]) => Some(deciding_rule(world, rule)?),
        (Reason::Rule, _) => return Err("one rule must be named".into()),
        (_, []) => None,
        (_, more) => return Err(format!("{more:?} stands behind the reason")),
    };
    Ok(Expectation { line, flow, verdict: Verdict { policy, reason, rule } })
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// `ADDRESS` or, with ports, `ADDRESS:PORT`; IPv6 addresses stand in brackets then.
fn endpoint(word: &str, has_port: bool) -> Result<(IpAddr, u16), String> {
    if !has_port {
        return Ok((value(word, "an address")?, 0));
    }
    let (address, port) = word.rsplit_once(':').ok_or("a port is missing")?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    Ok((value(address, "an address")?, value(port, "a port")?))
}

fn deciding_rule(world: &World, rule: &str) -> Result<DecidingRule, String> {
    let rule = value(rule, "a rule id")?;
    let group = world.groups().find(|group| group.rules.contains_key(&rule));
    let group = group.ok_or_else(|| format!("there is no rule `{rule}`"))?.id.clone();
    Ok(DecidingRule { group, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORLD: &str = "group sg-a vpc-1\ninterface eni-a vpc-1 - 10.0.0.5 in sg-a\n";

    #[test]
    fn a_changed_world_begins_a_scene() {
        let flow = "eni-a egress icmp 10.0.0.5 > 10.0.0.9 ->";
        let text = format!(
            "{WORLD}{flow} accept default # by type\n{flow} accept default\n\
             group sg-a vpc-1\n  sgr-1 egress drop 1 ALL any 10.0.0.0/8\n{flow} drop rule sgr-1\n"
        );
        let scenes = parse_case(&text).unwrap();
        let lines: Vec<Vec<usize>> = scenes
            .iter()
            .map(|scene| scene.expectations.iter().map(|e| e.line).collect())
            .collect();
        assert_eq!(lines, [vec![3, 4], vec![7]]);
        assert_eq!(scenes[1].expectations[0].verdict.rule.as_ref().unwrap().group.as_str(), "sg-a");
    }

    #[test]
    fn what_is_no_case_is_told_with_its_line() {
        for (line, error) in [
            ("grop sg-b vpc-1", "line 3: unknown keyword `grop`"),
            ("group sg-b", "line 3: a VPC id is missing"),
            ("eni-a egress tcp 10.0.0.5 > 10.0.0.9 -> drop default", "line 3: a port is missing"),
            (
                "eni-a egress icmp 10.0.0.5 > ::1 -> drop x",
                "line 3: source and destination are of different address families",
            ),
            ("eni-a egress icmp 10.0.0.5 > 1.1.1.1 -> drop x", "line 3: `x` is no reason"),
            ("eni-a egress icmp 10.0.0.5 > 1.1.1.1 -> drop rule", "line 3: one rule must be named"),
        ] {
            assert_eq!(parse_case(&format!("{WORLD}{line}\n")).unwrap_err(), error);
        }
        let orphan = parse_case("  sgr-1 egress drop 1 ALL any 10.0.0.0/8").unwrap_err();
        assert_eq!(orphan, "line 1: a rule without a group");
    }
}
