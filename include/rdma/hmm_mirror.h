/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hmm_mirror: a process's page table, mirrored for a device.
 *
 * A driver that wants to read and write the memory of a process without
 * pinning it opens one mirror per (process, device). The mirror hands out
 * struct pages for virtual addresses as long as the process's page table maps
 * them, fills itself by page faults, and is emptied by mmu notifiers.
 *
 * Who may call what from where:
 *
 *	hmm_mirror_get, _put		may sleep, no lock held
 *	hmm_mirror_fault		may sleep, no lock held, any task
 *	hmm_mirror_lookup_and_lock,	never sleep; softirq, or bottom halves
 *	hmm_mirror_unlock		disabled
 *
 * Between hmm_mirror_lookup_and_lock() and hmm_mirror_unlock() an invalidation
 * of that address waits, spinning. So copy what you need, at most a packet, and
 * let go; take no lock in between that is ever held around a lookup or that is
 * not safe in softirq.
 *
 * Lock order: fault_mutex of a leaf -> mmap_lock -> leaf->lock
 */
#ifndef RDMA_HMM_MIRROR_H
#define RDMA_HMM_MIRROR_H

#include <linux/atomic.h>
#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct hmm_mirror;
struct hmm_mirror_leaf;
struct page;
struct seq_file;
struct shrinker;

/* Every distinct path of the mirror, counted per device. */
#define HMM_MIRROR_COUNTERS(op)                                               \
	op(faults)           /* hmm_mirror_fault() calls that missed pages */ \
	op(faults_shared)    /* ... that found the pages there already */     \
	op(faults_direct)    /* ... of one page, without a walk */            \
	op(fault_retries)    /* walks repeated because of an invalidation */  \
	op(fault_errors)     /* ... that ended in an error */                 \
	op(pages_faulted)    /* entries installed, in PAGE_SIZE units */      \
	op(blocks_faulted)   /* 2 MiB entries installed */                    \
	op(invalidations)    /* notifier callbacks that hit a region */       \
	op(pages_invalidated) /* entries taken away, in PAGE_SIZE units */    \
	op(pages_shrunk)     /* ... and by the shrinker */                    \
	op(counts_cut)       /* changes not counted by all windows there */   \
	op(misses)           /* lookups that found nothing usable */          \
	op(regions)          /* 64 MiB regions that exist now */              \
	op(tables)           /* 512-entry tables that exist now */

struct hmm_mirror_stats {
#define HMM_MIRROR_FIELD(name) atomic64_t name;
	HMM_MIRROR_COUNTERS(HMM_MIRROR_FIELD)
#undef HMM_MIRROR_FIELD
};

/**
 * struct hmm_mirror_device - a device's side: what its mirrors share
 * @lock: protects @mirrors
 * @mirrors: all mirrors of this device
 * @stats: counters, kept over the life of all mirrors
 * @shrinker: private; or NULL
 * @leaving: private; see hmm_mirror_device_leaves()
 *
 * Embedded in the driver's own device structure, which must outlive every
 * mirror got through it.
 */
struct hmm_mirror_device {
	struct mutex lock;
	struct list_head mirrors; /* under lock */
	struct hmm_mirror_stats stats;
	struct shrinker *shrinker; /* private */
	bool leaving; /* no lock */
};

/**
 * struct hmm_mirror_run - a run of bytes that a lookup found
 * @page: the page that holds the first byte
 * @offset: of the first byte, 0 to PAGE_SIZE - 1
 * @len: bytes that may be touched, from @offset on, over consecutive struct
 *	 pages (page + 1 follows page); 1 to what was asked for
 * @leaf: private
 */
struct hmm_mirror_run {
	struct page *page;
	unsigned int offset;
	size_t len;
	struct hmm_mirror_leaf *leaf;
};

/**
 * struct hmm_mirror_window - a range that somebody counts for
 * @faults: pages that became accessible in it
 * @faults_handled: faults that brought them
 * @invalidations: pages taken away in it
 * @invalidations_handled: notifications that took them
 * @node: private
 *
 * Windows of one mirror may overlap: what happens to a page happens to all of them. But
 * of those in the same 2 MiB not more than twice as many count as that has pages.
 */
