// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * MRs far larger than the machine's memory: registering one costs nothing, and
 * what is mapped in it works wherever it lies.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "ops.h"
#include "test.h"

#define TIB (1ul << 40)

static struct pair p;

static uint8_t *reserve(void)
{
	uint8_t *map = mmap(NULL, TIB, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check(map != MAP_FAILED, "reserving 1 TiB of addresses: %s", strerror(errno));
	return map;
}

static void one_tebibyte(void)
{
	struct buf l, part;
	struct ibv_mr *mr;
	uint8_t *map;

	need_odp();
	pair_open(&p, NULL);
	map = reserve();
	mr = mr_try(&p.nb, map, TIB, (uintptr_t)map, ACCESS_ALL, cfg.mode);
	check(mr, "registering 1 TiB: %s", strerror(errno));
	buf_new(&l, 8 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	for (int i = 0; i < 24; i++) {
		size_t at = rnd_range(0, TIB / PAGE - 8) * PAGE;

		if (i == 0)
			at = 0;
		if (i == 1)
			at = TIB - 4 * PAGE;
		check(!mprotect(map + at, 4 * PAGE, PROT_READ | PROT_WRITE),
		      "mprotect: %s", strerror(errno));
		buf_adopt(&part, map + at, 4 * PAGE);
		part.lkey = mr->lkey;
		part.rkey = mr->rkey;
		do_write(&p.a, &l, 3, &part, 1, 4 * PAGE - 1);
		buf_check(&part, "a part of it");
		do_read(&p.a, &l, 77, &part, 5, 2 * PAGE);
		buf_check(&l, "what was read");
		/* Unmap it; the MR does not mind. */
		buf_free(&part);
		check(mmap(map + at, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			   MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED, "mmap");
	}
	check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
	check(!munmap(map, TIB), "munmap");
	buf_free(&l);
	pair_close(&p);
}

/* The untouched rest of it is an error, not a crash. */
static void outside_the_mapped_part(void)
{
	struct ibv_mr *mr;
	struct buf l;
	uint8_t *map;

	need_odp();
	pair_open(&p, NULL);
	map = reserve();
	mr = mr_try(&p.nb, map, TIB, (uintptr_t)map, ACCESS_ALL, cfg.mode);
	check(mr, "registering 1 TiB: %s", strerror(errno));
	buf_new(&l, 8 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	for (int i = 0; i < 6; i++) {
		struct wr w;

		wr_init(&w, i & 1 ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ, 1);
		wr_sge(&w, &l, 5, 5000);
		w.wr.wr.rdma.remote_addr = (uintptr_t)map + rnd_range(0, TIB - 5000);
		w.wr.wr.rdma.rkey = mr->rkey;
		wr_post(&p.a, &w);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		pair_renew(&p, NULL);
	}
	buf_check(&l, "local memory");
	check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
	check(!munmap(map, TIB), "munmap");
	buf_free(&l);
	pair_close(&p);
}

/* A hundred of them over the same terabyte, taken down in random order. */
static void many_over_one(void)
{
	struct ibv_mr *mr[100];
	struct buf l, part;
	uint8_t *map;

	need_odp();
	pair_open(&p, NULL);
	map = reserve();
	buf_new(&l, 8 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	check(!mprotect(map + TIB / 2, 8 * PAGE, PROT_READ | PROT_WRITE), "mprotect");
	buf_adopt(&part, map + TIB / 2, 8 * PAGE);
	for (int i = 0; i < 100; i++) {
		mr[i] = mr_try(&p.nb, map, TIB, (uintptr_t)map, ACCESS_ALL, cfg.mode);
		check(mr[i], "MR %d: %s", i, strerror(errno));
	}
	for (int i = 99; i >= 0; i--) {
		int k = rnd_range(0, i);

		part.rkey = mr[k]->rkey;
		do_write(&p.a, &l, i, &part, i * 99, 3001);
		check(!ibv_dereg_mr(mr[k]), "ibv_dereg_mr");
		mr[k] = mr[i];
	}
	buf_check(&part, "remote memory");
	check(!munmap(map, TIB), "munmap");
	buf_free(&l);
	pair_close(&p);
}

TEST_MAIN(CASE(one_tebibyte), CASE(outside_the_mapped_part), CASE(many_over_one))
