/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traffic without which no network works, and its forgeries: steps 2 and 3 of section 2. Knows nothing of rules. */
#ifndef PORTCULLIS_BASELINE_H
#define PORTCULLIS_BASELINE_H

#include "match.h"
#include "parse.h"

/* Results: */
#define PASSES 1
#define FORGED 0
#define NOT_BASELINE (-1)

#define ND_ROUTER_SOLICITATION 133
#define ND_ROUTER_ADVERTISEMENT 134
#define ND_NEIGHBOUR_SOLICITATION 135
#define ND_NEIGHBOUR_ADVERTISEMENT 136
#define ND_REDIRECT 137

static __always_inline int mac_is_own(const struct packet *p, __u64 mac)
{
	return !(p->flags & PC_FLAG_MAC) || mac == p->mac;
}

static __always_inline int is_unspecified(const __u64 *address)
{
	return (address[0] | address[1]) == 0;
}

static __always_inline int is_link_local(const __u64 *address)
{
	return address[0] >> 54 == 0xfe80 >> 6;
}

/* fe80::/64 with the EUI-64 of the MAC, or what the host's configuration adds. */
static __always_inline int is_own_link_local(const struct packet *p, const __u64 *address)
{
	__u64 mac = p->mac ^ (2ull << 40);
	__u64 eui = ((mac >> 24) << 40) | (0xfffeull << 24) | (mac & 0xffffff);

	if (!is_link_local(address))
		return 0;
	if (config_word(PC_CONFIG_FLAGS) & PC_CONFIG_FLAG_ANY_LINK_LOCAL)
		return 1;
	return (p->flags & PC_FLAG_MAC) && address[0] == 0xfe80ull << 48 && address[1] == eui;
}

static __always_inline int is_own_of_any_kind(const struct packet *p, const __u64 *address)
{
	return is_own_link_local(p, address) || is_own(p->interface, 6, address[0], address[1]);
}

__noinline int baseline_arp(struct __sk_buff *skb, struct packet *p)
{
	__u8 arp[28];
	__u32 sender, target;

	if (!p || bpf_skb_load_bytes(skb, ETHERNET_BYTES, arp, sizeof(arp)))
		return -2;
	if (be16(arp) != 1 || be16(arp + 2) != ETHERTYPE_IPV4 || arp[4] != 6 || arp[5] != 4)
		return -2;
	if (p->direction == PC_INGRESS)
		return PASSES;
	sender = be32(arp + 14);
	target = be32(arp + 24);
	if (!mac_is_own(p, p->source_mac) || !mac_is_own(p, be48(arp + 8)))
		return FORGED;
	return is_own(p->interface, 4, 0, sender ? sender : target) ? PASSES : FORGED;
}

/* Bytes of the option at `offset`; 0: it is malformed, or a link-layer address that is not the interface's. */
__noinline int ndp_option_bytes(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	__u8 option[8];

	if (!p || offset + 8 > p->end || bpf_skb_load_bytes(skb, offset, option, 8))
		return 0;
	if (option[0] == 1 || option[0] == 2)
		if (option[1] != 1 || !mac_is_own(p, be48(option + 2)))
			return 0;
	return option[1] * 8;
}

/* 1: the options are well formed and every link-layer address among them is the interface's. */
__noinline int options_name_own_mac(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	if (!p)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_NDP_OPTIONS_MAX; i++) {
		__u32 bytes;

		if (offset == p->end)
			return 1;
		bytes = ndp_option_bytes(skb, p, offset);
		if (!bytes)
			return 0;
		offset += bytes;
	}
	return offset == p->end;
}

__noinline int baseline_ndp_egress(struct __sk_buff *skb, struct packet *p)
{
	__u8 bytes[16];
	__u64 target[2];
	__u32 message = 24;

	if (!p || !mac_is_own(p, p->source_mac))
		return FORGED;
	if (p->icmp_type == ND_ROUTER_SOLICITATION) {
		if (!is_unspecified(p->source) && !is_own_of_any_kind(p, p->source))
			return FORGED;
		message = 8;
	} else if (p->icmp_type == ND_NEIGHBOUR_SOLICITATION || p->icmp_type == ND_NEIGHBOUR_ADVERTISEMENT) {
		if (p->transport + 24 > p->end || bpf_skb_load_bytes(skb, p->transport + 8, bytes, 16))
			return FORGED;
		target[0] = be64(bytes);
		target[1] = be64(bytes + 8);
		if (p->icmp_type == ND_NEIGHBOUR_ADVERTISEMENT || is_unspecified(p->source)) {
			if (!is_own_of_any_kind(p, target))
				return FORGED;
		} else if (!is_own_of_any_kind(p, p->source)) {
			return FORGED;
		}
	} else {
		return FORGED;
	}
	return options_name_own_mac(skb, p, p->transport + message) ? PASSES : FORGED;
}

