/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory regions: a window (iova -> va, length, rights) either on the mirror of
 * the process that registered it (ODP) or on pages pinned by ib_umem_get().
 * Registering an ODP region touches no page, so it costs the same for 4 KiB and
 * for 1 TiB.
 *
 * With the module's parameter "unpinned" what a process wants pinned is mirrored as
 * well, for programs that know nothing of ODP.
 */
#ifndef RXO_MR_H
#define RXO_MR_H

#include <rdma/hmm_mirror.h>
#include <rdma/ib_verbs.h>

#include "key.h"

struct ib_umem;
struct page;
struct rxo_dev;
struct rxo_owner;

/**
 * struct rxo_mr - a memory region; nothing changes after it is published but
 *		   @windows and what is counted
 * @ib: what ib_core knows
 * @owner: whose it is counted as
 * @key: lkey and rkey
 * @iova: first address, as the peer and work requests name it
 * @len: bytes
 * @va: the process's address that @iova stands for
 * @access: IB_ACCESS_*
 * @mirror: ODP: the process's mirror, with a reference; else NULL
 * @window: ODP: on @mirror, to count
 * @prefetched: ODP: pages that ibv_advise_mr() named
 * @umem: pinned: the pages' owner; else NULL
 * @pages: pinned: every page, the first one holds @va
 * @windows: memory windows bound; INT_MIN once it is being deregistered
 */
struct rxo_mr {
	struct ib_mr ib;
	struct rxo_owner *owner;
	struct rxo_key key;
	u64 iova;
	u64 len;
	u64 va;
	int access;
	struct hmm_mirror *mirror;
	struct hmm_mirror_window window;
	atomic64_t prefetched;
	struct ib_umem *umem;
	struct page **pages;
	atomic_t windows;
};

static inline struct rxo_mr *to_rxo_mr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct rxo_mr, ib);
}

/**
 * rxo_mr_create() - register memory of the calling process
 * @pd: protection domain; whose it is counted as is the process that has it, as not all
 *	kernels pass down who calls
 * @va: first address
 * @len: bytes, at least 1; U64_MAX with @va 0 for all the address space
 * @iova: what @va is called on the wire; @iova + @len does not wrap
 * @access: IB_ACCESS_*; IB_ACCESS_ON_DEMAND leaves the pages alone
 *
 * Context: may sleep.
 * Return: a region or ERR_PTR: -EINVAL, -EOPNOTSUPP (also where @pd is the kernel's),
 * -ENOMEM (also where the process has too many), and for pinned memory what
 * ib_umem_get() says (-EFAULT, -ENOMEM at RLIMIT_MEMLOCK); -EFAULT also where memory is
 * left unpinned that could not be pinned, as nothing is mapped.
 */
struct rxo_mr *rxo_mr_create(struct ib_pd *pd, u64 va, u64 len, u64 iova,
			     int access);

/**
 * rxo_mr_destroy() - deregister
 * @mr: the region
 *
 * Waits for copies in flight. Context: may sleep.
 * Return: 0, or -EBUSY while memory windows are bound to it.
 */
int rxo_mr_destroy(struct rxo_mr *mr);

/**
 * rxo_mr_get_local() - find a region for an access of one's own, checking everything
 * @pd: of the QP or SRQ whose work request it is
 * @lkey: names a region; a window has none (IBTA 10.6.7)
 * @access: 0 to read, IB_ACCESS_LOCAL_WRITE
 * @iova: first byte
 * @len: bytes
 *
 * Context: any.
 * Return: the region with a reference, or ERR_PTR(-EACCES).
 */
struct rxo_mr *rxo_mr_get_local(struct ib_pd *pd, u32 lkey, int access,
				u64 iova, u64 len);

/**
 * rxo_mr_get() - find a region for a peer's access, checking everything
 * @pd: of the QP that the access comes through
 * @qpn: of that QP, for type 2B windows
 * @key: rkey, which may name a window
 * @access: rights needed, IB_ACCESS_*
 * @iova: first byte; changed to the region's own address where @key is a
 *	  zero-based window
 * @len: bytes
 *
 * Context: any.
 * Return: the region with a reference, or ERR_PTR(-EACCES).
 */
struct rxo_mr *rxo_mr_get(struct ib_pd *pd, u32 qpn, u32 key, int access,
			  u64 *iova, u64 len);

static inline void rxo_mr_put(struct rxo_mr *mr)
{
	rxo_key_put(&mr->key);
}

#endif /* RXO_MR_H */
