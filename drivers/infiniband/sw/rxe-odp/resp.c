// SPDX-License-Identifier: GPL-2.0
#include <rdma/ib_user_verbs.h>

#include "access.h"
#include "alive.h"
#include "cq.h"
#include "dev.h"
#include "mr.h"
#include "mw.h"
#include "net.h"
#include "qp.h"
#include "resp.h"
#include "sge.h"
#include "spare.h"
#include "wire/hdr.h"
#include "wire/rc.h"

/* As libibverbs names it in ibv_wc_flags; IB_WC_WITH_INVALIDATE is another bit. */
#define RXO_WC_WITH_INV BIT(3)

void rxo_resp_fail(struct rxo_qp *qp, u32 psn, u8 code)
{
	if (qp->transport == RXO_RC)
		rxo_nak(qp, psn, code);
	rxo_qp_error(qp);
}

static int rxo_resp_pop(struct rxo_qp *qp, struct rxo_recv *recv)
{
	return qp->ib.srq ? rxo_srq_pop(to_rxo_srq(qp->ib.srq), recv) :
			    rxo_rq_pop(&qp->rq, recv);
}

/* Return: false if nobody will ever know, for the CQ has overflowed. */
static bool rxo_resp_post(struct rxo_qp *qp, struct ib_uverbs_wc *wc,
			  bool solicited)
{
	bool posted;

	wc->wr_id = qp->resp.recv.wr_id;
	wc->qp_num = qp->ib.qp_num;
	wc->port_num = 1;
	posted = rxo_cq_post(to_rxo_cq(qp->ib.recv_cq), wc, solicited);
	if (!posted && qp->state != IB_QPS_ERR) {
		rxo_qp_event(qp, IB_EVENT_QP_FATAL);
		rxo_qp_error(qp);
	}
	qp->resp.have_recv = false;
	return posted;
}

/* The receive WQE in use ends with an error. */
static void rxo_resp_recv_error(struct rxo_qp *qp, enum ib_wc_status status)
{
	struct ib_uverbs_wc wc = {
		.status = status,
		.opcode = IB_WC_RECV,
		.src_qp = qp->attr.dest_qp_num,
	};

	rxo_resp_post(qp, &wc, true);
}

/*
 * The message being received, if any, will not be; what it filled is used again. Not what
 * is shared: it would be kept from the other QPs until this one gets a message, which may
 * be never.
 */
static void rxo_resp_abort(struct rxo_qp *qp)
{
	struct rxo_resp *resp = &qp->resp;

	if (resp->prev && !(resp->prev & RXO_OP_LAST))
		rxo_count(qp->dev, rcvd_aborted);
	if (resp->have_recv && qp->ib.srq)
		rxo_resp_recv_error(qp, IB_WC_REM_INV_REQ_ERR);
	resp->prev = 0;
	resp->resid = 0;
	resp->recv_off = 0;
}

static void rxo_resp_skip(struct rxo_qp *qp, u32 psn)
{
	rxo_resp_abort(qp);
	qp->resp.epsn = rxo_psn_add(psn, 1);
}

/*
 * The peer's mistake. Where nobody asks for an answer, the message is dropped and
 * nothing else happens, but that a shared receive WQE ends with it (IBTA 9.9.3.1).
 */
static void rxo_resp_refuse(struct rxo_qp *qp, u32 psn, u8 code)
{
	if (qp->transport == RXO_RC)
		rxo_resp_fail(qp, psn, code);
	else
		rxo_resp_skip(qp, psn);
}

/* One receive WQE a step; what an SRQ holds is not this QP's. */
static bool rxo_resp_flush(struct rxo_qp *qp)
{
	struct rxo_resp *resp = &qp->resp;

	if (resp->skb) {
		kfree_skb(resp->skb);
		resp->skb = NULL;
	}
	resp->read.active = false;
	resp->aside.active = false;
	if (!resp->have_recv &&
	    (qp->ib.srq || !rxo_rq_pop(&qp->rq, &resp->recv))) {
		if (qp->ib.srq && !qp->last_wqe_seen) {
			qp->last_wqe_seen = true;
			rxo_qp_event(qp, IB_EVENT_QP_LAST_WQE_REACHED);
		}
		return false;
	}
	rxo_resp_recv_error(qp, IB_WC_WR_FLUSH_ERR);
	return true;
}

