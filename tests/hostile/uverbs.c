// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Hostile processes and the system calls of verbs.
 *
 * calls: ordinary use of verbs, in which the calls between libibverbs and the kernel
 *	are bent: attributes, handles, sizes, pointers; the older write() interface
 *	too. What they point to changes while the kernel reads it.
 * closing: the same from several threads, and files are closed beneath them.
 *
 * See siege.h for what must not happen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bend.h"
#include "ops.h"
#include "siege.h"
#include "test.h"

/* A process's use of verbs; whatever fails on the way is left out. */
struct life {
	enum ibv_qp_type type;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq[2];
	struct ibv_srq *srq;
	struct ibv_qp *qp[2];
	struct ibv_mr *mr[3];
	struct ibv_mw *mw;
	struct ibv_ah *ah;
	uint8_t *mem;
	union ibv_gid gid;
	int gid_index;
};

#define MEM (64 * PAGE)
#define QKEY 0x11111111

static struct ibv_context *open_dev(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *ctx = NULL;

	for (int i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), cfg.dev))
			ctx = ibv_open_device(list[i]);
	return ctx;
}

static void life_gid(struct life *l)
{
	struct ibv_gid_entry e;

	for (int i = 0; i < 16; i++) {
		if (ibv_query_gid_ex(l->ctx, PORT, i, &e, 0) ||
		    e.gid_type != IBV_GID_TYPE_ROCE_V2)
			continue;
		l->gid = e.gid;
		l->gid_index = i;
	}
}

static void life_make_qps(struct life *l)
{
	for (int i = 0; i < 2; i++) {
		struct ibv_qp_init_attr init = {
			.qp_type = l->type,
			.send_cq = l->cq[0],
			.recv_cq = l->cq[1],
			.srq = i ? l->srq : NULL,
			.cap = {
				.max_send_wr = 40, .max_recv_wr = i ? 0 : 40,
				.max_send_sge = 4, .max_recv_sge = i ? 0 : 4,
				.max_inline_data = 100,
			},
		};

		l->qp[i] = ibv_create_qp(l->pd, &init);
	}
}

static struct ibv_ah_attr life_way(const struct life *l)
{
	return (struct ibv_ah_attr) {
		.is_global = 1,
		.port_num = PORT,
		.grh = { l->gid, 0, l->gid_index, 64, 0 },
	};
}

static void life_make(struct life *l)
{
	static const enum ibv_qp_type types[] = { IBV_QPT_RC, IBV_QPT_UC, IBV_QPT_UD };
	unsigned int odp = ACCESS_ALL | IBV_ACCESS_ON_DEMAND | IBV_ACCESS_MW_BIND;
	struct ibv_srq_init_attr srq = { .attr = { .max_wr = 60, .max_sge = 3 } };
	struct ibv_device_attr_ex attr;
	struct ibv_ah_attr way;
	struct ibv_port_attr port;

	l->type = types[rnd_range(0, ARRAY_SIZE(types) - 1)];
	ibv_query_device_ex(l->ctx, NULL, &attr);
	ibv_query_port(l->ctx, PORT, &port);
	life_gid(l);
	l->pd = ibv_alloc_pd(l->ctx);
	l->channel = ibv_create_comp_channel(l->ctx);
	for (int i = 0; i < 2; i++)
		l->cq[i] = ibv_create_cq(l->ctx, 100, NULL, i ? l->channel : NULL, 0);
	if (!l->pd || !l->cq[0] || !l->cq[1])
		return;
	way = life_way(l);
	l->ah = ibv_create_ah(l->pd, &way);
	l->srq = ibv_create_srq(l->pd, &srq);
	l->mr[0] = ibv_reg_mr(l->pd, l->mem, MEM, odp);
	l->mr[1] = ibv_reg_mr(l->pd, l->mem + 100, MEM - 333, ACCESS_ALL);
	l->mr[2] = ibv_reg_mr(l->pd, NULL, SIZE_MAX, odp);
	l->mw = ibv_alloc_mw(l->pd, IBV_MW_TYPE_2);
	life_make_qps(l);
}

