// SPDX-License-Identifier: GPL-2.0
/*
 * Handles and keys: who gets a reference, and that none is left when the object
 * goes.
 */
#include <linux/delay.h>
#include <linux/slab.h>

#include "../key.h"
#include "../ref.h"
#include "env.h"

#define REF_ALIVE 0x600df00dul
#define REF_ROUNDS 2000

struct ref_object {
	unsigned long alive;
	unsigned long number;
};

struct ref_race {
	struct xarray xa;
	unsigned long index;
	atomic_t got;
	atomic_t missed;
	atomic_t wrong; /* an object that was dead, or another */
};

static void ref_basics(struct kunit *test)
{
	struct ref_object *obj = kunit_kzalloc(test, sizeof(*obj), GFP_KERNEL);
	struct rxo_ref *ref, *again;
	struct xarray xa;

	KUNIT_ASSERT_NOT_NULL(test, obj);
	xa_init_flags(&xa, XA_FLAGS_LOCK_IRQ);
	KUNIT_EXPECT_NULL(test, rxo_ref_get(&xa, 7));
	ref = rxo_ref_alloc(obj);
	KUNIT_ASSERT_NOT_NULL(test, ref);
	KUNIT_EXPECT_FALSE(test, xa_is_err(xa_store_irq(&xa, 7, ref,
							GFP_KERNEL)));
	again = rxo_ref_get(&xa, 7);
	KUNIT_EXPECT_PTR_EQ(test, ref, again);
	KUNIT_EXPECT_PTR_EQ(test, again->obj, (void *)obj);
	KUNIT_EXPECT_EQ(test, refcount_read(&ref->users), 2);
	rxo_ref_put(again);
	KUNIT_EXPECT_FALSE(test, completion_done(&ref->idle));
	rxo_ref_kill(&xa, 7, ref);
	KUNIT_EXPECT_NULL(test, rxo_ref_get(&xa, 7));
	KUNIT_EXPECT_TRUE(test, xa_empty(&xa));
}

/* Look it up, and at it for a while. Return: a reference, or NULL. */
static struct rxo_ref *ref_look(struct ref_race *r, unsigned int times)
{
	struct rxo_ref *ref = rxo_ref_get(&r->xa, r->index);
	struct ref_object *obj;
	unsigned long number;

	if (!ref) {
		atomic_inc(&r->missed);
		return NULL;
	}
	atomic_inc(&r->got);
	obj = ref->obj;
	number = READ_ONCE(obj->number);
	do {
		if (READ_ONCE(obj->alive) != REF_ALIVE ||
		    READ_ONCE(obj->number) != number)
			atomic_inc(&r->wrong);
		cpu_relax();
	} while (times--);
	return ref;
}

static int ref_getter(void *arg)
{
	struct ref_race *r = arg;
	unsigned int n = 0;
	struct rxo_ref *ref;

	while (!kthread_should_stop()) {
		if (!(++n & 63))
			cond_resched();
		ref = ref_look(r, n & 31);
		if (!ref)
			continue;
		if (!(n & 127))
			usleep_range(10, 100);
		rxo_ref_put(ref);
	}
	return 0;
}

/* As in softirq, where what was found before is remembered. */
static int ref_getter_bh(void *arg)
{
	struct ref_race *r = arg;
	unsigned int n = 0;
	struct rxo_ref *ref;

	while (!kthread_should_stop()) {
		local_bh_disable();
		ref = ref_look(r, ++n & 31);
		if (ref)
			rxo_ref_put(ref);
		local_bh_enable();
		if (!(n & 63))
			cond_resched();
	}
	return 0;
}

/* Objects come and go under lookups; ib_core frees them at once. */
static void ref_race(struct kunit *test)
{
	struct ref_race *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	struct rxo_env *env = test->priv;
	struct task_struct *getters[2];
	struct ref_object *obj;
	struct rxo_ref *ref;
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, r);
	xa_init_flags(&r->xa, XA_FLAGS_LOCK_IRQ);
	r->index = 1 + rxo_env_below(env, BIT(24) - 1);
	KUNIT_ASSERT_EQ(test, 0, xa_reserve_irq(&r->xa, r->index, GFP_KERNEL));
	getters[0] = hmm_mirror_kunit_thread(test, ref_getter, r);
	getters[1] = hmm_mirror_kunit_thread(test, ref_getter_bh, r);

	for (i = 0; i < REF_ROUNDS; i++) {
		obj = kmalloc(sizeof(*obj), GFP_KERNEL);
		ref = obj ? rxo_ref_alloc(obj) : NULL;
		KUNIT_ASSERT_NOT_NULL(test, ref);
		obj->alive = REF_ALIVE;
		obj->number = i;
		xa_store_irq(&r->xa, r->index, ref, GFP_KERNEL);
		udelay(rxo_env_below(env, 60));
		rxo_ref_kill(&r->xa, r->index, ref);
		/* Who is still there sees this, or KASAN sees him. */
		WRITE_ONCE(obj->alive, 0);
		kfree(obj);
		cond_resched();
	}
	for (i = 0; i < ARRAY_SIZE(getters); i++)
		hmm_mirror_kunit_stop(test, getters[i]);
	xa_destroy(&r->xa);
	kunit_info(test, "%d got, %d missed\n", atomic_read(&r->got),
		   atomic_read(&r->missed));
	KUNIT_EXPECT_GT(test, atomic_read(&r->got), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&r->wrong), 0);
}