/* Opcode flags against the rights that modify_qp gave. */
static bool rxo_resp_allowed(struct rxo_qp *qp, u32 flags)
{
	int access = qp->attr.qp_access_flags;

	if (flags & RXO_OP_READ)
		return access & IB_ACCESS_REMOTE_READ &&
		       qp->attr.max_dest_rd_atomic;
	if (flags & RXO_OP_ATOMIC)
		return access & IB_ACCESS_REMOTE_ATOMIC &&
		       qp->attr.max_dest_rd_atomic;
	if (flags & RXO_OP_WRITE)
		return access & IB_ACCESS_REMOTE_WRITE;
	return flags & RXO_OP_SEND;
}

/*
 * Does the packet need a receive WQE that is not there yet: a SEND from its first
 * packet on, a WRITE with immediate for its last.
 */
static bool rxo_resp_needs_recv(const struct rxo_packet *pkt)
{
	if (pkt->flags & RXO_OP_SEND)
		return pkt->flags & RXO_OP_FIRST;
	return pkt->flags & RXO_OP_WRITE && pkt->flags & RXO_OP_IMM;
}

/* Returns false when the request is answered with that. */
static bool rxo_resp_take_recv(struct rxo_qp *qp, u32 psn)
{
	struct rxo_resp *resp = &qp->resp;
	int ret;

	if (resp->have_recv)
		return true;
	ret = rxo_resp_pop(qp, &resp->recv);
	if (!ret && qp->transport != RXO_RC) {
		rxo_count(qp->dev, rcvd_no_wqe);
		rxo_resp_skip(qp, psn);
		return false;
	}
	if (!ret) {
		rxo_nak_rnr(qp, psn);
		/* What follows is dropped without a word. */
		resp->nak_sent = true;
		return false;
	}
	resp->have_recv = true;
	resp->recv_off = 0;
	if (ret < 0) {
		rxo_count(qp->dev, bad_wqes);
		rxo_resp_recv_error(qp, IB_WC_LOC_QP_OP_ERR);
		rxo_resp_fail(qp, psn, RXO_NAK_REM_OP);
		return false;
	}
	return true;
}

/* IBTA 10.10.2.3: no completion tells the process whose QP it is, so an event does. */
static void rxo_resp_invalid(struct rxo_qp *qp, u32 psn)
{
	rxo_count(qp->dev, invalid_requests);
	if (qp->transport == RXO_RC)
		rxo_qp_event(qp, IB_EVENT_QP_REQ_ERR);
	rxo_resp_refuse(qp, psn, RXO_NAK_INVALID_REQ);
}

/* More than the receive WQE has room for. */
static void rxo_resp_too_long(struct rxo_qp *qp, u32 psn)
{
	rxo_count(qp->dev, local_length_errors);
	/* A shared WQE can't be kept for the next message, which may be another QP's. */
	if (qp->transport == RXO_RC || qp->ib.srq)
		rxo_resp_recv_error(qp, IB_WC_LOC_LEN_ERR);
	rxo_resp_refuse(qp, psn, RXO_NAK_INVALID_REQ);
}

static int rxo_resp_place(struct rxo_qp *qp, u32 psn, u32 off, void *buf,
			  u32 len)
{
	struct rxo_recv *recv = &qp->resp.recv;
	struct ib_pd *pd = qp->ib.srq ? qp->ib.srq->pd : qp->ib.pd;
	int ret = rxo_sge_copy(pd, &qp->resp.park, recv->sge, recv->num_sge,
			       off, buf, len, recv->len - off, RXO_TO_MR);

	if (ret && ret != -EAGAIN) {
		rxo_count(qp->dev, local_protection_errors);
		rxo_resp_recv_error(qp, IB_WC_LOC_PROT_ERR);
		rxo_resp_fail(qp, psn, RXO_NAK_REM_OP);
	}
	return ret;
}

static int rxo_resp_send_data(struct rxo_qp *qp, const struct rxo_packet *pkt,
			      struct sk_buff *skb)
{
	struct rxo_resp *resp = &qp->resp;
	bool ud = qp->transport == RXO_UD;
	u8 grh[RXO_GRH_LEN];
	u32 off = ud ? sizeof(grh) : resp->recv_off;
	int ret;

