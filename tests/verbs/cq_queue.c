// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Completion queues as queues: resized up and down with entries inside, used
 * round and round, shared by send and receive sides, and overrun, which is an
 * error of the queue and of the QPs on it.
 */
#include <string.h>

#include "ops.h"
#include "test.h"

#define WRITE 99

static struct pair p;
static struct buf src, dst;
static struct ibv_cq *cq;

static void setup(int cqe)
{
	struct qp_opt opt = opt_rc;

	memset(&p, 0, sizeof(p));
	nic_open(&p.na, cfg.dev);
	nic_open(&p.nb, cfg.peer);
	cq = cq_new(&p.na, cqe);
	check(cq->cqe >= cqe, "a queue of %d instead of %d", cq->cqe, cqe);
	ep_create(&p.b, &p.nb, &opt);
	opt.scq = cq;
	opt.send_wr = 256;
	ep_create(&p.a, &p.na, &opt);
	ep_join(&p.a, &p.b);
	buf_new(&src, 8 * PAGE);
	buf_new(&dst, 8 * PAGE);
	buf_reg(&src, &p.na, ACCESS_ALL);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&dst, "target");
	buf_check(&src, "source");
	ep_destroy(&p.a);
	ep_destroy(&p.b);
	cq_free(cq);
	buf_free(&src);
	buf_free(&dst);
	nic_close(&p.na);
	nic_close(&p.nb);
}

static size_t place(uint64_t id)
{
	return id % 200 * 100;
}

static void write_one(uint64_t id)
{
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, id, &src, place(id) + 7, &dst, place(id) + 3, WRITE);
	buf_moved(&dst, place(id) + 3, &src, place(id) + 7, WRITE);
}

/* Have work @from to @to - 1 done but not polled: the last is waited for. */
static void leave_inside(uint64_t from, uint64_t to)
{
	for (uint64_t id = from; id < to; id++)
		write_one(id);
	/* Where the bytes are there, the ACK soon is. */
	buf_await(&dst);
	sleep_ms(QUIET_MS);
}

static void resize_to(int cqe)
{
	int ret = ibv_resize_cq(cq, cqe);

	check(!ret, "resizing to %d: %s", cqe, strerror(ret));
	check(cq->cqe >= cqe, "a queue of %d instead of %d", cq->cqe, cqe);
}

static void resize_with_entries(void)
{
	static const int to[] = { 100, 500, 60, 31, 200 };
	uint64_t id = 0;

	setup(60);
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		uint64_t first = id, n = 20 + rnd_range(0, 10);

		leave_inside(id, id + n);
		id += n;
		/* Some are taken out, so that the ring does not start at 0. */
		for (int k = 0; k < 7; k++)
			wc_ok(cq, first++);
		resize_to(to[i]);
		while (first < id)
			wc_ok(cq, first++);
		wc_none(cq);
	}
	teardown();
}

static void too_small_for_its_entries(void)
{
	uint64_t id = 0;

	setup(60);
	leave_inside(0, 40);
	check(ibv_resize_cq(cq, 10), "shrunk below what is inside");
	while (id < 40)
		wc_ok(cq, id++);
	teardown();
}

/* Resize while completions are coming in. */
static void resize_under_traffic(void)
{
	uint64_t posted = 0, done = 0;

	setup(300);
	for (int i = 0; i < 20; i++) {
		while (posted - done < 200)
			write_one(posted++);
		resize_to(rnd_range(250, 1000));
		while (posted - done > 50)
			wc_ok(cq, done++);
	}
	while (done < posted)
		wc_ok(cq, done++);
	teardown();
}

static void round_and_round(void)
{
	uint64_t posted = 0, done = 0;

	setup(5);
	while (done < 400) {
		while (posted < done + 5)
			write_one(posted++);
		for (unsigned int n = rnd_range(1, 5); n && done < posted; n--)
			wc_ok(cq, done++);
	}
	while (done < posted)
		wc_ok(cq, done++);
	teardown();
}

/* Bytes of a write that have come; of the last one in part, if it waited for its second page. */
static size_t write_came(uint64_t id)
{
	const uint8_t *got = dst.map + place(id) + 3, *sent = src.want + place(id) + 7;
	size_t len = 0;

	while (len < WRITE && got[len] == sent[len])
		len++;
	buf_moved(&dst, place(id) + 3, &src, place(id) + 7, len);
	return len;
}

