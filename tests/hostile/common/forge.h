/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * RoCEv2 frames made by hand and put onto the cable between the two hosts.
 *
 * A tap is a packet socket at one end: what is sent into it arrives at the other
 * host as if from this one, whatever addresses it bears; what the other host sends
 * can be read from it.
 */
#ifndef TESTS_HOSTILE_FORGE_H
#define TESTS_HOSTILE_FORGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define FRAME_MAX 9014
#define ETH_LEN 14
#define BTH_LEN 12
#define ICRC_LEN 4

struct tap {
	int fd;
	uint8_t mac[6];
};

struct frame {
	size_t len;
	uint8_t bytes[FRAME_MAX];
};

/* Who a frame claims to be from, and for whom. */
struct route {
	bool v6;
	uint8_t saddr[16], daddr[16];	/* the first four bytes for IPv4 */
	uint8_t smac[6], dmac[6];
	uint16_t sport;
};

/* What a frame says behind UDP; only what its opcode carries is used. */
struct said {
	uint8_t opcode, flags;		/* SE, M, pad, TVER */
	uint16_t pkey;
	uint32_t qpn, psn;		/* with the bits above their 24 */
	uint64_t va, swap_add, compare, orig;
	uint32_t rkey, len, imm, qkey;
	uint32_t aeth;
	const void *payload;
	size_t payload_len;
};

/* One at either end of the pair's cable; or skip. */
void taps_open(struct tap taps[2], struct wire_end ends[2], const struct pair *p);
void tap_close(struct tap *tap);
/* Was it taken? A full queue is no error. */
bool tap_send(struct tap *tap, const struct frame *f);
/* The next frame from the other host, of any kind. */
bool tap_recv(struct tap *tap, struct frame *f);

/* An address of @nic as it stands in an IP header; false if it has none. */
bool nic_address(const struct nic *nic, bool v6, uint8_t addr[16]);

void frame_make(struct frame *f, const struct route *route, const struct said *said);
/* New addresses and port for an existing frame of the same IP version. */
void frame_redirect(struct frame *f, const struct route *route);
/* Lengths, sums and ICRC for what is there now. */
void frame_seal(struct frame *f);

/* Is it RoCEv2, with a whole BTH and an ICRC behind it? */
bool frame_is_roce(const struct frame *f);
bool frame_v6(const struct frame *f);
/* Where BTH and ICRC are. */
size_t frame_bth(const struct frame *f);
size_t frame_icrc(const struct frame *f);

uint32_t get24(const uint8_t *p);
void put24(uint8_t *p, uint32_t v);
uint32_t get32(const uint8_t *p);
void put16(uint8_t *p, uint16_t v);
void put32(uint8_t *p, uint32_t v);
void put64(uint8_t *p, uint64_t v);

#endif
