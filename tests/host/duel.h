/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A requester and a responder that decide by nothing but wire/'s functions, and
 * between them an adversary who drops, doubles, reorders and mutates packets.
 *
 * While nothing that he has mutated is believed, every request must be executed
 * exactly once, as planned and in order. And whatever he does: no packet is executed
 * twice, no byte outside of the region or of what was announced is touched, messages
 * complete in order, and an error is one that what he changed can cause.
 */
#ifndef DUEL_H
#define DUEL_H

#include "sim.h"

#define WINDOW 16
#define MAX_RD 4

/* What can make a request one that may not be executed where it is. */
#define T_SHAPE (T_OP | T_PSN | T_LEN | T_SIZE)

enum defeat { NONE, INVALID, ACCESS, BAD_RESPONSE };

static struct {
	u32 una, nxt, max; /* indices: oldest unacknowledged, next, never sent */
	u32 completed; /* messages */
	u32 wait; /* steps until an RNR is over */
	u32 quiet, patience; /* steps since the last progress, and at most */
	u32 filled; /* bytes of the READ under way */
	u32 believed; /* what of the responses taken was touched */
	enum defeat defeat;
} req;

static struct {
	u32 epsn, executed; /* the same place as a PSN and as PSNs from the first */
	u32 prev, resid;
	u64 va; /* of the WRITE under way */
	u64 first_va; /* ... and of its first byte */
	u32 announced;
	bool nak_sent;
	u8 *recv; /* the receive, a heap block of its very size */
	u32 recv_off;
	u32 saved_n;
	u32 saved_psn[MAX_RD];
	u64 saved_orig[MAX_RD];
	u32 believed; /* what of the requests executed was touched */
	enum defeat defeat;
	bool seen[MAX_PKTS]; /* untouched ones that were executed, by index */
} resp;

/* How often each verdict fell: a run that never needed a rule proves nothing. */
static u32 placed[RXO_PSN_DROP + 1], meant[RXO_RESP_ALIVE + 1];
static u32 defeats[BAD_RESPONSE + 1];

/* Is everything still as it was planned? */
static inline bool is_clean(void)
{
	return !req.believed && !resp.believed;
}

/* May it be that it never ends? Of a defeat the other side may not hear. */
static inline bool may_hang(void)
{
	return !is_clean() || resp.defeat;
}

static inline u32 reads_outstanding(void)
{
	u32 i, n = 0;

	for (i = req.una; i < req.nxt; i++) {
		u32 m = plan.owner[i];

		n += plan.kind[m] >= READ &&
		     (i == plan.first[m] || i == req.una);
	}
	return n;
}

static inline void req_send(void)
{
	struct rxo_packet pkt = { 0 };
	u32 m, off;

	if (req.wait || req.nxt == plan.count || req.nxt >= req.una + WINDOW)
		return;
	m = plan.owner[req.nxt];
	off = (req.nxt - plan.first[m]) * MTU;
	if (plan.kind[m] >= READ && reads_outstanding() >= MAX_RD)
		return;
	pkt.opcode = RXO_RC | opcode_of(req.nxt);
	pkt.psn = psn_of(req.nxt);
	pkt.ack_req = rnd(4) != 3 || req.nxt < req.max;
	pkt.va = REGION_VA + off_of(m) + off;
	pkt.rdma_len = plan.len[m] - off;
	pkt.rkey = KEY;
	pkt.swap_add = m;
	if (plan.kind[m] <= WRITE)
		pkt.payload_len = payload_of(req.nxt);
	net_send(&requests, &pkt, NULL, m, off);
	/* A READ is asked for whole, or from where it broke off. */
	req.nxt = plan.kind[m] == READ ? plan.first[m] + plan.pkts[m] :
					 req.nxt + 1;
	if (req.max < req.nxt)
		req.max = req.nxt;
}

