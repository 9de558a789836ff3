/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the kernel's memory management is made to do beneath traffic. None of it changes
 * contents or rights, so no access may notice.
 */
#ifndef TESTS_TORTURE_EVENT_H
#define TESTS_TORTURE_EVENT_H

#include "area.h"

/* A random event in @a, whose lock is held. */
void event_one(struct area *a);

#endif
