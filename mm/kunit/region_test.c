// SPDX-License-Identifier: GPL-2.0
/*
 * Regions of a real mirror: when they and their tables go, and what an invalidation in
 * one leaf is to the others.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/mm.h>

#include "env.h"

/*
 * Who maps and unmaps ever new addresses does not grow the mirror for ever, be he faster
 * than the work that looks after him.
 */
static void region_reap(struct kunit *test)
{
	const unsigned long regions = 2 * HMM_REGION_REAP_MIN + 10;
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long kept = hmm_env_map(env, 0, PAGE_SIZE);
	unsigned long start, addr, i, most = 0;

	disable_delayed_work_sync(&mirror->reap_work);
	start = hmm_env_hole(env, regions);
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, kept, 1, 0));
	for (i = 0; i < regions; i++) {
		addr = start + i * HMM_REGION_SIZE;
		hmm_env_map(env, addr, PAGE_SIZE);
		KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, addr, 1, 0));
		KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));
		most = max(most, atomic_long_read(&mirror->regions) + 0ul);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, most, HMM_REGION_REAP_MIN);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), 1);
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, kept, 0));
	/* An address whose region was reaped gets another. */
	hmm_env_map(env, start, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, start, 1, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, start, 0));
}

/* Nor do the tables, of regions with something that stays. */
static void region_reap_tables(struct kunit *test)
{
	const unsigned long regions = HMM_REGION_REAP_MIN;
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_hole(env, regions);
	unsigned long addr, i;

	disable_delayed_work_sync(&mirror->reap_work);
	for (i = 0; i <= regions; i++) {
		addr = start + i * HMM_REGION_SIZE;
		hmm_env_map(env, addr, PAGE_SIZE);
		hmm_env_map(env, addr + HMM_LEAF_SIZE, PAGE_SIZE);
		/* The last is one too many. */
		if (i == regions)
			KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables),
					2 * regions);
		KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, addr, 1, 0));
		if (i == regions)
			break;
		KUNIT_ASSERT_EQ(test, 0,
				hmm_mirror_fault(mirror, addr + HMM_LEAF_SIZE,
						 1, 0));
		KUNIT_ASSERT_EQ(test, 0,
				vm_munmap(addr + HMM_LEAF_SIZE, PAGE_SIZE));
	}
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), regions + 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), regions + 1);
	for (i = 0; i <= regions; i++)
		KUNIT_EXPECT_TRUE(test,
				  hmm_env_has(test, mirror,
					      start + i * HMM_REGION_SIZE, 0));
}

/*
 * What no window shows any more goes, what another shows stays: two pages before
 * @border, which is a leaf's, and two behind it.
 */
static void region_forgets(struct kunit *test, unsigned long border)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long addr = hmm_env_hole(env, 2) + border - 2 * PAGE_SIZE;
	struct hmm_mirror_window here = {}, there = {};
	size_t len = 4 * PAGE_SIZE;

	hmm_env_map(env, addr, len);
	hmm_mirror_window_add(mirror, &here, addr, addr + len - 1);
	hmm_mirror_window_add(mirror, &there, addr, addr);
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, addr, len, 0));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions),
			hmm_env_regions(addr, len));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 2);
	hmm_mirror_window_del(mirror, &here);
	flush_delayed_work(&mirror->reap_work);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 1);
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, addr, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, addr + PAGE_SIZE, 0));
	KUNIT_EXPECT_FALSE(test,
			   hmm_env_has(test, mirror, addr + 2 * PAGE_SIZE, 0));
	hmm_mirror_window_del(mirror, &there);
	flush_delayed_work(&mirror->reap_work);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), 0);
	/* And comes again. */
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, addr, 1, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, addr, 0));
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(addr, len));
}

static void region_unseen_part(struct kunit *test)
{
	region_forgets(test, HMM_LEAF_SIZE);
}

static void region_unseen_whole(struct kunit *test)
{
	region_forgets(test, HMM_REGION_SIZE);
}

/* There is something to reap. */
static void region_reap_now(struct kunit *test, struct hmm_mirror *mirror)
{
	KUNIT_EXPECT_NE(test, atomic_read(&mirror->reap_why), 0);
	flush_delayed_work(&mirror->reap_work);
}

