/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Checked traffic: rounds of operations of all kinds from side a of a pair, after
 * each of which both sides' memory is compared whole.
 */
#ifndef TESTS_VERBS_TRAFFIC_H
#define TESTS_VERBS_TRAFFIC_H

#include "ops.h"

#define TRAFFIC_DEPTH 16
#define TRAFFIC_SLOT (4 * PAGE)
#define TRAFFIC_SIZE (TRAFFIC_DEPTH * TRAFFIC_SLOT)

/* An operation: from or to @len bytes at @lo of l and @ro of r. */
struct traffic_op {
	enum ibv_wr_opcode opcode;
	size_t lo, ro, len;
	uint8_t l_was[2 * PAGE], r_was[2 * PAGE];	/* what was there before it */
};

struct traffic {
	struct pair *p;
	struct buf l, r;	/* of TRAFFIC_SIZE */
	struct traffic_op op[TRAFFIC_DEPTH];
};

void traffic_open(struct traffic *t, struct pair *p);
/* The same with memory of the caller's: l and r have everything but their MRs. */
void traffic_join(struct traffic *t, struct pair *p);
void traffic_close(struct traffic *t);
/* After an error: nobody knows what the memory holds. */
void traffic_abandon(struct traffic *t);

/*
 * Post a random operation in slot @k; does it end with a receive as well? The last bytes
 * of each two pages, TRAFFIC_GAP of them, are never part of one.
 */
#define TRAFFIC_GAP 64
bool traffic_post(struct traffic *t, int k);
/* One in each slot; all of them must succeed. */
void traffic_round(struct traffic *t);
/* The same, or false if the retries of one of them were used up. */
bool traffic_try(struct traffic *t);
void traffic_check(struct traffic *t);

#endif
