/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How many objects a device has of each kind, and a process of these. ib_core takes the
 * memory of most of them on nobody's account, so their number has an end. And so that no
 * process reaches it for all the others, none may have more of a kind than it leaves:
 * the first to be greedy gets a half, the next one a quarter, and there is always some.
 *
 * And a process's workers: faults sleep as long as a page takes, which the process may
 * decide (userfaultfd), and a work queue runs so many works at a time. With one of its
 * own, whose pages never come holds up nobody but itself; and with one only, however
 * often it opens the device, it has no more of the kernel's threads than that. And what
 * is left of its QPs' runs is done by one thread on each CPU, however many QPs it has.
 */
#ifndef RXO_QUOTA_H
#define RXO_QUOTA_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

/* Faults and prefetches of one process that run at a time. */
#define RXO_QUOTA_FAULTS 256

enum rxo_kind {
	RXO_KIND_CTX, /* the device opened once; taken and given by open and close */
	RXO_KIND_PD,
	RXO_KIND_AH,
	RXO_KIND_CQ,
	RXO_KIND_SRQ,
	RXO_KIND_QP,
	RXO_KIND_MR,
	RXO_KIND_MW,
	RXO_KINDS
};

/**
 * struct rxo_quota - of a device
 * @lock: protects all below, and each owner's counts
 * @owners: processes that have the device open
 * @given: objects of each kind
 */
struct rxo_quota {
	spinlock_t lock;
	struct list_head owners;
	u32 given[RXO_KINDS];
};

struct rxo_owner;

void rxo_quota_init(struct rxo_quota *quota);

/**
 * rxo_quota_open() - the calling process opens the device, perhaps once more
 * @quota: the device's
 *
 * Context: may sleep.
 * Return: whose objects are to be counted, for rxo_quota_close(); or
 * ERR_PTR(-ENOMEM): no memory, or the process has it open too often.
 */
struct rxo_owner *rxo_quota_open(struct rxo_quota *quota);

/**
 * rxo_quota_close() - what was opened is closed, and has no objects any more
 * @owner: from rxo_quota_open(); what was queued for this opening has been waited for
 *
 * Context: may sleep.
 */
void rxo_quota_close(struct rxo_owner *owner);

/**
 * rxo_quota_fault_wq() - the process's workers
 * @owner: the process
 *
 * Context: any.
 * Return: a work queue that is there until the last rxo_quota_close().
 */
struct workqueue_struct *rxo_quota_fault_wq(const struct rxo_owner *owner);

/* Likewise, for QPs whose budget is spent; never sleeps. */
struct workqueue_struct *rxo_quota_run_wq(const struct rxo_owner *owner);

/* One as that; may sleep. To be destroyed when nobody has it any more; or NULL. */
struct workqueue_struct *rxo_quota_alloc_run_wq(void);

/**
 * rxo_quota_take() - one object more
 * @owner: whose; NULL for the kernel's own, which are not counted
 * @kind: of what kind
 *
 * Context: process.
 * Return: 0, or -ENOMEM: there are no more for this process.
 */
int rxo_quota_take(struct rxo_owner *owner, enum rxo_kind kind);

/* It is gone, or was not made after all. */
void rxo_quota_give(struct rxo_owner *owner, enum rxo_kind kind);

/**
 * rxo_quota_waiting() - how many QPs of a process wait for a page
 * @owner: the process
 *
 * Context: any.
 * Return: the number, for who counts them.
 */
atomic_t *rxo_quota_waiting(struct rxo_owner *owner);

/* Likewise, how many packets wait for its QPs, of those that rxo_dev.queued counts. */
atomic_t *rxo_quota_queued(struct rxo_owner *owner);

#endif /* RXO_QUOTA_H */
