// SPDX-License-Identifier: GPL-2.0
#include "srq.h"

static size_t rxo_rq_elem_size(u32 max_sge)
{
	return sizeof(struct rxe_recv_wqe) + max_sge * sizeof(struct rxe_sge);
}

int rxo_rq_init(struct rxo_rq *rq, struct ib_ucontext *uctx, u32 max_wr,
		u32 max_sge, struct mminfo *mi)
{
	int ret;

	spin_lock_init(&rq->lock);
	ret = rxo_ring_init(&rq->ring, uctx, max(max_wr, 1U),
			    rxo_rq_elem_size(max_sge), mi);
	if (ret)
		return ret;
	rq->max_wr = rxo_ring_capacity(&rq->ring);
	rq->max_sge = max_sge;
	return 0;
}

void rxo_rq_fini(struct rxo_rq *rq)
{
	rxo_ring_fini(&rq->ring);
}

/* User memory: every field is read once, then checked. */
static int rxo_recv_copy(struct rxo_rq *rq, struct rxo_recv *recv)
{
	const struct rxe_recv_wqe *wqe =
		rxo_ring_elem(&rq->ring, rq->ring.index);
	u32 i;

	lockdep_assert_held(&rq->lock);
	recv->wr_id = READ_ONCE(wqe->wr_id);
	recv->num_sge = READ_ONCE(wqe->dma.num_sge);
	recv->len = 0;
	if (recv->num_sge > rq->max_sge)
		return -EINVAL;
	for (i = 0; i < recv->num_sge; i++) {
		const struct rxe_sge *sge = &wqe->dma.sge[i];

		recv->sge[i].addr = READ_ONCE(sge->addr);
		recv->sge[i].length = READ_ONCE(sge->length);
		recv->sge[i].lkey = READ_ONCE(sge->lkey);
		recv->len += recv->sge[i].length;
	}
	return 1;
}

static int rxo_rq_pop_locked(struct rxo_rq *rq, struct rxo_recv *recv)
{
	int ret;

	lockdep_assert_held(&rq->lock);
	if (!rq->ring.map || !rxo_ring_pending(&rq->ring))
		return 0;
	ret = rxo_recv_copy(rq, recv);
	rxo_ring_consume(&rq->ring);
	return ret;
}

int rxo_rq_pop(struct rxo_rq *rq, struct rxo_recv *recv)
{
	int ret;

	spin_lock_bh(&rq->lock);
	ret = rxo_rq_pop_locked(rq, recv);
	spin_unlock_bh(&rq->lock);
	return ret;
}

static void rxo_srq_event(struct rxo_srq *srq, enum ib_event_type type)
{
	struct ib_event event = {
		.device = srq->ib.device,
		.element.srq = &srq->ib,
		.event = type,
	};

	if (srq->ib.event_handler)
		srq->ib.event_handler(&event, srq->ib.srq_context);
}

int rxo_srq_pop(struct rxo_srq *srq, struct rxo_recv *recv)
{
	struct rxo_rq *rq = &srq->rq;
	bool low = false, broken = false;
	int ret;

	spin_lock_bh(&rq->lock);
	ret = srq->error ? 0 : rxo_rq_pop_locked(rq, recv);
	if (ret < 0) {
		/* IBTA 10.2.9.5: a bad WQE puts the whole SRQ in error. */
		srq->error = true;
		broken = true;
	} else if (!srq->error &&
		   rxo_ring_pending(&rq->ring) < srq->limit) {
		/* It may have been armed when the SRQ was empty already. */
		srq->limit = 0;
		low = true;
	}
	spin_unlock_bh(&rq->lock);

	if (broken)
		rxo_srq_event(srq, IB_EVENT_SRQ_ERR);
	if (low)
		rxo_srq_event(srq, IB_EVENT_SRQ_LIMIT_REACHED);
	return ret;
}

int rxo_srq_init(struct rxo_srq *srq, struct ib_ucontext *uctx,
		 struct ib_srq_init_attr *init, struct mminfo *mi)
{
	struct rxo_dev *dev = to_rxo_dev(srq->ib.device);
	int ret;

