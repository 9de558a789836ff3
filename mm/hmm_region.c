// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: the life of regions, from the first fault in their 64 MiB on, and of
 * their leaves' tables.
 *
 * A region is found by RCU in mirror->root. Lookups go on to the lock of a leaf in it,
 * under which that of a dying region is empty; faults take a reference
 * (region->users). The tree has one of its own, and a region dies when that is the
 * last and is taken away:
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
 *	grow_mutex: waits for the reaper, makes a new region
 *
 * Most lookups are in a region that was looked up just before, of which mirror->recent
 * has a few, so that they need not go down the tree. That is the way to a dead one, if
 * it is still there after the reaper has looked:
 *
 *	lookup					reaper
 *	------					------
 *	lock a leaf of it
 *	there is an entry
 *	recent = it
 *	unlock
 *						lock the leaf, empty it
 *						unlock
 *						recent is it: take it away
 *	lock the leaf
 *	no entry: recent stays			[required]
 *						kfree_rcu
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "hmm_internal.h"

/* Of their own, because the slab for 2 KiB would waste a quarter of a region. */
static struct kmem_cache *hmm_regions;
static struct kmem_cache *hmm_tables;

int hmm_region_setup(void)
{
	hmm_regions = KMEM_CACHE(hmm_region, SLAB_ACCOUNT);
	if (!hmm_regions)
		return -ENOMEM;
	hmm_tables = kmem_cache_create("hmm_table",
				       HMM_LEAF_PAGES * sizeof(unsigned long),
				       0, SLAB_ACCOUNT, NULL);
	if (!hmm_tables) {
		kmem_cache_destroy(hmm_regions);
		return -ENOMEM;
	}
	return 0;
}

/* Waits for the regions that RCU still keeps. */
void hmm_region_cleanup(void)
{
	kmem_cache_destroy(hmm_tables);
	kmem_cache_destroy(hmm_regions);
}

/* A worker faults for the process; the process's memory cgroup pays. */
static void *hmm_alloc(struct hmm_mirror *mirror, struct kmem_cache *cache)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(mirror->mm);
	struct mem_cgroup *old = set_active_memcg(memcg);
	void *p = kmem_cache_zalloc(cache, GFP_KERNEL);

	set_active_memcg(old);
	mem_cgroup_put(memcg);
	return p;
}

/* Have a table for page entries. */
int hmm_leaf_prepare_table(struct hmm_mirror_leaf *leaf)
{
	struct hmm_mirror *mirror = hmm_leaf_mirror(leaf);
	unsigned long *table;

	lockdep_assert_held(hmm_leaf_mutex(leaf));

	if (leaf->table)
		return 0;
	table = hmm_alloc(mirror, hmm_tables);
	if (!table)
		return -ENOMEM;

	hmm_leaf_lock(leaf);
	leaf->table = table;
	hmm_leaf_unlock(leaf);
	atomic_long_inc(&mirror->tables);
	hmm_stat_inc(mirror, tables);
	return 0;
}

/* Free a table that was taken out of @leaf under its lock. */
void hmm_leaf_free_table(struct hmm_mirror_leaf *leaf, unsigned long *table)
{
	struct hmm_mirror *mirror = hmm_leaf_mirror(leaf);

	if (!table)
		return;
	kmem_cache_free(hmm_tables, table);
	atomic_long_dec(&mirror->tables);
	hmm_stat_add(mirror, tables, -1);
}

/*
 * Empty a leaf. Its table goes with that unless a fault is busy with it, or @dying
 * says that none can be. Return: nothing is left.
 */
static bool hmm_leaf_empty(struct hmm_mirror_leaf *leaf, bool dying)
{
	bool free = dying || mutex_trylock(hmm_leaf_mutex(leaf));
	unsigned long *table = NULL;

	hmm_leaf_lock(leaf);
	hmm_leaf_clear(leaf, 0, HMM_LEAF_PAGES - 1);
	if (free)
		swap(table, leaf->table);
	hmm_leaf_unlock(leaf);
	hmm_leaf_free_table(leaf, table);
	if (free && !dying)
		mutex_unlock(hmm_leaf_mutex(leaf));
	return free;
}

