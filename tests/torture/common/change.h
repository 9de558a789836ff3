/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a flow does to its memory, its registrations and its QPs between two batches; and
 * operations that must be denied.
 */
#ifndef TESTS_TORTURE_CHANGE_H
#define TESTS_TORTURE_CHANGE_H

#include "flow.h"

/* A random one. */
void change_one(struct flow *f);

#endif
