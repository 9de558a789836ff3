// SPDX-License-Identifier: GPL-2.0
#include <linux/seq_file.h>
#include <rdma/ib_user_verbs.h>

#include "cq.h"
#include "dev.h"

int rxo_cq_init(struct rxo_cq *cq, struct ib_ucontext *uctx, int cqe,
		struct mminfo *mi)
{
	struct rxo_dev *dev = to_rxo_dev(cq->ib.device);
	int ret;

	if (cqe < 1 || cqe > RXO_MAX_CQE)
		return -EINVAL;
	spin_lock_init(&cq->lock);
	ret = rxo_ring_init(&cq->ring, uctx, cqe, sizeof(struct ib_uverbs_wc),
			    mi);
	if (ret)
		return ret;
	cq->ib.cqe = rxo_ring_capacity(&cq->ring);

	mutex_lock(&dev->queues_lock);
	list_add_tail(&cq->entry, &dev->cqs);
	mutex_unlock(&dev->queues_lock);
	return 0;
}

void rxo_cq_fini(struct rxo_cq *cq)
{
	struct rxo_dev *dev = to_rxo_dev(cq->ib.device);

	mutex_lock(&dev->queues_lock);
	list_del(&cq->entry);
	mutex_unlock(&dev->queues_lock);
	rxo_ring_fini(&cq->ring);
}

void rxo_cq_show(struct rxo_dev *dev, struct seq_file *m)
{
	struct rxo_cq *cq;

	mutex_lock(&dev->queues_lock);
	list_for_each_entry(cq, &dev->cqs, entry) {
		spin_lock_bh(&cq->lock);
		seq_printf(m, "cqn %u unread %u of %u notify %u overflowed %d\n",
			   cq->ib.res.id, rxo_ring_unread(&cq->ring),
			   rxo_ring_capacity(&cq->ring), cq->notify,
			   cq->overflowed);
		spin_unlock_bh(&cq->lock);
	}
	mutex_unlock(&dev->queues_lock);
}

int rxo_cq_resize(struct rxo_cq *cq, struct ib_ucontext *uctx, int cqe,
		  struct mminfo *mi)
{
	struct rxo_ring old = {}, new = {};
	u32 i, unread;
	int ret;

	if (cqe < 1 || cqe > RXO_MAX_CQE)
		return -EINVAL;
	ret = rxo_ring_init(&new, uctx, cqe, sizeof(struct ib_uverbs_wc), mi);
	if (ret)
		return ret;

	spin_lock_bh(&cq->lock);
	unread = rxo_ring_unread(&cq->ring);
	if (unread > rxo_ring_capacity(&new)) {
		spin_unlock_bh(&cq->lock);
		rxo_ring_fini(&new);
		return -EINVAL;
	}
	for (i = unread; i; i--) {
		memcpy(rxo_ring_elem(&new, new.index),
		       rxo_ring_elem(&cq->ring, cq->ring.index - i),
		       sizeof(struct ib_uverbs_wc));
		rxo_ring_produce(&new);
	}
	old = cq->ring;
	cq->ring = new;
	cq->ib.cqe = rxo_ring_capacity(&cq->ring);
	spin_unlock_bh(&cq->lock);

	rxo_ring_fini(&old);
	return 0;
}

static void rxo_cq_event(struct rxo_cq *cq, enum ib_event_type type)
{
	struct ib_event event = {
		.device = cq->ib.device,
		.element.cq = &cq->ib,
		.event = type,
	};

	if (cq->ib.event_handler)
		cq->ib.event_handler(&event, cq->ib.cq_context);
}

bool rxo_cq_post(struct rxo_cq *cq, const struct ib_uverbs_wc *wc,
		 bool solicited)
{
	bool overflow = false, notify = false;

	spin_lock_bh(&cq->lock);
	if (cq->overflowed) {
		spin_unlock_bh(&cq->lock);
		return false;
	}
	if (rxo_ring_unread(&cq->ring) == rxo_ring_capacity(&cq->ring)) {
		cq->overflowed = true;
		overflow = true;
	} else {
		memcpy(rxo_ring_elem(&cq->ring, cq->ring.index), wc,
		       sizeof(*wc));
		rxo_ring_produce(&cq->ring);
		if (cq->notify == IB_CQ_NEXT_COMP ||
		    (cq->notify == IB_CQ_SOLICITED &&
		     (solicited || wc->status != IB_WC_SUCCESS))) {
			cq->notify = 0;
			notify = true;
		}
	}
	spin_unlock_bh(&cq->lock);

	if (overflow) {
		rxo_count(to_rxo_dev(cq->ib.device), cq_overflows);
		rxo_cq_event(cq, IB_EVENT_CQ_ERR);
		return false;
	}
	if (notify && cq->ib.comp_handler)
		cq->ib.comp_handler(&cq->ib, cq->ib.cq_context);
	return true;
}

int rxo_cq_req_notify(struct ib_cq *ibcq, enum ib_cq_notify_flags flags)
{
	struct rxo_cq *cq = to_rxo_cq(ibcq);
	u8 want = flags & IB_CQ_SOLICITED_MASK;
	int missed;

	spin_lock_bh(&cq->lock);
	/* "Any" is not weakened to "solicited" by a second call. */
	if (cq->notify != IB_CQ_NEXT_COMP)
		cq->notify = want;
	missed = flags & IB_CQ_REPORT_MISSED_EVENTS &&
		 rxo_ring_unread(&cq->ring);
	spin_unlock_bh(&cq->lock);
	return missed;
}
