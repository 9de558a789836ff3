// SPDX-License-Identifier: GPL-2.0
/*
 * Duels with an adversary who chooses at random; in the first of them he leaves
 * what packets say as it is. fuzz_duel has one who is led.
 */
#include "rc.h"
#include "test.h"

#include "duel.h"

#define RUNS 400
#define MUTANT_RUNS 2000
#define MAX_STEPS 2000000
/* What a connection that somebody has lied to is given; it may never end. */
#define LIED_STEPS 20000
#define QUIET 300 /* steps without progress after which a timer fires */

static u32 run(bool mutant)
{
	u32 steps;

	duel_begin(MSGS, QUIET);
	loss = rnd(2) * rnd(25);
	doubling = rnd(2) * rnd(25);
	reordering = rnd(2) * rnd(100);
	mutating = mutant ? 1 + rnd(5) : 0;

	for (steps = 0; steps < MAX_STEPS && !duel_is_over(); steps++) {
		if (test_failures || (may_hang() && steps > LIED_STEPS))
			break;
		duel_step(rnd(3));
	}
	duel_end();
	return steps;
}

static u32 run_all(u32 runs, bool mutant)
{
	u32 i, most = 0;

	for (i = 0; i < runs && !test_failures; i++) {
		u32 steps = run(mutant);

		if (most < steps)
			most = steps;
	}
	printf("%u runs of %u messages, at most %u steps each\n", i, MSGS, most);
	return i;
}

int main(void)
{
	u32 place, kind, defeat;

	test_seed();
	run_all(RUNS, false);
	for (place = RXO_PSN_EXPECTED; place <= RXO_PSN_DROP; place++)
		checkf(placed[place], " (place %u)", place);
	for (kind = RXO_RESP_IGNORE; kind <= RXO_RESP_ALIVE; kind++)
		check_eqf(!!meant[kind], kind != RXO_RESP_ERROR, " (kind %u)",
			  kind);
	check_eq(defeats[NONE], RUNS);

	run_all(MUTANT_RUNS, true);
	for (defeat = NONE; defeat <= BAD_RESPONSE; defeat++)
		checkf(defeats[defeat], " (defeat %u)", defeat);
	return test_done();
}
