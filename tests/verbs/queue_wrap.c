// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The rings of a QP: full ones refuse, both go round many times, lists are
 * posted up to the first that does not fit, and unsignaled requests make room
 * when a later one completes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;

static void setup(const struct qp_opt *opt)
{
	pair_open(&p, opt);
	buf_new(&src, 16 * PAGE);
	buf_new(&dst, 16 * PAGE);
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

static unsigned int fill_send_queue(void)
{
	struct ibv_send_wr *bad = NULL;
	unsigned int n = 0;
	struct wr w;
	int ret;

	for (;;) {
		wr_init(&w, IBV_WR_SEND, n);
		wr_sge(&w, &src, n, 50);
		ret = ibv_post_send(p.a.qp, &w.wr, &bad);
		if (ret)
			break;
		check(++n < 100000, "a queue without end");
	}
	/* Old providers hand out the negative. */
	check(abs(ret) == ENOMEM, "a full queue says %s", strerror(abs(ret)));
	check(bad == &w.wr, "bad_wr not set");
	return n;
}

static void full(void)
{
	struct qp_opt opt = opt_rc;
	struct ibv_recv_wr rwr = { .wr_id = 9 }, *rbad = NULL;
	unsigned int n, r = 0;

	opt.send_wr = 10;
	opt.recv_wr = 20;
	setup(&opt);
	/* Nobody receives, so nothing leaves the queue. */
	n = fill_send_queue();
	check(n >= 10, "only %u of 10 requests", n);
	for (unsigned int i = 0; i < n; i++) {
		q_recv(&p.b, i, &dst, i * 64, 50);
		wc_ok(p.b.rcq, i);
		wc_ok(p.a.scq, i);
		buf_moved(&dst, i * 64, &src, i, 50);
	}
	/* It has room again. */
	do_write(&p.a, &src, 3, &dst, 5, 4000);
	while (!ibv_post_recv(p.b.qp, &rwr, &rbad))
		check(++r < 100000, "a queue without end");
	check(r >= 20, "only %u of 20 receives", r);
	check(rbad == &rwr, "bad_wr not set");
	teardown();
}

static void round_and_round(void)
{
	struct qp_opt opt = opt_rc;

	opt.send_wr = opt.recv_wr = 7;
	setup(&opt);
	for (unsigned int done = 0, posted = 0; done < 300;) {
		for (; posted < done + 7; posted++) {
			size_t d = posted % 100 * 128;

			q_recv(&p.b, posted, &dst, d + 1, 120);
			q_send(&p.a, posted, &src, posted, 120);
			buf_moved(&dst, d + 1, &src, posted, 120);
		}
		for (unsigned int n = rnd_range(1, 7); n; n--, done++) {
			wc_ok(p.b.rcq, done);
			wc_ok(p.a.scq, done);
		}
	}
	/* The rest of the last fill. */
	sleep_ms(QUIET_MS);
	teardown();
}

#define LIST 20

static void lists(void)
{
	struct ibv_send_wr *bad;
	struct ibv_recv_wr *rbad;
	struct wr w[LIST];
	struct rr r[LIST];
	int ret;

	setup(NULL);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < LIST; i++) {
			size_t len = rnd_range(0, 600);

			rr_init(&r[i], i);
			rr_sge(&r[i], &dst, i * 700 + round, 650);
			wr_init(&w[i], IBV_WR_SEND, i);
			wr_sge(&w[i], &src, i * 55 + round, len);
			buf_moved(&dst, i * 700 + round, &src, i * 55 + round, len);
			if (i) {
				w[i - 1].wr.next = &w[i].wr;
				r[i - 1].wr.next = &r[i].wr;
			}
		}
		ret = ibv_post_recv(p.b.qp, &r[0].wr, &rbad);
		check(!ret, "ibv_post_recv: %s", strerror(ret));
		ret = ibv_post_send(p.a.qp, &w[0].wr, &bad);
		check(!ret, "ibv_post_send: %s", strerror(ret));
		for (int i = 0; i < LIST; i++) {
			wc_ok(p.b.rcq, i);
			wc_ok(p.a.scq, i);
		}
		buf_check(&dst, "target");
	}
	teardown();
}

