/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The requester: send WQEs into packets, window, retransmission (IBTA 9.7.2 to
 * 9.7.3, 9.7.5). Everything here is called by the QP's runner.
 */
#ifndef RXO_REQ_H
#define RXO_REQ_H

#include <linux/types.h>
#include <rdma/ib_verbs.h>

struct rxo_qp;
struct rxo_swqe;

/**
 * rxo_req_step() - send a packet, begin or flush a WQE
 * @qp: the QP
 *
 * Return: true when something was done, false when there is nothing to do now.
 */
bool rxo_req_step(struct rxo_qp *qp);

/* The oldest WQE that is not complete; NULL when all that have begun are. */
struct rxo_swqe *rxo_req_oldest(struct rxo_qp *qp);

/* Complete the oldest WQE. */
void rxo_req_complete(struct rxo_qp *qp, enum ib_wc_status status);

/* Complete the oldest WQE with an error; the QP goes to an error state. */
void rxo_req_fail(struct rxo_qp *qp, enum ib_wc_status status);

/* Complete local operations that the oldest ones waited for. */
void rxo_req_advance(struct rxo_qp *qp);

/* Send again from the oldest unacknowledged packet on. */
void rxo_req_go_back(struct rxo_qp *qp);

/* As that, but it costs a retry, and the last one fails the oldest WQE. */
void rxo_req_retry(struct rxo_qp *qp);

/* The peer has no receive posted: go on from @una after the time it asks for. */
void rxo_req_rnr(struct rxo_qp *qp, u8 timer);

/**
 * rxo_req_flush_posted() - flush all that has been posted until now
 * @qp: the QP, in state SQE
 *
 * Context: the QP's runner, a verb; may sleep.
 * Return: false if the CQ had no room for that: the QP is in ERR.
 */
bool rxo_req_flush_posted(struct rxo_qp *qp);

/* Timers have fired. */
void rxo_req_timeout(struct rxo_qp *qp);
void rxo_req_rnr_over(struct rxo_qp *qp);

/* The completer is done with a response; a time-out may have waited for that. */
void rxo_req_seen(struct rxo_qp *qp);

#endif /* RXO_REQ_H */
