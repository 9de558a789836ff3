// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Programs that start and processes that end while registered memory is in use, in the
 * ways that killed.c has not: by threads, beside children that share the memory, and
 * with pages taken away before the end. What is read until then is right to the last.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "during.h"
#include "left.h"
#include "ops.h"
#include "peer.h"
#include "test.h"
#include "traffic.h"

#define PAGES 64

static struct pair p;
static struct buf l, r;
static struct traffic t;

static void traffic_setup(void)
{
	need_odp();
	pair_open(&p, NULL);
	traffic_open(&t, &p);
}

static void traffic_end(void)
{
	traffic_close(&t);
	pair_close(&p);
}

/* A wait status of 0 or the end of this case as well. */
static void went_well(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid, "waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	check(!status, "wait status %#x", status);
}

static pid_t start(void)
{
	pid_t pid = fork();

	check(pid >= 0, "fork");
	return pid;
}

static void spawn(void *arg)
{
	pid_t pid;

	(void)arg;
	check(!shell("true"), "a shell");
	/* Its exec and its exit give up a reference of this very address space. */
	pid = vfork();
	check(pid >= 0, "vfork");
	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	went_well(pid);
}

/* Children come, share the memory for a moment, become something else and go. */
static void spawning(void)
{
	struct during d;

	traffic_setup();
	during_start(&d, spawn, NULL);
	for (int i = 0; i < 15 || d.times < 3; i++)
		traffic_round(&t);
	during_stop(&d);
	traffic_round(&t);
	traffic_end();
}

static pthread_t leader;

static void *go_on_alone(void *arg)
{
	(void)arg;
	pthread_join(leader, NULL);
	while (proc_state(getpid()) != 'Z')
		sleep_ms(1);
	for (int i = 0; i < 10; i++) {
		/* Pages that only a fault brings back. */
		check(!madvise(t.r.map, t.r.size, MADV_DONTNEED), "madvise");
		traffic_round(&t);
	}
	buf_untouch(&t.l);
	traffic_round(&t);
	traffic_end();
	_exit(0);
}

/* The thread that registered it all exits, and the process lives on. */
static void leader_exits(void)
{
	pid_t pid = start();
	pthread_t thread;

	if (!pid) {
		traffic_setup();
		leader = pthread_self();
		check(!pthread_create(&thread, NULL, go_on_alone, NULL),
		      "pthread_create");
		pthread_exit(NULL);
	}
	went_well(pid);
}

static void *serve_alone(void *arg)
{
	int uffd = *(int *)arg;
	uint8_t *was = malloc(r.size);

	check(was, "no memory");
	memcpy(was, r.want, r.size);
	pthread_join(leader, NULL);
	while (proc_state(getpid()) != 'Z')
		sleep_ms(1);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 77, &r, 4001, 9 * PAGE);
	/* Longer than the time after which the fault looks who is still there. */
	for (int i = 0; i < 15; i++)
		wc_none(p.a.scq);
	buf_serve(&r, uffd, was);
	wc_ok(p.a.scq, 1);
	buf_moved(&r, 4001, &l, 77, 9 * PAGE);
	do_all(&p, &l, &r, 3, 9 * PAGE);
	_exit(0);
}

/* The same, and a page that only another thread serves takes long. */
static void leader_exits_and_page_waits(void)
{
	pid_t pid = start();
	pthread_t thread;
	static int uffd;

	if (!pid) {
		need_odp();
		pair_open(&p, NULL);
		buf_new(&l, PAGES * PAGE);
		buf_new(&r, PAGES * PAGE);
		uffd = buf_withhold(&r, O_CLOEXEC);
		buf_reg(&l, &p.na, ACCESS_ALL);
		buf_reg(&r, &p.nb, ACCESS_ALL);
		leader = pthread_self();
		check(!pthread_create(&thread, NULL, serve_alone, &uffd),
		      "pthread_create");
		pthread_exit(NULL);
	}
	went_well(pid);
}

