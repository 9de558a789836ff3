// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Too little memory: pages that the process calls cold or free, a memory cgroup at its
 * limit with a working set that does not fit, and one where the killer comes. What is
 * kept is right, and who is not concerned goes on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "during.h"
#include "group.h"
#include "left.h"
#include "ops.h"
#include "pages.h"
#include "peer.h"
#include "swap.h"
#include "test.h"
#include "traffic.h"

#define PAGES 64
#define MIB (1ul << 20)

static struct pair p;
static struct buf l, r;

static void setup(size_t size, bool shared)
{
	pair_open(&p, NULL);
	buf_new(&l, PAGES * PAGE);
	buf_new_either(&r, size, shared);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

/* Cold pages are taken first; some are taken at once. */
static void cool(void *arg)
{
	struct traffic *t = arg;
	struct buf *b = rnd_range(0, 1) ? &t->l : &t->r;
	size_t n = rnd_range(1, 8), first = rnd_range(0, b->size / PAGE - n);
	int advice = rnd_range(0, 1) ? MADV_COLD : MADV_PAGEOUT;

	check(!madvise(b->map + first * PAGE, n * PAGE, advice), "madvise: %s",
	      strerror(errno));
	if (!rnd_range(0, 9))
		group_reclaim("128K");
}

static void cold_under_traffic(void)
{
	long before = proc_vmstat("pswpout");
	uint64_t end = 0;
	struct traffic t;
	struct during d;

	need_odp();
	swap_on();
	group_make();
	group_join();
	pair_open(&p, NULL);
	traffic_open(&t, &p);
	during_start(&d, cool, &t);
	for (int i = 0; i < 25 || proc_vmstat("pswpout") < before + 50; i++) {
		if (i == 25)
			end = now_ms() + WAIT_MS;
		check(i < 25 || now_ms() < end,
		      "hardly any page is swapped out: are they pinned?");
		traffic_round(&t);
	}
	during_stop(&d);
	traffic_close(&t);
	pair_close(&p);
	group_leave();
}

static void press(void *arg)
{
	(void)arg;
	group_reclaim("64K");
	madvise(r.map, r.size, MADV_PAGEOUT);
}

/*
 * The process can do without what is in its pages. The device writes whole ones while
 * the kernel takes the others: what was written is kept, the rest is what it was or
 * zeros.
 */
static void freed_under_pressure(void)
{
	static const uint8_t zeros[PAGE];

	need_odp();
	swap_on();
	group_make();
	group_join();
	setup(PAGES * PAGE, false);
	for (int i = 0; i < 4; i++) {
		bool written[PAGES] = { false };
		unsigned int gone = 0;
		struct during d;

		if (i & 1)
			do_write(&p.a, &l, 3, &r, 1, PAGES * PAGE - 9);
		check(!madvise(r.map, r.size, MADV_FREE), "madvise: %s", strerror(errno));
		during_start(&d, press, NULL);
		for (int k = 0; k < 16; k++) {
			size_t n = rnd_range(1, 3), first = rnd_range(0, PAGES - n);
			size_t from = rnd_range(0, (PAGES - n) * PAGE);

			q_rdma(&p.a, IBV_WR_RDMA_WRITE, k, &l, from, &r, first * PAGE,
			       n * PAGE);
			buf_moved(&r, first * PAGE, &l, from, n * PAGE);
			memset(written + first, true, n);
		}
		for (int k = 0; k < 16; k++)
			wc_ok(p.a.scq, k);
		during_stop(&d);
		for (int k = 0; k < 3; k++)
			press(NULL);
		for (int k = 0; k < PAGES; k++) {
			uint8_t *page = r.map + k * PAGE;

			if (written[k] || memcmp(page, zeros, PAGE)) {
				same(page, r.want + k * PAGE, PAGE, written[k] ?
				     "a page that was written" : "a page that was not");
			} else {
				memset(r.want + k * PAGE, 0, PAGE);
				gone++;
			}
		}
		check(gone, "no page was taken");
		do_read(&p.a, &l, 1, &r, 3, (PAGES - 1) * PAGE);
		buf_check(&l, "what was read");
		buf_refill(&r);
	}
	teardown();
	group_leave();
}

#define WORKING (6 * MIB)

/* All of it is written and read in pieces, over and over, and half of it fits. */
static void at_a_limit(const char *file, bool shared)
{
	long before;

	need_odp();
	swap_on();
	group_make();
	group_join();
	setup(WORKING, shared);
	before = proc_vmstat("pswpout");
	/* The shadow is as large as the memory, and has to go through as well. */
	group_put("6M", file);
	for (int i = slow_kernel(); i < 2; i++) {
		for (size_t at = i * 77; at + 40 * PAGE < WORKING; at += 39 * PAGE + 501)
			do_write(&p.a, &l, rnd_range(0, PAGE), &r, at, 40 * PAGE);
		for (int k = 0; k < 20; k++) {
			size_t len = rnd_range(1, 40 * PAGE), at = off_for(&r, len);

			do_read(&p.a, &l, rnd_range(0, PAGE), &r, at, len);
			do_write(&p.b, &r, at, &l, rnd_range(0, PAGE), len);
			do_send(&p, &l, rnd_range(0, PAGE), &r, at, len);
			buf_check(&l, "local memory");
		}
		buf_check(&r, "remote memory");
	}
	check(proc_vmstat("pswpout") > before + (long)(WORKING / PAGE / 2),
	      "only %ld pages were swapped out", proc_vmstat("pswpout") - before);
	group_put("max", file);
	teardown();
	group_leave();
}

static void limit_max(void)
{
	at_a_limit("memory.max", false);
}

static void limit_max_shared(void)
{
	at_a_limit("memory.max", true);
}

static void limit_high(void)
{
	at_a_limit("memory.high", false);
}

/* The killer's report has a stack's trace, which is none of ours to complain of. */
static void console(const char *level)
{
	file_put(level, "/proc/sys/kernel/printk");
}

static int ready[2];

/* A group without swap, smaller than r; afterwards the device fills what the child has. */
static void to_be_filled(void)
{
	group_join();
	buf_untouch(&r);
	check(write(ready[1], "", 1) == 1, "pipe");
	pause();
}

#define LARGE (32 * MIB)

static void make_small_group(void)
{
	group_make();
	group_put("12M", "memory.max");
	group_put("0", "memory.swap.max");
}

/*
 * What a peer writes is more than the process may have: the fault that is one too many
 * is that of a worker, and the killer takes the process, not the worker's group.
 */
static void killed_by_a_peer(void)
{
	/* The only end shall be the killer, however long the group looks for a page. */
	struct qp_opt patient = opt_rc;
	struct left before;
	struct traffic t;
	struct pair own;
	struct peer peer;
	struct ibv_wc wc;
	char c;

	need_odp();
	left_now(&before);
	patient.timeout = 17;
	check(!pipe(ready), "pipe");
	make_small_group();
	peer_start(&peer, &p.b, &p.nb, &r, LARGE, to_be_filled);
	peer_open_a(&p, &patient, &l, PAGES * PAGE);
	peer_join(&peer, &p.a, &l, &r);
	check(read(ready[0], &c, 1) == 1, "pipe");
	pair_open(&own, NULL);
	traffic_open(&t, &own);
	console("4");
	for (size_t at = 5;; at += PAGES * PAGE) {
		check(at < LARGE - PAGES * PAGE, "all of it fits");
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 0, &r, at, PAGES * PAGE);
		wc = wc_wait(p.a.scq);
		if (wc.status != IBV_WC_SUCCESS)
			break;
		if (!(at / PAGE / PAGES % 16))
			traffic_round(&t);
	}
	check(wc.status == IBV_WC_RETRY_EXC_ERR || wc.status == IBV_WC_REM_ACCESS_ERR ||
	      wc.status == IBV_WC_REM_OP_ERR, "status \"%s\"",
	      ibv_wc_status_str(wc.status));
	check(group_value("memory.events", "oom_kill") > 0, "nobody was killed, and \"%s\"",
	      ibv_wc_status_str(wc.status));
	peer_await(&peer);
	for (int i = 0; i < 3; i++)
		traffic_round(&t);
	traffic_close(&t);
	pair_close(&own);
	ep_destroy(&p.a);
	buf_free(&l);
	nic_close(&p.na);
	/*
	 * Its memory, and what is mapped there, may go after it, with the fault. Until then
	 * a worker may call the killer once more.
	 */
	left_await(&before);
	console("7");
	group_leave();
}

