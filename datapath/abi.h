/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The layout shared by the kernel program and its user side: policy as data.
 *
 * All policy lives in one array of 64-bit words, the *pool*; a *blob* is a run of words in it. Offsets inside a blob are in
 * words from the blob's own first word. `crates/compile/src/abi.rs` mirrors this file; a test compares the two.
 *
 * A section is one word: (offset << 32) | count. What `offset` points to and `count` counts is said per section.
 *
 * TABLE blob: the rules of one direction, numbered 0.. in evaluation order; n rules, row = PC_ROW(n) words, bit r of a row
 * (word r/64, bit r%64) says that rule r is still possible. The verdict is the lowest bit set in the AND of one row of each of
 * remote (OR'ed with the rows of the remote address's groups), local, protocol, destination port, source port.
 *   Addresses: sorted boundaries (lower bounds, the first is 0); the class of a value is that of the last boundary <= it. A
 *   boundary takes 1 word in IPv4 and 2 words (high, low) in IPv6, a class 1 word: the offset of its row.
 *   Ports: as IPv4 addresses. A packet without ports has port 0, which only "any" matches.
 */
#ifndef PORTCULLIS_ABI_H
#define PORTCULLIS_ABI_H

/* Raised whenever a layout below changes; part of the pin path. */
#define PC_LAYOUT_VERSION 2

#define PC_ROW(rules) (((rules) + 63) / 64)
/* Most rules of one interface and direction. */
#define PC_RULES_MAX 1024
#define PC_ROW_WORDS_MAX (PC_RULES_MAX / 64)
/* Most boundaries of one dimension: a search takes PC_SEARCH_STEPS steps. */
#define PC_SEARCH_STEPS 20
#define PC_BOUNDARIES_MAX ((1 << PC_SEARCH_STEPS) - 1)
/* Most groups of one interface, and so of one address. */
#define PC_GROUPS_PER_MEMBER_MAX 16
/* Most own prefixes of one interface and family. */
#define PC_OWN_MAX 64

/* Words of a TABLE blob's header. */
enum pc_table_word {
	PC_TABLE_RULES,           /* n (0..PC_RULES_MAX) */
	PC_TABLE_REMOTE4_BOUNDS,  /* section: boundaries */
	PC_TABLE_REMOTE4_CLASSES, /* section: row offsets, same count */
	PC_TABLE_REMOTE6_BOUNDS,
	PC_TABLE_REMOTE6_CLASSES,
	PC_TABLE_LOCAL4_BOUNDS,
	PC_TABLE_LOCAL4_CLASSES,
	PC_TABLE_LOCAL6_BOUNDS,
	PC_TABLE_LOCAL6_CLASSES,
	PC_TABLE_PROTOCOL4,       /* section: 256 row offsets, by final protocol */
	PC_TABLE_PROTOCOL6,
	PC_TABLE_DPORT_BOUNDS,
	PC_TABLE_DPORT_CLASSES,
	PC_TABLE_SPORT_BOUNDS,
	PC_TABLE_SPORT_CLASSES,
	PC_TABLE_GROUPS,          /* section: group numbers, sorted, each once */
	PC_TABLE_GROUP_ROWS,      /* section: row offsets, same count */
	PC_TABLE_ACTIONS,         /* section: n words: (accept << 63) | rule counter number */
	PC_TABLE_DEFAULT,         /* 1: accept, 0: drop, when no rule matches */
	PC_TABLE_HEADER_WORDS
};
#define PC_ACTION_ACCEPT (1ull << 63)

/* Words of an INTERFACE blob's header: what one interface's slot points to. */
enum pc_interface_word {
	PC_INTERFACE_HANDLE,   /* number that no other interface ever had on this host; part of every flow key */
	PC_INTERFACE_FLAGS,    /* PC_FLAG_* */
	PC_INTERFACE_MAC,      /* the six bytes in the low 48 bits, first byte highest */
	PC_INTERFACE_VPC,      /* host-wide VPC number: members are looked up in it */
	PC_INTERFACE_EGRESS,   /* pool offset of the TABLE blob */
	PC_INTERFACE_INGRESS,
	PC_INTERFACE_OWN4,     /* section: pairs of words (first, last address), sorted */
	PC_INTERFACE_OWN6,     /* section: quadruples (first high, first low, last high, last low), sorted */
	PC_INTERFACE_INTRA,    /* section: group numbers whose members pass ahead of rules */
	PC_INTERFACE_IDLE_ESTABLISHED_S,
	PC_INTERFACE_IDLE_CLOSED_S,
	PC_INTERFACE_IDLE_UDP_S,
	PC_INTERFACE_QUOTA,    /* most flow entries */
	PC_INTERFACE_HEADER_WORDS
};
/* Addresses of packets are held against the interface's own. */
#define PC_FLAG_CHECK_ADDRESSES 1ull
/* PC_INTERFACE_MAC is known. */
#define PC_FLAG_MAC 2ull
/* Flows keep their first verdict when rules change. */
#define PC_FLAG_KEEP_ESTABLISHED 4ull
/* The interface has no policy yet: baseline only. */
#define PC_FLAG_CLOSED 8ull

/* A member set: words (count, group numbers…), count <= PC_GROUPS_PER_MEMBER_MAX. The members map leads from
 * (VPC number, prefix) to the pool offset of its set. */

#endif
