/* SPDX-License-Identifier: GPL-2.0 */
/* What the mirror's tests share. */
#ifndef HMM_KUNIT_ENV_H
#define HMM_KUNIT_ENV_H

#include <linux/bottom_half.h>
#include <linux/sizes.h>
#include <rdma/hmm_mirror_kunit.h>

#include "../hmm_internal.h"

/**
 * struct hmm_env - test->priv
 * @test: the test
 * @rnd: the test's random numbers
 * @dev: a device of its own
 */
struct hmm_env {
	struct kunit *test;
	struct rnd_state rnd;
	struct hmm_mirror_device dev;
};

/* For struct kunit_suite */
int hmm_env_init(struct kunit *test);

/* A mirror of the test's address space, which is made; put at the test's end. */
struct hmm_mirror *hmm_env_mirror(struct hmm_env *env);

/*
 * Map anonymous memory at @addr, over what is there, or at a multiple of 2 MiB
 * that is free when @addr is 0. The test's address space has to be there.
 */
unsigned long hmm_env_map(struct hmm_env *env, unsigned long addr, size_t len);

/* The page that the page table has at @addr, or NULL. Faults nothing in. */
struct page *hmm_env_mapped_page(struct mm_struct *mm, unsigned long addr);

/* Is the byte at @addr there, and if so, is it the page table's page? */
bool hmm_env_has(struct kunit *test, struct hmm_mirror *mirror,
		 unsigned long addr, unsigned int flags);

/* The device's side in any context: what the contract wants is done here. */
static inline bool hmm_env_lookup_and_lock(struct hmm_mirror *mirror,
					   unsigned long addr, size_t len,
					   unsigned int flags,
					   struct hmm_mirror_run *run)
{
	bool found;

	local_bh_disable();
	found = hmm_mirror_lookup_and_lock(mirror, addr, len, flags, run);
	if (!found)
		local_bh_enable();
	return found;
}

static inline void hmm_env_unlock(struct hmm_mirror_run *run)
{
	hmm_mirror_unlock(run);
	local_bh_enable();
}

/* madvise(MADV_DONTNEED) */
void hmm_env_zap(struct hmm_mirror *mirror, unsigned long addr, size_t len);

/* How many regions [start, start + len) lies in. */
long hmm_env_regions(unsigned long start, size_t len);

/* Free addresses for so many regions; those with nothing mapped may be reaped. */
unsigned long hmm_env_hole(struct hmm_env *env, unsigned long regions);

#endif /* HMM_KUNIT_ENV_H */
