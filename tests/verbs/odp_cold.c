// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory the CPU has never touched, as the source and as the target of every
 * operation: fresh anonymous memory reads as zeros, a memory file's pages read
 * as what the file holds, and what is written is there afterwards.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

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

/* A megabyte in one message, every page of it cold on both sides. */
static void long_message(void)
{
	struct buf l, r;

	need_odp();
	pair_open(&p, NULL);
	buf_new_cold(&l, (1 << 20) + 2 * PAGE);
	buf_new_cold(&r, (1 << 20) + 2 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_write(&p.a, &l, 99, &r, PAGE + 1, (1 << 20) + 7);
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	buf_new_cold(&l, (1 << 20) + 2 * PAGE);
	buf_new_cold(&r, (1 << 20) + 2 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_read(&p.a, &l, 99, &r, PAGE + 1, (1 << 20) + 7);
	buf_check(&l, "local memory");
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

TEST_MAIN(CASE(file_to_file), CASE(file_to_untouched), CASE(untouched_to_touched),
	  CASE(touched_to_untouched), CASE(untouched_to_untouched),
	  CASE(scattered), CASE(long_message))
