// SPDX-License-Identifier: GPL-2.0
/*
 * Parking on faults of real pages, the test's own, and when a side gives up.
 */
#include <linux/delay.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "../mr.h"
#include "../park.h"
#include "../qp.h"
#include "env.h"

#define PARK_IOVA 0x123456789000ull

struct park_env {
	struct rxo_env *env;
	struct rxo_qp qp;
	struct rxo_park park; /* none of the QP's own: no step looks at it */
	struct rxo_mr mr;
};

static void park_env_fini(void *arg)
{
	struct park_env *p = arg;

	rxo_park_cancel(&p->park);
	rxo_qp_reset(&p->qp);
	hmm_mirror_put(p->mr.mirror);
}

/* A region of @bytes of fresh memory; the test is the QP's runner. */
static struct park_env *park_env_get(struct kunit *test, size_t bytes)
{
	struct park_env *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	p->env = test->priv;
	p->qp.dev = &p->env->dev;
	spin_lock_init(&p->qp.rq.lock);
	rxo_qp_init_engine(&p->qp, p->env->fault_wq, p->env->run_wq);
	rxo_park_init(&p->park, &p->qp, p->env->fault_wq);
	p->mr.va = kunit_vm_mmap(test, NULL, 0, bytes, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, 0);
	KUNIT_ASSERT_FALSE(test, !p->mr.va || IS_ERR_VALUE(p->mr.va));
	p->mr.iova = PARK_IOVA;
	p->mr.len = bytes;
	p->mr.mirror = hmm_mirror_kunit_get(&p->env->dev.mirrors);
	KUNIT_ASSERT_FALSE(test, IS_ERR(p->mr.mirror));
	rxo_run_enter(&p->qp);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, park_env_fini, p));
	return p;
}

static int park_at(struct park_env *p, u64 off, size_t need, size_t rest,
		   enum rxo_dir dir)
{
	return rxo_park(&p->park, &p->mr, p->mr.iova + off, need, rest, dir);
}

/* Wait for the fault's end, as the event would tell. */
static void park_wait(struct kunit *test, struct park_env *p)
{
	unsigned long end = jiffies + 60 * HZ;

	while (rxo_park_waiting(&p->park) && time_before(jiffies, end))
		usleep_range(20, 200);
	KUNIT_ASSERT_FALSE(test, rxo_park_started(&p->park));
}

static bool park_present(struct park_env *p, u64 off, size_t len,
			 unsigned int flags)
{
	return hmm_mirror_present(p->mr.mirror, p->mr.va + off, len, flags);
}

/* A fault brings what the packet needs, and what the message will need. */
static void park_fault(struct kunit *test)
{
	struct park_env *p = park_env_get(test, SZ_64K);

	KUNIT_EXPECT_FALSE(test, rxo_park_waiting(&p->park));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			park_at(p, 100, 200, 5 * PAGE_SIZE, RXO_TO_MR));
	KUNIT_EXPECT_TRUE(test, rxo_park_started(&p->park));
	park_wait(test, p);
	KUNIT_EXPECT_EQ(test, p->park.err, 0);
	KUNIT_EXPECT_TRUE(test, park_present(p, 100, 5 * PAGE_SIZE,
					     HMM_MIRROR_WRITE));
	KUNIT_EXPECT_FALSE(test, park_present(p, 6 * PAGE_SIZE, 1, 0));
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_parks), 1);
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_resumes), 1);
	KUNIT_EXPECT_TRUE(test, p->qp.run.events & RXO_EV_RESUME);

	/* Not beyond the region, whatever the message's length. */
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			park_at(p, 8 * PAGE_SIZE, 1, SIZE_MAX, RXO_FROM_MR));
	KUNIT_EXPECT_EQ(test, p->park.want, SZ_64K - 8 * PAGE_SIZE);
	park_wait(test, p);
	KUNIT_EXPECT_EQ(test, p->park.err, 0);
	KUNIT_EXPECT_TRUE(test, park_present(p, 8 * PAGE_SIZE,
					     SZ_64K - 8 * PAGE_SIZE, 0));
}

