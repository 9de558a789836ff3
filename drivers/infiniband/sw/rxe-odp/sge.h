/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scatter/gather lists of work requests.
 */
#ifndef RXO_SGE_H
#define RXO_SGE_H

#include <rdma/rdma_user_rxe.h>

#include "access.h"
#include "park.h"

struct ib_pd;

/**
 * rxo_sge_check() - are all of a list's keys and ranges right
 * @pd: of the QP
 * @sge: the list, copied out of user memory
 * @num: its elements
 * @dir: RXO_TO_MR needs IB_ACCESS_LOCAL_WRITE
 *
 * Asked before the first packet of a message, so that a bad list has no effect
 * at the peer. It may yet become bad under way.
 *
 * Context: the QP's runner.
 * Return: true when they are.
 */
bool rxo_sge_check(struct ib_pd *pd, const struct rxe_sge *sge, u32 num,
		   enum rxo_dir dir);

/**
 * rxo_sge_copy() - copy between a list's bytes and kernel memory
 * @pd: of the QP, or of the SRQ that the work request is from (IBTA 10.2.9)
 * @park: of the side at work; started at a miss
 * @sge: the list, copied out of user memory
 * @num: its elements
 * @off: first byte, counted over the whole list
 * @buf: the kernel's side
 * @len: bytes, at most a packet's; @off + @len is within the list
 * @rest: bytes from @off to the end of the message, faulted ahead
 * @dir: RXO_TO_MR needs IB_ACCESS_LOCAL_WRITE
 *
 * Context: the QP's runner.
 * Return: 0, -EAGAIN when the side is parked, or an error that ends the request
 * (-EACCES: key or range, others: what the fault said).
 */
int rxo_sge_copy(struct ib_pd *pd, struct rxo_park *park,
		 const struct rxe_sge *sge, u32 num, u32 off, void *buf,
		 size_t len, size_t rest, enum rxo_dir dir);

#endif /* RXO_SGE_H */
