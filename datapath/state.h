/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel program and its user side share beyond policy: settings, flows, counts and events.
 * `crates/agent/src/sys/abi.rs` mirrors this file; a test compares the two. A change here raises PC_LAYOUT_VERSION in abi.h too.
 */
#ifndef PORTCULLIS_STATE_H
#define PORTCULLIS_STATE_H

#include <linux/types.h>

enum pc_direction { PC_EGRESS, PC_INGRESS };

/* Why a packet was let through or dropped: the order of judgement, as in `crates/core/src/verdict.rs`. */
enum pc_reason {
	PC_MALFORMED,
	PC_UNSUPPORTED,
	PC_BASELINE,
	PC_SPOOFED,
	PC_TRACKED,
	PC_BLOCKED,
	PC_NO_FLOW,
	PC_FRAGMENT_ORPHAN,
	PC_CLOSED,
	PC_INTRA_GROUP,
	PC_RULE,
	PC_DEFAULT,
	PC_FLOW_TABLE_FULL,
	PC_REASONS
};
/* The program leaves (accept << 8) | reason in cb[0] and the rule counter number + 1 (0: none) in cb[1]. */
#define PC_CB_ACCEPT 0x100

/* Words of the `config` map. */
enum pc_config_word {
	PC_CONFIG_MEMBERSHIP,           /* raised after every change of the members map */
	PC_CONFIG_CLOCK_OFFSET_NS,      /* added to the kernel's monotonic clock */
	PC_CONFIG_FLAGS,                /* PC_CONFIG_FLAG_* */
	PC_CONFIG_EVENTS_PER_SECOND,    /* most events of one interface in a second */
	PC_CONFIG_DHCP4_SERVERS,        /* PC_DHCP4_SERVERS_MAX addresses, 0: unused */
	PC_CONFIG_MEMBER_LENGTHS4 = 16, /* prefix lengths in use: bit n for the length 32 - n */
	PC_CONFIG_MEMBER_LENGTHS6 = 20, /* PC_MEMBER_LENGTH_WORDS words, lowest first: bit n for the length 128 - n */
	PC_CONFIG_WORDS = 24
};
#define PC_DHCP4_SERVERS_MAX 8
#define PC_MEMBER_LENGTH_WORDS 3
/* Any link-local address is taken for an interface's own. */
#define PC_CONFIG_FLAG_ANY_LINK_LOCAL 1ull

/* Value of the `slots` map, by slot number. */
struct pc_slot {
	__u64 word;            /* (generation << 32) | pool offset of the INTERFACE blob; 0: nothing passes */
	__u64 pick_up_until;   /* in 'now'; 0: no pick-up */
	__u64 blocks;          /* blocks of places beyond its reserve */
	__u64 unused[5];
	__u64 places_claim;    /* word of places, counted in the slot's own, with room for the next flow; PC_NO_ROOM: none has any */
	__u64 places_hand;     /* place, counted in the slot's own, where the search for a flow that gives way goes on */
	__u64 full_until;      /* in 'now': no place was found, and none is looked for before this */
	__u64 events_second;   /* the second that events_count is about */
	__u64 events_count;
	__u64 events_lost;
	__u64 incarnation;     /* raised for every flow begun */
	__u64 places_expire;   /* in 'now': none of its flows idles out before, if nobody erred; place.h */
};

/* Value of the `devices` map. A device is led to a slot by a word (device number << 32) | (slot + 1) anywhere in the bucket
 * of the number device number % PC_DEVICE_BUCKETS; 0 is a free place. */
#define PC_DEVICE_BUCKETS 1024
#define PC_DEVICES_PER_BUCKET 8
struct pc_device_bucket {
	__u64 places[8];
};

/* Key of the `members` map; the value is the pool offset of a member set. */
struct pc_member_key {
	__u64 vpc;
	__u64 address[2]; /* as numbers, high first; IPv4 in the second */
	__u32 family;     /* 4 or 6 */
	__u32 length;
};

/* Key of the `flows` map. Echo: the identifier is the local port. */
struct pc_flow_key {
	__u64 handle;
	__u64 local[2];
	__u64 remote[2];
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 family; /* 4 or 6 */
	__u8 asker;  /* of an echo: 1 the local side, 2 the remote one */
	__u8 unused;
};

/* Low half of pc_flow.state; the high half is the entry's incarnation. */
#define PC_FLOW_FIRST_INGRESS 0x001u /* the packet that began it entered the instance */
#define PC_FLOW_BLOCKED 0x002u
#define PC_FLOW_SYN 0x004u        /* began with a SYN */
#define PC_FLOW_RESET 0x008u      /* a RST, and not established again since */
#define PC_FLOW_SENT_FIRST 0x010u /* the side that began it has sent */
#define PC_FLOW_SENT_OTHER 0x020u
#define PC_FLOW_ACK_FIRST 0x040u  /* …has sent an ACK since the SYN or the last RST */
#define PC_FLOW_ACK_OTHER 0x080u
#define PC_FLOW_FIN_FIRST 0x100u
#define PC_FLOW_FIN_OTHER 0x200u
#define PC_FLOW_ENDING 0x400u     /* whoever set it takes the entry out of the map; nobody else does */

/* Value of the `flows` map. */
struct pc_flow {
	__u64 state;
	__u64 seen;    /* 'now' of the last accepted packet */
	__u64 judged;  /* (policy generation << 32) | membership generation it was judged by */
	__u64 idle_ns; /* how long it lives after `seen` */
	__u64 began;
	__u32 slot;
	__u32 place;   /* its place in `places`; PC_PLACE_NONE: the next sweep finds it one */
	__u32 counter; /* number + 1 of the counter of the rule that decides on it now; 0: none */
	__u32 reason;  /* of its last accept */
	__u64 packets[2]; /* let through, by direction */
	__u64 bytes[2];
};

