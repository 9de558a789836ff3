// SPDX-License-Identifier: GPL-2.0
/*
 * A requester and a responder that decide by nothing but wire/'s functions, and
 * between them an adversary who drops, doubles and reorders packets.
 *
 * Whatever he does, every request must be executed exactly once and in order.
 * The plan says which packet is the n-th of the connection; the responder holds
 * each packet it executes against the next one of the plan, the requester each
 * completion against the next message.
 */
#include "rc.h"

#include "sim.h"
#include "test.h"

#define RUNS 400
#define WINDOW 16
#define MAX_RD 4
#define MAX_STEPS 2000000
#define QUIET 300 /* steps without progress after which a timer fires */

static struct {
	u32 una, nxt, max; /* indices: oldest unacknowledged, next, never sent */
	u32 completed; /* messages */
	u32 wait; /* steps until an RNR is over */
	u32 quiet; /* steps since the last progress */
} req;

static struct {
	u32 epsn, executed; /* the same place as a PSN and as an index */
	u32 prev, resid;
	bool nak_sent;
	u64 counter; /* what atomics work on */
	u32 saved_n;
	u32 saved_psn[MAX_RD];
	u64 saved_orig[MAX_RD];
} resp;

/* How often each verdict fell: a run that never needed a rule proves nothing. */
static u32 placed[RXO_PSN_DROP + 1], meant[RXO_RESP_ALIVE + 1];

static u32 reads_outstanding(void)
{
	u32 i, n = 0;

	for (i = req.una; i < req.nxt; i++) {
		u32 m = plan.owner[i];

		n += plan.kind[m] >= READ &&
		     (i == plan.first[m] || i == req.una);
	}
	return n;
}

static void req_send(void)
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
	pkt.ack_req = rnd(4) || req.nxt < req.max;
	pkt.va = va_of(m) + off;
	pkt.rdma_len = plan.len[m] - off;
	pkt.rkey = m;
	pkt.swap_add = m;
	if (plan.kind[m] <= WRITE)
		pkt.payload_len = payload_of(req.nxt);
	net_send(&requests, &pkt, m, off);
	/* A READ is asked for whole, or from where it broke off. */
	req.nxt = plan.kind[m] == READ ? plan.first[m] + plan.pkts[m] :
					 req.nxt + 1;
	if (req.max < req.nxt)
		req.max = req.nxt;
}

static void req_retire_one(void)
{
	u32 m = plan.owner[req.una];

	req.una++;
	req.quiet = 0;
	if (req.una == plan.first[m] + plan.pkts[m]) {
		check_eq(m, req.completed);
		req.completed++;
	}
	if (req.nxt < req.una)
		req.nxt = req.una;
}

/*
 * All before @index has arrived. What wants an answer of its own is not done
 * by that: if it stands in the way, its answer was lost.
 */
static bool req_acknowledge(u32 index)
{
	while (req.una < index) {
		if (plan.kind[plan.owner[req.una]] >= READ)
			return false;
		req_retire_one();
	}
	return true;
}

static void req_read_response(const struct rxo_packet *pkt, const u8 *payload)
{
	u32 m = plan.owner[req.una], i;
	u32 off = (req.una - plan.first[m]) * MTU;
	bool last = req.una == plan.first[m] + plan.pkts[m] - 1;

	check_eq(plan.kind[m], READ);
	check_eq(!!(pkt->flags & RXO_OP_LAST), last);
	check_eq(pkt->payload_len, payload_of(req.una));
	for (i = 0; i < pkt->payload_len; i++)
		check_eq(payload[i], fill(m, off + i));
	req_retire_one();
}

static void req_receive(const struct frame *f)
{
	struct rxo_packet pkt;
	enum rxo_resp_kind kind;
	u32 index;

	check_eq(rxo_packet_parse(&pkt, f->bytes, f->len, f->len),
		 RXO_PARSE_OK);
	kind = rxo_rc_classify(&pkt, psn_of(req.una), psn_of(req.max));
	meant[kind]++;
	if (kind == RXO_RESP_IGNORE || kind == RXO_RESP_ALIVE)
		return;
	index = req.una + rxo_psn_diff(pkt.psn, psn_of(req.una));
	checkf(index >= req.una && index < req.max, " (%u in [%u, %u))", index,
	       req.una, req.max);
	check(kind != RXO_RESP_ERROR);

	if (!req_acknowledge(kind == RXO_RESP_ACK ? index + 1 : index)) {
		req.nxt = req.una;
		return;
	}
	if (kind == RXO_RESP_RNR)
		req.wait = 1 + rnd(20);
	if (kind == RXO_RESP_RNR || kind == RXO_RESP_RETRY)
		req.nxt = req.una;
	if (kind == RXO_RESP_READ)
		req_read_response(&pkt, f->bytes + pkt.hdr_len);
	if (kind == RXO_RESP_ATOMIC) {
		u32 m, sum = 0;

		check_eq(plan.kind[plan.owner[index]], ATOMIC);
		for (m = 0; m < plan.owner[index]; m++)
			sum += plan.kind[m] == ATOMIC ? m : 0;
		check_eq(pkt.orig, sum);
		req_retire_one();
	}
}

static void resp_ack(u32 psn, u8 syndrome)
{
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_ACK,
		.psn = psn,
		.syndrome = syndrome,
	};

	net_send(&responses, &pkt, 0, 0);
}

