// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * An implicit MR is the whole address space: what is mapped after it was made, wherever
 * that is; a hole is an error and nothing else. What the device keeps for it grows with
 * what was accessed, and shrinks when the system needs memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ops.h"
#include "pages.h"
#include "test.h"
#include "traffic.h"

#define TIB (1ul << 40)
#define PAGES 16

static struct pair p;
static struct ibv_mr *mr_a, *mr_b;

static struct ibv_mr *everything(struct nic *nic)
{
	struct ibv_mr *mr = mr_try(nic, NULL, 0, 0, ACCESS_ALL, MODE_IMPLICIT);

	check(mr, "registering everything: %s", strerror(errno));
	return mr;
}

static void setup(void)
{
	need_odp();
	pair_open(&p, NULL);
	mr_a = everything(&p.na);
	mr_b = everything(&p.nb);
}

static void teardown(void)
{
	pair_works(&p);
	check(!ibv_dereg_mr(mr_a) && !ibv_dereg_mr(mr_b), "ibv_dereg_mr");
	pair_close(&p);
}

static void *map_at(uintptr_t at, size_t size)
{
	void *map = mmap((void *)at, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
			 (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	check(map != MAP_FAILED, "mmap: %s", strerror(errno));
	return map;
}

static void join(struct buf *b, const struct ibv_mr *mr)
{
	b->lkey = mr->lkey;
	b->rkey = mr->rkey;
}

/* New memory, mapped at @at or anywhere, that only @mr makes accessible. */
static void map_new(struct buf *b, uintptr_t at, size_t size, const struct ibv_mr *mr)
{
	buf_adopt(b, map_at(at, size), size);
	buf_refill(b);
	join(b, mr);
}

/* Of all kinds of operations, in which one or two sides' memory is newer than its MR. */
static void mapped_later(void)
{
	static struct traffic t;

	setup();
	t.p = &p;
	for (int i = 0; i < 8; i++) {
		if (i & 1)
			map_new(&t.l, 0, TRAFFIC_SIZE, mr_a);
		else
			buf_new_cold(&t.l, TRAFFIC_SIZE);
		if (i & 2)
			map_new(&t.r, 0, TRAFFIC_SIZE, mr_b);
		else
			buf_new_cold(&t.r, TRAFFIC_SIZE);
		join(&t.l, mr_a);
		join(&t.r, mr_b);
		for (int k = 0; k < 4; k++)
			traffic_round(&t);
		do_all(&p, &t.l, &t.r, 3 * PAGE - 77, 9 * PAGE);
		/* The next are likely to come where these are. */
		traffic_close(&t);
	}
	teardown();
}

/* Mappings terabytes apart, by one key and in one message. */
static void far_apart(void)
{
	struct buf low, high, l, r;
	struct wr w;

	setup();
	map_new(&low, TIB + 13 * PAGE, PAGES * PAGE, mr_b);
	map_new(&high, 120 * TIB + HUGE - 5 * PAGE, PAGES * PAGE, mr_b);
	map_new(&l, 3 * TIB, 2 * PAGES * PAGE, mr_a);
	map_new(&r, 77 * TIB, 2 * PAGES * PAGE, mr_b);
	for (int i = 0; i < 8; i++) {
		struct buf *b = i & 1 ? &low : &high;
		size_t len = rnd_range(1, (PAGES - 1) * PAGE);

		do_all(&p, &l, b, rnd_range(0, PAGES * PAGE - len), len);
		buf_check(&low, "the lower one");
		buf_check(&high, "the higher one");
		/* From both at once, by one key. */
		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		wr_sge(&w, &low, 77, 3 * PAGE);
		wr_sge(&w, &high, 5 * PAGE + 1, 3 * PAGE);
		wr_remote(&w, &l, 501);
		wr_post(&p.b, &w);
		wc_ok(p.b.scq, i);
		buf_moved(&l, 501, &low, 77, 3 * PAGE);
		buf_moved(&l, 501 + 3 * PAGE, &high, 5 * PAGE + 1, 3 * PAGE);
		buf_check(&l, "what came from both");
		do_write(&p.b, b, 5, &l, 99, 5 * PAGE);
		do_send(&p, &l, 1, &r, rnd_range(0, PAGE), PAGES * PAGE);
	}
	buf_check(&r, "what was received");
	buf_free(&low);
	buf_free(&high);
	buf_free(&l);
	buf_free(&r);
	teardown();
}

/* @at is in no mapping, neither for the owner of @b nor for its peer. */
static void refused(const struct buf *l, const struct buf *b, size_t at, size_t len)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };
	struct wr w;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		q_rdma(&p.a, ops[i], 1, l, 77, b, at, len);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		pair_renew(&p, NULL);
		q_rdma(&p.b, ops[i], 1, b, at, l, 77, len);
		wc_expect(p.b.scq, 1, IBV_WC_LOC_PROT_ERR);
		pair_renew(&p, NULL);
	}
	wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, 1);
	wr_sge(&w, l, 77, 8);
	wr_atomic(&w, b, (at + 7) & ~7ul, 1, 0);
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	pair_renew(&p, NULL);
	q_recv(&p.b, 2, b, at, len);
	q_send(&p.a, 1, l, 77, len);
	wc_expect(p.b.rcq, 2, IBV_WC_LOC_PROT_ERR);
	wc_expect(p.a.scq, 1, IBV_WC_REM_OP_ERR);
	pair_renew(&p, NULL);
	buf_check(l, "local memory after what was refused");
}

