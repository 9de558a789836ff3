// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory that is registered again and again, as message passing libraries do: what one
 * registration brought is there for the next, and once nobody has registered it any more
 * the device forgets it, though it stays open.
 */
#include <string.h>
#include <sys/mman.h>

#include "ops.h"
#include "test.h"

#define PAGES 300
/* Longer than the device remembers. */
#define FORGOTTEN_MS 1500

static struct pair p;
static struct buf l, r;

static long faults(void)
{
	return hw_counter(cfg.peer, "odp_faults");
}

static long regions(void)
{
	return hw_counter(cfg.peer, "odp_regions");
}

static void setup(void)
{
	need_odp();
	pair_begin(&p, &l, PAGES * PAGE, &r, PAGES * PAGE);
	check(regions() >= 0, "no counter of regions");
}

static void everything(void)
{
	buf_refill(&l);
	do_write(&p.a, &l, 3, &r, 5, PAGES * PAGE - 9);
	do_read(&p.a, &l, 1, &r, 2, PAGES * PAGE - 9);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
}

static void again_is_warm(void)
{
	long before = -1;

	setup();
	everything();
	/* A machine that stands still for a second makes the device forget: once more. */
	for (int i = 0; i < 10 && faults() != before; i++) {
		before = faults();
		buf_dereg(&r);
		buf_reg(&r, &p.nb, ACCESS_ALL);
		everything();
	}
	check(faults() == before, "%ld faults", faults() - before);
	pair_end(&p, &l, &r);
}

/* What has changed meanwhile is seen: the memory behind the addresses is another. */
static void again_with_other_pages(void)
{
	setup();
	for (int i = 0; i < 10; i++) {
		everything();
		buf_dereg(&r);
		if (i % 2)
			buf_untouch(&r);
		else
			buf_refill(&r);
		buf_reg(&r, &p.nb, ACCESS_ALL);
	}
	everything();
	pair_end(&p, &l, &r);
}

static void forgotten(void)
{
	setup();
	everything();
	check(regions() > 0, "nothing is remembered");
	buf_dereg(&l);
	buf_dereg(&r);
	for (uint64_t end = now_ms() + WAIT_MS; regions();) {
		check(now_ms() < end, "%ld regions of memory that nobody has registered",
		      regions());
		sleep_ms(50);
	}
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	everything();
	pair_end(&p, &l, &r);
}

/* Somebody else has the same memory registered. */
static void shared_is_kept(void)
{
	struct ibv_mr *second;
	long before = -1;

	setup();
	everything();
	second = mr_try(&p.nb, r.map, r.size, (uintptr_t)r.map, ACCESS_ALL, cfg.mode);
	check(second, "second registration");
	buf_dereg(&r);
	r.rkey = second->rkey;
	/* The system may have moved a page: once more. */
	for (int i = 0; i < 5 && faults() != before; i++) {
		before = faults();
		sleep_ms(FORGOTTEN_MS);
		everything();
	}
	check(faults() == before, "%ld faults, %ld regions", faults() - before, regions());
	check(!ibv_dereg_mr(second), "second deregistration");
	pair_end(&p, &l, &r);
}

TEST_MAIN(CASE(again_is_warm), CASE(again_with_other_pages), CASE(forgotten),
	  CASE(shared_is_kept))
