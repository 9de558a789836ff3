// SPDX-License-Identifier: GPL-2.0
#include <rdma/ib_user_verbs.h>

#include "ah.h"
#include "cq.h"
#include "dev.h"
#include "mw.h"
#include "net.h"
#include "qp.h"
#include "req.h"
#include "sge.h"
#include "swqe.h"
#include "wire/hdr.h"
#include "wire/rc.h"

/* PSNs after which an ACK is asked for in the middle of a message. */
#define RXO_ACK_EVERY (RXO_WINDOW / 4)

struct rxo_swqe *rxo_req_oldest(struct rxo_qp *qp)
{
	return qp->req.tail == qp->req.next ? NULL :
					      rxo_qp_swqe(qp, qp->req.tail);
}

static void rxo_req_post_cqe(struct rxo_qp *qp, const struct rxo_swqe *wqe,
			     enum ib_wc_status status)
{
	struct ib_uverbs_wc wc = {
		.wr_id = wqe->wr_id,
		.status = status,
		.opcode = rxo_swqe_wc_opcode(wqe),
		.qp_num = qp->ib.qp_num,
		.port_num = 1,
	};

	if (wqe->opcode == IB_WR_RDMA_READ || rxo_swqe_is_atomic(wqe))
		wc.byte_len = wqe->len;
	if (!rxo_cq_post(to_rxo_cq(qp->ib.send_cq), &wc, false) &&
	    qp->state != IB_QPS_ERR) {
		rxo_qp_event(qp, IB_EVENT_QP_FATAL);
		rxo_qp_error(qp);
	}
}

void rxo_req_complete(struct rxo_qp *qp, enum ib_wc_status status)
{
	struct rxo_req *req = &qp->req;
	struct rxo_swqe *wqe = rxo_qp_swqe(qp, req->tail);

	rxo_run_assert(qp);
	if (wqe->state == RXO_SWQE_SENT && rxo_swqe_is_rd_atomic(wqe))
		req->rd_wqes--;
	if (req->next == req->tail)
		req->next++;
	if (req->cur == req->tail)
		req->cur++;
	req->tail++;
	/* First: who polls the completion may post into this slot at once. */
	rxo_ring_consume(&req->ring);
	if (status != IB_WC_SUCCESS || wqe->flags & IB_SEND_SIGNALED ||
	    qp->init.sq_sig_type == IB_SIGNAL_ALL_WR)
		rxo_req_post_cqe(qp, wqe, status);
}

void rxo_req_fail(struct rxo_qp *qp, enum ib_wc_status status)
{
	rxo_req_complete(qp, status);
	rxo_qp_send_error(qp);
}

/* Copy WQEs that the process has posted since. */
static bool rxo_req_fetch(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;
	struct rxo_swqe *wqe;

	if (rxo_ring_pending(&req->ring) <= req->head - req->tail)
		return false;
	wqe = rxo_qp_swqe(qp, req->head);
	rxo_swqe_copy(&req->limits, wqe, rxo_ring_elem(&req->ring, req->head));
	if (wqe->bad)
		rxo_count(qp->dev, bad_wqes);
	req->head++;
	return true;
}

/* The process gets everything back that it has posted. */
static bool rxo_req_flush(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	if (req->tail == req->head && !rxo_req_fetch(qp))
		return false;
	rxo_req_complete(qp, IB_WC_WR_FLUSH_ERR);
	return true;
}

bool rxo_req_flush_posted(struct rxo_qp *qp)
{
	u32 n = rxo_ring_pending(&qp->req.ring);

	might_sleep();
	rxo_run_assert(qp);
	/* While the process posts more, and writes what it likes to its index. */
	while (n-- && rxo_req_flush(qp))
		cond_resched();
	return qp->state == IB_QPS_SQE;
}

static int rxo_req_local(struct rxo_qp *qp, struct rxo_swqe *wqe)
{
	struct ib_pd *pd = qp->ib.pd;
	u32 qpn = qp->ib.qp_num;

	if (wqe->opcode == IB_WR_BIND_MW)
		return rxo_mw_bind(pd, qpn, &wqe->bind) ? IB_WC_MW_BIND_ERR : 0;
	return rxo_mw_invalidate(pd, qpn, wqe->inv_rkey) ? IB_WC_LOC_QP_OP_ERR :
							   0;
}

