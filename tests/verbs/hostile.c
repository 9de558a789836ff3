// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The rings are shared with the process, so they may hold anything at any time:
 * random bytes, half-valid requests, wild indices, and all of it changing while
 * the driver reads. The process may hurt itself; nobody else may notice.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"
#include "ring.h"
#include "test.h"

#define ROUNDS 12

static struct pair p;
static struct buf l, r;

/* The first @nr_others are the bystander's. */
static struct ring rings[32];
static unsigned int nr_rings, nr_others;
static volatile bool stop;

static struct ring *some_ring(void)
{
	return &rings[rnd_range(nr_others, nr_rings - 1)];
}

static void *scribble_on(void *arg)
{
	(void)arg;
	while (!stop)
		ring_scribble(some_ring());
	return NULL;
}

/* Valid requests in all rings, so that some of what follows is half right. */
static void prime(void)
{
	for (int i = 0; i < 20; i++) {
		q_recv(&p.a, i, &l, i * 100, 99);
		q_recv(&p.b, i, &r, i * 100, 99);
		q_send(&p.a, i, &l, i * 50, 30);
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &l, i, &r, i * 99, 3000);
		q_rdma(&p.b, IBV_WR_RDMA_READ, i, &r, i, &l, i * 99, 3000);
	}
}

static void attack(void *arg)
{
	bool threads = *(bool *)arg;
	pthread_t t;

	pair_begin(&p, &l, 4 * PAGE, &r, 4 * PAGE);
	nr_rings = rings_find(rings, nr_others, ARRAY_SIZE(rings));
	check(nr_rings >= nr_others + 4, "only %u rings", nr_rings - nr_others);
	prime();
	if (threads)
		check(!pthread_create(&t, NULL, scribble_on, NULL), "thread");
	for (int i = 0; i < 60; i++) {
		if (!threads)
			ring_scribble(some_ring());
		ring_doorbell(&p.a);
		ring_doorbell(&p.b);
	}
	if (threads) {
		stop = true;
		pthread_join(t, NULL);
	}
	/* Half of them leave it all to the kernel. */
	if (rnd_range(0, 1))
		_exit(0);
	ibv_destroy_qp(p.a.qp);
	ibv_destroy_qp(p.b.qp);
	ibv_destroy_cq(p.a.scq);
	_exit(0);
}

static void with(bool threads)
{
	struct buf lookout;
	struct pair by;

	/* A bystander with traffic of its own; its rings are inherited by fork. */
	pair_open(&by, NULL);
	buf_new(&lookout, 64 * PAGE);
	buf_reg(&lookout, &by.nb, ACCESS_ALL);
	nr_others = rings_find(rings, 0, ARRAY_SIZE(rings));
	for (int i = 0; i < ROUNDS; i++) {
		int status;

		/* Each attacker inherits the generator's state: let it move on. */
		rnd();
		status = in_child(attack, &threads);
		check(WIFEXITED(status), "the attacker died of signal %d",
		      WTERMSIG(status));
		check(!WEXITSTATUS(status), "the attacker failed");
		if (i % 4 == 3)
			pair_works(&by);
	}
	buf_check(&lookout, "memory of a bystander");
	pair_works(&by);
	buf_free(&lookout);
	pair_close(&by);
}

static void between_doorbells(void)
{
	with(false);
}

static void while_it_reads(void)
{
	with(true);
}

TEST_MAIN(CASE(between_doorbells), CASE(while_it_reads))