static inline void req_retire_one(void)
{
	u32 m = plan.owner[req.una];

	req.una++;
	req.quiet = 0;
	if (req.una == plan.first[m] + plan.pkts[m]) {
		check_eq(m, req.completed);
		if (plan.kind[m] == READ)
			check_eq(req.filled, plan.len[m]);
		req.filled = 0;
		req.completed++;
	}
	if (req.nxt < req.una)
		req.nxt = req.una;
}

/*
 * All before @index has arrived. What wants an answer of its own is not done
 * by that: if it stands in the way, its answer was lost.
 */
static inline bool req_acknowledge(u32 index)
{
	while (req.una < index) {
		if (plan.kind[plan.owner[req.una]] >= READ)
			return false;
		req_retire_one();
	}
	return true;
}

static inline void req_fail(const struct frame *f, enum defeat why)
{
	/* It was touched itself, or tells the end of what was. */
	if (why == BAD_RESPONSE)
		check(f->touched || !is_clean());
	else
		check(f->touched || resp.defeat == why);
	req.defeat = why;
}

static inline void req_read_response(const struct frame *f,
				     const struct rxo_packet *pkt)
{
	u32 m = plan.owner[req.una], i;
	u32 off = (req.una - plan.first[m]) * MTU;
	bool last = req.una == plan.first[m] + plan.pkts[m] - 1;

	if (plan.kind[m] != READ || pkt->payload_len != payload_of(req.una) ||
	    !(pkt->flags & RXO_OP_LAST) == last) {
		req_fail(f, BAD_RESPONSE);
		return;
	}
	for (i = 0; is_clean() && i < pkt->payload_len; i++)
		check_eq(f->bytes[pkt->hdr_len + i], fill(m, off + i));
	req.filled += pkt->payload_len;
	req_retire_one();
}

static inline void req_atomic_response(const struct frame *f,
				       const struct rxo_packet *pkt)
{
	u32 m, sum = 0;

	if (plan.kind[plan.owner[req.una]] != ATOMIC) {
		req_fail(f, BAD_RESPONSE);
		return;
	}
	for (m = 0; m < plan.owner[req.una]; m++)
		sum += plan.kind[m] == ATOMIC ? m : 0;
	if (is_clean())
		check_eq(pkt->orig, sum);
	req_retire_one();
}

static inline enum defeat defeat_of(u8 syndrome)
{
	return (syndrome & RXO_SYN_VALUE_MASK) == RXO_NAK_REM_ACCESS ? ACCESS :
								       INVALID;
}

static inline void req_believe(const struct frame *f,
			       const struct rxo_packet *pkt,
			       enum rxo_resp_kind kind)
{
	u32 index = req.una + rxo_psn_diff(pkt->psn, psn_of(req.una));

	checkf(index >= req.una && index < req.max, " (%u in [%u, %u))", index,
	       req.una, req.max);
	/* Nothing is believed that is reserved. */
	check(pkt->syndrome < 0x80 && (pkt->syndrome & RXO_SYN_KIND_MASK) != 0x40);
	/* Whether it asks for an answer means nothing in one. */
	req.believed |= f->touched & ~T_ACK;
	if (!req_acknowledge(kind == RXO_RESP_ACK ? index + 1 : index)) {
		req.nxt = req.una;
		return;
	}
	if (kind == RXO_RESP_RNR)
		req.wait = 1 + rnd(20);
	if (kind == RXO_RESP_RNR || kind == RXO_RESP_RETRY)
		req.nxt = req.una;
	if (kind == RXO_RESP_ERROR)
		req_fail(f, defeat_of(pkt->syndrome));
	if (kind == RXO_RESP_READ)
		req_read_response(f, pkt);
	if (kind == RXO_RESP_ATOMIC)
		req_atomic_response(f, pkt);
}

