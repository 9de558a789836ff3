// SPDX-License-Identifier: GPL-2.0
/*
 * A leaf by itself: what it counts, what lookups see, who goes first. The page
 * frame numbers are made up, and no page is touched.
 */
#include <linux/mm.h>

#include "env.h"

#define LEAF_ROUNDS 4000
#define LEAF_LOOKUPS 8

/* Where the leaf pretends to be: the last but one of a region. */
#define LEAF_REGION (21 * HMM_REGION_SIZE)
#define LEAF_START (LEAF_REGION + (HMM_REGION_LEAVES - 2) * HMM_LEAF_SIZE)

/* What the leaf ought to have, said in another way: an entry a page. */
struct leaf_model {
	unsigned long entry[HMM_LEAF_PAGES];
	bool block;
};

struct leaf_env {
	struct hmm_env *env;
	struct hmm_mirror mirror;
	struct leaf_model model;
	struct hmm_region region;
	struct hmm_mirror_leaf *leaf; /* it and its neighbour */
};

static void leaf_env_fini(void *arg)
{
	struct leaf_env *l = arg;

	hmm_region_fini(&l->region);
	xa_destroy(&l->mirror.root);
}

static struct leaf_env *leaf_env_get(struct kunit *test)
{
	struct leaf_env *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);
	void *old;

	KUNIT_ASSERT_NOT_NULL(test, l);
	l->env = test->priv;
	l->mirror.dev = &l->env->dev;
	xa_init(&l->mirror.root);
	hmm_region_init(&l->region, &l->mirror, LEAF_REGION);
	l->leaf = hmm_region_leaf(&l->region, LEAF_START);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, leaf_env_fini, l));
	old = xa_store(&l->mirror.root, LEAF_REGION >> HMM_REGION_SHIFT,
		       &l->region, GFP_KERNEL);
	KUNIT_ASSERT_FALSE(test, xa_is_err(old));
	return l;
}

static u32 leaf_below(struct leaf_env *l, u32 limit)
{
	return hmm_mirror_kunit_below(&l->env->rnd, limit);
}

static unsigned long leaf_random_rights(struct leaf_env *l)
{
	return HMM_ENTRY_VALID | (leaf_below(l, 2) ? HMM_ENTRY_WRITE : 0);
}

/* Entry of page @i: mostly next to its neighbour's, so that there are runs. */
static unsigned long leaf_random_entry(struct leaf_env *l, unsigned int i)
{
	unsigned long pfn = 0x1000 + i;

	if (!leaf_below(l, 8))
		pfn += 0x10000 * (1 + leaf_below(l, 3));
	return hmm_entry(pfn, leaf_random_rights(l));
}

/* Begin and end of a change, as a fault does it. */
static void leaf_begin(struct hmm_mirror_leaf *leaf)
{
	mutex_lock(hmm_leaf_mutex(leaf));
	hmm_leaf_lock(leaf);
}

static void leaf_end(struct hmm_mirror_leaf *leaf)
{
	hmm_leaf_unlock(leaf);
	mutex_unlock(hmm_leaf_mutex(leaf));
}

static void leaf_do_clear(struct kunit *test, struct leaf_env *l,
			  unsigned int first, unsigned int last)
{
	struct leaf_model *m = &l->model;
	unsigned int i, gone, expected = 0;

	if (m->block) {
		first = 0;
		last = HMM_LEAF_PAGES - 1;
	}
	for (i = first; i <= last; i++) {
		expected += !!m->entry[i];
		m->entry[i] = 0;
	}
	m->block = false;
	hmm_leaf_lock(&l->leaf[0]);
	gone = hmm_leaf_clear(&l->leaf[0], first, last);
	hmm_leaf_unlock(&l->leaf[0]);
	KUNIT_EXPECT_EQ(test, gone, expected);
}

static void leaf_do_set(struct kunit *test, struct leaf_env *l, unsigned int i,
			unsigned long entry)
{
	struct hmm_mirror_leaf *leaf = &l->leaf[0];
	unsigned long old = l->model.entry[i];
	bool set, better;

	/* A fault drops a block before it sets pages. */
	if (l->model.block)
		leaf_do_clear(test, l, 0, HMM_LEAF_PAGES - 1);
	old = l->model.entry[i];
	better = hmm_entry_pfn(old) != hmm_entry_pfn(entry) || !old ||
		 (entry & HMM_ENTRY_WRITE && !(old & HMM_ENTRY_WRITE));
	if (better)
		l->model.entry[i] = entry;

	mutex_lock(hmm_leaf_mutex(leaf));
	KUNIT_ASSERT_EQ(test, 0, hmm_leaf_prepare_table(leaf));
	hmm_leaf_lock(leaf);
	set = hmm_leaf_set(leaf, i, entry);
	leaf_end(leaf);
	KUNIT_EXPECT_EQ(test, set, better);
}

