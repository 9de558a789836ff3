// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages given back beneath an MR: afterwards the device reads what the CPU would
 * read (zeros, or what the file holds) and writes into the page that is there now.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harm.h"
#include "ops.h"
#include "test.h"

#define PAGES 16

static struct pair p;
static struct buf l, r;

static void setup(bool shared)
{
	need_odp();
	pair_open(&p, NULL);
	buf_new(&l, PAGES * PAGE);
	buf_new_either(&r, PAGES * PAGE, shared);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_read(&p.a, &l, 5, &r, 0, PAGES * PAGE - 5);
	do_write(&p.a, &l, 5, &r, 1, PAGES * PAGE - 9);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

/* An access across the first and the last byte of the pages concerned. */
static void around(size_t first, size_t n, int i)
{
	size_t at = first * PAGE - 101, len = n * PAGE + 202;

	if (i & 1) {
		do_read(&p.a, &l, 33, &r, at, len);
		buf_check(&l, "what was read");
	}
	do_write(&p.a, &l, rnd_range(0, PAGE), &r, at, len);
	buf_check(&r, "what was written");
	do_read(&p.a, &l, 77, &r, at, len);
	buf_check(&l, "what was read back");
}

static void give_back(struct buf *b, size_t first, size_t n, int advice)
{
	check(!madvise(b->map + first * PAGE, n * PAGE, advice), "madvise: %s",
	      strerror(errno));
}

static void anonymous(void)
{
	setup(false);
	for (int i = 0; i < 30; i++) {
		size_t n = rnd_range(1, 4), first = rnd_range(1, PAGES - n - 1);

		give_back(&r, first, n, MADV_DONTNEED);
		memset(r.want + first * PAGE, 0, n * PAGE);
		around(first, n, i);
	}
	teardown();
}

/* The local side of everything. */
static void source_and_sink(void)
{
	setup(false);
	for (int i = 0; i < 20; i++) {
		size_t n = rnd_range(1, 4), first = rnd_range(1, PAGES - n - 1);
		size_t at = first * PAGE - 33, len = n * PAGE + 66;

		give_back(&l, first, n, MADV_DONTNEED);
		memset(l.want + first * PAGE, 0, n * PAGE);
		do_write(&p.a, &l, at, &r, 1001, len);
		buf_check(&r, "what was written");
		give_back(&l, first, n, MADV_DONTNEED);
		memset(l.want + first * PAGE, 0, n * PAGE);
		do_read(&p.a, &l, at, &r, 2001, len);
		buf_check(&l, "what was read");
		give_back(&r, 2, 2, MADV_DONTNEED);
		memset(r.want + 2 * PAGE, 0, 2 * PAGE);
		do_send(&p, &l, at, &r, 2 * PAGE - 99, len);
		buf_check(&r, "what was received");
	}
	teardown();
}

/* Of shared memory only the translation goes; the data stay. */
static void shared_memory(void)
{
	setup(true);
	for (int i = 0; i < 20; i++) {
		size_t n = rnd_range(1, 4), first = rnd_range(1, PAGES - n - 1);

		give_back(&r, first, n, MADV_DONTNEED);
		around(first, n, i);
	}
	teardown();
}

static void hole_punched(void)
{
	setup(true);
	for (int i = 0; i < 20; i++) {
		size_t n = rnd_range(1, 4), first = rnd_range(1, PAGES - n - 1);

		if (i & 2)
			give_back(&r, first, n, MADV_REMOVE);
		else
			check(!fallocate(r.fd, FALLOC_FL_PUNCH_HOLE |
					 FALLOC_FL_KEEP_SIZE, first * PAGE, n * PAGE),
			      "fallocate: %s", strerror(errno));
		memset(r.want + first * PAGE, 0, n * PAGE);
		around(first, n, i);
	}
	teardown();
}

/* A file cut short: beyond its end a CPU gets SIGBUS, and the device an error. */
static void truncated(void)
{
	const size_t keep = 5;

	setup(true);
	check(!ftruncate(r.fd, keep * PAGE), "ftruncate: %s", strerror(errno));
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 3, &r, (keep + 1) * PAGE + 5, 3000);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	pair_renew(&p, NULL);
	q_rdma(&p.a, IBV_WR_RDMA_READ, 1, &l, 3, &r, keep * PAGE, 1);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	buf_check(&l, "local memory");
	pair_renew(&p, NULL);
	do_write(&p.a, &l, 3, &r, 1, keep * PAGE - 1);
	/* Long again: zeros, as for any reader of the file. */
	check(!ftruncate(r.fd, PAGES * PAGE), "ftruncate: %s", strerror(errno));
	memset(r.want + keep * PAGE, 0, (PAGES - keep) * PAGE);
	buf_check(&r, "remote memory");
	around(keep, 3, 1);
	teardown();
}