/* A hole counts only when it is the packet's turn; then it counts once. */
static void park_hole(struct kunit *test)
{
	struct park_env *p = park_env_get(test, SZ_64K);
	unsigned long hole = 3 * PAGE_SIZE;

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(p->mr.va + hole, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			park_at(p, 0, PAGE_SIZE, SZ_64K, RXO_TO_MR));
	park_wait(test, p);
	KUNIT_EXPECT_EQ(test, p->park.err, 0);
	KUNIT_EXPECT_TRUE(test, park_present(p, 0, hole, HMM_MIRROR_WRITE));

	rxo_park_progress(&p->park);
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			park_at(p, hole - 1, 2, SZ_4K, RXO_TO_MR));
	park_wait(test, p);
	KUNIT_EXPECT_EQ(test, -EFAULT,
			park_at(p, hole - 1, 2, SZ_4K, RXO_TO_MR));
	KUNIT_EXPECT_FALSE(test, rxo_park_started(&p->park));
	/* Told, so a new access is a new matter. */
	KUNIT_EXPECT_EQ(test, p->park.tries, 0);
	KUNIT_EXPECT_EQ(test, -EAGAIN, park_at(p, 0, 1, 1, RXO_TO_MR));
	park_wait(test, p);
	KUNIT_EXPECT_EQ(test, p->park.err, 0);
}

/* As if the fault had ended, and its page gone again at once. */
static void park_lost_again(struct kunit *test, struct park_env *p)
{
	KUNIT_ASSERT_EQ(test, -EAGAIN, park_at(p, 0, 1, 1, RXO_FROM_MR));
	park_wait(test, p);
}

/* A side gives up after so many tries that also took so long; not before. */
static void park_bounds(struct kunit *test)
{
	struct park_env *p = park_env_get(test, SZ_64K);
	unsigned long long_ago = RXO_PARK_SECONDS * HZ + 10;
	int i;

	/* Long, but few. */
	park_lost_again(test, p);
	KUNIT_EXPECT_EQ(test, p->park.tries, 1);
	p->park.since -= long_ago;
	for (i = 1; i < RXO_PARK_TRIES; i++)
		park_lost_again(test, p);
	KUNIT_EXPECT_EQ(test, p->park.tries, RXO_PARK_TRIES);
	/* Many, but quick. */
	p->park.since = jiffies;
	for (i = 0; i < 20; i++)
		park_lost_again(test, p);
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_fault_retries),
			RXO_PARK_TRIES + 20 - 1);
	p->park.since = jiffies - (RXO_PARK_SECONDS - 5) * HZ;
	park_lost_again(test, p);
	/* Both. */
	p->park.since = jiffies - long_ago;
	KUNIT_EXPECT_EQ(test, -EFAULT, park_at(p, 0, 1, 1, RXO_FROM_MR));
	KUNIT_EXPECT_FALSE(test, rxo_park_started(&p->park));
	/* It starts over. */
	KUNIT_EXPECT_EQ(test, p->park.tries, 0);
	park_lost_again(test, p);
	KUNIT_EXPECT_EQ(test, p->park.tries, 1);
	KUNIT_EXPECT_TRUE(test, time_before_eq(p->park.since, jiffies) &&
			  time_after(p->park.since, jiffies - 60 * HZ));
}

/* Progress in between, and neither tries nor time add up. */
static void park_progress(struct kunit *test)
{
	struct park_env *p = park_env_get(test, SZ_64K);
	int i;

	for (i = 0; i < RXO_PARK_TRIES + 50; i++) {
		park_lost_again(test, p);
		p->park.since -= RXO_PARK_SECONDS * HZ / 4;
		if (i % 3 == 2)
			rxo_park_progress(&p->park);
		KUNIT_EXPECT_LE(test, p->park.tries, 3);
	}
	/* Time goes by jiffies, which wrap. */
	rxo_park_progress(&p->park);
	park_lost_again(test, p);
	p->park.tries = RXO_PARK_TRIES;
	p->park.since = jiffies + 5;
	park_lost_again(test, p);
}

struct park_block {
	struct work_struct work;
	struct completion started, go;
};

