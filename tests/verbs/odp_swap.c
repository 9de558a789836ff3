// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Real reclaim: pages swapped out beneath the MR come back for the device, and
 * what the device wrote survives being swapped out, dirty or thought clean.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "ops.h"
#include "pages.h"
#include "swap.h"
#include "test.h"

#define PAGES 64

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	need_odp();
	swap_on();
	pair_begin(&p, &l, PAGES * PAGE, &r, PAGES * PAGE);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void page_out(const struct buf *b)
{
	unsigned int n = 0;

	/* A page in a per-CPU batch is passed over: try again, then take what is. */
	for (int i = 0; i < 20 && n < PAGES; i++) {
		check(!madvise(b->map, b->size, MADV_PAGEOUT), "madvise: %s",
		      strerror(errno));
		n = pages_with(b, PM_SWAP);
		if (n < PAGES)
			sleep_ms(10);
	}
	check(n > PAGES / 2, "only %u of %d pages were swapped out: are they pinned?",
	      n, PAGES);
}

static void comes_back(void)
{
	setup();
	for (int i = 0; i < 3; i++) {
		page_out(&r);
		do_read(&p.a, &l, 5, &r, 3, (PAGES - 1) * PAGE);
		buf_check(&l, "what was read");
		page_out(&l);
		do_write(&p.a, &l, 4090, &r, 77, (PAGES - 2) * PAGE);
		buf_check(&r, "what was written");
		page_out(&r);
		page_out(&l);
		do_send(&p, &l, 1, &r, 2, 20 * PAGE);
		buf_check(&r, "what was sent");
	}
	teardown();
}

/* Written by the device alone, swapped out, read by the CPU. */
static void device_writes_survive(void)
{
	setup();
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 20; k++) {
			size_t len = rnd_range(1, 2 * PAGE), at = off_for(&r, len);

			do_write(&p.a, &l, k * 100, &r, at, len);
		}
		page_out(&r);
		buf_check(&r, "what the device had written");
	}
	teardown();
}

/*
 * A page read back from swap is clean and has its copy in swap still: written by
 * the device it must be written out again, not be dropped for the old copy.
 */
static void clean_page_written(void)
{
	setup();
	for (int i = 0; i < 3; i++) {
		page_out(&r);
		buf_check(&r, "read back by the CPU");
		/* Reading by the device first gives it a translation to read. */
		if (i & 1)
			do_read(&p.a, &l, 5, &r, 3, (PAGES - 1) * PAGE);
		do_write(&p.a, &l, 123 + i, &r, i * 999, (PAGES - 4) * PAGE);
		page_out(&r);
		buf_check(&r, "what the device had written");
	}
	teardown();
}

/* Brought in by the device's own read, then written by the device. */
static void read_in_then_written(void)
{
	setup();
	for (int i = 0; i < 3; i++) {
		page_out(&r);
		do_read(&p.a, &l, 5, &r, 3, (PAGES - 1) * PAGE);
		do_write(&p.a, &l, 123 + i, &r, i * 999, (PAGES - 4) * PAGE);
		page_out(&r);
		buf_check(&r, "what the device had written");
	}
	teardown();
}

/* Swapped out again and again while writes and reads are in flight. */
static void under_traffic(void)
{
	setup();
	for (int i = 0; i < 8; i++) {
		for (int k = 0; k < 40; k++) {
			size_t len = rnd_range(1, 3 * PAGE), at = off_for(&r, len);

			q_rdma(&p.a, IBV_WR_RDMA_WRITE, k, &l, k * 500, &r, at, len);
			buf_moved(&r, at, &l, k * 500, len);
		}
		check(!madvise(r.map, r.size, MADV_PAGEOUT), "madvise");
		check(!madvise(l.map, l.size, MADV_PAGEOUT), "madvise");
		for (int k = 0; k < 40; k++)
			wc_ok(p.a.scq, k);
		buf_check(&r, "remote memory");
	}
	teardown();
}

/*
 * Memory the process said it can do without (MADV_FREE): clean pages of it may be
 * dropped, but not once the device has written into them.
 */
static void freed_page_written(void)
{
	setup();
	for (int i = 0; i < 3; i++) {
		size_t at = 5 * PAGE + 501, len = 9 * PAGE;

		buf_refill(&r);
		if (i & 1)
			do_write(&p.a, &l, 3, &r, 1, PAGES * PAGE - 9);
		check(!madvise(r.map, r.size, MADV_FREE), "madvise: %s",
		      strerror(errno));
		do_write(&p.a, &l, 1001 + i, &r, at, len);
		for (int k = 0; k < 3; k++)
			check(!madvise(r.map, r.size, MADV_PAGEOUT), "madvise");
		same(r.map + at, r.want + at, len, "what the device had written");
		/* All else is what it was or zero, a page at a time. */
		for (int k = 0; k < PAGES; k++) {
			static const uint8_t zeros[PAGE];
			uint8_t *page = r.map + k * PAGE;

			if ((k < 5 || k > 14) && memcmp(page, zeros, PAGE))
				same(page, r.want + k * PAGE, PAGE, "a page not written");
		}
		buf_refill(&r);
	}
	teardown();
}

/* The swap goes, and its pages come back beneath the MR. */
static void swap_goes(void)
{
	setup();
	page_out(&r);
	page_out(&l);
	swap_off();
	do_read(&p.a, &l, 5, &r, 3, (PAGES - 1) * PAGE);
	do_write(&p.a, &l, 4090, &r, 77, (PAGES - 2) * PAGE);
	teardown();
}

TEST_MAIN(CASE(comes_back), CASE(device_writes_survive), CASE(clean_page_written),
	  CASE(read_in_then_written), CASE(under_traffic), CASE(freed_page_written),
	  CASE(swap_goes))
