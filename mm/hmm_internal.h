/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the mirror's files share. The essay is at the top of hmm.c, the contract
 * in <rdma/hmm_mirror.h>.
 *
 * Lock order:
 *
 *	dev->lock -> fault_mutex (the shrinker, and it only tries both)
 *	mirror->grow_mutex -> mmap_lock -> fault_mutex (the reapers, and they try it)
 *	mirror->grow_mutex -> leaf->lock, mirror->window_lock (the reapers)
 *	mmap_lock -> fault_mutex (hmm_direct.c, and it only tries)
 *	fault_mutex -> mmap_lock
 *	fault_mutex -> leaf->lock
 *	fault_mutex -> mirror->window_lock, mirror->join_lock (innermost)
 *
 * fault_mutex is that of a leaf, hmm_leaf_mutex(); nobody waits for two, or for one
 * under grow_mutex. Memory is allocated, and so reclaimed, under each mutex but
 * dev->lock; a notifier takes leaf->lock and, after it, window_lock.
 */
#ifndef HMM_INTERNAL_H
#define HMM_INTERNAL_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/pgtable.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/hmm_mirror.h>

/*
 * An entry: a pfn and what the device may do with the page. Zero is no entry,
 * WRITE without VALID does not occur.
 */
#define HMM_ENTRY_VALID BIT(0)
#define HMM_ENTRY_WRITE BIT(1)
#define HMM_ENTRY_SHIFT 2

#define HMM_LEAF_SHIFT PMD_SHIFT
#define HMM_LEAF_SIZE PMD_SIZE
#define HMM_LEAF_MASK PMD_MASK
#define HMM_LEAF_PAGES PTRS_PER_PTE

/* 64 MiB share a notifier; a fault in four of their leaves at a time. */
#define HMM_REGION_SHIFT (HMM_LEAF_SHIFT + 5)
#define HMM_REGION_SIZE (1ul << HMM_REGION_SHIFT)
#define HMM_REGION_LEAVES (HMM_REGION_SIZE / HMM_LEAF_SIZE)
#define HMM_REGION_MUTEXES 4

/* With fewer regions than this none is looked for where nothing is mapped. */
#define HMM_REGION_REAP_MIN 64ul

/*
 * What no window shows any more, or is mapped no more, stays for so long: what is
 * registered, used and deregistered again for each message is then warm, and neither
 * deregistering nor munmap() costs anything.
 */
#define HMM_REAP_DELAY HZ

/* Regions that lookups need not go down the tree for. */
#define HMM_RECENT 8

/* Why a reaper has to look. */
#define HMM_REAP_UNSEEN BIT(0) /* a window has gone */
#define HMM_REAP_UNMAPPED BIT(1) /* a mapping has */

/*
 * Windows that count what happens to a leaf, at most: one for each page, and as many that
 * overlap. So it takes about as long as the leaf itself.
 */
#define HMM_WINDOWS_COUNTED (2 * HMM_LEAF_PAGES)

static inline unsigned long hmm_entry_pfn(unsigned long entry)
{
	return entry >> HMM_ENTRY_SHIFT;
}

static inline unsigned long hmm_entry(unsigned long pfn, unsigned long rights)
{
	return pfn << HMM_ENTRY_SHIFT | rights;
}

/* The index of an address within its leaf. */
static inline unsigned int hmm_leaf_index(unsigned long addr)
{
	return (addr & ~HMM_LEAF_MASK) >> PAGE_SHIFT;
}

/*
 * One process seen by one device. "const" is set before the mirror is found by
 * anybody and never changes.
 */
struct hmm_mirror {
	struct kref ref; /* last put holds dev->lock */
	struct hmm_mirror_device *dev; /* const */
	struct mm_struct *mm; /* const, mmgrab()bed */
	pid_t tgid; /* const, who opened it, to print */
	struct list_head entry; /* in dev->mirrors, under dev->lock */
	/* addr >> HMM_REGION_SHIFT to region: changed under grow_mutex, read by RCU */
	struct xarray root;
	struct hmm_region *recent[HMM_RECENT]; /* no lock, RCU: hmm_region.c */
	struct mutex grow_mutex; /* one new region at a time */
	unsigned long reap_at; /* regions that start a reaping, grow_mutex */
	struct delayed_work reap_work;
	atomic_t reap_why; /* HMM_REAP_*, what it has to look for */
	unsigned long shrink_next; /* address to go on from, dev->lock */
	/* For hmm_range_fault(), which wants one: it never changes. */
	struct mmu_interval_notifier unchanging; /* const */
	spinlock_t join_lock;
	struct list_head bringing; /* faults that bring a page, join_lock */
	wait_queue_head_t brought; /* those who wait for one of these */
	spinlock_t window_lock;
	struct rb_root_cached windows; /* window_lock */
	/* To print, and reap_at is compared to regions */
	atomic_long_t regions;
	atomic_long_t tables;
	atomic_long_t pages;
	atomic_long_t blocks;
};

/*
 * 2 MiB of a process. @block and @table are never both in use: with a block
 * every slot of the table is empty.
 */
struct hmm_mirror_leaf {
	rwlock_t lock;
	atomic_t hurry; /* writers tired of waiting: lookups miss */
	u8 index; /* const: in its region */
	bool young; /* looked up since the shrinker came by; a hint, no lock */
	u16 resident; /* entries in pages, a block is 512; lock */
	unsigned long block; /* entry of the first page, or 0; lock */
	/* Pointer: fault_mutex and lock to write, either to read. Slots: lock */
	unsigned long *table;
	unsigned long seq; /* of the last invalidation here, or 0; lock */
};