/* Attributes that a kind of QP does not have are not given. */
static void life_modify_qp(struct life *l, int i, struct ibv_qp_attr *attr, int mask)
{
	if (l->type != IBV_QPT_RC)
		mask &= ~(IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER | IBV_QP_TIMEOUT |
			  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
	if (l->type == IBV_QPT_UD)
		mask &= ~(IBV_QP_ACCESS_FLAGS | IBV_QP_AV | IBV_QP_PATH_MTU |
			  IBV_QP_DEST_QPN | IBV_QP_RQ_PSN);
	else
		mask &= ~IBV_QP_QKEY;
	ibv_modify_qp(l->qp[i], attr, mask);
}

static void life_connect(struct life *l)
{
	for (int i = 0; i < 2; i++) {
		struct ibv_qp_attr attr = {
			.qp_state = IBV_QPS_INIT,
			.port_num = PORT,
			.qp_access_flags = ACCESS_ALL,
			.qkey = QKEY,
		};

		if (!l->qp[0] || !l->qp[1])
			return;
		life_modify_qp(l, i, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			       IBV_QP_PORT | IBV_QP_ACCESS_FLAGS | IBV_QP_QKEY);
		attr = (struct ibv_qp_attr) {
			.qp_state = IBV_QPS_RTR,
			.path_mtu = rnd_range(IBV_MTU_256, IBV_MTU_4096),
			.dest_qp_num = l->qp[!i]->qp_num,
			.max_dest_rd_atomic = 8,
			.min_rnr_timer = 4,
			.ah_attr = life_way(l),
		};
		life_modify_qp(l, i, &attr, IBV_QP_STATE | IBV_QP_AV |
			       IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			       IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
		attr = (struct ibv_qp_attr) {
			.qp_state = IBV_QPS_RTS,
			.timeout = 12, .retry_cnt = 3, .rnr_retry = 3,
			.max_rd_atomic = 8,
		};
		life_modify_qp(l, i, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN |
			       IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			       IBV_QP_MAX_QP_RD_ATOMIC);
	}
}

/* An operation from one QP to the other. */
static void life_post(struct life *l, int i, struct ibv_mr *mr, struct ibv_sge *sge)
{
	struct ibv_send_wr wr = { .sg_list = sge, .num_sge = 1 }, *bad;

	wr.send_flags = IBV_SEND_SIGNALED;
	wr.opcode = rnd_range(IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ);
	if (l->type == IBV_QPT_UD) {
		if (!l->ah)
			return;
		wr.opcode = IBV_WR_SEND + rnd_range(0, 1);
		wr.wr.ud.ah = l->ah;
		wr.wr.ud.remote_qpn = l->qp[!i]->qp_num;
		wr.wr.ud.remote_qkey = QKEY;
	} else {
		wr.wr.rdma.remote_addr = (uintptr_t)l->mem + rnd_range(0, 40 * PAGE);
		wr.wr.rdma.rkey = mr->rkey;
	}
	ibv_post_send(l->qp[i], &wr, &bad);
}

static void life_work(struct life *l)
{
	struct ibv_sge sge = { (uintptr_t)l->mem + rnd_range(0, PAGE), 3000, 0 };
	struct ibv_recv_wr rr = { .sg_list = &sge, .num_sge = 1 }, *bad_r;
	struct ibv_mr *mr = l->mr[rnd_range(0, 2)];
	struct ibv_wc wc[8];

	if (!l->qp[0] || !l->qp[1] || !mr)
		return;
	sge.lkey = mr->lkey;
	for (int i = 0; i < 8; i++) {
		if (l->srq)
			ibv_post_srq_recv(l->srq, &rr, &bad_r);
		ibv_post_recv(l->qp[0], &rr, &bad_r);
		life_post(l, i & 1, mr, &sge);
	}
	for (int i = 0; i < 2; i++)
		if (l->cq[i]) {
			ibv_req_notify_cq(l->cq[i], 0);
			ibv_poll_cq(l->cq[i], 8, wc);
		}
}

static void life_modify(struct life *l)
{
	struct ibv_srq_attr srq = { .max_wr = rnd_range(1, 300), .srq_limit = 2 };
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	if (l->cq[0])
		ibv_resize_cq(l->cq[0], rnd_range(1, 500));
	if (l->srq) {
		ibv_modify_srq(l->srq, &srq, rnd_range(1, 3));
		ibv_query_srq(l->srq, &srq);
	}
	if (l->qp[0])
		ibv_query_qp(l->qp[0], &attr, IBV_QP_STATE, &init);
	attr.qp_state = rnd_range(IBV_QPS_RESET, IBV_QPS_ERR);
	if (l->qp[1])
		ibv_modify_qp(l->qp[1], &attr, IBV_QP_STATE);
}

static void life_unmake(struct life *l)
{
	for (int i = 0; i < 2; i++)
		if (l->qp[i])
			ibv_destroy_qp(l->qp[i]);
	if (l->ah)
		ibv_destroy_ah(l->ah);
	if (l->mw)
		ibv_dealloc_mw(l->mw);
	for (int i = 0; i < 3; i++)
		if (l->mr[i])
			ibv_dereg_mr(l->mr[i]);
	if (l->srq)
		ibv_destroy_srq(l->srq);
	for (int i = 0; i < 2; i++)
		if (l->cq[i])
			ibv_destroy_cq(l->cq[i]);
	if (l->pd)
		ibv_dealloc_pd(l->pd);
	memset(l->qp, 0, sizeof(l->qp));
	memset(l->mr, 0, sizeof(l->mr));
	memset(l->cq, 0, sizeof(l->cq));
	l->mw = NULL;
	l->ah = NULL;
	l->srq = NULL;
	l->pd = NULL;
}

static void live(struct life *l)
{
	l->mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	l->ctx = open_dev();
	if (!l->ctx || l->mem == MAP_FAILED)
		_exit(2);
	for (int i = 0; i < 20; i++) {
		life_make(l);
		life_connect(l);
		for (int k = 0; k < 6; k++) {
			life_work(l);
			life_modify(l);
			bend_alone(l->ctx->cmd_fd);
			life_connect(l);
		}
		life_unmake(l);
	}
}

static void *stir(void *arg)
{
	(void)arg;
	for (;;) {
		bend_stir();
		sched_yield();
	}
	return NULL;
}

static void call(void)
{
	struct life l = { 0 };
	pthread_t th;

	bend_rate = 50;
	pthread_create(&th, NULL, stir, NULL);
	live(&l);
}

static void calls(void)
{
	besiege(call, NULL);
	bend_report();
	check(siege->bend.ok > 10, "no bent call is ever taken");
	check(siege->bend.refused[EINVAL] && siege->bend.refused[EFAULT] &&
	      siege->bend.refused[ENOENT], "bent calls are refused for too few reasons");
}

/* One life in several threads, and one that closes its file. */
static struct life common;

static void *live_along(void *arg)
{
	struct life l = common;

	(void)arg;
	for (;;) {
		life_make(&l);
		life_connect(&l);
		life_work(&l);
		life_modify(&l);
		life_unmake(&l);
	}
	return NULL;
}

static void close_it(void)
{
	struct ibv_context *other;
	pthread_t th;

	common.mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	common.ctx = open_dev();
	if (!common.ctx || common.mem == MAP_FAILED)
		_exit(2);
	bend_rate = rnd_range(0, 1) * 20;
	for (int i = 0; i < 3; i++)
		pthread_create(&th, NULL, live_along, NULL);
	sleep_ms(rnd_range(5, 300));
	switch (rnd_range(0, 3)) {
	case 0:
		/* Another context in its place. */
		other = open_dev();
		if (other)
			dup2(other->cmd_fd, common.ctx->cmd_fd);
		break;
	case 1:
		dup2(STDOUT_FILENO, common.ctx->cmd_fd);
		break;
	case 2:
		munmap(common.mem, MEM / 2);
		break;
	default:
		close(common.ctx->cmd_fd);
	}
	if (rnd_range(0, 1))
		close(common.ctx->async_fd);
	sleep_ms(rnd_range(0, 200));
}

static void closing(void)
{
	besiege(close_it, NULL);
}

TEST_MAIN(CASE(calls), CASE(closing))