void hmm_region_init(struct hmm_region *region, struct hmm_mirror *mirror,
		     unsigned long start)
{
	int i;

	refcount_set(&region->users, 1);
	region->mirror = mirror;
	region->start = start;
	for (i = 0; i < HMM_REGION_MUTEXES; i++)
		mutex_init(&region->fault_mutex[i]);
	for (i = 0; i < HMM_REGION_LEAVES; i++) {
		rwlock_init(&region->leaf[i].lock);
		region->leaf[i].index = i;
	}
}

/* What hmm_region_init() and faults made. No fault is or will be in it. */
void hmm_region_fini(struct hmm_region *region)
{
	int i;

	for (i = 0; i < HMM_REGION_LEAVES; i++)
		hmm_leaf_empty(&region->leaf[i], true);
	for (i = 0; i < HMM_REGION_MUTEXES; i++)
		mutex_destroy(&region->fault_mutex[i]);
}

/*
 * Destroy a region that is off the tree and that no fault uses. Lookups may still
 * find their way to it; they find it empty, and its memory stays until they
 * have left.
 */
static void hmm_region_destroy(struct hmm_region *region)
{
	struct hmm_mirror *mirror = region->mirror;

	hmm_region_fini(region);
	/* Lookups find nothing more in it, so none puts it there again. */
	cmpxchg(hmm_recent(mirror, region->start), region, NULL);
	mmu_interval_notifier_remove(&region->notifier);
	kfree_rcu(region, rcu);
	atomic_long_dec(&mirror->regions);
	hmm_stat_add(mirror, regions, -1);
}

void hmm_region_destroy_all(struct hmm_mirror *mirror)
{
	struct hmm_region *region;
	unsigned long index;

	xa_for_each(&mirror->root, index, region) {
		xa_erase(&mirror->root, index);
		WARN_ON(!refcount_dec_and_test(&region->users));
		hmm_region_destroy(region);
		cond_resched();
	}
}

typedef bool (*hmm_useless)(struct hmm_mirror *mirror, unsigned long start,
			    unsigned long last);

static bool hmm_is_unmapped(struct hmm_mirror *mirror, unsigned long start,
			    unsigned long last)
{
	mmap_assert_locked(mirror->mm);

	return !find_vma_intersection(mirror->mm, start, last + 1);
}

static bool hmm_is_unseen(struct hmm_mirror *mirror, unsigned long start,
			  unsigned long last)
{
	return !hmm_window_shows(mirror, start, last);
}

/* Empty the useless leaves of a region that stays. Return: all of them are. */
static bool hmm_region_prune(struct hmm_region *region, hmm_useless useless)
{
	struct hmm_mirror_leaf *leaf;
	bool done = true;
	int i;

	for (i = 0; i < HMM_REGION_LEAVES; i++) {
		leaf = &region->leaf[i];
		/* A hint: whoever fills it just now finds it useful. */
		if (!data_race(leaf->block) && !data_race(leaf->table))
			continue;
		if (useless(region->mirror, hmm_leaf_start(leaf),
			    hmm_leaf_last(leaf)))
			done &= hmm_leaf_empty(leaf, false);
	}
	return done;
}

/*
 * Take @region off the tree if all of it is @useless and no fault is busy with it, and
 * onto the list @dead; else what is useless of it. Return: nothing that is was left.
 */
static bool hmm_region_kill_one(struct hmm_region *region, hmm_useless useless,
				struct hmm_region **dead)
{
	struct hmm_mirror *mirror = region->mirror;
	bool whole = useless(mirror, region->start,
			     region->start + HMM_REGION_SIZE - 1);

	lockdep_assert_held(&mirror->grow_mutex);

	if (!whole || !refcount_dec_if_one(&region->users))
		return hmm_region_prune(region, useless) && !whole;
	xa_erase(&mirror->root, region->start >> HMM_REGION_SHIFT);
	region->next_dead = *dead;
	*dead = region;
	return true;
}

