/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world of a duel: the plan of a connection, that is which packet is the n-th
 * of it, the responder's memory, and the network, which belongs to an adversary.
 *
 * Who includes it has rnd() and the checks: numbers from a generator or from a
 * fuzzer, a failure that is counted or that ends the program.
 */
#ifndef SIM_H
#define SIM_H

#include "hdr.h"
#include "packet.h"
#include "range.h"
#include "rc.h"

#define MSGS 60
#define MTU 256
#define MAX_LEN (5 * MTU)
#define MAX_PKTS (MSGS * 5)
#define NET 64

enum kind { SEND, WRITE, READ, ATOMIC };

static struct {
	u32 msgs; /* of MSGS */
	u32 start; /* first PSN */
	u32 count; /* packets; from here on "index" counts them from 0 */
	u32 owner[MAX_PKTS]; /* message of a packet */
	enum kind kind[MSGS];
	u32 len[MSGS];
	u32 first[MSGS]; /* index of a message's first packet */
	u32 pkts[MSGS];
} plan;

/* What the adversary has made another; a frame that does not parse is none. */
enum touched {
	T_OP = BIT(0),
	T_PSN = BIT(1),
	T_VA = BIT(2),
	T_RKEY = BIT(3),
	T_LEN = BIT(4), /* of the RETH */
	T_SIZE = BIT(5), /* of the payload */
	T_DATA = BIT(6), /* payload and operands */
	T_SYN = BIT(7),
	T_ACK = BIT(8), /* asks for one, or no more */
};

struct frame {
	size_t len;
	u32 touched;
	u8 bytes[RXO_MAX_HDR_LEN + MTU + 64 + RXO_ICRC_LEN];
};

struct net {
	u32 n;
	struct frame frame[NET + 1];
};

static struct net requests, responses;

/*
 * What the adversary does next: all of it in percent. A packet whose ICRC is wrong is
 * dropped before these rules are asked, so what he mutates he seals anew.
 */
static u32 loss, doubling, reordering, mutating;

/*
 * The responder's memory: a slot for each message, and one for the counter that
 * atomics work on. It is a heap block of its very size, and ends where addresses do.
 */
#define COUNTER_OFF (MSGS * MAX_LEN)
#define REGION_SIZE (COUNTER_OFF + sizeof(u64))
#define REGION_VA (0 - (u64)REGION_SIZE)
#define KEY 0x1234ab

static u8 *region;

static inline u8 fill(u32 msg, u32 off)
{
	return msg * 37 + off * 11 + (off >> 8) * 5;
}

static inline u32 off_of(u32 msg)
{
	return plan.kind[msg] == ATOMIC ? COUNTER_OFF : msg * MAX_LEN;
}

static inline u32 psn_of(u32 index)
{
	return rxo_psn_add(plan.start, index);
}

static inline void plan_message(u32 m)
{
	u32 i;

	plan.kind[m] = rnd(4);
	if (plan.kind[m] == ATOMIC)
		plan.len[m] = 0;
	else
		plan.len[m] = rnd(3) ? rnd(MAX_LEN + 1) : rnd(6) * MTU;
	plan.first[m] = plan.count;
	plan.pkts[m] = rxo_rc_packets(plan.len[m], MTU);
	for (i = 0; i < plan.pkts[m]; i++)
		plan.owner[plan.count++] = m;
}

static inline void make_plan(u32 msgs)
{
	u32 m, i;

	memset(&plan, 0, sizeof(plan));
	plan.msgs = msgs;
	plan.start = rnd(2) ? rnd(0x1000000) : RXO_PSN_MASK - rnd(MAX_PKTS);
	for (m = 0; m < msgs; m++)
		plan_message(m);
	free(region);
	region = calloc(1, REGION_SIZE);
	for (m = 0; m < msgs; m++)
		for (i = 0; plan.kind[m] == READ && i < plan.len[m]; i++)
			region[off_of(m) + i] = fill(m, i);
}

/*
 * @payload may be NULL for that of message @msg from @off on. Returns the frame on its
 * way; a full network loses it.
 */
static inline struct frame *net_send(struct net *net, struct rxo_packet *pkt,
				     const u8 *payload, u32 msg, u32 off)
{
	struct frame *f = &net->frame[net->n];
	u32 i;

	memset(f, 0, sizeof(*f));
	pkt->pkey = 0xffff;
	f->len = rxo_packet_build(pkt, f->bytes);
	for (i = 0; i < pkt->payload_len; i++)
		f->bytes[f->len++] = payload ? payload[i] : fill(msg, off + i);
	f->len += pkt->pad + RXO_ICRC_LEN;
	if (net->n < NET)
		net->n++;
	return f;
}

static inline u32 difference(const struct frame *a, const struct frame *b)
{
	struct rxo_packet x, y;
	u32 t = 0;

	if (rxo_packet_parse(&x, a->bytes, a->len, a->len) != RXO_PARSE_OK ||
	    rxo_packet_parse(&y, b->bytes, b->len, b->len) != RXO_PARSE_OK)
		return 0;
	t |= x.opcode != y.opcode ? T_OP : 0;
	t |= x.psn != y.psn ? T_PSN : 0;
	t |= x.va != y.va ? T_VA : 0;
	t |= x.rkey != y.rkey ? T_RKEY : 0;
	t |= x.rdma_len != y.rdma_len ? T_LEN : 0;
	t |= x.payload_len != y.payload_len ? T_SIZE : 0;
	t |= x.syndrome != y.syndrome ? T_SYN : 0;
	t |= x.ack_req != y.ack_req ? T_ACK : 0;
	if (x.swap_add != y.swap_add || x.compare != y.compare ||
	    x.orig != y.orig || x.hdr_len != y.hdr_len ||
	    x.payload_len != y.payload_len ||
	    memcmp(a->bytes + x.hdr_len, b->bytes + y.hdr_len, x.payload_len))
		t |= T_DATA;
	return t;
}

