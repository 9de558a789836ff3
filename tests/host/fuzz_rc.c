// SPDX-License-Identifier: GPL-2.0
/*
 * Input: an MTU, a first PSN, then records that each become a packet to a
 * responder or to a requester. Both decide by wire/rc.c and keep books of
 * their own; every decision must be that of the reference, and whatever comes,
 * a WRITE puts down exactly the bytes its RETH announced.
 */
#include "hdr.h"
#include "rc.h"

#include "fuzz.h"
#include "ref_rc.h"

#define MAX_RECORDS 512

static struct {
	u32 mtu;
	u32 epsn, prev, resid;
	bool nak_sent;
	/* Books: */
	enum ref_state state;
	u64 announced, written; /* bytes of the WRITE under way */
} resp;

static struct {
	u32 una, nxt;
} req;

/* A length that matters: near 0, near the MTU, near what is left, or any. */
static u32 take_len(struct input *in)
{
	u8 how = take(in, 1);
	s32 off = (how & 7) - 4;

	switch (how >> 3 & 3) {
	case 0:
		return how & 7;
	case 1:
		return resp.mtu + off;
	case 2:
		return resp.resid + off;
	default:
		return take(in, 4);
	}
}

/* Through the wire and back, as it would arrive. */
static bool travel(struct rxo_packet *pkt)
{
	u8 hdr[RXO_MAX_HDR_LEN];
	struct rxo_packet got;
	size_t len;

	pkt->payload_len %= 4097;
	len = rxo_packet_build(pkt, hdr);
	if (!len)
		return false;
	if (!(pkt->flags & RXO_OP_PAYLOAD)) {
		pkt->payload_len = 0;
		len = rxo_packet_build(pkt, hdr);
	}
	must(rxo_packet_parse(&got, hdr, len, len + pkt->payload_len +
			      pkt->pad + RXO_ICRC_LEN) == RXO_PARSE_OK);
	*pkt = got;
	return true;
}

/* A new connection, as after an error that was NAKed. */
static void resp_reset(void)
{
	resp.prev = 0;
	resp.resid = 0;
	resp.nak_sent = false;
	resp.state = REF_IDLE;
}

static void resp_execute(const struct rxo_packet *pkt)
{
	u32 resid = pkt->flags & RXO_OP_RETH ? pkt->rdma_len : resp.resid;
	enum ref_state next = ref_step(resp.state, pkt->opcode);
	bool order = rxo_check_order(resp.prev, pkt->flags);
	bool length;
	u32 n = 1;

	must(order == (next != REF_NEVER));
	if (!order) {
		resp_reset();
		return;
	}
	length = rxo_check_length(pkt, resp.mtu, resp.resid);
	must(length == ref_length(pkt->opcode, pkt->payload_len, resp.mtu,
				  resid));
	if (!length) {
		resp_reset();
		return;
	}

	if (pkt->flags & RXO_OP_WRITE) {
		if (pkt->flags & RXO_OP_FIRST) {
			resp.announced = pkt->rdma_len;
			resp.written = 0;
		}
		resp.resid = resid - pkt->payload_len;
		resp.written += pkt->payload_len;
		must(resp.written + resp.resid == resp.announced);
		must(resp.announced <= 0x80000000);
		if (pkt->flags & RXO_OP_LAST)
			must(resp.written == resp.announced);
		else
			must(resp.written < resp.announced);
	}
	if (pkt->flags & RXO_OP_READ) {
		n = rxo_rc_packets(pkt->rdma_len, resp.mtu);
		must(n >= 1 && n <= 0x80000000 / resp.mtu);
		must((u64)n * resp.mtu >= pkt->rdma_len);
	}
	resp.prev = pkt->flags;
	resp.state = next;
	resp.nak_sent = false;
	resp.epsn = rxo_psn_add(resp.epsn, n);
}

static void request(struct input *in)
{
	struct rxo_packet pkt = { .opcode = take(in, 1) };
	enum rxo_resp_psn place;
	s32 off = (s8)take(in, 1);

	/* Mostly what is expected, or nothing much would ever happen. */
	pkt.psn = rxo_psn_add(resp.epsn, off >= -64 && off < 64 ? 0 :
			      off * off * off * 5);
	pkt.payload_len = take_len(in);
	pkt.rdma_len = take_len(in);
	if (!travel(&pkt) || !(pkt.flags & RXO_OP_REQ))
		return;
	place = rxo_rc_check_psn(resp.epsn, pkt.psn, resp.nak_sent);
	must(place == ref_place(resp.epsn, pkt.psn, resp.nak_sent));
	if (place == RXO_PSN_EXPECTED)
		resp_execute(&pkt);
	if (place == RXO_PSN_GAP)
		resp.nak_sent = true;
}

static void response(struct input *in)
{
	struct rxo_packet pkt = { .opcode = take(in, 1) };
	enum rxo_resp_kind kind, want;
	u32 size = (req.nxt - req.una) & RXO_PSN_MASK, ahead;

	pkt.psn = rxo_psn_add(req.una, (s8)take(in, 1));
	pkt.syndrome = take(in, 1);
	if (!travel(&pkt))
		return;
	ahead = (pkt.psn - req.una) & RXO_PSN_MASK;
	kind = rxo_rc_classify(&pkt, req.una, req.nxt);
	want = ahead < size ? ref_response(pkt.opcode, pkt.syndrome) :
			      RXO_RESP_IGNORE;
	if (size && ahead > RXO_PSN_MASK / 2 &&
	    (pkt.opcode & RXO_OPERATION_MASK) == RXO_ACK &&
	    ref_response(pkt.opcode, pkt.syndrome) == RXO_RESP_ACK)
		want = RXO_RESP_ALIVE;
	must(kind == want);
	if (kind == RXO_RESP_IGNORE || kind == RXO_RESP_ALIVE)
		return;
	req.una = pkt.psn;
	if (kind == RXO_RESP_ACK || kind == RXO_RESP_READ ||
	    kind == RXO_RESP_ATOMIC)
		req.una = rxo_psn_add(req.una, 1);
	/* What was acknowledged is what had been sent. */
	must(((req.nxt - req.una) & RXO_PSN_MASK) <= size);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	int i;

	resp_reset();
	resp.mtu = 256 << take(&in, 1) % 5;
	resp.epsn = take(&in, 3);
	req.una = resp.epsn;
	req.nxt = resp.epsn;
	for (i = 0; i < MAX_RECORDS && in.left; i++) {
		u8 what = take(&in, 1);

		if (what & 0x80)
			response(&in);
		else
			request(&in);
		/* The window stays as small as a queue pair keeps it. */
		if (((req.nxt - req.una) & RXO_PSN_MASK) < 1000)
			req.nxt = rxo_psn_add(req.nxt, what & 0x1f);
	}
	return 0;
}
