// SPDX-License-Identifier: GPL-2.0
/*
 * wire/opcode.c against the specification's table 38, written down a second
 * time in numbers and words.
 */
#include "opcode.h"

#include "hdr.h"
#include "test.h"

struct row {
	u8 opcode;
	const char *name;
	u8 hdr_len;
	const char *is; /* space between and around the words */
};

static const struct row rows[] = {
	{ 0x00, "RC_SEND_FIRST", 12, " req send first payload recv " },
	{ 0x01, "RC_SEND_MIDDLE", 12, " req send payload recv " },
	{ 0x02, "RC_SEND_LAST", 12, " req send last payload recv " },
	{ 0x03, "RC_SEND_LAST_IMM", 16, " req send last imm payload recv " },
	{ 0x04, "RC_SEND_ONLY", 12, " req send first last payload recv " },
	{ 0x05, "RC_SEND_ONLY_IMM", 16,
	  " req send first last imm payload recv " },
	{ 0x06, "RC_WRITE_FIRST", 28, " req write first reth payload " },
	{ 0x07, "RC_WRITE_MIDDLE", 12, " req write payload " },
	{ 0x08, "RC_WRITE_LAST", 12, " req write last payload " },
	{ 0x09, "RC_WRITE_LAST_IMM", 16, " req write last imm payload recv " },
	{ 0x0a, "RC_WRITE_ONLY", 28, " req write first last reth payload " },
	{ 0x0b, "RC_WRITE_ONLY_IMM", 32,
	  " req write first last reth imm payload recv " },
	{ 0x0c, "RC_READ_REQUEST", 28, " req read first last reth " },
	{ 0x0d, "RC_READ_RESP_FIRST", 16, " resp read first aeth payload " },
	{ 0x0e, "RC_READ_RESP_MIDDLE", 12, " resp read payload " },
	{ 0x0f, "RC_READ_RESP_LAST", 16, " resp read last aeth payload " },
	{ 0x10, "RC_READ_RESP_ONLY", 16,
	  " resp read first last aeth payload " },
	{ 0x11, "RC_ACK", 16, " resp ack first last aeth " },
	{ 0x12, "RC_ATOMIC_ACK", 24,
	  " resp atomic first last aeth atomicacketh " },
	{ 0x13, "RC_COMPARE_SWAP", 40, " req atomic first last atomiceth " },
	{ 0x14, "RC_FETCH_ADD", 40, " req atomic first last atomiceth " },
	{ 0x16, "RC_SEND_LAST_INV", 16, " req send last inv payload recv " },
	{ 0x17, "RC_SEND_ONLY_INV", 16,
	  " req send first last inv payload recv " },
	{ 0x20, "UC_SEND_FIRST", 12, " req send first payload recv " },
	{ 0x21, "UC_SEND_MIDDLE", 12, " req send payload recv " },
	{ 0x22, "UC_SEND_LAST", 12, " req send last payload recv " },
	{ 0x23, "UC_SEND_LAST_IMM", 16, " req send last imm payload recv " },
	{ 0x24, "UC_SEND_ONLY", 12, " req send first last payload recv " },
	{ 0x25, "UC_SEND_ONLY_IMM", 16,
	  " req send first last imm payload recv " },
	{ 0x26, "UC_WRITE_FIRST", 28, " req write first reth payload " },
	{ 0x27, "UC_WRITE_MIDDLE", 12, " req write payload " },
	{ 0x28, "UC_WRITE_LAST", 12, " req write last payload " },
	{ 0x29, "UC_WRITE_LAST_IMM", 16, " req write last imm payload recv " },
	{ 0x2a, "UC_WRITE_ONLY", 28, " req write first last reth payload " },
	{ 0x2b, "UC_WRITE_ONLY_IMM", 32,
	  " req write first last reth imm payload recv " },
	{ 0x64, "UD_SEND_ONLY", 20, " req send first last deth payload recv " },
	{ 0x65, "UD_SEND_ONLY_IMM", 24,
	  " req send first last deth imm payload recv " },
};

static const struct {
	const char *word;
	u32 flag;
} words[] = {
	{ " req ", RXO_OP_REQ },
	{ " resp ", RXO_OP_RESP },
	{ " send ", RXO_OP_SEND },
	{ " write ", RXO_OP_WRITE },
	{ " read ", RXO_OP_READ },
	{ " atomic ", RXO_OP_ATOMIC },
	{ " ack ", RXO_OP_ACK },
	{ " first ", RXO_OP_FIRST },
	{ " last ", RXO_OP_LAST },
	{ " deth ", RXO_OP_DETH },
	{ " reth ", RXO_OP_RETH },
	{ " atomiceth ", RXO_OP_ATOMICETH },
	{ " aeth ", RXO_OP_AETH },
	{ " atomicacketh ", RXO_OP_ATOMICACKETH },
	{ " imm ", RXO_OP_IMM },
	{ " inv ", RXO_OP_INV },
	{ " payload ", RXO_OP_PAYLOAD },
	{ " recv ", RXO_OP_RECV },
};

static const struct row *row_of(u32 opcode)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].opcode == opcode)
			return &rows[i];
	return NULL;
}

static u32 flags_of(const struct row *row)
{
	u32 flags = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(row->is, words[i].word))
			flags |= words[i].flag;
	return flags;
}

static void test_all(void)
{
	u32 opcode;

	for (opcode = 0; opcode < 256; opcode++) {
		const struct rxo_opcode *op = rxo_opcode(opcode);
		const struct row *row = row_of(opcode);

		check_eqf(!!op, !!row, " (opcode 0x%02x)", opcode);
		if (!op || !row)
			continue;
		checkf(!strcmp(op->name, row->name), " (%s, not %s)", op->name,
		       row->name);
		check_eqf(op->flags, flags_of(row), " (%s)", row->name);
		check_eqf(op->hdr_len, row->hdr_len, " (%s)", row->name);
		checkf(op->hdr_len <= RXO_MAX_HDR_LEN, " (%s)", row->name);
	}
}

/* What the layers above take for granted. */
static void test_sense(void)
{
	const u32 kinds = RXO_OP_SEND | RXO_OP_WRITE | RXO_OP_READ |
			  RXO_OP_ATOMIC | RXO_OP_ACK;
	u32 opcode;

	for (opcode = 0; opcode < 256; opcode++) {
		const struct rxo_opcode *op = rxo_opcode(opcode);
		u32 f;

		if (!op)
			continue;
		f = op->flags;
		checkf(!(f & RXO_OP_REQ) != !(f & RXO_OP_RESP), " (%s)",
		       op->name);
		checkf((f & kinds) && !((f & kinds) & ((f & kinds) - 1)),
		       " (%s)", op->name);
		checkf(!(f & RXO_OP_IMM) || !(f & RXO_OP_INV), " (%s)",
		       op->name);
		if (f & (RXO_OP_IMM | RXO_OP_INV))
			checkf(f & RXO_OP_LAST, " (%s)", op->name);
		checkf(op->hdr_len % 4 == 0, " (%s)", op->name);
	}
}

static void test_header_sizes(void)
{
	check_eq(sizeof(struct rxo_bth), 12);
	check_eq(sizeof(struct rxo_deth), 8);
	check_eq(sizeof(struct rxo_reth), 16);
	check_eq(sizeof(struct rxo_atomic_eth), 28);
	check_eq(sizeof(struct rxo_aeth), 4);
	check_eq(sizeof(struct rxo_atomic_ack_eth), 8);
}

int main(void)
{
	test_all();
	test_sense();
	test_header_sizes();
	return test_done();
}
