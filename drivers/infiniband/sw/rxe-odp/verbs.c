// SPDX-License-Identifier: GPL-2.0
#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "ah.h"
#include "compat/compat.h"
#include "cq.h"
#include "dev.h"
#include "mr.h"
#include "mw.h"
#include "prefetch.h"
#include "park.h"
#include "qp.h"
#include "ring.h"
#include "run.h"
#include "srq.h"
#include "uctx.h"
#include "verbs.h"

struct rxo_pd {
	struct ib_pd ib;
	struct rxo_owner *owner;
};

static struct rxo_pd *to_rxo_pd(struct ib_pd *ibpd)
{
	return container_of(ibpd, struct rxo_pd, ib);
}

static struct ib_ucontext *rxo_uctx(struct ib_udata *udata)
{
	return rdma_udata_to_uverbs_attr_bundle(udata)->context;
}

/* One object more for who calls, written down at @owner; returns 0 or -ENOMEM. */
static int rxo_take(struct rxo_owner **owner, struct ib_udata *udata,
		    enum rxo_kind kind)
{
	*owner = udata ? to_rxo_uctx(rxo_uctx(udata))->owner : NULL;
	return rxo_quota_take(*owner, kind);
}

static int rxo_alloc_ucontext(struct ib_ucontext *uctx, struct ib_udata *udata)
{
	return rxo_uctx_init(to_rxo_uctx(uctx));
}

static void rxo_dealloc_ucontext(struct ib_ucontext *uctx)
{
	rxo_prefetch_end(to_rxo_uctx(uctx));
	rxo_uctx_fini(to_rxo_uctx(uctx));
}

/*
 * Rings are memory of ours, not of a device: a process may keep its mappings when
 * the device goes.
 */
static void rxo_disassociate_ucontext(struct ib_ucontext *uctx)
{
}

static int rxo_alloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	return rxo_take(&to_rxo_pd(ibpd)->owner, udata, RXO_KIND_PD);
}

static int rxo_dealloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	rxo_quota_give(to_rxo_pd(ibpd)->owner, RXO_KIND_PD);
	return 0;
}

static int rxo_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
			 struct uverbs_attr_bundle *attrs)
{
	struct ib_udata *udata = &attrs->driver_udata;
	struct rxo_cq *cq = to_rxo_cq(ibcq);
	struct rxe_create_cq_resp resp = {};
	int ret;

	if (attr->flags)
		return -EOPNOTSUPP;
	if (attr->comp_vector >= ibcq->device->num_comp_vectors ||
	    attr->cqe > INT_MAX)
		return -EINVAL;
	if (udata->outlen < sizeof(resp))
		return -EINVAL;
	ret = rxo_take(&cq->owner, udata, RXO_KIND_CQ);
	if (ret)
		return ret;
	ret = rxo_cq_init(cq, rxo_uctx(udata), attr->cqe, &resp.mi);
	if (ret)
		goto give;
	ret = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (!ret)
		return 0;
	rxo_cq_fini(cq);
give:
	rxo_quota_give(cq->owner, RXO_KIND_CQ);
	return ret;
}

static int rxo_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata)
{
	rxo_cq_fini(to_rxo_cq(ibcq));
	rxo_quota_give(to_rxo_cq(ibcq)->owner, RXO_KIND_CQ);
	return 0;
}

static int rxo_resize_cq(struct ib_cq *ibcq, rxo_compat_cqe_t cqe,
			 struct ib_udata *udata)
{
	struct rxe_resize_cq_resp resp = {};
	int ret;

	if (udata->outlen < sizeof(resp) || cqe > INT_MAX)
		return -EINVAL;
	ret = rxo_cq_resize(to_rxo_cq(ibcq), rxo_uctx(udata), cqe, &resp.mi);
	return ret ?: ib_copy_to_udata(udata, &resp, sizeof(resp));
}

