// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: giving memory back under pressure.
 *
 * What there is to give are tables, 4 KiB for 2 MiB of address space. Nothing is
 * pinned, so any table may go at any time, at the price of a fault. A leaf that
 * was looked up since the last visit is passed over once; empty tables, and those
 * nobody uses, go. Leaves and their notifiers stay, as always.
 *
 * Memory may be short in the middle of a fault, or of anything else that holds
 * the mutexes here: they are only tried.
 */
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "hmm_internal.h"
#include "hmm_trace.h"

/* Leaves to look at for each table that is wanted. */
#define HMM_SHRINK_LOOKS 4

static struct hmm_mirror_leaf *hmm_shrink_next(struct hmm_mirror *mirror)
{
	unsigned long index = mirror->shrink_next;
	struct hmm_mirror_leaf *leaf;

	lockdep_assert_held(&mirror->dev->lock);

	rcu_read_lock();
	leaf = xa_find(&mirror->root, &index, ULONG_MAX, XA_PRESENT);
	if (leaf && !refcount_inc_not_zero(&leaf->users))
		leaf = NULL;
	rcu_read_unlock();
	mirror->shrink_next = leaf ? index + 1 : 0;
	return leaf;
}

static bool hmm_shrink_leaf(struct hmm_mirror_leaf *leaf)
{
	unsigned long *table = NULL;
	unsigned int gone = 0;

	if (!mutex_trylock(&leaf->fault_mutex))
		return false;
	hmm_leaf_lock(leaf);
	if (!leaf->resident || !leaf->young) {
		if (!leaf->block)
			gone = hmm_leaf_clear(leaf, 0, HMM_LEAF_PAGES - 1);
		table = leaf->table;
		leaf->table = NULL;
	}
	leaf->young = false;
	hmm_leaf_unlock(leaf);
	hmm_leaf_free_table(leaf, table);
	mutex_unlock(&leaf->fault_mutex);

	hmm_stat_add(leaf->mirror, pages_shrunk, gone);
	if (table)
		trace_hmm_mirror_evict(leaf->mirror->tgid, leaf->start, gone);
	return table;
}

/*
 * Go on through the mirror, to its end at most, for @looks leaves. Return: the
 * number of tables freed.
 */
static unsigned long hmm_shrink_mirror(struct hmm_mirror *mirror,
				       unsigned long *looks)
{
	struct hmm_mirror_leaf *leaf;
	unsigned long freed = 0;

	for (; *looks; --*looks) {
		leaf = hmm_shrink_next(mirror);
		if (!leaf)
			break;
		freed += hmm_shrink_leaf(leaf);
		hmm_leaf_put(leaf);
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
