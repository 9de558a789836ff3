// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Local memory the QP's owner named wrongly: bad lkey, beyond either end, another
 * PD's, no right to write for a receive or a read. The request ends with a local
 * protection error, the QP in ERR, nothing is sent or written.
 */
#include "ops.h"
#include "test.h"

#define OFF 503
#define LEN (2 * PAGE + 9)

static struct pair p;
static struct buf l, r;

static void setup(unsigned int l_access)
{
	pair_open(&p, NULL);
	buf_new(&l, 6 * PAGE);
	buf_new(&r, 6 * PAGE);
	buf_reg_part(&l, &p.na, OFF, LEN, (uintptr_t)l.map + OFF, l_access);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

/*
 * Packets may have come or gone before the bad part of a long message was met: what
 * is right by the MR may have arrived, bytes of or to beyond it never.
 */
static void may_have_arrived(enum ibv_wr_opcode op, size_t r_off, uint64_t addr,
			     size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t at = addr + i - l.base;

		if (at < OFF || at >= OFF + LEN)
			return;
		if (op == IBV_WR_RDMA_READ && l.map[at] == r.want[r_off + i])
			l.want[at] = l.map[at];
		else if (op != IBV_WR_RDMA_READ && r.map[r_off + i] == l.want[at])
			r.want[r_off + i] = r.map[r_off + i];
	}
}

/* @op from or to @addr of a's memory fails on a's side. */
static void refused(enum ibv_wr_opcode op, uint64_t addr, uint32_t lkey, size_t len)
{
	struct wr w;

	if (op == IBV_WR_SEND)
		q_recv(&p.b, 9, &r, 77, 3 * PAGE);
	wr_init(&w, op, 1);
	wr_sge(&w, &l, OFF, len);
	w.sge[0].addr = addr;
	w.sge[0].lkey = lkey;
	if (op == IBV_WR_ATOMIC_FETCH_AND_ADD)
		wr_atomic(&w, &r, 64, 0, 0);
	else if (op != IBV_WR_SEND)
		wr_remote(&w, &r, 77);
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 1, IBV_WC_LOC_PROT_ERR);
	ep_await_state(&p.a, IBV_QPS_ERR);
	if (lkey == l.lkey && op != IBV_WR_ATOMIC_FETCH_AND_ADD)
		may_have_arrived(op, 77, addr, len);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	pair_renew(&p, NULL);
}

static const enum ibv_wr_opcode ops[] = {
	IBV_WR_SEND, IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ,
	IBV_WR_ATOMIC_FETCH_AND_ADD,
};

static size_t some_len(enum ibv_wr_opcode op)
{
	return op == IBV_WR_ATOMIC_FETCH_AND_ADD ? 8 : rnd_range(1, 2 * PAGE);
}

static void wrong_key(void)
{
	setup(ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		refused(ops[i], buf_addr(&l, OFF), l.lkey ^ 1, some_len(ops[i]));
		refused(ops[i], buf_addr(&l, OFF), l.lkey ^ 0x300, some_len(ops[i]));
	}
	teardown();
}

static void out_of_bounds(void)
{
	need_bounds();
	setup(ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		size_t len = some_len(ops[i]);

		refused(ops[i], buf_addr(&l, OFF - 1), l.lkey, len);
		refused(ops[i], buf_addr(&l, OFF + LEN + 1 - len), l.lkey, len);
		refused(ops[i], ~0ull - len / 2, l.lkey, len);
	}
	teardown();
}

/* The second of two SGEs is bad: the first must not have been read for nothing. */
static void second_sge(void)
{
	struct wr w;

	setup(ACCESS_ALL);
	q_recv(&p.b, 9, &r, 5, 3 * PAGE);
	wr_init(&w, IBV_WR_SEND, 1);
	wr_sge(&w, &l, OFF, 99);
	wr_sge(&w, &l, OFF + 1000, 99);
	w.sge[1].lkey ^= 1;
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 1, IBV_WC_LOC_PROT_ERR);
	ep_await_state(&p.a, IBV_QPS_ERR);
	teardown();
}

static void another_pd(void)
{
	struct buf other;
	struct nic nic;

	setup(ACCESS_ALL);
	nic_open(&nic, cfg.dev);
	buf_new(&other, 4 * PAGE);
	buf_reg(&other, &nic, ACCESS_ALL);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		refused(ops[i], buf_addr(&other, 7), other.lkey, some_len(ops[i]));
	buf_check(&other, "memory of another PD");
	buf_free(&other);
	nic_close(&nic);
	teardown();
}

static void read_without_local_write(void)
{
	setup(0);
	refused(IBV_WR_RDMA_READ, buf_addr(&l, OFF), l.lkey, 100);
	refused(IBV_WR_RDMA_READ, buf_addr(&l, OFF), l.lkey, 2 * PAGE);
	refused(IBV_WR_ATOMIC_FETCH_AND_ADD, buf_addr(&l, OFF), l.lkey, 8);
	/* As a source it is fine. */
	do_write(&p.a, &l, OFF, &r, 5, LEN);
	do_send(&p, &l, OFF, &r, PAGE, LEN);
	teardown();
}

/* The receiver's own mistake: its receive says so, the sender learns only that. */
static void recv_refused(uint64_t addr, uint32_t lkey, size_t room, size_t len)
{
	struct rr q;

	rr_init(&q, 4);
	rr_sge(&q, &l, OFF, room);
	q.sge[0].addr = addr;
	q.sge[0].lkey = lkey;
	rr_post(&p.a, &q);
	q_send(&p.b, 5, &r, 11, len);
	wc_expect(p.a.rcq, 4, IBV_WC_LOC_PROT_ERR);
	wc_expect(p.b.scq, 5, IBV_WC_REM_OP_ERR);
	ep_await_state(&p.a, IBV_QPS_ERR);
	ep_await_state(&p.b, IBV_QPS_ERR);
	buf_check(&l, "the receiver's memory");
	pair_renew(&p, NULL);
}

static void recv(void)
{
	setup(ACCESS_ALL);
	recv_refused(buf_addr(&l, OFF), l.lkey ^ 1, 100, 100);
	recv_refused(buf_addr(&l, OFF), l.lkey ^ 0x700, 2 * PAGE, 2 * PAGE);
	if (cfg.mode != MODE_IMPLICIT) {
		recv_refused(buf_addr(&l, OFF - 1), l.lkey, 100, 100);
		recv_refused(buf_addr(&l, OFF + LEN - 99), l.lkey, 100, 100);
	}
	teardown();
}

static void recv_without_local_write(void)
{
	setup(0);
	recv_refused(buf_addr(&l, OFF), l.lkey, 100, 100);
	recv_refused(buf_addr(&l, OFF), l.lkey, 2 * PAGE, 5000);
	teardown();
}

TEST_MAIN(CASE(wrong_key), CASE(out_of_bounds), CASE(second_sge), CASE(another_pd),
	  CASE(read_without_local_write), CASE(recv), CASE(recv_without_local_write))
