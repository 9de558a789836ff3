// SPDX-License-Identifier: GPL-2.0
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "dev.h"
#include "quota.h"

static const u32 rxo_quota_max[RXO_KINDS] = {
	[RXO_KIND_CTX] = RXO_MAX_CTX,
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
 * @fault_wq: for its faults; empty when it closes the device for the last time
 * @run_wq: for the rests of its QPs' runs; likewise
 * @has: objects of each kind; it is there as long as it has the device open
 * @waiting: see rxo_quota_waiting()
 * @queued: see rxo_quota_queued()
 */
struct rxo_owner {
	struct rxo_quota *quota;
	struct list_head entry;
	struct pid *pid;
	struct workqueue_struct *fault_wq;
	struct workqueue_struct *run_wq;
	u32 has[RXO_KINDS];
	atomic_t waiting;
	atomic_t queued;
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

static int rxo_quota_count(struct rxo_owner *owner, enum rxo_kind kind)
{
	struct rxo_quota *quota = owner->quota;

	lockdep_assert_held(&quota->lock);
	if (owner->has[kind] >= rxo_quota_max[kind] - quota->given[kind])
		return -ENOMEM;
	owner->has[kind]++;
	quota->given[kind]++;
	return 0;
}

/*
 * On the CPU that spent the budget: packets over loopback and veth wait in a backlog of
 * each CPU, and another one would send its own past them.
 *
 * There one rest after another, in turn: else each has a thread of its own, and hundreds
 * of them that always have something to do leave others a share among hundreds. So a
 * process competes as one, with other processes' QPs too, which have their own queue.
 * None can wait for another: a run does not sleep and waits for no QP, and who does, to
 * enter it, is a verb, never on this queue.
 */
struct workqueue_struct *rxo_quota_alloc_run_wq(void)
{
	return alloc_workqueue("rxe_odp_run", WQ_PERCPU | WQ_CPU_INTENSIVE, 1);
}

static struct rxo_owner *rxo_quota_new_owner(struct rxo_quota *quota)
{
	struct rxo_owner *owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);

	if (!owner)
		return NULL;
	owner->fault_wq = alloc_workqueue("rxe_odp_fault", WQ_UNBOUND,
					  RXO_QUOTA_FAULTS);
	if (!owner->fault_wq)
		goto free_owner;
	owner->run_wq = rxo_quota_alloc_run_wq();
	if (!owner->run_wq)
		goto destroy_fault_wq;
	owner->quota = quota;
	owner->pid = get_pid(task_tgid(current));
	return owner;

destroy_fault_wq:
	destroy_workqueue(owner->fault_wq);
free_owner:
	kfree(owner);
	return NULL;
}

static void rxo_quota_free_owner(struct rxo_owner *owner)
{
	destroy_workqueue(owner->run_wq);
	destroy_workqueue(owner->fault_wq);
	put_pid(owner->pid);
	kfree(owner);
}

/*
 * Return: the calling process, one opening more, which may be @new from now on; NULL if it
 * is no owner yet and there is no @new; or ERR_PTR(-ENOMEM).
 */
static struct rxo_owner *rxo_quota_try_open(struct rxo_quota *quota,
					    struct rxo_owner *new)
{
	struct rxo_owner *owner;
	int err = 0;

	spin_lock(&quota->lock);
	owner = rxo_quota_find(quota, task_tgid(current)) ?: new;
	if (owner)
		err = rxo_quota_count(owner, RXO_KIND_CTX);
	if (!err && new && owner == new)
		list_add(&new->entry, &quota->owners);
	spin_unlock(&quota->lock);
	return err ? ERR_PTR(err) : owner;
}

struct rxo_owner *rxo_quota_open(struct rxo_quota *quota)
{
	struct rxo_owner *owner, *new;

	owner = rxo_quota_try_open(quota, NULL);
	if (owner)
		return owner;
	/* Not under the lock; another thread may be as far. */
	new = rxo_quota_new_owner(quota);
	if (!new)
		return ERR_PTR(-ENOMEM);
	owner = rxo_quota_try_open(quota, new);
	if (owner != new)
		rxo_quota_free_owner(new);
	return owner;
}

void rxo_quota_close(struct rxo_owner *owner)
{
	struct rxo_quota *quota = owner->quota;
	bool last;
	int i;

	spin_lock(&quota->lock);
	quota->given[RXO_KIND_CTX]--;
	last = !--owner->has[RXO_KIND_CTX];
	if (last)
		list_del(&owner->entry);
	spin_unlock(&quota->lock);
	if (!last)
		return;
	for (i = 0; i < RXO_KINDS; i++)
		WARN_ON(owner->has[i]);
	WARN_ON(atomic_read(&owner->waiting));
	WARN_ON(atomic_read(&owner->queued));
	rxo_quota_free_owner(owner);
}

struct workqueue_struct *rxo_quota_fault_wq(const struct rxo_owner *owner)
{
	return owner->fault_wq;
}

struct workqueue_struct *rxo_quota_run_wq(const struct rxo_owner *owner)
{
	return owner->run_wq;
}

int rxo_quota_take(struct rxo_owner *owner, enum rxo_kind kind)
{
	int ret;

	if (!owner)
		return 0;
	spin_lock(&owner->quota->lock);
	ret = rxo_quota_count(owner, kind);
	spin_unlock(&owner->quota->lock);
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

atomic_t *rxo_quota_waiting(struct rxo_owner *owner)
{
	return &owner->waiting;
}

atomic_t *rxo_quota_queued(struct rxo_owner *owner)
{
	return &owner->queued;
}
