/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prefetch: ibv_advise_mr() fills the mirror before traffic needs it.
 */
#ifndef RXO_PREFETCH_H
#define RXO_PREFETCH_H

#include <rdma/ib_verbs.h>

struct rxo_uctx;
struct uverbs_attr_bundle;

/**
 * rxo_prefetch() - the advise_mr op
 * @pd: protection domain of the regions
 * @advice: for reading, for writing, or what is present without a fault
 * @flags: IB_UVERBS_ADVISE_MR_FLAG_FLUSH waits for the end and reports errors;
 *	   else a worker does it, as best it can
 * @sges: ranges, each in the region of its lkey
 * @num: of them
 * @attrs: unused
 *
 * All ranges are checked before anything is done.
 *
 * Context: may sleep.
 * Return: 0, -EOPNOTSUPP (advice, flags, a pinned region), -ENOENT (no such
 * lkey), -EPERM (region of another PD, or not writable), -EFAULT (out of the
 * region's bounds, or memory not there), -ENOMEM; with FLUSH also -EBUSY, -ESRCH and
 * -EINTR from the fault.
 */
int rxo_prefetch(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice,
		 u32 flags, struct ib_sge *sges, u32 num,
		 struct uverbs_attr_bundle *attrs);

/**
 * rxo_prefetch_end() - the device is closed: drop what workers have not done
 * @uctx: the context; nobody calls it any more
 *
 * Waits for no more than the page that a worker is about to bring, or the 2 MiB around it.
 *
 * Context: may sleep.
 */
void rxo_prefetch_end(struct rxo_uctx *uctx);

#endif /* RXO_PREFETCH_H */
