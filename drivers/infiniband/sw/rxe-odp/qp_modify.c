// SPDX-License-Identifier: GPL-2.0
/*
 * modify_qp: checks first, then changes; a refused call changes nothing. The
 * caller is the QP's runner meanwhile.
 */
#include <rdma/ib_cache.h>

#include "alive.h"
#include "dev.h"
#include "qp.h"
#include "req.h"
#include "wire/opcode.h"
#include "wire/psn.h"

void rxo_qp_reset(struct rxo_qp *qp)
{
	struct rxo_req *req = &qp->req;
	struct rxo_resp *resp = &qp->resp;

	rxo_run_assert(qp);
	qp->state = IB_QPS_RESET;
	qp->attr.qp_state = IB_QPS_RESET;
	hrtimer_cancel(&qp->retry_timer);
	hrtimer_cancel(&qp->rnr_timer);
	rxo_alive_reset(qp);
	rxo_run_waits(qp, true);
	rxo_park_cancel(&req->park);
	rxo_park_cancel(&qp->comp.park);
	rxo_park_cancel(&resp->park);
	rxo_run_waits(qp, false);
	rxo_run_purge(qp);
	kfree_skb(qp->comp.skb);
	qp->comp.skb = NULL;
	kfree_skb(resp->skb);
	resp->skb = NULL;

	rxo_ring_reset(&req->ring);
	rxo_ring_reset(&qp->rq.ring);
	req->head = 0;
	req->next = 0;
	req->cur = 0;
	req->tail = 0;
	req->unseen = 0;
	req->rnr_wait = false;
	req->read_retry = false;
	req->nak_heeded = false;
	req->refused = IB_WC_SUCCESS;
	req->drained = false;
	req->rd_wqes = 0;
	req->rd_sent = 0;
	resp->msn = 0;
	resp->prev = 0;
	resp->nak_sent = false;
	resp->have_recv = false;
	resp->resid = 0;
	resp->read.active = false;
	resp->aside.active = false;
	resp->res_next = 0;
	memset(resp->res, 0, sizeof(resp->res));
	qp->last_wqe_seen = false;
	qp->comm_est = false;
	rxo_path_reset(&qp->path);
}

static void rxo_qp_set_path(struct rxo_qp *qp, const struct rdma_ah_attr *ah,
			    u32 dest_qpn)
{
	struct rxo_path path;

	rxo_path_init(&path, ah);
	path.sport = htons(rdma_get_udp_sport(path.flow_label, qp->ib.qp_num,
					      dest_qpn));
	rxo_path_reset(&qp->path);
	spin_lock_bh(&qp->run.lock);
	qp->path = path;
	spin_unlock_bh(&qp->run.lock);
	qp->attr.ah_attr = *ah;
	/* ib_core keeps the GID; this copy is for query_qp. */
	qp->attr.ah_attr.grh.sgid_attr = NULL;
}

/* What the netdev has room for now; 0 without one. */
static enum ib_mtu rxo_qp_max_mtu(struct rxo_qp *qp)
{
	struct net_device *ndev = rxo_dev_get_netdev(qp->dev);
	enum ib_mtu max = 0;

	if (ndev)
		max = rxo_dev_mtu(ndev->mtu);
	dev_put(ndev);
	return max;
}

static int rxo_qp_check_mtu(struct rxo_qp *qp, enum ib_mtu mtu)
{
	enum ib_mtu max = rxo_qp_max_mtu(qp);

	if (!max)
		return -ENODEV;
	return mtu < IB_MTU_256 || mtu > max ? -EINVAL : 0;
}

static int rxo_qp_check_attr(struct rxo_qp *qp, const struct ib_qp_attr *attr,
			     int mask)
{
	int ret;

	if (mask & IB_QP_PORT && attr->port_num != 1)
		return -EINVAL;
	if (mask & IB_QP_PKEY_INDEX && attr->pkey_index)
		return -EINVAL;
	if (mask & (IB_QP_CAP | IB_QP_ALT_PATH | IB_QP_PATH_MIG_STATE))
		return -EOPNOTSUPP;
	if (mask & IB_QP_MAX_QP_RD_ATOMIC &&
	    attr->max_rd_atomic > RXO_MAX_RD_ATOMIC)
		return -EINVAL;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC &&
	    attr->max_dest_rd_atomic > RXO_MAX_RD_ATOMIC)
		return -EINVAL;
	if (mask & IB_QP_TIMEOUT && attr->timeout > 31)
		return -EINVAL;
	if (mask & IB_QP_MIN_RNR_TIMER && attr->min_rnr_timer > 31)
		return -EINVAL;
	if (mask & (IB_QP_RETRY_CNT | IB_QP_RNR_RETRY) &&
	    (attr->retry_cnt > 7 || attr->rnr_retry > 7))
		return -EINVAL;
	if (mask & IB_QP_DEST_QPN && attr->dest_qp_num > RXO_QPN_MASK)
		return -EINVAL;
	if (mask & IB_QP_PATH_MTU) {
		ret = rxo_qp_check_mtu(qp, attr->path_mtu);
		if (ret)
			return ret;
	}
	if (mask & IB_QP_AV)
		return rxo_path_check(&attr->ah_attr);
	return 0;
}

