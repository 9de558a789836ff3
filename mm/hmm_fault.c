// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: the fault.
 *
 * For each leaf of the range a loop of three steps:
 *
 *	walk	 under leaf->fault_mutex: hmm_range_fault() takes down what the
 *		 page table maps now; it is asked to fault nothing
 *	install	 still under it, if nothing is missing: take leaf->lock, and if
 *		 no invalidation came since before the walk, set the entries
 *	fix	 with no lock but mmap_lock: what is missing is faulted in a page
 *		 at a time, as the CPU would; then walk again
 *
 * Why the faulting is not left to hmm_range_fault(): it may not let go of
 * mmap_lock while a page is read in. A page that comes from a slow file system
 * would hold up the whole process, and one that comes from userfaultfd would be
 * an error. It also does not say which page of a range failed.
 *
 * Dirty pages
 * -----------
 * A device's write leaves no dirty bit in a page table, so somebody has to see
 * to it that what it writes is not dropped as clean. An entry gets the right to
 * write only where the page table has it, and only when the access asked for it.
 * Then there are two kinds of folio:
 *
 *  - Of a file whose file system tracks writing (writeback, page_mkwrite): such
 *    a folio has a writable entry in a page table only after a fault that marked
 *    it dirty, and before it is cleaned all such entries lose the right, under
 *    a notifier. There is nothing to do, and marking it here would be wrong:
 *    a file system may have let go of what it needs to write it.
 *
 *  - All others: anonymous, shared memory, hugetlb. Their page table entries may
 *    be writable and clean (swapped in by a read, MADV_FREE), and reclaim drops
 *    a clean folio that it has a copy of, or needs none of. For these the dirty
 *    flag is all there is, and it is set here, under leaf->lock, so that no
 *    invalidation comes in between: the page table still maps the folio.
 *    Whoever clears the flag later unmaps the folio first, or cleans its page
 *    table entry, under a notifier, and the next write faults again.
 */
#include <linux/hmm.h>
#include <linux/hugetlb.h>
#include <linux/jiffies.h>
#include <linux/magic.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/userfaultfd_k.h>

#include "hmm_internal.h"
#include "hmm_trace.h"

/* A fault that is slow rather than disturbed gets so many walks at least. */
#define HMM_FAULT_TRIES 16

/* The fault of one range in one leaf. Addresses are whole pages. */
struct hmm_fault {
	struct hmm_mirror *mirror;
	struct hmm_mirror_leaf *leaf;
	unsigned long start;
	unsigned long end;
	unsigned int flags;
	bool walked; /* not everything was there already */
	unsigned int fixed; /* pages faulted in so far */
	unsigned long refused; /* below it, what the walk refused was fixed */
	unsigned long bad; /* where fix failed */
	unsigned long seq;
	struct task_struct *task; /* who faults, for the timer */
	struct timer_list nudge;
	unsigned long pfns[]; /* as hmm_range_fault() gives them */
};

/* No task lives in it any more; only such as we keep it from going. */
static bool hmm_fault_is_orphan(struct mm_struct *mm)
{
#ifdef CONFIG_MEMCG
	return !rcu_access_pointer(mm->owner);
#else
	return false;
#endif
}

static unsigned int hmm_fault_pages(const struct hmm_fault *f)
{
	return (f->end - f->start) >> PAGE_SHIFT;
}

static unsigned long hmm_fault_rights(const struct hmm_fault *f)
{
	if (f->flags & HMM_MIRROR_WRITE)
		return HMM_ENTRY_VALID | HMM_ENTRY_WRITE;
	return HMM_ENTRY_VALID;
}

/*
 * What a device may never touch: memory without struct page, without the right
 * to read, and secret memory, which is not in the kernel's own page table.
 */
static bool hmm_fault_may_read(const struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return false;
	if (!(vma->vm_flags & VM_READ))
		return false;
	return !vma->vm_file ||
	       file_inode(vma->vm_file)->i_sb->s_magic != SECRETMEM_MAGIC;
}

/* A shadow stack is written by calls and returns, not by stores. */
static bool hmm_fault_may_write(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_WRITE) && !(vma->vm_flags & VM_SHADOW_STACK);
}

