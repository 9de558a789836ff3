// SPDX-License-Identifier: GPL-2.0
#include <rdma/ib_user_verbs.h>

#include "swqe.h"
#include "wire/hdr.h"
#include "wire/psn.h"
#include "wire/rc.h"

#define RXO_F_SEND BIT(0)
#define RXO_F_WRITE BIT(1)
#define RXO_F_READ BIT(2)
#define RXO_F_ATOMIC BIT(3)
#define RXO_F_IMM BIT(4)
#define RXO_F_INV BIT(5)
#define RXO_F_LOCAL BIT(6)
#define RXO_F_INLINE BIT(7) /* may carry inline data */

/* Transports that have it. */
#define RXO_F_ON(transport) BIT(8 + ((transport) >> 5))
#define RXO_F_RC RXO_F_ON(RXO_RC)
#define RXO_F_CONNECTED (RXO_F_RC | RXO_F_ON(RXO_UC))
#define RXO_F_ALL (RXO_F_CONNECTED | RXO_F_ON(RXO_UD))

struct rxo_wr {
	u32 flags; /* RXO_F_*; 0: not supported */
	u8 wc; /* opcode of its completion */
};

/* By the opcode of a work request, which is the same in user memory. */
static const struct rxo_wr rxo_wrs[] = {
	[IB_WR_RDMA_WRITE] = { RXO_F_CONNECTED | RXO_F_WRITE | RXO_F_INLINE,
			       IB_WC_RDMA_WRITE },
	[IB_WR_RDMA_WRITE_WITH_IMM] = { RXO_F_CONNECTED | RXO_F_WRITE |
						RXO_F_IMM | RXO_F_INLINE,
					IB_WC_RDMA_WRITE },
	[IB_WR_SEND] = { RXO_F_ALL | RXO_F_SEND | RXO_F_INLINE, IB_WC_SEND },
	[IB_WR_SEND_WITH_IMM] = { RXO_F_ALL | RXO_F_SEND | RXO_F_IMM |
					  RXO_F_INLINE,
				  IB_WC_SEND },
	[IB_WR_SEND_WITH_INV] = { RXO_F_RC | RXO_F_SEND | RXO_F_INV |
					  RXO_F_INLINE,
				  IB_WC_SEND },
	[IB_WR_RDMA_READ] = { RXO_F_RC | RXO_F_READ, IB_WC_RDMA_READ },
	[IB_WR_ATOMIC_CMP_AND_SWP] = { RXO_F_RC | RXO_F_ATOMIC,
				       IB_WC_COMP_SWAP },
	[IB_WR_ATOMIC_FETCH_AND_ADD] = { RXO_F_RC | RXO_F_ATOMIC,
					 IB_WC_FETCH_ADD },
	[IB_WR_LOCAL_INV] = { RXO_F_CONNECTED | RXO_F_LOCAL,
			      IB_WC_LOCAL_INV },
	[IB_WR_BIND_MW] = { RXO_F_CONNECTED | RXO_F_LOCAL,
			    IB_UVERBS_WC_BIND_MW },
};

static const struct rxo_wr *rxo_wr(u32 opcode)
{
	if (opcode >= ARRAY_SIZE(rxo_wrs) || !rxo_wrs[opcode].flags)
		return NULL;
	return &rxo_wrs[opcode];
}

enum ib_wc_opcode rxo_swqe_wc_opcode(const struct rxo_swqe *wqe)
{
	const struct rxo_wr *wr = rxo_wr(wqe->opcode);

	return wr ? wr->wc : IB_WC_SEND;
}

static void rxo_swqe_copy_ud(struct rxo_swqe *wqe,
			     const struct rxe_send_wr *user)
{
	wqe->ud.qpn = READ_ONCE(user->wr.ud.remote_qpn) & RXO_QPN_MASK;
	wqe->ud.qkey = READ_ONCE(user->wr.ud.remote_qkey);
	wqe->ud.ah = READ_ONCE(user->wr.ud.ah_num);
}

static void rxo_swqe_copy_op(struct rxo_swqe *wqe, const struct rxo_wr *wr,
			     const struct rxe_send_wr *user)
{
	if (wr->flags & RXO_F_IMM)
		wqe->imm = READ_ONCE(user->ex.imm_data);
	else if (wr->flags & (RXO_F_INV | RXO_F_LOCAL))
		wqe->inv_rkey = READ_ONCE(user->ex.invalidate_rkey);

	if (wr->flags & RXO_F_ATOMIC) {
		wqe->remote_addr = READ_ONCE(user->wr.atomic.remote_addr);
		wqe->compare_add = READ_ONCE(user->wr.atomic.compare_add);
		wqe->swap = READ_ONCE(user->wr.atomic.swap);
		wqe->rkey = READ_ONCE(user->wr.atomic.rkey);
	} else if (wr->flags & (RXO_F_WRITE | RXO_F_READ)) {
		wqe->remote_addr = READ_ONCE(user->wr.rdma.remote_addr);
		wqe->rkey = READ_ONCE(user->wr.rdma.rkey);
	} else if (wqe->opcode == IB_WR_BIND_MW) {
		wqe->bind.addr = READ_ONCE(user->wr.mw.addr);
		wqe->bind.len = READ_ONCE(user->wr.mw.length);
		wqe->bind.mr_lkey = READ_ONCE(user->wr.mw.mr_lkey);
		wqe->bind.mw_rkey = READ_ONCE(user->wr.mw.mw_rkey);
		wqe->bind.rkey = READ_ONCE(user->wr.mw.rkey);
		wqe->bind.access = READ_ONCE(user->wr.mw.access);
	}
}