/* Return: nothing that is @useless was left. */
static bool hmm_region_kill(struct hmm_mirror *mirror, hmm_useless useless,
			    struct hmm_region **dead)
{
	struct hmm_region *region;
	unsigned long index;
	bool done = true;

	xa_for_each(&mirror->root, index, region) {
		done &= hmm_region_kill_one(region, useless, dead);
		cond_resched();
	}
	return done;
}

static void hmm_region_bury(struct hmm_mirror *mirror, struct hmm_region *dead)
{
	struct hmm_region *region;

	lockdep_assert_held(&mirror->grow_mutex);

	while (dead) {
		region = dead;
		dead = region->next_dead;
		hmm_region_destroy(region);
		cond_resched();
	}
}

/*
 * Destroy the regions where the process has unmapped everything. Run whenever the
 * number of regions has doubled since the last time, so a new region bears a
 * constant share of it: somebody is faster than the work below. A mapping made right
 * after the look simply gets a new one.
 *
 * mmap_lock is let go before notifiers are removed, because that may wait for
 * an invalidation by somebody who holds it.
 */
static void hmm_region_reap(struct hmm_mirror *mirror)
{
	struct hmm_region *dead = NULL;
	unsigned long left;

	lockdep_assert_held(&mirror->grow_mutex);

	mmap_read_lock(mirror->mm);
	hmm_region_kill(mirror, hmm_is_unmapped, &dead);
	mmap_read_unlock(mirror->mm);
	hmm_region_bury(mirror, dead);

	left = atomic_long_read(&mirror->regions);
	mirror->reap_at = max(HMM_REGION_REAP_MIN, 2 * left);
}

/* hmm_region_kill() where a mapping has gone, if that can be told without waiting. */
static bool hmm_region_kill_unmapped(struct hmm_mirror *mirror,
				     struct hmm_region **dead)
{
	struct hmm_region *region;
	unsigned long index;
	bool done = true;

	/* The process may have exited: it leaves a tree without mappings. */
	if (!mmap_read_trylock(mirror->mm))
		return false;
	/* Of a large process most were left alone. */
	xa_for_each(&mirror->root, index, region) {
		if (!READ_ONCE(region->unmapped))
			continue;
		/* What goes later does so, and says so, when mmap_lock is free. */
		WRITE_ONCE(region->unmapped, false);
		if (!hmm_region_kill_one(region, hmm_is_unmapped, dead)) {
			WRITE_ONCE(region->unmapped, true);
			done = false;
		}
		cond_resched();
	}
	mmap_read_unlock(mirror->mm);
	return done;
}

/*
 * Destroy what no window shows, and what is mapped no more. A window or a mapping that
 * comes right after the look finds its memory cold, no more. A system worker does not
 * wait for somebody who waits for mmap_lock.
 */
void hmm_region_reap_work(struct work_struct *work)
{
	struct hmm_region *dead = NULL;
	struct hmm_mirror *mirror;
	int why;

	mirror = container_of(work, struct hmm_mirror, reap_work.work);
	why = atomic_xchg(&mirror->reap_why, 0);
	if (mutex_trylock(&mirror->grow_mutex)) {
		if (why & HMM_REAP_UNSEEN &&
		    hmm_region_kill(mirror, hmm_is_unseen, &dead))
			why &= ~HMM_REAP_UNSEEN;
		if (why & HMM_REAP_UNMAPPED &&
		    hmm_region_kill_unmapped(mirror, &dead))
			why &= ~HMM_REAP_UNMAPPED;
		hmm_region_bury(mirror, dead);
		mutex_unlock(&mirror->grow_mutex);
	}
	if (why)
		hmm_region_reap_soon(mirror, why);
}

/* Any context, an invalidation too. */
void hmm_region_reap_soon(struct hmm_mirror *mirror, int why)
{
	/* First, or the work might not see it; it may be running. */
	atomic_or(why, &mirror->reap_why);
	schedule_delayed_work(&mirror->reap_work, HMM_REAP_DELAY);
}

/* A region on the tree with a reference for the caller, or NULL. */
static struct hmm_region *hmm_region_find(struct hmm_mirror *mirror,
					  unsigned long addr)
{
	struct hmm_region *region;

	rcu_read_lock();
	region = xa_load(&mirror->root, addr >> HMM_REGION_SHIFT);
	if (region && !refcount_inc_not_zero(&region->users))
		region = NULL;
	rcu_read_unlock();
	return region;
}