static inline void req_receive(const struct frame *f)
{
	struct rxo_packet pkt;
	enum rxo_resp_kind kind;

	if (req.defeat ||
	    rxo_packet_parse(&pkt, f->bytes, f->len, f->len) != RXO_PARSE_OK)
		return;
	kind = rxo_rc_classify(&pkt, psn_of(req.una), psn_of(req.max));
	meant[kind]++;
	if (kind != RXO_RESP_IGNORE && kind != RXO_RESP_ALIVE)
		req_believe(f, &pkt, kind);
}

static inline void resp_ack(u32 psn, u8 syndrome)
{
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_ACK,
		.psn = psn,
		.syndrome = syndrome,
	};

	net_send(&responses, &pkt, NULL, 0, 0);
}

static inline void resp_atomic(u32 psn, u64 orig)
{
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_ATOMIC_ACK,
		.psn = psn,
		.orig = orig,
	};

	net_send(&responses, &pkt, NULL, 0, 0);
}

/* NULL where the request's key gives no access to all of it. */
static inline u8 *resp_access(u32 rkey, u64 va, u64 len)
{
	if (rkey != KEY || !rxo_range_contains(REGION_VA, REGION_SIZE, va, len))
		return NULL;
	return region + (va - REGION_VA);
}

/*
 * Said with a code, and nothing is taken after it. The rights are asked for anew by
 * each request; form and order are a matter of those before it as well.
 */
static inline void resp_refuse(const struct frame *f, u32 psn, enum defeat why)
{
	if (why == ACCESS)
		check(f->touched & (T_OP | T_VA | T_RKEY | T_LEN));
	else
		check((f->touched | resp.believed) & T_SHAPE);
	resp.defeat = why;
	resp_ack(psn, RXO_SYN_NAK | (why == ACCESS ? RXO_NAK_REM_ACCESS :
						     RXO_NAK_INVALID_REQ));
}

/* What is said again to a lie is one as well. */
static inline bool resp_read(const struct frame *f, const struct rxo_packet *ask)
{
	u32 n = rxo_rc_packets(ask->rdma_len, MTU), i;
	const u8 *bytes = resp_access(ask->rkey, ask->va, ask->rdma_len);

	if (ask->rdma_len && !bytes)
		return false;
	for (i = 0; i < n; i++) {
		u32 rest = ask->rdma_len - i * MTU;
		struct rxo_packet pkt = {
			.psn = rxo_psn_add(ask->psn, i),
			.payload_len = rest < MTU ? rest : MTU,
		};

		if (n == 1)
			pkt.opcode = RXO_RC | RXO_READ_RESP_ONLY;
		else if (i == 0)
			pkt.opcode = RXO_RC | RXO_READ_RESP_FIRST;
		else if (i == n - 1)
			pkt.opcode = RXO_RC | RXO_READ_RESP_LAST;
		else
			pkt.opcode = RXO_RC | RXO_READ_RESP_MIDDLE;
		net_send(&responses, &pkt, pkt.payload_len ? bytes + i * MTU : NULL,
			 0, 0)->touched =
			f->touched & ~T_ACK;
	}
	return true;
}

static inline void resp_duplicate(const struct frame *f,
				  const struct rxo_packet *pkt)
{
	u32 i;

	if (pkt->flags & RXO_OP_READ) {
		resp_read(f, pkt);
	} else if (pkt->flags & RXO_OP_ATOMIC) {
		for (i = 0; i < MAX_RD && i < resp.saved_n; i++)
			if (resp.saved_psn[i] == pkt->psn)
				resp_atomic(pkt->psn, resp.saved_orig[i]);
	} else {
		resp_ack(rxo_psn_add(resp.epsn, -1), RXO_SYN_NO_CREDITS);
	}
}

