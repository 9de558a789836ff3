/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packet sequence numbers: 24 bit, compared as a circle (IBTA 9.7.2).
 */
#ifndef RXO_WIRE_PSN_H
#define RXO_WIRE_PSN_H

#include "types.h"

#define RXO_PSN_MASK 0xffffffU
#define RXO_QPN_MASK 0xffffffU

/**
 * rxo_psn_add() - step a PSN forward (or back, with a negative count)
 * @psn: a PSN, 0 to 0xffffff
 * @n: packets
 *
 * Context: any.
 * Return: the PSN @n packets later.
 */
static inline u32 rxo_psn_add(u32 psn, s32 n)
{
	return (psn + (u32)n) & RXO_PSN_MASK;
}

/**
 * rxo_psn_diff() - distance on the circle
 * @a: a PSN
 * @b: a PSN
 *
 * Context: any.
 * Return: @a - @b in packets, -0x800000 to 0x7fffff; below 0 when @a is older.
 */
static inline s32 rxo_psn_diff(u32 a, u32 b)
{
	return (s32)((a - b) << 8) >> 8;
}

#endif /* RXO_WIRE_PSN_H */
