// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory in huge pages, transparent and of hugetlbfs: transfers across their
 * borders, and huge pages that are split or put together beneath the MR.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "during.h"
#include "harm.h"
#include "ops.h"
#include "pages.h"
#include "test.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGES 3

static struct pair p;
static struct buf l, r;

static void setup(uint8_t *map)
{
	rnd_fill(map, HUGES * HUGE);
	buf_adopt(&r, map, HUGES * HUGE);
	buf_new(&l, HUGE + 16 * PAGE);
	pair_open(&p, NULL);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

/* Short and long ones over both inner borders, and at the ends. */
static void across(void)
{
	static const size_t lens[] = { 2, 4099, 70001 };

	for (int border = 1; border < HUGES; border++) {
		for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
			size_t at = border * HUGE - rnd_range(1, lens[i] - 1);

			do_write(&p.a, &l, rnd_range(0, PAGE), &r, at, lens[i]);
			do_read(&p.a, &l, rnd_range(0, PAGE), &r, at, lens[i]);
			do_send(&p, &l, rnd_range(0, PAGE), &r, at, lens[i]);
		}
	}
	do_write(&p.a, &l, 5, &r, 0, 1);
	do_write(&p.a, &l, 6, &r, HUGES * HUGE - 1, 1);
	do_write(&p.a, &l, 7, &r, HUGE - 777, HUGE + 1555);
	buf_check(&r, "remote memory");
	buf_check(&l, "local memory");
}

/* The device has each of them by one entry, and nothing of them by small ones. */
static void transparent(void)
{
	long blocks, pages;

	need_odp();
	setup(huge_map_transparent(HUGES));
	if (huge_kb() < (long)(HUGES * HUGE / 1024))
		skip("only %ld kB in huge pages", huge_kb());
	blocks = hw_counter(cfg.peer, "odp_blocks_faulted");
	pages = hw_counter(cfg.peer, "odp_pages_faulted");
	across();
	/* Where it is one device, l's pages are among them. */
	if (blocks >= 0 && strcmp(cfg.dev, cfg.peer)) {
		blocks = hw_counter(cfg.peer, "odp_blocks_faulted") - blocks;
		pages = hw_counter(cfg.peer, "odp_pages_faulted") - pages;
		/* Who takes one away meanwhile has it brought once more. */
		check(blocks >= HUGES && pages == blocks * (long)(HUGE / PAGE),
		      "%ld blocks and %ld pages for %d huge pages", blocks, pages,
		      HUGES);
	}
	teardown();
}

/* The device is the first to touch them. */
static void transparent_cold(void)
{
	uint8_t *map;

	need_odp();
	map = huge_map_transparent(HUGES);
	setup(map);
	/* Give them back: zeros from here on, and the next touch is the device's. */
	check(!madvise(map, HUGES * HUGE, MADV_DONTNEED), "madvise");
	memset(r.want, 0, r.size);
	do_write(&p.a, &l, 3, &r, HUGE - 9, 18);
	do_read(&p.a, &l, 3, &r, 2 * HUGE - 7000, 10000);
	across();
	teardown();
}

