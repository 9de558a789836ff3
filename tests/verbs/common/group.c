// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A cgroup of the case's own. See group.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "group.h"
#include "test.h"

#define ROOT "/sys/fs/cgroup"

static char group[64];

void group_make(void)
{
	group_make_with("memory");
}

void group_make_with(const char *controller)
{
	char text[32];

	if (access(ROOT "/cgroup.controllers", F_OK))
		skip("no cgroup2 at " ROOT);
	if (!file_has(controller, ROOT "/cgroup.controllers"))
		skip("no cgroups of %s", controller);
	snprintf(text, sizeof(text), "+%s", controller);
	file_put(text, ROOT "/cgroup.subtree_control");
	snprintf(group, sizeof(group), ROOT "/verbs-test-%d", getpid());
	check(!mkdir(group, 0755), "%s: %s", group, strerror(errno));
}

void group_join(void)
{
	file_put("0", "%s/cgroup.procs", group);
}

void group_leave(void)
{
	file_put("0", ROOT "/cgroup.procs");
	/* Its last pages may still be on their way out. */
	for (int i = 0; rmdir(group) && i < 50; i++)
		sleep_ms(20);
}

void group_put(const char *text, const char *file)
{
	file_put(text, "%s/%s", group, file);
}

void group_reclaim(const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/memory.reclaim", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		skip("%s: %s", path, strerror(errno));
	check(write(fd, text, strlen(text)) > 0 || errno == EAGAIN || errno == EINTR,
	      "%s: %s", path, strerror(errno));
	close(fd);
}

long group_value(const char *file, const char *name)
{
	char path[128];
	long value;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	value = list_value(path, name);
	check(value >= 0, "no %s in %s", name, path);
	return value;
}
