/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path: a packet of a running flow. It accepts or says nothing; whatever is out of the ordinary is left to the full path,
 * which is the only one that drops, begins flows and judges them again. What it has read of a plain packet the full path takes from
 * it: neither the headers nor a flow that has no entry are looked for twice.
 *
 * It is inlined, and calls nothing but the lookup of the flow (and the clock, where the state changes): with the mitigations of
 * today's processors every return costs more than the work that is done here. It reads the packet by pointers, so what it looks at
 * must lie in the linear part.
 *
 * It leaves alone: tagged frames, IP options, extension headers, fragments, lengths that contradict each other or are left to the
 * segments' count, everything but TCP and UDP, DHCP's ports, a SYN without ACK, a foreign MAC, a local address that is multicast,
 * broadcast or link-local, and flows that are blocked, near their end, or judged by anything but the generations in force.
 *
 * It does not look for the local address among the interface's own. `judged` stands for that: it is the generations in force
 * only if a packet of the flow with this very local address has passed the full path's check under them, since every change of
 * the interface's addresses is another generation. begin_flow and judge_flow's rejudge come behind that check; judge_error, whose
 * packet may have another source than the flow, writes `judged` only if it has not; what adopt.h takes over is judged by nothing.
 * What the check says of an address depends on the direction only for those that are left alone. */
#ifndef PORTCULLIS_FAST_H
#define PORTCULLIS_FAST_H

#include "baseline.h"
#include "flow.h"

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

/* What stands from the transport header on. 1: ordinary. */
static __always_inline int fast_transport(const __u8 *at, const void *end, __u32 available, int egress, struct packet *p)
{
	__u16 source, destination;

	p->tcp_flags = 0;
	if ((void *)(at + 8) > end || available < 8)
		return 0;
	source = load16(at);
	destination = load16(at + 2);
	if (p->key.protocol == TCP) {
		__u32 size;

		if ((void *)(at + 20) > end)
			return 0;
		size = (at[12] >> 4) * 4;
		if (size < 20 || size > available)
			return 0;
		p->tcp_flags = at[13];
	} else {
		__u32 length = load16(at + 4);

		if (length < 8 || length > available || fast_is_dhcp(destination))
			return 0;
	}
	p->key.local_port = egress ? source : destination;
	p->key.remote_port = egress ? destination : source;
	return 1;
}

