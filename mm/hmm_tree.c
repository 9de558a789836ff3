// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: the life of leaves, from the first fault in their 2 MiB on.
 *
 * A leaf is found by RCU in mirror->root. Lookups go on to its lock, under which
 * a dying leaf is empty; faults take a reference (leaf->users). The tree has one
 * of its own, and a leaf dies when that is the last and is taken away:
 *
 *	fault					reaper
 *	-----					------
 *	rcu_read_lock
 *	xa_load
 *						users: 1 -> 0
 *	refcount_inc_not_zero fails		[required]
 *	rcu_read_unlock
 *						xa_erase
 *						empty it, remove the notifier
 *						kfree_rcu
 *	grow_mutex: waits for the reaper, makes a new leaf
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "hmm_internal.h"

/* A worker faults for the process; the process's memory cgroup pays. */
static void *hmm_leaf_alloc(struct hmm_mirror *mirror, size_t size)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(mirror->mm);
	struct mem_cgroup *old = set_active_memcg(memcg);
	void *p = kzalloc(size, GFP_KERNEL_ACCOUNT);

	set_active_memcg(old);
	mem_cgroup_put(memcg);
	return p;
}

/* Have a table for page entries. */
int hmm_leaf_prepare_table(struct hmm_mirror_leaf *leaf)
{
	unsigned long *table;

	lockdep_assert_held(&leaf->fault_mutex);

	if (leaf->table)
		return 0;
	table = hmm_leaf_alloc(leaf->mirror, HMM_LEAF_PAGES * sizeof(*table));
	if (!table)
		return -ENOMEM;

	hmm_leaf_lock(leaf);
	leaf->table = table;
	hmm_leaf_unlock(leaf);
	atomic_long_inc(&leaf->mirror->tables);
	hmm_stat_inc(leaf->mirror, tables);
	return 0;
}

/* Free a table that was taken out of @leaf under its lock. */
void hmm_leaf_free_table(struct hmm_mirror_leaf *leaf, unsigned long *table)
{
	if (!table)
		return;
	kfree(table);
	atomic_long_dec(&leaf->mirror->tables);
	hmm_stat_add(leaf->mirror, tables, -1);
}

/*
 * Destroy a leaf that is off the tree and that no fault uses. Lookups may still
 * find their way to it; they find it empty, and its memory stays until they
 * have left.
 */
static void hmm_leaf_destroy(struct hmm_mirror_leaf *leaf)
{
	struct hmm_mirror *mirror = leaf->mirror;
	unsigned long *table;

	hmm_leaf_lock(leaf);
	hmm_leaf_clear(leaf, 0, HMM_LEAF_PAGES - 1);
	table = leaf->table;
	leaf->table = NULL;
	hmm_leaf_unlock(leaf);

	hmm_leaf_free_table(leaf, table);
	mmu_interval_notifier_remove(&leaf->notifier);
	mutex_destroy(&leaf->fault_mutex);
	kfree_rcu(leaf, rcu);
	atomic_long_dec(&mirror->leaves);
	hmm_stat_add(mirror, leaves, -1);
}

void hmm_leaf_destroy_all(struct hmm_mirror *mirror)
{
	struct hmm_mirror_leaf *leaf;
	unsigned long index;

	xa_for_each(&mirror->root, index, leaf) {
		xa_erase(&mirror->root, index);
		WARN_ON(!refcount_dec_and_test(&leaf->users));
		hmm_leaf_destroy(leaf);
		cond_resched();
	}
}

static bool hmm_leaf_unmapped(struct hmm_mirror_leaf *leaf)
{
	struct mm_struct *mm = leaf->mirror->mm;

	mmap_assert_locked(mm);

	return !find_vma_intersection(mm, leaf->start,
				      leaf->start + HMM_LEAF_SIZE);
}

static bool hmm_leaf_unseen(struct hmm_mirror_leaf *leaf)
{
	return !hmm_window_shows(leaf->mirror, leaf->start,
				 leaf->start + HMM_LEAF_SIZE - 1);
}

/* Take what is @useless, and no fault is busy with, off the tree: a list of it. */
static struct hmm_mirror_leaf *
hmm_leaf_kill(struct hmm_mirror *mirror,
	      bool (*useless)(struct hmm_mirror_leaf *leaf))
{
	struct hmm_mirror_leaf *leaf, *dead = NULL;
	unsigned long index;

	lockdep_assert_held(&mirror->grow_mutex);

	xa_for_each(&mirror->root, index, leaf) {
		if (useless(leaf) && refcount_dec_if_one(&leaf->users)) {
			xa_erase(&mirror->root, index);
			leaf->next_dead = dead;
			dead = leaf;
		}
		cond_resched();
	}
	return dead;
}

static void hmm_leaf_bury(struct hmm_mirror *mirror,
			  struct hmm_mirror_leaf *dead)
{
	struct hmm_mirror_leaf *leaf;

	lockdep_assert_held(&mirror->grow_mutex);

	while (dead) {
		leaf = dead;
		dead = leaf->next_dead;
		hmm_leaf_destroy(leaf);
		cond_resched();
	}
}

/*
 * Destroy the leaves where the process has unmapped everything. Run whenever the
 * number of leaves has doubled since the last time, so a new leaf bears a
 * constant share of it. A mapping made right after the look simply gets a new
 * leaf.
 *
 * mmap_lock is let go before notifiers are removed, because that may wait for
 * an invalidation by somebody who holds it.
 */
