/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A cgroup (version 2) of the case's own, of memory unless another one is named.
 */
#ifndef TESTS_VERBS_GROUP_H
#define TESTS_VERBS_GROUP_H

/* Make it; skips where there are none. */
void group_make(void);
void group_make_with(const char *controller);
/* The calling process moves into it. */
void group_join(void);
/* Out of it, and remove it. */
void group_leave(void);

/* Write @text to one of its files. */
void group_put(const char *text, const char *file);
/* Take @text bytes of memory away from it, as many as can be had. */
void group_reclaim(const char *text);
/* The number behind @name in @file, a list of names and numbers. */
long group_value(const char *file, const char *name);

#endif
