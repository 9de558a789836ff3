// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory the CPU has never touched, as the source and as the target of every
 * operation: fresh anonymous memory reads as zeros, a memory file's pages read
 * as what the file holds, and what is written is there afterwards.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "during.h"
#include "ops.h"
#include "test.h"

static struct pair p;

/* Fresh anonymous memory: untouched until the device or the check touches it. */
static void buf_new_untouched(struct buf *b, size_t size)
{
	buf_new(b, size);
	munmap(b->map, b->size);
	b->map = mmap(b->map, b->size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	check(b->map != MAP_FAILED, "mmap");
	memset(b->want, 0, b->size);
}

/* A pair, memory for its first end, and for its second some that is untouched. */
static void open_untouched(struct pair *pair, struct buf *l, struct buf *r, size_t size)
{
	pair_open(pair, NULL);
	buf_new(l, size);
	buf_new_untouched(r, size);
	buf_reg(l, &pair->na, ACCESS_ALL);
	buf_reg(r, &pair->nb, ACCESS_ALL);
}

typedef void (*make_fn)(struct buf *b, size_t size);
typedef void (*op_fn)(struct buf *l, struct buf *r);

static void op_write(struct buf *l, struct buf *r)
{
	do_write(&p.a, l, 777, r, 4001, 3 * PAGE + 13);
}

static void op_read(struct buf *l, struct buf *r)
{
	do_read(&p.a, l, 4095, r, 1, 3 * PAGE + 13);
}

static void op_send(struct buf *l, struct buf *r)
{
	do_send(&p, l, 2047, r, 8191, 3 * PAGE + 13);
}

static void op_atomic(struct buf *l, struct buf *r)
{
	uint64_t old, add = rnd(), new;
	struct wr w;

	wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, 1);
	wr_sge(&w, l, PAGE - 3, 8);
	wr_atomic(&w, r, 2 * PAGE - 8, add, 0);
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, 1);
	memcpy(&old, r->want + 2 * PAGE - 8, 8);
	new = old + add;
	buf_holds(l, PAGE - 3, &old, 8);
	buf_holds(r, 2 * PAGE - 8, &new, 8);
}

/* Each QP does one operation first thing, on memory nobody has touched. */
static void all(make_fn make_l, make_fn make_r)
{
	static const op_fn ops[] = { op_write, op_read, op_send, op_atomic };
	struct buf l, r;

	need_odp();
	pair_open(&p, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		make_l(&l, 8 * PAGE);
		make_r(&r, 8 * PAGE);
		buf_reg(&l, &p.na, ACCESS_ALL);
		buf_reg(&r, &p.nb, ACCESS_ALL);
		ops[i](&l, &r);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
		buf_free(&l);
		buf_free(&r);
	}
	pair_close(&p);
}

static void file_to_file(void)
{
	all(buf_new_cold, buf_new_cold);
}

static void file_to_untouched(void)
{
	all(buf_new_cold, buf_new_untouched);
}

static void untouched_to_touched(void)
{
	all(buf_new_untouched, buf_new);
}

static void touched_to_untouched(void)
{
	all(buf_new, buf_new_untouched);
}

static void untouched_to_untouched(void)
{
	all(buf_new_untouched, buf_new_untouched);
}

