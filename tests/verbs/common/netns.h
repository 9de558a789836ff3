/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Sockets in other network namespaces. */
#ifndef TESTS_VERBS_NETNS_H
#define TESTS_VERBS_NETNS_H

/* As socket(), in the namespace of that name; NULL: in our own. Closed by exec(). */
int netns_socket(const char *netns, int domain, int type, int protocol);

#endif
