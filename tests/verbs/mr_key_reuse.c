// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A deregistered MR's keys are dead, also after its slot was used again by other
 * registrations; keys of live MRs differ and name their own memory. The next key
 * cannot be told from those before.
 */
#include "ops.h"
#include "test.h"

#define MRS 40

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&l, 4 * PAGE);
	buf_new(&r, MRS * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void dead_rkey(uint32_t rkey)
{
	struct wr w;

	wr_init(&w, IBV_WR_RDMA_WRITE, 1);
	wr_sge(&w, &l, 3, 100);
	wr_remote(&w, &r, 5);
	w.wr.wr.rdma.rkey = rkey;
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	buf_check(&r, "remote memory");
	pair_renew(&p, NULL);
}

static void dead_lkey(uint32_t lkey)
{
	struct wr w;

	wr_init(&w, IBV_WR_SEND, 1);
	wr_sge(&w, &r, 3, 100);
	w.sge[0].lkey = lkey;
	wr_post(&p.b, &w);
	wc_expect(p.b.scq, 1, IBV_WC_LOC_PROT_ERR);
	pair_renew(&p, NULL);
}

static void after_dereg(void)
{
	setup();
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_write(&p.a, &l, 1, &r, 4090, 2000);
	buf_dereg(&r);
	dead_rkey(r.rkey);
	dead_lkey(r.lkey);
	teardown();
}

/* The same memory again and again: each time only the newest keys live. */
static void after_reuse(void)
{
	uint32_t old[8];

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
		buf_reg(&r, &p.nb, ACCESS_ALL);
		do_write(&p.a, &l, i, &r, 4090, 2000);
		for (size_t k = 0; k < i; k++)
			check(old[k] != r.rkey, "a dead key was given out again at once");
		old[i] = r.rkey;
		if (i)
			dead_rkey(old[i - 1]);
		buf_dereg(&r);
	}
	buf_reg(&r, &p.nb, ACCESS_ALL);
	dead_rkey(old[rnd_range(0, ARRAY_SIZE(old) - 1)]);
	do_write(&p.a, &l, 7, &r, 4090, 2000);
	teardown();
}

/* Many at once, one a page; some die, the others still name their own page. */
static void many(void)
{
	struct ibv_mr *mr[MRS];

	need_bounds();
	setup();
	for (int i = 0; i < MRS; i++) {
		mr[i] = mr_try(&p.nb, r.map + i * PAGE + 9, PAGE - 20,
			       (uintptr_t)r.map + i * PAGE + 9, ACCESS_ALL, cfg.mode);
		check(mr[i], "MR %d", i);
		for (int k = 0; k < i; k++)
			check(mr[k]->rkey != mr[i]->rkey && mr[k]->lkey != mr[i]->lkey,
			      "two MRs with one key");
	}
	for (int i = 0; i < MRS; i += 3) {
		r.rkey = mr[i]->rkey;
		check(!ibv_dereg_mr(mr[i]), "ibv_dereg_mr");
		if (i % 4 == 0)
			dead_rkey(r.rkey);
	}
	for (int i = 0; i < MRS; i++) {
		if (i % 3 == 0)
			continue;
		r.rkey = mr[i]->rkey;
		do_write(&p.a, &l, i, &r, i * PAGE + 9, PAGE - 20);
		check(!ibv_dereg_mr(mr[i]), "ibv_dereg_mr");
	}
	teardown();
}

/* Overlapping MRs of one memory with different rights. */
static void overlapping(void)
{
	struct ibv_mr *ro;
	struct wr w;

	setup();
	buf_reg(&r, &p.nb, ACCESS_ALL);
	ro = mr_try(&p.nb, r.map + PAGE, 3 * PAGE, (uintptr_t)r.map + PAGE,
		    IBV_ACCESS_REMOTE_READ, cfg.mode);
	check(ro, "second MR");
	do_write(&p.a, &l, 3, &r, PAGE + 1, 5000);
	wr_init(&w, IBV_WR_RDMA_READ, 1);
	wr_sge(&w, &l, 9, 5000);
	wr_remote(&w, &r, PAGE + 7);
	w.wr.wr.rdma.rkey = ro->rkey;
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, 1);
	buf_moved(&l, 9, &r, PAGE + 7, 5000);
	buf_check(&l, "local memory");
	wr_init(&w, IBV_WR_RDMA_WRITE, 2);
	wr_sge(&w, &l, 9, 5000);
	wr_remote(&w, &r, PAGE + 7);
	w.wr.wr.rdma.rkey = ro->rkey;
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 2, IBV_WC_REM_ACCESS_ERR);
	check(!ibv_dereg_mr(ro), "ibv_dereg_mr");
	pair_renew(&p, NULL);
	do_write(&p.a, &l, 77, &r, 2 * PAGE - 1, 3000);
	teardown();
}

/*
 * From the keys before, the next one cannot be told: not its tag, and so not the key.
 * A wrong guess costs the guesser the connection (remote_access).
 */
static void not_guessable(void)
{
	enum { KEYS = 1024, LIMIT = 24 };	/* 4 of each on average */
	unsigned int tags[256] = { 0 }, steps[256] = { 0 }, kept[256] = { 0 };
	uint8_t tag, last = 0;

	setup();
	for (int i = 0; i < KEYS; i++) {
		buf_reg(&r, &p.nb, ACCESS_ALL);
		tag = r.rkey;
		/* The same tag for ever, a step, a bit pattern. */
		tags[tag]++;
		steps[(uint8_t)(tag - last)]++;
		kept[tag ^ last]++;
		last = tag;
		buf_dereg(&r);
	}
	for (int i = 0; i < 256; i++)
		check(tags[i] <= LIMIT && steps[i] <= LIMIT && kept[i] <= LIMIT,
		      "of %d keys %u have tag %#x, %u come by this step, %u by these bits",
		      KEYS, tags[i], i, steps[i], kept[i]);
	teardown();
}

TEST_MAIN(CASE(after_dereg), CASE(after_reuse), CASE(many), CASE(overlapping),
	  CASE(not_guessable))
