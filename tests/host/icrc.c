// SPDX-License-Identifier: GPL-2.0
/*
 * wire/icrc.c against packets that hardware sent, against a second
 * implementation bit by bit, and against what it must and must not cover.
 */
#include <linux/crc32.h>

#include "hdr.h"
#include "icrc.h"

#include "ref_icrc.h"
#include "test.h"

#define BTH_LEN sizeof(struct rxo_bth)
#define MAX_LEN (RXO_IPV6_LEN + RXO_UDP_LEN + BTH_LEN + 4200)

static size_t begin_len(const u8 *ip)
{
	return (ip[0] >> 4 == 6 ? RXO_IPV6_LEN : RXO_IPV4_LEN) + RXO_UDP_LEN +
	       BTH_LEN;
}

static void icrc(const u8 *ip, size_t len, u8 out[4])
{
	size_t begun = begin_len(ip);
	__le32 end;

	end = rxo_icrc_end(rxo_icrc_add(rxo_icrc_begin(ip), ip + begun,
					len - begun));
	memcpy(out, &end, sizeof(end));
}

/* A CNP that a ConnectX-4 Lx sent; from the tests of scapy's RoCE layer. */
static const u8 cnp[] = {
	0x45, 0xc2, 0x00, 0x3c, 0x71, 0x8c, 0x40, 0x00, 0x40, 0x11,
	0x91, 0x61, 0x0a, 0x00, 0x11, 0x01, 0x0a, 0x00, 0x12, 0x01,
	0x00, 0x00, 0x12, 0xb7, 0x00, 0x28, 0x00, 0x00,
	0x81, 0x00, 0xff, 0xff, 0x40, 0x00, 0x01, 0x18, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x82, 0xfd, 0x00, 0x2a,
};

/* A UC SEND_ONLY with two bytes of pad; from the same place. */
static const u8 uc_send[] = {
	0x45, 0x01, 0x00, 0x40, 0x04, 0x78, 0x40, 0x00, 0x40, 0x11,
	0xb4, 0xd5, 0xc0, 0xa8, 0x00, 0x07, 0xc0, 0xa8, 0x00, 0x07,
	0xc0, 0x00, 0x12, 0xb7, 0x00, 0x2c, 0xac, 0xa2,
	0x24, 0x60, 0xff, 0xff, 0x00, 0x00, 0x00, 0xd3, 0x00, 0xcf, 0x17, 0x10,
	0x46, 0x30, 0x81, 0x8b, 0xe2, 0x89, 0x35, 0xd9, 0x0e, 0x9a,
	0x95, 0x50, 0x54, 0x01, 0xbe, 0x88, 0x5e, 0x50, 0x00, 0x00,
	0x78, 0xf3, 0x53, 0xf3,
};

/*
 * An RDMA WRITE and its acknowledge as hardware sent them over RoCEv1, where a
 * global route header stands that is masked like IPv6, and no UDP. Bytes that
 * count as ones are written so.
 */
static const u8 v1_write[] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0x6f, 0xff, 0xff, 0xff, 0x00, 0x28, 0x1b, 0xff,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0xff, 0xff, 0x0f, 0x00, 0x00, 0x02,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0xff, 0xff, 0x0f, 0x00, 0x00, 0x02,
	0x0a, 0x70, 0xff, 0xff, 0xff, 0x00, 0x01, 0x0a, 0x80, 0xa7, 0x88, 0xbc,
	0x00, 0x00, 0x55, 0xd4, 0xc0, 0x72, 0x60, 0x00,
	0x00, 0x00, 0x47, 0xb3, 0x00, 0x00, 0x00, 0x05,
	0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
	0xe3, 0xd8, 0x56, 0xbb,
};

static const u8 v1_ack[] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0x6f, 0xff, 0xff, 0xff, 0x00, 0x14, 0x1b, 0xff,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0xff, 0xff, 0x0f, 0x00, 0x00, 0x02,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0xff, 0xff, 0x0f, 0x00, 0x00, 0x02,
	0x11, 0x40, 0xff, 0xff, 0xff, 0x00, 0x01, 0x09, 0x00, 0xa7, 0x88, 0xc0,
	0x00, 0x00, 0x00, 0x05,
	0x25, 0xf0, 0xc0, 0x38,
};

