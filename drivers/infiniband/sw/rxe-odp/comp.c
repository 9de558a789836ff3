// SPDX-License-Identifier: GPL-2.0
#include <rdma/ib_user_verbs.h>

#include "comp.h"
#include "dev.h"
#include "net.h"
#include "qp.h"
#include "req.h"
#include "sge.h"
#include "spare.h"
#include "swqe.h"
#include "wire/rc.h"

/* What rxo_comp_packet() returns for a response to keep: it has overtaken others. */
#define RXO_COMP_EARLY 1

/* Everything before @una has arrived: the peer is alive. */
static void rxo_comp_progress(struct rxo_qp *qp, u32 una)
{
	struct rxo_req *req = &qp->req;

	if (rxo_psn_diff(una, req->una) <= 0)
		return;
	req->una = una;
	req->nak_heeded = false;
	req->retries = qp->attr.retry_cnt;
	req->rnr_retries = qp->attr.rnr_retry;
	/* An answer to what was sent before we went back. */
	if (rxo_psn_diff(una, req->psn) > 0) {
		req->psn = una;
		req->rd_sent = 0;
	}
	if (rxo_psn_diff(una, req->ack_psn) > 0)
		req->ack_psn = una;
	rxo_qp_arm_retry(qp);
}

/*
 * The peer has executed all before @psn. Returns false when a READ or atomic
 * among that has not been answered: its response is lost (IBTA 9.7.5.1.2).
 */
static bool rxo_comp_ack(struct rxo_qp *qp, u32 psn)
{
	struct rxo_swqe *wqe;

	for (;;) {
		rxo_req_advance(qp);
		wqe = rxo_req_oldest(qp);
		if (!wqe || wqe->state != RXO_SWQE_SENT ||
		    qp->state == IB_QPS_ERR)
			break;
		if (rxo_psn_diff(psn, wqe->first_psn) <= 0)
			break;
		if (rxo_swqe_is_rd_atomic(wqe))
			return rxo_psn_diff(psn, qp->req.una) <= 0;
		qp->req.read_retry = false;
		if (rxo_psn_diff(psn, wqe->last_psn) <= 0) {
			rxo_comp_progress(qp, psn);
			break;
		}
		rxo_comp_progress(qp, rxo_psn_add(wqe->last_psn, 1));
		rxo_req_complete(qp, IB_WC_SUCCESS);
	}
	return true;
}

/*
 * A response is missing: ask again, which costs a retry. All that is still on its way from
 * before is out of sequence as well, so after that not until the answer begins:
 * rxo_comp_begins().
 */
static void rxo_comp_read_again(struct rxo_qp *qp)
{
	if (qp->req.read_retry)
		return;
	rxo_count(qp->dev, rcvd_out_of_sequence);
	rxo_req_retry(qp);
}

/*
 * A NAK asks for @una. Is it heeded already? The wire doubles and delays, and each copy
 * would cost a retry. It is an old one where nothing was sent since we went back there.
 * Else it may be the answer to what was sent again:
 *
 *  - An RNR NAK is one each time, and a copy of it looks the same: it counts.
 *  - A sequence NAK is said once, until @una has come (IBTA 9.7.4.1.2), so the next one is
 *    a copy. But an RNR NAK in between says that @una had come, and after a time-out
 *    nothing is taken for granted.
 *
 * When @una is lost again and no word is said about it, or that word is lost, the timer
 * tells; so where there is none, each counts.
 */
static bool rxo_comp_is_stale(const struct rxo_qp *qp, enum rxo_resp_kind kind)
{
	const struct rxo_req *req = &qp->req;

	if (req->rnr_wait ||
	    (req->psn == req->una && req->retry_psn == req->una))
		return true;
	return kind == RXO_RESP_RETRY && req->nak_heeded && qp->attr.timeout;
}

static void rxo_comp_nak(struct rxo_qp *qp, const struct rxo_packet *pkt,
			 enum rxo_resp_kind kind)
{
	struct rxo_req *req = &qp->req;

	if (kind == RXO_RESP_RNR)
		rxo_count(qp->dev, rcvd_rnr_naks);
	else
		rxo_count(qp->dev, rcvd_naks);
	if (!rxo_comp_ack(qp, pkt->psn)) {
		rxo_comp_read_again(qp);
		return;
	}
	if (req->una != pkt->psn || !rxo_req_oldest(qp) ||
	    qp->state == IB_QPS_ERR)
		return;
	if (rxo_comp_is_stale(qp, kind)) {
		rxo_count(qp->dev, rcvd_stale_naks);
		return;
	}
	if (kind == RXO_RESP_RNR) {
		rxo_req_rnr(qp, pkt->syndrome & RXO_SYN_VALUE_MASK);
	} else {
		rxo_req_retry(qp);
		req->nak_heeded = true;
	}
}

