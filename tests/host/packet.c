// SPDX-License-Identifier: GPL-2.0
/* wire/packet.c: known packets, malformed ones, and round trips. */
#include "hdr.h"
#include "packet.h"

#include "test.h"

/* A packet of zeros is long enough for any header and a little payload. */
#define ROOM 128

static enum rxo_parse parse_len(struct rxo_packet *pkt, const void *bytes,
				size_t avail, size_t len)
{
	void *exact = test_exact(bytes, avail);
	enum rxo_parse ret;

	memset(pkt, 0xff, sizeof(*pkt));
	ret = rxo_packet_parse(pkt, exact, avail, len);
	free(exact);
	return ret;
}

static enum rxo_parse parse(struct rxo_packet *pkt, const void *bytes,
			    size_t len)
{
	return parse_len(pkt, bytes, len, len);
}

/* Field by field: padding between the fields is nobody's business. */
static void check_same(const struct rxo_packet *got,
		       const struct rxo_packet *want)
{
	const char *name = rxo_opcode(want->opcode)->name;

#define SAME(field) check_eqf(got->field, want->field, " (%s)", name)
	SAME(opcode);
	SAME(pad);
	SAME(syndrome);
	SAME(se);
	SAME(ack_req);
	SAME(pkey);
	SAME(hdr_len);
	SAME(payload_len);
	SAME(qpn);
	SAME(psn);
	SAME(msn);
	SAME(rkey);
	SAME(rdma_len);
	SAME(qkey);
	SAME(src_qpn);
	SAME(imm);
	SAME(va);
	SAME(swap_add);
	SAME(compare);
	SAME(orig);
	SAME(flags);
#undef SAME
}

/* The bytes are written down by hand; payload and ICRC are left to be zeros. */
static const struct {
	struct rxo_packet pkt;
	size_t len;
	u8 bytes[RXO_MAX_HDR_LEN];
} known[] = {
	{
		/* An RDMA WRITE of hardware, captured. */
		.pkt = { .opcode = 0x0a, .pad = 3, .ack_req = true,
			 .pkey = 0xffff, .payload_len = 5, .qpn = 0x10a,
			 .psn = 0xa788bc, .va = 0x55d4c0726000,
			 .rkey = 0x47b3, .rdma_len = 5 },
		.len = 28,
		.bytes = { 0x0a, 0x70, 0xff, 0xff, 0x00, 0x00, 0x01, 0x0a,
			   0x80, 0xa7, 0x88, 0xbc, 0x00, 0x00, 0x55, 0xd4,
			   0xc0, 0x72, 0x60, 0x00, 0x00, 0x00, 0x47, 0xb3,
			   0x00, 0x00, 0x00, 0x05 },
	}, {
		/* Its acknowledge. */
		.pkt = { .opcode = 0x11, .pkey = 0xffff, .qpn = 0x109,
			 .psn = 0xa788c0, .msn = 5 },
		.len = 16,
		.bytes = { 0x11, 0x40, 0xff, 0xff, 0x00, 0x00, 0x01, 0x09,
			   0x00, 0xa7, 0x88, 0xc0, 0x00, 0x00, 0x00, 0x05 },
	}, {
		.pkt = { .opcode = 0x11, .pkey = 0x8001, .qpn = 0xffffff,
			 .psn = 0, .syndrome = 0x62, .msn = 0xfffffe },
		.len = 16,
		.bytes = { 0x11, 0x40, 0x80, 0x01, 0x00, 0xff, 0xff, 0xff,
			   0x00, 0x00, 0x00, 0x00, 0x62, 0xff, 0xff, 0xfe },
	}, {
		.pkt = { .opcode = 0x0b, .se = true, .pkey = 0xffff,
			 .payload_len = 4, .qpn = 1, .psn = 2, .va = 3,
			 .rkey = 4, .rdma_len = 5 },
		.len = 32,
		.bytes = { 0x0b, 0xc0, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
			   0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00,
			   0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x04,
			   0x00, 0x00, 0x00, 0x05, 0xde, 0xad, 0xbe, 0xef },
	}, {
		.pkt = { .opcode = 0x13, .pkey = 0xffff, .qpn = 0x123456,
			 .psn = 0xffffff, .va = 0x0102030405060708,
			 .rkey = 0x11121314, .swap_add = 0x2122232425262728,
			 .compare = 0x3132333435363738 },
		.len = 40,
		.bytes = { 0x13, 0x40, 0xff, 0xff, 0x00, 0x12, 0x34, 0x56,
			   0x00, 0xff, 0xff, 0xff, 0x01, 0x02, 0x03, 0x04,
			   0x05, 0x06, 0x07, 0x08, 0x11, 0x12, 0x13, 0x14,
			   0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
			   0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38 },
	}, {
		.pkt = { .opcode = 0x12, .pkey = 0xffff, .qpn = 1, .psn = 2,
			 .syndrome = 0x1f, .msn = 3,
			 .orig = 0xf1f2f3f4f5f6f7f8 },
		.len = 24,
		.bytes = { 0x12, 0x40, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
			   0x00, 0x00, 0x00, 0x02, 0x1f, 0x00, 0x00, 0x03,
			   0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8 },
	}, {
		.pkt = { .opcode = 0x17, .pkey = 0xffff, .payload_len = 2,
			 .pad = 2, .qpn = 1, .psn = 2, .rkey = 0xcafe0001 },
		.len = 16,
		.bytes = { 0x17, 0x60, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
			   0x00, 0x00, 0x00, 0x02, 0xca, 0xfe, 0x00, 0x01 },
	}, {
		.pkt = { .opcode = 0x65, .pkey = 0xffff, .payload_len = 3,
			 .pad = 1, .qpn = 1, .psn = 2, .qkey = 0x80010000,
			 .src_qpn = 0xabcdef },
		.len = 24,
		.bytes = { 0x65, 0x50, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
			   0x00, 0x00, 0x00, 0x02, 0x80, 0x01, 0x00, 0x00,
			   0x00, 0xab, 0xcd, 0xef, 0xde, 0xad, 0xbe, 0xef },
	},
};

