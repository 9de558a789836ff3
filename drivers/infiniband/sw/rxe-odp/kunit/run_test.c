// SPDX-License-Identifier: GPL-2.0
/*
 * The runner and the timers of a QP.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>

#include "../alive.h"
#include "../compat/compat.h"
#include "../cq.h"
#include "../qp.h"
#include "../req.h"
#include "../run.h"
#include "../swqe.h"
#include "../wire/packet.h"
#include "../wire/psn.h"
#include "../wire/rc.h"
#include "env.h"
#include "run_env.h"

static bool run_idle(struct run_env *r)
{
	struct rxo_run *run = &r->qp.run;
	bool idle;

	spin_lock_bh(&run->lock);
	idle = !run->busy && !run->entering && !run->events &&
	       skb_queue_empty(&run->requests) &&
	       skb_queue_empty(&run->responses);
	spin_unlock_bh(&run->lock);
	return idle;
}

/* The time is a limit for what hangs, not for what is slow. */
static bool run_wait_idle(struct run_env *r)
{
	unsigned long end = jiffies + 60 * HZ;

	while (!run_idle(r) && time_before(jiffies, end))
		usleep_range(100, 1000);
	return run_idle(r);
}

static void run_check(struct kunit *test, struct run_env *r)
{
	KUNIT_EXPECT_TRUE(test, run_wait_idle(r));
	KUNIT_EXPECT_EQ(test, atomic_read(&r->twice), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->done), atomic_read(&r->sent));
}

/* One packet runs in its bringer's context, to the end, at once. */
static void run_once(struct kunit *test)
{
	struct run_env *r = run_env_get(test);

	r->caller = current;
	run_give(r, true);
	KUNIT_EXPECT_EQ(test, r->in_caller, 1);
	KUNIT_EXPECT_TRUE(test, run_idle(r));
	run_give(r, false);
	KUNIT_EXPECT_EQ(test, r->in_caller, 2);
	KUNIT_EXPECT_TRUE(test, run_idle(r));
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_budget_yields), 0);
	run_check(test, r);
}

/* Packets in a row are run together, but for those that there would be no room for. */
static void run_row(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	int i;

	r->caller = current;
	for (i = 0; i < 10; i++)
		run_give_in_row(r, i & 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->done), 0);
	rxo_run_kick(&r->qp, 0);
	KUNIT_EXPECT_EQ(test, r->in_caller, 10);
	KUNIT_EXPECT_TRUE(test, run_idle(r));

	r->env->dev.max_queued = 2 * 7 + 1;
	for (i = 0; i < 105; i++)
		run_give_in_row(r, true);
	KUNIT_EXPECT_GT(test, atomic_read(&r->done), 10 + 90);
	KUNIT_EXPECT_LT(test, atomic_read(&r->done), 10 + 105);
	rxo_run_kick(&r->qp, 0);
	KUNIT_EXPECT_EQ(test, r->in_caller, 10 + 105);
	/* Who waits for a page is told of each: its peer may ask again. */
	r->qp.alive.counted = true;
	run_give_in_row(r, true);
	KUNIT_EXPECT_EQ(test, r->in_caller, 10 + 106);
	r->qp.alive.counted = false;
	KUNIT_EXPECT_EQ(test, 0,
			rxo_env_count(r->env, RXO_CNT_rcvd_queue_full));
	run_check(test, r);
}

/* Work that comes up while running is taken along, within a budget. */
static void run_budget(struct kunit *test)
{
	struct run_env *r = run_env_get(test);

	r->chain = 10 * RUN_BUDGET;
	r->caller = current;
	run_give(r, true);
	KUNIT_EXPECT_LE(test, r->in_caller, RUN_BUDGET + RUN_BATCH);
	KUNIT_EXPECT_GE(test, r->in_caller, RUN_BUDGET - RUN_BATCH);
	run_check(test, r);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->done), 10 * RUN_BUDGET + 1);
	KUNIT_EXPECT_GE(test, rxo_env_count(r->env, RXO_CNT_budget_yields), 9);
	/* The worker is not in softirq. */
	KUNIT_EXPECT_EQ(test, r->in_softirq, 0);
}

