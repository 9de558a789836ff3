// SPDX-License-Identifier: GPL-2.0
#include <rdma/rdma_netlink.h>
#include <rdma/restrack.h>
#include <uapi/rdma/rdma_netlink.h>

#include "cq.h"
#include "mr.h"
#include "qp.h"
#include "restrack.h"
#include "srq.h"

static int rxo_restrack_end(struct sk_buff *msg, struct nlattr *table, int err)
{
	if (err)
		nla_nest_cancel(msg, table);
	else
		nla_nest_end(msg, table);
	return err ? -EMSGSIZE : 0;
}

static int rxo_res_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct rxo_mr *mr = to_rxo_mr(ibmr);
	struct nlattr *table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	const char *kind = mr->len == U64_MAX ? "implicit" : "explicit";
	int err;

	if (!table)
		return -EMSGSIZE;
	if (!mr->mirror)
		kind = "no";
	else if (!(mr->access & IB_ACCESS_ON_DEMAND))
		kind = "unasked";
	err = rdma_nl_put_driver_string(msg, "odp", kind) ||
	      rdma_nl_put_driver_u32_hex(msg, "access", mr->access) ||
	      rdma_nl_put_driver_u32(msg, "windows",
				     max(atomic_read(&mr->windows), 0));
	return rxo_restrack_end(msg, table, err);
}

static int rxo_res_qp(struct sk_buff *msg, struct ib_qp *ibqp)
{
	struct rxo_qp *qp = to_rxo_qp(ibqp);
	u32 waiting, parked, posted;
	struct nlattr *table;
	int err;

	/* Its rings go when it is destroyed. */
	if (!rxo_run_try_enter(qp))
		return -EAGAIN;
	posted = rxo_ring_pending(&qp->req.ring);
	rxo_run_leave(qp);

	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!table)
		return -EMSGSIZE;
	/* A picture of a QP that runs. */
	waiting = skb_queue_len_lockless(&qp->run.requests) +
		  skb_queue_len_lockless(&qp->run.responses);
	parked = rxo_park_started(&qp->req.park) +
		 rxo_park_started(&qp->comp.park) +
		 rxo_park_started(&qp->resp.park);
	err = rdma_nl_put_driver_u32_hex(msg, "una", READ_ONCE(qp->req.una)) ||
	      rdma_nl_put_driver_u32_hex(msg, "psn", READ_ONCE(qp->req.psn)) ||
	      rdma_nl_put_driver_u32_hex(msg, "epsn",
					 READ_ONCE(qp->resp.epsn)) ||
	      rdma_nl_put_driver_u32(msg, "sq_posted", posted) ||
	      rdma_nl_put_driver_u32(msg, "parked", parked) ||
	      rdma_nl_put_driver_u32(msg, "waiting_packets", waiting);
	return rxo_restrack_end(msg, table, err);
}

static int rxo_res_cq(struct sk_buff *msg, struct ib_cq *ibcq)
{
	struct rxo_cq *cq = to_rxo_cq(ibcq);
	struct nlattr *table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	int err;

	if (!table)
		return -EMSGSIZE;
	err = rdma_nl_put_driver_u32(msg, "notify", READ_ONCE(cq->notify)) ||
	      rdma_nl_put_driver_u32(msg, "overflowed",
				     READ_ONCE(cq->overflowed));
	return rxo_restrack_end(msg, table, err);
}

static int rxo_res_srq(struct sk_buff *msg, struct ib_srq *ibsrq)
{
	struct rxo_srq *srq = to_rxo_srq(ibsrq);
	struct nlattr *table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	int err;

	if (!table)
		return -EMSGSIZE;
	err = rdma_nl_put_driver_u32(msg, "max_wr",
				     READ_ONCE(srq->rq.max_wr)) ||
	      rdma_nl_put_driver_u32(msg, "limit", READ_ONCE(srq->limit)) ||
	      rdma_nl_put_driver_u32(msg, "error", READ_ONCE(srq->error));
	return rxo_restrack_end(msg, table, err);
}

/* Named, and in units, as mlx5 does: pages, and what brought or took them. */
static int rxo_stat_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct rxo_mr *mr = to_rxo_mr(ibmr);
	struct hmm_mirror_window *w = &mr->window;
	const struct {
		const char *name;
		const atomic64_t *value;
	} stats[] = {
		{ "page_faults", &w->faults },
		{ "page_faults_handled", &w->faults_handled },
		{ "page_invalidations", &w->invalidations },
		{ "page_invalidations_handled", &w->invalidations_handled },
		{ "page_prefetch", &mr->prefetched },
	};
	struct nlattr *table;
	unsigned int i;
	int err = 0;
	u64 value;

	if (!mr->mirror)
		return 0;
	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_STAT_HWCOUNTERS);
	if (!table)
		return -EMSGSIZE;
	for (i = 0; !err && i < ARRAY_SIZE(stats); i++) {
		value = atomic64_read(stats[i].value);
		err = rdma_nl_stat_hwcounter_entry(msg, stats[i].name, value);
	}
	return rxo_restrack_end(msg, table, err);
}

const struct ib_device_ops rxo_restrack_ops = {
	.fill_res_cq_entry = rxo_res_cq,
	.fill_res_mr_entry = rxo_res_mr,
	.fill_res_qp_entry = rxo_res_qp,
	.fill_res_srq_entry = rxo_res_srq,
	.fill_stat_mr_entry = rxo_stat_mr,
};
