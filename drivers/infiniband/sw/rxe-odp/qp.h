/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue pairs: what they are made of and their life. How they move is in
 * run.c (the runner), req.c (requester), comp.c (completer), resp.c (responder).
 *
 * Protocol state belongs to the QP's runner (run.h) and has no lock. Exceptions
 * are noted at the field.
 */
#ifndef RXO_QP_H
#define RXO_QP_H

#include <linux/hrtimer.h>
#include <rdma/ib_verbs.h>

#include "alive.h"
#include "park.h"
#include "path.h"
#include "ref.h"
#include "ring.h"
#include "run.h"
#include "srq.h"
#include "swqe.h"
#include "wire/packet.h"

struct rxo_cq;
struct rxo_dev;
struct rxo_owner;
struct seq_file;

/*
 * PSNs a requester lets be unacknowledged. Those of READs count as much as others:
 * their answers must find place in our own queue.
 */
#define RXO_WINDOW 256

/*
 * PSNs of a message. PSNs are compared over half the circle, which is 2^23, so
 * 2 GiB in one message need an MTU of 1024 at least.
 */
#define RXO_MAX_MSG_PSNS BIT(22)

/*
 * struct rxo_req - the requester's state
 * @ring: shared send queue
 * @limits: of a WQE in it
 * @wqes: copies, as many as @ring has slots, each @stride bytes
 * @head: copied up to here, as a count (not masked)
 * @next: first WQE that has no PSNs yet
 * @cur: WQE that @psn is in; went back from @next on a retransmission
 * @tail: oldest that is not complete
 * @psn: next to send
 * @next_psn: next that was never sent
 * @una: oldest not acknowledged
 * @ack_psn: where an ACK was asked for last
 * @rd_wqes: READs and atomics begun and not complete
 * @rd_sent: requests for them that are on their way, since it went back last
 * @retries: left before giving up
 * @rnr_retries: left, 7 is for ever
 * @unseen: responses to look at before a time-out counts; 0: none is over
 * @rnr_wait: the RNR timer runs
 * @read_retry: it went back, and no answer to what it sends again has begun
 * @nak_heeded: ... because of a sequence NAK
 * @retry_psn: where it went back to
 * @refused: how the request at @refused_psn ends when all before it is complete; or
 *	     IB_WC_SUCCESS
 * @drained: IB_EVENT_SQ_DRAINED was raised
 */
struct rxo_req {
	struct rxo_ring ring;
	void *wqes;
	size_t stride;
	u32 max_wr;
	struct rxo_swqe_limits limits;
	u32 head;
	u32 next;
	u32 cur;
	u32 tail;
	u32 psn;
	u32 next_psn;
	u32 una;
	u32 ack_psn;
	u32 rd_wqes;
	u32 rd_sent;
	u32 retry_psn;
	u32 refused_psn;
	enum ib_wc_status refused;
	u32 unseen;
	u8 retries;
	u8 rnr_retries;
	bool rnr_wait;
	bool read_retry;
	bool nak_heeded;
	bool drained;
	struct rxo_park park;
};

/* What a responder keeps to answer a duplicate READ or atomic. IBTA 9.7.5.1.5 */
struct rxo_res {
	u32 first_psn;
	u32 last_psn;
	u32 ack_psn; /* of rxo_resp, when it was executed */
	u32 rkey;
	u32 len; /* READ */
	u64 va; /* READ */
	u64 orig; /* atomic */
	bool atomic;
	bool used;
};

/*
 * struct rxo_read - a READ that is being answered
 * @active: it is
 * @begun: FIRST is out
 * @looked: all of it was looked for, before that
 * @copy: of one that has been executed before
 * @again: ... and from its middle, as the peer missed something
 * @psn: of the next response
 * @ack_psn: what may be acknowledged while it waits
 * @rkey, @va, @resid: what is left of it
 */
struct rxo_read {
	bool active;
	bool begun;
	bool looked;
	bool copy;
	bool again;
	u32 psn;
	u32 ack_psn;
	u32 rkey;
	u32 resid;
	u64 va;
};

/*
 * struct rxo_resp - the responder's state
 * @epsn: next PSN expected
 * @ack_psn: last one that an ACK without data may have, see rxo_ack_again()
 * @msn: messages completed
 * @prev: opcode flags of the request before
 * @nak_sent: epsn has been asked for
 * @recv: receive WQE in use
 * @have_recv: it is
 * @recv_off: bytes placed in it
 * @va, @rkey, @len, @resid: RDMA WRITE in progress
 * @res: answers kept, @res_next is used next
 * @read: READ being answered
 * @aside: the one that had to wait for an older one to be answered again
 * @skb: request at hand, while parked
 */
struct rxo_resp {
	u32 epsn;
	u32 ack_psn;
	u32 msn;
	u32 prev;
	bool nak_sent;
	bool have_recv;
	u32 recv_off;
	struct rxo_recv recv;
	u64 va;
	u32 rkey;
	u32 len;
	u32 resid;
	struct rxo_res res[RXO_MAX_RD_ATOMIC];
	u32 res_next;
	struct rxo_read read;
	struct rxo_read aside;
	struct sk_buff *skb;
	struct rxo_park park;
};

