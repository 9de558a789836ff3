// SPDX-License-Identifier: GPL-2.0
#include <rdma/hmm_mirror.h>

#include "dev.h"
#include "mr.h"
#include "park.h"
#include "qp.h"
#include "trace.h"

static void rxo_park_work(struct work_struct *work)
{
	struct rxo_park *park = container_of(work, struct rxo_park, work);
	unsigned int flags = park->write ? HMM_MIRROR_WRITE : HMM_MIRROR_READ;
	struct rxo_qp *qp = park->qp;
	u64 usec;
	int err;

	err = hmm_mirror_fault(park->mirror, park->addr, park->want, flags);
	/* A hole further on is not yet this packet's trouble. */
	if (err && park->want > park->need)
		err = hmm_mirror_fault(park->mirror, park->addr, park->need,
				       flags);
	if (!err && park->ahead)
		hmm_mirror_fault(park->mirror, park->addr + park->want,
				 park->ahead, flags | HMM_MIRROR_SNAPSHOT);
	/* Taken away while it was brought: as good as not tried. */
	park->err = err == -EBUSY ? 0 : err;
	hmm_mirror_put(park->mirror);
	rxo_count(qp->dev, resumes);
	usec = ktime_us_delta(ktime_get(), park->begun);
	rxo_latency_add(&qp->dev->fault_latency, usec);
	trace_rxo_resume(qp, park, usec, err);
	/* Pairs with rxo_park_waiting(): err is seen with the state. */
	smp_store_release(&park->state, RXO_PARK_DONE);
	rxo_run_kick(qp, RXO_EV_RESUME);
}

void rxo_park_init(struct rxo_park *park, struct rxo_qp *qp,
		   struct workqueue_struct *wq)
{
	park->wq = wq;
	park->qp = qp;
	INIT_WORK(&park->work, rxo_park_work);
}

/* @left bytes are in the region from park->addr on. */
static void rxo_park_look_ahead(struct rxo_park *park, size_t rest, u64 left)
{
	unsigned long end = PAGE_ALIGN(park->next);

	if (park->addr <= end && park->addr + park->need > end)
		park->ahead = clamp_t(size_t, park->ahead * 2,
				      RXO_STREAM_AHEAD_MIN,
				      RXO_STREAM_AHEAD_MAX);
	else
		park->ahead = 0;
	park->want = max_t(size_t, park->need,
			   min3((u64)rest, left, (u64)RXO_FAULT_AHEAD));
	park->ahead = min_t(u64, park->ahead, left - park->want);
	park->next = park->addr + park->want + park->ahead;
}

int rxo_park(struct rxo_park *park, struct rxo_mr *mr, u64 iova, size_t need,
	     size_t rest, enum rxo_dir dir)
{
	int err = park->err;

	rxo_run_assert(park->qp);
	if (!park->tries)
		park->since = jiffies;
	if (!err && park->tries++ >= RXO_PARK_TRIES &&
	    time_after(jiffies, park->since + RXO_PARK_SECONDS * HZ))
		err = -EFAULT;
	if (err) {
		rxo_park_progress(park);
		return err;
	}
	if (park->tries > 1)
		rxo_count(park->qp->dev, fault_retries);

	park->mirror = mr->mirror;
	park->addr = iova - mr->iova + mr->va;
	park->need = need;
	rxo_park_look_ahead(park, rest, mr->len - (iova - mr->iova));
	park->write = dir == RXO_TO_MR;
	park->state = RXO_PARK_WAITING;
	park->begun = ktime_get();
	hmm_mirror_hold(park->mirror);
	rxo_count(park->qp->dev, parks);
	trace_rxo_park(park->qp, park);
	queue_work(park->wq, &park->work);
	return -EAGAIN;
}

bool rxo_park_waiting(struct rxo_park *park)
{
	rxo_run_assert(park->qp);
	/* Pairs with rxo_park_work(). */
	switch (smp_load_acquire(&park->state)) {
	case RXO_PARK_WAITING:
		return true;
	case RXO_PARK_DONE:
		park->state = RXO_PARK_NONE;
		return false;
	default:
		return false;
	}
}

void rxo_park_cancel(struct rxo_park *park)
{
	rxo_run_assert(park->qp);
	/* One that never ran still holds its mirror. */
	if (cancel_work_sync(&park->work))
		hmm_mirror_put(park->mirror);
	park->state = RXO_PARK_NONE;
	rxo_park_progress(park);
}
