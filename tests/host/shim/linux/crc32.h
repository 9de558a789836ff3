/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's crc32_le() for the host: a nibble at a time, which is quick
 * enough for fuzzing and needs a table one can check by eye. Entry i is what
 * shifting the four bits i out through the reflected polynomial 0xedb88320
 * leaves. As in the kernel, neither the seed nor the result is inverted.
 */
#ifndef SHIM_LINUX_CRC32_H
#define SHIM_LINUX_CRC32_H

#include "host_types.h"

static inline u32 crc32_le(u32 crc, const void *data, size_t len)
{
	static const u32 nibble[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const u8 *p = data;

	while (len--) {
		crc ^= *p++;
		crc = (crc >> 4) ^ nibble[crc & 15];
		crc = (crc >> 4) ^ nibble[crc & 15];
	}
	return crc;
}

#endif /* SHIM_LINUX_CRC32_H */
