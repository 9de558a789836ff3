// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that take long to come (userfaultfd serves them when the test says so):
 * the peer neither gives up nor times out, other QPs go on meanwhile, and closing
 * or killing everything while a page is awaited ends well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define PAGES 24

static struct pair p;
static struct buf fast, slow;	/* of a and b, or of b and a */
static int uffd = -1;
static volatile bool serve;	/* may pages be given out? */
static volatile bool over;	/* or never at all */
static volatile unsigned int asked;
static pthread_t thread;

static void give(uint64_t addr)
{
	size_t off = (addr & ~(PAGE - 1)) - (uintptr_t)slow.map;
	uint8_t page[PAGE];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)slow.map + off, .src = (uintptr_t)page, .len = PAGE,
	};

	/* From the file of what it held before: the shadow may be ahead. */
	memcpy(page, slow.want + slow.size + off, PAGE);
	check(!ioctl(uffd, UFFDIO_COPY, &copy) || errno == EEXIST, "UFFDIO_COPY: %s",
	      strerror(errno));
}

static void *server(void *arg)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	(void)arg;
	while (!over) {
		poll(&pfd, 1, 10);
		if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		asked++;
		while (!serve && !over)
			sleep_ms(1);
		if (!over)
			give(msg.arg.pagefault.address);
	}
	return NULL;
}

/* a is impatient: it waits 67 ms, three times. */
static uint8_t timeout = 14, retry = 2;
/* What b would wait, if it is another time. */
static uint8_t peer_timeout;
/* READs it has under way. */
static uint8_t depth = 16;

static bool ours(const char *dev)
{
	return !strncmp(dev, "rxo", 3);
}

static void setup(bool remote_is_slow)
{
	const enum mr_mode mode = cfg.mode;
	struct qp_opt opt = opt_rc;

	need_odp();
	/* What another driver does with ODP is not ours to test. */
	if (!ours(cfg.dev) || !ours(cfg.peer))
		cfg.mode = MODE_PINNED;
	opt.timeout = timeout;
	opt.retry = retry;
	opt.rd_atomic = depth;
	opt.send_wr = depth;
	pair_open(&p, &opt);
	if (peer_timeout) {
		ep_destroy(&p.b);
		opt.timeout = peer_timeout;
		ep_create(&p.b, &p.nb, &opt);
		ep_set_state(&p.a, IBV_QPS_RESET);
		ep_join(&p.a, &p.b);
	}
	buf_new(&slow, PAGES * PAGE);
	uffd = buf_withhold(&slow, O_CLOEXEC | O_NONBLOCK);
	/* Twice the shadow: the second half keeps what the pages are served from. */
	slow.want = realloc(slow.want, 2 * slow.size);
	check(slow.want, "no memory");
	memcpy(slow.want + slow.size, slow.want, slow.size);
	buf_new(&fast, PAGES * PAGE);
	buf_reg(&fast, remote_is_slow ? &p.na : &p.nb, ACCESS_ALL);
	cfg.mode = mode;
	buf_reg(&slow, remote_is_slow ? &p.nb : &p.na, ACCESS_ALL);
	check(!pthread_create(&thread, NULL, server, NULL), "pthread_create");
}

static void teardown(void)
{
	buf_check(&fast, "fast memory");
	buf_check(&slow, "slow memory");
	over = true;
	pthread_join(thread, NULL);
	buf_free(&fast);
	buf_free(&slow);
	pair_close(&p);
}

/* The device has asked for a page, and for a while nothing comes of it. */
static void await_asked(void)
{
	for (uint64_t end = now_ms() + WAIT_MS; !asked;) {
		check(now_ms() < end, "no page was asked for");
		sleep_ms(1);
	}
}

/* @op from a, pages served only long after a's patience would have run out. */
static void with(enum ibv_wr_opcode op, bool remote_is_slow)
{
	struct buf *l, *r;
	const size_t len = 3 * PAGE + 99;
	long told = hw_counter(cfg.peer, "sent_keepalives");

	setup(remote_is_slow);
	l = remote_is_slow ? &fast : &slow;
	r = remote_is_slow ? &slow : &fast;
	if (op == IBV_WR_SEND) {
		q_recv(&p.b, 2, r, 4001, len);
		q_send(&p.a, 1, l, 77, len);
	} else {
		q_rdma(&p.a, op, 1, l, 77, r, 4001, len);
	}
	await_asked();
	for (int i = 0; i < 6; i++)
		wc_none(p.a.scq);
	if (remote_is_slow)
		check(hw_counter(cfg.peer, "sent_keepalives") > told,
		      "the peer is not told");
	serve = true;
	wc_ok(p.a.scq, 1);
	if (op == IBV_WR_SEND)
		wc_ok(p.b.rcq, 2);
	if (op == IBV_WR_RDMA_READ)
		buf_moved(l, 77, r, 4001, len);
	else
		buf_moved(r, 4001, l, 77, len);
	teardown();
}

