// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: mirrors and their lifetime.
 *
 * What it is
 * ----------
 * A mirror is a copy of a process's page table that a device may use. It is
 * filled by hmm_mirror_fault(), which walks the page table with
 * hmm_range_fault() (hmm_direct.c: where it need not), and emptied by mmu
 * interval notifiers. No page is pinned and no page reference is kept: an entry
 * is true because the notifier that makes it untrue has to take the lock the
 * entry is read under.
 *
 *	struct hmm_mirror_device
 *	  `- struct hmm_mirror		one per process, hmm.c
 *	       `- struct hmm_region		one per touched 64 MiB, hmm_region.c
 *		    `- struct hmm_mirror_leaf	32 of 2 MiB in it, hmm_leaf.c
 *			 `- a block entry, or a table of 512 page entries
 *
 * Why a notifier per region, and a sequence per leaf
 * --------------------------------------------------
 * Interval notifiers tell where an invalidation begins and not where it ends,
 * so a fault has to begin anew when one has come anywhere under its notifier.
 * Measured (kernels 6.12 and 7.3, a storm of 4 KiB madvise() calls beside a fault
 * elsewhere): no retry with a notifier per 2 MiB, 27 to 251 retries and 2 to 55
 * failed faults with one per 512 MiB. But a notifier is larger than all the rest
 * of a leaf. So a region has one, and each leaf notes the sequence of the last
 * callback that concerned it. mmu_notifier.c counts rounds: invalidations that
 * overlap in time have one number, and the next number is given out when all of
 * them are over. What a fault needs follows from that:
 *
 *  - leaf->seq is not region->seq: a later round has begun since the last
 *    invalidation of the leaf, so that one is over. Nothing to wait for.
 *  - They are equal: that round may be going on. mmu_interval_read_begin() knows,
 *    and waits for its end; region->over remembers it.
 *  - leaf->seq has changed when the fault installs: an invalidation came to the
 *    leaf in between; begin anew. The same number cannot come twice, because the
 *    fault began after the end of its round.
 *
 *	fault						invalidation of the leaf
 *	-----						------------------------
 *							region->seq = n
 *							leaf->lock, leaf->seq = n
 *	leaf->lock, seq = leaf->seq: n
 *	region->seq: n, or later if n is over [required]
 *
 * A leaf of a new region has never been called for, so the region is not shown to
 * anybody before the round in which its notifier was inserted has ended.
 *
 * Why a notifier stays
 * --------------------
 * An invalidation empties leaves and leaves the notifier. Removing a notifier
 * waits for every invalidation that is under way in the process (0.6 s for an
 * madvise() of 1 GiB), as does mmu_interval_read_begin() of one just inserted,
 * while that of an old one takes 10 ns. So notifiers go when the mirror dies,
 * with two exceptions: a region goes that no window shows any more, and one where
 * nothing is mapped any more. A work sees to that, a second later; and who maps and
 * unmaps ever new addresses faster than that does so itself, when regions have
 * doubled. Otherwise it would grow the mirror without bound. A region is only made where something readable is mapped within 2 MiB, so
 * that addresses from the wire cannot make more than the process has memory for.
 *
 * The promise, and why it holds
 * -----------------------------
 * When an invalidation returns, no access through the old translation runs:
 *
 *	reader (softirq)			invalidation
 *	----------------			------------
 *	read_lock_bh(leaf->lock)
 *	 entry is valid
 *	 copy					write lock of leaf->lock: spins
 *	read_unlock_bh
 *						 leaf->seq, entries cleared
 *						unlock, return true
 *						page table changed, page freed
 *	read_lock_bh: a miss
 *
 * And no old translation is installed later:
 *
 *	fault					invalidation
 *	-----					------------
 *	seq = hmm_leaf_begin
 *	walk finds the page
 *						write lock of leaf->lock
 *						 leaf->seq
 *						 nothing there to clear
 *						unlock
 *						page table changed, page freed
 *	write lock of leaf->lock
 *	 hmm_leaf_retry: true [required]
 *	unlock, walk again
 *
 * If the fault takes leaf->lock first, it installs an entry that is still true,
 * and the invalidation, which waits for the lock, takes it away.
 *
 * Documentation/locking.rst has the rest; tests/model/mirror.pml goes through every
 * interleaving of all this, and is to follow when it changes.
 */
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "hmm_internal.h"

#define CREATE_TRACE_POINTS
#include "hmm_trace.h"

void hmm_mirror_device_init(struct hmm_mirror_device *dev)
{
	mutex_init(&dev->lock);
	INIT_LIST_HEAD(&dev->mirrors);
	hmm_shrink_init(dev);
}
EXPORT_SYMBOL_GPL(hmm_mirror_device_init);