static void *exec_soon(void *arg)
{
	(void)arg;
	sleep_ms(rnd_range(0, 60));
	execl("/bin/true", "true", NULL);
	_exit(1);
}

/* A thread that is not the first one takes the whole process away with it. */
static void thread_execs(void)
{
	struct left before;
	pthread_t thread;

	need_odp();
	left_now(&before);
	for (int i = 0; i < 6; i++) {
		pid_t pid = start();

		if (!pid) {
			traffic_setup();
			check(!pthread_create(&thread, NULL, exec_soon, NULL),
			      "pthread_create");
			for (;;)
				traffic_round(&t);
		}
		went_well(pid);
		left_await(&before);
	}
	traffic_setup();
	traffic_round(&t);
	traffic_end();
}

/* A page is awaited that nobody will serve any more. */
static void exec_while_waiting(void)
{
	struct left before;

	need_odp();
	left_now(&before);
	for (int i = 0; i < 4; i++) {
		pid_t pid = start();

		if (!pid) {
			struct buf *slow = i & 1 ? &l : &r;
			long parks;

			pair_open(&p, NULL);
			buf_new(&l, PAGES * PAGE);
			buf_new(&r, PAGES * PAGE);
			buf_withhold(slow, O_CLOEXEC);
			buf_reg(&l, &p.na, ACCESS_ALL);
			buf_reg(&r, &p.nb, ACCESS_ALL);
			parks = hw_counter(i & 1 ? cfg.dev : cfg.peer, "parks");
			q_rdma(&p.a, i & 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, 1,
			       &l, 77, &r, 4001, 9000);
			while (hw_counter(i & 1 ? cfg.dev : cfg.peer, "parks") == parks)
				sleep_ms(1);
			exec_soon(NULL);
		}
		went_well(pid);
		left_await(&before);
	}
	traffic_setup();
	traffic_round(&t);
	traffic_end();
}

#define SLOTS 16
#define SLOT (4 * PAGE)

static int go[2];

static void await_go(void)
{
	char c;

	check(read(go[0], &c, 1) == 1, "pipe");
}

static void then_execs(void)
{
	await_go();
	execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(1);
}

static void then_exits(void)
{
	await_go();
}

static void then_waits(void)
{
	pause();
}

static void open_a(struct peer *peer, void (*fn)(void))
{
	peer_start(peer, &p.b, &p.nb, &r, PAGES * PAGE, fn);
	peer_open_a(&p, NULL, &l, SLOTS * SLOT);
	buf_new(&r, PAGES * PAGE);
	peer_join(peer, &p.a, &l, &r);
	/* Learn what is there. */
	q_rdma(&p.a, IBV_WR_RDMA_READ, 1, &l, 0, &r, 0, PAGES * PAGE);
	wc_ok(p.a.scq, 1);
	memcpy(r.want, l.map, PAGES * PAGE);
	memcpy(l.want, l.map, PAGES * PAGE);
}

/* Reads all the time, @end ends the peer, and no read may bring anything else. */
static void reads_stay_true(void (*fn)(void), void (*end)(struct peer *peer))
{
	static struct {
		size_t at, len;
	} slot[SLOTS];
	struct peer peer;

	need_odp();
	for (int i = 0; i < 4; i++) {
		unsigned int posted = 0, done = 0, end_at = rnd_range(5, 60);
		uint64_t limit = 0;
		bool bad = false;

		check(!pipe(go), "pipe");
		open_a(&peer, fn);
		while (!bad || done < posted) {
			struct ibv_wc wc;
			size_t k;

			for (; !bad && posted - done < SLOTS; posted++) {
				k = posted % SLOTS;
				slot[k].len = rnd_range(1, SLOT);
				slot[k].at = rnd_range(0, PAGES * PAGE - slot[k].len);
				q_rdma(&p.a, IBV_WR_RDMA_READ, posted, &l, k * SLOT, &r,
				       slot[k].at, slot[k].len);
			}
			wc = wc_wait(p.a.scq);
			check(wc.wr_id == done, "out of order");
			k = done++ % SLOTS;
			if (wc.status != IBV_WC_SUCCESS) {
				bad = true;
				continue;
			}
			buf_moved(&l, k * SLOT, &r, slot[k].at, slot[k].len);
			same(l.map + k * SLOT, l.want + k * SLOT, slot[k].len,
			     "what was read");
			check(done <= end_at || now_ms() < limit, "the dead still answer");
			if (done == end_at) {
				end(&peer);
				limit = now_ms() + WAIT_MS;
			}
		}
		peer_kill(&peer);
		ep_destroy(&p.a);
		buf_free(&l);
		free(r.want);
		check(!munmap(r.map, r.size), "munmap");
		nic_close(&p.na);
		close(go[0]);
		close(go[1]);
	}
	traffic_setup();
	traffic_round(&t);
	traffic_end();
}

