// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Sockets in other network namespaces. See netns.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns.h"
#include "test.h"

static int ns_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	check(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static void ns_enter(int fd)
{
	check(!setns(fd, CLONE_NEWNET), "setns: %s", strerror(errno));
	close(fd);
}

int netns_socket(const char *netns, int domain, int type, int protocol)
{
	int home = ns_open("/proc/self/ns/net");
	char path[128];
	int fd;

	if (netns) {
		snprintf(path, sizeof(path), "/run/netns/%s", netns);
		ns_enter(ns_open(path));
	}
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	check(fd >= 0, "socket: %s", strerror(errno));
	ns_enter(home);
	return fd;
}
