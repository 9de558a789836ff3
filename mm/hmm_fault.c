// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: the fault.
 *
 * For each leaf of the range a loop of four steps, walking only when nobody brings
 * the page already (hmm_join.c):
 *
 *	walk	 under the leaf's fault_mutex: hmm_range_fault() takes down what the
 *		 page table maps now; it is asked to fault nothing
 *	install	 still under it, if nothing is missing: take leaf->lock, and if
 *		 no invalidation came since before the walk, set the entries
 *		 (hmm_install.c)
 *	begin	 with no lock, if one was under way before the walk, so that there was
 *		 none: wait for its end
 *	fix	 with no lock but mmap_lock: what is missing is faulted in a page
 *		 at a time, as the CPU would (hmm_fix.c); then walk again
 *
 * A single page is tried at first in a shorter way, if it can be (hmm_direct.c).
 * tests/model/mirror.pml models it, step by step.
 */
#include <linux/hmm.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "hmm_fault.h"
#include "hmm_trace.h"

/* A fault that is slow rather than disturbed gets so many walks at least. */
#define HMM_FAULT_TRIES 16

static int hmm_fault_walk_vma(struct hmm_fault *f,
			      const struct vm_area_struct *vma)
{
	unsigned long start = max(f->start, vma->vm_start);
	unsigned long end = min(f->end, vma->vm_end);
	struct hmm_range range = {
		/* hmm_leaf_retry() is what decides. */
		.notifier = &f->mirror->unchanging,
		.notifier_seq = f->mirror->unchanging.invalidate_seq,
		.start = start,
		.end = end,
		.hmm_pfns = f->pfns + ((start - f->start) >> PAGE_SHIFT),
	};
	int err;

	if (!hmm_may_read(vma))
		return 0;

	err = hmm_range_fault(&range);
	if (err || hmm_fault_may_write(vma))
		return err;
	for (; start < end; start += PAGE_SIZE)
		*range.hmm_pfns++ &= ~HMM_PFN_WRITE;
	return 0;
}

/*
 * Take down what is mapped; what is not, or may not be touched, stays 0.
 *
 * Return: as hmm_fault_lock_mm().
 */
static int hmm_fault_walk(struct hmm_fault *f)
{
	struct mm_struct *mm = f->mirror->mm;
	struct vm_area_struct *vma;
	unsigned long addr;
	int err;

	memset(f->pfns, 0, hmm_fault_pages(f) * sizeof(*f->pfns));
	err = hmm_fault_lock_mm(f);
	if (err)
		return err;
	for (addr = f->start; !err && addr < f->end; addr = vma->vm_end) {
		vma = find_vma_intersection(mm, addr, f->end);
		if (!vma)
			break;
		err = hmm_fault_walk_vma(f, vma);
	}
	mmap_read_unlock(mm);
	return err;
}

/* Of what the walk has found; f->end: nothing is missing. */
static unsigned long hmm_fault_first_missing(const struct hmm_fault *f)
{
	unsigned int i;

	for (i = 0; i < hmm_fault_pages(f); i++) {
		if (hmm_fault_missing(f, i))
			break;
	}
	return f->start + i * PAGE_SIZE;
}

/*
 * Bounded by time, because that is what the peer of a device counts in, and by
 * tries, because one try may read many pages from a slow disk.
 */
static int hmm_fault_again(struct hmm_fault *f, unsigned long deadline,
			   unsigned int tries)
{
	if (tries >= HMM_FAULT_TRIES && time_after(jiffies, deadline))
		return -EBUSY;
	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	return 0;
}

/*
 * Walk and install. Return: 0 if it is done, HMM_TRY_*, -EAGAIN if an invalidation came in
 * between, or an error.
 */
