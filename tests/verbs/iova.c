// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * An MR whose address on the wire is not its virtual address: every operation
 * lands at va + (address - iova), with iova low, high, odd, and ending at 2^64.
 */
#include <errno.h>
#include <string.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf l, r;

static void setup(size_t l_skew, uint64_t l_iova, size_t r_skew, uint64_t r_iova)
{
	need_bounds();
	pair_open(&p, NULL);
	buf_new(&l, 12 * PAGE);
	buf_new(&r, 12 * PAGE);
	buf_reg_part(&l, &p.na, l_skew, 10 * PAGE - 5, l_iova, ACCESS_ALL);
	buf_reg_part(&r, &p.nb, r_skew, 10 * PAGE - 5, r_iova, ACCESS_ALL);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void fetch_add(size_t l_off, size_t r_off)
{
	uint64_t old, add = rnd(), new;
	struct wr w;

	/* Both addresses must be aligned where the device looks: on the wire. */
	r_off += -buf_addr(&r, r_off) & 7;
	if ((uintptr_t)(r.map + r_off) & 7)
		return;
	wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, 1);
	wr_sge(&w, &l, l_off, 8);
	wr_atomic(&w, &r, r_off, add, 0);
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, 1);
	memcpy(&old, r.want + r_off, 8);
	new = old + add;
	buf_holds(&l, l_off, &old, 8);
	buf_holds(&r, r_off, &new, 8);
}

static void every_op(size_t l_skew, size_t r_skew)
{
	size_t len = 10 * PAGE - 5;

	do_write(&p.a, &l, l_skew + 1001, &r, r_skew + 4000, 9001);
	buf_check(&r, "remote memory after a write");
	do_read(&p.a, &l, l_skew + 3333, &r, r_skew + 77, 8193);
	buf_check(&l, "local memory after a read");
	do_send(&p, &l, l_skew + 4095, &r, r_skew + 8190, 5003);
	buf_check(&r, "remote memory after a send");
	fetch_add(l_skew + 4090, r_skew + 12000);
	buf_check(&l, "local memory after an atomic");
	buf_check(&r, "remote memory after an atomic");
	/* To the first and the last byte there is. */
	do_write(&p.a, &l, l_skew, &r, r_skew, len);
	do_read(&p.a, &l, l_skew + len - 1, &r, r_skew, 1);
	do_write(&p.a, &l, l_skew, &r, r_skew + len - 1, 1);
}

static void with(size_t l_skew, uint64_t l_iova, size_t r_skew, uint64_t r_iova)
{
	setup(l_skew, l_iova, r_skew, r_iova);
	every_op(l_skew, r_skew);
	teardown();
}

static void zero(void)
{
	with(0, 0, 0, 0);
}

/* The same place in its page as the memory has. */
static void same_place_in_page(void)
{
	with(1234, 0x7123456789000 + 1234, PAGE + 5, 0x5000000000000000 + 5);
}

/* Another place in the page, which uverbs' old REG_MR command does not take. */
static void other_place_in_page(void)
{
	struct ibv_mr *mr;
	struct nic nic;

	need_bounds();
	nic_open(&nic, cfg.dev);
	buf_new(&l, 12 * PAGE);
	mr = mr_try(&nic, l.map + 8, PAGE, 0x123456789, 0, cfg.mode);
	if (!mr)
		skip("refused at registration: %s", strerror(errno));
	check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
	with(1233, 0x123456789, 8, 0x4000000000000000 + 0x230);
}

/* The last byte is at 2^64 - 9. */
static void top_of_the_space(void)
{
	uint64_t iova = -(uint64_t)(10 * PAGE - 5) - 8;

	with(iova % PAGE, iova, iova % PAGE, iova);
}

TEST_MAIN(CASE(zero), CASE(same_place_in_page), CASE(other_place_in_page),
	  CASE(top_of_the_space))
