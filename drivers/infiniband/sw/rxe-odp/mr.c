// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <rdma/ib_umem.h>

#include "compat/compat.h"
#include "dev.h"
#include "mr.h"
#include "mw.h"
#include "uctx.h"
#include "wire/range.h"

#define RXO_MR_ACCESS                                                    \
	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE |                \
	 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC |               \
	 IB_ACCESS_MW_BIND | IB_ACCESS_ON_DEMAND | IB_ACCESS_OPTIONAL)

static bool unpinned;
module_param(unpinned, bool, 0644);
MODULE_PARM_DESC(unpinned,
		 "Treat all memory that processes register as on-demand (default: no)");

static int rxo_mr_pin(struct rxo_mr *mr, struct ib_device *ibdev)
{
	struct sg_page_iter iter;
	size_t npages, i = 0;

	mr->umem = ib_umem_get_va(ibdev, mr->va, mr->len, mr->access);
	if (IS_ERR(mr->umem))
		return PTR_ERR(mr->umem);

	npages = ib_umem_num_pages(mr->umem);
	mr->pages = kvmalloc_array(npages, sizeof(*mr->pages),
				   GFP_KERNEL_ACCOUNT);
	if (!mr->pages) {
		ib_umem_release(mr->umem);
		return -ENOMEM;
	}
	for_each_sgtable_page(&mr->umem->sgt_append.sgt, &iter, 0) {
		if (i == npages)
			break;
		mr->pages[i++] = sg_page_iter_page(&iter);
	}
	return 0;
}

static int rxo_mr_mirror(struct rxo_mr *mr, struct rxo_dev *dev,
			 struct rxo_uctx *uctx)
{
	unsigned int flags = ib_access_writable(mr->access) ? HMM_MIRROR_WRITE :
							      HMM_MIRROR_READ;
	struct hmm_mirror *mirror = hmm_mirror_get(&dev->mirrors);
	int ret;

	if (IS_ERR(mirror))
		return PTR_ERR(mirror);
	/* Who does not know of ODP expects this error here, not from an access. */
	if (!(mr->access & IB_ACCESS_ON_DEMAND)) {
		ret = hmm_mirror_check(mirror, mr->va, mr->len, flags);
		if (ret) {
			hmm_mirror_put(mirror);
			return ret;
		}
	}
	mr->mirror = mirror;
	rxo_uctx_keep(uctx, mirror);
	hmm_mirror_window_add(mirror, &mr->window, mr->va,
			      mr->va + (mr->len - 1));
	return 0;
}

static void rxo_mr_release_memory(struct rxo_mr *mr)
{
	if (mr->mirror) {
		hmm_mirror_window_del(mr->mirror, &mr->window);
		hmm_mirror_put(mr->mirror);
	} else {
		kvfree(mr->pages);
		ib_umem_release(mr->umem);
	}
}

struct rxo_mr *rxo_mr_create(struct ib_pd *pd, u64 va, u64 len, u64 iova,
			     int access)
{
	struct rxo_dev *dev = to_rxo_dev(pd->device);
	bool odp = access & IB_ACCESS_ON_DEMAND;
	struct rxo_uctx *uctx;
	struct rxo_mr *mr;
	u64 end;
	int ret;

	if (!pd->uobject)
		return ERR_PTR(-EOPNOTSUPP);
	uctx = to_rxo_uctx(pd->uobject->context);
	/* The mirror takes pages of any size, so this asks nothing of it. */
	if (odp && len != U64_MAX)
		access &= ~IB_ACCESS_HUGETLB;
	if (access & ~RXO_MR_ACCESS)
		return ERR_PTR(-EOPNOTSUPP);
	if (!len)
		return ERR_PTR(-EINVAL);
	/* Implicit ODP names all the address space, as verbs spell it. */
	if (len == U64_MAX && (va || !odp))
		return ERR_PTR(-EINVAL);
	if (len != U64_MAX && (check_add_overflow(va, len - 1, &end) ||
			       check_add_overflow(iova, len - 1, &end)))
		return ERR_PTR(-EINVAL);

	mr = kzalloc(sizeof(*mr), GFP_KERNEL_ACCOUNT);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->va = va;
	mr->iova = iova;
	mr->len = len;
	mr->access = access;
	mr->ib.device = pd->device;
	mr->ib.pd = pd;
	atomic_set(&mr->windows, 0);
	mr->owner = uctx->owner;
	ret = rxo_quota_take(mr->owner, RXO_KIND_MR);
	if (ret)
		goto free_mr;

	if (odp || READ_ONCE(unpinned))
		ret = rxo_mr_mirror(mr, dev, uctx);
	else
		ret = rxo_mr_pin(mr, pd->device);
	if (ret)
		goto give;

	ret = rxo_key_init(dev, &mr->key, RXO_KEY_MR);
	if (ret)
		goto release_memory;
	mr->ib.lkey = mr->key.key;
	mr->ib.rkey = mr->key.key;
	return mr;

release_memory:
	rxo_mr_release_memory(mr);
give:
	rxo_quota_give(mr->owner, RXO_KIND_MR);
free_mr:
	kfree(mr);
	return ERR_PTR(ret);
}

int rxo_mr_destroy(struct rxo_mr *mr)
{
	/* From here on no window can be bound. */
	if (atomic_cmpxchg(&mr->windows, 0, INT_MIN))
		return -EBUSY;
	rxo_key_kill(to_rxo_dev(mr->ib.device), &mr->key);
	rxo_mr_release_memory(mr);
	rxo_quota_give(mr->owner, RXO_KIND_MR);
	kfree(mr);
	return 0;
}

/* Takes over the reference of @k, the key of a region. */
static struct rxo_mr *rxo_mr_check(struct rxo_key *k, struct ib_pd *pd, u32 key,
				   int access, u64 iova, u64 len)
{
	struct rxo_mr *mr = container_of(k, struct rxo_mr, key);

	if (k->key == key && mr->ib.pd == pd && !(access & ~mr->access) &&
	    rxo_range_contains(mr->iova, mr->len, iova, len))
		return mr;
	rxo_key_put(k);
	return ERR_PTR(-EACCES);
}

struct rxo_mr *rxo_mr_get_local(struct ib_pd *pd, u32 lkey, int access,
				u64 iova, u64 len)
{
	struct rxo_key *k = rxo_key_get(to_rxo_dev(pd->device), lkey);

	if (!k)
		return ERR_PTR(-EACCES);
	if (k->kind == RXO_KEY_MW) {
		rxo_key_put(k);
		return ERR_PTR(-EACCES);
	}
	return rxo_mr_check(k, pd, lkey, access, iova, len);
}

struct rxo_mr *rxo_mr_get(struct ib_pd *pd, u32 qpn, u32 key, int access,
			  u64 *iova, u64 len)
{
	struct rxo_key *k = rxo_key_get(to_rxo_dev(pd->device), key);
	struct rxo_mr *mr;

	if (!k)
		return ERR_PTR(-EACCES);
	if (k->kind != RXO_KEY_MW)
		return rxo_mr_check(k, pd, key, access, *iova, len);
	mr = rxo_mw_get_mr(container_of(k, struct rxo_mw, key), pd, qpn, key,
			   access, iova, len);
	rxo_key_put(k);
	return mr;
}
