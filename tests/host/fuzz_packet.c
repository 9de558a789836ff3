// SPDX-License-Identifier: GPL-2.0
/*
 * Input: a byte that says how much of the packet is linear, then the packet from
 * its BTH on. It is parsed; what parses is built again and must be the same but
 * for reserved bits. Then the same bytes are taken for the fields of a packet,
 * which is built and must parse to the same fields.
 */
#include "hdr.h"
#include "packet.h"

#include "fuzz.h"

#define ALL_LINEAR 0xff

/* Congestion and reserved bits are not kept, MigReq is always set. */
static void canonical(u8 *hdr, u32 flags)
{
	hdr[1] |= RXO_BTH_MIG;
	hdr[4] = 0;
	hdr[8] &= 0x80;
	if (flags & RXO_OP_DETH)
		hdr[16] = 0;
}

static void check_claims(const struct rxo_packet *pkt, size_t linear,
			 size_t len)
{
	u32 f = pkt->flags;

	must(rxo_opcode(pkt->opcode) && rxo_opcode(pkt->opcode)->flags == f);
	must(pkt->hdr_len == rxo_opcode(pkt->opcode)->hdr_len);
	must(pkt->hdr_len <= linear && pkt->hdr_len <= RXO_MAX_HDR_LEN);
	must((size_t)pkt->hdr_len + pkt->payload_len + pkt->pad +
	     RXO_ICRC_LEN == len);
	must(pkt->pad <= 3 && pkt->payload_len <= 4096);
	must(pkt->qpn < 1 << 24 && pkt->psn < 1 << 24);
	must(pkt->msn < 1 << 24 && pkt->src_qpn < 1 << 24);
	must((f & RXO_OP_PAYLOAD) || (!pkt->payload_len && !pkt->pad));
	must((f & RXO_OP_DETH) || (!pkt->qkey && !pkt->src_qpn));
	must((f & RXO_OP_RETH) || !pkt->rdma_len);
	must((f & (RXO_OP_RETH | RXO_OP_ATOMICETH)) || !pkt->va);
	must((f & (RXO_OP_RETH | RXO_OP_ATOMICETH | RXO_OP_INV)) ||
	     !pkt->rkey);
	must((f & RXO_OP_ATOMICETH) || (!pkt->swap_add && !pkt->compare));
	must((f & RXO_OP_AETH) || (!pkt->syndrome && !pkt->msn));
	must((f & RXO_OP_ATOMICACKETH) || !pkt->orig);
	must((f & RXO_OP_IMM) || !pkt->imm);
}

static void parse_and_build(const u8 *data, size_t size)
{
	size_t len, linear;
	struct rxo_packet pkt;
	u8 built[RXO_MAX_HDR_LEN];
	u8 *bytes;

	if (!size)
		return;
	len = size - 1;
	linear = data[0] == ALL_LINEAR || data[0] > len ? len : data[0];
	bytes = exact(data + 1, linear);
	memset(&pkt, 0xff, sizeof(pkt));
	if (rxo_packet_parse(&pkt, bytes, linear, len) == RXO_PARSE_OK) {
		check_claims(&pkt, linear, len);
		must(rxo_packet_build(&pkt, built) == pkt.hdr_len);
		canonical(bytes, pkt.flags);
		must(!memcmp(bytes, built, pkt.hdr_len));
	}
	free(bytes);
}

static void build_and_parse(struct input *in)
{
	struct rxo_packet pkt = { 0 }, got;
	u8 *bytes, again[RXO_MAX_HDR_LEN];
	size_t len;

	pkt.opcode = take(in, 1);
	pkt.payload_len = take(in, 2) % 4097;
	pkt.se = take(in, 1) & 1;
	pkt.ack_req = take(in, 1) & 1;
	pkt.pkey = take(in, 2);
	pkt.syndrome = take(in, 1);
	pkt.qpn = take(in, 4);
	pkt.psn = take(in, 4);
	pkt.msn = take(in, 4);
	pkt.rkey = take(in, 4);
	pkt.rdma_len = take(in, 4);
	pkt.qkey = take(in, 4);
	pkt.src_qpn = take(in, 4);
	pkt.imm = take(in, 4);
	pkt.va = take(in, 8);
	pkt.swap_add = take(in, 8);
	pkt.compare = take(in, 8);
	pkt.orig = take(in, 8);

	if (!rxo_opcode(pkt.opcode)) {
		must(!rxo_packet_build(&pkt, NULL));
		return;
	}
	if (!(rxo_opcode(pkt.opcode)->flags & RXO_OP_PAYLOAD))
		pkt.payload_len = 0;
	bytes = malloc(rxo_opcode(pkt.opcode)->hdr_len);
	must(bytes);
	len = rxo_packet_build(&pkt, bytes);
	must(len == pkt.hdr_len && len == rxo_opcode(pkt.opcode)->hdr_len);
	must(rxo_packet_parse(&got, bytes, len, len + pkt.payload_len +
			      pkt.pad + RXO_ICRC_LEN) == RXO_PARSE_OK);
	check_claims(&got, len, len + pkt.payload_len + pkt.pad +
		     RXO_ICRC_LEN);
	must(got.payload_len == pkt.payload_len && got.pad == pkt.pad);
	must(got.se == pkt.se && got.ack_req == pkt.ack_req);
	must(got.qpn == (pkt.qpn & 0xffffff));
	must(got.psn == (pkt.psn & 0xffffff));
	must(rxo_packet_build(&got, again) == len);
	must(!memcmp(again, bytes, len));
	free(bytes);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };

	parse_and_build(data, size);
	build_and_parse(&in);
	return 0;
}
