/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * How long a processor stood still, as those of a virtual machine do while the host has
 * others to serve: what is due on one meanwhile is late, and no driver's fault.
 */
#ifndef TESTS_VERBS_STALL_H
#define TESTS_VERBS_STALL_H

/* A thread on each processor looks, until the process ends. */
void stall_watch(void);
/* The longest time since then, in ms. */
unsigned int stall_longest(void);

#endif
