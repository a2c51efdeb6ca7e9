/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Places: how many flows a slot may have, and who gives way. state.h says what a place is; which packets begin flows is not known
 * here.
 *
 * A new flow takes the next free bit of the slot's word at hand: one atomic operation, no search. When that word is full the
 * slot's others are looked through, then a block is borrowed. What a slot may have is decided by nothing but which places exist
 * for it, so there is no count that could drift, and its reserve is there whatever others do. Only when all is taken, a flow
 * goes: one that has expired, if its word's `expires` says that there may be one, else the next that gives way, round and round
 * like the hand of a clock, so that a flood pays for few steps and starves nobody else's flows. A packet pays for a bounded
 * search: each of the slot's words a few times, and the flows of at most one.
 *
 * Why it holds when processors race:
 * - A place belongs to whoever set its bit in `used`. Of a borrowed block that is so only if the block still is the slot's: the
 *   claimer looks after it has set the bit. A block is given back by setting all of its bits at once, which succeeds only if none
 *   is set; it loses its owner before they are cleared.
 * - A flow ends by whoever has set PC_FLOW_ENDING in its state, by compare-and-swap of a state that was seen to be over or to give
 *   way. The swap holds the incarnation too, so memory that is another flow's by now is left alone. Between that and the removal
 *   the key is the ender's: nobody begins the flow anew (that is a swap of the same word) or ends it. So a place is released, or
 *   taken over, once for each flow.
 * - The place's key is written before the flow is inserted, and a flow is removed before its place is. A flow in the map therefore
 *   has its place; a place without a flow is on its way, or leaked by meddling with the maps. The sweep frees it if two sweeps in
 *   turn found it so, and finds a place for a flow that has none.
 * - `gives_way`, `expires` and `places_expire` are hints. A hint that is wrong costs a look at a flow or makes one be overlooked
 *   until the sweep has put it right; what is done to a flow is decided by its own state. */
#ifndef PORTCULLIS_PLACE_H
#define PORTCULLIS_PLACE_H

#include "event.h"
#include "parse.h"

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

static __always_inline int same_flow(const struct pc_flow_key *a, const struct pc_flow_key *b)
{
	return a->handle == b->handle && same_address(a->local, b->local) && same_address(a->remote, b->remote) &&
	       a->local_port == b->local_port && a->remote_port == b->remote_port && a->protocol == b->protocol &&
	       a->family == b->family && a->asker == b->asker;
}

/* Whether a is earlier than b. */
static __always_inline int is_before(__u64 a, __u64 b)
{
	return (__s64)(a - b) < 0;
}

static __always_inline struct pc_place_word *place_word(__u32 place)
{
	__u32 index = place / PC_WORD_PLACES;

	return bpf_map_lookup_elem(&place_words, &index);
}

static __always_inline __u64 place_bit(__u32 place)
{
	return 1ull << (place % PC_WORD_PLACES);
}

static __always_inline __u64 *block_owner(__u32 block)
{
	return bpf_map_lookup_elem(&block_owners, &block);
}

static __always_inline struct pc_spare *spare_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&spare, &zero);
}

/* Where it is written which block is the slot's of a number; of its reserve it is written nowhere. */
static __always_inline __u64 *block_entry(__u32 slot, __u32 number)
{
	__u32 at = slot * PC_SLOT_BLOCKS + number;

	return bpf_map_lookup_elem(&slot_blocks, &at);
}

/* The slot's block of a number; PC_PLACE_NONE: it has none. */
static __always_inline __u32 block_of(__u32 slot, __u32 number)
{
	__u64 *entry;

	if (number == 0)
		return slot;
	entry = block_entry(slot, number);
	return entry ? (__u32)*(volatile __u64 *)entry - 1 : PC_PLACE_NONE;
}

/* Of a word of the slot's own count, the bits below the quota. */
static __always_inline __u64 bits_below(__u32 quota, __u32 word)
{
	__s32 left = quota - word * PC_WORD_PLACES;

	if (left <= 0)
		return 0;
	return left >= PC_WORD_PLACES ? ~0ull : (1ull << left) - 1;
}

