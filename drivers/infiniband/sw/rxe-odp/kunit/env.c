// SPDX-License-Identifier: GPL-2.0
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include "../cq.h"
#include "../qp.h"
#include "../run.h"
#include "../swqe.h"
#include "env.h"

static unsigned int kunit_seed;
module_param(kunit_seed, uint, 0400);
MODULE_PARM_DESC(kunit_seed, "of the tests' random numbers; 0 for another each time");

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);

static void rxo_env_fini(void *arg)
{
	struct rxo_env *env = arg;

	if (env->fault_wq)
		destroy_workqueue(env->fault_wq);
	if (env->run_wq)
		destroy_workqueue(env->run_wq);
	hmm_mirror_device_fini(&env->dev.mirrors);
	xa_destroy(&env->dev.keys);
	free_percpu(env->dev.stats);
}

int rxo_env_init(struct kunit *test)
{
	struct rxo_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);

	if (!env)
		return -ENOMEM;
	env->test = test;
	hmm_mirror_kunit_seed(test, &env->rnd, kunit_seed);
	hmm_mirror_device_init(&env->dev.mirrors);
	rxo_quota_init(&env->dev.quota);
	xa_init_flags(&env->dev.keys, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_IRQ);
	env->dev.next_key = 1;
	env->dev.max_queued = INT_MAX;
	env->dev.stats = alloc_percpu(struct rxo_stats);
	env->run_wq = rxo_quota_alloc_run_wq();
	env->fault_wq = alloc_workqueue("kunit_fault", WQ_UNBOUND, 0);
	test->priv = env;
	if (kunit_add_action_or_reset(test, rxo_env_fini, env))
		return -ENOMEM;
	return env->dev.stats && env->run_wq && env->fault_wq ? 0 : -ENOMEM;
}

static void rxo_env_vfree(void *buf)
{
	vfree(buf);
}

void rxo_env_ring(struct rxo_env *env, struct rxo_ring *ring, u32 elems,
		  size_t size)
{
	struct kunit *test = env->test;

	memset(ring, 0, sizeof(*ring));
	KUNIT_ASSERT_NE(test, 0, rxo_ring_shape(ring, elems, size));
	/* KASAN knows the end of vzalloc()'s memory to eight bytes. */
	ring->buf = vzalloc(sizeof(*ring->buf) +
			    (((size_t)ring->mask + 1) << ring->shift));
	KUNIT_ASSERT_NOT_NULL(test, ring->buf);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, rxo_env_vfree,
						  ring->buf));
	ring->buf->log2_elem_size = ring->shift;
	ring->buf->index_mask = ring->mask;
	/* Looked at for being there, never followed. */
	ring->map = (struct rxo_ring_map *)ring->buf;
}

static void rxo_env_qp_fini(void *arg)
{
	struct rxo_qp *qp = arg;

	rxo_run_enter(qp);
	rxo_qp_reset(qp);
	flush_workqueue(qp->run.wq);
}

void rxo_env_qp(struct rxo_env *env, struct rxo_qp *qp, struct rxo_cq *cq)
{
	struct kunit *test = env->test;

	spin_lock_init(&cq->lock);
	cq->ib.device = &env->dev.ib;
	qp->dev = &env->dev;
	qp->mtu = 1024;
	qp->ib.send_cq = &cq->ib;
	qp->ib.recv_cq = &cq->ib;
	spin_lock_init(&qp->rq.lock);
	/* Before the action below, so that they are freed after it. */
	rxo_env_ring(env, &cq->ring, 7, sizeof(struct ib_uverbs_wc));
	rxo_env_ring(env, &qp->req.ring, 7, sizeof(struct rxe_send_wqe));
	qp->req.stride = sizeof(struct rxo_swqe);
	qp->req.wqes = kunit_kcalloc(test, qp->req.ring.mask + 1,
				     qp->req.stride, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, qp->req.wqes);
	rxo_qp_init_engine(qp, env->fault_wq, env->run_wq);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, rxo_env_qp_fini, qp));
}

void rxo_env_sq_psn(struct rxo_qp *qp, u32 psn)
{
	rxo_run_assert(qp);
	qp->req.psn = psn;
	qp->req.next_psn = psn;
	qp->req.una = psn;
	qp->req.ack_psn = psn;
}

struct sk_buff *rxo_env_skb(void)
{
	struct sk_buff *skb = alloc_skb(sizeof(struct ipv6hdr) + RXO_ENV_BYTES,
					GFP_ATOMIC);

	if (skb) {
		skb_reset_network_header(skb);
		skb_put_zero(skb, sizeof(struct ipv6hdr));
		skb_pull(skb, sizeof(struct ipv6hdr));
		skb->protocol = htons(ETH_P_IPV6);
	}
	return skb;
}

struct sk_buff *rxo_env_packet(struct kunit *test, struct rxo_packet *pkt)
{
	struct sk_buff *skb = rxo_env_skb();
	size_t len;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_put_zero(skb, RXO_ENV_BYTES);
	len = rxo_packet_build(pkt, skb->data);
	len += pkt->payload_len + pkt->pad + RXO_ICRC_LEN;
	KUNIT_ASSERT_LE(test, len, RXO_ENV_BYTES);
	skb_trim(skb, len);
	return skb;
}

u64 rxo_env_count(struct rxo_env *env, enum rxo_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(env->dev.stats, cpu)->v[counter];
	return sum;
}
