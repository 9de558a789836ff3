// SPDX-License-Identifier: GPL-2.0
/*
 * What one QP may take from the others, and from the CPU.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>

#include "../alive.h"
#include "../compat/compat.h"
#include "../cq.h"
#include "../qp.h"
#include "../quota.h"
#include "../run.h"
#include "../wire/packet.h"
#include "../wire/rc.h"
#include "run_env.h"

/* The time is a limit for what hangs, not for what is slow. */
static void budget_await(struct kunit *test, struct run_env *b, int steps)
{
	unsigned long end = jiffies + 60 * HZ;

	while (atomic_read(&b->done) < steps && time_before(jiffies, end))
		usleep_range(100, 1000);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->done), steps);
}

/* What comes one by one, so that there is never more to do, is within the budget too. */
static void budget_events(struct kunit *test)
{
	struct run_env *b = run_env_get(test);

	b->follow = 10 * RUN_BUDGET;
	b->caller = current;
	run_give(b, true);
	KUNIT_EXPECT_LE(test, b->in_caller,
			RUN_BUDGET + RUN_BATCH);
	budget_await(test, b, 10 * RUN_BUDGET + 1);
	KUNIT_EXPECT_GE(test, rxo_env_count(b->env, RXO_CNT_budget_yields), 9);
}

/* In workers one QP's turn is not cut short by another's, and nobody has two in a row. */
static void budget_in_turn(struct kunit *test)
{
	struct run_env *b[4];
	struct run_turns *turns;
	unsigned int i;

	turns = kunit_kzalloc(test, sizeof(*turns), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, turns);
	for (i = 0; i < ARRAY_SIZE(b); i++) {
		b[i] = run_env_get(test);
		b[i]->chain = 4 * RUN_BUDGET - 1;
		b[i]->turns = turns;
		/* A budget takes longer than the scheduler lets anybody run. */
		b[i]->usec = 50;
	}
	/* All of it on this CPU. */
	migrate_disable();
	for (i = 0; i < ARRAY_SIZE(b); i++)
		run_give(b[i], true);
	migrate_enable();
	for (i = 0; i < ARRAY_SIZE(b); i++)
		budget_await(test, b[i], 4 * RUN_BUDGET);
	KUNIT_EXPECT_EQ(test, turns->cut, 0);
	KUNIT_EXPECT_LE(test, turns->steps, RUN_BUDGET);
}

static int budget_sum(struct run_env **b, unsigned int n)
{
	int sum = 0;

	while (n--)
		sum += atomic_read(&b[n]->done);
	return sum;
}

/* Who changes a QP does not wait for the turns of those before it. */
static void budget_enter(struct kunit *test)
{
	enum { MANY = 8 };
	struct run_env *b[MANY];
	struct rxo_qp *last;
	unsigned int i;
	int before;

	migrate_disable();
	for (i = 0; i < MANY; i++) {
		b[i] = run_env_get(test);
		b[i]->chain = 4 * RUN_BUDGET - 1;
		b[i]->usec = 50;
		run_give(b[i], true);
	}
	migrate_enable();
	before = budget_sum(b, MANY);
	last = &b[MANY - 1]->qp;
	rxo_run_enter(last);
	/* Two budgets: that of who was at it, and one for a scheduler of its own mind. */
	KUNIT_EXPECT_LE(test, budget_sum(b, MANY) - before, 2 * RUN_BUDGET);
	rxo_run_leave(last);
	for (i = 0; i < MANY; i++)
		budget_await(test, b[i], 4 * RUN_BUDGET);
}

static void budget_destroy_wq(void *wq)
{
	destroy_workqueue(wq);
}

/* A process with one QP has as much of a CPU as one with many. */
static void budget_of_processes(struct kunit *test)
{
	enum { MANY = 6, TURNS = 4 };
	struct run_env *b[MANY], *one;
	struct workqueue_struct *wq = rxo_quota_alloc_run_wq();
	unsigned int i;
	int before;

	KUNIT_ASSERT_NOT_NULL(test, wq);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, budget_destroy_wq, wq));
	for (i = 0; i < MANY; i++) {
		b[i] = run_env_get(test);
		b[i]->chain = 3 * TURNS * RUN_BUDGET - 1;
		b[i]->usec = 50;
	}
	one = run_env_get(test);
	one->chain = TURNS * RUN_BUDGET - 1;
	one->usec = 50;
	one->qp.run.wq = wq;
	/* All of it on this CPU. */
	migrate_disable();
	for (i = 0; i < MANY; i++)
		run_give(b[i], true);
	before = budget_sum(b, MANY);
	run_give(one, true);
	migrate_enable();
	budget_await(test, one, TURNS * RUN_BUDGET);
	/* In turn with all of them it would be as many times that. */
	KUNIT_EXPECT_LE(test, budget_sum(b, MANY) - before,
			MANY / 2 * (TURNS - 1) * RUN_BUDGET);
	for (i = 0; i < MANY; i++)
		budget_await(test, b[i], 3 * TURNS * RUN_BUDGET);
}

/* Packets wait, and only the timer makes the QP run. */
static void budget_timer(struct run_env *b, unsigned int packets, ktime_t at)
{
	struct rxo_run *run = &b->qp.run;

	rxo_run_enter(&b->qp);
	while (packets--)
		run_give(b, true);
	spin_lock_bh(&run->lock);
	run->events = 0;
	run->busy = false;
	spin_unlock_bh(&run->lock);
	hrtimer_start(&run->later, at, HRTIMER_MODE_ABS_PINNED_SOFT);
}

