/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process's open device.
 */
#ifndef RXO_UCTX_H
#define RXO_UCTX_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <rdma/ib_verbs.h>

struct hmm_mirror;
struct rxo_owner;

/**
 * struct rxo_uctx - a process's open device
 * @ib: what ib_core knows
 * @owner: of its objects, the process
 * @prefetch_lock: protects @prefetches, and @closing to write
 * @prefetches: those that are left to workers; prefetch.c
 * @closing: they stop, and stay on the list; read without a lock as well
 * @mirror: of the first who registered on-demand memory, set once: so it outlives its
 *	    MRs, and memory that is registered again and again is warm; or NULL
 */
struct rxo_uctx {
	struct ib_ucontext ib;
	struct rxo_owner *owner;
	spinlock_t prefetch_lock;
	struct list_head prefetches;
	bool closing;
	struct hmm_mirror *mirror;
};

static inline struct rxo_uctx *to_rxo_uctx(struct ib_ucontext *uctx)
{
	return container_of(uctx, struct rxo_uctx, ib);
}

/* alloc_ucontext; dealloc_ucontext, after rxo_prefetch_end() */
int rxo_uctx_init(struct rxo_uctx *uctx);
void rxo_uctx_fini(struct rxo_uctx *uctx);

/**
 * rxo_uctx_keep() - keep a mirror until the device is closed, if there is none yet
 * @uctx: the context
 * @mirror: the caller's
 *
 * Context: any.
 */
void rxo_uctx_keep(struct rxo_uctx *uctx, struct hmm_mirror *mirror);

#endif /* RXO_UCTX_H */
