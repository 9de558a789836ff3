// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Reads and atomics in flight, mixed with writes: with the deepest and the
 * shallowest pipeline the results are those of one after the other.
 */
#include <string.h>

#include "ops.h"
#include "test.h"
#include "wire.h"

#define N 60
#define AREA (64 * PAGE)
#define MOST 3000

static struct pair p;
static struct buf l, r;

/* What has been read since the last fence. */
static struct {
	size_t at, len;
} reads[N];
static int num_reads;

/*
 * A READ whose response was lost, or overtaken, is executed again, after what follows it:
 * only a fence keeps that from what it changes (IBTA 10.8.3.3).
 */
static void fence(struct wr *w, size_t at, size_t len)
{
	for (int i = 0; i < num_reads; i++) {
		if (at < reads[i].at + reads[i].len && reads[i].at < at + len) {
			w->wr.send_flags |= IBV_SEND_FENCE;
			num_reads = 0;
		}
	}
}

/* Each result has a slot of its own in l; writes come from l's last pages. */
static void mixed(uint64_t id)
{
	size_t d = id * PAGE + rnd_range(0, 1000), len = rnd_range(1, MOST);
	size_t at = rnd_range(0, AREA - MOST);
	uint64_t old, v = rnd(), new;
	struct wr w;

	switch (rnd_range(0, 3)) {
	case 0:
		wr_init(&w, IBV_WR_RDMA_WRITE, id);
		wr_sge(&w, &l, N * PAGE + at, len);
		wr_remote(&w, &r, at);
		fence(&w, at, len);
		wr_post(&p.a, &w);
		buf_moved(&r, at, &l, N * PAGE + at, len);
		break;
	case 1:
		at &= ~7ul;
		memcpy(&old, r.want + at, 8);
		new = old + v;
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, id);
		wr_sge(&w, &l, d, 8);
		wr_atomic(&w, &r, at, v, 0);
		fence(&w, at, 8);
		wr_post(&p.a, &w);
		buf_holds(&l, d, &old, 8);
		buf_holds(&r, at, &new, 8);
		break;
	default:
		q_rdma(&p.a, IBV_WR_RDMA_READ, id, &l, d, &r, at, len);
		buf_moved(&l, d, &r, at, len);
		reads[num_reads].at = at;
		reads[num_reads++].len = len;
	}
}

static void depth(unsigned int n, const char *netem)
{
	struct qp_opt opt = opt_rc;
	struct wire_end end;

	opt.rd_atomic = n;
	pair_open(&p, &opt);
	if ((int)n > p.na.attr.orig_attr.max_qp_rd_atom)
		skip("max_qp_rd_atom is %d", p.na.attr.orig_attr.max_qp_rd_atom);
	buf_new(&l, N * PAGE + AREA);
	buf_new(&r, AREA);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	if (netem) {
		wire_end_find(&end, &p.nb);
		wire_netem(&end, netem);
	}
	for (int round = 0; round < 3; round++) {
		num_reads = 0;
		for (int i = 0; i < N; i++)
			mixed(i);
		for (int i = 0; i < N; i++)
			wc_ok(p.a.scq, i);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
	if (netem)
		wire_netem(&end, NULL);
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

static void depth_1(void)
{
	depth(1, NULL);
}

static void depth_4(void)
{
	depth(4, NULL);
}

static void depth_16(void)
{
	depth(16, NULL);
}

static void deepest(void)
{
	struct nic nic;

	nic_open(&nic, cfg.dev);
	depth(nic.attr.orig_attr.max_qp_rd_atom, NULL);
	nic_close(&nic);
}

/* Responses overtake each other. */
static void overtaken(void)
{
	long before = hw_counter(cfg.dev, "retransmits");

	depth(16, "delay 1ms reorder 50%");
	check(hw_counter(cfg.dev, "retransmits") > before, "nothing was asked for again");
}

TEST_MAIN(CASE(depth_1), CASE(depth_4), CASE(depth_16), CASE(deepest), CASE(overtaken))
