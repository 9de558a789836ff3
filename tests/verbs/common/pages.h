/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * This process's pages, as /proc/self/pagemap has them.
 */
#ifndef TESTS_VERBS_PAGES_H
#define TESTS_VERBS_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "mem.h"

#define PM_FRAME ((1ull << 55) - 1)	/* of a present page; 0 for ordinary users */
#define PM_SOFT_DIRTY (1ull << 55)
#define PM_WRITE_PROTECTED (1ull << 57)	/* by userfaultfd */
#define PM_SWAP (1ull << 62)
#define PM_PRESENT (1ull << 63)

/* The entries of @n pages at @at. */
void pages_get(const void *at, size_t n, uint64_t *entries);
/* How many of @b's pages have @bits. */
unsigned int pages_with(const struct buf *b, uint64_t bits);
/* How many of @n pages at @at are in other frames than those of @before. */
unsigned int pages_moved(const void *at, size_t n, const uint64_t *before);

#define HUGE (2ul << 20)

/* Anonymous private memory of @n huge pages' size, at a multiple of it. */
uint8_t *huge_map(size_t n);
/* The same, in huge pages as soon as it is touched; skips where there are none. */
uint8_t *huge_map_transparent(size_t n);
/* Memory of this process in transparent huge pages. */
long huge_kb(void);

#endif
