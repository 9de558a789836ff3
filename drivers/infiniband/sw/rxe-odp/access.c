// SPDX-License-Identifier: GPL-2.0
#include <linux/highmem.h>
#include <linux/mm.h>
#include <rdma/hmm_mirror.h>

#include "access.h"
#include "mr.h"

static void rxo_copy_pages(struct page *page, unsigned int offset, void *buf,
			   size_t len, enum rxo_dir dir)
{
	while (len) {
		size_t n = min_t(size_t, len, PAGE_SIZE - offset);
		void *map = kmap_local_page(page);

		if (dir == RXO_FROM_MR)
			memcpy(buf, map + offset, n);
		else
			memcpy(map + offset, buf, n);
		kunmap_local(map);
		page++;
		offset = 0;
		buf += n;
		len -= n;
	}
}

static int rxo_copy_mirror(struct rxo_mr *mr, u64 va, void *buf, size_t len,
			   enum rxo_dir dir)
{
	unsigned int flags = dir == RXO_TO_MR ? HMM_MIRROR_WRITE :
						HMM_MIRROR_READ;
	struct hmm_mirror_run run;

	while (len) {
		if (!hmm_mirror_lookup_and_lock(mr->mirror, va, len, flags,
						&run))
			return -EAGAIN;
		rxo_copy_pages(run.page, run.offset, buf, run.len, dir);
		hmm_mirror_unlock(&run);
		va += run.len;
		buf += run.len;
		len -= run.len;
	}
	return 0;
}

static void rxo_copy_pinned(struct rxo_mr *mr, u64 va, void *buf, size_t len,
			    enum rxo_dir dir)
{
	u64 offset = va - (mr->va & PAGE_MASK);
	struct page **page = mr->pages + (offset >> PAGE_SHIFT);

	offset = offset_in_page(offset);
	while (len) {
		size_t n = min_t(size_t, len, PAGE_SIZE - offset);

		rxo_copy_pages(*page++, offset, buf, n, dir);
		offset = 0;
		buf += n;
		len -= n;
	}
}

int rxo_access_copy(struct rxo_mr *mr, u64 iova, void *buf, size_t len,
		    enum rxo_dir dir)
{
	u64 va = iova - mr->iova + mr->va;

	if (mr->mirror)
		return rxo_copy_mirror(mr, va, buf, len, dir);
	rxo_copy_pinned(mr, va, buf, len, dir);
	return 0;
}

bool rxo_access_present(struct rxo_mr *mr, u64 iova, size_t len)
{
	u64 offset = iova - mr->iova;

	if (!mr->mirror)
		return true;
	return hmm_mirror_present(mr->mirror, mr->va + offset,
				  min_t(u64, len, mr->len - offset),
				  HMM_MIRROR_READ);
}

static u64 rxo_atomic(struct page *page, unsigned int offset,
		      enum rxo_atomic_op op, u64 swap_add, u64 compare)
{
	void *map = kmap_local_page(page);
	atomic64_t *word = map + offset;
	u64 orig;

	if (op == RXO_ATOMIC_CMP_SWAP)
		orig = atomic64_cmpxchg(word, compare, swap_add);
	else
		orig = atomic64_fetch_add(swap_add, word);
	kunmap_local(map);
	return orig;
}

int rxo_access_atomic(struct rxo_mr *mr, u64 iova, enum rxo_atomic_op op,
		      u64 swap_add, u64 compare, u64 *orig)
{
	u64 va = iova - mr->iova + mr->va;
	struct hmm_mirror_run run;

	if (iova & 7 || va & 7)
		return -EINVAL;

	if (!mr->mirror) {
		u64 offset = va - (mr->va & PAGE_MASK);

		*orig = rxo_atomic(mr->pages[offset >> PAGE_SHIFT],
				   offset_in_page(offset), op, swap_add,
				   compare);
		return 0;
	}
	if (!hmm_mirror_lookup_and_lock(mr->mirror, va, sizeof(u64),
					HMM_MIRROR_WRITE, &run))
		return -EAGAIN;
	*orig = rxo_atomic(run.page, run.offset, op, swap_add, compare);
	hmm_mirror_unlock(&run);
	return 0;
}
