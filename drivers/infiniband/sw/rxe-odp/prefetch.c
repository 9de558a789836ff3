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
	struct rxo_uctx *uctx;
	struct list_head entry; /* in uctx->prefetches, under its prefetch_lock */
	unsigned int flags; /* HMM_MIRROR_* */
	u32 num;
	struct {
		struct hmm_mirror *mirror;
		unsigned long addr;
		size_t len;
	} ranges[];
};

/* A closing device stops it in between; what is only looked up is no wait. */
static size_t rxo_prefetch_chunk(unsigned long addr, size_t len,
				 unsigned int flags)
{
	return flags & HMM_MIRROR_SNAPSHOT ?
		       len :
		       min(len, PMD_SIZE - (addr & ~PMD_MASK));
}

static int rxo_prefetch_range(struct rxo_prefetch *pf, u32 i)
{
	unsigned long addr = pf->ranges[i].addr;
	size_t len = pf->ranges[i].len;
	size_t chunk;
	int err;

	for (; len; addr += chunk, len -= chunk) {
		if (READ_ONCE(pf->uctx->closing))
			return -ECANCELED;
		chunk = rxo_prefetch_chunk(addr, len, pf->flags);
		err = hmm_mirror_fault(pf->ranges[i].mirror, addr, chunk,
				       pf->flags);
		if (err)
			return err;
	}
	return 0;
}

/* Every range is tried; the first error counts. */
static int rxo_prefetch_fault(struct rxo_prefetch *pf)
{
	int ret, err = 0;
	u32 i;

	for (i = 0; i < pf->num; i++) {
		ret = rxo_prefetch_range(pf, i);
		if (ret == -ECANCELED)
			return ret;
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
	struct rxo_uctx *uctx = pf->uctx;
	bool mine;

	if (rxo_prefetch_fault(pf) == -ECANCELED)
		rxo_count(to_rxo_dev(uctx->ib.device), prefetches_dropped);
	spin_lock(&uctx->prefetch_lock);
	mine = !uctx->closing;
	if (mine)
		list_del(&pf->entry);
	spin_unlock(&uctx->prefetch_lock);
	if (mine)
		rxo_prefetch_free(pf);
}

/*
 * A work that has begun may sleep for its page as long as that takes to come; who has
 * not is taken off the queue, however many others are before it.
 *
 *	rxo_prefetch_end		worker
 *	----------------		------
 *	lock; closing; unlock
 *					lock; closing: not mine [required]; unlock
 *	cancel_work_sync: waits
 *					returns, has not freed it
 *	free
 */
void rxo_prefetch_end(struct rxo_uctx *uctx)
{
	struct rxo_prefetch *pf, *next;

	spin_lock(&uctx->prefetch_lock);
	WRITE_ONCE(uctx->closing, true);
	spin_unlock(&uctx->prefetch_lock);
	/* The list is ours from here on. */
	list_for_each_entry_safe(pf, next, &uctx->prefetches, entry) {
		if (cancel_work_sync(&pf->work))
			rxo_count(to_rxo_dev(uctx->ib.device),
				  prefetches_dropped);
		list_del(&pf->entry);
		rxo_prefetch_free(pf);
		cond_resched();
	}
}

static void rxo_prefetch_queue(struct rxo_prefetch *pf)
{
	struct rxo_uctx *uctx = pf->uctx;

	INIT_WORK(&pf->work, rxo_prefetch_work);
	spin_lock(&uctx->prefetch_lock);
	list_add_tail(&pf->entry, &uctx->prefetches);
	spin_unlock(&uctx->prefetch_lock);
	queue_work(rxo_quota_fault_wq(uctx->owner), &pf->work);
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
	pf->uctx = to_rxo_uctx(pd->uobject->context);
	pf->flags = kinds[advice];
	for (i = 0; i < num && !ret; i++)
		ret = rxo_prefetch_add(pf, pd, &sges[i]);
	if (ret)
		goto free;

	rxo_count(dev, prefetches);
	trace_rxo_prefetch(dev, pf->flags, num, flags);
	if (!(flags & IB_UVERBS_ADVISE_MR_FLAG_FLUSH)) {
		rxo_prefetch_queue(pf);
		return 0;
	}
	ret = rxo_prefetch_fault(pf);
free:
	rxo_prefetch_free(pf);
	return ret;
}
