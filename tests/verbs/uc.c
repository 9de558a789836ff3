// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unreliable connections: sends and writes arrive whole or not at all, and only what
 * is lost on the wire or wrong does not; errors of one's own end only the sending.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"
#include "wire.h"

static struct pair p;
static struct buf src, dst;
static struct ibv_srq *srq;

static void setup_with(bool shared)
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
	if (shared) {
		srq = srq_new(&p.nb, 64);
		ep_destroy(&p.a);
		ep_destroy(&p.b);
		ep_create(&p.a, &p.na, &opt);
		opt.srq = srq;
		ep_create(&p.b, &p.nb, &opt);
		ep_join(&p.a, &p.b);
	}
	if (cfg.mode != MODE_PINNED &&
	    !(p.na.attr.odp_caps.per_transport_caps.uc_odp_caps & IBV_ODP_SUPPORT_WRITE))
		skip("no ODP for UC");
	buf_new(&src, 20 * PAGE);
	buf_new(&dst, 20 * PAGE);
	buf_reg(&src, &p.na, ACCESS_ALL);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
}

static void setup(void)
{
	setup_with(false);
}

static void teardown(void)
{
	buf_check(&src, "source");
	buf_check(&dst, "target");
	buf_free(&src);
	buf_free(&dst);
	if (!srq) {
		pair_close(&p);
		return;
	}
	ep_destroy(&p.a);
	ep_destroy(&p.b);
	srq_free(srq);
	nic_close(&p.na);
	nic_close(&p.nb);
}

/* Nobody acknowledges: an immediate tells that the write has landed. */
static void write_imm_to(struct buf *to, uint64_t id, size_t s, size_t d, size_t len)
{
	struct wr w;

	q_recv(&p.b, id, &dst, 0, 0);
	wr_init(&w, IBV_WR_RDMA_WRITE_WITH_IMM, id);
	wr_sge(&w, &src, s, len);
	wr_remote(&w, to, d);
	w.wr.imm_data = htonl(id);
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, id);
	check(ntohl(wc_ok(p.b.rcq, id).imm_data) == id, "immediate data");
	buf_moved(to, d, &src, s, len);
}

static void write_imm(uint64_t id, size_t s, size_t d, size_t len)
{
	write_imm_to(&dst, id, s, d, len);
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

/* A write that may not be is dropped, and so is all of its message. */
static void bad_key(void)
{
	struct wr w;

	setup();
	wr_init(&w, IBV_WR_RDMA_WRITE, 1);
	wr_sge(&w, &src, 3, 3 * PAGE);
	wr_remote(&w, &dst, 5);
	w.wr.wr.rdma.rkey ^= 0x5a;
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, 1);
	write_imm(2, 77, 4001, 5003);
	buf_check(&dst, "target");
	check(ep_state(&p.b) == IBV_QPS_RTS, "state %d", ep_state(&p.b));
	teardown();
}

/* It is dropped; the receive waits for another one. */
static void too_long(void)
{
	setup();
	q_recv(&p.b, 1, &dst, 77, 3 * PAGE);
	q_send(&p.a, 2, &src, 5, 3 * PAGE + 1);
	wc_ok(p.a.scq, 2);
	wc_none(p.b.rcq);
	q_send(&p.a, 3, &src, 8, 3 * PAGE);
	wc_ok(p.a.scq, 3);
	wc_ok(p.b.rcq, 1);
	buf_moved(&dst, 77, &src, 8, 3 * PAGE);
	teardown();
}

