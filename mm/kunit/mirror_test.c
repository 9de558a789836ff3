// SPDX-License-Identifier: GPL-2.0
/*
 * A mirror of a real address space, the test thread's own: faults, invalidations,
 * the shrinker, and all of them and the reapers at once.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/uaccess.h>

#include "env.h"

#define MIRROR_PAGES 24
#define MIRROR_BYTES (MIRROR_PAGES * PAGE_SIZE)

static void mirror_life(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	struct hmm_mirror_device *other;
	struct hmm_mirror *m;

	KUNIT_EXPECT_PTR_EQ(test, hmm_mirror_get(&env->dev),
			    (struct hmm_mirror *)ERR_PTR(-EINVAL));
	m = hmm_mirror_kunit_get(&env->dev);
	KUNIT_EXPECT_PTR_EQ(test, m, mirror);
	KUNIT_EXPECT_EQ(test, kref_read(&mirror->ref), 2);
	hmm_mirror_put(m);
	KUNIT_EXPECT_EQ(test, kref_read(&mirror->ref), 1);

	/* One for each device. */
	other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	hmm_mirror_device_init(other);
	m = hmm_mirror_kunit_get(other);
	KUNIT_EXPECT_PTR_NE(test, m, mirror);
	hmm_mirror_put(m);
	KUNIT_EXPECT_TRUE(test, list_empty(&other->mirrors));
	hmm_mirror_device_fini(other);
}

/* What was faulted in is what the page table has, page by page, to its end. */
static void mirror_fault(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_map(env, 0, 2 * HMM_LEAF_SIZE);
	/* Over the border of two leaves. */
	unsigned long addr = start + HMM_LEAF_SIZE - MIRROR_BYTES / 2 + 11;
	size_t len = MIRROR_BYTES - 100;
	unsigned long pos;

	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, addr, 0));
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, addr, len, 0));
	KUNIT_EXPECT_TRUE(test, hmm_mirror_present(mirror, addr, len, 0));
	KUNIT_ASSERT_EQ(test, 0,
			hmm_mirror_fault(mirror, addr, len, HMM_MIRROR_WRITE));
	KUNIT_EXPECT_TRUE(test, hmm_mirror_present(mirror, addr, len,
						   HMM_MIRROR_WRITE));
	for (pos = start; pos < start + 2 * HMM_LEAF_SIZE; pos += PAGE_SIZE) {
		bool wanted = pos + PAGE_SIZE > addr && pos < addr + len;

		KUNIT_EXPECT_EQ_MSG(test, wanted,
				    hmm_env_has(test, mirror, pos,
						HMM_MIRROR_WRITE),
				    "page %ld", (pos - start) / PAGE_SIZE);
	}
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions),
			hmm_env_regions(addr, len));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), MIRROR_PAGES);
}

static void mirror_errors(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_map(env, 0, HMM_LEAF_SIZE);
	unsigned long hole = start + 5 * PAGE_SIZE;

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(hole, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EFAULT, hmm_mirror_fault(mirror, hole, 1, 0));
	/* What comes before the hole is made present. */
	KUNIT_EXPECT_EQ(test, -EFAULT,
			hmm_mirror_fault(mirror, start, HMM_LEAF_SIZE, 0));
	KUNIT_EXPECT_TRUE(test,
			  hmm_mirror_present(mirror, start, hole - start, 0));
	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, hole, 0));

	KUNIT_EXPECT_EQ(test, -EINVAL, hmm_mirror_fault(mirror, start, 0, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			hmm_mirror_fault(mirror, start, SIZE_MAX, 0));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			hmm_mirror_fault(mirror, ULONG_MAX, 1, 0));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			hmm_mirror_fault(mirror, mirror->mm->task_size, 1, 0));

	KUNIT_ASSERT_EQ(test, start,
			vm_mmap(NULL, start, PAGE_SIZE, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0));
	KUNIT_EXPECT_EQ(test, -EPERM,
			hmm_mirror_fault(mirror, start, 1, HMM_MIRROR_WRITE));
	KUNIT_EXPECT_EQ(test, -EPERM,
			hmm_mirror_fault(mirror, start, 1,
					 HMM_MIRROR_WRITE | HMM_MIRROR_NOWAIT));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			hmm_mirror_fault(mirror, hole, 1, HMM_MIRROR_NOWAIT));
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, start, 1, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, start, 0));
	KUNIT_EXPECT_FALSE(test,
			   hmm_env_has(test, mirror, start, HMM_MIRROR_WRITE));
}

