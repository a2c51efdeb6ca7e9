/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A place when none is at hand: in the slot's other words, in a block that is borrowed, or that of a flow that goes. place.h says
 * why it holds when processors race. */
#ifndef PORTCULLIS_SEARCH_H
#define PORTCULLIS_SEARCH_H

#include "place.h"

static __always_inline struct place_search *search_get(void)
{
	struct packet *p = notes_get();

	return p ? &p->search : 0;
}

static __always_inline void search_begin(struct place_search *search, __u32 slot, __u32 quota)
{
	search->slot = slot;
	search->quota = quota;
	search->words = words_below(quota);
	search->from = 0;
	search->found = PC_PLACE_NONE;
	search->expires = 0;
}

/* The next word of the slot's own count. */
static __always_inline __u32 search_word(const struct place_search *search, __u32 step)
{
	__u32 word = search->from + step;

	return word < search->words ? word : word - search->words;
}

/* Looks for a free place in the next word. */
static long room_step(__u32 i, void *unused)
{
	struct place_search *search = search_get();
	struct pc_slot *slot;
	__u32 word;

	if (!search)
		return 1;
	word = search_word(search, i);
	slot = slot_get(search->slot);
	if (!slot)
		return 1;
	if (block_of(search->slot, word / PC_BLOCK_WORDS) == PC_PLACE_NONE) {
		search->hole = word / PC_BLOCK_WORDS;
		return 0;
	}
	search->found = place_claim(search->slot, word, search->quota);
	if (search->found == PC_PLACE_NONE)
		return 0;
	slot->places_claim = word;
	return 1;
}

static long spare_step(__u32 i, void *unused)
{
	struct place_search *search = search_get();
	struct pc_spare *lent = spare_get();
	__u64 *owner, mine;
	__u32 block;

	if (!lent || !search)
		return 1;
	mine = (__u64)search->hole << 32 | (search->slot + 1);
	block = search->from + i;
	if (block >= lent->end)
		block -= lent->end - lent->first;
	owner = block_owner(block);
	if (!owner || *(volatile __u64 *)owner || __sync_val_compare_and_swap(owner, 0, mine))
		return 0;
	search->found = block;
	lent->hand = block + 1;
	return 1;
}

/* Borrows a block and claims a place in it. */
static __always_inline __u32 block_borrow(struct place_search *search)
{
	struct pc_spare *lent = spare_get();
	struct pc_slot *slot = slot_get(search->slot);
	__u64 *entry = block_entry(search->slot, search->hole), *owner;
	__u32 block, from, blocks;

	if (!lent || !slot || !entry)
		return PC_PLACE_NONE;
	blocks = lent->end - lent->first;
	if (*(volatile __u64 *)&lent->taken >= blocks)
		return PC_PLACE_NONE;
	from = lent->hand;
	search->from = from >= lent->first && from < lent->end ? from : lent->first;
	search->found = PC_PLACE_NONE;
	bpf_loop(blocks, spare_step, 0, 0);
	block = search->found;
	owner = block_owner(block);
	if (block == PC_PLACE_NONE || !owner)
		return PC_PLACE_NONE;
	__sync_fetch_and_add(&lent->taken, 1);
	if (__sync_val_compare_and_swap(entry, 0, (__u64)block + 1)) {
		/* Another processor has borrowed one for the same number. */
		__sync_fetch_and_add(&lent->taken, -1ull);
		__sync_lock_test_and_set(owner, 0);
		return PC_PLACE_NONE;
	}
	__sync_fetch_and_add(&slot->blocks, 1);
	slot->places_claim = search->hole * PC_BLOCK_WORDS;
	return place_claim(search->slot, search->hole * PC_BLOCK_WORDS, search->quota);
}

/* A free place; PC_PLACE_NONE: there is none. */
__noinline __u32 place_room(__u32 number, __u32 quota)
{
	struct place_search *search = search_get();
	struct pc_slot *slot = slot_get(number);
	__u64 claim;

	if (!slot || !search || quota == 0)
		return PC_PLACE_NONE;
	claim = *(volatile __u64 *)&slot->places_claim;
	search_begin(search, number, quota);
	search->hole = PC_PLACE_NONE;
	search->from = claim < search->words ? claim : 0;
	bpf_loop(search->words, room_step, 0, 0);
	if (search->found != PC_PLACE_NONE)
		return search->found;
	return search->hole == PC_PLACE_NONE ? PC_PLACE_NONE : block_borrow(search);
}

