// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: the end of a fault, entries for what the walk has found.
 *
 * Dirty pages
 * -----------
 * A device's write leaves no dirty bit in a page table, so somebody has to see
 * to it that what it writes is not dropped as clean. An entry gets the right to
 * write only where the page table has it, and only when the access asked for it.
 * Then there are two kinds of folio:
 *
 *  - Of a file whose file system tracks writing (writeback, page_mkwrite): such
 *    a folio has a writable entry in a page table only after a fault that marked
 *    it dirty, and before it is cleaned all such entries lose the right, under
 *    a notifier. There is nothing to do, and marking it here would be wrong:
 *    a file system may have let go of what it needs to write it.
 *
 *  - All others: anonymous, shared memory, hugetlb. Their page table entries may
 *    be writable and clean (swapped in by a read, MADV_FREE), and reclaim drops
 *    a clean folio that it has a copy of, or needs none of. For these the dirty
 *    flag is all there is, and it is set here, under leaf->lock, so that no
 *    invalidation comes in between: the page table still maps the folio.
 *    Whoever clears the flag later unmaps the folio first, or cleans its page
 *    table entry, under a notifier, and the next write faults again.
 */
#include <linux/hmm.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "hmm_fault.h"

/*
 * The folio of @page gets an entry that may write: see "Dirty pages" above. The
 * page table maps it as long as leaf->lock is held, so it and the file it is of
 * stay.
 */
static void hmm_fault_dirty(struct hmm_fault *f, struct page *page)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping;

	lockdep_assert_held_write(&f->leaf->lock);

	if (folio_test_dirty(folio))
		return;
	if (!folio_test_anon(folio)) {
		mapping = folio_mapping(folio);
		if (!mapping || mapping->a_ops->dirty_folio != noop_dirty_folio)
			return;
	}
	folio_set_dirty(folio);
}

/* The rights that the page table and the access both give. */
static unsigned long hmm_fault_grant(const struct hmm_fault *f,
				     unsigned long pfn)
{
	if (!(pfn & HMM_PFN_VALID))
		return 0;
	if (pfn & HMM_PFN_WRITE)
		return hmm_fault_rights(f);
	return HMM_ENTRY_VALID;
}

/*
 * If one entry of the page table maps the whole leaf: its entry as a block, else
 * 0. The range may be a part of it; the first page says it all.
 */
static unsigned long hmm_fault_block(const struct hmm_fault *f)
{
	unsigned long rights = hmm_fault_grant(f, f->pfns[0]);
	unsigned long pfn;

	if (!rights ||
	    hmm_pfn_to_map_order(f->pfns[0]) < HMM_LEAF_SHIFT - PAGE_SHIFT)
		return 0;
	pfn = page_to_pfn(hmm_pfn_to_page(f->pfns[0]));
	pfn -= hmm_leaf_index(f->start);
	if (WARN_ON_ONCE(!IS_ALIGNED(pfn, HMM_LEAF_PAGES)))
		return 0;
	return hmm_entry(pfn, rights);
}

/* Memory of another device, peer to peer: not the CPU's to copy. */
static bool hmm_fault_is_foreign(const struct hmm_fault *f, unsigned int i)
{
	return is_pci_p2pdma_page(hmm_pfn_to_page(f->pfns[i]));
}

/* Under the lock, after the retry check. */
static int hmm_fault_set_pages(struct hmm_fault *f)
{
	unsigned int slot = hmm_leaf_index(f->start);
	unsigned int n = hmm_fault_pages(f);
	unsigned int i, set = 0;
	unsigned long rights;
	struct page *page;
	int err = 0;

	/* A block lacks a right, or is no more: pages replace it. */
	if (f->leaf->block)
		hmm_leaf_clear(f->leaf, 0, HMM_LEAF_PAGES - 1);

	for (i = 0; i < n; i++) {
		rights = hmm_fault_grant(f, f->pfns[i]);
		if (!rights)
			continue;
		if (hmm_fault_is_foreign(f, i)) {
			err = -EFAULT;
			break;
		}
		page = hmm_pfn_to_page(f->pfns[i]);
		if (!hmm_leaf_set(f->leaf, slot + i,
				  hmm_entry(page_to_pfn(page), rights)))
			continue;
		set++;
		if (rights & HMM_ENTRY_WRITE)
			hmm_fault_dirty(f, page);
	}
	f->set = set;
	hmm_stat_add(f->mirror, pages_faulted, set);
	return err;
}

static int hmm_fault_set_block(struct hmm_fault *f, unsigned long block,
			       unsigned long **old_table)
{
	if (hmm_fault_is_foreign(f, 0))
		return -EFAULT;
	if (!hmm_leaf_set_block(f->leaf, block, old_table))
		return 0;
	if (block & HMM_ENTRY_WRITE)
		hmm_fault_dirty(f, hmm_pfn_to_page(f->pfns[0]));
	f->set = HMM_LEAF_PAGES;
	hmm_stat_add(f->mirror, pages_faulted, HMM_LEAF_PAGES);
	hmm_stat_inc(f->mirror, blocks_faulted);
	return 0;
}

/* A snapshot may have found nothing at all. */
static bool hmm_fault_any(const struct hmm_fault *f)
{
	unsigned int i;

	for (i = 0; i < hmm_fault_pages(f); i++) {
		if (f->pfns[i] & HMM_PFN_VALID)
			return true;
	}
	return false;
}

/* Return: 0, -EAGAIN if an invalidation came in between, or an error. */
int hmm_fault_install(struct hmm_fault *f)
{
	struct hmm_mirror_leaf *leaf = f->leaf;
	unsigned long block = hmm_fault_block(f);
	unsigned long *old_table = NULL;
	int err;

	if (!block) {
		if (!hmm_fault_any(f))
			return 0;
		err = hmm_leaf_prepare_table(leaf);
		if (err)
			return err;
	}

	f->set = 0;
	hmm_leaf_lock(leaf);
	if (hmm_leaf_retry(leaf, f->seq))
		err = -EAGAIN;
	else if (block)
		err = hmm_fault_set_block(f, block, &old_table);
	else
		err = hmm_fault_set_pages(f);
	hmm_leaf_unlock(leaf);

	if (f->set)
		hmm_window_count(f->mirror,
				 block ? hmm_leaf_start(leaf) : f->start,
				 block ? hmm_leaf_last(leaf) : f->end - 1,
				 f->set, false);
	hmm_leaf_free_table(leaf, old_table);
	return err;
}
