/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows: section 4. An entry is judged by its first direction whenever its generations are stale. No entry is evicted for room
 * but by search.h; expired ones count as absent. */
#ifndef PORTCULLIS_FLOW_H
#define PORTCULLIS_FLOW_H

#include "search.h"

/* The key of a packet's flow; `has_flow` says whether it can have one (ICMP that is no echo has none). */
static __always_inline void make_key(struct packet *p)
{
	struct pc_flow_key *key = &p->key;
	int egress = p->direction == PC_EGRESS;
	int echo = echo_kind(p->family, p->protocol, p->icmp_type);
	int icmp = (p->family == 4 && p->protocol == ICMP) || (p->family == 6 && p->protocol == ICMPV6);

	for (int i = 0; i < 2; i++) {
		key->local[i] = egress ? p->source[i] : p->destination[i];
		key->remote[i] = egress ? p->destination[i] : p->source[i];
	}
	key->local_port = egress || echo ? p->source_port : p->destination_port;
	key->remote_port = echo ? 0 : egress ? p->destination_port : p->source_port;
	key->handle = p->handle;
	key->protocol = p->protocol;
	key->family = p->family;
	/* A request that leaves and a reply that enters were asked for by the local side. */
	key->asker = !echo ? 0 : (echo == 1) == egress ? 1 : 2;
	key->unused = 0;
	p->has_flow = !icmp || echo;
}

/* Judges the first packet of a flow that begins in `direction`. */
__noinline __u64 judge_key(struct pc_flow_key *key, __u32 interface, __u32 direction)
{
	struct question q = {};
	int ports;

	if (!key)
		return JUDGED(0, PC_CLOSED, 0);
	ports = key->protocol == TCP || key->protocol == UDP;
	q.local[0] = key->local[0];
	q.local[1] = key->local[1];
	q.remote[0] = key->remote[0];
	q.remote[1] = key->remote[1];
	q.interface = interface;
	q.protocol = key->protocol;
	q.family = key->family;
	q.direction = direction;
	if (ports) {
		q.source_port = direction == PC_EGRESS ? key->local_port : key->remote_port;
		q.destination_port = direction == PC_EGRESS ? key->remote_port : key->local_port;
	}
	return judge(&q);
}

static __always_inline __u32 first_direction(__u32 state)
{
	return state & PC_FLOW_FIRST_INGRESS ? PC_INGRESS : PC_EGRESS;
}

static __always_inline __u64 idle_ns_inline(__u32 interface, __u32 protocol, __u32 state)
{
	if (protocol == UDP)
		return pool_word_inline(interface + PC_INTERFACE_IDLE_UDP_S) * PC_SECOND_NS;
	if (protocol != TCP)
		return PC_OTHER_NS;
	if (is_closed(state) || (state & PC_FLOW_RESET))
		return pool_word_inline(interface + PC_INTERFACE_IDLE_CLOSED_S) * PC_SECOND_NS;
	if (is_established(state))
		return pool_word_inline(interface + PC_INTERFACE_IDLE_ESTABLISHED_S) * PC_SECOND_NS;
	return PC_UNANSWERED_NS;
}

__noinline __u64 idle_ns(__u32 interface, __u32 protocol, __u32 state)
{
	return idle_ns_inline(interface, protocol, state);
}

/* The state after an accepted packet. Bits are moved instead of asked for, so that the verifier follows one path. */
static __always_inline __u32 next_state(__u32 state, const struct packet *p)
{
	__u32 other = (state ^ p->direction) & PC_FLOW_FIRST_INGRESS;

	state |= PC_FLOW_SENT_FIRST << other;
	if (p->protocol != TCP)
		return state;
	state |= (p->tcp_flags & TCP_FIN) / TCP_FIN * PC_FLOW_FIN_FIRST << other;
	if (p->tcp_flags & TCP_RST) {
		state &= ~(PC_FLOW_ACK_FIRST | PC_FLOW_ACK_OTHER);
		return state | PC_FLOW_RESET;
	}
	state |= (p->tcp_flags & TCP_ACK) / TCP_ACK * PC_FLOW_ACK_FIRST << other;
	if (is_established(state))
		state &= ~PC_FLOW_RESET;
	return state;
}

