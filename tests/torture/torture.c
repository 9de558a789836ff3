// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Torture: workers with checked traffic of all kinds over memory that is moved, dropped,
 * swapped, merged, copied and protected beneath it; some of them get killed or stopped.
 * What else happens to devices and links is tests/torture/run's. -n: how many workers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "worker.h"

#define TELL_MS 5000

struct life {
	pid_t pid;
	unsigned int born;	/* how many workers have had this place */
	bool killed;
	uint64_t wake;		/* stopped until then */
	uint64_t steps[FLOWS], moved[FLOWS];
};

static struct life life[WORKERS];
static unsigned int workers, gone;
static const char *round_name;

static void start(unsigned int i)
{
	struct life *l = &life[i];
	uint64_t stream = (uint64_t)i << 32 | l->born++ << 8;

	memset(&torture->worker[i], 0, sizeof(torture->worker[i]));
	for (int k = 0; k < FLOWS; k++) {
		l->steps[k] = 0;
		l->moved[k] = now_ms();
	}
	l->killed = false;
	l->wake = 0;
	l->pid = fork();
	check(l->pid >= 0, "fork: %s", strerror(errno));
	if (!l->pid)
		worker_run(i, stream);
}

/* Where its threads are, for whoever reads the failure. */
static void show(unsigned int i)
{
	shell("for t in /proc/%d/task/*; do echo \"# ${t##*/} $(cat $t/comm) "
	      "$(cut -d ' ' -f 3 $t/stat) $(cat $t/wchan)\"; sed 's/^/#    /' $t/stack; done",
	      life[i].pid);
}

/* A flow that stands still is one that hangs, unless its worker is stopped. */
static void watch(unsigned int i)
{
	struct life *l = &life[i];

	for (int k = 0; k < FLOWS; k++) {
		uint64_t steps = __atomic_load_n(&torture->worker[i].steps[k],
						 __ATOMIC_RELAXED);

		if (steps != l->steps[k] || l->wake)
			l->moved[k] = now_ms();
		l->steps[k] = steps;
		if (now_ms() - l->moved[k] < 2 * hang_ms)
			continue;
		show(i);
		fail("worker %u, flow %d: nothing in %u ms", i, k, 2 * hang_ms);
	}
}

/* Those that were killed get a successor; devices that are gone take it all along. */
static void reap(unsigned int i)
{
	struct life *l = &life[i];
	int status;

	if (!l->pid || !waitpid(l->pid, &status, WNOHANG))
		return;
	l->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_GONE && may_go)
		gone++;
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && l->killed)
		;
	else if (WIFEXITED(status) && WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	else if (!torture->stop || !WIFEXITED(status))
		fail("worker %u ended with status %#x", i, status);
	if (!torture->stop && !gone)
		start(i);
}

static void pester(void)
{
	unsigned int i = rnd_range(0, workers - 1);
	struct life *l = &life[i];

	if (!l->pid || l->wake || l->killed)
		return;
	/* Most of them while they work, some while they set up. */
	if (!torture->worker[i].up && rnd_range(0, 7))
		return;
	if (rnd_range(0, 1)) {
		kill(l->pid, SIGKILL);
		l->killed = true;
		count(kills);
	} else {
		kill(l->pid, SIGSTOP);
		l->wake = now_ms() + rnd_range(1, 1200);
		count(stops);
	}
}

static void tell(uint64_t since)
{
	const struct torture_counts *n = &torture->n;
	uint64_t unreliable = n->uc_writes + n->uc_sends + n->ud_sends;
	uint64_t reliable = n->writes + n->writes_imm + n->reads + n->atomics + n->sends;

	printf("# %s: %" PRIu64 " s, operations: %" PRIu64 " reliable, %" PRIu64
	       " not, %" PRIu64 " lost; %" PRIu64 " MiB; %" PRIu64 " killed, %" PRIu64
	       " stopped\n", round_name, (now_ms() - since) / 1000, reliable, unreliable,
	       n->uc_lost + n->ud_lost, n->bytes >> 20, n->kills, n->stops);
}

static long counted(const char *name)
{
	return hw_counter(cfg.dev, name) + hw_counter(cfg.peer, name);
}

