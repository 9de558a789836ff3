// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The drained send queue: what was begun is finished, then an event if it was
 * asked for; what is posted meanwhile waits until the QP is back in RTS.
 */
#include <string.h>

#include "ops.h"
#include "slow.h"
#include "test.h"
#include "wire.h"

static struct pair p;
static struct buf src, dst;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&src, 32 * PAGE);
	buf_new(&dst, 32 * PAGE);
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

static void drain(bool notify)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_SQD,
		.en_sqd_async_notify = notify,
	};
	int ret = ibv_modify_qp(p.a.qp, &attr, IBV_QP_STATE | (notify ?
				IBV_QP_EN_SQD_ASYNC_NOTIFY : 0));

	check(!ret, "to SQD: %s", strerror(ret));
}

static void write_one(int id, size_t len)
{
	size_t at = off_for(&dst, len);

	q_rdma(&p.a, IBV_WR_RDMA_WRITE, id, &src, id * 99, &dst, at, len);
	buf_moved(&dst, at, &src, id * 99, len);
}

static void await_drained(void)
{
	struct ibv_async_event ev;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	event_expect(&p.na, IBV_EVENT_SQ_DRAINED, 1ull << IBV_EVENT_COMM_EST, &ev);
	check(ev.element.qp == p.a.qp, "event of another QP");
	check(!ibv_query_qp(p.a.qp, &attr, IBV_QP_STATE, &init), "ibv_query_qp");
	check(attr.qp_state == IBV_QPS_SQD && !attr.sq_draining,
	      "state %d, draining %d", attr.qp_state, attr.sq_draining);
}

static void idle(void)
{
	setup();
	for (int i = 0; i < 3; i++) {
		write_one(i, 1000);
		wc_ok(p.a.scq, i);
		drain(true);
		await_drained();
		ep_set_state(&p.a, IBV_QPS_RTS);
	}
	teardown();
}

static void posted_meanwhile_waits(void)
{
	setup();
	drain(true);
	await_drained();
	for (int i = 0; i < 20; i++)
		write_one(i, rnd_range(1, 2 * PAGE));
	wc_none(p.a.scq);
	ep_set_state(&p.a, IBV_QPS_RTS);
	for (int i = 0; i < 20; i++)
		wc_ok(p.a.scq, i);
	teardown();
}

/* In the middle of a full queue: each request is done once, before or after. */
static void in_the_middle(void)
{
	unsigned int done = 0;
	struct ibv_wc wc;

	setup();
	for (int i = 0; i < 50; i++)
		write_one(i, rnd_range(1, 4 * PAGE));
	drain(true);
	await_drained();
	while (ibv_poll_cq(p.a.scq, 1, &wc) == 1) {
		check(wc.status == IBV_WC_SUCCESS && wc.wr_id == done, "order");
		done++;
	}
	/* Drained means nothing more comes. */
	wc_none(p.a.scq);
	ep_set_state(&p.a, IBV_QPS_RTS);
	while (done < 50)
		wc_ok(p.a.scq, done++);
	teardown();
}

/* A send the receiver is not ready for holds up the draining. */
static void waits_for_the_receiver(void)
{
	struct ibv_async_event ev;

	setup();
	q_send(&p.a, 1, &src, 77, 3001);
	wc_none(p.a.scq);
	drain(true);
	check(event_poll(&p.na, &ev, QUIET_MS), "event \"%s\" too early",
	      ibv_event_type_str(ev.event_type));
	q_recv(&p.b, 2, &dst, 4095, 3001);
	wc_ok(p.b.rcq, 2);
	wc_ok(p.a.scq, 1);
	buf_moved(&dst, 4095, &src, 77, 3001);
	await_drained();
	ep_set_state(&p.a, IBV_QPS_RTS);
	write_one(3, 100);
	wc_ok(p.a.scq, 3);
	teardown();
}

/* The user changes his mind. */
static void back_before_it_is_drained(void)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	setup();
	q_send(&p.a, 1, &src, 77, 3001);
	drain(true);
	check(!ibv_query_qp(p.a.qp, &attr, IBV_QP_STATE, &init), "ibv_query_qp");
	check(attr.sq_draining, "not draining");
	ep_set_state(&p.a, IBV_QPS_RTS);
	check(!ibv_query_qp(p.a.qp, &attr, IBV_QP_STATE, &init), "ibv_query_qp");
	check(!attr.sq_draining, "still draining");
	q_recv(&p.b, 2, &dst, 4095, 3001);
	wc_ok(p.b.rcq, 2);
	wc_ok(p.a.scq, 1);
	buf_moved(&dst, 4095, &src, 77, 3001);
	teardown();
}

/* A READ that is under way may be asked for again, though no other may be begun. */
static void no_more_reads(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_SQD };
	const long before = hw_counter(cfg.dev, "retransmits");
	struct wire_end end;

	setup();
	wire_end_find(&end, &p.nb);
	wire_netem(&end, "loss 100%");
	q_rdma(&p.a, IBV_WR_RDMA_READ, 1, &src, 77, &dst, 4095, 3001);
	drain(true);
	check(!ibv_modify_qp(p.a.qp, &attr, IBV_QP_STATE | IBV_QP_MAX_QP_RD_ATOMIC),
	      "no more READs");
	wire_netem(&end, NULL);
	wc_ok(p.a.scq, 1);
	buf_moved(&src, 77, &dst, 4095, 3001);
	check(hw_counter(cfg.dev, "retransmits") != before || before < 0, "nothing was lost");
	await_drained();
	teardown();
}

static void drain_quietly(void)
{
	struct ibv_async_event ev;

	drain(false);
	check(event_poll(&p.na, &ev, QUIET_MS), "event \"%s\" unasked",
	      ibv_event_type_str(ev.event_type));
	ep_set_state(&p.a, IBV_QPS_RTS);
}

static void no_event_unless_asked(void)
{
	setup();
	drain_quietly();
	write_one(3, 100);
	wc_ok(p.a.scq, 3);
	teardown();
}

/* To ask once is not to ask for ever. */
static void asked_each_time(void)
{
	if (!slow_ours(cfg.dev))
		skip("not our device's rule");
	setup();
	drain(true);
	await_drained();
	ep_set_state(&p.a, IBV_QPS_RTS);
	drain_quietly();
	write_one(3, 100);
	wc_ok(p.a.scq, 3);
	teardown();
}

/* The receive side goes on in SQD. */
static void still_receives(void)
{
	setup();
	drain(true);
	await_drained();
	q_recv(&p.a, 1, &src, 4095, 3001);
	q_send(&p.b, 2, &dst, 99, 3001);
	wc_ok(p.a.rcq, 1);
	wc_ok(p.b.scq, 2);
	buf_moved(&src, 4095, &dst, 99, 3001);
	do_write(&p.b, &dst, 5, &src, 9 * PAGE - 7, 5000);
	do_read(&p.b, &dst, 20 * PAGE + 5, &src, 3, 5000);
	teardown();
}

TEST_MAIN(CASE(idle), CASE(posted_meanwhile_waits), CASE(in_the_middle),
	  CASE(waits_for_the_receiver), CASE(back_before_it_is_drained),
	  CASE(no_more_reads), CASE(no_event_unless_asked), CASE(asked_each_time),
	  CASE(still_receives))