static void leaf_do_block(struct kunit *test, struct leaf_env *l)
{
	unsigned long rights = leaf_random_rights(l);
	unsigned long pfn = HMM_LEAF_PAGES * (1 + leaf_below(l, 2));
	struct hmm_mirror_leaf *leaf = &l->leaf[0];
	struct leaf_model *m = &l->model;
	bool set, had_table, better;
	unsigned long *table;
	unsigned int i;

	better = !m->block || hmm_entry_pfn(m->entry[0]) != pfn ||
		 (rights & HMM_ENTRY_WRITE && !(m->entry[0] & HMM_ENTRY_WRITE));
	for (i = 0; better && i < HMM_LEAF_PAGES; i++)
		m->entry[i] = hmm_entry(pfn + i, rights);
	m->block = true;

	leaf_begin(leaf);
	had_table = leaf->table;
	set = hmm_leaf_set_block(leaf, hmm_entry(pfn, rights), &table);
	leaf_end(leaf);
	KUNIT_EXPECT_EQ(test, set, better);
	KUNIT_EXPECT_EQ(test, !!table, had_table && better);
	hmm_leaf_free_table(leaf, table);
}

static void leaf_check_counts(struct kunit *test, struct leaf_env *l)
{
	struct hmm_mirror_leaf *leaf = &l->leaf[0];
	unsigned int i, resident = 0;

	for (i = 0; i < HMM_LEAF_PAGES; i++)
		resident += !!l->model.entry[i];
	KUNIT_EXPECT_EQ(test, leaf->resident, resident);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&l->mirror.pages), resident);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&l->mirror.blocks),
			l->model.block);
	KUNIT_EXPECT_EQ(test, !!leaf->block, l->model.block);
	KUNIT_EXPECT_FALSE(test, leaf->block && leaf->table);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&l->mirror.tables),
			!!leaf->table);
}

/* Bytes from @addr on that one lookup may give. */
static size_t leaf_expected_run(const struct leaf_model *m, unsigned long addr,
				size_t len, unsigned long rights)
{
	unsigned long end = LEAF_START + HMM_LEAF_SIZE;
	unsigned long pos, step;
	unsigned int i = hmm_leaf_index(addr);

	for (pos = addr; pos < end && pos - addr < len; pos += step) {
		unsigned int at = hmm_leaf_index(pos);

		if ((m->entry[at] & rights) != rights ||
		    hmm_entry_pfn(m->entry[at]) !=
			    hmm_entry_pfn(m->entry[i]) + at - i)
			break;
		step = PAGE_SIZE - offset_in_page(pos);
	}
	return min(len, pos - addr);
}

static bool leaf_expected_present(const struct leaf_model *m,
				  unsigned long addr, size_t len,
				  unsigned long rights)
{
	unsigned long pos;

	for (pos = addr & PAGE_MASK; pos < addr + len; pos += PAGE_SIZE) {
		/* Nothing is ever put into the neighbours. */
		if (pos < LEAF_START || pos >= LEAF_START + HMM_LEAF_SIZE ||
		    (m->entry[hmm_leaf_index(pos)] & rights) != rights)
			return false;
	}
	return true;
}

static void leaf_check_lookup(struct kunit *test, struct leaf_env *l)
{
	unsigned long addr = LEAF_START + leaf_below(l, HMM_LEAF_SIZE);
	size_t len = 1 + leaf_below(l, leaf_below(l, 2) ? SZ_64K : SZ_4M);
	unsigned int flags = leaf_below(l, 2) ? HMM_MIRROR_WRITE : 0;
	unsigned long rights = HMM_ENTRY_VALID | (flags ? HMM_ENTRY_WRITE : 0);
	struct leaf_model *m = &l->model;
	size_t expected = leaf_expected_run(m, addr, len, rights);
	struct hmm_mirror_run run = {};
	bool found;

	found = hmm_env_lookup_and_lock(&l->mirror, addr, len, flags, &run);
	if (found)
		hmm_env_unlock(&run);
	KUNIT_EXPECT_EQ_MSG(test, found, expected != 0, "%#lx+%#zx", addr, len);
	if (found) {
		KUNIT_EXPECT_EQ_MSG(test, run.len, expected, "%#lx+%#zx", addr,
				    len);
		KUNIT_EXPECT_EQ(test, page_to_pfn(run.page),
				hmm_entry_pfn(m->entry[hmm_leaf_index(addr)]));
		KUNIT_EXPECT_EQ(test, run.offset, offset_in_page(addr));
		KUNIT_EXPECT_PTR_EQ(test, run.leaf, &l->leaf[0]);
	}
	/* Some begin before the leaf. */
	if (!leaf_below(l, 16))
		addr -= HMM_LEAF_SIZE;
	KUNIT_EXPECT_EQ_MSG(test,
			    hmm_mirror_present(&l->mirror, addr, len, flags),
			    leaf_expected_present(m, addr, len, rights),
			    "%#lx+%#zx", addr, len);
}

