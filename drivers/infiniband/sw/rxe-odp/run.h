/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The runner: one at a time works on a QP.
 *
 * Whoever brings work (doorbell, received packet, timer, finished fault) puts it
 * on the QP and, if nobody runs it, becomes its runner and works until nothing
 * is left, right there, in process or softirq context. Otherwise the present
 * runner takes the new work along:
 *
 *	doorbell, process			packet, softirq
 *	-----------------			---------------
 *	lock; busy = true; unlock
 *	work ...				lock; queue; busy is set; unlock
 *	work ...
 *	lock; queue is empty?
 *	  no: unlock; work on
 *	  yes: busy = false; unlock
 *						lock; queue; busy = true; unlock
 *						work ...
 *
 * So a QP's protocol state needs no lock, and none is held from one QP into
 * another: loopback between two QPs of one host has no lock order. A budget
 * bounds a run; the rest goes, still owned, to a worker. Verbs that change the
 * QP enter as its runner.
 */
#ifndef RXO_RUN_H
#define RXO_RUN_H

#include <linux/hrtimer.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct rxo_packet;
struct rxo_qp;

/* Work that is not a packet. */
#define RXO_EV_DOORBELL BIT(0) /* send WQEs were posted */
#define RXO_EV_RETRY BIT(1) /* the retransmission timer fired */
#define RXO_EV_RNR BIT(2) /* the RNR timer fired */
#define RXO_EV_RESUME BIT(3) /* a fault has ended */
#define RXO_EV_PACKET BIT(4) /* a packet was queued */
#define RXO_EV_LATER BIT(5) /* time to try what lacked memory */
#define RXO_EV_ALIVE BIT(6) /* time to tell the peer that we wait for a page */

/**
 * struct rxo_run - embedded in a QP
 * @lock: protects all below; innermost, taken in softirq
 * @busy: somebody runs the QP; its protocol state is his
 * @entering: verbs that wait to be the runner; nobody else becomes it meanwhile
 * @ended: the runner is who destroys the QP
 * @waits: the runner is a verb that waits for pages, which may take for ever
 * @events: RXO_EV_* not yet seen by the runner
 * @requests: received, not yet taken by the responder
 * @responses: received, not yet taken by the completer
 * @early: taken, and kept until what comes before them is here
 * @idle: woken when @busy is cleared
 * @work: goes on when a budget is spent
 * @wq: where; does not change
 * @later: see rxo_run_later()
 */
struct rxo_run {
	spinlock_t lock;
	bool busy;
	bool ended;
	bool waits;
	unsigned int entering;
	u32 events;
	struct sk_buff_head requests;
	struct sk_buff_head responses;
	struct sk_buff_head early;
	wait_queue_head_t idle;
	struct work_struct work;
	struct workqueue_struct *wq;
	struct hrtimer later;
};

/* @wq: rxo_quota_run_wq() */
void rxo_run_init(struct rxo_qp *qp, struct workqueue_struct *wq);

/**
 * rxo_run_kick() - give a QP work and run it if it is idle
 * @qp: the QP
 * @events: RXO_EV_*
 *
 * Context: process or softirq.
 */
void rxo_run_kick(struct rxo_qp *qp, u32 events);

/**
 * rxo_run_timer() - a timer of a QP has fired: as rxo_run_kick(), but within a share
 * @qp: the QP
 * @events: RXO_EV_*
 *
 * Thousands of timers may fire at once, and all their functions run in one softirq.
 * There they have a share of the CPU's time; what is beyond goes to a worker.
 *
 * Context: the timer's function, softirq.
 */
void rxo_run_timer(struct rxo_qp *qp, u32 events);

/**
 * rxo_run_packet() - give a QP a received packet and run it if it is idle
 * @qp: the QP
 * @skb: from BTH to ICRC, checked; consumed
 * @pkt: what it is: a request is for the responder, else for the completer
 *
 * Context: process or softirq.
 */
void rxo_run_packet(struct rxo_qp *qp, struct sk_buff *skb,
		    const struct rxo_packet *pkt);