/* Softirqs have a smaller one. */
static void run_budget_softirq(struct kunit *test)
{
	struct run_env *r = run_env_get(test);

	r->chain = 1000;
	tasklet_schedule(&r->tasklet);
	while (!atomic_read(&r->sent))
		usleep_range(100, 1000);
	run_check(test, r);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->done), 1001);
	KUNIT_EXPECT_GE(test, r->in_softirq, 1);
	KUNIT_EXPECT_LE(test, r->in_softirq, RUN_BUDGET_SOFTIRQ + RUN_BATCH);
}

/* A verb that waits has the QP before a run that would never end. */
static void run_enter_first(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	unsigned int i;

	r->chain = UINT_MAX;
	run_give(r, true);
	for (i = 0; i < 20; i++) {
		rxo_run_enter(&r->qp);
		KUNIT_EXPECT_EQ(test, atomic_read(&r->inside), 0);
		KUNIT_EXPECT_TRUE(test, r->qp.run.busy);
		/* Nobody else runs it meanwhile, though there is work. */
		KUNIT_EXPECT_FALSE(test, work_pending(&r->qp.run.work));
		KUNIT_EXPECT_FALSE(test,
				   skb_queue_empty(&r->qp.run.requests) &&
				   skb_queue_empty(&r->qp.run.responses));
		if (i == 19)
			r->chain = 0;
		rxo_run_leave(&r->qp);
	}
	run_check(test, r);
}

/* Packets wait for their runner up to a number; more are counted and dropped. */
static void run_queue_full(struct kunit *test)
{
	const struct rxo_packet pkt = { .flags = RXO_OP_REQ };
	struct run_env *r = run_env_get(test);
	struct sk_buff *skb;
	unsigned int i;

	rxo_run_enter(&r->qp);
	for (i = 0; i < RUN_QUEUE; i++)
		run_give(r, true);
	/* The other queue is another one. */
	run_give(r, false);
	for (i = 0; i < 5; i++) {
		skb = rxo_env_skb();
		KUNIT_ASSERT_NOT_NULL(test, skb);
		rxo_run_packet(&r->qp, skb, &pkt);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&r->done), 0);
	KUNIT_EXPECT_EQ(test, skb_queue_len(&r->qp.run.requests), RUN_QUEUE);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_rcvd_queue_full),
			5);
	rxo_run_leave(&r->qp);
	run_check(test, r);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_rcvd_no_qp),
			RUN_QUEUE);
}

/* The device has a limit for all its queues; what each has of its own is not in it. */
static void run_device_full(struct kunit *test)
{
	const struct rxo_packet pkt = { .flags = RXO_OP_REQ };
	struct run_env *r = run_env_get(test);
	struct rxo_dev *dev = &r->env->dev;
	struct sk_buff *skb;
	unsigned int i;

	/* And they do not have more than they leave. */
	dev->max_queued = 2 * 7 + 1;
	rxo_run_enter(&r->qp);
	for (i = 0; i < RUN_OWN + 7; i++)
		run_give(r, true);
	KUNIT_EXPECT_EQ(test, atomic_read(&dev->queued), 7);
	skb = rxo_env_skb();
	KUNIT_ASSERT_NOT_NULL(test, skb);
	rxo_run_packet(&r->qp, skb, &pkt);
	KUNIT_EXPECT_EQ(test, skb_queue_len(&r->qp.run.requests), RUN_OWN + 7);
	KUNIT_EXPECT_EQ(test, atomic_read(&dev->queued), 7);
	/* Another queue has its own as well. */
	for (i = 0; i < RUN_OWN; i++)
		run_give(r, false);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_rcvd_queue_full),
			1);
	rxo_run_leave(&r->qp);
	run_check(test, r);
	KUNIT_EXPECT_EQ(test, atomic_read(&dev->queued), 0);
}

