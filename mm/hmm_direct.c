// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: the fault of a single page by a thread of the process itself.
 *
 * Who rings a doorbell brings pages that need not be waited for. Mostly it is one that
 * nobody has touched yet, and a walk of the page table that finds nothing and one that
 * finds the page cost more than the page. So:
 *
 *	ask	under mmap_lock alone, as the CPU's own fault would. What it may take is
 *		between the thread and the kernel: the page is cleared, comes out of
 *		compressed swap, is migrated, or its memory cgroup slows the thread down
 *	find	under fault_mutex too, which is only tried: the sequence, then
 *		get_user_page_fast_only(), at a quarter of a walk. As in KVM the
 *		reference is let go at once; the sequence is what keeps the entry true
 *	install	as any fault does (hmm_install.c)
 *
 * It does not say that it brings the page (hmm_join.c): others who ask at the same time
 * find it there. What does not fit goes the way of all faults: memory that is not
 * anonymous, the zero page, part of a huge page, of which only a walk knows how much one
 * entry maps, an invalidation that may still be under way.
 */
#include <linux/hmm.h>
#include <linux/mm.h>

#include "hmm_fault.h"

bool hmm_direct_can(const struct hmm_fault *f)
{
	unsigned int how = f->flags & (HMM_MIRROR_NOWAIT | HMM_MIRROR_SNAPSHOT);

	return how == HMM_MIRROR_NOWAIT && !f->direct &&
	       hmm_fault_pages(f) == 1 && current->mm == f->mirror->mm;
}

static bool hmm_direct_find(struct hmm_fault *f)
{
	bool write = f->flags & HMM_MIRROR_WRITE;
	struct page *page;

	f->pfns[0] = 0;
	if (!get_user_page_fast_only(f->start, write ? FOLL_WRITE : 0, &page))
		return false;
	if (!PageCompound(page))
		f->pfns[0] = page_to_pfn(page) | HMM_PFN_VALID |
			     (write ? HMM_PFN_WRITE : 0);
	put_page(page);
	return f->pfns[0];
}

static int hmm_direct_install(struct hmm_fault *f)
{
	int err;

	mmap_assert_locked(f->mirror->mm);
	lockdep_assert_held(hmm_leaf_mutex(f->leaf));

	if (!hmm_leaf_settled(f->leaf, &f->seq) || !hmm_direct_find(f))
		return HMM_TRY_BEGIN;
	err = hmm_fault_install(f);
	if (!err)
		hmm_stat_inc(f->mirror, faults_direct);
	return err;
}

int hmm_direct_fault(struct hmm_fault *f)
{
	struct mutex *mutex = hmm_leaf_mutex(f->leaf);
	int ret;

	f->direct = true;
	if (hmm_join_can(f))
		return HMM_TRY_JOIN;
	if (f->missing == f->end)
		return 0;
	if (!mmap_read_trylock(f->mirror->mm))
		return HMM_TRY_BUSY;

	f->walked = true;
	ret = hmm_fix_anonymous(f);
	if (ret)
		goto unlock_mm;
	/* Others take it before mmap_lock. */
	if (mutex_trylock(mutex)) {
		ret = hmm_direct_install(f);
		mutex_unlock(mutex);
	} else {
		ret = HMM_TRY_BUSY;
	}
unlock_mm:
	mmap_read_unlock(f->mirror->mm);
	return ret;
}
