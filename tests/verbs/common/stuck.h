/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where a case that does not end is, or what it waits for: what its processes are doing,
 * in the kernel too.
 */
#ifndef TESTS_VERBS_STUCK_H
#define TESTS_VERBS_STUCK_H

#include <sys/types.h>

/* A line for each thread of the process group @group, and its stack in the kernel. */
void stuck_print(pid_t group);

/*
 * The QPs of the test's devices, the kernel's threads that do something for them, and how
 * long each processor takes to run something.
 */
void stuck_print_devices(void);

#endif
