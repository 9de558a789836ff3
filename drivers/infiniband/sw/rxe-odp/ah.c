// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "ah.h"
#include "dev.h"

int rxo_ah_init(struct rxo_ah *ah, const struct rdma_ah_attr *attr)
{
	struct rxo_dev *dev = to_rxo_dev(ah->ib.device);
	int ret;

	ret = rxo_path_check(attr);
	if (ret)
		return ret;
	ah->ref = rxo_ref_alloc(ah);
	if (!ah->ref)
		return -ENOMEM;
	rxo_path_init(&ah->path, attr);
	ret = xa_alloc_irq(&dev->ahs, &ah->num, ah->ref,
			   XA_LIMIT(1, RXO_MAX_AH), GFP_KERNEL);
	if (ret)
		kfree(ah->ref);
	return ret;
}

void rxo_ah_fini(struct rxo_ah *ah)
{
	rxo_ref_kill(&to_rxo_dev(ah->ib.device)->ahs, ah->num, ah->ref);
}

struct rxo_ah *rxo_ah_get(struct ib_pd *pd, u32 num)
{
	struct rxo_ref *ref = rxo_ref_get(&to_rxo_dev(pd->device)->ahs, num);
	struct rxo_ah *ah;

	if (!ref)
		return NULL;
	ah = ref->obj;
	if (ah->ib.pd != pd) {
		rxo_ref_put(ref);
		return NULL;
	}
	return ah;
}
