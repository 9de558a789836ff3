// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Every verb with its 1st, 2nd, … nth allocation or copy failing, until it comes
 * through: each failure is a clean error that leaves the objects as they were,
 * or is coped with; afterwards everything works. Leaks are the debug kernel's to
 * find (KASAN, kmemleak, the slabs at unload).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "advise.h"
#include "nth.h"
#include "ops.h"
#include "ring.h"
#include "test.h"

#define SIZE (8 * PAGE)

static struct nic nic;
static struct pair p;
static struct buf l, r;

/* What the call under test makes. */
static struct ibv_context *ctx;
static struct ibv_pd *pd;
static struct ibv_mr *pinned, *on_demand, *implicit;
static struct ibv_mw *mw;
static struct ibv_ah *ah;
static struct ibv_cq *cq;
static struct ibv_srq *srq;
static struct ibv_qp *qp, *uc, *ud;
static struct ibv_comp_channel *channel;
static struct ep ep;

static void start(void)
{
	nth_open();
	nic_open(&nic, cfg.dev);
	buf_new(&l, SIZE);
}

static void finish(void)
{
	buf_free(&l);
	nic_close(&nic);
	/* And the device is as good as before. */
	pair_open(&p, NULL);
	pair_works(&p);
	pair_close(&p);
}

static void is_0(int ret, const char *what)
{
	check(!ret, "%s without a failure: %s", what, strerror(ret < 0 ? errno : ret));
}

static int made(const void *object)
{
	return object ? 0 : errno;
}

/* Creating: undone by destroying, and nothing is there after an error. */
#define CREATE(name, expr, undo_fn)					\
	static int create_##name(void)					\
	{								\
		name = (expr);						\
		return made(name);					\
	}								\
	static void made_##name(void)					\
	{								\
		is_0(create_##name(), "creating a " #name);		\
	}								\
	static int destroy_##name(void)					\
	{								\
		int ret = undo_fn(name);				\
									\
		return ret < 0 ? errno : ret;				\
	}								\
	static void unmade_##name(int err)				\
	{								\
		if (!err)						\
			is_0(destroy_##name(), "destroying a " #name);	\
	}								\
	static void rest_##name(int err)				\
	{								\
		int ret = err ? destroy_##name() : 0;			\
									\
		/* The core may have failed only to tell us. */		\
		if (ret != ENOENT)					\
			is_0(ret, "destroying a " #name);		\
	}

#define CREATED(name) \
	NTH_CALL("create " #name, NULL, create_##name, unmade_##name)
#define DESTROYED(name) \
	NTH_CALL("destroy " #name, made_##name, destroy_##name, rest_##name, .bare = true)

static struct ibv_srq *new_srq(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 100, .max_sge = 4 } };

	return ibv_create_srq(nic.pd, &init);
}

static struct ibv_cq *scq;

static struct ibv_qp *new_qp(enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.qp_type = type,
		.send_cq = scq,
		.recv_cq = scq,
		.cap = { .max_send_wr = 100, .max_recv_wr = 100, .max_send_sge = 4,
			 .max_recv_sge = 4 },
	};

	return ibv_create_qp(nic.pd, &init);
}

/* Of all of l, whatever the row's kind is. */
static struct ibv_mr *new_mr(enum mr_mode mode)
{
	return mr_try(&nic, l.map, SIZE, (uintptr_t)l.map, ACCESS_ALL, mode);
}

static struct ibv_ah *new_ah(void)
{
	struct ibv_ah_attr attr = {
		.is_global = 1, .port_num = PORT,
		.grh = { .dgid = nic.gid, .sgid_index = nic.gid_index, .hop_limit = 64 },
	};

	return ibv_create_ah(nic.pd, &attr);
}

CREATE(ctx, ibv_open_device(nic.ctx->device), ibv_close_device)
CREATE(pd, ibv_alloc_pd(nic.ctx), ibv_dealloc_pd)
CREATE(channel, ibv_create_comp_channel(nic.ctx), ibv_destroy_comp_channel)
CREATE(cq, ibv_create_cq(nic.ctx, 1000, NULL, channel, 0), ibv_destroy_cq)
CREATE(srq, new_srq(), ibv_destroy_srq)
CREATE(qp, new_qp(IBV_QPT_RC), ibv_destroy_qp)
CREATE(uc, new_qp(IBV_QPT_UC), ibv_destroy_qp)
CREATE(ud, new_qp(IBV_QPT_UD), ibv_destroy_qp)
CREATE(ah, new_ah(), ibv_destroy_ah)
CREATE(pinned, new_mr(MODE_PINNED), ibv_dereg_mr)
CREATE(on_demand, new_mr(MODE_ODP), ibv_dereg_mr)
CREATE(implicit, new_mr(MODE_IMPLICIT), ibv_dereg_mr)
CREATE(mw, ibv_alloc_mw(nic.pd, IBV_MW_TYPE_2), ibv_dealloc_mw)

static void create_and_destroy(void)
{
	const struct nth_call calls[] = {
		NTH_CALL("create ctx", NULL, create_ctx, unmade_ctx, .any_errno = true),
		DESTROYED(ctx),
		CREATED(pd), DESTROYED(pd),
		CREATED(channel), DESTROYED(channel),
		CREATED(cq), DESTROYED(cq),
		CREATED(srq), DESTROYED(srq),
		CREATED(qp), DESTROYED(qp),
		CREATED(uc), DESTROYED(uc),
		CREATED(ud), DESTROYED(ud),
		CREATED(ah), DESTROYED(ah),
		CREATED(pinned), DESTROYED(pinned),
		CREATED(on_demand), DESTROYED(on_demand),
		CREATED(implicit), DESTROYED(implicit),
		CREATED(mw), DESTROYED(mw),
	};

	start();
	scq = cq_new(&nic, 100);
	/* Others have the channel while it is not under test. */
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].call == create_cq) {
			made_channel();
			nth_sweep(&calls[i]);
			is_0(destroy_channel(), "destroying a channel");
			channel = NULL;
		} else {
			nth_sweep(&calls[i]);
		}
	}
	cq_free(scq);
	finish();
}

