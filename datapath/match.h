/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policy: steps 7 to 10 of section 2, by the tables of abi.h. Knows nothing of packets, only the fields that rules look at. */
#ifndef PORTCULLIS_MATCH_H
#define PORTCULLIS_MATCH_H

#include "maps.h"

/* 0 of IPv4, 1 of IPv6, without a branch: the verifier would follow both. */
#define IS_IPV6(family) (((family) >> 1) & 1)
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

/* All ones if a <= b, else 0, without a branch: the verifier then follows one path through a search. */
static __always_inline __u64 not_above(__u64 a, __u64 b)
{
	/* The borrow of b - a. */
	return (((~b & a) | ((~b | a) & (b - a))) >> 63) - 1;
}

/* The position of the lowest bit that is set; 64 if none is. */
static __always_inline __u32 lowest_bit(__u64 word)
{
	/* How many bits are below it. */
	word = (word & -word) - 1;
	word -= (word >> 1) & 0x5555555555555555ull;
	word = (word & 0x3333333333333333ull) + ((word >> 2) & 0x3333333333333333ull);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (word * 0x0101010101010101ull) >> 56;
}

/* The position of the last of `count` sorted words, one for each `stride`, that is <= x; 0 if none or only the first is. */
__noinline __u32 search_words(__u32 first, __u32 count, __u32 stride, __u64 x)
{
	__u32 low = 0;

#pragma clang loop unroll(disable)
	for (int step = 0; step < PC_SEARCH_STEPS; step++) {
		__u32 half = count / 2, at = first + (low + half) * stride;
		__u64 *word;

		if (!half)
			break;
		word = bpf_map_lookup_elem(&pool, &at);
		if (!word)
			break;
		low += half & (__u32)not_above(*word, x);
		count -= half;
	}
	return low;
}

/* The same for pairs of words, high first. */
__noinline __u32 search_pairs(__u32 first, __u32 count, __u32 stride, __u64 high, __u64 low_word)
{
	__u32 low = 0;

#pragma clang loop unroll(disable)
	for (int step = 0; step < PC_SEARCH_STEPS; step++) {
		__u32 half = count / 2, at = first + (low + half) * stride, next = at + 1;
		__u64 *h, *l;

		if (!half)
			break;
		h = bpf_map_lookup_elem(&pool, &at);
		l = bpf_map_lookup_elem(&pool, &next);
		if (!h || !l)
			break;
		/* h < high, or h == high and l <= low_word. */
		low += half & (__u32)(~not_above(high, *h) | (not_above(*h, high) & not_above(*l, low_word)));
		count -= half;
	}
	return low;
}

/* 1: the address is one of the interface's own. */
__noinline int is_own(__u32 interface, __u32 family, __u64 high, __u64 low)
{
	__u64 section = pool_word_inline(interface + (family == 4 ? PC_INTERFACE_OWN4 : PC_INTERFACE_OWN6));
	__u32 at = interface + SECTION_OFFSET(section), count = SECTION_COUNT(section);
	__u64 h, l;

	if (!count)
		return 0;
	if (family == 4) {
		/* Most have one. */
		if (pool_word_inline(at) <= low && low <= pool_word_inline(at + 1))
			return 1;
		if (count == 1)
			return 0;
		at += search_words(at, count, 2, low) * 2;
		return pool_word_inline(at) <= low && low <= pool_word_inline(at + 1);
	}
	at += search_pairs(at, count, 4, high, low) * 4;
	h = pool_word_inline(at);
	l = pool_word_inline(at + 1);
	if (h > high || (h == high && l > low))
		return 0;
	h = pool_word_inline(at + 2);
	l = pool_word_inline(at + 3);
	return high < h || (high == h && low <= l);
}

/* The row of an address in the dimension whose sections stand at `word` (boundaries) and the word after it (classes). */
__noinline __u32 address_row(__u32 table, __u32 word, __u64 high, __u64 low)
{
	__u64 bounds = pool_word_inline(table + word), classes = pool_word_inline(table + word + 1);
	__u32 first = table + SECTION_OFFSET(bounds), count = SECTION_COUNT(bounds), found;

	if (word == PC_TABLE_REMOTE6_BOUNDS || word == PC_TABLE_LOCAL6_BOUNDS)
		found = search_pairs(first, count, 2, high, low);
	else
		found = search_words(first, count, 1, low);
	return table + (__u32)pool_word_inline(table + SECTION_OFFSET(classes) + found);
}

