/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A responder that waits for a page tells its peer that it is alive, by
 * acknowledging once more what it acknowledged before. To a requester that is
 * nothing new, so it neither sends again nor completes anything, but it restarts
 * its timer (IBTA 9.7.6.1.3): this driver's, and rdma_rxe's. An RNR NAK would do
 * it too, but makes the peer send again, and costs it one of its RNR retries,
 * which may be none.
 *
 * A READ that has been answered in part is the exception: an ACK in the midst of
 * its responses means that the rest of them is lost (IBTA 9.7.5.1.2).
 */
#ifndef RXO_ALIVE_H
#define RXO_ALIVE_H

#include <linux/hrtimer.h>

struct rxo_qp;

/**
 * struct rxo_alive - embedded in a QP; the runner's
 * @timer: when to tell the peer again
 * @usec: ... since the last time, in this wait
 * @peer_usec: the peer's ACK timeout, as far as it has let us know; 0: it has not
 * @unasked: times it was told since it last asked again
 * @told: when it was told last, or the wait began
 * @counted: in the device's count of those that tell
 */
struct rxo_alive {
	struct hrtimer timer;
	u32 usec;
	u32 peer_usec;
	u32 unasked;
	ktime_t told;
	bool counted;
};

void rxo_alive_init(struct rxo_qp *qp);

/**
 * rxo_alive_reset() - stop, and forget what the peer has let us know
 * @qp: the QP
 *
 * Context: the QP's runner; may sleep.
 */
void rxo_alive_reset(struct rxo_qp *qp);

/**
 * rxo_alive_start() - the responder has parked
 * @qp: the QP
 *
 * Context: the QP's runner.
 */
void rxo_alive_start(struct rxo_qp *qp);

/**
 * rxo_alive_beat() - the timer has fired: tell the peer, if it is still so
 * @qp: the QP
 *
 * Context: the QP's runner.
 */
void rxo_alive_beat(struct rxo_qp *qp);

/**
 * rxo_alive_heard() - a request has come in: learn, if it came before
 * @qp: the QP
 *
 * Context: the QP's runner.
 */
void rxo_alive_heard(struct rxo_qp *qp);

#endif /* RXO_ALIVE_H */
