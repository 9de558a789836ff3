// SPDX-License-Identifier: GPL-2.0
/* wire/psn.h: stepping and comparing on the circle of 2^24. */
#include "psn.h"

#include "test.h"

static const u32 edges[] = {
	0, 1, 2, 0x7ffffe, 0x7fffff, 0x800000, 0x800001, 0xfffffe, 0xffffff,
};

/* Counted forward from @b, and what is half way or more taken back a turn. */
static s32 ref_diff(u32 a, u32 b)
{
	s32 ahead = a >= b ? (s32)(a - b) : (s32)(a + 0x1000000 - b);

	return ahead < 0x800000 ? ahead : ahead - 0x1000000;
}

static void test_fixed(void)
{
	check_eq(rxo_psn_add(0xffffff, 1), 0);
	check_eq(rxo_psn_add(0, -1), 0xffffff);
	check_eq(rxo_psn_add(0, 0), 0);
	check_eq(rxo_psn_add(5, 0x1000000), 5);
	check_eq(rxo_psn_add(0xfffff0, 0x20), 0x10);
	check_eq(rxo_psn_diff(1, 0), 1);
	check_eq(rxo_psn_diff(0, 1), -1);
	check_eq(rxo_psn_diff(0, 0xffffff), 1);
	check_eq(rxo_psn_diff(0xffffff, 0), -1);
	check_eq(rxo_psn_diff(0x7fffff, 0), 0x7fffff);
	/* Half way round counts as older: a duplicate, never executed. */
	check_eq(rxo_psn_diff(0x800000, 0), -0x800000);
	check_eq(rxo_psn_diff(0, 0x800000), -0x800000);
	check_eq(rxo_psn_diff(0x800001, 0), -0x7fffff);
}

/* From every edge once round the whole circle. */
static void test_circle(void)
{
	size_t i;
	s32 d;

	for (i = 0; i < ARRAY_SIZE(edges); i += 2) {
		for (d = -0x800000; d <= 0x7fffff; d++) {
			u32 psn = rxo_psn_add(edges[i], d);

			checkf(psn <= RXO_PSN_MASK, " (%x + %d)", edges[i], d);
			check_eqf(rxo_psn_diff(psn, edges[i]), d,
				  " (%x + %d)", edges[i], d);
		}
	}
}

static void test_pairs(void)
{
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		for (k = 0; k < ARRAY_SIZE(edges); k++) {
			u32 a = edges[i], b = edges[k];

			check_eqf(rxo_psn_diff(a, b), ref_diff(a, b),
				  " (%x, %x)", a, b);
			check_eqf(rxo_psn_add(b, rxo_psn_diff(a, b)), a,
				  " (%x, %x)", a, b);
		}
	}
}

static void test_random(void)
{
	int i;

	test_seed();
	for (i = 0; i < 1000000; i++) {
		u32 a = rnd(0x1000000), b = rnd(0x1000000);
		s32 d = rxo_psn_diff(a, b);

		check_eqf(d, ref_diff(a, b), " (%x, %x)", a, b);
		check_eqf(rxo_psn_add(b, d), a, " (%x, %x)", a, b);
		if (d != -0x800000)
			check_eqf(rxo_psn_diff(b, a), -d, " (%x, %x)", a, b);
	}
}

int main(void)
{
	test_fixed();
	test_circle();
	test_pairs();
	test_random();
	return test_done();
}
