// SPDX-License-Identifier: GPL-2.0
/* tests/model/runner.pml models this, park.c and destroying, step by step. */
#include "alive.h"
#include "comp.h"
#include "compat/compat.h"
#include "dev.h"
#include "park.h"
#include "qp.h"
#include "quota.h"
#include "req.h"
#include "resp.h"
#include "run.h"

/*
 * Received packets a QP may have waiting; more are dropped. Go-back-N recovers, and
 * where nothing does there is place for longer faults.
 */
#define RXO_RUN_QUEUE 1024
#define RXO_RUN_QUEUE_UNRELIABLE 4096

/*
 * Responses kept for those that they have overtaken. Who sends them may move from one CPU
 * to another, and each has a backlog of its own; so there are a few, and seldom.
 */
#define RXO_RUN_EARLY 16

/*
 * So many of a queue are its own. The others are counted for the whole device, which
 * has a limit: they are nobody's memory to the kernel's accounts, and a process that
 * parks thousands of QPs would fill the machine with them. Of these no process has more
 * than it leaves to others, as with objects: see quota.h. When it has used them up its
 * QPs go on, slowly, with what is their own; which is little, as there are thousands.
 */
#define RXO_RUN_OWN 2

/* Steps between two looks at what softirqs have brought on this CPU. */
#define RXO_RUN_BATCH 16

/*
 * Steps before the rest goes to a worker; fewer in softirq, so that what we send
 * over loopback does not overrun a backlog that waits for us to end.
 */
#define RXO_RUN_BUDGET 256
#define RXO_RUN_BUDGET_SOFTIRQ 64

/*
 * What timers may take of a CPU in softirq: one part in so many of its time, and, after
 * a rest, so much at once. By time, as steps that are slow would never be too many.
 */
#define RXO_RUN_TIMERS_SHARE 4
#define RXO_RUN_TIMERS_NSEC (500 * NSEC_PER_USEC)

/*
 * Until when what timers have run here is paid for, RXO_RUN_TIMERS_SHARE times as long
 * as it took; ktime_get_ns(). Only for timers' softirq, on its CPU.
 */
static DEFINE_PER_CPU(u64, rxo_run_timers_paid);

/* One step of each part that has something to do. */
static bool rxo_run_step(struct rxo_qp *qp)
{
	bool more;

	more = rxo_comp_step(qp);
	more |= rxo_resp_step(qp);
	more |= rxo_req_step(qp);
	return more;
}

static void rxo_run_events(struct rxo_qp *qp)
{
	u32 events;

	spin_lock_bh(&qp->run.lock);
	events = qp->run.events;
	qp->run.events = 0;
	spin_unlock_bh(&qp->run.lock);

	if (events & RXO_EV_RETRY)
		rxo_req_timeout(qp);
	if (events & RXO_EV_RNR)
		rxo_req_rnr_over(qp);
	if (events & RXO_EV_ALIVE)
		rxo_alive_beat(qp);
	if (events & RXO_EV_PACKET)
		rxo_alive_heard(qp);
	/* For all others the steps look for themselves. */
}

static void rxo_run_let_go(struct rxo_run *run)
{
	lockdep_assert_held(&run->lock);

	run->busy = false;
	/* Who waits came under the lock. */
	if (waitqueue_active(&run->idle))
		wake_up(&run->idle);
}

/*
 * Be the runner no more. False when there is something to do: @more, or an event;
 * every new packet sets one, those that a parked side leaves queued do not count.
 * A verb that wants to enter goes first; it does what is left when it leaves.
 */
static bool rxo_run_stop(struct rxo_qp *qp, bool more)
{
	struct rxo_run *run = &qp->run;
	bool stop;

	spin_lock_bh(&run->lock);
	stop = run->entering || (!more && !run->events);
	if (stop)
		rxo_run_let_go(run);
	spin_unlock_bh(&run->lock);
	return stop;
}

/* The same with work left, for somebody who kicks the QP again. */
static void rxo_run_pause(struct rxo_qp *qp)
{
	spin_lock_bh(&qp->run.lock);
	rxo_run_let_go(&qp->run);
	spin_unlock_bh(&qp->run.lock);
}

/*
 * Ownership goes to the work, or to a verb that wants it: rxo_run_enter_unless() finds it
 * either not yet given away, or the work pending.
 */
