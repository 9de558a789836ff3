/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Between libibverbs and the kernel: each call of verbs, before it is made, is made
 * in a bent form as well. So the bent ones come in sensible sequences, with live
 * handles, and few of them fail at the first check.
 *
 * It takes the place of ioctl() for the whole program; with bend_rate at 0 it only
 * passes calls on.
 */
#ifndef TESTS_HOSTILE_BEND_H
#define TESTS_HOSTILE_BEND_H

#include <stdint.h>

#define MAX_ERRNO_SEEN 134

struct bend_stats {
	uint64_t calls, ok;
	uint64_t refused[MAX_ERRNO_SEEN];
};

/* Where to count; in shared memory if several processes do. */
extern struct bend_stats *bend_stats;
/* Of a hundred calls so many have a bent form. */
extern int bend_rate;

/* Calls made of nothing. */
void bend_alone(int fd);
/* Change a word that a bent call in another thread may be about to read. */
void bend_stir(void);
void bend_report(void);

#endif
