/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A pair one side of which has memory whose pages take long to come: userfaultfd
 * withholds them until a thread serves them, when the test says so or after a time.
 */
#ifndef TESTS_VERBS_SLOW_H
#define TESTS_VERBS_SLOW_H

#include <pthread.h>
#include <stdbool.h>

#include "ep.h"
#include "mem.h"

#define SLOW_PAGES 112

struct slow {
	struct pair p;
	struct buf fast, slow;
	struct buf *l, *r;	/* these, as a and b have them */
	int uffd;
	pthread_t thread;
	volatile bool serve;	/* may pages be given out? */
	volatile bool over;	/* or never at all */
	volatile unsigned int late;	/* ms after the first was asked for; 0: when told */
	volatile unsigned int asked;
};

/* @opt may be NULL: a is impatient then, it waits 67 ms, three times. */
void slow_open(struct slow *s, const struct qp_opt *opt, bool remote_is_slow);
/* Compares all of the memory. */
void slow_close(struct slow *s);
/* The device has asked for a page. */
void slow_await_asked(struct slow *s);
/* @n pages come at once, without being asked for. */
void slow_bring(struct slow *s, size_t first, size_t n);
/* One of our devices? */
bool slow_ours(const char *dev);

#endif
