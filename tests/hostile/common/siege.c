// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Attackers beside a victim. See siege.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counters.h"
#include "left.h"
#include "ring.h"
#include "siege.h"
#include "test.h"
#include "traffic.h"

#define ATTACKERS 2
#define LIFE_MS 1500
#define NOBODY 65534

struct siege *siege;

static void become_nobody(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct ring inherited[32];

	/* The victim's files and rings are not theirs. */
	for (unsigned int n = rings_find(inherited, 0, ARRAY_SIZE(inherited)); n; n--)
		munmap(inherited[n - 1].at, inherited[n - 1].size);
	/* What libraries and checks say of their own ruin is of no interest. */
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		_exit(2);
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static pid_t attacker_start(void (*attack)(void))
{
	uint64_t seed = rnd();
	pid_t pid = fork();

	check(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		return pid;
	/* Each draws numbers of its own. */
	for (seed &= 0x3ff; seed; seed--)
		rnd();
	become_nobody();
	siege_tell(lives);
	attack();
	_exit(0);
}

static bool is_over(uint64_t begun, const struct counters *before,
		    const char *const *reached)
{
	uint64_t span = cfg.seconds * 1000ull, ms = now_ms() - begun;

	if (cfg.count && siege->bend.calls >= cfg.count)
		return true;
	return ms >= span &&
	       (!reached || ms >= 4 * span || !counters_missed(before, reached));
}

void besiege(void (*attack)(void), const char *const *reached)
{
	struct { pid_t pid; uint64_t until; } life[ATTACKERS] = { 0 };
	unsigned int rounds = 0;
	struct left left;
	struct counters before;
	struct traffic t;
	struct pair p;
	uint64_t begun;

	siege = mmap(NULL, sizeof(*siege), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(siege != MAP_FAILED, "mmap: %s", strerror(errno));
	bend_stats = &siege->bend;
	pair_open(&p, NULL);
	traffic_open(&t, &p);
	left_now(&left);
	counters_read(&before);
	begun = now_ms();
	while (!is_over(begun, &before, reached)) {
		for (int i = 0; i < ATTACKERS; i++) {
			if (life[i].pid && waitpid(life[i].pid, NULL, WNOHANG) > 0) {
				siege_tell(deaths);
				life[i].pid = 0;
			} else if (life[i].pid && now_ms() > life[i].until) {
				child_kill(life[i].pid);
				life[i].pid = 0;
			}
			if (!life[i].pid) {
				life[i].pid = attacker_start(attack);
				life[i].until = now_ms() + rnd_range(LIFE_MS / 3, LIFE_MS);
			}
		}
		traffic_round(&t);
		rounds++;
	}
	for (int i = 0; i < ATTACKERS; i++)
		if (life[i].pid)
			child_kill(life[i].pid);
	traffic_round(&t);
	printf("# %" PRIu64 " lives, %" PRIu64 " ended by themselves; beside them %u rounds of traffic\n",
	       siege->lives, siege->deaths, rounds);
	if (siege->blows)
		printf("# %" PRIu64 " blows at rings, %" PRIu64 " times from RESET to RTS\n",
		       siege->blows, siege->rounds);
	counters_print(&before);
	if (reached)
		counters_reached(&before, reached);
	check(!siege->too_far, "a mapping is larger than its ring");
	check(!siege->too_late, "a ring is mapped that is no more");
	left_await(&left);
	traffic_close(&t);
	pair_close(&p);
	pair_open(&p, NULL);
	pair_works(&p);
	pair_close(&p);
}
