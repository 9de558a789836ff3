// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stuck.h"
#include "test.h"

/* The file @name of the thread whose directory is @dir, each line after @before. */
static void print_file(const char *dir, const char *name, const char *before)
{
	char path[128], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		printf("#   %s%s\n", before, line);
	}
	fclose(f);
}

static void print_thread(const char *dir, pid_t group)
{
	pid_t tid = atoi(strrchr(dir, '/') + 1);

	if (getpgid(tid) != group)
		return;
	printf("# %s %c\n", dir, proc_state(tid));
	print_file(dir, "comm", "");
	print_file(dir, "syscall", "syscall ");
	print_file(dir, "stack", "");
}

void stuck_print(pid_t group)
{
	glob_t g;

	if (glob("/proc/[0-9]*/task/[0-9]*", 0, NULL, &g))
		return;
	for (size_t i = 0; i < g.gl_pathc; i++)
		print_thread(g.gl_pathv[i], group);
	globfree(&g);
}
