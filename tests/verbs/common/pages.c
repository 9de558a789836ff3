// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * This process's pages. See pages.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pages.h"
#include "test.h"

void pages_get(const void *at, size_t n, uint64_t *entries)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	check(fd >= 0, "pagemap: %s", strerror(errno));
	check(pread(fd, entries, n * 8, (uintptr_t)at / PAGE * 8) == (ssize_t)n * 8,
	      "pagemap");
	close(fd);
}

unsigned int pages_with(const struct buf *b, uint64_t bits)
{
	size_t pages = b->size / PAGE;
	uint64_t *e = malloc(pages * 8);
	unsigned int n = 0;

	check(e, "no memory");
	pages_get(b->map, pages, e);
	for (size_t i = 0; i < pages; i++)
		n += (e[i] & bits) == bits;
	free(e);
	return n;
}

unsigned int pages_moved(const void *at, size_t n, const uint64_t *before)
{
	uint64_t *now = malloc(n * 8);
	unsigned int moved = 0;

	check(now, "no memory");
	pages_get(at, n, now);
	for (size_t i = 0; i < n; i++)
		moved += now[i] & before[i] & PM_PRESENT &&
			 (now[i] ^ before[i]) & PM_FRAME;
	free(now);
	return moved;
}

uint8_t *huge_map(size_t n)
{
	size_t len = (n + 1) * HUGE;
	uint8_t *all = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at;

	check(all != MAP_FAILED, "mmap: %s", strerror(errno));
	at = (uint8_t *)(((uintptr_t)all + HUGE - 1) & ~(HUGE - 1));
	if (at != all)
		munmap(all, at - all);
	munmap(at + n * HUGE, all + len - (at + n * HUGE));
	return at;
}

uint8_t *huge_map_transparent(size_t n)
{
	uint8_t *map = huge_map(n);

	if (madvise(map, n * HUGE, MADV_HUGEPAGE))
		skip("no transparent huge pages: %s", strerror(errno));
	return map;
}

long huge_kb(void)
{
	return proc_value("/proc/self/smaps_rollup", "AnonHugePages");
}
