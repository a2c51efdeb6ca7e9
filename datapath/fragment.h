/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Later fragments, which carry no transport header, and ICMP errors, which quote one: packets that pass by another's verdict. */
#ifndef PORTCULLIS_FRAGMENT_H
#define PORTCULLIS_FRAGMENT_H

#include "flow.h"

static __always_inline void fragment_key(const struct packet *p, struct pc_fragment_key *key)
{
	key->handle = p->handle;
	key->source[0] = p->source[0];
	key->source[1] = p->source[1];
	key->destination[0] = p->destination[0];
	key->destination[1] = p->destination[1];
	key->identification = p->identification;
	key->direction = p->direction;
	key->family = p->family;
	key->protocol = p->fragment_protocol;
	key->unused = 0;
}

/* Notes an accepted first fragment. `first`: the direction in which its flow is judged again; 2: no rule decides. */
__noinline int fragment_note(struct packet *p, struct pc_flow_key *flow, __u32 first)
{
	struct pc_fragment_key key;
	struct pc_fragment value = {};

	if (!p || !flow)
		return 0;
	fragment_key(p, &key);
	value.until = p->now + PC_FRAGMENT_NS;
	value.judged = p->judged;
	value.flow = *flow;
	value.header_end = p->header_end;
	value.first = first;
	value.judge = first < 2;
	bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
	return 0;
}

/* A later fragment. */
__noinline __u64 fragment_judge(struct packet *p)
{
	struct pc_fragment_key key;
	struct pc_fragment *first;

	if (!p)
		return JUDGED(0, PC_FRAGMENT_ORPHAN, 0);
	fragment_key(p, &key);
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || (__s64)(first->until - p->now) <= 0)
		return JUDGED(0, PC_FRAGMENT_ORPHAN, 0);
	if (p->fragment_offset < first->header_end)
		return JUDGED(0, PC_MALFORMED, 0);
	if (first->judge && first->judged != p->judged && !(p->flags & PC_FLAG_KEEP_ESTABLISHED)) {
		struct pc_flow_key flow = first->flow;

		if (!JUDGED_ACCEPT(judge_key(&flow, p->interface, first->first)))
			return JUDGED(0, PC_BLOCKED, 0);
		/* Only an accept is noted: one word, whoever writes it last. */
		first->judged = p->judged;
	}
	if (first->judge) {
		struct pc_flow *whole = bpf_map_lookup_elem(&flows, &first->flow);

		if (whole)
			account_flow(whole, p->direction, p->segments, p->length);
	}
	return JUDGED(1, PC_TRACKED, 0);
}

/* Reads the packet that an ICMP error quotes, as one that went the other way. 1: its flow can be told. */
__noinline int parse_quoted(struct __sk_buff *skb, struct packet *p, struct packet *q)
{
	__u8 bytes[40];
	__u32 start, later = 0;

	if (!p || !q)
		return 0;
	start = p->transport + 8;
	q->family = p->family;
	q->direction = !p->direction;
	q->handle = p->handle;
	q->end = p->end;
	q->source_port = q->destination_port = 0;
	q->tcp_flags = q->icmp_type = q->icmp_code = 0;
	if (p->family == 4) {
		if (start + 20 > p->end || bpf_skb_load_bytes(skb, start, bytes, 20))
			return 0;
		if (bytes[0] >> 4 != 4 || (bytes[0] & 15) < 5)
			return 0;
		q->source[0] = q->destination[0] = 0;
		q->source[1] = be32(bytes + 12);
		q->destination[1] = be32(bytes + 16);
		q->protocol = bytes[9];
		q->transport = start + (bytes[0] & 15) * 4;
		later = be16(bytes + 6) & 0x1fff;
	} else {
		if (start + 40 > p->end || bpf_skb_load_bytes(skb, start, bytes, 40) || bytes[0] >> 4 != 6)
			return 0;
		q->source[0] = be64(bytes + 8);
		q->source[1] = be64(bytes + 16);
		q->destination[0] = be64(bytes + 24);
		q->destination[1] = be64(bytes + 32);
		q->protocol = bytes[6];
		q->transport = start + 40;
		q->fragment = PC_WHOLE;
		q->fragment_header = 0;
		if (walk_ipv6(skb, q) != PARSED)
			return 0;
		later = q->fragment == PC_LATER;
	}
	/* The chain of a later fragment may go on; no flow has such a protocol. */
	if (!transport_bytes(q->family, q->protocol))
		return 1;
	if (later || q->transport + 8 > p->end || bpf_skb_load_bytes(skb, q->transport, bytes, 8))
		return 0;
	if (q->protocol == TCP || q->protocol == UDP) {
		q->source_port = be16(bytes);
		q->destination_port = be16(bytes + 2);
	} else {
		q->icmp_type = bytes[0];
		q->source_port = q->destination_port = be16(bytes + 4);
	}
	return 1;
}

/* An ICMP error: accepted if a live, accepted flow passed the packet it quotes; else 0. Renews nothing. */
__noinline __u64 judge_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet *q = note(1);
	struct pc_flow *flow;
	__u32 sent;
	int checked;

	if (!p || !q || !parse_quoted(skb, p, q))
		return 0;
	if (!same_address(p->destination, q->source))
		return 0;
	make_key(q);
	if (!q->has_flow)
		return 0;
	flow = bpf_map_lookup_elem(&flows, &q->key);
	if (!flow || !flow_is_live(flow, p->now))
		return 0;
	/* About a packet that was never let through it is forged. */
	sent = first_direction(flow->state) == q->direction ? PC_FLOW_SENT_FIRST : PC_FLOW_SENT_OTHER;
	/* The flow's own address is that of the error's, which has been checked, unless the instance quotes another. */
	checked = p->direction == PC_INGRESS || same_address(p->source, q->key.local);
	if (!(flow->state & sent) || rejudge(p, &q->key, flow, checked))
		return 0;
	if (p->fragment == PC_FIRST)
		fragment_note(p, &q->key, first_direction(flow->state));
	return JUDGED(1, PC_TRACKED, flow->counter);
}

#endif
