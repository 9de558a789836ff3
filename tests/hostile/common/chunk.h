/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Payloads that say who made them and may they arrive: where anybody's packets are
 * taken, what was received is judged by itself.
 */
#ifndef TESTS_HOSTILE_CHUNK_H
#define TESTS_HOSTILE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

enum mark {
	GENUINE = 0x61,		/* sent by verbs */
	FORGED,			/* right: may arrive like a genuine one */
	BENT,			/* headers bent at random: may arrive, at any length */
	BANNED,			/* wrong: must not arrive */
};

/* The payload of one packet. */
struct chunk {
	enum mark mark;
	uint8_t flow;		/* which QP it is for */
	uint32_t nr;
	size_t len;
};

/* Shorter ones cannot say all of that. */
#define CHUNK_MIN 16
#define CHUNK_MAX 4200

void chunk_make(uint8_t *to, const struct chunk *c);
/*
 * Fails unless the @len bytes at @p are a chunk of @flow, whole, that may arrive; the
 * nr of what is too short to say it is 0.
 */
struct chunk chunk_judge(const uint8_t *p, size_t len, uint8_t flow);
/* Is there the beginning of a banned one anywhere in these bytes? */
int chunk_banned_in(const void *p, size_t len);

#endif