/* What holds for one area does not hold for the next one, within the same fault. */
static void mirror_areas(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_map(env, 0, 8 * PAGE_SIZE);
	unsigned long middle = start + 3 * PAGE_SIZE;

	KUNIT_ASSERT_EQ(test, middle,
			vm_mmap(NULL, middle, 2 * PAGE_SIZE, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0));
	KUNIT_EXPECT_EQ(test, -EPERM,
			hmm_mirror_fault(mirror, start, 8 * PAGE_SIZE,
					 HMM_MIRROR_WRITE));
	KUNIT_EXPECT_TRUE(test,
			  hmm_mirror_present(mirror, start, middle - start,
					     HMM_MIRROR_WRITE));
	KUNIT_EXPECT_NULL(test, hmm_env_mapped_page(mirror->mm, middle));
	KUNIT_EXPECT_EQ(test, 0,
			hmm_mirror_fault(mirror, start, 8 * PAGE_SIZE, 0));
	KUNIT_EXPECT_TRUE(test,
			  hmm_mirror_present(mirror, start, 8 * PAGE_SIZE, 0));
	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, middle,
					     HMM_MIRROR_WRITE));
}

/*
 * Random pieces are taken away: these are gone, and what is left is counted. To
 * split a mapping the kernel invalidates all of the 2 MiB at either end, so only
 * where none is split everything else stays.
 */
static void mirror_invalidate(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_map(env, 0, 2 * HMM_LEAF_SIZE);
	unsigned long base = start + HMM_LEAF_SIZE - MIRROR_BYTES / 2;
	unsigned int round, i, first, n, left;
	bool there, zap, inside;

	for (round = 0; round < 200; round++) {
		first = hmm_mirror_kunit_below(&env->rnd, MIRROR_PAGES);
		n = 1 + hmm_mirror_kunit_below(&env->rnd, MIRROR_PAGES - first);
		zap = hmm_mirror_kunit_below(&env->rnd, 2);
		KUNIT_ASSERT_EQ(test, 0,
				hmm_mirror_fault(mirror, base, MIRROR_BYTES,
						 HMM_MIRROR_WRITE));
		if (zap)
			hmm_env_zap(mirror, base + first * PAGE_SIZE,
				    n * PAGE_SIZE);
		else
			hmm_env_map(env, base + first * PAGE_SIZE,
				    n * PAGE_SIZE);
		left = 0;
		for (i = 0; i < MIRROR_PAGES; i++) {
			there = hmm_env_has(test, mirror, base + i * PAGE_SIZE,
					    HMM_MIRROR_WRITE);
			left += there;
			inside = i >= first && i < first + n;
			KUNIT_EXPECT_FALSE_MSG(test, inside && there,
					       "round %u: page %u of %u+%u",
					       round, i, first, n);
			KUNIT_EXPECT_FALSE_MSG(test, zap && !inside && !there,
					       "round %u: page %u, not %u+%u",
					       round, i, first, n);
		}
		KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), left);
		if (test->status == KUNIT_FAILURE)
			return;
	}
}

/* Map a huge page's worth, of which the fault shall make one. */
static void mirror_map_huge(struct hmm_env *env, unsigned long addr)
{
	hmm_env_map(env, addr, HMM_LEAF_SIZE);
	mmap_write_lock(current->mm);
	vm_flags_set(vma_lookup(current->mm, addr), VM_HUGEPAGE);
	mmap_write_unlock(current->mm);
}

/* One huge page is one entry, until a part of it goes. */
static void mirror_huge(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_map(env, 0, HMM_LEAF_SIZE);
	unsigned long middle = start + 100 * PAGE_SIZE;
	struct hmm_mirror_run run;

	mirror_map_huge(env, start);
	KUNIT_ASSERT_EQ(test, 0,
			hmm_mirror_fault(mirror, middle, 10, HMM_MIRROR_WRITE));
	if (!atomic_long_read(&mirror->blocks))
		kunit_skip(test, "no huge pages");
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), HMM_LEAF_PAGES);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 0);
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, start, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror,
					    start + HMM_LEAF_SIZE - 1, 0));
	KUNIT_ASSERT_TRUE(test, hmm_env_lookup_and_lock(mirror, start + 3,
							SZ_4M, 0, &run));
	hmm_env_unlock(&run);
	KUNIT_EXPECT_EQ(test, run.len, HMM_LEAF_SIZE - 3);

	/* The page table splits it; what stays comes back as pages. */
	hmm_env_zap(mirror, middle, PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, middle, 0));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->blocks), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), 0);
	KUNIT_EXPECT_EQ(test, 0,
			hmm_mirror_fault(mirror, start, HMM_LEAF_SIZE,
					 HMM_MIRROR_SNAPSHOT));
	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, middle, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, middle - 1, 0));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages),
			HMM_LEAF_PAGES - 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 1);

	/* The whole goes, and comes back huge. */
	mirror_map_huge(env, start);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), 0);
	KUNIT_ASSERT_EQ(test, 0,
			hmm_mirror_fault(mirror, middle, 10, HMM_MIRROR_WRITE));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->blocks), 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 0);
}

