// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * RoCEv2 frames made by hand. See forge.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "forge.h"
#include "netns.h"
#include "test.h"

#define ROCE_PORT 4791
#define UDP_LEN 8

static void tap_open(struct tap *tap, const struct wire_end *end)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};
	struct ifreq ifr = { 0 };
	int on = 1;

	tap->fd = netns_socket(end->netns, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", end->ifname);
	check(!ioctl(tap->fd, SIOCGIFHWADDR, &ifr), "%s: %s", end->ifname,
	      strerror(errno));
	memcpy(tap->mac, ifr.ifr_hwaddr.sa_data, 6);
	check(!ioctl(tap->fd, SIOCGIFINDEX, &ifr), "%s: %s", end->ifname,
	      strerror(errno));
	at.sll_ifindex = ifr.ifr_ifindex;
	check(!setsockopt(tap->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)),
	      "PACKET_IGNORE_OUTGOING: %s", strerror(errno));
	check(!bind(tap->fd, (struct sockaddr *)&at, sizeof(at)), "bind: %s",
	      strerror(errno));
}

void taps_open(struct tap taps[2], struct wire_end ends[2], const struct pair *p)
{
	wire_end_find(&ends[0], &p->na);
	wire_end_find(&ends[1], &p->nb);
	if (!strcmp(ends[0].netns, ends[1].netns))
		skip("needs two hosts");
	tap_open(&taps[0], &ends[0]);
	tap_open(&taps[1], &ends[1]);
}

void tap_close(struct tap *tap)
{
	close(tap->fd);
}

bool tap_send(struct tap *tap, const struct frame *f)
{
	ssize_t n = send(tap->fd, f->bytes, f->len, 0);

	check(n >= 0 || errno == ENOBUFS || errno == EAGAIN || errno == EMSGSIZE,
	      "sending %zu bytes: %s", f->len, strerror(errno));
	return n >= 0;
}

bool tap_recv(struct tap *tap, struct frame *f)
{
	ssize_t n = recv(tap->fd, f->bytes, sizeof(f->bytes), 0);

	check(n >= 0 || errno == EAGAIN || errno == ENETDOWN, "receiving: %s",
	      strerror(errno));
	f->len = n < 0 ? 0 : n;
	return n > 0;
}

bool nic_address(const struct nic *nic, bool v6, uint8_t addr[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ibv_gid_entry e;

	for (int i = 0; i < nic->port.gid_tbl_len; i++) {
		bool is_v4, local;

		if (ibv_query_gid_ex(nic->ctx, PORT, i, &e, 0))
			continue;
		is_v4 = !memcmp(e.gid.raw, mapped, sizeof(mapped));
		local = e.gid.raw[0] == 0xfe && (e.gid.raw[1] & 0xc0) == 0x80;
		if (local || is_v4 == v6)
			continue;
		memset(addr, 0, 16);
		if (v6)
			memcpy(addr, e.gid.raw, 16);
		else
			memcpy(addr, e.gid.raw + 12, 4);
		return true;
	}
	return false;
}

uint32_t get24(const uint8_t *p)
{
	return p[0] << 16 | p[1] << 8 | p[2];
}

void put24(uint8_t *p, uint32_t v)
{
	p[0] = v >> 16;
	p[1] = v >> 8;
	p[2] = v;
}

uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | get24(p + 1);
}

void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

void put32(uint8_t *p, uint32_t v)
{
	p[0] = v >> 24;
	put24(p + 1, v);
}

void put64(uint8_t *p, uint64_t v)
{
	put32(p, v >> 32);
	put32(p + 4, v);
}

bool frame_v6(const struct frame *f)
{
	return f->bytes[12] == 0x86;
}

static size_t ip_len(const struct frame *f)
{
	return frame_v6(f) ? 40 : 20;
}

size_t frame_bth(const struct frame *f)
{
	return ETH_LEN + ip_len(f) + UDP_LEN;
}

size_t frame_icrc(const struct frame *f)
{
	return f->len - ICRC_LEN;
}

bool frame_is_roce(const struct frame *f)
{
	const uint8_t *ip = f->bytes + ETH_LEN;
	const uint8_t *udp;

	if (f->len < ETH_LEN + 40 + UDP_LEN)
		return false;
	if (frame_v6(f) ? ip[6] != 17 : f->bytes[12] != 8 || ip[0] != 0x45 || ip[9] != 17)
		return false;
	udp = ip + ip_len(f);
	return f->len >= frame_bth(f) + BTH_LEN + ICRC_LEN &&
	       (udp[2] << 8 | udp[3]) == ROCE_PORT;
}

static uint16_t ip_sum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += i == 10 ? 0 : ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static uint32_t crc_table[256];

static void __attribute__((constructor)) crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		crc_table[i] = c;
	}
}

