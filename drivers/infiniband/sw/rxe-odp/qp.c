// SPDX-License-Identifier: GPL-2.0
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "alive.h"
#include "dev.h"
#include "compat/compat.h"
#include "qp.h"
#include "uctx.h"
#include "wire/psn.h"
#include "wire/rc.h"

#define RXO_QPN_MIN 16

/* QPN to handle, over all devices. */
static DEFINE_XARRAY_FLAGS(rxo_qps, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_IRQ);
static u32 rxo_next_qpn;

struct rxo_qp *rxo_qp_find(u32 qpn)
{
	struct rxo_ref *ref = rxo_ref_get(&rxo_qps, qpn);

	return ref ? ref->obj : NULL;
}

void rxo_qp_event(struct rxo_qp *qp, enum ib_event_type type)
{
	struct ib_event event = {
		.device = qp->ib.device,
		.element.qp = &qp->ib,
		.event = type,
	};

	if (qp->ib.event_handler)
		qp->ib.event_handler(&event, qp->ib.qp_context);
}

void rxo_qp_drop_refused(struct rxo_qp *qp)
{
	rxo_run_assert(qp);
	if (qp->state < IB_QPS_RTS)
		rxo_ring_reset(&qp->req.ring);
}

static void rxo_qp_to_error(struct rxo_qp *qp, enum ib_qp_state state)
{
	rxo_qp_drop_refused(qp);
	qp->state = state;
	qp->attr.qp_state = state;
	/* Wakes the other sides, whose steps flush. */
	spin_lock_bh(&qp->run.lock);
	qp->run.events |= RXO_EV_RESUME;
	spin_unlock_bh(&qp->run.lock);
}

void rxo_qp_error(struct rxo_qp *qp)
{
	rxo_qp_to_error(qp, IB_QPS_ERR);
}

void rxo_qp_send_error(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	if (qp->transport == RXO_RC) {
		rxo_qp_error(qp);
		return;
	}
	/* The CQ had no room to tell, and that is worse. */
	if (qp->state == IB_QPS_ERR)
		return;
	/* What a message that breaks off would have taken is a gap to the peer. */
	req->psn = req->next_psn;
	req->una = req->next_psn;
	rxo_qp_to_error(qp, IB_QPS_SQE);
}

static enum hrtimer_restart rxo_qp_retry_fn(struct hrtimer *timer)
{
	rxo_run_timer(container_of(timer, struct rxo_qp, retry_timer),
		      RXO_EV_RETRY);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart rxo_qp_rnr_fn(struct hrtimer *timer)
{
	rxo_run_timer(container_of(timer, struct rxo_qp, rnr_timer),
		      RXO_EV_RNR);
	return HRTIMER_NORESTART;
}

/* -1: none that we have */
static int rxo_qp_transport(enum ib_qp_type type)
{
	switch (type) {
	case IB_QPT_RC:
		return RXO_RC;
	case IB_QPT_UC:
		return RXO_UC;
	case IB_QPT_UD:
		return RXO_UD;
	default:
		return -1;
	}
}

static int rxo_qp_check_init(const struct ib_qp_init_attr *init)
{
	const struct ib_qp_cap *cap = &init->cap;

	if (rxo_qp_transport(init->qp_type) < 0)
		return -EOPNOTSUPP;
	if (init->create_flags)
		return -EOPNOTSUPP;
	if (!init->send_cq || !init->recv_cq)
		return -EINVAL;
	if (cap->max_send_wr > RXO_MAX_QP_WR ||
	    cap->max_send_sge > RXO_MAX_SGE ||
	    cap->max_inline_data > RXO_MAX_INLINE)
		return -EINVAL;
	if (!init->srq && (cap->max_recv_wr > RXO_MAX_QP_WR ||
			   cap->max_recv_sge > RXO_MAX_SGE))
		return -EINVAL;
	return 0;
}

static int rxo_qp_init_sq(struct rxo_qp *qp, struct ib_ucontext *uctx,
			  struct ib_qp_cap *cap, struct mminfo *mi)
{
	struct rxo_req *req = &qp->req;
	size_t data;
	int ret;

	/* SGEs and inline data share the room; give all of it to both. */
	data = max_t(size_t, cap->max_send_sge * sizeof(struct rxe_sge),
		     cap->max_inline_data);
	data = ALIGN(data, sizeof(struct rxe_sge));
	ret = rxo_ring_init(&req->ring, uctx, max(cap->max_send_wr, 1U),
			    sizeof(struct rxe_send_wqe) + data, mi);
	if (ret)
		return ret;