static int hmm_fault_try(struct hmm_fault *f)
{
	unsigned long missing;
	int ret;

	lockdep_assert_held(hmm_leaf_mutex(f->leaf));

	if (hmm_join_can(f))
		return HMM_TRY_JOIN;
	if (f->missing == f->end)
		return 0;
	/* Whatever came while the mutex was waited for does not spoil the walk. */
	if (!hmm_leaf_settled(f->leaf, &f->seq))
		return HMM_TRY_BEGIN;

	f->walked = true;
	ret = hmm_fault_walk(f);
	if (ret)
		return ret == -EAGAIN ? HMM_TRY_BUSY : ret;
	missing = hmm_fault_first_missing(f);
	if (!(f->flags & HMM_MIRROR_SNAPSHOT) && missing < f->end) {
		/* Whoever gets the mutex next is to know. */
		hmm_join_begin(f, missing);
		return HMM_TRY_FIX;
	}
	return hmm_fault_install(f);
}

/*
 * Do what the last try asks for, without the mutex. Return: 0 to try again, or an error;
 * with f->end moved if it is of a page, and those before it are to be had.
 */
static int hmm_fault_prepare(struct hmm_fault *f, int asked)
{
	int err;

	switch (asked) {
	case HMM_TRY_FIX:
		err = hmm_fault_fix(f);
		if (err)
			f->end = f->bad;
		return err;
	case HMM_TRY_JOIN:
		if (f->flags & HMM_MIRROR_NOWAIT)
			return -EAGAIN;
		return hmm_join_wait(f);
	case HMM_TRY_BEGIN:
		/* Over already, mostly, but only waiting tells. */
		f->seq = hmm_leaf_begin(f->leaf);
		return 0;
	case HMM_TRY_BUSY:
		return -EAGAIN;
	case -EAGAIN:
		hmm_stat_inc(f->mirror, fault_retries);
		return 0;
	default:
		return asked;
	}
}

/*
 * Try and fix until it holds. When a page cannot be had, those before it are
 * made present all the same.
 */
static int hmm_fault_loop(struct hmm_fault *f)
{
	unsigned long deadline =
		jiffies + msecs_to_jiffies(HMM_RANGE_DEFAULT_TIMEOUT);
	unsigned int tries = 0;
	int result = 0;
	int ret, err;

	while (f->start < f->end) {
		if (hmm_direct_can(f)) {
			ret = hmm_direct_fault(f);
		} else {
			err = hmm_fault_lock(f, hmm_leaf_mutex(f->leaf));
			if (err)
				return result ?: err;
			ret = hmm_fault_try(f);
			mutex_unlock(hmm_leaf_mutex(f->leaf));
		}
		if (!ret)
			break;
		err = hmm_fault_prepare(f, ret);
		if (err && ret != HMM_TRY_FIX)
			return err;
		if (err)
			result = err;

		trace_hmm_mirror_fault_retry(f->mirror->tgid, f->start, f->end,
					     tries);
		err = hmm_fault_again(f, deadline, tries++);
		if (err)
			return result ?: err;
	}
	return result;
}

static int hmm_fault_leaf(struct hmm_fault *f)
{
	int err;

	f->direct = false;
	f->fixed = 0;
	f->refused = 0;
	f->seq = 0;
	if (f->flags & HMM_MIRROR_NOWAIT)
		f->leaf = hmm_leaf_find(f->mirror, f->start) ?:
				  ERR_PTR(-EAGAIN);
	else
		f->leaf = hmm_leaf_get(f->mirror, f->start);
	if (IS_ERR(f->leaf))
		return PTR_ERR(f->leaf);
	INIT_LIST_HEAD(&f->bringing);
	err = hmm_fault_loop(f);
	hmm_join_end(f);
	hmm_leaf_put(f->leaf);
	return err;
}

/* A snapshot of terabytes must not go through what is not there leaf by leaf. */
static unsigned long hmm_fault_skip_hole(struct mm_struct *mm,
					 unsigned long addr)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = find_vma(mm, addr);
	while (vma && !hmm_may_read(vma)) {
		vma = find_vma(mm, vma->vm_end);
		cond_resched();
	}
	if (!vma)
		addr = ULONG_MAX;
	else if (vma->vm_start > addr)
		addr = vma->vm_start;
	mmap_read_unlock(mm);
	return addr;
}

