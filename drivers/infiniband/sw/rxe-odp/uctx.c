// SPDX-License-Identifier: GPL-2.0
#include <rdma/hmm_mirror.h>

#include "dev.h"
#include "uctx.h"

int rxo_uctx_init(struct rxo_uctx *uctx)
{
	uctx->owner = rxo_quota_open(&to_rxo_dev(uctx->ib.device)->quota);
	if (IS_ERR(uctx->owner))
		return PTR_ERR(uctx->owner);
	spin_lock_init(&uctx->prefetch_lock);
	INIT_LIST_HEAD(&uctx->prefetches);
	return 0;
}

/* QPs have cancelled their faults, and prefetches have ended. */
void rxo_uctx_fini(struct rxo_uctx *uctx)
{
	WARN_ON(!list_empty(&uctx->prefetches));
	if (uctx->mirror)
		hmm_mirror_put(uctx->mirror);
	rxo_quota_close(uctx->owner);
}

void rxo_uctx_keep(struct rxo_uctx *uctx, struct hmm_mirror *mirror)
{
	if (!READ_ONCE(uctx->mirror) && !cmpxchg(&uctx->mirror, NULL, mirror))
		hmm_mirror_hold(mirror);
}
