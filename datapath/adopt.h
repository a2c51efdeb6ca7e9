/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows of an older layout, taken over while packets go on. The user side hands over one at a time, and may hand over the same
 * again when the older program has seen more of it. */
#ifndef PORTCULLIS_ADOPT_H
#define PORTCULLIS_ADOPT_H

#include "flow.h"

/* What either program saw has happened. */
#define ADOPT_HAPPENED                                                                         \
	(PC_FLOW_SENT_FIRST | PC_FLOW_SENT_OTHER | PC_FLOW_ACK_FIRST | PC_FLOW_ACK_OTHER | PC_FLOW_FIN_FIRST | PC_FLOW_FIN_OTHER)

/* The state of a flow that both programs know. */
static __always_inline __u32 adopt_state(__u32 ours, const struct pc_adopted *adopted, __u64 seen)
{
	/* Nothing came here since: the older program knows it all, but for what was decided here. */
	if ((__s64)(adopted->seen - seen) > 0)
		return adopted->state | (ours & (PC_FLOW_BLOCKED | PC_FLOW_ENDING));
	return ours & PC_FLOW_RESET ? ours : ours | (adopted->state & ADOPT_HAPPENED);
}

static __always_inline void adopt_merge(struct packet *p, struct pc_flow *flow, const struct pc_adopted *adopted)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		__u64 old = *(volatile __u64 *)&flow->state;
		__u32 low = adopt_state(old, adopted, *(volatile __u64 *)&flow->seen);

		if (low == (__u32)old)
			break;
		if (!swap_state(flow, old, low))
			continue;
		flow->idle_ns = idle_ns(p->interface, p->key.protocol, low);
		hint(p, flow, p->key.protocol, old, low);
		break;
	}
	if ((__s64)(adopted->seen - flow->seen) > 0)
		flow->seen = adopted->seen;
	for (int i = 0; i < 2; i++) {
		if (adopted->packets[i] > flow->packets[i])
			flow->packets[i] = adopted->packets[i];
		if (adopted->bytes[i] > flow->bytes[i])
			flow->bytes[i] = adopted->bytes[i];
	}
}

static __always_inline __u64 adopt_incarnation(struct packet *p)
{
	struct pc_slot *slot = slot_get(p->slot);

	return slot ? (__sync_fetch_and_add(&slot->incarnation, 1) + 1) << 32 : 0;
}

/* The same key was begun anew since it was taken over. */
static __always_inline void adopt_anew(struct packet *p, struct pc_flow *flow, const struct pc_flow *value)
{
	for (int i = 0; i < 2; i++) {
		flow->packets[i] = value->packets[i];
		flow->bytes[i] = value->bytes[i];
	}
	flow->judged = 0;
	flow->idle_ns = value->idle_ns;
	flow->began = value->began;
	flow->counter = value->counter;
	flow->reason = value->reason;
	flow->seen = value->seen;
	*(volatile __u64 *)&flow->state = value->state;
	place_gives_way(p->slot, flow->place, value->seen + value->idle_ns);
}

/* Whether the flow is one of ours now. It is judged again at its next packet. */
static __always_inline int adopt(struct packet *p, const struct pc_adopted *adopted)
{
	struct pc_flow *value = &p->fresh, *flow = bpf_map_lookup_elem(&flows, &p->key);
	int error;

	if (flow && flow->began == adopted->began) {
		adopt_merge(p, flow, adopted);
		return 1;
	}
	if (flow && (__s64)(adopted->began - flow->began) < 0)
		return 1;
	__builtin_memset(value, 0, sizeof(*value));
	value->state = adopt_incarnation(p) | adopted->state;
	value->seen = adopted->seen;
	value->idle_ns = adopted->idle_ns;
	value->began = adopted->began;
	value->slot = p->slot;
	value->counter = adopted->counter;
	value->reason = adopted->reason;
	for (int i = 0; i < 2; i++) {
		value->packets[i] = adopted->packets[i];
		value->bytes[i] = adopted->bytes[i];
	}
	if (flow) {
		adopt_anew(p, flow, value);
		return 1;
	}
	value->place = place_take(p, value->seen + value->idle_ns);
	if (value->place == PC_PLACE_NONE)
		return 0;
	if (!may_give_way(p->key.protocol, adopted->state))
		place_stays(value->place);
	error = bpf_map_update_elem(&flows, &p->key, value, BPF_NOEXIST);
	if (!error)
		return 1;
	place_release(value->place);
	return error == EXISTS;
}

/* What became of what was handed over, in cb[0]. */
enum adopt_outcome { ADOPT_REFUSED, ADOPT_TAKEN, ADOPT_OVER };

static __always_inline int adopt_frame(struct __sk_buff *skb, struct packet *p)
{
	struct pc_adopted adopted;
	struct pc_slot *slot;

	if (bpf_skb_load_bytes(skb, PC_ADOPTED_AT, &adopted, sizeof(adopted)))
		return ADOPT_REFUSED;
	slot = slot_get(adopted.slot);
	if (!slot)
		return ADOPT_REFUSED;
	p->now = bpf_ktime_get_ns() + config_word(PC_CONFIG_CLOCK_OFFSET_NS);
	if ((__s64)(p->now - adopted.seen) >= (__s64)adopted.idle_ns)
		return ADOPT_OVER;
	p->slot = adopted.slot;
	p->interface = (__u32)slot->word;
	p->handle = adopted.key.handle;
	p->key = adopted.key;
	p->length = 0;
	p->segments = 0;
	/* A slot that is another interface's by now, or nobody's. */
	if (!p->interface || pool_word(p->interface + PC_INTERFACE_HANDLE) != adopted.key.handle)
		return ADOPT_REFUSED;
	return adopt(p, &adopted) ? ADOPT_TAKEN : ADOPT_REFUSED;
}

#endif
