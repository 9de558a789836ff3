/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address ranges that a peer or a user process chose: no sum is taken before
 * it is known not to wrap.
 */
#ifndef RXO_WIRE_RANGE_H
#define RXO_WIRE_RANGE_H

#include "types.h"

/**
 * rxo_range_contains() - does a window hold an access whole
 * @base: first byte of the window
 * @size: bytes in the window; @base + @size may be 2^64 but not more
 * @addr: first byte of the access
 * @len: bytes of the access; 0 is inside any window that holds @addr or ends
 *	 there
 *
 * Context: any.
 * Return: true when every byte of the access lies in the window and neither
 * range wraps.
 */
static inline bool rxo_range_contains(u64 base, u64 size, u64 addr, u64 len)
{
	u64 off;

	if (check_sub_overflow(addr, base, &off))
		return false;
	return off <= size && len <= size - off;
}

#endif /* RXO_WIRE_RANGE_H */