static void check_captured(const u8 *ip, size_t len)
{
	u8 got[4];

	icrc(ip, len - 4, got);
	check_mem(got, ip + len - 4, 4);
	ref_icrc(ip, len - 4, got);
	check_mem(got, ip + len - 4, 4);
}

static void check_captured_v1(const u8 *bytes, size_t len)
{
	__le32 end = rxo_icrc_end(rxo_icrc_add(~0U, bytes, len - 4));

	check_mem((u8 *)&end, bytes + len - 4, 4);
}

static void test_captured(void)
{
	check_captured(cnp, sizeof(cnp));
	check_captured(uc_send, sizeof(uc_send));
	check_captured_v1(v1_write, sizeof(v1_write));
	check_captured_v1(v1_ack, sizeof(v1_ack));
}

/* The published check value of this CRC, which also tries the host's shim. */
static void test_crc(void)
{
	check_eq(~crc32_le(~0U, "123456789", 9), 0xcbf43926U);
	check_eq(crc32_le(0x12345678, "", 0), 0x12345678);
}

static void random_packet(u8 *p, size_t len, bool v6)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = rnd64();
	p[0] = (p[0] & 0x0f) | (v6 ? 0x60 : 0x40);
}

/* Every length behind the BTH, cut into pieces at random. */
static void test_lengths(bool v6)
{
	static u8 packet[MAX_LEN];
	size_t len, at, step;

	random_packet(packet, sizeof(packet), v6);
	for (len = begin_len(packet); len <= sizeof(packet);
	     len += len < 300 ? 1 : 1 + rnd(97)) {
		u8 *exact = test_exact(packet, len);
		u8 got[4], want[4];
		__le32 end;
		u32 crc;

		ref_icrc(packet, len, want);
		icrc(exact, len, got);
		check_mem(got, want, 4);

		crc = rxo_icrc_begin(exact);
		for (at = begin_len(packet); at < len; at += step) {
			step = 1 + rnd(len - at);
			crc = rxo_icrc_add(crc, exact + at, step);
		}
		end = rxo_icrc_end(crc);
		check_mem((u8 *)&end, want, 4);
		free(exact);
	}
}

/* Flip every bit of a packet once: which of them count? */
static void test_coverage(bool v6)
{
	u8 packet[RXO_IPV6_LEN + RXO_UDP_LEN + BTH_LEN + 24];
	u8 before[4], after[4];
	size_t len, bit;

	random_packet(packet, sizeof(packet), v6);
	len = begin_len(packet) + 24;
	icrc(packet, len, before);
	for (bit = 0; bit < len * 8; bit++) {
		size_t i = bit / 8;
		bool counts = !ref_icrc_masked(v6, i);

		/* The version decides what the packet is. */
		if (i == 0 && bit % 8 >= 4)
			continue;
		if (v6 && i == 0)
			counts = false;
		packet[i] ^= 1 << bit % 8;
		icrc(packet, len, after);
		packet[i] ^= 1 << bit % 8;
		checkf(!!memcmp(before, after, 4) == counts,
		       " (IPv%d, byte %zu, bit %zu)", v6 ? 6 : 4, i, bit % 8);
	}
}

/* The header is read as bytes, wherever it begins. */
static void test_alignment(void)
{
	u8 room[sizeof(uc_send) + 8], got[4];
	size_t shift;

	for (shift = 0; shift < 8; shift++) {
		memcpy(room + shift, uc_send, sizeof(uc_send));
		icrc(room + shift, sizeof(uc_send) - 4, got);
		check_mem(got, uc_send + sizeof(uc_send) - 4, 4);
	}
}

int main(void)
{
	int i;

	test_crc();
	test_captured();
	test_alignment();
	test_seed();
	for (i = 0; i < 10; i++) {
		test_lengths(false);
		test_lengths(true);
		test_coverage(false);
		test_coverage(true);
	}
	return test_done();
}
