// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stuck.h"
#include "test.h"

/* The file @name of the thread whose directory is @dir, each line after @before. */
static void print_file(const char *dir, const char *name, const char *before)
{
	char path[128], line[1024];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		printf("##   %s%s\n", before, line);
	}
	fclose(f);
}

struct usage {
	unsigned long faults, major, user, system;
};

static bool read_usage(const char *dir, struct usage *u)
{
	char path[128];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "%s/stat", dir);
	f = fopen(path, "r");
	if (!f)
		return false;
	ok = fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %lu %*u %lu %*u %lu %lu",
		    &u->faults, &u->major, &u->user, &u->system) == 4;
	fclose(f);
	return ok;
}

/* One that runs has no stack to look at; what it takes tells where it runs. */
static void print_usage(const char *dir)
{
	struct usage a, b;

	if (!read_usage(dir, &a))
		return;
	sleep_ms(500);
	if (!read_usage(dir, &b))
		return;
	printf("##   in half a second: %lu ticks as a user, %lu in the kernel, %lu + %lu page faults\n",
	       b.user - a.user, b.system - a.system, b.faults - a.faults, b.major - a.major);
}

#define PROCESSORS 64

/* How many timer interrupts each processor has had: how many processors. */
static int read_ticks(unsigned long *ticks)
{
	char line[1024], *p, *end;
	FILE *f = fopen("/proc/interrupts", "r");
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		p = strstr(line, "LOC:");
		if (!p)
			continue;
		for (p += 4; n < PROCESSORS; n++, p = end) {
			ticks[n] = strtoul(p, &end, 10);
			if (end == p)
				break;
		}
		break;
	}
	if (f)
		fclose(f);
	return n;
}

/*
 * One that is emulated may take no interrupts for long (see tests/vm/lib.sh): nothing on it
 * ends that is waited for, and it stays with one thread. So this is asked without sleeping.
 */
static void print_ticks(void)
{
	unsigned long a[PROCESSORS], b[PROCESSORS];
	uint64_t end = now_ms() + 1000;
	int n = read_ticks(a);

	while (now_ms() < end)
		;
	if (read_ticks(b) != n)
		return;
	for (int i = 0; i < n; i++)
		printf("## processor %d: %lu timer interrupts in a second\n", i, b[i] - a[i]);
}

/* The kernel's log, and so the end of the run, has the stacks of all processors. */
static void log_processors(void)
{
	FILE *f = fopen("/proc/sysrq-trigger", "w");

	if (!f)
		return;
	fputs("l", f);
	fclose(f);
}

typedef bool (*wanted_fn)(const char *dir, pid_t group);

static bool is_in_group(const char *dir, pid_t group)
{
	return getpgid(atoi(strrchr(dir, '/') + 1)) == group;
}

static void print_threads(wanted_fn wanted, pid_t group)
{
	glob_t g;

	if (glob("/proc/[0-9]*/task/[0-9]*", 0, NULL, &g))
		return;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		const char *dir = g.gl_pathv[i];
		char state;

		if (!wanted(dir, group))
			continue;
		state = proc_state(atoi(strrchr(dir, '/') + 1));
		printf("## %s %c\n", dir, state);
		print_file(dir, "comm", "");
		print_file(dir, "syscall", "syscall ");
		print_file(dir, "stack", "");
		if (state == 'R')
			print_usage(dir);
	}
	globfree(&g);
}

void stuck_print(pid_t group)
{
	print_ticks();
	log_processors();
	print_threads(is_in_group, group);
}

static void print_qps(const char *dev)
{
	char dir[96];

	snprintf(dir, sizeof(dir), "/sys/kernel/debug/rxe_odp/%s", dev);
	print_file(dir, "qps", "");
}

static bool mentions(const char *dir, const char *name, const char *what)
{
	char path[128], line[1024];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, what);
	if (f)
		fclose(f);
	return found;
}

static bool is_ours(const char *dir, pid_t group)
{
	/* With a + it works for that queue right now. */
	return is_in_group(dir, group) &&
	       (mentions(dir, "comm", "+rxe_odp") || mentions(dir, "stack", "rxo_") ||
		mentions(dir, "stack", "hmm_mirror"));
}

/* One that stands still holds up whatever was on it. */
static void print_processors(void)
{
	cpu_set_t all, one;
	uint64_t began;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		began = now_ms();
		/* Returns there. */
		sched_setaffinity(0, sizeof(one), &one);
		printf("## processor %d: %llu ms to get there\n", cpu,
		       (unsigned long long)(now_ms() - began));
	}
	sched_setaffinity(0, sizeof(all), &all);
}

static void print_devices(void)
{
	print_qps(cfg.dev);
	if (strcmp(cfg.dev, cfg.peer))
		print_qps(cfg.peer);
	/* The kernel's own have process group 0. */
	print_threads(is_ours, 0);
}

void stuck_print_devices(void)
{
	print_devices();
	print_processors();
	/* To go there may have set one going again. */
	print_devices();
	fflush(stdout);
}
