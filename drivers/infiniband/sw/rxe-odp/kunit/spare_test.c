// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that are used again are as good as new, and none of another's is kept.
 */
#include <kunit/test.h>
#include <net/dst.h>
#include <net/net_namespace.h>

#include "../spare.h"
#include "env.h"

/* More than are kept of a kind. */
#define SPARE_MANY 100

static struct sk_buff *spare_new(struct kunit *test, unsigned int size)
{
	struct sk_buff *skb = rxo_spare_get(size);

	if (skb) {
		KUNIT_EXPECT_TRUE(test, rxo_spare_is(skb));
		KUNIT_EXPECT_EQ(test, skb->len, 0);
		KUNIT_EXPECT_PTR_EQ(test, skb->data, skb->head);
		KUNIT_EXPECT_GE(test, skb_tailroom(skb), size);
		KUNIT_EXPECT_FALSE(test, skb_is_nonlinear(skb));
		KUNIT_EXPECT_NULL(test, skb_dst(skb));
		KUNIT_EXPECT_NULL(test, skb->dev);
	}
	return skb;
}

/* Used as a packet of @size bytes. */
static void spare_use(struct sk_buff *skb, unsigned int size)
{
	skb_reserve(skb, size / 3);
	skb_put_zero(skb, size - size / 3);
	skb_push(skb, size / 3);
	skb_reset_network_header(skb);
	skb_pull(skb, size / 2);
	skb->dev = init_net.loopback_dev;
}

/* What is given back comes next, if it is large enough. */
static void spare_again(struct kunit *test)
{
	static const unsigned int sizes[] = { 1,    256,  257,	1280,
					      1281, 4352, 4353, 20000 };
	struct sk_buff *skb, *again;
	int i;

	local_bh_disable();
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		skb = spare_new(test, sizes[i]);
		if (!skb)
			break;
		spare_use(skb, sizes[i]);
		rxo_spare_put(skb);
		again = spare_new(test, sizes[i]);
		if (!again)
			break;
		if (sizes[i] <= 4352)
			KUNIT_EXPECT_PTR_EQ(test, again, skb);
		rxo_spare_put(again);
	}
	local_bh_enable();
	KUNIT_EXPECT_EQ(test, i, ARRAY_SIZE(sizes));
}

/* However many there were at a time, all are whole, and no two the same. */
static void spare_many(struct kunit *test)
{
	static struct sk_buff *skb[SPARE_MANY];
	int round, i, k;

	local_bh_disable();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < SPARE_MANY; i++) {
			skb[i] = spare_new(test, 1 + i % 4352);
			if (!skb[i])
				break;
			for (k = 0; k < i; k++)
				KUNIT_EXPECT_PTR_NE(test, skb[i], skb[k]);
			spare_use(skb[i], 1 + i % 4352);
		}
		KUNIT_EXPECT_EQ(test, i, SPARE_MANY);
		while (i--)
			rxo_spare_put(skb[i]);
	}
	local_bh_enable();
}

/* The stack's packets, and one that somebody else still has. */
static void spare_foreign(struct kunit *test)
{
	struct sk_buff *skb = rxo_env_skb(), *shared, *next;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	local_bh_disable();
	memset(skb->cb, 0xa5, sizeof(skb->cb));
	rxo_spare_disown(skb);
	KUNIT_EXPECT_FALSE(test, rxo_spare_is(skb));
	skb_get(skb);
	rxo_spare_put(skb);
	/* Not kept: it would be nobody's otherwise. */
	KUNIT_EXPECT_FALSE(test, skb_shared(skb));

	shared = spare_new(test, 1);
	if (shared) {
		skb_get(shared);
		rxo_spare_put(shared);
		next = spare_new(test, 1);
		KUNIT_EXPECT_PTR_NE(test, next, shared);
		kfree_skb(next);
		kfree_skb(shared);
	}
	local_bh_enable();
	kfree_skb(skb);
}

static struct kunit_case spare_cases[] = {
	KUNIT_CASE(spare_again),
	KUNIT_CASE(spare_many),
	KUNIT_CASE(spare_foreign),
	{}
};

static struct kunit_suite spare_suite = {
	.name = "rxo_spare",
	.test_cases = spare_cases,
};

kunit_test_suite(spare_suite);