	if ((u64)off + pkt->payload_len >
	    min_t(u64, resp->recv.len, RXO_MAX_MSG_LEN)) {
		rxo_resp_too_long(qp, pkt->psn);
		return -EMSGSIZE;
	}
	if (ud) {
		rxo_net_grh(skb, grh);
		ret = rxo_resp_place(qp, pkt->psn, 0, grh, sizeof(grh));
		if (ret)
			return ret;
	}
	ret = rxo_resp_place(qp, pkt->psn, off, skb->data + pkt->hdr_len,
			     pkt->payload_len);
	if (!ret)
		resp->recv_off = off + pkt->payload_len;
	return ret;
}

int rxo_resp_remote_error(struct rxo_qp *qp, u32 psn)
{
	rxo_count(qp->dev, remote_access_errors);
	if (qp->transport == RXO_RC)
		rxo_qp_event(qp, IB_EVENT_QP_ACCESS_ERR);
	rxo_resp_refuse(qp, psn, RXO_NAK_REM_ACCESS);
	return -EACCES;
}

static int rxo_resp_write_data(struct rxo_qp *qp, const struct rxo_packet *pkt,
			       void *payload)
{
	struct rxo_resp *resp = &qp->resp;
	struct rxo_mr *mr;
	u64 iova;
	int ret = 0;

	if (pkt->flags & RXO_OP_RETH) {
		resp->va = pkt->va;
		resp->rkey = pkt->rkey;
		resp->resid = pkt->rdma_len;
	}
	/* IBTA 9.7.4.1.5: the key does not matter where no byte moves. */
	if (!resp->resid)
		return 0;

	/* All of the message is checked before its first byte is written. */
	iova = resp->va;
	mr = rxo_mr_get(qp->ib.pd, qp->ib.qp_num, resp->rkey,
			IB_ACCESS_REMOTE_WRITE, &iova, resp->resid);
	if (IS_ERR(mr))
		return rxo_resp_remote_error(qp, pkt->psn);
	ret = rxo_access_copy(mr, iova, payload, pkt->payload_len, RXO_TO_MR);
	if (ret == -EAGAIN)
		ret = rxo_park(&resp->park, mr, iova, pkt->payload_len,
			       resp->resid, RXO_TO_MR);
	rxo_mr_put(mr);
	if (ret == -EAGAIN)
		return ret;
	if (ret)
		return rxo_resp_remote_error(qp, pkt->psn);
	resp->va += pkt->payload_len;
	resp->resid -= pkt->payload_len;
	return 0;
}

static int rxo_resp_atomic(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	bool cas = (pkt->opcode & RXO_OPERATION_MASK) == RXO_COMPARE_SWAP;
	struct rxo_res *res;
	u64 iova = pkt->va, orig = 0;
	struct rxo_mr *mr;
	int ret;

	mr = rxo_mr_get(qp->ib.pd, qp->ib.qp_num, pkt->rkey,
			IB_ACCESS_REMOTE_ATOMIC, &iova, sizeof(u64));
	if (IS_ERR(mr))
		return rxo_resp_remote_error(qp, pkt->psn);
	ret = rxo_access_atomic(mr, iova,
				cas ? RXO_ATOMIC_CMP_SWAP :
				      RXO_ATOMIC_FETCH_ADD,
				pkt->swap_add, pkt->compare, &orig);
	if (ret == -EAGAIN)
		ret = rxo_park(&qp->resp.park, mr, iova, sizeof(u64),
			       sizeof(u64), RXO_TO_MR);
	rxo_mr_put(mr);
	if (ret == -EAGAIN)
		return ret;
	if (ret == -EINVAL) {
		rxo_resp_invalid(qp, pkt->psn);
		return ret;
	}
	if (ret)
		return rxo_resp_remote_error(qp, pkt->psn);

	res = rxo_resp_remember(qp);
	res->atomic = true;
	res->first_psn = pkt->psn;
	res->last_psn = pkt->psn;
	res->orig = orig;
	return 0;
}

static int rxo_resp_read(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	u64 iova = pkt->va;
	struct rxo_res *res;
	struct rxo_mr *mr;
	u32 npkts = rxo_rc_packets(pkt->rdma_len, qp->mtu);

	if (npkts > RXO_MAX_MSG_PSNS) {
		rxo_resp_invalid(qp, pkt->psn);
		return -EINVAL;
	}
	if (pkt->rdma_len) {
		mr = rxo_mr_get(qp->ib.pd, qp->ib.qp_num, pkt->rkey,
				IB_ACCESS_REMOTE_READ, &iova, pkt->rdma_len);
		if (IS_ERR(mr))
			return rxo_resp_remote_error(qp, pkt->psn);
		rxo_mr_put(mr);
	}
	res = rxo_resp_remember(qp);
	res->first_psn = pkt->psn;
	res->last_psn = rxo_psn_add(pkt->psn, npkts - 1);
	res->va = pkt->va;
	res->len = pkt->rdma_len;
	res->rkey = pkt->rkey;
	return 0;
}

