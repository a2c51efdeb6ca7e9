/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the user side has run from time to time: ends flows that have expired or whose interface is gone, puts hints right, gives
 * blocks back, and mends what meddling with the maps has left. No packet is judged here. */
#ifndef PORTCULLIS_SWEEP_H
#define PORTCULLIS_SWEEP_H

#include "flow.h"

struct sweep {
	__u32 slot; /* + 1; 0: any */
	__u32 ended;
	__u32 block; /* of the look for places without a flow */
	__u32 last;  /* the first block that is not looked at */
};

/* A rule that is gone decides on no flow any more; its counter will be another's. */
static __always_inline void forget_retired(struct pc_flow *flow)
{
	__u32 counter = flow->counter - 1, index = counter / 64;
	__u64 *bits;

	if (!flow->counter)
		return;
	bits = bpf_map_lookup_elem(&retired, &index);
	if (bits && (*(volatile __u64 *)bits >> (counter % 64) & 1))
		flow->counter = 0;
}

/* Puts right what is hinted about a flow that goes on. 0: it has no place. */
static __always_inline int hints_right(const struct pc_flow_key *key, const struct pc_flow *flow)
{
	struct pc_place_word *at = place_word(flow->place);
	struct pc_slot *slot = slot_get(flow->slot);
	__u32 place = flow->place;
	__u64 bit = place_bit(place);
	struct pc_flow_key *holder = bpf_map_lookup_elem(&places, &place);
	int gives_way = may_give_way(key->protocol, flow->state);

	if (!at || !slot || !holder || !(at->used & bit) || !same_flow(holder, key))
		return 0;
	if (gives_way && !(at->gives_way & bit))
		__sync_fetch_and_or(&at->gives_way, bit);
	if (!gives_way && (at->gives_way & bit))
		__sync_fetch_and_and(&at->gives_way, ~bit);
	expires_by(slot, at, flow->seen + flow->idle_ns);
	return 1;
}

/* Finds a place for a flow that was put into the map without one. 0: there is none. */
static __always_inline int place_found(struct packet *p, const struct pc_flow_key *key, struct pc_flow *flow)
{
	struct pc_slot *slot = slot_get(flow->slot);
	__u32 quota, place;
	struct pc_flow_key *holder;

	if (!slot)
		return 0;
	quota = pool_word_inline((__u32)slot->word + PC_INTERFACE_QUOTA);
	place = place_search(flow->slot, quota);
	holder = bpf_map_lookup_elem(&places, &place);
	if (!holder)
		return 0;
	*holder = *key;
	flow->place = place;
	return 1;
}

/* Ends an expired flow, or any flow of the wanted slot. */
static long sweep_flow(void *map, struct pc_flow_key *key, struct pc_flow *flow, struct sweep *sweep)
{
	struct packet *p = notes_get();
	__u64 old = *(volatile __u64 *)&flow->state;
	__u32 cause = PC_END_FORGOTTEN;

	if (!p || (old & PC_FLOW_ENDING))
		return 0;
	p->key = *key;
	p->slot = flow->slot;
	if (sweep->slot ? flow->slot + 1 != sweep->slot : flow_is_live(flow, p->now)) {
		forget_retired(flow);
		if (sweep->slot || hints_right(&p->key, flow))
			return 0;
		/* Whoever ends it has marked it before its place is another's. */
		if (*(volatile __u64 *)&flow->state != old || place_found(p, &p->key, flow))
			return 0;
		cause = PC_END_GAVE_WAY;
	}
	if (!flow_mark(flow, old))
		return 0;
	p->told = *flow;
	if (bpf_map_delete_elem(&flows, &p->key))
		return 0;
	place_release(p->told.place);
	tell_end(p, &p->key, cause);
	sweep->ended++;
	return 0;
}