static void park_block_work(struct work_struct *work)
{
	struct park_block *b = container_of(work, struct park_block, work);

	complete(&b->started);
	wait_for_completion(&b->go);
}

static void park_block_end(void *arg)
{
	struct park_block *b = arg;

	complete_all(&b->go);
	flush_work(&b->work);
}

static void park_wq_end(void *wq)
{
	destroy_workqueue(wq);
}

/* A workqueue where nothing begins before complete_all(&b->go). */
static struct workqueue_struct *park_blocked_wq(struct kunit *test,
						struct park_block *b)
{
	struct workqueue_struct *wq = alloc_ordered_workqueue("kunit", 0);

	KUNIT_ASSERT_TRUE(test, wq && b);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, park_wq_end, wq));
	init_completion(&b->started);
	init_completion(&b->go);
	INIT_WORK(&b->work, park_block_work);
	queue_work(wq, &b->work);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, park_block_end, b));
	wait_for_completion(&b->started);
	return wq;
}

/*
 * A fault that is cancelled gives its mirror back, whether it has begun or not;
 * what is kept shows when the device ends.
 */
static void park_cancel(struct kunit *test)
{
	struct park_block *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct workqueue_struct *wq = park_blocked_wq(test, b);
	struct park_env *p = park_env_get(test, SZ_64K);
	struct rxo_env *env = test->priv;
	int i;

	/* Behind another one it has not begun. */
	p->park.wq = wq;
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				park_at(p, 0, 1, SZ_64K, RXO_TO_MR));
		KUNIT_EXPECT_TRUE(test, rxo_park_waiting(&p->park));
		rxo_park_cancel(&p->park);
		KUNIT_EXPECT_FALSE(test, rxo_park_started(&p->park));
		KUNIT_EXPECT_EQ(test, p->park.tries, 0);
	}
	KUNIT_EXPECT_EQ(test, rxo_env_count(env, RXO_CNT_resumes), 0);
	KUNIT_EXPECT_FALSE(test, park_present(p, 0, 1, 0));
	complete_all(&b->go);

	/* At some moment of its life. */
	for (i = 0; i < 200; i++) {
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				park_at(p, 0, 1, SZ_64K, RXO_TO_MR));
		udelay(rxo_env_below(env, 100));
		rxo_park_cancel(&p->park);
		KUNIT_EXPECT_FALSE(test, rxo_park_started(&p->park));
		vm_munmap(p->mr.va + SZ_32K, PAGE_SIZE);
	}
	kunit_info(test, "%llu of 200 had ended\n",
		   rxo_env_count(env, RXO_CNT_resumes));
}

static void park_needs_cpus(struct kunit *test)
{
	if (!rxo_prefault_helps(SZ_1M))
		kunit_skip(test, "no CPU is there to bring others");
}

/* Wait for what is needed first, from @off on, of a message of @rest bytes. */
static void park_long(struct kunit *test, struct park_env *p, u64 off,
		      size_t rest)
{
	KUNIT_ASSERT_EQ(test, -EAGAIN, park_at(p, off, 1, rest, RXO_TO_MR));
	park_wait(test, p);
	KUNIT_EXPECT_EQ(test, p->park.err, 0);
	KUNIT_EXPECT_TRUE(test, park_present(p, off, p->park.want,
					     HMM_MIRROR_WRITE));
}

/* Where the part ends that the side has waited for. */
static u64 park_part_end(const struct park_env *p)
{
	return p->park.addr + p->park.want - p->mr.va;
}

/*
 * As park_env_get(), for a megabyte, and no prefault begins before complete_all(&(*b)->go):
 * where it meets the side it leaves something to that.
 */
static struct park_env *park_held_get(struct kunit *test, struct park_block **b)
{
	struct workqueue_struct *wq;
	struct park_env *p;

	*b = kunit_kzalloc(test, sizeof(**b), GFP_KERNEL);
	wq = park_blocked_wq(test, *b);
	p = park_env_get(test, SZ_1M);
	park_needs_cpus(test);
	p->park.prefault.wq = wq;
	return p;
}

