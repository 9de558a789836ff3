// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Compare-and-swap and fetch-and-add: the value before comes back, the value
 * after is right and so are its neighbours, an address that is not a multiple
 * of 8 is refused, and adds by two QPs at once sum up.
 */
#include <pthread.h>
#include <string.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&l, 4 * PAGE);
	buf_new(&r, 4 * PAGE);
	buf_reg(&l, &p.na, IBV_ACCESS_LOCAL_WRITE);
	buf_reg(&r, &p.nb, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static uint64_t value(const struct buf *b, size_t off)
{
	uint64_t v;

	memcpy(&v, b->want + off, 8);
	return v;
}

/* Post one, changing both shadows; wait for it later. */
static void post(struct ep *e, uint64_t id, bool add, size_t l_off, size_t r_off)
{
	uint64_t old = value(&r, r_off), arg = rnd(), swap = rnd(), new;
	struct wr w;

	if (add) {
		new = old + arg;
	} else {
		/* Half of the compares hold, the others miss in one bit only. */
		arg = rnd_range(0, 1) ? old : old ^ (1ull << rnd_range(0, 63));
		new = arg == old ? swap : old;
	}
	wr_init(&w, add ? IBV_WR_ATOMIC_FETCH_AND_ADD : IBV_WR_ATOMIC_CMP_AND_SWP,
		id);
	wr_sge(&w, &l, l_off, 8);
	wr_atomic(&w, &r, r_off, arg, swap);
	wr_post(e, &w);
	buf_holds(&l, l_off, &old, 8);
	buf_holds(&r, r_off, &new, 8);
}

static void both(bool add, int opcode)
{
	struct ibv_wc wc;

	setup();
	for (int i = 0; i < 60; i++) {
		size_t r_off = rnd_range(0, r.size / 8 - 1) * 8;

		/* Also the ends of a page. */
		if (i % 4 == 1)
			r_off = PAGE * rnd_range(1, 3);
		if (i % 4 == 2)
			r_off = PAGE * rnd_range(1, 3) - 8;
		/* The answer may go anywhere, across a page's end as well. */
		post(&p.a, i, add, off_for(&l, 8), r_off);
		wc = wc_ok(p.a.scq, i);
		check((int)wc.opcode == opcode, "opcode %d", wc.opcode);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
	teardown();
}

static void fetch_add(void)
{
	both(true, IBV_WC_FETCH_ADD);
}

static void cmp_swap(void)
{
	both(false, IBV_WC_COMP_SWAP);
}

/* Many in flight on one word: each sees what the one before it left. */
static void chained(void)
{
	setup();
	for (int round = 0; round < 4; round++) {
		size_t at = rnd_range(0, r.size / 8 - 1) * 8;

		for (int i = 0; i < 60; i++)
			post(&p.a, i, rnd_range(0, 1), round * PAGE + i * 9, at);
		for (int i = 0; i < 60; i++)
			wc_ok(p.a.scq, i);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
	teardown();
}

/* The answer of 8 bytes spread over several SGEs. */
static void answer_in_pieces(void)
{
	setup();
	for (int i = 0; i < 8; i++) {
		uint64_t old, arg = rnd(), new;
		size_t at = rnd_range(0, r.size / 8 - 1) * 8;
		struct wr w;

		old = value(&r, at);
		new = old + arg;
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, i);
		wr_sge(&w, &l, 5, 3);
		wr_sge(&w, &l, PAGE - 1, 4);
		wr_sge(&w, &l, 2 * PAGE + 77, 1);
		wr_atomic(&w, &r, at, arg, 0);
		wr_post(&p.a, &w);
		wc_ok(p.a.scq, i);
		buf_holds(&l, 5, &old, 3);
		buf_holds(&l, PAGE - 1, (uint8_t *)&old + 3, 4);
		buf_holds(&l, 2 * PAGE + 77, (uint8_t *)&old + 7, 1);
		buf_holds(&r, at, &new, 8);
		buf_check(&l, "local memory");
	}
	teardown();
}

/* ibv_post_send() of librxe looks at the address itself; these calls do not. */
static void unaligned(void)
{
	struct qp_opt opt = opt_rc;
	struct ibv_async_event ev;

	opt.send_ops = IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD |
		       IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP;
	setup();
	for (int off = 1; off < 8; off++) {
		uint64_t addr = buf_addr(&r, PAGE - 8 + off);
		struct ibv_qp_ex *qp;

		pair_renew(&p, &opt);
		qp = ibv_qp_to_qp_ex(p.a.qp);
		ibv_wr_start(qp);
		qp->wr_id = off;
		qp->wr_flags = IBV_SEND_SIGNALED;
		if (off & 1)
			ibv_wr_atomic_fetch_add(qp, r.rkey, addr, 1);
		else
			ibv_wr_atomic_cmp_swp(qp, r.rkey, addr,
					      value(&r, PAGE - 8 + off), 1);
		ibv_wr_set_sge(qp, l.lkey, buf_addr(&l, 16), 8);
		check(!ibv_wr_complete(qp), "posting");
		wc_expect(p.a.scq, off, IBV_WC_REM_INV_REQ_ERR);
		ep_await_state(&p.b, IBV_QPS_ERR);
		event_expect(&p.nb, IBV_EVENT_QP_REQ_ERR, 1ull << IBV_EVENT_COMM_EST, &ev);
		check(ev.element.qp == p.b.qp, "event of another QP");
		buf_check(&r, "remote memory");
	}
	teardown();
}

struct adder {
	struct ep ep;
	unsigned int n;
	uint64_t sum;
};

static void *add_many(void *arg)
{
	struct adder *a = arg;
	unsigned int posted = 0, done = 0;
	struct ibv_wc wc;
	struct wr w;

	while (done < a->n) {
		if (posted < a->n && posted - done < 16) {
			uint64_t v = rnd();

			wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, posted++);
			wr_sge(&w, &l, a->ep.qp->qp_num % 64 * 8, 8);
			wr_atomic(&w, &r, PAGE, v, 0);
			wr_post(&a->ep, &w);
			a->sum += v;
			continue;
		}
		wc = wc_wait(a->ep.scq);
		check(wc.status == IBV_WC_SUCCESS && wc.wr_id == done,
		      "add %u: %s", done, ibv_wc_status_str(wc.status));
		done++;
	}
	return NULL;
}

static void two_at_once(void)
{
	struct adder a[2] = { { .n = 400 }, { .n = 400 } };
	uint64_t sum, now;
	pthread_t t[2];
	struct ep peer[2];

	setup();
	sum = value(&r, PAGE);
	for (int i = 0; i < 2; i++) {
		ep_create(&a[i].ep, &p.na, &opt_rc);
		ep_create(&peer[i], &p.nb, &opt_rc);
		ep_join(&a[i].ep, &peer[i]);
	}
	for (int i = 0; i < 2; i++)
		check(!pthread_create(&t[i], NULL, add_many, &a[i]), "thread");
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		sum += a[i].sum;
		ep_destroy(&a[i].ep);
		ep_destroy(&peer[i]);
	}
	memcpy(&now, r.map + PAGE, 8);
	check(now == sum, "two QPs' adds make %#llx instead of %#llx",
	      (unsigned long long)now, (unsigned long long)sum);
	buf_holds(&r, PAGE, &sum, 8);
	/* The answers' last values are anybody's guess. */
	memcpy(l.want, l.map, 512);
	teardown();
}

TEST_MAIN(CASE(fetch_add), CASE(cmp_swap), CASE(chained), CASE(answer_in_pieces),
	  CASE(unaligned), CASE(two_at_once))
