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
 * time. tests/model/mirror.pml proves that the invalidation gets in.
 */
#include <linux/mm.h>
#include <linux/overflow.h>

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

/* Of the pages in [start, end); @end: none. A hint: it may be untrue by now. */
unsigned long hmm_leaf_first_missing(struct hmm_mirror_leaf *leaf,
				     unsigned long start, unsigned long end,
				     unsigned long rights)
{
	unsigned int i = hmm_leaf_index(start);

	read_lock_bh(&leaf->lock);
	for (; start < end; start += PAGE_SIZE) {
		if (!hmm_leaf_has(leaf, i++, rights))
			break;
	}
	read_unlock_bh(&leaf->lock);
	return start;
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
	lockdep_assert_held(hmm_leaf_mutex(leaf));

	if (old == entry || old == (entry | HMM_ENTRY_WRITE))
		return false;
	if (!old) {
		leaf->resident++;
		atomic_long_inc(&hmm_leaf_mirror(leaf)->pages);
	}
	leaf->table[i] = entry;
	return true;
}

/* Make the whole leaf one block. @old_table is the caller's to free. */
bool hmm_leaf_set_block(struct hmm_mirror_leaf *leaf, unsigned long entry,
			unsigned long **old_table)
{
	struct hmm_mirror *mirror = hmm_leaf_mirror(leaf);

	lockdep_assert_held_write(&leaf->lock);
	lockdep_assert_held(hmm_leaf_mutex(leaf));

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
	struct hmm_mirror *mirror = hmm_leaf_mirror(leaf);
	unsigned int gone = 0;
	unsigned int i;

	lockdep_assert_held_write(&leaf->lock);

	if (!leaf->resident)
		return 0;

	if (leaf->block) {
		leaf->block = 0;
		gone = HMM_LEAF_PAGES;
		atomic_long_dec(&mirror->blocks);
	} else {
		for (i = first; i <= last; i++) {
			if (!leaf->table[i])
				continue;
			leaf->table[i] = 0;
			gone++;
		}
	}
	leaf->resident -= gone;
	atomic_long_sub(gone, &mirror->pages);
	return gone;
}

static unsigned int hmm_leaf_invalidate(struct hmm_mirror_leaf *leaf,
					unsigned long start, unsigned long last,
					unsigned long seq)
{
	unsigned long first = max(start, hmm_leaf_start(leaf));
	unsigned int gone;

	last = min(last, hmm_leaf_last(leaf));
	hmm_leaf_lock(leaf);
	leaf->seq = seq;
	gone = hmm_leaf_clear(leaf, hmm_leaf_index(first),
			      hmm_leaf_index(last));
	hmm_leaf_unlock(leaf);

	if (gone)
		hmm_window_count(hmm_leaf_mirror(leaf), first, last, gone,
				 true);
	return gone;
}

/*
 * Never sleeps, never fails: also the OOM reaper, which may not be made to
 * wait for sleepers, can call it. What kind of change it is does not matter.
 * Callbacks for other ranges may run at the same time, with the same @seq.
 */
static bool hmm_region_invalidate(struct mmu_interval_notifier *sub,
				  const struct mmu_notifier_range *range,
				  unsigned long seq)
{
	struct hmm_region *region =
		container_of(sub, struct hmm_region, notifier);
	unsigned long first = max(range->start, region->start);
	unsigned long last =
		min(range->end - 1, region->start + HMM_REGION_SIZE - 1);
	struct hmm_mirror_leaf *leaf = hmm_region_leaf(region, first);
	unsigned int gone = 0;

	/* Before that of any leaf. The round before is over, and who sees this sees it. */
	smp_store_release(&region->seq, seq);
	mmu_interval_set_seq(sub, seq);
	for (; leaf <= hmm_region_leaf(region, last); leaf++)
		gone += hmm_leaf_invalidate(leaf, first, last, seq);

	/* Also where nothing was left: a table was, and maybe the last of the region. */
	if (range->event == MMU_NOTIFY_UNMAP) {
		WRITE_ONCE(region->unmapped, true);
		hmm_region_reap_soon(region->mirror, HMM_REAP_UNMAPPED);
	}
	hmm_stat_inc(region->mirror, invalidations);
	hmm_stat_add(region->mirror, pages_invalidated, gone);
	trace_hmm_mirror_invalidate(region->mirror->tgid, first, last + 1,
				    range->event, gone);
	return true;
}

const struct mmu_interval_notifier_ops hmm_region_ops = {
	.invalidate = hmm_region_invalidate,
};

/*
 * @seq: of the last invalidation of @leaf. Return: its round is known to be over, as that of
 * 0 is, and what it did to the page table is seen from here on.
 */
static bool hmm_leaf_is_over(struct hmm_mirror_leaf *leaf, unsigned long *seq)
{
	struct hmm_region *region = hmm_leaf_region(leaf);

	read_lock_bh(&leaf->lock);
	*seq = leaf->seq;
	read_unlock_bh(&leaf->lock);
	return *seq != smp_load_acquire(&region->seq) ||
	       *seq == smp_load_acquire(&region->over);
}

