// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What comes late: copies of requests that were answered long ago, and the answer to a
 * request that is just being repeated. They may cost nothing and break nothing.
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
#define DELAY_MS (slow_kernel() ? 2000 : 1000)
#define TIMEOUT (slow_kernel() ? 17 : 16)

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

/* A READ of @b that a asks for again and again, for the way to b is long. */
static void read_with_copies(struct buf *b)
{
	long before = hw_counter(cfg.dev, "timeouts");

	delay(&end[0]);
	q_rdma(&p.a, IBV_WR_RDMA_READ, 1, &l, 77, b, 4001, PAGE + 9);
	wc_ok(p.a.scq, 1);
	buf_moved(&l, 77, b, 4001, PAGE + 9);
	check(hw_counter(cfg.dev, "timeouts") > before, "nothing was asked for again");
}

static long duplicates(void)
{
	return hw_counter(cfg.peer, "rcvd_duplicates");
}

/* The rest of those copies reaches b now. */
static void copies_arrive(long duplicates_before)
{
	sleep_ms(DELAY_MS + DELAY_MS / 4);
	check(duplicates() > duplicates_before, "no copy has arrived");
}

/* Nobody waits for it any more, so it is no error that it cannot be had. */
static void read_of_a_dead_key(void)
{
	struct buf dead;
	long before;

	setup();
	buf_new(&dead, 3 * PAGE);
	buf_reg(&dead, &p.nb, ACCESS_ALL);
	read_with_copies(&dead);
	buf_free(&dead);
	before = duplicates();
	wire_netem(&end[0], "delay 0ms");
	copies_arrive(before);
	wire_netem(&end[0], NULL);
	check(ep_state(&p.b) == IBV_QPS_RTS, "b's QP is in state %d", ep_state(&p.b));
	do_write(&p.a, &l, 3, &r, PAGE - 7, PAGE + 20);
	do_send(&p, &l, 1001, &r, 99, 77);
	teardown();
}

/* A READ that is being answered goes on after it has been answered again. */
static void read_beside_another(void)
{
	static uint8_t bytes[2 * PAGE];
	long before, aside, timeouts, again;
	struct buf slow;
	int uffd;

	setup();
	buf_new(&slow, sizeof(bytes));
	memcpy(bytes, slow.want, sizeof(bytes));
	uffd = buf_withhold(&slow, O_CLOEXEC);
	buf_reg(&slow, &p.nb, ACCESS_ALL);
	read_with_copies(&r);
	before = duplicates();
	aside = hw_counter(cfg.peer, "reads_set_aside");
	/* What is on its way stays there; what follows is there at once. */
	wire_netem(&end[0], "delay 0ms");
	timeouts = hw_counter(cfg.dev, "timeouts");
	again = hw_counter(cfg.dev, "retransmits");
	q_rdma(&p.a, IBV_WR_RDMA_READ, 2, &l, 3 * PAGE + 5, &slow, 1001, PAGE + 13);
	sleep_ms(DELAY_MS + DELAY_MS / 4);
	buf_serve(&slow, uffd, bytes);
	close(uffd);
	wc_ok(p.a.scq, 2);
	buf_moved(&l, 3 * PAGE + 5, &slow, 1001, PAGE + 13);
	check(duplicates() > before, "no copy has arrived");
	check(hw_counter(cfg.peer, "reads_set_aside") > aside, "none came in between");
	wire_netem(&end[0], NULL);
	timeouts = hw_counter(cfg.dev, "timeouts") - timeouts;
	again = hw_counter(cfg.dev, "retransmits") - again;
	check(!timeouts && !again, "%ld time-outs, asked again %ld times", timeouts, again);
	buf_check(&slow, "slow memory");
	buf_free(&slow);
	teardown();
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
	buf_await(&r);
	/* For sending it again the page is not to be had. */
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

TEST_MAIN(CASE(read_of_a_dead_key), CASE(read_beside_another),
	  CASE(answered_while_repeated), CASE(whole_again))
