// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Mappings beneath an MR that grow, shrink and move: the device finds what is at the
 * address now, an error where nothing is any more, and never a page's old place.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "during.h"
#include "harm.h"
#include "ops.h"
#include "pages.h"
#include "test.h"
#include "traffic.h"

#define PAGES 24
#define KEEP 9			/* of them, those that stay mapped */

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static struct pair p;
static struct buf l, r;

/* Far from all other mappings: nobody else fills a hole in it. */
static uint8_t *map_apart(size_t size)
{
	static uintptr_t next = 1ul << 44;
	uint8_t *at = mmap((void *)next, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	check(at == (void *)next, "mmap: %s", strerror(errno));
	next += 1ul << 32;
	return at;
}

static void setup(void)
{
	need_odp();
	pair_open(&p, NULL);
	buf_new(&l, 2 * PAGES * PAGE);
	buf_adopt(&r, map_apart(PAGES * PAGE), PAGES * PAGE);
	buf_refill(&r);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void *remap(void *from, size_t old, size_t new, int flags, void *to)
{
	void *at = mremap(from, old, new, flags, to);

	check(at != MAP_FAILED, "mremap: %s", strerror(errno));
	return at;
}

/* As target and source of everything. */
static void refused(const struct buf *b, size_t at, size_t len)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		q_rdma(&p.a, ops[i], 1, &l, 77, b, at, len);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		pair_renew(&p, NULL);
		q_rdma(&p.b, ops[i], 1, b, at, &l, 77, len);
		wc_expect(p.b.scq, 1, IBV_WC_LOC_PROT_ERR);
		pair_renew(&p, NULL);
	}
	q_recv(&p.b, 2, b, at, len);
	q_send(&p.a, 1, &l, 77, len);
	wc_expect(p.b.rcq, 2, IBV_WC_LOC_PROT_ERR);
	wc_expect(p.a.scq, 1, IBV_WC_REM_OP_ERR);
	pair_renew(&p, NULL);
	buf_check(&l, "local memory after what was refused");
}

/* A write that begins before the end of what is mapped and goes on behind it. */
static void runs_over_the_end(void)
{
	size_t from = (KEEP - 1) * PAGE + 13;

	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 5, &r, from, 2 * PAGE);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	pair_renew(&p, NULL);
	same(r.map, r.want, from, "what lies before the message");
	for (size_t i = 0; from + i < KEEP * PAGE; i++)
		check(r.map[from + i] == r.want[from + i] ||
		      r.map[from + i] == l.want[5 + i], "a byte of neither source");
	memcpy(r.want, r.map, KEEP * PAGE);
}

/* The tail of r is gone; the rest works, and nothing of the rest is wrong. */
static void without_a_tail(void)
{
	refused(&r, KEEP * PAGE, 1);
	refused(&r, (KEEP + 1) * PAGE + 501, 2 * PAGE);
	runs_over_the_end();
	do_write(&p.a, &l, 99, &r, 3, KEEP * PAGE - 3);
	do_read(&p.a, &l, 4001, &r, 1, KEEP * PAGE - 1);
	do_send(&p, &l, 5, &r, 4095, (KEEP - 1) * PAGE);
	do_write(&p.b, &r, 7, &l, 33, KEEP * PAGE - 7);
	buf_check(&l, "local memory");
	same(r.map, r.want, KEEP * PAGE, "what is still mapped");
}

static void shrunk_and_grown(void)
{
	setup();
	for (int i = 0; i < 3; i++) {
		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		check(remap(r.map, PAGES * PAGE, KEEP * PAGE, 0, NULL) == r.map,
		      "shrinking has moved it");
		without_a_tail();
		check(remap(r.map, KEEP * PAGE, PAGES * PAGE, 0, NULL) == r.map,
		      "it has not grown in place");
		memset(r.want + KEEP * PAGE, 0, (PAGES - KEEP) * PAGE);
		/* Whose access comes first: the device's or the CPU's. */
		if (i & 1)
			buf_check(&r, "remote memory");
		do_all(&p, &l, &r, (KEEP - 1) * PAGE - 77, (PAGES - KEEP) * PAGE);
	}
	teardown();
}

/*
 * No room to grow where it is, so that the kernel chooses another place: there the
 * bytes are, some of which only the device has written, and nothing is at the old one.
 */
