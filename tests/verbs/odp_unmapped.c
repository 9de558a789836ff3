// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * An MR of addresses where nothing is mapped: with ODP it registers and the
 * first access fails; pinned it is refused at once.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "ops.h"
#include "test.h"

#define PAGES 8

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	check(!munmap(r.map, r.size), "munmap");
}

static void teardown(void)
{
	buf_check(&l, "local memory");
	buf_free(&l);
	pair_close(&p);
}

static void map_it(void)
{
	check(mmap(r.map, r.size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == r.map, "mmap");
	memset(r.want, 0, r.size);
}

static void pinned_is_refused(void)
{
	struct ibv_mr *mr;

	setup();
	mr = mr_try(&p.nb, r.map, r.size, (uintptr_t)r.map, ACCESS_ALL, MODE_PINNED);
	check(!mr, "unmapped memory was pinned");
	/* Nor memory whose last page is missing. */
	check(mmap(r.map, r.size - PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == r.map, "mmap");
	mr = mr_try(&p.nb, r.map, r.size, (uintptr_t)r.map, ACCESS_ALL, MODE_PINNED);
	check(!mr, "memory with a hole was pinned");
	check(!munmap(r.map, r.size - PAGE), "munmap");
	teardown();
}

static void first_access_fails(void)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };

	need_odp();
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		setup();
		buf_reg(&r, &p.nb, ACCESS_ALL);
		q_rdma(&p.a, ops[i], 1, &l, 5, &r, 4090, 3000);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		ep_await_state(&p.b, IBV_QPS_ERR);
		pair_renew(&p, NULL);
		/* As the source of its owner. */
		q_send(&p.b, 1, &r, 4090, 3000);
		wc_expect(p.b.scq, 1, IBV_WC_LOC_PROT_ERR);
		pair_renew(&p, NULL);
		/* Mapped at last, it works through the same MR. */
		map_it();
		do_write(&p.a, &l, 5, &r, 4090, 3000);
		do_read(&p.a, &l, 77, &r, 1, 5 * PAGE);
		buf_check(&r, "remote memory");
		buf_free(&r);
		teardown();
	}
}

/* The kernel's half of the address space and the very top are nobody's. */
static void not_user_memory(void)
{
	static const uint64_t at[] = {
		0, 0x7ffffffff000, 0xffff888000000000, 0xffffffff81000000,
		0xffffffffffffd000,
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct ibv_mr *mr = mr_try(&p.nb, (void *)at[i], 2 * PAGE, at[i],
					   ACCESS_ALL, cfg.mode);
		struct wr w;

		/* Refused at once is fine; if not, every access must fail. */
		if (!mr)
			continue;
		wr_init(&w, i & 1 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, 1);
		wr_sge(&w, &l, 3, 100);
		w.wr.wr.rdma.remote_addr = at[i] + 64;
		w.wr.wr.rdma.rkey = mr->rkey;
		wr_post(&p.a, &w);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
		pair_renew(&p, NULL);
	}
	teardown();
}

/* Ranges that wrap around 2^64 are refused in every mode. */
static void wrapping_range(void)
{
	setup();
	if (cfg.mode == MODE_IMPLICIT)
		skip("an implicit MR is everything");
	check(!mr_try(&p.nb, r.map, SIZE_MAX - 100, (uintptr_t)r.map, ACCESS_ALL,
		      cfg.mode), "a wrapping range registered");
	check(!mr_try(&p.nb, (void *)~0ul, 2, ~0ul, ACCESS_ALL, cfg.mode),
	      "a wrapping range registered");
	map_it();
	check(!mr_try(&p.nb, r.map, 2 * PAGE, -(uint64_t)PAGE, ACCESS_ALL, cfg.mode),
	      "a wrapping iova registered");
	teardown();
}

TEST_MAIN(CASE(pinned_is_refused), CASE(first_access_fails), CASE(not_user_memory),
	  CASE(wrapping_range))
