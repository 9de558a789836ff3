// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Shared receive queues: several QPs draw from one, each entry is used once,
 * the limit event fires once when armed, a modified queue keeps its entries.
 */
#include <errno.h>
#include <string.h>

#include "ops.h"
#include "test.h"

#define QPS 3
#define LEN 1501
#define SLOT (PAGE / 2)

static struct nic na, nb;
static struct ep a[QPS], b[QPS];
static struct ibv_srq *srq;
static struct ibv_cq *rcq;
static struct buf src, dst;

/* @nic has the QPs of side b, with its protection domain. */
static void qps_open(struct nic *nic)
{
	struct qp_opt opt = opt_rc;

	opt.srq = srq;
	opt.rcq = rcq;
	for (int i = 0; i < QPS; i++) {
		ep_create(&a[i], &na, &opt_rc);
		ep_create(&b[i], nic, &opt);
		ep_join(&a[i], &b[i]);
	}
}

static void qps_close(void)
{
	for (int i = 0; i < QPS; i++) {
		ep_destroy(&a[i]);
		ep_destroy(&b[i]);
	}
}

static void setup(uint32_t max_wr)
{
	nic_open(&na, cfg.dev);
	nic_open(&nb, cfg.peer);
	srq = srq_new(&nb, max_wr);
	rcq = cq_new(&nb, 256);
	qps_open(&nb);
	buf_new(&src, 64 * PAGE);
	buf_new(&dst, 64 * PAGE);
	buf_reg(&src, &na, 0);
	buf_reg(&dst, &nb, IBV_ACCESS_LOCAL_WRITE);
}

static void teardown(void)
{
	buf_check(&src, "source");
	buf_check(&dst, "target");
	qps_close();
	srq_free(srq);
	cq_free(rcq);
	buf_free(&src);
	buf_free(&dst);
	nic_close(&na);
	nic_close(&nb);
}

/* Entry @id: an odd place of its own in dst, in two pieces. */
static void put(uint64_t id)
{
	struct rr r;

	rr_init(&r, id);
	rr_sge(&r, &dst, id * SLOT + 7, 501);
	rr_sge(&r, &dst, id * SLOT + 509, LEN - 501);
	rr_post_srq(srq, &r);
}

static void arrived(uint64_t id, size_t s, size_t len)
{
	size_t head = len < 501 ? len : 501;

	buf_moved(&dst, id * SLOT + 7, &src, s, head);
	buf_moved(&dst, id * SLOT + 509, &src, s + head, len - head);
}

static void send_one(int qp, size_t len)
{
	size_t s = off_for(&src, len);
	struct ibv_wc wc;

	q_send(&a[qp], 1, &src, s, len);
	wc = wc_wait(rcq);
	check(wc.status == IBV_WC_SUCCESS, "receive: %s",
	      ibv_wc_status_str(wc.status));
	check(wc.byte_len == len, "%u bytes instead of %zu", wc.byte_len, len);
	check(wc.qp_num == b[qp].qp->qp_num, "completion names another QP");
	wc_ok(a[qp].scq, 1);
	arrived(wc.wr_id, s, len);
	buf_check(&dst, "target");
}

static void in_order(void)
{
	setup(32);
	for (int i = 0; i < 30; i++)
		put(i);
	for (int i = 0; i < 30; i++)
		send_one(rnd_range(0, QPS - 1), rnd_range(0, LEN));
	teardown();
}

/* All QPs at once: whoever takes an entry, each message is in one of them. */
static void all_at_once(void)
{
	size_t s[QPS][10], len[QPS][10];
	unsigned int next[QPS] = { 0 };
	uint64_t used = 0;

	setup(32);
	for (int i = 0; i < QPS * 10; i++)
		put(i);
	for (int k = 0; k < 10; k++) {
		for (int i = 0; i < QPS; i++) {
			len[i][k] = rnd_range(1, LEN);
			s[i][k] = off_for(&src, len[i][k]);
			q_send(&a[i], k, &src, s[i][k], len[i][k]);
		}
	}
	for (int n = 0; n < QPS * 10; n++) {
		struct ibv_wc wc = wc_wait(rcq);
		int i = 0;

		check(wc.status == IBV_WC_SUCCESS, "receive: %s",
		      ibv_wc_status_str(wc.status));
		while (i < QPS && b[i].qp->qp_num != wc.qp_num)
			i++;
		check(i < QPS, "completion of no QP of ours");
		check(wc.wr_id < 30 && !(used & (1ull << wc.wr_id)),
		      "entry %llu used twice", (unsigned long long)wc.wr_id);
		used |= 1ull << wc.wr_id;
		check(wc.byte_len == len[i][next[i]], "wrong length or order");
		arrived(wc.wr_id, s[i][next[i]], len[i][next[i]]);
		next[i]++;
	}
	for (int i = 0; i < QPS; i++)
		for (int k = 0; k < 10; k++)
			wc_ok(a[i].scq, k);
	teardown();
}

/* An empty queue makes senders wait; posting lets them go on. */
static void filled_late(void)
{
	size_t s[QPS];

	setup(16);
	for (int i = 0; i < QPS; i++) {
		s[i] = off_for(&src, LEN);
		q_send(&a[i], i, &src, s[i], LEN);
	}
	wc_none(rcq);
	for (int i = 0; i < QPS; i++)
		put(i);
	for (int n = 0; n < QPS; n++) {
		struct ibv_wc wc = wc_wait(rcq);
		int i = 0;

		check(wc.status == IBV_WC_SUCCESS, "receive: %s",
		      ibv_wc_status_str(wc.status));
		while (i < QPS - 1 && b[i].qp->qp_num != wc.qp_num)
			i++;
		arrived(wc.wr_id, s[i], LEN);
		wc_ok(a[i].scq, i);
	}
	teardown();
}

