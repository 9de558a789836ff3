// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A process that waits for thousands of pages which never come holds up nobody
 * but itself: others' pages do come.
 */
#define _GNU_SOURCE
#include <fcntl.h>
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
	int ready[2];
	struct buf l, r;
	struct pair p;
	pid_t pid;
	char c;

	need_odp();
	check(!pipe(ready), "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		greedy(ready[1]);
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		child_verdict(pid);
	pair_open(&p, NULL);
	buf_new_cold(&l, PAGES * PAGE);
	buf_new_cold(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_write(&p.a, &l, 77, &r, 4001, 3 * PAGE + 99);
	do_read(&p.a, &l, 5, &r, 2 * PAGE + 7, 5 * PAGE + 1);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
	/* And it can be killed all the same. */
	child_kill(pid);
}

TEST_MAIN(CASE(others_go_on))
