// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: giving memory back under pressure.
 *
 * What there is to give are tables, 4 KiB for 2 MiB of address space. Nothing is
 * pinned, so any table may go at any time, at the price of a fault. A leaf that
 * was looked up since the last visit is passed over once; empty tables, and those
 * nobody uses, go. Regions and their notifiers stay, as always.
 *
 * Memory may be short in the middle of a fault, or of anything else that holds
 * the mutexes here: they are only tried.
 */
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "hmm_internal.h"
#include "hmm_trace.h"

/* Leaves and regions to look at for each table that is wanted. */
#define HMM_SHRINK_LOOKS 4

/* The region of mirror->shrink_next, or one after it, with a reference; or NULL. */
static struct hmm_region *hmm_shrink_next(struct hmm_mirror *mirror)
{
	unsigned long index = mirror->shrink_next >> HMM_REGION_SHIFT;
	struct hmm_region *region;

	lockdep_assert_held(&mirror->dev->lock);

	rcu_read_lock();
	region = xa_find(&mirror->root, &index, ULONG_MAX, XA_PRESENT);
	if (region && !refcount_inc_not_zero(&region->users))
		region = NULL;
	rcu_read_unlock();
	if (!region)
		mirror->shrink_next = 0;
	else if (mirror->shrink_next < region->start)
		mirror->shrink_next = region->start;
	return region;
}

static bool hmm_shrink_leaf(struct hmm_mirror_leaf *leaf)
{
	struct hmm_mirror *mirror = hmm_leaf_mirror(leaf);
	unsigned long *table = NULL;
	unsigned int gone = 0;

	if (!mutex_trylock(hmm_leaf_mutex(leaf)))
		return false;
	hmm_leaf_lock(leaf);
	if (!leaf->resident || !leaf->young) {
		if (!leaf->block)
			gone = hmm_leaf_clear(leaf, 0, HMM_LEAF_PAGES - 1);
		swap(table, leaf->table);
	}
	leaf->young = false;
	hmm_leaf_unlock(leaf);
	hmm_leaf_free_table(leaf, table);
	mutex_unlock(hmm_leaf_mutex(leaf));

	hmm_stat_add(mirror, pages_shrunk, gone);
	if (table)
		trace_hmm_mirror_evict(mirror->tgid, hmm_leaf_start(leaf),
				       gone);
	return table;
}

/* Go on through @region, looking at leaves that have a table; most have none. */
static unsigned long hmm_shrink_region(struct hmm_region *region,
				       unsigned long *looks)
{
	struct hmm_mirror *mirror = region->mirror;
	struct hmm_mirror_leaf *leaf;
	unsigned long freed = 0;

	lockdep_assert_held(&mirror->dev->lock);

	while (*looks &&
	       mirror->shrink_next - region->start < HMM_REGION_SIZE) {
		leaf = hmm_region_leaf(region, mirror->shrink_next);
		mirror->shrink_next += HMM_LEAF_SIZE;
		/* A hint; the mutex and the lock come after it. */
		if (!data_race(leaf->table))
			continue;
		freed += hmm_shrink_leaf(leaf);
		--*looks;
	}
	return freed;
}

/*
 * Go on through the mirror, to its end at most, for @looks leaves and regions.
 * Return: the number of tables freed.
 */
static unsigned long hmm_shrink_mirror(struct hmm_mirror *mirror,
				       unsigned long *looks)
{
	struct hmm_region *region;
	unsigned long freed = 0;

	while (*looks) {
		region = hmm_shrink_next(mirror);
		if (!region)
			break;
		--*looks;
		freed += hmm_shrink_region(region, looks);
		hmm_region_put(region);
		cond_resched();
	}
	return freed;
}

static unsigned long hmm_shrink_count(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	struct hmm_mirror_device *dev = shrinker->private_data;

	return atomic64_read(&dev->stats.tables) ?: SHRINK_EMPTY;
}

static unsigned long hmm_shrink_scan(struct shrinker *shrinker,
				     struct shrink_control *sc)
{
	struct hmm_mirror_device *dev = shrinker->private_data;
	unsigned long looks = sc->nr_to_scan * HMM_SHRINK_LOOKS;
	struct hmm_mirror *mirror;
	unsigned long freed = 0;

	if (!mutex_trylock(&dev->lock))
		return SHRINK_STOP;
	list_for_each_entry(mirror, &dev->mirrors, entry)
		freed += hmm_shrink_mirror(mirror, &looks);
	/* The next visit begins with another process. */
	if (!list_empty(&dev->mirrors))
		list_rotate_left(&dev->mirrors);
	mutex_unlock(&dev->lock);
	return freed;
}

/* Without memory for a shrinker there is none; nothing depends on it. */
void hmm_shrink_init(struct hmm_mirror_device *dev)
{
	dev->shrinker = shrinker_alloc(0, "hmm_mirror");
	if (!dev->shrinker)
		return;
	dev->shrinker->count_objects = hmm_shrink_count;
	dev->shrinker->scan_objects = hmm_shrink_scan;
	dev->shrinker->private_data = dev;
	shrinker_register(dev->shrinker);
}

void hmm_shrink_fini(struct hmm_mirror_device *dev)
{
	shrinker_free(dev->shrinker);
}
