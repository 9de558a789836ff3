/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Checked traffic: rounds of operations of all kinds from side a of a pair, after
 * each of which both sides' memory is compared whole.
 */
#ifndef TESTS_VERBS_TRAFFIC_H
#define TESTS_VERBS_TRAFFIC_H

#include "ops.h"

#define TRAFFIC_DEPTH 16

struct traffic {
	struct pair *p;
	struct buf l, r;
};

void traffic_open(struct traffic *t, struct pair *p);
void traffic_close(struct traffic *t);

/* Post a random operation in slot @k; does it end with a receive as well? */
bool traffic_post(struct traffic *t, int k);
/* One in each slot; all of them must succeed. */
void traffic_round(struct traffic *t);
void traffic_check(struct traffic *t);

#endif
