/* SPDX-License-Identifier: GPL-2.0 */
/* What the driver's tests share. */
#ifndef RXO_KUNIT_ENV_H
#define RXO_KUNIT_ENV_H

#include <rdma/hmm_mirror_kunit.h>

#include "../dev.h"
#include "../ring.h"
#include "../wire/hdr.h"

struct rxo_cq;
struct rxo_packet;
struct rxo_qp;

/**
 * struct rxo_env - test->priv
 * @test: the test
 * @rnd: the test's random numbers
 * @dev: what of a device needs no netdev and no registration
 * @fault_wq: as a process has
 * @run_wq: likewise
 */
struct rxo_env {
	struct kunit *test;
	struct rnd_state rnd;
	struct rxo_dev dev;
	struct workqueue_struct *fault_wq;
	struct workqueue_struct *run_wq;
};

/* For struct kunit_suite */
int rxo_env_init(struct kunit *test);

static inline u32 rxo_env_u32(struct rxo_env *env)
{
	return prandom_u32_state(&env->rnd);
}

static inline u32 rxo_env_below(struct rxo_env *env, u32 limit)
{
	return hmm_mirror_kunit_below(&env->rnd, limit);
}

/* A ring as rxo_ring_init() makes it, but not one byte larger, and not for mmap. */
void rxo_env_ring(struct rxo_env *env, struct rxo_ring *ring, u32 elems,
		  size_t size);

/*
 * A QP in RESET, of zeroes but for what its engine needs, with places for seven send
 * WQEs; and the CQ of both its queues, with places for seven completions.
 */
void rxo_env_qp(struct rxo_env *env, struct rxo_qp *qp, struct rxo_cq *cq);

/* A requester of such a QP begins with @psn. */
void rxo_env_sq_psn(struct rxo_qp *qp, u32 psn);

/* Room in a packet, from its BTH on. */
#define RXO_ENV_BYTES (RXO_MAX_HDR_LEN + RXO_ICRC_LEN)

/* No bytes but, in front of them, addresses: those of that QP's peer, all zero. */
struct sk_buff *rxo_env_skb(void);

/* The same with @pkt's headers, and zeroes for its payload, from BTH to ICRC. */
struct sk_buff *rxo_env_packet(struct kunit *test, struct rxo_packet *pkt);

u64 rxo_env_count(struct rxo_env *env, enum rxo_counter counter);

#endif /* RXO_KUNIT_ENV_H */