/* Nor does what is unmapped, be it all of a region or only a leaf's. */
static void region_unmapped(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_hole(env, 2);
	unsigned long whole = start + HMM_REGION_SIZE;

	/* What went before may have left something to do. */
	flush_delayed_work(&mirror->reap_work);
	hmm_env_map(env, start, 2 * HMM_LEAF_SIZE);
	hmm_env_map(env, whole, PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 0,
			hmm_mirror_fault(mirror, start, 2 * HMM_LEAF_SIZE, 0));
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, whole, 1, 0));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 2);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 3);
	/* Its pages go, its mapping does not. */
	hmm_env_zap(mirror, start, HMM_LEAF_SIZE);
	KUNIT_EXPECT_EQ(test, atomic_read(&mirror->reap_why), 0);

	/* A part of a leaf: the table is needed. */
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(start, HMM_LEAF_SIZE / 2));
	region_reap_now(test, mirror);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 3);
	/* The rest, where no page was left. */
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(start, HMM_LEAF_SIZE));
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(whole, PAGE_SIZE));
	region_reap_now(test, mirror);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 1);
	KUNIT_EXPECT_TRUE(test,
			  hmm_env_has(test, mirror, start + HMM_LEAF_SIZE, 0));
	/* While somebody holds mmap_lock it is put off, and not forgotten. */
	KUNIT_ASSERT_EQ(test, 0,
			vm_munmap(start + HMM_LEAF_SIZE, HMM_LEAF_SIZE));
	mmap_write_lock(mirror->mm);
	region_reap_now(test, mirror);
	mmap_write_unlock(mirror->mm);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 1);
	region_reap_now(test, mirror);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 0);
}

/* But only where that has been: a region that was not told is not looked at. */
static void region_unmapped_elsewhere(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long here = hmm_env_hole(env, 2);
	unsigned long there = here + HMM_REGION_SIZE;
	struct hmm_region *untold;

	flush_delayed_work(&mirror->reap_work);
	hmm_env_map(env, here, PAGE_SIZE);
	hmm_env_map(env, there, PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, here, 1, 0));
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, there, 1, 0));
	untold = xa_load(&mirror->root, there >> HMM_REGION_SHIFT);
	KUNIT_ASSERT_NOT_NULL(test, untold);
	/* No reaper comes by. */
	mutex_lock(&mirror->grow_mutex);
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(there, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, READ_ONCE(untold->unmapped));
	WRITE_ONCE(untold->unmapped, false);
	mutex_unlock(&mirror->grow_mutex);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(here, PAGE_SIZE));
	region_reap_now(test, mirror);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 1);
	KUNIT_EXPECT_PTR_EQ(test, untold,
			    xa_load(&mirror->root, there >> HMM_REGION_SHIFT));
	WRITE_ONCE(untold->unmapped, true);
	hmm_region_reap_soon(mirror, HMM_REAP_UNMAPPED);
	region_reap_now(test, mirror);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 0);
}

/* Two that share a place among those lately looked up, of which one goes. */
static void region_recent(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long near = hmm_env_hole(env, HMM_RECENT + 1);
	unsigned long far = near + HMM_RECENT * HMM_REGION_SIZE;
	int i;

	KUNIT_ASSERT_PTR_EQ(test, hmm_recent(mirror, near),
			    hmm_recent(mirror, far));
	flush_delayed_work(&mirror->reap_work);
	hmm_env_map(env, near, PAGE_SIZE);
	hmm_env_map(env, far, PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, near, 1, 0));
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, far, 1, 0));
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, near, 0));
		KUNIT_EXPECT_EQ(test, (*hmm_recent(mirror, far))->start, near);
		KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, far, 0));
		KUNIT_EXPECT_EQ(test, (*hmm_recent(mirror, near))->start, far);
	}
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(far, PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, far, 0));
	region_reap_now(test, mirror);
	KUNIT_EXPECT_PTR_EQ(test, *hmm_recent(mirror, far), NULL);
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, near, 0));
	hmm_env_map(env, far, PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, far, 1, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, far, 0));
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(far, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(near, PAGE_SIZE));
}

/* What comes to a neighbour under the same notifier is nothing to a leaf. */
static void region_neighbours(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_hole(env, 1);
	struct hmm_mirror_leaf *leaf;
	unsigned long seq, fresh, pos;
	bool retry;

	hmm_env_map(env, start, 3 * HMM_LEAF_SIZE);
	leaf = hmm_leaf_get(mirror, start + HMM_LEAF_SIZE);
	KUNIT_ASSERT_FALSE(test, IS_ERR(leaf));
	for (pos = start; pos < start + 3 * HMM_LEAF_SIZE;
	     pos += HMM_LEAF_SIZE / 2) {
		seq = hmm_leaf_begin(leaf);
		hmm_env_zap(mirror, pos, PAGE_SIZE);
		hmm_leaf_lock(leaf);
		retry = hmm_leaf_retry(leaf, seq);
		hmm_leaf_unlock(leaf);
		KUNIT_EXPECT_EQ_MSG(test, retry,
				    pos - start - HMM_LEAF_SIZE < HMM_LEAF_SIZE,
				    "%#lx", pos - start);
		/* Who begins now has to look whether it is over, but only once. */
		fresh = 0;
		KUNIT_EXPECT_EQ(test, hmm_leaf_settled(leaf, &fresh), !retry);
		seq = hmm_leaf_begin(leaf);
		fresh = 0;
		KUNIT_EXPECT_TRUE(test, hmm_leaf_settled(leaf, &fresh));
		KUNIT_EXPECT_EQ(test, fresh, seq);
	}
	hmm_leaf_put(leaf);
}

