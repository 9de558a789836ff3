// SPDX-License-Identifier: GPL-2.0
/*
 * READ responses, and duplicates of what has been executed.
 */
#include "access.h"
#include "alive.h"
#include "dev.h"
#include "mr.h"
#include "net.h"
#include "qp.h"
#include "resp.h"
#include "wire/hdr.h"
#include "wire/range.h"
#include "wire/rc.h"

/* Of two that are past, the smaller is the newer, however long ago the other was. */
static u32 rxo_resp_age(const struct rxo_resp *resp, u32 psn)
{
	return (resp->epsn - 1 - psn) & RXO_PSN_MASK;
}

struct rxo_res *rxo_resp_remember(struct rxo_qp *qp)
{
	struct rxo_resp *resp = &qp->resp;
	struct rxo_res *res;

	/* IBTA 9.7.4.1.9: as many as the peer was told it may have. */
	if (resp->res_next >= max_t(u32, qp->attr.max_dest_rd_atomic, 1))
		resp->res_next = 0;
	res = &resp->res[resp->res_next++];
	/* The peer would not have asked for one more, had that not been answered. */
	if (res->used && rxo_resp_age(resp, res->last_psn) <
				 rxo_resp_age(resp, resp->ack_psn))
		resp->ack_psn = res->last_psn;
	memset(res, 0, sizeof(*res));
	res->used = true;
	res->ack_psn = resp->ack_psn;
	return res;
}

struct rxo_res *rxo_resp_newest(struct rxo_qp *qp)
{
	return &qp->resp.res[qp->resp.res_next - 1];
}

/* The newest first: an old one may have the same PSNs, a round of all of them ago. */
static struct rxo_res *rxo_resp_find(struct rxo_qp *qp, u32 psn)
{
	struct rxo_resp *resp = &qp->resp;
	struct rxo_res *res;
	u32 i;

	for (i = 1; i <= RXO_MAX_RD_ATOMIC; i++) {
		res = &resp->res[(resp->res_next + RXO_MAX_RD_ATOMIC - i) %
				 RXO_MAX_RD_ATOMIC];
		if (res->used && rxo_psn_diff(psn, res->first_psn) >= 0 &&
		    rxo_psn_diff(psn, res->last_psn) <= 0)
			return res;
	}
	return NULL;
}

void rxo_resp_read_begin(struct rxo_qp *qp, const struct rxo_packet *pkt,
			 const struct rxo_res *res)
{
	struct rxo_resp *resp = &qp->resp;

	resp->read.active = true;
	resp->read.begun = false;
	resp->read.looked = false;
	resp->read.copy = false;
	resp->read.again = false;
	resp->read.psn = pkt->psn;
	resp->read.ack_psn = res->ack_psn;
	resp->read.rkey = pkt->rkey;
	resp->read.va = pkt->va;
	resp->read.resid = pkt->rdma_len;
}

/*
 * Going on would make a peer that has gone back even later. But what goes first may also
 * be a mere copy that was long on its way, and then nobody asks again for what had to
 * wait, unless that is part of it.
 */
void rxo_resp_read_turn(struct rxo_qp *qp)
{
	struct rxo_resp *resp = &qp->resp;
	struct rxo_packet pkt;

	if (!resp->read.active && resp->aside.active) {
		resp->read = resp->aside;
		resp->aside.active = false;
	}
	if (!resp->read.active || !rxo_run_peek_request(qp, false, &pkt) ||
	    !rxo_rc_read_goes_first(&pkt, resp->read.psn))
		return;
	if (!resp->aside.active &&
	    !rxo_rc_read_covers(&pkt, resp->read.psn, qp->mtu)) {
		rxo_count(qp->dev, reads_set_aside);
		resp->aside = resp->read;
	}
	resp->read.active = false;
}

static u8 rxo_resp_read_opcode(bool first, bool last)
{
	if (first)
		return RXO_RC | (last ? RXO_READ_RESP_ONLY :
					RXO_READ_RESP_FIRST);
	return RXO_RC | (last ? RXO_READ_RESP_LAST : RXO_READ_RESP_MIDDLE);
}

/*
 * Once FIRST is out no word may be said before LAST, so the peer cannot be told to be
 * patient. So all of the READ is brought before that, once. But not for a copy: if memory
 * is so short that pages go again meanwhile, READs that the peer has given up would cost as
 * much as those that it waits for.
 */
static bool rxo_resp_read_may_stall(struct rxo_qp *qp, struct rxo_mr *mr,
				    u64 iova)
{
	struct rxo_read *read = &qp->resp.read;

	if (read->looked || read->copy)
		return false;
	read->looked = true;
	return !rxo_access_present(mr, iova,
				   min_t(u32, read->resid, RXO_FAULT_AHEAD));
}