static int rxo_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *init,
			 struct ib_udata *udata)
{
	struct rxo_ah *ah = to_rxo_ah(ibah);
	struct rxe_create_ah_resp resp = {};
	int ret;

	/* Without a number the provider would put addresses into each WQE. */
	if (!udata || udata->outlen < sizeof(resp))
		return -EINVAL;
	ret = rxo_take(&ah->owner, udata, RXO_KIND_AH);
	if (ret)
		return ret;
	ret = rxo_ah_init(ah, init->ah_attr);
	if (ret)
		goto give;
	resp.ah_num = ah->num;
	ret = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (!ret)
		return 0;
	rxo_ah_fini(ah);
give:
	rxo_quota_give(ah->owner, RXO_KIND_AH);
	return ret;
}

static int rxo_destroy_ah(struct ib_ah *ibah, u32 flags)
{
	rxo_ah_fini(to_rxo_ah(ibah));
	rxo_quota_give(to_rxo_ah(ibah)->owner, RXO_KIND_AH);
	return 0;
}

static int rxo_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init,
			  struct ib_udata *udata)
{
	struct rxo_srq *srq = to_rxo_srq(ibsrq);
	struct rxe_create_srq_resp resp = {};
	int ret;

	if (!udata || udata->outlen < sizeof(resp))
		return -EINVAL;
	ret = rxo_take(&srq->owner, udata, RXO_KIND_SRQ);
	if (ret)
		return ret;
	ret = rxo_srq_init(srq, rxo_uctx(udata), init, &resp.mi);
	if (ret)
		goto give;
	ret = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (!ret)
		return 0;
	rxo_srq_fini(srq);
give:
	rxo_quota_give(srq->owner, RXO_KIND_SRQ);
	return ret;
}

static int rxo_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
			  enum ib_srq_attr_mask mask, struct ib_udata *udata)
{
	struct rxe_modify_srq_cmd cmd = {};
	struct mminfo mi = {};
	int ret;

	/* The provider wants the new ring's place in memory of its own. */
	if (mask & IB_SRQ_MAX_WR) {
		if (!udata || udata->inlen < sizeof(cmd))
			return -EINVAL;
		ret = ib_copy_from_udata(&cmd, udata, sizeof(cmd));
		if (ret)
			return ret;
	}
	ret = rxo_srq_modify(to_rxo_srq(ibsrq),
			     udata ? rxo_uctx(udata) : NULL, attr, mask, &mi);
	if (ret)
		return ret;
	if (mask & IB_SRQ_MAX_WR &&
	    copy_to_user(u64_to_user_ptr(cmd.mmap_info_addr), &mi, sizeof(mi)))
		return -EFAULT;
	return 0;
}

static int rxo_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata)
{
	rxo_srq_fini(to_rxo_srq(ibsrq));
	rxo_quota_give(to_rxo_srq(ibsrq)->owner, RXO_KIND_SRQ);
	return 0;
}

static int rxo_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *init,
			 struct ib_udata *udata)
{
	struct rxo_qp *qp = to_rxo_qp(ibqp);
	struct rxe_create_qp_resp resp = {};
	int ret;

	if (!udata || udata->outlen < sizeof(resp))
		return -EINVAL;
	ret = rxo_take(&qp->owner, udata, RXO_KIND_QP);
	if (ret)
		return ret;
	ret = rxo_qp_init(qp, rxo_uctx(udata), init, &resp.rq_mi, &resp.sq_mi);
	if (ret)
		goto give;
	ret = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (!ret)
		return 0;
	rxo_qp_fini(qp);
give:
	rxo_quota_give(qp->owner, RXO_KIND_QP);
	return ret;
}

static int rxo_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata)
{
	rxo_qp_fini(to_rxo_qp(ibqp));
	rxo_quota_give(to_rxo_qp(ibqp)->owner, RXO_KIND_QP);
	return 0;
}

/*
 * The doorbell: libibverbs has put the WQEs into the send queue, and the call
 * brings none.
 */