/* Swaps the low half of the state, unless another flow has taken the entry. 1: done. */
static __always_inline int swap_state(struct pc_flow *flow, __u64 old, __u32 low)
{
	__u64 new = (old & ~0xffffffffull) | low;

	return __sync_val_compare_and_swap(&flow->state, old, new) == old;
}

/* Tells place.h whether a flow may give way, if that is not as it was. */
static __always_inline void hint(struct packet *p, const struct pc_flow *flow, __u32 protocol, __u32 old, __u32 low)
{
	int gives_way = may_give_way(protocol, low);

	if (gives_way == may_give_way(protocol, old))
		return;
	if (gives_way)
		place_gives_way(p->slot, flow->place, p->now + flow->idle_ns);
	else
		place_stays(flow->place);
}

/* What follows from an accepted packet by which the state became `low`. */
static __always_inline void advanced(struct packet *p, struct pc_flow *flow, __u32 old, __u32 low)
{
	flow->idle_ns = idle_ns(p->interface, p->protocol, low);
	flow->seen = p->now;
	hint(p, flow, p->protocol, old, low);
}

/* Notes an accepted packet of a flow. */
__noinline int advance(struct packet *p, struct pc_flow *flow)
{
	__u32 incarnation;
	__u64 seen;

	if (!p || !flow)
		return 0;
	seen = *(volatile __u64 *)&flow->seen;
	incarnation = flow->state >> 32;
	for (int attempt = 0; attempt < 4; attempt++) {
		__u64 old = *(volatile __u64 *)&flow->state;
		__u32 low = next_state(old, p);

		if (old >> 32 != incarnation || low == (__u32)old)
			break;
		if (!swap_state(flow, old, low))
			continue;
		advanced(p, flow, old, low);
		return 0;
	}
	if ((__s64)(p->now - seen) >= (__s64)PC_SEEN_STEP_NS)
		flow->seen = p->now;
	return 0;
}

/* Judges a stale flow again. Returns whether it is blocked. `checked`: the flow's local address is one that the interface may
 * use now, as fast.h takes it from `judged`; if not, the next packet judges again. */
__noinline int rejudge(struct packet *p, struct pc_flow_key *key, struct pc_flow *flow, int checked)
{
	__u64 old, judged;
	__u32 low;

	if (!p || !key || !flow)
		return 1;
	old = *(volatile __u64 *)&flow->state;
	if (*(volatile __u64 *)&flow->judged == p->judged)
		return (old & PC_FLOW_BLOCKED) != 0;
	if (p->flags & PC_FLAG_KEEP_ESTABLISHED) {
		if (checked)
			*(volatile __u64 *)&flow->judged = p->judged;
		return (old & PC_FLOW_BLOCKED) != 0;
	}
	judged = judge_key(key, p->interface, first_direction(old));
	low = JUDGED_ACCEPT(judged) ? (__u32)old & ~PC_FLOW_BLOCKED : (__u32)old | PC_FLOW_BLOCKED;
	if (low != (__u32)old) {
		__u32 kind = low & PC_FLOW_BLOCKED ? PC_EVENT_REVOKE : PC_EVENT_RECOVER;

		if (!swap_state(flow, old, low))
			/* It changed meanwhile; this packet goes by the judgement, the next one judges again. */
			return (low & PC_FLOW_BLOCKED) != 0;
		hint(p, flow, key->protocol, old, low);
		p->told = *flow;
		tell(p, key, EVENT(kind, first_direction(old), JUDGED_REASON(judged)), JUDGED_COUNTER(judged));
	}
	flow->counter = JUDGED_COUNTER(judged);
	if (JUDGED_ACCEPT(judged)) {
		flow->reason = JUDGED_REASON(judged);
		flow->idle_ns = idle_ns(p->interface, key->protocol, low);
	}
	if (!checked)
		return (low & PC_FLOW_BLOCKED) != 0;
	/* A processor that still goes by the old rules may have said otherwise since: then the next packet judges again. */
	__sync_lock_test_and_set(&flow->judged, p->judged);
	if ((*(volatile __u64 *)&flow->state ^ low) & PC_FLOW_BLOCKED)
		flow->judged = 0;
	return (low & PC_FLOW_BLOCKED) != 0;
}