void hmm_mirror_device_leaves(struct hmm_mirror_device *dev, bool leaves)
{
	WRITE_ONCE(dev->leaving, leaves);
}
EXPORT_SYMBOL_GPL(hmm_mirror_device_leaves);

void hmm_mirror_device_fini(struct hmm_mirror_device *dev)
{
	hmm_shrink_fini(dev);
	/*
	 * A put returns when its regions are gone, all but the memory that RCU
	 * still keeps, and that knows nothing of the device.
	 */
	WARN_ON(!list_empty(&dev->mirrors));
	WARN_ON(atomic64_read(&dev->stats.regions));
	WARN_ON(atomic64_read(&dev->stats.tables));
	mutex_destroy(&dev->lock);
}
EXPORT_SYMBOL_GPL(hmm_mirror_device_fini);

static bool
hmm_mirror_invalidate_nothing(struct mmu_interval_notifier *sub,
			      const struct mmu_notifier_range *range,
			      unsigned long seq)
{
	mmu_interval_set_seq(sub, seq);
	return true;
}

static const struct mmu_interval_notifier_ops hmm_mirror_first_ops = {
	.invalidate = hmm_mirror_invalidate_nothing,
};

struct hmm_subscription {
	struct work_struct work;
	struct mm_struct *mm;
	int err;
};

static int hmm_mirror_try_subscribe(struct mm_struct *mm)
{
	struct mmu_interval_notifier *first;
	int err;

	first = kzalloc(sizeof(*first), GFP_KERNEL);
	if (!first)
		return -ENOMEM;
	err = mmu_interval_notifier_insert(first, mm, 0, PAGE_SIZE,
					   &hmm_mirror_first_ops);
	if (!err)
		mmu_interval_notifier_remove(first);
	kfree(first);
	return err;
}

static void hmm_mirror_subscribe_work(struct work_struct *work)
{
	struct hmm_subscription *sub =
		container_of(work, struct hmm_subscription, work);

	sub->err = hmm_mirror_try_subscribe(sub->mm);
}

/*
 * The first interval notifier of a process makes the kernel lock every mapping
 * it has. Pay that here, at registration, not in the first fault.
 *
 * The kernel gives that up when a signal comes, if only one that stops the process for
 * a while, and whoever registers memory knows of no such error. A worker gets no
 * signals: one that nobody else waits for, as the process may hold its mmap_lock for
 * long.
 */
static int hmm_mirror_subscribe(struct mm_struct *mm)
{
	struct hmm_subscription sub = { .mm = mm };
	struct workqueue_struct *wq;

	sub.err = hmm_mirror_try_subscribe(mm);
	if (sub.err != -EINTR || fatal_signal_pending(current))
		return sub.err;

	wq = alloc_workqueue("hmm_mirror", WQ_UNBOUND, 1);
	if (!wq)
		return -ENOMEM;
	INIT_WORK_ONSTACK(&sub.work, hmm_mirror_subscribe_work);
	queue_work(wq, &sub.work);
	destroy_workqueue(wq);
	destroy_work_on_stack(&sub.work);
	return sub.err;
}

static struct hmm_mirror *hmm_mirror_find(struct hmm_mirror_device *dev,
					  struct mm_struct *mm)
{
	struct hmm_mirror *mirror;

	lockdep_assert_held(&dev->lock);

	list_for_each_entry(mirror, &dev->mirrors, entry) {
		if (mirror->mm == mm)
			return mirror;
	}
	return NULL;
}

/*
 * A mirror of @mm, not yet on the list. This takes mmap_lock, which the process
 * may hold for long, so others of the device must not have to wait: dev->lock is
 * not held.
 */
static struct hmm_mirror *hmm_mirror_create(struct hmm_mirror_device *dev,
					    struct mm_struct *mm)
{
	struct hmm_mirror *mirror;
	int err;

	mirror = kzalloc(sizeof(*mirror), GFP_KERNEL_ACCOUNT);
	if (!mirror)
		return ERR_PTR(-ENOMEM);

	err = hmm_mirror_subscribe(mm);
	if (err) {
		kfree(mirror);
		return ERR_PTR(err);
	}

	kref_init(&mirror->ref);
	mirror->dev = dev;
	mmgrab(mm);
	mirror->mm = mm;
	mirror->unchanging.mm = mm;
	mirror->tgid = task_tgid_nr(current);
	xa_init(&mirror->root);
	mutex_init(&mirror->grow_mutex);
	spin_lock_init(&mirror->join_lock);
	INIT_LIST_HEAD(&mirror->bringing);
	init_waitqueue_head(&mirror->brought);
	spin_lock_init(&mirror->window_lock);
	mirror->windows = RB_ROOT_CACHED;
	mirror->reap_at = HMM_REGION_REAP_MIN;
	INIT_DELAYED_WORK(&mirror->reap_work, hmm_region_reap_work);
	return mirror;
}

