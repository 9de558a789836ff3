// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Completion channels: an armed queue gives one event for the next completion,
 * or for the next solicited one; errors count as solicited.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;
static struct ibv_comp_channel *chan;
static struct ibv_cq *cq;

static void setup(void)
{
	struct qp_opt opt = opt_rc;

	memset(&p, 0, sizeof(p));
	nic_open(&p.na, cfg.dev);
	nic_open(&p.nb, cfg.peer);
	chan = ibv_create_comp_channel(p.nb.ctx);
	check(chan, "ibv_create_comp_channel: %s", strerror(errno));
	cq = ibv_create_cq(p.nb.ctx, 100, &cq, chan, 0);
	check(cq, "ibv_create_cq: %s", strerror(errno));
	ep_create(&p.a, &p.na, &opt);
	opt.rcq = cq;
	ep_create(&p.b, &p.nb, &opt);
	ep_join(&p.a, &p.b);
	buf_new(&src, 8 * PAGE);
	buf_new(&dst, 8 * PAGE);
	buf_reg(&src, &p.na, ACCESS_ALL);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&dst, "target");
	ep_destroy(&p.a);
	ep_destroy(&p.b);
	cq_free(cq);
	check(!ibv_destroy_comp_channel(chan), "ibv_destroy_comp_channel");
	buf_free(&src);
	buf_free(&dst);
	nic_close(&p.na);
	nic_close(&p.nb);
}

static bool event(unsigned int ms)
{
	struct pollfd pfd = { .fd = chan->fd, .events = POLLIN };
	struct ibv_cq *got;
	void *ctx;

	if (poll(&pfd, 1, ms) != 1)
		return false;
	check(!ibv_get_cq_event(chan, &got, &ctx), "ibv_get_cq_event: %s",
	      strerror(errno));
	check(got == cq && ctx == &cq, "event of another queue");
	ibv_ack_cq_events(cq, 1);
	return true;
}

static void arm(int solicited)
{
	int ret = ibv_req_notify_cq(cq, solicited);

	check(!ret, "ibv_req_notify_cq: %s", strerror(ret));
}

static void send(uint64_t id, int flags)
{
	struct wr w;

	q_recv(&p.b, id, &dst, 99, 200);
	wr_init(&w, IBV_WR_SEND, id);
	w.wr.send_flags |= flags;
	wr_sge(&w, &src, 3 + id, 150);
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, id);
	buf_moved(&dst, 99, &src, 3 + id, 150);
}

static void every_completion(void)
{
	setup();
	for (int i = 0; i < 10; i++) {
		arm(0);
		check(!event(QUIET_MS / 4), "an event without a completion");
		send(1, 0);
		check(event(WAIT_MS), "no event");
		/* Unarmed: the next completion is silent. */
		send(2, 0);
		check(!event(QUIET_MS / 4), "an event of an unarmed queue");
		wc_ok(cq, 1);
		wc_ok(cq, 2);
	}
	teardown();
}

static void never_armed(void)
{
	setup();
	send(1, IBV_SEND_SOLICITED);
	check(!event(QUIET_MS), "an event of an unarmed queue");
	wc_ok(cq, 1);
	teardown();
}

static void solicited(void)
{
	setup();
	for (int i = 0; i < 5; i++) {
		arm(1);
		send(1, 0);
		send(2, 0);
		check(!event(QUIET_MS / 2), "an event of an unsolicited completion");
		send(3, IBV_SEND_SOLICITED);
		check(event(WAIT_MS), "no event");
		wc_ok(cq, 1);
		wc_ok(cq, 2);
		wc_ok(cq, 3);
	}
	teardown();
}

/* Arming for all after arming for solicited ones widens it. */
static void solicited_then_all(void)
{
	setup();
	arm(1);
	arm(0);
	send(1, 0);
	check(event(WAIT_MS), "no event");
	wc_ok(cq, 1);
	/* And the other way round: all stays all. */
	arm(0);
	arm(1);
	send(2, 0);
	check(event(WAIT_MS), "no event");
	wc_ok(cq, 2);
	teardown();
}

static void error_is_solicited(void)
{
	setup();
	arm(1);
	q_recv(&p.b, 1, &dst, 0, 100);
	ep_set_state(&p.b, IBV_QPS_ERR);
	check(event(WAIT_MS), "no event");
	wc_expect(cq, 1, IBV_WC_WR_FLUSH_ERR);
	teardown();
}

/* One event for a burst, and none is lost with the usual poll-arm-poll loop. */
static void burst(void)
{
	unsigned int got = 0;
	struct ibv_wc wc;

	setup();
	arm(0);
	for (int i = 0; i < 60; i++)
		q_recv(&p.b, i, &dst, i * 100, 100);
	for (int i = 0; i < 60; i++) {
		q_send(&p.a, i, &src, i * 7, 100);
		buf_moved(&dst, i * 100, &src, i * 7, 100);
	}
	while (got < 60) {
		check(event(WAIT_MS), "no event with %u of 60 polled", got);
		arm(0);
		while (ibv_poll_cq(cq, 1, &wc) == 1) {
			check(wc.status == IBV_WC_SUCCESS && wc.wr_id == got, "order");
			got++;
		}
	}
	for (int i = 0; i < 60; i++)
		wc_ok(p.a.scq, i);
	teardown();
}

/* With several queues on one channel the event names the right one. */
static void several_queues(void)
{
	struct ibv_cq *more[6], *got;
	struct qp_opt opt = opt_rc;
	struct ep x[6], y[6];
	void *ctx;

	setup();
	for (int i = 0; i < 6; i++) {
		more[i] = ibv_create_cq(p.nb.ctx, 10, &more[i], chan, 0);
		check(more[i], "ibv_create_cq: %s", strerror(errno));
		ep_create(&x[i], &p.na, &opt_rc);
		opt.rcq = more[i];
		ep_create(&y[i], &p.nb, &opt);
		ep_join(&x[i], &y[i]);
		check(!ibv_req_notify_cq(more[i], 0), "ibv_req_notify_cq");
	}
	for (int n = 0; n < 12; n++) {
		int i = rnd_range(0, 5);

		q_recv(&y[i], n, &dst, n * 100, 99);
		q_send(&x[i], n, &src, n, 99);
		buf_moved(&dst, n * 100, &src, n, 99);
		check(!ibv_get_cq_event(chan, &got, &ctx), "ibv_get_cq_event");
		check(got == more[i] && ctx == &more[i], "event of another queue");
		ibv_ack_cq_events(got, 1);
		wc_ok(more[i], n);
		wc_ok(x[i].scq, n);
		check(!ibv_req_notify_cq(more[i], 0), "ibv_req_notify_cq");
	}
	for (int i = 0; i < 6; i++) {
		ep_destroy(&x[i]);
		ep_destroy(&y[i]);
		cq_free(more[i]);
	}
	teardown();
}

TEST_MAIN(CASE(every_completion), CASE(never_armed), CASE(solicited),
	  CASE(solicited_then_all), CASE(error_is_solicited), CASE(burst),
	  CASE(several_queues))
