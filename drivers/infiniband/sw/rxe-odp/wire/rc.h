/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rules of the reliable connection as pure functions: no lock, no skb, no QP.
 * (IBTA 9.7)
 */
#ifndef RXO_WIRE_RC_H
#define RXO_WIRE_RC_H

#include "packet.h"
#include "psn.h"

/* No message is longer (IBTA 9.3.3, DMA length). */
#define RXO_MAX_MSG_LEN 0x80000000U

/* AETH syndrome: kind in bits 6:5, credits, RNR timer or NAK code in 4:0. */
#define RXO_SYN_KIND_MASK 0x60
#define RXO_SYN_ACK 0x00
#define RXO_SYN_RNR 0x20
#define RXO_SYN_NAK 0x60
#define RXO_SYN_VALUE_MASK 0x1f
#define RXO_SYN_NO_CREDITS 0x1f /* end-to-end credits are not used */

enum rxo_nak {
	RXO_NAK_PSN = 0,
	RXO_NAK_INVALID_REQ = 1,
	RXO_NAK_REM_ACCESS = 2,
	RXO_NAK_REM_OP = 3,
	RXO_NAK_INV_RD = 4,
};

/**
 * enum rxo_resp_psn - what a responder does with a request's PSN
 * @RXO_PSN_EXPECTED: execute it
 * @RXO_PSN_DUPLICATE: seen before; answer again, execute nothing twice
 * @RXO_PSN_GAP: something is missing before it; NAK once, then drop
 * @RXO_PSN_DROP: a gap that was NAKed already
 */
enum rxo_resp_psn {
	RXO_PSN_EXPECTED,
	RXO_PSN_DUPLICATE,
	RXO_PSN_GAP,
	RXO_PSN_DROP,
};

/**
 * rxo_rc_check_psn() - place a request's PSN (IBTA 9.7.4.1.2)
 * @epsn: next PSN the responder expects
 * @psn: the request's
 * @nak_sent: a sequence NAK for @epsn has gone out already
 *
 * Context: any.
 * Return: what to do.
 */
enum rxo_resp_psn rxo_rc_check_psn(u32 epsn, u32 psn, bool nak_sent);

/**
 * rxo_check_order() - may this request follow the one before (IBTA 9.7.4.1.3)
 * @prev: opcode flags (RXO_OP_*) of the last request executed on the QP, 0
 *	  before the first
 * @cur: opcode flags of this one
 *
 * A message begins with FIRST or ONLY, goes on with MIDDLE or LAST of the same
 * kind, and nothing else may come between.
 *
 * Context: any.
 * Return: true when it may.
 */
bool rxo_check_order(u32 prev, u32 cur);

/**
 * rxo_check_length() - payload length against MTU and RETH (IBTA 9.7.4.1.6)
 * @pkt: a parsed request
 * @mtu: path MTU in bytes
 * @resid: bytes of an RDMA WRITE that are still to come, this packet
 *	   included; ignored for other operations and for packets that bring
 *	   a RETH, whose length is taken instead
 *
 * FIRST and MIDDLE carry exactly @mtu, LAST 1 to @mtu, ONLY 0 to @mtu; a WRITE's
 * packets add up to its RETH length, which is at most 2^31; a READ asks for at
 * most 2^31 bytes.
 *
 * Context: any.
 * Return: true when right.
 */
bool rxo_check_length(const struct rxo_packet *pkt, u32 mtu, u32 resid);

/**
 * rxo_rc_packets() - PSNs that a message takes
 * @len: message length in bytes
 * @mtu: path MTU, a power of two
 *
 * Context: any.
 * Return: at least 1.
 */
static inline u32 rxo_rc_packets(u32 len, u32 mtu)
{
	return len ? (len - 1) / mtu + 1 : 1;
}

/* PSNs of one READ request; a power of two. A longer READ is several requests. */
#define RXO_READ_PSNS 128