static int rxo_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
			 const struct ib_send_wr **bad_wr)
{
	struct rxo_qp *qp = to_rxo_qp(ibqp);
	struct rxo_bell bell;

	if (wr) {
		*bad_wr = wr;
		return -EOPNOTSUPP;
	}
	/* IBTA 10.8.2: too early; rxo_qp_modify() throws them away. */
	if (READ_ONCE(qp->state) < IB_QPS_RTS)
		return -EINVAL;
	rxo_bell_ring(&bell, qp);
	rxo_run_kick(qp, RXO_EV_DOORBELL);
	rxo_bell_end(&bell);
	return 0;
}

static struct ib_mr *rxo_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length,
				     u64 iova, int access,
				     RXO_COMPAT_DMAH_ARG struct ib_udata *udata)
{
	struct rxo_mr *mr = rxo_mr_create(ibpd, start, length, iova, access);

	return IS_ERR(mr) ? ERR_CAST(mr) : &mr->ib;
}

static int rxo_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	return rxo_mr_destroy(to_rxo_mr(ibmr));
}

static int rxo_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata)
{
	struct rxo_mw *mw = to_rxo_mw(ibmw);
	int ret;

	ret = rxo_take(&mw->owner, udata, RXO_KIND_MW);
	if (ret)
		return ret;
	ret = rxo_mw_init(to_rxo_dev(ibmw->device), mw);
	if (ret)
		rxo_quota_give(mw->owner, RXO_KIND_MW);
	return ret;
}

static int rxo_dealloc_mw(struct ib_mw *ibmw)
{
	rxo_mw_fini(to_rxo_dev(ibmw->device), to_rxo_mw(ibmw));
	rxo_quota_give(to_rxo_mw(ibmw)->owner, RXO_KIND_MW);
	return 0;
}

const struct ib_device_ops rxo_verbs_ops = {
	.advise_mr = rxo_prefetch,
	.alloc_mw = rxo_alloc_mw,
	.alloc_pd = rxo_alloc_pd,
	.alloc_ucontext = rxo_alloc_ucontext,
	.create_cq = rxo_create_cq,
	.create_qp = rxo_create_qp,
	.create_srq = rxo_create_srq,
	.create_user_ah = rxo_create_ah,
	.dealloc_mw = rxo_dealloc_mw,
	.dealloc_pd = rxo_dealloc_pd,
	.dealloc_ucontext = rxo_dealloc_ucontext,
	.dereg_mr = rxo_dereg_mr,
	.destroy_ah = rxo_destroy_ah,
	.destroy_cq = rxo_destroy_cq,
	.destroy_qp = rxo_destroy_qp,
	.destroy_srq = rxo_destroy_srq,
	.disassociate_ucontext = rxo_disassociate_ucontext,
	.mmap = rxo_ring_mmap,
	.mmap_free = rxo_ring_mmap_free,
	.modify_qp = rxo_qp_modify,
	.modify_srq = rxo_modify_srq,
	.post_send = rxo_post_send,
	.query_qp = rxo_qp_query,
	.query_srq = rxo_srq_query,
	.reg_user_mr = rxo_reg_user_mr,
	.req_notify_cq = rxo_cq_req_notify,
	.RXO_COMPAT_RESIZE_CQ = rxo_resize_cq,

	INIT_RDMA_OBJ_SIZE(ib_ah, rxo_ah, ib),
	INIT_RDMA_OBJ_SIZE(ib_cq, rxo_cq, ib),
	INIT_RDMA_OBJ_SIZE(ib_mw, rxo_mw, ib),
	INIT_RDMA_OBJ_SIZE(ib_pd, rxo_pd, ib),
	INIT_RDMA_OBJ_SIZE(ib_qp, rxo_qp, ib),
	INIT_RDMA_OBJ_SIZE(ib_srq, rxo_srq, ib),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, rxo_uctx, ib),
};
