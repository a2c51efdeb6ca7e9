/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The layout shared by the kernel program and its user side: policy as data.
 *
 * All policy lives in one array of 64-bit words, the *pool*; a *blob* is a run of words in it. Offsets inside a blob are in
 * words from the blob's own first word. `crates/compile/src/abi.rs` mirrors this file; a test compares the two.
 *
 * A section is one word: (offset << 32) | count. What `offset` points to and `count` counts is said per section.
 *
 * TABLE blob: the rules of one direction, numbered 0.. in evaluation order, in one of two forms. The verdict is the lowest number
 * of a rule that matches. A packet without ports has port 0, which only "any" matches.
 *
 * PC_FORM_CLASSES: what rules look at is cut into classes of values that no rule tells apart, and a cell says which rule is first
 * for a remote class (a row of cells) and a port class (a column). The verdict is the lowest of the cells in the row of the remote
 * address and in the rows of its groups. IPv4 and IPv6 have tables of their own.
 *   Cells: 16 bits, four to a word, lowest first: the rule's number, or PC_CELL_NONE. They stand in pages of PC_PAGE_CELLS cells, and
 *   rows that say the same of PC_PAGE_CELLS neighbouring columns share a page. A row is a run of 16-bit page numbers, four to a
 *   word, and is named by where it begins among those of all rows.
 *   IPv4: sorted words (lowest address of the class << 32) | row; the first address is 0.
 *   IPv6: sorted high halves of addresses, the first 0, and behind them as many words: a row, or PC_INNER | section of sorted low
 *   halves, the first 0, with as many rows behind them, for addresses with exactly that high half.
 *   Ports: a tree of 16-bit entries, four to a word, lowest first: 256 by protocol, then 256 by the high byte of the port, 16 by
 *   the next four bits, 16 by the last four. An entry is a column, or PC_DEEPER | where the next entries stand, in steps of
 *   PC_CHUNK_WORDS words from the tree's first.
 *   Groups: sorted words (group number << 32) | row.
 *
 * PC_FORM_VECTORS, for what does not fit into classes (source ports, local addresses, too many cells): n rules, row = PC_ROW(n)
 * words, bit r of a row (word r/64, bit r%64) says that rule r is still possible; the lowest bit set in the AND of one row of each
 * of remote (OR'ed with the rows of the remote address's groups), local, protocol, destination port, source port.
 *   Addresses: sorted boundaries (lower bounds, the first is 0); the class of a value is that of the last boundary <= it. A
 *   boundary takes 1 word in IPv4 and 2 words (high, low) in IPv6, a class 1 word: the offset of its row.
 *   Ports: as IPv4 addresses.
 */
#ifndef PORTCULLIS_ABI_H
#define PORTCULLIS_ABI_H

/* Raised whenever a layout below changes; part of the pin path. */
#define PC_LAYOUT_VERSION 3

/* Of a TABLE blob. */
#define PC_FORM_VECTORS 0
#define PC_FORM_CLASSES 1
#define PC_CELL_NONE 65535
#define PC_PAGE_CELLS 16
#define PC_INNER (1ull << 63)
#define PC_DEEPER 32768
#define PC_CHUNK_WORDS 4

#define PC_ROW(rules) (((rules) + 63) / 64)
/* Most rules of one interface and direction. */
#define PC_RULES_MAX 1024
#define PC_ROW_WORDS_MAX (PC_RULES_MAX / 64)
/* Most boundaries of one dimension: a search takes at most PC_SEARCH_STEPS steps. */
#define PC_SEARCH_STEPS 20
#define PC_BOUNDARIES_MAX ((1 << PC_SEARCH_STEPS) - 1)
/* Most groups of one interface, and so of one address. */
#define PC_GROUPS_PER_MEMBER_MAX 16
/* Most own prefixes of one interface and family. */
#define PC_OWN_MAX 64

/* Words of a TABLE blob's header. */
enum pc_table_word {
	PC_TABLE_RULES,           /* n (0..PC_RULES_MAX) */
	PC_TABLE_DEFAULT,         /* 1: accept, 0: drop, when no rule matches */
	PC_TABLE_FORM,            /* PC_FORM_* */
	PC_TABLE_ACTIONS,         /* section: n words: (accept << 63) | rule counter number */
	PC_TABLE_GROUPS,          /* how many groups rules name as peers: none, and nobody looks for members */
	/* Of PC_FORM_CLASSES, in the same order for both families. */
	PC_TABLE_CLASSES4_REMOTE, /* section: boundaries */
	PC_TABLE_CLASSES4_PORTS,  /* offset of the tree */
	PC_TABLE_CLASSES4_ROWS,   /* offset of the page numbers */
	PC_TABLE_CLASSES4_CELLS,  /* offset of the cells */
	PC_TABLE_CLASSES4_GROUPS, /* section */
	PC_TABLE_CLASSES6_REMOTE,
	PC_TABLE_CLASSES6_PORTS,
	PC_TABLE_CLASSES6_ROWS,
	PC_TABLE_CLASSES6_CELLS,
	PC_TABLE_CLASSES6_GROUPS,
	/* Of PC_FORM_VECTORS. */
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
	PC_TABLE_GROUP_NUMBERS,   /* section: group numbers, sorted, each once */
	PC_TABLE_GROUP_ROWS,      /* section: row offsets, same count */
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
