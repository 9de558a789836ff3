// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory is registered while signals come. For a process's first on-demand memory the
 * kernel locks all mappings it has, and gives that up at any signal: programs that expect
 * no EINTR there must not see one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define PAGES 16

struct shared {
	volatile bool enough;
	volatile unsigned int sent;
};

static void on_signal(int sig)
{
	(void)sig;
}

/* So many that to lock them takes longer than from one signal to the next. */
static void map_many(void)
{
	int n = slow_kernel() ? 2000 : 30000;

	/* Neighbours that differ do not become one. */
	for (int i = 0; i < n; i++)
		check(mmap(NULL, PAGE, i & 1 ? PROT_READ : PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED,
		      "mmap: %s", strerror(errno));
}

static void __attribute__((noreturn)) pester(struct shared *s, pid_t pid, int sig)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!s->enough) {
		kill(pid, sig);
		s->sent++;
		usleep(200);
		if (sig == SIGSTOP)
			kill(pid, SIGCONT);
		usleep(200);
	}
	_exit(0);
}

static void signalled(int sig)
{
	struct sigaction sa = { .sa_handler = on_signal };
	unsigned int before;
	struct shared *s;
	struct buf l, r;
	struct pair p;
	pid_t pid;

	need_odp();
	s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(s != MAP_FAILED, "mmap: %s", strerror(errno));
	pair_open(&p, NULL);
	buf_new(&l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	map_many();
	/* No SA_RESTART. */
	if (sig != SIGSTOP)
		check(!sigaction(sig, &sa, NULL), "sigaction");
	pid = fork();
	check(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		pester(s, getppid(), sig);
	while (!s->sent)
		;
	before = s->sent;
	buf_reg(&l, &p.na, ACCESS_ALL);
	check(s->sent != before, "no signal came");
	buf_reg(&r, &p.nb, ACCESS_ALL);
	s->enough = true;
	child_await(pid);
	do_all(&p, &l, &r, 5, 9 * PAGE);
	pair_end(&p, &l, &r);
}

static void handled(void)
{
	signalled(SIGUSR1);
}

static void stopped(void)
{
	signalled(SIGSTOP);
}

TEST_MAIN(CASE(handled), CASE(stopped))
