// SPDX-License-Identifier: GPL-2.0
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/seq_file.h>
#include <linux/wait.h>
#include <rdma/hmm_mirror.h>

#include "dev.h"
#include "mr.h"
#include "park.h"
#include "qp.h"
#include "trace.h"

/*
 * A doorbell that is rung. What misses in a softirq on top of it waits for its end, if
 * the page is its own, and no worker is woken:
 *
 *	doorbell, process			softirq on top of it
 *	-----------------			--------------------
 *	rxo_bells of this CPU: current
 *	kick: run, send
 *						receive, run, miss
 *						rxo_bells of this CPU: it is
 *						current; lock; onto its list
 *	lock; take, helpers++; unlock
 *	bring it, or queue_work
 *	helpers--, wake
 *	no more rung
 *	lock; what is left: queue_work
 *
 * On another CPU, or when a worker runs the QP, the miss is somebody else's, and the
 * doorbell finds it among the sides whose worker has not begun, by address space:
 *
 *	park, softirq		helper, process		worker		cancel
 *	-------------		---------------		------		------
 *	lock; list
 *	queue_work; unlock
 *				lock; unlist
 *				cancel_work: mine
 *				helpers++; unlock	never runs
 *				bring it, or
 *				queue_work again			unlist
 *				helpers--, wake
 *									no helpers
 *									cancel_work_sync
 *
 * When it has been brought the side may park anew, and be helped by somebody else, before
 * its helper has left: so they are counted.
 */
struct rxo_park_list {
	spinlock_t lock;
	struct list_head parks;
};

static struct rxo_park_list rxo_park_lists[64];

/*
 * Who rang on this CPU. @bell is right if @task is current: a task that went on to
 * another CPU takes its name away from here before its bell ends.
 */
struct rxo_bells {
	struct task_struct *task;
	struct rxo_bell *bell;
};

static DEFINE_PER_CPU(struct rxo_bells, rxo_bells);

/* Woken when a helper is done; its park may be gone by then. */
static DECLARE_WAIT_QUEUE_HEAD(rxo_park_helped);

static struct rxo_park_list *rxo_park_list(const struct mm_struct *mm)
{
	return &rxo_park_lists[hash_ptr(mm, ilog2(ARRAY_SIZE(rxo_park_lists)))];
}

void rxo_park_init_lists(void)
{
	struct rxo_park_list *list;

	for (list = rxo_park_lists;
	     list < rxo_park_lists + ARRAY_SIZE(rxo_park_lists); list++) {
		spin_lock_init(&list->lock);
		INIT_LIST_HEAD(&list->parks);
	}
}

/* From now on no helper takes it. Return: true if nobody else has it either. */
static bool rxo_park_unlist(struct rxo_park *park)
{
	struct rxo_park_list *list = park->list;
	bool at_hand;

	spin_lock_bh(&list->lock);
	list_del_init(&park->waiting);
	at_hand = park->at_hand;
	park->at_hand = false;
	spin_unlock_bh(&list->lock);
	return at_hand;
}

/* The fault has ended. */
static void rxo_park_done(struct rxo_park *park, int err)
{
	struct rxo_qp *qp = park->qp;
	u64 usec;

	/* Taken away while it was brought: as good as not tried. */
	park->err = err == -EBUSY ? 0 : err;
	hmm_mirror_put(park->mirror);
	rxo_count(qp->dev, resumes);
	usec = ktime_us_delta(ktime_get(), park->begun);
	rxo_latency_add(&qp->dev->fault_latency, usec);
	trace_rxo_resume(qp, park, usec, err);
	/* Pairs with rxo_park_waiting(): err is seen with the state. */
	smp_store_release(&park->state, RXO_PARK_DONE);
	rxo_run_kick(qp, RXO_EV_RESUME);
}

static unsigned int rxo_park_flags(const struct rxo_park *park)
{
	return park->write ? HMM_MIRROR_WRITE : HMM_MIRROR_READ;
}

/* What the process has touched costs nothing, and then there is nothing to bring. */
static void rxo_park_start_prefault(struct rxo_park *park, unsigned int flags)
{
	unsigned long addr = park->addr + park->want;
	unsigned int rights = rxo_park_flags(park);

	if (!park->more)
		return;
	hmm_mirror_fault(park->mirror, addr, park->more,
			 flags | HMM_MIRROR_SNAPSHOT);
	if (!hmm_mirror_present(park->mirror, addr, park->more, rights) &&
	    rxo_prefault_start(&park->prefault, park->mirror, addr, park->more,
			       rights))
		rxo_count(park->qp->dev, prefaults);
}

