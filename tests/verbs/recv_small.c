// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A message longer than the receive it meets: the receiver ends with a local
 * length error, the sender with a remote invalid request, and not a byte is
 * written beyond the receive's SGEs.
 */
#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&src, 16 * PAGE);
	buf_new(&dst, 16 * PAGE);
	buf_reg(&src, &p.na, 0);
	buf_reg(&dst, &p.nb, IBV_ACCESS_LOCAL_WRITE);
}

static void teardown(void)
{
	buf_free(&src);
	buf_free(&dst);
	pair_close(&p);
}

/* @sges pieces of @room / @sges bytes; what lies inside them may have changed. */
static void too_small(size_t room, unsigned int sges, size_t len)
{
	size_t piece = sges ? room / sges : 0;
	struct rr r;

	rr_init(&r, 2);
	for (unsigned int i = 0; i < sges; i++)
		rr_sge(&r, &dst, i * 3 * PAGE + 1001, piece);
	rr_post(&p.b, &r);
	q_recv(&p.b, 3, &dst, 14 * PAGE, PAGE);
	q_send(&p.a, 1, &src, 33, len);
	wc_expect(p.b.rcq, 2, IBV_WC_LOC_LEN_ERR);
	wc_expect(p.b.rcq, 3, IBV_WC_WR_FLUSH_ERR);
	wc_expect(p.a.scq, 1, IBV_WC_REM_INV_REQ_ERR);
	ep_await_state(&p.a, IBV_QPS_ERR);
	ep_await_state(&p.b, IBV_QPS_ERR);
	for (unsigned int i = 0; i < sges; i++)
		buf_holds(&dst, i * 3 * PAGE + 1001, dst.map + i * 3 * PAGE + 1001,
			  piece);
	buf_check(&dst, "beyond the receive");
	pair_renew(&p, NULL);
}

static void one_sge(void)
{
	size_t mtu;

	setup();
	mtu = mtu_bytes(pair_mtu(&p));
	too_small(1, 1, 2);
	too_small(100, 1, 101);
	too_small(mtu - 1, 1, mtu);
	too_small(mtu, 1, mtu + 1);
	too_small(3 * mtu - 1, 1, 3 * mtu);
	too_small(2 * PAGE, 1, 2 * PAGE + 1);
	too_small(100, 1, 6 * PAGE);
	teardown();
}

static void several_sges(void)
{
	setup();
	too_small(3 * 33, 3, 100);
	too_small(4 * 1001, 4, 4005);
	too_small(4 * PAGE, 4, 6 * PAGE);
	teardown();
}

static void no_sge(void)
{
	setup();
	too_small(0, 0, 1);
	too_small(0, 0, 3 * PAGE);
	teardown();
}

TEST_MAIN(CASE(one_sge), CASE(several_sges), CASE(no_sge))
