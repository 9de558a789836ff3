/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A QP for tests of its runner. It is in RESET, where each packet is dropped in a step of
 * its own; what a packet does when it is freed runs in that step, as the runner, and is
 * the test's.
 */
#ifndef RXO_KUNIT_RUN_ENV_H
#define RXO_KUNIT_RUN_ENV_H

#include <linux/interrupt.h>

#include "../cq.h"
#include "../qp.h"
#include "env.h"

/* As run.c says. */
#define RUN_QUEUE 1024
#define RUN_OWN 2
#define RUN_BATCH 16
#define RUN_BUDGET 256
#define RUN_BUDGET_SOFTIRQ 64

struct run_env {
	struct rxo_env *env;
	struct kunit *test;
	struct rxo_qp qp;
	struct rxo_cq cq;
	struct tasklet_struct tasklet;
	bool stop;
	atomic_t inside; /* runners at this moment */
	atomic_t twice; /* there were two, or nobody owned the QP */
	atomic_t done; /* packets freed by a runner */
	atomic_t sent; /* packets given to the QP */
	atomic_t entered;
	/* What the next packet does, by the runner only: */
	unsigned int usec; /* take so long; 0: half of one */
	unsigned int chain; /* packets that follow from within */
	unsigned int follow; /* packets that follow, each from a softirq after its step */
	bool later; /* call rxo_run_later() */
	unsigned int queued; /* times it was good for something */
	unsigned int in_softirq; /* steps there */
	unsigned int in_caller; /* steps in @caller */
	struct task_struct *caller;
	struct run_turns *turns; /* of all QPs that take turns, or NULL */
};

/* Steps of QPs that take turns in workers, all on one CPU. */
struct run_turns {
	struct run_env *last; /* who did the last step */
	unsigned int steps; /* since it is that one */
	unsigned int cut; /* turns that ended in the midst of a budget */
};

struct run_env *run_env_get(struct kunit *test);

/* A packet that is a step of @r, and counted as done by it; or NULL. */
struct sk_buff *run_skb(struct run_env *r);

/* Give the QP such a packet; so does the tasklet, a request. */
void run_give(struct run_env *r, bool request);

/* Leave it there for rxo_run_kick(). */
void run_give_in_row(struct run_env *r, bool request);

#endif /* RXO_KUNIT_RUN_ENV_H */
