// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Devices, endpoints and connected pairs of them. See ep.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ep.h"
#include "test.h"

const struct qp_opt opt_rc = QP_OPT_RC;

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *ctx = NULL;
	bool found = false;

	check(list, "ibv_get_device_list: %s", strerror(errno));
	for (int i = 0; list[i]; i++) {
		if (strcmp(ibv_get_device_name(list[i]), name))
			continue;
		found = true;
		ctx = ibv_open_device(list[i]);
		check(ctx, "opening %s: %s", name, strerror(errno));
	}
	ibv_free_device_list(list);
	check(found, "there is no device %s", name);
	return ctx;
}

static bool gid_wanted(const struct ibv_gid_entry *e)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool is_v4 = !memcmp(e->gid.raw, mapped, sizeof(mapped));
	bool link_local = e->gid.raw[0] == 0xfe && (e->gid.raw[1] & 0xc0) == 0x80;

	if (e->gid_type != IBV_GID_TYPE_ROCE_V2)
		return false;
	return cfg.v6 ? !is_v4 && !link_local : is_v4;
}

static void find_gid(struct nic *nic)
{
	uint64_t end = now_ms() + 3000;
	struct ibv_gid_entry e;

	do {
		for (int i = 0; i < nic->port.gid_tbl_len; i++) {
			if (ibv_query_gid_ex(nic->ctx, PORT, i, &e, 0) ||
			    !gid_wanted(&e))
				continue;
			nic->gid = e.gid;
			nic->gid_index = i;
			return;
		}
		/* An IPv6 address just given may still be tentative. */
		sleep_ms(100);
	} while (now_ms() < end);
	skip("%s has no %s address", nic->name, cfg.v6 ? "v6" : "v4");
}

bool nic_has_odp(const struct nic *nic, uint32_t general_bit)
{
	return nic->attr.odp_caps.general_caps & general_bit;
}

void nic_open(struct nic *nic, const char *name)
{
	int ret;

	memset(nic, 0, sizeof(*nic));
	nic->name = name;
	nic->ctx = open_device(name);
	ret = ibv_query_device_ex(nic->ctx, NULL, &nic->attr);
	check(!ret, "ibv_query_device_ex: %s", strerror(ret));
	ret = ibv_query_port(nic->ctx, PORT, &nic->port);
	check(!ret, "ibv_query_port: %s", strerror(ret));
	find_gid(nic);
	nic->pd = ibv_alloc_pd(nic->ctx);
	check(nic->pd, "ibv_alloc_pd: %s", strerror(errno));
	if (cfg.mode == MODE_ODP && !nic_has_odp(nic, IBV_ODP_SUPPORT))
		skip("%s has no ODP", name);
	if (cfg.mode == MODE_IMPLICIT &&
	    !nic_has_odp(nic, IBV_ODP_SUPPORT_IMPLICIT))
		skip("%s has no implicit ODP", name);
}

void nic_close(struct nic *nic)
{
	int ret = ibv_dealloc_pd(nic->pd);

	check(!ret, "ibv_dealloc_pd: %s", strerror(ret));
	ret = ibv_close_device(nic->ctx);
	check(!ret, "ibv_close_device: %s", strerror(errno));
}

long hw_counter(const char *dev, const char *name)
{
	char path[256];
	long value;
	FILE *f;

	/*
	 * ib_core answers with what it read in the last 10 ms, which are three jiffies of
	 * 4 ms, and what has begun of a fourth one.
	 */
	sleep_ms(25);
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%d/hw_counters/%s",
		 dev, PORT, name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

struct ibv_cq *cq_new(struct nic *nic, int cqe)
{
	struct ibv_cq *cq = ibv_create_cq(nic->ctx, cqe, NULL, NULL, 0);

	check(cq, "ibv_create_cq of %d: %s", cqe, strerror(errno));
	return cq;
}

void cq_free(struct ibv_cq *cq)
{
	int ret = ibv_destroy_cq(cq);

	check(!ret, "ibv_destroy_cq: %s", strerror(ret));
}

struct ibv_srq *srq_new(struct nic *nic, uint32_t max_wr)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = max_wr, .max_sge = 4 } };
	struct ibv_srq *srq = ibv_create_srq(nic->pd, &init);

	check(srq, "ibv_create_srq of %u: %s", max_wr, strerror(errno));
	check(init.attr.max_wr >= max_wr, "srq of %u instead of %u", init.attr.max_wr,
	      max_wr);
	return srq;
}

