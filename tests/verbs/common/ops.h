/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Posting work and waiting for what becomes of it.
 *
 * A struct wr or rr is filled step by step and then posted; the q_* calls at
 * the end are the common one-SGE forms. Every wait has a deadline and fails the
 * case when it passes.
 */
#ifndef TESTS_VERBS_OPS_H
#define TESTS_VERBS_OPS_H

#include "ep.h"
#include "mem.h"

#define MAX_SGE 32

struct wr {
	struct ibv_send_wr wr;
	struct ibv_sge sge[MAX_SGE];
};

struct rr {
	struct ibv_recv_wr wr;
	struct ibv_sge sge[MAX_SGE];
};

/* Signaled; for sends and RDMA alike. */
void wr_init(struct wr *w, enum ibv_wr_opcode op, uint64_t id);
void wr_sge(struct wr *w, const struct buf *b, size_t off, size_t len);
void wr_remote(struct wr *w, const struct buf *b, size_t off);
void wr_atomic(struct wr *w, const struct buf *b, size_t off, uint64_t compare_add,
	       uint64_t swap);
void wr_post(struct ep *e, struct wr *w);

void rr_init(struct rr *r, uint64_t id);
void rr_sge(struct rr *r, const struct buf *b, size_t off, size_t len);
void rr_post(struct ep *e, struct rr *r);
void rr_post_srq(struct ibv_srq *srq, struct rr *r);

/* The next completion, or false after @ms without one. */
bool wc_poll(struct ibv_cq *cq, struct ibv_wc *wc, unsigned int ms);
struct ibv_wc wc_wait_at(struct ibv_cq *cq, const char *file, int line);
struct ibv_wc wc_expect_at(struct ibv_cq *cq, uint64_t id,
			   enum ibv_wc_status status, const char *file, int line);
void wc_none_at(struct ibv_cq *cq, const char *file, int line);

/* Any completion. */
#define wc_wait(cq) wc_wait_at(cq, __FILE__, __LINE__)
/* The one of @id, with @status. */
#define wc_expect(cq, id, status) \
	wc_expect_at(cq, id, status, __FILE__, __LINE__)
#define wc_ok(cq, id) wc_expect(cq, id, IBV_WC_SUCCESS)
/* No completion now or in the next QUIET_MS. */
#define wc_none(cq) wc_none_at(cq, __FILE__, __LINE__)

/* The next asynchronous event, acknowledged; -1 after @ms without one. */
int event_poll(struct nic *nic, struct ibv_async_event *ev, unsigned int ms);
/* Waits for an event of type @type; others of the kinds in @skip_mask (bits) go. */
void event_expect_at(struct nic *nic, enum ibv_event_type type, uint64_t skip_mask,
		     struct ibv_async_event *ev, const char *file, int line);
#define event_expect(nic, type, skip_mask, ev) \
	event_expect_at(nic, type, skip_mask, ev, __FILE__, __LINE__)

/* One SGE: post and forget. */
void q_recv(struct ep *e, uint64_t id, const struct buf *b, size_t off, size_t len);
void q_send(struct ep *e, uint64_t id, const struct buf *b, size_t off, size_t len);
void q_rdma(struct ep *e, enum ibv_wr_opcode op, uint64_t id,
	    const struct buf *local, size_t l_off, const struct buf *remote,
	    size_t r_off, size_t len);

/* One SGE: post, wait, and change the shadow accordingly. */
void do_send(struct pair *p, struct buf *src, size_t s_off, struct buf *dst,
	     size_t d_off, size_t len);
void do_write(struct ep *e, struct buf *local, size_t l_off, struct buf *remote,
	      size_t r_off, size_t len);
void do_read(struct ep *e, struct buf *local, size_t l_off, struct buf *remote,
	     size_t r_off, size_t len);

/*
 * The same for all of these, with @len bytes at @at of @r in every part: they are
 * written, read and sent to from side a, and b writes and reads from and to them. @l
 * must have room for a page more than @len. Both are compared afterwards.
 */
void do_all_at(struct pair *p, struct buf *l, struct buf *r, size_t at, size_t len,
	       const char *file, int line);
#define do_all(p, l, r, at, len) do_all_at(p, l, r, at, len, __FILE__, __LINE__)

/* A small checked transfer of every kind: does this pair still work? */
void pair_works(struct pair *p);

/* Lengths around everything that could matter, 0 first, 64 KiB and more last. */
#define MAX_SIZES 32
size_t sizes_for(const struct pair *p, size_t sizes[MAX_SIZES]);

/* Offsets for a transfer of @len inside @b, odd and straddling pages. */
size_t off_for(const struct buf *b, size_t len);

#endif
