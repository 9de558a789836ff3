// SPDX-License-Identifier: GPL-2.0
/*
 * Rules of the reliable connection (IBTA 9.7). UC shares the order and length
 * rules (IBTA 9.8.2).
 */
#include "rc.h"

enum rxo_resp_psn rxo_rc_check_psn(u32 epsn, u32 psn, bool nak_sent)
{
	s32 diff = rxo_psn_diff(psn, epsn);

	if (diff == 0)
		return RXO_PSN_EXPECTED;
	if (diff < 0)
		return RXO_PSN_DUPLICATE;
	return nak_sent ? RXO_PSN_DROP : RXO_PSN_GAP;
}

bool rxo_check_order(u32 prev, u32 cur)
{
	bool inside = prev && !(prev & RXO_OP_LAST);
	u32 kinds = RXO_OP_SEND | RXO_OP_WRITE;

	if (!(cur & RXO_OP_REQ))
		return false;
	if (!inside)
		return cur & RXO_OP_FIRST;
	return !(cur & RXO_OP_FIRST) && (prev & kinds) == (cur & kinds);
}

static bool check_packet_length(const struct rxo_packet *pkt, u32 mtu)
{
	if (!(pkt->flags & RXO_OP_LAST))
		return pkt->payload_len == mtu;
	if (!(pkt->flags & RXO_OP_FIRST) && !pkt->payload_len)
		return false;
	return pkt->payload_len <= mtu;
}

/*
 * A packet that does not end the message must leave something for the next one:
 * a LAST is never empty.
 */
static bool check_write_length(const struct rxo_packet *pkt, u32 resid)
{
	if (pkt->flags & RXO_OP_RETH) {
		resid = pkt->rdma_len;
		if (resid > RXO_MAX_MSG_LEN)
			return false;
	}
	if (pkt->flags & RXO_OP_LAST)
		return pkt->payload_len == resid;
	return pkt->payload_len < resid;
}

bool rxo_check_length(const struct rxo_packet *pkt, u32 mtu, u32 resid)
{
	if (!(pkt->flags & RXO_OP_REQ))
		return false;
	if (pkt->flags & RXO_OP_READ)
		return pkt->rdma_len <= RXO_MAX_MSG_LEN;
	if (!(pkt->flags & RXO_OP_PAYLOAD))
		return true;
	if (!check_packet_length(pkt, mtu))
		return false;
	if (pkt->flags & RXO_OP_WRITE)
		return check_write_length(pkt, resid);
	return true;
}

bool rxo_rc_read_goes_first(const struct rxo_packet *pkt, u32 psn)
{
	return pkt->opcode == (RXO_RC | RXO_READ_REQUEST) &&
	       rxo_psn_diff(pkt->psn, psn) <= 0;
}

bool rxo_rc_read_covers(const struct rxo_packet *pkt, u32 psn, u32 mtu)
{
	s32 off = rxo_psn_diff(psn, pkt->psn);

	return off >= 0 && (u32)off < rxo_rc_packets(pkt->rdma_len, mtu);
}

/* IBTA 9.7.5.1.2 and table 43: bit 7 and kind 2 are reserved. */
static bool syndrome_is_ack(u8 syndrome)
{
	return (syndrome & ~RXO_SYN_VALUE_MASK) == RXO_SYN_ACK;
}

static enum rxo_resp_kind classify_ack(u8 syndrome)
{
	if (syndrome_is_ack(syndrome))
		return RXO_RESP_ACK;

	switch (syndrome & ~RXO_SYN_VALUE_MASK) {
	case RXO_SYN_RNR:
		return RXO_RESP_RNR;
	case RXO_SYN_NAK:
		break;
	default:
		return RXO_RESP_IGNORE;
	}

	switch (syndrome & RXO_SYN_VALUE_MASK) {
	case RXO_NAK_PSN:
		return RXO_RESP_RETRY;
	case RXO_NAK_INVALID_REQ:
	case RXO_NAK_REM_ACCESS:
	case RXO_NAK_REM_OP:
		return RXO_RESP_ERROR;
	default:
		/* Reserved, or of the reliable datagram, which this is not. */
		return RXO_RESP_IGNORE;
	}
}

enum rxo_resp_kind rxo_rc_classify(const struct rxo_packet *pkt, u32 una,
				   u32 nxt)
{
	u32 offset = (pkt->psn - una) & RXO_PSN_MASK;
	u32 window = (nxt - una) & RXO_PSN_MASK;

	if (!(pkt->flags & RXO_OP_RESP))
		return RXO_RESP_IGNORE;
	if (window && rxo_psn_diff(pkt->psn, una) < 0 &&
	    pkt->flags & RXO_OP_ACK && syndrome_is_ack(pkt->syndrome))
		return RXO_RESP_ALIVE;
	if (offset >= window)
		return RXO_RESP_IGNORE;
	if (pkt->flags & RXO_OP_ACK)
		return classify_ack(pkt->syndrome);
	/* What carries data is never a NAK; a MIDDLE has no AETH to say so. */
	if ((pkt->flags & RXO_OP_AETH) && !syndrome_is_ack(pkt->syndrome))
		return RXO_RESP_IGNORE;
	return pkt->flags & RXO_OP_READ ? RXO_RESP_READ : RXO_RESP_ATOMIC;
}

/* IBTA table 45, in units of 10 us; 0 is the longest, not the shortest. */
static const u32 rnr_units[32] = {
	65536, 1, 2, 3, 4, 6, 8, 12,
	16, 24, 32, 48, 64, 96, 128, 192,
	256, 384, 512, 768, 1024, 1536, 2048, 3072,
	4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152,
};

u32 rxo_rnr_usec(u8 timer)
{
	return rnr_units[timer & RXO_SYN_VALUE_MASK] * 10;
}

u64 rxo_timeout_usec(u8 timeout)
{
	u32 ticks;

	if (!timeout)
		return 0;
	/*
	 * 4.096 = 512 / 125. Divided before it is multiplied, no product
	 * leaves 32 bits where a 64-bit division would be needed.
	 */
	ticks = 1U << (timeout & 31);
	return (u64)(ticks / 125) * 512 + DIV_ROUND_UP(ticks % 125 * 512, 125);
}
