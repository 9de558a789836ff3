/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Send WQEs: from hostile user memory into a copy that is checked once, and from
 * the copy into packets. Pure, as wire/ is: tests/host/fuzz_swqe.c compiles this on
 * the host.
 */
#ifndef RXO_SWQE_H
#define RXO_SWQE_H

#include <rdma/ib_verbs.h>
#include <rdma/rdma_user_rxe.h>

#include "wire/packet.h"

/* What a bind of a memory window asks for. */
struct rxo_mw_bind {
	u64 addr;
	u64 len;
	u32 mr_lkey;
	u32 mw_rkey; /* the window as it is now */
	u32 rkey; /* type 2: the key it shall have */
	int access;
};

enum rxo_swqe_state {
	RXO_SWQE_POSTED, /* copied, not yet begun */
	RXO_SWQE_SENT, /* has PSNs; on the wire or about to be */
	RXO_SWQE_DONE, /* local operation that has been executed */
};

/*
 * struct rxo_swqe - a send WQE, copied out of user memory
 * @bad: status to complete it with when its turn comes; 0 when it is sound
 */
struct rxo_swqe {
	u64 wr_id;
	u64 remote_addr;
	u64 compare_add;
	u64 swap;
	u32 rkey;
	u32 opcode; /* enum ib_wr_opcode */
	u32 flags; /* enum ib_send_flags */
	u32 len; /* bytes of the message */
	u32 first_psn;
	u32 last_psn;
	u32 num_sge;
	u8 state; /* enum rxo_swqe_state */
	u8 bad; /* enum ib_wc_status */
	union {
		__be32 imm;
		u32 inv_rkey;
	};
	union {
		struct rxo_mw_bind bind;
		struct {
			u32 qpn;
			u32 qkey;
			u32 ah;
		} ud;
	};
	union {
		DECLARE_FLEX_ARRAY(struct rxe_sge, sge);
		DECLARE_FLEX_ARRAY(u8, inline_data);
	};
};

/*
 * struct rxo_swqe_limits - what WQEs of a queue may have; does not change
 * @transport: enum rxo_transport
 * @max_sge: SGEs
 * @max_inline: bytes of inline data
 */
struct rxo_swqe_limits {
	u8 transport;
	u32 max_sge;
	u32 max_inline;
};

/**
 * rxo_swqe_copy() - copy a WQE and check it
 * @limits: of its queue
 * @wqe: filled; @wqe->bad is set when it makes no sense
 * @user: in the send queue, may change while we read
 *
 * Context: the QP's runner.
 */
void rxo_swqe_copy(const struct rxo_swqe_limits *limits, struct rxo_swqe *wqe,
		   const struct rxe_send_wqe *user);

/**
 * rxo_swqe_packet() - what the packet at an offset of a message is
 * @wqe: a checked WQE that is not local
 * @off: a multiple of @mtu, within the message
 * @npkts: PSNs that a READ request asks for; 1 for all others
 * @mtu: path MTU in bytes
 * @pkt: everything but PSN, QPN and the opcode's transport is filled in
 *
 * Context: any.
 */
void rxo_swqe_packet(const struct rxo_swqe *wqe, u32 off, u32 npkts, u32 mtu,
		     struct rxo_packet *pkt);

/* Of a work completion. */
enum ib_wc_opcode rxo_swqe_wc_opcode(const struct rxo_swqe *wqe);

static inline bool rxo_swqe_is_atomic(const struct rxo_swqe *wqe)
{
	return wqe->opcode == IB_WR_ATOMIC_CMP_AND_SWP ||
	       wqe->opcode == IB_WR_ATOMIC_FETCH_AND_ADD;
}

static inline bool rxo_swqe_is_rd_atomic(const struct rxo_swqe *wqe)
{
	return wqe->opcode == IB_WR_RDMA_READ || rxo_swqe_is_atomic(wqe);
}

/* Executed here, no packet. */
static inline bool rxo_swqe_is_local(const struct rxo_swqe *wqe)
{
	return wqe->opcode == IB_WR_BIND_MW || wqe->opcode == IB_WR_LOCAL_INV;
}

#endif /* RXO_SWQE_H */
