/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The opcode table: what each of the BTH opcodes is and carries (IBTA 9.2.1,
 * table 38).
 */
#ifndef RXO_WIRE_OPCODE_H
#define RXO_WIRE_OPCODE_H

#include "types.h"

/* Upper three bits of an opcode: the transport. */
enum rxo_transport {
	RXO_RC = 0x00,
	RXO_UC = 0x20,
	RXO_UD = 0x60,
};

#define RXO_TRANSPORT_MASK 0xe0
#define RXO_OPERATION_MASK 0x1f

/* Lower five bits: the operation, the same for every transport that has it. */
enum rxo_operation {
	RXO_SEND_FIRST = 0x00,
	RXO_SEND_MIDDLE = 0x01,
	RXO_SEND_LAST = 0x02,
	RXO_SEND_LAST_IMM = 0x03,
	RXO_SEND_ONLY = 0x04,
	RXO_SEND_ONLY_IMM = 0x05,
	RXO_WRITE_FIRST = 0x06,
	RXO_WRITE_MIDDLE = 0x07,
	RXO_WRITE_LAST = 0x08,
	RXO_WRITE_LAST_IMM = 0x09,
	RXO_WRITE_ONLY = 0x0a,
	RXO_WRITE_ONLY_IMM = 0x0b,
	RXO_READ_REQUEST = 0x0c,
	RXO_READ_RESP_FIRST = 0x0d,
	RXO_READ_RESP_MIDDLE = 0x0e,
	RXO_READ_RESP_LAST = 0x0f,
	RXO_READ_RESP_ONLY = 0x10,
	RXO_ACK = 0x11,
	RXO_ATOMIC_ACK = 0x12,
	RXO_COMPARE_SWAP = 0x13,
	RXO_FETCH_ADD = 0x14,
	RXO_SEND_LAST_INV = 0x16,
	RXO_SEND_ONLY_INV = 0x17,
};

/* What a packet is ... */
#define RXO_OP_REQ BIT(0) /* travels from requester to responder */
#define RXO_OP_RESP BIT(1) /* travels from responder to requester */
#define RXO_OP_SEND BIT(2)
#define RXO_OP_WRITE BIT(3)
#define RXO_OP_READ BIT(4) /* request or response */
#define RXO_OP_ATOMIC BIT(5) /* request or response */
#define RXO_OP_ACK BIT(6) /* plain acknowledge */
#define RXO_OP_FIRST BIT(7) /* FIRST or ONLY: begins a message */
#define RXO_OP_LAST BIT(8) /* LAST or ONLY: ends a message */
/* ... and carries. */
#define RXO_OP_DETH BIT(9)
#define RXO_OP_RETH BIT(10)
#define RXO_OP_ATOMICETH BIT(11)
#define RXO_OP_AETH BIT(12)
#define RXO_OP_ATOMICACKETH BIT(13)
#define RXO_OP_IMM BIT(14)
#define RXO_OP_INV BIT(15)
#define RXO_OP_PAYLOAD BIT(16)
/*
 * The packet needs a receive WQE: every packet of a SEND, which fills one from
 * FIRST to LAST, and of a WRITE only the one with immediate data. The WQE is
 * consumed when the message ends.
 */
#define RXO_OP_RECV BIT(17)

struct rxo_opcode {
	const char *name; /* NULL: no such opcode */
	u32 flags; /* RXO_OP_* */
	u8 hdr_len; /* bytes of BTH and extended headers */
};

/**
 * rxo_opcode() - look an opcode up
 * @opcode: from a BTH
 *
 * Context: any.
 * Return: its entry, or NULL for one that is reserved or not supported.
 */
const struct rxo_opcode *rxo_opcode(u8 opcode);

#endif /* RXO_WIRE_OPCODE_H */
