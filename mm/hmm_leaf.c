// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: leaves, what lookups read and invalidations clear.
 *
 * leaf->lock is a spinning reader/writer lock. Readers copy under it, in softirq
 * or with bottom halves off, which for the kernel's rwlock means that they pass
 * a waiting writer: two lookups may nest (a copy from one leaf to another, or
 * within one) and cannot deadlock over a writer between them. The price would be
 * that busy readers starve an invalidation. So a writer that has spun for a
 * while raises leaf->hurry, and lookups then miss instead of joining in:
 *
 *	reader A	reader B		invalidation
 *	--------	--------		------------
 *	read_lock
 *			read_lock		trylock fails, ...
 *	unlock
 *	read_lock				... and fails, hurry++
 *			unlock
 *			hurry: a miss, a fault
 *	unlock
 *						write_lock, hurry--
 *
 * The fault of reader B finds its page present, or walks it again, in its own
 * time.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "hmm_internal.h"
#include "hmm_trace.h"

/* About ten packets' worth of copying. */
#define HMM_LEAF_SPINS 512

void hmm_leaf_lock(struct hmm_mirror_leaf *leaf) __acquires(&leaf->lock)
{
	int spins;

	local_bh_disable();
	for (spins = 0; spins < HMM_LEAF_SPINS; spins++) {
		if (write_trylock(&leaf->lock))
			return;
		cpu_relax();
	}
	atomic_inc(&leaf->hurry);
	write_lock(&leaf->lock);
	atomic_dec(&leaf->hurry);
}

void hmm_leaf_unlock(struct hmm_mirror_leaf *leaf) __releases(&leaf->lock)
{
	write_unlock(&leaf->lock);
	local_bh_enable();
}

static bool hmm_leaf_has(const struct hmm_mirror_leaf *leaf, unsigned int i,
			 unsigned long rights)
{
	unsigned long entry = leaf->block;

	if (!entry && leaf->table)
		entry = leaf->table[i];
	return (entry & rights) == rights;
}

/* Are all pages of [start, end) there? A hint: it may be untrue by now. */
bool hmm_leaf_present(struct hmm_mirror_leaf *leaf, unsigned long start,
		      unsigned long end, unsigned long rights)
{
	unsigned int i = hmm_leaf_index(start);
	unsigned int n = (end - start) >> PAGE_SHIFT;
	bool present = true;

	read_lock_bh(&leaf->lock);
	for (; n && present; n--)
		present = hmm_leaf_has(leaf, i++, rights);
	read_unlock_bh(&leaf->lock);
	return present;
}

/*
 * Set one entry of the table unless it is there already. The page table says
 * the same as when the old entry was made, or an invalidation had removed it;
 * so an old entry that may write stays when only reading is asked.
 */
bool hmm_leaf_set(struct hmm_mirror_leaf *leaf, unsigned int i,
		  unsigned long entry)
{
	unsigned long old = leaf->table[i];

	lockdep_assert_held_write(&leaf->lock);
	lockdep_assert_held(&leaf->fault_mutex);

	if (old == entry || old == (entry | HMM_ENTRY_WRITE))
		return false;
	if (!old) {
		leaf->resident++;
		atomic_long_inc(&leaf->mirror->pages);
	}
	leaf->table[i] = entry;
	return true;
}

/* Make the whole leaf one block. @old_table is the caller's to free. */
bool hmm_leaf_set_block(struct hmm_mirror_leaf *leaf, unsigned long entry,
			unsigned long **old_table)
{
	struct hmm_mirror *mirror = leaf->mirror;

	lockdep_assert_held_write(&leaf->lock);
	lockdep_assert_held(&leaf->fault_mutex);

	*old_table = NULL;
	if (leaf->block == entry || leaf->block == (entry | HMM_ENTRY_WRITE))
		return false;
	if (!leaf->block)
		atomic_long_inc(&mirror->blocks);
	atomic_long_add(HMM_LEAF_PAGES - leaf->resident, &mirror->pages);
	leaf->resident = HMM_LEAF_PAGES;
	leaf->block = entry;
	*old_table = leaf->table;
	leaf->table = NULL;
	return true;
}

/*
 * Clear the entries from @first to @last, both included. A block that loses a
 * part is dropped whole. Returns how many pages are gone.
 */
unsigned int hmm_leaf_clear(struct hmm_mirror_leaf *leaf, unsigned int first,
			    unsigned int last)
{
	unsigned int gone = 0;
	unsigned int i;

	lockdep_assert_held_write(&leaf->lock);

	if (!leaf->resident)
		return 0;

	if (leaf->block) {
		leaf->block = 0;
		gone = HMM_LEAF_PAGES;
		atomic_long_dec(&leaf->mirror->blocks);
	} else {
		for (i = first; i <= last; i++) {
			if (!leaf->table[i])
				continue;
			leaf->table[i] = 0;
			gone++;
		}
	}
	leaf->resident -= gone;
	atomic_long_sub(gone, &leaf->mirror->pages);
	return gone;
}

/*
 * Never sleeps, never fails: also the OOM reaper, which may not be made to
 * wait for sleepers, can call it. What kind of change it is does not matter.
 */