/* Scattered over many cold pages in one message, both sides. */
static void scattered(void)
{
	struct buf l, r;
	struct wr w;
	struct rr q;

	need_odp();
	pair_open(&p, NULL);
	buf_new_cold(&l, 64 * PAGE);
	buf_new_cold(&r, 64 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	wr_init(&w, IBV_WR_SEND, 1);
	rr_init(&q, 1);
	for (int i = 0; i < 8; i++) {
		wr_sge(&w, &l, (i * 8 + 3) * PAGE - 501, 1003);
		rr_sge(&q, &r, (i * 7 + 5) * PAGE - 77, 1003);
		buf_moved(&r, (i * 7 + 5) * PAGE - 77, &l,
			  (i * 8 + 3) * PAGE - 501, 1003);
	}
	rr_post(&p.b, &q);
	wr_post(&p.a, &w);
	wc_ok(p.b.rcq, 1);
	wc_ok(p.a.scq, 1);
	pair_end(&p, &l, &r);
}

/* Of both sides. */
static long both(const char *counter)
{
	return hw_counter(cfg.dev, counter) +
	       (strcmp(cfg.dev, cfg.peer) ? hw_counter(cfg.peer, counter) : 0);
}

#define MIB (1ul << 20)

/*
 * A megabyte in one message, every page of it cold on both sides. A fault brings 128 KiB,
 * or, of what a READ sends, all; some more look what is there, or meet, or come too late.
 */
static void long_one(bool reading)
{
	long faults, pages;
	struct buf l, r;

	buf_new_cold(&l, MIB + 2 * PAGE);
	buf_new_cold(&r, MIB + 2 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	faults = both("odp_faults");
	pages = both("odp_pages_faulted");
	if (reading)
		do_read(&p.a, &l, 99, &r, PAGE + 1, MIB + 7);
	else
		do_write(&p.a, &l, 99, &r, PAGE + 1, MIB + 7);
	faults = both("odp_faults") - faults;
	pages = both("odp_pages_faulted") - pages;
	printf("# %ld faults brought %ld pages\n", faults, pages);
	check(!pages || pages >= (long)(2 * MIB / PAGE), "only %ld pages came", pages);
	check(faults <= 40, "%ld faults for %ld pages", faults, pages);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
}

static void long_message(void)
{
	need_odp();
	pair_open(&p, NULL);
	long_one(false);
	long_one(true);
	pair_close(&p);
}

/* Who has just posted is there to bring pages that are at hand, faster than a worker. */
static void by_who_posts(void)
{
	enum { N = 300 };
	long helped = hw_counter(cfg.peer, "parks_helped");
	struct buf l, r;

	need_odp();
	open_untouched(&p, &l, &r, N * PAGE);
	for (unsigned int i = 0; i < N; i++) {
		/* 7 and 300 have no divisor in common: each page once, none after the other. */
		size_t at = i * 7 % N * PAGE + i;

		do_write(&p.a, &l, at, &r, at, PAGE - N);
	}
	if (helped >= 0)
		check(hw_counter(cfg.peer, "parks_helped") > helped,
		      "the worker was always faster");
	pair_end(&p, &l, &r);
}

static void change_qp(void *arg)
{
	struct ibv_qp_attr attr = { .min_rnr_timer = rnd_range(1, 31) };

	(void)arg;
	check(!ibv_modify_qp(p.a.qp, &attr, IBV_QP_MIN_RNR_TIMER), "modify");
	/* The workers want a processor, too. */
	usleep(rnd_range(0, 300));
}

static void write_meanwhile(void)
{
	enum { N = 24, LEN = 25 * PAGE + 11 };
	struct during d;
	struct buf l, r;

	open_untouched(&p, &l, &r, N * LEN);
	during_start(&d, change_qp, NULL);
	for (unsigned int i = 0; i < N; i++) {
		size_t at = i * 7 % N * LEN;

		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &l, at, &r, at, LEN);
		buf_moved(&r, at, &l, at, LEN);
		if (i & 1) {
			wc_ok(p.a.scq, i - 1);
			wc_ok(p.a.scq, i);
		}
	}
	printf("# changed %lu times\n", during_stop(&d));
	pair_end(&p, &l, &r);
}

/*
 * And brings them before it sends on: a long message would only pile up where they are
 * waited for. Meanwhile others may have the QP.
 */
static void pauses(void)
{
	long paused = both("sends_paused");

	need_odp();
	/* Now and then a huge page leaves nothing to bring, or a worker is faster. */
	for (int i = 0; i < 20; i++) {
		write_meanwhile();
		if (paused < 0 || both("sends_paused") > paused)
			return;
	}
	fail("it went on sending");
}

enum { POSTERS = 4, COLD = 400 };

struct cold_pair {
	struct pair p;
	struct buf l, r;
	pthread_t thread;
};

static void *write_cold(void *arg)
{
	struct cold_pair *t = arg;

	for (unsigned int i = 0; i < COLD; i++) {
		/* 7 and 400 have no divisor in common: each page once, none after the other. */
		size_t at = i * 7 % COLD * PAGE + i;

		do_write(&t->p.a, &t->l, at, &t->r, at, PAGE - COLD);
	}
	return NULL;
}

/* Each page is asked for just as others look for pages to bring: none is forgotten. */
static void by_many_who_post(void)
{
	static struct cold_pair t[POSTERS];

	need_odp();
	for (int i = 0; i < POSTERS; i++)
		open_untouched(&t[i].p, &t[i].l, &t[i].r, COLD * PAGE);
	for (int i = 0; i < POSTERS; i++)
		check(!pthread_create(&t[i].thread, NULL, write_cold, &t[i]),
		      "pthread_create");
	for (int i = 0; i < POSTERS; i++)
		pthread_join(t[i].thread, NULL);
	for (int i = 0; i < POSTERS; i++)
		pair_end(&t[i].p, &t[i].l, &t[i].r);
}

struct poster {
	struct buf *l, *r;
	pthread_t thread;
};

static void *post_many(void *arg)
{
	struct poster *t = arg;

	for (unsigned int i = 0; i < 60; i++) {
		struct ibv_send_wr *bad;
		struct wr w;

		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		wr_sge(&w, t->l, i * PAGE, 999);
		wr_remote(&w, t->r, i * 7 % 60 * PAGE);
		/* The QP may be in error by now. */
		ibv_post_send(p.a.qp, &w.wr, &bad);
	}
	return NULL;
}

/* The QP that waits is reset while some thread brings its page. */
static void reset_meanwhile(void)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct buf l, r;
		struct poster t = { .l = &l, .r = &r };

		if (!i)
			need_odp();
		open_untouched(&p, &l, &r, 60 * PAGE);
		check(!pthread_create(&t.thread, NULL, post_many, &t), "pthread_create");
		usleep(rnd_range(0, 3000));
		ep_set_state(&p.b, i & 1 ? IBV_QPS_RESET : IBV_QPS_ERR);
		ep_set_state(&p.a, IBV_QPS_ERR);
		pthread_join(t.thread, NULL);
		if (i & 2)
			ep_set_state(&p.a, IBV_QPS_RESET);
		buf_check(&l, "source");
		/* Each write is there as a whole or, but for the last, not at all. */
		for (unsigned int k = 0; k < 60; k++) {
			uint8_t *got = r.map + k * 7 % 60 * PAGE;

			if (memcmp(got, r.want + (got - r.map), 999))
				buf_moved(&r, got - r.map, &l, k * PAGE, 999);
		}
		pair_renew(&p, NULL);
		pair_works(&p);
		pair_end(&p, &l, &r);
	}
}