static __always_inline int baseline_icmpv6(struct __sk_buff *skb, struct packet *p)
{
	__u8 type = p->icmp_type;

	if (type >= ND_ROUTER_SOLICITATION && type <= ND_REDIRECT) {
		/* A fragmented one could hide its options. */
		if (p->hop_limit != 255 || p->icmp_code != 0 || p->fragment_header)
			return FORGED;
		if (p->direction == PC_INGRESS)
			return type == ND_ROUTER_SOLICITATION ? FORGED : PASSES;
		return baseline_ndp_egress(skb, p);
	}
	if ((type >= 130 && type <= 132) || type == 143) {
		if (p->fragment_header)
			return FORGED;
		if (p->direction == PC_INGRESS)
			return PASSES;
		if (!mac_is_own(p, p->source_mac))
			return FORGED;
		return is_unspecified(p->source) || is_own_link_local(p, p->source) ? PASSES : FORGED;
	}
	return NOT_BASELINE;
}

__noinline int is_dhcp4_server(__u32 address)
{
	if (address == 0xffffffff)
		return 1;
	for (int i = 0; i < PC_DHCP4_SERVERS_MAX; i++) {
		__u64 server = config_word(PC_CONFIG_DHCP4_SERVERS + i);

		if (server && server == address)
			return 1;
	}
	return 0;
}

static __always_inline int baseline_dhcp(struct packet *p)
{
	__u16 client = p->family == 4 ? 68 : 546, server = p->family == 4 ? 67 : 547;
	int to_server = p->source_port == client && p->destination_port == server;
	int to_client = p->source_port == server && p->destination_port == client;
	int passes;

	if (p->direction == PC_EGRESS) {
		if (to_client)
			return FORGED;
		if (!to_server || !mac_is_own(p, p->source_mac))
			return NOT_BASELINE;
		if (p->family == 4)
			passes = (p->source[1] == 0 || is_own(p->interface, 4, 0, p->source[1])) &&
				 is_dhcp4_server(p->destination[1]);
		else
			passes = is_own_link_local(p, p->source) && p->destination[0] == 0xff02ull << 48 &&
				 p->destination[1] == 0x10002;
		return passes ? PASSES : NOT_BASELINE;
	}
	if (!to_client)
		return NOT_BASELINE;
	if (p->family == 4)
		passes = p->destination[1] == 0xffffffff || is_own(p->interface, 4, 0, p->destination[1]);
	else
		passes = is_own_of_any_kind(p, p->destination);
	return passes ? PASSES : NOT_BASELINE;
}

static __always_inline int baseline(struct __sk_buff *skb, struct packet *p)
{
	if (p->family == 0)
		return baseline_arp(skb, p);
	if (p->fragment == PC_LATER)
		return NOT_BASELINE;
	if (p->family == 6 && p->protocol == ICMPV6)
		return baseline_icmpv6(skb, p);
	if (p->protocol == UDP)
		return baseline_dhcp(p);
	return NOT_BASELINE;
}

/* 1: the packet bears an address that the interface may not use. */
static __always_inline int is_spoofed(struct packet *p)
{
	const __u64 *to = p->destination;

	if (p->direction == PC_EGRESS) {
		if (!mac_is_own(p, p->source_mac))
			return 1;
		if (p->family == 6 && is_link_local(p->source))
			return 1;
		return (p->flags & PC_FLAG_CHECK_ADDRESSES) &&
		       !is_own(p->interface, p->family, p->source[0], p->source[1]);
	}
	if (!(p->flags & PC_FLAG_CHECK_ADDRESSES))
		return 0;
	if (p->family == 4 && (to[1] >> 28 == 14 || to[1] == 0xffffffff))
		return 0;
	if (p->family == 6 && to[0] >> 56 == 0xff)
		return 0;
	return !is_own(p->interface, p->family, to[0], to[1]);
}

#endif
