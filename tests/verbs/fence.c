// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A fenced request starts after the reads and atomics before it have finished:
 * it carries what they brought.
 */
#include <string.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	pair_begin(&p, &l, 8 * PAGE, &r, 32 * PAGE);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void fenced(enum ibv_wr_opcode op, uint64_t id, size_t l_off, size_t r_off,
		   size_t len)
{
	struct wr w;

	if (op == IBV_WR_SEND)
		q_recv(&p.b, id, &r, r_off, len);
	wr_init(&w, op, id);
	w.wr.send_flags |= IBV_SEND_FENCE;
	wr_sge(&w, &l, l_off, len);
	if (op != IBV_WR_SEND)
		wr_remote(&w, &r, r_off);
	wr_post(&p.a, &w);
	buf_moved(&r, r_off, &l, l_off, len);
}

/* Each round copies remote to remote through the same local bytes. */
static void after_read(enum ibv_wr_opcode op)
{
	setup();
	for (int i = 0; i < 48; i += 2) {
		size_t len = rnd_range(1, 4 * PAGE);
		size_t from = rnd_range(0, 11 * PAGE);
		size_t to = 16 * PAGE + rnd_range(0, 12 * PAGE - 1);

		q_rdma(&p.a, IBV_WR_RDMA_READ, i, &l, 1001, &r, from, len);
		buf_moved(&l, 1001, &r, from, len);
		fenced(op, i + 1, 1001, to, len);
		/* A receive's place is fixed when it is posted: one at a time. */
		wc_ok(p.a.scq, i);
		wc_ok(p.a.scq, i + 1);
		if (op == IBV_WR_SEND)
			wc_ok(p.b.rcq, i + 1);
	}
	teardown();
}

static void write_after_read(void)
{
	after_read(IBV_WR_RDMA_WRITE);
}

static void send_after_read(void)
{
	after_read(IBV_WR_SEND);
}

static void write_after_atomic(void)
{
	setup();
	for (int i = 0; i < 40; i += 2) {
		uint64_t old, v = rnd(), new;
		struct wr w;

		memcpy(&old, r.want + 4096, 8);
		new = old + v;
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, i);
		wr_sge(&w, &l, 4093, 8);
		wr_atomic(&w, &r, 4096, v, 0);
		wr_post(&p.a, &w);
		buf_holds(&l, 4093, &old, 8);
		buf_holds(&r, 4096, &new, 8);
		fenced(IBV_WR_RDMA_WRITE, i + 1, 4093, 3 * PAGE + i * 101, 8);
	}
	for (int i = 0; i < 40; i++)
		wc_ok(p.a.scq, i);
	teardown();
}

TEST_MAIN(CASE(write_after_read), CASE(send_after_read), CASE(write_after_atomic))
