// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Changes between batches. See change.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "change.h"
#include "test.h"
#include "worker.h"

/* Who had the lock when the devices went keeps it. */
static void hold(struct area *a)
{
	while (pthread_mutex_trylock(&a->lock)) {
		worker_end_if_gone();
		sleep_ms(1);
	}
}

static void refill(struct flow *f, struct area *a)
{
	(void)f;
	if (rnd_range(0, 3))
		area_refill_some(a);
	else
		area_refill(a);
	count(refills);
}

static void move(struct flow *f, struct area *a)
{
	(void)f;
	area_move(a);
	count(moves);
}

static void unmap(struct flow *f, struct area *a)
{
	size_t off, len;
	uint8_t *at;

	(void)f;
	if (a->sort != AREA_FILE)
		return;
	area_some(a, 96, &off, &len);
	at = a->b.map + off;
	check(!munmap(at, len), "munmap: %s", strerror(errno));
	if (rnd_range(0, 1))
		sleep_ms(rnd_range(0, 3));
	check(mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		   a->b.fd, off) == at, "mmap: %s", strerror(errno));
	count(unmaps);
}

/* Pages that were not registered for good are zeros, or others, from now on. */
static void hole(struct flow *f, struct area *a)
{
	struct buf *b = &a->b;
	size_t off, len;

	(void)f;
	if (a->mode == MODE_PINNED)
		return;
	area_some(a, 32, &off, &len);
	if (a->sort == AREA_FILE)
		check(!fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
				 len), "fallocate: %s", strerror(errno));
	else
		check(!madvise(b->map + off, len, MADV_DONTNEED), "madvise: %s",
		      strerror(errno));
	memset(b->want + off, 0, len);
	if (a->sort == AREA_FILE && rnd_range(0, 1)) {
		rnd_fill(b->want + off, len);
		check(pwrite(b->fd, b->want + off, len, off) == (ssize_t)len, "pwrite: %s",
		      strerror(errno));
	}
	count(holes);
}

/* A file cut short and made as long as it was. */
static void cut(struct flow *f, struct area *a)
{
	struct buf *b = &a->b;
	size_t off, len;

	(void)f;
	if (a->mode == MODE_PINNED || a->sort != AREA_FILE)
		return;
	area_some(a, 96, &off, &len);
	len = b->size - off;
	check(!ftruncate(b->fd, off), "ftruncate: %s", strerror(errno));
	if (rnd_range(0, 1))
		sleep_ms(rnd_range(0, 3));
	check(!ftruncate(b->fd, b->size), "ftruncate: %s", strerror(errno));
	memset(b->want + off, 0, len);
	if (rnd_range(0, 1)) {
		rnd_fill(b->want + off, len);
		memcpy(b->map + off, b->want + off, len);
	}
	count(cuts);
}

/* Pages that are not needed have their bytes or zeros, until somebody writes to them. */
static void free_some(struct flow *f, struct area *a)
{
	struct buf *b = &a->b;
	size_t off, len;

	(void)f;
	if (a->mode == MODE_PINNED || a->sort == AREA_FILE)
		return;
	area_some(a, 32, &off, &len);
	check(!madvise(b->map + off, len, MADV_FREE), "madvise: %s", strerror(errno));
	if (rnd_range(0, 1))
		sleep_ms(rnd_range(0, 3));
	for (size_t end = off + len; off < end; off += PAGE) {
		size_t at = off + rnd_range(0, PAGE - 1);
		uint8_t v = rnd();

		*(volatile uint8_t *)(b->map + at) = v;
		b->want[at] = v;
		if (memcmp(b->map + off, b->want + off, PAGE)) {
			memset(b->want + off, 0, PAGE);
			b->want[at] = v;
		}
	}
	area_check(a, "after pages were freed");
	count(frees);
}