static void sweep_first_ctx(void *arg)
{
	const struct nth_call call = NTH_CALL("create first ctx", NULL, create_ctx,
					      unmade_ctx, .any_errno = true);

	(void)arg;
	nth_open();
	nth_sweep(&call);
}

/* There is more to make for a process that has not got the device open yet. */
static void first_open(void)
{
	int status;

	start();
	status = in_child(sweep_first_ctx, NULL);
	check(!status, "status %#x", status);
	finish();
}

static int resize(void)
{
	int ret = ibv_resize_cq(cq, 5000);

	return ret < 0 ? errno : ret;
}

/* Resized or not, it is a CQ. */
static void resized(int err)
{
	is_0(destroy_cq(), "destroying a CQ");
	(void)err;
}

static int limit_srq(void)
{
	struct ibv_srq_attr attr = { .srq_limit = 5 };

	return ibv_modify_srq(srq, &attr, IBV_SRQ_LIMIT);
}

static int resize_srq(void)
{
	struct ibv_srq_attr attr = { .max_wr = 500 };

	return ibv_modify_srq(srq, &attr, IBV_SRQ_MAX_WR);
}

static int query_srq(void)
{
	struct ibv_srq_attr attr;

	return ibv_query_srq(srq, &attr);
}

static void gone_srq(int err)
{
	is_0(destroy_srq(), "destroying an SRQ");
	(void)err;
}

static void modify_queues(void)
{
	const struct nth_call calls[] = {
		NTH_CALL("resize cq", made_cq, resize, resized),
		NTH_CALL("limit of srq", made_srq, limit_srq, gone_srq),
		NTH_CALL("resize srq", made_srq, resize_srq, gone_srq),
		NTH_CALL("query srq", made_srq, query_srq, gone_srq),
	};

	start();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		nth_sweep(&calls[i]);
	finish();
}

static enum ibv_qp_state from, to;

static int move_ep(enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	int mask = IBV_QP_STATE;

	switch (state) {
	case IBV_QPS_INIT:
		attr.port_num = PORT;
		attr.qp_access_flags = ACCESS_ALL;
		mask |= IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
		break;
	case IBV_QPS_RTR:
		mask = ep_rtr_attr(&ep, &ep, &attr);
		break;
	case IBV_QPS_RTS:
		mask = ep_rts_attr(&ep, &attr);
		break;
	default:
		break;
	}
	return ibv_modify_qp(ep.qp, &attr, mask);
}

static void in_from(void)
{
	static const enum ibv_qp_state way[] = { IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS };

	ep_create(&ep, &nic, &opt_rc);
	for (size_t i = 0; i < ARRAY_SIZE(way) && way[i] <= from; i++)
		is_0(move_ep(way[i]), "moving a QP");
}

static int move(void)
{
	return move_ep(to);
}

/* An error leaves the QP as it was, and the same move then succeeds. */
static void moved(int err)
{
	check(ep_state(&ep) == (err ? from : to), "in state %d after %s", ep_state(&ep),
	      strerror(err));
	if (err)
		is_0(move(), "moving a QP");
	ep_destroy(&ep);
}

