// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that come when the test says so: other QPs go on meanwhile, and closing or
 * killing everything while one is awaited ends well. What the peer makes of it is in
 * odp_slow_page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops.h"
#include "slow.h"
#include "test.h"

static struct slow s;

/*
 * More than twice what a QP's queue of received packets takes is asked for while nothing is
 * taken out of it. Only what there is place for may be on the wire.
 */
static void many_reads_to_slow(void)
{
	long dropped = hw_counter(cfg.dev, "rcvd_queue_full");
	const size_t len = 22 * PAGE;
	enum { DEPTH = 128 };
	struct qp_opt opt = opt_rc;

	opt.rd_atomic = DEPTH;
	opt.send_wr = DEPTH;
	slow_open(&s, &opt, false);
	for (int i = 0; i < DEPTH; i++)
		q_rdma(&s.p.a, IBV_WR_RDMA_READ, i, &s.slow, 77, &s.fast, 4001, len);
	slow_await_asked(&s);
	for (int i = 0; i < 3; i++)
		wc_none(s.p.a.scq);
	s.serve = true;
	for (int i = 0; i < DEPTH; i++)
		wc_ok(s.p.a.scq, i);
	buf_moved(&s.slow, 77, &s.fast, 4001, len);
	check(hw_counter(cfg.dev, "rcvd_queue_full") == dropped,
	      "responses found no place");
	slow_close(&s);
}

static void shows_who_waits(void)
{
	static const char *const words[] = { "; resp waits ", " ms to read ", ": worker" };

	for (size_t i = 0; slow_ours(cfg.peer) && i < ARRAY_SIZE(words); i++)
		check(file_has(words[i], "/sys/kernel/debug/rxe_odp/%s/qps", cfg.peer),
		      "debugfs has no \"%s\"", words[i]);
}

/* As many QPs as there are want the same page, and the process is asked for it once. */
static void one_fault_for_many(void)
{
	enum { MANY = 64 };
	static struct ep a[MANY], b[MANY];
	long faults = hw_counter(cfg.peer, "odp_faults");
	long told = hw_counter(cfg.peer, "sent_keepalives");
	uint64_t begun = now_ms();

	slow_open(&s, NULL, true);
	crowd_open(&s.p, a, b, MANY);
	for (int i = 0; i < MANY; i++)
		q_rdma(&a[i], IBV_WR_RDMA_READ, i, &s.fast, 64 * i, &s.slow, 9 * PAGE + i, 64);
	slow_await_asked(&s);
	sleep_ms(300);
	check(s.asked == 1, "asked for the page %u times", s.asked);
	shows_who_waits();
	/* A few each at first; then together at most a thousand a second. */
	told = hw_counter(cfg.peer, "sent_keepalives") - told;
	check(told <= 6 * MANY + 2 * (long)(now_ms() - begun), "%ld keepalives", told);
	s.serve = true;
	for (int i = 0; i < MANY; i++) {
		wc_ok(a[i].scq, i);
		buf_moved(&s.fast, 64 * i, &s.slow, 9 * PAGE + i, 64);
	}
	if (faults >= 0 && strcmp(cfg.dev, cfg.peer))
		check(hw_counter(cfg.peer, "odp_faults") == faults + 1, "%ld faults",
		      hw_counter(cfg.peer, "odp_faults") - faults);
	crowd_close(a, MANY);
	crowd_close(b, MANY);
	slow_close(&s);
}

/* Other QPs of the same devices, and b's own requests, do not wait. */
static void others_go_on(void)
{
	struct buf l, r;
	struct ep x, y;

	slow_open(&s, NULL, true);
	buf_new(&l, SLOW_PAGES * PAGE);
	buf_new_cold(&r, SLOW_PAGES * PAGE);
	buf_reg(&l, &s.p.na, ACCESS_ALL);
	buf_reg(&r, &s.p.nb, ACCESS_ALL);
	ep_create(&x, &s.p.na, &opt_rc);
	ep_create(&y, &s.p.nb, &opt_rc);
	ep_join(&x, &y);
	q_rdma(&s.p.a, IBV_WR_RDMA_WRITE, 1, &s.fast, 77, &s.slow, 4001, 9000);
	slow_await_asked(&s);
	for (int i = 0; i < 20; i++) {
		do_write(&x, &l, i * 99, &r, i * 55, 9001);
		do_read(&x, &l, i * 77, &r, i * 33, 9001);
	}
	wc_none(s.p.a.scq);
	s.serve = true;
	wc_ok(s.p.a.scq, 1);
	buf_moved(&s.slow, 4001, &s.fast, 77, 9000);
	buf_check(&l, "local memory of the others");
	buf_check(&r, "remote memory of the others");
	ep_destroy(&x);
	ep_destroy(&y);
	buf_free(&l);
	buf_free(&r);
	slow_close(&s);
}