/* The state of a flow that the packet at hand begins. */
static __always_inline __u64 first_state(struct packet *p, __u32 first)
{
	struct pc_slot *slot = slot_get(p->slot);
	__u64 incarnation = slot ? __sync_fetch_and_add(&slot->incarnation, 1) + 1 : 0;
	__u32 low = first == PC_INGRESS ? PC_FLOW_FIRST_INGRESS : 0;

	if (is_tcp_syn(p))
		low |= PC_FLOW_SYN;
	return (incarnation << 32) | next_state(low, p);
}

/* Begins the flow anew in the entry that is there, as `fresh`. 0: there is none, or it is being taken out. */
__noinline int renew_flow(struct packet *p)
{
	struct pc_flow *fresh, *flow;
	__u64 old;

	if (!p)
		return 0;
	fresh = &p->fresh;
	flow = bpf_map_lookup_elem(&flows, &p->key);
	if (!flow)
		return 0;
	old = *(volatile __u64 *)&flow->state;
	p->told = *flow;
	if (old & PC_FLOW_ENDING)
		return 0;
	/* First, so that it does not look expired once it is another's. */
	flow->seen = fresh->seen;
	if (__sync_val_compare_and_swap(&flow->state, old, fresh->state) != old)
		return 0;
	tell_end(p, &p->key, PC_END_REPLACED);
	for (int i = 0; i < 2; i++) {
		flow->packets[i] = fresh->packets[i];
		flow->bytes[i] = fresh->bytes[i];
	}
	flow->judged = fresh->judged;
	flow->idle_ns = fresh->idle_ns;
	flow->began = fresh->began;
	flow->counter = fresh->counter;
	flow->reason = fresh->reason;
	place_gives_way(p->slot, flow->place, fresh->seen + fresh->idle_ns);
	return 1;
}

/* Begins the flow of the packet at hand, anew if there is an entry: `known` says that there was one. Returns 0 if there is no
 * room. */
__noinline int begin_flow(struct packet *p, __u64 judged, __u32 first, __u32 known)
{
	struct pc_flow *fresh;
	int error;

	if (!p)
		return 0;
	fresh = &p->fresh;
	/* Read back each time, so that the verifier follows one path from there on. */
	*(volatile __u64 *)&fresh->state = first_state(p, first);
	*(volatile __u64 *)&fresh->idle_ns =
		idle_ns_inline(p->interface, p->protocol, *(volatile __u64 *)&fresh->state);
	fresh->seen = fresh->began = p->now;
	fresh->judged = p->judged;
	fresh->slot = p->slot;
	fresh->counter = JUDGED_COUNTER(judged);
	fresh->reason = JUDGED_REASON(judged);
	fresh->packets[p->direction & 1] = p->segments;
	fresh->packets[!p->direction] = 0;
	fresh->bytes[p->direction & 1] = p->length;
	fresh->bytes[!p->direction] = 0;
	if (known && renew_flow(p))
		goto begun;
	*(volatile __u32 *)&fresh->place = place_take(p, p->now + *(volatile __u64 *)&fresh->idle_ns);
	if (*(volatile __u32 *)&fresh->place == PC_PLACE_NONE)
		return 0;
	error = bpf_map_update_elem(&flows, &p->key, fresh, BPF_NOEXIST);
	if (error) {
		place_release(fresh->place);
		/* Another processor has begun it, or is about to take it out; either way the packet is one of its own. */
		return error == EXISTS;
	}
begun:
	tell(p, &p->key, EVENT(PC_EVENT_NEW, first, JUDGED_REASON(judged)), JUDGED_COUNTER(judged));
	return 1;
}

