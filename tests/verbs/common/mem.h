/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Buffers whose every byte is accounted for.
 *
 * A buffer is a whole number of pages full of random bytes, with a shadow that
 * holds what the buffer must contain. A test posts an operation, changes the
 * shadow the way the operation must change the buffer, and compares all of it:
 * the bytes before and after the target are guards without further ado.
 */
#ifndef TESTS_VERBS_MEM_H
#define TESTS_VERBS_MEM_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test.h"

#define PAGE 4096ul

#define ACCESS_ALL (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
		    IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

struct nic;

struct buf {
	uint8_t *map;		/* the memory under test */
	size_t size;
	uint8_t *want;		/* what it must hold */
	int fd;			/* of a cold buffer's memory file, or -1 */
	struct ibv_mr *mr;
	uint64_t base;		/* the address in the MR of map[0] */
	uint32_t lkey;
	uint32_t rkey;
};

/* Anonymous private memory, touched. @size is rounded up to pages. */
void buf_new(struct buf *b, size_t size);
/*
 * Shared memory of a memory file whose contents were written through the file:
 * this process's page table is still empty for it.
 */
void buf_new_cold(struct buf *b, size_t size);
/* The one or the other. */
void buf_new_either(struct buf *b, size_t size, bool cold);
/* Any mapping of the caller's: its present bytes are what it must hold. */
void buf_adopt(struct buf *b, void *map, size_t size);
/* Deregister, unmap, free the shadow. */
void buf_free(struct buf *b);
/* New random bytes for all of it, by the CPU. */
void buf_refill(struct buf *b);

/* Give the memory back: nobody has touched it, and it reads as zeros. */
void buf_untouch(struct buf *b);
/*
 * Give the memory back: who touches a page waits until somebody serves it by the
 * userfaultfd that is returned, opened with @flags. The shadow stays, for that. Skips
 * where the kernel has none.
 */
int buf_withhold(struct buf *b, int flags);
/* What it must hold now, to serve it from when that has changed; the caller frees it. */
void *buf_copy(const struct buf *b);
/* Serve all of its pages: @bytes are as many as @b has. */
void buf_serve(const struct buf *b, int uffd, const void *bytes);

/* Register all of it in the mode of the test (-m). */
void buf_reg(struct buf *b, struct nic *nic, unsigned int access);
/* The same for a part, seen at address @iova by the device (not implicit). */
void buf_reg_part(struct buf *b, struct nic *nic, size_t off, size_t len,
		  uint64_t iova, unsigned int access);
void buf_dereg(struct buf *b);

/* The MR of any range in any mode: NULL with errno set if it is refused. */
struct ibv_mr *mr_try(struct nic *nic, void *addr, size_t len, uint64_t iova,
		      unsigned int access, enum mr_mode mode);

static inline uint64_t buf_addr(const struct buf *b, size_t off)
{
	return b->base + off;
}

/* @len bytes of @src's shadow must now be at @d_off of @dst. */
void buf_moved(struct buf *dst, size_t d_off, const struct buf *src,
	       size_t s_off, size_t len);
/* @bytes must now be at @off. */
void buf_holds(struct buf *b, size_t off, const void *bytes, size_t len);
/* Wait for the other side: it is writing what the buffer must hold. */
void buf_await(const struct buf *b);
/* Compare the whole buffer with its shadow. */
void buf_check_at(const struct buf *b, const char *file, int line,
		  const char *what);
#define buf_check(b, what) buf_check_at(b, __FILE__, __LINE__, what)

/* Compare any two ranges and say where they part. */
void same_at(const void *got, const void *want, size_t len, const char *file,
	     int line, const char *what);
#define same(got, want, len, what) \
	same_at(got, want, len, __FILE__, __LINE__, what)

/* Skip the case unless the mode is one of those that use ODP. */
void need_odp(void);
/* Skip the case in implicit mode: bounds and addresses are not the MR's. */
void need_bounds(void);

#endif
