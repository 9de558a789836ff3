// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Copy on write after fork: the MR is the parent's memory. What the child writes
 * never shows in it, what the device writes never shows in the child.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define PAGES 16

static struct pair p;
static struct buf l, r;

static void setup(bool warm)
{
	need_odp();
	pair_begin(&p, &l, PAGES * PAGE, &r, PAGES * PAGE);
	if (warm)
		do_write(&p.a, &l, 5, &r, 1, PAGES * PAGE - 9);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

struct child {
	int go[2], did[2];
	pid_t pid;
};

static void step(int from, int to)
{
	char c = 0;

	if (to >= 0)
		check(write(to, &c, 1) == 1, "pipe");
	if (from >= 0)
		check(read(from, &c, 1) == 1, "the child died");
}

/*
 * A child that scribbles over its copies of both buffers, tells, waits, and then
 * checks that its copies are as it left them.
 */
static void scribbler(struct child *c)
{
	buf_check(&l, "the child's copy of local memory");
	buf_check(&r, "the child's copy of remote memory");
	buf_refill(&l);
	buf_refill(&r);
	step(c->go[0], c->did[1]);
	buf_check(&l, "the child's local memory after the parent's traffic");
	buf_check(&r, "the child's remote memory after the parent's traffic");
	_exit(0);
}

/*
 * A child that finds its copies as they were, whatever the device has written meanwhile,
 * and only then writes.
 */
static void latecomer(struct child *c)
{
	step(c->go[0], c->did[1]);
	scribbler(c);
}

/* A child that only looks: its pages are still those of before. */
static void onlooker(struct child *c)
{
	step(c->go[0], c->did[1]);
	buf_check(&l, "the child's local memory after the parent's traffic");
	buf_check(&r, "the child's remote memory after the parent's traffic");
	_exit(0);
}

static void start(struct child *c, void (*fn)(struct child *))
{
	check(!pipe(c->go) && !pipe(c->did), "pipe");
	c->pid = fork();
	check(c->pid >= 0, "fork");
	if (!c->pid) {
		close(c->go[1]);
		close(c->did[0]);
		fn(c);
	}
	close(c->go[0]);
	close(c->did[1]);
	step(c->did[0], -1);
}

static void finish(struct child *c)
{
	int status;

	step(-1, c->go[1]);
	check(waitpid(c->pid, &status, 0) == c->pid, "waitpid");
	check(WIFEXITED(status) && !WEXITSTATUS(status), "the child found it changed");
	close(c->go[1]);
	close(c->did[0]);
}

static void traffic(void)
{
	do_write(&p.a, &l, 1001, &r, 4000, 5003);
	buf_check(&r, "after a write");
	do_read(&p.a, &l, 8 * PAGE - 1, &r, 3 * PAGE + 1, 9001);
	buf_check(&l, "after a read");
	do_send(&p, &l, 5 * PAGE + 5, &r, 9 * PAGE - 77, 7001);
	buf_check(&r, "after a send");
}

static void with(void (*fn)(struct child *), bool warm)
{
	struct child c;

	setup(warm);
	for (int i = 0; i < 4; i++) {
		start(&c, fn);
		traffic();
		finish(&c);
		/* Its only owner again: the pages may be written in place. */
		traffic();
	}
	teardown();
}

static void child_writes_warm(void)
{
	with(scribbler, true);
}

static void child_writes_cold(void)
{
	with(scribbler, false);
}

static void child_looks_warm(void)
{
	with(onlooker, true);
}

static void child_looks_cold(void)
{
	with(onlooker, false);
}

/* Reads first: translations that only allow reading, then the write. */
static void read_then_write(void)
{
	struct child c;

	setup(true);
	for (int i = 0; i < 4; i++) {
		start(&c, onlooker);
		do_read(&p.a, &l, 3, &r, 5, 8 * PAGE);
		do_write(&p.a, &l, 77, &r, 4097, 6 * PAGE);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
		finish(&c);
	}
	teardown();
}

/* The device writes first and then the child, or the other way round. */
static void in_both_orders(bool warm)
{
	struct child c;

	setup(warm);
	for (int i = 0; i < 6; i++) {
		start(&c, i & 1 ? scribbler : latecomer);
		traffic();
		if (!(i & 1)) {
			step(c.did[0], c.go[1]);
			buf_check(&l, "local memory after the child has written");
			buf_check(&r, "remote memory after the child has written");
			traffic();
		}
		finish(&c);
		traffic();
	}
	teardown();
}

static void both_orders_warm(void)
{
	in_both_orders(true);
}

static void both_orders_cold(void)
{
	in_both_orders(false);
}

/* Several generations hold on to the pages at once. */
static void several_children(void)
{
	struct child c[4];

	setup(true);
	for (int i = 0; i < 4; i++) {
		start(&c[i], i & 1 ? scribbler : onlooker);
		traffic();
	}
	for (int i = 0; i < 4; i++) {
		finish(&c[i]);
		traffic();
	}
	teardown();
}

/* Forks in the middle of traffic, children that end at once. */
static void under_traffic(void)
{
	int status;

	setup(true);
	for (int i = 0; i < 15; i++) {
		pid_t pid;

		for (int k = 0; k < 10; k++) {
			size_t len = rnd_range(1, 3 * PAGE), at = off_for(&r, len);

			q_rdma(&p.a, IBV_WR_RDMA_WRITE, k, &l, i * 99, &r, at, len);
			buf_moved(&r, at, &l, i * 99, len);
		}
		pid = fork();
		check(pid >= 0, "fork");
		if (!pid) {
			memset(r.map, i, r.size);
			_exit(0);
		}
		for (int k = 0; k < 10; k++)
			wc_ok(p.a.scq, k);
		buf_check(&r, "remote memory");
		check(waitpid(pid, &status, 0) == pid && !status, "child");
	}
	teardown();
}

TEST_MAIN(CASE(child_writes_warm), CASE(child_writes_cold), CASE(child_looks_warm),
	  CASE(child_looks_cold), CASE(read_then_write), CASE(both_orders_warm),
	  CASE(both_orders_cold), CASE(several_children), CASE(under_traffic))
