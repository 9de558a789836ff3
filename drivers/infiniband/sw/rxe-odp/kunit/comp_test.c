// SPDX-License-Identifier: GPL-2.0
/*
 * The completer: a QP whose requests go nowhere, and answers in an order of the test's.
 * The READs are of no bytes, so each has one response, and it needs no memory.
 */
#include "../cq.h"
#include "../qp.h"
#include "../run.h"
#include "../swqe.h"
#include "../wire/packet.h"
#include "../wire/psn.h"
#include "../wire/rc.h"
#include "env.h"

#define COMP_READS 5
#define COMP_RETRIES 5
/* The last one before PSNs begin again. */
#define COMP_PSN 0xffffff

struct comp_env {
	struct rxo_env *env;
	struct kunit *test;
	struct rxo_qp qp;
	struct rxo_cq cq;
	unsigned int junk; /* each followed by another, until there is a time-out */
};

/* READs under way, the first with PSN COMP_PSN. */
static struct comp_env *comp_env_get(struct kunit *test)
{
	struct comp_env *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	struct rxe_send_wqe *user;
	struct rxo_qp *qp;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, c);
	c->env = test->priv;
	c->test = test;
	qp = &c->qp;
	rxo_env_qp(c->env, qp, &c->cq);
	for (i = 0; i < COMP_READS; i++) {
		user = rxo_ring_elem(&qp->req.ring, i);
		user->wr.wr_id = i;
		user->wr.opcode = IB_WR_RDMA_READ;
		user->wr.send_flags = IB_SEND_SIGNALED;
	}
	qp->req.ring.buf->producer_index = COMP_READS;

	rxo_run_enter(qp);
	qp->state = IB_QPS_RTS;
	qp->attr.timeout = 0; /* none of its own */
	qp->attr.retry_cnt = COMP_RETRIES;
	qp->attr.max_rd_atomic = COMP_READS;
	qp->req.retries = COMP_RETRIES;
	qp->req.rnr_retries = COMP_RETRIES;
	rxo_env_sq_psn(qp, COMP_PSN);
	rxo_run_leave(qp);
	rxo_run_kick(qp, RXO_EV_DOORBELL);
	KUNIT_ASSERT_EQ(test, qp->req.psn,
			rxo_psn_add(COMP_PSN, COMP_READS));
	return c;
}

static void comp_junk(struct comp_env *c);

static void comp_follow(struct sk_buff *skb)
{
	struct comp_env *c = *(struct comp_env **)skb->cb;

	if (c->junk && !rxo_env_count(c->env, RXO_CNT_timeouts)) {
		c->junk--;
		comp_junk(c);
	}
}

static void comp_give(struct kunit *test, struct comp_env *c, u8 opcode, int i,
		      u8 syndrome)
{
	struct rxo_packet pkt = {
		.opcode = RXO_RC | opcode,
		.pkey = RXO_PKEY_DEFAULT,
		.psn = rxo_psn_add(COMP_PSN, i),
		.syndrome = syndrome,
	};
	struct sk_buff *skb = rxo_env_packet(test, &pkt);

	*(struct comp_env **)skb->cb = c;
	skb->destructor = comp_follow;
	rxo_run_packet(&c->qp, skb, &pkt);
}

/* The answer to READ @i; those before the first are of what is long complete. */
static void comp_answer(struct kunit *test, struct comp_env *c, int i)
{
	comp_give(test, c, RXO_READ_RESP_ONLY, i,
		  RXO_SYN_ACK | RXO_SYN_NO_CREDITS);
}

/* Of a READ that was never asked for. */
static void comp_junk(struct comp_env *c)
{
	comp_answer(c->test, c, COMP_READS);
}

/* READ @i was missed by the peer. */
static void comp_nak(struct kunit *test, struct comp_env *c, int i)
{
	comp_give(test, c, RXO_ACK, i, RXO_SYN_NAK | RXO_NAK_PSN);
}

/* The longest time, which the test ends itself. */
static void comp_rnr(struct kunit *test, struct comp_env *c, int i)
{
	comp_give(test, c, RXO_ACK, i, RXO_SYN_RNR);
}

/* READ @i failed at the peer, which says no more. */
static void comp_refuse(struct kunit *test, struct comp_env *c, int i)
{
	comp_give(test, c, RXO_ACK, i, RXO_SYN_NAK | RXO_NAK_REM_OP);
}

