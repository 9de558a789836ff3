/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A worker: a process with flows between the two devices, a thread each, and threads of
 * memory events beside them. What it does is counted where its parent sees it.
 */
#ifndef TESTS_TORTURE_WORKER_H
#define TESTS_TORTURE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "ep.h"

#define WORKERS 8
#define FLOWS 5

/* The device went, as it may in this round. */
#define EXIT_GONE 78

#define TORTURE_COUNTS(op)						\
	op(writes) op(writes_imm) op(reads) op(atomics) op(sends)	\
	op(uc_writes) op(uc_sends) op(ud_sends)				\
	op(uc_lost) op(ud_lost) op(settled)				\
	op(drops) op(pageouts) op(colds) op(protects) op(remaps)	\
	op(advices) op(hugepages) op(collapses) op(merges) op(populates) \
	op(locks) op(prefetches) op(forks) op(directs)			\
	op(refills) op(moves) op(unmaps) op(holes) op(registrations)	\
	op(frees) op(cuts) op(files)					\
	op(renewals) op(abandons) op(denials) op(races)			\
	op(kills) op(stops)

struct torture_counts {
#define TORTURE_COUNT(name) uint64_t name;
	TORTURE_COUNTS(TORTURE_COUNT)
#undef TORTURE_COUNT
	uint64_t bytes;
};

/* What parent and workers share. */
struct torture {
	bool stop;
	struct torture_counts n;
	struct {
		bool up;
		uint64_t steps[FLOWS];	/* of each flow: stands still when it hangs */
	} worker[WORKERS];
};

extern struct torture *torture;
/* What a round allows: loss of what is unreliable; and the devices' end. */
extern bool may_lose, may_go;
/* How long a completion may take. */
extern unsigned int hang_ms;

#define count_add(field, v) __atomic_add_fetch(&torture->n.field, v, __ATOMIC_RELAXED)
#define count(field) count_add(field, 1)

struct worker {
	unsigned int index;
	struct nic nic[2];
	/* Its threads are to end: told to, or because the devices went. */
	volatile bool end, gone;
};

extern struct worker worker;

/* Ends the thread where the devices went. */
void worker_end_if_gone(void);

/* The life of worker @index, whose numbers are those of @stream; does not return. */
void worker_run(unsigned int index, uint64_t stream) __attribute__((noreturn));

#endif
