// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Traffic and harm. See harm.h.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "during.h"
#include "harm.h"
#include "test.h"

#define ROUNDS (slow_kernel() ? 15 : 25)
#define MOST 150

const uint8_t harm_zeros[TRAFFIC_SIZE];

struct victim {
	const struct harm *h;
	struct buf *b;
	size_t at, len;
};

static void once(void *arg)
{
	struct victim *v = arg;

	v->h->fn(v->b, v->at, v->len);
	usleep(rnd_range(0, 3000));
}

static void choose(struct victim *v)
{
	size_t pages = v->b->size / PAGE, n = rnd_range(1, pages / 2);

	v->at = rnd_range(0, pages - n) * PAGE;
	v->len = n * PAGE;
	if (v->h->len) {
		v->at = v->h->at;
		v->len = v->h->len;
	} else if (v->h->to_end) {
		v->at += rnd_range(0, PAGE - 1);
		v->len = v->b->size - v->at;
	}
}

/* How @op may end where it meets it: the table of errors in Documentation/odp.rst. */
static enum ibv_wc_status status_of(const struct harm *h, enum ibv_wr_opcode op, bool local)
{
	bool fetches = op == IBV_WR_RDMA_READ || op == IBV_WR_ATOMIC_FETCH_AND_ADD;
	bool writes = local ? fetches : op != IBV_WR_RDMA_READ;

	if (!(h->denies & (writes ? PROT_WRITE : PROT_READ)))
		return IBV_WC_SUCCESS;
	if (local)
		return IBV_WC_LOC_PROT_ERR;
	return op == IBV_WR_SEND ? IBV_WC_REM_OP_ERR : IBV_WC_REM_ACCESS_ERR;
}

/* Wait for a whole round; slots with @sent have a receive. Returns how many succeeded. */
static int await(struct traffic *t, const struct harm *h, bool local, const bool *sent)
{
	enum ibv_wc_status want;
	struct ibv_wc wc;
	int done = TRAFFIC_DEPTH;

	for (int k = 0; k < TRAFFIC_DEPTH; k++) {
		want = status_of(h, t->op[k].opcode, local);
		wc = wc_wait(t->p->a.scq);
		check(wc.wr_id == (uint64_t)k, "work %d instead of %d", (int)wc.wr_id, k);
		if (k > done)
			want = IBV_WC_WR_FLUSH_ERR;
		else if (wc.status == IBV_WC_SUCCESS)
			continue;
		check(wc.status == want, "opcode %d ended with \"%s\" instead of \"%s\"",
		      t->op[k].opcode, ibv_wc_status_str(wc.status), ibv_wc_status_str(want));
		if (done == TRAFFIC_DEPTH)
			done = k;
	}
	for (int k = 0; k < done; k++)
		if (sent[k])
			wc_ok(t->p->b.rcq, k);
	while (wc_poll(t->p->b.rcq, &wc, 0))
		check(wc.status == IBV_WC_SUCCESS || wc.status == IBV_WC_WR_FLUSH_ERR ||
		      (wc.status == IBV_WC_LOC_PROT_ERR && !local && h->denies & PROT_WRITE),
		      "a receive ended with \"%s\"", ibv_wc_status_str(wc.status));
	return done;
}

/*
 * Each byte of an operation's range is the new one; or that of before, if it @failed or
 * where @v is harmed, as that has been done before the operation as well as after it.
 */
static void settle(struct buf *b, size_t at, size_t len, const uint8_t *was, bool failed,
		   const struct victim *v)
{
	for (size_t i = at; i < at + len; i++) {
		bool cleared = v->h->leaves && b == v->b && i >= v->at && i < v->at + v->len;

		check(b->map[i] == b->want[i] ||
		      ((failed || cleared) && b->map[i] == was[i - at]),
		      "byte %#zx is %#x, neither %#x nor %#x", i, b->map[i], b->want[i],
		      was[i - at]);
		b->want[i] = b->map[i];
	}
}

/* Returns whether an operation failed. */
static bool one_round(struct traffic *t, const struct harm *h, bool local, unsigned long *times)
{
	struct victim v = { .h = h, .b = local ? &t->l : &t->r };
	bool sent[TRAFFIC_DEPTH];
	struct during d;
	int done;

	choose(&v);
	during_start(&d, once, &v);
	/* From here on nobody but the traffic writes there. */
	if (h->leaves)
		memcpy(v.b->want + v.at, h->leaves + v.at, v.len);
	for (int k = 0; k < TRAFFIC_DEPTH; k++)
		sent[k] = traffic_post(t, k);
	done = await(t, h, local, sent);
	*times += during_stop(&d);
	/* The device may still write for what has failed: not after this. */
	if (done < TRAFFIC_DEPTH)
		pair_renew(t->p, NULL);
	for (int k = 0; k < TRAFFIC_DEPTH; k++) {
		struct traffic_op *o = &t->op[k];

		settle(&t->l, o->lo, o->len, o->l_was, k >= done, &v);
		settle(&t->r, o->ro, o->len, o->r_was, k >= done, &v);
	}
	traffic_check(t);
	return done < TRAFFIC_DEPTH;
}

void harm_traffic(struct traffic *t, const struct harm *h, bool local)
{
	unsigned long times = 0;
	int failed = 0, n;

	for (n = 0; n < ROUNDS || (h->denies && n < MOST && (!failed || failed == n)); n++)
		failed += one_round(t, h, local, &times);
	check(times > ROUNDS, "it has hardly been done");
	traffic_round(t);
	if (h->denies && (!failed || failed == n))
		skip("nothing wrong, but %d of %d rounds met it", failed, n);
}

void harm_both(const struct harm *h, bool file)
{
	static struct traffic t;
	struct pair p;

	need_odp();
	pair_open(&p, NULL);
	buf_new_either(&t.l, TRAFFIC_SIZE, file);
	buf_new_either(&t.r, TRAFFIC_SIZE, file);
	traffic_join(&t, &p);
	harm_traffic(&t, h, false);
	harm_traffic(&t, h, true);
	traffic_close(&t);
	pair_close(&p);
}
