/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the mirror's KUnit tests have in common with those of its users. Only in
 * modules built with RXE_ODP_KUNIT=y.
 */
#ifndef RDMA_HMM_MIRROR_KUNIT_H
#define RDMA_HMM_MIRROR_KUNIT_H

#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <rdma/hmm_mirror.h>

/**
 * hmm_mirror_kunit_get() - the mirror of the test's own address space
 * @dev: whose mirror
 *
 * A test runs in a kernel thread, to which hmm_mirror_get() gives nothing. It gets
 * an address space by its first kunit_vm_mmap().
 *
 * Context: the test's thread.
 * Return: a mirror with a reference, or ERR_PTR().
 */
struct hmm_mirror *hmm_mirror_kunit_get(struct hmm_mirror_device *dev);

static inline void hmm_mirror_kunit_end(void *task)
{
	kthread_stop_put(task);
}

/**
 * hmm_mirror_kunit_thread() - start a thread that ends with the test
 * @test: the test
 * @fn: until kthread_should_stop(), or less
 * @arg: of @fn; memory that outlives the thread, so got before it from @test
 *
 * Return: to be stopped by hmm_mirror_kunit_stop(), or by the test's end.
 */
static inline struct task_struct *
hmm_mirror_kunit_thread(struct kunit *test, int (*fn)(void *), void *arg)
{
	struct task_struct *task = kthread_create(fn, arg, "kunit_helper");

	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	get_task_struct(task);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test,
						  hmm_mirror_kunit_end,
						  task));
	wake_up_process(task);
	return task;
}

/* Wait for the end of a thread, telling it to come to one. */
static inline void hmm_mirror_kunit_stop(struct kunit *test,
					 struct task_struct *task)
{
	kunit_release_action(test, hmm_mirror_kunit_end, task);
}

/* Random numbers that SEED= of tests/kunit/run brings back. */
static inline void hmm_mirror_kunit_seed(struct kunit *test,
					 struct rnd_state *rnd, u32 seed)
{
	if (!seed)
		seed = get_random_u32();
	kunit_info(test, "SEED=%u\n", seed);
	prandom_seed_state(rnd, seed);
}

/* A number below @limit; good enough at this size. */
static inline u32 hmm_mirror_kunit_below(struct rnd_state *rnd, u32 limit)
{
	return prandom_u32_state(rnd) % limit;
}

#endif /* RDMA_HMM_MIRROR_KUNIT_H */
