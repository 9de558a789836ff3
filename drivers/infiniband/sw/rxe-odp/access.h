/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Touching a region's bytes: through the mirror (ODP) or pinned pages. Nothing
 * here sleeps; where the mirror has no entry, the access is a miss, and the QP
 * parks until a fault has brought the page (park.h).
 */
#ifndef RXO_ACCESS_H
#define RXO_ACCESS_H

#include <linux/types.h>

struct rxo_mr;

enum rxo_dir {
	RXO_FROM_MR,
	RXO_TO_MR,
};

/**
 * rxo_access_copy() - copy between a region and kernel memory
 * @mr: a region, range and rights already checked by rxo_mr_get()
 * @iova: first byte in the region
 * @buf: the kernel's side
 * @len: bytes; at most a packet's, as an invalidation may wait for it
 * @dir: which way
 *
 * Context: softirq, or bottom halves disabled.
 * Return: 0, or -EAGAIN for a miss; some bytes may have been copied then, and
 * copying all of them again is right.
 */
int rxo_access_copy(struct rxo_mr *mr, u64 iova, void *buf, size_t len,
		    enum rxo_dir dir);

/**
 * rxo_access_present() - would reading all of it be no miss
 * @mr: a region
 * @iova: first byte in the region
 * @len: bytes, at least 1; those beyond the region do not count
 *
 * Context: process or softirq.
 * Return: a hint.
 */
bool rxo_access_present(struct rxo_mr *mr, u64 iova, size_t len);

enum rxo_atomic_op {
	RXO_ATOMIC_CMP_SWAP,
	RXO_ATOMIC_FETCH_ADD,
};

/**
 * rxo_access_atomic() - a 64 bit atomic, also against the CPUs (IB_ATOMIC_GLOB)
 * @mr: a region
 * @iova: aligned to 8 bytes in the region; -EINVAL where the process's address
 *	  is not
 * @op: which
 * @swap_add: value to store, or to add
 * @compare: value to compare with
 * @orig: filled with the value before
 *
 * Context: softirq, or bottom halves disabled.
 * Return: 0, -EAGAIN for a miss, -EINVAL.
 */
int rxo_access_atomic(struct rxo_mr *mr, u64 iova, enum rxo_atomic_op op,
		      u64 swap_add, u64 compare, u64 *orig);

#endif /* RXO_ACCESS_H */