/* Whether a SYN without ACK belongs to the flow instead of beginning one. */
static __always_inline int syn_belongs(const struct packet *p, __u32 state)
{
	int first = first_direction(state) == p->direction;

	if (is_established(state))
		return first && !(state & (PC_FLOW_FIN_FIRST | PC_FLOW_FIN_OTHER));
	return !first && (state & PC_FLOW_SYN) && !(state & PC_FLOW_RESET) && !is_closed(state);
}

static __always_inline int can_begin(const struct packet *p)
{
	if (p->protocol == TCP)
		return is_tcp_syn(p);
	return echo_kind(p->family, p->protocol, p->icmp_type) != 2;
}

/* Section 4, pick-up: a packet out of a flow that ran before the policy came. */
__noinline __u64 pick_up(struct packet *p, __u32 known)
{
	struct pc_slot *slot;
	__u64 own, reverse, judged;
	__u32 first;

	if (!p)
		return JUDGED(0, PC_NO_FLOW, 0);
	slot = slot_get(p->slot);
	if (!slot || !slot->pick_up_until || (__s64)(slot->pick_up_until - p->now) <= 0)
		return JUDGED(0, PC_NO_FLOW, 0);
	if (p->protocol == TCP && (p->tcp_flags & TCP_RST))
		return JUDGED(0, PC_NO_FLOW, 0);
	own = judge_key(&p->key, p->interface, p->direction);
	reverse = judge_key(&p->key, p->interface, !p->direction);
	if (JUDGED_ACCEPT(own) && JUDGED_ACCEPT(reverse))
		first = PC_INGRESS;
	else if (JUDGED_ACCEPT(own))
		first = p->direction;
	else if (JUDGED_ACCEPT(reverse))
		first = !p->direction;
	else
		return JUDGED(0, PC_NO_FLOW, 0);
	judged = first == p->direction ? own : reverse;
	return begin_flow(p, judged, first, known) ? judged : JUDGED(0, PC_FLOW_TABLE_FULL, 0);
}

/* Steps 7 to 10 for a packet that can begin a flow, in its own direction. `known`: there is an entry for it. */
static __always_inline __u64 judge_first(struct packet *p, __u32 known)
{
	__u64 judged = judge_key(&p->key, p->interface, p->direction);

	if (!JUDGED_ACCEPT(judged) || !p->has_flow)
		return judged;
	return begin_flow(p, judged, p->direction, known) ? judged : JUDGED(0, PC_FLOW_TABLE_FULL, 0);
}

/* Steps 4 to 10 for a packet that is no later fragment and no tracked ICMP error. */
static __always_inline __u64 judge_flow(struct packet *p)
{
	struct pc_flow *flow;
	__u64 judged;

	if (!p->has_flow)
		return judge_first(p, 0);
	flow = p->absent ? 0 : bpf_map_lookup_elem(&flows, &p->key);
	if (flow && flow_is_live(flow, p->now) && !(is_tcp_syn(p) && !syn_belongs(p, flow->state))) {
		if (!rejudge(p, &p->key, flow, 1)) {
			advance(p, flow);
			account_flow(flow, p->direction, p->segments, p->length);
			return JUDGED(1, PC_TRACKED, flow->counter);
		}
		if (can_begin(p)) {
			judged = judge_first(p, 1);
			if (JUDGED_ACCEPT(judged))
				return judged;
		}
		return JUDGED(0, PC_BLOCKED, flow->counter);
	}
	return can_begin(p) ? judge_first(p, flow != 0) : pick_up(p, flow != 0);
}

#endif
