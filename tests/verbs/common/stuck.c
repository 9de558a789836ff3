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

		if (!wanted(dir, group))
			continue;
		printf("## %s %c\n", dir, proc_state(atoi(strrchr(dir, '/') + 1)));
		print_file(dir, "comm", "");
		print_file(dir, "syscall", "syscall ");
		print_file(dir, "stack", "");
	}
	globfree(&g);
}

void stuck_print(pid_t group)
{
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
