// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: equal faults become one.
 *
 * Who brings a page says so, until the page is installed. Others that miss the same
 * page wait for that instead of walking the page table and asking for the page once
 * more: sixty-four QPs that want one page are one fault to the process, to its
 * swap device, to who serves its userfaultfd.
 *
 * Who waits holds nothing, no mutex and no page that others wait for, so no two
 * faults wait for each other. And it is only waiting: whatever has become of the page
 * then, the fault begins again with looking whether it is there.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "hmm_fault.h"

/* A page has been brought, or will not be. */
static void hmm_join_wake(struct hmm_mirror *mirror)
{
	if (wq_has_sleeper(&mirror->brought))
		wake_up_all(&mirror->brought);
}

void hmm_join_begin(struct hmm_fault *f, unsigned long addr)
{
	struct hmm_mirror *mirror = f->mirror;
	bool moved;

	spin_lock(&mirror->join_lock);
	moved = !list_empty(&f->bringing) && f->page != addr;
	if (list_empty(&f->bringing))
		list_add(&f->bringing, &mirror->bringing);
	f->page = addr;
	spin_unlock(&mirror->join_lock);
	if (moved)
		hmm_join_wake(mirror);
}

void hmm_join_end(struct hmm_fault *f)
{
	struct hmm_mirror *mirror = f->mirror;

	/* Only its owner changes it from or to empty. */
	if (list_empty(&f->bringing))
		return;
	spin_lock(&mirror->join_lock);
	list_del_init(&f->bringing);
	spin_unlock(&mirror->join_lock);
	hmm_join_wake(mirror);
}

/* Somebody else brings @addr, with the rights that @f needs. */
static bool hmm_join_is_brought(struct hmm_fault *f, unsigned long addr)
{
	struct hmm_mirror *mirror = f->mirror;
	struct hmm_fault *other;
	bool found = false;

	spin_lock(&mirror->join_lock);
	list_for_each_entry(other, &mirror->bringing, bringing) {
		found = other != f && other->page == addr &&
			!(f->flags & ~other->flags & HMM_MIRROR_WRITE);
		if (found)
			break;
	}
	spin_unlock(&mirror->join_lock);
	return found;
}

bool hmm_join_can(struct hmm_fault *f)
{
	f->missing = hmm_leaf_first_missing(f->leaf, f->start, f->end,
					    hmm_fault_rights(f));
	return !(f->flags & HMM_MIRROR_SNAPSHOT) && f->missing < f->end &&
	       hmm_join_is_brought(f, f->missing);
}

int hmm_join_wait(struct hmm_fault *f)
{
	hmm_join_end(f);
	f->waited = true;
	return wait_event_killable(f->mirror->brought,
				   !hmm_join_is_brought(f, f->missing)) ?
		       -EINTR : 0;
}