static int query(void)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	return ibv_query_qp(ep.qp, &attr, IBV_QP_STATE | IBV_QP_AV, &init);
}

static void queried(int err)
{
	ep_destroy(&ep);
	(void)err;
}

static void modify_qp(void)
{
	static const struct {
		const char *name;
		enum ibv_qp_state from, to;
	} moves[] = {
		{ "qp to INIT", IBV_QPS_RESET, IBV_QPS_INIT },
		{ "qp to RTR", IBV_QPS_INIT, IBV_QPS_RTR },
		{ "qp to RTS", IBV_QPS_RTR, IBV_QPS_RTS },
		{ "qp to SQD", IBV_QPS_RTS, IBV_QPS_SQD },
		{ "qp to ERR", IBV_QPS_RTS, IBV_QPS_ERR },
		{ "qp to RESET", IBV_QPS_RTS, IBV_QPS_RESET },
	};
	const struct nth_call q = NTH_CALL("query qp", in_from, query, queried);

	start();
	for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
		const struct nth_call c =
			NTH_CALL(moves[i].name, in_from, move, moved);

		from = moves[i].from;
		to = moves[i].to;
		nth_sweep(&c);
	}
	from = IBV_QPS_RTS;
	nth_sweep(&q);
	finish();
}

static void pair_start(void)
{
	nth_open();
	pair_begin(&p, &l, SIZE, &r, SIZE);
}

static void pair_finish(void)
{
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

static void untouched(void)
{
	buf_untouch(&r);
}

static int prefetch_by(uint32_t flags)
{
	return advise(p.nb.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, flags,
		      buf_addr(&r, 0), SIZE, r.lkey);
}

static int prefetch(void)
{
	return prefetch_by(IBV_ADVISE_MR_FLAG_FLUSH);
}

static int prefetch_later(void)
{
	return prefetch_by(0);
}

/* The mirror's fault runs in this very thread, or is left to a worker. */
static void fault(void)
{
	const struct nth_call flush = NTH_CALL("prefetch", untouched, prefetch, NULL);
	const struct nth_call later = NTH_CALL("prefetch later", untouched,
					       prefetch_later, NULL);

	need_odp();
	pair_start();
	nth_sweep(&flush);
	nth_sweep(&later);
	do_write(&p.a, &l, 1, &r, 777, SIZE - 1000);
	buf_check(&r, "remote memory");
	pair_finish();
}

/* The kernel may fail to take the doorbell in; the WQE is there all the same. */
static int post_and_wait(enum ibv_wr_opcode op, size_t l_off, size_t r_off, size_t len)
{
	struct ibv_send_wr *bad;
	struct wr w;

	wr_init(&w, op, 1);
	wr_sge(&w, &l, l_off, len);
	if (op != IBV_WR_SEND)
		wr_remote(&w, &r, r_off);
	if (ibv_post_send(p.a.qp, &w.wr, &bad))
		while (ring_doorbell(&p.a))
			;
	wc_ok(p.a.scq, 1);
	return 0;
}

static int write_and_wait(void)
{
	post_and_wait(IBV_WR_RDMA_WRITE, 1, 777, SIZE - 1000);
	buf_moved(&r, 777, &l, 1, SIZE - 1000);
	return 0;
}

static int send_and_wait(void)
{
	q_recv(&p.b, 2, &r, 4093, SIZE - 5000);
	post_and_wait(IBV_WR_SEND, 5, 0, SIZE - 5000);
	wc_ok(p.b.rcq, 2);
	buf_moved(&r, 4093, &l, 5, SIZE - 5000);
	return 0;
}

static int read_and_wait(void)
{
	post_and_wait(IBV_WR_RDMA_READ, 5, 4093, SIZE - 5000);
	buf_moved(&l, 5, &r, 4093, SIZE - 5000);
	return 0;
}

static void all_right(int err)
{
	(void)err;
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	buf_refill(&l);
}

/* The doorbell runs the requester: no packet may be lost for good. */
static void traffic(void)
{
	const struct nth_call calls[] = {
		NTH_CALL("write", NULL, write_and_wait, all_right, .may_not_fail = true),
		NTH_CALL("send", NULL, send_and_wait, all_right, .may_not_fail = true),
		NTH_CALL("read", NULL, read_and_wait, all_right, .may_not_fail = true),
	};

	pair_start();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		nth_sweep(&calls[i]);
	pair_finish();
}

TEST_MAIN(CASE(create_and_destroy), CASE(first_open), CASE(modify_queues), CASE(modify_qp),
	  CASE(fault), CASE(traffic))
