/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory windows: a part of a region under a key and rights of its own (IBTA
 * 10.6.7). Type 1 is bound by a verb that the provider turns into a send queue
 * WQE, type 2B directly by a WQE and only for the QP that bound it.
 */
#ifndef RXO_MW_H
#define RXO_MW_H

#include <linux/spinlock.h>
#include <rdma/ib_verbs.h>

#include "key.h"

struct rxo_dev;
struct rxo_mr;
struct rxo_mw_bind;
struct rxo_owner;
struct rxo_qp;

/**
 * struct rxo_mw - a memory window
 * @ib: what ib_core knows
 * @owner: whose it is counted as
 * @key: rkey; its tag is changed by a bind
 * @lock: protects all below and the tag; taken in softirq
 * @mr: region it is bound to, counted in its windows; NULL when free
 * @addr: first address; 0 for a zero-based window
 * @base: the region's own address of @addr
 * @len: bytes
 * @access: IB_ACCESS_*
 * @qpn: type 2: the QP that bound it
 */
struct rxo_mw {
	struct ib_mw ib;
	struct rxo_owner *owner;
	struct rxo_key key;
	spinlock_t lock;
	struct rxo_mr *mr;
	u64 addr;
	u64 base;
	u64 len;
	int access;
	u32 qpn;
};

static inline struct rxo_mw *to_rxo_mw(struct ib_mw *ibmw)
{
	return container_of(ibmw, struct rxo_mw, ib);
}

/* alloc_mw, dealloc_mw */
int rxo_mw_init(struct rxo_dev *dev, struct rxo_mw *mw);
void rxo_mw_fini(struct rxo_dev *dev, struct rxo_mw *mw);

/**
 * rxo_mw_bind() - bind a window, or free it with length 0
 * @pd: of the QP
 * @qpn: of the QP
 * @bind: what is asked for
 *
 * Context: any.
 * Return: 0 or -EINVAL; the window is then as it was.
 */
int rxo_mw_bind(struct ib_pd *pd, u32 qpn, const struct rxo_mw_bind *bind);

/**
 * rxo_mw_invalidate() - free a type 2 window by its rkey
 * @pd: of the QP
 * @qpn: of the QP
 * @rkey: the window's key
 *
 * Context: any.
 * Return: 0, or -EINVAL when there is no such window for this QP.
 */
int rxo_mw_invalidate(struct ib_pd *pd, u32 qpn, u32 rkey);

/* For rxo_mr_get() only: as that, with the window looked up already. */
struct rxo_mr *rxo_mw_get_mr(struct rxo_mw *mw, struct ib_pd *pd, u32 qpn,
			     u32 key, int access, u64 *iova, u64 len);

#endif /* RXO_MW_H */