/* The side waits for the first part of a long message, and not for the others. */
static void park_parts(struct kunit *test)
{
	struct park_block *b;
	struct park_env *p = park_held_get(test, &b);
	size_t rest = SZ_1M - 2 * PAGE_SIZE;

	park_long(test, p, 100, rest);
	KUNIT_EXPECT_LE(test, p->park.want, RXO_PREFAULT_PART);
	KUNIT_EXPECT_EQ(test, p->park.want + p->park.more, rest);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(p->park.part_end,
					   RXO_PREFAULT_PART));
	KUNIT_EXPECT_TRUE(test, p->park.prefault.busy);
	complete_all(&b->go);
	flush_work(&p->park.prefault.work);
	KUNIT_EXPECT_FALSE(test, p->park.prefault.busy);
	KUNIT_EXPECT_TRUE(test, park_present(p, 100, rest, HMM_MIRROR_WRITE));
	KUNIT_EXPECT_FALSE(test, park_present(p, SZ_1M - 1, 1, 0));
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_prefaults), 1);

	/* When it comes to the next part all have been asked for. */
	park_long(test, p, park_part_end(p), rest - p->park.want);
	KUNIT_EXPECT_LE(test, p->park.want, RXO_PREFAULT_PART);
	KUNIT_EXPECT_EQ(test, p->park.more, 0);
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_prefaults), 1);
	KUNIT_EXPECT_FALSE(test, park_present(p, SZ_1M - 1, 1, 0));
}

/* Nothing is brought of what the process has touched, and there are no parts. */
static void park_touched(struct kunit *test)
{
	struct park_env *p = park_env_get(test, SZ_1M);

	KUNIT_ASSERT_EQ(test, 0,
			clear_user((void __user *)p->mr.va, SZ_1M));
	park_long(test, p, 0, SZ_1M);
	KUNIT_EXPECT_TRUE(test, park_present(p, 0, SZ_1M, HMM_MIRROR_WRITE));
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_prefaults), 0);
}

static void park_whole(struct kunit *test)
{
	struct park_env *p = park_env_get(test, SZ_1M);

	KUNIT_EXPECT_EQ(test, -EAGAIN,
			rxo_park_whole(&p->park, &p->mr, p->mr.iova, 1, SZ_1M,
				       RXO_FROM_MR));
	park_wait(test, p);
	KUNIT_EXPECT_TRUE(test, park_present(p, 0, SZ_1M, 0));
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_prefaults), 0);
}

/* A hole in a later part is no trouble until the side comes to it. */
static void park_parts_hole(struct kunit *test)
{
	struct park_block *b;
	struct park_env *p = park_held_get(test, &b);
	unsigned long hole = 600 * SZ_1K;
	u64 after = ALIGN(p->mr.va + hole + 1, RXO_PREFAULT_PART) - p->mr.va;

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(p->mr.va + hole, PAGE_SIZE));
	park_long(test, p, 0, SZ_1M);
	complete_all(&b->go);
	flush_work(&p->park.prefault.work);
	KUNIT_EXPECT_TRUE(test, park_present(p, 0, hole, HMM_MIRROR_WRITE));
	KUNIT_EXPECT_TRUE(test, park_present(p, after, SZ_1M - after,
					     HMM_MIRROR_WRITE));
	rxo_park_progress(&p->park);
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			park_at(p, hole - 1, 2, SZ_1M - hole, RXO_TO_MR));
	park_wait(test, p);
	KUNIT_EXPECT_EQ(test, -EFAULT,
			park_at(p, hole - 1, 2, SZ_1M - hole, RXO_TO_MR));
}