void srq_free(struct ibv_srq *srq)
{
	int ret = ibv_destroy_srq(srq);

	check(!ret, "ibv_destroy_srq: %s", strerror(ret));
}

void ep_create(struct ep *e, struct nic *nic, const struct qp_opt *opt)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = opt->type,
		.sq_sig_all = !opt->unsignaled,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = nic->pd,
		.srq = opt->srq,
		.cap = {
			.max_send_wr = opt->send_wr,
			.max_recv_wr = opt->srq ? 0 : opt->recv_wr,
			.max_send_sge = opt->sge,
			.max_recv_sge = opt->srq ? 0 : opt->sge,
			.max_inline_data = opt->inline_data,
		},
	};

	memset(e, 0, sizeof(*e));
	e->nic = nic;
	e->opt = *opt;
	e->own_scq = !opt->scq;
	e->own_rcq = !opt->rcq;
	e->scq = opt->scq ?: cq_new(nic, opt->send_wr + 1);
	e->rcq = opt->rcq ?: cq_new(nic, opt->recv_wr + 1);
	e->psn = (opt->fixed_psn ? opt->psn : rnd()) & PSN_MASK;
	init.send_cq = e->scq;
	init.recv_cq = e->rcq;
	if (opt->send_ops) {
		init.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		init.send_ops_flags = opt->send_ops;
	}
	e->qp = ibv_create_qp_ex(nic->ctx, &init);
	check(e->qp, "ibv_create_qp: %s", strerror(errno));
}

void ep_destroy(struct ep *e)
{
	int ret = ibv_destroy_qp(e->qp);

	check(!ret, "ibv_destroy_qp: %s", strerror(ret));
	if (e->own_scq)
		cq_free(e->scq);
	if (e->own_rcq)
		cq_free(e->rcq);
	memset(e, 0, sizeof(*e));
}

void ep_init(struct ep *e)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = e->opt.access,
	};
	int ret = ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
				IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);

	check(!ret, "QP to INIT: %s", strerror(ret));
}

void ep_datagram(struct ep *e, uint32_t qkey)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT, .port_num = PORT, .qkey = qkey,
	};

	check(!ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			     IBV_QP_PORT | IBV_QP_QKEY), "INIT");
	attr.qp_state = IBV_QPS_RTR;
	check(!ibv_modify_qp(e->qp, &attr, IBV_QP_STATE), "RTR");
	attr.qp_state = IBV_QPS_RTS;
	attr.sq_psn = e->psn;
	check(!ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN), "RTS");
}

