// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Bent calls. See bend.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bend.h"
#include "mem.h"
#include "test.h"

#define MAX_ATTRS 40
#define SLOT 1024
#define WRITE_MAX 2048

struct bend_stats *bend_stats;
int bend_rate;

/* Bent arguments lie here: a slot an attribute, a read-only page, then nothing. */
static uint8_t *arena;
#define ARENA (MAX_ATTRS * SLOT)

struct call {
	struct ib_uverbs_ioctl_hdr hdr;
	struct ib_uverbs_attr attrs[MAX_ATTRS];
};

static void count(long ret)
{
	if (!bend_stats)
		return;
	__atomic_add_fetch(&bend_stats->calls, 1, __ATOMIC_RELAXED);
	if (ret >= 0)
		__atomic_add_fetch(&bend_stats->ok, 1, __ATOMIC_RELAXED);
	else if (errno < MAX_ERRNO_SEEN)
		__atomic_add_fetch(&bend_stats->refused[errno], 1, __ATOMIC_RELAXED);
}

static void need_arena(void)
{
	uint8_t *at;

	if (arena)
		return;
	at = mmap(NULL, ARENA + 2 * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		_exit(2);
	mprotect(at + ARENA, PAGE, PROT_READ);
	mprotect(at + ARENA + PAGE, PAGE, PROT_NONE);
	arena = at;
}

static uint64_t pointer(void)
{
	switch (rnd_range(0, 7)) {
	case 0: return 0;
	case 1: return rnd_range(1, 4095);
	case 2: return 0xffff888000000000ull + rnd_range(0, 1 << 20);
	case 3: return 0xffffffff81000000ull;
	case 4: return (uintptr_t)arena + ARENA + rnd_range(0, PAGE);
	case 5: return (uintptr_t)arena + ARENA + PAGE - rnd_range(1, 64);
	case 6: return ~0ull - rnd_range(0, 64);
	default: return (uintptr_t)arena + rnd_range(0, ARENA - 64);
	}
}

static uint64_t value(uint64_t was)
{
	switch (rnd_range(0, 9)) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return rnd_range(0, 12);
	case 3: return 1ull << rnd_range(0, 63);
	case 4: return was ^ 1ull << rnd_range(0, 63);
	case 5: return was + rnd_range(0, 8) - 4;
	case 6: return pointer();
	case 7: return 0x7fffffff;
	case 8: return rnd_range(0, 1 << 17);
	default: return rnd();
	}
}

void bend_stir(void)
{
	uint32_t *word;

	if (!arena)
		return;
	/* The first words of a slot are those that are there. */
	word = (uint32_t *)(arena + rnd_range(0, 7) * SLOT + rnd_range(0, 31) * 4);
	__atomic_store_n(word, value(*word), __ATOMIC_RELAXED);
}

static bool copy_in(void *to, uint64_t from, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)from, len };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static void bend_attr(struct call *c, unsigned int n)
{
	unsigned int i = rnd_range(0, n - 1);
	struct ib_uverbs_attr *a = &c->attrs[i];

	switch (rnd_range(0, 9)) {
	case 0: a->attr_id = rnd_range(0, 3) ? rnd_range(0, 20) : rnd(); break;
	case 1: a->len = value(a->len); break;
	case 2: a->len += (int)rnd_range(0, 16) - 8; break;
	case 3: a->flags = rnd_range(0, 3) ? a->flags ^ 1 : rnd(); break;
	case 4: a->attr_data.reserved = rnd(); break;
	case 5: a->data = pointer(); break;
	case 6: a->data = value(a->data); break;
	case 7: *a = c->attrs[rnd_range(0, n - 1)]; break;
	default:
		/* What it points to. */
		for (int k = rnd_range(1, 3); k; k--) {
			size_t words = a->len < SLOT ? a->len / 4 : SLOT / 4;
			uint32_t *w = (uint32_t *)(arena + i * SLOT) +
				      rnd_range(0, words ? words - 1 : 0);

			*w = value(*w);
		}
	}
}

static void bend_head(struct call *c)
{
	switch (rnd_range(0, 6)) {
	case 0: c->hdr.length = value(c->hdr.length); break;
	case 1: c->hdr.object_id = rnd_range(0, 20) | (rnd_range(0, 7) ? 0 : 0x1000); break;
	case 2: c->hdr.method_id = rnd_range(0, 10) | (rnd_range(0, 7) ? 0 : 0x1000); break;
	case 3: c->hdr.num_attrs = value(c->hdr.num_attrs); break;
	case 4: c->hdr.reserved1 = value(0); break;
	case 5: c->hdr.driver_id = rnd_range(0, 25); break;
	default: c->hdr.reserved2 = value(0);
	}
}

static void bent_ioctl(int fd, const struct ib_uverbs_ioctl_hdr *hdr)
{
	unsigned int n = hdr->num_attrs;
	struct call c = { 0 };

	if (n > MAX_ATTRS)
		return;
	memcpy(&c, hdr, sizeof(*hdr) + n * sizeof(c.attrs[0]));
	for (unsigned int i = 0; i < n; i++) {
		struct ib_uverbs_attr *a = &c.attrs[i];

		/* Short ones are inline where they go in, and pointers where out. */
		if ((a->len > 8 || a->data >> 32) && a->len <= SLOT &&
		    copy_in(arena + i * SLOT, a->data, a->len))
			a->data = (uintptr_t)arena + i * SLOT;
	}
	for (int k = rnd_range(1, 3); k; k--) {
		if (n && rnd_range(0, 4))
			bend_attr(&c, n);
		else
			bend_head(&c);
	}
	if (!rnd_range(0, 9) && n < MAX_ATTRS) {
		c.attrs[n].attr_id = rnd_range(0, 20);
		c.attrs[n].len = rnd_range(0, 64);
		c.attrs[n].data = value(0);
		c.hdr.num_attrs++;
		c.hdr.length += sizeof(c.attrs[0]);
	}
	count(syscall(SYS_ioctl, fd, RDMA_VERBS_IOCTL, &c));
}