/* Beside mappings that work, in one table with them, or where nothing is far and wide. */
static void hole_in_between(void)
{
	const uintptr_t at = 9 * TIB + HUGE / 2;
	struct buf before, behind, l;

	setup();
	map_new(&before, at, PAGES * PAGE, mr_b);
	map_new(&behind, at + 2 * PAGES * PAGE, PAGES * PAGE, mr_b);
	map_new(&l, 3 * TIB, 2 * PAGES * PAGE, mr_a);
	for (int i = 0; i < 2; i++) {
		refused(&l, &before, PAGES * PAGE, 1);
		refused(&l, &before, PAGES * PAGE + 4093, 3 * PAGE);
		refused(&l, &behind, -(size_t)PAGE, PAGE);
		refused(&l, &before, TIB + 501, 5000);
		buf_check(&before, "what lies before the hole");
		buf_check(&behind, "what lies behind it");
		/* Warm the second time. */
		do_all(&p, &l, &before, 1, PAGES * PAGE - 1);
		do_all(&p, &l, &behind, 0, PAGES * PAGE);
	}
	/* Then something is there, as one memory with its neighbours. */
	check(map_at(at + PAGES * PAGE, PAGES * PAGE), "mmap");
	before.want = realloc(before.want, 3 * PAGES * PAGE);
	check(before.want, "no memory");
	memset(before.want + PAGES * PAGE, 0, PAGES * PAGE);
	memcpy(before.want + 2 * PAGES * PAGE, behind.want, PAGES * PAGE);
	before.size = 3 * PAGES * PAGE;
	do_all(&p, &l, &before, PAGES * PAGE - 501, (PAGES + 9) * PAGE);
	buf_free(&before);
	free(behind.want);
	buf_free(&l);
	teardown();
}

#define REGION (64ul << 20)
#define REGIONS 3
#define TABLES (REGIONS * REGION / HUGE)

static void must_be(const char *name, long want)
{
	long is = hw_counter(cfg.peer, name);

	check(is == want, "%s is %ld and not %ld", name, is, want);
}

/* One page of each piece that has a table of its own. */
static void touch_each(struct buf *l, uint8_t *map, uint8_t *want)
{
	struct buf page = { .size = PAGE, .fd = -1 };

	join(&page, mr_b);
	for (size_t i = 0; i < TABLES; i++) {
		page.map = map + i * HUGE + i * PAGE;
		page.base = (uintptr_t)page.map;
		page.want = want + i * PAGE;
		do_write(&p.a, l, i * 99, &page, i, PAGE - 3 * i);
		buf_check(&page, "the only page of its piece");
	}
}

static void tables_come_and_go(void)
{
	uint64_t end = now_ms() + WAIT_MS;
	/* Where both sides are one device it has a table for the source as well. */
	long own = !strcmp(cfg.dev, cfg.peer);
	uint8_t *map, *want;
	struct buf l;

	setup();
	map_new(&l, 3 * TIB, PAGES * PAGE, mr_a);
	map = map_at(50 * TIB, REGIONS * REGION);
	check(!madvise(map, REGIONS * REGION, MADV_NOHUGEPAGE), "madvise: %s", strerror(errno));
	want = calloc(TABLES, PAGE);
	check(want, "no memory");
	/* What those before this have left goes by itself. */
	while (hw_counter(cfg.peer, "odp_regions") > 0)
		check(now_ms() < end, "%ld regions of nobody",
		      hw_counter(cfg.peer, "odp_regions"));
	must_be("odp_tables", 0);
	for (int i = 0; i < 2; i++) {
		touch_each(&l, map, want);
		must_be("odp_regions", REGIONS + own);
		must_be("odp_tables", TABLES + own);
		/* What was used a moment ago is passed over once. */
		for (int k = 0; k < 20 && hw_counter(cfg.peer, "odp_tables"); k++)
			file_put("2", "/proc/sys/vm/drop_caches");
		must_be("odp_tables", 0);
	}
	free(want);
	check(!munmap(map, REGIONS * REGION), "munmap");
	buf_free(&l);
	teardown();
}

TEST_MAIN(CASE(mapped_later), CASE(far_apart), CASE(hole_in_between),
	  CASE(tables_come_and_go))