/**
 * rxo_run_packet_in_row() - give a QP one of several packets, mostly without a run
 * @qp: the QP
 * @skb: as for rxo_run_packet()
 * @pkt: as well
 *
 * So that it runs once for all of them: the caller sees to rxo_run_kick(), with no event,
 * after the last one, and soon. It runs at once where there is no room for more, or while
 * it waits for a page and looks at each, whether its peer asks again.
 *
 * Context: process or softirq.
 */
void rxo_run_packet_in_row(struct rxo_qp *qp, struct sk_buff *skb,
			   const struct rxo_packet *pkt);

/**
 * rxo_run_enter() - become the runner, to change the QP
 * @qp: the QP
 *
 * Context: may sleep; ends with rxo_run_leave().
 */
void rxo_run_enter(struct rxo_qp *qp);

/**
 * rxo_run_try_enter() - become the runner, unless the one there is may take for ever
 * @qp: the QP, which stays until this returns
 *
 * For those that ib_core does not keep away from who destroys it, see rxo_run_end(), and
 * that may be anybody, who is not to wait for a page of the QP's process.
 *
 * Context: may sleep; ends with rxo_run_leave().
 * Return: false, and the caller is not the runner.
 */
bool rxo_run_try_enter(struct rxo_qp *qp);

/**
 * rxo_run_end() - become the runner for good, to destroy the QP
 * @qp: the QP
 *
 * "rdma resource" asks for QPs: on kernels that have no rdma_restrack_begin_del() yet until
 * destroy_qp has returned, and what comes after that waits for the answer.
 *
 * Context: may sleep.
 */
void rxo_run_end(struct rxo_qp *qp);

/**
 * rxo_run_waits() - say that the runner waits for pages, or no more
 * @qp: the QP; the caller is its runner
 * @waits: which of both
 *
 * Context: any.
 */
void rxo_run_waits(struct rxo_qp *qp, bool waits);

/**
 * rxo_run_leave() - do what has come up meanwhile, then be the runner no more
 * @qp: from rxo_run_enter()
 *
 * Context: process.
 */
void rxo_run_leave(struct rxo_qp *qp);

/**
 * rxo_run_later() - have the QP run again in a millisecond
 * @qp: the QP
 *
 * For a step that lacks memory: it keeps its work and reports nothing done.
 * Context: the QP's runner.
 */
void rxo_run_later(struct rxo_qp *qp);

/**
 * rxo_run_purge() - drop all packets and events
 * @qp: from rxo_run_enter()
 *
 * Context: process.
 */
void rxo_run_purge(struct rxo_qp *qp);

/**
 * rxo_run_dequeue() - take the oldest packet
 * @qp: the QP
 * @queue: its requests, responses or early ones
 *
 * Context: the QP's runner.
 * Return: a packet, or NULL.
 */
struct sk_buff *rxo_run_dequeue(struct rxo_qp *qp, struct sk_buff_head *queue);

/**
 * rxo_run_keep() - keep a response until what comes before it is here
 * @qp: the QP
 * @skb: the packet; it goes to the end of early
 *
 * Context: the QP's runner.
 * Return: false when there are too many, and it is still the caller's.
 */
bool rxo_run_keep(struct rxo_qp *qp, struct sk_buff *skb);

/**
 * rxo_run_peek_early() - look at the oldest response that is kept
 * @qp: the QP
 * @pkt: filled
 *
 * Context: the QP's runner.
 * Return: false when none is.
 */
bool rxo_run_peek_early(struct rxo_qp *qp, struct rxo_packet *pkt);

/**
 * rxo_run_peek_request() - look at a request that is queued, and leave it there
 * @qp: the QP
 * @newest: the one that came last, else the one to be taken next
 * @pkt: filled
 *
 * Context: the QP's runner.
 * Return: false when none is queued, or it does not parse.
 */
bool rxo_run_peek_request(struct rxo_qp *qp, bool newest,
			  struct rxo_packet *pkt);

/* The caller is the runner, as far as lockdep can't tell. */
#define rxo_run_assert(qp) WARN_ON_ONCE(!READ_ONCE((qp)->run.busy))

#endif /* RXO_RUN_H */
