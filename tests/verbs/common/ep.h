/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Devices, endpoints and connected pairs of them.
 *
 * A nic is an opened device with a protection domain; an ep is a QP on it with
 * its two completion queues; a pair is two connected eps, a on cfg.dev and b on
 * cfg.peer, which may be the same device.
 */
#ifndef TESTS_VERBS_EP_H
#define TESTS_VERBS_EP_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdint.h>

#include "mem.h"
#include "test.h"

#define PORT 1
#define PSN_MASK 0xffffffu

struct nic {
	const char *name;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_device_attr_ex attr;
	struct ibv_port_attr port;
	union ibv_gid gid;
	int gid_index;
};

struct qp_opt {
	enum ibv_qp_type type;
	uint32_t send_wr, recv_wr, sge, inline_data;
	bool unsignaled;	/* only what asks for a completion gets one */
	struct ibv_srq *srq;
	struct ibv_cq *scq, *rcq;	/* made for the QP when NULL */
	enum ibv_mtu mtu;	/* 0: the port's active one */
	uint8_t timeout, retry, rnr_retry, min_rnr;
	uint8_t rd_atomic;
	unsigned int access;
	uint64_t send_ops;	/* IBV_QP_EX_WITH_*: for the ibv_wr_* calls */
	bool fixed_psn;
	uint32_t psn;		/* of both sides, with fixed_psn */
};

#define QP_OPT_RC {							\
	.type = IBV_QPT_RC, .send_wr = 64, .recv_wr = 64, .sge = 8,	\
	.timeout = 17, .retry = 7, .rnr_retry = 7, .min_rnr = 8,	\
	.rd_atomic = 16, .access = ACCESS_ALL,				\
}

extern const struct qp_opt opt_rc;

struct ep {
	struct nic *nic;
	struct ibv_qp *qp;
	struct ibv_cq *scq, *rcq;
	bool own_scq, own_rcq;
	uint32_t psn;
	struct qp_opt opt;
};

struct pair {
	struct nic na, nb;
	struct ep a, b;
};

/* Opens @name, or fails; skips where -g's address is missing. */
void nic_open(struct nic *nic, const char *name);
void nic_close(struct nic *nic);
bool nic_has_odp(const struct nic *nic, uint32_t general_bit);

/* A counter of the driver's, or -1. */
long hw_counter(const char *dev, const char *name);

struct ibv_cq *cq_new(struct nic *nic, int cqe);
void cq_free(struct ibv_cq *cq);
struct ibv_srq *srq_new(struct nic *nic, uint32_t max_wr);
void srq_free(struct ibv_srq *srq);

void ep_create(struct ep *e, struct nic *nic, const struct qp_opt *opt);
void ep_destroy(struct ep *e);

/* @n more pairs of QPs between the two sides of @p, for one small request each. */
void crowd_open(struct pair *p, struct ep *a, struct ep *b, int n);
void crowd_close(struct ep *e, int n);

/* Each step of a QP's way up; the attributes are e->opt's. */
void ep_init(struct ep *e);
void ep_rtr(struct ep *e, const struct ep *peer);
void ep_rts(struct ep *e);
void ep_connect(struct ep *e, const struct ep *peer);
/* All the way up, of a UD QP. */
void ep_datagram(struct ep *e, uint32_t qkey);
/* Both ways. */
void ep_join(struct ep *a, struct ep *b);
/* The attributes and mask that ep_rtr() uses, for tests that change some. */
int ep_rtr_attr(struct ep *e, const struct ep *peer, struct ibv_qp_attr *attr);
int ep_rts_attr(struct ep *e, struct ibv_qp_attr *attr);

void ep_set_state(struct ep *e, enum ibv_qp_state state);
enum ibv_qp_state ep_state(struct ep *e);
/* Wait until the QP is in @state. */
void ep_await_state(struct ep *e, enum ibv_qp_state state);

/* @opt may be NULL for opt_rc. */
void pair_open(struct pair *p, const struct qp_opt *opt);
/* Replace both QPs, after an error say. */
void pair_renew(struct pair *p, const struct qp_opt *opt);
void pair_close(struct pair *p);
/* Open it, with touched memory for both sides, @l of a and @r of b, registered for all. */
void pair_begin(struct pair *p, struct buf *l, size_t l_size, struct buf *r, size_t r_size);
/* Compare and free the memory of both sides, @l of a and @r of b, and close the pair. */
void pair_end_at(struct pair *p, struct buf *l, struct buf *r, const char *file, int line);
#define pair_end(p, l, r) pair_end_at(p, l, r, __FILE__, __LINE__)

static inline unsigned int mtu_bytes(enum ibv_mtu mtu)
{
	return 128u << mtu;
}

static inline enum ibv_mtu pair_mtu(const struct pair *p)
{
	return p->na.port.active_mtu < p->nb.port.active_mtu ?
		p->na.port.active_mtu : p->nb.port.active_mtu;
}

#endif
