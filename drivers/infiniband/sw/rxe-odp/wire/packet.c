// SPDX-License-Identifier: GPL-2.0
/*
 * Packets in pieces and back again. Which extended headers there are, the
 * opcode's flags say; their order on the wire is fixed (IBTA 9.2.1, table 38), and
 * both directions walk them in it:
 *
 *	BTH, DETH, RETH | AtomicETH, AETH, AtomicAckETH, ImmDt | IETH
 *
 * Reserved bits are written as 0 and ignored when read (IBTA 9.2).
 */
#include "packet.h"

#include "hdr.h"
#include "psn.h"

#define MAX_PAYLOAD 4096

#define SYNDROME_SHIFT 24

static void parse_bth(struct rxo_packet *pkt, const struct rxo_bth *bth)
{
	u32 apsn = be32_to_cpu(bth->apsn);

	pkt->opcode = bth->opcode;
	pkt->se = bth->flags & RXO_BTH_SE;
	pkt->pad = (bth->flags & RXO_BTH_PAD_MASK) >> RXO_BTH_PAD_SHIFT;
	pkt->pkey = be16_to_cpu(bth->pkey);
	pkt->qpn = be32_to_cpu(bth->qpn) & RXO_QPN_MASK;
	pkt->ack_req = apsn & RXO_BTH_ACK;
	pkt->psn = apsn & RXO_PSN_MASK;
}

static const u8 *parse_req_ext(struct rxo_packet *pkt, const u8 *p)
{
	if (pkt->flags & RXO_OP_DETH) {
		const struct rxo_deth *deth = (const void *)p;

		pkt->qkey = be32_to_cpu(deth->qkey);
		pkt->src_qpn = be32_to_cpu(deth->sqp) & RXO_QPN_MASK;
		p += sizeof(*deth);
	}
	if (pkt->flags & RXO_OP_RETH) {
		const struct rxo_reth *reth = (const void *)p;

		pkt->va = be64_to_cpu(reth->va);
		pkt->rkey = be32_to_cpu(reth->rkey);
		pkt->rdma_len = be32_to_cpu(reth->len);
		p += sizeof(*reth);
	}
	if (pkt->flags & RXO_OP_ATOMICETH) {
		const struct rxo_atomic_eth *atomic = (const void *)p;

		pkt->va = be64_to_cpu(atomic->va);
		pkt->rkey = be32_to_cpu(atomic->rkey);
		pkt->swap_add = be64_to_cpu(atomic->swap_add);
		pkt->compare = be64_to_cpu(atomic->compare);
		p += sizeof(*atomic);
	}
	return p;
}

static const u8 *parse_resp_ext(struct rxo_packet *pkt, const u8 *p)
{
	if (pkt->flags & RXO_OP_AETH) {
		const struct rxo_aeth *aeth = (const void *)p;
		u32 smsn = be32_to_cpu(aeth->smsn);

		pkt->syndrome = smsn >> SYNDROME_SHIFT;
		pkt->msn = smsn & RXO_PSN_MASK;
		p += sizeof(*aeth);
	}
	if (pkt->flags & RXO_OP_ATOMICACKETH) {
		const struct rxo_atomic_ack_eth *ack = (const void *)p;

		pkt->orig = be64_to_cpu(ack->orig);
		p += sizeof(*ack);
	}
	return p;
}

static void parse_imm_inv(struct rxo_packet *pkt, const u8 *p)
{
	__be32 word;

	if (!(pkt->flags & (RXO_OP_IMM | RXO_OP_INV)))
		return;
	memcpy(&word, p, sizeof(word));
	if (pkt->flags & RXO_OP_IMM)
		pkt->imm = word;
	else
		pkt->rkey = be32_to_cpu(word);
}

enum rxo_parse rxo_packet_parse(struct rxo_packet *pkt, const void *bth,
				size_t avail, size_t len)
{
	const struct rxo_bth *hdr = bth;
	const struct rxo_opcode *op;
	size_t least, rest;
	const u8 *p;

	if (len < sizeof(*hdr) + RXO_ICRC_LEN || avail < sizeof(*hdr))
		return RXO_PARSE_SHORT;
	if (hdr->flags & RXO_BTH_TVER_MASK)
		return RXO_PARSE_VERSION;
	op = rxo_opcode(hdr->opcode);
	if (!op)
		return RXO_PARSE_OPCODE;
	least = op->hdr_len + RXO_ICRC_LEN;
	if (avail < op->hdr_len || len < least)
		return RXO_PARSE_SHORT;

	memset(pkt, 0, sizeof(*pkt));
	parse_bth(pkt, hdr);
	pkt->flags = op->flags;
	pkt->hdr_len = op->hdr_len;

	rest = len - least;
	if (rest < pkt->pad)
		return RXO_PARSE_SHORT;
	/*
	 * The pad is there to fill the payload up to whole words (IBTA 9.2.4);
	 * as every header is whole words, so must the packet be.
	 */
	if (rest % 4)
		return RXO_PARSE_PAYLOAD;
	if (rest && !(op->flags & RXO_OP_PAYLOAD))
		return RXO_PARSE_PAYLOAD;
	if (rest > MAX_PAYLOAD)
		return RXO_PARSE_PAYLOAD;
	pkt->payload_len = rest - pkt->pad;

	p = (const u8 *)bth + sizeof(*hdr);
	p = parse_req_ext(pkt, p);
	p = parse_resp_ext(pkt, p);
	parse_imm_inv(pkt, p);
	return RXO_PARSE_OK;
}

