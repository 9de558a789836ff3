/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world of rc_sim: the plan of a connection, that is which packet is the
 * n-th of it, and the network, which belongs to an adversary.
 */
#ifndef SIM_H
#define SIM_H

#include "hdr.h"
#include "rc.h"

#include "test.h"

#define MSGS 60
#define MTU 256
#define MAX_LEN (5 * MTU)
#define MAX_PKTS (MSGS * 5)
#define NET 64

enum kind { SEND, WRITE, READ, ATOMIC };

static struct {
	u32 start; /* first PSN */
	u32 count; /* packets; from here on "index" counts them from 0 */
	u32 owner[MAX_PKTS]; /* message of a packet */
	enum kind kind[MSGS];
	u32 len[MSGS];
	u32 first[MSGS]; /* index of a message's first packet */
	u32 pkts[MSGS];
} plan;

struct frame {
	size_t len;
	u8 bytes[RXO_MAX_HDR_LEN + MTU + 3 + RXO_ICRC_LEN];
};

struct net {
	u32 n;
	struct frame frame[NET];
};

static struct net requests, responses;
static u32 loss, doubling, reordering; /* percent */

static inline u8 fill(u32 msg, u32 off)
{
	return msg * 37 + off * 11 + (off >> 8) * 5;
}

static inline u64 va_of(u32 msg)
{
	return ((u64)msg << 32) | 0x123;
}

static inline u32 psn_of(u32 index)
{
	return rxo_psn_add(plan.start, index);
}

static inline void make_plan(void)
{
	u32 m, i;

	memset(&plan, 0, sizeof(plan));
	plan.start = rnd(2) ? rnd(0x1000000) : RXO_PSN_MASK - rnd(MAX_PKTS);
	for (m = 0; m < MSGS; m++) {
		plan.kind[m] = rnd(4);
		if (plan.kind[m] == ATOMIC)
			plan.len[m] = 0;
		else
			plan.len[m] = rnd(3) ? rnd(MAX_LEN + 1) :
					       rnd(6) * MTU;
		plan.first[m] = plan.count;
		plan.pkts[m] = rxo_rc_packets(plan.len[m], MTU);
		for (i = 0; i < plan.pkts[m]; i++)
			plan.owner[plan.count++] = m;
	}
}

static inline void net_send(struct net *net, struct rxo_packet *pkt, u32 msg, u32 off)
{
	struct frame *f = &net->frame[net->n];
	u32 i;

	if (net->n == NET)
		return; /* a full queue loses packets as well */
	memset(f, 0, sizeof(*f));
	pkt->pkey = 0xffff;
	f->len = rxo_packet_build(pkt, f->bytes);
	for (i = 0; i < pkt->payload_len; i++)
		f->bytes[f->len++] = fill(msg, off + i);
	f->len += pkt->pad + RXO_ICRC_LEN;
	net->n++;
}

/* The adversary's move; false when nothing arrives. */
static inline bool net_receive(struct net *net, struct frame *f)
{
	u32 i = rnd(100) < reordering ? rnd(net->n + 1) : 0;

	if (i >= net->n)
		return false;
	*f = net->frame[i];
	if (rnd(100) < doubling)
		return true;
	net->n--;
	memmove(&net->frame[i], &net->frame[i + 1],
		(net->n - i) * sizeof(net->frame[0]));
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