static void test_known(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		struct rxo_packet want = known[i].pkt, got;
		size_t len = known[i].len;
		u8 bytes[ROOM] = { 0 };

		want.flags = rxo_opcode(want.opcode)->flags;
		want.hdr_len = len;
		if (want.flags & RXO_OP_IMM)
			memcpy(&want.imm, "\xde\xad\xbe\xef", 4);

		memcpy(bytes, known[i].bytes, len);
		check_eq(parse(&got, bytes, len + want.payload_len + want.pad +
			       RXO_ICRC_LEN), RXO_PARSE_OK);
		check_same(&got, &want);

		got = want;
		got.hdr_len = 0xffff;
		got.pad = 0xff;
		got.flags = 0;
		memset(bytes, 0xa5, sizeof(bytes));
		check_eq(rxo_packet_build(&got, bytes), len);
		check_mem(bytes, known[i].bytes, len);
		check_eq(bytes[len], 0xa5);
		check_same(&got, &want);
	}
}

/* Every opcode, every length up to some payload, every part of it linear. */
static void test_truncated(void)
{
	u32 opcode;
	size_t len, avail;

	for (opcode = 0; opcode < 256; opcode++) {
		const struct rxo_opcode *op = rxo_opcode(opcode);
		u8 bytes[ROOM] = { opcode };
		struct rxo_packet pkt;

		for (len = 0; op && len < ROOM; len++) {
			bool payload = len > op->hdr_len + 4U;
			enum rxo_parse want = RXO_PARSE_OK;

			if (len < op->hdr_len + 4U)
				want = RXO_PARSE_SHORT;
			else if (len % 4)
				want = RXO_PARSE_PAYLOAD;
			else if (payload && !(op->flags & RXO_OP_PAYLOAD))
				want = RXO_PARSE_PAYLOAD;
			for (avail = 0; avail <= len; avail++)
				check_eqf(parse_len(&pkt, bytes, avail, len),
					  avail < op->hdr_len ?
					  RXO_PARSE_SHORT : want,
					  " (%s, %zu of %zu bytes)", op->name,
					  avail, len);
		}
	}
}

static void test_opcodes(void)
{
	u32 opcode;

	for (opcode = 0; opcode < 256; opcode++) {
		struct rxo_packet pkt = { .opcode = opcode };
		u8 bytes[ROOM] = { opcode };
		bool ok = rxo_opcode(opcode);

		check_eqf(parse(&pkt, bytes, 16) == RXO_PARSE_OPCODE, !ok,
			  " (opcode 0x%02x)", opcode);
		pkt = (struct rxo_packet){ .opcode = opcode };
		check_eqf(rxo_packet_build(&pkt, bytes),
			  ok ? rxo_opcode(opcode)->hdr_len : 0,
			  " (opcode 0x%02x)", opcode);
	}
}

/* Full and limited members of our partition, and nobody of another. */
static void test_pkey(void)
{
	struct rxo_packet pkt = {};
	u32 pkey;

	for (pkey = 0; pkey <= 0xffff; pkey++) {
		pkt.pkey = pkey;
		check_eqf(rxo_packet_pkey_ok(&pkt),
			  pkey == 0xffff || pkey == 0x7fff, " (%#x)", pkey);
	}
}

static void test_version(void)
{
	struct rxo_packet pkt;
	u8 bytes[ROOM] = { RXO_RC | RXO_SEND_ONLY };
	u32 tver;

	for (tver = 0; tver < 16; tver++) {
		bytes[1] = tver;
		check_eq(parse(&pkt, bytes, 16),
			 tver ? RXO_PARSE_VERSION : RXO_PARSE_OK);
	}
}

