/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where a case that does not end is: what its processes are doing, in the kernel too.
 */
#ifndef TESTS_VERBS_STUCK_H
#define TESTS_VERBS_STUCK_H

#include <sys/types.h>

/* A line for each thread of the process group @group, and its stack in the kernel. */
void stuck_print(pid_t group);

#endif
