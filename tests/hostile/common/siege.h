/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A siege: attackers without any privilege, in many short lives, beside a victim with
 * checked traffic on the same device.
 */
#ifndef TESTS_HOSTILE_SIEGE_H
#define TESTS_HOSTILE_SIEGE_H

#include <stdint.h>

#include "bend.h"

/* What victim and attackers share. */
struct siege {
	struct bend_stats bend;
	uint64_t lives, deaths;
	uint64_t blows, rounds;		/* at rings */
	uint64_t maps, refused;		/* mappings made, and not made */
	uint64_t too_far;		/* ... larger than their ring */
	uint64_t too_late;		/* ... of a ring that is no more */
};

extern struct siege *siege;

#define siege_tell(field) __atomic_add_fetch(&siege->field, 1, __ATOMIC_RELAXED)

/*
 * Go on for cfg.seconds, or cfg.count bent calls; up to four times as long until each
 * counter of @reached has moved, as what moves it is drawn at random. An attacker runs
 * @attack in a process of its own, as nobody; it may return, die, or be killed after a
 * while. Fails if the victim notices anything, an attacker does not die, or something is
 * left of one; and unless each counter of @reached, up to NULL, has moved.
 */
void besiege(void (*attack)(void), const char *const *reached);

#endif
