/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules of wire/rc.c a second time, worded by the numbers of opcodes and
 * syndromes as the specification tables them, without a look at the flags that
 * rc.c decides by.
 */
#ifndef REF_RC_H
#define REF_RC_H

#include "rc.h"

/* Where a responder stands in the schedule of requests (IBTA 9.7.4.1.3). */
enum ref_state {
	REF_IDLE,
	REF_IN_SEND,
	REF_IN_WRITE,
	REF_NEVER, /* where no request leads */
};

/* Where request @opcode leads from @state; REF_NEVER when it may not come. */
static inline enum ref_state ref_step(enum ref_state state, u8 opcode)
{
	switch (opcode & 0x1f) {
	case 0x00: /* SEND first */
		return state == REF_IDLE ? REF_IN_SEND : REF_NEVER;
	case 0x01: /* SEND middle */
		return state == REF_IN_SEND ? REF_IN_SEND : REF_NEVER;
	case 0x02: /* SEND last, also with immediate or invalidate */
	case 0x03:
	case 0x16:
		return state == REF_IN_SEND ? REF_IDLE : REF_NEVER;
	case 0x06: /* WRITE first */
		return state == REF_IDLE ? REF_IN_WRITE : REF_NEVER;
	case 0x07: /* WRITE middle */
		return state == REF_IN_WRITE ? REF_IN_WRITE : REF_NEVER;
	case 0x08: /* WRITE last, also with immediate */
	case 0x09:
		return state == REF_IN_WRITE ? REF_IDLE : REF_NEVER;
	case 0x04: /* what is one packet: SEND, WRITE, READ, atomics */
	case 0x05:
	case 0x17:
	case 0x0a:
	case 0x0b:
	case 0x0c:
	case 0x13:
	case 0x14:
		return state == REF_IDLE ? REF_IDLE : REF_NEVER;
	default:
		return REF_NEVER;
	}
}

/* The state after a request that was in order. */
static inline enum ref_state ref_after(u8 opcode)
{
	switch (opcode & 0x1f) {
	case 0x00:
	case 0x01:
		return REF_IN_SEND;
	case 0x06:
	case 0x07:
		return REF_IN_WRITE;
	default:
		return REF_IDLE;
	}
}

static inline enum rxo_resp_psn ref_place(u32 epsn, u32 psn, bool nak_sent)
{
	u32 ahead = psn >= epsn ? psn - epsn : psn + 0x1000000 - epsn;

	if (ahead == 0)
		return RXO_PSN_EXPECTED;
	if (ahead >= 0x800000)
		return RXO_PSN_DUPLICATE;
	return nak_sent ? RXO_PSN_DROP : RXO_PSN_GAP;
}

/*
 * May request @opcode carry @payload bytes? @resid is what of its message is
 * left with this packet, whichever way one learns it.
 */
static inline bool ref_length(u8 opcode, u32 payload, u32 mtu, u32 resid)
{
	switch (opcode & 0x1f) {
	case 0x00: /* SEND first, middle */
	case 0x01:
		return payload == mtu;
	case 0x02: /* SEND last */
	case 0x03:
	case 0x16:
		return payload >= 1 && payload <= mtu;
	case 0x04: /* SEND only */
	case 0x05:
	case 0x17:
		return payload <= mtu;
	case 0x06: /* WRITE first, middle */
	case 0x07:
		return payload == mtu && resid >= mtu + 1 &&
		       resid <= 0x80000000;
	case 0x08: /* WRITE last */
	case 0x09:
		return payload >= 1 && payload <= mtu && payload == resid;
	case 0x0a: /* WRITE only */
	case 0x0b:
		return payload <= mtu && payload == resid;
	case 0x0c: /* READ */
		return resid <= 0x80000000;
	case 0x13: /* atomics */
	case 0x14:
		return true;
	default: /* no request */
		return false;
	}
}

/* What a syndrome says, bit 7 to bit 0 as the specification tables it. */
static inline enum rxo_resp_kind ref_syndrome(u32 syndrome)
{
	if (syndrome <= 0x1f)
		return RXO_RESP_ACK;
	if (syndrome >= 0x20 && syndrome <= 0x3f)
		return RXO_RESP_RNR;
	if (syndrome == 0x60)
		return RXO_RESP_RETRY;
	if (syndrome >= 0x61 && syndrome <= 0x63)
		return RXO_RESP_ERROR;
	return RXO_RESP_IGNORE;
}

static inline enum rxo_resp_kind ref_response(u32 opcode, u32 syndrome)
{
	bool ack = ref_syndrome(syndrome) == RXO_RESP_ACK;

	switch (opcode) {
	case 0x0d: /* READ responses; the middle has no syndrome */
	case 0x0f:
	case 0x10:
		return ack ? RXO_RESP_READ : RXO_RESP_IGNORE;
	case 0x0e:
		return RXO_RESP_READ;
	case 0x11:
		return ref_syndrome(syndrome);
	case 0x12:
		return ack ? RXO_RESP_ATOMIC : RXO_RESP_IGNORE;
	default:
		return RXO_RESP_IGNORE;
	}
}

#endif /* REF_RC_H */
