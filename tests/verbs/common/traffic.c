// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Checked traffic. See traffic.h.
 */
#include <string.h>

#include "test.h"
#include "traffic.h"

void traffic_join(struct traffic *t, struct pair *p)
{
	t->p = p;
	buf_reg(&t->l, &p->na, ACCESS_ALL);
	buf_reg(&t->r, &p->nb, ACCESS_ALL);
}

void traffic_open(struct traffic *t, struct pair *p)
{
	buf_new(&t->l, TRAFFIC_SIZE);
	buf_new_cold(&t->r, TRAFFIC_SIZE);
	traffic_join(t, p);
}

void traffic_check(struct traffic *t)
{
	buf_check(&t->l, "local memory");
	buf_check(&t->r, "remote memory");
}

void traffic_abandon(struct traffic *t)
{
	buf_free(&t->l);
	buf_free(&t->r);
}

void traffic_close(struct traffic *t)
{
	traffic_check(t);
	traffic_abandon(t);
}

/* Sources in the first half of l's slots, results in the second. */
bool traffic_post(struct traffic *t, int k)
{
	static const enum ibv_wr_opcode kinds[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WR_SEND,
	};
	size_t lo = k * TRAFFIC_SLOT + rnd_range(0, 99);
	size_t ro = k * TRAFFIC_SLOT + rnd_range(0, 99);
	struct traffic_op *o = &t->op[k];
	uint64_t old, v = rnd(), new;
	struct pair *p = t->p;
	struct wr w;

	o->opcode = kinds[rnd_range(0, ARRAY_SIZE(kinds) - 1)];
	o->len = rnd_range(1, 2 * PAGE - 200);
	if (o->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		o->len = 8;
		ro = (ro + 7) & ~7ul;
	}
	if (o->opcode == IBV_WR_SEND)
		ro += 2 * PAGE;
	else if (o->opcode != IBV_WR_RDMA_WRITE)
		lo += 2 * PAGE;
	o->lo = lo;
	o->ro = ro;
	memcpy(o->l_was, t->l.want + lo, o->len);
	memcpy(o->r_was, t->r.want + ro, o->len);

	switch (o->opcode) {
	case IBV_WR_RDMA_READ:
		q_rdma(&p->a, o->opcode, k, &t->l, lo, &t->r, ro, o->len);
		buf_moved(&t->l, lo, &t->r, ro, o->len);
		break;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		/* An atomic done twice would show. */
		memcpy(&old, t->r.want + ro, 8);
		new = old + v;
		wr_init(&w, o->opcode, k);
		wr_sge(&w, &t->l, lo, 8);
		wr_atomic(&w, &t->r, ro, v, 0);
		wr_post(&p->a, &w);
		buf_holds(&t->l, lo, &old, 8);
		buf_holds(&t->r, ro, &new, 8);
		break;
	case IBV_WR_SEND:
		q_recv(&p->b, k, &t->r, ro, o->len);
		q_send(&p->a, k, &t->l, lo, o->len);
		buf_moved(&t->r, ro, &t->l, lo, o->len);
		return true;
	default:
		q_rdma(&p->a, o->opcode, k, &t->l, lo, &t->r, ro, o->len);
		buf_moved(&t->r, ro, &t->l, lo, o->len);
	}
	return false;
}

bool traffic_try(struct traffic *t)
{
	bool sent[TRAFFIC_DEPTH];
	struct ibv_wc wc;

	for (int k = 0; k < TRAFFIC_DEPTH; k++)
		sent[k] = traffic_post(t, k);
	for (int k = 0; k < TRAFFIC_DEPTH; k++) {
		wc = wc_wait(t->p->a.scq);
		if (wc.status == IBV_WC_RETRY_EXC_ERR)
			return false;
		check(wc.status == IBV_WC_SUCCESS && wc.wr_id == (uint64_t)k,
		      "work %llu instead of %d: %s", (unsigned long long)wc.wr_id, k,
		      ibv_wc_status_str(wc.status));
	}
	for (int k = 0; k < TRAFFIC_DEPTH; k++)
		if (sent[k])
			wc_ok(t->p->b.rcq, k);
	traffic_check(t);
	return true;
}

void traffic_round(struct traffic *t)
{
	check(traffic_try(t), "the retries were used up");
}
