// SPDX-License-Identifier: GPL-2.0
/* wire/range.h: containment without a sum that may wrap. */
#include "range.h"

#include "test.h"

typedef unsigned __int128 u128;

/* Wide enough that no sum of two 64-bit numbers can wrap. */
static bool ref_contains(u64 base, u64 size, u64 addr, u64 len)
{
	u128 end = (u128)base + size;

	return addr >= base && (u128)addr + len <= end;
}

static void check_one(u64 base, u64 size, u64 addr, u64 len)
{
	check_eqf(rxo_range_contains(base, size, addr, len),
		  ref_contains(base, size, addr, len),
		  " (base %llx size %llx addr %llx len %llx)",
		  (unsigned long long)base, (unsigned long long)size,
		  (unsigned long long)addr, (unsigned long long)len);
}

static void test_fixed(void)
{
	const u64 max = ~0ULL;

	check(rxo_range_contains(0x1000, 0x1000, 0x1000, 0x1000));
	check(rxo_range_contains(0x1000, 0x1000, 0x1fff, 1));
	check(!rxo_range_contains(0x1000, 0x1000, 0xfff, 1));
	check(!rxo_range_contains(0x1000, 0x1000, 0x1fff, 2));
	check(!rxo_range_contains(0x1000, 0x1000, 0x2000, 1));
	/* Nothing may begin where the window ends, but not beyond. */
	check(rxo_range_contains(0x1000, 0x1000, 0x2000, 0));
	check(!rxo_range_contains(0x1000, 0x1000, 0x2001, 0));
	check(!rxo_range_contains(0x1000, 0x1000, 0xfff, 0));
	check(rxo_range_contains(0x1000, 0, 0x1000, 0));
	check(!rxo_range_contains(0x1000, 0, 0x1000, 1));
	/* Accesses that wrap, and a window up to the very top. */
	check(!rxo_range_contains(0x1000, 0x1000, 0x1800, max));
	check(!rxo_range_contains(0x1000, 0x1000, 0x1800, max - 0x17ff));
	check(!rxo_range_contains(0, max, max, 1));
	check(rxo_range_contains(0, max, 0, max));
	check(rxo_range_contains(max - 0xfff, 0x1000, max, 1));
	check(!rxo_range_contains(max - 0xfff, 0x1000, max, 2));
	check(!rxo_range_contains(max - 0xfff, 0x1000, 0, 1));
	check(!rxo_range_contains(max, 1, max, 2));
}

/* All fourfold pairs of a small world, moved to where sums wrap. */
static void test_small_worlds(void)
{
	static const u64 origins[] = {
		0, 0x7ffffffffffffff8ULL, ~0ULL - 15, ~0ULL - 7,
	};
	u64 base, size, addr, len;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(origins); i++) {
		u64 o = origins[i];

		for (base = o; base != o + 8; base++)
			for (size = 0; size < 10; size++) {
				if ((u128)base + size > (u128)1 << 64)
					continue;
				for (addr = o; addr != o + 8; addr++)
					for (len = 0; len < 10; len++)
						check_one(base, size, addr, len);
			}
	}
}

static u64 odd_number(void)
{
	u64 n = rnd64() >> rnd(64);

	return rnd(2) ? n : -n;
}

static void test_random(void)
{
	int i;

	test_seed();
	for (i = 0; i < 1000000; i++) {
		u64 base = odd_number(), size = odd_number();
		u64 addr = base + (rnd(4) ? rnd64() % (size | 1) : odd_number());
		u64 len = odd_number();

		if ((u128)base + size > (u128)1 << 64)
			continue;
		check_one(base, size, addr, len);
		check_one(base, size, addr, base + size - addr);
	}
}

int main(void)
{
	test_fixed();
	test_small_worlds();
	test_random();
	return test_done();
}