/* What can be known to be wrong before the first packet. */
static u8 rxo_req_check(struct rxo_qp *qp, struct rxo_swqe *wqe, u32 npkts)
{
	bool rd_atomic = rxo_swqe_is_rd_atomic(wqe);

	if (npkts > (qp->transport == RXO_UD ? 1 : RXO_MAX_MSG_PSNS))
		return IB_WC_LOC_LEN_ERR;
	if (rd_atomic && !qp->attr.max_rd_atomic)
		return IB_WC_LOC_QP_OP_ERR;
	if (!(wqe->flags & IB_SEND_INLINE) &&
	    !rxo_sge_check(qp->ib.pd, wqe->sge, wqe->num_sge,
			   rd_atomic ? RXO_TO_MR : RXO_FROM_MR)) {
		rxo_count(qp->dev, local_protection_errors);
		return IB_WC_LOC_PROT_ERR;
	}
	return 0;
}

/* Everything before the WQE at @next is on its way; is it this one's turn? */
static bool rxo_req_begin(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;
	struct rxo_swqe *wqe;
	u32 npkts;

	if (qp->state == IB_QPS_SQD)
		return false;
	if (req->next == req->head && !rxo_req_fetch(qp))
		return false;
	wqe = rxo_qp_swqe(qp, req->next);

	if (wqe->bad) {
		/* An error completes in its turn. */
		if (req->tail != req->next)
			return false;
		rxo_req_fail(qp, wqe->bad);
		return true;
	}
	if (wqe->flags & IB_SEND_FENCE && req->rd_wqes)
		return false;

	if (rxo_swqe_is_local(wqe)) {
		wqe->bad = rxo_req_local(qp, wqe);
		if (wqe->bad)
			return true;
		wqe->state = RXO_SWQE_DONE;
		req->cur = ++req->next;
		rxo_req_advance(qp);
		return true;
	}

	npkts = rxo_rc_packets(wqe->len, qp->mtu);
	wqe->bad = rxo_req_check(qp, wqe, npkts);
	if (wqe->bad)
		return true;
	if (rxo_swqe_is_rd_atomic(wqe))
		req->rd_wqes++;
	wqe->state = RXO_SWQE_SENT;
	wqe->first_psn = req->next_psn;
	wqe->last_psn = rxo_psn_add(req->next_psn, npkts - 1);
	req->next_psn = rxo_psn_add(req->next_psn, npkts);
	req->next++;
	return true;
}

void rxo_req_advance(struct rxo_qp *qp)
{
	struct rxo_swqe *wqe;

	while (qp->state != IB_QPS_ERR && (wqe = rxo_req_oldest(qp)) &&
	       wqe->state == RXO_SWQE_DONE)
		rxo_req_complete(qp, IB_WC_SUCCESS);
}

/* Bytes of a SEND or WRITE packet; an error is kept until the WQE's turn. */
static bool rxo_req_fill(struct rxo_qp *qp, struct rxo_swqe *wqe, u32 off,
			 void *buf, u32 len)
{
	int ret;

	if (wqe->flags & IB_SEND_INLINE) {
		memcpy(buf, wqe->inline_data + off, len);
		return true;
	}
	rxo_park_at(&qp->req.park, qp->req.psn);
	ret = rxo_sge_copy(qp->ib.pd, &qp->req.park, wqe->sge, wqe->num_sge,
			   off, buf, len, wqe->len - off, RXO_FROM_MR);
	if (!ret) {
		rxo_park_progress(&qp->req.park);
		return true;
	}
	if (ret != -EAGAIN) {
		rxo_count(qp->dev, local_protection_errors);
		wqe->bad = IB_WC_LOC_PROT_ERR;
	}
	return false;
}

/* PSNs that the request at @psn takes; 0 if it has to wait for its turn. */
static u32 rxo_req_room(struct rxo_qp *qp, const struct rxo_swqe *wqe)
{
	struct rxo_req *req = &qp->req;
	u32 end = req->psn;

	if (rxo_swqe_is_rd_atomic(wqe)) {
		/* What was begun goes on, even if none may be begun any more. */
		if (req->rd_sent >= max_t(u32, qp->attr.max_rd_atomic, 1))
			return 0;
		end = rxo_rc_read_end(wqe->first_psn, wqe->last_psn, req->psn);
	}
	if (rxo_psn_diff(end, req->una) >= RXO_WINDOW)
		return 0;
	return rxo_psn_diff(end, req->psn) + 1;
}

