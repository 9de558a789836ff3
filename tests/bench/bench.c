// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What on-demand memory costs, as ratios of things measured in turn in one process: -d is
 * our device, -D rdma_rxe's, if it is to be compared. A line a ratio: its median over the
 * rounds, the quartiles, and what it is meant to be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "advise.h"
#include "ops.h"
#include "pages.h"
#include "test.h"

#define ROUNDS 15
#define MIB (1ul << 20)
#define BIG (1024 * MIB)

/* One device talking to itself. */
struct loop {
	struct nic nic;
	struct ep a, b;
};

/* Nanoseconds of each round. */
struct series {
	double v[ROUNDS];
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The @quarter'th quartile. */
static double quartile(const struct series *s, unsigned int quarter)
{
	struct series sorted = *s;

	qsort(sorted.v, ROUNDS, sizeof(sorted.v[0]), compare);
	return sorted.v[(ROUNDS - 1) * quarter / 4];
}

/* Where an instruction is a nanosecond, thousands of instructions. */
static void show(const char *what, const struct series *s)
{
	printf("# %-44s %12.1f %s (%.1f to %.1f)\n", what, quartile(s, 2) / 1e3,
	       getenv("INSNS") ? "K" : "us", quartile(s, 1) / 1e3, quartile(s, 3) / 1e3);
}

static void ratio(const char *what, const struct series *a, const struct series *b,
		  const char *aim)
{
	struct series r;

	for (int i = 0; i < ROUNDS; i++)
		r.v[i] = a->v[i] / b->v[i];
	printf("# ratio %-38s %12.2f (%.2f to %.2f), aim: %s\n", what, quartile(&r, 2),
	       quartile(&r, 1), quartile(&r, 3), aim);
}

static bool has_other(void)
{
	return strcmp(cfg.dev, cfg.peer);
}

static void loop_open(struct loop *l, const char *dev)
{
	struct qp_opt opt = opt_rc;

	opt.timeout = 20;
	nic_open(&l->nic, dev);
	ep_create(&l->a, &l->nic, &opt);
	ep_create(&l->b, &l->nic, &opt);
	ep_join(&l->a, &l->b);
}

static void loop_close(struct loop *l)
{
	ep_destroy(&l->a);
	ep_destroy(&l->b);
	nic_close(&l->nic);
}

/* Memory without a shadow, in pages of 4 KiB or as huge ones; whole huge pages are mapped. */
static size_t mem_huges(size_t size)
{
	return (size + HUGE - 1) / HUGE;
}

static void mem_new(struct buf *b, size_t size, bool huge)
{
	memset(b, 0, sizeof(*b));
	b->map = huge_map(mem_huges(size));
	b->size = size;
	b->fd = -1;
	check(!madvise(b->map, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE),
	      "madvise: %s", strerror(errno));
}

static void mem_touch(struct buf *b)
{
	for (size_t i = 0; i < b->size; i += PAGE)
		b->map[i] = i / PAGE + 1;
}

static void mem_reg(struct buf *b, struct nic *nic, size_t len, enum mr_mode mode)
{
	b->mr = mr_try(nic, b->map, len, (uintptr_t)b->map, ACCESS_ALL, mode);
	check(b->mr, "registering %zu bytes: %s", len, strerror(errno));
	b->base = (uintptr_t)b->map;
	b->lkey = b->mr->lkey;
	b->rkey = b->mr->rkey;
}

static void mem_dereg(struct buf *b)
{
	check(!ibv_dereg_mr(b->mr), "ibv_dereg_mr");
	b->mr = NULL;
}

static void mem_untouch(struct buf *b)
{
	check(!madvise(b->map, b->size, MADV_DONTNEED), "madvise: %s", strerror(errno));
}

static void mem_free(struct buf *b)
{
	if (b->mr)
		mem_dereg(b);
	munmap(b->map, mem_huges(b->size) * HUGE);
}

static void mem_bring(struct buf *b, struct nic *nic, size_t len)
{
	check(!advise(nic->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, IBV_ADVISE_MR_FLAG_FLUSH,
		      b->base, len, b->lkey), "prefetch");
}

/* Register and deregister once. */
static void reg_once(struct buf *b, struct nic *nic, size_t len, enum mr_mode mode,
		     bool touch, double *reg, double *dereg)
{
	double t0 = now_ns(), t1, t2;

	mem_reg(b, nic, len, mode);
	t1 = now_ns();
	if (touch)
		mem_bring(b, nic, len);
	t2 = now_ns();
	mem_dereg(b);
	*reg = t1 - t0;
	*dereg = now_ns() - t2;
}

/*
 * The same for a page of what is brought as a whole just before, by another MR: what that
 * leaves of the processor's caches is as little as when all of it is deregistered.
 */
static void reg_beside(struct buf *b, struct nic *nic, double *reg, double *dereg)
{
	struct buf all = *b;
	double t0 = now_ns(), t1;

	mem_reg(b, nic, PAGE, MODE_ODP);
	*reg = now_ns() - t0;
	mem_reg(&all, nic, BIG, MODE_ODP);
	mem_bring(&all, nic, BIG);
	t1 = now_ns();
	mem_dereg(b);
	*dereg = now_ns() - t1;
	mem_dereg(&all);
}

static void registration(void)
{
	static struct series small[2], big[2], used[2], warm[2], pinned[2], odp[2];
	struct nic nic, other;
	struct buf b;

	nic_open(&nic, cfg.dev);
	if (has_other())
		nic_open(&other, cfg.peer);
	mem_new(&b, BIG, false);
	mem_touch(&b);
	for (int i = 0; i < ROUNDS; i++) {
		reg_once(&b, &nic, PAGE, MODE_ODP, false, &small[0].v[i], &small[1].v[i]);
		reg_once(&b, &nic, BIG, MODE_ODP, false, &big[0].v[i], &big[1].v[i]);
		reg_once(&b, &nic, BIG, MODE_ODP, true, &used[0].v[i], &used[1].v[i]);
		reg_beside(&b, &nic, &warm[0].v[i], &warm[1].v[i]);
		reg_once(&b, &nic, BIG, MODE_PINNED, false, &pinned[0].v[i],
			 &pinned[1].v[i]);
		if (has_other())
			reg_once(&b, &other, BIG, MODE_ODP, false, &odp[0].v[i],
				 &odp[1].v[i]);
	}
	show("register 4 KiB", &small[0]);
	show("register 1 GiB", &big[0]);
	show("register 1 GiB, pinned", &pinned[0]);
	ratio("register 1 GiB / 4 KiB", &big[0], &small[0], "at most 1.2");
	ratio("register 1 GiB pinned / ODP", &pinned[0], &big[0], "at least 500");
	if (has_other()) {
		show("register 1 GiB, rdma_rxe ODP", &odp[0]);
		ratio("register 1 GiB rdma_rxe ODP / ODP", &odp[0], &big[0], "at least 50");
	}
	show("deregister 4 KiB", &small[1]);
	show("deregister 4 KiB, used", &warm[1]);
	show("deregister 1 GiB", &big[1]);
	show("deregister 1 GiB, all of it used", &used[1]);
	show("deregister 1 GiB, pinned", &pinned[1]);
	ratio("deregister 1 GiB / 4 KiB", &big[1], &small[1], "at most 1.2");
	ratio("deregister 1 GiB / 4 KiB, used", &used[1], &warm[1], "at most 1.2");
	ratio("deregister 1 GiB pinned / ODP used", &pinned[1], &used[1], "at least 500");
	if (has_other()) {
		show("deregister 1 GiB, rdma_rxe ODP", &odp[1]);
		ratio("deregister 1 GiB rdma_rxe ODP / ODP used", &odp[1], &used[1],
		      "at least 50");
		nic_close(&other);
	}
	mem_free(&b);
	nic_close(&nic);
}

/* Bytes of the objects of a slab cache, of which there are as many as @counter says. */
static long objects_of(const char *cache, const char *counter)
{
	char path[64];
	long size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/slab_size", cache);
	f = fopen(path, "r");
	check(f && fscanf(f, "%ld", &size) == 1, "%s cannot be read", path);
	fclose(f);
	return size * hw_counter(cfg.dev, counter);
}

static double table_kib(void)
{
	return (objects_of("hmm_region", "odp_regions") +
		objects_of("hmm_table", "odp_tables")) / 1024.0;
}

/* Kernel memory that one prefetched GiB takes. */
static void memory_of(bool huge)
{
	struct nic nic;
	struct buf b;
	double idle;

	nic_open(&nic, cfg.dev);
	mem_new(&b, BIG, huge);
	mem_touch(&b);
	mem_reg(&b, &nic, BIG, MODE_ODP);
	idle = table_kib();
	mem_bring(&b, &nic, BIG);
	printf("# table memory of 1 GiB in %s pages: %.1f KiB untouched, %.1f KiB used, aim: at most %s\n",
	       huge ? "huge" : "4 KiB", idle, table_kib(), huge ? "32 KiB" : "2.1 MiB");
	mem_free(&b);
	nic_close(&nic);
}

static void memory(void)
{
	memory_of(false);
	memory_of(true);
}

/* @n writes of @len from @src to @dst, @depth at a time, over all of them. */
static double writes(struct loop *l, const struct buf *src, const struct buf *dst,
		     size_t len, unsigned int n, unsigned int depth)
{
	double begun = now_ns();
	unsigned int posted = 0;

	for (unsigned int done = 0; done < n; done++) {
		while (posted < n && posted - done < depth) {
			size_t at = posted * len % dst->size;

			q_rdma(&l->a, IBV_WR_RDMA_WRITE, posted++, src, at, dst, at, len);
		}
		wc_ok(l->a.scq, done);
	}
	return now_ns() - begun;
}

static void same_memory(const struct buf *src, const struct buf *dst)
{
	check(!memcmp(src->map, dst->map, dst->size), "the bytes are not the same");
}

/* Bandwidth and latency of memory that is there. */
static void warm(void)
{
	static struct series bw[3], lat[3];
	struct buf src[3], dst[3];
	struct loop l, other;
	const int n = has_other() ? 3 : 2;

	loop_open(&l, cfg.dev);
	if (has_other())
		loop_open(&other, cfg.peer);
	for (int k = 0; k < n; k++) {
		mem_new(&src[k], 16 * MIB, false);
		mem_new(&dst[k], 16 * MIB, false);
		rnd_fill(src[k].map, src[k].size);
		mem_touch(&dst[k]);
		mem_reg(&src[k], k == 2 ? &other.nic : &l.nic, 16 * MIB,
			k == 1 ? MODE_PINNED : MODE_ODP);
		mem_reg(&dst[k], k == 2 ? &other.nic : &l.nic, 16 * MIB,
			k == 1 ? MODE_PINNED : MODE_ODP);
		writes(k == 2 ? &other : &l, &src[k], &dst[k], MIB, 16, 8);
	}
	for (int i = 0; i < ROUNDS; i++) {
		for (int turn = 0; turn < n; turn++) {
			/* Who comes first finds other things in the caches. */
			int k = (i + turn) % n;
			struct loop *x = k == 2 ? &other : &l;

			bw[k].v[i] = writes(x, &src[k], &dst[k], MIB, 32, 8) / 32;
			lat[k].v[i] = writes(x, &src[k], &dst[k], 8, 500, 1) / 500;
		}
	}
	show("WRITE 1 MiB, warm", &bw[0]);
	show("WRITE 1 MiB, pinned", &bw[1]);
	ratio("bandwidth ODP / pinned", &bw[1], &bw[0], "at least 0.95");
	show("WRITE 8 B, warm", &lat[0]);
	show("WRITE 8 B, pinned", &lat[1]);
	ratio("latency pinned / ODP", &lat[1], &lat[0], "at least 0.95");
	if (has_other()) {
		show("WRITE 1 MiB, rdma_rxe ODP", &bw[2]);
		ratio("bandwidth ODP / rdma_rxe ODP", &bw[2], &bw[0], "more");
		show("WRITE 8 B, rdma_rxe ODP", &lat[2]);
		ratio("latency rdma_rxe ODP / ODP", &lat[2], &lat[0], "more");
	}
	for (int k = 0; k < n; k++) {
		same_memory(&src[k], &dst[k]);
		mem_free(&src[k]);
		mem_free(&dst[k]);
	}
	if (has_other())
		loop_close(&other);
	loop_close(&l);
}

/* 4 KiB writes to pages of @dst in the order of @order, each: the mean. */
static double each(struct loop *l, const struct buf *src, const struct buf *dst,
		   const unsigned int *order, unsigned int n)
{
	double begun = now_ns();

	for (unsigned int i = 0; i < n; i++) {
		q_rdma(&l->a, IBV_WR_RDMA_WRITE, i, src, order[i] * PAGE, dst,
		       order[i] * PAGE, PAGE);
		wc_ok(l->a.scq, i);
	}
	return (now_ns() - begun) / n;
}

static void cold_page(void)
{
	enum { PAGES = 4096, USED = 128 };
	static struct series touch, cold, hot, more;
	unsigned int order[PAGES];
	struct buf src, dst, own;
	struct loop l;

	loop_open(&l, cfg.dev);
	mem_new(&src, PAGES * PAGE, false);
	mem_new(&dst, PAGES * PAGE, false);
	mem_new(&own, PAGES * PAGE, false);
	rnd_fill(src.map, src.size);
	mem_reg(&src, &l.nic, src.size, MODE_ODP);
	mem_reg(&dst, &l.nic, dst.size, MODE_ODP);
	for (unsigned int i = 0; i < PAGES; i++)
		order[i] = i;
	each(&l, &src, &dst, order, PAGES);
	for (int i = 0; i < ROUNDS; i++) {
		double begun;

		for (unsigned int k = 0; k < USED; k++) {
			unsigned int other = rnd_range(k, PAGES - 1), was = order[k];

			order[k] = order[other];
			order[other] = was;
		}
		mem_untouch(&dst);
		mem_untouch(&own);
		begun = now_ns();
		for (unsigned int k = 0; k < USED; k++)
			own.map[order[k] * PAGE] = 1;
		touch.v[i] = (now_ns() - begun) / USED;
		cold.v[i] = each(&l, &src, &dst, order, USED);
		hot.v[i] = each(&l, &src, &dst, order, USED);
		for (unsigned int k = 0; k < USED; k++)
			same(dst.map + order[k] * PAGE, src.map + order[k] * PAGE, PAGE,
			     "page");
		more.v[i] = cold.v[i] - hot.v[i];
	}
	show("CPU's first touch of a page", &touch);
	show("WRITE 4 KiB to a cold page", &cold);
	show("WRITE 4 KiB to a warm page", &hot);
	ratio("cold above warm / CPU's first touch", &more, &touch, "at most 2");
	mem_free(&src);
	mem_free(&dst);
	mem_free(&own);
	loop_close(&l);
}

static void cold_message(void)
{
	static struct series cold[2];
	struct loop l[2];
	struct buf src[2], dst[2];
	const int n = has_other() ? 2 : 1;

	for (int k = 0; k < n; k++) {
		loop_open(&l[k], k ? cfg.peer : cfg.dev);
		mem_new(&src[k], MIB, false);
		mem_new(&dst[k], MIB, false);
		rnd_fill(src[k].map, MIB);
		mem_reg(&src[k], &l[k].nic, MIB, MODE_ODP);
		mem_reg(&dst[k], &l[k].nic, MIB, MODE_ODP);
	}
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < n; k++) {
			mem_untouch(&dst[k]);
			cold[k].v[i] = writes(&l[k], &src[k], &dst[k], MIB, 1, 1);
		}
	}
	same_memory(&src[0], &dst[0]);
	show("WRITE 1 MiB, cold", &cold[0]);
	if (has_other()) {
		show("WRITE 1 MiB, cold, rdma_rxe ODP", &cold[1]);
		ratio("cold WRITE 1 MiB rdma_rxe / ODP", &cold[1], &cold[0], "at least 2");
	}
	for (int k = 0; k < n; k++) {
		mem_free(&src[k]);
		mem_free(&dst[k]);
		loop_close(&l[k]);
	}
}

