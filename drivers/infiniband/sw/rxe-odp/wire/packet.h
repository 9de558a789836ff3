/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A packet, taken apart: parse and build are each other's inverse.
 */
#ifndef RXO_WIRE_PACKET_H
#define RXO_WIRE_PACKET_H

#include "hdr.h"
#include "opcode.h"
#include "types.h"

struct rxo_packet {
	u8 opcode;
	u8 pad; /* 0 to 3 bytes behind the payload */
	u8 syndrome; /* of the AETH */
	bool se; /* solicited event */
	bool ack_req;
	u16 pkey;
	u16 hdr_len; /* bytes from BTH to payload */
	u16 payload_len; /* without pad and ICRC */
	u32 qpn; /* destination */
	u32 psn;
	u32 msn; /* of the AETH */
	u32 rkey; /* RETH, AtomicETH; IETH: the key to invalidate */
	u32 rdma_len; /* RETH: bytes of the whole message */
	u32 qkey;
	u32 src_qpn;
	__be32 imm;
	u64 va; /* RETH, AtomicETH */
	u64 swap_add;
	u64 compare;
	u64 orig; /* atomic ACK */
	u32 flags; /* RXO_OP_* of the opcode, filled by parse */
};

/**
 * enum rxo_parse - why a packet was not understood; each has a counter
 * @RXO_PARSE_OK: it was
 * @RXO_PARSE_SHORT: fewer bytes than its headers, pad and ICRC need
 * @RXO_PARSE_OPCODE: reserved or unsupported opcode
 * @RXO_PARSE_VERSION: transport version is not 0
 * @RXO_PARSE_PAYLOAD: payload where none may be, more than 4096 bytes of it, or
 *		       not padded to whole words
 */
enum rxo_parse {
	RXO_PARSE_OK,
	RXO_PARSE_SHORT,
	RXO_PARSE_OPCODE,
	RXO_PARSE_VERSION,
	RXO_PARSE_PAYLOAD,
};

/**
 * rxo_packet_parse() - take a packet apart
 * @pkt: filled when RXO_PARSE_OK is returned; fields that the opcode does not
 *	 carry are 0
 * @bth: the packet from its BTH on; the first @avail bytes must be readable
 * @avail: linear bytes at @bth; all headers must lie in them
 * @len: bytes from BTH to ICRC, both included
 *
 * Context: any; reads @bth only.
 * Return: RXO_PARSE_OK or the first thing found wrong.
 */
enum rxo_parse rxo_packet_parse(struct rxo_packet *pkt, const void *bth,
				size_t avail, size_t len);

/*
 * Is a packet of the one partition there is? The top bit tells full members from
 * limited ones; to a full member, as we are, both may talk (IBTA 10.9.3).
 */
static inline bool rxo_packet_pkey_ok(const struct rxo_packet *pkt)
{
	return !((pkt->pkey ^ RXO_PKEY_DEFAULT) & RXO_PKEY_BASE_MASK);
}

/**
 * rxo_packet_build() - write BTH and extended headers
 * @pkt: opcode and whatever the opcode carries; pad is written from
 *	 payload_len; hdr_len, pad and flags are filled in
 * @bth: room for the headers, RXO_MAX_HDR_LEN bytes suffice
 *
 * Context: any.
 * Return: bytes written, or 0 for an unknown opcode.
 */
size_t rxo_packet_build(struct rxo_packet *pkt, void *bth);

#endif /* RXO_WIRE_PACKET_H */