/* The word of places that the search comes to next, and which of them are used; 0: none. */
static __always_inline struct pc_place_word *search_at(struct place_search *search, __u32 word, __u32 *first, __u64 *used)
{
	__u32 block = block_of(search->slot, word / PC_BLOCK_WORDS);
	struct pc_place_word *at;

	*first = block * PC_BLOCK_PLACES + word % PC_BLOCK_WORDS * PC_WORD_PLACES;
	at = place_word(*first);
	if (!at || block == PC_PLACE_NONE)
		return 0;
	*used = at->used & bits_below(search->quota, word);
	return *used ? at : 0;
}

/* Looks for a word whose flows may have expired. */
static long expired_step(__u32 i, void *unused)
{
	struct place_search *search = search_get();
	struct pc_place_word *at;
	__u32 first;
	__u64 used;

	if (!search)
		return 1;
	at = search_at(search, search_word(search, i), &first, &used);
	if (!at)
		return 0;
	if (!is_before(search->now, at->expires)) {
		search->found = first;
		return 1;
	}
	if (!search->expires || is_before(at->expires, search->expires))
		search->expires = at->expires;
	return 0;
}

/* Looks whether the flow at the word's next place has expired. */
static long look_step(__u32 i, void *unused)
{
	struct place_search *search = search_get();
	struct pc_place_word *at;
	struct pc_flow_key *holder;
	struct pc_flow *flow;
	__u64 expires;
	__u32 place;

	if (!search)
		return 1;
	place = search->hand + i;
	at = place_word(place);
	holder = bpf_map_lookup_elem(&places, &place);
	if (!at || !holder)
		return 1;
	if (!(at->used & place_bit(place)))
		return 0;
	flow = bpf_map_lookup_elem(&flows, holder);
	if (!flow || flow->place != place)
		return 0;
	expires = *(volatile __u64 *)&flow->seen + flow->idle_ns;
	if (!is_before(search->now, expires)) {
		search->found = place;
		return 1;
	}
	if (!search->expires || is_before(expires, search->expires))
		search->expires = expires;
	return 0;
}

/* Looks for a place whose flow may give way, from the hand on. */
static long victim_step(__u32 i, void *unused)
{
	struct place_search *search = search_get();
	struct pc_place_word *at;
	__u32 word, first, bit;
	__u64 used;

	if (!search)
		return 1;
	word = search_word(search, i);
	at = search_at(search, word, &first, &used);
	if (!at)
		return 0;
	used &= at->gives_way;
	/* What lies before the hand in its word comes last. */
	if (i == 0)
		used &= ~bits_below(search->hand, word);
	if (!used)
		return 0;
	bit = lowest_bit(used);
	search->found = first + bit;
	search->hand = word * PC_WORD_PLACES + bit + 1;
	return 1;
}

/* Marks a flow, whose state was `old` when it was seen to be over or to give way, as one that the caller takes out. */
static __always_inline int flow_mark(struct pc_flow *flow, __u64 old)
{
	return !(old & PC_FLOW_ENDING) && __sync_val_compare_and_swap(&flow->state, old, old | PC_FLOW_ENDING) == old;
}

/* Ends the flow at a place if it may; then the place is the caller's. */
__noinline int place_take_over(__u32 place)
{
	struct pc_flow_key key, *holder = bpf_map_lookup_elem(&places, &place);
	struct pc_place_word *at = place_word(place);
	struct packet *p = notes_get();
	struct pc_flow *flow;
	__u64 old;

	if (!p || !at || !holder)
		return 0;
	key = *holder;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return 0;
	old = *(volatile __u64 *)&flow->state;
	if (flow->place != place)
		return 0;
	if (flow_is_live(flow, p->now) && !may_give_way(key.protocol, old)) {
		__sync_fetch_and_and(&at->gives_way, ~place_bit(place));
		return 0;
	}
	if (!flow_mark(flow, old))
		return 0;
	p->told = *flow;
	if (bpf_map_delete_elem(&flows, &key))
		return 0;
	tell_end(p, &key, PC_END_GAVE_WAY);
	__sync_fetch_and_or(&at->gives_way, place_bit(place));
	return 1;
}