static bool hmm_leaf_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long seq)
{
	struct hmm_mirror_leaf *leaf =
		container_of(sub, struct hmm_mirror_leaf, notifier);
	unsigned long first = max(range->start, leaf->start);
	unsigned long last = min(range->end - 1, leaf->start + HMM_LEAF_SIZE - 1);
	unsigned int gone;

	hmm_leaf_lock(leaf);
	mmu_interval_set_seq(sub, seq);
	gone = hmm_leaf_clear(leaf, hmm_leaf_index(first), hmm_leaf_index(last));
	hmm_leaf_unlock(leaf);

	hmm_stat_inc(leaf->mirror, invalidations);
	hmm_stat_add(leaf->mirror, pages_invalidated, gone);
	trace_hmm_mirror_invalidate(leaf->mirror->tgid, first, last + 1,
				    range->event, gone);
	return true;
}

static const struct mmu_interval_notifier_ops hmm_leaf_ops = {
	.invalidate = hmm_leaf_invalidate,
};

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

/* Nothing is mapped there any more, and no fault is busy with it. */
static bool hmm_leaf_try_kill(struct hmm_mirror_leaf *leaf)
{
	struct mm_struct *mm = leaf->mirror->mm;

	mmap_assert_locked(mm);

	return !find_vma_intersection(mm, leaf->start,
				      leaf->start + HMM_LEAF_SIZE) &&
	       refcount_dec_if_one(&leaf->users);
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
	struct hmm_mirror_leaf *leaf, *dead = NULL;
	unsigned long index, left;

	lockdep_assert_held(&mirror->grow_mutex);

	mmap_read_lock(mirror->mm);
	xa_for_each(&mirror->root, index, leaf) {
		if (hmm_leaf_try_kill(leaf)) {
			xa_erase(&mirror->root, index);
			leaf->next_dead = dead;
			dead = leaf;
		}
		cond_resched();
	}
	mmap_read_unlock(mirror->mm);

	while (dead) {
		leaf = dead;
		dead = leaf->next_dead;
		hmm_leaf_destroy(leaf);
		cond_resched();
	}
	left = atomic_long_read(&mirror->leaves);
	mirror->reap_at = max(HMM_LEAF_REAP_MIN, 2 * left);
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

static bool hmm_leaf_is_mapped(struct hmm_mirror *mirror, unsigned long start)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mirror->mm);
	vma = find_vma_intersection(mirror->mm, start, start + HMM_LEAF_SIZE);
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
 * inserting a notifier demands. -EFAULT if nothing is mapped in its 2 MiB.
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

/* Fill @run from the leaf's entries, or say that there is nothing. */
static bool hmm_leaf_run(struct hmm_mirror_leaf *leaf, unsigned long addr,
			 size_t len, unsigned long rights,
			 struct hmm_mirror_run *run)
{
	unsigned int i = hmm_leaf_index(addr);
	unsigned long entry = leaf->block;
	unsigned long pfn;
	size_t found;

	lockdep_assert_held_read(&leaf->lock);

	if (entry) {
		pfn = hmm_entry_pfn(entry) + i;
		found = HMM_LEAF_SIZE - (addr & ~HMM_LEAF_MASK);
	} else {
		entry = leaf->table ? leaf->table[i] : 0;
		pfn = hmm_entry_pfn(entry);
		found = PAGE_SIZE - offset_in_page(addr);
	}
	if ((entry & rights) != rights)
		return false;

	run->page = pfn_to_page(pfn);
	run->offset = offset_in_page(addr);
	run->leaf = leaf;

	while (found < len && ++i < HMM_LEAF_PAGES && !leaf->block) {
		entry = leaf->table[i];
		if ((entry & rights) != rights || hmm_entry_pfn(entry) != ++pfn)
			break;
		found += PAGE_SIZE;
	}
	run->len = min(len, found);
	return true;
}

bool hmm_mirror_lookup_and_lock(struct hmm_mirror *mirror, unsigned long addr,
				size_t len, unsigned int flags,
				struct hmm_mirror_run *run)
{
	unsigned long rights = HMM_ENTRY_VALID;
	struct hmm_mirror_leaf *leaf;

	if (flags & HMM_MIRROR_WRITE)
		rights |= HMM_ENTRY_WRITE;

	/* RCU bridges from the tree to the lock. */
	rcu_read_lock();
	leaf = xa_load(&mirror->root, addr >> HMM_LEAF_SHIFT);
	if (!leaf || atomic_read(&leaf->hurry)) {
		rcu_read_unlock();
		goto miss;
	}
	read_lock_bh(&leaf->lock);
	rcu_read_unlock();

	if (hmm_leaf_run(leaf, addr, len, rights, run)) {
		/* For sparse: held on purpose. */
		__release(&leaf->lock);
		return true;
	}
	read_unlock_bh(&leaf->lock);
miss:
	hmm_stat_inc(mirror, misses);
	return false;
}
EXPORT_SYMBOL_GPL(hmm_mirror_lookup_and_lock);

void hmm_mirror_unlock(struct hmm_mirror_run *run)
{
	/* For sparse: taken by the lookup. */
	__acquire(&run->leaf->lock);
	read_unlock_bh(&run->leaf->lock);
}
EXPORT_SYMBOL_GPL(hmm_mirror_unlock);
