// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that move to other frames: taken out of service, compacted, moved between
 * NUMA nodes. The process notices nothing, nor may the device. That they have moved is
 * seen by their frames' numbers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "during.h"
#include "ops.h"
#include "pages.h"
#include "test.h"
#include "traffic.h"

#define PAGES 24

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define MPOL_MF_MOVE 2

static struct pair p;
static struct buf l, r;

static void setup(bool shared)
{
	need_odp();
	pair_open(&p, NULL);
	buf_new(&l, 2 * PAGES * PAGE);
	buf_new_either(&r, PAGES * PAGE, shared);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static struct traffic traffic;

static void traffic_setup(void)
{
	need_odp();
	pair_open(&p, NULL);
	traffic_open(&traffic, &p);
	traffic_round(&traffic);
}

/* A page of either buffer. */
static uint8_t *some_page(void)
{
	struct buf *b = rnd_range(0, 1) ? &traffic.l : &traffic.r;

	return b->map + rnd_range(0, b->size / PAGE - 1) * PAGE;
}

/* Goes on until pages have moved often enough; each round is checked. */
static void traffic_while(void (*event)(void *arg), unsigned int moves)
{
	size_t pages = traffic.r.size / PAGE;
	uint64_t end = 0, *before = malloc(pages * 8);
	unsigned int moved = 0;
	struct during d;

	check(before, "no memory");
	pages_get(traffic.r.map, pages, before);
	during_start(&d, event, NULL);
	for (int i = 0; i < 25 || moved < moves; i++) {
		if (i == 25)
			end = now_ms() + WAIT_MS;
		check(i < 25 || now_ms() < end, "only %u pages have moved", moved);
		traffic_round(&traffic);
		moved += pages_moved(traffic.r.map, pages, before);
		pages_get(traffic.r.map, pages, before);
	}
	during_stop(&d);
	free(before);
	traffic_close(&traffic);
	pair_close(&p);
}

/*
 * The kernel does not trust the frame any more: the page moves, and the frame is never
 * used again. Has it been done? A page in a per-CPU batch may be passed over.
 */
static bool take_out(uint8_t *page)
{
	if (!madvise(page, PAGE, MADV_SOFT_OFFLINE))
		return true;
	if (errno == EINVAL || errno == EPERM || errno == EOPNOTSUPP)
		skip("no soft offlining: %s", strerror(errno));
	return false;
}

static void take_out_some(struct buf *b, size_t first, size_t n)
{
	uint64_t before[PAGES];
	unsigned int moved = 0;

	pages_get(b->map + first * PAGE, n, before);
	for (int i = 0; i < 20 && moved < n; i++) {
		for (size_t k = 0; k < n; k++)
			if (!pages_moved(b->map + (first + k) * PAGE, 1, before + k))
				take_out(b->map + (first + k) * PAGE);
		moved = pages_moved(b->map + first * PAGE, n, before);
		if (moved < n)
			sleep_ms(10);
	}
	check(moved > n / 2, "only %u of %zu pages have moved: are they pinned?", moved, n);
}

static void taken_out_of_service(bool shared)
{
	setup(shared);
	for (int i = 0; i < 4; i++) {
		size_t first = rnd_range(1, PAGES - 6);

		take_out_some(&r, first, 4);
		if (i & 1)
			take_out_some(&l, first, 4);
		if (i & 2)
			do_write(&p.a, &l, first * PAGE, &r, first * PAGE - 99, 5 * PAGE);
		do_all(&p, &l, &r, first * PAGE - 101, 4 * PAGE + 202);
	}
	teardown();
}

static void soft_offline(void)
{
	taken_out_of_service(false);
}

static void soft_offline_shared(void)
{
	taken_out_of_service(true);
}

static void take_out_one(void *arg)
{
	(void)arg;
	take_out(some_page());
	/* Each is a page less for good. */
	sleep_ms(2);
}

static void soft_offline_under_traffic(void)
{
	traffic_setup();
	traffic_while(take_out_one, 20);
}

#define POOL 8192
#define LOW 1024		/* pages of it that are to move */
#define HIGH 4096		/* and those with room between them to move to */

static void compact(void *arg)
{
	(void)arg;
	file_put("1", "/proc/sys/vm/compact_memory");
	sleep_ms(5);
}

struct place {
	uint64_t frame;
	size_t page;
};

static int by_frame(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->frame < y->frame ? -1 : x->frame > y->frame;
}

/*
 * Compaction moves pages from low frames to holes between high ones. Of many pages the
 * lowest become r, and of the highest every second stays, to have holes there.
 */
static void make_sparse(void)
{
	static struct place places[POOL];
	static uint64_t entries[POOL];
	uint8_t *pool = mmap(NULL, POOL * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(pool != MAP_FAILED, "mmap: %s", strerror(errno));
	for (size_t i = 0; i < POOL; i++)
		pool[i * PAGE] = 1;
	pages_get(pool, POOL, entries);
	for (size_t i = 0; i < POOL; i++)
		places[i] = (struct place) { entries[i] & PM_FRAME, i };
	qsort(places, POOL, sizeof(places[0]), by_frame);
	buf_new(&r, LOW * PAGE);
	for (size_t i = 0; i < POOL; i++) {
		uint8_t *at = pool + places[i].page * PAGE;

		if (i < LOW)
			check(mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				     r.map + i * PAGE) == r.map + i * PAGE, "mremap: %s",
			      strerror(errno));
		else if (i < POOL - HIGH || i & 1)
			check(!madvise(at, PAGE, MADV_DONTNEED), "madvise");
	}
	memcpy(r.map, r.want, r.size);
}

static void be_compacted(void *arg)
{
	uint64_t end = now_ms() + WAIT_MS / 8;
	static uint64_t before[LOW];
	unsigned int moved = 0;
	struct during d;

	(void)arg;
	check(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "prctl");
	pair_open(&p, NULL);
	buf_new(&l, 64 * PAGE);
	make_sparse();
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	for (size_t i = 0; i < LOW; i += 32)
		do_write(&p.a, &l, i, &r, i * PAGE + 99, 31 * PAGE);
	pages_get(r.map, LOW, before);
	during_start(&d, compact, NULL);
	for (int i = 0; i < 8 || (moved < LOW / 4 && now_ms() < end); i++) {
		for (int k = 0; k < 8; k++) {
			size_t len = rnd_range(1, 30 * PAGE), at = off_for(&r, len);

			do_write(&p.a, &l, k * 99, &r, at, len);
			do_read(&p.a, &l, k * 77, &r, at, len);
			do_write(&p.b, &r, at, &l, k * 55, len);
		}
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
		moved += pages_moved(r.map, LOW, before);
		pages_get(r.map, LOW, before);
	}
	during_stop(&d);
	teardown();
	_exit(moved ? 0 : EXIT_SKIP);
}

/* A machine just booted has few holes: those that one process leaves help the next. */
static void compaction(void)
{
	int status;

	need_odp();
	for (int i = 0; i < 4; i++) {
		status = in_child(be_compacted, NULL);
		if (!status)
			return;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SKIP)
			_exit(1);
	}
	skip("nothing wrong, but the kernel has moved no page");
}