/* Random changes; counts and lookups agree with the model after each. */
static void leaf_random(struct kunit *test)
{
	struct leaf_env *l = leaf_env_get(test);
	unsigned int round, i, n, first;

	for (round = 0; round < LEAF_ROUNDS; round++) {
		first = leaf_below(l, HMM_LEAF_PAGES);
		n = 1 + leaf_below(l, HMM_LEAF_PAGES - first);
		switch (leaf_below(l, 16)) {
		case 0:
			leaf_do_block(test, l);
			break;
		case 1 ... 3:
			leaf_do_clear(test, l, first, first + n - 1);
			break;
		case 4:
			leaf_do_clear(test, l, first, first);
			break;
		default:
			n = min(n, 1 + leaf_below(l, 64));
			for (i = first; i < first + n; i++)
				leaf_do_set(test, l, i,
					    leaf_random_entry(l, i));
		}
		leaf_check_counts(test, l);
		for (i = 0; i < LEAF_LOOKUPS; i++)
			leaf_check_lookup(test, l);
		/* One is enough to know. */
		if (test->status == KUNIT_FAILURE)
			return;
		cond_resched();
	}
}

static void leaf_fill(struct kunit *test, struct hmm_mirror_leaf *leaf,
		      unsigned long pfn, unsigned long rights)
{
	unsigned int i;

	mutex_lock(hmm_leaf_mutex(leaf));
	KUNIT_ASSERT_EQ(test, 0, hmm_leaf_prepare_table(leaf));
	hmm_leaf_lock(leaf);
	for (i = 0; i < HMM_LEAF_PAGES; i++)
		hmm_leaf_set(leaf, i, hmm_entry(pfn + i, rights));
	leaf_end(leaf);
}

/* A run ends with its leaf, presence goes on to the next. */
static void leaf_border(struct kunit *test)
{
	struct leaf_env *l = leaf_env_get(test);
	unsigned long border = LEAF_START + HMM_LEAF_SIZE;
	unsigned long end = border + HMM_LEAF_SIZE;
	struct hmm_mirror_run run;

	/* Even where the pages go on. */
	leaf_fill(test, &l->leaf[0], 0x1000, HMM_ENTRY_VALID | HMM_ENTRY_WRITE);
	leaf_fill(test, &l->leaf[1], 0x1000 + HMM_LEAF_PAGES, HMM_ENTRY_VALID);

	KUNIT_ASSERT_TRUE(test, hmm_env_lookup_and_lock(&l->mirror, border - 5,
							4096, 0, &run));
	hmm_env_unlock(&run);
	KUNIT_EXPECT_EQ(test, run.len, 5);
	KUNIT_EXPECT_EQ(test, run.offset, PAGE_SIZE - 5);

	KUNIT_ASSERT_TRUE(test, hmm_env_lookup_and_lock(&l->mirror, border,
							SZ_4M, 0, &run));
	hmm_env_unlock(&run);
	KUNIT_EXPECT_EQ(test, run.len, HMM_LEAF_SIZE);
	KUNIT_EXPECT_EQ(test, page_to_pfn(run.page), 0x1000 + HMM_LEAF_PAGES);

	KUNIT_EXPECT_FALSE(test,
			   hmm_env_lookup_and_lock(&l->mirror, border, 1,
						   HMM_MIRROR_WRITE, &run));
	KUNIT_EXPECT_FALSE(test, hmm_env_lookup_and_lock(&l->mirror, end, 1, 0,
							 &run));
	KUNIT_EXPECT_FALSE(test,
			   hmm_env_lookup_and_lock(&l->mirror, LEAF_START - 1,
						   2, 0, &run));

	KUNIT_EXPECT_TRUE(test, hmm_mirror_present(&l->mirror, LEAF_START,
						   2 * HMM_LEAF_SIZE, 0));
	KUNIT_EXPECT_TRUE(test,
			  hmm_mirror_present(&l->mirror, border - 1, 2, 0));
	KUNIT_EXPECT_TRUE(test, hmm_mirror_present(&l->mirror, border - 1, 1,
						   HMM_MIRROR_WRITE));
	KUNIT_EXPECT_FALSE(test, hmm_mirror_present(&l->mirror, border - 1, 2,
						    HMM_MIRROR_WRITE));
	KUNIT_EXPECT_FALSE(test, hmm_mirror_present(&l->mirror, end - 1, 2, 0));
	KUNIT_EXPECT_FALSE(test, hmm_mirror_present(&l->mirror, LEAF_START - 1,
						    2, 0));
}