/* @last is included: the last byte of a process may be at any address. */
static int hmm_fault_range(struct hmm_fault *f, unsigned long addr,
			   unsigned long last)
{
	struct mm_struct *mm = f->mirror->mm;
	unsigned long limit = mm->task_size - 1;
	unsigned long leaf_last;
	int err;

	while (addr <= min(last, limit)) {
		leaf_last = min3(addr | ~HMM_LEAF_MASK, last, limit);
		f->start = addr & PAGE_MASK;
		f->end = (leaf_last & PAGE_MASK) + PAGE_SIZE;
		err = hmm_fault_leaf(f);
		addr = leaf_last + 1;
		if (err == -EFAULT && f->flags & HMM_MIRROR_SNAPSHOT &&
		    !(f->flags & HMM_MIRROR_NOWAIT))
			addr = hmm_fault_skip_hole(mm, addr);
		else if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	if (last > limit && !(f->flags & HMM_MIRROR_SNAPSHOT))
		return -EFAULT;
	return 0;
}

static int hmm_fault_run(struct hmm_mirror *mirror, unsigned long addr,
			 unsigned long last, unsigned int flags)
{
	unsigned long pages = (last >> PAGE_SHIFT) - (addr >> PAGE_SHIFT) + 1;
	DEFINE_RAW_FLEX(struct hmm_fault, one, pfns, 1);
	struct hmm_fault *f = one;
	int err;

	if (pages > 1 || !(flags & HMM_MIRROR_NOWAIT)) {
		pages = min_t(unsigned long, pages, HMM_LEAF_PAGES);
		f = kzalloc(struct_size(f, pfns, pages), GFP_KERNEL);
		if (!f)
			return -ENOMEM;
	}
	f->mirror = mirror;
	f->flags = flags;

	err = hmm_fault_range(f, addr, last);
	if (err == -EAGAIN)
		goto free; /* the next try counts */
	if (f->walked)
		hmm_stat_inc(mirror, faults);
	else if (!err)
		hmm_stat_inc(mirror, faults_shared);
	if (err)
		hmm_stat_inc(mirror, fault_errors);
free:
	if (f != one)
		kfree(f);
	return err;
}

int hmm_mirror_fault(struct hmm_mirror *mirror, unsigned long addr, size_t len,
		     unsigned int flags)
{
	unsigned long last;
	int err;

	might_sleep();

	if (!len || check_add_overflow(addr, len - 1, &last))
		return -EINVAL;
	if (!mmget_not_zero(mirror->mm))
		return -ESRCH;

	trace_hmm_mirror_fault_begin(mirror->tgid, addr, len, flags);
	err = hmm_fault_run(mirror, addr, last, flags);
	trace_hmm_mirror_fault_end(mirror->tgid, addr, len, err);

	/*
	 * The process may have exited meanwhile. Taking down its whole address
	 * space is too long, and too much, to be done by a device's worker.
	 */
	mmput_async(mirror->mm);
	return err;
}
EXPORT_SYMBOL_GPL(hmm_mirror_fault);

static int hmm_fault_check_vmas(struct mm_struct *mm, unsigned long addr,
				unsigned long last, unsigned int flags)
{
	struct vm_area_struct *vma;

	mmap_assert_locked(mm);
	for (;; addr = vma->vm_end) {
		vma = vma_lookup(mm, addr);
		if (!vma || !hmm_may_read(vma))
			return -EFAULT;
		if (flags & HMM_MIRROR_WRITE && !hmm_fault_may_write(vma))
			return -EFAULT;
		if (last < vma->vm_end)
			return 0;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

int hmm_mirror_check(struct hmm_mirror *mirror, unsigned long addr, size_t len,
		     unsigned int flags)
{
	unsigned long last;
	int err;

	if (!len || check_add_overflow(addr, len - 1, &last))
		return -EINVAL;
	if (mmap_read_lock_killable(mirror->mm))
		return -EINTR;
	err = hmm_fault_check_vmas(mirror->mm, addr, last, flags);
	mmap_read_unlock(mirror->mm);
	return err;
}
EXPORT_SYMBOL_GPL(hmm_mirror_check);
