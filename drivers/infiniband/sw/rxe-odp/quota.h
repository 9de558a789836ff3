/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How many objects a device has of each kind, and a process of these. ib_core takes the
 * memory of most of them on nobody's account, so their number has an end. And so that no
 * process reaches it for all the others, none may have more of a kind than it leaves:
 * the first to be greedy gets a half, the next one a quarter, and there is always some.
 */
#ifndef RXO_QUOTA_H
#define RXO_QUOTA_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

enum rxo_kind {
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
 * Return: whose objects are to be counted, for rxo_quota_close(); or NULL.
 */
struct rxo_owner *rxo_quota_open(struct rxo_quota *quota);

/**
 * rxo_quota_close() - what was opened is closed, and has no objects any more
 * @owner: from rxo_quota_open()
 *
 * Context: may sleep.
 */
void rxo_quota_close(struct rxo_owner *owner);

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

#endif /* RXO_QUOTA_H */
