// SPDX-License-Identifier: GPL-2.0
/*
 * The opcode table (IBTA Vol 1, 9.2.1 and table 38, which also names the headers
 * that follow each opcode's BTH).
 *
 * Every row states only what the packet is and carries; its length follows
 * from that, so the two cannot disagree.
 */
#include "opcode.h"

#include "hdr.h"

#define EXT_LEN(f, bit, len) ((f) & (bit) ? (len) : 0)

#define HDR_LEN(f) \
	(sizeof(struct rxo_bth) + \
	 EXT_LEN(f, RXO_OP_DETH, sizeof(struct rxo_deth)) + \
	 EXT_LEN(f, RXO_OP_RETH, sizeof(struct rxo_reth)) + \
	 EXT_LEN(f, RXO_OP_ATOMICETH, sizeof(struct rxo_atomic_eth)) + \
	 EXT_LEN(f, RXO_OP_AETH, sizeof(struct rxo_aeth)) + \
	 EXT_LEN(f, RXO_OP_ATOMICACKETH, sizeof(struct rxo_atomic_ack_eth)) + \
	 EXT_LEN(f, RXO_OP_IMM, RXO_IMM_LEN) + \
	 EXT_LEN(f, RXO_OP_INV, RXO_IETH_LEN))

#define ROW(transport, operation, f) \
	[RXO_##transport | RXO_##operation] = { \
		.name = #transport "_" #operation, \
		.flags = (f), \
		.hdr_len = HDR_LEN(f), \
	}

#define FIRST RXO_OP_FIRST
#define LAST RXO_OP_LAST
#define ONLY (RXO_OP_FIRST | RXO_OP_LAST)
#define IMM RXO_OP_IMM
#define INV RXO_OP_INV
#define RETH RXO_OP_RETH
#define AETH RXO_OP_AETH
#define RECV RXO_OP_RECV

#define SEND_REQ (RXO_OP_REQ | RXO_OP_SEND | RXO_OP_PAYLOAD | RXO_OP_RECV)
#define WRITE_REQ (RXO_OP_REQ | RXO_OP_WRITE | RXO_OP_PAYLOAD)
#define READ_REQ (RXO_OP_REQ | RXO_OP_READ | RXO_OP_RETH)
#define ATOMIC_REQ (RXO_OP_REQ | RXO_OP_ATOMIC | RXO_OP_ATOMICETH)

#define READ_RESP (RXO_OP_RESP | RXO_OP_READ | RXO_OP_PAYLOAD)
#define ACK_RESP (RXO_OP_RESP | RXO_OP_ACK | RXO_OP_AETH)
#define ATOMIC_RESP \
	(RXO_OP_RESP | RXO_OP_ATOMIC | RXO_OP_AETH | RXO_OP_ATOMICACKETH)

/* All that a byte can be has a row: the lookup needs no bound. */
static const struct rxo_opcode opcodes[256] = {
	ROW(RC, SEND_FIRST, SEND_REQ | FIRST),
	ROW(RC, SEND_MIDDLE, SEND_REQ),
	ROW(RC, SEND_LAST, SEND_REQ | LAST),
	ROW(RC, SEND_LAST_IMM, SEND_REQ | LAST | IMM),
	ROW(RC, SEND_ONLY, SEND_REQ | ONLY),
	ROW(RC, SEND_ONLY_IMM, SEND_REQ | ONLY | IMM),
	ROW(RC, WRITE_FIRST, WRITE_REQ | FIRST | RETH),
	ROW(RC, WRITE_MIDDLE, WRITE_REQ),
	ROW(RC, WRITE_LAST, WRITE_REQ | LAST),
	ROW(RC, WRITE_LAST_IMM, WRITE_REQ | LAST | IMM | RECV),
	ROW(RC, WRITE_ONLY, WRITE_REQ | ONLY | RETH),
	ROW(RC, WRITE_ONLY_IMM,
	    WRITE_REQ | ONLY | RETH | IMM | RECV),
	ROW(RC, READ_REQUEST, READ_REQ | ONLY),
	ROW(RC, READ_RESP_FIRST, READ_RESP | FIRST | AETH),
	ROW(RC, READ_RESP_MIDDLE, READ_RESP),
	ROW(RC, READ_RESP_LAST, READ_RESP | LAST | AETH),
	ROW(RC, READ_RESP_ONLY, READ_RESP | ONLY | AETH),
	ROW(RC, ACK, ACK_RESP | ONLY),
	ROW(RC, ATOMIC_ACK, ATOMIC_RESP | ONLY),
	ROW(RC, COMPARE_SWAP, ATOMIC_REQ | ONLY),
	ROW(RC, FETCH_ADD, ATOMIC_REQ | ONLY),
	ROW(RC, SEND_LAST_INV, SEND_REQ | LAST | INV),
	ROW(RC, SEND_ONLY_INV, SEND_REQ | ONLY | INV),

	ROW(UC, SEND_FIRST, SEND_REQ | FIRST),
	ROW(UC, SEND_MIDDLE, SEND_REQ),
	ROW(UC, SEND_LAST, SEND_REQ | LAST),
	ROW(UC, SEND_LAST_IMM, SEND_REQ | LAST | IMM),
	ROW(UC, SEND_ONLY, SEND_REQ | ONLY),
	ROW(UC, SEND_ONLY_IMM, SEND_REQ | ONLY | IMM),
	ROW(UC, WRITE_FIRST, WRITE_REQ | FIRST | RETH),
	ROW(UC, WRITE_MIDDLE, WRITE_REQ),
	ROW(UC, WRITE_LAST, WRITE_REQ | LAST),
	ROW(UC, WRITE_LAST_IMM, WRITE_REQ | LAST | IMM | RECV),
	ROW(UC, WRITE_ONLY, WRITE_REQ | ONLY | RETH),
	ROW(UC, WRITE_ONLY_IMM,
	    WRITE_REQ | ONLY | RETH | IMM | RECV),

	ROW(UD, SEND_ONLY, SEND_REQ | ONLY | RXO_OP_DETH),
	ROW(UD, SEND_ONLY_IMM, SEND_REQ | ONLY | RXO_OP_DETH | IMM),
};

const struct rxo_opcode *rxo_opcode(u8 opcode)
{
	const struct rxo_opcode *op = &opcodes[opcode];

	return op->name ? op : NULL;
}
