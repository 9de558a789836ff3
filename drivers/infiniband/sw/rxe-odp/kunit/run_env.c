// SPDX-License-Identifier: GPL-2.0
#include <linux/delay.h>

#include "../compat/compat.h"
#include "../run.h"
#include "../wire/packet.h"
#include "run_env.h"

static void run_env_fini(void *arg)
{
	struct run_env *r = arg;

	rxo_run_enter(&r->qp);
	/* So that what goes on by itself comes to an end. */
	r->chain = 0;
	r->follow = 0;
	rxo_run_leave(&r->qp);
	tasklet_kill(&r->tasklet);
}

static void run_tasklet(struct tasklet_struct *tasklet)
{
	run_give(container_of(tasklet, struct run_env, tasklet), true);
}

struct run_env *run_env_get(struct kunit *test)
{
	struct run_env *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->env = test->priv;
	r->test = test;
	rxo_env_qp(r->env, &r->qp, &r->cq);
	tasklet_setup(&r->tasklet, run_tasklet);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, run_env_fini, r));
	return r;
}

static void run_turn(struct run_env *r)
{
	struct run_turns *turns = r->turns;

	if (!turns || !(current->flags & PF_WQ_WORKER))
		return;
	if (turns->last != r) {
		turns->cut += turns->steps % RUN_BUDGET != 0;
		turns->last = r;
		turns->steps = 0;
	}
	turns->steps++;
}

/* The runner has come to a packet. */
static void run_step(struct sk_buff *skb)
{
	struct run_env *r = *(struct run_env **)skb->cb;

	if (atomic_inc_return(&r->inside) != 1 || !READ_ONCE(r->qp.run.busy))
		atomic_inc(&r->twice);
	if (in_serving_softirq())
		r->in_softirq++;
	else if (r->caller == current)
		r->in_caller++;
	if (r->usec)
		udelay(r->usec);
	else
		ndelay(500);
	run_turn(r);
	if (r->later) {
		rxo_run_later(&r->qp);
		r->queued += hrtimer_is_queued(&r->qp.run.later);
	}
	if (r->chain) {
		r->chain--;
		/* Requests only: a step takes one of each kind. */
		run_give(r, true);
	}
	if (r->follow) {
		r->follow--;
		/* Bottom halves are disabled: it runs when the batch is over. */
		tasklet_schedule(&r->tasklet);
	}
	atomic_dec(&r->inside);
	atomic_inc(&r->done);
}

struct sk_buff *run_skb(struct run_env *r)
{
	struct sk_buff *skb = rxo_env_skb();

	if (skb) {
		*(struct run_env **)skb->cb = r;
		skb->destructor = run_step;
	}
	return skb;
}

static void run_give_by(struct run_env *r, bool request,
			void (*give)(struct rxo_qp *qp, struct sk_buff *skb,
				     const struct rxo_packet *pkt))
{
	const struct rxo_packet pkt = {
		.flags = request ? RXO_OP_REQ : RXO_OP_RESP,
	};
	struct sk_buff *skb = run_skb(r);

	if (!skb)
		return;
	atomic_inc(&r->sent);
	give(&r->qp, skb, &pkt);
}

void run_give(struct run_env *r, bool request)
{
	run_give_by(r, request, rxo_run_packet);
}

void run_give_in_row(struct run_env *r, bool request)
{
	run_give_by(r, request, rxo_run_packet_in_row);
}