static void fill(void *arg)
{
	static size_t at;

	(void)arg;
	if (at < LARGE)
		r.map[at] = 1;
	at += PAGE;
}

/* The process takes too much itself, with traffic of its own under way. */
static void killed_in_traffic(void)
{
	struct left before;
	struct traffic t;
	int status;
	pid_t pid;

	need_odp();
	left_now(&before);
	make_small_group();
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		struct during d;

		group_join();
		pair_open(&p, NULL);
		traffic_open(&t, &p);
		r.map = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(r.map != MAP_FAILED, "mmap: %s", strerror(errno));
		console("4");
		during_start(&d, fill, NULL);
		for (;;)
			traffic_round(&t);
	}
	pair_open(&p, NULL);
	traffic_open(&t, &p);
	while (!waitpid(pid, &status, WNOHANG))
		traffic_round(&t);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "wait status %#x", status);
	check(group_value("memory.events", "oom_kill") > 0, "nobody was killed");
	traffic_close(&t);
	pair_close(&p);
	left_await(&before);
	console("7");
	group_leave();
}

static void swap_goes(void)
{
	swap_off();
}

TEST_MAIN(CASE(cold_under_traffic), CASE(freed_under_pressure), CASE(limit_max),
	  CASE(limit_max_shared), CASE(limit_high), CASE(killed_by_a_peer),
	  CASE(killed_in_traffic), CASE(swap_goes))
