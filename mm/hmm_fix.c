// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: the part of a fault that brings pages in.
 *
 * Why the faulting is not left to hmm_range_fault(): it may not let go of
 * mmap_lock while a page is read in. A page that comes from a slow file system
 * would hold up the whole process, and one that comes from userfaultfd would be
 * an error. It also does not say which page of a range failed.
 */
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>

#include "hmm_fault.h"

/* Without mm->owner nothing tells that a process which waits for its own fault is killed. */
#ifndef CONFIG_MEMCG
#error hmm_mirror needs CONFIG_MEMCG
#endif

/* Nobody lives in the address space any more, and nobody pays for a page there. */
static bool hmm_fix_is_deserted(struct mm_struct *mm)
{
	return !rcu_access_pointer(mm->owner);
}

/* Or the process is being killed, or nobody waits for the page but a device that goes. */
static bool hmm_fix_is_pointless(const struct hmm_mirror *mirror)
{
	struct task_struct *owner;
	bool pointless;

	if (READ_ONCE(mirror->dev->leaving))
		return true;
	rcu_read_lock();
	owner = rcu_dereference(mirror->mm->owner);
	pointless = !owner ||
		    READ_ONCE(owner->signal->flags) & SIGNAL_GROUP_EXIT;
	rcu_read_unlock();
	return pointless;
}

/*
 * May the access have the page at @addr at all? @vma: of the page before, if there was one
 * and mmap_lock has been held since, or NULL.
 */
static int hmm_fix_check(struct hmm_fault *f, unsigned long addr,
			 struct vm_area_struct **vma)
{
	struct mm_struct *mm = f->mirror->mm;

	if (fatal_signal_pending(current))
		return -EINTR;
	/* A worker is not killed with the process that waits for it to end. */
	if (hmm_fix_is_deserted(mm))
		return -ESRCH;
	/* Or a thousand that waited would wait on, one after the other. */
	if (f->waited && hmm_fix_is_pointless(f->mirror))
		return -ESRCH;
	/* The OOM killer took pages away; what is read now would be zeroes. */
	if (check_stable_address_space(mm))
		return -EFAULT;
	if (!*vma || addr < (*vma)->vm_start || addr >= (*vma)->vm_end)
		*vma = vma_lookup(mm, addr);
	if (!*vma || !hmm_may_read(*vma))
		return -EFAULT;
	if (f->flags & HMM_MIRROR_WRITE && !hmm_fault_may_write(*vma))
		return -EPERM;
	return 0;
}

/* Runs while the fault waits for userfaultfd: make it look around. */
static void hmm_fix_nudge(struct timer_list *timer)
{
	struct hmm_fault *f = container_of(timer, struct hmm_fault, nudge);

	wake_up_process(f->task);
	mod_timer(timer, jiffies + HZ);
}

/*
 * Whoever serves a userfaultfd may take for ever. A thread of the process would
 * be killed with it while it waits; a worker cannot be, so it wakes up now and
 * then to see whether the process is still there.
 */
static vm_fault_t hmm_fix_handle(struct hmm_fault *f, unsigned long addr,
				 unsigned int how, struct vm_area_struct *vma)
{
	vm_fault_t ret;

	if (!userfaultfd_armed(vma) || f->flags & HMM_MIRROR_NOWAIT)
		return handle_mm_fault(vma, addr, how, NULL);

	f->task = current;
	timer_setup(&f->nudge, hmm_fix_nudge, 0);
	mod_timer(&f->nudge, jiffies + HZ);
	ret = handle_mm_fault(vma, addr, how, NULL);
	timer_delete_sync(&f->nudge);
	return ret;
}

/*
 * Fault in the page at @addr as the CPU would. @vma is as hmm_fix_check() gave it, and
 * NULL if mmap_lock had to be let go.
 */
static int hmm_fix_page(struct hmm_fault *f, unsigned long addr,
			struct vm_area_struct **vma)
{
	unsigned int how = FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY |
			   FAULT_FLAG_KILLABLE;
	vm_fault_t ret;
	int err;

	if (f->flags & HMM_MIRROR_WRITE)
		how |= FAULT_FLAG_WRITE;
	if (f->flags & HMM_MIRROR_NOWAIT)
		how |= FAULT_FLAG_RETRY_NOWAIT;

	for (;;) {
		ret = hmm_fix_handle(f, addr, how, *vma);
		if (ret & VM_FAULT_ERROR)
			return vm_fault_to_errno(ret, 0) ?: -EFAULT;
		if (!(ret & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
			return 0;
		/* With this flag it keeps the lock, and has not waited. */
		if (ret & VM_FAULT_RETRY && f->flags & HMM_MIRROR_NOWAIT)
			return -EAGAIN;
		/* It let go of the lock. */
		*vma = NULL;
		mmap_read_lock(f->mirror->mm);
		if (ret & VM_FAULT_COMPLETED)
			return 0;
		if (hmm_fix_is_pointless(f->mirror))
			return -ESRCH;
		how |= FAULT_FLAG_TRIED;
		err = hmm_fix_check(f, addr, vma);
		if (err)
			return err;
	}
}

/*
 * Fault in the only page that is asked for, if it is of anonymous memory. Return: 0, and
 * what was checked still holds; HMM_TRY_*, or an error.
 */
int hmm_fix_anonymous(struct hmm_fault *f)
{
	struct vm_area_struct *vma = NULL;
	int err;

	mmap_assert_locked(f->mirror->mm);

	err = hmm_fix_check(f, f->start, &vma);
	if (err)
		return err;
	if (!vma_is_anonymous(vma))
		return HMM_TRY_BEGIN;
	err = hmm_fix_page(f, f->start, &vma);
	if (err)
		return err == -EAGAIN ? HMM_TRY_BUSY : err;
	f->fixed++;
	return vma ? 0 : HMM_TRY_BEGIN;
}

/*
 * Fault in what the walk did not find. The first time only one page: it may turn
 * out to be a huge one, or to bring its neighbours. What the walk found is only
 * a hint by now, good enough to choose pages by.
 *
 * Neither fault_mutex is held here, nor is mmap_lock while a page is waited for:
 * a page that is slow holds up nobody but who asked for it.
 *
 * Return: 0 to walk again, or an error, with f->bad telling where.
 */
int hmm_fault_fix(struct hmm_fault *f)
{
	struct mm_struct *mm = f->mirror->mm;
	struct vm_area_struct *vma = NULL;
	bool only_one = !f->fixed;
	unsigned int i;
	bool refused;
	int err;

	f->bad = f->start;
	err = hmm_fault_lock_mm(f);
	if (err)
		return err;

	for (i = 0; i < hmm_fault_pages(f); i++) {
		if (!hmm_fault_missing(f, i))
			continue;
		f->bad = f->start + i * PAGE_SIZE;
		refused = f->pfns[i] & HMM_PFN_ERROR;
		/* There, and even so nothing that the walk would give us. */
		err = -EFAULT;
		if (refused && f->bad < f->refused)
			break;
		hmm_join_begin(f, f->bad);
		err = hmm_fix_check(f, f->bad, &vma) ?:
		      hmm_fix_page(f, f->bad, &vma);
		if (err)
			break;
		if (refused)
			f->refused = f->bad + PAGE_SIZE;
		f->fixed++;
		if (only_one)
			break;
		cond_resched();
	}
	mmap_read_unlock(mm);
	return err;
}