static enum ib_wc_status rxo_comp_nak_status(u8 syndrome)
{
	switch (syndrome & RXO_SYN_VALUE_MASK) {
	case RXO_NAK_INVALID_REQ:
		return IB_WC_REM_INV_REQ_ERR;
	case RXO_NAK_REM_ACCESS:
		return IB_WC_REM_ACCESS_ERR;
	default:
		return IB_WC_REM_OP_ERR;
	}
}

/* A READ's bytes, or an atomic's old value, into the WQE's list. */
static int rxo_comp_place(struct rxo_qp *qp, struct rxo_swqe *wqe, u32 off,
			  void *buf, size_t len)
{
	int ret = rxo_sge_copy(qp->ib.pd, &qp->comp.park, wqe->sge,
			       wqe->num_sge, off, buf, len, wqe->len - off,
			       RXO_TO_MR);

	if (!ret)
		rxo_park_progress(&qp->comp.park);
	else if (ret != -EAGAIN)
		rxo_count(qp->dev, local_protection_errors);
	return ret;
}

/* The response at @psn is the last of its request. */
static bool rxo_comp_ends(const struct rxo_swqe *wqe, u32 psn)
{
	return psn == rxo_rc_read_end(wqe->first_psn, wqe->last_psn, psn);
}

static void rxo_comp_answered(struct rxo_qp *qp, const struct rxo_swqe *wqe,
			      u32 psn)
{
	struct rxo_req *req = &qp->req;

	/* Only then is the request among those that were counted. */
	if (rxo_comp_ends(wqe, psn) && rxo_psn_diff(psn, req->psn) < 0)
		req->rd_sent--;
	rxo_comp_progress(qp, rxo_psn_add(psn, 1));
}

/*
 * A response that others have overtaken is late, not lost; and a peer that has said its
 * last word will not repeat what overtook it. So that is kept, though it is asked for again,
 * if it says the same whenever it is said: an atomic's, which the peer remembers. Bytes that
 * were read before those of a READ before it, when that is repeated, would be too old.
 * Nothing genuine is further ahead than the window.
 */
static int rxo_comp_early(const struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	if (pkt->payload_len ||
	    rxo_psn_diff(pkt->psn, qp->req.una) >= RXO_WINDOW)
		return 0;
	return RXO_COMP_EARLY;
}

/* -EAGAIN: parked, come back with the same packet; RXO_COMP_EARLY: when it is its turn. */
static int rxo_comp_data(struct rxo_qp *qp, const struct rxo_packet *pkt,
			 void *payload)
{
	struct rxo_swqe *wqe;
	u32 off, len;
	int ret;

	if (!rxo_comp_ack(qp, pkt->psn)) {
		rxo_comp_read_again(qp);
		return rxo_comp_early(qp, pkt);
	}
	wqe = rxo_req_oldest(qp);
	if (!wqe || qp->state == IB_QPS_ERR || wqe->state != RXO_SWQE_SENT ||
	    !rxo_swqe_is_rd_atomic(wqe) || pkt->psn != qp->req.una ||
	    rxo_psn_diff(pkt->psn, wqe->first_psn) < 0) {
		rxo_count(qp->dev, rcvd_ghosts);
		return 0;
	}

	if (rxo_swqe_is_atomic(wqe)) {
		u64 orig = pkt->orig;

		if (!(pkt->flags & RXO_OP_ATOMICACKETH))
			goto bad_response;
		ret = rxo_comp_place(qp, wqe, 0, &orig, sizeof(orig));
	} else {
		off = (u32)rxo_psn_diff(pkt->psn, wqe->first_psn) * qp->mtu;
		len = min(qp->mtu, wqe->len - off);
		if (pkt->flags & RXO_OP_ATOMICACKETH ||
		    pkt->payload_len != len ||
		    !(pkt->flags & RXO_OP_LAST) == rxo_comp_ends(wqe, pkt->psn))
			goto bad_response;
		ret = len ? rxo_comp_place(qp, wqe, off, payload, len) : 0;
	}
	if (ret == -EAGAIN)
		return ret;
	if (ret) {
		rxo_req_fail(qp, IB_WC_LOC_PROT_ERR);
		return 0;
	}
	rxo_comp_answered(qp, wqe, pkt->psn);
	if (pkt->psn == wqe->last_psn) {
		rxo_req_complete(qp, IB_WC_SUCCESS);
		rxo_req_advance(qp);
	}
	return 0;

bad_response:
	rxo_req_fail(qp, IB_WC_BAD_RESP_ERR);
	return 0;
}

/*
 * The peer answers nothing after this and says it once. A response from before may still be
 * on its way, on a wire that reorders; to ask for it again is of no use.
 */