/* A flow of an older layout, as the user side hands it to pc_adopt: in a frame, from byte PC_ADOPTED_AT on. */
#define PC_ADOPTED_AT 16
struct pc_adopted {
	struct pc_flow_key key;
	__u64 seen;
	__u64 idle_ns;
	__u64 began;
	__u64 packets[2];
	__u64 bytes[2];
	__u32 state; /* PC_FLOW_* */
	__u32 slot;
	__u32 counter; /* number + 1 of the counter of its rule; 0: none */
	__u32 reason;
};

/* Every flow holds a place: an element of the `places` array, whose value is the flow's key. Places come in blocks. The block of
 * a slot's number is its reserve, which is never another's; the blocks from pc_spare.first on are lent to slots and given back.
 * A slot counts its own places from 0: the reserve, and then the blocks that its row of the `slot_blocks` array names (block + 1;
 * 0: none). It may use those below its quota. */
#define PC_WORD_PLACES 64
#define PC_BLOCK_WORDS 4
#define PC_BLOCK_PLACES 256
/* Most blocks of a slot, its reserve included: the largest quota. */
#define PC_SLOT_BLOCKS 256
#define PC_PLACE_NONE 0xffffffffu
#define PC_NO_ROOM (~0ull)

/* Value of the `place_words` array: 64 places, a bit each. */
struct pc_place_word {
	__u64 used;
	__u64 gives_way; /* a hint: its flow may give way */
	__u64 expires;   /* in 'now', a hint: none of its flows idles out before */
	__u64 doubted;   /* a sweep found no flow at it */
};

/* Value of the `block_owners` array: (number in the slot's own count << 32) | (slot + 1); 0: nobody's. Reserves have none. */

/* Value of the one element of `spare`: the blocks that are lent. */
struct pc_spare {
	__u64 first;
	__u64 end;
	__u64 taken;
	__u64 hand;  /* where the search for a free one goes on */
	__u64 sweep; /* block at which the next sweep looks for places without a flow */
};

/* Key of the `fragments` map. */
struct pc_fragment_key {
	__u64 handle;
	__u64 source[2];
	__u64 destination[2];
	__u32 identification;
	__u8 direction;
	__u8 family;
	__u8 protocol; /* IPv6: of the fragment header */
	__u8 unused;
};

/* Value of the `fragments` map: what the first fragment was judged by, so that it can be judged again. */
struct pc_fragment {
	__u64 until; /* in 'now' */
	__u64 judged; /* generations that it was last accepted by */
	struct pc_flow_key flow;
	__u32 header_end; /* end of the transport header, from the start of the datagram's payload */
	__u8 first;       /* direction to judge `flow` in */
	__u8 judge;       /* 0: the verdict depends on no rule */
	__u8 unused[2];
};

/* Per-CPU value of the `hits` map (by rule counter number) and the `reasons` map. */
struct pc_count {
	__u64 packets;
	__u64 bytes;
	__u64 last_seen; /* in 'now' */
};
/* Index of the `reasons` map: ((slot * 2 + direction) * PC_REASON_STRIDE) + reason * 2 + accept. */
#define PC_REASON_STRIDE 32

enum pc_event_kind { PC_EVENT_NEW, PC_EVENT_DENY, PC_EVENT_REVOKE, PC_EVENT_RECOVER, PC_EVENT_END };

/* How a flow ended. */
enum pc_end_cause {
	PC_END_IDLE,
	PC_END_CLOSED,    /* both sides had said so */
	PC_END_RESET,
	PC_END_BLOCKED,   /* its verdict was drop when it idled out */
	PC_END_GAVE_WAY,  /* its place went to another flow */
	PC_END_REPLACED,  /* another flow of the same key began */
	PC_END_FORGOTTEN, /* its interface is here no longer */
	PC_END_CAUSES
};

/* Record of the `events` ring buffer. */
struct pc_event {
	__u64 now;
	struct pc_flow_key flow; /* of a packet that was not understood only the handle is told */
	__u64 began;             /* of the flow; 0: the event is about no flow */
	__u64 seen;
	__u64 packets[2]; /* by direction: of the flow so far, or the packet at hand */
	__u64 bytes[2];
	__u32 slot;
	__u32 counter; /* rule counter number + 1; 0: none */
	__u8 kind;
	__u8 direction;
	__u8 reason;
	__u8 cause; /* pc_end_cause of an end */
	__u32 unused;
};

/* Named limits of section 2 and times of section 4. */
#define PC_EXTENSION_HEADERS_MAX 8
#define PC_NDP_OPTIONS_MAX 16
#define PC_SECOND_NS 1000000000ull
#define PC_FRAGMENT_NS (30 * PC_SECOND_NS)
#define PC_UNANSWERED_NS (30 * PC_SECOND_NS)
#define PC_OTHER_NS (30 * PC_SECOND_NS)
/* A flow's `seen` is written at most this often. */
#define PC_SEEN_STEP_NS 1000000ull
/* Blocks in which one sweep looks for places without a flow. */
#define PC_SWEEP_BLOCKS 16
/* After a search for a place in vain the next waits this long, unless an entry becomes one that gives way. */
#define PC_FULL_NS (100 * 1000000ull)

#endif