/**
 * rxo_rc_read_end() - where the READ request that a PSN belongs to ends
 * @first: first PSN of the READ work request
 * @last: its last
 * @psn: in [@first, @last]
 *
 * The same however often the requester has gone back, as a responder remembers
 * each request by itself and repeats nothing across their borders (IBTA
 * 9.7.5.1.5).
 *
 * Context: any.
 * Return: the last PSN of the request.
 */
static inline u32 rxo_rc_read_end(u32 first, u32 last, u32 psn)
{
	u32 off = (u32)rxo_psn_diff(psn, first) | (RXO_READ_PSNS - 1);
	u32 end = rxo_psn_add(first, (s32)off);

	return rxo_psn_diff(end, last) < 0 ? end : last;
}

/**
 * rxo_rc_read_goes_first() - does the answer to a READ have to wait for another
 * @pkt: a request that came after the READ being answered
 * @psn: of the next response to send
 *
 * A READ asked for again from @psn or before: the peer has most likely gone back, so it
 * discards what it would be sent now. One of the READs behind the present one,
 * asked for again with it, is no such thing.
 *
 * Context: any.
 * Return: true when it has.
 */
bool rxo_rc_read_goes_first(const struct rxo_packet *pkt, u32 psn);

/**
 * rxo_rc_read_covers() - is the response with this PSN one of a READ's
 * @pkt: the READ request
 * @psn: of the response
 * @mtu: path MTU in bytes
 *
 * Context: any.
 * Return: true when it is.
 */
bool rxo_rc_read_covers(const struct rxo_packet *pkt, u32 psn, u32 mtu);

/**
 * enum rxo_resp_kind - what a response means to the requester
 * @RXO_RESP_IGNORE: a ghost or malformed: neither acknowledges nor carries
 *		     anything
 * @RXO_RESP_ACK: acknowledges up to and with its PSN
 * @RXO_RESP_RNR: acknowledges what is before its PSN; send again later
 * @RXO_RESP_RETRY: acknowledges what is before its PSN; send again now
 * @RXO_RESP_ERROR: acknowledges what is before its PSN; the operation at its
 *		    PSN failed for good, see rxo_nak_status()
 * @RXO_RESP_READ: carries bytes of a READ
 * @RXO_RESP_ATOMIC: carries an atomic's original value
 * @RXO_RESP_ALIVE: acknowledges once more what was acknowledged before, while
 *		    something is outstanding: the peer works on it
 */
enum rxo_resp_kind {
	RXO_RESP_IGNORE,
	RXO_RESP_ACK,
	RXO_RESP_RNR,
	RXO_RESP_RETRY,
	RXO_RESP_ERROR,
	RXO_RESP_READ,
	RXO_RESP_ATOMIC,
	RXO_RESP_ALIVE,
};

/**
 * rxo_rc_classify() - classify a response (IBTA 9.7.5.2)
 * @pkt: a parsed response
 * @una: oldest PSN not yet acknowledged
 * @nxt: next PSN that was never sent
 *
 * Context: any.
 * Return: its kind; RXO_RESP_IGNORE when its PSN is outside [@una, @nxt), but for
 * RXO_RESP_ALIVE, or its syndrome is reserved.
 */
enum rxo_resp_kind rxo_rc_classify(const struct rxo_packet *pkt, u32 una,
				   u32 nxt);

/**
 * rxo_rnr_usec() - RNR NAK timer field in time (IBTA 9.7.5.2.8, table 45)
 * @timer: 0 to 31
 *
 * Context: any.
 * Return: microseconds, 10 to 655360.
 */
u32 rxo_rnr_usec(u8 timer);

/**
 * rxo_timeout_usec() - local ACK timeout (IBTA 9.7.6.1.3)
 * @timeout: exponent, 0 to 31; 0 means never
 *
 * Context: any.
 * Return: microseconds, 4.096 us * 2^@timeout rounded up; 0 for never.
 */
u64 rxo_timeout_usec(u8 timeout);

#endif /* RXO_WIRE_RC_H */