/* Nobody polls: the queue overruns, which its consumer is told, and so are QPs. */
static void overrun_once(void)
{
	struct ibv_async_event ev;
	bool cq_err = false, qp_fatal = false;
	static uint8_t before[8 * PAGE];
	int n;

	setup(4);
	memcpy(before, dst.want, sizeof(before));
	n = cq->cqe + 40;
	for (int i = 0; i < n; i++)
		write_one(i);
	while (!cq_err || !qp_fatal) {
		check(!event_poll(&p.na, &ev, WAIT_MS), "no event \"%s\"",
		      ibv_event_type_str(cq_err ? IBV_EVENT_QP_FATAL :
					 IBV_EVENT_CQ_ERR));
		if (ev.event_type == IBV_EVENT_CQ_ERR) {
			check(ev.element.cq == cq, "event of another queue");
			cq_err = true;
		} else if (ev.event_type == IBV_EVENT_QP_FATAL) {
			check(ev.element.qp == p.a.qp, "event of another QP");
			qp_fatal = true;
		}
	}
	ep_await_state(&p.a, IBV_QPS_ERR);
	/* How many writes got through is open, but they did so in order. */
	ep_set_state(&p.b, IBV_QPS_ERR);
	memcpy(dst.want, before, sizeof(before));
	for (int i = 0; i < n && write_came(i) == WRITE; i++)
		;
	teardown();
}

static void overrun(void)
{
	for (uint64_t i = 0; i < (cfg.count ?: 1); i++)
		overrun_once();
}

/* A message that its receiver will never know of is no success of the sender's. */
static void receives_overrun(void)
{
	struct qp_opt opt = opt_rc;
	struct ibv_wc wc;
	int n = 0;

	setup(4);
	ep_destroy(&p.a);
	ep_destroy(&p.b);
	ep_create(&p.a, &p.na, &opt);
	opt.rcq = cq_new(&p.nb, 4);
	ep_create(&p.b, &p.nb, &opt);
	ep_join(&p.a, &p.b);
	for (int i = 0; i < p.b.rcq->cqe + 2; i++)
		q_recv(&p.b, i, &dst, 100 * i, 99);
	do {
		q_send(&p.a, n, &src, n, 99);
		wc = wc_wait(p.a.scq);
		if (wc.status == IBV_WC_SUCCESS)
			buf_moved(&dst, 100 * n, &src, n, 99);
	} while (wc.status == IBV_WC_SUCCESS && ++n < p.b.rcq->cqe + 2);
	check(wc.status == IBV_WC_REM_OP_ERR, "%s", ibv_wc_status_str(wc.status));
	check(n >= p.b.rcq->cqe, "%d of %d", n, p.b.rcq->cqe);
	/* It has come, all the same. */
	memcpy(dst.want + 100 * n, dst.map + 100 * n, 99);
	for (int i = 0; i < n; i++)
		wc_ok(p.b.rcq, i);
	ep_await_state(&p.b, IBV_QPS_ERR);
	ep_destroy(&p.b);
	cq_free(opt.rcq);
	ep_create(&p.b, &p.nb, &opt_rc);
	teardown();
}

/* The send and the receive side of one QP, and both QPs, on one queue. */
static void shared_by_all(void)
{
	struct qp_opt opt = opt_rc;
	unsigned int seen[2] = { 0, 0 };
	struct ep x, y;
	struct nic nic;
	struct buf m;

	nic_open(&nic, cfg.dev);
	cq = cq_new(&nic, 200);
	opt.scq = opt.rcq = cq;
	ep_create(&x, &nic, &opt);
	ep_create(&y, &nic, &opt);
	ep_join(&x, &y);
	buf_new(&m, 8 * PAGE);
	buf_reg(&m, &nic, ACCESS_ALL);
	for (int i = 0; i < 40; i++) {
		q_recv(&y, 100 + i, &m, 4 * PAGE + i * 101, 100);
		q_send(&x, i, &m, i * 101 + 5, 100);
		buf_moved(&m, 4 * PAGE + i * 101, &m, i * 101 + 5, 100);
	}
	for (int i = 0; i < 80; i++) {
		struct ibv_wc wc = wc_wait(cq);
		bool recv = wc.wr_id >= 100;

		check(wc.status == IBV_WC_SUCCESS, "%s",
		      ibv_wc_status_str(wc.status));
		check(wc.qp_num == (recv ? y : x).qp->qp_num, "wrong QP");
		check(wc.wr_id == (recv ? 100 : 0) + seen[recv], "out of order");
		seen[recv]++;
	}
	buf_check(&m, "memory");
	ep_destroy(&x);
	ep_destroy(&y);
	cq_free(cq);
	buf_free(&m);
	nic_close(&nic);
}

TEST_MAIN(CASE(resize_with_entries), CASE(too_small_for_its_entries),
	  CASE(resize_under_traffic), CASE(round_and_round), CASE(overrun), CASE(receives_overrun),
	  CASE(shared_by_all))