static void moved_by_growing(void)
{
	setup();
	for (size_t n = KEEP; n <= 2 * KEEP; n *= 2) {
		struct buf old, new;
		uint8_t *at;

		/* The page behind it is in the way. */
		buf_adopt(&old, map_apart((n + 1) * PAGE), n * PAGE);
		buf_reg(&old, &p.nb, ACCESS_ALL);
		do_all(&p, &l, &old, 5, n * PAGE - 9);
		for (int i = 0; i < 5; i++)
			do_write(&p.a, &l, i * 99, &old, rnd_range(0, PAGE), n * PAGE - PAGE);
		at = remap(old.map, n * PAGE, 2 * n * PAGE, MREMAP_MAYMOVE, NULL);
		check(at != old.map, "it has grown over another page");
		same(at, old.want, n * PAGE, "the moved pages");
		buf_adopt(&new, at, 2 * n * PAGE);
		memset(new.want + n * PAGE, 0, n * PAGE);
		buf_reg(&new, &p.nb, ACCESS_ALL);
		refused(&old, 501, 2 * PAGE);
		refused(&old, n * PAGE - 1, 1);
		do_all(&p, &l, &new, n * PAGE - 2 * PAGE - 13, 5 * PAGE);
		do_all(&p, &l, &new, 1, 2 * n * PAGE - 3);
		buf_free(&new);
		buf_dereg(&old);
		free(old.want);
		check(!munmap(old.map + n * PAGE, PAGE), "munmap");
	}
	teardown();
}

/* The heap's last bytes, to be given back and taken again; they are @b's. */
static uint8_t *heap_end(struct buf *b, size_t size)
{
	void *volatile some;	/* or the compiler leaves it out */
	uint8_t *at;

	/* What the case allocates from now on must not need the heap to grow. */
	check(mallopt(M_TRIM_THRESHOLD, 1 << 30) && mallopt(M_MMAP_THRESHOLD, 8 << 20) &&
	      mallopt(M_TOP_PAD, 8 << 20), "mallopt");
	some = malloc(4 << 20);
	free(some);
	at = (uint8_t *)(((uintptr_t)sbrk(0) + PAGE - 1) & ~(PAGE - 1));
	check(!brk(at + size), "brk: %s", strerror(errno));
	buf_adopt(b, at, size);
	buf_refill(b);
	return at;
}

/* The heap's end goes down and up again beneath the MR. */
static void heap(void)
{
	uint8_t *at;

	setup();
	buf_free(&r);
	at = heap_end(&r, PAGES * PAGE);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	for (int i = 0; i < 3; i++) {
		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		check(sbrk(0) == at + PAGES * PAGE, "somebody else moved the heap's end");
		check(sbrk(-(long)((PAGES - KEEP) * PAGE)) != (void *)-1, "sbrk: %s",
		      strerror(errno));
		without_a_tail();
		check(sbrk(0) == at + KEEP * PAGE, "somebody else moved the heap's end");
		check(sbrk((PAGES - KEEP) * PAGE) != (void *)-1, "sbrk: %s",
		      strerror(errno));
		memset(r.want + KEEP * PAGE, 0, (PAGES - KEEP) * PAGE);
		if (i & 1)
			buf_check(&r, "remote memory");
		do_all(&p, &l, &r, (KEEP - 1) * PAGE - 77, (PAGES - KEEP) * PAGE);
	}
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	buf_dereg(&r);
	buf_free(&l);
	pair_close(&p);
}

static void shrink_and_grow_heap(struct buf *b, size_t at, size_t len)
{
	check(sbrk(-(long)len) != (void *)-1, "sbrk: %s", strerror(errno));
	usleep(rnd_range(0, 200));
	check(sbrk(len) == b->map + at, "somebody else moved the heap's end");
}

static void heap_under_traffic(void)
{
	static struct traffic t;

	need_odp();
	pair_open(&p, NULL);
	buf_new(&t.l, TRAFFIC_SIZE);
	heap_end(&t.r, TRAFFIC_SIZE);
	traffic_join(&t, &p);
	harm_traffic(&t, &(struct harm) {
		.fn = shrink_and_grow_heap, .at = KEEP * PAGE, .len = TRAFFIC_SIZE - KEEP * PAGE,
		.denies = PROT_READ | PROT_WRITE, .leaves = harm_zeros,
	}, false);
	traffic_check(&t);
	buf_dereg(&t.r);
	buf_free(&t.l);
	pair_close(&p);
}

/* Returns where the pages are now; the mapping stays, without them. */
static void *move_out(void *from, size_t len)
{
	void *at = mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	if (at == MAP_FAILED)
		skip("no MREMAP_DONTUNMAP: %s", strerror(errno));
	return at;
}

/* The pages go and the mapping stays, empty: two memories from then on. */
static void pages_moved_out(void)
{
	setup();
	for (int i = 0; i < 4; i++) {
		struct buf away;
		uint8_t *at;

		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		at = move_out(r.map, PAGES * PAGE);
		same(at, r.want, r.size, "the moved pages");
		buf_adopt(&away, at, PAGES * PAGE);
		memcpy(away.want, r.want, r.size);
		memset(r.want, 0, r.size);
		buf_reg(&away, &p.nb, ACCESS_ALL);
		if (i & 1)
			do_all(&p, &l, &r, 3 * PAGE + 5, 5 * PAGE);
		else
			do_write(&p.a, &l, 77, &r, 3 * PAGE + 5, 5 * PAGE);
		buf_check(&away, "the pages at their new place");
		do_all(&p, &l, &away, 2 * PAGE - 5, 9 * PAGE);
		buf_check(&r, "the pages at the old place");
		buf_free(&away);
		buf_refill(&r);
	}
	teardown();
}

