// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * RDMA READ: every length, into several local SGEs, no bytes with any address,
 * and many in flight.
 */
#include <stdlib.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf dst, src;

static void setup(size_t size)
{
	pair_open(&p, NULL);
	buf_new(&dst, size);
	buf_new(&src, size);
	buf_reg(&dst, &p.na, IBV_ACCESS_LOCAL_WRITE);
	buf_reg(&src, &p.nb, IBV_ACCESS_REMOTE_READ);
}

static void teardown(void)
{
	buf_check(&dst, "target");
	buf_check(&src, "source");
	buf_free(&dst);
	buf_free(&src);
	pair_close(&p);
}

static void sizes(void)
{
	size_t list[MAX_SIZES], n;

	setup(20 * PAGE);
	n = sizes_for(&p, list);
	for (size_t i = 0; i < n; i++) {
		do_read(&p.a, &dst, off_for(&dst, list[i]), &src,
			off_for(&src, list[i]), list[i]);
		buf_check(&dst, "target");
	}
	teardown();
}

static void several_sges(void)
{
	setup(40 * PAGE);
	for (int i = 0; i < 24; i++) {
		unsigned int n = rnd_range(2, p.a.opt.sge);
		size_t s = rnd_range(1, 2 * PAGE), at = s;
		struct wr w;

		wr_init(&w, IBV_WR_RDMA_READ, i);
		wr_remote(&w, &src, s);
		for (unsigned int k = 0; k < n; k++) {
			size_t len = rnd_range(0, i & 1 ? 40 : 2 * PAGE);
			size_t stretch = dst.size / n;
			size_t d = k * stretch + rnd_range(0, stretch - len);

			wr_sge(&w, &dst, d, len);
			buf_moved(&dst, d, &src, at, len);
			at += len;
		}
		wr_post(&p.a, &w);
		wc_ok(p.a.scq, i);
		buf_check(&dst, "target");
	}
	teardown();
}

static void no_bytes_anywhere(void)
{
	struct wr w;

	setup(PAGE);
	for (int i = 0; i < 8; i++) {
		wr_init(&w, IBV_WR_RDMA_READ, i);
		w.wr.wr.rdma.remote_addr = rnd();
		w.wr.wr.rdma.rkey = rnd();
		wr_post(&p.a, &w);
		wc_ok(p.a.scq, i);
	}
	teardown();
}

static void many_in_flight(void)
{
	enum { N = 60 };

	setup(N * 2 * PAGE);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			size_t len = rnd_range(1, 2 * PAGE - 100);
			size_t d = i * 2 * PAGE + rnd_range(0, 99);
			size_t s = off_for(&src, len);

			q_rdma(&p.a, IBV_WR_RDMA_READ, i, &dst, d, &src, s, len);
			buf_moved(&dst, d, &src, s, len);
		}
		for (int i = 0; i < N; i++)
			wc_ok(p.a.scq, i);
		buf_check(&dst, "target");
	}
	teardown();
}

/* Nothing is lost here, and hardly anything may overtake: it is sent once. */
static void long_ones(void)
{
	size_t len = (3 << 20) + 4099;
	long needed = 0, before, sent;

	setup(len + 4 * PAGE);
	before = hw_counter(cfg.peer, "sent_read_resps");
	for (int i = 0; i < 8; i++) {
		do_read(&p.a, &dst, i, &src, 4093 - i, len);
		needed += len / mtu_bytes(pair_mtu(&p)) + 1;
	}
	sent = hw_counter(cfg.peer, "sent_read_resps") - before;
	if (before >= 0)
		check(sent <= needed * 5 / 4, "%ld responses instead of %ld", sent, needed);
	teardown();
}

/* A read sees the writes posted before it on the same QP. */
static void after_write(void)
{
	struct buf l, r;

	pair_begin(&p, &l, 16 * PAGE, &r, 16 * PAGE);
	for (int i = 0; i < 40; i += 2) {
		size_t len = rnd_range(1, 3 * PAGE), at = off_for(&r, len);
		size_t s = rnd_range(0, 4 * PAGE), d = 8 * PAGE + rnd_range(0, 4 * PAGE);

		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &l, s, &r, at, len);
		q_rdma(&p.a, IBV_WR_RDMA_READ, i + 1, &l, d, &r, at, len);
		buf_moved(&r, at, &l, s, len);
		buf_moved(&l, d, &r, at, len);
	}
	for (int i = 0; i < 40; i++)
		wc_ok(p.a.scq, i);
	pair_end(&p, &l, &r);
}

TEST_MAIN(CASE(sizes), CASE(several_sges), CASE(no_bytes_anywhere),
	  CASE(many_in_flight), CASE(long_ones), CASE(after_write))
