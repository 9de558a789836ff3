// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Inline data: taken when posted, so the memory may change at once and its key
 * does not matter; every length up to what the QP was made for.
 */
#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;
static size_t max;

static void setup(void)
{
	struct qp_opt opt = opt_rc;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	opt.inline_data = 200;
	pair_open(&p, &opt);
	check(!ibv_query_qp(p.a.qp, &attr, IBV_QP_CAP, &init), "ibv_query_qp");
	max = init.cap.max_inline_data;
	check(max >= 200, "%zu bytes inline instead of 200", max);
	buf_new(&src, 8 * PAGE);
	buf_new(&dst, 8 * PAGE);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&dst, "target");
	buf_free(&src);
	buf_free(&dst);
	pair_close(&p);
}

static void one(enum ibv_wr_opcode op, uint64_t id, size_t len, unsigned int sges)
{
	size_t d = off_for(&dst, len), at = 0;
	struct wr w;

	if (op == IBV_WR_SEND)
		q_recv(&p.b, id, &dst, d, len);
	wr_init(&w, op, id);
	w.wr.send_flags |= IBV_SEND_INLINE;
	for (unsigned int i = 0; i < sges; i++) {
		size_t n = i == sges - 1 ? len - at : rnd_range(0, len - at);
		size_t s = off_for(&src, n);

		wr_sge(&w, &src, s, n);
		w.sge[i].lkey = rnd();
		buf_moved(&dst, d + at, &src, s, n);
		at += n;
	}
	if (op == IBV_WR_RDMA_WRITE)
		wr_remote(&w, &dst, d);
	wr_post(&p.a, &w);
	buf_refill(&src);
	wc_ok(p.a.scq, id);
	if (op == IBV_WR_SEND)
		check(wc_ok(p.b.rcq, id).byte_len == len, "wrong length");
	buf_check(&dst, "target");
}

static void all(enum ibv_wr_opcode op)
{
	uint64_t id = 0;

	setup();
	for (size_t len = 0; len <= max; len += 1 + rnd_range(0, max / 20))
		one(op, id++, len, 1);
	one(op, id++, max, 1);
	for (int i = 0; i < 12; i++)
		one(op, id++, rnd_range(1, max), rnd_range(2, p.a.opt.sge));
	teardown();
}

static void send(void)
{
	all(IBV_WR_SEND);
}

static void write(void)
{
	all(IBV_WR_RDMA_WRITE);
}

/* Many in flight, of one buffer that changes in between. */
static void many_of_one_buffer(void)
{
	setup();
	for (int i = 0; i < 60; i++) {
		size_t len = rnd_range(1, max);
		struct wr w;

		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		w.wr.send_flags |= IBV_SEND_INLINE;
		wr_sge(&w, &src, 3, len);
		wr_remote(&w, &dst, i * 401 + 1);
		buf_moved(&dst, i * 401 + 1, &src, 3, len);
		wr_post(&p.a, &w);
		buf_refill(&src);
	}
	for (int i = 0; i < 60; i++)
		wc_ok(p.a.scq, i);
	teardown();
}

static void too_long(void)
{
	struct ibv_send_wr *bad = NULL;
	struct wr w;
	int ret;

	setup();
	wr_init(&w, IBV_WR_RDMA_WRITE, 1);
	w.wr.send_flags |= IBV_SEND_INLINE;
	wr_sge(&w, &src, 0, max + 1);
	wr_remote(&w, &dst, 0);
	ret = ibv_post_send(p.a.qp, &w.wr, &bad);
	check(ret && bad == &w.wr, "%zu bytes were taken inline", max + 1);
	wc_none(p.a.scq);
	one(IBV_WR_RDMA_WRITE, 2, max, 1);
	teardown();
}

TEST_MAIN(CASE(send), CASE(write), CASE(many_of_one_buffer), CASE(too_long))
