// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory windows: only the window's bytes, by the window's rights, while it is
 * bound, and (type 2) only through its QP. The MR around it does not widen it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"
#include "test.h"

#define OFF 1003
#define LEN (2 * PAGE + 55)

static struct pair p;
static struct buf l, r;
static struct ibv_mw *mw;

static void setup(enum ibv_mw_type type, unsigned int mr_access)
{
	pair_open(&p, NULL);
	buf_new(&l, 8 * PAGE);
	buf_new(&r, 8 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, mr_access);
	mw = ibv_alloc_mw(p.nb.pd, type);
	if (!mw)
		skip("ibv_alloc_mw of type %d: %s", type, strerror(errno));
}

static void teardown(void)
{
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	check(!ibv_dealloc_mw(mw), "ibv_dealloc_mw");
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

/* Under the next key, which is returned. */
static uint32_t bind_init(struct wr *w, uint64_t id, size_t off, size_t len,
			  unsigned int access)
{
	uint32_t rkey = ibv_inc_rkey(mw->rkey);

	wr_init(w, IBV_WR_BIND_MW, id);
	w->wr.bind_mw.mw = mw;
	w->wr.bind_mw.rkey = rkey;
	w->wr.bind_mw.bind_info = (struct ibv_mw_bind_info) {
		.mr = r.mr,
		.addr = buf_addr(&r, off),
		.length = len,
		.mw_access_flags = access,
	};
	return rkey;
}

static uint32_t bind(size_t off, size_t len, unsigned int access,
		     enum ibv_wc_status status)
{
	struct wr w;
	uint32_t rkey = bind_init(&w, 99, off, len, access);

	wr_post(&p.b, &w);
	wc_expect(p.b.scq, 99, status);
	if (status == IBV_WC_SUCCESS)
		mw->rkey = rkey;
	return rkey;
}

/* To or from r at @off, which has @addr in the window. */
static void by_window_at(enum ibv_wr_opcode op, uint32_t rkey, uint64_t addr, size_t off,
			 size_t len, enum ibv_wc_status status)
{
	struct wr w;

	wr_init(&w, op, 1);
	wr_sge(&w, &l, 3 * PAGE - 99, len);
	w.wr.wr.rdma.remote_addr = addr;
	w.wr.wr.rdma.rkey = rkey;
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 1, status);
	if (status == IBV_WC_SUCCESS && op == IBV_WR_RDMA_WRITE)
		buf_moved(&r, off, &l, 3 * PAGE - 99, len);
	else if (status == IBV_WC_SUCCESS)
		buf_moved(&l, 3 * PAGE - 99, &r, off, len);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
}

static void by_window(enum ibv_wr_opcode op, uint32_t rkey, size_t off, size_t len,
		      enum ibv_wc_status status)
{
	by_window_at(op, rkey, buf_addr(&r, off), off, len, status);
}

#define RW (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

#define DEBUGFS "/sys/kernel/debug/rxe_odp/%s/mrs"

static void inside(void)
{
	char line[64];
	uint32_t rkey;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	check(file_has("window, free", DEBUGFS, cfg.peer), "no free window in debugfs");
	rkey = bind(OFF, LEN, RW, IBV_WC_SUCCESS);
	snprintf(line, sizeof(line), "window of %#x qpn %u\n", r.rkey, p.b.qp->qp_num);
	check(file_has(line, DEBUGFS, cfg.peer), "not in debugfs: %s", line);
	by_window(IBV_WR_RDMA_WRITE, rkey, OFF, LEN, IBV_WC_SUCCESS);
	by_window(IBV_WR_RDMA_READ, rkey, OFF, LEN, IBV_WC_SUCCESS);
	by_window(IBV_WR_RDMA_WRITE, rkey, OFF + LEN - 1, 1, IBV_WC_SUCCESS);
	by_window(IBV_WR_RDMA_WRITE, rkey, OFF, 1, IBV_WC_SUCCESS);
	by_window(IBV_WR_RDMA_READ, rkey, PAGE + 5, PAGE, IBV_WC_SUCCESS);
	teardown();
}

