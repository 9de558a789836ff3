// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A process that waits for thousands of pages which never come holds up nobody
 * but itself: others' pages do come.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "advise.h"
#include "ops.h"
#include "test.h"

/* More than a work queue ever runs at a time. */
#define WANTED 2100
#define PAGES 8

static void greedy(int ready)
{
	struct nic nic;
	struct buf b;
	int ret;

	nic_open(&nic, cfg.peer);
	buf_new(&b, PAGES * PAGE);
	/* Nobody ever reads what it asks for. */
	buf_withhold(&b, O_CLOEXEC);
	buf_reg(&b, &nic, ACCESS_ALL);
	for (int i = 0; i < WANTED; i++) {
		ret = advise(nic.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, 0,
			     buf_addr(&b, i % PAGES * PAGE), PAGE, b.lkey);
		check(!ret, "prefetch %d: %s", i, strerror(ret));
	}
	check(write(ready, "", 1) == 1, "pipe");
	pause();
}

static void others_go_on(void)
{
	struct buf l, r;
	struct pair p;
	pid_t pid;

	need_odp();
	pid = child_ready(greedy);
	pair_open(&p, NULL);
	buf_new_cold(&l, PAGES * PAGE);
	buf_new_cold(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_write(&p.a, &l, 77, &r, 4001, 3 * PAGE + 99);
	do_read(&p.a, &l, 5, &r, 2 * PAGE + 7, 5 * PAGE + 1);
	pair_end(&p, &l, &r);
	/* And it can be killed all the same. */
	child_kill(pid);
}

#define OPENS 4
/* Of one process that wait for pages at a time. */
#define WORKERS 256

/* The kernel's that wait for something, whatever they do. */
static int busy_workers(void)
{
	struct dirent *d;
	DIR *dir = opendir("/proc");
	char path[280], state;
	int n = 0;

	check(dir, "/proc");
	while ((d = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", d->d_name);
		f = *d->d_name >= '1' && *d->d_name <= '9' ? fopen(path, "r") : NULL;
		/* Those that are idle say so: I. */
		if (f && fscanf(f, "%*d (kworker/u%*[^)]) %c", &state) == 1)
			n += state == 'D' || state == 'S';
		if (f)
			fclose(f);
	}
	closedir(dir);
	return n;
}

static void opens_often(int ready)
{
	struct buf b, again[OPENS];
	struct nic nic[OPENS];
	int ret;

	buf_new(&b, PAGES * PAGE);
	buf_withhold(&b, O_CLOEXEC);
	for (int i = 0; i < OPENS; i++) {
		nic_open(&nic[i], cfg.peer);
		again[i] = b;
		buf_reg(&again[i], &nic[i], ACCESS_ALL);
		for (int j = 0; j < WORKERS; j++) {
			ret = advise(nic[i].pd, IBV_ADVISE_MR_ADVICE_PREFETCH, 0,
				     buf_addr(&again[i], j % PAGES * PAGE), PAGE,
				     again[i].lkey);
			check(!ret, "prefetch %d: %s", j, strerror(ret));
		}
	}
	check(write(ready, "", 1) == 1, "pipe");
	pause();
}

/* However often a process opens the device, it has no more of the kernel's threads. */
static void opens_share_workers(void)
{
	int busy, last = 0;
	pid_t pid;

	need_odp();
	pid = child_ready(opens_often);
	for (;;) {
		sleep_ms(500);
		busy = busy_workers();
		if (busy <= last)
			break;
		last = busy;
	}
	check(busy > WORKERS / 2 && busy < WORKERS + WORKERS / 2,
	      "%d workers wait for %d prefetches", busy, OPENS * WORKERS);
	child_kill(pid);
}

#define QPS 160

/*
 * Packets that wait for a page are nobody's memory to the kernel's accounts: a
 * process whose pages never come may not fill the machine with them.
 */
static void queues_are_bounded(void)
{
	static struct ep a[QPS], b[QPS];
	struct buf l, r;
	struct pair p, q;
	long free_before, taken;
	size_t len;
	int uffd;

	need_odp();
	if (slow_kernel())
		skip("KASAN keeps what is freed; KUnit has run_device_full");
	pair_open(&p, NULL);
	pair_open(&q, NULL);
	/* As much as a requester has on its way at most. */
	len = 256 * mtu_bytes(pair_mtu(&p));
	buf_new(&l, len);
	buf_new(&r, len);
	uffd = buf_withhold(&r, O_CLOEXEC);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	crowd_open(&p, a, b, QPS);
	free_before = proc_value("/proc/meminfo", "MemFree");
	for (int i = 0; i < QPS; i++)
		q_rdma(&a[i], IBV_WR_RDMA_WRITE, i, &l, 0, &r, 0, len);
	taken = free_before - proc_value("/proc/meminfo", "MemFree");
	check(taken < proc_value("/proc/meminfo", "MemTotal") / 8,
	      "%ld KiB wait for one page", taken);
	/* Others have what is theirs. */
	pair_works(&q);
	pair_close(&q);
	crowd_close(a, QPS);
	/* Now the page comes: a QP is not destroyed before. */
	close(uffd);
	crowd_close(b, QPS);
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

#define WAITERS 64

static void waiting(int ready)
{
	static struct ep a[WAITERS], b[WAITERS];
	struct buf l, r;
	struct pair p;

	pair_open(&p, NULL);
	buf_new(&l, PAGE);
	buf_new(&r, PAGE);
	buf_withhold(&r, O_CLOEXEC);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	crowd_open(&p, a, b, WAITERS);
	for (int i = 0; i < WAITERS; i++)
		q_rdma(&a[i], IBV_WR_RDMA_WRITE, i, &l, 0, &r, 0, 8);
	check(write(ready, "", 1) == 1, "pipe");
	/* Uninterruptibly, until the page comes, which nobody serves. */
	ep_destroy(&b[0]);
}

/* Many QPs wait for one page, and the process is gone soon after it is killed. */
static void killed_while_many_wait(void)
{
	pid_t pid;

	need_odp();
	pid = child_ready(waiting);
	sleep_ms(300);
	child_kill(pid);
}

TEST_MAIN(CASE(others_go_on), CASE(opens_share_workers), CASE(queues_are_bounded),
	  CASE(killed_while_many_wait))
