// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The FLUSH and ATOMIC WRITE operations: eight bytes land whole where they are
 * aligned; a flush of a range or a whole MR completes after the writes before it
 * and is refused where the MR does not allow it.
 */
#include <rdma/ib_user_verbs.h>
#include <string.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf l, r;
static struct ibv_qp_ex *qp;

static void setup(unsigned int r_access)
{
	struct qp_opt opt = opt_rc;
	struct nic nic;

	nic_open(&nic, cfg.dev);
	if (!(nic.attr.device_cap_flags_ex & IB_UVERBS_DEVICE_ATOMIC_WRITE) ||
	    !(nic.attr.device_cap_flags_ex & IB_UVERBS_DEVICE_FLUSH_GLOBAL))
		skip("no atomic write or no flush");
	nic_close(&nic);
	opt.send_ops = IBV_QP_EX_WITH_ATOMIC_WRITE | IBV_QP_EX_WITH_FLUSH |
		       IBV_QP_EX_WITH_RDMA_WRITE;
	opt.access = r_access;
	pair_open(&p, &opt);
	qp = ibv_qp_to_qp_ex(p.a.qp);
	buf_new(&l, 8 * PAGE);
	buf_new_cold(&r, 8 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, r_access);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

#define FLUSHABLE (ACCESS_ALL | IBV_ACCESS_FLUSH_GLOBAL)

static void start(uint64_t id)
{
	ibv_wr_start(qp);
	qp->wr_id = id;
	qp->wr_flags = IBV_SEND_SIGNALED;
}

static void finish(void)
{
	int ret = ibv_wr_complete(qp);

	check(!ret, "ibv_wr_complete: %s", strerror(ret));
}

static void atomic_write(void)
{
	setup(ACCESS_ALL);
	for (int i = 0; i < 30; i++) {
		size_t at = rnd_range(0, r.size / 8 - 1) * 8;
		uint64_t v = rnd();

		if (i % 3 == 1)
			at = PAGE * rnd_range(1, 7) - 8;
		start(i);
		ibv_wr_atomic_write(qp, r.rkey, buf_addr(&r, at), &v);
		finish();
		wc_ok(p.a.scq, i);
		buf_holds(&r, at, &v, 8);
		buf_check(&r, "remote memory");
	}
	teardown();
}

static void atomic_write_unaligned(void)
{
	uint64_t v = rnd();

	setup(ACCESS_ALL);
	start(1);
	ibv_wr_atomic_write(qp, r.rkey, buf_addr(&r, 8 * 77 + 4), &v);
	finish();
	wc_expect(p.a.scq, 1, IBV_WC_REM_INV_REQ_ERR);
	teardown();
}

static void flush(size_t off, size_t len, uint8_t level, uint64_t id)
{
	start(id);
	ibv_wr_flush(qp, r.rkey, buf_addr(&r, off), len, IBV_FLUSH_GLOBAL, level);
	finish();
}

static void flush_after_write(void)
{
	setup(FLUSHABLE);
	for (int i = 0; i < 20; i += 2) {
		size_t len = rnd_range(1, 3 * PAGE), at = off_for(&r, len);

		start(i);
		ibv_wr_rdma_write(qp, r.rkey, buf_addr(&r, at));
		ibv_wr_set_sge(qp, l.lkey, buf_addr(&l, i * 99), len);
		finish();
		buf_moved(&r, at, &l, i * 99, len);
		flush(at, len, i & 2 ? IBV_FLUSH_RANGE : IBV_FLUSH_MR, i + 1);
		wc_ok(p.a.scq, i);
		wc_ok(p.a.scq, i + 1);
		buf_check(&r, "remote memory");
	}
	teardown();
}

/* Flushing what was never touched, and all of it. */
static void flush_cold(void)
{
	setup(FLUSHABLE);
	flush(0, r.size, IBV_FLUSH_RANGE, 1);
	wc_ok(p.a.scq, 1);
	flush(0, 0, IBV_FLUSH_MR, 2);
	wc_ok(p.a.scq, 2);
	teardown();
}

static void flush_refused(void)
{
	setup(ACCESS_ALL);
	flush(5, 100, IBV_FLUSH_RANGE, 1);
	check(wc_wait(p.a.scq).status != IBV_WC_SUCCESS, "a flush without the right");
	teardown();
	need_bounds();
	setup(FLUSHABLE);
	flush(5, 8 * PAGE, IBV_FLUSH_RANGE, 1);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	teardown();
}

TEST_MAIN(CASE(atomic_write), CASE(atomic_write_unaligned), CASE(flush_after_write),
	  CASE(flush_cold), CASE(flush_refused))