/* Entries go in their order, each in two pieces, whatever the messages are. */
static void from_shared(void)
{
	enum { N = 20, SLOT = 4 * PAGE };
	size_t len, at;
	struct rr r;
	struct wr w;

	setup_with(true);
	buf_free(&dst);
	buf_new_cold(&dst, N * SLOT);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
	for (int i = 0; i < N; i++) {
		rr_init(&r, i);
		rr_sge(&r, &dst, i * SLOT + 77, PAGE + 1);
		rr_sge(&r, &dst, i * SLOT + 2 * PAGE + 5, PAGE + 1000);
		rr_post_srq(srq, &r);
	}
	for (int i = 0; i < N; i++) {
		len = rnd_range(PAGE + 1, 2 * PAGE + 1001);
		at = off_for(&src, len);
		wr_init(&w, IBV_WR_SEND_WITH_IMM, i);
		wr_sge(&w, &src, at, len);
		w.wr.imm_data = htonl(i);
		wr_post(&p.a, &w);
		wc_ok(p.a.scq, i);
		check(ntohl(wc_ok(p.b.rcq, i).imm_data) == (uint32_t)i, "out of order");
		buf_moved(&dst, i * SLOT + 77, &src, at, PAGE + 1);
		buf_moved(&dst, i * SLOT + 2 * PAGE + 5, &src, at + PAGE + 1,
			  len - PAGE - 1);
	}
	/* None is left: the next is lost, and nobody minds. */
	q_send(&p.a, N, &src, 5, 100);
	wc_ok(p.a.scq, N);
	wc_none(p.b.rcq);
	teardown();
}

static void put_shared(uint64_t id, size_t at, size_t len)
{
	struct rr r;

	rr_init(&r, id);
	rr_sge(&r, &dst, at, len);
	rr_post_srq(srq, &r);
}

/* Of two shared receives the first comes back with the error, the second is good. */
static void first_ends_with(enum ibv_wc_status status)
{
	wc_expect(p.b.rcq, 1, status);
	q_send(&p.a, 4, &src, 8, 200);
	wc_ok(p.a.scq, 4);
	wc_ok(p.b.rcq, 2);
	buf_moved(&dst, 3 * PAGE, &src, 8, 200);
}

/* What is shared can't wait: it comes back with the error. */
static void too_long_for_shared(void)
{
	setup_with(true);
	put_shared(1, 77, 100);
	put_shared(2, 3 * PAGE, 200);
	q_send(&p.a, 3, &src, 5, 101);
	wc_ok(p.a.scq, 3);
	first_ends_with(IBV_WC_LOC_LEN_ERR);
	teardown();
}

static void bad_key_for_shared(void)
{
	struct wr w;

	setup_with(true);
	put_shared(1, 77, 100);
	put_shared(2, 3 * PAGE, 200);
	wr_init(&w, IBV_WR_RDMA_WRITE_WITH_IMM, 3);
	wr_sge(&w, &src, 5, 100);
	wr_remote(&w, &dst, 7);
	w.wr.wr.rdma.rkey ^= 0x5a;
	wr_post(&p.a, &w);
	wc_ok(p.a.scq, 3);
	first_ends_with(IBV_WC_REM_INV_REQ_ERR);
	teardown();
}

static void from_sqe_to_rts(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE,
	};

	check(!ibv_modify_qp(p.a.qp, &attr, IBV_QP_STATE | IBV_QP_CUR_STATE),
	      "SQE to RTS");
}

/* Of a message that ends early nothing is told, and its receive is the next one's. */
static void cut_off_by_a_write(void)
{
	struct buf hole;
	struct wr w;

	need_odp();
	setup();
	buf_new(&hole, 4 * PAGE);
	buf_reg(&hole, &p.na, ACCESS_ALL);
	check(!munmap(hole.map + 2 * PAGE, PAGE), "munmap");
	q_recv(&p.b, 1, &dst, 77, 5 * PAGE);
	wr_init(&w, IBV_WR_SEND, 2);
	wr_sge(&w, &hole, 0, 4 * PAGE);
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 2, IBV_WC_LOC_PROT_ERR);
	buf_moved(&dst, 77, &hole, 0, 2 * PAGE);
	from_sqe_to_rts();

	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 3, &src, 5, &dst, 6 * PAGE, 100);
	wc_ok(p.a.scq, 3);
	wc_none(p.b.rcq);
	buf_moved(&dst, 6 * PAGE, &src, 5, 100);
	q_send(&p.a, 4, &src, 9, 999);
	wc_ok(p.a.scq, 4);
	wc_ok(p.b.rcq, 1);
	buf_moved(&dst, 77, &src, 9, 999);
	buf_free(&hole);
	teardown();
}

