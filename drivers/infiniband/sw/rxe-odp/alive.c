// SPDX-License-Identifier: GPL-2.0
#include "alive.h"
#include "compat/compat.h"
#include "dev.h"
#include "qp.h"
#include "quota.h"
#include "resp.h"
#include "wire/packet.h"
#include "wire/psn.h"
#include "wire/rc.h"

/*
 * Four times in the peer's time-out. Nobody tells us that; most often both sides have
 * the same one. A peer with a shorter one asks again while we wait, and is then known.
 */
#define RXO_ALIVE_PER_TIMEOUT 4
#define RXO_ALIVE_MIN_USEC 250

/*
 * The first comes early, the next ones twice as late each, until this: a quarter of the
 * shortest time-out in common use, 14. Many that wait tell together no more often than
 * this, or they would leave no time for anything else.
 */
#define RXO_ALIVE_FIRST_USEC 2000
#define RXO_ALIVE_LAZY_USEC 16000
#define RXO_ALIVE_SHARE_USEC 1000

/*
 * Nor do those of one process tell more often than this, however much of a hurry their
 * peers are in: thousands that wait would take the CPU. A peer for whom this is too late
 * asks again. One process, as the peers of others are to be told in time all the same.
 */
#define RXO_ALIVE_HURRY_USEC 100

static enum hrtimer_restart rxo_alive_fn(struct hrtimer *timer)
{
	rxo_run_timer(container_of(timer, struct rxo_qp, alive.timer),
		      RXO_EV_ALIVE);
	return HRTIMER_NORESTART;
}

void rxo_alive_init(struct rxo_qp *qp)
{
	hrtimer_setup(&qp->alive.timer, rxo_alive_fn, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
}

static void rxo_alive_count(struct rxo_qp *qp, bool counted)
{
	if (qp->alive.counted == counted)
		return;
	qp->alive.counted = counted;
	atomic_add(counted ? 1 : -1, &qp->dev->waiting);
	if (qp->owner)
		atomic_add(counted ? 1 : -1, rxo_quota_waiting(qp->owner));
}

void rxo_alive_reset(struct rxo_qp *qp)
{
	rxo_run_assert(qp);
	hrtimer_cancel(&qp->alive.timer);
	rxo_alive_count(qp, false);
	qp->alive.peer_usec = 0;
	qp->alive.unasked = 0;
}

/* As early as it may be the next time. */
static u64 rxo_alive_floor(const struct rxo_qp *qp)
{
	u64 waiting = atomic_read(qp->owner ? rxo_quota_waiting(qp->owner) :
					      &qp->dev->waiting);

	return max_t(u64, RXO_ALIVE_MIN_USEC, waiting * RXO_ALIVE_HURRY_USEC);
}

/* As late as it may be the next time. */
static u32 rxo_alive_limit(const struct rxo_qp *qp)
{
	u64 own = rxo_timeout_usec(qp->attr.timeout);
	u64 lazy = max_t(u64, RXO_ALIVE_LAZY_USEC,
			 (u64)atomic_read(&qp->dev->waiting) *
				 RXO_ALIVE_SHARE_USEC);
	u64 usec = lazy;

	/* 0 is no time-out at all, on our side. */
	if (own)
		usec = min(usec, own / RXO_ALIVE_PER_TIMEOUT);
	if (qp->alive.peer_usec)
		usec = min_t(u64, usec,
			     qp->alive.peer_usec / RXO_ALIVE_PER_TIMEOUT);
	return max(usec, rxo_alive_floor(qp));
}

static void rxo_alive_arm(struct rxo_qp *qp, u32 usec)
{
	qp->alive.usec = usec;
	hrtimer_start(&qp->alive.timer, ns_to_ktime((u64)usec * NSEC_PER_USEC),
		      HRTIMER_MODE_REL_SOFT);
}

/*
 * What the peer has let us know fades: it may have been a late copy that looked like
 * asking again. Not within a wait, as to ask costs the peer a retry, and some get theirs
 * back only by progress.
 */
static void rxo_alive_fade(struct rxo_qp *qp)
{
	struct rxo_alive *alive = &qp->alive;

	if (!alive->peer_usec || alive->unasked < RXO_ALIVE_PER_TIMEOUT ||
	    qp->resp.park.tries > 1)
		return;
	alive->unasked = 0;
	/* Until it limits nothing. */
	if (alive->peer_usec >= RXO_ALIVE_PER_TIMEOUT * RXO_ALIVE_LAZY_USEC)
		alive->peer_usec = 0;
	else
		alive->peer_usec *= 2;
	rxo_count(qp->dev, peers_calmed);
}

void rxo_alive_start(struct rxo_qp *qp)
{
	rxo_run_assert(qp);
	/* Only who asks for acknowledgements counts the time. */
	if (qp->transport != RXO_RC)
		return;
	rxo_alive_fade(qp);
	qp->alive.told = ktime_get();
	/* A look between two waits has ended it, though the timer goes on. */
	rxo_alive_count(qp, true);
	if (hrtimer_is_queued(&qp->alive.timer))
		return;
	rxo_alive_arm(qp, min_t(u64, rxo_alive_limit(qp),
				max_t(u64, RXO_ALIVE_FIRST_USEC,
				      rxo_alive_floor(qp))));
}

/* Is there something to tell? */
static bool rxo_alive_waits(const struct rxo_qp *qp)
{
	const struct rxo_resp *resp = &qp->resp;

	if (!rxo_park_started(&resp->park) || qp->state == IB_QPS_ERR)
		return false;
	/* Responses of one that had to make way have gone out. */
	if (resp->aside.active && (resp->aside.begun || resp->aside.again))
		return false;
	return !resp->read.active || !(resp->read.begun || resp->read.again);
}

void rxo_alive_beat(struct rxo_qp *qp)
{
	const struct rxo_resp *resp = &qp->resp;

	rxo_run_assert(qp);
	if (!rxo_alive_waits(qp)) {
		rxo_alive_count(qp, false);
		return;
	}
	if (rxo_ack_again(qp, resp->read.active ? resp->read.ack_psn :
						  resp->ack_psn))
		rxo_count(qp->dev, sent_keepalives);
	qp->alive.told = ktime_get();
	qp->alive.unasked++;
	rxo_alive_arm(qp, min(rxo_alive_limit(qp), 2 * qp->alive.usec));
}

void rxo_alive_heard(struct rxo_qp *qp)
{
	const struct rxo_resp *resp = &qp->resp;
	u32 psn = resp->read.active ? resp->read.psn : resp->epsn;
	struct rxo_alive *alive = &qp->alive;
	struct rxo_packet pkt;
	u32 usec, limit;

	rxo_run_assert(qp);
	if (!alive->counted || !rxo_alive_waits(qp) ||
	    !rxo_run_peek_request(qp, true, &pkt) ||
	    rxo_psn_diff(pkt.psn, psn) > 0)
		return;
	usec = min_t(u64, ktime_us_delta(ktime_get(), alive->told), U32_MAX);
	/* What was under way when the wait began says nothing. */
	if (usec < RXO_ALIVE_PER_TIMEOUT * RXO_ALIVE_MIN_USEC)
		return;
	alive->unasked = 0;
	if (alive->peer_usec && alive->peer_usec <= usec)
		return;
	alive->peer_usec = usec;
	rxo_count(qp->dev, peers_in_a_hurry);
	limit = rxo_alive_limit(qp);
	if (alive->usec > limit)
		rxo_alive_arm(qp, limit);
}
