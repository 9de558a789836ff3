// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * RDMA WRITE: every length, several local SGEs, no bytes with any address, and
 * many in flight to one place, the last of which must win.
 */
#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;

static void setup(size_t size)
{
	pair_open(&p, NULL);
	buf_new(&src, size);
	buf_new(&dst, size);
	buf_reg(&src, &p.na, 0);
	buf_reg(&dst, &p.nb, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
}

static void teardown(void)
{
	buf_check(&src, "source");
	buf_check(&dst, "target");
	buf_free(&src);
	buf_free(&dst);
	pair_close(&p);
}

static void sizes(void)
{
	size_t list[MAX_SIZES], n;

	setup(20 * PAGE);
	n = sizes_for(&p, list);
	for (size_t i = 0; i < n; i++) {
		do_write(&p.a, &src, off_for(&src, list[i]), &dst,
			 off_for(&dst, list[i]), list[i]);
		buf_check(&dst, "target");
	}
	teardown();
}

static void several_sges(void)
{
	setup(40 * PAGE);
	for (int i = 0; i < 24; i++) {
		unsigned int n = rnd_range(2, p.a.opt.sge);
		size_t d = rnd_range(1, 2 * PAGE), at = d;
		struct wr w;

		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		wr_remote(&w, &dst, d);
		for (unsigned int k = 0; k < n; k++) {
			size_t len = rnd_range(0, i & 1 ? 40 : 2 * PAGE);
			size_t s = off_for(&src, len);

			wr_sge(&w, &src, s, len);
			buf_moved(&dst, at, &src, s, len);
			at += len;
		}
		wr_post(&p.a, &w);
		wc_ok(p.a.scq, i);
		buf_check(&dst, "target");
	}
	teardown();
}

/* Of a transfer of no bytes neither the address nor the key may be looked at. */
static void no_bytes_anywhere(void)
{
	struct wr w;

	setup(PAGE);
	for (int i = 0; i < 8; i++) {
		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		w.wr.wr.rdma.remote_addr = rnd();
		w.wr.wr.rdma.rkey = rnd();
		wr_post(&p.a, &w);
		wc_ok(p.a.scq, i);
	}
	teardown();
}

/* Writes of one QP land in the order they were posted. */
static void last_one_wins(void)
{
	enum { N = 60 };

	setup(N * PAGE);
	for (int round = 0; round < 4; round++) {
		size_t len = rnd_range(1, PAGE), d = rnd_range(1, 3 * PAGE);

		for (int i = 0; i < N; i++) {
			size_t s = rnd_range(0, (N - 1) * PAGE);

			q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &src, s, &dst, d, len);
			buf_moved(&dst, d, &src, s, len);
		}
		for (int i = 0; i < N; i++)
			wc_ok(p.a.scq, i);
		buf_check(&dst, "target");
	}
	teardown();
}

/* One message of 3 MiB and odd, so packets by the thousand. */
static void long_one(void)
{
	size_t len = (3 << 20) + 4099;

	setup(len + 4 * PAGE);
	do_write(&p.a, &src, 4095, &dst, 1, len);
	teardown();
}

TEST_MAIN(CASE(sizes), CASE(several_sges), CASE(no_bytes_anywhere),
	  CASE(last_one_wins), CASE(long_one))