	if (init->srq_type != IB_SRQT_BASIC)
		return -EOPNOTSUPP;
	if (!init->attr.max_wr || init->attr.max_wr > RXO_MAX_SRQ_WR ||
	    init->attr.max_sge > RXO_MAX_SGE)
		return -EINVAL;
	ret = rxo_rq_init(&srq->rq, uctx, init->attr.max_wr,
			  init->attr.max_sge, mi);
	if (ret)
		return ret;
	init->attr.max_wr = srq->rq.max_wr;

	mutex_lock(&dev->queues_lock);
	list_add_tail(&srq->entry, &dev->srqs);
	mutex_unlock(&dev->queues_lock);
	return 0;
}

void rxo_srq_fini(struct rxo_srq *srq)
{
	struct rxo_dev *dev = to_rxo_dev(srq->ib.device);

	mutex_lock(&dev->queues_lock);
	list_del(&srq->entry);
	mutex_unlock(&dev->queues_lock);
	rxo_rq_fini(&srq->rq);
}

void rxo_srq_show(struct rxo_dev *dev, struct seq_file *m)
{
	struct rxo_srq *srq;

	mutex_lock(&dev->queues_lock);
	list_for_each_entry(srq, &dev->srqs, entry) {
		spin_lock_bh(&srq->rq.lock);
		seq_printf(m, "srqn %u posted %u of %u limit %u error %d\n",
			   srq->ib.res.id, rxo_ring_pending(&srq->rq.ring),
			   srq->rq.max_wr, srq->limit, srq->error);
		spin_unlock_bh(&srq->rq.lock);
	}
	mutex_unlock(&dev->queues_lock);
}

int rxo_srq_query(struct ib_srq *ibsrq, struct ib_srq_attr *attr)
{
	struct rxo_srq *srq = to_rxo_srq(ibsrq);

	spin_lock_bh(&srq->rq.lock);
	attr->max_wr = srq->rq.max_wr;
	attr->max_sge = srq->rq.max_sge;
	attr->srq_limit = srq->limit;
	spin_unlock_bh(&srq->rq.lock);
	return 0;
}

/* Another ring; what is posted in the old one moves along. */
static int rxo_srq_resize(struct rxo_srq *srq, struct ib_ucontext *uctx,
			  u32 max_wr, struct mminfo *mi)
{
	struct rxo_rq *rq = &srq->rq;
	struct rxo_ring new = {}, old;
	u32 i, pending;
	int ret;

	ret = rxo_ring_init(&new, uctx, max_wr, rxo_rq_elem_size(rq->max_sge),
			    mi);
	if (ret)
		return ret;

	spin_lock_bh(&rq->lock);
	pending = rxo_ring_pending(&rq->ring);
	if (pending > rxo_ring_capacity(&new)) {
		spin_unlock_bh(&rq->lock);
		rxo_ring_fini(&new);
		return -EINVAL;
	}
	for (i = 0; i < pending; i++)
		memcpy(rxo_ring_elem(&new, i),
		       rxo_ring_elem(&rq->ring, rq->ring.index + i),
		       rxo_rq_elem_size(rq->max_sge));
	WRITE_ONCE(new.buf->producer_index, pending);
	old = rq->ring;
	rq->ring = new;
	rq->max_wr = rxo_ring_capacity(&rq->ring);
	spin_unlock_bh(&rq->lock);

	rxo_ring_fini(&old);
	return 0;
}

int rxo_srq_modify(struct rxo_srq *srq, struct ib_ucontext *uctx,
		   struct ib_srq_attr *attr, enum ib_srq_attr_mask mask,
		   struct mminfo *mi)
{
	u32 max_wr = mask & IB_SRQ_MAX_WR ? attr->max_wr : srq->rq.max_wr;
	int ret;

	if (mask & ~(IB_SRQ_MAX_WR | IB_SRQ_LIMIT))
		return -EINVAL;
	if (mask & IB_SRQ_MAX_WR && (!max_wr || max_wr > RXO_MAX_SRQ_WR))
		return -EINVAL;
	if (mask & IB_SRQ_LIMIT && attr->srq_limit > max_wr)
		return -EINVAL;

	if (mask & IB_SRQ_MAX_WR) {
		ret = rxo_srq_resize(srq, uctx, max_wr, mi);
		if (ret)
			return ret;
	}
	if (mask & IB_SRQ_LIMIT) {
		spin_lock_bh(&srq->rq.lock);
		srq->limit = attr->srq_limit;
		spin_unlock_bh(&srq->rq.lock);
	}
	return 0;
}