static void need_nodes(void)
{
	if (access("/sys/devices/system/node/node1", F_OK))
		skip("there is but one NUMA node");
}

/* How many of the pages are on @node afterwards. */
static unsigned int move_to(uint8_t *at, size_t n, int node)
{
	unsigned int there = 0;
	void *pages[PAGES];
	int nodes[PAGES], status[PAGES];

	for (size_t i = 0; i < n; i++) {
		pages[i] = at + i * PAGE;
		nodes[i] = node;
	}
	check(syscall(SYS_move_pages, 0, n, pages, nodes, status, MPOL_MF_MOVE) >= 0,
	      "move_pages: %s", strerror(errno));
	for (size_t i = 0; i < n; i++)
		there += status[i] == node;
	return there;
}

static void all_move_to(struct buf *b, int node)
{
	uint64_t before[PAGES];
	unsigned int there = 0;

	pages_get(b->map, PAGES, before);
	for (int i = 0; i < 20 && there < PAGES; i++)
		there = move_to(b->map, PAGES, node);
	check(there > PAGES / 2, "only %u pages are on node %d: are they pinned?", there,
	      node);
	check(pages_moved(b->map, PAGES, before) || !node, "no page has another frame");
}

static void moved_between_nodes(bool shared)
{
	need_nodes();
	setup(shared);
	all_move_to(&r, 0);
	for (int i = 1; i < 6; i++) {
		all_move_to(&r, i & 1);
		if (i & 2)
			all_move_to(&l, i & 1);
		if (i & 1)
			do_write(&p.a, &l, 501, &r, i * 99, (PAGES - 2) * PAGE);
		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
	}
	teardown();
}