/* 64 MiB of a process, what their leaves have in common. */
struct hmm_region {
	/* The tree's reference and one for each fault; 0 is dying */
	refcount_t users;
	unsigned long start; /* const */
	struct hmm_mirror *mirror; /* const */
	struct mmu_interval_notifier notifier;
	unsigned long seq; /* of the last invalidation, no lock: hmm.c */
	unsigned long over; /* a seq whose round is over, or 0; no lock */
	bool unmapped; /* a mapping has gone since the reaper looked; no lock */
	struct mutex fault_mutex[HMM_REGION_MUTEXES];
	union {
		struct hmm_region *next_dead; /* the reaper's */
		struct rcu_head rcu;
	};
	struct hmm_mirror_leaf leaf[HMM_REGION_LEAVES];
};

static inline struct hmm_region *
hmm_leaf_region(const struct hmm_mirror_leaf *leaf)
{
	return container_of(leaf - leaf->index, struct hmm_region, leaf[0]);
}

static inline struct hmm_mirror *
hmm_leaf_mirror(const struct hmm_mirror_leaf *leaf)
{
	return hmm_leaf_region(leaf)->mirror;
}

static inline unsigned long hmm_leaf_start(const struct hmm_mirror_leaf *leaf)
{
	return hmm_leaf_region(leaf)->start + leaf->index * HMM_LEAF_SIZE;
}

static inline unsigned long hmm_leaf_last(const struct hmm_mirror_leaf *leaf)
{
	return hmm_leaf_start(leaf) + HMM_LEAF_SIZE - 1;
}

/* One fault at a time, in a leaf. */
static inline struct mutex *hmm_leaf_mutex(const struct hmm_mirror_leaf *leaf)
{
	return &hmm_leaf_region(leaf)
			->fault_mutex[leaf->index % HMM_REGION_MUTEXES];
}

static inline struct hmm_mirror_leaf *hmm_region_leaf(struct hmm_region *region,
						      unsigned long addr)
{
	return &region->leaf[(addr >> HMM_LEAF_SHIFT) % HMM_REGION_LEAVES];
}

/* Where a region is, or was last, if it was looked up recently. */
static inline struct hmm_region **hmm_recent(struct hmm_mirror *mirror,
					     unsigned long addr)
{
	return &mirror->recent[(addr >> HMM_REGION_SHIFT) % HMM_RECENT];
}

/*
 * What a device may never touch: memory without struct page, without the right
 * to read, and secret memory, which is not in the kernel's own page table.
 */
static inline bool hmm_may_read(const struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return false;
	if (!(vma->vm_flags & VM_READ))
		return false;
	return !vma->vm_file ||
	       file_inode(vma->vm_file)->i_sb->s_magic != SECRETMEM_MAGIC;
}

#define hmm_stat_add(mirror, name, n) \
	atomic64_add(n, &(mirror)->dev->stats.name)
#define hmm_stat_inc(mirror, name) hmm_stat_add(mirror, name, 1)

/* hmm.c */
struct hmm_mirror *hmm_mirror_get_mm(struct hmm_mirror_device *dev,
				     struct mm_struct *mm);

/* hmm_region.c */
int hmm_region_setup(void);
void hmm_region_cleanup(void);
void hmm_region_init(struct hmm_region *region, struct hmm_mirror *mirror,
		     unsigned long start);
void hmm_region_fini(struct hmm_region *region);
void hmm_region_put(struct hmm_region *region);
struct hmm_mirror_leaf *hmm_leaf_find(struct hmm_mirror *mirror,
				      unsigned long addr);
struct hmm_mirror_leaf *hmm_leaf_get(struct hmm_mirror *mirror,
				     unsigned long addr);
void hmm_leaf_put(struct hmm_mirror_leaf *leaf);
void hmm_region_destroy_all(struct hmm_mirror *mirror);
void hmm_region_reap_soon(struct hmm_mirror *mirror, int why);
void hmm_region_reap_work(struct work_struct *work);
int hmm_leaf_prepare_table(struct hmm_mirror_leaf *leaf);
void hmm_leaf_free_table(struct hmm_mirror_leaf *leaf, unsigned long *table);

/* hmm_leaf.c */
extern const struct mmu_interval_notifier_ops hmm_region_ops;
unsigned long hmm_leaf_begin(struct hmm_mirror_leaf *leaf);
bool hmm_leaf_settled(struct hmm_mirror_leaf *leaf, unsigned long *seq);
bool hmm_leaf_retry(const struct hmm_mirror_leaf *leaf, unsigned long seq);
void hmm_leaf_lock(struct hmm_mirror_leaf *leaf) __acquires(&leaf->lock);
void hmm_leaf_unlock(struct hmm_mirror_leaf *leaf) __releases(&leaf->lock);
unsigned long hmm_leaf_first_missing(struct hmm_mirror_leaf *leaf,
				     unsigned long start, unsigned long end,
				     unsigned long rights);
bool hmm_leaf_set(struct hmm_mirror_leaf *leaf, unsigned int i,
		  unsigned long entry);
bool hmm_leaf_set_block(struct hmm_mirror_leaf *leaf, unsigned long entry,
			unsigned long **old_table);
unsigned int hmm_leaf_clear(struct hmm_mirror_leaf *leaf, unsigned int first,
			    unsigned int last);

/* hmm_window.c */
bool hmm_window_shows(struct hmm_mirror *mirror, unsigned long start,
		      unsigned long last);
/* @pages in [start, last] have come, or gone */
void hmm_window_count(struct hmm_mirror *mirror, unsigned long start,
		      unsigned long last, unsigned long pages, bool gone);

/* hmm_shrink.c */
void hmm_shrink_init(struct hmm_mirror_device *dev);
void hmm_shrink_fini(struct hmm_mirror_device *dev);

#endif /* HMM_INTERNAL_H */
