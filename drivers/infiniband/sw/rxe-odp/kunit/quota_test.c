// SPDX-License-Identifier: GPL-2.0
/*
 * How many objects a process gets: to their very end, of each kind.
 */
#include <linux/slab.h>

#include "../mr.h"
#include "../quota.h"
#include "../uctx.h"
#include "env.h"

static const u32 quota_max[RXO_KINDS] = {
	[RXO_KIND_CTX] = RXO_MAX_CTX,
	[RXO_KIND_PD] = RXO_MAX_PD,   [RXO_KIND_AH] = RXO_MAX_AH,
	[RXO_KIND_CQ] = RXO_MAX_CQ,   [RXO_KIND_SRQ] = RXO_MAX_SRQ,
	[RXO_KIND_QP] = RXO_MAX_QP,   [RXO_KIND_MR] = RXO_MAX_MR,
	[RXO_KIND_MW] = RXO_MAX_MW,
};

/* As many as there are. */
static u32 quota_take_all(struct rxo_owner *owner, enum rxo_kind kind)
{
	u32 n = 0;

	while (!rxo_quota_take(owner, kind))
		n++;
	return n;
}

static void quota_give_all(struct rxo_owner *owner, enum rxo_kind kind, u32 n)
{
	while (n--)
		rxo_quota_give(owner, kind);
}

/* However often it opens the device it has the same workers, and that has an end. */
static void quota_opens(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	struct rxo_quota *quota = &env->dev.quota;
	struct rxo_owner *owner = rxo_quota_open(quota);
	u32 n;

	KUNIT_ASSERT_FALSE(test, IS_ERR(owner));
	KUNIT_EXPECT_NOT_NULL(test, rxo_quota_fault_wq(owner));
	for (n = 1; n < RXO_MAX_CTX / 2; n++)
		KUNIT_ASSERT_PTR_EQ(test, owner, rxo_quota_open(quota));
	KUNIT_EXPECT_EQ(test, PTR_ERR(rxo_quota_open(quota)), -ENOMEM);
	rxo_quota_close(owner);
	KUNIT_EXPECT_PTR_EQ(test, owner, rxo_quota_open(quota));
	while (n--)
		rxo_quota_close(owner);
	KUNIT_EXPECT_TRUE(test, list_empty(&quota->owners));
	KUNIT_EXPECT_EQ(test, quota->given[RXO_KIND_CTX], 0);
}

/* One process, whatever it opens, gets a half; what it gives back it gets again. */
static void quota_one_process(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	struct rxo_quota *quota = &env->dev.quota;
	struct rxo_owner *owner = rxo_quota_open(quota);
	u32 n, some;
	int kind;

	KUNIT_ASSERT_FALSE(test, IS_ERR(owner));
	KUNIT_EXPECT_PTR_EQ(test, owner, rxo_quota_open(quota));
	rxo_quota_close(owner);
	for (kind = RXO_KIND_CTX + 1; kind < RXO_KINDS; kind++) {
		n = quota_take_all(owner, kind);
		KUNIT_EXPECT_EQ(test, n, quota_max[kind] / 2);
		KUNIT_EXPECT_EQ(test, rxo_quota_take(owner, kind), -ENOMEM);
		some = rxo_env_below(env, n);
		quota_give_all(owner, kind, some);
		KUNIT_EXPECT_EQ(test, quota_take_all(owner, kind), some);
	}
	/* The kernel's own are nobody's. */
	KUNIT_EXPECT_EQ(test, rxo_quota_take(NULL, RXO_KIND_PD), 0);
	rxo_quota_give(NULL, RXO_KIND_PD);
	for (kind = RXO_KIND_CTX + 1; kind < RXO_KINDS; kind++)
		quota_give_all(owner, kind, quota_max[kind] / 2);
	rxo_quota_close(owner);
	KUNIT_EXPECT_TRUE(test, list_empty(&quota->owners));
}

/*
 * A region counts whoever makes it, with what call: one too many is refused, and what
 * comes to nothing for another reason, as here a thread has no memory, does not count.
 */
static void quota_regions(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	struct rxo_quota *quota = &env->dev.quota;
	struct rxo_uctx uctx = { .owner = rxo_quota_open(quota) };
	struct ib_uobject uobject = { .context = &uctx.ib };
	struct ib_pd pd = { .device = &env->dev.ib, .uobject = &uobject };
	struct rxo_mr *mr;
	u32 n;

	KUNIT_ASSERT_FALSE(test, IS_ERR(uctx.owner));
	n = quota_take_all(uctx.owner, RXO_KIND_MR);
	mr = rxo_mr_create(&pd, PAGE_SIZE, 1, 0, IB_ACCESS_ON_DEMAND);
	KUNIT_EXPECT_EQ(test, PTR_ERR(mr), -ENOMEM);
	rxo_quota_give(uctx.owner, RXO_KIND_MR);
	mr = rxo_mr_create(&pd, PAGE_SIZE, 1, 0, IB_ACCESS_ON_DEMAND);
	KUNIT_EXPECT_EQ(test, PTR_ERR(mr), -EINVAL);
	KUNIT_EXPECT_EQ(test, quota->given[RXO_KIND_MR], n - 1);
	quota_give_all(uctx.owner, RXO_KIND_MR, n - 1);
	rxo_quota_close(uctx.owner);
	/* Nor is there any for the kernel. */
	pd.uobject = NULL;
	mr = rxo_mr_create(&pd, PAGE_SIZE, 1, 0, IB_ACCESS_ON_DEMAND);
	KUNIT_EXPECT_EQ(test, PTR_ERR(mr), -EOPNOTSUPP);
}

static struct kunit_case quota_cases[] = {
	KUNIT_CASE(quota_opens),
	KUNIT_CASE(quota_one_process),
	KUNIT_CASE(quota_regions),
	{}
};

static struct kunit_suite quota_suite = {
	.name = "rxo_quota",
	.init = rxo_env_init,
	.test_cases = quota_cases,
};

kunit_test_suite(quota_suite);