/* A disk reads some of it and writes that to another place, with no page cache between. */
static void through_a_file(struct flow *f, struct area *a)
{
	struct buf *b = &a->b;
	size_t from, off, len;
	int fd;

	(void)f;
	area_some(a, 32, &from, &len);
	off = rnd_range(0, (b->size - len) / PAGE) * PAGE;
	fd = area_file();
	check(pwrite(fd, b->map + from, len, 0) == (ssize_t)len, "a direct write: %s",
	      strerror(errno));
	check(pread(fd, b->map + off, len, 0) == (ssize_t)len, "a direct read: %s",
	      strerror(errno));
	memmove(b->want + off, b->want + from, len);
	close(fd);
	count(files);
}

static void register_anew(struct flow *f, struct area *a)
{
	(void)f;
	area_dereg(a);
	area_reg(a);
	count(registrations);
}

static void renew_qps(struct flow *f, struct area *a)
{
	(void)a;
	flow_renew(f);
	count(renewals);
}

static void cut_off(struct flow *f, struct area *a)
{
	(void)a;
	flow_batch_cut(f);
	count(abandons);
}

static void let(struct area *a, int prot)
{
	check(!mprotect(a->b.map, a->b.size, prot), "mprotect: %s", strerror(errno));
}

static void write_protect(struct area *a)
{
	let(a, PROT_READ);
}

static void close_off(struct area *a)
{
	let(a, PROT_NONE);
}

/*
 * The table of errors in Documentation/odp.rst: the right is taken away before, and the
 * operation must be denied; or when it has been posted, and it may have been done.
 */
static void deny(struct flow *f, struct area *unused)
{
	static const struct {
		enum op_kind kind;
		bool local, write;	/* whose memory, and what for */
		enum ibv_wc_status bad;
	} rows[] = {
		{ OP_WRITE, false, true, IBV_WC_REM_ACCESS_ERR },
		{ OP_WRITE_IMM, false, true, IBV_WC_REM_ACCESS_ERR },
		{ OP_ADD, false, true, IBV_WC_REM_ACCESS_ERR },
		{ OP_READ, false, false, IBV_WC_REM_ACCESS_ERR },
		{ OP_READ, true, true, IBV_WC_LOC_PROT_ERR },
		{ OP_WRITE, true, false, IBV_WC_LOC_PROT_ERR },
		{ OP_SEND, true, false, IBV_WC_LOC_PROT_ERR },
		{ OP_SEND, false, true, IBV_WC_REM_OP_ERR },
	};
	unsigned int row = rnd_range(0, ARRAY_SIZE(rows) - 1), dir = rnd_range(0, 1);
	struct area *a = &f->area[rows[row].local ? dir : !dir];
	void (*take)(struct area *a) = rows[row].write ? write_protect : close_off;
	bool race = rnd_range(0, 1);

	(void)unused;
	if (f->type != IBV_QPT_RC)
		return;
	hold(a);
	if (a->mode != MODE_PINNED) {
		if (!race)
			take(a);
		flow_denied(f, rows[row].kind, dir, rows[row].bad, race ? take : NULL, a);
		area_open_up(a);
		flow_renew(f);
		if (race)
			count(races);
		else
			count(denials);
	}
	pthread_mutex_unlock(&a->lock);
}

void change_one(struct flow *f)
{
	static const struct {
		void (*change)(struct flow *f, struct area *a);
		bool locks;	/* the area's lock is wanted */
	} all[] = {
		{ refill, true }, { move, true }, { unmap, true }, { hole, true },
		{ cut, true }, { free_some, true }, { through_a_file, true },
		{ register_anew, true }, { renew_qps, false }, { cut_off, false },
		{ deny, false },
	};
	struct area *a = &f->area[rnd_range(0, 1)];
	unsigned int i = rnd_range(0, ARRAY_SIZE(all) - 1);

	if (all[i].locks)
		hold(a);
	all[i].change(f, a);
	if (all[i].locks)
		pthread_mutex_unlock(&a->lock);
}
