// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "ref.h"

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

struct rxo_ref *rxo_ref_get(struct xarray *xa, unsigned long index)
{
	struct rxo_ref *ref;

	rcu_read_lock();
	ref = xa_load(xa, index);
	if (ref && !refcount_inc_not_zero(&ref->users))
		ref = NULL;
	rcu_read_unlock();
	return ref;
}

void rxo_ref_kill(struct xarray *xa, unsigned long index, struct rxo_ref *ref)
{
	xa_erase_irq(xa, index);
	rxo_ref_put(ref);
	wait_for_completion(&ref->idle);
	kfree_rcu(ref, rcu);
}