/* A search for the groups of an address among members, prefix length by prefix length. */
struct member_search {
	__u64 vpc;
	__u64 address[2];
	__u64 lengths[PC_MEMBER_LENGTH_WORDS]; /* those that are still to be tried */
	__u32 family;
	__u32 set; /* pool offset; 0: none yet */
};

/* Looks for a prefix of this length. 1: found. */
static __always_inline int member_find(struct member_search *search, __u32 length)
{
	struct pc_member_key key = { .vpc = search->vpc, .family = search->family, .length = length };
	__u64 *set;

	if (search->family == 4)
		key.address[1] = length ? search->address[1] & (~0ull << ((32 - length) & 31)) : 0;
	else if (length <= 64)
		key.address[0] = length ? search->address[0] & (~0ull << ((64 - length) & 63)) : 0;
	else {
		key.address[0] = search->address[0];
		key.address[1] = search->address[1] & (~0ull << ((128 - length) & 63));
	}
	set = bpf_map_lookup_elem(&members, &key);
	if (set)
		search->set = *(volatile __u64 *)set;
	return set != 0;
}

/* Tries the longest prefix length that is left. */
static long member_step(__u32 i, struct member_search *search)
{
	__u32 longest = search->family == 4 ? 32 : 128;
	__u64 left;

	(void)i;
	left = search->lengths[0];
	if (left) {
		search->lengths[0] = left & (left - 1);
		return member_find(search, longest - lowest_bit(left));
	}
	left = search->lengths[1];
	if (left) {
		search->lengths[1] = left & (left - 1);
		return member_find(search, longest - 64 - lowest_bit(left));
	}
	/* Only the length 0 of IPv6 is there. */
	if (search->lengths[2])
		member_find(search, 0);
	return 1;
}

/* The set of groups of the remote address; 0: none. No two interfaces of a VPC share an address, so the first prefix found tells
 * all. */
__noinline __u32 remote_set(struct question *q)
{
	struct member_search search = {};
	__u32 word;

	if (!q)
		return 0;
	search.vpc = pool_word_inline(q->interface + PC_INTERFACE_VPC);
	search.address[0] = q->remote[0];
	search.address[1] = q->remote[1];
	search.family = q->family;
	word = PC_CONFIG_MEMBER_LENGTHS4;
	if (q->family != 4) {
		word = PC_CONFIG_MEMBER_LENGTHS6;
		search.lengths[1] = config_word(word + 1);
		search.lengths[2] = config_word(word + 2);
	}
	search.lengths[0] = config_word(word);
	/* Whole addresses are what nearly all members have. */
	if (search.lengths[0] & 1) {
		search.lengths[0] ^= 1;
		if (member_find(&search, q->family == 4 ? 32 : 128))
			return search.set;
	}
	if (search.lengths[0] | search.lengths[1] | search.lengths[2])
		bpf_loop(PC_MEMBER_LENGTH_WORDS * 64, member_step, &search, 0);
	return search.set;
}

/* 1: the set has a group whose members pass at the interface ahead of every rule. */
__noinline int is_open(__u32 interface, __u32 set)
{
	__u64 intra = pool_word_inline(interface + PC_INTERFACE_INTRA), count = pool_word_inline(set);
	__u32 first = interface + SECTION_OFFSET(intra);

	if (!SECTION_COUNT(intra))
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_GROUPS_PER_MEMBER_MAX; i++) {
		__u64 group;

		if (i >= count)
			break;
		group = pool_word(set + 1 + i);
		if (pool_word(first + search_words(first, SECTION_COUNT(intra), 1, group)) == group)
			return 1;
	}
	return 0;
}