int ep_rtr_attr(struct ep *e, const struct ep *peer, struct ibv_qp_attr *attr)
{
	enum ibv_mtu mtu = e->opt.mtu;
	int mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
		   IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;

	if (!mtu)
		mtu = e->nic->port.active_mtu < peer->nic->port.active_mtu ?
			e->nic->port.active_mtu : peer->nic->port.active_mtu;
	if (e->opt.type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	*attr = (struct ibv_qp_attr) {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = mtu,
		.dest_qp_num = peer->qp->qp_num,
		.rq_psn = peer->psn,
		.max_dest_rd_atomic = e->opt.rd_atomic,
		.min_rnr_timer = e->opt.min_rnr,
		.ah_attr = {
			.is_global = 1,
			.port_num = PORT,
			.grh = {
				.dgid = peer->nic->gid,
				.sgid_index = e->nic->gid_index,
				.hop_limit = 64,
			},
		},
	};
	return mask;
}

void ep_rtr(struct ep *e, const struct ep *peer)
{
	struct ibv_qp_attr attr;
	int mask = ep_rtr_attr(e, peer, &attr);
	int ret = ibv_modify_qp(e->qp, &attr, mask);

	check(!ret, "QP to RTR: %s", strerror(ret));
}

int ep_rts_attr(struct ep *e, struct ibv_qp_attr *attr)
{
	*attr = (struct ibv_qp_attr) {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = e->psn,
		.timeout = e->opt.timeout,
		.retry_cnt = e->opt.retry,
		.rnr_retry = e->opt.rnr_retry,
		.max_rd_atomic = e->opt.rd_atomic,
	};
	if (e->opt.type != IBV_QPT_RC)
		return IBV_QP_STATE | IBV_QP_SQ_PSN;
	return IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
	       IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC;
}

void ep_rts(struct ep *e)
{
	struct ibv_qp_attr attr;
	int mask = ep_rts_attr(e, &attr);
	int ret = ibv_modify_qp(e->qp, &attr, mask);

	check(!ret, "QP to RTS: %s", strerror(ret));
}

void ep_connect(struct ep *e, const struct ep *peer)
{
	ep_init(e);
	ep_rtr(e, peer);
	ep_rts(e);
}

void ep_join(struct ep *a, struct ep *b)
{
	/* Neither may send before the other can receive. */
	ep_init(a);
	ep_init(b);
	ep_rtr(a, b);
	ep_rtr(b, a);
	ep_rts(a);
	ep_rts(b);
}

void ep_set_state(struct ep *e, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	int ret = ibv_modify_qp(e->qp, &attr, IBV_QP_STATE);

	check(!ret, "QP to state %d: %s", state, strerror(ret));
}

enum ibv_qp_state ep_state(struct ep *e)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	int ret = ibv_query_qp(e->qp, &attr, IBV_QP_STATE, &init);

	check(!ret, "ibv_query_qp: %s", strerror(ret));
	return attr.qp_state;
}

void ep_await_state(struct ep *e, enum ibv_qp_state state)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (ep_state(e) != state) {
		check(now_ms() < end, "the QP stays in state %d, not %d",
		      ep_state(e), state);
		sleep_ms(1);
	}
}

void pair_open(struct pair *p, const struct qp_opt *opt)
{
	if (!opt)
		opt = &opt_rc;
	memset(p, 0, sizeof(*p));
	nic_open(&p->na, cfg.dev);
	nic_open(&p->nb, cfg.peer);
	ep_create(&p->a, &p->na, opt);
	ep_create(&p->b, &p->nb, opt);
	ep_join(&p->a, &p->b);
}

void crowd_open(struct pair *p, struct ep *a, struct ep *b, int n)
{
	struct qp_opt opt = opt_rc;

	opt.send_wr = 1;
	opt.recv_wr = 1;
	opt.sge = 1;
	opt.timeout = 20;
	for (int i = 0; i < n; i++) {
		ep_create(&a[i], &p->na, &opt);
		ep_create(&b[i], &p->nb, &opt);
		ep_join(&a[i], &b[i]);
	}
}

void crowd_close(struct ep *e, int n)
{
	while (n--)
		ep_destroy(&e[n]);
}

void pair_renew(struct pair *p, const struct qp_opt *opt)
{
	if (!opt)
		opt = &opt_rc;
	ep_destroy(&p->a);
	ep_destroy(&p->b);
	ep_create(&p->a, &p->na, opt);
	ep_create(&p->b, &p->nb, opt);
	ep_join(&p->a, &p->b);
}

void pair_close(struct pair *p)
{
	ep_destroy(&p->a);
	ep_destroy(&p->b);
	nic_close(&p->na);
	nic_close(&p->nb);
}

void pair_begin(struct pair *p, struct buf *l, size_t l_size, struct buf *r, size_t r_size)
{
	pair_open(p, NULL);
	buf_new(l, l_size);
	buf_new(r, r_size);
	buf_reg(l, &p->na, ACCESS_ALL);
	buf_reg(r, &p->nb, ACCESS_ALL);
}

void pair_end_at(struct pair *p, struct buf *l, struct buf *r, const char *file, int line)
{
	buf_check_at(l, file, line, "local memory");
	buf_check_at(r, file, line, "remote memory");
	buf_free(l);
	buf_free(r);
	pair_close(p);
}
