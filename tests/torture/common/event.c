// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory events beneath traffic. See event.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "advise.h"
#include "event.h"
#include "test.h"
#include "worker.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int advise_some(struct area *a, size_t most, int advice)
{
	size_t off, len;

	area_some(a, most, &off, &len);
	return madvise(a->b.map + off, len, advice) ? errno : 0;
}

static void must(struct area *a, size_t most, int advice)
{
	int err = advise_some(a, most, advice);

	check(!err, "madvise %d of %s memory: %s", advice, area_sorts[a->sort],
	      strerror(err));
}

/* The pages stay in the file: nothing is lost. */
static void drop(struct area *a)
{
	if (a->sort != AREA_FILE)
		return;
	must(a, 32, MADV_DONTNEED);
	count(drops);
}

static void page_out(struct area *a)
{
	must(a, 512, MADV_PAGEOUT);
	count(pageouts);
}

static void cool(struct area *a)
{
	must(a, 64, MADV_COLD);
	count(colds);
}

/* Execute permission comes and goes: entries are rewritten, nobody needs to care. */
static void reprotect(struct area *a)
{
	size_t off, len;

	area_some(a, 32, &off, &len);
	check(!mprotect(a->b.map + off, len, PROT_READ | PROT_WRITE | PROT_EXEC) &&
	      !mprotect(a->b.map + off, len, PROT_READ | PROT_WRITE), "mprotect: %s",
	      strerror(errno));
	count(protects);
}

/* The same file's pages, mapped anew over themselves. */
static void remap(struct area *a)
{
	size_t off, len;

	if (a->sort != AREA_FILE)
		return;
	area_some(a, 32, &off, &len);
	check(mmap(a->b.map + off, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		   a->b.fd, off) == a->b.map + off, "mmap: %s", strerror(errno));
	count(remaps);
}

/* To be read ahead, in order or at random, or no more. */
static void advice(struct area *a)
{
	static const int some[] = {
		MADV_WILLNEED, MADV_SEQUENTIAL, MADV_RANDOM, MADV_NORMAL,
	};

	must(a, 512, some[rnd_range(0, ARRAY_SIZE(some) - 1)]);
	count(advices);
}

static void huge(struct area *a)
{
	must(a, 512, rnd_range(0, 2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	count(hugepages);
}

/* Whether a huge page can be made just now is the kernel's business. */
static void collapse(struct area *a)
{
	int err;

	if (a->sort != AREA_HUGE)
		return;
	check(!madvise(a->b.map, a->b.size, MADV_HUGEPAGE), "madvise: %s", strerror(errno));
	err = madvise(a->b.map, a->b.size, MADV_COLLAPSE) ? errno : 0;
	check(!err || err == EAGAIN || err == EBUSY || err == ENOMEM || err == EINVAL,
	      "MADV_COLLAPSE: %s", strerror(err));
	if (!err)
		count(collapses);
}

static void merge(struct area *a)
{
	if (a->sort == AREA_FILE)
		return;
	must(a, 512, rnd_range(0, 3) ? MADV_MERGEABLE : MADV_UNMERGEABLE);
	count(merges);
}

static void populate(struct area *a)
{
	must(a, 64, rnd_range(0, 1) ? MADV_POPULATE_READ : MADV_POPULATE_WRITE);
	count(populates);
}

static void lock_some(struct area *a)
{
	size_t off, len;

	area_some(a, 16, &off, &len);
	check(!mlock(a->b.map + off, len) && !munlock(a->b.map + off, len), "mlock: %s",
	      strerror(errno));
	count(locks);
}

static void prefetch(struct area *a)
{
	size_t off, len;
	int ret;

	if (a->mode == MODE_PINNED)
		return;
	area_some(a, 512, &off, &len);
	ret = advise(a->nic->pd, rnd_range(IBV_ADVISE_MR_ADVICE_PREFETCH,
					   IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT),
		     rnd_range(0, 1) ? IBV_ADVISE_MR_FLAG_FLUSH : 0,
		     buf_addr(&a->b, off), len, a->b.lkey);
	check(!ret, "prefetching mapped memory: %s", strerror(ret));
	count(prefetches);
}

/* Read by a disk while the device writes: what it gets is somebody's, whole or in part. */
static void write_out(struct area *a)
{
	size_t off, len;
	int fd;

	area_some(a, 32, &off, &len);
	fd = area_file();
	check(pwrite(fd, a->b.map + off, len, 0) == (ssize_t)len, "a direct write: %s",
	      strerror(errno));
	close(fd);
	count(directs);
}

/*
 * The child of a fork has copies of its own: they stand still while the device writes
 * to the originals, and what it writes to them is not seen there.
 */
static void child(struct area *a, size_t off, size_t len)
{
	static uint8_t was[16 * PAGE];
	uint8_t *at = a->b.map + off;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memcpy(was, at, len);
	usleep(2000);
	if (memcmp(was, at, len))
		_exit(1);
	memset(at, 0x5a, len);
	memset(was, 0x5a, len);
	usleep(1000);
	_exit(memcmp(was, at, len) ? 2 : 0);
}

static void fork_one(struct area *a)
{
	uint64_t end = now_ms() + hang_ms;
	size_t off, len;
	int status;
	pid_t pid;

	if (a->sort == AREA_FILE || rnd_range(0, 3))
		return;
	area_some(a, 16, &off, &len);
	pid = fork();
	check(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		child(a, off, len);
	while (!waitpid(pid, &status, WNOHANG)) {
		check(now_ms() < end, "the child of a fork does not end");
		sleep_ms(1);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 2)
		fail("the child of a fork ended with status %#x", status);
	if (WEXITSTATUS(status)) {
		test_excuse = NULL;
		fail("a child's %s of %s memory, registered %s by its parent, changed",
		     WEXITSTATUS(status) == 1 ? "copy" : "bytes", area_sorts[a->sort],
		     mr_modes[a->mode]);
	}
	count(forks);
}

void event_one(struct area *a)
{
	static void (*const all[])(struct area *a) = {
		drop, drop, page_out, cool, reprotect, remap, advice, huge, collapse,
		merge, populate, lock_some, prefetch, fork_one, write_out,
	};

	all[rnd_range(0, ARRAY_SIZE(all) - 1)](a);
}
