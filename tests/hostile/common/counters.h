/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The devices' counters: what became of what was thrown at them.
 */
#ifndef TESTS_HOSTILE_COUNTERS_H
#define TESTS_HOSTILE_COUNTERS_H

#include <stdint.h>

#define MAX_COUNTERS 96

/* The sums over cfg.dev and cfg.peer, of all counters. */
struct counters {
	unsigned int n;
	char name[MAX_COUNTERS][32];
	uint64_t value[MAX_COUNTERS];
};

void counters_read(struct counters *c);
/* How far @name is since @before; fails where there is no such counter. */
uint64_t counters_delta(const struct counters *before, const char *name);
/* A line of all that have moved. */
void counters_print(const struct counters *before);
/* The first of the @names, up to NULL, that has not moved; or NULL. */
const char *counters_missed(const struct counters *before, const char *const *names);
/* Fails unless each of the @names, up to NULL, has moved. */
void counters_reached(const struct counters *before, const char *const *names);

#endif
