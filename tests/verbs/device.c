// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the device says of itself: ODP capabilities, limits that hold, the port,
 * the GID table, the P_Key.
 */
#include <string.h>

#include "ops.h"
#include "test.h"

static struct nic nic;

static void has_exactly(const char *transport, uint32_t got, uint32_t want)
{
	check(got == want, "%s capabilities %#x instead of %#x", transport, got, want);
}

/* No more than makes sense, and no less: tests skip what is not there. */
static void odp_caps(void)
{
	const uint32_t ud = IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_RECV |
			    IBV_ODP_SUPPORT_SRQ_RECV;
	const uint32_t uc = ud | IBV_ODP_SUPPORT_WRITE;
	const uint32_t rc = uc | IBV_ODP_SUPPORT_READ | IBV_ODP_SUPPORT_ATOMIC;
	const struct ibv_odp_caps *c = &nic.attr.odp_caps;

	nic_open(&nic, cfg.dev);
	check(c->general_caps & IBV_ODP_SUPPORT, "general capabilities %#llx",
	      (unsigned long long)c->general_caps);
	check(c->general_caps & IBV_ODP_SUPPORT_IMPLICIT, "no implicit ODP");
	has_exactly("RC", c->per_transport_caps.rc_odp_caps, rc);
	has_exactly("UC", c->per_transport_caps.uc_odp_caps, uc);
	has_exactly("UD", c->per_transport_caps.ud_odp_caps, ud);
	nic_close(&nic);
}

static void attributes(void)
{
	const struct ibv_device_attr *a = &nic.attr.orig_attr;

	nic_open(&nic, cfg.dev);
	check(a->phys_port_cnt == 1, "%d ports", a->phys_port_cnt);
	check(a->node_guid, "no node GUID");
	check(a->max_mr_size >= 1ull << 40, "max_mr_size %#llx",
	      (unsigned long long)a->max_mr_size);
#define AT_LEAST(field, n) check((uint64_t)a->field >= n, #field " is %lld", \
				 (long long)a->field)
	AT_LEAST(max_qp, 1024);
	AT_LEAST(max_qp_wr, 1024);
	AT_LEAST(max_sge, 16);
	AT_LEAST(max_sge_rd, 1);
	AT_LEAST(max_cq, 1024);
	AT_LEAST(max_cqe, 1024);
	AT_LEAST(max_mr, 1024);
	AT_LEAST(max_mw, 1);
	AT_LEAST(max_pd, 16);
	AT_LEAST(max_srq, 16);
	AT_LEAST(max_srq_wr, 1024);
	AT_LEAST(max_srq_sge, 16);
#undef AT_LEAST
	check(a->max_qp_rd_atom >= 16 && a->max_qp_init_rd_atom >= 16,
	      "only %d reads in flight", a->max_qp_rd_atom);
	check(a->atomic_cap != IBV_ATOMIC_NONE, "no atomics");
	check(a->page_size_cap & PAGE, "page sizes %#llx",
	      (unsigned long long)a->page_size_cap);
	check(a->device_cap_flags & IBV_DEVICE_RC_RNR_NAK_GEN, "no RNR NAKs");
	nic_close(&nic);
}

static void port(void)
{
	const struct ibv_port_attr *a = &nic.port;
	uint16_t pkey;

	nic_open(&nic, cfg.dev);
	check(a->state == IBV_PORT_ACTIVE, "port state %s",
	      ibv_port_state_str(a->state));
	check(a->link_layer == IBV_LINK_LAYER_ETHERNET, "link layer %d", a->link_layer);
	check(a->active_mtu >= IBV_MTU_256 && a->active_mtu <= a->max_mtu &&
	      a->max_mtu == IBV_MTU_4096, "MTU %d of %d", a->active_mtu, a->max_mtu);
	check(a->max_msg_sz >= 1u << 30, "messages of at most %u", a->max_msg_sz);
	check(a->gid_tbl_len > 0 && a->pkey_tbl_len >= 1, "an empty table");
	check(!ibv_query_pkey(nic.ctx, PORT, 0, &pkey), "ibv_query_pkey");
	check(pkey == 0xffff, "P_Key %#x", pkey);
	check(ibv_query_port(nic.ctx, 2, &(struct ibv_port_attr){ 0 }), "a port 2");
	nic_close(&nic);
}

