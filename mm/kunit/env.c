// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/module.h>

#include "env.h"

static unsigned int kunit_seed;
module_param(kunit_seed, uint, 0400);
MODULE_PARM_DESC(kunit_seed,
		 "of the tests' random numbers; 0 for another each time");

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);

struct hmm_mirror *hmm_mirror_kunit_get(struct hmm_mirror_device *dev)
{
	return current->mm ? hmm_mirror_get_mm(dev, current->mm) :
			     ERR_PTR(-EINVAL);
}
EXPORT_SYMBOL_GPL(hmm_mirror_kunit_get);

static void hmm_env_fini(void *dev)
{
	hmm_mirror_device_fini(dev);
}

int hmm_env_init(struct kunit *test)
{
	struct hmm_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);

	if (!env)
		return -ENOMEM;
	env->test = test;
	hmm_mirror_kunit_seed(test, &env->rnd, kunit_seed);
	hmm_mirror_device_init(&env->dev);
	test->priv = env;
	/* The last thing at the test's end; complains about what is left. */
	return kunit_add_action_or_reset(test, hmm_env_fini, &env->dev);
}

static void hmm_env_put(void *mirror)
{
	hmm_mirror_put(mirror);
}

struct hmm_mirror *hmm_env_mirror(struct hmm_env *env)
{
	struct kunit *test = env->test;
	struct hmm_mirror *mirror;
	unsigned long addr;

	if (!current->mm) {
		addr = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ,
				     MAP_PRIVATE | MAP_ANONYMOUS, 0);
		KUNIT_ASSERT_FALSE(test, !addr || IS_ERR_VALUE(addr));
	}
	mirror = hmm_mirror_kunit_get(&env->dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(mirror));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, hmm_env_put, mirror));
	return mirror;
}

unsigned long hmm_env_map(struct hmm_env *env, unsigned long addr, size_t len)
{
	struct kunit *test = env->test;
	unsigned long ret;

	if (!addr) {
		addr = vm_mmap(NULL, 0, len + HMM_LEAF_SIZE, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS, 0);
		KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
		addr = ALIGN(addr, HMM_LEAF_SIZE);
	}
	ret = vm_mmap(NULL, addr, len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0);
	KUNIT_ASSERT_EQ(test, ret, addr);
	return addr;
}

struct page *hmm_env_mapped_page(struct mm_struct *mm, unsigned long addr)
{
	struct page *page = NULL;

	mmap_read_lock(mm);
	if (get_user_pages_remote(mm, addr, 1, FOLL_NOFAULT, &page, NULL) == 1)
		put_page(page);
	else
		page = NULL;
	mmap_read_unlock(mm);
	return page;
}

bool hmm_env_has(struct kunit *test, struct hmm_mirror *mirror,
		 unsigned long addr, unsigned int flags)
{
	struct hmm_mirror_run run;

	if (!hmm_env_lookup_and_lock(mirror, addr, 1, flags, &run))
		return false;
	hmm_env_unlock(&run);
	KUNIT_EXPECT_PTR_EQ(test, run.page,
			    hmm_env_mapped_page(mirror->mm, addr));
	return true;
}

void hmm_env_zap(struct hmm_mirror *mirror, unsigned long addr, size_t len)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mirror->mm);
	vma = vma_lookup(mirror->mm, addr);
	if (vma)
		zap_page_range_single(vma, addr, len, NULL);
	mmap_read_unlock(mirror->mm);
}

long hmm_env_regions(unsigned long start, size_t len)
{
	return ((start + len - 1) >> HMM_REGION_SHIFT) -
	       (start >> HMM_REGION_SHIFT) + 1;
}

unsigned long hmm_env_hole(struct hmm_env *env, unsigned long regions)
{
	size_t len = (regions + 1) * HMM_REGION_SIZE;
	unsigned long start;

	start = vm_mmap(NULL, 0, len, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 0);
	KUNIT_ASSERT_FALSE(env->test, IS_ERR_VALUE(start));
	KUNIT_ASSERT_EQ(env->test, 0, vm_munmap(start, len));
	return ALIGN(start, HMM_REGION_SIZE);
}
