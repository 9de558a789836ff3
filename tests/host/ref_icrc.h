/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ICRC a second time, bit by bit and from the words of the specification
 * (IBTA 7.8.1, A17.3.3): the polynomial in its straight form, bits fed low
 * end first, the remainder mirrored only on the way out. Shares nothing with
 * wire/icrc.c.
 */
#ifndef REF_ICRC_H
#define REF_ICRC_H

#include "host_types.h"

static inline u32 ref_crc_bit(u32 rem, int bit)
{
	int top = rem >> 31;

	rem <<= 1;
	return top != bit ? rem ^ 0x04c11db7 : rem;
}

static inline u32 ref_crc(u32 rem, u8 byte)
{
	int i;

	for (i = 0; i < 8; i++)
		rem = ref_crc_bit(rem, byte >> i & 1);
	return rem;
}

/* Is byte @i of the packet, from the IP header on, one that may change? */
static inline bool ref_icrc_masked(bool v6, size_t i)
{
	size_t udp = v6 ? 40 : 20;

	if (i == udp + 6 || i == udp + 7 || i == udp + 8 + 4)
		return true;
	if (v6)
		return (i >= 1 && i <= 3) || i == 7;
	return i == 1 || i == 8 || i == 10 || i == 11;
}

/* @ip: a packet without its ICRC; @out: the four bytes as they are sent */
static inline void ref_icrc(const u8 *ip, size_t len, u8 out[4])
{
	bool v6 = (ip[0] & 0xf0) == 0x60;
	u32 rem = 0xffffffff;
	size_t i;
	int bit;

	for (i = 0; i < 8; i++)
		rem = ref_crc(rem, 0xff);
	for (i = 0; i < len; i++) {
		u8 byte = ref_icrc_masked(v6, i) ? 0xff : ip[i];

		if (v6 && i == 0)
			byte |= 0x0f;
		rem = ref_crc(rem, byte);
	}
	rem = ~rem;
	/* The highest power goes first, into the lowest bit of a byte. */
	for (i = 0; i < 4; i++) {
		out[i] = 0;
		for (bit = 0; bit < 8; bit++)
			out[i] |= (rem >> (31 - 8 * i - bit) & 1) << bit;
	}
}

#endif /* REF_ICRC_H */
