// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory under userfaultfd in its other ways than a missing private page: protected
 * against writing, of shared memory, there but not mapped, poisoned. The device waits
 * where a thread of the process would, and goes on where that would.
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
#include <sys/syscall.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define PAGES 24
#define LEN (3 * PAGE + 99)
#define AT (4 * PAGE + 1001)	/* of such a transfer: it is in four pages */

#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif

static struct pair p;
static struct ep x, y;		/* a second connection, for what must not wait */
static struct buf l, r;
static int uffd = -1;

static void watch(const struct buf *b, uint64_t features, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { (uintptr_t)b->map, b->size }, .mode = mode,
	};

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		skip("userfaultfd: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api))
		skip("userfaultfd without features %#llx: %s", (unsigned long long)features,
		     strerror(errno));
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		skip("userfaultfd without mode %#llx: %s", (unsigned long long)mode,
		     strerror(errno));
}

static void unwatch(const struct buf *b)
{
	struct uffdio_range range = { (uintptr_t)b->map, b->size };

	check(!ioctl(uffd, UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER: %s",
	      strerror(errno));
}

/* Waits for a fault in @b; returns its page, and checks its flags. */
static size_t asked_for(const struct buf *b, uint64_t flags)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;
	uint64_t end = now_ms() + WAIT_MS;

	while (read(uffd, &msg, sizeof(msg)) != sizeof(msg)) {
		check(now_ms() < end, "no page was asked for");
		poll(&pfd, 1, 100);
	}
	check(msg.event == UFFD_EVENT_PAGEFAULT, "event %#x", msg.event);
	check((msg.arg.pagefault.flags & flags) == flags, "flags %#llx instead of %#llx",
	      (unsigned long long)msg.arg.pagefault.flags, (unsigned long long)flags);
	return (msg.arg.pagefault.address - (uintptr_t)b->map) / PAGE;
}

static bool asks(void)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

static void protect(const struct buf *b, size_t first, size_t n, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)b->map + first * PAGE, n * PAGE },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	check(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), "UFFDIO_WRITEPROTECT: %s",
	      strerror(errno));
}

static void setup(bool shared)
{
	need_odp();
	pair_open(&p, NULL);
	ep_create(&x, &p.na, &opt_rc);
	ep_create(&y, &p.nb, &opt_rc);
	ep_join(&x, &y);
	buf_new(&l, 2 * PAGES * PAGE);
	buf_new_either(&r, PAGES * PAGE, shared);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	close(uffd);
	buf_free(&l);
	buf_free(&r);
	ep_destroy(&x);
	ep_destroy(&y);
	pair_close(&p);
}

/* The device's ways to write to r. */
enum way { WRITE, READ, SEND, WAYS };

static void post(enum way way, size_t from, size_t at, size_t len)
{
	if (way == WRITE) {
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, from, &r, at, len);
	} else if (way == READ) {
		q_rdma(&p.b, IBV_WR_RDMA_READ, 1, &r, at, &l, from, len);
	} else {
		q_recv(&p.b, 1, &r, at, len);
		q_send(&p.a, 1, &l, from, len);
	}
}

static struct ibv_cq *cq_of(enum way way)
{
	return way == WRITE ? p.a.scq : way == READ ? p.b.scq : p.b.rcq;
}

/* All of it has been written now. */
static void done(enum way way, size_t from, size_t at, size_t len)
{
	wc_ok(cq_of(way), 1);
	if (way == SEND)
		wc_ok(p.a.scq, 1);
	buf_moved(&r, at, &l, from, len);
	buf_check(&r, "remote memory");
}

/* Reading from r, and writing where it is allowed, by another connection. */
static void others_go_on(bool may_write)
{
	do_read(&x, &l, 30 * PAGE + 5, &r, 3, 9 * PAGE);
	do_write(&y, &r, 77, &l, 40 * PAGE - 1, 7 * PAGE);
	if (may_write)
		do_write(&x, &l, 99, &r, 15 * PAGE + 7, 5 * PAGE);
	buf_check(&l, "what was read");
}

/* A writer waits, readers do not, until the page is free to be written. */
static void write_waits(bool shared)
{
	setup(shared);
	watch(&r, shared ? UFFD_FEATURE_WP_HUGETLBFS_SHMEM : UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	      UFFDIO_REGISTER_MODE_WP);
	for (int i = 0; i < 2 * WAYS; i++) {
		enum way way = i % WAYS;
		size_t page;

		/* The device knows the pages as writable, or does not. */
		if (i >= WAYS)
			do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		protect(&r, 0, 12, true);
		others_go_on(true);
		check(!asks(), "reading needs no leave");
		post(way, 77, AT, LEN);
		page = asked_for(&r, UFFD_PAGEFAULT_FLAG_WP);
		check(page >= 4 && page <= 8, "page %zu was asked for", page);
		others_go_on(true);
		wc_none(cq_of(way));
		buf_check(&r, "what nobody may write");
		protect(&r, 0, 12, false);
		done(way, 77, AT, LEN);
	}
	teardown();
}

static void write_protected(void)
{
	write_waits(false);
}