static void rxo_run_yield(struct rxo_qp *qp)
{
	struct rxo_run *run = &qp->run;

	rxo_run_assert(qp);
	rxo_count(qp->dev, budget_yields);
	spin_lock_bh(&run->lock);
	if (run->entering)
		rxo_run_let_go(run);
	else
		queue_work(run->wq, &run->work);
	spin_unlock_bh(&run->lock);
}

static void rxo_run(struct rxo_qp *qp)
{
	int budget = in_serving_softirq() ? RXO_RUN_BUDGET_SOFTIRQ :
					    RXO_RUN_BUDGET;
	bool more;
	int i;

	do {
		local_bh_disable();
		rxo_run_events(qp);
		more = true;
		for (i = 0; more && i < RXO_RUN_BATCH; i++)
			more = rxo_run_step(qp);
		budget -= i;
		local_bh_enable();

		if (more && rxo_bell_pauses(qp)) {
			rxo_run_pause(qp);
			return;
		}
		/* Others may bring events for ever, and never more than a step. */
		if (budget <= 0 && (more || READ_ONCE(qp->run.events)) &&
		    !READ_ONCE(qp->run.entering)) {
			rxo_run_yield(qp);
			return;
		}
	} while (!rxo_run_stop(qp, more));
}

static void rxo_run_work(struct work_struct *work)
{
	struct rxo_qp *qp = container_of(work, struct rxo_qp, run.work);

	rxo_run_assert(qp);
	rxo_run(qp);
}

static enum hrtimer_restart rxo_run_later_fn(struct hrtimer *timer)
{
	rxo_run_timer(container_of(timer, struct rxo_qp, run.later),
		      RXO_EV_LATER);
	return HRTIMER_NORESTART;
}

void rxo_run_later(struct rxo_qp *qp)
{
	rxo_run_assert(qp);
	if (!hrtimer_is_queued(&qp->run.later))
		hrtimer_start(&qp->run.later, ms_to_ktime(1),
			      HRTIMER_MODE_REL_SOFT);
}

