/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address handles: where a datagram goes. The process names one by number in each
 * work request, so it is looked up then.
 */
#ifndef RXO_AH_H
#define RXO_AH_H

#include <rdma/ib_verbs.h>

#include "path.h"
#include "ref.h"

struct rxo_dev;
struct rxo_owner;

/**
 * struct rxo_ah - an address handle; does not change
 * @ib: what ib_core knows
 * @owner: whose it is counted as
 * @ref: its handle in the device's table
 * @num: its number there, not 0: that means "none" to the provider
 * @path: without a route
 */
struct rxo_ah {
	struct ib_ah ib;
	struct rxo_owner *owner;
	struct rxo_ref *ref;
	u32 num;
	struct rxo_path path;
};

static inline struct rxo_ah *to_rxo_ah(struct ib_ah *ibah)
{
	return container_of(ibah, struct rxo_ah, ib);
}

/**
 * rxo_ah_init() - make a handle
 * @ah: zeroed but for what ib_core filled
 * @attr: the address, its source GID resolved
 *
 * Context: may sleep.
 * Return: 0, -EINVAL, -ENOMEM or -EBUSY (none is free).
 */
int rxo_ah_init(struct rxo_ah *ah, const struct rdma_ah_attr *attr);
void rxo_ah_fini(struct rxo_ah *ah);

/**
 * rxo_ah_get() - by number
 * @pd: the caller's domain
 * @num: from a work request
 *
 * Context: any.
 * Return: with a reference for rxo_ah_put(); NULL when there is none in @pd.
 */
struct rxo_ah *rxo_ah_get(struct ib_pd *pd, u32 num);

static inline void rxo_ah_put(struct rxo_ah *ah)
{
	rxo_ref_put(ah->ref);
}

#endif /* RXO_AH_H */
