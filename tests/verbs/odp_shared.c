// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that belong to more than one: merged by KSM, moved by the kernel, mapped
 * twice in one process. The device writes what the CPU would write, and into
 * nobody else's page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "during.h"
#include "ops.h"
#include "test.h"
#include "traffic.h"

#define PAGES 16

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

static int put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, value, strlen(value)) < 0 ? -1 : 0;
	close(fd);
	return ret;
}

static long get(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	check(read(fd, text, sizeof(text) - 1) >= 0, "%s", path);
	close(fd);
	return strtol(text, NULL, 10);
}

#define KSM "/sys/kernel/mm/ksm/"

/* Wait until ksmd has been over all memory twice. */
static void merge(void)
{
	long scans = get(KSM "full_scans");
	uint64_t end = now_ms() + WAIT_MS;

	check(!put(KSM "run", "1"), "starting ksmd");
	while (get(KSM "full_scans") < scans + 3) {
		check(now_ms() < end, "ksmd does not get through");
		sleep_ms(10);
	}
}

static void need_ksm(void)
{
	if (put(KSM "sleep_millisecs", "1") || put(KSM "pages_to_scan", "10000"))
		skip("no KSM");
}

/* All pages of both, of one size, become alike and may be merged. */
static void make_alike(struct buf *one, struct buf *two)
{
	for (size_t at = 0; at < one->size; at += PAGE) {
		memcpy(one->want + at, two->want, PAGE);
		memmove(two->want + at, two->want, PAGE);
	}
	memcpy(one->map, one->want, one->size);
	memcpy(two->map, two->want, two->size);
	check(!madvise(one->map, one->size, MADV_MERGEABLE) &&
	      !madvise(two->map, two->size, MADV_MERGEABLE), "madvise: %s", strerror(errno));
}

static void merged(void)
{
	setup();
	need_ksm();
	for (int i = 0; i < 2; i++) {
		make_alike(&l, &r);
		/* Warm on every second round: the merge must take that away. */
		if (i & 1)
			do_write(&p.a, &l, 0, &r, 0, PAGES * PAGE);
		merge();
		check(get(KSM "pages_shared") > 0, "nothing was merged");
		do_read(&p.a, &l, PAGE + 5, &r, PAGE + 5, 3 * PAGE);
		do_write(&p.a, &l, 77, &r, 5 * PAGE + 1001, PAGE);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
		do_read(&p.a, &l, 8 * PAGE + 3, &r, 5 * PAGE, 2 * PAGE);
		do_send(&p, &l, 8 * PAGE, &r, 11 * PAGE + 1, 3 * PAGE);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
		/* Each of those still merged gets a page of its own again. */
		check(!put(KSM "run", "2"), "unmerging");
		check(!get(KSM "pages_shared"), "something is still merged");
		do_all(&p, &l, &r, 6 * PAGE + 501, 7 * PAGE);
		do_write(&p.a, &l, 3, &r, 1, PAGES * PAGE - 9);
		buf_check(&r, "remote memory");
	}
	put(KSM "run", "0");
	teardown();
}

static volatile unsigned int merges;

static void merge_and_unmerge(void *arg)
{
	(void)arg;
	check(!put(KSM "run", "1"), "starting ksmd");
	sleep_ms(rnd_range(0, 60));
	merges += get(KSM "pages_shared") > 0;
	check(!put(KSM "run", "2"), "unmerging");
}

/* Pages alike again and again, which the device writes to while they are merged. */
static void merged_under_traffic(void)
{
	static struct traffic t;
	struct during d;

	need_odp();
	need_ksm();
	pair_open(&p, NULL);
	buf_new(&t.l, TRAFFIC_SIZE);
	buf_new(&t.r, TRAFFIC_SIZE);
	traffic_join(&t, &p);
	during_start(&d, merge_and_unmerge, NULL);
	for (int i = 0; i < 25 || (i < 150 && merges < 10); i++) {
		if (i % 3 == 0)
			make_alike(&t.l, &t.r);
		sleep_ms(rnd_range(0, 20));
		traffic_round(&t);
	}
	during_stop(&d);
	put(KSM "run", "0");
	traffic_round(&t);
	traffic_close(&t);
	pair_close(&p);
	if (!merges)
		skip("nothing wrong, but ksmd has merged nothing");
}

/* Two mappings of one memory file, both registered: they are one memory. */
static void mapped_twice(void)
{
	struct buf one, two;

	setup();
	buf_new_cold(&one, PAGES * PAGE);
	buf_new_cold(&two, PAGES * PAGE);
	check(mmap(two.map, two.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		   one.fd, 0) == two.map, "mmap");
	memcpy(two.want, one.want, one.size);
	buf_reg(&one, &p.nb, ACCESS_ALL);
	buf_reg(&two, &p.nb, ACCESS_ALL);
	for (int i = 0; i < 10; i++) {
		size_t len = rnd_range(1, 3 * PAGE), at = off_for(&one, len);

		do_write(&p.a, &l, i * 99, i & 1 ? &one : &two, at, len);
		memcpy(one.want + at, l.want + i * 99, len);
		memcpy(two.want + at, l.want + i * 99, len);
		buf_check(&one, "the one mapping");
		buf_check(&two, "the other mapping");
		do_read(&p.a, &l, 8 * PAGE, i & 1 ? &two : &one, at, len);
		buf_check(&l, "what was read");
	}
	buf_free(&one);
	buf_free(&two);
	teardown();
}

/* One buffer as source and target of the same QP pair, on one machine. */
static void same_memory_on_both_sides(void)
{
	struct buf m;
	struct buf remote;

	setup();
	buf_new(&m, PAGES * PAGE);
	buf_reg(&m, &p.na, ACCESS_ALL);
	remote = m;
	remote.mr = NULL;
	buf_reg(&remote, &p.nb, ACCESS_ALL);
	for (int i = 0; i < 10; i++) {
		size_t len = rnd_range(1, 7 * PAGE);

		/* Both share one shadow. */
		do_write(&p.a, &m, i * 33, &remote, 8 * PAGE + i * 7, len);
		buf_check(&m, "after a write");
		do_read(&p.a, &m, i * 77, &remote, 8 * PAGE + i, len);
		buf_check(&m, "after a read");
	}
	buf_dereg(&remote);
	buf_free(&m);
	teardown();
}

TEST_MAIN(CASE(merged), CASE(merged_under_traffic), CASE(mapped_twice),
	  CASE(same_memory_on_both_sides))
