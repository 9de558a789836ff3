// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The kernel itself takes hold of registered pages: direct I/O, vmsplice, writes by
 * another process, mlock, a pinned MR of the same memory. Neither sees anything but
 * what the other has written, nor disturbs its neighbours.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "during.h"
#include "ops.h"
#include "test.h"
#include "traffic.h"

#define PAGES 24
#define SECTOR 512
/* What direct I/O uses: its first and last page have neighbours' bytes in them. */
#define FROM (5 * PAGE + SECTOR)
#define LEN (6 * PAGE + 2 * SECTOR)
#define END (FROM + LEN)

static struct pair p;
static struct buf l, r;
static int fd, direct;		/* of one file, through the page cache and around it */

static void setup(void)
{
	need_odp();
	pair_begin(&p, &l, 2 * PAGES * PAGE, &r, PAGES * PAGE);
	do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void setup_file(void)
{
	char name[] = "/var/tmp/verbs-test-XXXXXX";

	setup();
	fd = mkstemp(name);
	check(fd >= 0, "mkstemp: %s", strerror(errno));
	direct = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
	unlink(name);
	if (direct < 0)
		skip("no direct I/O: %s", strerror(errno));
	check(pwrite(fd, l.map, LEN, 0) == LEN && !fsync(fd), "pwrite: %s",
	      strerror(errno));
}

static void teardown_file(void)
{
	teardown();
	close(fd);
	close(direct);
}

static void direct_read(void *arg)
{
	(void)arg;
	check(pread(direct, r.map + FROM, LEN, 0) == LEN, "direct read: %s",
	      strerror(errno));
}

static void direct_write(void *arg)
{
	(void)arg;
	check(pwrite(direct, r.map + FROM, LEN, 0) == LEN, "direct write: %s",
	      strerror(errno));
}

static void file_is(const void *want, const char *what)
{
	static uint8_t now[LEN];

	check(pread(fd, now, LEN, 0) == LEN, "pread: %s", strerror(errno));
	same(now, want, LEN, what);
}

/* One after the other, on the same bytes. */
static void in_turns(void)
{
	static uint8_t bytes[LEN];

	setup_file();
	for (int i = 0; i < 8; i++) {
		/* The pages are the device's to bring, then the kernel's. */
		if (i & 1)
			buf_untouch(&r);
		do_write(&p.a, &l, i * 99, &r, FROM - 77, LEN + 154);
		direct_write(NULL);
		file_is(r.want + FROM, "what the device wrote, in the file");
		rnd_fill(bytes, LEN);
		check(pwrite(fd, bytes, LEN, 0) == LEN, "pwrite: %s", strerror(errno));
		if (i & 2)
			buf_untouch(&r);
		direct_read(NULL);
		buf_holds(&r, FROM, bytes, LEN);
		do_read(&p.a, &l, i * 77, &r, FROM - 5, LEN + 99);
		buf_check(&l, "what the file had, read by the device");
		do_all(&p, &l, &r, FROM - 501, LEN + 777);
	}
	teardown_file();
}

/* Bytes right before and right behind those of the direct I/O, and others. */
static void neighbours(int i)
{
	size_t len = rnd_range(1, 4 * PAGE);

	do_write(&p.a, &l, i * 99, &r, FROM - len, len);
	do_read(&p.b, &r, END, &l, i * 33, len);
	do_write(&p.a, &l, i * 55, &r, END + rnd_range(0, PAGE), len);
	do_send(&p, &l, i * 77, &r, rnd_range(0, FROM - len), len);
	do_read(&p.a, &l, PAGES * PAGE, &r, FROM - len, len);
	do_read(&p.a, &l, PAGES * PAGE + 4 * PAGE, &r, END, len);
	buf_check(&l, "what was read");
	same(r.map, r.want, FROM, "the bytes before");
	same(r.map + END, r.want + END, r.size - END, "the bytes behind");
}

static void beside_direct_reads(void)
{
	struct during d;

	setup_file();
	buf_moved(&r, FROM, &l, 0, LEN);
	check(pwrite(fd, r.want + FROM, LEN, 0) == LEN, "pwrite: %s", strerror(errno));
	during_start(&d, direct_read, NULL);
	for (int i = 0; i < 20; i++) {
		neighbours(i);
		/* What is read again and again does not change, either. */
		do_read(&p.a, &l, 9, &r, FROM + rnd_range(0, PAGE), 5 * PAGE);
		buf_check(&l, "what the file has, read by the device");
	}
	during_stop(&d);
	teardown_file();
}

static void beside_direct_writes(void)
{
	struct during d;

	setup_file();
	during_start(&d, direct_write, NULL);
	for (int i = 0; i < 20; i++)
		neighbours(i);
	during_stop(&d);
	file_is(r.want + FROM, "the file");
	/* The last of all writes is the one after the device's. */
	do_write(&p.a, &l, 5, &r, FROM - 77, LEN + 154);
	direct_write(NULL);
	file_is(r.want + FROM, "the file");
	teardown_file();
}

/*
 * A child shares the pages, and each writer has to find one of the parent's own: the
 * kernel for the direct read, and the device.
 */
static void direct_after_fork(void)
{
	static uint8_t bytes[LEN];

	setup_file();
	for (int i = 0; i < 6; i++) {
		int go[2], status;
		pid_t pid;
		char c;

		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		rnd_fill(bytes, LEN);
		check(pwrite(fd, bytes, LEN, 0) == LEN, "pwrite: %s", strerror(errno));
		check(!pipe(go), "pipe");
		pid = fork();
		check(pid >= 0, "fork");
		if (!pid) {
			close(go[1]);
			check(!read(go[0], &c, 1), "pipe");
			buf_check(&r, "the child's memory");
			_exit(0);
		}
		if (i & 1)
			do_read(&p.a, &l, 9, &r, FROM, LEN);
		if (i & 2)
			do_write(&p.a, &l, i * 99, &r, FROM + 77, PAGE);
		direct_read(NULL);
		buf_holds(&r, FROM, bytes, LEN);
		do_read(&p.a, &l, i * 77, &r, FROM - 5, LEN + 99);
		buf_check(&l, "what the file had, read by the device");
		do_write(&p.a, &l, i * 99, &r, FROM - 501, LEN + 777);
		buf_check(&r, "remote memory");
		direct_write(NULL);
		file_is(r.want + FROM, "what the device wrote, in the file");
		close(go[0]);
		close(go[1]);
		check(waitpid(pid, &status, 0) == pid && !status, "the child found it changed");
	}
	teardown_file();
}

/* Into a pipe without a copy, and out of it. */
static void spliced(void)
{
	static uint8_t bytes[3 * PAGE];
	int pipefd[2];

	setup();
	check(!pipe(pipefd), "pipe");
	for (int i = 0; i < 20; i++) {
		size_t len = rnd_range(1, 3 * PAGE), at = rnd_range(PAGE, (PAGES - 5) * PAGE);
		struct iovec iov = { r.map + at, len };

		do_write(&p.a, &l, i * 99, &r, at - 77, len + 154);
		check(vmsplice(pipefd[1], &iov, 1, 0) == (ssize_t)len, "vmsplice: %s",
		      strerror(errno));
		/* While the pipe has the pages the bytes beside are written. */
		do_write(&p.a, &l, i * 77, &r, at - 501, 501);
		do_write(&p.a, &l, i * 55, &r, at + len, PAGE);
		check(read(pipefd[0], bytes, len) == (ssize_t)len, "read: %s",
		      strerror(errno));
		same(bytes, r.want + at, len, "what came through the pipe");
		rnd_fill(bytes, len);
		check(write(pipefd[1], bytes, len) == (ssize_t)len, "write: %s",
		      strerror(errno));
		check(vmsplice(pipefd[0], &iov, 1, 0) == (ssize_t)len, "vmsplice: %s",
		      strerror(errno));
		buf_holds(&r, at, bytes, len);
		do_read(&p.a, &l, 9, &r, at - 77, len + 154);
		buf_check(&l, "what was read");
		buf_check(&r, "remote memory");
	}
	teardown();
}

static size_t other_at, other_len;
static bool other_writes;

/* Another process: its copies of l and r are those of when it was made. */
static void other(void *arg)
{
	struct iovec mine, theirs = { r.map + other_at, other_len };
	uint8_t *bytes = malloc(other_len);
	ssize_t n;

	(void)arg;
	check(bytes, "no memory");
	memcpy(bytes, l.want, other_len);
	mine = (struct iovec) { bytes, other_len };
	n = other_writes ? process_vm_writev(getppid(), &mine, 1, &theirs, 1, 0) :
		process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0);
	if (n < 0 && errno == ENOSYS)
		skip("no process_vm_readv");
	check(n == (ssize_t)other_len, "process_vm: %s", strerror(errno));
	if (!other_writes)
		same(bytes, r.want + other_at, other_len, "what another process has read");
}

