// SPDX-License-Identifier: GPL-2.0
/*
 * What windows count, and that many of them have an end.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "env.h"

/* More than count, by a number that is no multiple of anything. */
#define WINDOWS (HMM_WINDOWS_COUNTED + 77)

static void window_free(void *windows)
{
	kvfree(windows);
}

/* A page comes and goes. */
static void window_change(struct kunit *test, struct hmm_mirror *mirror,
			  unsigned long addr)
{
	KUNIT_ASSERT_EQ(test, 0, hmm_mirror_fault(mirror, addr, 1, 0));
	hmm_env_zap(mirror, addr, PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, hmm_env_has(test, mirror, addr, 0));
}

/* All of them show one page: each counts, up to the bound, which is counted. */
static void window_many(struct kunit *test)
{
	struct hmm_env *env = test->priv;
	struct hmm_mirror *mirror = hmm_env_mirror(env);
	unsigned long addr = hmm_env_map(env, 0, PAGE_SIZE);
	struct hmm_mirror_window *w;
	unsigned long last;
	unsigned int i;

	w = kvcalloc(WINDOWS, sizeof(*w), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, window_free, w));
	for (i = 0; i < WINDOWS; i++) {
		last = addr + hmm_mirror_kunit_below(&env->rnd, PAGE_SIZE);
		hmm_mirror_window_add(mirror, &w[i], addr, last);
	}
	window_change(test, mirror, addr);
	KUNIT_EXPECT_EQ(test, atomic64_read(&env->dev.stats.counts_cut), 2);

	for (i = HMM_WINDOWS_COUNTED; i < WINDOWS; i++)
		hmm_mirror_window_del(mirror, &w[i]);
	window_change(test, mirror, addr);
	KUNIT_EXPECT_EQ(test, atomic64_read(&env->dev.stats.counts_cut), 2);

	for (i = 0; i < WINDOWS; i++) {
		/* The oldest of those that begin at the same address count. */
		int times = i < HMM_WINDOWS_COUNTED ? 2 : 0;

		KUNIT_ASSERT_EQ(test, atomic64_read(&w[i].faults), times);
		KUNIT_ASSERT_EQ(test, atomic64_read(&w[i].faults_handled),
				times);
		KUNIT_ASSERT_EQ(test, atomic64_read(&w[i].invalidations),
				times);
		KUNIT_ASSERT_EQ(test,
				atomic64_read(&w[i].invalidations_handled),
				times);
	}
	for (i = 0; i < HMM_WINDOWS_COUNTED; i++)
		hmm_mirror_window_del(mirror, &w[i]);
}

static struct kunit_case window_cases[] = {
	KUNIT_CASE(window_many),
	{}
};

static struct kunit_suite window_suite = {
	.name = "hmm_window",
	.init = hmm_env_init,
	.test_cases = window_cases,
};

kunit_test_suite(window_suite);