/* Is there anything in the 2 MiB around @addr that could ever be an entry? */
static bool hmm_is_readable(struct hmm_mirror *mirror, unsigned long addr)
{
	unsigned long start = addr & HMM_LEAF_MASK;
	unsigned long end = start + HMM_LEAF_SIZE;
	struct vm_area_struct *vma;

	mmap_read_lock(mirror->mm);
	vma = find_vma_intersection(mirror->mm, start, end);
	while (vma && !hmm_may_read(vma))
		vma = find_vma_intersection(mirror->mm, vma->vm_end, end);
	mmap_read_unlock(mirror->mm);
	return vma;
}

static struct hmm_region *hmm_region_create(struct hmm_mirror *mirror,
					    unsigned long addr)
{
	unsigned long index = addr >> HMM_REGION_SHIFT;
	struct hmm_region *region;
	int err;

	lockdep_assert_held(&mirror->grow_mutex);

	if (!hmm_is_readable(mirror, addr))
		return ERR_PTR(-EFAULT);

	region = hmm_alloc(mirror, hmm_regions);
	if (!region)
		return ERR_PTR(-ENOMEM);
	hmm_region_init(region, mirror, index << HMM_REGION_SHIFT);

	err = xa_reserve(&mirror->root, index, GFP_KERNEL_ACCOUNT);
	if (err)
		goto free_region;
	err = mmu_interval_notifier_insert(&region->notifier, mirror->mm,
					   region->start, HMM_REGION_SIZE,
					   &hmm_region_ops);
	if (err)
		goto release_index;
	/* Invalidations that began too early to call it are to be over: hmm.c. */
	mmu_interval_read_begin(&region->notifier);

	/* Published last, and the reservation makes that unable to fail. */
	atomic_long_inc(&mirror->regions);
	hmm_stat_inc(mirror, regions);
	xa_store(&mirror->root, index, region, GFP_KERNEL);
	return region;

release_index:
	xa_release(&mirror->root, index);
free_region:
	hmm_region_fini(region);
	kmem_cache_free(hmm_regions, region);
	return ERR_PTR(err);
}

/* The leaf of @addr with a reference on its region, if there is one; or NULL. */
struct hmm_mirror_leaf *hmm_leaf_find(struct hmm_mirror *mirror,
				      unsigned long addr)
{
	struct hmm_region *region = hmm_region_find(mirror, addr);

	return region ? hmm_region_leaf(region, addr) : NULL;
}

/*
 * The leaf of @addr with a reference on its region, made if there is none; the caller
 * holds mm_users, which inserting a notifier demands. -EFAULT if there is none and
 * nothing is readable in these 2 MiB.
 */
struct hmm_mirror_leaf *hmm_leaf_get(struct hmm_mirror *mirror,
				     unsigned long addr)
{
	struct hmm_mirror_leaf *leaf = hmm_leaf_find(mirror, addr);
	struct hmm_region *region;

	if (leaf)
		return leaf;
	if (mutex_lock_killable(&mirror->grow_mutex))
		return ERR_PTR(-EINTR);
	/* Regions are killed under the mutex, so one that is there is alive. */
	region = hmm_region_find(mirror, addr);
	if (!region) {
		if (atomic_long_read(&mirror->regions) >= mirror->reap_at)
			hmm_region_reap(mirror);
		region = hmm_region_create(mirror, addr);
		if (!IS_ERR(region))
			refcount_inc(&region->users);
	}
	mutex_unlock(&mirror->grow_mutex);
	return IS_ERR(region) ? ERR_CAST(region) :
				hmm_region_leaf(region, addr);
}

void hmm_region_put(struct hmm_region *region)
{
	/* The tree's reference is left; only the reaper takes that. */
	refcount_dec(&region->users);
}

void hmm_leaf_put(struct hmm_mirror_leaf *leaf)
{
	hmm_region_put(hmm_leaf_region(leaf));
}
