// SPDX-License-Identifier: GPL-2.0
/*
 * Input: a plan, then a byte for each thing that happens between a requester and a
 * responder, and what the adversary does about it. When there is no more he goes home,
 * and a connection whose packets he has only dropped, doubled or reordered has to
 * come to its end. See duel.h for what has to hold until then.
 */
#include "fuzz.h"

static struct input in;

static u32 rnd(u32 n)
{
	return take(&in, n > 0x10000 ? 4 : n > 256 ? 2 : 1) % n;
}

#define check(cond) must(cond)
#define checkf(cond, ...) must(cond)
#define check_eq(got, want) must((got) == (want))

#include "duel.h"

#define MAX_MESSAGES 12
#define QUIET 40
#define FAIR_STEPS 20000
#define LIED_STEPS 1000

/* One thing at most, and often none: who does everything gets nowhere. */
static void choose(u8 how)
{
	loss = how == 1 ? 100 : 0;
	doubling = how == 2 ? 100 : 0;
	reordering = how == 3 ? 100 : 0;
	mutating = how == 4 ? 100 : 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 i;

	in = (struct input) { data, size };
	duel_begin(1 + rnd(MAX_MESSAGES), QUIET);
	while (in.left && !duel_is_over()) {
		u8 what = take(&in, 1);

		choose(what / 3 % 8);
		duel_step(what % 3);
	}
	/* The input goes on with zeros: nobody is not ready, all want an answer. */
	choose(0);
	for (i = 0; !duel_is_over(); i++) {
		if (i > (may_hang() ? LIED_STEPS : FAIR_STEPS))
			break;
		duel_step(i % 3);
	}
	duel_end();
	return 0;
}
