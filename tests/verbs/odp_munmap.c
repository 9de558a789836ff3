// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory unmapped beneath an MR: the access ends in an error, and when something
 * else is mapped there afterwards nothing of the refused access is in it, but a
 * new access finds it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harm.h"
#include "ops.h"
#include "pages.h"
#include "test.h"

#define PAGES 12
#define HOLE 4			/* the first unmapped page */
#define HOLES 3

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	need_odp();
	pair_begin(&p, &l, PAGES * PAGE, &r, PAGES * PAGE);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void make_hole(struct buf *b)
{
	check(!munmap(b->map + HOLE * PAGE, HOLES * PAGE), "munmap");
}

/* Fresh memory in the hole: nothing but zeros may be in it. */
static void fill_hole(struct buf *b)
{
	void *at = b->map + HOLE * PAGE;

	check(mmap(at, HOLES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at, "mmap");
	memset(b->want + HOLE * PAGE, 0, HOLES * PAGE);
}

static void post(enum ibv_wr_opcode op, size_t at, size_t len)
{
	struct wr w;

	wr_init(&w, op, 1);
	wr_sge(&w, &l, at, len);
	if (op == IBV_WR_ATOMIC_FETCH_AND_ADD)
		wr_atomic(&w, &r, at & ~7ul, 1, 0);
	else
		wr_remote(&w, &r, at);
	wr_post(&p.a, &w);
}

static const enum ibv_wr_opcode ops[] = {
	IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD,
};

static size_t some_len(enum ibv_wr_opcode op)
{
	return op == IBV_WR_ATOMIC_FETCH_AND_ADD ? 8 : rnd_range(1, 2 * PAGE);
}

/* Warm: the device has used the pages right before they go. */
static void warm_up(void)
{
	do_write(&p.a, &l, 3, &r, 5, PAGES * PAGE - 9);
	do_read(&p.a, &l, 7, &r, 1, PAGES * PAGE - 9);
}

static void remote(bool warm)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		setup();
		if (warm)
			warm_up();
		make_hole(&r);
		post(ops[i], HOLE * PAGE + 13, some_len(ops[i]));
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		ep_await_state(&p.b, IBV_QPS_ERR);
		fill_hole(&r);
		buf_check(&r, "remote memory");
		pair_renew(&p, NULL);
		do_write(&p.a, &l, 55, &r, HOLE * PAGE - 77, (HOLES + 1) * PAGE);
		do_read(&p.a, &l, 55, &r, HOLE * PAGE - 700, (HOLES + 1) * PAGE);
		teardown();
	}
}

static void remote_warm(void)
{
	remote(true);
}

static void remote_cold(void)
{
	remote(false);
}

static void local(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		setup();
		warm_up();
		make_hole(&l);
		post(ops[i], HOLE * PAGE + 13, some_len(ops[i]));
		wc_expect(p.a.scq, 1, IBV_WC_LOC_PROT_ERR);
		fill_hole(&l);
		buf_check(&l, "local memory");
		if (ops[i] == IBV_WR_ATOMIC_FETCH_AND_ADD)
			/* Done before its answer found no home, or not at all. */
			buf_holds(&r, HOLE * PAGE + 8, r.map + HOLE * PAGE + 8, 8);
		pair_renew(&p, NULL);
		do_write(&p.a, &l, HOLE * PAGE - 7, &r, 55, (HOLES + 1) * PAGE);
		do_read(&p.a, &l, HOLE * PAGE - 70, &r, 99, (HOLES + 1) * PAGE);
		teardown();
	}
}

static void receive(void)
{
	setup();
	warm_up();
	make_hole(&r);
	q_recv(&p.b, 2, &r, HOLE * PAGE + 9, 2 * PAGE);
	q_send(&p.a, 1, &l, 5, 2 * PAGE);
	wc_expect(p.b.rcq, 2, IBV_WC_LOC_PROT_ERR);
	wc_expect(p.a.scq, 1, IBV_WC_REM_OP_ERR);
	fill_hole(&r);
	buf_check(&r, "remote memory");
	pair_renew(&p, NULL);
	do_send(&p, &l, 99, &r, HOLE * PAGE - 1, HOLES * PAGE + 2);
	teardown();
}

/* A message that runs into the hole: what lies behind it stays as it was. */
static void runs_into_it(void)
{
	setup();
	warm_up();
	make_hole(&r);
	post(IBV_WR_RDMA_WRITE, 13, (PAGES - 1) * PAGE);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	ep_await_state(&p.b, IBV_QPS_ERR);
	fill_hole(&r);
	/* What lies before it may have been written, with the right bytes. */
	for (size_t i = 13; i < HOLE * PAGE; i++)
		check(r.map[i] == r.want[i] || r.map[i] == l.want[i],
		      "a byte of neither source");
	memcpy(r.want, r.map, HOLE * PAGE);
	teardown();
}