static u8 rxo_swqe_copy_inline(const struct rxo_swqe_limits *limits,
			       struct rxo_swqe *wqe,
			       const struct rxe_dma_info *user)
{
	u32 len = READ_ONCE(user->length);

	if (len > limits->max_inline)
		return IB_WC_LOC_QP_OP_ERR;
	wqe->len = len;
	wqe->num_sge = 0;
	memcpy(wqe->inline_data, user->inline_data, len);
	return 0;
}

static u8 rxo_swqe_copy_sges(const struct rxo_swqe_limits *limits,
			     struct rxo_swqe *wqe,
			     const struct rxe_dma_info *user)
{
	u32 i, num = READ_ONCE(user->num_sge);
	u64 len = 0;

	if (num > limits->max_sge)
		return IB_WC_LOC_QP_OP_ERR;
	for (i = 0; i < num; i++) {
		wqe->sge[i].addr = READ_ONCE(user->sge[i].addr);
		wqe->sge[i].length = READ_ONCE(user->sge[i].length);
		wqe->sge[i].lkey = READ_ONCE(user->sge[i].lkey);
		len += wqe->sge[i].length;
	}
	if (len > RXO_MAX_MSG_LEN)
		return IB_WC_LOC_LEN_ERR;
	wqe->num_sge = num;
	wqe->len = len;
	return 0;
}

static u8 rxo_swqe_copy_checked(const struct rxo_swqe_limits *limits,
				struct rxo_swqe *wqe,
				const struct rxe_send_wqe *user)
{
	const struct rxo_wr *wr;
	u8 bad;

	wqe->wr_id = READ_ONCE(user->wr.wr_id);
	wqe->opcode = READ_ONCE(user->wr.opcode);
	wqe->flags = READ_ONCE(user->wr.send_flags);
	wqe->state = RXO_SWQE_POSTED;
	wqe->num_sge = 0;
	wqe->len = 0;
	wr = rxo_wr(wqe->opcode);
	if (!wr || !(wr->flags & RXO_F_ON(limits->transport)))
		return IB_WC_LOC_QP_OP_ERR;
	if (limits->transport == RXO_UD)
		rxo_swqe_copy_ud(wqe, &user->wr);
	rxo_swqe_copy_op(wqe, wr, &user->wr);
	if (wr->flags & RXO_F_LOCAL)
		return 0;
	if (wqe->flags & IB_SEND_INLINE)
		return wr->flags & RXO_F_INLINE ?
			       rxo_swqe_copy_inline(limits, wqe, &user->dma) :
			       IB_WC_LOC_QP_OP_ERR;
	bad = rxo_swqe_copy_sges(limits, wqe, &user->dma);
	if (!bad && wr->flags & RXO_F_ATOMIC && wqe->len != sizeof(u64))
		bad = IB_WC_LOC_LEN_ERR;
	return bad;
}

void rxo_swqe_copy(const struct rxo_swqe_limits *limits, struct rxo_swqe *wqe,
		   const struct rxe_send_wqe *user)
{
	wqe->bad = rxo_swqe_copy_checked(limits, wqe, user);
}

/* Opcode of a SEND or WRITE packet, by its place in the message. */
static u8 rxo_swqe_opcode(u32 flags, bool first, bool last)
{
	bool write = flags & RXO_F_WRITE;
	u8 op;

	if (!last) {
		if (write)
			return first ? RXO_WRITE_FIRST : RXO_WRITE_MIDDLE;
		return first ? RXO_SEND_FIRST : RXO_SEND_MIDDLE;
	}
	if (flags & RXO_F_INV)
		return first ? RXO_SEND_ONLY_INV : RXO_SEND_LAST_INV;
	if (write)
		op = first ? RXO_WRITE_ONLY : RXO_WRITE_LAST;
	else
		op = first ? RXO_SEND_ONLY : RXO_SEND_LAST;
	/* The opcode with immediate data follows the one without. */
	return flags & RXO_F_IMM ? op + 1 : op;
}

void rxo_swqe_packet(const struct rxo_swqe *wqe, u32 off, u32 npkts,
		     u32 mtu, struct rxo_packet *pkt)
{
	const struct rxo_wr *wr = rxo_wr(wqe->opcode);
	bool last = wqe->len - off <= mtu;

	pkt->pkey = RXO_PKEY_DEFAULT;
	pkt->va = wqe->remote_addr;
	pkt->rkey = wqe->rkey;
	pkt->rdma_len = wqe->len;

	if (wr->flags & RXO_F_ATOMIC) {
		bool cas = wqe->opcode == IB_WR_ATOMIC_CMP_AND_SWP;

		pkt->opcode = cas ? RXO_COMPARE_SWAP : RXO_FETCH_ADD;
		pkt->swap_add = cas ? wqe->swap : wqe->compare_add;
		pkt->compare = cas ? wqe->compare_add : 0;
		pkt->ack_req = true;
		return;
	}
	if (wr->flags & RXO_F_READ) {
		/* What has come already is not asked for again. */
		pkt->opcode = RXO_READ_REQUEST;
		pkt->va += off;
		pkt->rdma_len = min(npkts * mtu, wqe->len - off);
		pkt->ack_req = true;
		return;
	}
	pkt->opcode = rxo_swqe_opcode(wr->flags, !off, last);
	pkt->payload_len = min(mtu, wqe->len - off);
	if (wr->flags & RXO_F_INV)
		pkt->rkey = wqe->inv_rkey;
	pkt->imm = wqe->imm;
	pkt->ack_req = last;
	pkt->se = last && wqe->flags & IB_SEND_SOLICITED;
}
