/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Receive work: the receive queue of a QP and the shared receive queue are one
 * thing with a different number of users.
 */
#ifndef RXO_SRQ_H
#define RXO_SRQ_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <rdma/ib_verbs.h>

#include "dev.h"
#include "ring.h"

struct seq_file;

/**
 * struct rxo_rq - a ring of receive WQEs
 * @lock: protects all below; taken in softirq
 * @ring: shared with the process
 * @max_wr: as asked for
 * @max_sge: SGEs of a WQE
 */
struct rxo_rq {
	spinlock_t lock;
	struct rxo_ring ring;
	u32 max_wr;
	u32 max_sge;
};

/**
 * struct rxo_srq - a shared receive queue
 * @ib: what ib_core knows
 * @owner: whose it is counted as
 * @entry: among the device's; rxo_dev.queues_lock
 * @rq: its ring; its lock protects @limit and @error
 * @limit: fewer WQEs than this raise IB_EVENT_SRQ_LIMIT_REACHED once; 0: never
 * @error: a WQE in it made no sense
 */
struct rxo_srq {
	struct ib_srq ib;
	struct rxo_owner *owner;
	struct list_head entry;
	struct rxo_rq rq;
	u32 limit;
	bool error;
};

static inline struct rxo_srq *to_rxo_srq(struct ib_srq *ibsrq)
{
	return container_of(ibsrq, struct rxo_srq, ib);
}

/* A receive WQE, copied out of user memory. */
struct rxo_recv {
	u64 wr_id;
	u32 num_sge;
	u64 len; /* sum of the SGEs */
	struct rxe_sge sge[RXO_MAX_SGE];
};

int rxo_rq_init(struct rxo_rq *rq, struct ib_ucontext *uctx, u32 max_wr,
		u32 max_sge, struct mminfo *mi);
void rxo_rq_fini(struct rxo_rq *rq);

/**
 * rxo_rq_pop() - take the oldest receive WQE
 * @rq: a QP's queue
 * @recv: filled with a copy
 *
 * Context: process or softirq.
 * Return: 1, 0 when there is none, -EINVAL for a WQE that makes no sense; it is
 * consumed and @recv->wr_id is valid.
 */
int rxo_rq_pop(struct rxo_rq *rq, struct rxo_recv *recv);

/* create_srq, modify_srq, query_srq, destroy_srq */
int rxo_srq_init(struct rxo_srq *srq, struct ib_ucontext *uctx,
		 struct ib_srq_init_attr *init, struct mminfo *mi);
int rxo_srq_modify(struct rxo_srq *srq, struct ib_ucontext *uctx,
		   struct ib_srq_attr *attr, enum ib_srq_attr_mask mask,
		   struct mminfo *mi);
int rxo_srq_query(struct ib_srq *ibsrq, struct ib_srq_attr *attr);
void rxo_srq_fini(struct rxo_srq *srq);

/* All of @dev's, for debugfs. */
void rxo_srq_show(struct rxo_dev *dev, struct seq_file *m);

/* rxo_rq_pop() for a shared queue; raises its limit event. */
int rxo_srq_pop(struct rxo_srq *srq, struct rxo_recv *recv);

#endif /* RXO_SRQ_H */
