// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packet sequence numbers that pass 0xffffff, in the middle of messages of every
 * kind and between them.
 */
#include "ops.h"
#include "test.h"

static void from(uint32_t psn)
{
	struct qp_opt opt = opt_rc;
	struct buf l, r;
	struct pair p;

	opt.fixed_psn = true;
	opt.psn = psn;
	pair_open(&p, &opt);
	buf_new(&l, 20 * PAGE);
	buf_new(&r, 20 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	for (int i = 0; i < 4; i++) {
		do_write(&p.a, &l, 77, &r, 4001, 5001);
		do_read(&p.a, &l, 8191, &r, 4095, 7001);
		do_send(&p, &l, 1, &r, 9001, 3001);
	}
	pair_end(&p, &l, &r);
}

static void just_before(void)
{
	for (uint32_t k = 0; k < 12; k++)
		from(0xffffff - k);
}

static void just_after(void)
{
	from(0);
	from(1);
}

/* The half-way point is where comparing goes wrong if it is signed badly. */
static void half_way(void)
{
	from(0x7ffffe);
	from(0x800000);
}

/* The wrap within one long read, and within one long write. */
static void inside_a_message(enum ibv_wr_opcode op)
{
	size_t len = 40 * PAGE + 13;
	struct qp_opt opt = opt_rc;
	struct buf l, r;
	struct pair p;

	opt.fixed_psn = true;
	for (int i = 0; i < 4; i++) {
		pair_open(&p, NULL);
		opt.psn = 0xffffff - rnd_range(0, len / mtu_bytes(pair_mtu(&p)));
		pair_renew(&p, &opt);
		buf_new(&l, 42 * PAGE);
		buf_new(&r, 42 * PAGE);
		buf_reg(&l, &p.na, ACCESS_ALL);
		buf_reg(&r, &p.nb, ACCESS_ALL);
		if (op == IBV_WR_RDMA_READ)
			do_read(&p.a, &l, 3, &r, 4095, len);
		else
			do_write(&p.a, &l, 3, &r, 4095, len);
		pair_end(&p, &l, &r);
	}
}

static void inside_a_read(void)
{
	inside_a_message(IBV_WR_RDMA_READ);
}

static void inside_a_write(void)
{
	inside_a_message(IBV_WR_RDMA_WRITE);
}

/* Deep pipeline across the wrap: reads, then everything behind them. */
static void pipeline(void)
{
	struct qp_opt opt = opt_rc;
	struct buf l, r;
	struct pair p;

	opt.fixed_psn = true;
	opt.psn = 0xffffff - 40;
	pair_open(&p, &opt);
	buf_new(&l, 64 * PAGE);
	buf_new(&r, 64 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	for (int i = 0; i < 60; i++) {
		size_t len = rnd_range(1, 2000), at = off_for(&r, len);

		if (i & 1) {
			q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &l, 60 * PAGE + 5, &r, at, len);
			buf_moved(&r, at, &l, 60 * PAGE + 5, len);
		} else {
			q_rdma(&p.a, IBV_WR_RDMA_READ, i, &l, i * PAGE + 9, &r, at, len);
			buf_moved(&l, i * PAGE + 9, &r, at, len);
		}
	}
	for (int i = 0; i < 60; i++)
		wc_ok(p.a.scq, i);
	pair_end(&p, &l, &r);
}

TEST_MAIN(CASE(just_before), CASE(just_after), CASE(half_way), CASE(inside_a_read),
	  CASE(inside_a_write), CASE(pipeline))