/* The send queue stops, the other side does not notice, and one call mends it. */
static void send_error(void)
{
	struct wr w;

	setup();
	wr_init(&w, IBV_WR_SEND, 1);
	wr_sge(&w, &src, 5, 5001);
	w.sge[0].lkey ^= 0x5a;
	wr_post(&p.a, &w);
	q_send(&p.a, 2, &src, 5, 100);
	wc_expect(p.a.scq, 1, IBV_WC_LOC_PROT_ERR);
	wc_expect(p.a.scq, 2, IBV_WC_WR_FLUSH_ERR);
	check(ep_state(&p.a) == IBV_QPS_SQE, "state %d", ep_state(&p.a));
	q_send(&p.a, 3, &src, 5, 100);
	wc_expect(p.a.scq, 3, IBV_WC_WR_FLUSH_ERR);

	q_recv(&p.a, 4, &src, 3 * PAGE + 5, 999);
	q_send(&p.b, 5, &dst, 77, 999);
	wc_ok(p.b.scq, 5);
	wc_ok(p.a.rcq, 4);
	buf_moved(&src, 3 * PAGE + 5, &dst, 77, 999);

	from_sqe_to_rts();
	do_send(&p, &src, 99, &dst, 4095, 5001);
	teardown();
}

#define BEHIND 1000

/* However many stand behind it, and however soon one goes on: none of them is sent. */
static void many_behind_an_error(void)
{
	struct wr w[BEHIND];
	struct qp_opt opt;

	setup();
	opt = p.a.opt;
	opt.send_wr = BEHIND;
	pair_renew(&p, &opt);
	q_recv(&p.b, 1, &dst, 77, 999);
	for (int i = 0; i < BEHIND; i++) {
		wr_init(&w[i], IBV_WR_SEND, i);
		wr_sge(&w[i], &src, 5, 100);
		if (i)
			w[i - 1].wr.next = &w[i].wr;
	}
	w[0].sge[0].lkey ^= 0x5a;
	wr_post(&p.a, &w[0]);
	wc_expect(p.a.scq, 0, IBV_WC_LOC_PROT_ERR);
	from_sqe_to_rts();
	for (int i = 1; i < BEHIND; i++)
		wc_expect(p.a.scq, i, IBV_WC_WR_FLUSH_ERR);
	q_send(&p.a, BEHIND, &src, 9, 999);
	wc_ok(p.a.scq, BEHIND);
	wc_ok(p.b.rcq, 1);
	buf_moved(&dst, 77, &src, 9, 999);
	teardown();
}

#define LOSSY 40

/* Messages of five packets: whole, in order, and no parts of those that are not. */
static void lossy(void)
{
	struct wire_end end;
	size_t len, at[LOSSY + 1];
	unsigned int came = 0;
	uint32_t id, next = 0;
	struct wr w;

	setup();
	len = 4 * mtu_bytes(pair_mtu(&p)) + 77;
	buf_free(&dst);
	buf_new(&dst, (LOSSY + 1) * (len + 3));
	buf_reg(&dst, &p.nb, ACCESS_ALL);
	wire_end_find(&end, &p.na);
	for (int i = 0; i <= LOSSY; i++)
		q_recv(&p.b, i, &dst, i * (len + 3), len);
	wire_netem(&end, "loss 20%");
	for (int i = 0; i <= LOSSY; i++) {
		if (i == LOSSY)
			wire_netem(&end, NULL);
		at[i] = rnd_range(0, src.size - len);
		wr_init(&w, IBV_WR_SEND_WITH_IMM, i);
		wr_sge(&w, &src, at[i], len);
		w.wr.imm_data = htonl(i);
		wr_post(&p.a, &w);
		wc_ok(p.a.scq, i);
	}
	do {
		id = ntohl(wc_ok(p.b.rcq, came).imm_data);
		check(id >= next && id <= LOSSY, "message %u after %u", id, next);
		next = id + 1;
		buf_moved(&dst, came * (len + 3), &src, at[id], len);
		came++;
	} while (id != LOSSY);
	check(came > 1 && came <= LOSSY, "%u of %d messages came", came, LOSSY);
	teardown();
}