static void limit(void)
{
	struct ibv_srq_attr attr = { .srq_limit = 4 };
	struct ibv_async_event ev;
	int ret;

	setup(16);
	for (int i = 0; i < 10; i++)
		put(i);
	ret = ibv_modify_srq(srq, &attr, IBV_SRQ_LIMIT);
	check(!ret, "arming the limit: %s", strerror(ret));
	ret = ibv_query_srq(srq, &attr);
	check(!ret && attr.srq_limit == 4, "limit of %u", attr.srq_limit);
	/* 10 entries, 6 taken: 4 are left, and that is not below 4. */
	for (int i = 0; i < 6; i++)
		send_one(i % QPS, 100);
	check(event_poll(&nb, &ev, QUIET_MS), "event \"%s\" too early",
	      ibv_event_type_str(ev.event_type));
	send_one(0, 100);
	event_expect(&nb, IBV_EVENT_SRQ_LIMIT_REACHED, 0, &ev);
	check(ev.element.srq == srq, "event of another SRQ");
	/* It fires once; arming it again is the consumer's business. */
	send_one(1, 100);
	check(event_poll(&nb, &ev, QUIET_MS), "event \"%s\" unarmed",
	      ibv_event_type_str(ev.event_type));
	ret = ibv_query_srq(srq, &attr);
	check(!ret && !attr.srq_limit, "limit of %u after it fired",
	      attr.srq_limit);
	teardown();
}

/* The next message tells that there is none, and comes in when there is. */
static void limit_of_an_empty_one(void)
{
	struct ibv_srq_attr attr = { .srq_limit = 4 };
	struct ibv_async_event ev;
	size_t s;

	setup(16);
	check(!ibv_modify_srq(srq, &attr, IBV_SRQ_LIMIT), "arming the limit");
	s = off_for(&src, LEN);
	q_send(&a[0], 1, &src, s, LEN);
	event_expect(&nb, IBV_EVENT_SRQ_LIMIT_REACHED, 0, &ev);
	check(ev.element.srq == srq, "event of another SRQ");
	put(2);
	wc_ok(rcq, 2);
	wc_ok(a[0].scq, 1);
	arrived(2, s, LEN);
	check(event_poll(&nb, &ev, QUIET_MS), "event \"%s\" unarmed",
	      ibv_event_type_str(ev.event_type));
	teardown();
}

/* Growing keeps what is queued; shrinking below it is refused. */
static void resize(void)
{
	struct ibv_srq_attr attr = { .max_wr = 60 };
	int ret;

	setup(15);
	if (!(na.attr.orig_attr.device_cap_flags & IBV_DEVICE_SRQ_RESIZE))
		skip("no SRQ resize");
	for (int i = 0; i < 10; i++)
		put(i);
	for (int i = 0; i < 3; i++)
		send_one(i, rnd_range(1, LEN));
	ret = ibv_modify_srq(srq, &attr, IBV_SRQ_MAX_WR);
	check(!ret, "growing: %s", strerror(ret));
	ret = ibv_query_srq(srq, &attr);
	check(!ret && attr.max_wr >= 60, "srq of %u", attr.max_wr);
	for (int i = 10; i < 60; i++)
		put(i);
	attr.max_wr = 5;
	check(ibv_modify_srq(srq, &attr, IBV_SRQ_MAX_WR),
	      "shrunk below what is queued");
	for (int i = 3; i < 60; i++)
		send_one(i % QPS, rnd_range(1, LEN));
	teardown();
}

static void full(void)
{
	struct ibv_recv_wr wr = { .wr_id = 1 }, *bad = NULL;
	unsigned int n = 0;

	setup(10);
	while (!ibv_post_srq_recv(srq, &wr, &bad))
		check(++n < 100000, "an SRQ without end");
	check(bad == &wr, "bad_wr not set");
	check(n >= 10, "only %u of 10 entries", n);
	teardown();
}

/* Its buffers are of its own protection domain, whichever the QPs' is (IBTA 10.2.9). */
static void another_pd(void)
{
	struct nic other;
	struct rr r;

	setup(8);
	other = nb;
	other.pd = ibv_alloc_pd(nb.ctx);
	check(other.pd, "ibv_alloc_pd");
	qps_close();
	qps_open(&other);
	for (int i = 0; i < 4; i++)
		put(i);
	for (int i = 0; i < 4; i++)
		send_one(i % QPS, LEN - i);

	/* And of the QPs' it may not be. */
	buf_dereg(&dst);
	buf_reg(&dst, &other, IBV_ACCESS_LOCAL_WRITE);
	rr_init(&r, 9);
	rr_sge(&r, &dst, 5, 100);
	rr_post_srq(srq, &r);
	q_send(&a[0], 1, &src, 3, 100);
	wc_expect(rcq, 9, IBV_WC_LOC_PROT_ERR);
	wc_expect(a[0].scq, 1, IBV_WC_REM_OP_ERR);
	qps_close();
	buf_dereg(&dst);
	check(!ibv_dealloc_pd(other.pd), "ibv_dealloc_pd");
	qps_open(&nb);
	teardown();
}

TEST_MAIN(CASE(in_order), CASE(all_at_once), CASE(filled_late), CASE(limit),
	  CASE(limit_of_an_empty_one), CASE(resize), CASE(full), CASE(another_pd))