static void hmm_leaf_reap(struct hmm_mirror *mirror)
{
	struct hmm_mirror_leaf *dead;
	unsigned long left;

	lockdep_assert_held(&mirror->grow_mutex);

	mmap_read_lock(mirror->mm);
	dead = hmm_leaf_kill(mirror, hmm_leaf_unmapped);
	mmap_read_unlock(mirror->mm);
	hmm_leaf_bury(mirror, dead);

	left = atomic_long_read(&mirror->leaves);
	mirror->reap_at = max(HMM_LEAF_REAP_MIN, 2 * left);
}

/*
 * Destroy the leaves that no window shows. A window that comes right after the look
 * finds its memory cold, no more. A system worker does not wait for somebody who waits
 * for mmap_lock.
 */
void hmm_leaf_reap_unseen(struct work_struct *work)
{
	struct hmm_mirror *mirror;

	mirror = container_of(work, struct hmm_mirror, reap_unseen.work);
	if (!mutex_trylock(&mirror->grow_mutex)) {
		schedule_delayed_work(&mirror->reap_unseen,
				      HMM_LEAF_UNSEEN_DELAY);
		return;
	}
	hmm_leaf_bury(mirror, hmm_leaf_kill(mirror, hmm_leaf_unseen));
	mutex_unlock(&mirror->grow_mutex);
}

/* A leaf on the tree with a reference for the caller, or NULL. */
static struct hmm_mirror_leaf *hmm_leaf_find(struct hmm_mirror *mirror,
					     unsigned long addr)
{
	struct hmm_mirror_leaf *leaf;

	rcu_read_lock();
	leaf = xa_load(&mirror->root, addr >> HMM_LEAF_SHIFT);
	if (leaf && !refcount_inc_not_zero(&leaf->users))
		leaf = NULL;
	rcu_read_unlock();
	return leaf;
}

/* Is there anything that could ever be an entry? */
static bool hmm_leaf_is_mapped(struct hmm_mirror *mirror, unsigned long start)
{
	unsigned long end = start + HMM_LEAF_SIZE;
	struct vm_area_struct *vma;

	mmap_read_lock(mirror->mm);
	vma = find_vma_intersection(mirror->mm, start, end);
	while (vma && !hmm_may_read(vma))
		vma = find_vma_intersection(mirror->mm, vma->vm_end, end);
	mmap_read_unlock(mirror->mm);
	return vma;
}

static struct hmm_mirror_leaf *hmm_leaf_create(struct hmm_mirror *mirror,
					       unsigned long start)
{
	unsigned long index = start >> HMM_LEAF_SHIFT;
	struct hmm_mirror_leaf *leaf;
	int err;

	lockdep_assert_held(&mirror->grow_mutex);

	if (!hmm_leaf_is_mapped(mirror, start))
		return ERR_PTR(-EFAULT);

	leaf = hmm_leaf_alloc(mirror, sizeof(*leaf));
	if (!leaf)
		return ERR_PTR(-ENOMEM);
	rwlock_init(&leaf->lock);
	refcount_set(&leaf->users, 1);
	mutex_init(&leaf->fault_mutex);
	leaf->mirror = mirror;
	leaf->start = start;

	err = xa_reserve(&mirror->root, index, GFP_KERNEL_ACCOUNT);
	if (err)
		goto free_leaf;
	err = mmu_interval_notifier_insert(&leaf->notifier, mirror->mm, start,
					   HMM_LEAF_SIZE, &hmm_leaf_ops);
	if (err)
		goto release_index;

	/* Published last, and the reservation makes that unable to fail. */
	atomic_long_inc(&mirror->leaves);
	hmm_stat_inc(mirror, leaves);
	xa_store(&mirror->root, index, leaf, GFP_KERNEL);
	return leaf;

release_index:
	xa_release(&mirror->root, index);
free_leaf:
	mutex_destroy(&leaf->fault_mutex);
	kfree(leaf);
	return ERR_PTR(err);
}

/*
 * The leaf of @addr, made if there is none; the caller holds mm_users, which
 * inserting a notifier demands. -EFAULT if nothing is readable in its 2 MiB.
 */
struct hmm_mirror_leaf *hmm_leaf_get(struct hmm_mirror *mirror,
				     unsigned long addr)
{
	struct hmm_mirror_leaf *leaf;

	leaf = hmm_leaf_find(mirror, addr);
	if (leaf)
		return leaf;

	if (mutex_lock_killable(&mirror->grow_mutex))
		return ERR_PTR(-EINTR);
	/* Leaves are killed under the mutex, so one that is there is alive. */
	leaf = hmm_leaf_find(mirror, addr);
	if (!leaf) {
		if (atomic_long_read(&mirror->leaves) >= mirror->reap_at)
			hmm_leaf_reap(mirror);
		leaf = hmm_leaf_create(mirror, addr & HMM_LEAF_MASK);
		if (!IS_ERR(leaf))
			refcount_inc(&leaf->users);
	}
	mutex_unlock(&mirror->grow_mutex);
	return leaf;
}

void hmm_leaf_put(struct hmm_mirror_leaf *leaf)
{
	/* The tree's reference is left; only the reaper takes that. */
	refcount_dec(&leaf->users);
}
