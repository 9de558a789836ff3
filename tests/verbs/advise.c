// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Prefetch by ibv_advise_mr(): every advice, what it brings in, for the device to use
 * without another fault, and the errors. Whatever it says, the data are right afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
	/* What comes after it is r's doing. */
	ret = advise(p.na.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
		     IBV_ADVISE_MR_FLAG_FLUSH, buf_addr(&l, 0), l.size, l.lkey);
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

static long pages_faulted(void)
{
	return hw_counter(cfg.peer, "odp_pages_faulted");
}

/* How many faults an access to these bytes of r takes. */
static long faults_of(bool writing, size_t off, size_t len)
{
	long parks = hw_counter(cfg.peer, "parks");
	long faults = hw_counter(cfg.peer, "odp_faults");

	if (writing)
		do_write(&p.a, &l, 77, &r, off, len);
	else
		do_read(&p.a, &l, 77, &r, off, len);
	parks = hw_counter(cfg.peer, "parks") - parks;
	faults = hw_counter(cfg.peer, "odp_faults") - faults;
	check(!parks == !faults, "%ld parks, %ld faults", parks, faults);
	return faults;
}

static void has(bool writing, size_t off, size_t len)
{
	long faults = faults_of(writing, off, len);

	check(!faults, "%ld faults where all was brought ahead", faults);
}

static void has_not(size_t off, size_t len)
{
	check(faults_of(false, off, len), "the device has what nobody asked for");
}

static void prefetch(enum ibv_advise_mr_advice advice, bool writing)
{
	setup(ACCESS_ALL);
	good(advice, IBV_ADVISE_MR_FLAG_FLUSH, 2 * PAGE + 5, 5 * PAGE);
	check(present(2 * PAGE, 6) == 6, "only %u of 6 pages came in",
	      present(2 * PAGE, 6));
	check(present(9 * PAGE, 6) == 0, "%u pages came in unasked",
	      present(9 * PAGE, 6));
	has(false, 2 * PAGE, 6 * PAGE);
	if (writing)
		has(true, 2 * PAGE, 6 * PAGE);
	has_not(11 * PAGE + 9, 99);
	use_it();
	teardown();
}

static void for_reading(void)
{
	prefetch(IBV_ADVISE_MR_ADVICE_PREFETCH, false);
}

static void for_writing(void)
{
	prefetch(IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, true);
}

/* All of r, and @want pages of it are new to the device. */
static void whole(enum ibv_advise_mr_advice advice, uint32_t flags, long want)
{
	long was = pages_faulted(), now;
	uint64_t end = now_ms() + WAIT_MS;

	good(advice, flags, 0, PAGES * PAGE);
	do {
		now = pages_faulted();
	} while (!flags && now < was + want && now_ms() < end);
	check(was < 0 || now == was + want, "%ld pages instead of %ld", now - was, want);
}

/* Nothing comes in that is not there, and the device gets what is. */
static void without_faults(void)
{
	const enum ibv_advise_mr_advice advice = IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT;

	setup(ACCESS_ALL);
	whole(advice, IBV_ADVISE_MR_FLAG_FLUSH, 0);
	check(present(0, PAGES) == 0, "%u pages came in", present(0, PAGES));
	rnd_fill(r.want + 3 * PAGE, 5 * PAGE);
	memcpy(r.map + 3 * PAGE, r.want + 3 * PAGE, 5 * PAGE);
	whole(advice, IBV_ADVISE_MR_FLAG_FLUSH, 5);
	check(present(0, PAGES) == 5, "%u pages are there", present(0, PAGES));
	has(false, 3 * PAGE, 5 * PAGE);
	has_not(9 * PAGE + 77, 99);
	use_it();
	good(advice, IBV_ADVISE_MR_FLAG_FLUSH, 0, PAGES * PAGE);
	use_it();
	teardown();
}

