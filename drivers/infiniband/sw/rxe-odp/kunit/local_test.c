// SPDX-License-Identifier: GPL-2.0
/*
 * Which routes lead to this host, and what is under way when nothing may be any more.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
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

	KUNIT_ASSERT_NOT_NULL(test, dst);
	rcu_read_lock();
	dst->dev = init_net.loopback_dev;
	KUNIT_EXPECT_TRUE(test, rxo_local_leads(dst));
	dst->dev = blackhole_netdev;
	KUNIT_EXPECT_FALSE(test, rxo_local_leads(dst));
	rcu_read_unlock();
}

/* As many as a CPU's queue takes; and in each batch of it one that takes long. */
#define LOCAL_PACKETS 1024
#define LOCAL_SLOW 64

static atomic_t local_gone;

static void local_destruct(struct sk_buff *skb)
{
	if (!(atomic_read(&local_gone) % LOCAL_SLOW))
		mdelay(5);
	atomic_inc(&local_gone);
}

struct local_flush {
	struct work_struct work;
	struct completion sent;
	int gone; /* when the flush was over */
};

static void local_flush_work(struct work_struct *work)
{
	struct local_flush *flush =
		container_of(work, struct local_flush, work);

	wait_for_completion(&flush->sent);
	rxo_local_flush();
	flush->gone = atomic_read(&local_gone);
}

/* The routes have ended, so that nobody receives them. */
static int local_fill(struct dst_entry *dst)
{
	struct sk_buff *skb;
	int n;

	for (n = 0; n < LOCAL_PACKETS; n++) {
		skb = rxo_env_skb();
		if (!skb)
			break;
		skb->destructor = local_destruct;
		rcu_read_lock();
		skb_dst_set_noref(skb, dst);
		rcu_read_unlock();
		rxo_local_send(skb);
	}
	return n;
}

/* All that was sent is gone after a flush, however many they are. */
static void local_flush(struct kunit *test)
{
	struct dst_entry *dst = kunit_kzalloc(test, sizeof(*dst), GFP_KERNEL);
	struct local_flush flush = {};
	int sent;

	KUNIT_ASSERT_NOT_NULL(test, dst);
	if (num_online_cpus() < 2)
		kunit_skip(test, "the packets and the flush take a CPU each");
	dst->dev = blackhole_netdev;
	atomic_set(&local_gone, 0);
	init_completion(&flush.sent);
	INIT_WORK_ONSTACK(&flush.work, local_flush_work);
	queue_work(system_unbound_wq, &flush.work);

	/* Here they wait until bottom halves may run. */
	local_bh_disable();
	sent = local_fill(dst);
	complete(&flush.sent);
	local_bh_enable();

	flush_work(&flush.work);
	destroy_work_on_stack(&flush.work);
	KUNIT_EXPECT_EQ(test, sent, LOCAL_PACKETS);
	KUNIT_EXPECT_EQ(test, flush.gone, sent);
	while (atomic_read(&local_gone) < sent)
		usleep_range(1000, 2000);
}

static struct kunit_case local_cases[] = {
	KUNIT_CASE(local_leads),
	KUNIT_CASE(local_flush),
	{}
};

static struct kunit_suite local_suite = {
	.name = "rxo_local",
	.test_cases = local_cases,
};

kunit_test_suite(local_suite);