/* The packet must be the next of the plan, whole; what was touched is not asked. */
static inline void resp_check_plan(const struct frame *f,
				   const struct rxo_packet *pkt)
{
	u32 m, off, i;

	check(resp.executed < plan.count);
	m = plan.owner[resp.executed];
	off = (resp.executed - plan.first[m]) * MTU;
	check_eq(pkt->psn, psn_of(resp.executed));
	check_eq(pkt->opcode, RXO_RC | opcode_of(resp.executed));
	check(rxo_check_order(resp.prev, pkt->flags));
	check(rxo_check_length(pkt, MTU, resp.resid));
	if (pkt->flags & RXO_OP_RETH) {
		check_eq(pkt->va, REGION_VA + off_of(m));
		check_eq(pkt->rdma_len, plan.len[m]);
	}
	for (i = 0; i < pkt->payload_len; i++)
		check_eq(f->bytes[pkt->hdr_len + i], fill(m, off + i));
	check(!resp.seen[resp.executed]);
	resp.seen[resp.executed] = true;
}

/* Whoever it is from, what is executed is a whole packet of one message. */
static inline void resp_check_form(const struct rxo_packet *pkt)
{
	bool inside = resp.prev && !(resp.prev & RXO_OP_LAST);

	check_eq(!inside, !!(pkt->flags & RXO_OP_FIRST));
	if (inside)
		check(!((resp.prev ^ pkt->flags) & (RXO_OP_SEND | RXO_OP_WRITE)));
	check(pkt->payload_len <= MTU);
	check(pkt->flags & RXO_OP_LAST || pkt->payload_len == MTU);
	check(pkt->rdma_len <= RXO_MAX_MSG_LEN);
}

static inline enum defeat resp_write(const struct rxo_packet *pkt,
				     const u8 *payload)
{
	if (pkt->flags & RXO_OP_RETH) {
		resp.va = pkt->va;
		resp.first_va = pkt->va;
		resp.resid = pkt->rdma_len;
		resp.announced = pkt->rdma_len;
		if (resp.resid && !resp_access(pkt->rkey, pkt->va, resp.resid))
			return ACCESS;
	}
	/* No key is asked for again: that it fits the length check has to say. */
	if (pkt->payload_len)
		memcpy(region + (resp.va - REGION_VA), payload, pkt->payload_len);
	resp.va += pkt->payload_len;
	resp.resid -= pkt->payload_len;
	check_eq(resp.va - resp.first_va + resp.resid, resp.announced);
	check_eq(!resp.resid, !!(pkt->flags & RXO_OP_LAST));
	return NONE;
}

static inline enum defeat resp_take(const struct rxo_packet *pkt,
				    const u8 *payload)
{
	if (pkt->flags & RXO_OP_FIRST)
		resp.recv_off = 0;
	if (resp.recv_off + pkt->payload_len > MAX_LEN)
		return INVALID;
	memcpy(resp.recv + resp.recv_off, payload, pkt->payload_len);
	resp.recv_off += pkt->payload_len;
	return NONE;
}

static inline enum defeat resp_add(const struct rxo_packet *pkt)
{
	u8 *at = resp_access(pkt->rkey, pkt->va, sizeof(u64));
	u32 slot = resp.saved_n % MAX_RD;
	u64 v;

	if (!at)
		return ACCESS;
	memcpy(&v, at, sizeof(v));
	resp.saved_n++;
	resp.saved_psn[slot] = pkt->psn;
	resp.saved_orig[slot] = v;
	resp_atomic(pkt->psn, v);
	v += pkt->swap_add;
	memcpy(at, &v, sizeof(v));
	return NONE;
}

static inline enum defeat resp_execute(const struct frame *f,
				       const struct rxo_packet *pkt)
{
	const u8 *payload = f->bytes + pkt->hdr_len;

	if (!rxo_check_order(resp.prev, pkt->flags) ||
	    !rxo_check_length(pkt, MTU, resp.resid))
		return INVALID;
	resp_check_form(pkt);
	if (pkt->flags & RXO_OP_READ)
		return resp_read(f, pkt) ? NONE : ACCESS;
	if (pkt->flags & RXO_OP_ATOMIC)
		return resp_add(pkt);
	return pkt->flags & RXO_OP_WRITE ? resp_write(pkt, payload) :
					   resp_take(pkt, payload);
}

