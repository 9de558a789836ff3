// SPDX-License-Identifier: GPL-2.0
/*
 * Input: limits of a send queue, an MTU, and a WQE as a hostile process may leave it
 * in the ring, in a block of its very size. What the copy calls sound keeps within
 * the limits, and the packets that are made of it are what a responder of wire/rc.c
 * takes: one message, in order, with the bytes that the work request has.
 */
#include <rdma/ib_verbs.h>
#include <rdma/rdma_user_rxe.h>

#include "hdr.h"
#include "opcode.h"
#include "packet.h"
#include "rc.h"
#include "swqe.h"

#include "fuzz.h"

#define MAX_SGE 4

/* More packets than that say nothing new. */
#define MAX_PACKETS 300

static struct rxo_swqe_limits take_limits(struct input *in, size_t *data)
{
	static const u8 transports[] = { RXO_RC, RXO_UC, RXO_UD };
	struct rxo_swqe_limits limits = {
		.transport = transports[take(in, 1) % ARRAY_SIZE(transports)],
		.max_sge = take(in, 1) % (MAX_SGE + 1),
	};

	*data = limits.max_sge * sizeof(struct rxe_sge);
	limits.max_inline = *data;
	return limits;
}

/* Values that get past the first check, more often than chance would have it. */
static void tame(struct rxe_send_wqe *user, u8 how)
{
	if (how & 1)
		user->wr.opcode %= 16;
	if (how & 2)
		user->dma.num_sge %= MAX_SGE + 1;
	if (how & 4)
		user->dma.length %= MAX_SGE * sizeof(struct rxe_sge) + 2;
	if (how & 8)
		user->wr.send_flags &= 0x1f;
}

static void within_limits(const struct rxo_swqe *wqe,
			  const struct rxo_swqe_limits *limits)
{
	u64 sum = 0;
	u32 i;

	if (rxo_swqe_is_local(wqe)) {
		must(limits->transport != RXO_UD);
		must(!wqe->num_sge && !wqe->len);
		return;
	}
	must(limits->transport == RXO_RC || !rxo_swqe_is_rd_atomic(wqe));
	must(wqe->num_sge <= limits->max_sge);
	if (wqe->flags & IB_SEND_INLINE) {
		must(wqe->len <= limits->max_inline && !wqe->num_sge);
		return;
	}
	for (i = 0; i < wqe->num_sge; i++)
		sum += wqe->sge[i].length;
	must(sum == wqe->len);
	must(!rxo_swqe_is_atomic(wqe) || wqe->len == 8);
}

/* Over the wire; a responder's books of order, length and bytes. */
static void receive(struct rxo_packet *pkt, const struct rxo_swqe *wqe, u32 mtu,
		    u32 *prev, u32 *resid)
{
	u8 hdr[RXO_MAX_HDR_LEN];
	struct rxo_packet got;
	size_t len = rxo_packet_build(pkt, hdr);

	must(len);
	must(rxo_packet_parse(&got, hdr, len,
			      len + pkt->payload_len + pkt->pad + RXO_ICRC_LEN) ==
	     RXO_PARSE_OK);
	must(rxo_check_order(*prev, got.flags));
	must(rxo_check_length(&got, mtu, *resid));
	if (got.flags & RXO_OP_RETH)
		*resid = got.rdma_len;
	if (got.flags & RXO_OP_WRITE)
		*resid -= got.payload_len;
	if (got.flags & (RXO_OP_WRITE | RXO_OP_READ | RXO_OP_ATOMIC) &&
	    got.flags & RXO_OP_FIRST)
		must(got.rkey == wqe->rkey);
	*prev = got.flags;
}

/* All READ requests from @psn on; a READ may be asked for from any packet. */
static void read_requests(const struct rxo_swqe *wqe, u32 mtu, u32 psn)
{
	u32 last = rxo_rc_packets(wqe->len, mtu) - 1, end, prev, resid;
	u64 asked = (u64)psn * mtu;
	int n = 0;

	for (; psn <= last && n++ < MAX_PACKETS; psn = end + 1) {
		struct rxo_packet pkt = {};

		end = rxo_rc_read_end(0, last, psn);
		rxo_swqe_packet(wqe, psn * mtu, end - psn + 1, mtu, &pkt);
		prev = 0;
		resid = 0;
		receive(&pkt, wqe, mtu, &prev, &resid);
		must(pkt.va == wqe->remote_addr + asked);
		must(rxo_rc_packets(pkt.rdma_len, mtu) == end - psn + 1);
		asked += pkt.rdma_len;
	}
	if (psn > last)
		must(asked == wqe->len);
}

static void packets(const struct rxo_swqe *wqe, u8 transport, u32 mtu)
{
	u32 n = rxo_rc_packets(wqe->len, mtu), i, prev = 0, resid = 0;
	u64 sent = 0;

	for (i = 0; i < n && i < MAX_PACKETS; i++) {
		struct rxo_packet pkt = {};

		rxo_swqe_packet(wqe, i * mtu, 1, mtu, &pkt);
		pkt.opcode |= transport;
		receive(&pkt, wqe, mtu, &prev, &resid);
		sent += pkt.payload_len;
		must(!(pkt.flags & RXO_OP_LAST) == (i + 1 < n));
	}
	if (i < n || rxo_swqe_is_atomic(wqe))
		return;
	must(sent == wqe->len);
	must(!resid);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	struct rxe_send_wqe *user;
	struct rxo_swqe *wqe;
	struct rxo_swqe_limits limits;
	size_t room, i;
	u8 how, *bytes;
	u32 mtu;

	limits = take_limits(&in, &room);
	mtu = 256 << take(&in, 1) % 5;
	how = take(&in, 1);
	bytes = malloc(sizeof(*user) + room);
	wqe = malloc(sizeof(*wqe) + room);
	must(bytes && wqe);
	for (i = 0; i < sizeof(*user) + room; i++)
		bytes[i] = take8(&in);
	user = (void *)bytes;
	tame(user, how);

	rxo_swqe_copy(&limits, wqe, user);
	if (!wqe->bad) {
		within_limits(wqe, &limits);
		(void)rxo_swqe_wc_opcode(wqe);
		if (wqe->opcode == IB_WR_RDMA_READ)
			read_requests(wqe, mtu, take(&in, 3) %
				      rxo_rc_packets(wqe->len, mtu));
		else if (!rxo_swqe_is_local(wqe) &&
			 (limits.transport != RXO_UD || wqe->len <= mtu))
			packets(wqe, limits.transport, mtu);
	}
	free(wqe);
	free(bytes);
	return 0;
}