static inline void put_be32(u8 *p, u32 v)
{
	v = cpu_to_be32(v);
	memcpy(p, &v, sizeof(v));
}

/* A value that is near some limit. */
static inline u32 odd_word(void)
{
	static const u32 words[] = {
		0, 1, MTU, MTU + 1, MAX_LEN, 0x7fffffff, 0x80000000, 0x80000001,
		0xffffffff, REGION_SIZE, (u32)REGION_VA, (u32)REGION_VA - 1,
		-MTU, 1 - MTU, KEY, KEY ^ 1,
	};

	return words[rnd(ARRAY_SIZE(words))];
}

/* An access that ends about where the region does, or begins there. */
static inline void mutate_va(struct frame *f)
{
	struct rxo_packet pkt;
	u64 va;

	if (rxo_packet_parse(&pkt, f->bytes, f->len, f->len) != RXO_PARSE_OK ||
	    !(pkt.flags & (RXO_OP_RETH | RXO_OP_ATOMICETH)))
		return;
	va = REGION_VA + rnd(5) - 2;
	if (rnd(2))
		va += REGION_SIZE -
		      (pkt.flags & RXO_OP_RETH ? pkt.rdma_len : sizeof(u64));
	put_be32(f->bytes + 12, va >> 32);
	put_be32(f->bytes + 16, va);
}

static inline void mutate(struct frame *f)
{
	static const u8 syndromes[] = { 0x1f, 0x00, 0x21, 0x60, 0x61, 0x62, 0x63,
					0x64, 0x40, 0x9f };
	struct frame was = *f;
	s32 n;

	switch (rnd(8)) {
	case 0:
		f->bytes[rnd(f->len)] ^= 1 << rnd(8);
		break;
	case 1:
		f->bytes[0] = rnd(0x18);
		break;
	case 2:
		/* PSNs around it; the carry is somebody else's business. */
		f->bytes[11] += rnd(9) - 4;
		break;
	case 3:
		n = (s32)rnd(33) - 16;
		if (f->len + n >= sizeof(struct rxo_bth) + RXO_ICRC_LEN &&
		    f->len + n <= sizeof(f->bytes))
			f->len += n;
		break;
	case 4:
		/* Within RETH and AtomicETH. */
		if (f->len >= 12 + 28 + RXO_ICRC_LEN)
			put_be32(f->bytes + 12 + 4 * rnd(7), odd_word());
		break;
	case 5:
		if (f->len >= 12 + 4 + RXO_ICRC_LEN)
			f->bytes[12] = syndromes[rnd(ARRAY_SIZE(syndromes))];
		break;
	case 6:
		mutate_va(f);
		break;
	case 7:
		f->bytes[1] = (f->bytes[1] & 0xcf) | rnd(4) << 4;
		break;
	}
	f->touched |= difference(&was, f);
}

/* The adversary's move; false when nothing arrives. */
static inline bool net_receive(struct net *net, struct frame *f)
{
	u32 i = rnd(100) < reordering ? rnd(net->n + 1) : 0;

	if (i >= net->n)
		return false;
	*f = net->frame[i];
	if (rnd(100) >= doubling) {
		net->n--;
		memmove(&net->frame[i], &net->frame[i + 1],
			(net->n - i) * sizeof(net->frame[0]));
	}
	if (rnd(100) < mutating)
		mutate(f);
	return rnd(100) >= loss;
}

static inline u8 opcode_of(u32 index)
{
	static const u8 last[2][3] = {
		{ RXO_SEND_LAST, RXO_SEND_LAST_IMM, RXO_SEND_LAST_INV },
		{ RXO_WRITE_LAST, RXO_WRITE_LAST_IMM, RXO_WRITE_LAST },
	};
	static const u8 only[2][3] = {
		{ RXO_SEND_ONLY, RXO_SEND_ONLY_IMM, RXO_SEND_ONLY_INV },
		{ RXO_WRITE_ONLY, RXO_WRITE_ONLY_IMM, RXO_WRITE_ONLY },
	};
	u32 m = plan.owner[index];
	bool is_first = index == plan.first[m];
	bool is_last = index == plan.first[m] + plan.pkts[m] - 1;

	if (plan.kind[m] == READ)
		return RXO_READ_REQUEST;
	if (plan.kind[m] == ATOMIC)
		return RXO_FETCH_ADD;
	if (is_first && is_last)
		return only[plan.kind[m]][m % 3];
	if (is_last)
		return last[plan.kind[m]][m % 3];
	if (is_first)
		return plan.kind[m] == SEND ? RXO_SEND_FIRST : RXO_WRITE_FIRST;
	return plan.kind[m] == SEND ? RXO_SEND_MIDDLE : RXO_WRITE_MIDDLE;
}

static inline u32 payload_of(u32 index)
{
	u32 m = plan.owner[index], off = (index - plan.first[m]) * MTU;
	u32 rest = plan.len[m] - off;

	return rest < MTU ? rest : MTU;
}

#endif /* SIM_H */