/* Append what an attribute holds or points to. */
static size_t append(uint8_t *to, size_t at, const struct ib_uverbs_attr *a)
{
	if (at + a->len > WRITE_MAX)
		return at;
	if (a->len <= 8)
		memcpy(to + at, &a->data, a->len);
	else if (!copy_in(to + at, a->data, a->len))
		return at;
	return at + a->len;
}

/*
 * The older interface: what goes through INVOKE_WRITE is, behind a header of its
 * own, what write() takes.
 */
static void bent_write(int fd, const struct ib_uverbs_ioctl_hdr *hdr)
{
	uint8_t *buf = arena;
	struct ib_uverbs_cmd_hdr *cmd = (void *)buf;
	struct ib_uverbs_ex_cmd_hdr *ex = (void *)(cmd + 1);
	uint64_t command = 0, out = (uintptr_t)arena + 8 * SLOT;
	size_t at = sizeof(*cmd), in = 0;

	for (unsigned int i = 0; i < hdr->num_attrs; i++)
		if (hdr->attrs[i].attr_id == UVERBS_ATTR_WRITE_CMD)
			command = hdr->attrs[i].data;
	if (command & IB_USER_VERBS_CMD_FLAG_EXTENDED) {
		memset(ex, 0, sizeof(*ex));
		ex->response = out;
		at += sizeof(*ex);
	}
	for (unsigned int i = 0; i < hdr->num_attrs; i++)
		if (hdr->attrs[i].attr_id == UVERBS_ATTR_CORE_IN)
			at = append(buf, at, &hdr->attrs[i]);
	in = at;
	for (unsigned int i = 0; i < hdr->num_attrs; i++)
		if (hdr->attrs[i].attr_id == UVERBS_ATTR_UHW_IN)
			at = append(buf, at, &hdr->attrs[i]);
	cmd->command = command;
	cmd->in_words = at / 4;
	cmd->out_words = rnd_range(0, 40);
	if (command & IB_USER_VERBS_CMD_FLAG_EXTENDED) {
		cmd->in_words = (in - sizeof(*cmd) - sizeof(*ex)) / 8;
		cmd->out_words = rnd_range(0, 20);
		ex->provider_in_words = (at - in) / 8;
		ex->provider_out_words = rnd_range(0, 8);
	} else if (at >= sizeof(*cmd) + 8) {
		memcpy(buf + sizeof(*cmd), &out, 8);
	}
	for (int k = rnd_range(0, 2); k; k--) {
		uint32_t *w = (uint32_t *)buf + rnd_range(0, at / 4 - 1);

		*w = value(*w);
	}
	if (!rnd_range(0, 15))
		at = rnd_range(0, at + 16);
	count(syscall(SYS_write, fd, buf, at));
}

void bend_alone(int fd)
{
	uint32_t *w;
	size_t n;

	need_arena();
	w = (uint32_t *)arena;
	if (rnd_range(0, 1)) {
		struct call c = { .hdr.num_attrs = rnd_range(0, 12) };

		n = c.hdr.num_attrs;
		c.hdr.length = sizeof(c.hdr) + n * sizeof(c.attrs[0]);
		c.hdr.object_id = rnd_range(0, 17);
		c.hdr.method_id = rnd_range(0, 8);
		c.hdr.driver_id = 14;
		for (size_t i = 0; i < n; i++) {
			c.attrs[i].attr_id = rnd_range(0, 5) ? i : 0x1000 + (i & 1);
			c.attrs[i].len = rnd_range(0, 1) * rnd_range(0, 80);
			c.attrs[i].flags = rnd_range(0, 1);
			c.attrs[i].data = c.attrs[i].len > 8 ? pointer() : value(0);
		}
		count(syscall(SYS_ioctl, fd, RDMA_VERBS_IOCTL, &c));
		return;
	}
	n = rnd_range(2, 60);
	for (size_t i = 2; i < n; i++)
		w[i] = value(0);
	w[0] = rnd_range(0, 64) | (rnd_range(0, 2) ? 0 : IB_USER_VERBS_CMD_FLAG_EXTENDED);
	w[1] = n | (uint32_t)rnd_range(0, 40) << 16;
	if (n > 4)
		*(uint64_t *)&w[2] = rnd_range(0, 2) ? (uintptr_t)arena + 8 * SLOT : pointer();
	count(syscall(SYS_write, fd, w, n * 4));
}

int ioctl(int fd, unsigned long request, ...)
{
	const struct ib_uverbs_ioctl_hdr *hdr;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	hdr = arg;
	if (bend_rate && request == RDMA_VERBS_IOCTL &&
	    (int)rnd_range(0, 99) < bend_rate) {
		need_arena();
		if (hdr->object_id == UVERBS_OBJECT_DEVICE && !hdr->method_id &&
		    rnd_range(0, 1))
			bent_write(fd, hdr);
		else
			bent_ioctl(fd, hdr);
	}
	return syscall(SYS_ioctl, fd, request, arg);
}

void bend_report(void)
{
	printf("# %" PRIu64 " bent calls, %" PRIu64 " taken; refused:",
	       bend_stats->calls, bend_stats->ok);
	for (int i = 0; i < MAX_ERRNO_SEEN; i++)
		if (bend_stats->refused[i])
			printf(" %s %" PRIu64, strerrorname_np(i), bend_stats->refused[i]);
	printf("\n");
}