struct hmm_mirror_window {
	atomic64_t faults;
	atomic64_t faults_handled;
	atomic64_t invalidations;
	atomic64_t invalidations_handled;
	struct interval_tree_node node;
};

/* For hmm_mirror_fault() and hmm_mirror_lookup_and_lock() */
#define HMM_MIRROR_READ 0
#define HMM_MIRROR_WRITE BIT(0) /* the access writes */
#define HMM_MIRROR_SNAPSHOT BIT(1) /* fault only: take what is present */
#define HMM_MIRROR_NOWAIT BIT(2) /* fault only: bring what is at hand */

/**
 * hmm_mirror_device_init() - prepare a device for mirrors
 * @dev: zeroed memory
 *
 * Context: may sleep.
 */
void hmm_mirror_device_init(struct hmm_mirror_device *dev);

/**
 * hmm_mirror_device_leaves() - shall faults wait for what may never come
 * @dev: the device
 * @leaves: it is about to go, or, false, it stays after all
 *
 * Who serves his own pages could keep a device from going for ever. A fault of a device
 * that leaves waits for userfaultfd no longer than a second or two, and fails.
 *
 * Context: any.
 */
void hmm_mirror_device_leaves(struct hmm_mirror_device *dev, bool leaves);

/**
 * hmm_mirror_device_fini() - a device goes away
 * @dev: the device; every mirror has been put
 *
 * Context: may sleep.
 */
void hmm_mirror_device_fini(struct hmm_mirror_device *dev);

/**
 * hmm_mirror_get() - the mirror of the calling process
 * @dev: whose mirror
 *
 * The first call of a process for a device makes it, later ones share it.
 *
 * Context: process, may sleep; takes mmap_lock for writing the first time.
 * Return: a mirror with a reference, or ERR_PTR(-ENOMEM), ERR_PTR(-EINVAL) from
 * a kernel thread, ERR_PTR(-EINTR) when the calling task is being killed.
 */
struct hmm_mirror *hmm_mirror_get(struct hmm_mirror_device *dev);

/**
 * hmm_mirror_hold() - one more reference
 * @mirror: a mirror that the caller has a reference on
 *
 * Context: any.
 */
void hmm_mirror_hold(struct hmm_mirror *mirror);

/**
 * hmm_mirror_put() - let a mirror go
 * @mirror: from hmm_mirror_get()
 *
 * The last reference removes all regions and their notifiers. No lookup or fault
 * on this reference may be running.
 *
 * Context: may sleep, in any task; not with mmap_lock held, not from a notifier.
 */
void hmm_mirror_put(struct hmm_mirror *mirror);

/**
 * hmm_mirror_mm() - whose address space it is
 * @mirror: the mirror
 *
 * Context: any.
 * Return: an address space to compare with.
 */
const struct mm_struct *hmm_mirror_mm(const struct hmm_mirror *mirror);

/**
 * hmm_mirror_lookup_and_lock() - find bytes, keep them in place
 * @mirror: the mirror
 * @addr: first byte, a user virtual address of the mirrored process
 * @len: bytes wanted, at least 1
 * @flags: HMM_MIRROR_READ or HMM_MIRROR_WRITE
 * @run: filled on success
 *
 * Never sleeps, never faults. On success an invalidation of @run waits until
 * hmm_mirror_unlock(). A run ends at a 2 MiB boundary or where the pages are not
 * consecutive or not usable for @flags; call again for the rest.
 *
 * Context: softirq, or bottom halves disabled by the caller until after the unlock.
 * Return: true and the lock held, or false (a miss) and no lock held.
 */
bool hmm_mirror_lookup_and_lock(struct hmm_mirror *mirror, unsigned long addr,
				size_t len, unsigned int flags,
				struct hmm_mirror_run *run);

/**
 * hmm_mirror_unlock() - done with a run
 * @run: from a successful hmm_mirror_lookup_and_lock()
 *
 * Context: as the lookup.
 */
void hmm_mirror_unlock(struct hmm_mirror_run *run);

