// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Requests the responder must refuse: wrong key, a byte beyond either end, a
 * right that the MR or the QP does not give, another PD's key, a range that
 * wraps. The requester ends with a remote access error, the responder's QP in
 * ERR with an event, and no byte changes anywhere.
 */
#include "ops.h"
#include "test.h"

#define OFF 1001		/* of the MR in the remote buffer */
#define LEN (3 * PAGE + 77)	/* of the MR */

static struct pair p;
static struct buf l, r;

static void setup(unsigned int access)
{
	pair_open(&p, NULL);
	buf_new(&l, 8 * PAGE);
	buf_new(&r, 8 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg_part(&r, &p.nb, OFF, LEN, (uintptr_t)r.map + OFF, access);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void post(enum ibv_wr_opcode op, uint64_t addr, uint32_t rkey, size_t len)
{
	bool atomic = op == IBV_WR_ATOMIC_FETCH_AND_ADD ||
		      op == IBV_WR_ATOMIC_CMP_AND_SWP;
	struct wr w;

	wr_init(&w, op, 1);
	wr_sge(&w, &l, 333, len);
	if (atomic) {
		w.wr.wr.atomic.remote_addr = addr;
		w.wr.wr.atomic.rkey = rkey;
		w.wr.wr.atomic.compare_add = 1;
	} else {
		w.wr.wr.rdma.remote_addr = addr;
		w.wr.wr.rdma.rkey = rkey;
	}
	wr_post(&p.a, &w);
}

static void refused(enum ibv_wr_opcode op, uint64_t addr, uint32_t rkey, size_t len)
{
	struct ibv_async_event ev;

	post(op, addr, rkey, len);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	ep_await_state(&p.a, IBV_QPS_ERR);
	ep_await_state(&p.b, IBV_QPS_ERR);
	event_expect(&p.nb, IBV_EVENT_QP_ACCESS_ERR, 1ull << IBV_EVENT_COMM_EST, &ev);
	check(ev.element.qp == p.b.qp, "event of another QP");
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	pair_renew(&p, NULL);
}

static const enum ibv_wr_opcode rdma_ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };
static const enum ibv_wr_opcode all_ops[] = {
	IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD,
	IBV_WR_ATOMIC_CMP_AND_SWP,
};

static size_t some_len(enum ibv_wr_opcode op)
{
	return op == IBV_WR_RDMA_WRITE || op == IBV_WR_RDMA_READ ?
		rnd_range(1, 2 * PAGE) : 8;
}

/* The first multiple of 8 on the wire inside the MR. */
static uint64_t aligned(void)
{
	return (buf_addr(&r, OFF) + 7) & ~7ull;
}

static void wrong_key(void)
{
	setup(ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++) {
		refused(all_ops[i], aligned(), r.rkey ^ 1, some_len(all_ops[i]));
		refused(all_ops[i], aligned(), r.rkey ^ 0x100, some_len(all_ops[i]));
	}
	refused(IBV_WR_RDMA_WRITE, aligned(), 0, 5);
	refused(IBV_WR_RDMA_READ, aligned(), ~0u, 5);
	teardown();
}

static void out_of_bounds(void)
{
	need_bounds();
	setup(ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(rdma_ops); i++) {
		size_t len = rnd_range(1, 2 * PAGE);

		refused(rdma_ops[i], buf_addr(&r, OFF + LEN), r.rkey, 1);
		refused(rdma_ops[i], buf_addr(&r, OFF - 1), r.rkey, 1);
		refused(rdma_ops[i], buf_addr(&r, OFF + LEN - len + 1), r.rkey, len);
		refused(rdma_ops[i], buf_addr(&r, OFF - 1), r.rkey, len);
		refused(rdma_ops[i], buf_addr(&r, OFF), r.rkey, LEN + 1);
	}
	/* All of it is fine. */
	do_write(&p.a, &l, 5, &r, OFF, LEN);
	do_read(&p.a, &l, PAGE, &r, OFF, LEN);
	teardown();
}

static void atomic_over_the_end(void)
{
	uint64_t addr;

	need_bounds();
	setup(ACCESS_ALL);
	addr = (buf_addr(&r, OFF + LEN) - 1) & ~7ull;
	refused(IBV_WR_ATOMIC_FETCH_AND_ADD, addr, r.rkey, 8);
	addr = buf_addr(&r, OFF) & ~7ull;
	refused(IBV_WR_ATOMIC_CMP_AND_SWP, addr, r.rkey, 8);
	teardown();
}

static void wrapping_range(void)
{
	setup(ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(rdma_ops); i++) {
		refused(rdma_ops[i], ~0ull, r.rkey, 2);
		refused(rdma_ops[i], ~0ull - 3, r.rkey, 4 + PAGE);
		refused(rdma_ops[i], -(uint64_t)PAGE, r.rkey, 2 * PAGE);
	}
	refused(IBV_WR_ATOMIC_FETCH_AND_ADD, ~0ull - 7, r.rkey, 8);
	/* Lengths whose sum with the address comes back into the MR. */
	need_bounds();
	refused(IBV_WR_RDMA_READ, -(uint64_t)PAGE + buf_addr(&r, OFF) % PAGE,
		r.rkey, 6 * PAGE);
	teardown();
}

/* Each operation with every right but its own. */
static void no_right(void)
{
	static const struct {
		enum ibv_wr_opcode op;
		unsigned int right;
	} t[] = {
		{ IBV_WR_RDMA_WRITE, IBV_ACCESS_REMOTE_WRITE },
		{ IBV_WR_RDMA_READ, IBV_ACCESS_REMOTE_READ },
		{ IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_ACCESS_REMOTE_ATOMIC },
		{ IBV_WR_ATOMIC_CMP_AND_SWP, IBV_ACCESS_REMOTE_ATOMIC },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		setup(ACCESS_ALL & ~t[i].right);
		refused(t[i].op, aligned(), r.rkey, some_len(t[i].op));
		teardown();
		setup(0);
		refused(t[i].op, aligned(), r.rkey, some_len(t[i].op));
		teardown();
	}
}

static void no_right_of_the_qp(void)
{
	static const struct {
		enum ibv_wr_opcode op;
		unsigned int right;
	} t[] = {
		{ IBV_WR_RDMA_WRITE, IBV_ACCESS_REMOTE_WRITE },
		{ IBV_WR_RDMA_READ, IBV_ACCESS_REMOTE_READ },
		{ IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_ACCESS_REMOTE_ATOMIC },
		{ IBV_WR_ATOMIC_CMP_AND_SWP, IBV_ACCESS_REMOTE_ATOMIC },
	};
	struct qp_opt opt = opt_rc;

	setup(ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		opt.access = ACCESS_ALL & ~t[i].right;
		pair_renew(&p, &opt);
		post(t[i].op, aligned(), r.rkey, some_len(t[i].op));
		/* The specification calls this an invalid request. */
		wc_expect(p.a.scq, 1, IBV_WC_REM_INV_REQ_ERR);
		ep_await_state(&p.b, IBV_QPS_ERR);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
	teardown();
}

static void key_of_another_pd(void)
{
	struct buf other;
	struct nic nic;

	setup(ACCESS_ALL);
	nic_open(&nic, cfg.peer);
	buf_new(&other, 4 * PAGE);
	buf_reg(&other, &nic, ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++)
		refused(all_ops[i], buf_addr(&other, 64), other.rkey,
			some_len(all_ops[i]));
	buf_check(&other, "memory of another PD");
	buf_free(&other);
	nic_close(&nic);
	teardown();
}

/* What was posted behind the refused one is flushed, and so is the other side. */
static void flushes_the_rest(void)
{
	setup(ACCESS_ALL);
	q_recv(&p.b, 7, &r, OFF + 9, 100);
	post(IBV_WR_RDMA_WRITE, aligned(), r.rkey ^ 2, 100);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 2, &l, 5, &r, OFF + 8, 1000);
	q_send(&p.a, 3, &l, 7, 50);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	wc_expect(p.a.scq, 2, IBV_WC_WR_FLUSH_ERR);
	wc_expect(p.a.scq, 3, IBV_WC_WR_FLUSH_ERR);
	wc_expect(p.b.rcq, 7, IBV_WC_WR_FLUSH_ERR);
	teardown();
}

TEST_MAIN(CASE(wrong_key), CASE(out_of_bounds), CASE(atomic_over_the_end),
	  CASE(wrapping_range), CASE(no_right), CASE(no_right_of_the_qp),
	  CASE(key_of_another_pd), CASE(flushes_the_rest))