static void build_bth(const struct rxo_packet *pkt, struct rxo_bth *bth)
{
	u32 apsn = pkt->psn & RXO_PSN_MASK;

	if (pkt->ack_req)
		apsn |= RXO_BTH_ACK;
	bth->opcode = pkt->opcode;
	/*
	 * Without automatic path migration a QP is in state Migrated, in which
	 * MigReq is 1 (IBTA 17.2.8). Hardware that sees 0 takes it as a request
	 * to rearm and goes a slow way, or drops the packet.
	 */
	bth->flags = RXO_BTH_MIG | pkt->pad << RXO_BTH_PAD_SHIFT;
	if (pkt->se)
		bth->flags |= RXO_BTH_SE;
	bth->pkey = cpu_to_be16(pkt->pkey);
	bth->qpn = cpu_to_be32(pkt->qpn & RXO_QPN_MASK);
	bth->apsn = cpu_to_be32(apsn);
}

static u8 *build_req_ext(const struct rxo_packet *pkt, u8 *p)
{
	if (pkt->flags & RXO_OP_DETH) {
		struct rxo_deth *deth = (void *)p;

		deth->qkey = cpu_to_be32(pkt->qkey);
		deth->sqp = cpu_to_be32(pkt->src_qpn & RXO_QPN_MASK);
		p += sizeof(*deth);
	}
	if (pkt->flags & RXO_OP_RETH) {
		struct rxo_reth *reth = (void *)p;

		reth->va = cpu_to_be64(pkt->va);
		reth->rkey = cpu_to_be32(pkt->rkey);
		reth->len = cpu_to_be32(pkt->rdma_len);
		p += sizeof(*reth);
	}
	if (pkt->flags & RXO_OP_ATOMICETH) {
		struct rxo_atomic_eth *atomic = (void *)p;

		atomic->va = cpu_to_be64(pkt->va);
		atomic->rkey = cpu_to_be32(pkt->rkey);
		atomic->swap_add = cpu_to_be64(pkt->swap_add);
		atomic->compare = cpu_to_be64(pkt->compare);
		p += sizeof(*atomic);
	}
	return p;
}

static u8 *build_resp_ext(const struct rxo_packet *pkt, u8 *p)
{
	if (pkt->flags & RXO_OP_AETH) {
		struct rxo_aeth *aeth = (void *)p;
		u32 smsn = (u32)pkt->syndrome << SYNDROME_SHIFT;

		aeth->smsn = cpu_to_be32(smsn | (pkt->msn & RXO_PSN_MASK));
		p += sizeof(*aeth);
	}
	if (pkt->flags & RXO_OP_ATOMICACKETH) {
		struct rxo_atomic_ack_eth *ack = (void *)p;

		ack->orig = cpu_to_be64(pkt->orig);
		p += sizeof(*ack);
	}
	return p;
}

static void build_imm_inv(const struct rxo_packet *pkt, u8 *p)
{
	__be32 word;

	if (!(pkt->flags & (RXO_OP_IMM | RXO_OP_INV)))
		return;
	if (pkt->flags & RXO_OP_IMM)
		word = pkt->imm;
	else
		word = cpu_to_be32(pkt->rkey);
	memcpy(p, &word, sizeof(word));
}

size_t rxo_packet_build(struct rxo_packet *pkt, void *bth)
{
	const struct rxo_opcode *op = rxo_opcode(pkt->opcode);
	u8 *p = bth;

	if (!op)
		return 0;
	pkt->flags = op->flags;
	pkt->hdr_len = op->hdr_len;
	pkt->pad = -pkt->payload_len & 3;

	build_bth(pkt, bth);
	p += sizeof(struct rxo_bth);
	p = build_req_ext(pkt, p);
	p = build_resp_ext(pkt, p);
	build_imm_inv(pkt, p);
	return op->hdr_len;
}