static inline void resp_request(const struct frame *f,
				const struct rxo_packet *pkt)
{
	u32 touched = f->touched & ~T_ACK, n = 1;
	enum defeat defeat;

	if (!touched && !resp.believed)
		resp_check_plan(f, pkt);
	defeat = resp_execute(f, pkt);
	if (defeat) {
		resp_refuse(f, pkt->psn, defeat);
		return;
	}
	resp.believed |= touched;
	check_eq(pkt->psn, psn_of(resp.executed));
	if (pkt->flags & RXO_OP_READ)
		n = rxo_rc_packets(pkt->rdma_len, MTU);
	else if (!(pkt->flags & RXO_OP_ATOMIC) && pkt->ack_req)
		resp_ack(pkt->psn, RXO_SYN_ACK | RXO_SYN_NO_CREDITS);
	resp.prev = pkt->flags;
	resp.executed += n;
	resp.epsn = rxo_psn_add(resp.epsn, n);
	resp.nak_sent = false;
}

static inline void resp_receive(const struct frame *f)
{
	struct rxo_packet pkt;
	enum rxo_resp_psn place;

	if (resp.defeat ||
	    rxo_packet_parse(&pkt, f->bytes, f->len, f->len) != RXO_PARSE_OK)
		return;
	/* Nor does the other half of a connection come here. */
	if (!(pkt.flags & RXO_OP_REQ) ||
	    (pkt.opcode & RXO_TRANSPORT_MASK) != RXO_RC)
		return;
	place = rxo_rc_check_psn(resp.epsn, pkt.psn, resp.nak_sent);
	placed[place]++;
	switch (place) {
	case RXO_PSN_EXPECTED:
		if ((pkt.flags & RXO_OP_SEND) && (pkt.flags & RXO_OP_FIRST) &&
		    rnd(8) == 7) {
			resp_ack(pkt.psn, RXO_SYN_RNR | 1);
			resp.nak_sent = true;
			break;
		}
		resp_request(f, &pkt);
		break;
	case RXO_PSN_DUPLICATE:
		resp_duplicate(f, &pkt);
		break;
	case RXO_PSN_GAP:
		resp_ack(resp.epsn, RXO_SYN_NAK | RXO_NAK_PSN);
		resp.nak_sent = true;
		break;
	case RXO_PSN_DROP:
		break;
	}
}

/* @who: the requester sends, or the one or the other receives. */
static inline void duel_step(u32 who)
{
	struct frame f;

	switch (who) {
	case 0:
		if (!req.defeat)
			req_send();
		break;
	case 1:
		if (net_receive(&requests, &f))
			resp_receive(&f);
		break;
	case 2:
		if (net_receive(&responses, &f))
			req_receive(&f);
		break;
	}
	if (req.wait)
		req.wait--;
	if (++req.quiet > req.patience) {
		req.nxt = req.una;
		req.quiet = 0;
	}
}

static inline bool duel_is_over(void)
{
	return req.defeat || req.completed == plan.msgs;
}

static inline void duel_begin(u32 msgs, u32 patience)
{
	make_plan(msgs);
	free(resp.recv);
	memset(&req, 0, sizeof(req));
	memset(&resp, 0, sizeof(resp));
	req.patience = patience;
	resp.epsn = plan.start;
	resp.recv = malloc(MAX_LEN);
	requests.n = 0;
	responses.n = 0;
}

/* After enough steps with nobody in the way. */
static inline void duel_end(void)
{
	defeats[req.defeat]++;
	if (req.defeat || may_hang())
		return;
	check_eq(req.completed, plan.msgs);
	check_eq(resp.executed, plan.count);
}

#endif /* DUEL_H */
