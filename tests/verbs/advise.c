// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Prefetch by ibv_advise_mr(): every advice, what it brings in, and the errors of
 * the manual page. Whatever it says, the data are right afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "advise.h"
#include "ops.h"
#include "test.h"

#define PAGES 16

static struct pair p;
static struct buf l, r;

/* r is fresh anonymous memory nobody has touched. */
static void setup(unsigned int access)
{
	int ret;

	need_odp();
	pair_open(&p, NULL);
	buf_new(&l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_untouch(&r);
	buf_reg(&r, &p.nb, access);
	ret = advise(p.na.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, IBV_ADVISE_MR_FLAG_FLUSH,
		     buf_addr(&l, 0), PAGE, l.lkey);
	if (ret == EOPNOTSUPP || ret == ENOSYS || ret == ENOTSUP)
		skip("ibv_advise_mr: %s", strerror(ret));
	check(!ret, "ibv_advise_mr: %s", strerror(ret));
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

/* How many of the pages from @off on are in this process's page table. */
static unsigned int present(size_t off, unsigned int n)
{
	uint64_t e[PAGES];
	unsigned int found = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	check(fd >= 0, "pagemap: %s", strerror(errno));
	check(pread(fd, e, n * 8, ((uintptr_t)r.map + off) / PAGE * 8) == n * 8,
	      "pagemap");
	close(fd);
	for (unsigned int i = 0; i < n; i++)
		found += e[i] >> 63;
	return found;
}

static void good(enum ibv_advise_mr_advice advice, uint32_t flags, size_t off, size_t len)
{
	int ret = advise(p.nb.pd, advice, flags, buf_addr(&r, off), len, r.lkey);

	check(!ret, "advice %d: %s", advice, strerror(ret));
}

static void use_it(void)
{
	do_read(&p.a, &l, 3, &r, 5, 9 * PAGE);
	do_write(&p.a, &l, 77, &r, 2 * PAGE - 1, 7 * PAGE);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
}

static void prefetch(enum ibv_advise_mr_advice advice)
{
	setup(ACCESS_ALL);
	good(advice, IBV_ADVISE_MR_FLAG_FLUSH, 2 * PAGE + 5, 5 * PAGE);
	check(present(2 * PAGE, 6) == 6, "only %u of 6 pages came in",
	      present(2 * PAGE, 6));
	check(present(9 * PAGE, 6) == 0, "%u pages came in unasked",
	      present(9 * PAGE, 6));
	use_it();
	teardown();
}

static void for_reading(void)
{
	prefetch(IBV_ADVISE_MR_ADVICE_PREFETCH);
}

static void for_writing(void)
{
	prefetch(IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE);
}

static void without_faults(void)
{
	setup(ACCESS_ALL);
	good(IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT, IBV_ADVISE_MR_FLAG_FLUSH, 0,
	     PAGES * PAGE);
	check(present(0, PAGES) == 0, "%u pages came in", present(0, PAGES));
	use_it();
	good(IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT, IBV_ADVISE_MR_FLAG_FLUSH, 0,
	     PAGES * PAGE);
	use_it();
	teardown();
}

/* Without FLUSH it is done some time; use and deregister at any moment. */
static void in_the_background(void)
{
	for (int i = 0; i < 6; i++) {
		setup(ACCESS_ALL);
		good(i & 1 ? IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE :
		     IBV_ADVISE_MR_ADVICE_PREFETCH, 0, 3, PAGES * PAGE - 9);
		if (i < 4)
			use_it();
		teardown();
	}
}

/* A prefetch into memory that goes away meanwhile. */
static void gone(void)
{
	setup(ACCESS_ALL);
	check(!munmap(r.map + 4 * PAGE, 4 * PAGE), "munmap");
	check(advise(p.nb.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, IBV_ADVISE_MR_FLAG_FLUSH,
		     buf_addr(&r, 0), PAGES * PAGE, r.lkey) == EFAULT,
	      "a prefetch of unmapped memory");
	check(mmap(r.map + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED, "mmap");
	use_it();
	teardown();
}

static void bad(int want, struct ibv_pd *pd, enum ibv_advise_mr_advice advice,
		uint64_t addr, uint32_t len, uint32_t lkey, const char *what)
{
	int ret = advise(pd, advice, IBV_ADVISE_MR_FLAG_FLUSH, addr, len, lkey);

	check(ret == want, "%s: \"%s\" instead of \"%s\"", what, strerror(ret),
	      strerror(want));
}

static void errors(void)
{
	const enum ibv_advise_mr_advice rd = IBV_ADVISE_MR_ADVICE_PREFETCH;
	const enum ibv_advise_mr_advice wr = IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE;
	struct nic other;

	need_bounds();
	setup(IBV_ACCESS_REMOTE_READ);
	bad(EFAULT, p.nb.pd, rd, buf_addr(&r, PAGE), PAGES * PAGE, r.lkey,
	    "beyond the MR");
	bad(EFAULT, p.nb.pd, rd, buf_addr(&r, 0) - 1, 5, r.lkey, "before the MR");
	bad(ENOENT, p.nb.pd, rd, buf_addr(&r, 0), PAGE, r.lkey ^ 0x5500, "no such key");
	bad(EPERM, p.nb.pd, wr, buf_addr(&r, 0), PAGE, r.lkey, "a read-only MR");
	nic_open(&other, cfg.peer);
	bad(EPERM, other.pd, rd, buf_addr(&r, 0), PAGE, r.lkey, "another PD's MR");
	nic_close(&other);
	check(advise(p.nb.pd, 55, IBV_ADVISE_MR_FLAG_FLUSH, buf_addr(&r, 0), PAGE, r.lkey),
	      "advice 55 was taken");
	/* A read-only MR can be prefetched for reading. */
	good(rd, IBV_ADVISE_MR_FLAG_FLUSH, 5, 3 * PAGE);
	check(present(0, 4) == 4, "nothing came in");
	teardown();
}

#define MANY_PAGES 131072ul

static void asks_for_much(void)
{
	struct nic nic;
	struct buf b = { .size = MANY_PAGES * PAGE };
	int ret;

	nic_open(&nic, cfg.peer);
	b.map = mmap(NULL, b.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	check(b.map != MAP_FAILED, "mmap: %s", strerror(errno));
	madvise(b.map, b.size, MADV_NOHUGEPAGE);
	buf_reg(&b, &nic, ACCESS_ALL);
	ret = advise(nic.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, buf_addr(&b, 0),
		     b.size, b.lkey);
	check(!ret, "ibv_advise_mr: %s", strerror(ret));
	pause();
}

/*
 * What a process has asked for is not brought for nobody: its end does not wait for it,
 * and no cgroup would be charged for it.
 */
static void ends_with_its_process(void)
{
	const char *counter = "odp_pages_faulted";
	long before, at_kill, after;
	pid_t pid;

	setup(ACCESS_ALL);
	teardown();
	before = hw_counter(cfg.peer, counter);
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		asks_for_much();
		_exit(1);
	}
	do {
		at_kill = hw_counter(cfg.peer, counter) - before;
	} while (at_kill < 2048);
	child_kill(pid);
	after = hw_counter(cfg.peer, counter) - before;
	if (at_kill > (long)MANY_PAGES / 2)
		skip("%ld of %ld pages were there before the kill", at_kill, MANY_PAGES);
	check(after < (long)MANY_PAGES * 3 / 4, "%ld pages came in, %ld after the kill",
	      after, after - at_kill);
}

TEST_MAIN(CASE(for_reading), CASE(for_writing), CASE(without_faults),
	  CASE(in_the_background), CASE(ends_with_its_process), CASE(gone), CASE(errors))