static void rxo_req_sent(struct rxo_qp *qp, struct rxo_swqe *wqe, u32 npkts)
{
	struct rxo_req *req = &qp->req;
	bool idle = req->psn == req->una;

	if (rxo_swqe_is_rd_atomic(wqe))
		req->rd_sent++;
	req->psn = rxo_psn_add(req->psn, npkts);
	if (rxo_psn_diff(req->psn, rxo_psn_add(wqe->last_psn, 1)) >= 0)
		req->cur++;
	if (qp->transport != RXO_RC) {
		/* Nobody will tell what becomes of it. */
		req->una = req->psn;
		req->ack_psn = req->psn;
		if (req->cur != req->tail)
			rxo_req_complete(qp, IB_WC_SUCCESS);
	} else if (idle) {
		rxo_qp_arm_retry(qp);
	}
}

/* Point the QP to where this datagram goes. */
static bool rxo_req_aim(struct rxo_qp *qp, const struct rxo_swqe *wqe,
			struct rxo_packet *pkt)
{
	struct rxo_ah *ah = rxo_ah_get(qp->ib.pd, wqe->ud.ah);

	if (!ah)
		return false;
	rxo_path_move(&qp->path, &ah->path);
	rxo_ah_put(ah);
	qp->path.sport = htons(rdma_get_udp_sport(qp->path.flow_label,
						  qp->ib.qp_num, wqe->ud.qpn));
	pkt->qpn = wqe->ud.qpn;
	/* IBTA 10.2.5: a key with the top bit set stands for the QP's own. */
	pkt->qkey = wqe->ud.qkey & BIT(31) ? qp->attr.qkey : wqe->ud.qkey;
	pkt->src_qpn = qp->ib.qp_num;
	return true;
}

/* Who gets the packet, and shall it be acknowledged. */
static bool rxo_req_address(struct rxo_qp *qp, struct rxo_swqe *wqe,
			    struct rxo_packet *pkt)
{
	struct rxo_req *req = &qp->req;

	pkt->opcode |= qp->transport;
	pkt->qpn = qp->attr.dest_qp_num;
	pkt->psn = req->psn;
	if (qp->transport != RXO_RC) {
		pkt->ack_req = false;
		return qp->transport == RXO_UC || rxo_req_aim(qp, wqe, pkt);
	}
	if (!rxo_swqe_is_rd_atomic(wqe) &&
	    (pkt->ack_req ||
	     rxo_psn_diff(req->psn, req->ack_psn) >= RXO_ACK_EVERY)) {
		pkt->ack_req = true;
		req->ack_psn = req->psn;
	}
	return true;
}

/* The packet at @psn of the WQE at @cur. */
static bool rxo_req_send(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;
	struct rxo_swqe *wqe = rxo_qp_swqe(qp, req->cur);
	struct rxo_packet pkt = {};
	u32 off, npkts;
	struct sk_buff *skb;
	void *payload;

	if (wqe->state == RXO_SWQE_DONE) {
		req->cur++;
		return true;
	}
	if (wqe->bad) {
		if (req->tail != req->cur)
			return false;
		rxo_req_fail(qp, wqe->bad);
		return true;
	}
	npkts = rxo_req_room(qp, wqe);
	if (!npkts)
		return false;

	off = (u32)rxo_psn_diff(req->psn, wqe->first_psn) * qp->mtu;
	rxo_swqe_packet(wqe, off, npkts, qp->mtu, &pkt);
	if (!rxo_req_address(qp, wqe, &pkt)) {
		wqe->bad = IB_WC_LOC_QP_OP_ERR;
		return true;
	}

	skb = rxo_net_alloc(qp, &pkt, &payload);
	if (PTR_ERR_OR_ZERO(skb) == -ENOMEM) {
		rxo_run_later(qp);
		return false;
	}
	if (IS_ERR(skb)) {
		/* As if lost on the way; the timer brings it back. */
		rxo_req_sent(qp, wqe, npkts);
		return true;
	}
	if (pkt.payload_len &&
	    !rxo_req_fill(qp, wqe, off, payload, pkt.payload_len)) {
		kfree_skb(skb);
		return !rxo_park_started(&req->park);
	}
	rxo_req_sent(qp, wqe, npkts);
	rxo_net_send(qp, &pkt, skb);
	return true;
}

