// SPDX-License-Identifier: GPL-2.0
/*
 * Which routes lead to this host.
 */
#include <kunit/test.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/dst.h>
#include <net/net_namespace.h>

#include "../local.h"
#include "env.h"

/* A route that has ended leads nowhere, and least of all to the initial namespace. */
static void local_leads(struct kunit *test)
{
	struct dst_entry *dst = kunit_kzalloc(test, sizeof(*dst), GFP_KERNEL);
	struct sk_buff *skb = rxo_env_skb();

	KUNIT_ASSERT_NOT_NULL(test, dst);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	rcu_read_lock();
	skb_dst_set_noref(skb, dst);
	dst->dev = init_net.loopback_dev;
	KUNIT_EXPECT_TRUE(test, rxo_local_leads(skb));
	dst->dev = blackhole_netdev;
	KUNIT_EXPECT_FALSE(test, rxo_local_leads(skb));
	skb_dst_drop(skb);
	rcu_read_unlock();
	kfree_skb(skb);
}

static struct kunit_case local_cases[] = {
	KUNIT_CASE(local_leads),
	{}
};

static struct kunit_suite local_suite = {
	.name = "rxo_local",
	.test_cases = local_cases,
};

kunit_test_suite(local_suite);
