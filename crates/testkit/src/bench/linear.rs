//! The policy as C for an eBPF program that asks rule after rule, and a program that asks nothing.
//! Text only; nothing here compiles or loads it. It tracks nothing: no form of a list costs less.
//!
//! Conditions go through a line of assembly each. The compiler gathers comparisons of one kind
//! otherwise, and runs out of stack; and the verifier, which learns nothing of a field that way,
//! meets every rule in one state instead of thousands.

use std::fmt::Write;

use portcullis_core::net::{Ports, Protocol};
use portcullis_core::resolve::{ResolvedPeer, ResolvedRule};
use portcullis_core::rule::Policy;

use super::scenario::{MEMBER_GROUPS, Scenario, member_group};

/// The map that leads from an address to its group's number, from 1.
pub const MEMBERS: &str = "members";
/// The program of the list, and the one that passes everything.
pub const PROGRAMS: [&str; 2] = ["list", "empty"];

/// Includes, the map, and fields from bytes.
const HEAD: &str = r#"/* A policy as a list of comparisons; made by `lab datapath`. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define PASS -1
#define SHOT 2
#define CHANGED(value, operator, by) ({ __u64 changed = value; \
	asm volatile("%0 " operator " %1" : "+r"(changed) : "i"(by)); changed; })
#define IS(value, wanted) (CHANGED(value, "^=", wanted) == 0)
#define WITHIN(value, first, last) (CHANGED(value, "-=", first) <= (last) - (first))
#define IN_NETWORK(value, mask, network) IS(CHANGED(value, "&=", (int)mask), network)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, __u32);
} members SEC(".maps");

SEC("classifier")
int empty(struct __sk_buff *skb)
{
	return PASS;
}

SEC("classifier")
int list(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *frame = data;
	struct iphdr *ip = data + sizeof(*frame);
	__be16 *ports = (void *)ip + sizeof(*ip);
	__u64 to, port = 0, protocol, group = 0;
	__u32 *found;

	if ((void *)(ip + 1) > end || frame->h_proto != bpf_htons(ETH_P_IP))
		return PASS;
	if (ip->ihl != 5)
		return SHOT;
	to = bpf_ntohl(ip->daddr);
	protocol = ip->protocol;
	if ((void *)(ports + 2) <= end && (protocol == 6 || protocol == 17))
		port = bpf_ntohs(ports[1]);
	__u32 key = to;
	found = bpf_map_lookup_elem(&members, &key);
	if (found)
		group = *found;
"#;

/// The whole source.
pub fn source(scenario: &Scenario) -> String {
    let mut text = HEAD.to_owned();
    for rule in scenario.policy.egress.iter() {
        let conditions = conditions(rule);
        let verdict = match rule.rule.policy {
            Policy::Accept => "PASS",
            Policy::Drop => "SHOT",
        };
        let _ = match conditions.is_empty() {
            true => writeln!(text, "\treturn {verdict};"),
            false => writeln!(text, "\tif ({conditions})\n\t\treturn {verdict};"),
        };
    }
    text.push_str("\treturn SHOT;\n}\n\nchar _license[] SEC(\"license\") = \"GPL\";\n");
    text
}

fn conditions(rule: &ResolvedRule) -> String {
    let mut all = Vec::new();
    match &rule.peer {
        ResolvedPeer::Group(group) => {
            let number = (0..MEMBER_GROUPS).find(|n| member_group(*n) == group.as_str());
            all.push(format!("IS(group, {})", number.map_or(0, |number| number + 1)));
        }
        ResolvedPeer::Prefixes(prefixes) => {
            let (low, high) = prefixes.first().map_or((0, 0), |prefix| prefix.range());
            let mask = !((high - low) as u32);
            if mask != 0 {
                all.push(format!("IN_NETWORK(to, {mask:#x}, {low:#x})"));
            }
        }
    }
    if let Protocol::Number(number) = rule.rule.protocol {
        all.push(format!("IS(protocol, {number})"));
    }
    match rule.ports.first() {
        Some(Ports::Range { first, last }) if first == last => {
            all.push(format!("IS(port, {first})"));
        }
        Some(Ports::Range { first, last }) => all.push(format!("WITHIN(port, {first}, {last})")),
        Some(Ports::Any) | None => {}
    }
    all.join(" && ")
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Size;
    use super::*;
    use portcullis_core::net::Family;

    #[test]
    fn each_rule_is_a_comparison() {
        let size = Size { rules: 50, members: 40, family: Family::V4 };
        let scenario = Scenario::new(5, size).unwrap();
        let text = source(&scenario);
        assert_eq!(text.matches("\t\treturn ").count(), 49 + 2);
        assert_eq!(text.matches("if (IS(group, ").count(), 20);
        assert!(
            text.ends_with("\treturn SHOT;\n}\n\nchar _license[] SEC(\"license\") = \"GPL\";\n")
        );
        assert!(!text.contains("IS(group, 0)"), "{text}");
    }
}
