// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Buffers whose every byte is accounted for. See mem.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ep.h"
#include "mem.h"
#include "test.h"

static void buf_init(struct buf *b, size_t size)
{
	memset(b, 0, sizeof(*b));
	b->fd = -1;
	b->size = (size + PAGE - 1) & ~(PAGE - 1);
	b->want = malloc(b->size);
	check(b->want, "no memory for a shadow of %zu bytes", b->size);
}

void buf_new(struct buf *b, size_t size)
{
	buf_init(b, size);
	b->map = mmap(NULL, b->size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(b->map != MAP_FAILED, "mmap: %s", strerror(errno));
	b->base = (uintptr_t)b->map;
	buf_refill(b);
}

void buf_new_cold(struct buf *b, size_t size)
{
	size_t done = 0;

	buf_init(b, size);
	rnd_fill(b->want, b->size);
	b->fd = memfd_create("verbs-test", MFD_CLOEXEC);
	check(b->fd >= 0, "memfd_create: %s", strerror(errno));
	while (done < b->size) {
		ssize_t n = write(b->fd, b->want + done, b->size - done);

		check(n > 0, "write to a memory file: %s", strerror(errno));
		done += n;
	}
	b->map = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	check(b->map != MAP_FAILED, "mmap: %s", strerror(errno));
	b->base = (uintptr_t)b->map;
}

void buf_new_either(struct buf *b, size_t size, bool cold)
{
	if (cold)
		buf_new_cold(b, size);
	else
		buf_new(b, size);
}

void buf_adopt(struct buf *b, void *map, size_t size)
{
	buf_init(b, size);
	b->map = map;
	b->base = (uintptr_t)map;
	memcpy(b->want, map, b->size);
}

void buf_free(struct buf *b)
{
	buf_dereg(b);
	check(!munmap(b->map, b->size), "munmap: %s", strerror(errno));
	free(b->want);
	if (b->fd >= 0)
		close(b->fd);
	memset(b, 0, sizeof(*b));
}

void buf_untouch(struct buf *b)
{
	check(!madvise(b->map, b->size, MADV_DONTNEED), "madvise: %s", strerror(errno));
	memset(b->want, 0, b->size);
}

int buf_withhold(struct buf *b, int flags)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
		.range = { (uintptr_t)b->map, b->size },
	};
	int fd = syscall(SYS_userfaultfd, flags);

	if (fd < 0)
		skip("userfaultfd: %s", strerror(errno));
	check(!madvise(b->map, b->size, MADV_DONTNEED), "madvise: %s", strerror(errno));
	check(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API: %s", strerror(errno));
	check(!ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER: %s",
	      strerror(errno));
	return fd;
}

void *buf_copy(const struct buf *b)
{
	void *copy = malloc(b->size);

	check(copy, "no memory for a copy of %zu bytes", b->size);
	return memcpy(copy, b->want, b->size);
}

void buf_serve(const struct buf *b, int uffd, const void *bytes)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)b->map, .src = (uintptr_t)bytes, .len = b->size,
	};

	check(!ioctl(uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY: %s", strerror(errno));
}

void buf_refill(struct buf *b)
{
	rnd_fill(b->want, b->size);
	memcpy(b->map, b->want, b->size);
}

struct ibv_mr *mr_try(struct nic *nic, void *addr, size_t len, uint64_t iova,
		      unsigned int access, enum mr_mode mode)
{
	unsigned int flags = access;

	if (mode != MODE_PINNED)
		flags |= IBV_ACCESS_ON_DEMAND;
	if (mode == MODE_IMPLICIT)
		return ibv_reg_mr(nic->pd, NULL, SIZE_MAX, flags);
	if (iova == (uintptr_t)addr)
		return ibv_reg_mr(nic->pd, addr, len, flags);
	return ibv_reg_mr_iova2(nic->pd, addr, len, iova, flags);
}

void buf_reg_part(struct buf *b, struct nic *nic, size_t off, size_t len,
		  uint64_t iova, unsigned int access)
{
	check(!b->mr, "buffer registered twice");
	check(off + len <= b->size, "registering beyond the buffer");
	b->mr = mr_try(nic, b->map + off, len, iova, access, cfg.mode);
	check(b->mr, "registering %zu bytes with access %#x: %s", len, access,
	      strerror(errno));
	b->base = iova - off;
	b->lkey = b->mr->lkey;
	b->rkey = b->mr->rkey;
}

void buf_reg(struct buf *b, struct nic *nic, unsigned int access)
{
	buf_reg_part(b, nic, 0, b->size, (uintptr_t)b->map, access);
}

void buf_dereg(struct buf *b)
{
	int ret;

	if (!b->mr)
		return;
	ret = ibv_dereg_mr(b->mr);
	check(!ret, "ibv_dereg_mr: %s", strerror(ret));
	b->mr = NULL;
}

void buf_moved(struct buf *dst, size_t d_off, const struct buf *src,
	       size_t s_off, size_t len)
{
	check(d_off + len <= dst->size && s_off + len <= src->size,
	      "the test itself is out of bounds");
	memmove(dst->want + d_off, src->want + s_off, len);
}

void buf_holds(struct buf *b, size_t off, const void *bytes, size_t len)
{
	check(off + len <= b->size, "the test itself is out of bounds");
	memcpy(b->want + off, bytes, len);
}

void same_at(const void *got, const void *want, size_t len, const char *file,
	     int line, const char *what)
{
	const uint8_t *g = got, *w = want;
	size_t first = 0, last = 0, wrong = 0;

	if (!memcmp(g, w, len))
		return;
	for (size_t i = 0; i < len; i++) {
		if (g[i] == w[i])
			continue;
		if (!wrong++)
			first = i;
		last = i;
	}
	test_fail(file, line,
		  "%s: %zu wrong bytes of %zu between %#zx and %#zx, the first is %#x instead of %#x",
		  what, wrong, len, first, last, g[first], w[first]);
}

void buf_check_at(const struct buf *b, const char *file, int line,
		  const char *what)
{
	same_at(b->map, b->want, b->size, file, line, what);
}

void buf_await(const struct buf *b)
{
	for (uint64_t end = now_ms() + WAIT_MS; memcmp(b->map, b->want, b->size);)
		check(now_ms() < end, "writes do not arrive");
}

void need_odp(void)
{
	if (cfg.mode == MODE_PINNED)
		skip("needs ODP");
}

void need_bounds(void)
{
	if (cfg.mode == MODE_IMPLICIT)
		skip("an implicit MR has no bounds of its own");
}
