/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, and the per-CPU notes about the packet at hand. The user side sets the sizes when it loads the object. */
#ifndef PORTCULLIS_MAPS_H
#define PORTCULLIS_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "abi.h"
#include "state.h"

#define PC_MAP(name, map_type, entries, key_type, value_type, flags) \
	struct {                                                     \
		__uint(type, map_type);                              \
		__uint(max_entries, entries);                        \
		__uint(map_flags, flags);                            \
		__type(key, key_type);                               \
		__type(value, value_type);                           \
	} name SEC(".maps")

PC_MAP(pool, BPF_MAP_TYPE_ARRAY, 1 << 20, __u32, __u64, BPF_F_MMAPABLE);
PC_MAP(config, BPF_MAP_TYPE_ARRAY, PC_CONFIG_WORDS, __u32, __u64, BPF_F_MMAPABLE);
PC_MAP(slots, BPF_MAP_TYPE_ARRAY, 1024, __u32, struct pc_slot, BPF_F_MMAPABLE);
PC_MAP(devices, BPF_MAP_TYPE_ARRAY, PC_DEVICE_BUCKETS, __u32, struct pc_device_bucket, BPF_F_MMAPABLE);
PC_MAP(members, BPF_MAP_TYPE_HASH, 1 << 17, struct pc_member_key, __u64, BPF_F_NO_PREALLOC);
/* Allocated as a whole: a flow never lacks memory that its place promises, and beginning one costs less than half. */
PC_MAP(flows, BPF_MAP_TYPE_HASH, 1 << 18, struct pc_flow_key, struct pc_flow, 0);
PC_MAP(places, BPF_MAP_TYPE_ARRAY, 1 << 18, __u32, struct pc_flow_key, 0);
PC_MAP(place_words, BPF_MAP_TYPE_ARRAY, (1 << 18) / PC_WORD_PLACES, __u32, struct pc_place_word, BPF_F_MMAPABLE);
PC_MAP(block_owners, BPF_MAP_TYPE_ARRAY, (1 << 18) / PC_BLOCK_PLACES, __u32, __u64, BPF_F_MMAPABLE);
PC_MAP(slot_blocks, BPF_MAP_TYPE_ARRAY, 1024 * PC_SLOT_BLOCKS, __u32, __u64, BPF_F_MMAPABLE);
PC_MAP(spare, BPF_MAP_TYPE_ARRAY, 1, __u32, struct pc_spare, BPF_F_MMAPABLE);
PC_MAP(fragments, BPF_MAP_TYPE_LRU_HASH, 1 << 14, struct pc_fragment_key, struct pc_fragment, 0);
PC_MAP(hits, BPF_MAP_TYPE_PERCPU_ARRAY, 1 << 16, __u32, struct pc_count, 0);
/* A bit for each rule counter that is about to be given to another rule: the sweep takes it from the flows that name it. */
PC_MAP(retired, BPF_MAP_TYPE_ARRAY, (1 << 16) / 64, __u32, __u64, BPF_F_MMAPABLE);
PC_MAP(reasons, BPF_MAP_TYPE_PERCPU_ARRAY, 1024 * 2 * PC_REASON_STRIDE, __u32, struct pc_count, 0);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

enum pc_fragment_kind { PC_WHOLE, PC_FIRST, PC_LATER };

/* A search for a place. In the notes and not on the stack, so that the verifier follows one path through the steps. */
struct place_search {
	__u64 now;
	__u64 expires; /* least of those seen */
	__u32 slot;
	__u32 quota;
	__u32 words; /* of places, in which the quota ends */
	__u32 from;  /* the first to be looked at */
	__u32 hole;  /* number of a block that the slot may have and has not */
	__u32 found; /* place */
	__u32 hand;
	__u32 unused;
};

/* What is known of the packet at hand. */
struct packet {
	/* Taken from it. */
	__u64 source[2]; /* addresses as numbers, high first; IPv4 in the second */
	__u64 destination[2];
	__u64 source_mac;
	__u32 length;    /* bytes on the device */
	__u32 segments;
	__u32 transport; /* offset of the transport header */
	__u32 end;       /* offset just beyond the IP datagram */
	__u32 identification;
	__u32 fragment_offset;
	__u32 header_end; /* of a first fragment: end of the transport header in the datagram's payload */
	__u16 ethertype;
	__u16 source_port; /* of an echo: the identifier, in both */
	__u16 destination_port;
	__u8 family; /* 4, 6; 0: ARP */
	__u8 protocol;
	__u8 hop_limit;
	__u8 fragment; /* pc_fragment_kind */
	__u8 fragment_protocol;
	__u8 fragment_header; /* it has one, if of an atomic fragment */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 direction;
	__u8 plain;  /* fast.h has read it: it has a flow's key, and is nobody's baseline */
	__u8 absent; /* that flow has no entry */
	/* Of the interface. */
	__u64 now;
	__u64 judged;    /* generations that this packet is judged by */
	__u64 handle;
	__u64 flags;
	__u64 mac;
	__u32 slot;
	__u32 interface; /* pool offset */
	/* Of the verdict. */
	__u32 counter; /* rule counter number + 1; 0: none */
	__u32 has_flow; /* `key` is that of a flow */
	struct pc_flow_key key;
	/* Of the flow that an event is about; the stack has no room for it. */
	struct pc_flow told;
	/* Working space: the rows of the remote address's groups. */
	__u64 rows[PC_ROW_WORDS_MAX];
	/* Working space: the flow that it begins. Calls nest too deep for one on the stack. */
	struct pc_flow fresh;
	struct place_search search;
	/* Of no packet: the kernel's clock as it was first seen in a tick of this processor's. */
	__u64 tick;
	__u64 tick_ns;
};

/* The second one is for the packet that an ICMP error quotes. */
PC_MAP(notes, BPF_MAP_TYPE_PERCPU_ARRAY, 2, __u32, struct packet, 0);

static __always_inline struct packet *note(__u32 number)
{
	return bpf_map_lookup_elem(&notes, &number);
}

static __always_inline struct packet *notes_get(void)
{
	return note(0);
}

static __always_inline __u64 pool_word_inline(__u32 index)
{
	__u64 *word = bpf_map_lookup_elem(&pool, &index);

	return word ? *(volatile __u64 *)word : 0;
}

/* A word of the pool. A global function is verified once, whatever calls it; at most eight calls may be nested. */
__noinline __u64 pool_word(__u32 index)
{
	return pool_word_inline(index);
}

static __always_inline __u64 config_word(__u32 index)
{
	__u64 *word = bpf_map_lookup_elem(&config, &index);

	return word ? *(volatile __u64 *)word : 0;
}

static __always_inline struct pc_slot *slot_get(__u32 slot)
{
	return bpf_map_lookup_elem(&slots, &slot);
}

/* The slot + 1 of a device; 0: none. */
static __always_inline __u32 slot_of(__u32 device)
{
	__u32 number = device % PC_DEVICE_BUCKETS;
	struct pc_device_bucket *bucket = bpf_map_lookup_elem(&devices, &number);

	if (!bucket)
		return 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < PC_DEVICES_PER_BUCKET; i++) {
		__u64 place = *(volatile __u64 *)&bucket->places[i];

		if (place >> 32 == device)
			return place;
	}
	return 0;
}

static __always_inline int same_address(const __u64 *a, const __u64 *b)
{
	return a[0] == b[0] && a[1] == b[1];
}

#endif