static void rxo_park_look_further(const struct rxo_park *park,
				  unsigned int flags)
{
	if (park->look)
		hmm_mirror_fault(park->mirror,
				 park->addr + park->want + park->more,
				 park->look, flags | HMM_MIRROR_SNAPSHOT);
}

static void rxo_park_work(struct work_struct *work)
{
	struct rxo_park *park = container_of(work, struct rxo_park, work);
	unsigned int flags = rxo_park_flags(park);
	int err;

	rxo_park_unlist(park);
	rxo_park_start_prefault(park, flags);
	err = hmm_mirror_fault(park->mirror, park->addr, park->want, flags);
	/* A hole further on is not yet this packet's trouble. */
	if (err && park->want > park->need)
		err = hmm_mirror_fault(park->mirror, park->addr, park->need,
				       flags);
	if (!err)
		rxo_park_look_further(park, flags);
	rxo_park_done(park, err);
}

/*
 * For all helpers, and its worker has it.
 *
 * queue_work() is under the lock because cancel_work() takes even an idle work's
 * pending bit for a moment, and queue_work() does nothing then.
 */
static void rxo_park_list_add(struct rxo_park *park)
{
	lockdep_assert_held(&park->list->lock);

	list_add(&park->waiting, &park->list->parks);
	WARN_ON_ONCE(!queue_work(park->wq, &park->work));
}

/* Take one away from its worker, which must not have begun. */
static struct rxo_park *rxo_park_take_queued(struct rxo_park_list *list,
					     const struct mm_struct *mm)
{
	struct rxo_park *park, *next;
	unsigned int looks = RXO_HELP_LOOKS;

	lockdep_assert_held(&list->lock);

	list_for_each_entry_safe(park, next, &list->parks, waiting) {
		if (!looks--)
			break;
		if (hmm_mirror_mm(park->mirror) != mm ||
		    park->want > RXO_HELP_MAX)
			continue;
		list_del_init(&park->waiting);
		if (cancel_work(&park->work))
			return park;
	}
	return NULL;
}

static struct rxo_park *rxo_park_take(struct rxo_park_list *list,
				      struct rxo_bell *bell)
{
	struct rxo_park *park;

	if (list_empty_careful(&bell->parks) &&
	    list_empty_careful(&list->parks))
		return NULL;

	spin_lock_bh(&list->lock);
	park = list_first_entry_or_null(&bell->parks, struct rxo_park, waiting);
	if (park) {
		list_del_init(&park->waiting);
		park->at_hand = false;
	} else {
		park = rxo_park_take_queued(list, current->mm);
	}
	if (park)
		atomic_inc(&park->helpers);
	spin_unlock_bh(&list->lock);
	return park;
}

/* Return: false if there is something to wait for, or to be said by a worker. */
static bool rxo_park_bring(struct rxo_park *park)
{
	unsigned int flags = rxo_park_flags(park) | HMM_MIRROR_NOWAIT;
	bool brought;

	rxo_park_start_prefault(park, flags);
	brought = !hmm_mirror_fault(park->mirror, park->addr, park->want,
				    flags);
	if (brought) {
		rxo_park_look_further(park, flags);
		rxo_count(park->qp->dev, parks_helped);
		rxo_park_done(park, 0);
	} else {
		WARN_ON_ONCE(!queue_work(park->wq, &park->work));
	}
	/* It may go now. */
	atomic_dec_return_release(&park->helpers);
	if (wq_has_sleeper(&rxo_park_helped))
		wake_up_all(&rxo_park_helped);
	return brought;
}

void rxo_bell_ring(struct rxo_bell *bell, struct rxo_qp *qp)
{
	struct rxo_bells *here;

	INIT_LIST_HEAD(&bell->parks);
	bell->qp = qp;
	bell->paused = false;
	bell->cpu = get_cpu();
	here = this_cpu_ptr(&rxo_bells);
	WRITE_ONCE(here->bell, bell);
	/* The compiler keeps the order, and only this CPU looks at both. */
	barrier();
	WRITE_ONCE(here->task, current);
	put_cpu();
}