	req->stride = ALIGN(sizeof(struct rxo_swqe) + data, 8);
	req->wqes = kvcalloc(rxo_ring_capacity(&req->ring) + 1, req->stride,
			     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!req->wqes) {
		rxo_ring_fini(&req->ring);
		return -ENOMEM;
	}
	req->max_wr = rxo_ring_capacity(&req->ring);
	req->limits.transport = qp->transport;
	req->limits.max_sge = min_t(size_t, data / sizeof(struct rxe_sge),
				    RXO_MAX_SGE);
	req->limits.max_inline = data;

	cap->max_send_wr = req->max_wr;
	cap->max_send_sge = req->limits.max_sge;
	cap->max_inline_data = req->limits.max_inline;
	return 0;
}

static void rxo_qp_fini_sq(struct rxo_qp *qp)
{
	kvfree(qp->req.wqes);
	rxo_ring_fini(&qp->req.ring);
}

static int rxo_qp_init_rq(struct rxo_qp *qp, struct ib_ucontext *uctx,
			  struct ib_qp_cap *cap, struct mminfo *mi)
{
	int ret;

	if (qp->ib.srq) {
		cap->max_recv_wr = 0;
		cap->max_recv_sge = 0;
		return 0;
	}
	ret = rxo_rq_init(&qp->rq, uctx, cap->max_recv_wr, cap->max_recv_sge,
			  mi);
	if (ret)
		return ret;
	cap->max_recv_wr = qp->rq.max_wr;
	cap->max_recv_sge = qp->rq.max_sge;
	return 0;
}

/* Complete and numbered, so the QP may be found. */
static int rxo_qp_publish(struct rxo_qp *qp)
{
	u32 qpn;
	int ret;

	qp->ref = rxo_ref_alloc(qp);
	if (!qp->ref)
		return -ENOMEM;
	ret = xa_alloc_cyclic_irq(&rxo_qps, &qpn, NULL,
				  XA_LIMIT(RXO_QPN_MIN, RXO_QPN_MASK - 1),
				  &rxo_next_qpn, GFP_KERNEL);
	if (ret < 0) {
		kfree(qp->ref);
		return ret;
	}
	qp->ib.qp_num = qpn;
	xa_store_irq(&rxo_qps, qpn, qp->ref, GFP_KERNEL);
	return 0;
}

void rxo_qp_init_engine(struct rxo_qp *qp, struct workqueue_struct *fault_wq,
			struct workqueue_struct *run_wq)
{
	rxo_run_init(qp, run_wq);
	rxo_park_init(&qp->req.park, qp, fault_wq);
	rxo_park_init(&qp->comp.park, qp, fault_wq);
	rxo_park_init(&qp->resp.park, qp, fault_wq);
	hrtimer_setup(&qp->retry_timer, rxo_qp_retry_fn, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS_SOFT);
	hrtimer_setup(&qp->rnr_timer, rxo_qp_rnr_fn, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
	rxo_alive_init(qp);
	qp->state = IB_QPS_RESET;
	qp->attr.qp_state = IB_QPS_RESET;
}

int rxo_qp_init(struct rxo_qp *qp, struct ib_ucontext *uctx,
		struct ib_qp_init_attr *init, struct mminfo *rq_mi,
		struct mminfo *sq_mi)
{
	struct rxo_owner *owner = to_rxo_uctx(uctx)->owner;
	int ret;

	ret = rxo_qp_check_init(init);
	if (ret)
		return ret;

	qp->dev = to_rxo_dev(qp->ib.device);
	/* ib_core fills these in only after the QP has been made. */
	qp->ib.send_cq = init->send_cq;
	qp->ib.recv_cq = init->recv_cq;
	qp->ib.srq = init->srq;
	qp->transport = rxo_qp_transport(init->qp_type);
	rxo_qp_init_engine(qp, rxo_quota_fault_wq(owner),
			   rxo_quota_run_wq(owner));

	ret = rxo_qp_init_sq(qp, uctx, &init->cap, sq_mi);
	if (ret)
		return ret;
	ret = rxo_qp_init_rq(qp, uctx, &init->cap, rq_mi);
	if (ret)
		goto fini_sq;
	qp->init = *init;
	qp->attr.cap = init->cap;

