/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Quotas: every flow holds one of its slot's numbered places. When all are taken, a flow that may give way loses its own.
 *
 * The search goes round like the hand of a clock, so that a flood pays for few steps and starves nobody else's flows. An expired
 * entry goes first, if one stands near. */
#ifndef PORTCULLIS_PLACE_H
#define PORTCULLIS_PLACE_H

#include "event.h"
#include "parse.h"

#define PLACE_NONE (~0u)
/* EEXIST of a map: another processor was first. */
#define EXISTS (-17)

static __always_inline int flow_is_live(const struct pc_flow *flow, __u64 now)
{
	__s64 idle = now - *(volatile __u64 *)&flow->seen;

	return idle < (__s64)flow->idle_ns;
}

static __always_inline int is_established(__u32 state)
{
	__u32 both = PC_FLOW_ACK_FIRST | PC_FLOW_ACK_OTHER;

	return (state & both) == both;
}

static __always_inline int is_closed(__u32 state)
{
	__u32 both = PC_FLOW_FIN_FIRST | PC_FLOW_FIN_OTHER;

	return (state & both) == both;
}

/* Blocked; TCP: reset, closed or unanswered; others: only one side has sent. */
static __always_inline int may_give_way(__u8 protocol, __u32 state)
{
	__u32 both = PC_FLOW_SENT_FIRST | PC_FLOW_SENT_OTHER;

	if (state & PC_FLOW_BLOCKED)
		return 1;
	if (protocol == TCP)
		return is_closed(state) || !is_established(state);
	return (state & both) != both;
}

/* Why a flow is over that nobody cut short. */
static __always_inline __u32 idle_cause(const struct pc_flow *flow)
{
	if (flow->state & PC_FLOW_BLOCKED)
		return PC_END_BLOCKED;
	if (flow->state & PC_FLOW_RESET)
		return PC_END_RESET;
	return is_closed(flow->state) ? PC_END_CLOSED : PC_END_IDLE;
}

/* Tells the end of the flow in `told`: for this cause, unless it had idled out before. */
static __always_inline void tell_end(struct packet *p, struct pc_flow_key *key, __u32 cause)
{
	if (!flow_is_live(&p->told, p->now))
		cause = idle_cause(&p->told);
	tell(p, key, EVENT_END(&p->told, cause), p->told.counter);
}

struct place_search {
	struct pc_flow_key key;   /* of the entry at hand */
	__u64 now;
	__u32 slot;
	__u32 quota;
	__u32 hand;
	__u32 full;
	__u32 looked_around;
	__u32 candidate;
	__u32 found;
};

static __always_inline int same_flow(const struct pc_flow_key *a, const struct pc_flow_key *b)
{
	return a->handle == b->handle && same_address(a->local, b->local) && same_address(a->remote, b->remote) &&
	       a->local_port == b->local_port && a->remote_port == b->remote_port && a->protocol == b->protocol &&
	       a->family == b->family && a->asker == b->asker;
}

/* Gives up the place of a flow, unless another has it by now; exactly one caller succeeds. */
static __always_inline int place_release(__u32 slot, __u32 place, const struct pc_flow_key *flow)
{
	struct pc_place_key key = { .slot = slot, .place = place };
	struct pc_flow_key *holder = bpf_map_lookup_elem(&places, &key);
	struct pc_slot *s = slot_get(slot);

	if (!s || !holder || !same_flow(holder, flow) || bpf_map_delete_elem(&places, &key))
		return 0;
	__sync_fetch_and_add(&s->places_used, -1ull);
	return 1;
}

#define PLACE_OURS 1
#define PLACE_ANOTHERS 0
#define PLACE_NO_ROOM (-1)

static __always_inline int place_claim(__u32 slot, __u32 place, struct pc_flow_key *mine)
{
	struct pc_place_key key = { .slot = slot, .place = place };
	struct pc_slot *s = slot_get(slot);
	int error;

	if (!s)
		return PLACE_NO_ROOM;
	error = bpf_map_update_elem(&places, &key, mine, BPF_NOEXIST);
	if (error)
		return error == EXISTS ? PLACE_ANOTHERS : PLACE_NO_ROOM;
	__sync_fetch_and_add(&s->places_used, 1);
	s->places_hand = place + 1;
	return PLACE_OURS;
}

/* Ends the flow that holds a place and takes the place. */
__noinline int place_take_over(__u32 slot, __u32 place)
{
	struct pc_place_key place_key = { .slot = slot, .place = place };
	struct pc_flow_key key, *holder = bpf_map_lookup_elem(&places, &place_key);
	struct packet *p = notes_get();
	struct pc_flow *flow;

	if (!p)
		return PLACE_NO_ROOM;
	if (holder) {
		key = *holder;
		flow = bpf_map_lookup_elem(&flows, &key);
		/* Before it is deleted: its memory may be another flow's at once. */
		if (flow)
			p->told = *flow;
		if (flow && !bpf_map_delete_elem(&flows, &key))
			tell_end(p, &key, PC_END_GAVE_WAY);
		place_release(slot, place, &key);
	}
	return place_claim(slot, place, &p->key);
}

static long place_step(__u32 i, struct place_search *search)
{
	struct pc_place_key place_key = { .slot = search->slot };
	struct pc_flow_key *holder;
	struct pc_flow *flow;
	__u32 place = (search->hand + i) % search->quota;
	int taken;

	place_key.place = place;
	holder = bpf_map_lookup_elem(&places, &place_key);
	flow = 0;
	if (holder) {
		search->key = *holder;
		flow = bpf_map_lookup_elem(&flows, &search->key);
	}
	if (!flow || !flow_is_live(flow, search->now)) {
		taken = place_take_over(search->slot, place);
		if (taken == PLACE_OURS)
			search->found = place;
		/* Where the table of all interfaces is full, no other place can be had either. */
		return taken != PLACE_ANOTHERS;
	}
	if (search->candidate == PLACE_NONE && may_give_way(search->key.protocol, flow->state))
		search->candidate = place;
	if (search->candidate == PLACE_NONE || !search->full)
		return 0;
	search->looked_around++;
	return search->looked_around > PC_LOOK_AROUND;
}

/* A place for the flow of the packet at hand; PLACE_NONE: the quota is used up by flows that do not give way. */
__noinline __u32 place_find(__u32 number)
{
	struct place_search search = { .candidate = PLACE_NONE, .found = PLACE_NONE };
	struct pc_slot *slot = slot_get(number);
	struct packet *p = notes_get();
	__u64 quota;

	if (!slot || !p)
		return PLACE_NONE;
	quota = pool_word(p->interface + PC_INTERFACE_QUOTA);
	if (quota == 0)
		return PLACE_NONE;
	search.quota = quota;
	search.now = p->now;
	search.slot = number;
	search.hand = slot->places_hand % search.quota;
	search.full = slot->places_used >= quota;
	if (search.full && (__s64)(slot->full_until - p->now) > 0)
		return PLACE_NONE;
	bpf_loop(search.quota, place_step, &search, 0);
	if (search.found != PLACE_NONE)
		return search.found;
	if (search.candidate != PLACE_NONE && place_take_over(number, search.candidate) == PLACE_OURS)
		return search.candidate;
	slot->full_until = p->now + PC_FULL_NS;
	return PLACE_NONE;
}

#endif