/*
 * struct rxo_comp - the completer's state
 * @skb: response at hand, while parked
 */
struct rxo_comp {
	struct sk_buff *skb;
	struct rxo_park park;
};

/*
 * struct rxo_qp - a queue pair
 * @ib: what ib_core knows
 * @owner: whose it is counted as
 * @ref: its handle in the table of QPNs
 * @run: who works on it
 * @state: written by the runner, read anywhere
 * @transport: enum rxo_transport; does not change
 * @attr: as set by modify_qp; written by the runner, @attr.qkey under run.lock, under
 *	  which others compare a datagram's with it
 * @mtu: path MTU in bytes, a datagram's largest payload
 * @path: of a connected QP, its addresses written under run.lock, under which others
 *	  compare a packet's with them; else of the datagram sent last
 * @rq: own receive queue, unless it has an SRQ
 * @retry_timer: retransmission; fires at or after @retry_at
 * @alive: tells the peer that we wait for a page
 * @last_wqe_seen: IB_EVENT_QP_LAST_WQE_REACHED was raised
 * @comm_est: IB_EVENT_COMM_EST was raised
 */
struct rxo_qp {
	struct ib_qp ib;
	struct rxo_owner *owner;
	struct rxo_dev *dev;
	struct rxo_ref *ref;
	struct rxo_run run;
	enum ib_qp_state state;
	u8 transport;
	struct ib_qp_attr attr;
	struct ib_qp_init_attr init;
	u32 mtu;
	struct rxo_path path;
	struct rxo_rq rq;
	struct rxo_req req;
	struct rxo_comp comp;
	struct rxo_resp resp;
	struct hrtimer retry_timer;
	ktime_t retry_at;
	struct hrtimer rnr_timer;
	struct rxo_alive alive;
	bool last_wqe_seen;
	bool comm_est;
};

static inline struct rxo_qp *to_rxo_qp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct rxo_qp, ib);
}

static inline struct rxo_swqe *rxo_qp_swqe(struct rxo_qp *qp, u32 index)
{
	return qp->req.wqes + qp->req.stride * (index & qp->req.ring.mask);
}

/* Are requests sent, or on their way and answered? */
static inline bool rxo_qp_requests(const struct rxo_qp *qp)
{
	return qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD;
}

/* The part of rxo_qp_init() that cannot fail: runner, timers, parks */
void rxo_qp_init_engine(struct rxo_qp *qp, struct workqueue_struct *fault_wq,
			struct workqueue_struct *run_wq);

/* create_qp; @rq_mi and @sq_mi are for the provider */
int rxo_qp_init(struct rxo_qp *qp, struct ib_ucontext *uctx,
		struct ib_qp_init_attr *init, struct mminfo *rq_mi,
		struct mminfo *sq_mi);
void rxo_qp_fini(struct rxo_qp *qp);
int rxo_qp_query(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		 struct ib_qp_init_attr *init);

/**
 * rxo_qp_find() - by number, on any device
 * @qpn: 24 bits
 *
 * QPNs are unique over all devices, so a packet needs no device to find its QP;
 * whether it may reach it, addresses and namespace tell.
 *
 * Context: process or softirq.
 * Return: with a reference for rxo_qp_put(), or NULL.
 */
struct rxo_qp *rxo_qp_find(u32 qpn);

static inline void rxo_qp_put(struct rxo_qp *qp)
{
	rxo_ref_put(qp->ref);
}

/**
 * rxo_qp_drop_refused() - leave RESET, INIT or RTR for a state that sends or flushes
 * @qp: the QP, which is in its old state still
 *
 * Posting was refused until now, but librxe leaves the WQEs in the ring.
 *
 * Context: the QP's runner.
 */
void rxo_qp_drop_refused(struct rxo_qp *qp);

/**
 * rxo_qp_error() - move to the error state; the runner flushes what is posted
 * @qp: the QP
 *
 * Context: the QP's runner.
 */
void rxo_qp_error(struct rxo_qp *qp);

/**
 * rxo_qp_send_error() - a work request has failed on our side or the peer's
 * @qp: the QP
 *
 * Without a connection only the send queue is ended by that: state SQE, from which
 * modify_qp leads back (IBTA 10.3.1.6).
 *
 * Context: the QP's runner.
 */
void rxo_qp_send_error(struct rxo_qp *qp);

/**
 * rxo_qp_event() - raise an asynchronous event
 * @qp: the QP
 * @type: which
 *
 * Context: any.
 */
void rxo_qp_event(struct rxo_qp *qp, enum ib_event_type type);

/* modify_qp, in qp_modify.c */
int rxo_qp_modify(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		  struct ib_udata *udata);
void rxo_qp_reset(struct rxo_qp *qp);

/* (Re)start the retransmission timer from now, if one is wanted. */
void rxo_qp_arm_retry(struct rxo_qp *qp);

/* Print a device's QPs. */
void rxo_qp_show(struct rxo_dev *dev, struct seq_file *m);
/* Its netdev goes, and nobody sends any more. */
void rxo_qp_forget_routes(struct rxo_dev *dev);

int rxo_qp_module_init(void);

#endif /* RXO_QP_H */
