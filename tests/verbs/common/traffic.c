// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Checked traffic. See traffic.h.
 */
#include <string.h>

#include "test.h"
#include "traffic.h"

#define SLOT (4 * PAGE)

void traffic_open(struct traffic *t, struct pair *p)
{
	memset(t, 0, sizeof(*t));
	t->p = p;
	buf_new(&t->l, TRAFFIC_DEPTH * SLOT);
	buf_new_cold(&t->r, TRAFFIC_DEPTH * SLOT);
	buf_reg(&t->l, &p->na, ACCESS_ALL);
	buf_reg(&t->r, &p->nb, ACCESS_ALL);
}

void traffic_check(struct traffic *t)
{
	buf_check(&t->l, "local memory");
	buf_check(&t->r, "remote memory");
}

void traffic_close(struct traffic *t)
{
	traffic_check(t);
	buf_free(&t->l);
	buf_free(&t->r);
}

/* Sources in the first half of l's slots, results in the second. */
bool traffic_post(struct traffic *t, int k)
{
	size_t len = rnd_range(1, 2 * PAGE - 200);
	size_t lo = k * SLOT + rnd_range(0, 99);
	size_t ro = k * SLOT + rnd_range(0, 99);
	uint64_t old, v = rnd(), new;
	struct pair *p = t->p;
	struct wr w;

	switch (rnd_range(0, 3)) {
	case 0:
		q_rdma(&p->a, IBV_WR_RDMA_WRITE, k, &t->l, lo, &t->r, ro, len);
		buf_moved(&t->r, ro, &t->l, lo, len);
		return false;
	case 1:
		lo += 2 * PAGE;
		q_rdma(&p->a, IBV_WR_RDMA_READ, k, &t->l, lo, &t->r, ro, len);
		buf_moved(&t->l, lo, &t->r, ro, len);
		return false;
	case 2:
		/* An atomic done twice would show. */
		lo += 2 * PAGE;
		ro = (ro + 7) & ~7ul;
		memcpy(&old, t->r.want + ro, 8);
		new = old + v;
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, k);
		wr_sge(&w, &t->l, lo, 8);
		wr_atomic(&w, &t->r, ro, v, 0);
		wr_post(&p->a, &w);
		buf_holds(&t->l, lo, &old, 8);
		buf_holds(&t->r, ro, &new, 8);
		return false;
	default:
		ro += 2 * PAGE;
		q_recv(&p->b, k, &t->r, ro, len);
		q_send(&p->a, k, &t->l, lo, len);
		buf_moved(&t->r, ro, &t->l, lo, len);
		return true;
	}
}

void traffic_round(struct traffic *t)
{
	bool sent[TRAFFIC_DEPTH];

	for (int k = 0; k < TRAFFIC_DEPTH; k++)
		sent[k] = traffic_post(t, k);
	for (int k = 0; k < TRAFFIC_DEPTH; k++)
		wc_ok(t->p->a.scq, k);
	for (int k = 0; k < TRAFFIC_DEPTH; k++)
		if (sent[k])
			wc_ok(t->p->b.rcq, k);
	traffic_check(t);
}
