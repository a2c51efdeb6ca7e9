//! A finding as a file of `cases/packets`, ready to be kept.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis_core::net::{Ports, Prefix};
use portcullis_core::reference::Site;
use portcullis_core::resolve::{InterfacePolicy, ResolvedPeer, ResolvedRule, interface_policy};
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::world::GroupType;

use super::judges::Answer;
use super::sequence::{PICK_UP_S, STEP_MS, Sequence, Step};
use super::subject::Subject;

/// Members of the groups that matter at the interface, with the names of those groups.
type Joined = BTreeMap<Prefix, Vec<String>>;

/// The case: the packets of these steps and the answers to them.
pub(super) fn case(
    heading: &str,
    subject: &Subject,
    sequence: &Sequence,
    answers: &BTreeMap<usize, Answer>,
) -> String {
    let policies: Vec<_> = subject
        .worlds
        .iter()
        .filter_map(|world| interface_policy(world, &subject.interface))
        .collect();
    let mut text = format!("# {heading}\n");
    text += &interface(subject, &sequence.site);
    for (number, policy) in policies.iter().enumerate() {
        let used = number == 0 || sequence.steps.contains(&Step::World(number));
        if used {
            text += &rules(number, policy);
        }
    }
    text += "case found\n";
    if sequence.site.any_link_local {
        text += "  any-link-local\n";
    }
    for server in &sequence.site.dhcp4_servers {
        let _ = writeln!(text, "  dhcp-server {server}");
    }
    let (mut world, mut joined) = (0, Joined::new());
    text += &joins(&mut joined, members(subject, world, &policies));
    for (at, step) in sequence.steps.iter().enumerate() {
        match step {
            Step::Wait(steps) => drop(writeln!(text, "  wait {}ms", steps * STEP_MS)),
            Step::PickUp => drop(writeln!(text, "  pick-up {PICK_UP_S}s")),
            Step::Closed => text += "  policy closed\n",
            Step::World(next) => {
                world = *next;
                let _ = writeln!(text, "  policy world-{world}");
                text += &joins(&mut joined, members(subject, world, &policies));
            }
            Step::Frame(direction, draft) => {
                let word = match direction {
                    Direction::Egress => "out",
                    Direction::Ingress => "in ",
                };
                // Where there is no answer the kernel did not run the program.
                let Some(answer) = answers.get(&at) else { continue };
                // A kept verdict may be by a rule of a world before.
                let policy = policies.get(world).filter(|_| !sequence.site.keep_established);
                let _ = writeln!(text, "  {word} {draft} = {}", words(answer, policy));
            }
        }
    }
    text
}

/// The answer, its rule by its number in the set of rules.
fn words(answer: &Answer, policy: Option<&InterfacePolicy>) -> String {
    let rules = policy.iter().flat_map(|policy| policy.all_rules());
    let at = answer
        .rule
        .as_ref()
        .and_then(|rule| rules.map(|resolved| &resolved.rule.id).position(|id| *id == rule.rule));
    let word = match answer.policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    };
    match at {
        Some(at) => format!("{word} {} by {at}", answer.reason.name()),
        None => format!("{word} {}", answer.reason.name()),
    }
}

fn interface(subject: &Subject, site: &Site) -> String {
    let interface = subject.interface(0);
    let mut text = format!("interface {}", subject.mac());
    for address in &interface.addresses {
        let _ = write!(text, " {address}");
    }
    if interface.mac.is_none() {
        text += " mac=unknown";
    }
    if !interface.checks_addresses() {
        text += " check=off";
    }
    if site.keep_established {
        text += " keep-established=on";
    }
    let _ = writeln!(
        text,
        " quota={} idle-established={} idle-closed={} idle-udp={}",
        site.quota, site.idle_established_s, site.idle_closed_s, site.idle_udp_s
    );
    text
}

fn rules(number: usize, policy: &InterfacePolicy) -> String {
    let mut text = format!("rules world-{number}\n");
    if policy.group_type == GroupType::Enterprise {
        text += "  enterprise\n";
    }
    if !policy.intra_groups.is_empty() {
        text += "  intra-group\n";
    }
    for rule in policy.all_rules() {
        let _ = writeln!(text, "  {}", rule_words(rule));
    }
    text
}

fn list<T: ToString>(of: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = of.into_iter().map(|item| item.to_string()).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(",") }
}

fn rule_words(resolved: &ResolvedRule) -> String {
    let rule = &resolved.rule;
    let peer = match &resolved.peer {
        ResolvedPeer::Group(group) => group.to_string(),
        ResolvedPeer::Prefixes(prefixes) => list(prefixes),
    };
    let mut words = format!(
        "{} {} {} {peer} {} {}",
        rule.direction.name(),
        rule.policy.name().to_lowercase(),
        rule.protocol,
        list(&resolved.ports),
        rule.priority
    );
    if rule.source_ports != Ports::Any {
        let _ = write!(words, " from={}", rule.source_ports);
    }
    if let Some(local) = &rule.local {
        let _ = write!(words, " local={local}");
    }
    words
}

/// Who is in the groups that the policies name; the interface's open groups are one in a case.
fn members(subject: &Subject, world: usize, policies: &[InterfacePolicy]) -> Joined {
    let mut joined = Joined::new();
    let (Some(state), Some(policy)) = (subject.worlds.get(world), policies.get(world)) else {
        return joined;
    };
    let named: Vec<_> = policies.iter().flat_map(InterfacePolicy::referenced_groups).collect();
    for member in state.interfaces().filter(|member| member.vpc == policy.vpc) {
        let groups = member.groups.iter().filter(|group| named.contains(group));
        let mut names: Vec<String> = groups.map(ToString::to_string).collect();
        if member.groups.iter().any(|group| policy.intra_groups.contains(group)) {
            names.push("sg-own".to_owned());
        }
        if !names.is_empty() {
            joined.extend(member.addresses.iter().map(|prefix| (*prefix, names.clone())));
        }
    }
    joined
}

/// The steps from one membership to the next.
fn joins(joined: &mut Joined, wanted: Joined) -> String {
    let mut text = String::new();
    for prefix in joined.keys().filter(|prefix| !wanted.contains_key(prefix)) {
        let _ = writeln!(text, "  leave {prefix}");
    }
    for (prefix, groups) in &wanted {
        if joined.get(prefix) != Some(groups) {
            let _ = writeln!(text, "  join {prefix} {}", groups.join(","));
        }
    }
    *joined = wanted;
    text
}