/* The key of the flow of an ordinary packet, as make_key makes it, the source's MAC and TCP's flags; 0: it is none. */
static __always_inline int fast_key(struct __sk_buff *skb, int egress, struct packet *p)
{
	const __u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 available = skb->len - ETHERNET_BYTES, stated;
	struct pc_flow_key *key = &p->key;
	__u16 ethertype;

	if (data + FAST_IPV4_TRANSPORT > end || skb->vlan_present)
		return 0;
	key->asker = key->unused = 0;
	p->source_mac = load64(data + 6) >> 16;
	ethertype = load16(data + 12);
	if (ethertype == ETHERTYPE_IPV4) {
		__u32 source = load32(data + 26), destination = load32(data + 30);

		stated = load16(data + 16);
		/* No fragment: neither an offset nor more to come. */
		if (data[14] != 0x45 || stated < 20 || stated > available || load16(data + 20) & 0x3fff)
			return 0;
		key->protocol = data[23];
		key->family = 4;
		key->local[0] = key->remote[0] = 0;
		key->local[1] = egress ? source : destination;
		key->remote[1] = egress ? destination : source;
		/* Multicast, and what is reserved beyond it. */
		if (key->local[1] >> 28 >= 14 || (key->protocol != TCP && key->protocol != UDP))
			return 0;
		return fast_transport(data + FAST_IPV4_TRANSPORT, end, stated - 20, egress, p);
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
	return fast_transport(data + FAST_IPV6_TRANSPORT, end, stated, egress, p);
}

/* 1: a packet of this direction passes and leaves the flow's state as it is. */
static __always_inline int fast_keeps(__u32 state, __u32 direction, __u32 flags)
{
	int first = ((state & PC_FLOW_FIRST_INGRESS) != 0) == (direction == PC_INGRESS);
	__u32 had = first ? PC_FLOW_SENT_FIRST : PC_FLOW_SENT_OTHER;

	if (flags & TCP_ACK)
		had |= first ? PC_FLOW_ACK_FIRST : PC_FLOW_ACK_OTHER;
	return !(flags & (TCP_FIN | TCP_SYN | TCP_RST)) &&
	       (state & (had | PC_FLOW_BLOCKED | PC_FLOW_RESET)) == had;
}

/* Notes a packet that does change the state, by the exact clock. 0: the flow has ended, the packet may begin another, or another
 * processor was first. */
static __always_inline int fast_advances(struct packet *p, struct pc_flow *flow, __u64 state)
{
	__u32 low;

	p->protocol = p->key.protocol;
	p->now = bpf_ktime_get_ns() + config_word(PC_CONFIG_CLOCK_OFFSET_NS);
	if (state & PC_FLOW_BLOCKED || is_tcp_syn(p) || !flow_is_live(flow, p->now))
		return 0;
	low = next_state(state, p);
	if (low != (__u32)state && !swap_state(flow, state, low))
		return 0;
	advanced(p, flow, state, low);
	return 1;
}

/* Notes a packet that leaves the state as it is. 0: whether the flow has ended, the exact clock decides. */
static __always_inline int fast_renews(struct packet *p, struct pc_flow *flow)
{
	__s64 idle;

	p->now = fast_now(p);
	idle = p->now - *(volatile __u64 *)&flow->seen;
	if (idle + (__s64)PC_SECOND_NS >= (__s64)flow->idle_ns)
		return 0;
	if (idle >= (__s64)PC_SEEN_STEP_NS)
		flow->seen = p->now;
	return 1;
}

/* The entry of the packet's flow, if it is one by which the packet may pass without more ado. */
static __always_inline struct pc_flow *fast_flow(struct __sk_buff *skb, struct packet *p, __u32 direction)
{
	struct pc_flow *flow;

	if (!fast_key(skb, direction == PC_EGRESS, p))
		return 0;
	p->plain = 1;
	p->key.handle = p->handle;
	if (direction == PC_EGRESS && !mac_is_own(p, p->source_mac))
		return 0;
	flow = bpf_map_lookup_elem(&flows, &p->key);
	if (!flow) {
		p->absent = 1;
		return 0;
	}
	return *(volatile __u64 *)&flow->judged == p->judged ? flow : 0;
}

/* 1: the packet is accepted, and counted. 0: nothing has been done but that it has been read, if it is plain. */
static __always_inline int fast_accepts(struct __sk_buff *skb, struct packet *p, __u32 direction)
{
	struct pc_flow *flow = fast_flow(skb, p, direction);
	__u32 counter;
	__u64 state;

	if (!flow)
		return 0;
	state = *(volatile __u64 *)&flow->state;
	if (!(fast_keeps(state, direction, p->tcp_flags) ? fast_renews(p, flow) : fast_advances(p, flow, state)))
		return 0;
	counter = flow->counter;
	account(&(struct account){ .slot = p->slot,
				   .direction = direction,
				   .reason = PC_TRACKED,
				   .accept = 1,
				   .counter = counter,
				   .packets = p->segments,
				   .bytes = p->length,
				   .now = p->now });
	account_flow(flow, direction, p->segments, p->length);
	skb->cb[0] = PC_CB_ACCEPT | PC_TRACKED;
	skb->cb[1] = counter;
	return 1;
}

/* What the full path takes from a packet that has been read here: it is whole, and carries TCP or UDP. */
static __always_inline void fast_handover(struct packet *p)
{
	int egress = p->direction == PC_EGRESS;

	for (int i = 0; i < 2; i++) {
		p->source[i] = egress ? p->key.local[i] : p->key.remote[i];
		p->destination[i] = egress ? p->key.remote[i] : p->key.local[i];
	}
	p->family = p->key.family;
	p->protocol = p->key.protocol;
	p->fragment = PC_WHOLE;
	p->icmp_type = p->icmp_code = 0;
	p->has_flow = 1;
}

#endif