static void comp_expect(struct kunit *test, struct comp_env *c, u32 complete,
			u32 asked_again, u32 retries)
{
	KUNIT_EXPECT_EQ(test, c->cq.ring.buf->producer_index, complete);
	KUNIT_EXPECT_EQ(test, rxo_env_count(c->env, RXO_CNT_retransmits),
			asked_again);
	KUNIT_EXPECT_EQ(test, c->qp.req.retries, retries);
	KUNIT_EXPECT_EQ(test, c->qp.state, IB_QPS_RTS);
}

static void comp_expect_wcs(struct kunit *test, struct comp_env *c, int n,
			    const enum ib_wc_status *want)
{
	struct ib_uverbs_wc *wc;
	int i;

	KUNIT_ASSERT_EQ(test, c->cq.ring.buf->producer_index, n);
	for (i = 0; i < n; i++) {
		wc = rxo_ring_elem(&c->cq.ring, i);
		KUNIT_EXPECT_EQ(test, wc->wr_id, i);
		KUNIT_EXPECT_EQ(test, wc->status, want[i]);
	}
}

/* A gap is asked for once, whatever comes before the answer to that. */
static void comp_asks_once(struct kunit *test)
{
	static const enum ib_wc_status want[COMP_READS]; /* all IB_WC_SUCCESS */
	struct comp_env *c = comp_env_get(test);
	int i;

	comp_answer(test, c, 2);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	/* The rest of what was on its way. */
	comp_answer(test, c, 3);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	/* What a wire that reorders still had is no answer to the question. */
	for (i = 0; i < 2 * COMP_RETRIES; i++) {
		comp_answer(test, c, -1 - i);
		comp_answer(test, c, 2 + i % 2);
	}
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);

	/* This is, and the next gap is another one. */
	comp_answer(test, c, 0);
	comp_expect(test, c, 1, 1, COMP_RETRIES);
	for (i = 0; i < 2 * COMP_RETRIES; i++)
		comp_answer(test, c, 2);
	comp_expect(test, c, 1, 2, COMP_RETRIES - 1);
	/* A second answer to what is complete does not begin this one. */
	comp_answer(test, c, 0);
	comp_answer(test, c, 2);
	comp_expect(test, c, 1, 2, COMP_RETRIES - 1);

	/* With it come those that have been kept. */
	comp_answer(test, c, 1);
	comp_expect(test, c, 4, 2, COMP_RETRIES);
	comp_answer(test, c, 4);
	comp_expect(test, c, COMP_READS, 2, COMP_RETRIES);
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&c->qp.run.early));
	comp_expect_wcs(test, c, COMP_READS, want);
}

/* rdma_rxe begins with what is missing, and calls it a MIDDLE: of a READ that is longer here. */
static void comp_begins_in_the_midst(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	comp_answer(test, c, 1);
	KUNIT_EXPECT_TRUE(test, c->qp.req.read_retry);
	comp_give(test, c, RXO_READ_RESP_MIDDLE, 1, 0);
	KUNIT_EXPECT_TRUE(test, c->qp.req.read_retry);
	comp_give(test, c, RXO_READ_RESP_MIDDLE, 0, 0);
	KUNIT_EXPECT_FALSE(test, c->qp.req.read_retry);
}

/* What is answered twice moves nothing the second time. */
static void comp_doubled(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);
	int i;

	for (i = 0; i < COMP_READS; i++) {
		comp_answer(test, c, i);
		comp_answer(test, c, i);
	}
	comp_expect(test, c, COMP_READS, 0, COMP_RETRIES);
	KUNIT_EXPECT_EQ(test, rxo_env_count(c->env, RXO_CNT_rcvd_ghosts),
			COMP_READS);
}

/* The time for an answer is over; the test is the runner. */
static void comp_time_over(struct comp_env *c)
{
	c->qp.attr.timeout = 22; /* 17 s, for all that follows */
	c->qp.retry_at = 0;
	rxo_run_kick(&c->qp, RXO_EV_RETRY);
}

