// SPDX-License-Identifier: GPL-2.0
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "dev.h"
#include "quota.h"

static const u32 rxo_quota_max[RXO_KINDS] = {
	[RXO_KIND_PD] = RXO_MAX_PD,   [RXO_KIND_AH] = RXO_MAX_AH,
	[RXO_KIND_CQ] = RXO_MAX_CQ,   [RXO_KIND_SRQ] = RXO_MAX_SRQ,
	[RXO_KIND_QP] = RXO_MAX_QP,   [RXO_KIND_MR] = RXO_MAX_MR,
	[RXO_KIND_MW] = RXO_MAX_MW,
};

/*
 * struct rxo_owner - a process that has the device open
 * @quota: of the device
 * @entry: among its owners
 * @pid: the process; objects that a child inherits stay its parent's
 * @contexts: how often it has the device open
 * @has: objects of each kind
 */
struct rxo_owner {
	struct rxo_quota *quota;
	struct list_head entry;
	struct pid *pid;
	u32 contexts;
	u32 has[RXO_KINDS];
};

void rxo_quota_init(struct rxo_quota *quota)
{
	spin_lock_init(&quota->lock);
	INIT_LIST_HEAD(&quota->owners);
}

static struct rxo_owner *rxo_quota_find(struct rxo_quota *quota,
					struct pid *pid)
{
	struct rxo_owner *owner;

	lockdep_assert_held(&quota->lock);
	list_for_each_entry(owner, &quota->owners, entry)
		if (owner->pid == pid)
			return owner;
	return NULL;
}

struct rxo_owner *rxo_quota_open(struct rxo_quota *quota)
{
	struct rxo_owner *new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	struct rxo_owner *owner;

	if (!new)
		return NULL;
	spin_lock(&quota->lock);
	owner = rxo_quota_find(quota, task_tgid(current));
	if (!owner) {
		new->quota = quota;
		new->pid = get_pid(task_tgid(current));
		list_add(&new->entry, &quota->owners);
		swap(owner, new);
	}
	owner->contexts++;
	spin_unlock(&quota->lock);
	kfree(new);
	return owner;
}

void rxo_quota_close(struct rxo_owner *owner)
{
	struct rxo_quota *quota = owner->quota;
	bool last;
	int i;

	spin_lock(&quota->lock);
	last = !--owner->contexts;
	if (last)
		list_del(&owner->entry);
	spin_unlock(&quota->lock);
	if (!last)
		return;
	for (i = 0; i < RXO_KINDS; i++)
		WARN_ON(owner->has[i]);
	put_pid(owner->pid);
	kfree(owner);
}

int rxo_quota_take(struct rxo_owner *owner, enum rxo_kind kind)
{
	struct rxo_quota *quota;
	int ret = -ENOMEM;

	if (!owner)
		return 0;
	quota = owner->quota;
	spin_lock(&quota->lock);
	if (owner->has[kind] < rxo_quota_max[kind] - quota->given[kind]) {
		owner->has[kind]++;
		quota->given[kind]++;
		ret = 0;
	}
	spin_unlock(&quota->lock);
	return ret;
}

void rxo_quota_give(struct rxo_owner *owner, enum rxo_kind kind)
{
	struct rxo_quota *quota;

	if (!owner)
		return;
	quota = owner->quota;
	spin_lock(&quota->lock);
	owner->has[kind]--;
	quota->given[kind]--;
	spin_unlock(&quota->lock);
}
