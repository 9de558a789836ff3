// SPDX-License-Identifier: GPL-2.0
/* wire/rc.c: every rule against a table or a second wording of it. */
#include "rc.h"

#include "ref_rc.h"
#include "test.h"

static const u32 psns[] = {
	0, 1, 2, 100, 0x7ffffe, 0x7fffff, 0x800000, 0x800001, 0xfffffe,
	0xffffff,
};

static const u32 mtus[] = { 256, 512, 1024, 2048, 4096 };

static void check_place(u32 epsn, u32 psn)
{
	int sent;

	for (sent = 0; sent < 2; sent++)
		check_eqf(rxo_rc_check_psn(epsn, psn, sent),
			  ref_place(epsn, psn, sent),
			  " (expected %x, came %x)", epsn, psn);
}

static void test_psn(void)
{
	size_t i, k;
	u32 psn;

	check_eq(rxo_rc_check_psn(5, 5, false), RXO_PSN_EXPECTED);
	check_eq(rxo_rc_check_psn(5, 5, true), RXO_PSN_EXPECTED);
	check_eq(rxo_rc_check_psn(5, 6, false), RXO_PSN_GAP);
	check_eq(rxo_rc_check_psn(5, 6, true), RXO_PSN_DROP);
	check_eq(rxo_rc_check_psn(5, 4, false), RXO_PSN_DUPLICATE);
	check_eq(rxo_rc_check_psn(0, 0xffffff, true), RXO_PSN_DUPLICATE);
	check_eq(rxo_rc_check_psn(0xffffff, 0, false), RXO_PSN_GAP);

	for (i = 0; i < ARRAY_SIZE(psns); i++)
		for (k = 0; k < ARRAY_SIZE(psns); k++)
			check_place(psns[i], psns[k]);
	for (psn = 0; psn <= RXO_PSN_MASK; psn++)
		check_place(0xfffff0, psn);
}

static u32 flags_of(u32 opcode)
{
	return rxo_opcode(opcode) ? rxo_opcode(opcode)->flags : 0;
}

/* Every request behind every request, and behind none. */
static void test_order(void)
{
	u32 prev, cur;

	for (cur = 0; cur < 256; cur++) {
		if (!flags_of(cur))
			continue;
		check_eqf(rxo_check_order(0, flags_of(cur)),
			  ref_step(REF_IDLE, cur) != REF_NEVER,
			  " (0x%02x first)", cur);
		for (prev = 0; prev < 256; prev++) {
			if (!(flags_of(prev) & RXO_OP_REQ))
				continue;
			check_eqf(rxo_check_order(flags_of(prev),
						  flags_of(cur)),
				  ref_step(ref_after(prev), cur) != REF_NEVER,
				  " (0x%02x, then 0x%02x)", prev, cur);
		}
	}
	check(!rxo_check_order(0, 0));
}

static void check_lengths(u8 opcode, u32 mtu, u32 payload)
{
	const u32 resids[] = {
		0, 1, mtu - 1, mtu, mtu + 1, 2 * mtu, payload, payload + 1,
		payload - 1, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff,
	};
	struct rxo_packet pkt = {
		.opcode = opcode,
		.flags = flags_of(opcode),
		.payload_len = payload,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(resids); i++) {
		bool reth = pkt.flags & RXO_OP_RETH;

		/* More than 2^31 are never left over from a first packet. */
		if (!reth && resids[i] > 0x80000000)
			continue;
		pkt.rdma_len = reth ? resids[i] : 0;
		check_eqf(rxo_check_length(&pkt, mtu, reth ? 0 : resids[i]),
			  ref_length(opcode, payload, mtu, resids[i]),
			  " (0x%02x, payload %u, mtu %u, resid %u)", opcode,
			  payload, mtu, resids[i]);
	}
}

static void test_length(void)
{
	u32 opcode, payload;
	size_t i;

	for (opcode = 0; opcode < 256; opcode++) {
		if (!flags_of(opcode))
			continue;
		for (i = 0; i < ARRAY_SIZE(mtus); i++) {
			u32 mtu = mtus[i];

			for (payload = 0; payload < 6; payload++)
				check_lengths(opcode, mtu, payload);
			for (payload = mtu - 5; payload < mtu + 6; payload++)
				check_lengths(opcode, mtu, payload);
			check_lengths(opcode, mtu, 2 * mtu);
		}
	}
}

static void test_packets(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mtus); i++) {
		u32 mtu = mtus[i];

		check_eq(rxo_rc_packets(0, mtu), 1);
		check_eq(rxo_rc_packets(1, mtu), 1);
		check_eq(rxo_rc_packets(mtu - 1, mtu), 1);
		check_eq(rxo_rc_packets(mtu, mtu), 1);
		check_eq(rxo_rc_packets(mtu + 1, mtu), 2);
		check_eq(rxo_rc_packets(7 * mtu, mtu), 7);
		check_eq(rxo_rc_packets(0x80000000, mtu), 0x80000000 / mtu);
		check_eq(rxo_rc_packets(0xffffffff, mtu),
			 (0x100000000ULL) / mtu);
	}
}