enum { LONG = 3, LONG_LEN = 700 * 1024 };

static void *post_long(void *arg)
{
	struct poster *t = arg;

	for (unsigned int i = 0; i < LONG; i++) {
		struct ibv_send_wr *bad;
		struct wr w;

		wr_init(&w, IBV_WR_RDMA_WRITE, i);
		wr_sge(&w, t->l, i * LONG_LEN + 3, LONG_LEN - 7);
		wr_remote(&w, t->r, i * LONG_LEN + 1);
		ibv_post_send(p.a.qp, &w.wr, &bad);
	}
	return NULL;
}

/* What has come of a message is its beginning, whole, and nothing after that. */
static void moved_in_part(struct buf *r, size_t roff, struct buf *l, size_t loff, size_t len)
{
	size_t n = 0;

	while (n < len && r->map[roff + n] == l->want[loff + n])
		n++;
	/* It may have brought zeroes at its end, and they cannot be told. */
	buf_moved(r, roff, l, loff, n);
}

/* Some thread brings the first part of a long message, a worker the others. */
static void reset_in_parts(void)
{
	for (unsigned int i = 0; i < 30; i++) {
		struct buf l, r;
		struct poster t = { .l = &l, .r = &r };

		if (!i)
			need_odp();
		pair_open(&p, NULL);
		buf_new_cold(&l, LONG * LONG_LEN);
		buf_new_untouched(&r, LONG * LONG_LEN);
		buf_reg(&l, &p.na, ACCESS_ALL);
		buf_reg(&r, &p.nb, ACCESS_ALL);
		check(!pthread_create(&t.thread, NULL, post_long, &t), "pthread_create");
		usleep(rnd_range(0, 20000));
		ep_set_state(&p.b, i & 1 ? IBV_QPS_RESET : IBV_QPS_ERR);
		ep_set_state(&p.a, i & 2 ? IBV_QPS_RESET : IBV_QPS_ERR);
		pthread_join(t.thread, NULL);
		for (unsigned int k = 0; k < LONG; k++)
			moved_in_part(&r, k * LONG_LEN + 1, &l, k * LONG_LEN + 3,
				      LONG_LEN - 7);
		pair_renew(&p, NULL);
		pair_works(&p);
		pair_end(&p, &l, &r);
	}
}

TEST_MAIN(CASE(file_to_file), CASE(file_to_untouched), CASE(untouched_to_touched),
	  CASE(touched_to_untouched), CASE(untouched_to_untouched),
	  CASE(scattered), CASE(long_message), CASE(by_who_posts),
	  CASE(pauses), CASE(by_many_who_post), CASE(reset_meanwhile),
	  CASE(reset_in_parts))