static void rxo_comp_error(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	rxo_count(qp->dev, rcvd_naks);
	qp->req.refused = rxo_comp_nak_status(pkt->syndrome);
	qp->req.refused_psn = pkt->psn;
	rxo_comp_ack(qp, pkt->psn);
}

/* Is it now the turn of what the peer has refused? */
static void rxo_comp_refused(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;
	enum ib_wc_status status = req->refused;
	s32 to_go = rxo_psn_diff(req->refused_psn, req->una);

	if (status == IB_WC_SUCCESS || to_go > 0)
		return;
	req->refused = IB_WC_SUCCESS;
	if (!to_go && rxo_req_oldest(qp) && qp->state != IB_QPS_ERR)
		rxo_req_fail(qp, status);
}

/*
 * Is it of what was asked for again? What is older is not: a wire that reorders has plenty
 * of it, and each would cost a retry. Without progress nothing is but the very response
 * that is missing, which need not be a FIRST: rdma_rxe goes on with a MIDDLE.
 */
static bool rxo_comp_begins(const struct rxo_qp *qp,
			    const struct rxo_packet *pkt)
{
	s32 behind = rxo_psn_diff(pkt->psn, qp->req.retry_psn);

	return pkt->flags & (RXO_OP_READ | RXO_OP_ATOMIC) &&
	       (pkt->flags & RXO_OP_FIRST ? behind >= 0 : !behind) &&
	       rxo_psn_diff(pkt->psn, qp->req.una) <= 0;
}

static int rxo_comp_packet(struct rxo_qp *qp, struct sk_buff *skb)
{
	struct rxo_req *req = &qp->req;
	struct rxo_packet pkt;
	enum rxo_resp_kind kind;

	if (rxo_packet_parse(&pkt, skb->data, skb->len, skb->len) !=
	    RXO_PARSE_OK)
		return 0;

	if (rxo_comp_begins(qp, &pkt))
		req->read_retry = false;
	kind = rxo_rc_classify(&pkt, req->una, req->next_psn);
	switch (kind) {
	case RXO_RESP_READ:
	case RXO_RESP_ATOMIC:
		return rxo_comp_data(qp, &pkt, skb->data + pkt.hdr_len);
	case RXO_RESP_ACK:
		if (!rxo_comp_ack(qp, rxo_psn_add(pkt.psn, 1)))
			rxo_comp_read_again(qp);
		break;
	case RXO_RESP_RNR:
	case RXO_RESP_RETRY:
		rxo_comp_nak(qp, &pkt, kind);
		break;
	case RXO_RESP_ERROR:
		rxo_comp_error(qp, &pkt);
		break;
	case RXO_RESP_ALIVE:
		rxo_count(qp->dev, rcvd_keepalives);
		req->retries = qp->attr.retry_cnt;
		rxo_qp_arm_retry(qp);
		break;
	default:
		rxo_count(qp->dev, rcvd_ghosts);
		break;
	}
	return 0;
}

static void rxo_comp_keep(struct rxo_qp *qp, struct sk_buff *skb)
{
	if (rxo_run_keep(qp, skb)) {
		rxo_count(qp->dev, rcvd_early);
		return;
	}
	rxo_count(qp->dev, rcvd_too_early);
	rxo_spare_put(skb);
}

/* Is it the turn of the oldest that is kept, or its end? */
static bool rxo_comp_early_is_due(struct rxo_qp *qp)
{
	struct rxo_packet pkt;

	return rxo_run_peek_early(qp, &pkt) &&
	       (!rxo_qp_requests(qp) ||
		rxo_psn_diff(pkt.psn, qp->req.una) <= 0);
}

static struct sk_buff *rxo_comp_next(struct rxo_qp *qp)
{
	struct sk_buff *skb = qp->comp.skb;

	qp->comp.skb = NULL;
	if (skb)
		return skb;
	if (!skb_queue_empty(&qp->run.early) && rxo_comp_early_is_due(qp))
		return rxo_run_dequeue(qp, &qp->run.early);
	return rxo_run_dequeue(qp, &qp->run.responses);
}

bool rxo_comp_step(struct rxo_qp *qp)
{
	struct rxo_comp *comp = &qp->comp;
	struct sk_buff *skb;
	int ret = 0;

	rxo_run_assert(qp);
	if (rxo_park_waiting(&comp->park))
		return false;
	skb = rxo_comp_next(qp);
	if (!skb)
		return false;

	if (rxo_qp_requests(qp))
		ret = rxo_comp_packet(qp, skb);
	else
		rxo_count(qp->dev, rcvd_flushed);
	if (ret == -EAGAIN) {
		comp->skb = skb;
		return true;
	}
	if (ret == RXO_COMP_EARLY)
		rxo_comp_keep(qp, skb);
	else
		rxo_spare_put(skb);
	rxo_comp_refused(qp);
	rxo_req_seen(qp);
	return true;
}