static void tell_it(struct peer *peer)
{
	(void)peer;
	check(write(go[1], "", 1) == 1, "pipe");
}

/* As the OOM killer does: the pages are gone before the process is. */
static void reap(struct peer *peer)
{
	int fd = syscall(SYS_pidfd_open, peer->pid, 0);

	check(fd >= 0, "pidfd_open: %s", strerror(errno));
	kill(peer->pid, SIGKILL);
	if (syscall(SYS_process_mrelease, fd, 0) && errno == ENOSYS)
		skip("no process_mrelease");
	close(fd);
}

static int told[2];
static pid_t gone;

static int keep_memory(void *arg)
{
	(void)arg;
	while (getppid() == gone)
		sleep_ms(1);
	/* Each access by the device begins with a fault. */
	for (int i = 0; i < 20; i++) {
		check(!mprotect(r.map, r.size, PROT_READ) &&
		      !mprotect(r.map, r.size, PROT_READ | PROT_WRITE), "mprotect");
		check(write(told[1], "", 1) == 1, "pipe");
		await_go();
	}
	_exit(0);
}

static void leave_memory(void)
{
	static uint8_t stack[1 << 18] __attribute__((aligned(16)));

	gone = getpid();
	check(clone(keep_memory, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) > 0,
	      "clone: %s", strerror(errno));
	/* At once: what exit() does would be done to both. */
	syscall(SYS_exit_group, 0);
}

/*
 * The process that registered it is gone, but another one has the very same memory,
 * and the device files: as long as it lives a peer finds all in place.
 */
static void memory_outlives_process(void)
{
	struct left before;
	struct peer peer;
	struct ibv_wc wc;
	char c;

	need_odp();
	left_now(&before);
	check(!pipe(told) && !pipe(go), "pipe");
	open_a(&peer, leave_memory);
	for (int i = 0; i < 20; i++) {
		size_t len = rnd_range(1, 9 * PAGE), at = rnd_range(0, PAGES * PAGE - len);

		check(read(told[0], &c, 1) == 1, "pipe");
		if (i & 1)
			do_write(&p.a, &l, i * 99, &r, at, len);
		do_read(&p.a, &l, 12 * PAGE, &r, at, len);
		buf_check(&l, "what was read");
		check(write(go[1], "", 1) == 1, "pipe");
	}
	do {
		q_rdma(&p.a, IBV_WR_RDMA_READ, 1, &l, 0, &r, 0, PAGE);
		wc = wc_wait(p.a.scq);
	} while (wc.status == IBV_WC_SUCCESS);
	peer_await(&peer);
	ep_destroy(&p.a);
	buf_dereg(&l);
	nic_close(&p.na);
	left_await(&before);
}

static void true_until_exec(void)
{
	reads_stay_true(then_execs, tell_it);
}

static void true_until_exit(void)
{
	reads_stay_true(then_exits, tell_it);
}

static void true_until_reaped(void)
{
	reads_stay_true(then_waits, reap);
}

TEST_MAIN(CASE(spawning), CASE(leader_exits), CASE(leader_exits_and_page_waits),
	  CASE(thread_execs), CASE(exec_while_waiting), CASE(memory_outlives_process),
	  CASE(true_until_exec), CASE(true_until_exit), CASE(true_until_reaped))
