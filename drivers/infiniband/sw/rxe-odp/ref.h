/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Handles: how packets and work requests find an object by number.
 *
 * ib_core frees verbs objects as soon as their destroy op returns, without an
 * RCU grace period. So a table of numbers holds not the objects but handles,
 * small and freed by RCU, and destroying waits until no user of the handle is
 * left.
 *
 *	lookup, softirq				destroy, process
 *	---------------				----------------
 *	rcu_read_lock
 *	ref = xa_load
 *						xa_erase
 *						drop the first reference
 *	refcount_inc_not_zero
 *	  fails: no such object
 *	  succeeds: ...				wait_for_completion
 *	rxo_ref_put -> complete
 *						free the object
 *						kfree_rcu(ref)
 *
 * The table is a tree, and packet after packet asks for the same few numbers. So each CPU
 * remembers what it has found, until a handle is taken out of any table:
 *
 *	lookup, softirq				destroy, process
 *	---------------				----------------
 *	rcu_read_lock
 *	look at the number of kills
 *						xa_erase
 *						one kill more
 *	the same as ever: use what was found
 *	  refcount_inc_not_zero
 *	rcu_read_unlock				drop, wait, free the object
 *						kfree_rcu(ref), after the reader
 *	rcu_read_lock
 *	another number: look into the table
 */
#ifndef RXO_REF_H
#define RXO_REF_H

#include <linux/completion.h>
#include <linux/refcount.h>
#include <linux/xarray.h>

struct rxo_ref {
	refcount_t users;
	struct completion idle; /* completed when users drops to 0 */
	void *obj;
	struct rcu_head rcu;
};

/**
 * rxo_ref_alloc() - a handle, not yet in any table
 * @obj: what it stands for
 *
 * Context: may sleep.
 * Return: a handle with the reference that rxo_ref_kill() drops, or NULL.
 */
struct rxo_ref *rxo_ref_alloc(void *obj);

/**
 * rxo_ref_get() - look a number up
 * @xa: the table
 * @index: the number
 *
 * Context: process or softirq.
 * Return: a handle with a reference, or NULL when there is none or its object is
 * being destroyed.
 */
struct rxo_ref *rxo_ref_get(struct xarray *xa, unsigned long index);

/**
 * rxo_ref_put() - done with a handle
 * @ref: from rxo_ref_get()
 *
 * Context: any.
 */
static inline void rxo_ref_put(struct rxo_ref *ref)
{
	if (refcount_dec_and_test(&ref->users))
		complete(&ref->idle);
}

/**
 * rxo_ref_kill() - take a number out of its table and wait for its users
 * @xa: the table
 * @index: the number
 * @ref: the handle; gone on return
 *
 * Context: may sleep; the caller holds no reference of its own.
 */
void rxo_ref_kill(struct xarray *xa, unsigned long index, struct rxo_ref *ref);

#endif /* RXO_REF_H */