/* In another process, whose verdict is ours if it is not good. */
static void elsewhere(void (*fn)(void *arg))
{
	int status = in_child(fn, NULL);

	if (status)
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void by_another_process(void)
{
	setup();
	for (int i = 0; i < 12; i++) {
		other_len = rnd_range(1, 5 * PAGE);
		other_at = off_for(&r, other_len);
		/* Nobody has brought the pages yet. */
		if (i & 1)
			buf_untouch(&r);
		if (i & 2)
			do_write(&p.a, &l, i * 99, &r, other_at, other_len);
		other_writes = i & 4;
		elsewhere(other);
		if (other_writes)
			buf_moved(&r, other_at, &l, 0, other_len);
		do_read(&p.a, &l, PAGES * PAGE, &r, other_at, other_len);
		buf_check(&l, "what was read");
		do_all(&p, &l, &r, other_at, other_len);
	}
	teardown();
}

static uint8_t poked_in[3 * PAGE];

static void poke(void *arg)
{
	char path[64];
	int mem;

	(void)arg;
	if (ptrace(PTRACE_SEIZE, getppid(), NULL, NULL))
		skip("ptrace: %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
	mem = open(path, O_RDWR | O_CLOEXEC);
	check(mem >= 0, "%s: %s", path, strerror(errno));
	if (pwrite(mem, poked_in, other_len, (uintptr_t)r.map + other_at) !=
	    (ssize_t)other_len)
		skip("%s does not write: %s", path, strerror(errno));
}

/* As a debugger does: into pages that the process itself may not write. */
static void poked(void)
{
	setup();
	for (int i = 0; i < 8; i++) {
		other_len = rnd_range(1, 3 * PAGE);
		other_at = off_for(&r, other_len);
		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		if (i & 1)
			buf_untouch(&r);
		check(!mprotect(r.map, r.size, PROT_READ), "mprotect");
		/* Untouched, it is the zero page that the device comes to know. */
		do_read(&p.a, &l, 9, &r, 5, (PAGES - 1) * PAGE);
		rnd_fill(poked_in, other_len);
		elsewhere(poke);
		buf_holds(&r, other_at, poked_in, other_len);
		do_read(&p.a, &l, 77, &r, 3, (PAGES - 1) * PAGE);
		buf_check(&l, "what was read");
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 5, &r, other_at, other_len);
		wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
		pair_renew(&p, NULL);
		buf_check(&r, "read-only memory");
		check(!mprotect(r.map, r.size, PROT_READ | PROT_WRITE), "mprotect");
	}
	teardown();
}

/* Pages of either buffer are locked and let go, at once or when they are touched. */
static void lock(struct traffic *t)
{
	struct buf *b = rnd_range(0, 1) ? &t->l : &t->r;
	size_t n = rnd_range(1, 8), first = rnd_range(0, b->size / PAGE - n);
	uint8_t *at = b->map + first * PAGE;

	check(!mlock2(at, n * PAGE, rnd_range(0, 1) ? MLOCK_ONFAULT : 0), "mlock2: %s",
	      strerror(errno));
	sleep_ms(1);
	check(!munlock(at, n * PAGE), "munlock: %s", strerror(errno));
}

static void locked_under_traffic(void)
{
	need_odp();
	during_traffic(lock, "hardly anything was locked");
}

/* One memory, pinned by one MR and on demand by the other. */
static void pinned_as_well(void)
{
	struct buf pinned;

	setup();
	for (int i = 0; i < 6; i++) {
		int status;
		pid_t pid;

		if (i & 1)
			buf_untouch(&r);
		pinned = r;
		pinned.mr = mr_try(&p.nb, r.map, r.size, (uintptr_t)r.map, ACCESS_ALL,
				   MODE_PINNED);
		check(pinned.mr, "pinning: %s", strerror(errno));
		pinned.lkey = pinned.mr->lkey;
		pinned.rkey = pinned.mr->rkey;
		do_all(&p, &l, &r, 3, 9 * PAGE);
		do_all(&p, &l, &pinned, 4 * PAGE - 9, 9 * PAGE);
		/* A child gets copies of what is pinned, and the parent keeps it. */
		pid = fork();
		check(pid >= 0, "fork");
		if (!pid) {
			rnd_fill(r.map, r.size);
			_exit(0);
		}
		do_all(&p, &l, &r, 7 * PAGE - 99, 9 * PAGE);
		do_all(&p, &l, &pinned, 5 * PAGE + 9, 9 * PAGE);
		check(waitpid(pid, &status, 0) == pid && !status, "child");
		do_all(&p, &l, &r, 3, PAGES * PAGE - 9);
		buf_dereg(&pinned);
		do_all(&p, &l, &r, 5, PAGES * PAGE - 9);
	}
	teardown();
}

TEST_MAIN(CASE(in_turns), CASE(beside_direct_reads), CASE(beside_direct_writes),
	  CASE(direct_after_fork), CASE(spliced), CASE(by_another_process), CASE(poked),
	  CASE(locked_under_traffic), CASE(pinned_as_well))