/* The end of a mirror without regions that nobody knows. */
static void hmm_mirror_free(struct hmm_mirror *mirror)
{
	WARN_ON(atomic_long_read(&mirror->pages));
	WARN_ON(!RB_EMPTY_ROOT(&mirror->windows.rb_root));
	xa_destroy(&mirror->root);
	mutex_destroy(&mirror->grow_mutex);
	mmdrop(mirror->mm);
	kfree(mirror);
}

/* A reference on the mirror of @mm; @new goes on the list if there is none. */
static struct hmm_mirror *hmm_mirror_find_or_add(struct hmm_mirror_device *dev,
						 struct mm_struct *mm,
						 struct hmm_mirror *new)
{
	struct hmm_mirror *mirror;

	if (mutex_lock_killable(&dev->lock))
		return ERR_PTR(-EINTR);
	mirror = hmm_mirror_find(dev, mm);
	if (mirror) {
		kref_get(&mirror->ref);
	} else if (new) {
		list_add_tail(&new->entry, &dev->mirrors);
		mirror = new;
	}
	mutex_unlock(&dev->lock);
	return mirror;
}

/* hmm_mirror_get() for @mm, which the caller keeps alive. */
struct hmm_mirror *hmm_mirror_get_mm(struct hmm_mirror_device *dev,
				     struct mm_struct *mm)
{
	struct hmm_mirror *mirror, *new;

	mirror = hmm_mirror_find_or_add(dev, mm, NULL);
	if (mirror)
		return mirror;
	new = hmm_mirror_create(dev, mm);
	if (IS_ERR(new))
		return new;
	mirror = hmm_mirror_find_or_add(dev, mm, new);
	if (mirror != new)
		hmm_mirror_free(new);
	return mirror;
}

struct hmm_mirror *hmm_mirror_get(struct hmm_mirror_device *dev)
{
	if (!current->mm || current->flags & PF_KTHREAD)
		return ERR_PTR(-EINVAL);
	return hmm_mirror_get_mm(dev, current->mm);
}
EXPORT_SYMBOL_GPL(hmm_mirror_get);

/*
 * The end of a mirror, in stages:
 *  a. off the list under dev->lock: a get from now on makes a new mirror;
 *  b. the work that reaps is over, and what is unmapped from now on does not start it
 *     again;
 *  c. each region off the tree, emptied, its notifier removed, which waits until
 *     its callback runs no more;
 *  d. the mirror's memory: nobody is left who knows it. No lookup and no fault
 *     may be running by the contract; regions go by RCU all the same, because
 *     the reaper frees them under lookups.
 */
static void hmm_mirror_release(struct kref *ref)
{
	struct hmm_mirror *mirror = container_of(ref, struct hmm_mirror, ref);
	struct hmm_mirror_device *dev = mirror->dev;

	lockdep_assert_held(&dev->lock);

	list_del(&mirror->entry);
	mutex_unlock(&dev->lock);

	disable_delayed_work_sync(&mirror->reap_work);
	hmm_region_destroy_all(mirror);
	hmm_mirror_free(mirror);
}

void hmm_mirror_hold(struct hmm_mirror *mirror)
{
	kref_get(&mirror->ref);
}
EXPORT_SYMBOL_GPL(hmm_mirror_hold);

void hmm_mirror_put(struct hmm_mirror *mirror)
{
	might_sleep();
	kref_put_mutex(&mirror->ref, hmm_mirror_release, &mirror->dev->lock);
}
EXPORT_SYMBOL_GPL(hmm_mirror_put);

const struct mm_struct *hmm_mirror_mm(const struct hmm_mirror *mirror)
{
	return mirror->mm;
}
EXPORT_SYMBOL_GPL(hmm_mirror_mm);

void hmm_mirror_show(struct hmm_mirror_device *dev, struct seq_file *m)
{
	struct hmm_mirror *mirror;

	mutex_lock(&dev->lock);
	list_for_each_entry(mirror, &dev->mirrors, entry)
		seq_printf(m, "pid %d refs %u regions %ld tables %ld pages %ld blocks %ld\n",
			   mirror->tgid, kref_read(&mirror->ref),
			   atomic_long_read(&mirror->regions),
			   atomic_long_read(&mirror->tables),
			   atomic_long_read(&mirror->pages),
			   atomic_long_read(&mirror->blocks));
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_GPL(hmm_mirror_show);

static int __init hmm_mirror_init(void)
{
	return hmm_region_setup();
}
module_init(hmm_mirror_init);

static void __exit hmm_mirror_exit(void)
{
	hmm_region_cleanup();
}
module_exit(hmm_mirror_exit);

MODULE_AUTHOR("The rxe-odp developers");
MODULE_DESCRIPTION("Mirror of a process's page table for devices that do not pin");
MODULE_LICENSE("GPL");
