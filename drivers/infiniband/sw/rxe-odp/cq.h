/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Completion queues: the kernel produces, the process consumes without a system
 * call.
 */
#ifndef RXO_CQ_H
#define RXO_CQ_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <rdma/ib_verbs.h>

#include "ring.h"

struct rxo_dev;
struct rxo_owner;
struct seq_file;

/**
 * struct rxo_cq - a completion queue
 * @ib: what ib_core knows
 * @owner: whose it is counted as
 * @entry: among the device's; rxo_dev.queues_lock
 * @lock: protects all below; taken in softirq
 * @ring: shared with the process
 * @notify: what it asked to be woken for: 0, IB_CQ_SOLICITED, IB_CQ_NEXT_COMP
 * @overflowed: an entry was lost; the queue takes no more
 */
struct rxo_cq {
	struct ib_cq ib;
	struct rxo_owner *owner;
	struct list_head entry;
	spinlock_t lock;
	struct rxo_ring ring;
	u8 notify;
	bool overflowed;
};

static inline struct rxo_cq *to_rxo_cq(struct ib_cq *ibcq)
{
	return container_of(ibcq, struct rxo_cq, ib);
}

/**
 * rxo_cq_init() - make a queue
 * @cq: zeroed but for what ib_core filled
 * @uctx: the process
 * @cqe: entries, 1 to RXO_MAX_CQE
 * @mi: filled for mmap
 *
 * Context: may sleep.
 * Return: 0, -EINVAL or -ENOMEM.
 */
int rxo_cq_init(struct rxo_cq *cq, struct ib_ucontext *uctx, int cqe,
		struct mminfo *mi);
void rxo_cq_fini(struct rxo_cq *cq);

/**
 * rxo_cq_resize() - another number of entries, what is inside moves along
 * @cq: the queue
 * @uctx: the process
 * @cqe: entries, 1 to RXO_MAX_CQE
 * @mi: filled for mmap of the new ring
 *
 * Context: may sleep.
 * Return: 0, -EINVAL (also when more are inside than would fit) or -ENOMEM; the
 * queue is then as it was.
 */
int rxo_cq_resize(struct rxo_cq *cq, struct ib_ucontext *uctx, int cqe,
		  struct mminfo *mi);

/**
 * rxo_cq_post() - put a completion into the queue
 * @cq: the queue
 * @wc: as the process shall see it
 * @solicited: wake a process that waits for solicited completions; errors do so
 *	       as well
 *
 * On overflow the queue is dead and the process gets IB_EVENT_CQ_ERR (IBTA
 * 11.6.3.2).
 *
 * Context: process or softirq.
 * Return: true, or false when the completion is lost.
 */
bool rxo_cq_post(struct rxo_cq *cq, const struct ib_uverbs_wc *wc,
		 bool solicited);

/* All of @dev's, for debugfs. */
void rxo_cq_show(struct rxo_dev *dev, struct seq_file *m);

/* ib_device_ops */
int rxo_cq_req_notify(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);

#endif /* RXO_CQ_H */