/* A message in parts is one to a stream, and looked ahead of once. */
static void park_stream(struct kunit *test)
{
	struct park_env *p = park_env_get(test, SZ_1M);

	park_needs_cpus(test);
	park_long(test, p, 0, SZ_512K);
	KUNIT_EXPECT_EQ(test, p->park.ahead, 0);
	park_long(test, p, park_part_end(p), SZ_512K - p->park.want);
	KUNIT_EXPECT_EQ(test, p->park.look, 0);
	park_long(test, p, SZ_512K, SZ_256K);
	KUNIT_EXPECT_EQ(test, p->park.ahead, RXO_STREAM_AHEAD_MIN);
	KUNIT_EXPECT_EQ(test, p->park.look, RXO_STREAM_AHEAD_MIN);
	park_long(test, p, park_part_end(p), SZ_256K - p->park.want);
	KUNIT_EXPECT_EQ(test, p->park.look, 0);
	park_long(test, p, SZ_512K + SZ_256K + RXO_STREAM_AHEAD_MIN, SZ_64K);
	KUNIT_EXPECT_EQ(test, p->park.ahead, 2 * RXO_STREAM_AHEAD_MIN);
}

/* What comes too late brings nothing: by now it may be somebody else's memory. */
static void park_late(struct kunit *test)
{
	struct park_block *b;
	struct park_env *p = park_held_get(test, &b);
	u64 off;

	for (off = 0; off < SZ_512K; off = park_part_end(p))
		park_long(test, p, off, SZ_512K - off);
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_prefaults), 1);
	/* Another one waits for no prefault, and gets none. */
	park_long(test, p, SZ_512K, SZ_512K);
	park_long(test, p, park_part_end(p), SZ_64K);
	KUNIT_EXPECT_TRUE(test, p->park.prefault.busy);
	KUNIT_EXPECT_EQ(test, rxo_env_count(p->env, RXO_CNT_prefaults), 1);

	KUNIT_ASSERT_EQ(test, p->mr.va,
			vm_mmap(NULL, p->mr.va, SZ_1M, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0));
	complete_all(&b->go);
	flush_work(&p->park.prefault.work);
	KUNIT_EXPECT_FALSE(test, p->park.prefault.busy);
	for (off = 0; off < SZ_1M; off += PAGE_SIZE)
		KUNIT_EXPECT_FALSE(test, park_present(p, off, 1, 0));
}

/* As park_cancel(): what is kept shows when the device ends. */
static void park_parts_cancel(struct kunit *test)
{
	struct park_block *b;
	struct park_env *p = park_held_get(test, &b);
	int i;

	for (i = 0; i < 3; i++) {
		park_long(test, p, 0, SZ_1M);
		KUNIT_EXPECT_TRUE(test, p->park.prefault.busy);
		rxo_park_cancel(&p->park);
		KUNIT_EXPECT_FALSE(test, p->park.prefault.busy);
	}
	complete_all(&b->go);
	flush_work(&b->work);
	KUNIT_EXPECT_FALSE(test, park_present(p, SZ_1M - 1, 1, 0));

	/* At some moment of its life. */
	p->park.prefault.wq = p->park.wq;
	for (i = 0; i < 200; i++) {
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				park_at(p, 0, 1, SZ_1M, RXO_TO_MR));
		udelay(rxo_env_below(p->env, 400));
		rxo_park_cancel(&p->park);
		KUNIT_EXPECT_FALSE(test, p->park.prefault.busy);
		KUNIT_ASSERT_EQ(test, p->mr.va,
				vm_mmap(NULL, p->mr.va, SZ_1M,
					PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
					0));
	}
	kunit_info(test, "%llu of 200 had come to a prefault\n",
		   rxo_env_count(p->env, RXO_CNT_prefaults) - 3);
}

static struct kunit_case park_cases[] = {
	KUNIT_CASE(park_fault),
	KUNIT_CASE(park_hole),
	KUNIT_CASE(park_bounds),
	KUNIT_CASE(park_progress),
	KUNIT_CASE(park_cancel),
	KUNIT_CASE(park_parts),
	KUNIT_CASE(park_touched),
	KUNIT_CASE(park_whole),
	KUNIT_CASE(park_parts_hole),
	KUNIT_CASE(park_stream),
	KUNIT_CASE(park_late),
	KUNIT_CASE(park_parts_cancel),
	{}
};

static struct kunit_suite park_suite = {
	.name = "rxo_park",
	.init = rxo_env_init,
	.test_cases = park_cases,
};

kunit_test_suite(park_suite);