static void write_protected_shared(void)
{
	write_waits(true);
}

/* The memory as it was when the protection began, kept page by page. */
static uint8_t *snapshot;
static bool saved[PAGES];
static volatile bool over;

static void *save_pages(void *arg)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	(void)arg;
	while (!over) {
		size_t page;

		poll(&pfd, 1, 10);
		if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		page = (msg.arg.pagefault.address - (uintptr_t)r.map) / PAGE;
		if (!saved[page])
			memcpy(snapshot + page * PAGE, r.map + page * PAGE, PAGE);
		saved[page] = true;
		protect(&r, page, 1, false);
	}
	return NULL;
}

/*
 * What live snapshots do: each page is saved before it is written for the first time.
 * A write that got through unseen would be in the snapshot.
 */
static void snapshots(void)
{
	bool written[PAGES];
	uint8_t *before;
	pthread_t t;

	setup(false);
	watch(&r, UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFDIO_REGISTER_MODE_WP);
	snapshot = malloc(r.size);
	before = malloc(r.size);
	check(snapshot && before, "no memory");
	do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
	for (int i = 0; i < 8; i++) {
		memset(saved, 0, sizeof(saved));
		memset(written, 0, sizeof(written));
		memcpy(before, r.want, r.size);
		protect(&r, 0, PAGES, true);
		over = false;
		check(!pthread_create(&t, NULL, save_pages, NULL), "pthread_create");
		for (int k = 0; k < 6; k++) {
			size_t len = rnd_range(1, 3 * PAGE), at = off_for(&r, len);
			size_t from = rnd_range(0, PAGES * PAGE);
			enum way way = rnd_range(0, WAYS - 1);

			post(way, from, at, len);
			done(way, from, at, len);
			for (size_t n = at / PAGE; n <= (at + len - 1) / PAGE; n++)
				written[n] = true;
		}
		over = true;
		pthread_join(t, NULL);
		for (size_t n = 0; n < PAGES; n++) {
			check(saved[n] == written[n], "page %zu was %s", n, written[n] ?
			      "written unseen" : "not written, but asked for");
			same(saved[n] ? snapshot + n * PAGE : r.map + n * PAGE,
			     before + n * PAGE, PAGE, "the snapshot");
		}
	}
	free(snapshot);
	free(before);
	teardown();
}

/* A page of shared memory that is not there yet. */
static void shared_missing(void)
{
	uint8_t *bytes = malloc(PAGES * PAGE);

	check(bytes, "no memory");
	setup(true);
	for (int i = 0; i < 2 * WAYS; i++) {
		enum way way = i % WAYS;
		size_t page;

		if (i >= WAYS)
			do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		check(!fallocate(r.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				 r.size), "fallocate: %s", strerror(errno));
		watch(&r, UFFD_FEATURE_MISSING_SHMEM, UFFDIO_REGISTER_MODE_MISSING);
		post(way, 77, AT, LEN);
		page = asked_for(&r, 0);
		check(page >= 4 && page <= 8, "page %zu was asked for", page);
		wc_none(cq_of(way));
		rnd_fill(bytes, r.size);
		memcpy(r.want, bytes, r.size);
		buf_serve(&r, uffd, bytes);
		done(way, 77, AT, LEN);
		others_go_on(true);
		unwatch(&r);
		close(uffd);
	}
	free(bytes);
	teardown();
}

static void go_on(const struct buf *b)
{
	struct uffdio_continue c = { .range = { (uintptr_t)b->map, b->size } };

	check(!ioctl(uffd, UFFDIO_CONTINUE, &c), "UFFDIO_CONTINUE: %s", strerror(errno));
}

/*
 * The page is there, but who serves it may change it before it is mapped: that is what
 * the device then finds.
 */
static void minor_faults(void)
{
	uint8_t *view;

	setup(true);
	view = mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
	check(view != MAP_FAILED, "mmap: %s", strerror(errno));
	for (int i = 0; i < 2 * (WAYS + 1); i++) {
		enum way way = i % (WAYS + 1);

		if (i >= WAYS)
			do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		check(!madvise(r.map, r.size, MADV_DONTNEED), "madvise: %s",
		      strerror(errno));
		watch(&r, UFFD_FEATURE_MINOR_SHMEM, UFFDIO_REGISTER_MODE_MINOR);
		if (way == WAYS)
			q_rdma(&p.a, IBV_WR_RDMA_READ, 1, &l, 77, &r, AT, LEN);
		else
			post(way, 77, AT, LEN);
		asked_for(&r, UFFD_PAGEFAULT_FLAG_MINOR);
		wc_none(way == WAYS ? p.a.scq : cq_of(way));
		rnd_fill(r.want, r.size);
		memcpy(view, r.want, r.size);
		go_on(&r);
		if (way == WAYS) {
			wc_ok(p.a.scq, 1);
			buf_moved(&l, 77, &r, AT, LEN);
			buf_check(&l, "what was read");
		} else {
			done(way, 77, AT, LEN);
		}
		unwatch(&r);
		close(uffd);
		others_go_on(true);
	}
	check(!munmap(view, r.size), "munmap");
	teardown();
}

