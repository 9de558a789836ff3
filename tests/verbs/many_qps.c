// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * 32 connections at once over one completion queue a side, each a random mixture
 * of all operations both ways; every completion and every byte is checked.
 */
#include <string.h>

#include "ops.h"
#include "test.h"

#define QPS 32
#define ROUNDS 5
#define DEPTH 4			/* requests of one QP and way in a round */
#define AREA (2 * PAGE)		/* memory of one QP and way */
#define RECV_ID (1ull << 32)

static struct nic na, nb;
static struct ep a[QPS], b[QPS];
static struct ibv_cq *cqa, *cqb;
static struct buf ba, bb;

/* One QP's memory on a side: [results and sources | targets]. */
static size_t local_at(int qp, int k)
{
	return qp * 2 * AREA + k * (AREA / DEPTH) + 5;
}

static size_t remote_at(int qp, int k)
{
	return qp * 2 * AREA + AREA + k * (AREA / DEPTH) + 11;
}

static unsigned int one(int qp, int k, struct ep *e, struct ep *peer, struct buf *l,
			struct buf *r)
{
	size_t len = rnd_range(1, AREA / DEPTH - 32);
	uint64_t id = qp * DEPTH + k, old, v = rnd(), new;
	size_t lo = local_at(qp, k), ro = remote_at(qp, k);
	struct wr w;

	switch (rnd_range(0, 3)) {
	case 0:
		q_recv(peer, RECV_ID + id, r, ro, len);
		q_send(e, id, l, lo, len);
		buf_moved(r, ro, l, lo, len);
		return 1;
	case 1:
		q_rdma(e, IBV_WR_RDMA_WRITE, id, l, lo, r, ro, len);
		buf_moved(r, ro, l, lo, len);
		return 0;
	case 2:
		q_rdma(e, IBV_WR_RDMA_READ, id, l, lo, r, ro, len);
		buf_moved(l, lo, r, ro, len);
		return 0;
	default:
		ro = (ro + 7) & ~7ul;
		memcpy(&old, r->want + ro, 8);
		new = old + v;
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, id);
		wr_sge(&w, l, lo, 8);
		wr_atomic(&w, r, ro, v, 0);
		wr_post(e, &w);
		buf_holds(l, lo, &old, 8);
		buf_holds(r, ro, &new, 8);
		return 0;
	}
}

/* @n completions, each once, in the order of its queue. */
static void drain(struct ibv_cq *cq, unsigned int n)
{
	int64_t last_send[QPS], last_recv[QPS];

	memset(last_send, -1, sizeof(last_send));
	memset(last_recv, -1, sizeof(last_recv));
	while (n--) {
		struct ibv_wc wc = wc_wait(cq);
		int64_t id = wc.wr_id & (RECV_ID - 1);
		int64_t *last = wc.wr_id & RECV_ID ? last_recv : last_send;

		check(wc.status == IBV_WC_SUCCESS, "work %lld of QP %lld: %s",
		      (long long)id, (long long)id / DEPTH,
		      ibv_wc_status_str(wc.status));
		check(id < QPS * DEPTH, "completion of no work of ours");
		check(last[id / DEPTH] < id, "out of order or twice");
		last[id / DEPTH] = id;
	}
}

static void mixed(void)
{
	struct qp_opt opt = opt_rc;

	nic_open(&na, cfg.dev);
	nic_open(&nb, cfg.peer);
	cqa = cq_new(&na, QPS * DEPTH * 4);
	cqb = cq_new(&nb, QPS * DEPTH * 4);
	for (int i = 0; i < QPS; i++) {
		opt.scq = opt.rcq = cqa;
		ep_create(&a[i], &na, &opt);
		opt.scq = opt.rcq = cqb;
		ep_create(&b[i], &nb, &opt);
		ep_join(&a[i], &b[i]);
	}
	/* Each way has half of the areas, so that the ways do not meet. */
	buf_new_cold(&ba, QPS * 4 * AREA);
	buf_new(&bb, QPS * 4 * AREA);
	buf_reg(&ba, &na, ACCESS_ALL);
	buf_reg(&bb, &nb, ACCESS_ALL);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned int at_a = 0, at_b = 0;

		for (int k = 0; k < DEPTH; k++) {
			for (int i = 0; i < QPS; i += 2) {
				at_b += one(i, k, &a[i], &b[i], &ba, &bb);
				at_a += one(i + 1, k, &b[i + 1], &a[i + 1], &bb, &ba);
				at_a++;
				at_b++;
			}
		}
		drain(cqa, at_a);
		drain(cqb, at_b);
		buf_check(&ba, "a's memory");
		buf_check(&bb, "b's memory");
	}
	for (int i = 0; i < QPS; i++) {
		ep_destroy(&a[i]);
		ep_destroy(&b[i]);
	}
	cq_free(cqa);
	cq_free(cqb);
	buf_free(&ba);
	buf_free(&bb);
	nic_close(&na);
	nic_close(&nb);
}

TEST_MAIN(CASE(mixed))