/* The row of cells of a remote address. */
static __always_inline __u32 class_row(__u32 table, __u32 family, __u64 high, __u64 low)
{
	__u64 remote = pool_word_inline(
		table + (family == 4 ? PC_TABLE_CLASSES4_REMOTE : PC_TABLE_CLASSES6_REMOTE));
	__u32 first = table + SECTION_OFFSET(remote), count = SECTION_COUNT(remote), at;
	__u64 value;

	if (family == 4) {
		at = search_words(first, count, 1, (low << 32) | 0xffffffff);
		return pool_word_inline(first + at);
	}
	at = search_words(first, count, 1, high);
	value = pool_word_inline(first + count + at);
	if (!(value & PC_INNER))
		return value;
	first = table + SECTION_OFFSET(value & ~PC_INNER);
	count = SECTION_COUNT(value);
	at = search_words(first, count, 1, low);
	return pool_word_inline(first + count + at);
}

/* A 16-bit entry of those that stand four to a word. */
static __always_inline __u32 entry(__u32 first, __u32 number)
{
	return (pool_word_inline(first + number / 4) >> (number % 4 * 16)) & 0xffff;
}

#define DEEPER(tree, entry) ((tree) + ((entry) & (PC_DEEPER - 1)) * PC_CHUNK_WORDS)

/* The column of cells of a protocol and destination port. */
static __always_inline __u32 port_class(__u32 tree, __u32 protocol, __u32 port)
{
	__u32 found = entry(tree, protocol & 0xff);

	if (found & PC_DEEPER)
		found = entry(DEEPER(tree, found), (port >> 8) & 0xff);
	if (found & PC_DEEPER)
		found = entry(DEEPER(tree, found), (port >> 4) & 15);
	if (found & PC_DEEPER)
		found = entry(DEEPER(tree, found), port & 15);
	return found;
}

/* The rule in a cell. `words`: where the family's words stand in the pool. */
static __always_inline __u32 cell(__u32 table, __u32 words, __u32 row, __u32 column)
{
	__u32 page = entry(table + (__u32)pool_word_inline(words + 2), row + column / PC_PAGE_CELLS);

	return entry(table + (__u32)pool_word_inline(words + 3), page * PC_PAGE_CELLS + column % PC_PAGE_CELLS);
}

/* The rule in the cell of a group; PC_CELL_NONE if the table does not know the group. */
__noinline __u32 group_cell(__u32 table, __u32 words, __u64 group, __u32 column)
{
	__u64 groups = pool_word_inline(words + 4), found;
	__u32 first = table + SECTION_OFFSET(groups);

	if (!SECTION_COUNT(groups))
		return PC_CELL_NONE;
	found = pool_word_inline(first + search_words(first, SECTION_COUNT(groups), 1, (group << 32) | 0xffffffff));
	if (found >> 32 != group)
		return PC_CELL_NONE;
	return cell(table, words, found, column);
}

/* The number of the first rule that matches; PC_CELL_NONE if none does. `set`: the groups of the remote address, or 0. */
__noinline __u32 first_of_classes(struct question *q, __u32 table, __u32 set)
{
	__u32 words, column, rule, count;

	if (!q)
		return PC_CELL_NONE;
	words = table + PC_TABLE_CLASSES4_REMOTE +
		IS_IPV6(q->family) * (PC_TABLE_CLASSES6_REMOTE - PC_TABLE_CLASSES4_REMOTE);
	column = port_class(table + (__u32)pool_word_inline(words + 1), q->protocol, q->destination_port);
	rule = cell(table, words, class_row(table, q->family, q->remote[0], q->remote[1]), column);
	if (!set)
		return rule;
	count = pool_word_inline(set);
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_GROUPS_PER_MEMBER_MAX; i++) {
		__u32 of_group;

		if (i >= count)
			break;
		of_group = group_cell(table, words, pool_word(set + 1 + i), column);
		rule ^= (rule ^ of_group) & (__u32)not_above(of_group, rule);
	}
	return rule;
}

