/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A forger on the cable: it knows what an eavesdropper knows and more (QPNs, PSNs,
 * keys, addresses), and makes frames that are nearly right.
 *
 * A victim is one end of a connection. Genuine frames on the way to it are kept as
 * models; the forger's own are told from them by the UDP source port, which
 * nobody looks at.
 */
#ifndef TESTS_HOSTILE_FORGER_H
#define TESTS_HOSTILE_FORGER_H

#include "forge.h"

#define MODELS 8
#define MAX_KNOWN 16

struct zone {
	uint64_t at;
	size_t len;
};

struct victim {
	struct ep *ep;
	struct tap *in;			/* what is put in here reaches it */
	struct tap *spy;		/* what reaches it is seen here */
	struct route route;		/* its true peer's */
	uint32_t req_psn, resp_psn;	/* behind the last genuine ones */
	struct frame models[MODELS];
	unsigned int seen;
	/* To be used in forged requests; a key and the zone of its number mostly together. */
	unsigned int with;
	uint32_t keys[MAX_KNOWN];
	unsigned int nr_keys;
	struct zone zones[MAX_KNOWN];
	unsigned int nr_zones;
	uint32_t qpns[MAX_KNOWN];
	unsigned int nr_qpns;
};

/* @v is @ep, whose peer is @peer; the taps are at these two's ends of the cable. */
void victim_init(struct victim *v, struct ep *ep, const struct nic *peer,
		 struct tap *own_end, struct tap *peer_end);
void victim_knows_key(struct victim *v, uint32_t key);
void victim_knows_zone(struct victim *v, uint64_t at, size_t len);
void victim_knows_qpn(struct victim *v, uint32_t qpn);

/*
 * Look at what has passed. A frame that contains the @len bytes at @secret, whoever
 * sent it, fails the case.
 */
void victim_spy(struct victim *v, const void *secret, size_t len);
/* Ask the victim itself for its PSNs: for when nothing passes. */
void victim_ask(struct victim *v);

/* A frame from the true peer, nearly right; ends with a valid ICRC. */
void forge_any(struct victim *v, struct frame *f);
/* Some that make up one message, each as forge_any(): returns how many. */
#define MAX_MESSAGE 5
unsigned int forge_message(struct victim *v, struct frame f[MAX_MESSAGE]);
/* From the true peer, but not to be understood by anybody. */
void forge_malformed(struct victim *v, struct frame *f);
/* One byte that the ICRC covers is made another. */
void forge_spoil(struct frame *f);
/* A UDP source port that only forgers use. */
uint16_t forge_port(void);

#endif