/* Of shared memory both mappings are one memory then. */
static void shared_moved_out(void)
{
	setup();
	buf_free(&r);
	buf_new_cold(&r, PAGES * PAGE);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	for (int i = 0; i < 4; i++) {
		uint8_t *at;

		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		at = move_out(r.map, PAGES * PAGE);
		do_all(&p, &l, &r, 2 * PAGE - 5, 9 * PAGE);
		same(at, r.want, r.size, "the pages at their new place");
		check(!munmap(at, r.size), "munmap");
	}
	teardown();
}

/* Page tables' entries go away to another mapping, which goes away itself. */
static void move_some_out(struct traffic *t)
{
	size_t n = rnd_range(1, 9), first = rnd_range(0, t->r.size / PAGE - n);

	check(!munmap(move_out(t->r.map + first * PAGE, n * PAGE), n * PAGE), "munmap");
}

static void moved_out_under_traffic(void)
{
	need_odp();
	during_traffic(move_some_out, "hardly anything has moved");
}

static void move_tail(void *arg)
{
	uint8_t *at = arg;

	check(remap(at, PAGES * PAGE, KEEP * PAGE, 0, NULL) == at, "it has moved");
	check(remap(at, KEEP * PAGE, PAGES * PAGE, 0, NULL) == at, "it has moved");
	/* So that there is something to take away, and something left in between. */
	at[PAGES * PAGE - 1] = 1;
}

/* What stays is not disturbed, up to its last byte. */
static void tail_moves_under_traffic(void)
{
	struct during d;

	setup();
	do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
	during_start(&d, move_tail, r.map);
	for (int i = 0; i < 40; i++) {
		size_t len = rnd_range(1, 5 * PAGE);
		size_t at = i & 1 ? KEEP * PAGE - len : rnd_range(0, KEEP * PAGE - len);

		do_write(&p.a, &l, i * 99, &r, at, len);
		do_read(&p.a, &l, i * 77, &r, at, len);
		do_send(&p, &l, i * 55, &r, at, len);
		do_write(&p.b, &r, at, &l, i * 33, len);
		same(r.map, r.want, KEEP * PAGE, "what is still mapped");
		buf_check(&l, "local memory");
	}
	check(during_stop(&d) > 5, "it has hardly moved");
	memset(r.want + KEEP * PAGE, 0, (PAGES - KEEP) * PAGE);
	r.want[PAGES * PAGE - 1] = 1;
	teardown();
}

/* A huge page moves as a whole to where one may be, and in pieces to elsewhere. */
static void huge_moved(void)
{
	setup();
	buf_free(&r);
	for (int i = 0; i < 4; i++) {
		size_t size = HUGE + 16 * PAGE;
		uint8_t *from = map_apart(size), *to = map_apart(size + HUGE);
		struct buf old, new;
		long kb;

		if (i & 1)
			to += 13 * PAGE;
		if (madvise(from, size, MADV_HUGEPAGE))
			skip("no transparent huge pages: %s", strerror(errno));
		rnd_fill(from, size);
		if (huge_kb() < (long)(HUGE / 1024))
			skip("no huge page");
		buf_adopt(&old, from, size);
		buf_reg(&old, &p.nb, ACCESS_ALL);
		do_all(&p, &l, &old, HUGE - PAGE - 9, 5 * PAGE);
		do_write(&p.a, &l, 77, &old, 13, PAGES * PAGE);
		check(remap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to,
		      "mremap");
		kb = huge_kb();
		refused(&old, HUGE - PAGE - 9, 2 * PAGE);
		buf_adopt(&new, to, size);
		same(new.want, old.want, size, "the moved pages");
		buf_reg(&new, &p.nb, ACCESS_ALL);
		check(i & 1 || kb >= (long)(HUGE / 1024), "the huge page has been split");
		do_all(&p, &l, &new, HUGE - 13 * PAGE - 9, 25 * PAGE);
		do_all(&p, &l, &new, 13, PAGES * PAGE);
		/* And back, without an access in between. */
		check(remap(to, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, from) == from,
		      "mremap");
		memcpy(old.want, new.want, size);
		do_all(&p, &l, &old, HUGE - 5 * PAGE, 15 * PAGE);
		refused(&new, 13, 2 * PAGE);
		buf_dereg(&new);
		free(new.want);
		buf_free(&old);
	}
	buf_check(&l, "local memory");
	buf_free(&l);
	pair_close(&p);
}

TEST_MAIN(CASE(shrunk_and_grown), CASE(moved_by_growing), CASE(heap),
	  CASE(heap_under_traffic), CASE(pages_moved_out), CASE(shared_moved_out),
	  CASE(moved_out_under_traffic), CASE(tail_moves_under_traffic), CASE(huge_moved))