static void write_to_slow(void)
{
	with(IBV_WR_RDMA_WRITE, true);
}

/* Time-outs of 1 ms: as long as this takes there are hundreds of them. */
static void in_a_hurry(enum ibv_wr_opcode op)
{
	timeout = slow_kernel() ? 12 : 8;
	retry = 7;
	with(op, true);
}

static void write_in_a_hurry(void)
{
	in_a_hurry(IBV_WR_RDMA_WRITE);
}

static void read_in_a_hurry(void)
{
	in_a_hurry(IBV_WR_RDMA_READ);
}

/* Nor does b know of a's hurry: it learns from a's asking again, and that is cheap. */
static void write_in_a_secret_hurry(void)
{
	long learnt = hw_counter(cfg.peer, "peers_in_a_hurry");

	peer_timeout = 20;
	in_a_hurry(IBV_WR_RDMA_WRITE);
	/* There a's hurry is no greater than what b expects of anybody. */
	if (learnt >= 0 && !slow_kernel())
		check(hw_counter(cfg.peer, "peers_in_a_hurry") > learnt,
		      "b has not noticed");
}

/* Not one time-out in the second it takes. */
static void send_without_a_retry(void)
{
	timeout = 17;
	retry = 0;
	with(IBV_WR_SEND, true);
}

static void write_from_slow(void)
{
	with(IBV_WR_RDMA_WRITE, false);
}

static void read_from_slow(void)
{
	with(IBV_WR_RDMA_READ, true);
}

static void read_to_slow(void)
{
	with(IBV_WR_RDMA_READ, false);
}

/*
 * More than twice what a QP's queue of received packets takes is asked for while nothing is
 * taken out of it. Only what there is place for may be on the wire.
 */
static void many_reads_to_slow(void)
{
	long dropped = hw_counter(cfg.dev, "rcvd_queue_full");
	const size_t len = 22 * PAGE;

	depth = 128;
	timeout = 17;
	retry = 7;
	setup(false);
	for (int i = 0; i < depth; i++)
		q_rdma(&p.a, IBV_WR_RDMA_READ, i, &slow, 77, &fast, 4001, len);
	await_asked();
	for (int i = 0; i < 3; i++)
		wc_none(p.a.scq);
	serve = true;
	for (int i = 0; i < depth; i++)
		wc_ok(p.a.scq, i);
	buf_moved(&slow, 77, &fast, 4001, len);
	check(hw_counter(cfg.dev, "rcvd_queue_full") == dropped,
	      "responses found no place");
	teardown();
}

static void send_to_slow(void)
{
	with(IBV_WR_SEND, true);
}

static void send_from_slow(void)
{
	with(IBV_WR_SEND, false);
}

/* An atomic is done once, however often it was asked for meanwhile. */
static void atomic_on_slow(void)
{
	uint64_t old, add = rnd(), new;
	struct wr w;

	setup(true);
	wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, 1);
	wr_sge(&w, &fast, 4093, 8);
	wr_atomic(&w, &slow, 3 * PAGE - 8, add, 0);
	wr_post(&p.a, &w);
	await_asked();
	for (int i = 0; i < 6; i++)
		wc_none(p.a.scq);
	serve = true;
	wc_ok(p.a.scq, 1);
	memcpy(&old, slow.want + 3 * PAGE - 8, 8);
	new = old + add;
	buf_holds(&fast, 4093, &old, 8);
	buf_holds(&slow, 3 * PAGE - 8, &new, 8);
	teardown();
}

/* As many QPs as there are want the same page, and the process is asked for it once. */
static void one_fault_for_many(void)
{
	enum { MANY = 64 };
	static struct ep a[MANY], b[MANY];
	long faults = hw_counter(cfg.peer, "odp_faults");
	long told = hw_counter(cfg.peer, "sent_keepalives");
	uint64_t begun = now_ms();

	setup(true);
	crowd_open(&p, a, b, MANY);
	for (int i = 0; i < MANY; i++)
		q_rdma(&a[i], IBV_WR_RDMA_READ, i, &fast, 64 * i, &slow, 9 * PAGE + i, 64);
	await_asked();
	sleep_ms(300);
	check(asked == 1, "asked for the page %u times", asked);
	/* A few each at first; then together at most a thousand a second. */
	told = hw_counter(cfg.peer, "sent_keepalives") - told;
	check(told <= 6 * MANY + 2 * (long)(now_ms() - begun), "%ld keepalives", told);
	serve = true;
	for (int i = 0; i < MANY; i++) {
		wc_ok(a[i].scq, i);
		buf_moved(&fast, 64 * i, &slow, 9 * PAGE + i, 64);
	}
	if (faults >= 0 && strcmp(cfg.dev, cfg.peer))
		check(hw_counter(cfg.peer, "odp_faults") == faults + 1, "%ld faults",
		      hw_counter(cfg.peer, "odp_faults") - faults);
	crowd_close(a, MANY);
	crowd_close(b, MANY);
	teardown();
}