/* The bell that the task rings which the caller is in, or on top of; it is not preempted. */
static struct rxo_bell *rxo_bell_rung(void)
{
	struct rxo_bells *here = this_cpu_ptr(&rxo_bells);

	return READ_ONCE(here->task) == current ? READ_ONCE(here->bell) : NULL;
}

/* The same, if it is rung by the process with @mm. */
static struct rxo_bell *rxo_bell_here(const struct mm_struct *mm)
{
	return current->mm == mm ? rxo_bell_rung() : NULL;
}

bool rxo_bell_pauses(struct rxo_qp *qp)
{
	struct rxo_bell *bell;

	rxo_run_assert(qp);
	/* A softirq is on top of whatever task. */
	if (in_serving_softirq())
		return false;
	preempt_disable();
	bell = rxo_bell_rung();
	preempt_enable();
	if (!bell || bell->qp != qp || list_empty_careful(&bell->parks))
		return false;
	bell->paused = true;
	rxo_count(qp->dev, sends_paused);
	return true;
}

/* Return: false if there is nothing to go on with. */
static bool rxo_bell_resume(struct rxo_bell *bell)
{
	if (!bell->paused)
		return false;
	bell->paused = false;
	rxo_run_kick(bell->qp, RXO_EV_DOORBELL);
	return true;
}

/* Nothing more comes onto its list. */
static void rxo_bell_fall_silent(struct rxo_bell *bell)
{
	struct rxo_bells *there = per_cpu_ptr(&rxo_bells, bell->cpu);

	/* Somebody else may have rung there since. */
	cmpxchg(&there->task, current, NULL);
}

/* What it has not brought is for others. */
static void rxo_bell_give_back(struct rxo_bell *bell,
			       struct rxo_park_list *list)
{
	struct rxo_park *park, *next;

	/* Who cancels a park may just be taking it off our stack: both links count. */
	if (list_empty_careful(&bell->parks))
		return;
	spin_lock_bh(&list->lock);
	list_for_each_entry_safe(park, next, &bell->parks, waiting) {
		list_del(&park->waiting);
		park->at_hand = false;
		rxo_park_list_add(park);
	}
	spin_unlock_bh(&list->lock);
}

void rxo_bell_end(struct rxo_bell *bell)
{
	struct rxo_park_list *list = rxo_park_list(current->mm);
	struct rxo_park *park;
	unsigned int i;

	for (i = 0; i < RXO_HELP_LOOKS; i++) {
		park = rxo_park_take(list, bell);
		if (park ? !rxo_park_bring(park) : !rxo_bell_resume(bell))
			break;
	}

	rxo_bell_fall_silent(bell);
	rxo_bell_give_back(bell, list);
	rxo_bell_resume(bell);
}

void rxo_park_init(struct rxo_park *park, struct rxo_qp *qp,
		   struct workqueue_struct *wq)
{
	park->wq = wq;
	park->qp = qp;
	INIT_LIST_HEAD(&park->waiting);
	INIT_WORK(&park->work, rxo_park_work);
	rxo_prefault_init(&park->prefault, wq);
}

/* For @total bytes from park->addr on, where the region has @left. */
static void rxo_park_look_ahead(struct rxo_park *park, size_t total, u64 left)
{
	unsigned long end = PAGE_ALIGN(park->next);

	if (park->addr <= end && park->addr + park->need > end)
		park->ahead = clamp_t(size_t, park->ahead * 2,
				      RXO_STREAM_AHEAD_MIN,
				      RXO_STREAM_AHEAD_MAX);
	else
		park->ahead = 0;
	park->ahead = min_t(u64, park->ahead, left - total);
	park->look = park->ahead;
	park->next = park->addr + total + park->ahead;
}

/* Has the message that is in parts come to another of them? */
static bool rxo_park_goes_on(const struct rxo_park *park)
{
	return park->addr >= park->part_end && park->addr < park->message_end;
}

static void rxo_park_want_part(struct rxo_park *park, size_t total)
{
	size_t part = RXO_PREFAULT_PART -
		      (park->addr & (RXO_PREFAULT_PART - 1));

	park->want = min(total, max(part, park->need));
	park->part_end = park->addr + park->want;
}