/*
 * Before a walk of @leaf: what hmm_leaf_retry() is to be given after it. Waits for an
 * invalidation that is under way here, and for no other in the region: "Why a
 * notifier per region" in hmm.c.
 */
unsigned long hmm_leaf_begin(struct hmm_mirror_leaf *leaf)
{
	struct hmm_region *region = hmm_leaf_region(leaf);
	unsigned long seq;

	if (!hmm_leaf_is_over(leaf, &seq)) {
		mmu_interval_read_begin(&region->notifier);
		/* For ever, as no round has a number twice. */
		smp_store_release(&region->over, seq);
	}
	return seq;
}

/*
 * The same without waiting, where it is known that the round is over, as also that of @seq
 * is. Return: false if hmm_leaf_begin() would wait, or has to look.
 */
bool hmm_leaf_settled(struct hmm_mirror_leaf *leaf, unsigned long *seq)
{
	unsigned long now;

	if (!hmm_leaf_is_over(leaf, &now) && now != *seq)
		return false;
	*seq = now;
	return true;
}

/* Has an invalidation come here since hmm_leaf_begin() gave @seq? */
bool hmm_leaf_retry(const struct hmm_mirror_leaf *leaf, unsigned long seq)
{
	lockdep_assert_held_write(&leaf->lock);

	return leaf->seq != seq;
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

/* The caller is an RCU reader, or has bottom halves off. */
static struct hmm_region *hmm_leaf_find_region(struct hmm_mirror *mirror,
					       unsigned long addr)
{
	struct hmm_region *region = READ_ONCE(*hmm_recent(mirror, addr));

	if (likely(region && addr - region->start < HMM_REGION_SIZE))
		return region;
	return xa_load(&mirror->root, addr >> HMM_REGION_SHIFT);
}

/* As long as it has an entry, and that is locked, its end has not come. */
static void hmm_leaf_keep_region(struct hmm_region *region)
{
	struct hmm_region **recent = hmm_recent(region->mirror, region->start);

	if (unlikely(READ_ONCE(*recent) != region))
		smp_store_release(recent, region);
}

bool hmm_mirror_lookup_and_lock(struct hmm_mirror *mirror, unsigned long addr,
				size_t len, unsigned int flags,
				struct hmm_mirror_run *run)
{
	unsigned long rights = HMM_ENTRY_VALID;
	struct hmm_mirror_leaf *leaf;
	struct hmm_region *region;

	if (flags & HMM_MIRROR_WRITE)
		rights |= HMM_ENTRY_WRITE;

	lockdep_assert_in_softirq();

	/* RCU bridges from the tree, or from recent, to the lock; who has bottom halves off is a reader. */
	region = hmm_leaf_find_region(mirror, addr);
	leaf = region ? hmm_region_leaf(region, addr) : NULL;
	if (!leaf || atomic_read(&leaf->hurry))
		goto miss;
	read_lock(&leaf->lock);

	if (hmm_leaf_run(leaf, addr, len, rights, run)) {
		if (!READ_ONCE(leaf->young))
			WRITE_ONCE(leaf->young, true);
		hmm_leaf_keep_region(region);
		/* For sparse: held on purpose. */
		__release(&leaf->lock);
		return true;
	}
	read_unlock(&leaf->lock);
miss:
	hmm_stat_inc(mirror, misses);
	return false;
}
EXPORT_SYMBOL_GPL(hmm_mirror_lookup_and_lock);

static bool hmm_leaf_present(struct hmm_mirror *mirror, unsigned long addr,
			     unsigned long last, unsigned long rights)
{
	unsigned long end = (last & PAGE_MASK) + PAGE_SIZE;
	struct hmm_region *region;
	bool present;

	/* Here RCU keeps the region until a leaf's lock is let go. */
	rcu_read_lock();
	region = xa_load(&mirror->root, addr >> HMM_REGION_SHIFT);
	present = region &&
		  hmm_leaf_first_missing(hmm_region_leaf(region, addr),
					 addr & PAGE_MASK, end, rights) == end;
	rcu_read_unlock();
	return present;
}

bool hmm_mirror_present(struct hmm_mirror *mirror, unsigned long addr,
			size_t len, unsigned int flags)
{
	unsigned long rights = HMM_ENTRY_VALID;
	unsigned long last, leaf_last;

	if (flags & HMM_MIRROR_WRITE)
		rights |= HMM_ENTRY_WRITE;
	if (!len || check_add_overflow(addr, len - 1, &last))
		return false;
	for (;;) {
		leaf_last = min(addr | ~HMM_LEAF_MASK, last);
		if (!hmm_leaf_present(mirror, addr, leaf_last, rights))
			return false;
		if (leaf_last == last)
			return true;
		addr = leaf_last + 1;
	}
}
EXPORT_SYMBOL_GPL(hmm_mirror_present);

void hmm_mirror_unlock(struct hmm_mirror_run *run)
{
	/* For sparse: taken by the lookup. */
	__acquire(&run->leaf->lock);
	read_unlock(&run->leaf->lock);
}
EXPORT_SYMBOL_GPL(hmm_mirror_unlock);
