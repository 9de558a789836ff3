// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What "rdma statistic show mr" counts for each MR: what happened in its range, in
 * pages and in times, and nothing of what happened elsewhere. And how far a stream
 * of small accesses makes the device look ahead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define PAGES 64

static struct pair p;
static struct buf l, r, other;

/* Of the MR that ib_core gave the number @mrn. */
static unsigned long count(uint32_t mrn, const char *name)
{
	unsigned long value = ~0ul;
	char cmd[256];
	FILE *f;

	snprintf(cmd, sizeof(cmd),
		 "rdma -j statistic show mr | tr '{' '\\n' | grep '\"%s\",\"mrn\":%u,' | "
		 "grep -o '\"%s\":[0-9]*' | cut -d: -f2",
		 p.nb.name, mrn, name);
	f = popen(cmd, "r");
	check(f, "popen: %s", strerror(errno));
	if (fscanf(f, "%lu", &value) != 1)
		fail("no %s of MR %u", name, mrn);
	pclose(f);
	return value;
}

static void setup(void)
{
	need_odp();
	need_bounds();
	pair_open(&p, NULL);
	buf_new(&l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	buf_new(&other, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	buf_reg(&other, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	buf_free(&other);
	pair_close(&p);
}

/* ib_core numbers MRs by itself; the newest two of the device are r and other. */
static void numbers(uint32_t *mr, uint32_t *beside)
{
	char cmd[160];
	FILE *f;

	snprintf(cmd, sizeof(cmd),
		 "rdma -j res show mr dev %s | grep -o '\"mrn\":[0-9]*' | cut -d: -f2 | "
		 "sort -n | tail -2", p.nb.name);
	f = popen(cmd, "r");
	check(f && fscanf(f, "%u %u", mr, beside) == 2, "no MRs in rdma res show mr");
	pclose(f);
}

static void faults_and_invalidations(void)
{
	uint32_t mr, beside;

	setup();
	numbers(&mr, &beside);
	check(!count(mr, "page_faults") && !count(mr, "page_invalidations"),
	      "something is counted before anything has happened");

	do_write(&p.a, &l, 77, &r, 5 * PAGE + 1, 10 * PAGE);
	check(count(mr, "page_faults") >= 11, "page_faults %lu", count(mr, "page_faults"));
	check(count(mr, "page_faults_handled") >= 1, "no page_faults_handled");
	check(!count(beside, "page_faults"), "faults of another MR");

	check(!madvise(r.map + 6 * PAGE, 3 * PAGE, MADV_DONTNEED), "madvise: %s",
	      strerror(errno));
	memset(r.want + 6 * PAGE, 0, 3 * PAGE);
	check(count(mr, "page_invalidations") >= 3, "page_invalidations %lu",
	      count(mr, "page_invalidations"));
	check(count(mr, "page_invalidations_handled") >= 1,
	      "no page_invalidations_handled");
	check(!count(beside, "page_invalidations"), "invalidations of another MR");
	teardown();
}

/* How many MRs of the device have counted that, at least once. */
static unsigned int how_many(const char *name)
{
	unsigned int n = 0;
	char cmd[256];
	FILE *f;

	snprintf(cmd, sizeof(cmd),
		 "rdma -j statistic show mr | tr '{' '\\n' | grep '\"%s\",\"mrn\"' | "
		 "grep -c '\"%s\":[1-9]'",
		 p.nb.name, name);
	f = popen(cmd, "r");
	check(f && fscanf(f, "%u", &n) == 1, "popen: %s", strerror(errno));
	pclose(f);
	return n;
}

#define OVER 64

/* As many as anybody has over the same memory, and each counts. */
static void overlapping(void)
{
	long cut = hw_counter(cfg.peer, "odp_counts_cut");
	struct ibv_mr *mr[OVER];
	unsigned int before;

	setup();
	before = how_many("page_invalidations");
	for (int i = 0; i < OVER; i++) {
		mr[i] = mr_try(&p.nb, r.map + (i % 4) * PAGE, (5 + i % 9) * PAGE,
			       (uintptr_t)r.map, ACCESS_ALL, cfg.mode);
		check(mr[i], "MR %d: %s", i, strerror(errno));
	}
	do_write(&p.a, &l, 77, &r, 4 * PAGE + 1, 99);
	check(how_many("page_faults") >= OVER + 1, "%u MRs count a fault",
	      how_many("page_faults"));
	check(!madvise(r.map + 4 * PAGE, PAGE, MADV_DONTNEED), "madvise: %s",
	      strerror(errno));
	memset(r.want + 4 * PAGE, 0, PAGE);
	check(how_many("page_invalidations") == before + OVER + 1,
	      "%u MRs count an invalidation", how_many("page_invalidations"));
	check(hw_counter(cfg.peer, "odp_counts_cut") == cut, "of 64 MRs not all count");
	for (int i = 0; i < OVER; i++)
		check(!ibv_dereg_mr(mr[i]), "ibv_dereg_mr: %s", strerror(errno));
	teardown();
}

/*
 * Page after page, each a message of its own: the faults are far fewer than the
 * pages, all of which the process has touched, and each holds what was sent.
 */
static void stream(void)
{
	long before, faults;

	setup();
	before = hw_counter(cfg.peer, "odp_faults");
	for (int i = 0; i < PAGES; i++)
		do_write(&p.a, &l, (i * 501) % PAGE, &r, i * PAGE, PAGE);
	faults = hw_counter(cfg.peer, "odp_faults") - before;
	if (before >= 0 && strcmp(cfg.dev, cfg.peer))
		check(faults <= PAGES / 4, "%ld faults for %d pages in a row", faults, PAGES);
	teardown();
}

TEST_MAIN(CASE(faults_and_invalidations), CASE(overlapping), CASE(stream))