/* Nobody serves any more: the page is an ordinary one of zeros then. */
static void server_closes(void)
{
	slow_open(&s, NULL, true);
	q_rdma(&s.p.a, IBV_WR_RDMA_WRITE, 1, &s.fast, 77, &s.slow, 4001, 9000);
	slow_await_asked(&s);
	s.over = true;
	close(s.uffd);
	s.uffd = -1;
	wc_ok(s.p.a.scq, 1);
	memset(s.slow.want, 0, s.slow.size);
	buf_moved(&s.slow, 4001, &s.fast, 77, 9000);
	slow_close(&s);
}

/* A process of one thread serves its own pages: it may not wait for them in a post. */
static void post_returns(bool remote)
{
	enum { LEN = 8 * PAGE };
	struct buf l, r, *late = remote ? &r : &l;
	uint8_t was[LEN];
	struct pair p;
	int fd;

	need_odp();
	pair_open(&p, NULL);
	buf_new(&l, LEN);
	buf_new(&r, LEN);
	memcpy(was, late->want, LEN);
	fd = buf_withhold(late, O_CLOEXEC);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 77, &r, 4001, 9000);
	wc_none(p.a.scq);
	buf_serve(late, fd, was);
	wc_ok(p.a.scq, 1);
	buf_moved(&r, 4001, &l, 77, 9000);
	close(fd);
	pair_end(&p, &l, &r);
}

static void post_to_slow_returns(void)
{
	post_returns(true);
}

static void post_from_slow_returns(void)
{
	post_returns(false);
}

/* In ERR nothing waits for a page: all that was posted comes back at once. */
static void flushed_meanwhile(void)
{
	enum { N = 5 };

	slow_open(&s, NULL, true);
	for (int i = 0; i < N; i++)
		q_recv(&s.p.b, i, &s.slow, i * 3 * PAGE + 77, 1000);
	q_send(&s.p.a, 1, &s.fast, 5, 1000);
	slow_await_asked(&s);
	ep_set_state(&s.p.b, IBV_QPS_ERR);
	for (int i = 0; i < N; i++)
		wc_expect(s.p.b.rcq, i, IBV_WC_WR_FLUSH_ERR);
	check(!s.serve, "the page has come");
	s.serve = true;
	wc_expect(s.p.a.scq, 1, IBV_WC_RETRY_EXC_ERR);
	slow_close(&s);
}

static void unmapped_meanwhile(void)
{
	struct uffdio_range range;

	slow_open(&s, NULL, true);
	q_rdma(&s.p.a, IBV_WR_RDMA_WRITE, 1, &s.fast, 77, &s.slow, 4001, 9000);
	slow_await_asked(&s);
	s.over = true;
	check(!munmap(s.slow.map, s.slow.size), "munmap");
	range.start = (uintptr_t)s.slow.map;
	range.len = s.slow.size;
	ioctl(s.uffd, UFFDIO_WAKE, &range);
	wc_expect(s.p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	check(mmap(s.slow.map, s.slow.size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		   MAP_ANONYMOUS | MAP_FIXED, -1, 0) == s.slow.map, "mmap");
	memset(s.slow.want, 0, s.slow.size);
	slow_close(&s);
}

static void device_still_works(void)
{
	pair_open(&s.p, NULL);
	pair_works(&s.p);
	pair_close(&s.p);
}

static bool at_remote, for_read;

static void wait_for_ever(int ready)
{
	slow_open(&s, NULL, at_remote);
	q_rdma(&s.p.a, for_read ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, 1, s.l, 77, s.r, 5,
	       9000);
	slow_await_asked(&s);
	check(write(ready, "", 1) == 1, "pipe");
	pause();
}

/* Killed, QPs and all, while a page is awaited that will never come. */
static void killed(void)
{
	for (int i = 0; i < 4; i++) {
		need_odp();
		at_remote = i & 1;
		for_read = i & 2;
		child_kill(child_ready(wait_for_ever));
	}
	device_still_works();
}

TEST_MAIN(CASE(many_reads_to_slow), CASE(one_fault_for_many), CASE(others_go_on),
	  CASE(server_closes), CASE(post_to_slow_returns),
	  CASE(post_from_slow_returns), CASE(flushed_meanwhile),
	  CASE(unmapped_meanwhile), CASE(killed))
