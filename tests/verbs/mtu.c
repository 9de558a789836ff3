// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Every path MTU the port allows, all operations; lengths around its multiples.
 */
#include "ops.h"
#include "test.h"

static void with(enum ibv_mtu mtu)
{
	struct qp_opt opt = opt_rc;
	size_t m = mtu_bytes(mtu);
	const size_t lens[] = {
		1, m - 1, m, m + 1, 2 * m - 1, 2 * m, 2 * m + 1, 7 * m + 3, 32 * m,
	};
	struct buf l, r;
	struct pair p;

	opt.mtu = mtu;
	pair_open(&p, NULL);
	if (mtu > pair_mtu(&p))
		skip("the port's MTU is %u", mtu_bytes(pair_mtu(&p)));
	pair_renew(&p, &opt);
	buf_new(&l, 36 * PAGE);
	buf_new(&r, 36 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		size_t len = lens[i];

		do_write(&p.a, &l, off_for(&l, len), &r, off_for(&r, len), len);
		do_read(&p.a, &l, off_for(&l, len), &r, off_for(&r, len), len);
		do_send(&p, &l, off_for(&l, len), &r, off_for(&r, len), len);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

static void mtu_256(void)
{
	with(IBV_MTU_256);
}

static void mtu_512(void)
{
	with(IBV_MTU_512);
}

static void mtu_1024(void)
{
	with(IBV_MTU_1024);
}

static void mtu_2048(void)
{
	with(IBV_MTU_2048);
}

static void mtu_4096(void)
{
	with(IBV_MTU_4096);
}

TEST_MAIN(CASE(mtu_256), CASE(mtu_512), CASE(mtu_1024), CASE(mtu_2048), CASE(mtu_4096))
