/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Send WQEs: from hostile user memory into a copy that is checked once, and from
 * the copy into packets.
 */
#ifndef RXO_SWQE_H
#define RXO_SWQE_H

#include <rdma/ib_verbs.h>

#include "qp.h"
#include "wire/psn.h"

/**
 * rxo_swqe_copy() - copy a WQE and check it
 * @qp: the QP
 * @wqe: filled; @wqe->bad is set when it makes no sense
 * @user: in the send queue, may change while we read
 *
 * Context: the QP's runner.
 */
void rxo_swqe_copy(struct rxo_qp *qp, struct rxo_swqe *wqe,
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
void rxo_swqe_packet(const struct rxo_swqe *wqe, u32 off, u32 npkts,
		     u32 mtu, struct rxo_packet *pkt);

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
