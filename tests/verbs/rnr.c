// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A receiver that is not ready: with rnr_retry 7 the sender waits as long as it
 * takes, with fewer it gives up with its own status, and what comes behind the
 * waiting request is neither lost nor out of order.
 */
#include <arpa/inet.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;

static void setup(uint8_t rnr_retry, uint8_t min_rnr)
{
	struct qp_opt opt = opt_rc;

	opt.rnr_retry = rnr_retry;
	opt.min_rnr = min_rnr;
	pair_open(&p, &opt);
	buf_new(&src, 40 * PAGE);
	buf_new(&dst, 40 * PAGE);
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

/* The receive comes after the sender was told "not ready" many times. */
static void waits(void)
{
	/* 0.64 ms, 0.02 ms and 10.24 ms between tries. */
	static const uint8_t timers[] = { 12, 2, 20 };

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		setup(7, timers[i]);
		for (int k = 0; k < 3; k++) {
			size_t len = rnd_range(1, 3 * PAGE);

			q_send(&p.a, 1, &src, 77, len);
			wc_none(p.a.scq);
			q_recv(&p.b, 2, &dst, 4095, len);
			wc_ok(p.b.rcq, 2);
			wc_ok(p.a.scq, 1);
			buf_moved(&dst, 4095, &src, 77, len);
			buf_check(&dst, "target");
		}
		teardown();
	}
}

static void write_imm_waits(void)
{
	struct wr w;

	setup(7, 8);
	wr_init(&w, IBV_WR_RDMA_WRITE_WITH_IMM, 1);
	wr_sge(&w, &src, 5, 2 * PAGE + 1);
	wr_remote(&w, &dst, 4091);
	w.wr.imm_data = htonl(0x1234abcd);
	wr_post(&p.a, &w);
	wc_none(p.a.scq);
	q_recv(&p.b, 2, &dst, 0, 1);
	check(wc_ok(p.b.rcq, 2).imm_data == htonl(0x1234abcd), "immediate data");
	wc_ok(p.a.scq, 1);
	buf_moved(&dst, 4091, &src, 5, 2 * PAGE + 1);
	teardown();
}

/* A pipeline of all kinds behind the send that has to wait. */
static void pipeline_waits(void)
{
	setup(7, 8);
	for (int i = 0; i < 30; i += 3) {
		q_send(&p.a, i, &src, i * 777, 3001);
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i + 1, &src, i * 501, &dst,
		       35 * PAGE + i * 300, 299);
		q_rdma(&p.a, IBV_WR_RDMA_READ, i + 2, &src, 35 * PAGE + i * 300, &dst,
		       35 * PAGE + i * 300, 299);
	}
	wc_none(p.a.scq);
	for (int i = 0; i < 30; i += 3) {
		q_recv(&p.b, i, &dst, i * PAGE + 9, 3001);
		wc_ok(p.b.rcq, i);
		buf_moved(&dst, i * PAGE + 9, &src, i * 777, 3001);
		buf_moved(&dst, 35 * PAGE + i * 300, &src, i * 501, 299);
		buf_moved(&src, 35 * PAGE + i * 300, &dst, 35 * PAGE + i * 300, 299);
		for (int k = 0; k < 3; k++)
			wc_ok(p.a.scq, i + k);
	}
	teardown();
}

static void gives_up(void)
{
	for (uint8_t retries = 0; retries <= 2; retries++) {
		setup(retries, 8);
		/* While receives are there, all is well. */
		do_send(&p, &src, 3, &dst, 4093, 999);
		do_send(&p, &src, 5, &dst, 1, 0);
		q_send(&p.a, 1, &src, 9, 2000);
		q_send(&p.a, 2, &src, 9, 1);
		wc_expect(p.a.scq, 1, IBV_WC_RNR_RETRY_EXC_ERR);
		wc_expect(p.a.scq, 2, IBV_WC_WR_FLUSH_ERR);
		ep_await_state(&p.a, IBV_QPS_ERR);
		/* The receiver saw nothing wrong. */
		check(ep_state(&p.b) == IBV_QPS_RTS, "receiver in state %d",
		      ep_state(&p.b));
		teardown();
	}
}

/* The count starts afresh with every request that gets through. */
static void count_is_per_request(void)
{
	/* 41 ms between tries: one or two a request, twelve requests. */
	setup(6, 24);
	for (int i = 0; i < 12; i++) {
		q_send(&p.a, i, &src, 3, 100);
		sleep_ms(5);
		q_recv(&p.b, i, &dst, i * 100, 100);
		wc_ok(p.b.rcq, i);
		wc_ok(p.a.scq, i);
		buf_moved(&dst, i * 100, &src, 3, 100);
	}
	teardown();
}

TEST_MAIN(CASE(waits), CASE(write_imm_waits), CASE(pipeline_waits), CASE(gives_up),
	  CASE(count_is_per_request))
