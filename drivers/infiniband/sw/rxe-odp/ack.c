// SPDX-License-Identifier: GPL-2.0
#include "dev.h"
#include "net.h"
#include "qp.h"
#include "resp.h"
#include "wire/hdr.h"
#include "wire/psn.h"
#include "wire/rc.h"

static void rxo_ack_send(struct rxo_qp *qp, u8 opcode, u32 psn, u8 syndrome,
			 u64 orig)
{
	struct rxo_packet pkt = {
		.opcode = opcode,
		.pkey = RXO_PKEY_DEFAULT,
		.qpn = qp->attr.dest_qp_num,
		.psn = psn,
		.syndrome = syndrome,
		.msn = qp->resp.msn,
		.orig = orig,
	};
	struct sk_buff *skb;
	void *payload;

	skb = rxo_net_alloc(qp, &pkt, &payload);
	/* A lost answer is asked for again. */
	if (!IS_ERR(skb))
		rxo_net_send(qp, &pkt, skb);
}

void rxo_ack(struct rxo_qp *qp, u32 psn)
{
	rxo_count(qp->dev, sent_acks);
	rxo_ack_send(qp, RXO_RC | RXO_ACK, psn,
		     RXO_SYN_ACK | RXO_SYN_NO_CREDITS, 0);
}

/* So far behind it is still taken for the past, whatever the peer has sent since. */
#define RXO_ACK_OLDEST (1U << 22)

bool rxo_ack_again(struct rxo_qp *qp, u32 psn)
{
	if (((qp->resp.epsn - psn) & RXO_PSN_MASK) > RXO_ACK_OLDEST)
		return false;
	rxo_ack(qp, psn);
	return true;
}

void rxo_nak(struct rxo_qp *qp, u32 psn, u8 code)
{
	rxo_count(qp->dev, sent_naks);
	rxo_ack_send(qp, RXO_RC | RXO_ACK, psn, RXO_SYN_NAK | code, 0);
}

void rxo_nak_rnr(struct rxo_qp *qp, u32 psn)
{
	rxo_count(qp->dev, sent_rnr_naks);
	rxo_ack_send(qp, RXO_RC | RXO_ACK, psn,
		     RXO_SYN_RNR | qp->attr.min_rnr_timer, 0);
}

void rxo_ack_atomic(struct rxo_qp *qp, u32 psn, u64 orig)
{
	rxo_count(qp->dev, sent_acks);
	rxo_ack_send(qp, RXO_RC | RXO_ATOMIC_ACK, psn,
		     RXO_SYN_ACK | RXO_SYN_NO_CREDITS, orig);
}
