// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A QP in ERR hands back all that was posted, in order and with a flush error,
 * what is posted afterwards too; a QP in RESET forgets it all.
 */
#include "ops.h"
#include "test.h"

#define N 20

static struct pair p;
static struct buf src, dst;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&src, 8 * PAGE);
	buf_new(&dst, 8 * PAGE);
	buf_reg(&src, &p.na, ACCESS_ALL);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&src, "source");
	buf_check(&dst, "target");
	buf_free(&src);
	buf_free(&dst);
	pair_close(&p);
}

static void flushed(struct ibv_cq *cq, uint64_t from, uint64_t to)
{
	for (uint64_t id = from; id < to; id++)
		wc_expect(cq, id, IBV_WC_WR_FLUSH_ERR);
	wc_none(cq);
}

/*
 * The stock provider posts receives in memory only: the kernel learns of one
 * posted in ERR by the next call about this QP, and going from ERR to ERR is one.
 */
static void nudge(struct ep *e)
{
	ep_set_state(e, IBV_QPS_ERR);
}

static void receives(void)
{
	setup();
	for (int i = 0; i < N; i++)
		q_recv(&p.b, i, &dst, i * 64 + 3, 60);
	ep_set_state(&p.b, IBV_QPS_ERR);
	flushed(p.b.rcq, 0, N);
	for (int i = N; i < 2 * N; i++)
		q_recv(&p.b, i, &dst, 3, 60);
	nudge(&p.b);
	flushed(p.b.rcq, N, 2 * N);
	teardown();
}

/* Sends that wait for a receive are all still there when ERR comes. */
static void sends(void)
{
	setup();
	for (int i = 0; i < N; i++)
		q_send(&p.a, i, &src, i * 101, 2001);
	wc_none(p.a.scq);
	ep_set_state(&p.a, IBV_QPS_ERR);
	flushed(p.a.scq, 0, N);
	for (int i = N; i < 2 * N; i++)
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &src, 3, &dst, 5, 777);
	flushed(p.a.scq, N, 2 * N);
	teardown();
}

/* Posting in ERR before anything else was ever posted. */
static void posted_in_error(void)
{
	setup();
	ep_set_state(&p.a, IBV_QPS_ERR);
	for (int i = 0; i < N; i++) {
		q_send(&p.a, i, &src, 3, 100);
		q_recv(&p.a, i, &src, 3, 100);
	}
	flushed(p.a.scq, 0, N);
	nudge(&p.a);
	flushed(p.a.rcq, 0, N);
	teardown();
}

/* Unsignaled requests come back as well: an error is always signaled. */
static void unsignaled(void)
{
	struct qp_opt opt = opt_rc;
	struct wr w;

	setup();
	opt.unsignaled = true;
	pair_renew(&p, &opt);
	for (int i = 0; i < N; i++) {
		wr_init(&w, IBV_WR_SEND, i);
		w.wr.send_flags = 0;
		wr_sge(&w, &src, i, 100);
		wr_post(&p.a, &w);
	}
	wc_none(p.a.scq);
	ep_set_state(&p.a, IBV_QPS_ERR);
	flushed(p.a.scq, 0, N);
	teardown();
}

/* What finished before the error keeps its status. */
static void after_success(void)
{
	setup();
	for (int i = 0; i < 5; i++)
		q_recv(&p.b, i, &dst, i * 100, 100);
	for (int i = 0; i < N; i++)
		q_send(&p.a, i, &src, i * 33, 100);
	for (int i = 0; i < 5; i++) {
		wc_ok(p.b.rcq, i);
		wc_ok(p.a.scq, i);
		buf_moved(&dst, i * 100, &src, i * 33, 100);
	}
	ep_set_state(&p.a, IBV_QPS_ERR);
	flushed(p.a.scq, 5, N);
	teardown();
}

/* RESET takes everything away without completions, and the QP can start anew. */
static void reset_forgets(void)
{
	setup();
	for (int i = 0; i < N; i++) {
		q_recv(&p.a, i, &src, i * 64 + 3, 60);
		q_send(&p.a, i, &src, i * 101, 2001);
	}
	wc_none(p.a.scq);
	ep_set_state(&p.a, IBV_QPS_RESET);
	ep_set_state(&p.b, IBV_QPS_RESET);
	wc_none(p.a.scq);
	wc_none(p.a.rcq);
	ep_join(&p.a, &p.b);
	for (int i = 0; i < 3; i++)
		do_send(&p, &src, 1001 * i, &dst, 4000 + i, 3001);
	do_write(&p.a, &src, 77, &dst, 4095, 5001);
	teardown();
}

/* ERR, RESET, up again, many times on one QP. */
static void again_and_again(void)
{
	setup();
	for (int round = 0; round < 10; round++) {
		q_send(&p.a, 1, &src, 0, 100);
		q_recv(&p.a, 2, &src, 0, 100);
		ep_set_state(&p.a, IBV_QPS_ERR);
		wc_expect(p.a.scq, 1, IBV_WC_WR_FLUSH_ERR);
		wc_expect(p.a.rcq, 2, IBV_WC_WR_FLUSH_ERR);
		ep_set_state(&p.a, IBV_QPS_RESET);
		ep_set_state(&p.b, IBV_QPS_RESET);
		p.a.psn = rnd() & PSN_MASK;
		p.b.psn = rnd() & PSN_MASK;
		ep_join(&p.a, &p.b);
		do_write(&p.a, &src, 77 + round, &dst, 4095, 5001);
	}
	teardown();
}

TEST_MAIN(CASE(receives), CASE(sends), CASE(posted_in_error), CASE(unsignaled),
	  CASE(after_success), CASE(reset_forgets), CASE(again_and_again))