static void test_payload(void)
{
	static u8 bytes[12 + 4096 + 8 + 4];
	struct rxo_packet pkt;
	u32 pad;

	bytes[0] = RXO_RC | RXO_SEND_ONLY;
	check_eq(parse(&pkt, bytes, 12 + 4096 + 4), RXO_PARSE_OK);
	check_eq(pkt.payload_len, 4096);
	check_eq(parse(&pkt, bytes, 12 + 4096 + 4 + 4), RXO_PARSE_PAYLOAD);
	for (pad = 1; pad < 4; pad++) {
		bytes[1] = pad << 4;
		/* Pad in a packet too short to hold it. */
		check_eq(parse(&pkt, bytes, 16), RXO_PARSE_SHORT);
		check_eq(parse(&pkt, bytes, 20), RXO_PARSE_OK);
		check_eq(pkt.payload_len, 4 - pad);
		check_eq(parse(&pkt, bytes, 12 + 4096 + 4), RXO_PARSE_OK);
		check_eq(pkt.payload_len, 4096 - pad);
		/* One word more, of which the pad leaves less than one. */
		check_eq(parse(&pkt, bytes, 12 + 4096 + 4 + 4),
			 RXO_PARSE_PAYLOAD);
		/* Nothing that is no multiple of a word. */
		check_eq(parse(&pkt, bytes, 20 + pad), RXO_PARSE_PAYLOAD);
	}
	/* A length that no packet has must not wrap anything. */
	bytes[1] = 0;
	check_eq(rxo_packet_parse(&pkt, bytes, sizeof(bytes), ~(size_t)0),
		 RXO_PARSE_PAYLOAD);
	check_eq(rxo_packet_parse(&pkt, bytes, sizeof(bytes), ~(size_t)0 - 3),
		 RXO_PARSE_PAYLOAD);
	check_eq(rxo_packet_parse(&pkt, bytes, sizeof(bytes),
				  (size_t)65536 + 16), RXO_PARSE_PAYLOAD);
}

static struct rxo_packet random_fields(u8 opcode)
{
	const struct rxo_opcode *op = rxo_opcode(opcode);
	struct rxo_packet pkt = {
		.opcode = opcode,
		.flags = op->flags,
		.hdr_len = op->hdr_len,
		.se = rnd(2),
		.ack_req = rnd(2),
		.pkey = rnd64(),
		.qpn = rnd(0x1000000),
		.psn = rnd(0x1000000),
	};

	if (op->flags & RXO_OP_PAYLOAD)
		pkt.payload_len = rnd(4) ? rnd(4097) : rnd(8);
	pkt.pad = (4 - pkt.payload_len % 4) % 4;
	if (op->flags & RXO_OP_DETH) {
		pkt.qkey = rnd64();
		pkt.src_qpn = rnd(0x1000000);
	}
	if (op->flags & (RXO_OP_RETH | RXO_OP_ATOMICETH)) {
		pkt.va = rnd64();
		pkt.rkey = rnd64();
	}
	if (op->flags & RXO_OP_RETH)
		pkt.rdma_len = rnd64();
	if (op->flags & RXO_OP_ATOMICETH) {
		pkt.swap_add = rnd64();
		pkt.compare = rnd64();
	}
	if (op->flags & RXO_OP_AETH) {
		pkt.syndrome = rnd64();
		pkt.msn = rnd(0x1000000);
	}
	if (op->flags & RXO_OP_ATOMICACKETH)
		pkt.orig = rnd64();
	if (op->flags & RXO_OP_IMM)
		pkt.imm = rnd64();
	if (op->flags & RXO_OP_INV)
		pkt.rkey = rnd64();
	return pkt;
}

/* Bits that are reserved, or congestion's, mean nothing to the parser. */
static void scribble_reserved(u8 *bytes, u32 flags)
{
	bytes[1] ^= rnd64() & RXO_BTH_MIG;
	bytes[4] = rnd64();
	bytes[8] |= rnd64() & 0x7f;
	if (flags & RXO_OP_DETH)
		bytes[12 + 4] = rnd64();
}

static void test_round_trip(void)
{
	u32 opcode, i;

	test_seed();
	for (i = 0; i < 500; i++) {
		for (opcode = 0; opcode < 256; opcode++) {
			struct rxo_packet want, built, got;
			u8 bytes[ROOM] = { 0 };
			size_t len;

			if (!rxo_opcode(opcode))
				continue;
			want = random_fields(opcode);
			built = want;
			/* What does not fit its field stays out of others. */
			if (rnd(2)) {
				built.qpn |= rnd64() << 24;
				built.psn |= rnd64() << 24;
				built.msn |= rnd64() << 24;
				built.src_qpn |= rnd64() << 24;
			}
			len = rxo_packet_build(&built, bytes);
			check_eq(len, want.hdr_len);
			check_eq(bytes[1] & RXO_BTH_MIG, RXO_BTH_MIG);
			check_eq(bytes[4], 0);
			check_eq(bytes[8] & 0x7f, 0);
			if (rnd(2))
				scribble_reserved(bytes, want.flags);
			check_eq(parse_len(&got, bytes, len, len +
					   want.payload_len + want.pad + 4),
				 RXO_PARSE_OK);
			check_same(&got, &want);
		}
	}
}

int main(void)
{
	test_known();
	test_truncated();
	test_opcodes();
	test_pkey();
	test_version();
	test_payload();
	test_round_trip();
	return test_done();
}