/* By both ways of asking; one entry of each address, none twice. */
static void gid_table(void)
{
	struct ibv_gid_entry e, other;
	union ibv_gid gid;
	int n = 0;

	nic_open(&nic, cfg.dev);
	for (int i = 0; i < nic.port.gid_tbl_len; i++) {
		if (ibv_query_gid_ex(nic.ctx, PORT, i, &e, 0))
			continue;
		n++;
		check(e.gid_type == IBV_GID_TYPE_ROCE_V2, "type %u of GID %d",
		      e.gid_type, i);
		check(e.gid_index == (uint32_t)i && e.port_num == PORT, "entry %d", i);
		check(!ibv_query_gid(nic.ctx, PORT, i, &gid), "ibv_query_gid");
		check(!memcmp(&gid, &e.gid, 16), "two answers about GID %d", i);
		for (int k = 0; k < i; k++)
			check(ibv_query_gid_ex(nic.ctx, PORT, k, &other, 0) ||
			      memcmp(&other.gid, &e.gid, 16) ||
			      other.gid_type != e.gid_type,
			      "GIDs %d and %d are the same", k, i);
	}
	check(n >= 2, "only %d GIDs", n);
	nic_close(&nic);
}

/* Just beyond each limit: refused, not truncated and not a crash. */
static void limits_hold(void)
{
	const struct ibv_device_attr *a = &nic.attr.orig_attr;
	struct ibv_srq_init_attr srq = { .attr = { .max_wr = 1, .max_sge = 1 } };
	struct ibv_qp_init_attr qp;
	struct ibv_cq *cq;

	nic_open(&nic, cfg.dev);
	check(!ibv_create_cq(nic.ctx, a->max_cqe + 1, NULL, NULL, 0), "max_cqe + 1");
	check(!ibv_create_cq(nic.ctx, 0, NULL, NULL, 0), "a CQ of none");
	check(!ibv_create_cq(nic.ctx, -1, NULL, NULL, 0), "a CQ of -1");
	cq = cq_new(&nic, 10);
#define REFUSED(what, ...)							\
	do {									\
		qp = (struct ibv_qp_init_attr) {				\
			.qp_type = IBV_QPT_RC, .send_cq = cq, .recv_cq = cq,	\
			.cap = { 4, 4, 2, 2, 0 },				\
		};								\
		__VA_ARGS__;							\
		check(!ibv_create_qp(nic.pd, &qp), what);			\
	} while (0)
	REFUSED("max_qp_wr + 1 sends", qp.cap.max_send_wr = a->max_qp_wr + 1);
	REFUSED("max_qp_wr + 1 receives", qp.cap.max_recv_wr = a->max_qp_wr + 1);
	REFUSED("2^32 - 1 sends", qp.cap.max_send_wr = ~0u);
	REFUSED("max_sge + 1 to send", qp.cap.max_send_sge = a->max_sge + 1);
	REFUSED("max_sge + 1 to receive", qp.cap.max_recv_sge = a->max_sge + 1);
	REFUSED("1 GiB inline", qp.cap.max_inline_data = 1 << 30);
#undef REFUSED
	srq.attr.max_wr = a->max_srq_wr + 1;
	check(!ibv_create_srq(nic.pd, &srq), "max_srq_wr + 1");
	srq.attr.max_wr = 4;
	srq.attr.max_sge = a->max_srq_sge + 1;
	check(!ibv_create_srq(nic.pd, &srq), "max_srq_sge + 1");
	cq_free(cq);
	nic_close(&nic);
}

/* Up to the limits it does work. */
static void limits_reached(void)
{
	const struct ibv_device_attr *a;
	struct qp_opt opt = opt_rc;
	struct pair p;
	struct buf l, r;
	struct wr w;
	struct rr q;

	nic_open(&nic, cfg.dev);
	a = &nic.attr.orig_attr;
	opt.sge = a->max_sge < MAX_SGE ? a->max_sge : MAX_SGE;
	opt.send_wr = opt.recv_wr = a->max_qp_wr < 2000 ? a->max_qp_wr : 2000;
	pair_open(&p, &opt);
	buf_new(&l, 40 * PAGE);
	buf_new(&r, 40 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	wr_init(&w, IBV_WR_SEND, 1);
	rr_init(&q, 1);
	for (unsigned int i = 0; i < opt.sge; i++) {
		wr_sge(&w, &l, i * PAGE + 4001, 201);
		rr_sge(&q, &r, i * PAGE + 33, 201);
		buf_moved(&r, i * PAGE + 33, &l, i * PAGE + 4001, 201);
	}
	rr_post(&p.b, &q);
	wr_post(&p.a, &w);
	wc_ok(p.b.rcq, 1);
	wc_ok(p.a.scq, 1);
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
	nic_close(&nic);
}

/* Destroying what is still in use is refused, and does no harm. */
static void in_use(void)
{
	struct pair p;

	pair_open(&p, NULL);
	check(ibv_destroy_cq(p.a.scq), "a CQ in use was destroyed");
	check(ibv_dealloc_pd(p.na.pd), "a PD in use was freed");
	pair_works(&p);
	pair_close(&p);
}

TEST_MAIN(CASE(odp_caps), CASE(attributes), CASE(port), CASE(gid_table),
	  CASE(limits_hold), CASE(limits_reached), CASE(in_use))
