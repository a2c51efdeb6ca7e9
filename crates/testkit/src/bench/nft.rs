//! The policy as nftables rulesets: the same rules as a list with sets, and as verdict maps. Text
//! only; nothing here runs `nft`. IPv4 only, as what it is compared with.
//!
//! The hook is the earliest at which connections are tracked, so that nftables refuses as early as
//! it can, and the chain holds nothing that tells interfaces apart: it is all about ours.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

use portcullis_core::net::{Family, Ports, Protocol, protocol};
use portcullis_core::resolve::{ResolvedPeer, ResolvedRule};
use portcullis_core::rule::Policy;

use super::scenario::{MEMBER_GROUPS, Scenario, member, member_group};

/// The table's head. Tracked connections go first: a list is walked for first packets only.
const HEAD: &str = "table ip bench {\n";
const HOOK: &str =
    "  chain rules {\n    type filter hook prerouting priority mangle; policy accept;
    ct state established,related accept\n";

/// Tracking and one rule about it, as what everybody who tracks at least pays.
pub fn only_tracking() -> String {
    format!("{HEAD}{HOOK}  }}\n}}\n")
}

/// The rules one after the other, a set for each group.
pub fn linear(scenario: &Scenario) -> String {
    let mut text = HEAD.to_owned();
    for number in 0..MEMBER_GROUPS {
        let name = set_name(&member_group(number));
        let _ = writeln!(text, "  set {name} {{ type ipv4_addr; elements = {{");
        for member in members_of(scenario, number) {
            let _ = writeln!(text, "{member},");
        }
        text.push_str("  } }\n");
    }
    text.push_str(HOOK);
    for rule in scenario.policy.egress.iter() {
        let _ = writeln!(text, "    {}", rule_text(rule));
    }
    text.push_str("  }\n}\n");
    text
}

/// One rule of a list.
pub fn rule_text(rule: &ResolvedRule) -> String {
    let peer = match &rule.peer {
        ResolvedPeer::Group(group) => format!("ip daddr @{}", set_name(group.as_str())),
        ResolvedPeer::Prefixes(prefixes) => {
            let (low, high) = prefixes.first().map_or((0, 0), |prefix| prefix.range());
            let length = (high - low + 1).trailing_zeros();
            match length {
                32 => String::new(),
                bits => format!("ip daddr {}/{}", Ipv4Addr::from_bits(low as u32), 32 - bits),
            }
        }
    };
    let verdict = verdict_text(rule.rule.policy);
    let ports = match rule.ports.first() {
        Some(Ports::Range { first, last }) if first == last => format!(" dport {first}"),
        Some(Ports::Range { first, last }) => format!(" dport {first}-{last}"),
        Some(Ports::Any) | None => String::new(),
    };
    let protocol = match (rule.rule.protocol, ports.as_str()) {
        (Protocol::All, _) => String::new(),
        (Protocol::TCP, "") => "meta l4proto tcp".to_owned(),
        (Protocol::UDP, "") => "meta l4proto udp".to_owned(),
        (Protocol::TCP, ports) => format!("tcp{ports}"),
        (Protocol::UDP, ports) => format!("udp{ports}"),
        (Protocol::Number(number), _) => format!("meta l4proto {number}"),
    };
    let words = [peer.as_str(), &protocol, verdict];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn verdict_text(policy: Policy) -> &'static str {
    match policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    }
}

/// Names of nftables know no dash.
pub fn set_name(group: &str) -> String {
    group.replace('-', "_")
}

fn members_of(scenario: &Scenario, group: usize) -> impl Iterator<Item = std::net::IpAddr> {
    (group..scenario.size.members).step_by(MEMBER_GROUPS).map(|number| member(Family::V4, number))
}

/// What a set of rules says of every protocol and port: runs of ports with one verdict, for each
/// protocol that has ports, and one verdict for ICMP and one for all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Says {
    tcp: Vec<(u16, u16, Policy)>,
    udp: Vec<(u16, u16, Policy)>,
    icmp: Option<Policy>,
    other: Option<Policy>,
}

impl Says {
    /// Of rules in the order in which they are asked; what none decides is left out.
    fn of(rules: &[&ResolvedRule]) -> Self {
        let whole = |number: u8| {
            let mut named = rules.iter().filter(|rule| {
                rule.rule.protocol.matches(Family::V4, number) && rule.ports.contains(&Ports::Any)
            });
            named.next().map(|rule| rule.rule.policy)
        };
        Self {
            tcp: runs(rules, protocol::TCP),
            udp: runs(rules, protocol::UDP),
            icmp: whole(protocol::ICMP),
            other: whole(u8::MAX),
        }
    }

    /// Elements of the maps by protocol and port, with what stands before.
    fn port_elements(&self, key: &str, text: &mut String) -> usize {
        for (name, runs) in [("tcp", &self.tcp), ("udp", &self.udp)] {
            for (first, last, policy) in runs {
                let ports = match first == last {
                    true => first.to_string(),
                    false => format!("{first}-{last}"),
                };
                let _ = writeln!(text, "{key} . {name} . {ports} : {},", verdict_text(*policy));
            }
        }
        self.tcp.len() + self.udp.len()
    }
}

