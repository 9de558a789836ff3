/* SPDX-License-Identifier: GPL-2.0 */
/* What the steps of a fault share: see hmm_fault.c. */
#ifndef HMM_FAULT_H
#define HMM_FAULT_H

#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/timer.h>

#include "hmm_internal.h"

/* The fault of one range in one leaf. Addresses are whole pages. */
struct hmm_fault {
	struct hmm_mirror *mirror;
	struct hmm_mirror_leaf *leaf;
	unsigned long start;
	unsigned long end;
	unsigned int flags;
	bool walked; /* not everything was there already */
	bool waited; /* for somebody who brought a page */
	bool direct; /* it has been tried directly */
	unsigned int set; /* pages installed by the last try */
	unsigned int fixed; /* pages faulted in so far */
	unsigned long refused; /* below it, what the walk refused was fixed */
	unsigned long bad; /* where fix failed */
	unsigned long seq; /* of the leaf; that round is over */
	struct list_head bringing; /* in mirror->bringing, under join_lock */
	unsigned long page; /* that it brings; join_lock */
	unsigned long missing; /* the first page not there at the last look */
	struct task_struct *task; /* who faults, for the timer */
	struct timer_list nudge; /* of one that may wait: not on a stack */
	unsigned long pfns[]; /* as hmm_range_fault() gives them */
};

/* What a try has come to, if not to its end. */
enum {
	HMM_TRY_FIX = 1, /* pages are missing */
	HMM_TRY_JOIN, /* somebody brings the first of them already */
	HMM_TRY_BEGIN, /* an invalidation may be under way; or just walk */
	HMM_TRY_BUSY, /* somebody has a lock, and it may not wait */
};

static inline unsigned int hmm_fault_pages(const struct hmm_fault *f)
{
	return (f->end - f->start) >> PAGE_SHIFT;
}

static inline unsigned long hmm_fault_rights(const struct hmm_fault *f)
{
	if (f->flags & HMM_MIRROR_WRITE)
		return HMM_ENTRY_VALID | HMM_ENTRY_WRITE;
	return HMM_ENTRY_VALID;
}

/* A shadow stack is written by calls and returns, not by stores. */
static inline bool hmm_fault_may_write(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_WRITE) && !(vma->vm_flags & VM_SHADOW_STACK);
}

static inline bool hmm_fault_missing(const struct hmm_fault *f, unsigned int i)
{
	unsigned long need = HMM_PFN_VALID;

	if (f->flags & HMM_MIRROR_WRITE)
		need |= HMM_PFN_WRITE;
	return (f->pfns[i] & need) != need;
}

/*
 * For who may not wait, or wakes a worker instead. Another fault has it for no longer than
 * a look at the page table takes, mostly, and is through with that before a worker is awake.
 */
#define HMM_FAULT_SPINS 200

static inline int hmm_fault_trylock(struct mutex *mutex)
{
	unsigned int i;

	for (i = 0; i < HMM_FAULT_SPINS; i++) {
		if (mutex_trylock(mutex))
			return 0;
		cpu_relax();
	}
	return -EAGAIN;
}

/* Return: 0, -EINTR, or -EAGAIN if it would have to wait and may not. */
static inline int hmm_fault_lock(struct hmm_fault *f, struct mutex *mutex)
{
	if (f->flags & HMM_MIRROR_NOWAIT)
		return hmm_fault_trylock(mutex);
	return mutex_lock_killable(mutex);
}

/* The same; nobody kills a worker, so there this is mmap_read_lock(). */
static inline int hmm_fault_lock_mm(struct hmm_fault *f)
{
	struct mm_struct *mm = f->mirror->mm;

	if (f->flags & HMM_MIRROR_NOWAIT)
		return mmap_read_trylock(mm) ? 0 : -EAGAIN;
	return mmap_read_lock_killable(mm);
}

/* hmm_direct.c. _fault returns as a try does: 0, HMM_TRY_*, -EAGAIN or an error. */
bool hmm_direct_can(const struct hmm_fault *f);
int hmm_direct_fault(struct hmm_fault *f);

/* hmm_fix.c */
int hmm_fix_anonymous(struct hmm_fault *f);
int hmm_fault_fix(struct hmm_fault *f);

/*
 * hmm_join.c. _begin and _end say that @f brings the page at @addr until it is
 * installed, or is not. _can: does somebody bring the first page that @f misses?
 * Then _wait, without any lock, until he is done; 0 or -EINTR.
 */
void hmm_join_begin(struct hmm_fault *f, unsigned long addr);
void hmm_join_end(struct hmm_fault *f);
bool hmm_join_can(struct hmm_fault *f);
int hmm_join_wait(struct hmm_fault *f);

/* hmm_install.c */
int hmm_fault_install(struct hmm_fault *f);

#endif /* HMM_FAULT_H */