static unsigned long mirror_scan(struct hmm_mirror_device *dev)
{
	struct shrink_control sc = { .gfp_mask = GFP_KERNEL, .nr_to_scan = 16 };

	return dev->shrinker->scan_objects(dev->shrinker, &sc);
}

/* The shrinker takes what is empty or old, and passes over the young once. */
static void mirror_shrink(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long start = hmm_env_map(env, 0, 4 * HMM_LEAF_SIZE);
	unsigned long young = start, old = start + HMM_LEAF_SIZE;
	unsigned long empty = start + 2 * HMM_LEAF_SIZE;
	unsigned long busy = start + 3 * HMM_LEAF_SIZE;
	struct hmm_mirror_leaf *leaf;
	struct shrink_control sc = {};
	unsigned long addr;

	if (!env->dev.shrinker)
		kunit_skip(test, "no memory for a shrinker");
	KUNIT_EXPECT_EQ(test, SHRINK_EMPTY,
			env->dev.shrinker->count_objects(env->dev.shrinker,
							 &sc));
	for (addr = start; addr <= busy; addr += HMM_LEAF_SIZE)
		KUNIT_ASSERT_EQ(test, 0,
				hmm_mirror_fault(mirror, addr, 3 * PAGE_SIZE,
						 0));
	hmm_env_zap(mirror, empty, 3 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 4,
			env->dev.shrinker->count_objects(env->dev.shrinker,
							 &sc));

	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, young, 0));
	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, empty, 0));
	leaf = hmm_leaf_get(mirror, busy);
	KUNIT_ASSERT_FALSE(test, IS_ERR(leaf));
	mutex_lock(hmm_leaf_mutex(leaf));
	KUNIT_EXPECT_EQ(test, mirror_scan(&env->dev), 2);
	mutex_unlock(hmm_leaf_mutex(leaf));
	hmm_leaf_put(leaf);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->tables), 2);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), 6);
	KUNIT_EXPECT_FALSE(test, hmm_mirror_present(mirror, old, 1, 0));
	KUNIT_EXPECT_TRUE(test, hmm_mirror_present(mirror, young, 1, 0));
	KUNIT_EXPECT_TRUE(test, hmm_mirror_present(mirror, busy, 1, 0));

	/* Somebody else has the device: it is left alone. */
	mutex_lock(&env->dev.lock);
	KUNIT_EXPECT_EQ(test, mirror_scan(&env->dev), SHRINK_STOP);
	mutex_unlock(&env->dev.lock);

	KUNIT_EXPECT_EQ(test, mirror_scan(&env->dev), 2);
	KUNIT_EXPECT_EQ(test, mirror_scan(&env->dev), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->pages), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions),
			hmm_env_regions(start, 4 * HMM_LEAF_SIZE));
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, old, 1, 0));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, old, 0));
}

/*
 * The promise: when memory has been unmapped, nobody holds a translation of it,
 * and nobody gets one. The test maps, stamps and unmaps pages; threads fault them
 * in and look them up all the time, the shrinker comes by.
 */
#define RACE_PAGES 4
#define RACE_ROUNDS 3000
#define REAP_ROUNDS 500

struct mirror_race {
	struct hmm_mirror *mirror;
	unsigned long addr;
	bool mapped; /* from before mapping to after unmapping */
	u64 stamped; /* the round whose stamps all pages have, or 0 */
	atomic_t hits;
	atomic_t stale; /* a translation after its end */
	atomic_t foreign; /* or of another page */
	atomic_t errors; /* faults that end in an error they must not */
};

static u64 race_stamp(u64 round, unsigned int page)
{
	return round << 8 | page;
}