/**
 * hmm_mirror_present() - is a range there as a whole
 * @mirror: the mirror
 * @addr: first byte
 * @len: bytes, at least 1; the whole range is looked at with bottom halves off,
 *	 leaf by leaf
 * @flags: HMM_MIRROR_READ or HMM_MIRROR_WRITE
 *
 * A hint: before the caller can look it up, pages may have come or gone.
 *
 * Context: any but hardirq.
 * Return: true if a lookup of each of its bytes would have found it.
 */
bool hmm_mirror_present(struct hmm_mirror *mirror, unsigned long addr,
			size_t len, unsigned int flags);

/**
 * hmm_mirror_fault() - make a range present
 * @mirror: the mirror
 * @addr: first byte
 * @len: bytes, at least 1; longer ranges are walked leaf by leaf
 * @flags: HMM_MIRROR_WRITE asks for write permission (breaks COW, and the folios
 *	   are marked dirty); HMM_MIRROR_SNAPSHOT faults nothing in and installs
 *	   what is present; HMM_MIRROR_NOWAIT faults in what the CPU would have
 *	   at once, and waits for no userfaultfd, nobody who has mmap_lock, and
 *	   no disk but where the CPU would have to under mmap_lock, as for swap
 *	   in memory; and for an invalidation that is under way, which may be a
 *	   long one of something else in the process
 *
 * Those who find their pages present do nothing. A page that has to be waited
 * for (swap, a slow file system, userfaultfd) holds up nobody else's fault, nor
 * the process's mmap_lock. A page may be invalidated again before the caller looks
 * it up: look up, and on a miss fault again, a bounded number of times. When the
 * range cannot be made present as a whole, what comes before the hole is.
 *
 * A wait for userfaultfd ends within a second or two when the process is killed;
 * others last as long as the page takes.
 *
 * Context: may sleep; any task, also a kernel worker.
 * Return: 0, or
 *	-EFAULT: nothing mapped there, PROT_NONE, or the fault failed (SIGBUS)
 *	-EPERM:  write asked for, mapping is read-only
 *	-ESRCH:  the process has exited, or is being killed; or the device leaves
 *	-EINTR:  the calling task is being killed
 *	-ENOMEM: no memory for a leaf or for the page
 *	-EBUSY:  invalidations did not let the fault finish within a second
 *	-EAGAIN: NOWAIT, and there is something to wait for
 *	-EINVAL: @addr + @len wraps
 */
int hmm_mirror_fault(struct hmm_mirror *mirror, unsigned long addr, size_t len,
		     unsigned int flags);

/**
 * hmm_mirror_check() - is a range mapped, as a pinning of it would find out
 * @mirror: the mirror of the calling process
 * @addr: first byte
 * @len: bytes, at least 1
 * @flags: HMM_MIRROR_READ or HMM_MIRROR_WRITE
 *
 * Touches no page. It says nothing of what is mapped later.
 *
 * Context: process, may sleep; takes mmap_lock.
 * Return: 0, -EFAULT: a part is not mapped, or not with that right; -EINTR;
 * -EINVAL: @addr + @len wraps.
 */
int hmm_mirror_check(struct hmm_mirror *mirror, unsigned long addr, size_t len,
		     unsigned int flags);

/**
 * hmm_mirror_window_add() - begin to count for a range
 * @mirror: the mirror
 * @window: zeroed memory that stays until hmm_mirror_window_del()
 * @addr: first byte
 * @last: last byte
 *
 * Context: process; takes a spinlock.
 */
void hmm_mirror_window_add(struct hmm_mirror *mirror,
			   struct hmm_mirror_window *window, unsigned long addr,
			   unsigned long last);

/**
 * hmm_mirror_window_del() - end to count for a range
 * @mirror: the mirror
 * @window: from hmm_mirror_window_add()
 *
 * What the device can access in the range, and no other window shows, is forgotten up
 * to a second later: who has the mirror and adds a window there before that finds it warm.
 *
 * Context: process; takes a spinlock.
 */
void hmm_mirror_window_del(struct hmm_mirror *mirror,
			   struct hmm_mirror_window *window);

/**
 * hmm_mirror_show() - print every mirror of a device
 * @dev: the device
 * @m: a debugfs file
 *
 * Context: may sleep.
 */
void hmm_mirror_show(struct hmm_mirror_device *dev, struct seq_file *m);

#endif /* RDMA_HMM_MIRROR_H */