static struct rxo_ref *ref_get_bh(struct xarray *xa, unsigned long index)
{
	struct rxo_ref *ref;

	local_bh_disable();
	ref = rxo_ref_get(xa, index);
	local_bh_enable();
	return ref;
}

/* What is remembered is of one table, one number, and not for longer than it is true. */
static void ref_remembered(struct kunit *test)
{
	struct rxo_ref *refs[2], *got;
	struct xarray xas[2];
	unsigned int i, n;

	xa_init_flags(&xas[0], XA_FLAGS_LOCK_IRQ);
	xa_init_flags(&xas[1], XA_FLAGS_LOCK_IRQ);
	for (n = 0; n < 3; n++) {
		for (i = 0; i < 2; i++) {
			KUNIT_EXPECT_NULL(test, ref_get_bh(&xas[i], 7));
			refs[i] = rxo_ref_alloc(&xas[i]);
			KUNIT_ASSERT_NOT_NULL(test, refs[i]);
			xa_store_irq(&xas[i], 7, refs[i], GFP_KERNEL);
		}
		for (i = 0; i < 10; i++) {
			got = ref_get_bh(&xas[i % 2], 7);
			KUNIT_ASSERT_PTR_EQ(test, got, refs[i % 2]);
			rxo_ref_put(got);
			/* Of the same slot. */
			KUNIT_EXPECT_NULL(test,
					  ref_get_bh(&xas[i % 2], 7 + 64));
		}
		for (i = 0; i < 2; i++) {
			rxo_ref_kill(&xas[i], 7, refs[i]);
			KUNIT_EXPECT_NULL(test, ref_get_bh(&xas[i], 7));
		}
	}
	KUNIT_EXPECT_TRUE(test, xa_empty(&xas[0]) && xa_empty(&xas[1]));
}

struct ref_killer {
	struct xarray xa;
	struct rxo_ref *ref;
	bool done;
};

static int ref_kill(void *arg)
{
	struct ref_killer *k = arg;

	rxo_ref_kill(&k->xa, 3, k->ref);
	smp_store_release(&k->done, true);
	return 0;
}

/* Kill waits for the reference that is out, and gives no new one meanwhile. */
static void ref_kill_waits(struct kunit *test)
{
	struct ref_killer *k = kunit_kzalloc(test, sizeof(*k), GFP_KERNEL);
	struct task_struct *killer;
	struct rxo_ref *held;

	KUNIT_ASSERT_NOT_NULL(test, k);
	xa_init_flags(&k->xa, XA_FLAGS_LOCK_IRQ);
	k->ref = rxo_ref_alloc(k);
	KUNIT_ASSERT_NOT_NULL(test, k->ref);
	xa_store_irq(&k->xa, 3, k->ref, GFP_KERNEL);
	held = rxo_ref_get(&k->xa, 3);
	KUNIT_ASSERT_NOT_NULL(test, held);

	killer = hmm_mirror_kunit_thread(test, ref_kill, k);
	while (xa_load(&k->xa, 3))
		cond_resched();
	msleep(20);
	KUNIT_EXPECT_NULL(test, rxo_ref_get(&k->xa, 3));
	KUNIT_EXPECT_FALSE(test, READ_ONCE(k->done));
	rxo_ref_put(held);
	hmm_mirror_kunit_stop(test, killer);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(k->done));
}