/* Purging leaves nothing, and is no step. */
static void run_purge(struct kunit *test)
{
	struct run_env *r = run_env_get(test);

	rxo_run_enter(&r->qp);
	run_give(r, true);
	run_give(r, false);
	rxo_run_kick(&r->qp, RXO_EV_DOORBELL);
	rxo_run_later(&r->qp);
	KUNIT_EXPECT_NE(test, r->qp.run.events, 0);
	rxo_run_purge(&r->qp);
	KUNIT_EXPECT_EQ(test, r->qp.run.events, 0);
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&r->qp.run.requests));
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&r->qp.run.responses));
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&r->qp.run.later));
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_rcvd_no_qp), 0);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_rcvd_flushed), 2);
	rxo_run_leave(&r->qp);
	run_check(test, r);
}

static int run_producer(void *arg)
{
	struct run_env *r = arg;
	unsigned int n = 0;

	while (!READ_ONCE(r->stop)) {
		/* Below the queue's limit, so that all must come through. */
		if (atomic_read(&r->sent) - atomic_read(&r->done) > 500) {
			usleep_range(50, 100);
			continue;
		}
		n++;
		if (n & 64)
			run_give_in_row(r, n & 1);
		else
			run_give(r, n & 1);
		if (!(n & 7))
			rxo_run_kick(&r->qp, n & 64 ? 0 : RXO_EV_DOORBELL);
		if (!(n & 15))
			tasklet_schedule(&r->tasklet);
		if (!(n & 63))
			cond_resched();
	}
	rxo_run_kick(&r->qp, 0);
	return 0;
}

static int run_enterer(void *arg)
{
	struct run_env *r = arg;

	while (!READ_ONCE(r->stop)) {
		rxo_run_enter(&r->qp);
		if (atomic_inc_return(&r->inside) != 1)
			atomic_inc(&r->twice);
		atomic_inc(&r->entered);
		ndelay(2000);
		/* Sleeping is allowed. */
		if (!(atomic_read(&r->entered) & 15))
			usleep_range(20, 50);
		atomic_dec(&r->inside);
		rxo_run_leave(&r->qp);
		cond_resched();
	}
	return 0;
}

