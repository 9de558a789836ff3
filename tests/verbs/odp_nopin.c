// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Nothing is pinned: an ordinary user with RLIMIT_MEMLOCK 0 registers 64 MiB and
 * moves them, and neither VmPin nor VmLck ever counts a page of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define SIZE (64ul << 20)
#define CHUNK ((1ul << 20) + 4099)
#define NOBODY 65534

static struct pair p;

static void become_nobody(void)
{
	struct rlimit none = { 0, 0 };

	check(!setrlimit(RLIMIT_MEMLOCK, &none), "setrlimit: %s", strerror(errno));
	check(!setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY),
	      "becoming an ordinary user: %s", strerror(errno));
}

static void nothing_pinned(const char *when)
{
	long pin = proc_value("/proc/self/status", "VmPin");
	long lck = proc_value("/proc/self/status", "VmLck");

	check(!pin && !lck, "VmPin %ld kB, VmLck %ld kB %s", pin, lck, when);
}

static void as_ordinary_user(void)
{
	struct buf l, r;

	need_odp();
	become_nobody();
	pair_open(&p, NULL);
	buf_new_cold(&l, 2 * CHUNK);
	buf_new(&r, SIZE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	nothing_pinned("after registering");
	for (size_t at = 3; at + CHUNK <= SIZE; at += CHUNK)
		do_write(&p.a, &l, at % 4096, &r, at, CHUNK);
	nothing_pinned("after writing");
	for (int i = 0; i < 8; i++)
		do_read(&p.a, &l, i, &r, rnd_range(0, SIZE - CHUNK), CHUNK);
	do_send(&p, &l, 1, &r, 4095, CHUNK);
	nothing_pinned("after reading and sending");
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	nothing_pinned("after deregistering");
	pair_close(&p);
}

/* The limit does bite where pages are pinned: the test above says something. */
static void pinned_is_refused(void)
{
	struct ibv_mr *mr;
	struct buf b;

	if (cfg.mode != MODE_PINNED)
		skip("for pinned MRs");
	become_nobody();
	nic_open(&p.na, cfg.dev);
	buf_new(&b, SIZE);
	mr = mr_try(&p.na, b.map, b.size, (uintptr_t)b.map, 0, MODE_PINNED);
	check(!mr, "64 MiB pinned with RLIMIT_MEMLOCK 0");
	/* EPERM is what a limit of nothing at all gives. */
	check(errno == ENOMEM || errno == EPERM, "%s instead of ENOMEM",
	      strerror(errno));
	buf_free(&b);
	nic_close(&p.na);
}

TEST_MAIN(CASE(as_ordinary_user), CASE(pinned_is_refused))