static void arrives_in_the_background(void)
{
	setup(ACCESS_ALL);
	whole(IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, PAGES);
	has(false, 0, PAGES * PAGE - 99);
	has(true, 0, PAGES * PAGE - 99);
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

#define PIECES 3

static void pieces_of_r(struct ibv_sge sge[PIECES])
{
	for (int i = 0; i < PIECES; i++)
		sge[i] = (struct ibv_sge) {
			buf_addr(&r, (1 + 5 * i) * PAGE + 9), 2 * PAGE, r.lkey,
		};
}

static int advise_pieces(struct ibv_sge sge[PIECES])
{
	return advise_all(p.nb.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
			  IBV_ADVISE_MR_FLAG_FLUSH, sge, PIECES);
}

static void has_piece(int i)
{
	check(present((1 + 5 * i) * PAGE, 3) == 3, "piece %d is not there", i);
	has(true, (1 + 5 * i) * PAGE + 9, 2 * PAGE);
}

static void several(void)
{
	struct ibv_sge sge[PIECES];
	int ret;

	setup(ACCESS_ALL);
	pieces_of_r(sge);
	ret = advise_pieces(sge);
	check(!ret, "%d pieces: %s", PIECES, strerror(ret));
	check(present(0, PAGES) == 3 * PIECES, "%u pages came in", present(0, PAGES));
	for (int i = 0; i < PIECES; i++)
		has_piece(i);
	has_not(5 * PAGE, 99);
	use_it();
	teardown();
}

/* A key that is none is found at once; a page that is none does the others no harm. */
static void one_of_several_is_bad(void)
{
	struct ibv_sge sge[PIECES];
	int ret;

	setup(ACCESS_ALL);
	for (int i = 0; i < PIECES; i++) {
		pieces_of_r(sge);
		sge[i].lkey ^= 0x5500;
		ret = advise_pieces(sge);
		check(ret == ENOENT, "no such key: %s", strerror(ret));
		check(!present(0, PAGES), "%u pages came in", present(0, PAGES));
	}
	check(!munmap(r.map + 7 * PAGE, PAGE), "munmap");
	pieces_of_r(sge);
	ret = advise_pieces(sge);
	check(ret == EFAULT, "no page: %s", strerror(ret));
	has_piece(0);
	has_piece(2);
	check(mmap(r.map + 7 * PAGE, PAGE, PROT_READ | PROT_WRITE,
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

/* Keys that are good for other things. */
static void other_keys(void)
{
	const enum ibv_advise_mr_advice rd = IBV_ADVISE_MR_ADVICE_PREFETCH;
	struct ibv_mw *mw;
	struct ibv_mr *mr;

	setup(ACCESS_ALL);
	mr = mr_try(&p.nb, r.map, PAGE, (uintptr_t)r.map, ACCESS_ALL, MODE_PINNED);
	check(mr, "ibv_reg_mr: %s", strerror(errno));
	bad(EOPNOTSUPP, p.nb.pd, rd, (uintptr_t)r.map, PAGE, mr->lkey, "a pinned MR");
	check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
	mw = ibv_alloc_mw(p.nb.pd, IBV_MW_TYPE_2);
	check(mw, "ibv_alloc_mw: %s", strerror(errno));
	bad(EINVAL, p.nb.pd, rd, buf_addr(&r, 0), PAGE, mw->rkey, "a window");
	check(!ibv_dealloc_mw(mw), "ibv_dealloc_mw");
	use_it();
	teardown();
}

/* Memory of small pages that nobody has touched, too much of it to be compared. */
static void vast_new(struct buf *b, struct nic *nic, size_t pages)
{
	memset(b, 0, sizeof(*b));
	b->size = pages * PAGE;
	b->map = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	check(b->map != MAP_FAILED, "mmap: %s", strerror(errno));
	madvise(b->map, b->size, MADV_NOHUGEPAGE);
	buf_reg(b, nic, ACCESS_ALL);
}

/* Bring so much of it, some time. */
static void vast_ask(const struct buf *b, struct nic *nic, size_t at, size_t len)
{
	int ret = advise(nic->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0,
			 buf_addr(b, at), len, b->lkey);

	check(!ret, "ibv_advise_mr: %s", strerror(ret));
}

#define MANY_PAGES 131072ul

static void asks_for_much(void)
{
	struct nic nic;
	struct buf b;

	nic_open(&nic, cfg.peer);
	vast_new(&b, &nic, MANY_PAGES);
	vast_ask(&b, &nic, 0, b.size);
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

/* More than a process has workers. */
#define PIECES_LEFT 1024
#define PIECE_PAGES 64ul

/* Lets the pages come once the closer has waited for a while, without a break. */
static void *serve_who_waits(void *arg)
{
	const int *uffd = arg;
	uint64_t end = now_ms() + WAIT_MS;
	int waits = 0;

	while (waits < 20) {
		check(now_ms() < end, "nothing is waited for");
		waits = proc_state(getpid()) == 'D' ? waits + 1 : 0;
		sleep_ms(5);
	}
	close(*uffd);
	return NULL;
}

/*
 * Who closes the device does not wait for what nobody can use any more, but only for
 * what was begun: no page comes before.
 */
static void dropped_when_closed(void)
{
	const long all = PIECES_LEFT * PIECE_PAGES;
	long pages = pages_faulted();
	long dropped = hw_counter(cfg.peer, "prefetches_dropped");
	pthread_t thread;
	struct nic nic;
	struct buf b;
	int uffd;

	need_odp();
	nic_open(&nic, cfg.peer);
	vast_new(&b, &nic, all);
	uffd = buf_withhold(&b, O_CLOEXEC);
	for (size_t i = 0; i < PIECES_LEFT; i++)
		vast_ask(&b, &nic, i * PIECE_PAGES * PAGE, PIECE_PAGES * PAGE);
	check(!ibv_dereg_mr(b.mr), "ibv_dereg_mr: %s", strerror(errno));
	check(!pthread_create(&thread, NULL, serve_who_waits, &uffd), "pthread_create");
	nic_close(&nic);
	pthread_join(thread, NULL);
	pages = pages_faulted() - pages;
	check(!munmap(b.map, b.size), "munmap");
	check(pages < all, "all of %ld pages came in", all);
	if (dropped < 0)
		skip("no such counter");
	dropped = hw_counter(cfg.peer, "prefetches_dropped") - dropped;
	check(dropped > 0 && dropped <= PIECES_LEFT, "%ld of %d dropped, %ld pages came in",
	      dropped, PIECES_LEFT, pages);
}

TEST_MAIN(CASE(for_reading), CASE(for_writing), CASE(without_faults),
	  CASE(in_the_background), CASE(arrives_in_the_background),
	  CASE(ends_with_its_process), CASE(dropped_when_closed), CASE(gone), CASE(several),
	  CASE(one_of_several_is_bad), CASE(errors), CASE(other_keys))
