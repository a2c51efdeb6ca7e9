/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is told to the user side: counts of every packet, and events within a rate. Decides nothing. */
#ifndef PORTCULLIS_EVENT_H
#define PORTCULLIS_EVENT_H

#include "match.h"

static __always_inline void count(struct pc_count *at, const struct packet *p)
{
	at->packets += p->segments;
	at->bytes += p->length;
	at->last_seen = p->now;
}

/* A packet under its reason, and under its rule. */
static __always_inline void account(const struct packet *p, __u32 reason, __u32 accept)
{
	__u32 index = (p->slot * 2 + p->direction) * PC_REASON_STRIDE + reason * 2 + (accept ? 1 : 0);
	__u32 counter = p->counter - 1;
	struct pc_count *at = bpf_map_lookup_elem(&reasons, &index);

	if (at)
		count(at, p);
	if (!p->counter)
		return;
	at = bpf_map_lookup_elem(&hits, &counter);
	if (at)
		count(at, p);
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

/* `what`: kind | direction << 8 | reason << 16. */
#define EVENT(kind, direction, reason) ((kind) | ((direction) << 8) | ((reason) << 16))

__noinline int tell(struct packet *p, struct pc_flow_key *key, __u32 what, __u32 counter)
{
	struct pc_event *event;
	struct pc_slot *slot;

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
	event->length = p->length;
	event->kind = what;
	event->direction = what >> 8;
	event->reason = what >> 16;
	event->unused = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

#endif
