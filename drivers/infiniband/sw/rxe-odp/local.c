// SPDX-License-Identifier: GPL-2.0
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/dst.h>

#include "local.h"
#include "net.h"

/* About as many as the stack lets wait for a CPU: net.core.netdev_max_backlog. */
#define RXO_LOCAL_MAX 1024

/* Then it is others' turn in this softirq. */
#define RXO_LOCAL_BATCH 64

static bool local_bypass = true;
module_param(local_bypass, bool, 0644);
MODULE_PARM_DESC(local_bypass,
		 "packets to this host's own addresses pass by the IP stack");

/*
 * Who sends is in the midst of something, so the receiver does not run on top of it, but
 * after it:
 *
 *	sender, bottom halves disabled		softirq of the same CPU
 *	------------------------------		-----------------------
 *	onto the queue; queue_work
 *	enable bottom halves
 *						take a batch
 *						deliver; answers are sent
 *						onto the queue; queue_work
 */
struct rxo_local {
	struct sk_buff_head queue; /* its lock */
	struct work_struct work;
};

static DEFINE_PER_CPU(struct rxo_local, rxo_local);

/*
 * The namespace whose loopback device the route leads to, or NULL. A route that ends leads
 * to the kernel's black hole from then on, which is a loopback device as well, and in the
 * initial namespace.
 */
static struct net *rxo_local_net(const struct dst_entry *dst)
{
	struct net_device *dev = READ_ONCE(dst->dev);
	struct net *net = dev_net(dev);

	return dev == net->loopback_dev ? net : NULL;
}

/* Take what is due now. Return: there is more. */
static bool rxo_local_take(struct rxo_local *local, struct sk_buff_head *taken)
{
	struct sk_buff *skb;
	bool more;
	int i;

	spin_lock_bh(&local->queue.lock);
	for (i = 0; i < RXO_LOCAL_BATCH; i++) {
		skb = __skb_dequeue(&local->queue);
		if (!skb)
			break;
		__skb_queue_tail(taken, skb);
	}
	more = !skb_queue_empty(&local->queue);
	spin_unlock_bh(&local->queue.lock);
	return more;
}

static void rxo_local_work(struct work_struct *work)
{
	struct rxo_local *local = container_of(work, struct rxo_local, work);
	struct rxo_net_row row = {};
	struct sk_buff_head taken;
	struct sk_buff *skb;
	struct net *net;

	__skb_queue_head_init(&taken);
	if (rxo_local_take(local, &taken))
		queue_work(system_bh_wq, work);

	rcu_read_lock();
	while ((skb = __skb_dequeue(&taken))) {
		net = rxo_local_net(skb_dst(skb));
		if (net)
			rxo_net_receive_local(&row, net, skb);
		else
			kfree_skb(skb); /* as the stack has it */
	}
	rxo_net_end_row(&row);
	rcu_read_unlock();
}

bool rxo_local_leads(const struct dst_entry *dst)
{
	return READ_ONCE(local_bypass) && rxo_local_net(dst);
}

bool rxo_local_send(struct sk_buff *skb)
{
	struct rxo_local *local = this_cpu_ptr(&rxo_local);
	bool first, full;

	lockdep_assert_in_softirq();
	spin_lock(&local->queue.lock);
	first = skb_queue_empty(&local->queue);
	full = skb_queue_len(&local->queue) >= RXO_LOCAL_MAX;
	if (!full)
		__skb_queue_tail(&local->queue, skb);
	spin_unlock(&local->queue.lock);
	if (full) {
		kfree_skb(skb);
		return false;
	}
	/* Else somebody has done so, or the work does when it has taken a batch. */
	if (first)
		queue_work(system_bh_wq, &local->work);
	return true;
}

void rxo_local_init(void)
{
	struct rxo_local *local;
	int cpu;

	for_each_possible_cpu(cpu) {
		local = per_cpu_ptr(&rxo_local, cpu);
		skb_queue_head_init(&local->queue);
		INIT_WORK(&local->work, rxo_local_work);
	}
}

/*
 * What a work leaves it queues itself for, and who waits for the work does not wait for
 * that. The one that runs now may take nothing more; then each takes a batch.
 */
static void rxo_local_flush_one(struct rxo_local *local)
{
	int left = 1 + RXO_LOCAL_MAX / RXO_LOCAL_BATCH;

	while (flush_work(&local->work) && --left)
		;
}

void rxo_local_flush(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		rxo_local_flush_one(per_cpu_ptr(&rxo_local, cpu));
}