/* IBTA A17.3.3: eight bytes of ones, then the packet with what may change as ones. */
static uint32_t icrc(const struct frame *f)
{
	const uint8_t *ip = f->bytes + ETH_LEN;
	size_t udp = ip_len(f), n = f->len - ETH_LEN - ICRC_LEN;
	bool v6 = frame_v6(f);
	uint32_t crc = ~0u;

	for (int i = 0; i < 8; i++)
		crc = crc_table[(crc ^ 0xff) & 0xff] ^ crc >> 8;
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = ip[i];

		if (i == udp + 6 || i == udp + 7 || i == udp + 12)
			byte = 0xff;
		if (v6 ? (i >= 1 && i <= 3) || i == 7 :
		    i == 1 || i == 8 || i == 10 || i == 11)
			byte = 0xff;
		if (v6 && !i)
			byte |= 0x0f;
		crc = crc_table[(crc ^ byte) & 0xff] ^ crc >> 8;
	}
	return ~crc;
}

void frame_seal(struct frame *f)
{
	uint8_t *ip = f->bytes + ETH_LEN, *udp = ip + ip_len(f);
	uint32_t crc;

	put16(udp + 4, f->len - ETH_LEN - ip_len(f));
	put16(udp + 6, 0);
	if (frame_v6(f)) {
		put16(ip + 4, f->len - ETH_LEN - 40);
	} else {
		put16(ip + 2, f->len - ETH_LEN);
		put16(ip + 10, ip_sum(ip));
	}
	crc = icrc(f);
	for (int i = 0; i < ICRC_LEN; i++)
		f->bytes[frame_icrc(f) + i] = crc >> 8 * i;
}

void frame_redirect(struct frame *f, const struct route *route)
{
	uint8_t *ip = f->bytes + ETH_LEN;
	size_t n = route->v6 ? 16 : 4;

	memcpy(f->bytes, route->dmac, 6);
	memcpy(f->bytes + 6, route->smac, 6);
	memcpy(ip + (route->v6 ? 8 : 12), route->saddr, n);
	memcpy(ip + (route->v6 ? 24 : 16), route->daddr, n);
	put16(ip + ip_len(f), route->sport);
	put16(ip + ip_len(f) + 2, ROCE_PORT);
}

static void put_ip(struct frame *f, const struct route *route)
{
	uint8_t *ip = f->bytes + ETH_LEN;

	memset(f->bytes, 0, ETH_LEN + 48);
	put16(f->bytes + 12, route->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	if (route->v6) {
		ip[0] = 0x60;
		ip[6] = 17;
		ip[7] = 64;
	} else {
		ip[0] = 0x45;
		ip[6] = 0x40;
		ip[8] = 64;
		ip[9] = 17;
	}
	frame_redirect(f, route);
}

/*
 * The extended headers by operation (IBTA table 38): R RETH, A AtomicETH, E AETH,
 * O original value, I four bytes of immediate data or key. What does not exist is
 * sent as it would be understood by one who mistakes it for something else.
 */
static const char *const extended[32] = {
	[0x03] = "I", [0x05] = "I", [0x06] = "R", [0x09] = "I", [0x0a] = "R",
	[0x0b] = "RI", [0x0c] = "R", [0x0d] = "E", [0x0f] = "E", [0x10] = "E",
	[0x11] = "E", [0x12] = "EO", [0x13] = "A", [0x14] = "A", [0x15] = "R",
	[0x16] = "I", [0x17] = "I", [0x18] = "R", [0x1c] = "R", [0x1d] = "A",
};

static uint8_t *put_extended(uint8_t *p, const struct said *s)
{
	const char *x = extended[s->opcode & 0x1f];

	if (s->opcode >> 5 == 3) {
		put32(p, s->qkey);
		put32(p + 4, s->imm);
		p += 8;
	}
	for (; x && *x; x++) {
		switch (*x) {
		case 'R':
			put64(p, s->va);
			put32(p + 8, s->rkey);
			put32(p + 12, s->len);
			p += 16;
			break;
		case 'A':
			put64(p, s->va);
			put32(p + 8, s->rkey);
			put64(p + 12, s->swap_add);
			put64(p + 20, s->compare);
			p += 28;
			break;
		case 'E':
			put32(p, s->aeth);
			p += 4;
			break;
		case 'O':
			put64(p, s->orig);
			p += 8;
			break;
		case 'I':
			put32(p, s->imm);
			p += 4;
			break;
		}
	}
	return p;
}

void frame_make(struct frame *f, const struct route *route, const struct said *said)
{
	uint8_t *bth, *p;

	put_ip(f, route);
	bth = f->bytes + frame_bth(f);
	bth[0] = said->opcode;
	bth[1] = said->flags;
	put16(bth + 2, said->pkey);
	put32(bth + 4, said->qpn);
	put32(bth + 8, said->psn);
	p = put_extended(bth + BTH_LEN, said);
	if (said->payload_len) {
		memcpy(p, said->payload, said->payload_len);
		p += said->payload_len;
	}
	f->len = p + ICRC_LEN - f->bytes;
	frame_seal(f);
}