/// Runs of ports that the rules decide alike.
fn runs(rules: &[&ResolvedRule], number: u8) -> Vec<(u16, u16, Policy)> {
    let rules = rules.iter().filter(|rule| rule.rule.protocol.matches(Family::V4, number));
    let rules: Vec<(u32, u32, Policy)> = rules
        .flat_map(|rule| rule.ports.iter().map(|ports| (*ports, rule.rule.policy)))
        .map(|(ports, policy)| match ports {
            Ports::Any => (0, u32::from(u16::MAX), policy),
            Ports::Range { first, last } => (u32::from(first), u32::from(last), policy),
        })
        .collect();
    let mut edges: Vec<u32> = rules.iter().flat_map(|(low, high, _)| [*low, high + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut found: Vec<(u16, u16, Policy)> = Vec::new();
    for edge in edges.windows(2) {
        let &[low, next] = edge else { continue };
        let first = rules.iter().find(|(from, to, _)| *from <= low && low <= *to);
        let Some((_, _, policy)) = first else { continue };
        match found.last_mut() {
            Some((_, last, said)) if u32::from(*last) + 1 == low && said == policy => {
                *last = (next - 1) as u16;
            }
            _ => found.push((low as u16, (next - 1) as u16, *policy)),
        }
    }
    found
}

/// Verdict maps: members by group, everybody else by class of address.
pub fn verdict_maps(scenario: &Scenario) -> String {
    let (mut members, mut by_group) = (String::new(), String::new());
    for number in 0..MEMBER_GROUPS {
        let name = member_group(number);
        let rules: Vec<&ResolvedRule> =
            scenario.policy.egress.iter().filter(|rule| names(rule, &name)).collect();
        let says = Says::of(&rules);
        for member in members_of(scenario, number) {
            let _ = writeln!(members, "{member} : {},", mark(number + 1));
        }
        says.port_elements(&mark(number + 1), &mut by_group);
    }
    let rules: Vec<&ResolvedRule> = scenario
        .policy
        .egress
        .iter()
        .filter(|rule| matches!(rule.peer, ResolvedPeer::Prefixes(_)))
        .collect();
    let (mut classes, mut by_class, mut icmp, mut other) =
        (String::new(), String::new(), String::new(), String::new());
    let mut known: BTreeMap<Says, usize> = BTreeMap::new();
    for (low, high, says) in intervals(&rules) {
        let range = format!("{}-{}", Ipv4Addr::from_bits(low), Ipv4Addr::from_bits(high));
        for (text, said) in [(&mut icmp, says.icmp), (&mut other, says.other)] {
            if let Some(policy) = said {
                let _ = writeln!(text, "{range} : {},", verdict_text(policy));
            }
        }
        let next = known.len() + 1;
        let class = *known.entry(says.clone()).or_insert(next);
        if class == next {
            says.port_elements(&mark(class), &mut by_class);
        }
        let _ = writeln!(classes, "{range} : {},", mark(class));
    }
    let by_ports = "mark . inet_proto . inet_service : verdict; flags interval";
    let mut text = HEAD.to_owned();
    for (name, kind, elements) in [
        ("members", "ipv4_addr : mark", members),
        ("by_group", by_ports, by_group),
        ("classes", "ipv4_addr : mark; flags interval", classes),
        ("by_class", by_ports, by_class),
        ("of_icmp", "ipv4_addr : verdict; flags interval", icmp),
        ("other", "ipv4_addr : verdict; flags interval", other),
    ] {
        let _ = writeln!(text, "  map {name} {{ type {kind}; elements = {{\n{elements}  }} }}");
    }
    text.push_str(HOOK);
    let ports = "meta l4proto { tcp, udp }";
    for rule in [
        &format!(
            "{ports} meta mark set ip daddr map @members \
             meta mark . meta l4proto . th dport vmap @by_group"
        ),
        &format!(
            "{ports} meta mark set ip daddr map @classes \
             meta mark . meta l4proto . th dport vmap @by_class"
        ),
        "meta l4proto icmp ip daddr vmap @of_icmp",
        "ip daddr vmap @other",
        "drop",
    ] {
        let _ = writeln!(text, "    {rule}");
    }
    text.push_str("  }\n}\n");
    text
}

/// A mark that reads the same from both ends: nft 1.0.6 turns the bytes of some marks that stand in
/// a key with ranges.
fn mark(number: usize) -> String {
    let [low, high, ..] = number.to_le_bytes();
    format!("{:#010x}", u32::from_be_bytes([low, high, high, low]))
}

fn names(rule: &ResolvedRule, wanted: &str) -> bool {
    matches!(&rule.peer, ResolvedPeer::Group(group) if group.as_str() == wanted)
}

/// Intervals of addresses that the rules treat alike, neighbours joined.
fn intervals(rules: &[&ResolvedRule]) -> Vec<(u32, u32, Says)> {
    let range_of = |rule: &ResolvedRule| match &rule.peer {
        ResolvedPeer::Prefixes(prefixes) => prefixes.first().map(|prefix| prefix.range()),
        ResolvedPeer::Group(_) => None,
    };
    let ranges: Vec<(u128, u128, &ResolvedRule)> = rules
        .iter()
        .filter_map(|rule| range_of(rule).map(|(low, high)| (low, high, *rule)))
        .collect();
    let mut edges: Vec<u128> = ranges.iter().flat_map(|(low, high, _)| [*low, high + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut found: Vec<(u32, u32, Says)> = Vec::new();
    for edge in edges.windows(2) {
        let &[low, next] = edge else { continue };
        let here = ranges.iter().filter(|(from, to, _)| *from <= low && low <= *to);
        let says = Says::of(&here.map(|(_, _, rule)| *rule).collect::<Vec<_>>());
        match found.last_mut() {
            Some((_, high, said)) if u128::from(*high) + 1 == low && *said == says => {
                *high = (next - 1) as u32;
            }
            _ => found.push((low as u32, (next - 1) as u32, says)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Size, flow};
    use super::*;
    use portcullis_core::evaluate::Evaluator;
    use portcullis_core::verdict::Judge;

    fn scenario(rules: usize) -> Scenario {
        Scenario::new(7, Size { rules, members: 400, family: Family::V4 }).unwrap()
    }

    #[test]
    fn rules_are_told_in_order_with_their_sets() {
        let scenario = scenario(60);
        let text = linear(&scenario);
        assert_eq!(text.matches("  set sg_m").count(), MEMBER_GROUPS);
        assert!(text.contains("10.128.0.0,\n10.128.0.20,"), "{text}");
        let rules = text.split_once("established,related accept\n").unwrap().1;
        let rules: Vec<&str> = rules.lines().map(str::trim).take(60).collect();
        assert!(rules[0].starts_with("ip daddr @sg_m"), "{}", rules[0]);
        assert_eq!(rules[59], "drop");
        assert!(rules.iter().all(|rule| rule.ends_with("accept") || rule.ends_with("drop")));
    }

    /// What the maps say, read from their text.
    fn judge(maps: &str, address: Ipv4Addr, kind: &str, port: u16) -> Option<String> {
        let elements = |name: &str| {
            let start = maps.split_once(&format!("  map {name} {{")).unwrap().1;
            let body = start.split_once("elements = {\n").unwrap().1.split_once("  } }").unwrap().0;
            body.lines().map(|line| line.trim_end_matches(',').to_owned()).collect::<Vec<_>>()
        };
        let within = |range: &str, number: u32, read: fn(&str) -> u32| {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            (read(low)..=read(high)).contains(&number)
        };
        let as_address = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
        let as_number = |text: &str| text.parse::<u32>().unwrap();
        for (keys, verdicts) in [("members", "by_group"), ("classes", "by_class")] {
            let mark = elements(keys).into_iter().find_map(|line| {
                let (range, mark) = line.split_once(" : ")?;
                within(range, address.to_bits(), as_address).then(|| mark.to_owned())
            });
            let Some(mark) = mark else { continue };
            let verdict = elements(verdicts).into_iter().find_map(|line| {
                let (key, verdict) = line.split_once(" : ")?;
                let parts: Vec<&str> = key.split(" . ").collect();
                let is_same = parts[0] == mark && parts[1] == kind;
                (is_same && within(parts[2], port.into(), as_number)).then(|| verdict.to_owned())
            });
            if verdict.is_some() {
                return verdict;
            }
        }
        None
    }

    #[test]
    fn the_maps_say_what_the_rules_say() {
        let scenario = scenario(60);
        let maps = verdict_maps(&scenario);
        let mut evaluator = Evaluator::new(&scenario.world);
        for (kind, name) in [(protocol::TCP, "tcp"), (protocol::UDP, "udp")] {
            for wanted in [Policy::Accept, Policy::Drop] {
                for tuple in scenario.tuples(kind, wanted, 40).unwrap() {
                    assert_eq!(evaluator.judge(&flow(&tuple).unwrap()).unwrap().policy, wanted);
                    let std::net::IpAddr::V4(to) = tuple.destination else { unreachable!() };
                    let said = judge(&maps, to, name, tuple.destination_port);
                    assert_eq!(said.as_deref(), Some(verdict_text(wanted)), "{tuple:?}");
                }
            }
        }
    }

    #[test]
    fn marks_are_the_same_in_either_order_of_bytes() {
        assert_eq!([1, 131, 258].map(mark), ["0x01000001", "0x83000083", "0x02010102"]);
    }

    #[test]
    fn runs_are_disjoint_and_joined() {
        let scenario = scenario(60);
        let rules: Vec<&ResolvedRule> = scenario.policy.egress.iter().collect();
        for kind in [protocol::TCP, protocol::UDP] {
            let runs = runs(&rules, kind);
            for pair in runs.windows(2) {
                let ((_, last, said), (first, _, says)) = (pair[0], pair[1]);
                assert!(last < first && (last + 1 < first || said != says), "{pair:?}");
            }
        }
    }
}