static void race_look(struct mirror_race *r, unsigned int page)
{
	unsigned long addr = r->addr + page * PAGE_SIZE;
	struct hmm_mirror_run run;
	u64 stamped, found;
	int i;

	if (!hmm_env_lookup_and_lock(r->mirror, addr, PAGE_SIZE, 0, &run))
		return;
	atomic_inc(&r->hits);
	stamped = smp_load_acquire(&r->stamped);
	found = *(u64 *)page_address(run.page);
	/* As long as it is held, it can't be unmapped. */
	for (i = 0; i < 20; i++) {
		if (!READ_ONCE(r->mapped))
			atomic_inc(&r->stale);
		cpu_relax();
	}
	if (stamped && found != race_stamp(stamped, page))
		atomic_inc(&r->foreign);
	hmm_env_unlock(&run);
}

static int race_reader(void *arg)
{
	struct mirror_race *r = arg;
	unsigned int n = 0;

	while (!kthread_should_stop()) {
		race_look(r, n % RACE_PAGES);
		if (!(++n & 255)) {
			mirror_scan(r->mirror->dev);
			cond_resched();
		}
	}
	return 0;
}

static int race_faulter(void *arg)
{
	struct mirror_race *r = arg;
	unsigned int n = 0;
	int err;

	kthread_use_mm(r->mirror->mm);
	while (!kthread_should_stop()) {
		/*
		 * A single page that need not be waited for is brought differently, above
		 * all in the process itself.
		 */
		if (n & 1)
			err = hmm_mirror_fault(r->mirror, r->addr, 1,
					       HMM_MIRROR_NOWAIT |
						       HMM_MIRROR_WRITE);
		else
			err = hmm_mirror_fault(r->mirror, r->addr,
					       RACE_PAGES * PAGE_SIZE,
					       n & 2 ? 0 : HMM_MIRROR_WRITE);
		if (err && err != -EFAULT && !(n & 1 && err == -EAGAIN))
			atomic_inc(&r->errors);
		n++;
		race_look(r, n % RACE_PAGES);
		cond_resched();
	}
	kthread_unuse_mm(r->mirror->mm);
	return 0;
}

static void race_round(struct kunit *test, struct mirror_race *r, u64 round)
{
	struct hmm_env *env = test->priv;
	unsigned int i;
	u64 stamp;

	WRITE_ONCE(r->mapped, true);
	hmm_env_map(env, r->addr, RACE_PAGES * PAGE_SIZE);
	for (i = 0; i < RACE_PAGES; i++) {
		stamp = race_stamp(round, i);
		KUNIT_ASSERT_EQ(test, 0,
				copy_to_user((void __user *)(r->addr +
							     i * PAGE_SIZE),
					     &stamp, sizeof(stamp)));
	}
	smp_store_release(&r->stamped, round);
	udelay(hmm_mirror_kunit_below(&env->rnd, 300));
	cond_resched();

	WRITE_ONCE(r->stamped, 0);
	if (hmm_mirror_kunit_below(&env->rnd, 4)) {
		KUNIT_ASSERT_EQ(test, 0,
				vm_munmap(r->addr, RACE_PAGES * PAGE_SIZE));
		WRITE_ONCE(r->mapped, false);
		udelay(hmm_mirror_kunit_below(&env->rnd, 50));
	}
	/* Else mapped over in the next round: other pages, no gap. */
}

static void mirror_race(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	struct mirror_race *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	unsigned long start = hmm_env_map(env, 0, HMM_LEAF_SIZE);
	struct task_struct *helpers[2];
	u64 round;

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->mirror = mirror;
	r->addr = start + 17 * PAGE_SIZE;
	r->mapped = true;
	helpers[0] = hmm_mirror_kunit_thread(test, race_reader, r);
	helpers[1] = hmm_mirror_kunit_thread(test, race_faulter, r);
	for (round = 1; round <= RACE_ROUNDS; round++)
		race_round(test, r, round);
	hmm_mirror_kunit_stop(test, helpers[0]);
	hmm_mirror_kunit_stop(test, helpers[1]);

	kunit_info(test, "%d hits, %lld retries\n", atomic_read(&r->hits),
		   atomic64_read(&env->dev.stats.fault_retries));
	KUNIT_EXPECT_GT(test, atomic_read(&r->hits), RACE_ROUNDS / 10);
	KUNIT_EXPECT_GT(test, atomic64_read(&env->dev.stats.faults_direct), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->stale), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->foreign), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->errors), 0);
}

