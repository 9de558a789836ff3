// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Immediate data with SEND and with RDMA WRITE: it arrives, the write's bytes go
 * to the remote address and not into the receive's buffer.
 */
#include <arpa/inet.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst, rcv;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&src, 20 * PAGE);
	buf_new(&dst, 20 * PAGE);
	buf_new(&rcv, 20 * PAGE);
	buf_reg(&src, &p.na, 0);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
	buf_reg(&rcv, &p.nb, IBV_ACCESS_LOCAL_WRITE);
}

static void teardown(void)
{
	buf_check(&src, "source");
	buf_check(&dst, "target");
	buf_check(&rcv, "receive buffer");
	buf_free(&src);
	buf_free(&dst);
	buf_free(&rcv);
	pair_close(&p);
}

static void one(enum ibv_wr_opcode op, uint64_t id, size_t len)
{
	bool write = op == IBV_WR_RDMA_WRITE_WITH_IMM;
	struct buf *to = write ? &dst : &rcv;
	size_t s = off_for(&src, len), d = off_for(to, len);
	uint32_t imm = rnd();
	struct ibv_wc wc;
	struct wr w;

	if (write)
		q_recv(&p.b, id, &rcv, off_for(&rcv, 100), 100);
	else
		q_recv(&p.b, id, &rcv, d, len);
	wr_init(&w, op, id);
	wr_sge(&w, &src, s, len);
	if (write)
		wr_remote(&w, &dst, d);
	w.wr.imm_data = htonl(imm);
	wr_post(&p.a, &w);
	wc = wc_ok(p.b.rcq, id);
	check(wc.wc_flags & IBV_WC_WITH_IMM, "no immediate data");
	check(ntohl(wc.imm_data) == imm, "immediate data %#x instead of %#x",
	      ntohl(wc.imm_data), imm);
	check(wc.opcode == (write ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV),
	      "opcode %d of the receive", wc.opcode);
	check(wc.byte_len == len, "%u bytes instead of %zu", wc.byte_len, len);
	wc = wc_ok(p.a.scq, id);
	check(wc.opcode == (write ? IBV_WC_RDMA_WRITE : IBV_WC_SEND),
	      "opcode %d of the request", wc.opcode);
	buf_moved(to, d, &src, s, len);
	buf_check(to, "target");
}

static void all(enum ibv_wr_opcode op)
{
	size_t list[MAX_SIZES], n;

	setup();
	n = sizes_for(&p, list);
	for (size_t i = 0; i < n; i++)
		one(op, i, list[i]);
	teardown();
}

static void send_imm(void)
{
	all(IBV_WR_SEND_WITH_IMM);
}

static void write_imm(void)
{
	all(IBV_WR_RDMA_WRITE_WITH_IMM);
}

/* A plain send or write leaves no trace of immediate data. */
static void without(void)
{
	struct ibv_wc wc;

	setup();
	one(IBV_WR_SEND_WITH_IMM, 1, 100);
	q_recv(&p.b, 2, &rcv, 5, 100);
	q_send(&p.a, 2, &src, 11, 99);
	wc = wc_ok(p.b.rcq, 2);
	check(!(wc.wc_flags & IBV_WC_WITH_IMM), "immediate data from nowhere");
	wc_ok(p.a.scq, 2);
	buf_moved(&rcv, 5, &src, 11, 99);
	q_recv(&p.b, 3, &rcv, 5, 100);
	do_write(&p.a, &src, 77, &dst, 4090, 101);
	wc_none(p.b.rcq);
	teardown();
}

/* The receive a write with immediate uses up may have no SGE at all. */
static void write_imm_bare_recv(void)
{
	struct ibv_wc wc;
	struct wr w;
	struct rr r;

	setup();
	for (uint64_t id = 0; id < 10; id++) {
		size_t len = rnd_range(0, 2 * PAGE), d = off_for(&dst, len);

		rr_init(&r, id);
		rr_post(&p.b, &r);
		wr_init(&w, IBV_WR_RDMA_WRITE_WITH_IMM, id);
		wr_sge(&w, &src, 3, len);
		wr_remote(&w, &dst, d);
		w.wr.imm_data = htonl(id);
		wr_post(&p.a, &w);
		wc = wc_ok(p.b.rcq, id);
		check(ntohl(wc.imm_data) == id, "wrong immediate data");
		wc_ok(p.a.scq, id);
		buf_moved(&dst, d, &src, 3, len);
	}
	teardown();
}

TEST_MAIN(CASE(send_imm), CASE(write_imm), CASE(without), CASE(write_imm_bare_recv))
