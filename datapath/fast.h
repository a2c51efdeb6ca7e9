/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path: a packet of a running flow that changes nothing of it but counts. It accepts or says nothing; whatever is out of
 * the ordinary is left to the full path, which decides everything by itself and is the only one that drops.
 *
 * It is inlined, and calls nothing but the lookup of the flow: with the mitigations of today's processors every return costs more
 * than the work that is done here. It reads the packet by pointers, so what it looks at must lie in the linear part.
 *
 * It leaves alone: tagged frames, IP options, extension headers, fragments, lengths that contradict each other or are left to the
 * segments' count, everything but TCP and UDP, DHCP's ports, SYN, FIN and RST, a foreign MAC, a local address that is multicast,
 * broadcast or link-local, and flows that are blocked, near their end, judged by anything but the generations in force, or about to
 * change their state.
 *
 * It does not look for the local address among the interface's own. `judged` stands for that: it is the generations in force
 * only if a packet of the flow with this very local address has passed the full path's check under them, since every change of
 * the interface's addresses is another generation. begin_flow and judge_flow's rejudge come behind that check; judge_error, whose
 * packet may have another source than the flow, writes `judged` only if it has not. What the check says of an address depends on
 * the direction only for those that are left alone. */
#ifndef PORTCULLIS_FAST_H
#define PORTCULLIS_FAST_H

#include "event.h"
#include "parse.h"

#define FAST_IPV4_TRANSPORT (ETHERNET_BYTES + 20)
#define FAST_IPV6_TRANSPORT (ETHERNET_BYTES + 40)

/* 'Now', as of the beginning of this processor's tick: no call, unless it is the first of one. */
static __always_inline __u64 fast_now(struct packet *notes)
{
	__u64 tick = bpf_jiffies64();

	if (notes->tick != tick) {
		notes->tick_ns = bpf_ktime_get_ns();
		notes->tick = tick;
	}
	return notes->tick_ns + config_word(PC_CONFIG_CLOCK_OFFSET_NS);
}

static __always_inline __u16 load16(const __u8 *bytes)
{
	return bpf_ntohs(*(__u16 *)bytes);
}

static __always_inline __u32 load32(const __u8 *bytes)
{
	return bpf_ntohl(*(__u32 *)bytes);
}

static __always_inline __u64 load64(const __u8 *bytes)
{
	return bpf_be64_to_cpu(*(__u64 *)bytes);
}

/* 1: ports between which DHCP speaks, perhaps. */
static __always_inline int fast_is_dhcp(__u16 destination_port)
{
	return (__u16)(destination_port - 67) < 2 || (__u16)(destination_port - 546) < 2;
}

/* What stands from the transport header on. 1: ordinary. `flags`: of TCP. */
static __always_inline int fast_transport(const __u8 *at, const void *end, __u32 available, int egress,
					  struct pc_flow_key *key, __u32 *flags)
{
	__u16 source, destination;

	*flags = 0;
	if ((void *)(at + 8) > end || available < 8)
		return 0;
	source = load16(at);
	destination = load16(at + 2);
	if (key->protocol == TCP) {
		__u32 size;

		if ((void *)(at + 20) > end)
			return 0;
		size = (at[12] >> 4) * 4;
		if (size < 20 || size > available)
			return 0;
		*flags = at[13];
		if (*flags & (TCP_FIN | TCP_SYN | TCP_RST))
			return 0;
	} else {
		__u32 length = load16(at + 4);

		if (length < 8 || length > available || fast_is_dhcp(destination))
			return 0;
	}
	key->local_port = egress ? source : destination;
	key->remote_port = egress ? destination : source;
	return 1;
}

