// SPDX-License-Identifier: GPL-2.0
/*
 * Invariant CRC (IBTA 7.8.1 for the polynomial, A17.3.3 for what it covers).
 *
 * It is the CRC of Ethernet: reflected, begun with ones, inverted at the end,
 * its low byte first on the wire. Fields that a router or the network stack may
 * rewrite count as ones; the others of the IP header count as they are, the
 * identification and the lengths among them.
 */
#include <linux/crc32.h>

#include "hdr.h"
#include "icrc.h"

/*
 * The CRC begins with eight bytes of ones, in the place of the link header that
 * a native InfiniBand packet has. This is the state after them.
 */
#define CRC_AFTER_ONES 0xdebb20e3U

#define MASKED 0xff

#define IPV4_TOS 1
#define IPV4_TTL 8
#define IPV4_CHECK 10
#define IPV6_HOP_LIMIT 7
#define UDP_CHECK 6
#define BTH_CONGESTION 4 /* fecn, becn, reserved */

static void mask_ipv4(u8 *ip)
{
	ip[IPV4_TOS] = MASKED;
	ip[IPV4_TTL] = MASKED;
	ip[IPV4_CHECK] = MASKED;
	ip[IPV4_CHECK + 1] = MASKED;
}

static void mask_ipv6(u8 *ip)
{
	/* Traffic class and flow label lie behind the version's four bits. */
	ip[0] |= 0x0f;
	ip[1] = MASKED;
	ip[2] = MASKED;
	ip[3] = MASKED;
	ip[IPV6_HOP_LIMIT] = MASKED;
}

u32 rxo_icrc_begin(const void *ip)
{
	u8 hdr[RXO_IPV6_LEN + RXO_UDP_LEN + sizeof(struct rxo_bth)];
	bool v6 = *(const u8 *)ip >> 4 == 6;
	size_t ip_len = v6 ? RXO_IPV6_LEN : RXO_IPV4_LEN;
	size_t len = ip_len + RXO_UDP_LEN + sizeof(struct rxo_bth);
	u8 *udp = hdr + ip_len;
	u8 *bth = udp + RXO_UDP_LEN;

	memcpy(hdr, ip, len);
	if (v6)
		mask_ipv6(hdr);
	else
		mask_ipv4(hdr);
	udp[UDP_CHECK] = MASKED;
	udp[UDP_CHECK + 1] = MASKED;
	bth[BTH_CONGESTION] = MASKED;
	return crc32_le(CRC_AFTER_ONES, hdr, len);
}

u32 rxo_icrc_add(u32 crc, const void *data, size_t len)
{
	return crc32_le(crc, data, len);
}

__le32 rxo_icrc_end(u32 crc)
{
	return cpu_to_le32(~crc);
}
