// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The one program that stands at both hooks of every bound device: policy is data (abi.h), and it judges packets in the order of
 * section 2 of the specification. The instance's egress is the host device's ingress. */
#include "fast.h"
#include "fragment.h"
#include "baseline.h"
#include "adopt.h"

#define ACCEPT (-1) /* TCX_NEXT, TC_ACT_UNSPEC: programs after this one still run */
#define DROP 2      /* TC_ACT_SHOT */

/* What the slot's word leads to. The word is read once, so that no packet sees a mix. */
static __always_inline void load_interface(struct packet *p, __u64 word)
{
	p->interface = (__u32)word;
	p->judged = (word & ~0xffffffffull) | (__u32)config_word(PC_CONFIG_MEMBERSHIP);
	p->handle = pool_word_inline(p->interface + PC_INTERFACE_HANDLE);
	p->flags = pool_word_inline(p->interface + PC_INTERFACE_FLAGS);
	p->mac = pool_word_inline(p->interface + PC_INTERFACE_MAC);
}

/* The direction in which the flow of an accepted first fragment is judged. */
static __always_inline __u32 flow_first(struct packet *p)
{
	struct pc_flow *flow;

	if (!p->has_flow)
		return p->direction;
	flow = bpf_map_lookup_elem(&flows, &p->key);
	return flow ? first_direction(flow->state) : p->direction;
}

/* The steps ahead of the address check, for what fast.h has not read; UNDECIDED: go on. */
#define UNDECIDED (~0ull)

static __always_inline __u64 decide_unread(struct __sk_buff *skb, struct packet *p)
{
	int result = parse(skb, p);

	if (result != PARSED)
		return JUDGED(0, result, 0);
	if (p->family)
		make_key(p);
	result = baseline(skb, p);
	if (result == -2)
		return JUDGED(0, PC_MALFORMED, 0);
	if (result == PASSES && p->fragment == PC_FIRST)
		fragment_note(p, &p->key, 2);
	return result == NOT_BASELINE ? UNDECIDED : JUDGED(result == PASSES, PC_BASELINE, 0);
}

/* The full path. */
__noinline __u64 decide(struct __sk_buff *skb, struct packet *p)
{
	__u64 judged = UNDECIDED;

	if (!p)
		return JUDGED(0, PC_CLOSED, 0);
	if (p->plain)
		fast_handover(p);
	else
		judged = decide_unread(skb, p);
	if (judged != UNDECIDED)
		return judged;
	if (is_spoofed(p))
		return JUDGED(0, PC_SPOOFED, 0);
	if (p->fragment == PC_LATER)
		return fragment_judge(p);
	judged = is_icmp_error(p) ? judge_error(skb, p) : 0;
	if (judged)
		return judged;
	judged = judge_flow(p);
	if (JUDGED_ACCEPT(judged) && p->fragment == PC_FIRST)
		fragment_note(p, &p->key, flow_first(p));
	return judged;
}

static __always_inline int handle(struct __sk_buff *skb, __u32 direction)
{
	__u32 number = slot_of(skb->ifindex);
	struct packet *p = notes_get();
	struct pc_slot *slot;
	__u64 judged, word;

	skb->cb[0] = PC_CLOSED;
	skb->cb[1] = 0;
	if (!p || !number)
		return DROP;
	slot = slot_get(number - 1);
	if (!slot)
		return DROP;
	word = *(volatile __u64 *)&slot->word;
	p->slot = number - 1;
	p->direction = direction;
	p->length = skb->len;
	p->segments = skb->gso_segs ? skb->gso_segs : 1;
	p->plain = p->absent = 0;
	load_interface(p, word);
	if ((__u32)word && fast_accepts(skb, p, direction))
		return ACCEPT;
	p->now = bpf_ktime_get_ns() + config_word(PC_CONFIG_CLOCK_OFFSET_NS);
	if (!p->plain)
		__builtin_memset(&p->key, 0, sizeof(p->key));
	judged = (__u32)word ? decide(skb, p) : JUDGED(0, PC_CLOSED, 0);
	p->counter = JUDGED_COUNTER(judged);
	account(&(struct account){ .slot = p->slot,
				   .direction = direction,
				   .reason = JUDGED_REASON(judged),
				   .accept = JUDGED_ACCEPT(judged),
				   .counter = p->counter,
				   .packets = p->segments,
				   .bytes = p->length,
				   .now = p->now });
	skb->cb[0] = (__u32)judged;
	skb->cb[1] = p->counter;
	if (JUDGED_ACCEPT(judged))
		return ACCEPT;
	tell(p, &p->key, EVENT(PC_EVENT_DENY, direction, JUDGED_REASON(judged)), p->counter);
	return DROP;
}

SEC("classifier")
int pc_egress(struct __sk_buff *skb)
{
	return handle(skb, PC_EGRESS);
}

SEC("classifier")
int pc_ingress(struct __sk_buff *skb)
{
	return handle(skb, PC_INGRESS);
}

#include "sweep.h"

/* Run by the user side, never attached: takes over the flow of an older layout that the frame holds. cb[0]: adopt_outcome. */
SEC("classifier")
int pc_adopt(struct __sk_buff *skb)
{
	struct packet *p = notes_get();

	skb->cb[0] = p ? adopt_frame(skb, p) : ADOPT_REFUSED;
	return DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