	ret = rxo_qp_publish(qp);
	if (ret)
		goto fini_rq;
	return 0;

fini_rq:
	rxo_rq_fini(&qp->rq);
fini_sq:
	rxo_qp_fini_sq(qp);
	return ret;
}

void rxo_qp_fini(struct rxo_qp *qp)
{
	/* Never left: nobody else runs the QP from here on. */
	rxo_run_end(qp);
	/* Before it is off the table: rxo_qp_forget_routes(). */
	rxo_path_reset(&qp->path);
	rxo_ref_kill(&rxo_qps, qp->ib.qp_num, qp->ref);
	rxo_qp_reset(qp);
	rxo_rq_fini(&qp->rq);
	rxo_qp_fini_sq(qp);
}

int rxo_qp_query(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		 struct ib_qp_init_attr *init)
{
	struct rxo_qp *qp = to_rxo_qp(ibqp);

	if (!rxo_run_try_enter(qp))
		return -EAGAIN;
	*attr = qp->attr;
	attr->cur_qp_state = attr->qp_state;
	attr->sq_draining = qp->state == IB_QPS_SQD && !qp->req.drained;
	attr->rq_psn = qp->resp.epsn;
	attr->sq_psn = qp->req.psn;
	*init = qp->init;
	init->cap = attr->cap;
	rxo_run_leave(qp);
	return 0;
}

void rxo_qp_arm_retry(struct rxo_qp *qp)
{
	u64 usec = rxo_timeout_usec(qp->attr.timeout);

	rxo_run_assert(qp);
	if (!usec)
		return;
	/*
	 * One that is queued fires early, sees this, and starts again. Not so
	 * hrtimer_active(): we may be inside of its own function.
	 */
	qp->retry_at = ktime_add_us(ktime_get(), usec);
	if (!hrtimer_is_queued(&qp->retry_timer))
		hrtimer_start(&qp->retry_timer, qp->retry_at,
			      HRTIMER_MODE_ABS_SOFT);
}

/*
 * A route does not keep the namespace that it is of. The QP may be anybody's, who runs or
 * resets it, and waits for a page in that.
 */
void rxo_qp_forget_routes(struct rxo_dev *dev)
{
	struct rxo_ref *ref;
	struct rxo_qp *qp;
	unsigned long qpn;

	WARN_ON(rcu_access_pointer(dev->ndev));
	xa_for_each(&rxo_qps, qpn, ref) {
		qp = rxo_qp_find(qpn);
		if (!qp)
			continue;
		if (qp->dev == dev)
			rxo_path_reset(&qp->path);
		rxo_qp_put(qp);
	}
}

int rxo_qp_module_init(void)
{
	rxo_next_qpn = get_random_u32_inclusive(RXO_QPN_MIN, RXO_QPN_MASK - 1);
	return 0;
}

static void rxo_qp_show_one(struct rxo_qp *qp, struct seq_file *m)
{
	seq_printf(m,
		   "qpn %u type %d -> %u state %d busy %d events %#x una %#x psn %#x next %#x sq %u/%u/%u/%u rnr %d epsn %#x msn %u read %d parked %d%d%d waiting %u+%u+%u",
		   qp->ib.qp_num, qp->init.qp_type, qp->attr.dest_qp_num,
		   qp->state, qp->run.busy, qp->run.events, qp->req.una,
		   qp->req.psn, qp->req.next_psn, qp->req.tail, qp->req.cur,
		   qp->req.next, qp->req.head, qp->req.rnr_wait, qp->resp.epsn,
		   qp->resp.msn, qp->resp.read.active,
		   rxo_park_started(&qp->req.park),
		   rxo_park_started(&qp->comp.park),
		   rxo_park_started(&qp->resp.park),
		   skb_queue_len(&qp->run.requests),
		   skb_queue_len(&qp->run.responses),
		   skb_queue_len(&qp->run.early));
	rxo_park_show(&qp->req.park, "req", m);
	rxo_park_show(&qp->comp.park, "comp", m);
	rxo_park_show(&qp->resp.park, "resp", m);
	seq_putc(m, '\n');
}

/* Fields of a running QP are read as they are: a picture, not a proof. */
void rxo_qp_show(struct rxo_dev *dev, struct seq_file *m)
{
	struct rxo_ref *ref;
	unsigned long qpn;

	xa_for_each(&rxo_qps, qpn, ref) {
		struct rxo_qp *qp = rxo_qp_find(qpn);

		if (!qp)
			continue;
		if (qp->dev == dev)
			rxo_qp_show_one(qp, m);
		rxo_qp_put(qp);
	}
}
