// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Reads and atomics in flight, mixed with writes: with the deepest and the
 * shallowest pipeline the results are those of one after the other.
 */
#include <string.h>

#include "ops.h"
#include "test.h"

#define N 60
#define AREA (4 * PAGE)

static struct pair p;
static struct buf l, r;

/* Each result has a slot of its own in l; writes come from l's last pages. */
static void mixed(uint64_t id)
{
	size_t d = id * PAGE + rnd_range(0, 1000), len = rnd_range(1, 3000);
	size_t at = rnd_range(0, AREA - 3000);
	uint64_t old, v = rnd(), new;
	struct wr w;

	switch (rnd_range(0, 3)) {
	case 0:
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, id, &l, N * PAGE + at, &r, at, len);
		buf_moved(&r, at, &l, N * PAGE + at, len);
		break;
	case 1:
		at &= ~7ul;
		memcpy(&old, r.want + at, 8);
		new = old + v;
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, id);
		wr_sge(&w, &l, d, 8);
		wr_atomic(&w, &r, at, v, 0);
		wr_post(&p.a, &w);
		buf_holds(&l, d, &old, 8);
		buf_holds(&r, at, &new, 8);
		break;
	default:
		q_rdma(&p.a, IBV_WR_RDMA_READ, id, &l, d, &r, at, len);
		buf_moved(&l, d, &r, at, len);
	}
}

static void depth(unsigned int n)
{
	struct qp_opt opt = opt_rc;

	opt.rd_atomic = n;
	pair_open(&p, &opt);
	if ((int)n > p.na.attr.orig_attr.max_qp_rd_atom)
		skip("max_qp_rd_atom is %d", p.na.attr.orig_attr.max_qp_rd_atom);
	buf_new(&l, N * PAGE + AREA);
	buf_new(&r, AREA);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++)
			mixed(i);
		for (int i = 0; i < N; i++)
			wc_ok(p.a.scq, i);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

static void depth_1(void)
{
	depth(1);
}

static void depth_4(void)
{
	depth(4);
}

static void depth_16(void)
{
	depth(16);
}

static void deepest(void)
{
	struct nic nic;

	nic_open(&nic, cfg.dev);
	depth(nic.attr.orig_attr.max_qp_rd_atom);
	nic_close(&nic);
}

TEST_MAIN(CASE(depth_1), CASE(depth_4), CASE(depth_16), CASE(deepest))
