// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory under torture. See area.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "area.h"
#include "test.h"

#define HUGE (2ul << 20)
#define SMALL (768ul << 10)

const char *const area_sorts[AREA_SORTS] = { "anon", "huge", "file" };
const char *const mr_modes[] = { "pinned", "odp", "implicit" };

/*
 * A place of its own, far from where the kernel puts what asks for no place: a hole that
 * is left here for a moment is not taken by another thread.
 */
static void *area_place(const struct area *a)
{
	uintptr_t align = a->sort == AREA_HUGE ? HUGE : PAGE;
	void *at;

	do {
		at = (void *)((1ul << 40) + rnd_range(0, (1ul << 34) / align) * align);
		at = mmap(at, a->b.size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		check(at != MAP_FAILED || errno == EEXIST, "mmap: %s", strerror(errno));
	} while (at == MAP_FAILED);
	return at;
}

/*
 * mremap() moves one mapping at a time, and events have made several of it. Newer kernels
 * move them all; but there a signal in between, like that which stops a worker, makes the
 * call begin anew, and it fails for what it has moved already.
 */
static void move_pages(uint8_t *from, uint8_t *to, size_t len)
{
	size_t half = len / 2 & ~(PAGE - 1);
	unsigned char unused;

	if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
		return;
	check(errno == EFAULT, "mremap of %zu bytes: %s", len, strerror(errno));
	if (!half) {
		check(mincore(from, PAGE, &unused) && errno == ENOMEM,
		      "mremap of a page that is there: %s", strerror(EFAULT));
		return;
	}
	move_pages(from, to, half);
	move_pages(from + half, to + half, len - half);
}

void area_move(struct area *a)
{
	uint8_t *was = a->b.map, *at = area_place(a);

	move_pages(was, at, a->b.size);
	a->b.map = at;
	if (a->b.mr && (a->mode != MODE_IMPLICIT || rnd_range(0, 1))) {
		move_pages(at, was, a->b.size);
		a->b.map = was;
	}
	if (!a->b.mr || a->mode == MODE_IMPLICIT)
		a->b.base = (uintptr_t)a->b.map;
}

void area_open(struct area *a, struct nic *nic)
{
	memset(a, 0, sizeof(*a));
	pthread_mutex_init(&a->lock, NULL);
	a->nic = nic;
	a->sort = rnd_range(0, AREA_SORTS - 1);
	if (a->sort == AREA_FILE) {
		buf_new_cold(&a->b, SMALL);
		a->view = mmap(NULL, a->b.size, PROT_READ, MAP_SHARED, a->b.fd, 0);
		check(a->view != MAP_FAILED, "mmap: %s", strerror(errno));
	} else {
		buf_new(&a->b, a->sort == AREA_HUGE ? HUGE : SMALL);
	}
	area_move(a);
	if (a->sort == AREA_HUGE)
		check(!madvise(a->b.map, HUGE, MADV_DONTNEED) &&
		      !madvise(a->b.map, HUGE, MADV_HUGEPAGE), "madvise: %s",
		      strerror(errno));
	if (a->sort != AREA_FILE)
		area_refill(a);
	area_reg(a);
}

void area_close(struct area *a)
{
	if (a->view)
		munmap(a->view, a->b.size);
	buf_free(&a->b);
}

void area_reg(struct area *a)
{
	uint64_t iova = (uintptr_t)a->b.map;

	a->mode = rnd_range(MODE_PINNED, MODE_IMPLICIT);
	if (a->mode != MODE_IMPLICIT && rnd_range(0, 1))
		iova = rnd_range(1, 1ul << 34) * PAGE;
	a->b.mr = mr_try(a->nic, a->b.map, a->b.size, iova, ACCESS_ALL, a->mode);
	check(a->b.mr, "registering %s as %s memory: %s", area_sorts[a->sort],
	      mr_modes[a->mode], strerror(errno));
	a->b.base = iova;
	a->b.lkey = a->b.mr->lkey;
	a->b.rkey = a->b.mr->rkey;
}

void area_dereg(struct area *a)
{
	buf_dereg(&a->b);
}

void area_refill(struct area *a)
{
	rnd_fill(a->b.want, a->b.size);
	/* Something for KSM to merge. */
	for (size_t off = PAGE; off < a->b.size; off += rnd_range(1, 8) * PAGE)
		memcpy(a->b.want + off, a->b.want, PAGE);
	memcpy(a->b.map, a->b.want, a->b.size);
}

void area_open_up(struct area *a)
{
	check(!mprotect(a->b.map, a->b.size, PROT_READ | PROT_WRITE), "mprotect: %s",
	      strerror(errno));
}

void area_some(const struct area *a, size_t most, size_t *off, size_t *len)
{
	size_t pages = a->b.size / PAGE, n = rnd_range(1, most < pages ? most : pages);

	*off = rnd_range(0, pages - n) * PAGE;
	*len = n * PAGE;
}

void area_refill_some(struct area *a)
{
	size_t off, len;

	area_some(a, 16, &off, &len);
	rnd_fill(a->b.want + off, len);
	memcpy(a->b.map + off, a->b.want + off, len);
}

int area_file(void)
{
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

	check(fd >= 0, "a file for direct I/O: %s", strerror(errno));
	return fd;
}

static uint8_t *seen(const struct area *a)
{
	return a->view ?: a->b.map;
}

/* Mapped twice, a page would not be swapped out. */
static void unsee(const struct area *a)
{
	if (a->view)
		check(!madvise(a->view, a->b.size, MADV_DONTNEED), "madvise: %s",
		      strerror(errno));
}

void area_check(struct area *a, const char *what)
{
	if (memcmp(seen(a), a->b.want, a->b.size)) {
		/* There is no excuse for wrong bytes. */
		test_excuse = NULL;
		same(seen(a), a->b.want, a->b.size, what);
	}
	unsee(a);
}

void area_take(struct area *a, size_t off, size_t len)
{
	memcpy(a->b.want + off, seen(a) + off, len);
}

void area_settle(struct area *a, size_t off, const uint8_t *new, size_t len,
		 const char *what)
{
	const uint8_t *got = seen(a) + off, *old = a->b.want + off;

	for (size_t i = 0; i < len; i++) {
		if (got[i] == old[i] || got[i] == new[i])
			continue;
		test_excuse = NULL;
		fail("%s: byte %zu of %zu at %#zx is %#x, neither %#x as before nor %#x as sent",
		     what, i, len, off, got[i], old[i], new[i]);
	}
	area_take(a, off, len);
}