/* Each refused access costs the QP and with it the window. */
static void refused(enum ibv_wr_opcode op, size_t off, size_t len, unsigned int access)
{
	uint32_t rkey;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	rkey = bind(OFF, LEN, access, IBV_WC_SUCCESS);
	by_window(op, rkey, off, len, IBV_WC_REM_ACCESS_ERR);
	teardown();
}

static void outside_but_in_the_mr(void)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };

	need_bounds();
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		refused(ops[i], OFF - 1, 1, RW);
		refused(ops[i], OFF - 1, 100, RW);
		refused(ops[i], OFF + LEN, 1, RW);
		refused(ops[i], OFF + LEN - 99, 100, RW);
		refused(ops[i], OFF, LEN + 1, RW);
		refused(ops[i], 5 * PAGE, 5, RW);
	}
}

static void rights(void)
{
	refused(IBV_WR_RDMA_WRITE, OFF, 100, IBV_ACCESS_REMOTE_READ);
	refused(IBV_WR_RDMA_READ, OFF, 100, IBV_ACCESS_REMOTE_WRITE);
}

/* A new binding replaces the old one and its key. */
static void rebound(void)
{
	uint32_t first, second;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	first = bind(OFF, LEN, RW, IBV_WC_SUCCESS);
	by_window(IBV_WR_RDMA_WRITE, first, OFF, 77, IBV_WC_SUCCESS);
	for (int i = 0; i < 5; i++) {
		struct wr w;

		wr_init(&w, IBV_WR_LOCAL_INV, 5);
		w.wr.invalidate_rkey = mw->rkey;
		wr_post(&p.b, &w);
		wc_ok(p.b.scq, 5);
		second = bind(4 * PAGE + i, 99, RW, IBV_WC_SUCCESS);
		by_window(IBV_WR_RDMA_WRITE, second, 4 * PAGE + i, 99, IBV_WC_SUCCESS);
	}
	check(first != second, "the key stays the same");
	by_window(IBV_WR_RDMA_WRITE, first, 4 * PAGE + 4, 9, IBV_WC_REM_ACCESS_ERR);
	teardown();
}

static void invalidated(void)
{
	uint32_t rkey;
	struct wr w;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	rkey = bind(OFF, LEN, RW, IBV_WC_SUCCESS);
	wr_init(&w, IBV_WR_LOCAL_INV, 5);
	w.wr.invalidate_rkey = rkey;
	wr_post(&p.b, &w);
	wc_ok(p.b.scq, 5);
	by_window(IBV_WR_RDMA_WRITE, rkey, OFF, 9, IBV_WC_REM_ACCESS_ERR);
	teardown();
}

static void deallocated(void)
{
	uint32_t rkey;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	rkey = bind(OFF, LEN, RW, IBV_WC_SUCCESS);
	check(!ibv_dealloc_mw(mw), "ibv_dealloc_mw");
	by_window(IBV_WR_RDMA_WRITE, rkey, OFF, 9, IBV_WC_REM_ACCESS_ERR);
	mw = ibv_alloc_mw(p.nb.pd, IBV_MW_TYPE_2);
	check(mw, "ibv_alloc_mw");
	teardown();
}

/* A type 2 window belongs to the QP that bound it. */
static void other_qp(void)
{
	struct ep x, y;
	uint32_t rkey;
	struct wr w;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	rkey = bind(OFF, LEN, RW, IBV_WC_SUCCESS);
	ep_create(&x, &p.na, &opt_rc);
	ep_create(&y, &p.nb, &opt_rc);
	ep_join(&x, &y);
	wr_init(&w, IBV_WR_RDMA_WRITE, 1);
	wr_sge(&w, &l, 5, 100);
	wr_remote(&w, &r, OFF);
	w.wr.wr.rdma.rkey = rkey;
	wr_post(&x, &w);
	wc_expect(x.scq, 1, IBV_WC_REM_ACCESS_ERR);
	buf_check(&r, "remote memory");
	by_window(IBV_WR_RDMA_WRITE, rkey, OFF, 9, IBV_WC_SUCCESS);
	ep_destroy(&x);
	ep_destroy(&y);
	teardown();
}

