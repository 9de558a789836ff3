// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What comes late: the answer to a request that is just being repeated.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"
#include "wire.h"

#define PAGES 8
/* How long the wire is: four of the QP's time-outs, which has seven. */
#define DELAY_MS (slow_kernel() ? 4000 : 1000)
#define TIMEOUT (slow_kernel() ? 18 : 16)

static struct pair p;
static struct buf l, r;
static struct wire_end end[2];

static void setup(void)
{
	struct qp_opt opt = opt_rc;

	need_odp();
	opt.timeout = TIMEOUT;
	pair_open(&p, &opt);
	buf_new(&l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	wire_end_find(&end[0], &p.na);
	wire_end_find(&end[1], &p.nb);
	do_read(&p.a, &l, 5, &r, 9, 3 * PAGE + 1);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void delay(struct wire_end *e)
{
	char what[32];

	snprintf(what, sizeof(what), "delay %dms", DELAY_MS);
	wire_netem(e, what);
}

/* Its memory is gone by then, which is nothing to the next request. */
static void answered_while_repeated(void)
{
	struct uffd_msg msg;
	struct pollfd pfd;
	struct buf once;
	void *fresh;

	setup();
	buf_new(&once, 2 * PAGE);
	buf_reg(&once, &p.na, ACCESS_ALL);
	delay(&end[1]);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &once, 3, &r, 99, 1001);
	buf_moved(&r, 99, &once, 3, 1001);
	/* It has been sent; for sending it again the page is not to be had. */
	pfd.fd = buf_withhold(&once, O_CLOEXEC);
	pfd.events = POLLIN;
	check(poll(&pfd, 1, DELAY_MS) == 1 && read(pfd.fd, &msg, sizeof(msg)) == sizeof(msg),
	      "it was not repeated");
	wc_ok(p.a.scq, 1);
	wire_netem(&end[1], NULL);
	check(!munmap(once.map, once.size), "munmap");
	sleep_ms(QUIET_MS);
	close(pfd.fd);
	fresh = mmap(once.map, once.size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	check(fresh == once.map, "mmap");
	memset(once.want, 0, once.size);
	do_write(&p.a, &once, 17, &r, 2 * PAGE - 9, PAGE + 5);
	buf_check(&once, "the new memory");
	buf_free(&once);
	teardown();
}

/* What a case that failed has left would trouble the programs after this. */
static void whole_again(void)
{
	setup();
	wire_netem(&end[0], NULL);
	wire_netem(&end[1], NULL);
	teardown();
}

TEST_MAIN(CASE(answered_while_repeated), CASE(whole_again))