/* Four ways to break up one huge page, each with the device using the rest. */
static void split(void)
{
	uint8_t *map;

	need_odp();
	map = huge_map_transparent(HUGES);
	setup(map);
	across();
	check(!mprotect(map + 9 * PAGE, PAGE, PROT_READ), "mprotect");
	do_read(&p.a, &l, 77, &r, 8 * PAGE, 3 * PAGE);
	do_write(&p.a, &l, 77, &r, 10 * PAGE, 3 * PAGE);
	check(!mprotect(map + 9 * PAGE, PAGE, PROT_READ | PROT_WRITE), "mprotect");
	check(!madvise(map + HUGE + 20 * PAGE, 2 * PAGE, MADV_DONTNEED), "madvise");
	memset(r.want + HUGE + 20 * PAGE, 0, 2 * PAGE);
	do_read(&p.a, &l, 5, &r, HUGE + 19 * PAGE, 4 * PAGE);
	do_write(&p.a, &l, 8, &r, HUGE + 21 * PAGE - 5, PAGE);
	check(mmap(map + 2 * HUGE + PAGE, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED,
	      "mmap");
	memset(r.want + 2 * HUGE + PAGE, 0, PAGE);
	across();
	check(!madvise(map, HUGES * HUGE, MADV_NOHUGEPAGE), "madvise");
	across();
	teardown();
}

/* Small pages the device knows become a huge one, and go on being right. */
static void collapse(void)
{
	uint8_t *map;

	need_odp();
	map = huge_map(HUGES);
	check(!madvise(map, HUGES * HUGE, MADV_NOHUGEPAGE), "madvise");
	setup(map);
	across();
	check(!madvise(map, HUGES * HUGE, MADV_HUGEPAGE), "madvise");
	for (int i = 0; i < HUGES; i++) {
		if (madvise(map + i * HUGE, HUGE, MADV_COLLAPSE))
			skip("no collapse: %s", strerror(errno));
		across();
	}
	teardown();
}

static volatile unsigned int collapses;

static void split_and_collapse(void *map)
{
	char range[64];
	int fd = open("/sys/kernel/debug/split_huge_pages", O_WRONLY | O_CLOEXEC);

	/* Where the kernel does not split at will, a change of rights does it in part. */
	snprintf(range, sizeof(range), "%d,%p,%p", getpid(), map, map + HUGES * HUGE);
	if (fd < 0 || write(fd, range, strlen(range)) < 0)
		check(!mprotect(map + HUGE + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) &&
		      !mprotect(map + HUGE + PAGE, PAGE, PROT_READ | PROT_WRITE),
		      "mprotect: %s", strerror(errno));
	close(fd);
	for (int i = 0; i < HUGES; i++)
		collapses += !madvise(map + i * HUGE, HUGE, MADV_COLLAPSE);
}

/* Again and again while the device uses them, across a border of two. */
static void under_traffic(void)
{
	long splits = proc_vmstat("thp_split_pmd");
	struct during d;
	uint8_t *map;

	need_odp();
	map = huge_map_transparent(HUGES);
	setup(map);
	during_start(&d, split_and_collapse, map);
	for (int i = 0; i < 40; i++) {
		size_t len = rnd_range(1, 70001);
		size_t at = rnd_range(1, HUGES - 1) * HUGE - rnd_range(0, len);

		do_write(&p.a, &l, rnd_range(0, PAGE), &r, at, len);
		do_read(&p.a, &l, rnd_range(0, PAGE), &r, at, len);
		do_send(&p, &l, rnd_range(0, PAGE), &r, at, len);
		do_write(&p.b, &r, at, &l, rnd_range(0, PAGE), len);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
	during_stop(&d);
	teardown();
	splits = proc_vmstat("thp_split_pmd") - splits;
	if (!collapses || !splits)
		skip("nothing wrong, but %u huge pages were put together and %ld split",
		     collapses, splits);
}

static int set_hugetlb(int n)
{
	int fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY), ok;

	if (fd < 0)
		return -1;
	ok = dprintf(fd, "%d\n", n);
	close(fd);
	return ok > 0 ? 0 : -1;
}

static uint8_t *hugetlb_map(int flags)
{
	uint8_t *map;

	need_odp();
	if (set_hugetlb(HUGES + 2))
		skip("no hugetlb pages");
	map = mmap(NULL, HUGES * HUGE, PROT_READ | PROT_WRITE,
		   flags | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (map == MAP_FAILED) {
		set_hugetlb(0);
		skip("hugetlb: %s", strerror(errno));
	}
	return map;
}

static void hugetlb(int flags)
{
	uint8_t *map = hugetlb_map(flags);

	setup(map);
	across();
	check(!madvise(map + HUGE, HUGE, MADV_DONTNEED), "madvise: %s",
	      strerror(errno));
	if (flags == MAP_PRIVATE)
		memset(r.want + HUGE, 0, HUGE);
	across();
	teardown();
	set_hugetlb(0);
}

static void hugetlb_private(void)
{
	hugetlb(MAP_PRIVATE);
}

static void hugetlb_shared(void)
{
	hugetlb(MAP_SHARED);
}

/* Around the first border: what is done is done to the page behind it. */
#define AROUND (HUGE - TRAFFIC_SIZE / 2)

static void hugetlb_harmed(int flags, void (*fn)(struct buf *b, size_t at, size_t len),
			   int denies)
{
	static struct traffic t;
	uint8_t *map = hugetlb_map(flags);

	pair_open(&p, NULL);
	buf_new(&t.l, TRAFFIC_SIZE);
	rnd_fill(map, HUGES * HUGE);
	buf_adopt(&t.r, map + AROUND, TRAFFIC_SIZE);
	traffic_join(&t, &p);
	harm_traffic(&t, &(struct harm) {
		.fn = fn, .at = TRAFFIC_SIZE / 2, .len = TRAFFIC_SIZE / 2,
		.denies = denies, .leaves = harm_zeros,
	}, false);
	traffic_check(&t);
	buf_dereg(&t.r);
	check(!munmap(map, HUGES * HUGE), "munmap: %s", strerror(errno));
	buf_free(&t.l);
	pair_close(&p);
	set_hugetlb(0);
}

static void give_back(struct buf *b, size_t at, size_t len)
{
	(void)len;
	check(!madvise(b->map + at, HUGE, MADV_DONTNEED), "madvise: %s", strerror(errno));
}

static void punch(struct buf *b, size_t at, size_t len)
{
	(void)len;
	check(!madvise(b->map + at, HUGE, MADV_REMOVE), "madvise: %s", strerror(errno));
}

static void unmap_and_map(struct buf *b, size_t at, size_t len)
{
	uint8_t *to = b->map + at;

	(void)len;
	check(!munmap(to, HUGE), "munmap: %s", strerror(errno));
	usleep(rnd_range(0, 200));
	check(mmap(to, HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED_NOREPLACE, -1,
		   0) == to, "mmap: %s", strerror(errno));
}

static void hugetlb_given_back_under_traffic(void)
{
	hugetlb_harmed(MAP_PRIVATE, give_back, 0);
}

static void hugetlb_punched_under_traffic(void)
{
	hugetlb_harmed(MAP_SHARED, punch, 0);
}

static void hugetlb_unmapped_under_traffic(void)
{
	hugetlb_harmed(MAP_PRIVATE, unmap_and_map, PROT_READ | PROT_WRITE);
}

TEST_MAIN(CASE(transparent), CASE(transparent_cold), CASE(split), CASE(collapse),
	  CASE(under_traffic), CASE(hugetlb_private), CASE(hugetlb_shared),
	  CASE(hugetlb_given_back_under_traffic), CASE(hugetlb_punched_under_traffic),
	  CASE(hugetlb_unmapped_under_traffic))