/* A key says which index, and a tag that nobody knows before. */
static void key_tags(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	struct rxo_dev *dev = &env->dev;
	unsigned int same = 0, i;
	struct rxo_key key, *found;
	u32 last = 0;

	for (i = 0; i < 600; i++) {
		/* Always the same index, which is what a bad day looks like. */
		dev->next_key = 77;
		KUNIT_ASSERT_EQ(test, 0, rxo_key_init(dev, &key, RXO_KEY_MW));
		KUNIT_EXPECT_EQ(test, key.key >> 8, 77);
		KUNIT_EXPECT_EQ(test, key.kind, RXO_KEY_MW);
		found = rxo_key_get(dev, key.key);
		KUNIT_EXPECT_PTR_EQ(test, found, &key);
		if (found)
			rxo_key_put(found);
		rxo_key_kill(dev, &key);
		KUNIT_EXPECT_NULL(test, rxo_key_get(dev, key.key));
		same += key.key == last;
		last = key.key;
	}
	/* 600 of 256: 2.3 are the expected; 20 happen once in 10^12 runs. */
	KUNIT_EXPECT_LT(test, same, 20);
}

static void key_cyclic(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	struct rxo_dev *dev = &env->dev;
	struct rxo_key keys[3];
	int i;

	/* Not the index that has just become free, and never 0. */
	dev->next_key = BIT(24) - 2;
	for (i = 0; i < 3; i++)
		KUNIT_ASSERT_EQ(test, 0,
				rxo_key_init(dev, &keys[i], RXO_KEY_MR));
	KUNIT_EXPECT_EQ(test, keys[0].key >> 8, BIT(24) - 2);
	KUNIT_EXPECT_EQ(test, keys[1].key >> 8, BIT(24) - 1);
	KUNIT_EXPECT_EQ(test, keys[2].key >> 8, 1);
	rxo_key_kill(dev, &keys[2]);
	KUNIT_ASSERT_EQ(test, 0, rxo_key_init(dev, &keys[2], RXO_KEY_MR));
	KUNIT_EXPECT_EQ(test, keys[2].key >> 8, 2);
	for (i = 0; i < 3; i++)
		rxo_key_kill(dev, &keys[i]);
	KUNIT_EXPECT_TRUE(test, xa_empty(&dev->keys));
}

/* Take all indices from @first to @last, without memory for each of them. */
static void key_occupy(struct kunit *test, struct xarray *xa,
		       unsigned long first, unsigned long last)
{
	unsigned int order;

	while (first <= last) {
		/* Orders that fill one slot of a node: those have a mark each. */
		for (order = 18; order; order -= XA_CHUNK_SHIFT)
			if (IS_ALIGNED(first, BIT(order)) &&
			    last - first >= BIT(order) - 1)
				break;
		XA_STATE_ORDER(xas, xa, first, order);

		do {
			xas_lock_irq(&xas);
			xas_store(&xas, xa_mk_value(1));
			xas_clear_mark(&xas, XA_FREE_MARK);
			xas_unlock_irq(&xas);
		} while (xas_nomem(&xas, GFP_KERNEL));
		KUNIT_ASSERT_EQ(test, 0, xas_error(&xas));
		first += BIT(order);
	}
}

/* With one index left that one is found; with none there is an error. */
static void key_exhaustion(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	struct rxo_dev *dev = &env->dev;
	unsigned long hole = 2 + rxo_env_below(env, BIT(24) - 4);
	struct rxo_key key, more;
	int i;

	if (XA_CHUNK_SHIFT != 6 || !IS_ENABLED(CONFIG_XARRAY_MULTI))
		kunit_skip(test, "this xarray is another");
	key_occupy(test, &dev->keys, 1, hole - 1);
	key_occupy(test, &dev->keys, hole + 1, BIT(24) - 1);
	for (i = 0; i < 5; i++) {
		dev->next_key = 1 + rxo_env_below(env, BIT(24) - 1);
		KUNIT_ASSERT_EQ(test, 0, rxo_key_init(dev, &key, RXO_KEY_MR));
		KUNIT_EXPECT_EQ(test, key.key >> 8, hole);
		KUNIT_EXPECT_EQ(test, -EBUSY,
				rxo_key_init(dev, &more, RXO_KEY_MR));
		rxo_key_kill(dev, &key);
	}
}

static struct kunit_case ref_cases[] = {
	KUNIT_CASE(ref_basics),
	KUNIT_CASE(ref_remembered),
	KUNIT_CASE(ref_race),
	KUNIT_CASE(ref_kill_waits),
	KUNIT_CASE(key_tags),
	KUNIT_CASE(key_cyclic),
	KUNIT_CASE(key_exhaustion),
	{}
};

static struct kunit_suite ref_suite = {
	.name = "rxo_ref",
	.init = rxo_env_init,
	.test_cases = ref_cases,
};

kunit_test_suite(ref_suite);
