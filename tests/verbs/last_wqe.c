// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A QP on a shared receive queue that enters ERR says so by an event when it will
 * take nothing more from the queue; what it had not taken stays for the others.
 */
#include <errno.h>
#include <string.h>

#include "ops.h"
#include "test.h"

static struct nic na, nb;
static struct ep a[2], b[2];
static struct ibv_srq *srq;
static struct buf src, dst;

static void setup(void)
{
	struct qp_opt opt = opt_rc;

	nic_open(&na, cfg.dev);
	nic_open(&nb, cfg.peer);
	srq = srq_new(&nb, 16);
	opt.srq = srq;
	for (int i = 0; i < 2; i++) {
		ep_create(&a[i], &na, &opt_rc);
		ep_create(&b[i], &nb, &opt);
		ep_join(&a[i], &b[i]);
	}
	buf_new(&src, 8 * PAGE);
	buf_new(&dst, 8 * PAGE);
	buf_reg(&src, &na, ACCESS_ALL);
	buf_reg(&dst, &nb, ACCESS_ALL);
	for (int i = 0; i < 4; i++) {
		struct rr r;

		rr_init(&r, i);
		rr_sge(&r, &dst, i * PAGE + 7, 1000);
		rr_post_srq(srq, &r);
	}
}

static void teardown(void)
{
	buf_check(&dst, "target");
	for (int i = 0; i < 2; i++) {
		ep_destroy(&a[i]);
		ep_destroy(&b[i]);
	}
	srq_free(srq);
	buf_free(&src);
	buf_free(&dst);
	nic_close(&na);
	nic_close(&nb);
}

/* The other QP uses the first entry @n and those after it. */
static void other_goes_on(int n)
{
	for (int i = n; i < 4; i++) {
		q_send(&a[1], i, &src, i * 99, 1000);
		wc_ok(b[1].rcq, i);
		wc_ok(a[1].scq, i);
		buf_moved(&dst, i * PAGE + 7, &src, i * 99, 1000);
	}
}

static void modified(void)
{
	struct ibv_async_event ev;

	setup();
	ep_set_state(&b[0], IBV_QPS_ERR);
	event_expect(&nb, IBV_EVENT_QP_LAST_WQE_REACHED, 0, &ev);
	check(ev.element.qp == b[0].qp, "event of another QP");
	wc_none(b[0].rcq);
	other_goes_on(0);
	teardown();
}

/* ERR by the peer's fault: a write with a wrong key. */
static void by_a_bad_request(void)
{
	struct ibv_async_event ev;

	setup();
	dst.rkey ^= 1;
	q_rdma(&a[0], IBV_WR_RDMA_WRITE, 1, &src, 3, &dst, 5, 99);
	wc_expect(a[0].scq, 1, IBV_WC_REM_ACCESS_ERR);
	event_expect(&nb, IBV_EVENT_QP_LAST_WQE_REACHED,
		     1ull << IBV_EVENT_QP_ACCESS_ERR | 1ull << IBV_EVENT_COMM_EST, &ev);
	check(ev.element.qp == b[0].qp, "event of another QP");
	other_goes_on(0);
	teardown();
}

/* An entry taken and too short ends with its own error, then comes the event. */
static void by_a_message_too_long(void)
{
	struct ibv_async_event ev;

	setup();
	q_send(&a[0], 1, &src, 3, 1001);
	wc_expect(b[0].rcq, 0, IBV_WC_LOC_LEN_ERR);
	wc_expect(a[0].scq, 1, IBV_WC_REM_INV_REQ_ERR);
	event_expect(&nb, IBV_EVENT_QP_LAST_WQE_REACHED,
		     1ull << IBV_EVENT_QP_REQ_ERR | 1ull << IBV_EVENT_COMM_EST, &ev);
	buf_holds(&dst, 7, dst.map + 7, 1000);
	other_goes_on(1);
	teardown();
}

TEST_MAIN(CASE(modified), CASE(by_a_bad_request), CASE(by_a_message_too_long))
