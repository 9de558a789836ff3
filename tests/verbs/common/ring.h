/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The rings this process shares with the driver, behind the provider's back.
 */
#ifndef TESTS_VERBS_RING_H
#define TESTS_VERBS_RING_H

#include <rdma/rdma_user_rxe.h>
#include <stddef.h>
#include <stdint.h>

#include "ep.h"

/* Offsets in struct rxe_queue_buf, which only the provider has. */
enum {
	RING_LOG2_ELEM = 0,
	RING_INDEX_MASK = 4,
	RING_PRODUCER = 128,
	RING_CONSUMER = 256,
	RING_DATA = 384,
};

struct ring {
	uint8_t *at;
	size_t size;
};

/*
 * Append to the @n rings at @rings those mapped now that are not among them.
 * Returns how many there are then.
 */
unsigned int rings_find(struct ring *rings, unsigned int n, unsigned int max);

uint32_t ring_get(const struct ring *r, size_t at);
void ring_set(struct ring *r, size_t at, uint32_t v);
/* The element at index @i, masked. */
void *ring_elem(const struct ring *r, uint32_t i);

/* The send queue's ring of @e; does a write from @l to @r to find out. */
struct ring ring_of_sq(struct ep *e, struct buf *l, struct buf *r);

/*
 * One blow at a ring: wild indices, another geometry, random bytes, or some words
 * of its elements bent. Whoever else writes to it loses.
 */
void ring_scribble(struct ring *r);

/* Tell the driver that there is something in the send queue. */
int ring_doorbell(struct ep *e);

#endif
