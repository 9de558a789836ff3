/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Making the kernel's allocations and copies fail, on a kernel that can
 * (CONFIG_FAULT_INJECTION): those of one call of this thread, one after the
 * other, or some of everything that our modules allocate.
 */
#ifndef TESTS_VERBS_NTH_H
#define TESTS_VERBS_NTH_H

#include <stdbool.h>

/* Skips the case where the kernel can't, prepares what must be otherwise. */
void nth_open(void);

/* A call under test. @prepare and @undo may be NULL; they run undisturbed. */
struct nth_call {
	const char *name;
	void (*prepare)(void);
	int (*call)(void);	/* 0 or an errno */
	void (*undo)(int err);	/* what @call has done, or what its failing left */
	bool may_not_fail;	/* it must cope */
	bool any_errno;
	bool bare;		/* it may well have nothing that can fail */
	bool sparse;		/* of many thousand only some, fewer and fewer, at random */
};

#define NTH_CALL(name_, prepare_, call_, undo_, ...)		\
	{ .name = (name_), .prepare = (prepare_), .call = (call_), .undo = (undo_), __VA_ARGS__ }

/* Fail the 1st, 2nd, … until @call comes through without meeting it. */
void nth_sweep(const struct nth_call *c);

/*
 * Until nth_calm() @percent of the allocations by @module fail, in workers and
 * softirq too.
 */
void nth_storm(const char *module, unsigned int percent);
void nth_calm(void);
/* How many have failed in all storms so far. */
unsigned int nth_storms_failed(void);

#endif