/* The key of the flow of an ordinary packet, as make_key makes it; 0: it is none. */
static __always_inline int fast_key(struct __sk_buff *skb, int egress, struct pc_flow_key *key, __u32 *flags)
{
	const __u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 available = skb->len - ETHERNET_BYTES, stated;
	__u16 ethertype;

	if (data + FAST_IPV4_TRANSPORT > end || skb->vlan_present)
		return 0;
	ethertype = load16(data + 12);
	if (ethertype == ETHERTYPE_IPV4) {
		__u32 source = load32(data + 26), destination = load32(data + 30);

		stated = load16(data + 16);
		/* No fragment: neither an offset nor more to come. */
		if (data[14] != 0x45 || stated < 20 || stated > available || load16(data + 20) & 0x3fff)
			return 0;
		key->protocol = data[23];
		key->family = 4;
		key->local[1] = egress ? source : destination;
		key->remote[1] = egress ? destination : source;
		/* Multicast, and what is reserved beyond it. */
		if (key->local[1] >> 28 >= 14 || (key->protocol != TCP && key->protocol != UDP))
			return 0;
		return fast_transport(data + FAST_IPV4_TRANSPORT, end, stated - 20, egress, key, flags);
	}
	if (ethertype != ETHERTYPE_IPV6 || data + FAST_IPV6_TRANSPORT > end)
		return 0;
	stated = load16(data + 18);
	if (data[14] >> 4 != 6 || stated + 40 > available)
		return 0;
	key->protocol = data[20];
	key->family = 6;
	for (int i = 0; i < 2; i++) {
		__u64 source = load64(data + 22 + 8 * i), destination = load64(data + 38 + 8 * i);

		key->local[i] = egress ? source : destination;
		key->remote[i] = egress ? destination : source;
	}
	/* Link-local, and multicast beyond it. */
	if (key->local[0] >> 54 >= 0xfe80 >> 6 || (key->protocol != TCP && key->protocol != UDP))
		return 0;
	return fast_transport(data + FAST_IPV6_TRANSPORT, end, stated, egress, key, flags);
}

/* 1: a packet of this direction passes and leaves the flow's state as it is. */
static __always_inline int fast_keeps(__u32 state, __u32 direction, __u32 flags)
{
	int first = ((state & PC_FLOW_FIRST_INGRESS) != 0) == (direction == PC_INGRESS);
	__u32 had = first ? PC_FLOW_SENT_FIRST : PC_FLOW_SENT_OTHER;

	if (flags & TCP_ACK)
		had |= first ? PC_FLOW_ACK_FIRST : PC_FLOW_ACK_OTHER;
	return (state & (had | PC_FLOW_BLOCKED | PC_FLOW_RESET)) == had;
}

/* 1: the packet is accepted, and counted. 0: nothing has been done. */
static __always_inline int fast_accepts(struct __sk_buff *skb, struct packet *notes, __u32 direction, __u32 slot, __u64 word)
{
	__u64 judged = (word & ~0xffffffffull) | (__u32)config_word(PC_CONFIG_MEMBERSHIP), now;
	/* The stack is the full path's. */
	struct pc_flow_key *key = &notes->key;
	__u32 flags, segments, interface = (__u32)word, counter;
	struct pc_flow *flow;
	__s64 idle;

	key->local[0] = key->remote[0] = 0;
	key->asker = key->unused = 0;
	if (!fast_key(skb, direction == PC_EGRESS, key, &flags))
		return 0;
	if (direction == PC_EGRESS && (pool_word_inline(interface + PC_INTERFACE_FLAGS) & PC_FLAG_MAC)) {
		const __u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

		if (data + ETHERNET_BYTES > end ||
		    load64(data + 6) >> 16 != pool_word_inline(interface + PC_INTERFACE_MAC))
			return 0;
	}
	key->handle = pool_word_inline(interface + PC_INTERFACE_HANDLE);
	flow = bpf_map_lookup_elem(&flows, key);
	if (!flow || *(volatile __u64 *)&flow->judged != judged)
		return 0;
	if (!fast_keeps(*(volatile __u64 *)&flow->state, direction, flags))
		return 0;
	now = fast_now(notes);
	idle = now - *(volatile __u64 *)&flow->seen;
	/* Whether it has ended, the exact clock decides. */
	if (idle + (__s64)PC_SECOND_NS >= (__s64)flow->idle_ns)
		return 0;
	if (idle >= (__s64)PC_SEEN_STEP_NS)
		flow->seen = now;
	counter = flow->counter;
	segments = skb->gso_segs ? skb->gso_segs : 1;
	account(&(struct account){ .slot = slot,
				   .direction = direction,
				   .reason = PC_TRACKED,
				   .accept = 1,
				   .counter = counter,
				   .packets = segments,
				   .bytes = skb->len,
				   .now = now });
	account_flow(flow, direction, segments, skb->len);
	skb->cb[0] = PC_CB_ACCEPT | PC_TRACKED;
	skb->cb[1] = counter;
	return 1;
}

#endif
