// SPDX-License-Identifier: GPL-2.0
/*
 * Input: a seed for where to cut and what to change, then a packet from its IP
 * header on, of any length that holds the headers. The ICRC must be that of the
 * bitwise reference however the rest is cut, must not see what is masked, and
 * must see every other bit.
 */
#include "hdr.h"
#include "icrc.h"

#include "fuzz.h"
#include "ref_icrc.h"

static size_t begin_len(const u8 *ip)
{
	return (ip[0] >> 4 == 6 ? RXO_IPV6_LEN : RXO_IPV4_LEN) + RXO_UDP_LEN +
	       sizeof(struct rxo_bth);
}

static u32 icrc(const u8 *ip, size_t len, u32 cut)
{
	size_t at = begin_len(ip);
	u8 *head = exact(ip, at);
	u32 crc = rxo_icrc_begin(head);
	__le32 end;
	u32 out;

	free(head);
	while (at < len) {
		size_t step = cut % (len - at) + 1;
		u8 *piece = exact(ip + at, step);

		crc = rxo_icrc_add(crc, piece, step);
		free(piece);
		at += step;
		cut = cut * 1664525 + 1013904223;
	}
	end = rxo_icrc_end(crc);
	memcpy(&out, &end, sizeof(out));
	return out;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	u32 cut = take(&in, 2), change = take(&in, 2);
	size_t len = in.left, i;
	u32 before, want;
	bool v6;
	u8 *ip;

	if (!len || len < begin_len(in.p) || len > 8192)
		return 0;
	ip = exact(in.p, len);
	v6 = ip[0] >> 4 == 6;
	before = icrc(ip, len, cut);
	ref_icrc(ip, len, (u8 *)&want);
	must(before == want);
	must(before == icrc(ip, len, ~cut));

	/* Byte 0 says what the packet is; the others may change. */
	i = 1 + change / 8 % (len - 1);
	ip[i] ^= 1 << change % 8;
	must((icrc(ip, len, cut) == before) == ref_icrc_masked(v6, i));
	free(ip);
	return 0;
}