/* Neither a window nor an MR of another PD is of any use: not here, not there. */
static void another_pd(void)
{
	struct ibv_mw_bind b = { .wr_id = 9, .send_flags = IBV_SEND_SIGNALED };
	struct ibv_mw *mine;
	struct nic other;
	struct wr w;
	struct ep x, y;
	struct buf o;

	setup(IBV_MW_TYPE_1, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	other = p.nb;
	other.pd = ibv_alloc_pd(other.ctx);
	check(other.pd, "ibv_alloc_pd");
	ep_create(&x, &other, &opt_rc);
	ep_create(&y, &p.na, &opt_rc);
	ep_join(&x, &y);
	buf_new(&o, 4 * PAGE);
	buf_reg(&o, &other, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	mine = mw;
	mw = ibv_alloc_mw(other.pd, IBV_MW_TYPE_1);
	check(mw, "ibv_alloc_mw");

	/* By QPs of its own PD it is bound and lets in; by p's it lets nobody in. */
	b.bind_info = (struct ibv_mw_bind_info) { o.mr, buf_addr(&o, 0), o.size, RW };
	check(!ibv_bind_mw(x.qp, mw, &b), "ibv_bind_mw");
	wc_ok(x.scq, 9);
	for (int i = 0; i < 2; i++) {
		wr_init(&w, i ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ, 1);
		wr_sge(&w, &l, 5, 999);
		wr_remote(&w, &o, OFF);
		w.wr.wr.rdma.rkey = mw->rkey;
		wr_post(&y, &w);
		wc_ok(y.scq, 1);
		if (i)
			buf_moved(&o, OFF, &l, 5, 999);
		else
			buf_moved(&l, 5, &o, OFF, 999);
		wr_sge(&w, &l, 5 + 999, 1);
		wr_post(&p.a, &w);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		buf_check(&o, "memory of another PD");
		buf_check(&l, "local memory");
		pair_renew(&p, NULL);
	}
	check(!ibv_dealloc_mw(mw), "ibv_dealloc_mw");

	/* A window of theirs with an MR of ours, which libibverbs knows to refuse. */
	mw = mine;
	b.bind_info.mr = o.mr;
	if (!ibv_bind_mw(p.b.qp, mw, &b))
		wc_expect(p.b.scq, 9, IBV_WC_MW_BIND_ERR);
	ep_destroy(&x);
	ep_destroy(&y);
	buf_free(&o);
	check(!ibv_dealloc_pd(other.pd), "ibv_dealloc_pd");
	teardown();
}

static void bad_bindings(void)
{
	need_bounds();
	/* An MR that allows no windows. */
	setup(IBV_MW_TYPE_2, ACCESS_ALL);
	bind(OFF, LEN, RW, IBV_WC_MW_BIND_ERR);
	teardown();
	/* Beyond the MR. */
	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	bind(7 * PAGE, PAGE + 1, RW, IBV_WC_MW_BIND_ERR);
	teardown();
	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	bind(7 * PAGE, ~0ul - PAGE, RW, IBV_WC_MW_BIND_ERR);
	teardown();
	/* Remote writing through an MR without local writing. */
	setup(IBV_MW_TYPE_2, IBV_ACCESS_REMOTE_READ | IBV_ACCESS_MW_BIND);
	bind(OFF, LEN, RW, IBV_WC_MW_BIND_ERR);
	teardown();
}

/* What is behind it is not done, whatever was still under way before it. */
static void behind_a_bad_binding(void)
{
	struct wr w[3];

	need_bounds();
	setup(IBV_MW_TYPE_2, ACCESS_ALL);
	q_recv(&p.a, 7, &l, 4 * PAGE, 100);
	wr_init(&w[0], IBV_WR_RDMA_READ, 1);
	wr_sge(&w[0], &r, 5, 3 * PAGE);
	wr_remote(&w[0], &l, 9);
	w[0].wr.next = &w[1].wr;
	bind_init(&w[1], 2, OFF, LEN, RW);
	w[1].wr.next = &w[2].wr;
	wr_init(&w[2], IBV_WR_SEND, 3);
	wr_sge(&w[2], &r, 7 * PAGE, 100);
	wr_post(&p.b, &w[0]);
	wc_ok(p.b.scq, 1);
	wc_expect(p.b.scq, 2, IBV_WC_MW_BIND_ERR);
	wc_expect(p.b.scq, 3, IBV_WC_WR_FLUSH_ERR);
	wc_none(p.a.rcq);
	buf_moved(&r, 5, &l, 9, 3 * PAGE);
	teardown();
}

/* A window is for peers: its key is no lkey. */
static void not_for_local_use(void)
{
	uint32_t rkey;
	struct wr w;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	rkey = bind(OFF, LEN, RW, IBV_WC_SUCCESS);
	wr_init(&w, IBV_WR_RDMA_WRITE, 1);
	wr_sge(&w, &r, OFF + 5, 100);
	w.sge[0].lkey = rkey;
	wr_remote(&w, &l, 7);
	wr_post(&p.b, &w);
	wc_expect(p.b.scq, 1, IBV_WC_LOC_PROT_ERR);
	teardown();
}

/* The first byte is at 0, and nothing at the address that it has for the MR. */
static void zero_based(void)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };
	uint32_t rkey;

	setup(IBV_MW_TYPE_2, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	rkey = bind(OFF, LEN, RW | IBV_ACCESS_ZERO_BASED, IBV_WC_SUCCESS);
	for (unsigned int i = 0; i < ARRAY_SIZE(ops); i++) {
		size_t at = rnd_range(0, LEN - 700);

		by_window_at(ops[i], rkey, at, OFF + at, 700, IBV_WC_SUCCESS);
	}
	by_window(IBV_WR_RDMA_READ, rkey, OFF, 5, IBV_WC_REM_ACCESS_ERR);
	teardown();
}

/* IBTA 10.6.7.2.6: a window of type 1 has the addresses of its MR. */
static void zero_based_type_1(void)
{
	setup(IBV_MW_TYPE_1, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	/* The library would say no by itself. */
	mw->type = IBV_MW_TYPE_2;
	bind(OFF, LEN, RW | IBV_ACCESS_ZERO_BASED, IBV_WC_MW_BIND_ERR);
	mw->type = IBV_MW_TYPE_1;
	teardown();
}

static void type_1(void)
{
	struct ibv_mw_bind b;
	int ret;

	setup(IBV_MW_TYPE_1, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	for (int i = 0; i < 3; i++) {
		b = (struct ibv_mw_bind) {
			.wr_id = 9,
			.send_flags = IBV_SEND_SIGNALED,
			.bind_info = {
				.mr = r.mr,
				.addr = buf_addr(&r, OFF + i),
				.length = LEN,
				.mw_access_flags = RW,
			},
		};
		ret = ibv_bind_mw(p.b.qp, mw, &b);
		check(!ret, "ibv_bind_mw: %s", strerror(ret));
		wc_ok(p.b.scq, 9);
		by_window(IBV_WR_RDMA_WRITE, mw->rkey, OFF + i, LEN, IBV_WC_SUCCESS);
		by_window(IBV_WR_RDMA_READ, mw->rkey, OFF + i + 1, LEN - 1,
			  IBV_WC_SUCCESS);
	}
	if (cfg.mode != MODE_IMPLICIT)
		by_window(IBV_WR_RDMA_WRITE, mw->rkey, OFF + 1, 5,
			  IBV_WC_REM_ACCESS_ERR);
	teardown();
}

TEST_MAIN(CASE(inside), CASE(outside_but_in_the_mr), CASE(rights), CASE(rebound),
	  CASE(invalidated), CASE(deallocated), CASE(other_qp), CASE(another_pd),
	  CASE(bad_bindings), CASE(behind_a_bad_binding), CASE(not_for_local_use), CASE(type_1),
	  CASE(zero_based), CASE(zero_based_type_1))
