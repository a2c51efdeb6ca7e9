/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policy: steps 7 to 10 of section 2, by the tables of abi.h. Knows nothing of packets, only the fields that rules look at. */
#ifndef PORTCULLIS_MATCH_H
#define PORTCULLIS_MATCH_H

#include "maps.h"

#define SECTION_OFFSET(section) ((__u32)((section) >> 32))
#define SECTION_COUNT(section) ((__u32)(section))

/* The fields of a first packet, seen from the interface. */
struct question {
	__u64 local[2];
	__u64 remote[2];
	__u32 interface; /* pool offset */
	__u16 destination_port;
	__u16 source_port;
	__u8 protocol;
	__u8 family;
	__u8 direction;
	__u8 unused;
	__u32 reserved;
};

/* How many of the sorted words are <= x, with one word for each `stride`. */
__noinline __u32 search_words(__u32 first, __u32 count, __u32 stride, __u64 x)
{
	__u32 low = 0;

#pragma clang loop unroll(disable)
	for (int step = PC_SEARCH_STEPS - 1; step >= 0; step--) {
		__u32 next = low + (1u << step);
		__u64 value = pool_word_inline(first + (next - 1) * stride);

		if (next <= count && value <= x)
			low = next;
	}
	return low;
}

/* The same for pairs of words, high first. */
__noinline __u32 search_pairs(__u32 first, __u32 count, __u32 stride, __u64 high, __u64 low_word)
{
	__u32 low = 0;

#pragma clang loop unroll(disable)
	for (int step = PC_SEARCH_STEPS - 1; step >= 0; step--) {
		__u32 next = low + (1u << step);
		__u64 h = pool_word_inline(first + (next - 1) * stride);
		__u64 l = pool_word_inline(first + (next - 1) * stride + 1);

		if (next <= count && (h < high || (h == high && l <= low_word)))
			low = next;
	}
	return low;
}

/* 1: the address is one of the interface's own. */
__noinline int is_own(__u32 interface, __u32 family, __u64 high, __u64 low)
{
	__u64 section = pool_word(interface + (family == 4 ? PC_INTERFACE_OWN4 : PC_INTERFACE_OWN6));
	__u32 first = interface + SECTION_OFFSET(section), count = SECTION_COUNT(section), found;
	__u64 last_high, last_low;

	if (family == 4) {
		found = search_words(first, count, 2, low);
		return found && low <= pool_word(first + (found - 1) * 2 + 1);
	}
	found = search_pairs(first, count, 4, high, low);
	if (!found)
		return 0;
	last_high = pool_word(first + (found - 1) * 4 + 2);
	last_low = pool_word(first + (found - 1) * 4 + 3);
	return high < last_high || (high == last_high && low <= last_low);
}

/* The row of an address in the dimension whose sections stand at `word` (boundaries) and the word after it (classes). */
__noinline __u32 address_row(__u32 table, __u32 word, __u64 high, __u64 low)
{
	__u64 bounds = pool_word(table + word), classes = pool_word(table + word + 1);
	__u32 first = table + SECTION_OFFSET(bounds), count = SECTION_COUNT(bounds), found;

	if (word == PC_TABLE_REMOTE6_BOUNDS || word == PC_TABLE_LOCAL6_BOUNDS)
		found = search_pairs(first, count, 2, high, low);
	else
		found = search_words(first, count, 1, low);
	return table + (__u32)pool_word(table + SECTION_OFFSET(classes) + found - 1);
}

/* The pool offset of the set of groups of a prefix's members; 0: none. */
static __always_inline __u32 member_set(__u64 vpc, const struct question *q, __u32 length)
{
	struct pc_member_key key = { .vpc = vpc, .family = q->family, .length = length };
	__u64 *set;

	if (q->family == 4) {
		if (length > 32)
			return 0;
		key.address[1] = length ? q->remote[1] & (~0ull << (32 - length)) : 0;
	} else if (length <= 64) {
		key.address[0] = length ? q->remote[0] & (~0ull << (64 - length)) : 0;
	} else {
		if (length > 128)
			return 0;
		key.address[0] = q->remote[0];
		key.address[1] = q->remote[1] & (~0ull << (128 - length));
	}
	set = bpf_map_lookup_elem(&members, &key);
	return set ? (__u32) * (volatile __u64 *)set : 0;
}

/* ORs the row of a group, if the table knows the group, into the notes' rows. */
__noinline int add_group(__u32 table, __u32 words, __u64 group)
{
	__u64 groups = pool_word(table + PC_TABLE_GROUPS);
	__u64 rows = pool_word(table + PC_TABLE_GROUP_ROWS);
	__u32 first = table + SECTION_OFFSET(groups), found, row;
	struct packet *p = notes_get();

	if (!p)
		return 0;
	found = search_words(first, SECTION_COUNT(groups), 1, group);
	if (!found || pool_word(first + found - 1) != group)
		return 0;
	row = table + (__u32)pool_word(table + SECTION_OFFSET(rows) + found - 1);
	for (int i = 0; i < PC_ROW_WORDS_MAX; i++) {
		if (i >= words)
			break;
		p->rows[i] |= pool_word(row + i);
	}
	return 0;
}

