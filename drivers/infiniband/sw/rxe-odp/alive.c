// SPDX-License-Identifier: GPL-2.0
#include "alive.h"
#include "compat/compat.h"
#include "dev.h"
#include "qp.h"
#include "resp.h"
#include "wire/rc.h"

/*
 * Four times in the peer's time-out. Nobody tells us that; most often both sides
 * have the same one, and a shorter one is met by a small bound.
 */
#define RXO_ALIVE_PER_TIMEOUT 4
#define RXO_ALIVE_MIN_USEC 250
#define RXO_ALIVE_MAX_USEC 2000

static enum hrtimer_restart rxo_alive_fn(struct hrtimer *timer)
{
	rxo_run_kick(container_of(timer, struct rxo_qp, alive_timer),
		     RXO_EV_ALIVE);
	return HRTIMER_NORESTART;
}

void rxo_alive_init(struct rxo_qp *qp)
{
	hrtimer_setup(&qp->alive_timer, rxo_alive_fn, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
}

void rxo_alive_start(struct rxo_qp *qp)
{
	u64 usec = rxo_timeout_usec(qp->attr.timeout);

	rxo_run_assert(qp);
	/* Only who asks for acknowledgements counts the time. */
	if (qp->transport != RXO_RC || hrtimer_is_queued(&qp->alive_timer))
		return;
	/* 0 is no time-out at all, on our side. */
	usec = usec ? usec / RXO_ALIVE_PER_TIMEOUT : RXO_ALIVE_MAX_USEC;
	usec = clamp_t(u64, usec, RXO_ALIVE_MIN_USEC, RXO_ALIVE_MAX_USEC);
	hrtimer_start(&qp->alive_timer, ns_to_ktime(usec * NSEC_PER_USEC),
		      HRTIMER_MODE_REL_SOFT);
}

void rxo_alive_beat(struct rxo_qp *qp)
{
	struct rxo_resp *resp = &qp->resp;
	u32 psn = resp->epsn;

	rxo_run_assert(qp);
	if (!rxo_park_started(&resp->park) || qp->state == IB_QPS_ERR)
		return;
	if (resp->read.active) {
		if (resp->read.begun || resp->read.again)
			return;
		psn = resp->read.psn;
	}
	rxo_count(qp->dev, sent_keepalives);
	rxo_ack(qp, rxo_psn_add(psn, -1));
	rxo_alive_start(qp);
}
