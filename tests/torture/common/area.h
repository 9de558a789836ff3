/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory under torture: a buffer with its shadow, which knows what sort of memory it is
 * and how it is registered, and may be moved, unmapped or registered anew.
 */
#ifndef TESTS_TORTURE_AREA_H
#define TESTS_TORTURE_AREA_H

#include <pthread.h>

#include "ep.h"
#include "mem.h"

enum area_sort {
	AREA_ANON,	/* private, small pages */
	AREA_HUGE,	/* private, where a huge page fits */
	AREA_FILE,	/* shared, of a memory file */
	AREA_SORTS
};

struct area {
	struct buf b;
	enum area_sort sort;
	enum mr_mode mode;
	struct nic *nic;
	/* Another mapping to look through, so that looking does not fill the page table. */
	uint8_t *view;
	/*
	 * Held by who changes mapping, registration or contents by the CPU, and by
	 * events: these need it all to stay where it is. Traffic goes on beside them.
	 */
	pthread_mutex_t lock;
};

extern const char *const area_sorts[AREA_SORTS];
extern const char *const mr_modes[];

void area_open(struct area *a, struct nic *nic);
/* To another address, and back if it is registered by its address. */
void area_move(struct area *a);
void area_close(struct area *a);

/* Register in any mode, at any address. */
void area_reg(struct area *a);
/* Deregister; what follows moves the memory or takes its registration away. */
void area_dereg(struct area *a);

/* New bytes by the CPU, in all of it or some of its pages; many pages may be equal. */
void area_refill(struct area *a);
void area_refill_some(struct area *a);

/* Whatever right was taken away, it may be read and written again. */
void area_open_up(struct area *a);

/* Some of its pages. */
void area_some(const struct area *a, size_t most, size_t *off, size_t *len);

/* A new file to read into it or to write it to without the page cache in between. */
int area_file(void);

/* All of it is as the shadow has it. */
void area_check(struct area *a, const char *what);
/* Whatever is in the range is right. */
void area_take(struct area *a, size_t off, size_t len);
/* Each byte of the range is that of the shadow or @new's; the shadow follows. */
void area_settle(struct area *a, size_t off, const uint8_t *new, size_t len,
		 const char *what);

#endif
