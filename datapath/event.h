/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is told to the user side: counts of every packet, and events within a rate. Decides nothing. */
#ifndef PORTCULLIS_EVENT_H
#define PORTCULLIS_EVENT_H

#include "match.h"

static __always_inline void count(struct pc_count *at, __u32 packets, __u32 bytes, __u64 now)
{
	at->packets += packets;
	at->bytes += bytes;
	at->last_seen = now;
}

/* What a packet is counted under. */
struct account {
	__u32 slot;
	__u32 direction;
	__u32 reason;
	__u32 accept;
	__u32 counter; /* rule counter number + 1; 0: none */
	__u32 packets;
	__u32 bytes;
	__u64 now;
};

/* A packet under its reason, and under its rule. */
static __always_inline void account(const struct account *a)
{
	__u32 index = (a->slot * 2 + a->direction) * PC_REASON_STRIDE + a->reason * 2 + a->accept;
	__u32 counter = a->counter - 1;
	struct pc_count *at = bpf_map_lookup_elem(&reasons, &index);

	if (at)
		count(at, a->packets, a->bytes, a->now);
	if (!a->counter)
		return;
	at = bpf_map_lookup_elem(&hits, &counter);
	if (at)
		count(at, a->packets, a->bytes, a->now);
}

/* 1: the interface may tell one more event in this second. */
static __always_inline int event_allowed(struct pc_slot *slot, __u64 now)
{
	__u64 second = now / PC_SECOND_NS;

	if (slot->events_second != second) {
		slot->events_second = second;
		slot->events_count = 0;
	}
	if (__sync_fetch_and_add(&slot->events_count, 1) < config_word(PC_CONFIG_EVENTS_PER_SECOND))
		return 1;
	__sync_fetch_and_add(&slot->events_lost, 1);
	return 0;
}

/* A packet that is let through, under its flow. Both processors of a connection count here at once, so the additions are atomic:
 * nothing is lost, for some nanoseconds a packet. */
static __always_inline void account_flow(struct pc_flow *flow, __u32 direction, __u32 packets, __u32 bytes)
{
	direction &= 1;
	__sync_fetch_and_add(&flow->packets[direction], packets);
	__sync_fetch_and_add(&flow->bytes[direction], bytes);
}

/* `what`: kind | direction << 8 | reason << 16 | cause << 24. */
#define EVENT(kind, direction, reason) ((kind) | ((direction) << 8) | ((reason) << 16))
#define EVENT_END(flow, cause) \
	(EVENT(PC_EVENT_END, ((flow)->state & PC_FLOW_FIRST_INGRESS) != 0, (flow)->reason) | ((cause) << 24))

/* About a flow, `told` in the notes is it as it was; a new flow or a packet without one is told by the packet at hand. */
__noinline int tell(struct packet *p, struct pc_flow_key *key, __u32 what, __u32 counter)
{
	struct pc_event *event;
	struct pc_slot *slot;
	__u8 kind = what;

	if (!p || !key)
		return 0;
	slot = slot_get(p->slot);
	if (!slot || !event_allowed(slot, p->now))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&slot->events_lost, 1);
		return 0;
	}
	event->now = p->now;
	event->flow = *key;
	event->slot = p->slot;
	event->counter = counter;
	event->kind = kind;
	event->direction = what >> 8;
	event->reason = what >> 16;
	event->cause = what >> 24;
	event->unused = 0;
	if (kind == PC_EVENT_NEW || kind == PC_EVENT_DENY) {
		event->flow.handle = p->handle;
		event->began = kind == PC_EVENT_NEW ? p->now : 0;
		event->seen = p->now;
		event->packets[0] = p->direction ? 0 : p->segments;
		event->packets[1] = p->direction ? p->segments : 0;
		event->bytes[0] = p->direction ? 0 : p->length;
		event->bytes[1] = p->direction ? p->length : 0;
	} else {
		event->began = p->told.began;
		event->seen = p->told.seen;
		for (int i = 0; i < 2; i++) {
			event->packets[i] = p->told.packets[i];
			event->bytes[i] = p->told.bytes[i];
		}
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

#endif