/* Frees a place at which no flow has been found twice, or doubts it. */
static long sweep_place(__u32 i, struct sweep *sweep)
{
	__u32 place = sweep->block * PC_BLOCK_PLACES + i;
	struct pc_place_word *at = place_word(place);
	struct pc_flow_key *holder = bpf_map_lookup_elem(&places, &place);
	__u64 bit = place_bit(place);
	struct pc_flow *flow;

	if (!at || !holder || !(*(volatile __u64 *)&at->used & bit))
		return 0;
	flow = bpf_map_lookup_elem(&flows, holder);
	if (flow && flow->place == place)
		__sync_fetch_and_and(&at->doubted, ~bit);
	else if (!(__sync_fetch_and_or(&at->doubted, bit) & bit))
		return 0;
	else if (__sync_fetch_and_and(&at->doubted, ~bit) & bit)
		place_release(place);
	return 0;
}

#define ALL_PLACES (~0ull)

/* Takes all places of a word, if all are free. */
static __always_inline int word_close(__u32 place)
{
	struct pc_place_word *at = place_word(place);

	return at && !*(volatile __u64 *)&at->used && !__sync_val_compare_and_swap(&at->used, 0, ALL_PLACES);
}

static __always_inline void word_open(__u32 place)
{
	struct pc_place_word *at = place_word(place);

	if (!at)
		return;
	at->expires = at->doubted = 0;
	__sync_lock_test_and_set(&at->used, 0);
}

/* Gives a block back that has no flow. */
static __always_inline void block_return(__u32 block, __u64 *owner)
{
	struct pc_spare *lent = spare_get();
	__u64 whose = *(volatile __u64 *)owner, *entry;
	struct pc_slot *slot = slot_get((__u32)whose - 1);
	__u32 first = block * PC_BLOCK_PLACES, closed;

	if (!lent || !whose || !slot)
		return;
	for (closed = 0; closed < PC_BLOCK_WORDS; closed++)
		if (!word_close(first + closed * PC_WORD_PLACES))
			break;
	if (closed == PC_BLOCK_WORDS) {
		entry = block_entry((__u32)whose - 1, whose >> 32);
		if (entry && __sync_val_compare_and_swap(entry, (__u64)block + 1, 0) == (__u64)block + 1)
			__sync_fetch_and_add(&slot->blocks, -1ull);
		__sync_lock_test_and_set(owner, 0);
		__sync_fetch_and_add(&lent->taken, -1ull);
	}
	for (__u32 word = 0; word < PC_BLOCK_WORDS; word++)
		if (word < closed)
			word_open(first + word * PC_WORD_PLACES);
}

static long sweep_block(__u32 block, struct sweep *sweep)
{
	struct pc_spare *lent = spare_get();
	__u64 *owner = block_owner(block);

	if (!lent || !owner)
		return 1;
	if (block >= lent->first && *(volatile __u64 *)owner)
		block_return(block, owner);
	if (block < lent->sweep || block >= sweep->last)
		return 0;
	sweep->block = block;
	bpf_loop(PC_BLOCK_PLACES, sweep_place, sweep, 0);
	return 0;
}

/* Run by the user side, never attached: removes expired flows (mark 0), or those of slot mark - 1. cb[0]: how many. */
SEC("classifier")
int pc_sweep(struct __sk_buff *skb)
{
	struct sweep sweep = { .slot = skb->mark };
	struct pc_spare *lent = spare_get();
	struct packet *p = notes_get();

	if (!p || !lent)
		return DROP;
	p->now = bpf_ktime_get_ns() + config_word(PC_CONFIG_CLOCK_OFFSET_NS);
	p->length = 0;
	bpf_for_each_map_elem(&flows, sweep_flow, &sweep, 0);
	if (!sweep.slot)
		sweep.last = lent->sweep + PC_SWEEP_BLOCKS;
	bpf_loop(lent->end, sweep_block, &sweep, 0);
	if (!sweep.slot)
		lent->sweep = sweep.last < lent->end ? sweep.last : 0;
	skb->cb[0] = sweep.ended;
	return DROP;
}

#endif
