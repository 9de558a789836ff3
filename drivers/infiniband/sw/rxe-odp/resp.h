/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The responder: checks a peer's requests in the order of IBTA 9.7.4.1, executes
 * and answers them. Called by the QP's runner.
 */
#ifndef RXO_RESP_H
#define RXO_RESP_H

#include <linux/types.h>

struct rxo_packet;
struct rxo_qp;
struct rxo_res;
struct sk_buff;

/**
 * rxo_resp_step() - take one request, send one packet of a READ, or flush
 * @qp: the QP
 *
 * Return: true when something was done.
 */
bool rxo_resp_step(struct rxo_qp *qp);

/* Between resp.c, resp_read.c and ack.c. */

/* Acknowledge all up to and with @psn. */
void rxo_ack(struct rxo_qp *qp, u32 psn);
/*
 * Say once more what was said before, with @psn from rxo_resp, rxo_res or rxo_read. That is
 * never the PSN of a READ or atomic whose answer may be lost: an ACK in its place tells the
 * peer so (IBTA 9.7.5.1.2), and rdma_rxe even takes it for the answer, without data.
 * Return: false if all that may be said is too old.
 */
bool rxo_ack_again(struct rxo_qp *qp, u32 psn);
/* enum rxo_nak, for @psn. */
void rxo_nak(struct rxo_qp *qp, u32 psn, u8 code);
/* No receive WQE for @psn. */
void rxo_nak_rnr(struct rxo_qp *qp, u32 psn);
void rxo_ack_atomic(struct rxo_qp *qp, u32 psn, u64 orig);

/* Tell the peer, if it listens; the QP goes to the error state. */
void rxo_resp_fail(struct rxo_qp *qp, u32 psn, u8 code);

/* A key or a page was not to be had: tell the peer and the process. -EACCES. */
int rxo_resp_remote_error(struct rxo_qp *qp, u32 psn);

/* Begin to answer a READ request that is remembered; its packets go out in later steps. */
void rxo_resp_read_begin(struct rxo_qp *qp, const struct rxo_packet *pkt,
			 const struct rxo_res *res);
bool rxo_resp_read_step(struct rxo_qp *qp);
/* Which READ is to be answered now, if any; a request at hand may have to go first. */
void rxo_resp_read_turn(struct rxo_qp *qp);

/* Answer a request that has been executed before. */
void rxo_resp_duplicate(struct rxo_qp *qp, const struct rxo_packet *pkt);

/* A slot to remember a READ or atomic in, and the one used last. */
struct rxo_res *rxo_resp_remember(struct rxo_qp *qp);
struct rxo_res *rxo_resp_newest(struct rxo_qp *qp);

#endif /* RXO_RESP_H */