/* Another notifier of the process, which takes its time. */
struct region_slow {
	struct mmu_interval_notifier notifier;
	struct completion entered;
	struct completion go;
	bool left; /* it returned, and nobody had told it to */
	struct hmm_mirror *mirror;
	unsigned long addr; /* what is zapped, two pages */
	unsigned long want; /* what is faulted meanwhile */
	int err;
	bool brought;
};

static bool region_slow_invalidate(struct mmu_interval_notifier *sub,
				   const struct mmu_notifier_range *range,
				   unsigned long seq)
{
	struct region_slow *s = container_of(sub, struct region_slow, notifier);

	mmu_interval_set_seq(sub, seq);
	complete(&s->entered);
	if (!wait_for_completion_timeout(&s->go, 20 * HZ))
		WRITE_ONCE(s->left, true);
	return true;
}

static const struct mmu_interval_notifier_ops region_slow_ops = {
	.invalidate = region_slow_invalidate,
};

static int region_slow_zap(void *arg)
{
	struct region_slow *s = arg;

	hmm_env_zap(s->mirror, s->addr, 2 * PAGE_SIZE);
	return 0;
}

static int region_slow_fault(void *arg)
{
	struct region_slow *s = arg;

	complete(&s->entered);
	s->err = hmm_mirror_fault(s->mirror, s->want, 1, HMM_MIRROR_WRITE);
	WRITE_ONCE(s->brought, true);
	return 0;
}

/*
 * An invalidation is under way in two leaves: a fault there waits for its end, one in
 * another leaf of the region does not, also where both have one mutex.
 */
static void region_under_way(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	struct region_slow *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	unsigned long start = hmm_env_hole(env, 1);
	struct task_struct *zap, *fault;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	hmm_env_map(env, start, (HMM_REGION_MUTEXES + 1) * HMM_LEAF_SIZE);
	/* The region has to be there, or a new notifier would be waited for. */
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, start + HMM_LEAF_SIZE,
						  1, 0));
	init_completion(&s->entered);
	init_completion(&s->go);
	s->mirror = mirror;
	s->addr = start + HMM_LEAF_SIZE - PAGE_SIZE;
	s->want = start;
	/* Behind the region's own in the order of calls. */
	KUNIT_ASSERT_EQ(test, 0,
			mmu_interval_notifier_insert(&s->notifier, mirror->mm,
						     start + HMM_LEAF_SIZE,
						     PAGE_SIZE,
						     &region_slow_ops));
	zap = hmm_mirror_kunit_thread(test, region_slow_zap, s);
	wait_for_completion(&s->entered);
	fault = hmm_mirror_kunit_thread(test, region_slow_fault, s);
	wait_for_completion(&s->entered);
	msleep(100);
	for (i = 2; i <= HMM_REGION_MUTEXES; i++)
		KUNIT_EXPECT_EQ(test, 0,
				hmm_mirror_fault(mirror,
						 start + i * HMM_LEAF_SIZE, 1,
						 HMM_MIRROR_WRITE));
	KUNIT_EXPECT_FALSE(test, READ_ONCE(s->left));
	KUNIT_EXPECT_FALSE(test, READ_ONCE(s->brought));
	complete(&s->go);
	hmm_mirror_kunit_stop(test, fault);
	hmm_mirror_kunit_stop(test, zap);
	KUNIT_EXPECT_TRUE(test, s->brought);
	KUNIT_EXPECT_EQ(test, s->err, 0);
	mmu_interval_notifier_remove(&s->notifier);
}

static struct kunit_case region_cases[] = {
	KUNIT_CASE_SLOW(region_reap),
	KUNIT_CASE_SLOW(region_reap_tables),
	KUNIT_CASE(region_unseen_part),
	KUNIT_CASE(region_unseen_whole),
	KUNIT_CASE(region_unmapped),
	KUNIT_CASE(region_unmapped_elsewhere),
	KUNIT_CASE(region_recent),
	KUNIT_CASE(region_neighbours),
	KUNIT_CASE(region_under_way),
	{}
};

static struct kunit_suite region_suite = {
	.name = "hmm_region",
	.init = hmm_env_init,
	.test_cases = region_cases,
};

kunit_test_suite(region_suite);
