//! The policy as input of `iptables-restore` and `ipset restore`. Text only; nothing here runs
//! them.
//!
//! The table is `mangle`: its chain is the earliest at which connections are tracked and packets
//! may be dropped.

use std::fmt::Write;
use std::net::Ipv4Addr;

use portcullis_core::net::{Family, Ports, Protocol};
use portcullis_core::resolve::{ResolvedPeer, ResolvedRule};
use portcullis_core::rule::Policy;

use super::scenario::{MEMBER_GROUPS, Scenario, member, member_group};

/// Elements that a set may have, as it is made.
const SET_MEMBERS_MAX: usize = 131_072;

/// The sets of the groups.
pub fn sets(scenario: &Scenario) -> String {
    let mut text = String::new();
    for number in 0..MEMBER_GROUPS {
        let name = member_group(number);
        let _ = writeln!(text, "create {name} hash:ip family inet maxelem {SET_MEMBERS_MAX}");
        for member in (number..scenario.size.members).step_by(MEMBER_GROUPS) {
            let _ = writeln!(text, "add {name} {}", self::member(Family::V4, member));
        }
    }
    text
}

/// The rules, for `iptables-restore`.
pub fn rules(scenario: &Scenario) -> String {
    let mut text = "*mangle\n:PREROUTING ACCEPT [0:0]\n".to_owned();
    text.push_str("-A PREROUTING -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n");
    for rule in scenario.policy.egress.iter() {
        let _ = writeln!(text, "-A PREROUTING {}", rule_text(rule));
    }
    text.push_str("COMMIT\n");
    text
}

fn rule_text(rule: &ResolvedRule) -> String {
    let mut words = Vec::new();
    let prefix = match &rule.peer {
        ResolvedPeer::Prefixes(prefixes) => prefixes.first(),
        ResolvedPeer::Group(_) => None,
    };
    if let Some((low, high)) = prefix.map(|prefix| prefix.range()).filter(|r| *r != (0, ALL)) {
        let length = 32 - (high - low + 1).trailing_zeros();
        words.push(format!("-d {}/{length}", Ipv4Addr::from_bits(low as u32)));
    }
    match rule.rule.protocol {
        Protocol::All => {}
        Protocol::Number(number) => words.push(format!("-p {number}")),
    }
    if let ResolvedPeer::Group(group) = &rule.peer {
        words.push(format!("-m set --match-set {group} dst"));
    }
    if let Some(Ports::Range { first, last }) = rule.ports.first() {
        words.push(format!("--dport {first}:{last}"));
    }
    words.push(match rule.rule.policy {
        Policy::Accept => "-j ACCEPT".to_owned(),
        Policy::Drop => "-j DROP".to_owned(),
    });
    words.join(" ")
}

/// The last IPv4 address as a number.
const ALL: u128 = u32::MAX as u128;

#[cfg(test)]
mod tests {
    use super::super::scenario::Size;
    use super::*;

    #[test]
    fn every_rule_and_member_is_told() {
        let size = Size { rules: 50, members: 100, family: Family::V4 };
        let scenario = Scenario::new(5, size).unwrap();
        let sets = sets(&scenario);
        assert_eq!(sets.matches("create ").count(), MEMBER_GROUPS);
        assert_eq!(sets.matches("\nadd ").count(), 100);
        assert!(sets.contains("add sg-m3 10.128.0.3\n"), "{sets}");
        let rules = rules(&scenario);
        let lines: Vec<&str> = rules.lines().collect();
        assert_eq!(lines.len(), 2 + 1 + 50 + 1);
        assert_eq!(lines[52], "-A PREROUTING -j DROP");
        let groups = lines.iter().filter(|line| line.contains("--match-set")).count();
        assert_eq!(groups, 20);
        let ports = lines.iter().find(|line| line.contains("--dport")).unwrap();
        assert!(ports.contains("-p 6") || ports.contains("-p 17"), "{ports}");
    }
}
