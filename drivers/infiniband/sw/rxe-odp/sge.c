// SPDX-License-Identifier: GPL-2.0
#include "dev.h"
#include "mr.h"
#include "sge.h"

static struct rxo_mr *rxo_sge_get_mr(struct ib_pd *pd,
				     const struct rxe_sge *sge, u32 off,
				     size_t len, enum rxo_dir dir, u64 *iova)
{
	int access = dir == RXO_TO_MR ? IB_ACCESS_LOCAL_WRITE : 0;

	if (check_add_overflow(sge->addr, (u64)off, iova))
		return ERR_PTR(-EACCES);
	return rxo_mr_get_local(pd, sge->lkey, access, *iova, len);
}

bool rxo_sge_check(struct ib_pd *pd, const struct rxe_sge *sge, u32 num,
		   enum rxo_dir dir)
{
	struct rxo_mr *mr;
	u64 iova;

	for (; num; sge++, num--) {
		/* A key does not matter where no byte moves. */
		if (!sge->length)
			continue;
		mr = rxo_sge_get_mr(pd, sge, 0, sge->length, dir, &iova);
		if (IS_ERR(mr))
			return false;
		rxo_mr_put(mr);
	}
	return true;
}

static int rxo_sge_copy_one(struct ib_pd *pd, struct rxo_park *park,
			    const struct rxe_sge *sge, u32 off, void *buf,
			    size_t len, size_t rest, enum rxo_dir dir)
{
	struct rxo_mr *mr;
	u64 iova;
	int ret;

	mr = rxo_sge_get_mr(pd, sge, off, len, dir, &iova);
	if (IS_ERR(mr))
		return PTR_ERR(mr);
	ret = rxo_access_copy(mr, iova, buf, len, dir);
	if (ret == -EAGAIN)
		ret = rxo_park(park, mr, iova, len,
			       min_t(size_t, rest, sge->length - off), dir);
	rxo_mr_put(mr);
	return ret;
}

int rxo_sge_copy(struct ib_pd *pd, struct rxo_park *park,
		 const struct rxe_sge *sge, u32 num, u32 off, void *buf,
		 size_t len, size_t rest, enum rxo_dir dir)
{
	int ret;

	for (; len && num; sge++, num--) {
		size_t n;

		if (off >= sge->length) {
			off -= sge->length;
			continue;
		}
		n = min_t(size_t, len, sge->length - off);
		ret = rxo_sge_copy_one(pd, park, sge, off, buf, n, rest, dir);
		if (ret)
			return ret;
		off = 0;
		buf += n;
		len -= n;
		rest -= n;
	}
	return len ? -EACCES : 0;
}
