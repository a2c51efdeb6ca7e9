/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From bytes to a `struct packet`: step 1 of section 2. Knows nothing of interfaces and policy. Checksums are not looked at, since
 * the kernel fills them in late; bytes may lie outside the linear part, so they are loaded, never pointed to. */
#ifndef PORTCULLIS_PARSE_H
#define PORTCULLIS_PARSE_H

#include "maps.h"

#define ETHERNET_BYTES 14
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IPV6 0x86dd

#define ICMP 1
#define TCP 6
#define UDP 17
#define ICMPV6 58

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Results: a reason to drop, or: */
#define PARSED (-1)

static __always_inline __u16 be16(const __u8 *bytes)
{
	return ((__u16)bytes[0] << 8) | bytes[1];
}

static __always_inline __u32 be32(const __u8 *bytes)
{
	return ((__u32)be16(bytes) << 16) | be16(bytes + 2);
}

static __always_inline __u64 be64(const __u8 *bytes)
{
	return ((__u64)be32(bytes) << 32) | be32(bytes + 4);
}

static __always_inline __u64 be48(const __u8 *bytes)
{
	return ((__u64)be16(bytes) << 32) | be32(bytes + 2);
}

static __always_inline int is_tcp_syn(const struct packet *p)
{
	return p->protocol == TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* 1: request, 2: reply, 0: no echo. */
static __always_inline int echo_kind(__u8 family, __u8 protocol, __u8 type)
{
	if (family == 4 && protocol == ICMP)
		return type == 8 ? 1 : type == 0 ? 2 : 0;
	if (family == 6 && protocol == ICMPV6)
		return type == 128 ? 1 : type == 129 ? 2 : 0;
	return 0;
}

static __always_inline int is_icmp_error(const struct packet *p)
{
	if (p->family == 4 && p->protocol == ICMP)
		return p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12;
	if (p->family == 6 && p->protocol == ICMPV6)
		return p->icmp_type >= 1 && p->icmp_type <= 4;
	return 0;
}

/* Bytes of the option of an IPv4 header at `offset`; 0: it is malformed. */
#define OPTIONS_END 256

__noinline int option_bytes(struct __sk_buff *skb, __u32 offset, __u32 end)
{
	__u8 option[2];

	if (bpf_skb_load_bytes(skb, offset, option, 1))
		return 0;
	if (option[0] == 0)
		return OPTIONS_END;
	if (option[0] == 1)
		return 1;
	if (offset + 2 > end || bpf_skb_load_bytes(skb, offset, option, 2) || option[1] < 2)
		return 0;
	return option[1];
}

/* 1: the options of an IPv4 header are well formed. */
__noinline int options_fit(struct __sk_buff *skb, __u32 offset, __u32 end)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < 40; i++) {
		__u32 bytes;

		if (offset >= end)
			break;
		bytes = option_bytes(skb, offset, end);
		if (bytes == OPTIONS_END)
			return 1;
		if (!bytes)
			return 0;
		offset += bytes;
	}
	return offset == end;
}

__noinline int parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	__u8 header[20];
	__u32 header_bytes, total, fragment;

	if (!p || bpf_skb_load_bytes(skb, ETHERNET_BYTES, header, sizeof(header)))
		return PC_MALFORMED;
	header_bytes = (header[0] & 15) * 4;
	total = be16(header + 2);
	/* An aggregate beyond 64 KiB carries no total length. */
	if (total == 0 && p->segments > 1)
		total = p->length - ETHERNET_BYTES;
	if (header[0] >> 4 != 4 || header_bytes < 20 || total < header_bytes || total > p->length - ETHERNET_BYTES)
		return PC_MALFORMED;
	if (header_bytes > 20 && !options_fit(skb, ETHERNET_BYTES + 20, ETHERNET_BYTES + header_bytes))
		return PC_MALFORMED;
	fragment = be16(header + 6);
	p->fragment_offset = (fragment & 0x1fff) * 8;
	p->fragment = p->fragment_offset ? PC_LATER : fragment & 0x2000 ? PC_FIRST : PC_WHOLE;
	p->fragment_header = p->fragment != PC_WHOLE;
	p->identification = be16(header + 4);
	p->hop_limit = header[8];
	p->protocol = p->fragment_protocol = header[9];
	p->source[0] = p->destination[0] = 0;
	p->source[1] = be32(header + 12);
	p->destination[1] = be32(header + 16);
	p->transport = ETHERNET_BYTES + header_bytes;
	p->end = ETHERNET_BYTES + total;
	p->header_end = 0;
	/* No datagram reassembles to more than 64 KiB. */
	if (p->fragment != PC_WHOLE && p->fragment_offset + (total - header_bytes) > 65535)
		return PC_MALFORMED;
	return PARSED;
}

/* What one more IPv6 header does: PARSED: it is the final protocol, -2: go on, else a reason. */
#define GO_ON (-2)

__noinline int step_ipv6(struct __sk_buff *skb, struct packet *p, __u32 *payload)
{
	__u8 header[8], kind;
	__u32 bytes = 8;

	if (!p || !payload)
		return PC_MALFORMED;
	kind = p->protocol;
	if (kind != 0 && kind != 43 && kind != 44 && kind != 60)
		return PARSED;
	if (p->transport + 8 > p->end || bpf_skb_load_bytes(skb, p->transport, header, sizeof(header)))
		return PC_MALFORMED;
	if (kind == 44) {
		__u32 fragment = be16(header + 2);

		if (p->fragment_header)
			return PC_MALFORMED;
		p->fragment_header = 1;
		p->fragment_protocol = header[0];
		p->fragment_offset = fragment & 0xfff8;
		p->fragment = p->fragment_offset ? PC_LATER : fragment & 1 ? PC_FIRST : PC_WHOLE;
		p->identification = be32(header + 4);
		*payload = p->transport + 8;
		/* No datagram reassembles to more than 64 KiB. */
		if (p->fragment != PC_WHOLE && p->fragment_offset + (p->end - *payload) > 65535)
			return PC_MALFORMED;
	} else {
		bytes = ((__u32)header[1] + 1) * 8;
	}
	if (p->transport + bytes > p->end)
		return PC_MALFORMED;
	p->transport += bytes;
	p->protocol = header[0];
	return p->fragment == PC_LATER ? PARSED : GO_ON;
}