/* Give back 64 KiB at @at again and again: the mean of a call. */
static double give_back(uint8_t *at, bool unmap)
{
	enum { LEN = 16 * PAGE, TIMES = 200 };
	double sum = 0, begun;

	for (int i = 0; i < TIMES; i++) {
		for (size_t k = 0; k < LEN; k += PAGE)
			at[k] = i;
		begun = now_ns();
		check(!(unmap ? munmap(at, LEN) : madvise(at, LEN, MADV_DONTNEED)),
		      "giving memory back: %s", strerror(errno));
		sum += now_ns() - begun;
		if (unmap)
			check(mmap(at, LEN, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at,
			      "mmap: %s", strerror(errno));
	}
	return sum / TIMES;
}

struct stranger {
	bool unmap;
	double ns;
};

/* In a process that no device knows. */
static void give_back_unknown(void *arg)
{
	struct stranger *s = arg;
	struct buf b;

	mem_new(&b, 16 * MIB, false);
	s->ns = give_back(b.map + 8 * MIB, s->unmap);
}

/* What others in the process pay for memory that is not registered. */
static void beside(void)
{
	static struct series none[2], near[2], far[2];
	struct stranger *s;
	struct buf b;
	struct nic nic;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(s != MAP_FAILED, "mmap");
	nic_open(&nic, cfg.dev);
	mem_new(&b, 16 * MIB, false);
	for (int i = 0; i < ROUNDS; i++) {
		for (int unmap = 0; unmap < 2; unmap++) {
			s->unmap = unmap;
			check(!in_child(give_back_unknown, s), "no other process");
			none[unmap].v[i] = s->ns;
			/* Of 5 MiB all is used: the last 2 MiB are so in half. */
			mem_reg(&b, &nic, 5 * MIB, MODE_ODP);
			mem_bring(&b, &nic, 5 * MIB);
			near[unmap].v[i] = give_back(b.map + 5 * MIB, unmap);
			far[unmap].v[i] = give_back(b.map + 8 * MIB, unmap);
			mem_dereg(&b);
		}
	}
	for (int unmap = 0; unmap < 2; unmap++) {
		show(unmap ? "munmap of 64 KiB" : "madvise of 64 KiB", &none[unmap]);
		ratio(unmap ? "munmap next to an MR / without" :
			      "madvise next to an MR / without",
		      &near[unmap], &none[unmap], "at most 1.10");
		ratio(unmap ? "munmap 3 MiB away / without" :
			      "madvise 3 MiB away / without",
		      &far[unmap], &none[unmap], "at most 1.10");
	}
	munmap(s, sizeof(*s));
	mem_free(&b);
	nic_close(&nic);
}

TEST_MAIN(CASE(registration), CASE(memory), CASE(warm), CASE(cold_page),
	  CASE(cold_message), CASE(beside))