static void nodes(void)
{
	moved_between_nodes(false);
}

static void nodes_shared(void)
{
	moved_between_nodes(true);
}

static void move_one(void *arg)
{
	(void)arg;
	move_to(some_page(), 1, rnd_range(0, 1));
}

static void nodes_under_traffic(void)
{
	need_nodes();
	traffic_setup();
	traffic_while(move_one, 100);
}

/* All that the process has, with its rings and shadows. */
static void migrate_all(void *arg)
{
	static unsigned int n;
	unsigned long from = 1ul << (n & 1), to = 3 - from;

	(void)arg;
	n++;
	check(syscall(SYS_migrate_pages, 0, 64, &from, &to) >= 0, "migrate_pages: %s",
	      strerror(errno));
	sleep_ms(5);
}

static void whole_process(void)
{
	need_nodes();
	traffic_setup();
	traffic_while(migrate_all, 100);
}

/* Somebody may look at a page just now, and then it stays. */
static void huge_move_to(int node)
{
	bool there = false;

	for (int i = 0; i < 200 && !there; i++) {
		there = move_to(r.map + HUGE, 1, node);
		if (!there)
			sleep_ms(5);
	}
	check(there, "the huge page does not get to node %d: is it pinned?", node);
}

/* A huge page moves as one. */
static void huge_between_nodes(void)
{
	uint64_t before;

	need_nodes();
	setup(false);
	buf_free(&r);
	buf_adopt(&r, huge_map_transparent(2), 2 * HUGE);
	buf_refill(&r);
	if (huge_kb() < 2 * (long)(HUGE / 1024))
		skip("no huge pages");
	buf_reg(&r, &p.nb, ACCESS_ALL);
	huge_move_to(0);
	for (int i = 1; i < 5; i++) {
		do_all(&p, &l, &r, HUGE - 5 * PAGE - 9, 15 * PAGE);
		do_write(&p.a, &l, 9, &r, 2 * HUGE - PAGES * PAGE, PAGES * PAGE);
		pages_get(r.map + HUGE, 1, &before);
		huge_move_to(i & 1);
		check(pages_moved(r.map + HUGE, 1, &before), "the huge page has not moved");
		do_all(&p, &l, &r, HUGE - 7 * PAGE - 9, 15 * PAGE);
		buf_check(&r, "remote memory");
	}
	teardown();
}

#define BALANCING "/sys/kernel/debug/sched/numa_balancing/"

static volatile uint8_t touched;

static void touch_one(void *arg)
{
	(void)arg;
	touched = *some_page();
}

static void be_balanced(void *arg)
{
	long updates = proc_vmstat("numa_pte_updates");
	long faults = proc_vmstat("numa_hint_faults");
	uint64_t end = now_ms() + WAIT_MS / 3;
	struct during d;

	(void)arg;
	traffic_setup();
	during_start(&d, touch_one, NULL);
	while (now_ms() < end && (proc_vmstat("numa_pte_updates") < updates + 200 ||
				  proc_vmstat("numa_hint_faults") < faults + 100))
		traffic_round(&traffic);
	for (int i = 0; i < 10; i++)
		traffic_round(&traffic);
	during_stop(&d);
	updates = proc_vmstat("numa_pte_updates") - updates;
	traffic_close(&traffic);
	pair_close(&p);
	if (!updates)
		skip("nothing wrong, but the scheduler has looked at no page");
}

/*
 * The scheduler takes rights away from pages to see who touches them, and moves them
 * to who does.
 */
static void balancing(void)
{
	int status;

	need_nodes();
	if (access(BALANCING "scan_period_min_ms", W_OK))
		skip("no NUMA balancing");
	file_put("0", BALANCING "scan_delay_ms");
	file_put("1", BALANCING "scan_period_min_ms");
	file_put("2", BALANCING "scan_period_max_ms");
	file_put("1", "/proc/sys/kernel/numa_balancing");
	/* A process takes these over when it is made. */
	status = in_child(be_balanced, NULL);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

TEST_MAIN(CASE(soft_offline), CASE(soft_offline_shared), CASE(soft_offline_under_traffic),
	  CASE(compaction), CASE(nodes), CASE(nodes_shared), CASE(nodes_under_traffic),
	  CASE(whole_process), CASE(huge_between_nodes), CASE(balancing))