/* Words of the slot's own count that reach below the quota. */
static __always_inline __u32 words_below(__u32 quota)
{
	return (quota < PC_SLOT_BLOCKS * PC_BLOCK_PLACES ? quota + PC_WORD_PLACES - 1 : PC_SLOT_BLOCKS * PC_BLOCK_PLACES) /
	       PC_WORD_PLACES;
}

/* Notes that a flow of the word may end at `expires`. */
static __always_inline void expires_by(struct pc_slot *slot, struct pc_place_word *at, __u64 expires)
{
	if (!at->expires || is_before(expires, at->expires))
		at->expires = expires;
	if (!slot->places_expire || is_before(expires, slot->places_expire))
		slot->places_expire = expires;
}

/* Gives back a place. */
static __always_inline void place_release(__u32 place)
{
	struct pc_place_word *at = place_word(place);
	__u32 block = place / PC_BLOCK_PLACES, slot = block, number = 0;
	struct pc_spare *lent = spare_get();
	__u64 *owner = block_owner(block);
	struct pc_slot *s;

	if (!at || !lent || !owner || !(__sync_fetch_and_and(&at->used, ~place_bit(place)) & place_bit(place)))
		return;
	if (block >= lent->first) {
		__u64 whose = *(volatile __u64 *)owner;

		slot = (__u32)whose - 1;
		number = whose >> 32;
	}
	s = slot_get(slot);
	if (!s)
		return;
	if (*(volatile __u64 *)&s->places_claim == PC_NO_ROOM)
		s->places_claim = number * PC_BLOCK_WORDS + place % PC_BLOCK_PLACES / PC_WORD_PLACES;
	s->full_until = 0;
}

/* A place in a word that the slot counts as its own `word`; PC_PLACE_NONE: it is full, another processor was quicker, or the
 * block is not the slot's any more. */
static __always_inline __u32 claim_in(__u32 slot, __u32 word, __u32 quota)
{
	__u32 number = word / PC_BLOCK_WORDS, block = block_of(slot, number);
	__u32 first = block * PC_BLOCK_PLACES + word % PC_BLOCK_WORDS * PC_WORD_PLACES;
	struct pc_place_word *at = place_word(first);
	__u64 open, bit;

	if (!at || block == PC_PLACE_NONE)
		return PC_PLACE_NONE;
	open = ~*(volatile __u64 *)&at->used & bits_below(quota, word);
	bit = open & -open;
	if (!bit || (__sync_fetch_and_or(&at->used, bit) & bit))
		return PC_PLACE_NONE;
	if (number) {
		__u64 *owner = block_owner(block);

		if (!owner || *(volatile __u64 *)owner != ((__u64)number << 32 | (slot + 1))) {
			__sync_fetch_and_and(&at->used, ~bit);
			return PC_PLACE_NONE;
		}
	}
	__sync_fetch_and_or(&at->gives_way, bit);
	if (at->doubted & bit)
		__sync_fetch_and_and(&at->doubted, ~bit);
	return first + lowest_bit(bit);
}

/* The same where it is not the common case. */
__noinline __u32 place_claim(__u32 slot, __u32 word, __u32 quota)
{
	__u32 place = claim_in(slot, word, quota);

	/* Once more, for the processor that was not quick enough. */
	return place == PC_PLACE_NONE ? claim_in(slot, word, quota) : place;
}

/* The slot's flow at this place, which idles out at `expires`, has become one that may give way. */
__noinline int place_gives_way(__u32 number, __u32 place, __u64 expires)
{
	struct pc_place_word *at = place_word(place);
	struct pc_slot *slot = slot_get(number);

	if (!at || !slot)
		return 0;
	__sync_fetch_and_or(&at->gives_way, place_bit(place));
	expires_by(slot, at, expires);
	slot->full_until = 0;
	return 0;
}

/* …one that may not. */
__noinline int place_stays(__u32 place)
{
	struct pc_place_word *at = place_word(place);

	if (at)
		__sync_fetch_and_and(&at->gives_way, ~place_bit(place));
	return 0;
}

#endif