/* A list that breaks off: what is before the bad one is done. */
static void list_with_a_bad_one(void)
{
	struct ibv_send_wr *bad = NULL;
	struct wr w[3];

	setup(NULL);
	for (int i = 0; i < 3; i++) {
		wr_init(&w[i], IBV_WR_RDMA_WRITE, i);
		wr_sge(&w[i], &src, i * 100, 100);
		wr_remote(&w[i], &dst, i * 1000);
		if (i)
			w[i - 1].wr.next = &w[i].wr;
	}
	/* More SGEs than the QP was made for. */
	w[1].wr.num_sge = MAX_SGE + 1;
	check(ibv_post_send(p.a.qp, &w[0].wr, &bad), "%d SGEs were taken",
	      MAX_SGE + 1);
	check(bad == &w[1].wr, "bad_wr is not the bad one");
	wc_ok(p.a.scq, 0);
	wc_none(p.a.scq);
	buf_moved(&dst, 0, &src, 0, 100);
	do_write(&p.a, &src, 3, &dst, 5, 4000);
	teardown();
}

/* Only each fifth request has a completion; all of them are done, in order. */
static void unsignaled(void)
{
	struct qp_opt opt = opt_rc;
	struct wr w;

	opt.unsignaled = true;
	opt.send_wr = 20;
	setup(&opt);
	for (int i = 0; i < 200; i++) {
		size_t len = rnd_range(1, 2000), at = off_for(&dst, len);

		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		wr_sge(&w, &src, i, len);
		wr_remote(&w, &dst, at);
		if (i % 5 != 4)
			w.wr.send_flags = 0;
		wr_post(&p.a, &w);
		buf_moved(&dst, at, &src, i, len);
		if (i % 5 == 4)
			wc_ok(p.a.scq, i);
	}
	wc_none(p.a.scq);
	teardown();
}

/* sq_sig_all makes every request signaled, whatever its flags. */
static void all_signaled(void)
{
	struct wr w;

	setup(NULL);
	for (int i = 0; i < 20; i++) {
		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		wr_sge(&w, &src, i, 500);
		wr_remote(&w, &dst, i * 501);
		w.wr.send_flags = 0;
		wr_post(&p.a, &w);
		buf_moved(&dst, i * 501, &src, i, 500);
	}
	for (int i = 0; i < 20; i++)
		wc_ok(p.a.scq, i);
	teardown();
}

/*
 * A completion tells that its slot is free. On a cold target a worker completes
 * the request, on another CPU than the one that polls and posts the next.
 */
static void slot_with_its_completion(void)
{
	const size_t page = 4 * PAGE, at = page + 33, len = 200;
	struct qp_opt opt = opt_rc;
	struct ibv_wc wc;
	int n;

	opt.send_wr = 1;
	setup(&opt);
	for (int i = 0; i < 3000; i++) {
		uint64_t end = now_ms() + WAIT_MS;

		if (cfg.mode != MODE_PINNED) {
			check(!madvise(dst.map + page, PAGE, MADV_DONTNEED),
			      "madvise: %s", strerror(errno));
			memset(dst.want + page, 0, PAGE);
		}
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &src, i, &dst, at, len);
		while (!(n = ibv_poll_cq(p.a.scq, 1, &wc)))
			check(now_ms() < end, "no completion");
		check(n == 1 && wc.status == IBV_WC_SUCCESS, "write %d: %s", i,
		      ibv_wc_status_str(wc.status));
	}
	buf_moved(&dst, at, &src, 2999, len);
	teardown();
}

TEST_MAIN(CASE(full), CASE(round_and_round), CASE(lists), CASE(list_with_a_bad_one),
	  CASE(unsignaled), CASE(all_signaled), CASE(slot_with_its_completion))