/* However many timers fire at once, they do not keep a softirq busy. */
static void budget_timers(struct kunit *test)
{
	enum { QPS = 32, PACKETS = 16 };
	struct run_env *b[QPS];
	unsigned int i, in_softirq = 0;
	ktime_t at;

	for (i = 0; i < QPS; i++) {
		b[i] = run_env_get(test);
		b[i]->usec = 100;
	}
	migrate_disable();
	at = ktime_add_ms(ktime_get(), 100);
	for (i = 0; i < QPS; i++)
		budget_timer(b[i], PACKETS, at);
	migrate_enable();
	for (i = 0; i < QPS; i++) {
		budget_await(test, b[i], PACKETS);
		in_softirq += b[i]->in_softirq;
	}
	/* The first few at once, the others in a worker. */
	KUNIT_EXPECT_GE(test, in_softirq, PACKETS);
	KUNIT_EXPECT_LE(test, in_softirq, QPS / 2 * PACKETS);
	KUNIT_EXPECT_GE(test, rxo_env_count(b[0]->env, RXO_CNT_budget_yields),
			QPS / 2);
}

/* Peers in a hurry are told in time, until too many of one process have to be. */
static void budget_keepalives(struct kunit *test)
{
	struct run_env *b = run_env_get(test);
	struct rxo_dev *dev = &b->env->dev;
	struct rxo_qp *qp = &b->qp;
	struct rxo_owner *owner;

	owner = rxo_quota_open(&dev->quota);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, owner);
	rxo_run_enter(qp);
	qp->owner = owner;
	qp->state = IB_QPS_RTS;
	qp->attr.timeout = 8; /* 1 ms */
	qp->resp.park.state = RXO_PARK_WAITING;

	/* 99 others of this process, and as many of all others. */
	atomic_set(rxo_quota_waiting(owner), 99);
	atomic_set(&dev->waiting, 2 * 99);
	rxo_alive_start(qp);
	KUNIT_EXPECT_EQ(test, atomic_read(rxo_quota_waiting(owner)), 100);
	KUNIT_EXPECT_EQ(test, atomic_read(&dev->waiting), 2 * 99 + 1);
	KUNIT_EXPECT_EQ(test, qp->alive.usec, 10000);
	rxo_alive_beat(qp);
	KUNIT_EXPECT_EQ(test, qp->alive.usec, 10000);
	/* Those of others do not count. */
	atomic_set(rxo_quota_waiting(owner), 1);
	rxo_alive_beat(qp);
	KUNIT_EXPECT_EQ(test, qp->alive.usec, rxo_timeout_usec(8) / 4);

	qp->resp.park.state = RXO_PARK_NONE;
	rxo_alive_beat(qp);
	KUNIT_EXPECT_EQ(test, atomic_read(rxo_quota_waiting(owner)), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&dev->waiting), 2 * 99);
	qp->owner = NULL;
	rxo_run_leave(qp);
	rxo_quota_close(owner);
}

/* More packets than are taken. Return: how many are. */
static u32 budget_fill(struct run_env *b)
{
	unsigned int i;

	for (i = 0; i < 300; i++)
		run_give(b, true);
	return skb_queue_len(&b->qp.run.requests);
}

/* Packets that wait are memory of the device, of which nobody has more than he leaves. */
static void budget_queued(struct kunit *test)
{
	struct run_env *b[4];
	struct rxo_owner *owner;
	atomic_t *queued;
	struct rxo_dev *dev;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(b); i++)
		b[i] = run_env_get(test);
	dev = &b[0]->env->dev;
	dev->max_queued = 200;
	owner = rxo_quota_open(&dev->quota);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, owner);
	queued = rxo_quota_queued(owner);
	for (i = 0; i < ARRAY_SIZE(b); i++) {
		rxo_run_enter(&b[i]->qp);
		b[i]->qp.owner = owner;
	}

	/* A half of it, whichever of the QPs it is; and each has some of its own. */
	KUNIT_EXPECT_EQ(test, budget_fill(b[0]), RUN_OWN + 100);
	KUNIT_EXPECT_EQ(test, budget_fill(b[1]), RUN_OWN);
	KUNIT_EXPECT_EQ(test, budget_fill(b[2]), RUN_OWN);
	KUNIT_EXPECT_EQ(test, atomic_read(queued), 100);
	/* As if all that were another process's: a half of the rest. */
	atomic_sub(100, queued);
	KUNIT_EXPECT_EQ(test, budget_fill(b[3]), RUN_OWN + 50);
	KUNIT_EXPECT_EQ(test, atomic_read(queued), 50);
	atomic_add(100, queued);
	KUNIT_EXPECT_EQ(test, atomic_read(&dev->queued), 150);
	KUNIT_EXPECT_EQ(test, rxo_env_count(b[0]->env, RXO_CNT_rcvd_queue_full),
			4 * 300 - 4 * RUN_OWN - 150);

	for (i = 0; i < ARRAY_SIZE(b); i++) {
		rxo_run_purge(&b[i]->qp);
		b[i]->qp.owner = NULL;
		rxo_run_leave(&b[i]->qp);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&dev->queued), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(queued), 0);
	rxo_quota_close(owner);
}

static struct kunit_case budget_cases[] = {
	KUNIT_CASE(budget_events),
	KUNIT_CASE(budget_in_turn),
	KUNIT_CASE(budget_enter),
	KUNIT_CASE(budget_of_processes),
	KUNIT_CASE(budget_timers),
	KUNIT_CASE(budget_keepalives),
	KUNIT_CASE(budget_queued),
	{}
};

static struct kunit_suite budget_suite = {
	.name = "rxo_budget",
	.init = rxo_env_init,
	.test_cases = budget_cases,
};

kunit_test_suite(budget_suite);