/* What waits for its answer waits as long as is said now. */
static void rxo_qp_set_timeout(struct rxo_qp *qp, u8 timeout)
{
	struct rxo_req *req = &qp->req;

	rxo_run_assert(qp);
	qp->attr.timeout = timeout;
	/* To arm it again would leave it at the old time, which may be hours away. */
	hrtimer_cancel(&qp->retry_timer);
	if (req->psn != req->una && !req->rnr_wait)
		rxo_qp_arm_retry(qp);
}

static void rxo_qp_set_attr(struct rxo_qp *qp, const struct ib_qp_attr *attr,
			    int mask)
{
	struct ib_qp_attr *own = &qp->attr;
	struct rxo_req *req = &qp->req;

	if (mask & IB_QP_ACCESS_FLAGS)
		own->qp_access_flags = attr->qp_access_flags;
	if (mask & IB_QP_PKEY_INDEX)
		own->pkey_index = attr->pkey_index;
	if (mask & IB_QP_PORT)
		own->port_num = attr->port_num;
	if (mask & IB_QP_DEST_QPN)
		own->dest_qp_num = attr->dest_qp_num;
	if (mask & IB_QP_QKEY) {
		spin_lock_bh(&qp->run.lock);
		own->qkey = attr->qkey;
		spin_unlock_bh(&qp->run.lock);
	}
	if (mask & IB_QP_AV)
		rxo_qp_set_path(qp, &attr->ah_attr, own->dest_qp_num);
	if (mask & IB_QP_PATH_MTU) {
		own->path_mtu = attr->path_mtu;
		qp->mtu = ib_mtu_enum_to_int(attr->path_mtu);
	}
	if (mask & IB_QP_RETRY_CNT) {
		own->retry_cnt = attr->retry_cnt;
		req->retries = attr->retry_cnt;
	}
	if (mask & IB_QP_RNR_RETRY) {
		own->rnr_retry = attr->rnr_retry;
		req->rnr_retries = attr->rnr_retry;
	}
	if (mask & IB_QP_MIN_RNR_TIMER)
		own->min_rnr_timer = attr->min_rnr_timer;
	if (mask & IB_QP_RQ_PSN) {
		own->rq_psn = attr->rq_psn & RXO_PSN_MASK;
		qp->resp.epsn = own->rq_psn;
		qp->resp.ack_psn = rxo_psn_add(own->rq_psn, -1);
	}
	if (mask & IB_QP_SQ_PSN) {
		own->sq_psn = attr->sq_psn & RXO_PSN_MASK;
		req->psn = own->sq_psn;
		req->next_psn = own->sq_psn;
		req->una = own->sq_psn;
		req->ack_psn = own->sq_psn;
	}
	if (mask & IB_QP_TIMEOUT)
		rxo_qp_set_timeout(qp, attr->timeout);
	if (mask & IB_QP_MAX_QP_RD_ATOMIC)
		own->max_rd_atomic = attr->max_rd_atomic;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC)
		own->max_dest_rd_atomic = attr->max_dest_rd_atomic;
	/* Asked for with each move, and not by what is changed there (IBTA 11.2.5.2). */
	if (mask & IB_QP_STATE && attr->qp_state == IB_QPS_SQD &&
	    qp->state != IB_QPS_SQD)
		own->en_sqd_async_notify = mask & IB_QP_EN_SQD_ASYNC_NOTIFY &&
					   attr->en_sqd_async_notify;
}

static void rxo_qp_set_state(struct rxo_qp *qp, enum ib_qp_state state)
{
	if (state >= IB_QPS_RTS)
		rxo_qp_drop_refused(qp);
	switch (state) {
	case IB_QPS_RESET:
		rxo_qp_reset(qp);
		qp->attr.max_rd_atomic = 0;
		return;
	case IB_QPS_ERR:
		if (qp->state != IB_QPS_RESET && qp->state != IB_QPS_ERR) {
			rxo_qp_error(qp);
			return;
		}
		break;
	case IB_QPS_RTR:
		/* A datagram has no path to ask for its MTU. */
		if (qp->transport == RXO_UD)
			qp->mtu = ib_mtu_enum_to_int(rxo_qp_max_mtu(qp) ?:
							     IB_MTU_256);
		break;
	case IB_QPS_SQD:
		qp->req.drained = qp->state == IB_QPS_SQD && qp->req.drained;
		break;
	default:
		break;
	}
	qp->state = state;
	qp->attr.qp_state = state;
}

int rxo_qp_modify(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		  struct ib_udata *udata)
{
	struct rxo_qp *qp = to_rxo_qp(ibqp);
	enum ib_qp_state cur, next;
	int ret = -EINVAL;

	if (mask & ~IB_QP_ATTR_STANDARD_BITS)
		return -EOPNOTSUPP;

	rxo_run_enter(qp);
	cur = qp->state;
	if (mask & IB_QP_CUR_STATE && attr->cur_qp_state != cur)
		goto leave;
	next = mask & IB_QP_STATE ? attr->qp_state : cur;
	if (!ib_modify_qp_is_ok(cur, next, ibqp->qp_type, mask))
		goto leave;
	ret = rxo_qp_check_attr(qp, attr, mask);
	if (ret)
		goto leave;
	/* What stands behind the request that failed is not sent (IBTA 10.3.1.6). */
	if (cur == IB_QPS_SQE && next == IB_QPS_RTS &&
	    !rxo_req_flush_posted(qp)) {
		ret = -EINVAL;
		goto leave;
	}

	rxo_qp_set_attr(qp, attr, mask);
	if (mask & IB_QP_STATE)
		rxo_qp_set_state(qp, next);
leave:
	rxo_run_leave(qp);
	return ret;
}