static int rxo_resp_execute(struct rxo_qp *qp, const struct rxo_packet *pkt,
			    struct sk_buff *skb)
{
	if (pkt->flags & RXO_OP_READ)
		return rxo_resp_read(qp, pkt);
	if (pkt->flags & RXO_OP_ATOMIC)
		return rxo_resp_atomic(qp, pkt);
	if (pkt->flags & RXO_OP_WRITE)
		return rxo_resp_write_data(qp, pkt, skb->data + pkt->hdr_len);
	return rxo_resp_send_data(qp, pkt, skb);
}

/*
 * The message is here whole: tell the process, if a receive WQE was used. Return: false if
 * that fails, which is no success of the peer's either.
 */
static bool rxo_resp_message(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	struct rxo_resp *resp = &qp->resp;
	struct ib_uverbs_wc wc = {
		.status = IB_WC_SUCCESS,
		.src_qp = qp->attr.dest_qp_num,
	};

	if (pkt->flags & RXO_OP_INV &&
	    rxo_mw_invalidate(qp->ib.pd, qp->ib.qp_num, pkt->rkey)) {
		rxo_count(qp->dev, remote_access_errors);
		rxo_resp_recv_error(qp, IB_WC_MW_BIND_ERR);
		rxo_resp_fail(qp, pkt->psn, RXO_NAK_REM_ACCESS);
		return false;
	}
	resp->msn = (resp->msn + 1) & RXO_PSN_MASK;
	/* Not: is there one. A message that was cut off may have left it. */
	if (!(pkt->flags & RXO_OP_RECV))
		return true;

	if (pkt->flags & RXO_OP_WRITE) {
		wc.opcode = IB_WC_RECV_RDMA_WITH_IMM;
		wc.byte_len = resp->len;
	} else {
		wc.opcode = IB_WC_RECV;
		wc.byte_len = resp->recv_off;
	}
	if (pkt->flags & RXO_OP_IMM) {
		wc.wc_flags |= IB_WC_WITH_IMM;
		wc.ex.imm_data = pkt->imm;
	}
	if (qp->transport == RXO_UD) {
		wc.wc_flags |= IB_WC_GRH;
		wc.src_qp = pkt->src_qpn;
	}
	if (pkt->flags & RXO_OP_INV) {
		wc.wc_flags |= RXO_WC_WITH_INV;
		wc.ex.invalidate_rkey = pkt->rkey;
	}
	if (rxo_resp_post(qp, &wc, pkt->se))
		return true;
	if (qp->transport == RXO_RC)
		rxo_nak(qp, pkt->psn, RXO_NAK_REM_OP);
	return false;
}

/* Is it this request's turn? If not, it has been answered. */
static bool rxo_resp_in_turn(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	struct rxo_resp *resp = &qp->resp;

	switch (rxo_rc_check_psn(resp->epsn, pkt->psn, resp->nak_sent)) {
	case RXO_PSN_EXPECTED:
		return true;
	case RXO_PSN_DUPLICATE:
		rxo_resp_duplicate(qp, pkt);
		return false;
	case RXO_PSN_GAP:
		rxo_count(qp->dev, rcvd_out_of_sequence);
		rxo_nak(qp, resp->epsn, RXO_NAK_PSN);
		resp->nak_sent = true;
		return false;
	default:
		rxo_count(qp->dev, rcvd_out_of_sequence);
		return false;
	}
}

/*
 * IBTA 9.8.2.2: a gap ends the message that it is in, as does the beginning of
 * another one; what then is not the beginning of a message belongs to none. A
 * datagram is always both and its PSN means nothing.
 */
static bool rxo_resp_in_message(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	struct rxo_resp *resp = &qp->resp;

	if (pkt->psn != resp->epsn) {
		if (qp->transport == RXO_UC)
			rxo_count(qp->dev, rcvd_out_of_sequence);
		rxo_resp_abort(qp);
		resp->epsn = pkt->psn;
	}
	if (rxo_check_order(resp->prev, pkt->flags))
		return true;
	rxo_resp_skip(qp, pkt->psn);
	if (!(pkt->flags & RXO_OP_FIRST))
		return false;
	resp->epsn = pkt->psn;
	return true;
}