/* Looks the remote address up among the members of its VPC, and ORs its groups' rows into the notes' rows. No two interfaces
 * of a VPC share an address, so the first prefix found tells all. 1: it passes as a member of a shared open group. */
__noinline int add_members(struct question *q, __u32 table, __u32 words)
{
	__u64 vpc, count, intra;
	__u32 set = 0, first;
	int open = 0;

	if (!q)
		return 0;
	vpc = pool_word(q->interface + PC_INTERFACE_VPC);
	for (int i = 0; i < PC_MEMBER_LENGTHS_MAX && !set; i++) {
		__u32 length = config_word((q->family == 4 ? PC_CONFIG_MEMBER_LENGTHS4
							   : PC_CONFIG_MEMBER_LENGTHS6) + i);

		if (length)
			set = member_set(vpc, q, length - 1);
	}
	if (!set)
		return 0;
	count = pool_word(set);
	intra = pool_word(q->interface + PC_INTERFACE_INTRA);
	first = q->interface + SECTION_OFFSET(intra);
	for (int i = 0; i < PC_GROUPS_PER_MEMBER_MAX; i++) {
		__u64 group;
		__u32 found;

		if (i >= count)
			break;
		group = pool_word(set + 1 + i);
		found = search_words(first, SECTION_COUNT(intra), 1, group);
		open |= found && pool_word(first + found - 1) == group;
		add_group(table, words, group);
	}
	/* Only another interface's address is let in. */
	return open && !is_own(q->interface, q->family, q->remote[0], q->remote[1]);
}

/* The number of the first rule that matches; the count of rules if none does. The notes' rows hold those of groups. */
__noinline __u32 first_rule(struct question *q, __u32 table, __u32 rules)
{
	__u32 remote, local, protocol, destination, source;
	struct packet *p = notes_get();

	if (!q || !p)
		return rules;
	remote = address_row(table, q->family == 4 ? PC_TABLE_REMOTE4_BOUNDS : PC_TABLE_REMOTE6_BOUNDS,
			     q->remote[0], q->remote[1]);
	local = address_row(table, q->family == 4 ? PC_TABLE_LOCAL4_BOUNDS : PC_TABLE_LOCAL6_BOUNDS,
			    q->local[0], q->local[1]);
	destination = address_row(table, PC_TABLE_DPORT_BOUNDS, 0, q->destination_port);
	source = address_row(table, PC_TABLE_SPORT_BOUNDS, 0, q->source_port);
	protocol = SECTION_OFFSET(pool_word(table + (q->family == 4 ? PC_TABLE_PROTOCOL4 : PC_TABLE_PROTOCOL6)));
	protocol = table + (__u32)pool_word(table + protocol + q->protocol);
	for (int i = 0; i < PC_ROW_WORDS_MAX; i++) {
		__u64 left;

		if (i * 64 >= rules)
			break;
		left = (pool_word(remote + i) | p->rows[i]) & pool_word(local + i) & pool_word(protocol + i) &
		       pool_word(destination + i) & pool_word(source + i);
		if (left) {
			__u32 bit = 0;

			for (int half = 32; half; half /= 2)
				if (!(left & ((1ull << half) - 1))) {
					left >>= half;
					bit += half;
				}
			return i * 64 + bit;
		}
	}
	return rules;
}

#define JUDGED(accept, reason, counter) \
	(((__u64)(counter) << 32) | ((accept) ? PC_CB_ACCEPT : 0) | (reason))
#define JUDGED_ACCEPT(judged) (((judged)&PC_CB_ACCEPT) != 0)
#define JUDGED_REASON(judged) ((__u32)(judged)&0xff)
#define JUDGED_COUNTER(judged) ((__u32)((judged) >> 32))

/* Steps 7 to 10 for a first packet: accept, reason, and the number + 1 of the rule's counter. */
static __always_inline __u64 judge(struct question *q)
{
	__u32 table, rules, rule;
	__u64 action;
	struct packet *p = notes_get();

	if (!q || !p)
		return JUDGED(0, PC_CLOSED, 0);
	if (pool_word(q->interface + PC_INTERFACE_FLAGS) & PC_FLAG_CLOSED)
		return JUDGED(0, PC_CLOSED, 0);
	table = pool_word(q->interface + (q->direction == PC_EGRESS ? PC_INTERFACE_EGRESS : PC_INTERFACE_INGRESS));
	if (!table)
		return JUDGED(0, PC_CLOSED, 0);
	rules = pool_word(table + PC_TABLE_RULES);
	for (int i = 0; i < PC_ROW_WORDS_MAX; i++)
		p->rows[i] = 0;
	if (add_members(q, table, (rules + 63) / 64))
		return JUDGED(1, PC_INTRA_GROUP, 0);
	rule = first_rule(q, table, rules);
	if (rule >= rules)
		return JUDGED(pool_word(table + PC_TABLE_DEFAULT) & 1, PC_DEFAULT, 0);
	action = pool_word(table + SECTION_OFFSET(pool_word(table + PC_TABLE_ACTIONS)) + rule);
	return JUDGED(action & PC_ACTION_ACCEPT, PC_RULE, (__u32)action + 1);
}

#endif