/* What has come by then is no time-out, if nobody has looked at it yet. */
static void comp_unseen(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);
	int i;

	rxo_run_enter(&c->qp);
	for (i = 0; i < 100; i++)
		comp_junk(c);
	comp_answer(test, c, 0);
	comp_time_over(c);
	rxo_run_leave(&c->qp);
	comp_expect(test, c, 1, 0, COMP_RETRIES);
	KUNIT_EXPECT_EQ(test, rxo_env_count(c->env, RXO_CNT_timeouts), 0);
	/* It goes on for the others. */
	KUNIT_EXPECT_TRUE(test, hrtimer_is_queued(&c->qp.retry_timer));
}

/* What is no answer delays it by what was there, not by what comes meanwhile. */
static void comp_unseen_junk(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);
	int i;

	rxo_run_enter(&c->qp);
	for (i = 0; i < 40; i++)
		comp_junk(c);
	c->junk = 1000;
	comp_time_over(c);
	rxo_run_leave(&c->qp);
	flush_workqueue(c->env->run_wq);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	KUNIT_EXPECT_EQ(test, rxo_env_count(c->env, RXO_CNT_timeouts), 1);
	KUNIT_EXPECT_EQ(test, c->junk, 1000 - 40);
}

/* A NAK that the wire doubles is heeded once; another one is another matter. */
static void comp_naked_twice(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	c->qp.attr.timeout = 22;
	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	comp_nak(test, c, 0);
	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	/* After a time-out it may be of what was sent then. */
	rxo_run_enter(&c->qp);
	comp_time_over(c);
	rxo_run_leave(&c->qp);
	comp_expect(test, c, 0, 2, COMP_RETRIES - 2);
	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 3, COMP_RETRIES - 3);
	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 3, COMP_RETRIES - 3);
	/* The next packet is missing. */
	comp_answer(test, c, 0);
	comp_nak(test, c, 1);
	comp_expect(test, c, 1, 4, COMP_RETRIES - 1);
	comp_nak(test, c, 1);
	comp_expect(test, c, 1, 4, COMP_RETRIES - 1);
}

/* No timer would tell that a NAK was lost, so none is taken for a copy. */
static void comp_naked_untimed(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	c->qp.attr.timeout = 0;
	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 2, COMP_RETRIES - 2);
}

/* The time was over, and then made endless: so it is not over. */
static void comp_endless(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	rxo_run_enter(&c->qp);
	comp_time_over(c);
	c->qp.attr.timeout = 0;
	rxo_run_leave(&c->qp);
	comp_expect(test, c, 0, 0, COMP_RETRIES);
}

static void comp_expect_rnr(struct kunit *test, struct comp_env *c, bool wait,
			    u32 retries)
{
	KUNIT_EXPECT_EQ(test, c->qp.req.rnr_wait, wait);
	KUNIT_EXPECT_EQ(test, c->qp.req.rnr_retries, retries);
}

/* So is one of a peer that is not ready; what that says of the same again is new. */
static void comp_rnr_twice(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	comp_rnr(test, c, 0);
	comp_expect_rnr(test, c, true, COMP_RETRIES - 1);
	/* What was on its way behind it. */
	comp_nak(test, c, 0);
	comp_rnr(test, c, 0);
	comp_expect(test, c, 0, 2, COMP_RETRIES - 1);
	comp_expect_rnr(test, c, true, COMP_RETRIES - 1);
	/* It is here when the wait is over, and nothing was sent again. */
	rxo_run_enter(&c->qp);
	comp_rnr(test, c, 0);
	rxo_run_kick(&c->qp, RXO_EV_RNR);
	rxo_run_leave(&c->qp);
	comp_expect_rnr(test, c, false, COMP_RETRIES - 1);
	comp_expect(test, c, 0, 2, COMP_RETRIES - 1);
	/* It has come there, so this one is of a new loss. */
	comp_nak(test, c, 0);
	comp_expect(test, c, 0, 3, COMP_RETRIES - 2);
	comp_rnr(test, c, 0);
	comp_expect(test, c, 0, 4, COMP_RETRIES - 2);
	comp_expect_rnr(test, c, true, COMP_RETRIES - 2);
}

/* READ 2 is what the peer has refused; the others are flushed. */
static const enum ib_wc_status comp_refused[COMP_READS] = {
	IB_WC_SUCCESS,	    IB_WC_SUCCESS,	IB_WC_REM_OP_ERR,
	IB_WC_WR_FLUSH_ERR, IB_WC_WR_FLUSH_ERR,
};