/* References are taken and dropped while faults make leaves and others free. */
static int churn_life(void *arg)
{
	struct mirror_race *r = arg;

	while (!kthread_should_stop()) {
		hmm_mirror_hold(r->mirror);
		mirror_scan(r->mirror->dev);
		hmm_mirror_fault(r->mirror, r->addr, 1, 0);
		hmm_mirror_put(r->mirror);
		cond_resched();
	}
	return 0;
}

/* A new region is the end of all those where nothing is mapped. */
static void reap_unmapped(struct kunit *test, struct hmm_mirror *mirror,
			  unsigned long other)
{
	mutex_lock(&mirror->grow_mutex);
	mirror->reap_at = 0;
	mutex_unlock(&mirror->grow_mutex);
	hmm_env_map(test->priv, other, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, other, 1, 0));
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(other, PAGE_SIZE));
}

/* The last window goes, and those who wait for it are not patient. */
static void reap_unseen(struct kunit *test, struct hmm_mirror *mirror,
			unsigned long other)
{
	struct hmm_mirror_window window = {};

	hmm_mirror_window_add(mirror, &window, other, other);
	hmm_mirror_window_del(mirror, &window);
	flush_delayed_work(&mirror->reap_work);
}

/* Did a reaper come by after the last fault? */
static bool reap_took(struct mirror_race *r)
{
	struct hmm_region *region;
	bool took;

	rcu_read_lock();
	region = xa_load(&r->mirror->root, r->addr >> HMM_REGION_SHIFT);
	/* A fault may bring it back at any time. */
	took = !region || !data_race(hmm_region_leaf(region, r->addr)->table);
	rcu_read_unlock();
	return took;
}

/* Once there is a mirror: room for a region that dies and, above it, one more each round. */
static unsigned long reap_hole(struct kunit *test)
{
	return hmm_env_hole(test->priv, REAP_ROUNDS + 2);
}

/* Regions die by a reaper under faults and lookups of the same address. */
static void reap_race(struct kunit *test, struct hmm_mirror *mirror,
		      unsigned long other,
		      void (*reap)(struct kunit *test,
				   struct hmm_mirror *mirror,
				   unsigned long other))
{
	struct mirror_race *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	struct task_struct *helpers[2];
	unsigned int reaped = 0;
	u64 round;

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->mirror = mirror;
	r->addr = other;
	helpers[0] = hmm_mirror_kunit_thread(test, race_faulter, r);
	helpers[1] = hmm_mirror_kunit_thread(test, churn_life, r);
	for (round = 1; round <= REAP_ROUNDS; round++) {
		race_round(test, r, round);
		vm_munmap(r->addr, RACE_PAGES * PAGE_SIZE);
		WRITE_ONCE(r->mapped, false);
		other += HMM_REGION_SIZE;
		reap(test, mirror, other);
		reaped += reap_took(r);
		cond_resched();
	}
	hmm_mirror_kunit_stop(test, helpers[0]);
	hmm_mirror_kunit_stop(test, helpers[1]);
	kunit_info(test, "%u of %u reaped\n", reaped, REAP_ROUNDS);
	KUNIT_EXPECT_GT(test, reaped, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->stale), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->foreign), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->errors), 0);
}

static void mirror_reap_race(struct kunit *test)
{
	struct hmm_mirror *mirror = hmm_env_mirror(test->priv);

	reap_race(test, mirror, reap_hole(test), reap_unmapped);
}

static void mirror_unseen_race(struct kunit *test)
{
	struct hmm_mirror *mirror = hmm_env_mirror(test->priv);

	reap_race(test, mirror, reap_hole(test), reap_unseen);
}

/* The region stays: another leaf of it is mapped, and a window shows that. */
static void mirror_prune_race(struct kunit *test)
{
	struct hmm_mirror *mirror = hmm_env_mirror(test->priv);
	struct hmm_mirror_window *kept =
		kunit_kzalloc(test, sizeof(*kept), GFP_KERNEL);
	unsigned long start = reap_hole(test);
	unsigned long mapped = start + HMM_REGION_SIZE - PAGE_SIZE;

	KUNIT_ASSERT_NOT_NULL(test, kept);
	hmm_env_map(test->priv, mapped, PAGE_SIZE);
	hmm_mirror_window_add(mirror, kept, start + HMM_LEAF_SIZE,
			      start + HMM_REGION_SIZE - 1);
	reap_race(test, mirror, start, reap_unseen);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&mirror->regions), 1);
	hmm_mirror_window_del(mirror, kept);
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(mapped, PAGE_SIZE));
}

