/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RoCEv2 headers as they stand on the wire (IBTA Vol 1, chapter 9; annex A17).
 */
#ifndef RXO_WIRE_HDR_H
#define RXO_WIRE_HDR_H

#include "types.h"

#define RXO_UDP_PORT 4791
#define RXO_PKEY_DEFAULT 0xffff
#define RXO_PKEY_BASE_MASK 0x7fff
#define RXO_ICRC_LEN 4
#define RXO_GRH_LEN 40
#define RXO_IPV4_LEN 20
#define RXO_IPV6_LEN 40
#define RXO_UDP_LEN 8

/* Base transport header; every packet has one. IBTA 9.2 */
struct rxo_bth {
	u8 opcode;
	u8 flags;
	__be16 pkey;
	__be32 qpn; /* fecn, becn, 6 reserved bits, 24 bits of QPN */
	__be32 apsn; /* ack request, 7 reserved bits, 24 bits of PSN */
} __packed;

#define RXO_BTH_SE 0x80
#define RXO_BTH_MIG 0x40
#define RXO_BTH_PAD_MASK 0x30
#define RXO_BTH_PAD_SHIFT 4
#define RXO_BTH_TVER_MASK 0x0f
#define RXO_BTH_ACK 0x80000000U

/* Datagram extended transport header. IBTA 9.3.1 */
struct rxo_deth {
	__be32 qkey;
	__be32 sqp;
} __packed;

/* RDMA extended transport header. IBTA 9.3.3 */
struct rxo_reth {
	__be64 va;
	__be32 rkey;
	__be32 len;
} __packed;

/* Atomic extended transport header. IBTA 9.3.4 */
struct rxo_atomic_eth {
	__be64 va;
	__be32 rkey;
	__be64 swap_add;
	__be64 compare;
} __packed;

/* ACK extended transport header. IBTA 9.3.5 */
struct rxo_aeth {
	__be32 smsn; /* 8 bits of syndrome, 24 bits of MSN */
} __packed;

/* Atomic ACK: the value before the operation. IBTA 9.5.3 */
struct rxo_atomic_ack_eth {
	__be64 orig;
} __packed;

#define RXO_IMM_LEN 4
#define RXO_IETH_LEN 4

/* The longest headers a packet of ours or of a peer can have after UDP. */
#define RXO_MAX_HDR_LEN \
	(sizeof(struct rxo_bth) + sizeof(struct rxo_deth) + \
	 sizeof(struct rxo_atomic_eth))

#endif /* RXO_WIRE_HDR_H */