/* ORs the row of a group, if the table knows the group, into the notes' rows. */
__noinline int add_group(__u32 table, __u32 words, __u64 group)
{
	__u64 groups = pool_word(table + PC_TABLE_GROUP_NUMBERS);
	__u64 rows = pool_word(table + PC_TABLE_GROUP_ROWS);
	__u32 first = table + SECTION_OFFSET(groups), found, row;
	struct packet *p = notes_get();

	if (!p)
		return 0;
	found = search_words(first, SECTION_COUNT(groups), 1, group);
	if (!SECTION_COUNT(groups) || pool_word(first + found) != group)
		return 0;
	row = table + (__u32)pool_word(table + SECTION_OFFSET(rows) + found);
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_ROW_WORDS_MAX; i++) {
		if (i >= words)
			break;
		p->rows[i] |= pool_word(row + i);
	}
	return 0;
}

/* Puts the rows of a set's groups together in the notes. */
__noinline int add_groups(__u32 table, __u32 words, __u32 set)
{
	struct packet *p = notes_get();
	__u64 count;

	if (!p)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_ROW_WORDS_MAX; i++)
		p->rows[i] = 0;
	count = set ? pool_word(set) : 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_GROUPS_PER_MEMBER_MAX; i++) {
		if (i >= count)
			break;
		add_group(table, words, pool_word(set + 1 + i));
	}
	return 0;
}

/* The number of the first rule that matches; the count of rules if none does. The notes' rows hold those of groups. */
__noinline __u32 first_of_vectors(struct question *q, __u32 table, __u32 rules)
{
	__u32 remote, local, protocol, destination, source, six;
	struct packet *p = notes_get();

	if (!q || !p)
		return rules;
	six = IS_IPV6(q->family);
	remote = address_row(table, PC_TABLE_REMOTE4_BOUNDS + six * 2, q->remote[0], q->remote[1]);
	local = address_row(table, PC_TABLE_LOCAL4_BOUNDS + six * 2, q->local[0], q->local[1]);
	destination = address_row(table, PC_TABLE_DPORT_BOUNDS, 0, q->destination_port);
	source = address_row(table, PC_TABLE_SPORT_BOUNDS, 0, q->source_port);
	protocol = SECTION_OFFSET(pool_word_inline(table + PC_TABLE_PROTOCOL4 + six));
	protocol = table + (__u32)pool_word_inline(table + protocol + q->protocol);
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_ROW_WORDS_MAX; i++) {
		__u64 left;

		if (i * 64 >= rules)
			break;
		left = (pool_word(remote + i) | p->rows[i]) & pool_word(local + i) & pool_word(protocol + i) &
		       pool_word(destination + i) & pool_word(source + i);
		if (left)
			return i * 64 + lowest_bit(left);
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
	__u32 table, rules, rule, set = 0;
	__u64 action, intra;

	if (pool_word_inline(q->interface + PC_INTERFACE_FLAGS) & PC_FLAG_CLOSED)
		return JUDGED(0, PC_CLOSED, 0);
	table = pool_word_inline(q->interface +
				 (q->direction == PC_EGRESS ? PC_INTERFACE_EGRESS : PC_INTERFACE_INGRESS));
	if (!table)
		return JUDGED(0, PC_CLOSED, 0);
	intra = pool_word_inline(q->interface + PC_INTERFACE_INTRA);
	if (SECTION_COUNT(intra) || pool_word_inline(table + PC_TABLE_GROUPS))
		set = remote_set(q);
	/* Only another interface's address is let in. */
	if (set && is_open(q->interface, set) && !is_own(q->interface, q->family, q->remote[0], q->remote[1]))
		return JUDGED(1, PC_INTRA_GROUP, 0);
	rules = pool_word_inline(table + PC_TABLE_RULES);
	if (pool_word_inline(table + PC_TABLE_FORM) == PC_FORM_CLASSES) {
		rule = first_of_classes(q, table, set);
	} else {
		add_groups(table, PC_ROW(rules), set);
		rule = first_of_vectors(q, table, rules);
	}
	if (rule >= rules)
		return JUDGED(pool_word_inline(table + PC_TABLE_DEFAULT) & 1, PC_DEFAULT, 0);
	action = pool_word_inline(table + SECTION_OFFSET(pool_word_inline(table + PC_TABLE_ACTIONS)) + rule);
	return JUDGED(action & PC_ACTION_ACCEPT, PC_RULE, (__u32)action + 1);
}

#endif
