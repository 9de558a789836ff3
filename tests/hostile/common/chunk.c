// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Payloads that are judged by themselves. See chunk.h.
 */
#define _GNU_SOURCE
#include <string.h>

#include "chunk.h"
#include "test.h"

#define MAGIC "HoStIlE"		/* seven bytes, then the mark */

struct head {
	char magic[7];
	uint8_t mark;
	uint16_t len;
	uint8_t flow, zero;
	uint32_t nr;
};

_Static_assert(sizeof(struct head) == CHUNK_MIN, "a head has no holes");

static uint8_t fill(uint32_t nr, size_t i)
{
	return nr * 167 + i * 37 + (i >> 8) * 11;
}

void chunk_make(uint8_t *to, const struct chunk *c)
{
	struct head h = {
		.magic = MAGIC, .mark = c->mark, .len = c->len, .flow = c->flow,
		.nr = c->nr,
	};

	/* Where a bent one's payload begins, nobody knows. */
	if (c->len < CHUNK_MIN || c->mark == BENT) {
		memset(to, c->mark, c->len);
		return;
	}
	memcpy(to, &h, CHUNK_MIN);
	for (size_t i = CHUNK_MIN; i < c->len; i++)
		to[i] = fill(c->nr, i);
}

/* All of it the same byte, or its end, as what was header may have become payload. */
static bool is_bent(const uint8_t *p, size_t len)
{
	return p[len - 1] == BENT && p[len < 4 ? 0 : len - 4] == BENT;
}

static struct chunk judge_short(const uint8_t *p, size_t len)
{
	struct chunk c = { .mark = len ? p[0] : GENUINE, .len = len };

	check(c.mark >= GENUINE && c.mark < BANNED, "%zu bytes of 0x%02x have arrived",
	      len, c.mark);
	for (size_t i = 0; i < len; i++)
		check(p[i] == c.mark, "byte %zu of %zu is 0x%02x, not 0x%02x", i, len,
		      p[i], c.mark);
	return c;
}

struct chunk chunk_judge(const uint8_t *p, size_t len, uint8_t flow)
{
	struct chunk c = { .mark = BENT, .len = len };
	struct head h;

	if (len && is_bent(p, len))
		return c;
	if (len < CHUNK_MIN)
		return judge_short(p, len);
	memcpy(&h, p, CHUNK_MIN);
	check(!memcmp(h.magic, MAGIC, sizeof(h.magic)), "nobody has sent what has arrived");
	check(h.mark == GENUINE || h.mark == FORGED, "a packet of mark 0x%02x has arrived, nr %u",
	      h.mark, h.nr);
	check(h.len == len, "%zu bytes of %u have arrived, mark 0x%02x", len, h.len,
	      h.mark);
	check(h.flow == flow, "what was for QP %u has arrived at %u", h.flow, flow);
	for (size_t i = CHUNK_MIN; i < len; i++)
		check(p[i] == fill(h.nr, i), "byte %zu of %zu is wrong", i, len);
	c.mark = h.mark;
	c.flow = flow;
	c.nr = h.nr;
	return c;
}

int chunk_banned_in(const void *p, size_t len)
{
	static const char banned[] = { MAGIC "d" };

	_Static_assert(BANNED == 'd', "the mark behind the magic");
	return !!memmem(p, len, banned, sizeof(banned) - 1);
}