static bool hmm_fault_missing(const struct hmm_fault *f, unsigned int i)
{
	unsigned long need = HMM_PFN_VALID;

	if (f->flags & HMM_MIRROR_WRITE)
		need |= HMM_PFN_WRITE;
	return (f->pfns[i] & need) != need;
}

static int hmm_fault_walk_vma(struct hmm_fault *f,
			      const struct vm_area_struct *vma)
{
	unsigned long start = max(f->start, vma->vm_start);
	unsigned long end = min(f->end, vma->vm_end);
	struct hmm_range range = {
		.notifier = &f->leaf->notifier,
		.notifier_seq = f->seq,
		.start = start,
		.end = end,
		.hmm_pfns = f->pfns + ((start - f->start) >> PAGE_SHIFT),
	};
	int err;

	if (!hmm_fault_may_read(vma))
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
 * Return: 0, -EAGAIN if an invalidation came in between, or -EINTR.
 */
static int hmm_fault_walk(struct hmm_fault *f)
{
	struct mm_struct *mm = f->mirror->mm;
	struct vm_area_struct *vma;
	unsigned long addr;
	int err = 0;

	memset(f->pfns, 0, hmm_fault_pages(f) * sizeof(*f->pfns));
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (addr = f->start; !err && addr < f->end; addr = vma->vm_end) {
		vma = find_vma_intersection(mm, addr, f->end);
		if (!vma)
			break;
		err = hmm_fault_walk_vma(f, vma);
	}
	mmap_read_unlock(mm);
	return err == -EBUSY ? -EAGAIN : err;
}

static bool hmm_fault_any_missing(const struct hmm_fault *f)
{
	unsigned int i;

	for (i = 0; i < hmm_fault_pages(f); i++) {
		if (hmm_fault_missing(f, i))
			return true;
	}
	return false;
}

/* May the access have the page at @addr at all? */
static int hmm_fault_check(struct hmm_fault *f, unsigned long addr,
			   struct vm_area_struct **vma)
{
	struct mm_struct *mm = f->mirror->mm;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (hmm_fault_is_orphan(mm))
		return -ESRCH;
	/* The OOM killer took pages away; what is read now would be zeroes. */
	if (check_stable_address_space(mm))
		return -EFAULT;
	*vma = vma_lookup(mm, addr);
	if (!*vma || !hmm_fault_may_read(*vma))
		return -EFAULT;
	if (f->flags & HMM_MIRROR_WRITE && !hmm_fault_may_write(*vma))
		return -EPERM;
	return 0;
}

/* Runs while the fault waits for userfaultfd: make it look around. */
static void hmm_fault_nudge(struct timer_list *timer)
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
static vm_fault_t hmm_fault_handle(struct hmm_fault *f, unsigned long addr,
				   unsigned int how, struct vm_area_struct *vma)
{
	bool nudge = userfaultfd_armed(vma);
	vm_fault_t ret;

	if (nudge)
		mod_timer(&f->nudge, jiffies + HZ);
	ret = handle_mm_fault(vma, addr, how, NULL);
	if (nudge)
		timer_delete_sync(&f->nudge);
	return ret;
}

/* Fault in the page at @addr as the CPU would. May let go of mmap_lock. */
static int hmm_fault_fix_page(struct hmm_fault *f, unsigned long addr)
{
	unsigned int how = FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY |
			   FAULT_FLAG_KILLABLE;
	struct vm_area_struct *vma;
	vm_fault_t ret;
	int err;

	if (f->flags & HMM_MIRROR_WRITE)
		how |= FAULT_FLAG_WRITE;

	for (;;) {
		err = hmm_fault_check(f, addr, &vma);
		if (err)
			return err;
		ret = hmm_fault_handle(f, addr, how, vma);
		if (ret & VM_FAULT_ERROR)
			return vm_fault_to_errno(ret, 0);
		if (!(ret & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
			return 0;
		/* It let go of the lock; @vma is no more. */
		mmap_read_lock(f->mirror->mm);
		if (ret & VM_FAULT_COMPLETED)
			return 0;
		how |= FAULT_FLAG_TRIED;
	}
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
static int hmm_fault_fix(struct hmm_fault *f)
{
	struct mm_struct *mm = f->mirror->mm;
	bool only_one = !f->fixed;
	unsigned int i;
	bool refused;
	int err = 0;

	f->bad = f->start;
	/* Nobody kills a worker, so there this is mmap_read_lock(). */
	if (mmap_read_lock_killable(mm))
		return -EINTR;

	for (i = 0; i < hmm_fault_pages(f); i++) {
		if (!hmm_fault_missing(f, i))
			continue;
		f->bad = f->start + i * PAGE_SIZE;
		refused = f->pfns[i] & HMM_PFN_ERROR;
		/* There, and even so nothing that the walk would give us. */
		err = -EFAULT;
		if (refused && f->bad < f->refused)
			break;
		err = hmm_fault_fix_page(f, f->bad);
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

/*
 * The folio of @page gets an entry that may write: see "Dirty pages" above. The
 * page table maps it as long as leaf->lock is held, so it and the file it is of
 * stay.
 */
static void hmm_fault_dirty(struct hmm_fault *f, struct page *page)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping;

	lockdep_assert_held_write(&f->leaf->lock);

	if (folio_test_dirty(folio))
		return;
	if (!folio_test_anon(folio)) {
		mapping = folio_mapping(folio);
		if (!mapping || mapping->a_ops->dirty_folio != noop_dirty_folio)
			return;
	}
	folio_set_dirty(folio);
}

/* The rights that the page table and the access both give. */
static unsigned long hmm_fault_grant(const struct hmm_fault *f,
				     unsigned long pfn)
{
	if (!(pfn & HMM_PFN_VALID))
		return 0;
	if (pfn & HMM_PFN_WRITE)
		return hmm_fault_rights(f);
	return HMM_ENTRY_VALID;
}

/*
 * If one entry of the page table maps the whole leaf: its entry as a block, else
 * 0. The range may be a part of it; the first page says it all.
 */
static unsigned long hmm_fault_block(const struct hmm_fault *f)
{
	unsigned long rights = hmm_fault_grant(f, f->pfns[0]);
	unsigned long pfn;

	if (!rights ||
	    hmm_pfn_to_map_order(f->pfns[0]) < HMM_LEAF_SHIFT - PAGE_SHIFT)
		return 0;
	pfn = page_to_pfn(hmm_pfn_to_page(f->pfns[0]));
	pfn -= hmm_leaf_index(f->start);
	if (WARN_ON_ONCE(!IS_ALIGNED(pfn, HMM_LEAF_PAGES)))
		return 0;
	return hmm_entry(pfn, rights);
}

/* Memory of another device, peer to peer: not the CPU's to copy. */
static bool hmm_fault_is_foreign(const struct hmm_fault *f, unsigned int i)
{
	return is_pci_p2pdma_page(hmm_pfn_to_page(f->pfns[i]));
}

/* Under the lock, after the retry check. */
static int hmm_fault_set_pages(struct hmm_fault *f)
{
	unsigned int slot = hmm_leaf_index(f->start);
	unsigned int n = hmm_fault_pages(f);
	unsigned int i, set = 0;
	unsigned long rights;
	struct page *page;
	int err = 0;

	/* A block lacks a right, or is no more: pages replace it. */
	if (f->leaf->block)
		hmm_leaf_clear(f->leaf, 0, HMM_LEAF_PAGES - 1);

	for (i = 0; i < n; i++) {
		rights = hmm_fault_grant(f, f->pfns[i]);
		if (!rights)
			continue;
		if (hmm_fault_is_foreign(f, i)) {
			err = -EFAULT;
			break;
		}
		page = hmm_pfn_to_page(f->pfns[i]);
		if (!hmm_leaf_set(f->leaf, slot + i,
				  hmm_entry(page_to_pfn(page), rights)))
			continue;
		set++;
		if (rights & HMM_ENTRY_WRITE)
			hmm_fault_dirty(f, page);
	}
	hmm_stat_add(f->mirror, pages_faulted, set);
	return err;
}

static int hmm_fault_set_block(struct hmm_fault *f, unsigned long block,
			       unsigned long **old_table)
{
	if (hmm_fault_is_foreign(f, 0))
		return -EFAULT;
	if (!hmm_leaf_set_block(f->leaf, block, old_table))
		return 0;
	if (block & HMM_ENTRY_WRITE)
		hmm_fault_dirty(f, hmm_pfn_to_page(f->pfns[0]));
	hmm_stat_add(f->mirror, pages_faulted, HMM_LEAF_PAGES);
	hmm_stat_inc(f->mirror, blocks_faulted);
	return 0;
}

/* A snapshot may have found nothing at all. */
static bool hmm_fault_any(const struct hmm_fault *f)
{
	unsigned int i;

	for (i = 0; i < hmm_fault_pages(f); i++) {
		if (f->pfns[i] & HMM_PFN_VALID)
			return true;
	}
	return false;
}

/* Return: 0, -EAGAIN if an invalidation came in between, or an error. */
static int hmm_fault_install(struct hmm_fault *f)
{
	struct hmm_mirror_leaf *leaf = f->leaf;
	unsigned long block = hmm_fault_block(f);
	unsigned long *old_table = NULL;
	int err;

	if (!block) {
		if (!hmm_fault_any(f))
			return 0;
		err = hmm_leaf_prepare_table(leaf);
		if (err)
			return err;
	}

	hmm_leaf_lock(leaf);
	if (mmu_interval_read_retry(&leaf->notifier, f->seq))
		err = -EAGAIN;
	else if (block)
		err = hmm_fault_set_block(f, block, &old_table);
	else
		err = hmm_fault_set_pages(f);
	hmm_leaf_unlock(leaf);

	hmm_leaf_free_table(leaf, old_table);
	return err;
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
 * Walk and install. Return: 0 if it is done, 1 if pages are missing, -EAGAIN if
 * an invalidation came in between, or an error.
 */
static int hmm_fault_try(struct hmm_fault *f)
{
	struct hmm_mirror_leaf *leaf = f->leaf;
	int ret;

	lockdep_assert_held(&leaf->fault_mutex);

	if (hmm_leaf_present(leaf, f->start, f->end, hmm_fault_rights(f)))
		return 0;

	f->walked = true;
	f->seq = mmu_interval_read_begin(&leaf->notifier);
	ret = hmm_fault_walk(f);
	if (ret)
		return ret;
	if (!(f->flags & HMM_MIRROR_SNAPSHOT) && hmm_fault_any_missing(f))
		return 1;
	return hmm_fault_install(f);
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
	int ret;

	while (f->start < f->end) {
		if (mutex_lock_killable(&f->leaf->fault_mutex))
			return -EINTR;
		ret = hmm_fault_try(f);
		mutex_unlock(&f->leaf->fault_mutex);
		if (!ret)
			break;

		if (ret > 0) {
			ret = hmm_fault_fix(f);
			if (ret) {
				f->end = f->bad;
				result = ret;
			}
		} else if (ret == -EAGAIN) {
			hmm_stat_inc(f->mirror, fault_retries);
		} else {
			return ret;
		}

		trace_hmm_mirror_fault_retry(f->mirror->tgid, f->start, f->end,
					     tries);
		ret = hmm_fault_again(f, deadline, tries++);
		if (ret)
			return result ?: ret;
	}
	return result;
}

static int hmm_fault_leaf(struct hmm_fault *f)
{
	int err;

	f->fixed = 0;
	f->refused = 0;
	f->leaf = hmm_leaf_get(f->mirror, f->start);
	if (IS_ERR(f->leaf))
		return PTR_ERR(f->leaf);
	err = hmm_fault_loop(f);
	hmm_leaf_put(f->leaf);
	return err;
}

/* A snapshot of terabytes must not go through the holes leaf by leaf. */
static unsigned long hmm_fault_skip_hole(struct mm_struct *mm,
					 unsigned long addr)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = find_vma(mm, addr);
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
		if (err == -EFAULT && f->flags & HMM_MIRROR_SNAPSHOT)
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
	struct hmm_fault *f;
	int err;

	pages = min_t(unsigned long, pages, HMM_LEAF_PAGES);
	f = kzalloc(struct_size(f, pfns, pages), GFP_KERNEL);
	if (!f)
		return -ENOMEM;
	f->mirror = mirror;
	f->flags = flags;
	f->task = current;
	timer_setup(&f->nudge, hmm_fault_nudge, 0);

	err = hmm_fault_range(f, addr, last);
	if (f->walked)
		hmm_stat_inc(mirror, faults);
	else if (!err)
		hmm_stat_inc(mirror, faults_shared);
	if (err)
		hmm_stat_inc(mirror, fault_errors);
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