/* Each request ends where the next begins, whichever of its PSNs one asks with. */
static void test_read_end(void)
{
	static const u32 lens[] = {
		1, 2, RXO_READ_PSNS - 1, RXO_READ_PSNS, RXO_READ_PSNS + 1,
		3 * RXO_READ_PSNS, 5 * RXO_READ_PSNS + 7,
	};
	size_t i, k;
	u32 n;

	for (i = 0; i < ARRAY_SIZE(psns); i++) {
		for (k = 0; k < ARRAY_SIZE(lens); k++) {
			u32 first = psns[i];
			u32 last = rxo_psn_add(first, lens[k] - 1);

			for (n = 0; n < lens[k]; n++) {
				u32 end = (n / RXO_READ_PSNS + 1) *
					  RXO_READ_PSNS;

				if (end > lens[k])
					end = lens[k];
				check_eqf(rxo_rc_read_end(first, last,
							  rxo_psn_add(first, n)),
					  rxo_psn_add(first, end - 1),
					  " (%u of %u from %x)", n, lens[k],
					  first);
			}
		}
	}
}

static void test_read_turn(void)
{
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_READ_REQUEST,
		.rdma_len = 7 * 1024 + 1,
	};
	size_t i;
	s32 off;

	for (i = 0; i < ARRAY_SIZE(psns); i++) {
		for (off = -300; off < 300; off++) {
			pkt.psn = rxo_psn_add(psns[i], off);
			check_eqf(rxo_rc_read_goes_first(&pkt, psns[i]),
				  off <= 0, " (%x at %x)", pkt.psn, psns[i]);
			check_eqf(rxo_rc_read_covers(&pkt, psns[i], 1024),
				  off <= 0 && off > -8, " (%x at %x)", pkt.psn,
				  psns[i]);
		}
	}
	pkt.opcode = RXO_RC | RXO_WRITE_ONLY;
	check(!rxo_rc_read_goes_first(&pkt, pkt.psn));
	/* A READ of nothing has a response too. */
	pkt.rdma_len = 0;
	check(rxo_rc_read_covers(&pkt, pkt.psn, 1024));
	check(!rxo_rc_read_covers(&pkt, rxo_psn_add(pkt.psn, 1), 1024));
}

static void test_classify(void)
{
	u32 opcode, syndrome;

	for (opcode = 0; opcode < 256; opcode++) {
		struct rxo_packet pkt = {
			.opcode = opcode,
			.flags = flags_of(opcode),
			.psn = 7,
		};

		for (syndrome = 0; syndrome < 256; syndrome++) {
			/* A middle is parsed to syndrome 0, but do not care. */
			pkt.syndrome = syndrome;
			check_eqf(rxo_rc_classify(&pkt, 7, 8),
				  ref_response(opcode, syndrome),
				  " (0x%02x, syndrome 0x%02x)", opcode,
				  syndrome);
		}
	}
}

static void test_classify_window(void)
{
	static const u32 windows[] = { 0, 1, 2, 100, 0x7fffff };
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_ACK,
		.flags = flags_of(RXO_RC | RXO_ACK),
	};
	size_t i, k;
	s32 off;

	for (i = 0; i < ARRAY_SIZE(psns); i++) {
		for (k = 0; k < ARRAY_SIZE(windows); k++) {
			u32 una = psns[i];
			u32 nxt = rxo_psn_add(una, windows[k]);

			for (off = -3; off < 105; off++) {
				enum rxo_resp_kind want = RXO_RESP_IGNORE;

				if (off >= 0 && off < (s32)windows[k])
					want = RXO_RESP_ACK;
				else if (off < 0 && windows[k])
					want = RXO_RESP_ALIVE;
				pkt.psn = rxo_psn_add(una, off);
				check_eqf(rxo_rc_classify(&pkt, una, nxt), want,
					  " (psn %x in [%x, %x))", pkt.psn,
					  una, nxt);
			}
			pkt.psn = rxo_psn_add(nxt, -1);
			check_eq(rxo_rc_classify(&pkt, una, nxt),
				 windows[k] ? RXO_RESP_ACK : RXO_RESP_IGNORE);
			pkt.psn = nxt;
			check_eq(rxo_rc_classify(&pkt, una, nxt),
				 RXO_RESP_IGNORE);
		}
	}
}

/* IBTA table 45 as it is printed, in milliseconds. */
static const double rnr_msec[32] = {
	655.36, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12,
	0.16, 0.24, 0.32, 0.48, 0.64, 0.96, 1.28, 1.92,
	2.56, 3.84, 5.12, 7.68, 10.24, 15.36, 20.48, 30.72,
	40.96, 61.44, 81.92, 122.88, 163.84, 245.76, 327.68, 491.52,
};

static void test_times(void)
{
	u32 i;

	for (i = 0; i < 256; i++)
		check_eqf(rxo_rnr_usec(i), rnr_msec[i % 32] * 1000 + 0.5,
			  " (timer %u)", i);

	check_eq(rxo_timeout_usec(0), 0);
	check_eq(rxo_timeout_usec(1), 9);
	check_eq(rxo_timeout_usec(14), 67109);
	check_eq(rxo_timeout_usec(31), 8796093023ULL);
	for (i = 1; i < 32; i++)
		check_eqf(rxo_timeout_usec(i), ((4096ULL << i) + 999) / 1000,
			  " (timeout %u)", i);
}

int main(void)
{
	test_psn();
	test_order();
	test_length();
	test_packets();
	test_read_end();
	test_read_turn();
	test_classify();
	test_classify_window();
	test_times();
	return test_done();
}