/* Threads, softirqs and verbs at once: one runner at a time, nothing lost. */
static void run_race(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct task_struct *threads[4];
	int i;

	threads[0] = hmm_mirror_kunit_thread(test, run_producer, r);
	threads[1] = hmm_mirror_kunit_thread(test, run_producer, r);
	threads[2] = hmm_mirror_kunit_thread(test, run_enterer, r);
	threads[3] = hmm_mirror_kunit_thread(test, run_enterer, r);
	/* By work done, not by time; the time is for what hangs. */
	for (i = 0; i < 3000 && (atomic_read(&r->done) < 30000 ||
				 atomic_read(&r->entered) < 300); i++)
		msleep(20);
	WRITE_ONCE(r->stop, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		hmm_mirror_kunit_stop(test, threads[i]);
	tasklet_kill(&r->tasklet);
	kunit_info(test, "%d packets, entered %d times, %u steps in softirq\n",
		   atomic_read(&r->done), atomic_read(&r->entered),
		   r->in_softirq);
	KUNIT_EXPECT_GE(test, atomic_read(&r->done), 30000);
	KUNIT_EXPECT_GE(test, atomic_read(&r->entered), 300);
	run_check(test, r);
}

/*
 * What lacked memory is tried again a millisecond later, again and again: the
 * timer is started while its own function runs the QP.
 */
static void run_later(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct rxo_run *run = &r->qp.run;
	unsigned long end = jiffies + 60 * HZ;
	struct sk_buff *skb;
	int i;

	r->later = true;
	for (i = 1; i <= 20; i++) {
		skb = run_skb(r);
		KUNIT_ASSERT_NOT_NULL(test, skb);
		rxo_run_enter(&r->qp);
		/* Left without a step, and with nothing that brings one. */
		spin_lock_bh(&run->lock);
		__skb_queue_tail(&run->requests, skb);
		atomic_inc(&r->sent);
		/* Under the lock, or it might be over before the QP is idle. */
		rxo_run_later(&r->qp);
		rxo_run_later(&r->qp);
		run->busy = false;
		spin_unlock_bh(&run->lock);

		while ((atomic_read(&r->done) < i ||
			hrtimer_active(&run->later)) &&
		       time_before(jiffies, end))
			usleep_range(100, 1000);
		KUNIT_EXPECT_EQ(test, atomic_read(&r->done), i);
		KUNIT_EXPECT_EQ(test, r->queued, i);
	}
	/* The others in a worker, where steps are so slow that timers owe time. */
	KUNIT_EXPECT_GE(test, r->in_softirq, 1);
	run_check(test, r);
}

/* A timer that is started inside of its own function. */
static void timer_retry_rearm(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct rxo_qp *qp = &r->qp;
	unsigned long end = jiffies + 60 * HZ;
	unsigned int moved = 0;
	ktime_t at, last;

	rxo_run_enter(qp);
	qp->state = IB_QPS_RTS;
	qp->attr.timeout = 8; /* 1 ms */
	qp->req.retries = 7;
	qp->req.una = 5;
	qp->req.psn = 6;
	/* A fault of ours is under way: only ever arm again. */
	qp->comp.park.state = RXO_PARK_WAITING;
	rxo_qp_arm_retry(qp);
	last = READ_ONCE(qp->retry_at);
	rxo_run_leave(qp);
	while (moved < 10 && time_before(jiffies, end)) {
		usleep_range(200, 500);
		at = READ_ONCE(qp->retry_at);
		moved += at != last;
		last = at;
	}
	KUNIT_EXPECT_EQ(test, moved, 10);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_timeouts), 0);

	/* The fault has ended: the time-out counts. */
	rxo_run_enter(qp);
	qp->comp.park.state = RXO_PARK_NONE;
	rxo_run_leave(qp);
	while (!rxo_env_count(r->env, RXO_CNT_timeouts) &&
	       time_before(jiffies, end))
		usleep_range(200, 500);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_timeouts), 1);
	rxo_run_enter(qp);
	KUNIT_EXPECT_EQ(test, qp->req.retries, 6);
	KUNIT_EXPECT_EQ(test, qp->req.psn, 5);
	rxo_run_leave(qp);
}

/* A new time is true for what waits already. */
static void timer_retry_modified(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct ib_qp_attr attr = { .timeout = 22 }; /* 17 s */
	struct rxo_qp *qp = &r->qp;

	qp->ib.qp_type = IB_QPT_RC;
	rxo_run_enter(qp);
	qp->state = IB_QPS_SQD;
	qp->attr.timeout = 31; /* hours */
	qp->req.retries = 7;
	qp->req.una = 5;
	qp->req.psn = 6;
	rxo_qp_arm_retry(qp);
	rxo_run_leave(qp);

	KUNIT_EXPECT_EQ(test, 0,
			rxo_qp_modify(&qp->ib, &attr, IB_QP_TIMEOUT, NULL));
	rxo_run_enter(qp);
	KUNIT_EXPECT_TRUE(test, hrtimer_is_queued(&qp->retry_timer));
	KUNIT_EXPECT_EQ(test, hrtimer_get_expires(&qp->retry_timer),
			qp->retry_at);
	KUNIT_EXPECT_LT(test, ktime_to_ns(ktime_sub(qp->retry_at, ktime_get())),
			18 * NSEC_PER_SEC);
	rxo_run_leave(qp);

	/* Never */
	attr.timeout = 0;
	KUNIT_EXPECT_EQ(test, 0,
			rxo_qp_modify(&qp->ib, &attr, IB_QP_TIMEOUT, NULL));
	KUNIT_EXPECT_FALSE(test, hrtimer_is_queued(&qp->retry_timer));
	/* From now on */
	attr.timeout = 22;
	KUNIT_EXPECT_EQ(test, 0,
			rxo_qp_modify(&qp->ib, &attr, IB_QP_TIMEOUT, NULL));
	KUNIT_EXPECT_TRUE(test, hrtimer_is_queued(&qp->retry_timer));
}

