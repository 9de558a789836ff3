// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A process that takes all it can get does not starve another one's QP: that one's
 * operations end, in bounded time each, while the greedy goes on.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"
#include "ring.h"
#include "test.h"
#include "traffic.h"

#define ROUNDS 12
#define MANY 12

static struct pair p, q[MANY];
static struct buf l, r;

/* How much the greedy has had, in shared memory. */
static volatile uint64_t *eaten;

static void greedy_open(size_t size)
{
	pair_open(&q[0], NULL);
	buf_new(&l, size);
	buf_new(&r, size);
	buf_reg(&l, &q[0].na, ACCESS_ALL);
	buf_reg(&r, &q[0].nb, ACCESS_ALL);
}

/* Keep @e's queue full of @op for ever. */
static void gorge(struct ep *e, enum ibv_wr_opcode op, size_t len)
{
	unsigned int posted = 0;
	struct ibv_wc wc[16];

	for (;;) {
		int n;

		for (; posted < 60; posted++)
			q_rdma(e, op, 0, &l, 0, &r, 0, len);
		n = ibv_poll_cq(e->scq, 16, wc);
		for (int i = 0; i < n; i++) {
			check(wc[i].status == IBV_WC_SUCCESS, "the greedy: %s",
			      ibv_wc_status_str(wc[i].status));
			__atomic_add_fetch(eaten, 1, __ATOMIC_RELAXED);
		}
		posted -= n;
	}
}

static void long_writes(void)
{
	greedy_open(64 * PAGE);
	gorge(&q[0].a, IBV_WR_RDMA_WRITE, l.size);
}

static void long_reads(void)
{
	greedy_open(1024 * PAGE);
	gorge(&q[0].a, IBV_WR_RDMA_READ, l.size);
}

static void *short_writes(void *arg)
{
	gorge(arg, IBV_WR_RDMA_WRITE, 8);
	return NULL;
}

static void from_many_qps(void)
{
	pthread_t th;

	greedy_open(PAGE);
	for (int i = 1; i < MANY; i++) {
		ep_create(&q[i].a, &q[0].na, &opt_rc);
		ep_create(&q[i].b, &q[0].nb, &opt_rc);
		ep_join(&q[i].a, &q[i].b);
		check(!pthread_create(&th, NULL, short_writes, &q[i].a), "thread");
	}
	short_writes(&q[0].a);
}

/* Ring the bell as fast as it goes, with nothing behind it. */
static void *ring_the_bell(void *arg)
{
	for (;;) {
		ring_doorbell(arg);
		__atomic_add_fetch(eaten, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void for_nothing(void)
{
	pthread_t th;

	greedy_open(PAGE);
	check(!pthread_create(&th, NULL, ring_the_bell, &q[0].b), "thread");
	ring_the_bell(&q[0].a);
}

/*
 * A send queue that never ends: its producer runs on as fast as it is consumed. The
 * first request is wrong, so each of them is flushed, without end.
 */
static void without_end(void)
{
	struct ring sq;
	pthread_t th;

	greedy_open(PAGE);
	sq = ring_of_sq(&q[0].a, &l, &r);
	check(!pthread_create(&th, NULL, ring_the_bell, &q[0].a), "thread");
	for (;;)
		ring_set(&sq, RING_PRODUCER, ring_get(&sq, RING_PRODUCER) + 1);
}

static void beside(void (*greedy)(void))
{
	struct traffic t;
	uint64_t end, had;
	int status;
	pid_t pid;

	eaten = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	check(eaten != MAP_FAILED, "mmap");
	pair_open(&p, NULL);
	traffic_open(&t, &p);
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		greedy();
		_exit(0);
	}
	end = now_ms() + WAIT_MS;
	while (!*eaten) {
		check(now_ms() < end, "the greedy gets nothing");
		sleep_ms(1);
	}
	had = *eaten;
	for (int i = 0; i < ROUNDS; i++)
		traffic_round(&t);
	check(!waitpid(pid, &status, WNOHANG), "the greedy has ended");
	/* Nor is it starved. */
	end = now_ms() + WAIT_MS;
	while (*eaten == had) {
		check(now_ms() < end, "the greedy gets nothing any more");
		sleep_ms(1);
	}
	child_kill(pid);
	traffic_close(&t);
	pair_close(&p);
}

static void writes(void)
{
	beside(long_writes);
}

static void reads(void)
{
	beside(long_reads);
}

static void many_qps(void)
{
	beside(from_many_qps);
}

static void doorbells(void)
{
	beside(for_nothing);
}

static void endless_ring(void)
{
	beside(without_end);
}

TEST_MAIN(CASE(writes), CASE(reads), CASE(many_qps), CASE(doorbells),
	  CASE(endless_ring))