static void rxo_resp_answer(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	if (qp->transport != RXO_RC)
		return;
	if (pkt->flags & RXO_OP_READ)
		rxo_resp_read_begin(qp, pkt, rxo_resp_newest(qp));
	else if (pkt->flags & RXO_OP_ATOMIC)
		rxo_ack_atomic(qp, pkt->psn,
			       rxo_resp_newest(qp)->orig);
	else if (pkt->ack_req)
		rxo_ack(qp, pkt->psn);
}

/* Checks in the order of IBTA 9.7.4.1. 0: executed or answered; -EAGAIN: parked. */
static int rxo_resp_request(struct rxo_qp *qp, const struct rxo_packet *pkt,
			    struct sk_buff *skb)
{
	struct rxo_resp *resp = &qp->resp;
	u32 npkts = 1;
	int ret;

	if (qp->transport == RXO_RC ? !rxo_resp_in_turn(qp, pkt) :
				      !rxo_resp_in_message(qp, pkt))
		return 0;
	if (!rxo_check_order(resp->prev, pkt->flags) ||
	    !rxo_resp_allowed(qp, pkt->flags) ||
	    !rxo_check_length(pkt, qp->mtu, resp->resid)) {
		rxo_resp_invalid(qp, pkt->psn);
		return 0;
	}
	if (rxo_resp_needs_recv(pkt) && !rxo_resp_take_recv(qp, pkt->psn))
		return 0;
	if (pkt->flags & RXO_OP_RETH)
		resp->len = pkt->rdma_len;

	rxo_park_at(&resp->park, pkt->psn);
	ret = rxo_resp_execute(qp, pkt, skb);
	if (ret)
		return ret == -EAGAIN ? ret : 0;
	rxo_park_progress(&resp->park);

	if (pkt->flags & RXO_OP_READ)
		npkts = rxo_rc_packets(pkt->rdma_len, qp->mtu);
	resp->epsn = rxo_psn_add(resp->epsn, npkts);
	if (!(pkt->flags & (RXO_OP_READ | RXO_OP_ATOMIC)))
		resp->ack_psn = pkt->psn;
	resp->prev = pkt->flags;
	resp->nak_sent = false;
	if (!(pkt->flags & RXO_OP_LAST) || rxo_resp_message(qp, pkt))
		rxo_resp_answer(qp, pkt);
	return 0;
}

static int rxo_resp_packet(struct rxo_qp *qp, struct sk_buff *skb)
{
	struct rxo_packet pkt;

	if (rxo_packet_parse(&pkt, skb->data, skb->len, skb->len) !=
	    RXO_PARSE_OK)
		return 0;
	/* IBTA 10.3.1: the first message of a connection is an event too. */
	if (qp->state == IB_QPS_RTR && !qp->comm_est &&
	    qp->transport != RXO_UD) {
		qp->comm_est = true;
		rxo_qp_event(qp, IB_EVENT_COMM_EST);
	}
	return rxo_resp_request(qp, &pkt, skb);
}

bool rxo_resp_step(struct rxo_qp *qp)
{
	struct rxo_resp *resp = &qp->resp;
	struct sk_buff *skb;

	rxo_run_assert(qp);
	/* What is flushed needs no page. */
	if (qp->state == IB_QPS_ERR && rxo_resp_flush(qp))
		return true;
	if (rxo_park_waiting(&resp->park))
		return false;
	if (resp->read.active || resp->aside.active)
		rxo_resp_read_turn(qp);
	if (resp->read.active)
		return rxo_resp_read_step(qp);

	skb = resp->skb;
	resp->skb = NULL;
	if (!skb)
		skb = rxo_run_dequeue(qp, &qp->run.requests);
	if (!skb)
		return false;

	if (qp->state != IB_QPS_RTR && qp->state != IB_QPS_RTS &&
	    qp->state != IB_QPS_SQD && qp->state != IB_QPS_SQE) {
		rxo_count(qp->dev, rcvd_no_qp);
	} else if (rxo_resp_packet(qp, skb) == -EAGAIN) {
		resp->skb = skb;
		rxo_alive_start(qp);
		return true;
	}
	rxo_spare_put(skb);
	return true;
}
