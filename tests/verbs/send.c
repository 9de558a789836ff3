// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * SEND and RECV: every length, several SGEs with odd lengths on both sides,
 * SGEs and whole messages of no bytes.
 */
#include <stdlib.h>
#include <string.h>

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
	buf_reg(&dst, &p.nb, IBV_ACCESS_LOCAL_WRITE);
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
		do_send(&p, &src, off_for(&src, list[i]), &dst,
			off_for(&dst, list[i]), list[i]);
		buf_check(&dst, "target");
	}
	teardown();
}

/* A receive longer than the message leaves its rest alone. */
static void shorter_than_recv(void)
{
	size_t list[MAX_SIZES], n;

	setup(40 * PAGE);
	n = sizes_for(&p, list);
	for (size_t i = 0; i < n; i++) {
		size_t len = list[i], room = len + rnd_range(1, 3 * PAGE);
		size_t s = off_for(&src, len), d = off_for(&dst, room);
		struct ibv_wc wc;

		q_recv(&p.b, i, &dst, d, room);
		q_send(&p.a, i, &src, s, len);
		wc = wc_ok(p.b.rcq, i);
		check(wc.byte_len == len, "received %u bytes instead of %zu",
		      wc.byte_len, len);
		wc_ok(p.a.scq, i);
		buf_moved(&dst, d, &src, s, len);
		buf_check(&dst, "target");
	}
	teardown();
}

/* Cut @total into @n lengths, some of them 0 if @zeros. */
static void cut(size_t total, unsigned int n, size_t *lens, bool zeros)
{
	for (unsigned int i = 0; i < n; i++) {
		lens[i] = i == n - 1 ? total : rnd_range(0, 2 * total / (n - i));
		if (lens[i] > total)
			lens[i] = total;
		if (zeros && i != n - 1 && !rnd_range(0, 2))
			lens[i] = 0;
		total -= lens[i];
	}
}

static void one_scattered(uint64_t id, size_t total, bool zeros)
{
	unsigned int ns = rnd_range(1, p.a.opt.sge), nd = rnd_range(1, p.b.opt.sge);
	size_t sl[MAX_SGE], dl[MAX_SGE], at = 0;
	uint8_t *flat = malloc(total + 1);
	struct ibv_wc wc;
	struct wr w;
	struct rr r;

	check(flat, "no memory");
	wr_init(&w, IBV_WR_SEND, id);
	rr_init(&r, id);
	cut(total, ns, sl, zeros);
	cut(total, nd, dl, zeros);
	for (unsigned int i = 0; i < ns; i++) {
		size_t off = off_for(&src, sl[i]);

		wr_sge(&w, &src, off, sl[i]);
		memcpy(flat + at, src.want + off, sl[i]);
		at += sl[i];
	}
	/* Receive SGEs must not overlap: each has a stretch of its own. */
	at = 0;
	for (unsigned int i = 0, stretch = dst.size / nd; i < nd; i++) {
		size_t off = i * stretch + rnd_range(0, stretch - dl[i]);

		rr_sge(&r, &dst, off, dl[i]);
		buf_holds(&dst, off, flat + at, dl[i]);
		at += dl[i];
	}
	rr_post(&p.b, &r);
	wr_post(&p.a, &w);
	wc = wc_ok(p.b.rcq, id);
	check(wc.byte_len == total, "received %u bytes instead of %zu",
	      wc.byte_len, total);
	wc_ok(p.a.scq, id);
	buf_check(&dst, "target");
	free(flat);
}

static void several_sges(void)
{
	setup(64 * PAGE);
	for (int i = 0; i < 24; i++)
		one_scattered(i, rnd_range(1, i & 1 ? 300 : 6 * PAGE), false);
	teardown();
}

static void sges_of_no_bytes(void)
{
	setup(64 * PAGE);
	for (int i = 0; i < 16; i++)
		one_scattered(i, rnd_range(0, i & 1 ? 300 : 3 * PAGE), true);
	teardown();
}

/* No SGE at all on either side, and many of these in flight. */
static void no_bytes(void)
{
	struct wr w;
	struct rr r;

	setup(PAGE);
	for (int i = 0; i < 32; i++) {
		rr_init(&r, i);
		rr_post(&p.b, &r);
	}
	for (int i = 0; i < 32; i++) {
		wr_init(&w, IBV_WR_SEND, i);
		wr_post(&p.a, &w);
	}
	for (int i = 0; i < 32; i++) {
		check(!wc_ok(p.b.rcq, i).byte_len, "bytes from nowhere");
		wc_ok(p.a.scq, i);
	}
	teardown();
}

/* Both directions at once, many in flight, each in order. */
static void both_ways(void)
{
	enum { N = 30, LEN = 3001 };
	struct buf src2, dst2;

	setup(N * PAGE);
	buf_new(&src2, N * PAGE);
	buf_new(&dst2, N * PAGE);
	buf_reg(&src2, &p.nb, 0);
	buf_reg(&dst2, &p.na, IBV_ACCESS_LOCAL_WRITE);
	for (int i = 0; i < N; i++) {
		q_recv(&p.b, i, &dst, i * PAGE + 99, LEN);
		q_recv(&p.a, i, &dst2, i * PAGE + 1023, LEN);
	}
	for (int i = 0; i < N; i++) {
		q_send(&p.a, i, &src, i * 1013, LEN);
		q_send(&p.b, i, &src2, i * 1511, LEN);
		buf_moved(&dst, i * PAGE + 99, &src, i * 1013, LEN);
		buf_moved(&dst2, i * PAGE + 1023, &src2, i * 1511, LEN);
	}
	for (int i = 0; i < N; i++) {
		wc_ok(p.a.scq, i);
		wc_ok(p.b.scq, i);
		wc_ok(p.a.rcq, i);
		wc_ok(p.b.rcq, i);
	}
	buf_check(&dst2, "target of the way back");
	buf_free(&src2);
	buf_free(&dst2);
	teardown();
}

TEST_MAIN(CASE(sizes), CASE(shorter_than_recv), CASE(several_sges),
	  CASE(sges_of_no_bytes), CASE(no_bytes), CASE(both_ways))
