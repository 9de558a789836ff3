// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Nobody answers: the peer's QP is gone, was never connected, or is in ERR. The
 * sender tries retry_cnt times and ends with a retry error, then flushes.
 */
#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;
static struct qp_opt opt;

static void setup(void)
{
	/* 2^12 * 4.096 us, 16.8 ms, between tries. */
	opt = opt_rc;
	opt.timeout = 12;
	opt.retry = 2;
	pair_open(&p, &opt);
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

static void gives_up(void)
{
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &src, 77, &dst, 5, 5001);
	q_send(&p.a, 2, &src, 9, 33);
	q_rdma(&p.a, IBV_WR_RDMA_READ, 3, &src, 77, &dst, 5, 5001);
	wc_expect(p.a.scq, 1, IBV_WC_RETRY_EXC_ERR);
	wc_expect(p.a.scq, 2, IBV_WC_WR_FLUSH_ERR);
	wc_expect(p.a.scq, 3, IBV_WC_WR_FLUSH_ERR);
	ep_await_state(&p.a, IBV_QPS_ERR);
	buf_check(&dst, "target");
	buf_check(&src, "source");
}

static void peer_in_error(void)
{
	setup();
	ep_set_state(&p.b, IBV_QPS_ERR);
	gives_up();
	teardown();
}

static void peer_in_reset(void)
{
	setup();
	do_write(&p.a, &src, 3, &dst, 4095, 5001);
	ep_set_state(&p.b, IBV_QPS_RESET);
	gives_up();
	teardown();
}

/* In INIT a QP takes receives but answers nobody. */
static void peer_in_init(void)
{
	setup();
	ep_set_state(&p.b, IBV_QPS_RESET);
	ep_init(&p.b);
	gives_up();
	teardown();
}

static void peer_destroyed(void)
{
	setup();
	check(!ibv_destroy_qp(p.b.qp), "ibv_destroy_qp");
	gives_up();
	p.b.qp = ibv_create_qp(p.nb.pd, &(struct ibv_qp_init_attr) {
		.send_cq = p.b.scq, .recv_cq = p.b.rcq, .qp_type = IBV_QPT_RC,
		.cap = { 1, 1, 1, 1, 0 },
	});
	check(p.b.qp, "ibv_create_qp");
	teardown();
}

/* A QP number nobody ever had. */
static void no_such_qp(void)
{
	struct ibv_qp_attr attr;
	int mask;

	setup();
	ep_set_state(&p.a, IBV_QPS_RESET);
	ep_init(&p.a);
	mask = ep_rtr_attr(&p.a, &p.b, &attr);
	attr.dest_qp_num ^= 0x5a5a5a;
	check(!ibv_modify_qp(p.a.qp, &attr, mask), "QP to RTR");
	ep_rts(&p.a);
	gives_up();
	teardown();
}

/* The peer is there but takes packets only of the QP it was joined with. */
static void peer_of_another(void)
{
	struct ep stranger;

	setup();
	ep_create(&stranger, &p.na, &opt);
	ep_connect(&stranger, &p.b);
	q_rdma(&stranger, IBV_WR_RDMA_WRITE, 1, &src, 77, &dst, 5, 5001);
	/*
	 * b has no way to tell by the packet which QP sent it, so it may take it
	 * if the packet number fits by chance; otherwise nothing comes back here.
	 */
	wc_expect(stranger.scq, 1, IBV_WC_RETRY_EXC_ERR);
	ep_destroy(&stranger);
	teardown();
}

/* Silence in the middle of a pipeline that had been going well. */
static void dies_in_the_middle(void)
{
	struct ibv_wc wc;
	int ok = 0;

	setup();
	for (int i = 0; i < 60; i++)
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &src, 99, &dst, 501, 5 * PAGE);
	wc_ok(p.a.scq, ok++);
	ep_set_state(&p.b, IBV_QPS_ERR);
	do {
		wc = wc_wait(p.a.scq);
		check((int)wc.wr_id == ok, "out of order");
	} while (wc.status == IBV_WC_SUCCESS && ++ok < 60);
	if (ok < 60) {
		check(wc.status == IBV_WC_RETRY_EXC_ERR, "status \"%s\"",
		      ibv_wc_status_str(wc.status));
		while (++ok < 60)
			wc_expect(p.a.scq, ok, IBV_WC_WR_FLUSH_ERR);
	}
	/* Some bytes of the unfinished ones may have landed: all are the same. */
	buf_moved(&dst, 501, &src, 99, 5 * PAGE);
	teardown();
}

TEST_MAIN(CASE(peer_in_error), CASE(peer_in_reset), CASE(peer_in_init),
	  CASE(peer_destroyed), CASE(no_such_qp), CASE(peer_of_another),
	  CASE(dies_in_the_middle))
