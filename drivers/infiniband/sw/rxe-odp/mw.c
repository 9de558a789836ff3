// SPDX-License-Identifier: GPL-2.0
#include "dev.h"
#include "mr.h"
#include "mw.h"
#include "swqe.h"
#include "wire/range.h"

/* LOCAL_WRITE says nothing of a window, but programs give it and NICs take it. */
#define RXO_MW_ACCESS                                     \
	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE |  \
	 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC | \
	 IB_ZERO_BASED)

int rxo_mw_init(struct rxo_dev *dev, struct rxo_mw *mw)
{
	int ret;

	spin_lock_init(&mw->lock);
	ret = rxo_key_init(dev, &mw->key, RXO_KEY_MW);
	if (ret)
		return ret;
	mw->ib.rkey = mw->key.key;
	return 0;
}

static void rxo_mw_free_locked(struct rxo_mw *mw)
{
	lockdep_assert_held(&mw->lock);
	if (!mw->mr)
		return;
	atomic_dec(&mw->mr->windows);
	mw->mr = NULL;
}

void rxo_mw_fini(struct rxo_dev *dev, struct rxo_mw *mw)
{
	rxo_key_kill(dev, &mw->key);
	spin_lock_bh(&mw->lock);
	rxo_mw_free_locked(mw);
	spin_unlock_bh(&mw->lock);
}

/* A window with a reference, of this PD; NULL for anything else. */
static struct rxo_mw *rxo_mw_find(struct ib_pd *pd, u32 key)
{
	struct rxo_key *k = rxo_key_get(to_rxo_dev(pd->device), key);

	if (!k)
		return NULL;
	if (k->kind == RXO_KEY_MW) {
		struct rxo_mw *mw = container_of(k, struct rxo_mw, key);

		if (mw->ib.pd == pd)
			return mw;
	}
	rxo_key_put(k);
	return NULL;
}

/* The rules of IBTA 10.6.7.2 that depend on the window's state. */
static bool rxo_mw_may_bind(struct rxo_mw *mw, const struct rxo_mw_bind *bind)
{
	lockdep_assert_held(&mw->lock);
	/* The index stays, or the key would name another object. */
	if (mw->key.key != bind->mw_rkey ||
	    bind->mw_rkey >> 8 != bind->rkey >> 8)
		return false;
	if (mw->ib.type == IB_MW_TYPE_1)
		return !(bind->access & IB_ZERO_BASED);
	/* Type 2: free, and not the tag it had, which the peer may know. */
	return !mw->mr && bind->len && bind->mw_rkey != bind->rkey;
}

static bool rxo_mr_may_be_bound(struct rxo_mr *mr,
				const struct rxo_mw_bind *bind)
{
	u64 addr = bind->addr;

	if (!(mr->access & IB_ACCESS_MW_BIND))
		return false;
	if (bind->access & (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC) &&
	    !(mr->access & IB_ACCESS_LOCAL_WRITE))
		return false;
	return rxo_range_contains(mr->iova, mr->len, addr, bind->len);
}

int rxo_mw_bind(struct ib_pd *pd, u32 qpn, const struct rxo_mw_bind *bind)
{
	struct rxo_mr *mr = NULL;
	struct rxo_key *k;
	struct rxo_mw *mw;
	int ret = -EINVAL;

	if (bind->access & ~RXO_MW_ACCESS)
		return -EINVAL;
	mw = rxo_mw_find(pd, bind->mw_rkey);
	if (!mw)
		return -EINVAL;

	if (bind->len) {
		k = rxo_key_get(to_rxo_dev(pd->device), bind->mr_lkey);
		if (!k)
			goto put_mw;
		mr = container_of(k, struct rxo_mr, key);
		if (k->kind != RXO_KEY_MR || k->key != bind->mr_lkey ||
		    mr->ib.pd != pd || !rxo_mr_may_be_bound(mr, bind) ||
		    !atomic_inc_unless_negative(&mr->windows)) {
			rxo_key_put(k);
			goto put_mw;
		}
		/* The count of windows keeps the region now. */
		rxo_key_put(k);
	}

	spin_lock_bh(&mw->lock);
	if (rxo_mw_may_bind(mw, bind)) {
		rxo_mw_free_locked(mw);
		mw->mr = mr;
		mw->base = bind->addr;
		mw->addr = bind->access & IB_ZERO_BASED ? 0 : bind->addr;
		mw->len = bind->len;
		mw->access = bind->access;
		mw->qpn = qpn;
		/* Type 1's next key is the one the provider told the caller. */
		mw->key.key = bind->rkey;
		mr = NULL;
		ret = 0;
	}
	spin_unlock_bh(&mw->lock);
	if (mr)
		atomic_dec(&mr->windows);
put_mw:
	rxo_key_put(&mw->key);
	return ret;
}

int rxo_mw_invalidate(struct ib_pd *pd, u32 qpn, u32 rkey)
{
	struct rxo_mw *mw = rxo_mw_find(pd, rkey);
	int ret = -EINVAL;

	if (!mw)
		return -EINVAL;
	spin_lock_bh(&mw->lock);
	if (mw->key.key == rkey && mw->ib.type == IB_MW_TYPE_2 && mw->mr &&
	    mw->qpn == qpn) {
		rxo_mw_free_locked(mw);
		ret = 0;
	}
	spin_unlock_bh(&mw->lock);
	rxo_key_put(&mw->key);
	return ret;
}

struct rxo_mr *rxo_mw_get_mr(struct rxo_mw *mw, struct ib_pd *pd, u32 qpn,
			     u32 key, int access, u64 *iova, u64 len)
{
	struct rxo_mr *mr = ERR_PTR(-EACCES);

	spin_lock_bh(&mw->lock);
	if (mw->mr && mw->key.key == key && mw->ib.pd == pd &&
	    (mw->ib.type == IB_MW_TYPE_1 || mw->qpn == qpn) &&
	    !(access & ~mw->access) &&
	    rxo_range_contains(mw->addr, mw->len, *iova, len) &&
	    refcount_inc_not_zero(&mw->mr->key.ref->users)) {
		*iova = *iova - mw->addr + mw->base;
		mr = mw->mr;
	}
	spin_unlock_bh(&mw->lock);
	return mr;
}