/* A place whose flow has expired; PC_PLACE_NONE: none was found. */
__noinline __u32 place_of_expired(__u32 number, __u32 quota)
{
	struct place_search *search = search_get();
	struct pc_slot *slot = slot_get(number);
	struct packet *p = notes_get();
	struct pc_place_word *at;
	__u32 first, place;

	if (!slot || !search || !p)
		return PC_PLACE_NONE;
	search_begin(search, number, quota);
	search->now = p->now;
	bpf_loop(search->words, expired_step, 0, 0);
	first = search->found;
	at = place_word(first);
	if (!at) {
		slot->places_expire = search->expires;
		return PC_PLACE_NONE;
	}
	search->found = PC_PLACE_NONE;
	search->expires = 0;
	search->hand = first;
	bpf_loop(PC_WORD_PLACES, look_step, 0, 0);
	place = search->found;
	if (place != PC_PLACE_NONE)
		return place_take_over(place) ? place : PC_PLACE_NONE;
	at->expires = search->expires;
	return PC_PLACE_NONE;
}

/* A place whose flow has given way; PC_PLACE_NONE: none does. */
__noinline __u32 place_of_victim(__u32 number, __u32 quota)
{
	struct place_search *search = search_get();
	struct pc_slot *slot = slot_get(number);
	__u32 place;

	if (!slot || !search)
		return PC_PLACE_NONE;
	search_begin(search, number, quota);
	search->hand = slot->places_hand;
	search->from = search->hand / PC_WORD_PLACES;
	if (search->from >= search->words)
		search->from = search->hand = 0;
	/* The first word once more at the end, for what lies before the hand. */
	bpf_loop(search->words + 1, victim_step, 0, 0);
	place = search->found;
	if (place == PC_PLACE_NONE)
		return PC_PLACE_NONE;
	slot->places_hand = search->hand;
	return place_take_over(place) ? place : PC_PLACE_NONE;
}

/* Whether there may be a free place, or one to be borrowed. After a search in vain the quota may be another. */
static __always_inline int may_have_room(const struct pc_slot *slot, const struct pc_spare *lent, __u32 quota)
{
	if (*(volatile __u64 *)&slot->places_claim != PC_NO_ROOM || slot->full_until)
		return 1;
	return (slot->blocks + 1) * PC_BLOCK_PLACES < quota && *(volatile __u64 *)&lent->taken < lent->end - lent->first;
}

/* A place for the flow of the packet at hand, when there is none at hand; PC_PLACE_NONE: the slot's are used up by flows that do
 * not give way. */
__noinline __u32 place_search(__u32 number, __u32 quota)
{
	struct pc_slot *slot = slot_get(number);
	struct pc_spare *lent = spare_get();
	struct packet *p = notes_get();
	__u32 place;

	if (!slot || !lent || !p || quota == 0 || is_before(p->now, slot->full_until))
		return PC_PLACE_NONE;
	if (may_have_room(slot, lent, quota)) {
		place = place_room(number, quota);
		if (place != PC_PLACE_NONE)
			return place;
		/* Said first and looked at once more, so that a place that is released meanwhile is not overlooked. */
		__sync_lock_test_and_set(&slot->places_claim, PC_NO_ROOM);
		place = place_room(number, quota);
		if (place != PC_PLACE_NONE)
			return place;
	}
	if (!is_before(p->now, slot->places_expire)) {
		place = place_of_expired(number, quota);
		if (place != PC_PLACE_NONE)
			return place;
	}
	place = place_of_victim(number, quota);
	/* Once more if a hint was wrong. */
	if (place == PC_PLACE_NONE)
		place = place_of_victim(number, quota);
	if (place == PC_PLACE_NONE)
		slot->full_until = p->now + PC_FULL_NS;
	return place;
}

/* Takes a place for the flow of the packet at hand, which idles out at `expires`. */
static __always_inline __u32 place_take(struct packet *p, __u64 expires)
{
	struct pc_slot *slot = slot_get(p->slot);
	__u32 quota = pool_word_inline(p->interface + PC_INTERFACE_QUOTA), place = PC_PLACE_NONE;
	struct pc_place_word *at;
	struct pc_flow_key *key;
	__u64 claim;

	if (!slot)
		return PC_PLACE_NONE;
	claim = *(volatile __u64 *)&slot->places_claim;
	if (claim != PC_NO_ROOM)
		place = claim_in(p->slot, claim, quota);
	if (place == PC_PLACE_NONE)
		place = place_search(p->slot, quota);
	at = place_word(place);
	key = bpf_map_lookup_elem(&places, &place);
	if (!at || !key)
		return PC_PLACE_NONE;
	*key = p->key;
	expires_by(slot, at, expires);
	return place;
}

#endif
