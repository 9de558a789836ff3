/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the driver has, as the kernel tells it: to see that nothing is left of a
 * process.
 */
#ifndef TESTS_VERBS_LEFT_H
#define TESTS_VERBS_LEFT_H

struct left {
	unsigned int qps, mrs;		/* of cfg.dev and cfg.peer */
	unsigned int rings;		/* of all devices */
};

/* Skips where the kernel does not tell. */
void left_now(struct left *l);
/* Wait until it is as it was. */
void left_await(const struct left *before);

#endif