/* A peer's last word counts, even if it comes before what was said before it. */
static void comp_refused_early(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	c->qp.req.retries = 0;
	comp_refuse(test, c, 2);
	comp_expect(test, c, 0, 0, 0);
	comp_answer(test, c, 0);
	comp_expect(test, c, 1, 0, COMP_RETRIES);
	comp_answer(test, c, 1);
	KUNIT_EXPECT_EQ(test, c->qp.state, IB_QPS_ERR);
	comp_expect_wcs(test, c, COMP_READS, comp_refused);
}

/* So does what it said before that and will not repeat, though one overtakes the other. */
static void comp_overtaken(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	comp_answer(test, c, 1);
	comp_refuse(test, c, 2);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	comp_answer(test, c, 0);
	KUNIT_EXPECT_EQ(test, c->qp.state, IB_QPS_ERR);
	comp_expect_wcs(test, c, COMP_READS, comp_refused);
	KUNIT_EXPECT_EQ(test, rxo_env_count(c->env, RXO_CNT_rcvd_early), 1);
}

/* The same where the last word is not among those that overtake. */
static void comp_overtaken_first(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);

	comp_answer(test, c, 1);
	comp_answer(test, c, 0);
	comp_expect(test, c, 2, 1, COMP_RETRIES);
	comp_refuse(test, c, 2);
	KUNIT_EXPECT_EQ(test, c->qp.state, IB_QPS_ERR);
	comp_expect_wcs(test, c, COMP_READS, comp_refused);
}

/* Bytes are not kept: the READ before may be repeated, and they would be older. */
static void comp_overtaken_bytes(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_READ_RESP_ONLY,
		.pkey = RXO_PKEY_DEFAULT,
		.psn = rxo_psn_add(COMP_PSN, 1),
		.syndrome = RXO_SYN_ACK | RXO_SYN_NO_CREDITS,
		.payload_len = 4,
	};

	rxo_run_packet(&c->qp, rxo_env_packet(test, &pkt), &pkt);
	comp_expect(test, c, 0, 1, COMP_RETRIES - 1);
	KUNIT_EXPECT_EQ(test, rxo_env_count(c->env, RXO_CNT_rcvd_early), 0);
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&c->qp.run.early));
}

/* Only so many are kept, and they go with the QP's error. */
static void comp_too_early(struct kunit *test)
{
	struct comp_env *c = comp_env_get(test);
	u32 kept;
	int i;

	for (i = 0; i < 100; i++)
		comp_answer(test, c, 1 + i % 4);
	kept = rxo_env_count(c->env, RXO_CNT_rcvd_early);
	KUNIT_EXPECT_GE(test, kept, 4);
	KUNIT_EXPECT_LE(test, kept, 32);
	KUNIT_EXPECT_EQ(test, kept, skb_queue_len(&c->qp.run.early));
	KUNIT_EXPECT_EQ(test, 100 - kept,
			rxo_env_count(c->env, RXO_CNT_rcvd_too_early));
	comp_refuse(test, c, 0);
	KUNIT_EXPECT_EQ(test, c->qp.state, IB_QPS_ERR);
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&c->qp.run.early));
	KUNIT_EXPECT_EQ(test, kept,
			rxo_env_count(c->env, RXO_CNT_rcvd_flushed));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&c->env->dev.queued));
}

static struct kunit_case comp_cases[] = {
	KUNIT_CASE(comp_asks_once),
	KUNIT_CASE(comp_begins_in_the_midst),
	KUNIT_CASE(comp_doubled),
	KUNIT_CASE(comp_unseen),
	KUNIT_CASE(comp_unseen_junk),
	KUNIT_CASE(comp_naked_twice),
	KUNIT_CASE(comp_naked_untimed),
	KUNIT_CASE(comp_endless),
	KUNIT_CASE(comp_rnr_twice),
	KUNIT_CASE(comp_refused_early),
	KUNIT_CASE(comp_overtaken),
	KUNIT_CASE(comp_overtaken_first),
	KUNIT_CASE(comp_overtaken_bytes),
	KUNIT_CASE(comp_too_early),
	{}
};

static struct kunit_suite comp_suite = {
	.name = "rxo_comp",
	.init = rxo_env_init,
	.test_cases = comp_cases,
};

kunit_test_suite(comp_suite);