void rxo_run_init(struct rxo_qp *qp, struct workqueue_struct *wq)
{
	struct rxo_run *run = &qp->run;

	spin_lock_init(&run->lock);
	__skb_queue_head_init(&run->requests);
	__skb_queue_head_init(&run->responses);
	__skb_queue_head_init(&run->early);
	init_waitqueue_head(&run->idle);
	INIT_WORK(&run->work, rxo_run_work);
	run->wq = wq;
	hrtimer_setup(&run->later, rxo_run_later_fn, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
}

/* Return: the caller is the runner now. */
static bool rxo_run_claim(struct rxo_run *run)
{
	lockdep_assert_held(&run->lock);

	if (run->busy || run->entering)
		return false;
	run->busy = true;
	return true;
}

/* Return: the caller is the runner now. */
static bool rxo_run_give(struct rxo_qp *qp, u32 events)
{
	struct rxo_run *run = &qp->run;
	bool mine;

	spin_lock_bh(&run->lock);
	run->events |= events;
	mine = rxo_run_claim(run);
	spin_unlock_bh(&run->lock);
	return mine;
}

void rxo_run_kick(struct rxo_qp *qp, u32 events)
{
	if (rxo_run_give(qp, events))
		rxo_run(qp);
}

void rxo_run_timer(struct rxo_qp *qp, u32 events)
{
	u64 *paid, begun;

	lockdep_assert_in_softirq();
	if (!rxo_run_give(qp, events))
		return;
	begun = ktime_get_ns();
	paid = this_cpu_ptr(&rxo_run_timers_paid);
	if (*paid > begun + RXO_RUN_TIMERS_SHARE * RXO_RUN_TIMERS_NSEC) {
		rxo_run_yield(qp);
		return;
	}
	rxo_run(qp);
	*paid = max(*paid, begun) +
		RXO_RUN_TIMERS_SHARE * (ktime_get_ns() - begun);
}

static u32 rxo_run_queue(const struct rxo_qp *qp)
{
	return qp->transport == RXO_RC ? RXO_RUN_QUEUE :
					 RXO_RUN_QUEUE_UNRELIABLE;
}

static void rxo_run_uncharge(struct rxo_qp *qp, u32 packets)
{
	atomic_sub(packets, &qp->dev->queued);
	if (qp->owner)
		atomic_sub(packets, rxo_quota_queued(qp->owner));
}

/* One packet more; what the kernel's own QPs have is as if all were theirs. */
static bool rxo_run_charge(struct rxo_qp *qp)
{
	int all = atomic_inc_return(&qp->dev->queued);
	int own = all;

	if (qp->owner)
		own = atomic_inc_return(rxo_quota_queued(qp->owner));
	if (own <= qp->dev->max_queued - all)
		return true;
	rxo_run_uncharge(qp, 1);
	return false;
}

static bool rxo_run_queue_add(struct rxo_qp *qp, struct sk_buff_head *queue,
			      struct sk_buff *skb)
{
	u32 len = skb_queue_len(queue);

	lockdep_assert_held(&qp->run.lock);
	if (len >= rxo_run_queue(qp))
		return false;
	if (len >= RXO_RUN_OWN && !rxo_run_charge(qp))
		return false;
	__skb_queue_tail(queue, skb);
	return true;
}

/* @n packets are taken out of @queue. */
static void rxo_run_queue_sub(struct rxo_qp *qp, struct sk_buff_head *queue,
			      u32 n)
{
	u32 len = skb_queue_len(queue);

	lockdep_assert_held(&qp->run.lock);
	if (len > RXO_RUN_OWN)
		rxo_run_uncharge(qp, min(n, len - RXO_RUN_OWN));
}

static void rxo_run_queue_purge(struct rxo_qp *qp, struct sk_buff_head *queue)
{
	u32 len = skb_queue_len(queue);

	rxo_count_add(qp->dev, rcvd_flushed, len);
	rxo_run_queue_sub(qp, queue, len);
	__skb_queue_purge(queue);
}

/* A stranger takes nobody's place in the queue, and nobody runs for one. */
static bool rxo_run_welcome(struct rxo_qp *qp, const struct sk_buff *skb,
			    const struct rxo_packet *pkt)
{
	lockdep_assert_held(&qp->run.lock);
	if (qp->transport == RXO_UD) {
		/* IBTA 10.2.5 */
		if (pkt->qkey == qp->attr.qkey)
			return true;
		rxo_count(qp->dev, rcvd_wrong_qkey);
		return false;
	}
	if (rxo_path_matches(&qp->path, skb))
		return true;
	rxo_count(qp->dev, rcvd_wrong_peer);
	return false;
}

/* Return: 0; -EPERM: it may not be here, which is counted; -ENOBUFS: there is no room. */
static int rxo_run_add(struct rxo_qp *qp, struct sk_buff *skb,
		       const struct rxo_packet *pkt)
{
	struct rxo_run *run = &qp->run;
	struct sk_buff_head *queue = pkt->flags & RXO_OP_REQ ? &run->requests :
							       &run->responses;

	lockdep_assert_held(&run->lock);
	if (!rxo_run_welcome(qp, skb, pkt))
		return -EPERM;
	if (!rxo_run_queue_add(qp, queue, skb))
		return -ENOBUFS;
	run->events |= RXO_EV_PACKET;
	return 0;
}

void rxo_run_packet(struct rxo_qp *qp, struct sk_buff *skb,
		    const struct rxo_packet *pkt)
{
	struct rxo_run *run = &qp->run;
	bool mine;
	int err;

	spin_lock_bh(&run->lock);
	err = rxo_run_add(qp, skb, pkt);
	mine = !err && rxo_run_claim(run);
	spin_unlock_bh(&run->lock);
	if (err == -ENOBUFS)
		rxo_count(qp->dev, rcvd_queue_full);
	if (err)
		kfree_skb(skb);
	if (mine)
		rxo_run(qp);
}

void rxo_run_packet_in_row(struct rxo_qp *qp, struct sk_buff *skb,
			   const struct rxo_packet *pkt)
{
	struct rxo_run *run = &qp->run;
	int err;

	/* rxo_alive_heard() looks at one packet a run. */
	if (data_race(qp->alive.counted)) {
		rxo_run_packet(qp, skb, pkt);
		return;
	}
	spin_lock_bh(&run->lock);
	err = rxo_run_add(qp, skb, pkt);
	spin_unlock_bh(&run->lock);
	if (err == -ENOBUFS) {
		/* What is left of its process's share may be in this very row. */
		rxo_run_kick(qp, 0);
		rxo_run_packet(qp, skb, pkt);
	} else if (err) {
		kfree_skb(skb);
	}
}

/* Return: false if the runner may take for ever and that is too long for the caller. */
static bool rxo_run_enter_unless(struct rxo_qp *qp, bool too_long)
{
	struct rxo_run *run = &qp->run;
	bool mine;

	might_sleep();
	spin_lock_bh(&run->lock);
	run->entering++;
	/* Its turn may come late, behind all that its process has to do. */
	if (cancel_work(&run->work))
		run->busy = false;
	wait_event_cmd(run->idle,
		       !run->busy || run->ended || (too_long && run->waits),
		       spin_unlock_bh(&run->lock), spin_lock_bh(&run->lock));
	run->entering--;
	mine = !run->busy;
	if (mine)
		run->busy = true;
	spin_unlock_bh(&run->lock);
	return mine;
}

bool rxo_run_try_enter(struct rxo_qp *qp)
{
	return rxo_run_enter_unless(qp, true);
}

void rxo_run_enter(struct rxo_qp *qp)
{
	WARN_ON(!rxo_run_enter_unless(qp, false));
}

void rxo_run_waits(struct rxo_qp *qp, bool waits)
{
	struct rxo_run *run = &qp->run;

	rxo_run_assert(qp);
	spin_lock_bh(&run->lock);
	run->waits = waits;
	wake_up_all(&run->idle);
	spin_unlock_bh(&run->lock);
}

void rxo_run_end(struct rxo_qp *qp)
{
	struct rxo_run *run = &qp->run;

	rxo_run_enter(qp);
	spin_lock_bh(&run->lock);
	run->ended = true;
	wake_up_all(&run->idle);
	spin_unlock_bh(&run->lock);
}

void rxo_run_leave(struct rxo_qp *qp)
{
	rxo_run_assert(qp);
	rxo_run(qp);
}

void rxo_run_purge(struct rxo_qp *qp)
{
	struct rxo_run *run = &qp->run;

	rxo_run_assert(qp);
	hrtimer_cancel(&run->later);
	spin_lock_bh(&run->lock);
	run->events = 0;
	rxo_run_queue_purge(qp, &run->requests);
	rxo_run_queue_purge(qp, &run->responses);
	rxo_run_queue_purge(qp, &run->early);
	spin_unlock_bh(&run->lock);
}

struct sk_buff *rxo_run_dequeue(struct rxo_qp *qp, struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	if (skb_queue_empty_lockless(queue))
		return NULL;
	spin_lock_bh(&qp->run.lock);
	rxo_run_queue_sub(qp, queue, 1);
	skb = __skb_dequeue(queue);
	spin_unlock_bh(&qp->run.lock);
	return skb;
}

bool rxo_run_keep(struct rxo_qp *qp, struct sk_buff *skb)
{
	struct sk_buff_head *early = &qp->run.early;
	bool kept;

	rxo_run_assert(qp);
	if (skb_queue_len(early) >= RXO_RUN_EARLY)
		return false;
	spin_lock_bh(&qp->run.lock);
	kept = rxo_run_queue_add(qp, early, skb);
	spin_unlock_bh(&qp->run.lock);
	return kept;
}

static bool rxo_run_parse(const struct sk_buff *skb, struct rxo_packet *pkt)
{
	return skb && rxo_packet_parse(pkt, skb->data, skb->len, skb->len) ==
			      RXO_PARSE_OK;
}

/* Only the runner touches what is early. */
bool rxo_run_peek_early(struct rxo_qp *qp, struct rxo_packet *pkt)
{
	rxo_run_assert(qp);
	return rxo_run_parse(skb_peek(&qp->run.early), pkt);
}

bool rxo_run_peek_request(struct rxo_qp *qp, bool newest,
			  struct rxo_packet *pkt)
{
	struct sk_buff_head *queue = &qp->run.requests;
	struct sk_buff *skb;

	rxo_run_assert(qp);
	if (skb_queue_empty_lockless(queue))
		return false;
	/* Only the runner takes packets out, so this one stays. */
	spin_lock_bh(&qp->run.lock);
	skb = newest ? skb_peek_tail(queue) : skb_peek(queue);
	spin_unlock_bh(&qp->run.lock);
	return rxo_run_parse(skb, pkt);
}
