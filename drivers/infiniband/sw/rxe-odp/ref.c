// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#include "ref.h"

/* For each CPU, by number: a power of 2. */
#define RXO_REF_SLOTS 64

/*
 * What was found last for a number. @kills: rxo_ref_kills before it was; while that is the
 * same @ref is still the one, and as no reader of RCU sees that who comes after the grace
 * period, it is not freed either.
 */
struct rxo_ref_slot {
	const struct xarray *xa;
	unsigned long index;
	s64 kills;
	struct rxo_ref *ref;
};

/* Only with bottom halves disabled, on their CPU. */
static DEFINE_PER_CPU(struct rxo_ref_slot, rxo_ref_slots[RXO_REF_SLOTS]);

/* Handles that have been taken out of any table. */
static atomic64_t rxo_ref_kills;

struct rxo_ref *rxo_ref_alloc(void *obj)
{
	struct rxo_ref *ref = kmalloc(sizeof(*ref), GFP_KERNEL_ACCOUNT);

	if (!ref)
		return NULL;
	refcount_set(&ref->users, 1);
	init_completion(&ref->idle);
	ref->obj = obj;
	return ref;
}

/* On a real-time kernel others may run meanwhile, and do the same. */
static bool rxo_ref_may_remember(void)
{
	return softirq_count() && !IS_ENABLED(CONFIG_PREEMPT_RT);
}

static struct rxo_ref *rxo_ref_find(struct xarray *xa, unsigned long index)
{
	struct rxo_ref_slot *slot;
	s64 kills;

	if (!rxo_ref_may_remember())
		return xa_load(xa, index);
	slot = this_cpu_ptr(&rxo_ref_slots[(index ^ ((unsigned long)xa >> 6)) %
					   RXO_REF_SLOTS]);
	/* Pairs with rxo_ref_kill(): who sees the number sees the table without it. */
	kills = atomic64_read_acquire(&rxo_ref_kills);
	if (slot->kills == kills && slot->index == index && slot->xa == xa)
		return slot->ref;
	slot->xa = xa;
	slot->index = index;
	slot->ref = xa_load(xa, index);
	/* What is not there may come without a word. */
	slot->kills = slot->ref ? kills : -1;
	return slot->ref;
}

struct rxo_ref *rxo_ref_get(struct xarray *xa, unsigned long index)
{
	struct rxo_ref *ref;

	rcu_read_lock();
	ref = rxo_ref_find(xa, index);
	if (ref && !refcount_inc_not_zero(&ref->users))
		ref = NULL;
	rcu_read_unlock();
	return ref;
}

void rxo_ref_kill(struct xarray *xa, unsigned long index, struct rxo_ref *ref)
{
	xa_erase_irq(xa, index);
	/* Pairs with rxo_ref_find(). */
	atomic64_fetch_inc_release(&rxo_ref_kills);
	rxo_ref_put(ref);
	wait_for_completion(&ref->idle);
	kfree_rcu(ref, rcu);
}
