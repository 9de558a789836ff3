// SPDX-License-Identifier: GPL-2.0
#include <linux/percpu.h>
#include <net/dst.h>

#include "spare.h"

/* Of each kind and on each CPU, about as many as one run sends before they are received. */
#define RXO_SPARE_MAX 32

/*
 * Room of each kind, headers and the space before them included: for an ACK, and for
 * the payload of two path MTUs. A packet that waits in a queue takes little more
 * memory than it needs.
 */
static const unsigned int rxo_spare_room[] = { 256, 1280, 4352 };

struct rxo_spare {
	struct sk_buff_head list[ARRAY_SIZE(rxo_spare_room)]; /* its lock */
};

static DEFINE_PER_CPU(struct rxo_spare, rxo_spare);

static struct sk_buff *rxo_spare_take(struct sk_buff_head *list)
{
	struct sk_buff *skb;

	spin_lock(&list->lock);
	skb = __skb_dequeue(list);
	spin_unlock(&list->lock);
	return skb;
}

static bool rxo_spare_keep(struct sk_buff_head *list, struct sk_buff *skb)
{
	bool room;

	spin_lock(&list->lock);
	room = skb_queue_len(list) < RXO_SPARE_MAX;
	if (room)
		__skb_queue_head(list, skb);
	spin_unlock(&list->lock);
	return room;
}

struct sk_buff *rxo_spare_get(unsigned int size)
{
	struct sk_buff *skb = NULL;
	unsigned int kind = 0;

	lockdep_assert_in_softirq();
	while (kind < ARRAY_SIZE(rxo_spare_room) && size > rxo_spare_room[kind])
		kind++;
	if (kind < ARRAY_SIZE(rxo_spare_room)) {
		size = rxo_spare_room[kind];
		skb = rxo_spare_take(&this_cpu_ptr(&rxo_spare)->list[kind]);
	}
	if (!skb)
		skb = alloc_skb(size, GFP_ATOMIC | __GFP_NOWARN);
	if (skb)
		rxo_spare_cb(skb)->kind = kind + 1;
	return skb;
}

void rxo_spare_put(struct sk_buff *skb)
{
	unsigned int kind = rxo_spare_cb(skb)->kind;

	lockdep_assert_in_softirq();
	if (!kind || kind > ARRAY_SIZE(rxo_spare_room) || skb_shared(skb)) {
		consume_skb(skb);
		return;
	}
	skb_dst_drop(skb);
	skb->dev = NULL; /* may be gone when it is used again */
	skb->data = skb->head;
	skb->len = 0;
	skb_reset_tail_pointer(skb);
	if (!rxo_spare_keep(&this_cpu_ptr(&rxo_spare)->list[kind - 1], skb))
		consume_skb(skb);
}

void rxo_spare_init(void)
{
	struct rxo_spare *spare;
	int cpu, i;

	for_each_possible_cpu(cpu) {
		spare = per_cpu_ptr(&rxo_spare, cpu);
		for (i = 0; i < ARRAY_SIZE(rxo_spare_room); i++)
			skb_queue_head_init(&spare->list[i]);
	}
}

void rxo_spare_exit(void)
{
	struct rxo_spare *spare;
	int cpu, i;

	for_each_possible_cpu(cpu) {
		spare = per_cpu_ptr(&rxo_spare, cpu);
		for (i = 0; i < ARRAY_SIZE(rxo_spare_room); i++)
			skb_queue_purge(&spare->list[i]);
	}
}
