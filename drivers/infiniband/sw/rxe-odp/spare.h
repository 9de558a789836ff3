/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets that never leave this module, see local.h, and so can be used again: kernels
 * that clear what they allocate (init_on_alloc) would write a packet's bytes three times.
 */
#ifndef RXO_SPARE_H
#define RXO_SPARE_H

#include <linux/skbuff.h>

/* In skb->cb of a packet on its way to a QP, and until it is given to the stack. */
struct rxo_spare_cb {
	u8 kind; /* 0: not one of ours */
};

static inline struct rxo_spare_cb *rxo_spare_cb(const struct sk_buff *skb)
{
	return (struct rxo_spare_cb *)skb->cb;
}

/**
 * rxo_spare_is() - is it a packet from rxo_spare_get()
 * @skb: from there, from alloc_skb(), or rxo_spare_disown() was here
 */
static inline bool rxo_spare_is(const struct sk_buff *skb)
{
	return rxo_spare_cb(skb)->kind;
}

/* A packet of the stack's, which has had its own use for skb->cb. */
static inline void rxo_spare_disown(struct sk_buff *skb)
{
	rxo_spare_cb(skb)->kind = 0;
}

void rxo_spare_init(void);

/* Free all. No packet is under way. */
void rxo_spare_exit(void);

/**
 * rxo_spare_get() - an empty packet that goes to a QP of this host and nowhere else
 * @size: bytes it has room for, headers included
 *
 * It holds what it held before. Like any packet it may be given back by kfree_skb().
 *
 * Context: bottom halves disabled.
 * Return: the packet, or NULL without memory.
 */
struct sk_buff *rxo_spare_get(unsigned int size);

/**
 * rxo_spare_put() - a packet has been used: keep it, if it is from rxo_spare_get()
 * @skb: any packet that nobody else has; consumed
 *
 * Context: bottom halves disabled.
 */
void rxo_spare_put(struct sk_buff *skb);

#endif /* RXO_SPARE_H */
