// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Traffic on memory that must be faulted in, while a part of all allocations by
 * one of our modules fail, in workers and softirq as well: a WR ends in the right
 * data or in an error, never in wrong data, nor in nothing at all.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "nth.h"
#include "ops.h"
#include "test.h"

#define SIZE (16 * PAGE)
#define ROUNDS 150
#define PERCENT 15

static struct pair p;
static struct buf l, r;

static void connect_pair(void)
{
	struct qp_opt opt = opt_rc;

	opt.timeout = 14;
	pair_renew(&p, &opt);
}

/* Of an op that failed: each byte is the one before or the one after. */
static void settle(struct buf *dst, size_t d_off, const struct buf *src, size_t s_off,
		   size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t got = dst->map[d_off + i];

		check(got == dst->want[d_off + i] || got == src->want[s_off + i],
		      "byte %zu is neither the old nor the new one", i);
		dst->want[d_off + i] = got;
	}
}

static bool one(unsigned int i)
{
	size_t len = rnd_range(1, SIZE / 2);
	size_t s_off = rnd_range(0, SIZE - len), d_off = rnd_range(0, SIZE - len);
	enum ibv_wr_opcode op = i % 3 == 0 ? IBV_WR_RDMA_WRITE :
				i % 3 == 1 ? IBV_WR_RDMA_READ : IBV_WR_SEND;
	bool reads = op == IBV_WR_RDMA_READ;
	struct buf *src = reads ? &r : &l, *dst = reads ? &l : &r;
	struct ibv_wc wc;
	struct rr q;
	struct wr w;

	if (op == IBV_WR_SEND) {
		rr_init(&q, i);
		rr_sge(&q, dst, d_off, len);
		rr_post(&p.b, &q);
	}
	wr_init(&w, op, i);
	wr_sge(&w, &l, reads ? d_off : s_off, len);
	if (op != IBV_WR_SEND)
		wr_remote(&w, &r, reads ? s_off : d_off);
	wr_post(&p.a, &w);
	wc = wc_wait(p.a.scq);
	check(wc.wr_id == i, "completion of %lu instead of %u", (long)wc.wr_id, i);
	if (wc.status) {
		/* The far side may be at it still. */
		ep_set_state(&p.b, IBV_QPS_ERR);
		settle(dst, d_off, src, s_off, len);
		return false;
	}
	if (op == IBV_WR_SEND)
		wc_ok(p.b.rcq, i);
	buf_moved(dst, d_off, src, s_off, len);
	return true;
}

static void storm(const char *module)
{
	unsigned int good = 0;

	need_odp();
	nth_open();
	pair_open(&p, &opt_rc);
	buf_new(&l, SIZE);
	buf_new(&r, SIZE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	connect_pair();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		bool ok;

		buf_untouch(i % 2 ? &r : &l);
		nth_storm(module, PERCENT);
		ok = one(i);
		nth_calm();
		good += ok;
		if (!ok)
			connect_pair();
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
		buf_refill(i % 2 ? &r : &l);
	}
	printf("# %s: %u allocations failed, %u of %u operations came through\n", module,
	       nth_storms_failed(), good, ROUNDS);
	check(nth_storms_failed(), "no allocation failed");
	check(good, "no operation came through");
	pair_works(&p);
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

static void driver(void)
{
	storm("rxe_odp");
}

static void mirror(void)
{
	storm("hmm_mirror");
}

TEST_MAIN(CASE(driver), CASE(mirror))