/* What is written through the file the device sees at once, and the reverse. */
static void file_is_the_memory(void)
{
	uint8_t bytes[PAGE];

	setup(true);
	for (int i = 0; i < 20; i++) {
		size_t len = rnd_range(1, PAGE), at = off_for(&r, len);

		rnd_fill(bytes, len);
		check(pwrite(r.fd, bytes, len, at) == (ssize_t)len, "pwrite");
		buf_holds(&r, at, bytes, len);
		do_read(&p.a, &l, 9, &r, at, len);
		buf_check(&l, "what was read");
		at = off_for(&r, len);
		do_write(&p.a, &l, 1001, &r, at, len);
		check(pread(r.fd, bytes, len, at) == (ssize_t)len, "pread");
		same(bytes, r.want + at, len, "the file");
	}
	teardown();
}

/*
 * Reading untouched memory may map the zero page: writing must then give the
 * process a page of its own, and all other zeros stay zeros.
 */
static void zero_page(void)
{
	struct buf other;

	setup(false);
	buf_new(&other, 4 * PAGE);
	give_back(&other, 0, 4, MADV_DONTNEED);
	memset(other.want, 0, other.size);
	for (int i = 0; i < 20; i++) {
		size_t page = rnd_range(1, PAGES - 3);

		give_back(&r, page, 2, MADV_DONTNEED);
		memset(r.want + page * PAGE, 0, 2 * PAGE);
		if (i & 1)
			/* The CPU has it mapped as well. */
			buf_check(&r, "remote memory");
		do_read(&p.a, &l, 13, &r, page * PAGE, PAGE + 77);
		do_write(&p.a, &l, 5000, &r, page * PAGE + 99, PAGE);
		buf_check(&l, "what was read");
		buf_check(&r, "what was written");
		buf_check(&other, "zeros of somebody else");
	}
	buf_free(&other);
	teardown();
}

static void give_back_bytes(struct buf *b, size_t at, size_t len)
{
	give_back(b, at / PAGE, len / PAGE, MADV_DONTNEED);
}

static void given_back_under_traffic(void)
{
	harm_both(&(struct harm) { .fn = give_back_bytes, .leaves = harm_zeros }, false);
}

static void shared_given_back_under_traffic(void)
{
	harm_both(&(struct harm) { .fn = give_back_bytes }, true);
}

/* By the mapping or by the file. */
static void punch(struct buf *b, size_t at, size_t len)
{
	if (rnd_range(0, 1))
		give_back(b, at / PAGE, len / PAGE, MADV_REMOVE);
	else
		check(!fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len),
		      "fallocate: %s", strerror(errno));
}

static void hole_punched_under_traffic(void)
{
	harm_both(&(struct harm) { .fn = punch, .leaves = harm_zeros }, true);
}

static void cut_and_lengthen(struct buf *b, size_t at, size_t len)
{
	check(!ftruncate(b->fd, at), "ftruncate: %s", strerror(errno));
	usleep(rnd_range(0, 200));
	check(!ftruncate(b->fd, at + len), "ftruncate: %s", strerror(errno));
}

static void truncated_under_traffic(void)
{
	harm_both(&(struct harm) {
		.fn = cut_and_lengthen, .to_end = true, .denies = PROT_READ | PROT_WRITE,
		.leaves = harm_zeros,
	}, true);
}

TEST_MAIN(CASE(anonymous), CASE(source_and_sink), CASE(shared_memory),
	  CASE(hole_punched), CASE(truncated), CASE(file_is_the_memory),
	  CASE(zero_page), CASE(given_back_under_traffic),
	  CASE(shared_given_back_under_traffic), CASE(hole_punched_under_traffic),
	  CASE(truncated_under_traffic))