/* Ranges that are empty, or wrap, are not there, and end. */
static void leaf_hostile_ranges(struct kunit *test)
{
	struct leaf_env *l = leaf_env_get(test);
	struct hmm_mirror_run run;

	leaf_fill(test, &l->leaf[0], 0x1000, HMM_ENTRY_VALID);
	KUNIT_EXPECT_FALSE(test,
			   hmm_mirror_present(&l->mirror, LEAF_START, 0, 0));
	KUNIT_EXPECT_FALSE(test, hmm_mirror_present(&l->mirror, LEAF_START,
						    SIZE_MAX, 0));
	KUNIT_EXPECT_FALSE(test, hmm_mirror_present(&l->mirror, LEAF_START,
						    -LEAF_START, 0));
	KUNIT_EXPECT_FALSE(test,
			   hmm_mirror_present(&l->mirror, ULONG_MAX, 1, 0));
	KUNIT_EXPECT_FALSE(test,
			   hmm_mirror_present(&l->mirror, ULONG_MAX, 2, 0));
	KUNIT_EXPECT_FALSE(test, hmm_env_lookup_and_lock(&l->mirror, ULONG_MAX,
							 1, 0, &run));
	/* Length does not matter for what is found. */
	KUNIT_ASSERT_TRUE(test,
			  hmm_env_lookup_and_lock(&l->mirror, LEAF_START + 7,
						  SIZE_MAX, 0, &run));
	hmm_env_unlock(&run);
	KUNIT_EXPECT_EQ(test, run.len, HMM_LEAF_SIZE - 7);
}

enum leaf_hurry_result { HURRY_NONE, HURRY_HIT, HURRY_MISS };

struct leaf_hurry {
	struct leaf_env *l;
	bool held; /* the reader has the lock */
	enum leaf_hurry_result other; /* the reader's second lookup */
	bool written;
};

static int leaf_hurry_reader(void *arg)
{
	struct leaf_hurry *h = arg;
	struct hmm_mirror *mirror = &h->l->mirror;
	struct hmm_mirror_run first, second;
	unsigned long end = jiffies + 10 * HZ;

	if (!hmm_env_lookup_and_lock(mirror, LEAF_START, 1, 0, &first))
		return 0;
	smp_store_release(&h->held, true);
	while (!atomic_read(&h->l->leaf[0].hurry) && time_before(jiffies, end))
		cpu_relax();
	/* A lookup that came in now would keep the writer out for ever. */
	if (hmm_env_lookup_and_lock(mirror, LEAF_START, 1, 0, &second)) {
		h->other = HURRY_HIT;
		hmm_env_unlock(&second);
	} else {
		h->other = HURRY_MISS;
	}
	if (READ_ONCE(h->written))
		h->other = HURRY_NONE;
	hmm_env_unlock(&first);
	return 0;
}

/* A writer that waits long makes lookups miss, and then gets in. */
static void leaf_hurried(struct kunit *test)
{
	struct leaf_env *l = leaf_env_get(test);
	struct leaf_hurry *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct hmm_mirror_run run;
	struct task_struct *reader;

	KUNIT_ASSERT_NOT_NULL(test, h);
	if (num_online_cpus() < 2)
		kunit_skip(test, "one CPU");
	leaf_fill(test, &l->leaf[0], 0x1000, HMM_ENTRY_VALID);
	h->l = l;
	reader = hmm_mirror_kunit_thread(test, leaf_hurry_reader, h);
	while (!smp_load_acquire(&h->held))
		cond_resched();
	hmm_leaf_lock(&l->leaf[0]);
	WRITE_ONCE(h->written, true);
	hmm_leaf_unlock(&l->leaf[0]);
	hmm_mirror_kunit_stop(test, reader);

	KUNIT_EXPECT_EQ(test, h->other, HURRY_MISS);
	KUNIT_EXPECT_EQ(test, atomic_read(&l->leaf[0].hurry), 0);
	KUNIT_ASSERT_TRUE(test, hmm_env_lookup_and_lock(&l->mirror, LEAF_START,
							1, 0, &run));
	hmm_env_unlock(&run);
}

static struct kunit_case leaf_cases[] = { KUNIT_CASE_SLOW(leaf_random),
					  KUNIT_CASE(leaf_border),
					  KUNIT_CASE(leaf_hostile_ranges),
					  KUNIT_CASE(leaf_hurried),
					  {} };

static struct kunit_suite leaf_suite = {
	.name = "hmm_leaf",
	.init = hmm_env_init,
	.test_cases = leaf_cases,
};

kunit_test_suite(leaf_suite);