/* Other QPs of the same devices, and b's own requests, do not wait. */
static void others_go_on(void)
{
	struct buf l, r;
	struct ep x, y;

	setup(true);
	buf_new(&l, PAGES * PAGE);
	buf_new_cold(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	ep_create(&x, &p.na, &opt_rc);
	ep_create(&y, &p.nb, &opt_rc);
	ep_join(&x, &y);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &fast, 77, &slow, 4001, 9000);
	await_asked();
	for (int i = 0; i < 20; i++) {
		do_write(&x, &l, i * 99, &r, i * 55, 9001);
		do_read(&x, &l, i * 77, &r, i * 33, 9001);
	}
	wc_none(p.a.scq);
	serve = true;
	wc_ok(p.a.scq, 1);
	buf_moved(&slow, 4001, &fast, 77, 9000);
	buf_check(&l, "local memory of the others");
	buf_check(&r, "remote memory of the others");
	ep_destroy(&x);
	ep_destroy(&y);
	buf_free(&l);
	buf_free(&r);
	teardown();
}

/* Nobody serves any more: the page is an ordinary one of zeros then. */
static void server_closes(void)
{
	setup(true);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &fast, 77, &slow, 4001, 9000);
	await_asked();
	over = true;
	close(uffd);
	wc_ok(p.a.scq, 1);
	memset(slow.want, 0, slow.size);
	buf_moved(&slow, 4001, &fast, 77, 9000);
	teardown();
}

/* A process of one thread serves its own pages: it may not wait for them in a post. */
static void post_returns(bool remote)
{
	enum { LEN = 8 * PAGE };
	struct buf l, r, *late = remote ? &r : &l;
	uint8_t was[LEN];
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

static void unmapped_meanwhile(void)
{
	struct uffdio_range range;

	setup(true);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &fast, 77, &slow, 4001, 9000);
	await_asked();
	over = true;
	check(!munmap(slow.map, slow.size), "munmap");
	range.start = (uintptr_t)slow.map;
	range.len = slow.size;
	ioctl(uffd, UFFDIO_WAKE, &range);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	check(mmap(slow.map, slow.size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		   MAP_ANONYMOUS | MAP_FIXED, -1, 0) == slow.map, "mmap");
	memset(slow.want, 0, slow.size);
	teardown();
}

static void device_still_works(void)
{
	pair_open(&p, NULL);
	pair_works(&p);
	pair_close(&p);
}

/* Killed, QPs and all, while a page is awaited that will never come. */
static void killed(void)
{
	for (int i = 0; i < 4; i++) {
		int pipefd[2];
		pid_t pid;
		char c;

		need_odp();
		check(!pipe(pipefd), "pipe");
		pid = fork();
		check(pid >= 0, "fork");
		if (!pid) {
			setup(i & 1);
			q_rdma(&p.a, i & 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, 1,
			       i & 1 ? &fast : &slow, 77, i & 1 ? &slow : &fast, 5,
			       9000);
			await_asked();
			check(write(pipefd[1], "", 1) == 1, "pipe");
			pause();
		}
		close(pipefd[1]);
		if (read(pipefd[0], &c, 1) != 1)
			child_verdict(pid);
		child_kill(pid);
		close(pipefd[0]);
	}
	device_still_works();
}

TEST_MAIN(CASE(write_in_a_hurry), CASE(write_in_a_secret_hurry),
	  CASE(read_in_a_hurry), CASE(send_without_a_retry), CASE(write_to_slow),
	  CASE(write_from_slow), CASE(read_from_slow), CASE(read_to_slow),
	  CASE(many_reads_to_slow), CASE(send_to_slow), CASE(send_from_slow),
	  CASE(atomic_on_slow), CASE(one_fault_for_many), CASE(others_go_on),
	  CASE(server_closes), CASE(post_to_slow_returns),
	  CASE(post_from_slow_returns), CASE(unmapped_meanwhile), CASE(killed))
