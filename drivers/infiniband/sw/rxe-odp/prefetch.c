// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>
#include <rdma/hmm_mirror.h>

#include "dev.h"
#include "mr.h"
#include "prefetch.h"
#include "trace.h"
#include "uctx.h"
#include "wire/range.h"

/*
 * Ranges with a reference on their mirror, not on their region: deregistering
 * does not wait for a prefetch.
 */
struct rxo_prefetch {
	struct work_struct work;
	unsigned int flags; /* HMM_MIRROR_* */
	u32 num;
	struct {
		struct hmm_mirror *mirror;
		unsigned long addr;
		size_t len;
	} ranges[];
};

/* Every range is tried; the first error counts. */
static int rxo_prefetch_fault(struct rxo_prefetch *pf)
{
	int ret, err = 0;
	u32 i;

	for (i = 0; i < pf->num; i++) {
		ret = hmm_mirror_fault(pf->ranges[i].mirror, pf->ranges[i].addr,
				       pf->ranges[i].len, pf->flags);
		err = err ?: ret;
	}
	return err;
}

static void rxo_prefetch_free(struct rxo_prefetch *pf)
{
	while (pf->num)
		hmm_mirror_put(pf->ranges[--pf->num].mirror);
	kvfree(pf);
}

static void rxo_prefetch_work(struct work_struct *work)
{
	struct rxo_prefetch *pf =
		container_of(work, struct rxo_prefetch, work);

	rxo_prefetch_fault(pf);
	rxo_prefetch_free(pf);
}

static int rxo_prefetch_check(struct rxo_mr *mr, struct ib_pd *pd,
			      const struct ib_sge *sge, unsigned int flags)
{
	if (!mr->mirror)
		return -EOPNOTSUPP;
	if (mr->ib.pd != pd)
		return -EPERM;
	if (flags & HMM_MIRROR_WRITE && !(mr->access & IB_ACCESS_LOCAL_WRITE))
		return -EPERM;
	if (!rxo_range_contains(mr->iova, mr->len, sge->addr, sge->length))
		return -EFAULT;
	return 0;
}

static int rxo_prefetch_add(struct rxo_prefetch *pf, struct ib_pd *pd,
			    const struct ib_sge *sge)
{
	struct rxo_key *key = rxo_key_get(to_rxo_dev(pd->device), sge->lkey);
	struct rxo_mr *mr;
	int ret = -ENOENT;

	if (!key)
		return -ENOENT;
	/* A window's tag may be changing. */
	if (key->kind != RXO_KEY_MR) {
		ret = -EINVAL;
		goto put_key;
	}
	if (key->key != sge->lkey)
		goto put_key;
	mr = container_of(key, struct rxo_mr, key);
	ret = rxo_prefetch_check(mr, pd, sge, pf->flags);
	if (ret || !sge->length)
		goto put_key;

	atomic64_add(DIV_ROUND_UP(offset_in_page(sge->addr) + sge->length,
				  PAGE_SIZE),
		     &mr->prefetched);
	hmm_mirror_hold(mr->mirror);
	pf->ranges[pf->num].mirror = mr->mirror;
	pf->ranges[pf->num].addr = sge->addr - mr->iova + mr->va;
	pf->ranges[pf->num].len = sge->length;
	pf->num++;
put_key:
	rxo_key_put(key);
	return ret;
}

int rxo_prefetch(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice,
		 u32 flags, struct ib_sge *sges, u32 num,
		 struct uverbs_attr_bundle *attrs)
{
	static const unsigned int kinds[] = {
		[IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH] = HMM_MIRROR_READ,
		[IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE] = HMM_MIRROR_WRITE,
		[IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT] =
			HMM_MIRROR_SNAPSHOT,
	};
	struct rxo_dev *dev = to_rxo_dev(pd->device);
	struct rxo_prefetch *pf;
	int ret = 0;
	u32 i;

	if (advice >= ARRAY_SIZE(kinds) ||
	    flags & ~IB_UVERBS_ADVISE_MR_FLAG_FLUSH)
		return -EOPNOTSUPP;

	pf = kvzalloc(struct_size(pf, ranges, num), GFP_KERNEL_ACCOUNT);
	if (!pf)
		return -ENOMEM;
	pf->flags = kinds[advice];
	for (i = 0; i < num && !ret; i++)
		ret = rxo_prefetch_add(pf, pd, &sges[i]);
	if (ret)
		goto free;

	rxo_count(dev, prefetches);
	trace_rxo_prefetch(dev, pf->flags, num, flags);
	if (!(flags & IB_UVERBS_ADVISE_MR_FLAG_FLUSH)) {
		INIT_WORK(&pf->work, rxo_prefetch_work);
		queue_work(to_rxo_uctx(pd->uobject->context)->fault_wq,
			   &pf->work);
		return 0;
	}
	ret = rxo_prefetch_fault(pf);
free:
	rxo_prefetch_free(pf);
	return ret;
}