/* Something else mapped right over it, without an access in between. */
static void mapped_over(void)
{
	setup();
	warm_up();
	for (int i = 0; i < 20; i++) {
		size_t page = rnd_range(0, PAGES - 3);
		uint8_t *at = r.map + page * PAGE;

		check(mmap(at, 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at,
		      "mmap");
		memset(r.want + page * PAGE, 0, 2 * PAGE);
		if (i & 1) {
			rnd_fill(r.want + page * PAGE, 2 * PAGE);
			memcpy(at, r.want + page * PAGE, 2 * PAGE);
		}
		do_read(&p.a, &l, 77, &r, page * PAGE + 1, 2 * PAGE);
		buf_check(&l, "local memory");
		do_write(&p.a, &l, 99, &r, page * PAGE + 2001, 2 * PAGE);
		buf_check(&r, "remote memory");
	}
	teardown();
}

/* Pages moved by mremap: the MR's addresses see what is there now. */
static void moved_away(void)
{
	uint8_t *at, *to;

	setup();
	warm_up();
	at = r.map + HOLE * PAGE;
	to = mmap(NULL, HOLES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(to != MAP_FAILED, "mmap");
	check(mremap(at, HOLES * PAGE, HOLES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		     to) == to, "mremap");
	post(IBV_WR_RDMA_WRITE, HOLE * PAGE + 5, 2 * PAGE);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	same(to, r.want + HOLE * PAGE, HOLES * PAGE, "the moved pages");
	pair_renew(&p, NULL);
	/* And back again. */
	check(mremap(to, HOLES * PAGE, HOLES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		     at) == at, "mremap");
	do_write(&p.a, &l, 3, &r, HOLE * PAGE - 9, (HOLES + 1) * PAGE);
	teardown();
}

static long tables(void)
{
	return hw_counter(cfg.dev, "odp_tables") + hw_counter(cfg.peer, "odp_tables");
}

/* What the device keeps to know pages by goes with the memory, not with the MR. */
static void forgotten(void)
{
	const size_t size = 16 * HUGE;
	uint8_t *map = huge_map(size / HUGE);
	long before, used;

	need_odp();
	/* Huge pages need no table. */
	madvise(map, size, MADV_NOHUGEPAGE);
	pair_open(&p, NULL);
	buf_new(&l, PAGE);
	buf_adopt(&r, map, size);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	/* Those of the rest stay. */
	do_write(&p.a, &l, 1, &r, 5, PAGE - 9);
	before = tables();
	for (size_t at = HUGE / 2; at < size; at += HUGE)
		do_write(&p.a, &l, 3, &r, at + 7, PAGE - 9);
	used = tables();
	check(used >= before + 15, "%ld tables of %ld", used, before);
	check(!munmap(r.map + HUGE, size - HUGE), "munmap");
	for (uint64_t end = now_ms() + WAIT_MS; tables() > before + 2;) {
		check(now_ms() < end, "%ld of %ld tables are left, %ld were there before",
		      tables(), used, before);
		sleep_ms(50);
	}
	check(mmap(r.map + HUGE, size - HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == r.map + HUGE, "mmap");
	memset(r.want + HUGE, 0, size - HUGE);
	do_write(&p.a, &l, 3, &r, 3 * HUGE + 7, PAGE - 9);
	buf_check(&r, "remote memory");
	pair_end(&p, &l, &r);
}

static void map_anew(struct buf *b, size_t at, size_t len, int fixed)
{
	int flags = fixed | (b->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
	uint8_t *to = b->map + at;

	check(mmap(to, len, PROT_READ | PROT_WRITE, flags, b->fd, b->fd < 0 ? 0 : at) == to,
	      "mmap: %s", strerror(errno));
}

static void unmap_and_map(struct buf *b, size_t at, size_t len)
{
	check(!munmap(b->map + at, len), "munmap: %s", strerror(errno));
	usleep(rnd_range(0, 200));
	map_anew(b, at, len, MAP_FIXED_NOREPLACE);
}

static void map_over(struct buf *b, size_t at, size_t len)
{
	map_anew(b, at, len, MAP_FIXED);
}

static void unmapped_under_traffic(void)
{
	harm_both(&(struct harm) {
		.fn = unmap_and_map, .denies = PROT_READ | PROT_WRITE, .leaves = harm_zeros,
	}, false);
}

/* What the device had written is there again with the file. */
static void file_unmapped_under_traffic(void)
{
	harm_both(&(struct harm) {
		.fn = unmap_and_map, .denies = PROT_READ | PROT_WRITE,
	}, true);
}

/* At no moment is nothing mapped: nothing may fail. */
static void mapped_over_under_traffic(void)
{
	harm_both(&(struct harm) { .fn = map_over, .leaves = harm_zeros }, false);
}

static void file_mapped_over_under_traffic(void)
{
	harm_both(&(struct harm) { .fn = map_over }, true);
}

TEST_MAIN(CASE(remote_warm), CASE(remote_cold), CASE(local), CASE(receive),
	  CASE(runs_into_it), CASE(mapped_over), CASE(moved_away),
	  CASE(unmapped_under_traffic), CASE(file_unmapped_under_traffic),
	  CASE(mapped_over_under_traffic), CASE(file_mapped_over_under_traffic),
	  CASE(forgotten))
