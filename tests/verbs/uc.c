// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unreliable connections: sends and writes arrive whole where no packet is lost;
 * a send without a receive is lost without a trace and the next one is fine.
 */
#include <arpa/inet.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst;

static void setup(void)
{
	struct qp_opt opt = opt_rc;
	struct ibv_qp_init_attr init;
	struct ibv_qp *qp;
	struct nic nic;
	struct ibv_cq *cq;

	opt.type = IBV_QPT_UC;
	nic_open(&nic, cfg.dev);
	cq = cq_new(&nic, 4);
	init = (struct ibv_qp_init_attr) {
		.qp_type = IBV_QPT_UC, .send_cq = cq, .recv_cq = cq,
		.cap = { 1, 1, 1, 1, 0 },
	};
	qp = ibv_create_qp(nic.pd, &init);
	if (!qp)
		skip("no UC");
	ibv_destroy_qp(qp);
	cq_free(cq);
	nic_close(&nic);
	pair_open(&p, &opt);
	if (cfg.mode != MODE_PINNED &&
	    !(p.na.attr.odp_caps.per_transport_caps.uc_odp_caps & IBV_ODP_SUPPORT_WRITE))
		skip("no ODP for UC");
	buf_new(&src, 20 * PAGE);
	buf_new(&dst, 20 * PAGE);
	buf_reg(&src, &p.na, ACCESS_ALL);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&src, "source");
	buf_check(&dst, "target");
	buf_free(&src);
	buf_free(&dst);
	pair_close(&p);
}

/* Nobody acknowledges: an immediate tells that the write has landed. */
static void write_imm(uint64_t id, size_t s, size_t d, size_t len)
{
	struct wr w;

	q_recv(&p.b, id, &dst, 0, 0);
	wr_init(&w, IBV_WR_RDMA_WRITE_WITH_IMM, id);
	wr_sge(&w, &src, s, len);
	wr_remote(&w, &dst, d);
	w.wr.imm_data = htonl(id);
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, id);
	check(ntohl(wc_ok(p.b.rcq, id).imm_data) == id, "immediate data");
	buf_moved(&dst, d, &src, s, len);
}

static void sizes(void)
{
	size_t list[MAX_SIZES], n;

	setup();
	n = sizes_for(&p, list);
	for (size_t i = 0; i < n; i++) {
		size_t len = list[i];

		do_send(&p, &src, off_for(&src, len), &dst, off_for(&dst, len), len);
		write_imm(i, off_for(&src, len), off_for(&dst, len), len);
		buf_check(&dst, "target");
	}
	teardown();
}

static void no_receive(void)
{
	setup();
	for (int i = 0; i < 4; i++) {
		q_send(&p.a, 1, &src, 3, i & 1 ? 100 : 3 * PAGE);
		wc_ok(p.a.scq, 1);
		wc_none(p.b.rcq);
		do_send(&p, &src, 99, &dst, 4095, 5001);
	}
	teardown();
}

/* Reads and atomics are not for UC. */
static void no_read(void)
{
	struct ibv_send_wr *bad;
	struct ibv_wc wc;
	struct wr w;

	setup();
	wr_init(&w, IBV_WR_RDMA_READ, 1);
	wr_sge(&w, &src, 3, 100);
	wr_remote(&w, &dst, 5);
	if (!ibv_post_send(p.a.qp, &w.wr, &bad)) {
		wc = wc_wait(p.a.scq);
		check(wc.status != IBV_WC_SUCCESS, "a UC QP has read");
	}
	teardown();
}

TEST_MAIN(CASE(sizes), CASE(no_receive), CASE(no_read))