/* A SEND to nowhere. */
static void timer_post_send(struct run_env *r)
{
	struct rxo_ring *ring = &r->qp.req.ring;
	struct rxe_send_wqe *user = rxo_ring_elem(ring, 0);

	user->wr.wr_id = 0x1234567890abcdef;
	user->wr.opcode = IB_WR_SEND;
	user->wr.send_flags = IB_SEND_SIGNALED;
	ring->buf->producer_index = 1;
}

/*
 * A peer that never answers: as many time-outs as the QP has retries, and one
 * more, then the error. Every arming but the first is from inside of the timer.
 */
static void timer_retry_exceeded(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct rxo_qp *qp = &r->qp;
	unsigned long end = jiffies + 60 * HZ;
	struct ib_uverbs_wc *wc;

	timer_post_send(r);
	rxo_run_enter(qp);
	qp->state = IB_QPS_RTS;
	qp->attr.timeout = 8;
	qp->attr.retry_cnt = 5;
	qp->req.retries = 5;
	rxo_env_sq_psn(qp, 0xfffffe);
	rxo_run_leave(qp);
	rxo_run_kick(qp, RXO_EV_DOORBELL);

	while (!READ_ONCE(r->cq.ring.buf->producer_index) &&
	       time_before(jiffies, end))
		usleep_range(200, 500);
	KUNIT_ASSERT_EQ(test, READ_ONCE(r->cq.ring.buf->producer_index), 1);
	wc = rxo_ring_elem(&r->cq.ring, 0);
	KUNIT_EXPECT_EQ(test, wc->status, IB_WC_RETRY_EXC_ERR);
	KUNIT_EXPECT_EQ(test, wc->wr_id, 0x1234567890abcdef);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_timeouts), 6);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_retransmits), 5);
	/* Nothing was ever sent, as there is no route. */
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_send_errors), 6);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_retry_exceeded), 1);
	KUNIT_EXPECT_TRUE(test, run_wait_idle(r));
	KUNIT_EXPECT_EQ(test, qp->state, IB_QPS_ERR);
	KUNIT_EXPECT_FALSE(test, hrtimer_is_queued(&qp->retry_timer));
}

/* An RNR NAK stops the requester for its time, once. */
static void timer_rnr(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct rxo_qp *qp = &r->qp;
	unsigned long end = jiffies + 60 * HZ;
	unsigned int i;

	timer_post_send(r);
	rxo_run_enter(qp);
	qp->state = IB_QPS_RTS;
	qp->attr.timeout = 0; /* no retransmission */
	qp->req.rnr_retries = 3;
	rxo_run_leave(qp);
	rxo_run_kick(qp, RXO_EV_DOORBELL);
	for (i = 1; i <= 3; i++) {
		rxo_run_enter(qp);
		KUNIT_EXPECT_EQ(test, qp->req.psn, 1);
		rxo_req_rnr(qp, 1); /* 10 us */
		KUNIT_EXPECT_TRUE(test, qp->req.rnr_wait);
		KUNIT_EXPECT_EQ(test, qp->req.psn, 0);
		rxo_run_leave(qp);
		while (READ_ONCE(qp->req.rnr_wait) && time_before(jiffies, end))
			usleep_range(50, 200);
		KUNIT_EXPECT_TRUE(test, run_wait_idle(r));
		/* Sent again. */
		KUNIT_EXPECT_EQ(test,
				rxo_env_count(r->env, RXO_CNT_send_errors),
				i + 1);
	}
	rxo_run_enter(qp);
	rxo_req_rnr(qp, 1);
	KUNIT_EXPECT_FALSE(test, qp->req.rnr_wait);
	rxo_run_leave(qp);
	KUNIT_EXPECT_EQ(test, qp->state, IB_QPS_ERR);
	KUNIT_EXPECT_EQ(test,
			((struct ib_uverbs_wc *)rxo_ring_elem(&r->cq.ring,
							      0))->status,
			IB_WC_RNR_RETRY_EXC_ERR);
}

