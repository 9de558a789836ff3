// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The module's parameter "unpinned": programs that never heard of ODP register as
 * always, pin nothing, and see what they would see otherwise.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define PARAMETER "/sys/module/rxe_odp/parameters/unpinned"
#define PAGES 32

static struct pair p;
static struct buf l, r;

static void run(void *arg)
{
	void (*fn)(void) = arg;

	pair_open(&p, NULL);
	fn();
	pair_close(&p);
}

/* In a child, so that the parameter is as it was whatever becomes of @fn. */
static void with_parameter(void (*fn)(void))
{
	int status;

	if (cfg.mode != MODE_PINNED)
		skip("for MRs that are not ODP");
	if (access(PARAMETER, W_OK))
		skip("another driver");
	file_put("Y", PARAMETER);
	status = in_child(run, fn);
	file_put("N", PARAMETER);
	if (status)
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void buffers(void)
{
	buf_new(&l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void transfer(void)
{
	do_write(&p.a, &l, 77, &r, 4001, 9 * PAGE + 13);
	do_read(&p.a, &l, 12 * PAGE - 1, &r, 999, 7 * PAGE);
	do_send(&p, &l, 3, &r, 20 * PAGE + 5, 5 * PAGE + 1);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
}

static void nothing_is_pinned(void)
{
	long before = proc_value("/proc/self/status", "VmPin");

	buffers();
	transfer();
	check(proc_value("/proc/self/status", "VmPin") == before, "VmPin has grown");
	buf_free(&l);
	buf_free(&r);
}

/* What a pin would break: other memory at the same address is what counts. */
static void memory_is_followed(void)
{
	buffers();
	transfer();
	check(mmap(r.map + 5 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == r.map + 5 * PAGE,
	      "mmap: %s", strerror(errno));
	memset(r.want + 5 * PAGE, 0, 3 * PAGE);
	transfer();
	buf_free(&l);
	buf_free(&r);
}

/* After a fork the parent's memory is still the one. */
static void fork_is_followed(void)
{
	pid_t pid;

	buffers();
	transfer();
	pid = fork();
	check(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		memset(r.map, 0x5a, r.size);
		for (;;)
			pause();
	}
	transfer();
	buf_refill(&r);
	transfer();
	child_kill(pid);
	transfer();
	buf_free(&l);
	buf_free(&r);
}

static void refused(void *at, size_t len, unsigned int access, const char *what)
{
	struct ibv_mr *mr = mr_try(&p.na, at, len, (uintptr_t)at, access, MODE_PINNED);

	check(!mr, "%s was registered", what);
	check(errno == EFAULT, "%s: %s instead of EFAULT", what, strerror(errno));
}

/* Errors come when such a program looks for them, and not later. */
static void errors_are_at_once(void)
{
	struct ibv_mr *mr;
	uint8_t *at;

	at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		  -1, 0);
	check(at != MAP_FAILED, "mmap: %s", strerror(errno));
	check(!munmap(at + 3 * PAGE, PAGE), "munmap: %s", strerror(errno));
	refused(at + 3 * PAGE, 1, ACCESS_ALL, "a hole");
	refused(at, 8 * PAGE, ACCESS_ALL, "memory with a hole in it");
	refused(at + 3 * PAGE - 1, 2, 0, "memory that ends in a hole");
	check(!mprotect(at + 4 * PAGE, PAGE, PROT_READ), "mprotect: %s", strerror(errno));
	refused(at + 4 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE, "read-only memory, to write");
	mr = mr_try(&p.na, at + 4 * PAGE, PAGE, (uintptr_t)at + 4 * PAGE, 0, MODE_PINNED);
	check(mr, "read-only memory, to read: %s", strerror(errno));
	check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
	check(!mprotect(at + 5 * PAGE, PAGE, PROT_NONE), "mprotect: %s", strerror(errno));
	refused(at + 5 * PAGE, PAGE, 0, "memory without any right");
	mr = mr_try(&p.na, at + 1, 3 * PAGE - 1, (uintptr_t)at + 1, ACCESS_ALL, MODE_PINNED);
	check(mr, "memory up to a hole: %s", strerror(errno));
	check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
}

static void no_pin(void)
{
	with_parameter(nothing_is_pinned);
}

static void follows(void)
{
	with_parameter(memory_is_followed);
}

static void follows_fork(void)
{
	with_parameter(fork_is_followed);
}

static void errors(void)
{
	with_parameter(errors_are_at_once);
}

TEST_MAIN(CASE(no_pin), CASE(follows), CASE(follows_fork), CASE(errors))