/* Nobody watches any more: whoever waits finds what is there. */
static void unregistered(void)
{
	static const struct {
		bool shared;
		uint64_t features, mode;
	} kinds[] = {
		{ false, UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFDIO_REGISTER_MODE_WP },
		{ false, 0, UFFDIO_REGISTER_MODE_MISSING },
		{ true, UFFD_FEATURE_MISSING_SHMEM, UFFDIO_REGISTER_MODE_MISSING },
		{ true, UFFD_FEATURE_MINOR_SHMEM, UFFDIO_REGISTER_MODE_MINOR },
		/* The youngest of them: where the kernel lacks it, the rest is done. */
		{ true, UFFD_FEATURE_WP_HUGETLBFS_SHMEM, UFFDIO_REGISTER_MODE_WP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint64_t mode = kinds[i].mode;
		struct uffdio_range range;

		for (enum way way = WRITE; way < WAYS; way++) {
			setup(kinds[i].shared);
			do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
			watch(&r, kinds[i].features, mode);
			if (mode == UFFDIO_REGISTER_MODE_WP) {
				protect(&r, 0, PAGES, true);
			} else if (mode == UFFDIO_REGISTER_MODE_MISSING) {
				check(!madvise(r.map, r.size, kinds[i].shared ?
					       MADV_REMOVE : MADV_DONTNEED),
				      "madvise: %s", strerror(errno));
				memset(r.want, 0, r.size);
			} else {
				check(!madvise(r.map, r.size, MADV_DONTNEED),
				      "madvise: %s", strerror(errno));
			}
			range = (struct uffdio_range) { (uintptr_t)r.map, r.size };
			post(way, 77, AT, LEN);
			asked_for(&r, 0);
			wc_none(cq_of(way));
			unwatch(&r);
			/* By itself it wakes only those who wait for a missing page. */
			check(!ioctl(uffd, UFFDIO_WAKE, &range), "UFFDIO_WAKE: %s",
			      strerror(errno));
			done(way, 77, AT, LEN);
			do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
			teardown();
		}
	}
}

/* Who serves a page may say that it is lost: SIGBUS for a thread, an error for us. */
static void poisoned(void)
{
	struct uffdio_poison { struct uffdio_range range; uint64_t mode; int64_t done; } poison;
	bool shared = false;

	do {
		setup(shared);
		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		check(!madvise(r.map, r.size, shared ? MADV_REMOVE : MADV_DONTNEED),
		      "madvise: %s", strerror(errno));
		memset(r.want, 0, r.size);
		watch(&r, UFFD_FEATURE_POISON | (shared ? UFFD_FEATURE_MISSING_SHMEM : 0),
		      UFFDIO_REGISTER_MODE_MISSING);
		post(WRITE, 77, AT, LEN);
		asked_for(&r, 0);
		memset(&poison, 0, sizeof(poison));
		poison.range.start = (uintptr_t)r.map + 4 * PAGE;
		poison.range.len = 5 * PAGE;
		check(!ioctl(uffd, _IOWR(UFFDIO, 0x08, struct uffdio_poison), &poison),
		      "UFFDIO_POISON: %s", strerror(errno));
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		pair_renew(&p, NULL);
		q_rdma(&p.a, IBV_WR_RDMA_READ, 1, &l, 77, &r, AT, LEN);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		pair_renew(&p, NULL);
		q_rdma(&p.b, IBV_WR_RDMA_WRITE, 1, &r, AT, &l, 77, LEN);
		wc_expect(p.b.scq, 1, IBV_WC_LOC_PROT_ERR);
		pair_renew(&p, NULL);
		buf_check(&l, "local memory");
		/* The pages beside it are as ever, and a new one takes its place. */
		unwatch(&r);
		do_write(&p.a, &l, 5, &r, 10 * PAGE + 7, 9 * PAGE);
		check(!madvise(r.map, r.size, MADV_DONTNEED), "madvise: %s",
		      strerror(errno));
		if (!shared)
			memset(r.want, 0, r.size);
		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		teardown();
		shared = !shared;
	} while (shared);
}

/* No waiting was asked for: an error at once, as SIGBUS for a thread. */
static void sigbus(void)
{
	setup(false);
	check(!madvise(r.map, r.size, MADV_DONTNEED), "madvise: %s", strerror(errno));
	watch(&r, UFFD_FEATURE_SIGBUS, UFFDIO_REGISTER_MODE_MISSING);
	post(WRITE, 77, AT, LEN);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	pair_renew(&p, NULL);
	q_rdma(&p.b, IBV_WR_RDMA_WRITE, 1, &r, AT, &l, 77, LEN);
	wc_expect(p.b.scq, 1, IBV_WC_LOC_PROT_ERR);
	pair_renew(&p, NULL);
	buf_serve(&r, uffd, r.want);
	do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
	teardown();
}

TEST_MAIN(CASE(write_protected), CASE(write_protected_shared), CASE(snapshots),
	  CASE(shared_missing), CASE(minor_faults), CASE(unregistered), CASE(poisoned),
	  CASE(sigbus))