/* As long as the responder waits for a page the peer hears of it. */
static void timer_alive(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct rxo_qp *qp = &r->qp;
	unsigned long end = jiffies + 60 * HZ;
	u64 beats;

	rxo_run_enter(qp);
	qp->state = IB_QPS_RTS;
	qp->attr.timeout = 10;
	qp->resp.park.state = RXO_PARK_WAITING;
	rxo_alive_start(qp);
	rxo_run_leave(qp);
	do {
		usleep_range(200, 500);
		beats = rxo_env_count(r->env, RXO_CNT_sent_keepalives);
	} while (beats < 10 && time_before(jiffies, end));
	KUNIT_EXPECT_GE(test, beats, 10);
	KUNIT_EXPECT_EQ(test, qp->alive.usec, rxo_timeout_usec(10) / 4);
	/* Nobody has to be told that often whose time-out is this long. */
	rxo_run_enter(qp);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->env->dev.waiting), 1);
	qp->attr.timeout = 20;
	rxo_run_leave(qp);
	do {
		usleep_range(200, 500);
	} while (READ_ONCE(qp->alive.usec) < 16000 &&
		 time_before(jiffies, end));
	KUNIT_EXPECT_EQ(test, READ_ONCE(qp->alive.usec), 16000);
	/* The page has come: silence. */
	rxo_run_enter(qp);
	qp->resp.park.state = RXO_PARK_NONE;
	beats = rxo_env_count(r->env, RXO_CNT_sent_keepalives);
	rxo_run_leave(qp);
	while (hrtimer_active(&qp->alive.timer) && time_before(jiffies, end))
		usleep_range(200, 500);
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&qp->alive.timer));
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_sent_keepalives),
			beats);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->env->dev.waiting), 0);
}

/*
 * The responder waits, tells the peer so many times, and is @asked again so many
 * microseconds after the last of them, if that is not 0.
 */
static void timer_alive_wait(struct kunit *test, struct rxo_qp *qp, u32 times,
			     u32 asked)
{
	/* A duplicate. */
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_SEND_ONLY,
		.pkey = RXO_PKEY_DEFAULT,
		.psn = RXO_PSN_MASK,
	};

	rxo_run_enter(qp);
	qp->resp.park.state = RXO_PARK_WAITING;
	rxo_alive_start(qp);
	while (times--)
		rxo_alive_beat(qp);
	if (asked) {
		rxo_run_packet(qp, rxo_env_packet(test, &pkt), &pkt);
		qp->alive.told = ktime_sub_us(ktime_get(), asked);
		rxo_alive_heard(qp);
	}
	qp->resp.park.state = RXO_PARK_NONE;
	rxo_run_leave(qp);
}

