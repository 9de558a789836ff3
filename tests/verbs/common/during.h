/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Something done over and over by a thread, while the case goes on. */
#ifndef TESTS_VERBS_DURING_H
#define TESTS_VERBS_DURING_H

#include <pthread.h>
#include <stdbool.h>

struct during {
	pthread_t thread;
	void (*fn)(void *arg);
	void *arg;
	volatile bool stop;
	volatile unsigned long times;
};

/* Returns when @fn has been done once. */
void during_start(struct during *d, void (*fn)(void *arg), void *arg);
/* Returns how often. */
unsigned long during_stop(struct during *d);

struct traffic;

/*
 * Checked traffic of a pair of its own, while @fn does something to its memory again and
 * again; @hardly is what to say if it hardly did.
 */
void during_traffic(void (*fn)(struct traffic *t), const char *hardly);

#endif
