/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The cable between the two hosts, for tests that meddle with it.
 */
#ifndef TESTS_VERBS_WIRE_H
#define TESTS_VERBS_WIRE_H

#include "ep.h"

struct wire_end {
	char netns[64];
	char ifname[64];
};

/* The namespace and name of the interface under @nic; a veth end, or skip. */
void wire_end_find(struct wire_end *end, const struct nic *nic);
/* What goes out at @end goes through netem with these arguments, NULL: through nothing. */
void wire_netem(const struct wire_end *end, const char *what);

#endif