/* A peer that has asked early once, and then not any more, is not told early for ever. */
static void timer_alive_fades(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct rxo_qp *qp = &r->qp;
	u32 i, usec;

	rxo_run_enter(qp);
	qp->state = IB_QPS_RTS;
	qp->attr.timeout = 20;
	rxo_run_leave(qp);
	timer_alive_wait(test, qp, 0, 1000);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_peers_in_a_hurry),
			1);
	usec = qp->alive.peer_usec;
	KUNIT_EXPECT_GE(test, usec, 1000);

	/* Told more rarely than that it might not have asked yet. */
	timer_alive_wait(test, qp, 3, 0);
	timer_alive_wait(test, qp, 0, 0);
	KUNIT_EXPECT_EQ(test, qp->alive.peer_usec, usec);
	/* It asks again: the hurry is true. */
	timer_alive_wait(test, qp, 100, usec + 1000);
	timer_alive_wait(test, qp, 0, 0);
	KUNIT_EXPECT_EQ(test, qp->alive.peer_usec, usec);

	/* Page after page for the same packet is one wait. */
	timer_alive_wait(test, qp, 100, 0);
	qp->resp.park.tries = 2;
	timer_alive_wait(test, qp, 0, 0);
	KUNIT_EXPECT_EQ(test, qp->alive.peer_usec, usec);
	qp->resp.park.tries = 0;

	for (i = 0; i < 8 && qp->alive.peer_usec; i++)
		timer_alive_wait(test, qp, 10, 0);
	KUNIT_EXPECT_EQ(test, qp->alive.peer_usec, 0);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_peers_calmed), i);
	/* As if it had never been. */
	timer_alive_wait(test, qp, 10, 0);
	KUNIT_EXPECT_EQ(test, qp->alive.usec, 16000);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_peers_calmed), i);
	/* A look when nothing is waited for, and the timer is queued all the same. */
	rxo_run_enter(qp);
	rxo_alive_beat(qp);
	rxo_run_leave(qp);
	timer_alive_wait(test, qp, 0, 3000);
	KUNIT_EXPECT_EQ(test, rxo_env_count(r->env, RXO_CNT_peers_in_a_hurry),
			2);
	KUNIT_EXPECT_LT(test, qp->alive.peer_usec, 16000);
}

static int run_ask(void *arg)
{
	struct run_env *r = arg;
	struct ib_qp_init_attr init;
	struct ib_qp_attr attr;

	if (rxo_qp_query(&r->qp.ib, &attr, 0, &init) == -EAGAIN)
		atomic_inc(&r->entered);
	return 0;
}

static void run_refused(struct kunit *test, struct run_env *r, int times)
{
	int i;

	for (i = 0; i < 1000 && atomic_read(&r->entered) < times; i++)
		usleep_range(1000, 2000);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->entered), times);
}

/* Who asks for a QP waits for a runner, but not for one that may take for ever. */
static void run_end(struct kunit *test)
{
	struct run_env *r = run_env_get(test);
	struct task_struct *before, *meanwhile, *after;

	rxo_run_enter(&r->qp);
	before = hmm_mirror_kunit_thread(test, run_ask, r);
	msleep(20);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->entered), 0);
	rxo_run_leave(&r->qp);
	hmm_mirror_kunit_stop(test, before);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->entered), 0);

	rxo_run_enter(&r->qp);
	meanwhile = hmm_mirror_kunit_thread(test, run_ask, r);
	rxo_run_waits(&r->qp, true);
	run_refused(test, r, 1);
	rxo_run_waits(&r->qp, false);
	rxo_run_leave(&r->qp);
	hmm_mirror_kunit_stop(test, meanwhile);

	rxo_run_end(&r->qp);
	after = hmm_mirror_kunit_thread(test, run_ask, r);
	run_refused(test, r, 2);
	/* As if it lived on, for the end of the test. */
	r->qp.run.ended = false;
	rxo_run_leave(&r->qp);
	hmm_mirror_kunit_stop(test, after);
}

static struct kunit_case run_cases[] = {
	KUNIT_CASE(run_once),
	KUNIT_CASE(run_budget),
	KUNIT_CASE(run_budget_softirq),
	KUNIT_CASE(run_enter_first),
	KUNIT_CASE(run_queue_full),
	KUNIT_CASE(run_device_full),
	KUNIT_CASE(run_purge),
	KUNIT_CASE(run_row),
	KUNIT_CASE(run_race),
	KUNIT_CASE(run_later),
	KUNIT_CASE(run_end),
	KUNIT_CASE(timer_retry_rearm),
	KUNIT_CASE(timer_retry_modified),
	KUNIT_CASE(timer_retry_exceeded),
	KUNIT_CASE(timer_rnr),
	KUNIT_CASE(timer_alive),
	KUNIT_CASE(timer_alive_fades),
	{}
};

static struct kunit_suite run_suite = {
	.name = "rxo_run",
	.init = rxo_env_init,
	.test_cases = run_cases,
};

kunit_test_suite(run_suite);
