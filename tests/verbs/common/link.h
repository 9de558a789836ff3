/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Links, made and deleted by netlink: in this very thread and without a program's start.
 */
#ifndef TESTS_VERBS_LINK_H
#define TESTS_VERBS_LINK_H

#include <stdbool.h>

bool link_there(const char *name);

/* Of the network namespace @netns, NULL for that of this process. */
int link_socket(const char *netns);

/* 0 or what the kernel answers; ENOBUFS if it could not even do that. */
int link_add(int sock, const char *name, const char *netdev);
int link_del(int sock, unsigned int index);

/* The number by which the kernel knows it. */
unsigned int link_index(const char *name);

#endif