/* No message is lost because the memory it goes to takes long to come. */
static void to_slow(void)
{
	const size_t len = 5 * PAGE + 13;
	uint8_t *was;
	int uffd;

	need_odp();
	setup();
	buf_free(&dst);
	buf_new(&dst, 20 * PAGE);
	uffd = buf_withhold(&dst, O_CLOEXEC);
	buf_reg(&dst, &p.nb, ACCESS_ALL);
	was = buf_copy(&dst);
	for (int i = 0; i < 30; i++) {
		q_recv(&p.b, i, &dst, 77 + i % 3 * 6 * PAGE, len);
		q_send(&p.a, i, &src, i * 501, len);
		buf_moved(&dst, 77 + i % 3 * 6 * PAGE, &src, i * 501, len);
	}
	for (int i = 0; i < 30; i++)
		wc_ok(p.a.scq, i);
	wc_none(p.b.rcq);
	buf_serve(&dst, uffd, was);
	for (int i = 0; i < 30; i++)
		wc_ok(p.b.rcq, i);
	free(was);
	teardown();
	close(uffd);
}

/* Nor because the one before it waited for memory that has gone with its key. */
static void after_one_that_failed(void)
{
	struct buf gone, cold;
	long parks;
	int uffd;

	need_odp();
	setup();
	buf_new(&gone, 4 * PAGE);
	uffd = buf_withhold(&gone, O_CLOEXEC);
	buf_reg(&gone, &p.nb, ACCESS_ALL);
	buf_new_cold(&cold, 4 * PAGE);
	buf_reg(&cold, &p.nb, ACCESS_ALL);
	parks = hw_counter(cfg.peer, "parks");
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &src, 5, &gone, 77, 1000);
	wc_ok(p.a.scq, 1);
	for (uint64_t end = now_ms() + WAIT_MS; hw_counter(cfg.peer, "parks") == parks;)
		check(now_ms() < end, "it does not wait for its page");
	buf_dereg(&gone);
	check(!munmap(gone.map, gone.size), "munmap");
	close(uffd);

	write_imm_to(&cold, 2, 9, 13, 2 * PAGE);
	buf_check(&cold, "target");
	buf_free(&gone);
	buf_free(&cold);
	teardown();
}

/* Nor because that does which it comes from: what is behind it waits its turn. */
static void from_slow(void)
{
	const size_t len = 5 * PAGE + 13;
	uint8_t *was;
	int uffd;

	need_odp();
	setup();
	was = buf_copy(&src);
	uffd = buf_withhold(&src, O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		q_recv(&p.b, i, &dst, 77 + i * 6 * PAGE, len);
		q_send(&p.a, i, &src, i * 5001, len);
		buf_moved(&dst, 77 + i * 6 * PAGE, &src, i * 5001, len);
	}
	wc_none(p.a.scq);
	wc_none(p.b.rcq);
	buf_serve(&src, uffd, was);
	for (int i = 0; i < 3; i++) {
		wc_ok(p.a.scq, i);
		wc_ok(p.b.rcq, i);
	}
	free(was);
	write_imm(3, PAGE + 7, 4001, 5003);
	teardown();
	close(uffd);
}

/* An error that the CQ has no room for is the QP's end, as any completion would be. */
static void error_without_room(void)
{
	struct qp_opt opt = opt_rc;
	struct wr w;

	setup();
	ep_destroy(&p.a);
	ep_destroy(&p.b);
	opt.type = IBV_QPT_UC;
	ep_create(&p.b, &p.nb, &opt);
	opt.scq = cq_new(&p.na, 1);
	ep_create(&p.a, &p.na, &opt);
	ep_join(&p.a, &p.b);
	for (int i = 0; i < opt.scq->cqe; i++)
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, i, &src, 0, &dst, 0, 0);
	wr_init(&w, IBV_WR_RDMA_WRITE, 99);
	wr_sge(&w, &src, 5, 7);
	w.sge[0].lkey ^= 1;
	wr_remote(&w, &dst, 5);
	wr_post(&p.a, &w);
	ep_await_state(&p.a, IBV_QPS_ERR);
	ep_destroy(&p.a);
	cq_free(opt.scq);
	opt.scq = NULL;
	ep_create(&p.a, &p.na, &opt);
	teardown();
}

TEST_MAIN(CASE(sizes), CASE(no_receive), CASE(no_read), CASE(bad_key), CASE(too_long),
	  CASE(from_shared), CASE(too_long_for_shared), CASE(bad_key_for_shared),
	  CASE(cut_off_by_a_write), CASE(send_error), CASE(many_behind_an_error),
	  CASE(lossy), CASE(to_slow), CASE(after_one_that_failed), CASE(from_slow),
	  CASE(error_without_room))