static void rxo_req_drained(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	if (qp->state != IB_QPS_SQD || req->drained || req->tail != req->next)
		return;
	req->drained = true;
	if (qp->attr.en_sqd_async_notify)
		rxo_qp_event(qp, IB_EVENT_SQ_DRAINED);
}

bool rxo_req_step(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	rxo_run_assert(qp);
	if (qp->state == IB_QPS_ERR || qp->state == IB_QPS_SQE)
		return rxo_req_flush(qp);
	if (!rxo_qp_requests(qp))
		return false;
	if (req->rnr_wait || rxo_park_waiting(&req->park))
		return false;
	if (req->cur != req->next)
		return rxo_req_send(qp);
	rxo_req_drained(qp);
	return rxo_req_begin(qp);
}

void rxo_req_go_back(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	rxo_run_assert(qp);
	rxo_count(qp->dev, retransmits);
	req->psn = req->una;
	req->ack_psn = req->una;
	req->rd_sent = 0;
	req->cur = req->tail;
	req->read_retry = true;
	req->nak_heeded = false;
	req->retry_psn = req->una;
	rxo_qp_arm_retry(qp);
}

void rxo_req_retry(struct rxo_qp *qp)
{
	if (!qp->req.retries) {
		rxo_count(qp->dev, retry_exceeded);
		rxo_req_fail(qp, IB_WC_RETRY_EXC_ERR);
		return;
	}
	qp->req.retries--;
	rxo_req_go_back(qp);
}

void rxo_req_rnr(struct rxo_qp *qp, u8 timer)
{
	struct rxo_req *req = &qp->req;

	rxo_run_assert(qp);
	if (!req->rnr_retries) {
		rxo_count(qp->dev, rnr_retry_exceeded);
		rxo_req_fail(qp, IB_WC_RNR_RETRY_EXC_ERR);
		return;
	}
	if (req->rnr_retries != 7)
		req->rnr_retries--;
	rxo_req_go_back(qp);
	req->rnr_wait = true;
	hrtimer_start(&qp->rnr_timer,
		      ns_to_ktime((u64)rxo_rnr_usec(timer) * NSEC_PER_USEC),
		      HRTIMER_MODE_REL_SOFT);
}

void rxo_req_rnr_over(struct rxo_qp *qp)
{
	rxo_run_assert(qp);
	if (!qp->req.rnr_wait)
		return;
	qp->req.rnr_wait = false;
	rxo_qp_arm_retry(qp);
}

/* Is the time for an answer over? If one is still awaited, the timer goes on. */
static bool rxo_req_overdue(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	if (!rxo_qp_requests(qp))
		return false;
	/* It may have been made endless meanwhile. */
	if (req->psn == req->una || req->rnr_wait || !qp->attr.timeout)
		return false;
	/*
	 * Our own fault is not the peer's silence: it has been asked for no answer as long
	 * as the rest of a message waits for its page, and nothing can be sent again.
	 */
	if (rxo_park_started(&qp->comp.park) || rxo_park_started(&req->park)) {
		rxo_qp_arm_retry(qp);
		return false;
	}
	if (ktime_before(ktime_get(), qp->retry_at)) {
		hrtimer_start(&qp->retry_timer, qp->retry_at,
			      HRTIMER_MODE_ABS_SOFT);
		return false;
	}
	return true;
}

/*
 * The answer may be here, and only we have not come to it. So all that is queued by now
 * is looked at first; not what comes later, as that may never end.
 */
void rxo_req_timeout(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	rxo_run_assert(qp);
	req->unseen = 0;
	if (!rxo_req_overdue(qp))
		return;
	req->unseen = skb_queue_len_lockless(&qp->run.responses);
	if (req->unseen) {
		rxo_count(qp->dev, timeouts_put_off);
		return;
	}
	rxo_count(qp->dev, timeouts);
	rxo_req_retry(qp);
}

void rxo_req_seen(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;

	rxo_run_assert(qp);
	if (!req->unseen || --req->unseen || !rxo_req_overdue(qp))
		return;
	rxo_count(qp->dev, timeouts);
	rxo_req_retry(qp);
}