/* What the devices met, where they are still there to be asked. */
static const char *const counters[] = {
	"sent_pkts", "send_errors", "rcvd_aborted", "rcvd_queue_full", "rcvd_no_wqe",
	"retransmits", "timeouts", "parks", "fault_retries", "odp_faults",
	"odp_faults_shared", "odp_fault_retries", "odp_invalidations",
	"odp_pages_invalidated", "odp_blocks_faulted",
};

static long before[ARRAY_SIZE(counters)];

static void tell_all(void)
{
	printf("# %s:", round_name);
#define TELL(name) printf(" " #name " %" PRIu64, torture->n.name);
	TORTURE_COUNTS(TELL)
#undef TELL
	printf("\n");
	if (gone)
		return;
	printf("# %s:", round_name);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		printf(" %s %ld", counters[i], counted(counters[i]) - before[i]);
	printf("\n");
}

/* Packets that the network stack dropped for want of room, and messages so torn. */
static long dropped(void)
{
	long n = counted("rcvd_aborted") + counted("rcvd_queue_full");
	FILE *f = fopen("/proc/net/softnet_stat", "r");
	unsigned int drops;

	while (f && fscanf(f, "%*x %x%*[^\n]", &drops) == 1)
		n += drops;
	if (f)
		fclose(f);
	return n;
}

static void await_end(void)
{
	uint64_t end = now_ms() + 4 * hang_ms;

	for (unsigned int i = 0; i < workers; i++) {
		if (life[i].pid && life[i].wake)
			kill(life[i].pid, SIGCONT);
		while (life[i].pid) {
			reap(i);
			if (life[i].pid && now_ms() > end) {
				show(i);
				fail("worker %u does not end", i);
			}
			sleep_ms(5);
		}
	}
}

static bool all_up(void)
{
	for (unsigned int i = 0; i < workers; i++)
		if (!torture->worker[i].up)
			return false;
	return true;
}

static void go_on(void)
{
	uint64_t since = now_ms(), told = since, next = 0, end = 0;

	for (unsigned int i = 0; i < workers; i++)
		start(i);
	while (!gone && (!end || now_ms() < end)) {
		if (!end && all_up()) {
			end = now_ms() + cfg.seconds * 1000ull;
			printf("# %s: %u workers are up\n", round_name, workers);
		}
		for (unsigned int i = 0; i < workers; i++) {
			reap(i);
			if (life[i].wake && now_ms() > life[i].wake) {
				kill(life[i].pid, SIGCONT);
				life[i].wake = 0;
			}
			watch(i);
		}
		if (end && now_ms() > next) {
			if (next)
				pester();
			next = now_ms() + rnd_range(100, 1500);
		}
		if (now_ms() - told > TELL_MS) {
			told = now_ms();
			tell(since);
		}
		sleep_ms(10);
	}
	if (gone)
		printf("# %s: devices go\n", round_name);
	/* Where devices go, the rest of them find out for themselves. */
	torture->stop = !gone;
	await_end();
	tell(since);
	tell_all();
}

static void torment(const char *name)
{
	long drops = dropped(), faults = counted("odp_faults"),
	     taken = counted("odp_pages_invalidated");

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		before[i] = counted(counters[i]);
	round_name = name;
	workers = cfg.count ?: 4;
	check(workers <= WORKERS, "%u workers are too many", workers);
	hang_ms = slow_kernel() ? 240000 : 60000;
	torture = mmap(NULL, sizeof(*torture), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(torture != MAP_FAILED, "mmap: %s", strerror(errno));
	go_on();
	if (may_go) {
		check(gone, "no device went");
		return;
	}
	check(torture->n.writes && torture->n.uc_sends && torture->n.ud_sends,
	      "there was no traffic");
	check(counted("odp_faults") > faults && counted("odp_pages_invalidated") > taken,
	      "no page came, or none went");
	check(may_lose || dropped() > drops || !(torture->n.uc_lost + torture->n.ud_lost),
	      "%" PRIu64 " UC and %" PRIu64 " UD messages were lost, and nobody dropped any",
	      torture->n.uc_lost, torture->n.ud_lost);
}

/* Nothing may fail, and nothing be lost. */
static void calm(void)
{
	torment("calm");
}

/* The link goes down for a while and comes back. */
static void flap(void)
{
	may_lose = true;
	torment("flap");
}

/* Devices go. All ends then, in order. */
static void removed(void)
{
	may_go = may_lose = true;
	torment("removed");
}

TEST_MAIN(CASE(calm), CASE(flap), CASE(removed))