__noinline int walk_ipv6(struct __sk_buff *skb, struct packet *p)
{
	__u32 payload = 0;

	if (!p)
		return PC_MALFORMED;
#pragma clang loop unroll(disable)
	for (int i = 0; i < PC_EXTENSION_HEADERS_MAX; i++) {
		int result = step_ipv6(skb, p, &payload);

		if (result != GO_ON) {
			p->header_end = payload ? p->transport - payload : 0;
			return result;
		}
	}
	p->header_end = payload ? p->transport - payload : 0;
	if (p->protocol == 0 || p->protocol == 43 || p->protocol == 44 || p->protocol == 60)
		return PC_MALFORMED;
	return PARSED;
}

__noinline int parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	__u8 header[40];
	__u32 payload;

	if (!p || bpf_skb_load_bytes(skb, ETHERNET_BYTES, header, sizeof(header)))
		return PC_MALFORMED;
	payload = be16(header + 4);
	if (payload == 0 && p->segments > 1)
		payload = p->length - ETHERNET_BYTES - 40;
	if (header[0] >> 4 != 6 || payload + 40 > p->length - ETHERNET_BYTES)
		return PC_MALFORMED;
	p->source[0] = be64(header + 8);
	p->source[1] = be64(header + 16);
	p->destination[0] = be64(header + 24);
	p->destination[1] = be64(header + 32);
	p->protocol = p->fragment_protocol = header[6];
	p->hop_limit = header[7];
	p->fragment = PC_WHOLE;
	p->fragment_header = 0;
	p->fragment_offset = 0;
	p->identification = 0;
	p->transport = ETHERNET_BYTES + 40;
	p->end = ETHERNET_BYTES + 40 + payload;
	return walk_ipv6(skb, p);
}

/* Bytes that the transport header must have at least; 0: protocol without a header that is looked at. */
static __always_inline __u32 transport_bytes(__u8 family, __u8 protocol)
{
	if (protocol == TCP)
		return 20;
	if (protocol == UDP || (family == 4 && protocol == ICMP) || (family == 6 && protocol == ICMPV6))
		return 8;
	return 0;
}

__noinline int parse_transport(struct __sk_buff *skb, struct packet *p)
{
	__u8 header[20] = {};
	__u32 least, size, available;

	if (!p)
		return PC_MALFORMED;
	least = transport_bytes(p->family, p->protocol);
	p->source_port = p->destination_port = 0;
	p->tcp_flags = p->icmp_type = p->icmp_code = 0;
	if (p->fragment == PC_LATER)
		return p->fragment_protocol == TCP && p->fragment_offset < 20 ? PC_MALFORMED : PARSED;
	available = p->end - p->transport;
	if (!least)
		return PARSED;
	if (available < least || bpf_skb_load_bytes(skb, p->transport, header, least == 20 ? 20 : 8))
		return PC_MALFORMED;
	size = least;
	if (p->protocol == TCP) {
		size = (header[12] >> 4) * 4;
		if (size < 20 || size > available)
			return PC_MALFORMED;
		p->tcp_flags = header[13];
	}
	if (p->protocol == UDP) {
		__u32 length = be16(header + 4);

		if (length < 8 || (p->fragment == PC_WHOLE && length > available))
			return PC_MALFORMED;
	}
	if (p->protocol == TCP || p->protocol == UDP) {
		p->source_port = be16(header);
		p->destination_port = be16(header + 2);
	} else {
		p->icmp_type = header[0];
		p->icmp_code = header[1];
		if (echo_kind(p->family, p->protocol, p->icmp_type))
			p->source_port = p->destination_port = be16(header + 4);
	}
	p->header_end += size;
	return PARSED;
}

/* Everything of a frame that later steps look at. */
static __always_inline int parse(struct __sk_buff *skb, struct packet *p)
{
	__u8 header[ETHERNET_BYTES];
	int result;

	p->length = skb->len;
	p->segments = skb->gso_segs;
	if (p->segments == 0)
		p->segments = 1;
	p->family = 0;
	p->protocol = 0;
	p->fragment = PC_WHOLE;
	p->fragment_header = 0;
	p->source_port = p->destination_port = 0;
	p->tcp_flags = p->icmp_type = p->icmp_code = 0;
	if (bpf_skb_load_bytes(skb, 0, header, sizeof(header)))
		return PC_MALFORMED;
	p->source_mac = be48(header + 6);
	p->ethertype = be16(header + 12);
	/* A single tag has been moved out of the bytes. */
	if (skb->vlan_present)
		return PC_UNSUPPORTED;
	if (p->ethertype == ETHERTYPE_ARP)
		return PARSED;
	if (p->ethertype == ETHERTYPE_IPV4) {
		p->family = 4;
		result = parse_ipv4(skb, p);
	} else if (p->ethertype == ETHERTYPE_IPV6) {
		p->family = 6;
		result = parse_ipv6(skb, p);
	} else {
		return PC_UNSUPPORTED;
	}
	if (result != PARSED)
		return result;
	return parse_transport(skb, p);
}

#endif