static int rxo_resp_read_fill(struct rxo_qp *qp, void *buf, u32 len)
{
	struct rxo_resp *resp = &qp->resp;
	u64 iova = resp->read.va;
	struct rxo_mr *mr;
	int ret;

	rxo_park_at(&resp->park, resp->read.psn);
	mr = rxo_mr_get(qp->ib.pd, qp->ib.qp_num, resp->read.rkey,
			IB_ACCESS_REMOTE_READ, &iova, len);
	if (IS_ERR(mr))
		return PTR_ERR(mr);
	if (rxo_resp_read_may_stall(qp, mr, iova))
		ret = -EAGAIN;
	else
		ret = rxo_access_copy(mr, iova, buf, len, RXO_FROM_MR);
	if (ret == -EAGAIN)
		ret = rxo_park_whole(&resp->park, mr, iova, len,
				     resp->read.resid, RXO_FROM_MR);
	else
		rxo_park_progress(&resp->park);
	rxo_mr_put(mr);
	return ret;
}

/*
 * A peer that still waits for what it asked for again is told. The copy may as well be
 * so late that nobody does, and the key rightly gone: that is no error of ours.
 */
static void rxo_resp_read_refuse(struct rxo_qp *qp)
{
	struct rxo_read *read = &qp->resp.read;

	if (read->copy)
		rxo_nak(qp, read->psn, RXO_NAK_REM_ACCESS);
	else
		rxo_resp_remote_error(qp, read->psn);
}

bool rxo_resp_read_step(struct rxo_qp *qp)
{
	struct rxo_resp *resp = &qp->resp;
	u32 len = min(resp->read.resid, qp->mtu);
	struct rxo_packet pkt = {
		.opcode = rxo_resp_read_opcode(!resp->read.begun,
					       len == resp->read.resid),
		.pkey = RXO_PKEY_DEFAULT,
		.qpn = qp->attr.dest_qp_num,
		.psn = resp->read.psn,
		.syndrome = RXO_SYN_ACK | RXO_SYN_NO_CREDITS,
		.msn = resp->msn,
		.payload_len = len,
	};
	struct sk_buff *skb;
	void *payload;
	int ret;

	skb = rxo_net_alloc(qp, &pkt, &payload);
	if (PTR_ERR_OR_ZERO(skb) == -ENOMEM) {
		rxo_run_later(qp);
		return false;
	}
	if (IS_ERR(skb)) {
		/* The peer will ask again for what it misses. */
		resp->read.active = false;
		return true;
	}
	ret = len ? rxo_resp_read_fill(qp, payload, len) : 0;
	if (ret) {
		kfree_skb(skb);
		if (ret == -EAGAIN) {
			rxo_alive_start(qp);
			return true;
		}
		resp->read.active = false;
		rxo_resp_read_refuse(qp);
		return true;
	}
	rxo_count(qp->dev, sent_read_resps);
	rxo_net_send(qp, &pkt, skb);

	resp->read.begun = true;
	resp->read.psn = rxo_psn_add(resp->read.psn, 1);
	resp->read.va += len;
	resp->read.resid -= len;
	if (!resp->read.resid)
		resp->read.active = false;
	return true;
}

/*
 * IBTA 9.7.5.1.5: a READ is executed again, but only inside of what was asked for
 * the first time; an atomic is answered from memory, never executed again.
 */
static void rxo_resp_duplicate_rd(struct rxo_qp *qp,
				  const struct rxo_packet *pkt)
{
	struct rxo_res *res = rxo_resp_find(qp, pkt->psn);

	if (!res || res->atomic != !!(pkt->flags & RXO_OP_ATOMIC)) {
		rxo_count(qp->dev, rcvd_mismatches);
		return;
	}
	if (res->atomic) {
		rxo_ack_atomic(qp, pkt->psn, res->orig);
		return;
	}
	if (res->rkey != pkt->rkey ||
	    !rxo_range_contains(res->va, res->len, pkt->va, pkt->rdma_len)) {
		rxo_count(qp->dev, rcvd_mismatches);
		return;
	}
	rxo_resp_read_begin(qp, pkt, res);
	qp->resp.read.copy = true;
	qp->resp.read.again = pkt->psn != res->first_psn;
}

/*
 * All that was neither READ nor atomic is no newer than ack_psn. Else a forged packet has
 * taken this one's place, and if it were answered, which says no more than that we are
 * alive, the peer would ask again for ever.
 */
static void rxo_resp_duplicate_other(struct rxo_qp *qp,
				     const struct rxo_packet *pkt)
{
	struct rxo_resp *resp = &qp->resp;

	if (rxo_resp_age(resp, pkt->psn) < rxo_resp_age(resp, resp->ack_psn))
		rxo_count(qp->dev, rcvd_mismatches);
	else
		rxo_ack_again(qp, resp->ack_psn);
}

void rxo_resp_duplicate(struct rxo_qp *qp, const struct rxo_packet *pkt)
{
	rxo_count(qp->dev, rcvd_duplicates);
	if (pkt->flags & (RXO_OP_READ | RXO_OP_ATOMIC))
		rxo_resp_duplicate_rd(qp, pkt);
	else
		rxo_resp_duplicate_other(qp, pkt);
}
