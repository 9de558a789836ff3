/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Forged packets for QPs that nobody answers for: UC, UD. Their payload is a chunk that
 * tells what they are: right, bent somewhere in their headers, or wrong in one thing.
 */
#ifndef TESTS_HOSTILE_LOOSE_H
#define TESTS_HOSTILE_LOOSE_H

#include "chunk.h"
#include "forger.h"

/* The first is open to all, the others must stay as they are. */
#define LOOSE_ZONES 4

/* What the forger knows of the QP. */
struct loose {
	uint8_t flow;
	bool ud;
	uint32_t qpn, qkey;
	uint32_t no_qpn;		/* one that is not there */
	size_t mtu;
	uint32_t epsn;			/* UC: what it waits for, about */
	const struct zone *zones;	/* UC */
	const uint32_t *keys;
	/* The true peer's way, and an address of the host that is not the device's. */
	struct route route;
	uint8_t elsewhere[16];
};

void loose_forge(struct loose *to, struct frame *f);

#endif