static void mirror_expect_direct(struct kunit *test, struct hmm_mirror *mirror,
				 unsigned long page, unsigned int flags,
				 int direct)
{
	struct hmm_mirror_stats *stats = &mirror->dev->stats;
	s64 before = atomic64_read(&stats->faults_direct);

	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, page, 1,
						  flags | HMM_MIRROR_NOWAIT));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, page, flags));
	KUNIT_EXPECT_EQ(test, atomic64_read(&stats->faults_direct),
			before + direct);
}

/* A page, and the next one, that nobody has touched; the region is there. */
static void mirror_direct(struct kunit *test, struct hmm_mirror *mirror,
			  unsigned long page)
{
	struct hmm_mirror_stats *stats = &mirror->dev->stats;
	s64 retries = atomic64_read(&stats->fault_retries);
	u64 word = 1;

	mirror_expect_direct(test, mirror, page, HMM_MIRROR_WRITE, 1);
	hmm_env_zap(mirror, page, PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)page, &word,
					      sizeof(word)));
	/* The sequence is of this leaf: whether it is over has to be found out once. */
	mirror_expect_direct(test, mirror, page, HMM_MIRROR_READ, 0);
	mirror_scan(mirror->dev);
	mirror_scan(mirror->dev);
	KUNIT_EXPECT_FALSE(test, hmm_mirror_present(mirror, page, 1, 0));
	mirror_expect_direct(test, mirror, page, HMM_MIRROR_READ, 1);

	/* Only a walk finds the zero page, and to replace it is no contention. */
	page += PAGE_SIZE;
	mirror_expect_direct(test, mirror, page, HMM_MIRROR_READ, 0);
	KUNIT_EXPECT_FALSE(test,
			   hmm_env_has(test, mirror, page, HMM_MIRROR_WRITE));
	mirror_expect_direct(test, mirror, page, HMM_MIRROR_WRITE, 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&stats->fault_retries), retries);
}

/* Who may not wait gets what is at hand, and waits for nobody who has a lock. */
static void mirror_nowait(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long addr = hmm_env_hole(env, 1);
	unsigned long page = addr + 3 * PAGE_SIZE;
	const unsigned int flags = HMM_MIRROR_WRITE | HMM_MIRROR_NOWAIT;
	struct hmm_mirror_leaf *leaf;

	hmm_env_map(env, addr, 5 * PAGE_SIZE);
	/* A new region would take more than one lock. */
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			hmm_mirror_fault(mirror, addr, 1, flags));
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, addr, 1, 0));
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, addr, PAGE_SIZE + 1,
						  flags));

	mmap_write_lock(mirror->mm);
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, addr, PAGE_SIZE + 1,
						  flags));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			hmm_mirror_fault(mirror, addr, 3 * PAGE_SIZE, flags));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			hmm_mirror_fault(mirror, page, 1, flags));
	mmap_write_unlock(mirror->mm);

	leaf = hmm_leaf_find(mirror, addr + 2 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, leaf);
	mutex_lock(hmm_leaf_mutex(leaf));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			hmm_mirror_fault(mirror, addr, 3 * PAGE_SIZE, flags));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			hmm_mirror_fault(mirror, page, 1, flags));
	mutex_unlock(hmm_leaf_mutex(leaf));
	hmm_leaf_put(leaf);
	KUNIT_EXPECT_EQ(test, 0, hmm_mirror_fault(mirror, addr, 3 * PAGE_SIZE,
						  flags));
	KUNIT_EXPECT_TRUE(test, hmm_env_has(test, mirror, addr + 2 * PAGE_SIZE,
					    HMM_MIRROR_WRITE));

	mirror_direct(test, mirror, page);
}

static struct kunit_case mirror_cases[] = { KUNIT_CASE(mirror_life),
					    KUNIT_CASE(mirror_fault),
					    KUNIT_CASE(mirror_errors),
					    KUNIT_CASE(mirror_areas),
					    KUNIT_CASE(mirror_invalidate),
					    KUNIT_CASE(mirror_huge),
					    KUNIT_CASE(mirror_shrink),
					    KUNIT_CASE(mirror_nowait),
					    KUNIT_CASE_SLOW(mirror_race),
					    KUNIT_CASE_SLOW(mirror_reap_race),
					    KUNIT_CASE_SLOW(mirror_unseen_race),
					    KUNIT_CASE_SLOW(mirror_prune_race),
					    {} };

static struct kunit_suite mirror_suite = {
	.name = "hmm_mirror",
	.init = hmm_env_init,
	.test_cases = mirror_cases,
};

kunit_test_suite(mirror_suite);