static void rxo_park_choose(struct rxo_park *park, size_t rest, u64 left,
			    bool whole)
{
	size_t total = max_t(size_t, park->need,
			     min3((u64)rest, left, (u64)RXO_FAULT_AHEAD));

	park->more = 0;
	if (!whole && rxo_park_goes_on(park)) {
		park->look = 0;
		rxo_park_want_part(park, total);
		rxo_prefault_pass(&park->prefault, park->part_end);
		return;
	}
	rxo_prefault_pass(&park->prefault, ULONG_MAX);
	rxo_park_look_ahead(park, total, left);
	if (whole || !rxo_prefault_helps(total)) {
		park->want = total;
		park->message_end = 0;
		return;
	}
	rxo_park_want_part(park, total);
	park->more = total - park->want;
	park->message_end = park->addr + total;
}

static int rxo_park_fault(struct rxo_park *park, struct rxo_mr *mr, u64 iova,
			  size_t need, size_t rest, enum rxo_dir dir,
			  bool whole)
{
	struct rxo_park_list *list;
	struct rxo_bell *bell;
	int err = park->err;

	rxo_run_assert(park->qp);
	if (!park->tries)
		park->since = jiffies;
	if (!err && park->tries++ >= RXO_PARK_TRIES &&
	    time_after(jiffies, park->since + RXO_PARK_SECONDS * HZ))
		err = -EFAULT;
	if (err) {
		rxo_park_progress(park);
		return err;
	}
	if (park->tries > 1)
		rxo_count(park->qp->dev, fault_retries);

	park->mirror = mr->mirror;
	park->addr = iova - mr->iova + mr->va;
	park->need = need;
	rxo_park_choose(park, rest, mr->len - (iova - mr->iova), whole);
	park->write = dir == RXO_TO_MR;
	park->state = RXO_PARK_WAITING;
	park->begun = ktime_get();
	hmm_mirror_hold(park->mirror);
	rxo_count(park->qp->dev, parks);
	trace_rxo_park(park->qp, park);
	list = rxo_park_list(hmm_mirror_mm(park->mirror));
	park->list = list;
	spin_lock_bh(&list->lock);
	bell = rxo_bell_here(hmm_mirror_mm(park->mirror));
	if (bell && park->want <= RXO_HELP_MAX) {
		park->at_hand = true;
		list_add_tail(&park->waiting, &bell->parks);
	} else {
		rxo_park_list_add(park);
	}
	spin_unlock_bh(&list->lock);
	return -EAGAIN;
}

int rxo_park(struct rxo_park *park, struct rxo_mr *mr, u64 iova, size_t need,
	     size_t rest, enum rxo_dir dir)
{
	return rxo_park_fault(park, mr, iova, need, rest, dir, false);
}

int rxo_park_whole(struct rxo_park *park, struct rxo_mr *mr, u64 iova,
		   size_t need, size_t rest, enum rxo_dir dir)
{
	return rxo_park_fault(park, mr, iova, need, rest, dir, true);
}

bool rxo_park_ended(struct rxo_park *park)
{
	rxo_run_assert(park->qp);
	/* Pairs with rxo_park_done(). */
	if (smp_load_acquire(&park->state) == RXO_PARK_WAITING)
		return false;
	park->state = RXO_PARK_NONE;
	return true;
}

void rxo_park_cancel(struct rxo_park *park)
{
	bool mine = false;

	rxo_run_assert(park->qp);
	if (park->list) {
		mine = rxo_park_unlist(park);
		wait_event(rxo_park_helped,
			   !atomic_read_acquire(&park->helpers));
	}
	/* One that never ran still holds its mirror. */
	if (cancel_work_sync(&park->work) || mine)
		hmm_mirror_put(park->mirror);
	rxo_prefault_cancel(&park->prefault);
	park->message_end = 0;
	park->state = RXO_PARK_NONE;
	rxo_park_progress(park);
}

void rxo_park_show(struct rxo_park *park, const char *side, struct seq_file *m)
{
	unsigned int busy;

	rxo_prefault_show(&park->prefault, side, m);
	if (READ_ONCE(park->state) != RXO_PARK_WAITING)
		return;
	busy = work_busy(&park->work);
	seq_printf(m, "; %s waits %lld ms to %s %zu at %#lx:%s%s%s%s", side,
		   ktime_ms_delta(ktime_get(), park->begun),
		   park->write ? "write" : "read", park->want, park->addr,
		   park->at_hand ? " bell" : "",
		   atomic_read(&park->helpers) ? " helper" : "",
		   busy & WORK_BUSY_PENDING ? " queued" : "",
		   busy & WORK_BUSY_RUNNING ? " worker" : "");
}