static void resp_read(const struct rxo_packet *ask)
{
	u32 n = rxo_rc_packets(ask->rdma_len, MTU), i;
	u32 m = ask->rkey, off = ask->va - va_of(m);

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
		net_send(&responses, &pkt, m, off + i * MTU);
	}
}

static void resp_atomic(u32 psn, u64 orig)
{
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_ATOMIC_ACK,
		.psn = psn,
		.orig = orig,
	};

	net_send(&responses, &pkt, 0, 0);
}

static void resp_duplicate(const struct rxo_packet *pkt)
{
	u32 i;

	if (pkt->flags & RXO_OP_READ) {
		resp_read(pkt);
	} else if (pkt->flags & RXO_OP_ATOMIC) {
		for (i = 0; i < MAX_RD && i < resp.saved_n; i++)
			if (resp.saved_psn[i] == pkt->psn)
				resp_atomic(pkt->psn, resp.saved_orig[i]);
	} else {
		resp_ack(rxo_psn_add(resp.epsn, -1), RXO_SYN_NO_CREDITS);
	}
}

/* The packet must be the next of the plan, whole. */
static void resp_check_plan(const struct rxo_packet *pkt, const u8 *payload)
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
		check_eq(pkt->va, va_of(m));
		check_eq(pkt->rdma_len, plan.len[m]);
	}
	for (i = 0; i < pkt->payload_len; i++)
		check_eq(payload[i], fill(m, off + i));
}

static void resp_execute(const struct rxo_packet *pkt, const u8 *payload)
{
	u32 n = 1;

	resp_check_plan(pkt, payload);
	if (pkt->flags & RXO_OP_RETH)
		resp.resid = pkt->rdma_len;
	if (pkt->flags & RXO_OP_WRITE)
		resp.resid -= pkt->payload_len;
	if (pkt->flags & RXO_OP_READ) {
		n = rxo_rc_packets(pkt->rdma_len, MTU);
		resp_read(pkt);
	} else if (pkt->flags & RXO_OP_ATOMIC) {
		u32 slot = resp.saved_n++ % MAX_RD;

		resp.saved_psn[slot] = pkt->psn;
		resp.saved_orig[slot] = resp.counter;
		resp_atomic(pkt->psn, resp.counter);
		resp.counter += pkt->swap_add;
	} else if (pkt->ack_req) {
		resp_ack(pkt->psn, RXO_SYN_ACK | RXO_SYN_NO_CREDITS);
	}
	resp.prev = pkt->flags;
	resp.executed += n;
	resp.epsn = rxo_psn_add(resp.epsn, n);
	resp.nak_sent = false;
}

static void resp_receive(const struct frame *f)
{
	struct rxo_packet pkt;
	enum rxo_resp_psn place;

	check_eq(rxo_packet_parse(&pkt, f->bytes, f->len, f->len),
		 RXO_PARSE_OK);
	place = rxo_rc_check_psn(resp.epsn, pkt.psn, resp.nak_sent);
	placed[place]++;
	switch (place) {
	case RXO_PSN_EXPECTED:
		if ((pkt.flags & RXO_OP_SEND) && (pkt.flags & RXO_OP_FIRST) &&
		    !rnd(8)) {
			resp_ack(pkt.psn, RXO_SYN_RNR | 1);
			resp.nak_sent = true;
			break;
		}
		resp_execute(&pkt, f->bytes + pkt.hdr_len);
		break;
	case RXO_PSN_DUPLICATE:
		resp_duplicate(&pkt);
		break;
	case RXO_PSN_GAP:
		resp_ack(resp.epsn, RXO_SYN_NAK | RXO_NAK_PSN);
		resp.nak_sent = true;
		break;
	case RXO_PSN_DROP:
		break;
	}
}

static void step(void)
{
	struct frame f;

	switch (rnd(3)) {
	case 0:
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
	if (++req.quiet > QUIET) {
		req.nxt = req.una;
		req.quiet = 0;
	}
}

static u32 run(void)
{
	u32 steps;

	make_plan();
	memset(&req, 0, sizeof(req));
	memset(&resp, 0, sizeof(resp));
	resp.epsn = plan.start;
	requests.n = 0;
	responses.n = 0;
	loss = rnd(2) * rnd(25);
	doubling = rnd(2) * rnd(25);
	reordering = rnd(2) * rnd(100);

	for (steps = 0; steps < MAX_STEPS && req.completed < MSGS; steps++) {
		if (test_failures)
			break;
		step();
	}
	check_eq(req.completed, MSGS);
	check_eq(resp.executed, plan.count);
	return steps;
}

int main(void)
{
	u32 i, place, kind, most = 0;

	test_seed();
	for (i = 0; i < RUNS && !test_failures; i++) {
		u32 steps = run();

		if (most < steps)
			most = steps;
	}
	for (place = RXO_PSN_EXPECTED; place <= RXO_PSN_DROP; place++)
		checkf(placed[place], " (place %u)", place);
	for (kind = RXO_RESP_IGNORE; kind <= RXO_RESP_ALIVE; kind++)
		check_eqf(!!meant[kind], kind != RXO_RESP_ERROR, " (kind %u)",
			  kind);
	printf("%u runs of %u messages, at most %u steps each\n", i, MSGS, most);
	return test_done();
}
