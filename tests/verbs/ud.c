// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unreliable datagrams: one packet a message, 40 bytes of routing header before
 * it, the sender's number with it, and only those with the right Q_Key arrive.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define GRH 40
#define QKEY 0x1234567

static struct nic na, nb;
static struct ep a, b;
static struct ibv_ah *ah;
static struct buf src, dst;
static struct ibv_srq *srq;
static size_t mtu;

static void setup_with(bool shared)
{
	struct ibv_ah_attr attr = { .is_global = 1, .port_num = PORT };
	struct qp_opt opt = opt_rc;

	opt.type = IBV_QPT_UD;
	opt.inline_data = 200;
	nic_open(&na, cfg.dev);
	nic_open(&nb, cfg.peer);
	if (!na.attr.orig_attr.max_ah)
		skip("no UD");
	if (cfg.mode != MODE_PINNED &&
	    !(na.attr.odp_caps.per_transport_caps.ud_odp_caps & IBV_ODP_SUPPORT_SEND))
		skip("no ODP for UD");
	ep_create(&a, &na, &opt);
	if (shared)
		srq = opt.srq = srq_new(&nb, 64);
	ep_create(&b, &nb, &opt);
	ep_datagram(&a, QKEY);
	ep_datagram(&b, QKEY);
	attr.grh.dgid = nb.gid;
	attr.grh.sgid_index = na.gid_index;
	attr.grh.hop_limit = 64;
	ah = ibv_create_ah(na.pd, &attr);
	check(ah, "ibv_create_ah: %s", strerror(errno));
	mtu = mtu_bytes(na.port.active_mtu);
	buf_new(&src, 16 * PAGE);
	buf_new_cold(&dst, 16 * PAGE);
	buf_reg(&src, &na, ACCESS_ALL);
	buf_reg(&dst, &nb, ACCESS_ALL);
}

static void setup(void)
{
	setup_with(false);
}

static bool is_in_debugfs(void)
{
	return file_has(" -> ", "/sys/kernel/debug/rxe_odp/%s/ahs", cfg.dev);
}

static void teardown(void)
{
	check(is_in_debugfs(), "the AH is not in debugfs");
	buf_check(&src, "source");
	buf_check(&dst, "target");
	check(!ibv_destroy_ah(ah), "ibv_destroy_ah");
	check(!is_in_debugfs(), "the AH is still in debugfs");
	ep_destroy(&a);
	ep_destroy(&b);
	if (srq)
		srq_free(srq);
	buf_free(&src);
	buf_free(&dst);
	nic_close(&na);
	nic_close(&nb);
}

static void wr_datagram(struct wr *w, uint64_t id, struct ibv_ah *to, uint32_t qpn,
			uint32_t qkey)
{
	wr_init(w, IBV_WR_SEND_WITH_IMM, id);
	w->wr.imm_data = htonl(id);
	w->wr.wr.ud.ah = to;
	w->wr.wr.ud.remote_qpn = qpn;
	w->wr.wr.ud.remote_qkey = qkey;
}

static void post_to(struct ibv_ah *to, struct wr *w, uint64_t id, size_t off, size_t len,
		    uint32_t qpn, uint32_t qkey)
{
	wr_datagram(w, id, to, qpn, qkey);
	wr_sge(w, &src, off, len);
	wr_post(&a, w);
}

static void post(struct wr *w, uint64_t id, size_t off, size_t len, uint32_t qkey)
{
	post_to(ah, w, id, off, len, b.qp->qp_num, qkey);
}

/* The datagram of @id, sent from @off, is in the receive at @d. */
static void arrived(uint64_t id, size_t d, size_t off, size_t len)
{
	check(ntohl(wc_ok(b.rcq, id).imm_data) == id, "out of order");
	buf_holds(&dst, d, dst.map + d, GRH);
	buf_moved(&dst, d + GRH, &src, off, len);
}

/* The header is the network's business, but it names the two ends. */
static void check_grh(const uint8_t *grh)
{
	size_t at = cfg.v6 ? 8 : 32;
	size_t len = cfg.v6 ? 16 : 4;

	check(!memcmp(grh + at, na.gid.raw + 16 - len, len), "the source's address");
	check(!memcmp(grh + at + len, nb.gid.raw + 16 - len, len),
	      "the target's address");
}

static void one(uint64_t id, size_t len)
{
	size_t d = off_for(&dst, len + GRH), s = off_for(&src, len);
	struct ibv_wc wc;
	struct wr w;

	q_recv(&b, id, &dst, d, len + GRH);
	post(&w, id, s, len, QKEY);
	wc_ok(a.scq, id);
	wc = wc_ok(b.rcq, id);
	check(wc.byte_len == len + GRH, "%u bytes instead of %zu", wc.byte_len,
	      len + GRH);
	check(wc.wc_flags & IBV_WC_GRH, "no GRH");
	check((wc.wc_flags & IBV_WC_WITH_IMM) && ntohl(wc.imm_data) == id,
	      "immediate data");
	check(wc.src_qp == a.qp->qp_num, "from QP %u", wc.src_qp);
	check(wc.opcode == IBV_WC_RECV, "opcode %d", wc.opcode);
	check_grh(dst.map + d);
	buf_holds(&dst, d, dst.map + d, GRH);
	buf_moved(&dst, d + GRH, &src, s, len);
	buf_check(&dst, "target");
}

static void sizes(void)
{
	setup();
	for (size_t len = 0; len < 10; len++)
		one(len, len);
	one(10, mtu - 1);
	one(11, mtu);
	for (int i = 12; i < 40; i++)
		one(i, rnd_range(1, mtu));
	teardown();
}

static void wrong_qkey(void)
{
	struct wr w;

	setup();
	q_recv(&b, 1, &dst, 77, 1000);
	post(&w, 2, 5, 100, QKEY + 1);
	wc_ok(a.scq, 2);
	wc_none(b.rcq);
	post(&w, 3, 5, 100, QKEY);
	wc_ok(a.scq, 3);
	check(ntohl(wc_ok(b.rcq, 1).imm_data) == 3, "the wrong one arrived");
	buf_holds(&dst, 77, dst.map + 77, GRH);
	buf_moved(&dst, 77 + GRH, &src, 5, 100);
	teardown();
}

/* Without a receive it is lost, and the next one is not. */
static void no_receive(void)
{
	struct wr w;

	setup();
	post(&w, 1, 5, 100, QKEY);
	wc_ok(a.scq, 1);
	wc_none(b.rcq);
	one(2, 999);
	teardown();
}

/* A datagram is one packet: a longer one does not go out. */
static void too_long(void)
{
	struct ibv_send_wr *bad;
	struct ibv_wc wc;
	struct wr w;

	setup();
	q_recv(&b, 1, &dst, 77, 3 * PAGE);
	wr_datagram(&w, 2, ah, b.qp->qp_num, QKEY);
	wr_sge(&w, &src, 5, mtu + 1);
	if (!ibv_post_send(a.qp, &w.wr, &bad)) {
		wc = wc_wait(a.scq);
		check(wc.status == IBV_WC_LOC_LEN_ERR || wc.status == IBV_WC_LOC_QP_OP_ERR,
		      "status \"%s\"", ibv_wc_status_str(wc.status));
	}
	wc_none(b.rcq);
	teardown();
}

static void many(void)
{
	struct wr w;

	setup();
	for (int i = 0; i < 50; i++)
		q_recv(&b, i, &dst, i * 1200 + 3, 1000 + GRH);
	for (int i = 0; i < 50; i++)
		post(&w, i, i * 501, 1000, QKEY);
	for (int i = 0; i < 50; i++) {
		wc_ok(a.scq, i);
		arrived(i, i * 1200 + 3, i * 501, 1000);
	}
	teardown();
}

/* With the top bit set, a key stands for the sender's own. */
static void own_qkey(void)
{
	struct wr w;

	setup();
	q_recv(&b, 1, &dst, 77, 1000);
	post(&w, 1, 5, 100, 1u << 31 | 99);
	wc_ok(a.scq, 1);
	arrived(1, 77, 5, 100);
	teardown();
}

/*
 * @n bytes from as many pieces as there may be, and into as many, the header in several
 * of them. Inline pieces are taken when posted: they need no key, and may change.
 */
static void in_pieces(uint64_t id, size_t n, bool is_inline)
{
	size_t left = n, at = 0, room;
	uint8_t sent[n];
	struct wr w;
	struct rr r;

	rr_init(&r, id);
	for (unsigned int i = 0; i < b.opt.sge; i++) {
		room = i == b.opt.sge - 1 ? n + GRH : rnd_range(1, 20);
		rr_sge(&r, &dst, i * PAGE + rnd_range(1, 99), room);
	}
	wr_datagram(&w, id, ah, b.qp->qp_num, QKEY);
	for (unsigned int i = 0; i < a.opt.sge; i++) {
		size_t len = i == a.opt.sge - 1 ? left : rnd_range(0, left);
		size_t from = off_for(&src, len);

		wr_sge(&w, &src, from, len);
		memcpy(sent + n - left, src.want + from, len);
		left -= len;
		if (is_inline)
			w.sge[i].lkey = rnd();
	}
	if (is_inline)
		w.wr.send_flags |= IBV_SEND_INLINE;
	rr_post(&b, &r);
	wr_post(&a, &w);
	if (is_inline)
		buf_refill(&src);
	wc_ok(a.scq, id);
	check(wc_ok(b.rcq, id).byte_len == n + GRH, "another length");
	for (unsigned int i = 0; at < n + GRH; i++) {
		uint64_t off = r.sge[i].addr - buf_addr(&dst, 0);

		for (size_t k = 0; k < r.sge[i].length && at < n + GRH; k++, at++)
			buf_holds(&dst, off + k,
				  at < GRH ? dst.map + off + k : sent + at - GRH, 1);
	}
	buf_check(&dst, "target");
}

static void pieces(void)
{
	setup();
	for (int i = 0; i < 20; i++)
		in_pieces(i, rnd_range(1, mtu), false);
	in_pieces(20, mtu, false);
	teardown();
}

static void inline_pieces(void)
{
	setup();
	for (int i = 0; i < 20; i++)
		in_pieces(i, rnd_range(1, a.opt.inline_data), true);
	in_pieces(20, a.opt.inline_data, true);
	teardown();
}

/* Each takes the next entry; without one it is lost. */
static void from_shared(void)
{
	struct wr w;
	struct rr r;

	setup_with(true);
	for (int i = 0; i < 30; i++) {
		rr_init(&r, i);
		rr_sge(&r, &dst, i * 1200 + 3, 1000 + GRH);
		rr_post_srq(srq, &r);
	}
	for (int i = 0; i < 31; i++)
		post(&w, i, i * 501, 1000, QKEY);
	for (int i = 0; i < 31; i++)
		wc_ok(a.scq, i);
	for (int i = 0; i < 30; i++)
		arrived(i, i * 1200 + 3, i * 501, 1000);
	wc_none(b.rcq);
	teardown();
}

/* Two ways from one QP, taken in turns: to the other host and to itself. */
static void two_targets(void)
{
	struct ibv_ah_attr attr = { .is_global = 1, .port_num = PORT };
	struct buf own;
	struct ibv_ah *home;
	struct ep c;
	struct wr w;

	setup();
	ep_create(&c, &na, &a.opt);
	ep_datagram(&c, QKEY);
	attr.grh.dgid = na.gid;
	attr.grh.sgid_index = na.gid_index;
	home = ibv_create_ah(na.pd, &attr);
	check(home, "ibv_create_ah: %s", strerror(errno));
	buf_new(&own, PAGE);
	buf_reg(&own, &na, ACCESS_ALL);
	for (int i = 0; i < 20; i++) {
		q_recv(&b, i, &dst, 7 * i, 1000 + GRH);
		q_recv(&c, i, &own, 7 * i, 1000 + GRH);
		post(&w, i, 99 * i, 1000, QKEY);
		post_to(home, &w, i, 77 * i, 999, c.qp->qp_num, QKEY);
		wc_ok(a.scq, i);
		wc_ok(a.scq, i);
		arrived(i, 7 * i, 99 * i, 1000);
		check(wc_ok(c.rcq, i).src_qp == a.qp->qp_num, "from another QP");
		buf_holds(&own, 7 * i, own.map + 7 * i, GRH);
		buf_moved(&own, 7 * i + GRH, &src, 77 * i, 999);
		buf_check(&own, "own target");
	}
	ep_destroy(&c);
	check(!ibv_destroy_ah(home), "ibv_destroy_ah");
	buf_free(&own);
	teardown();
}

/* Another domain's handle is none; the send queue stops and one call mends it. */
static void foreign_ah(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE,
	};
	struct ibv_ah_attr ah_attr = { .is_global = 1, .port_num = PORT };
	struct ibv_ah *foreign;
	struct ibv_pd *pd;
	struct wr w;

	setup();
	pd = ibv_alloc_pd(na.ctx);
	ah_attr.grh.dgid = nb.gid;
	ah_attr.grh.sgid_index = na.gid_index;
	foreign = ibv_create_ah(pd, &ah_attr);
	check(foreign, "ibv_create_ah: %s", strerror(errno));
	q_recv(&b, 1, &dst, 77, 1000);
	post_to(foreign, &w, 2, 5, 100, b.qp->qp_num, QKEY);
	wc_expect(a.scq, 2, IBV_WC_LOC_QP_OP_ERR);
	check(ep_state(&a) == IBV_QPS_SQE, "state %d", ep_state(&a));
	wc_none(b.rcq);
	check(!ibv_modify_qp(a.qp, &attr, IBV_QP_STATE | IBV_QP_CUR_STATE), "SQE to RTS");
	post(&w, 1, 5, 100, QKEY);
	wc_ok(a.scq, 1);
	arrived(1, 77, 5, 100);
	check(!ibv_destroy_ah(foreign), "ibv_destroy_ah");
	check(!ibv_dealloc_pd(pd), "ibv_dealloc_pd");
	teardown();
}

/* What a receive has no room for is dropped, the routing header included. */
static void too_short_receives(void)
{
	struct wr w;

	setup();
	q_recv(&b, 1, &dst, 77, GRH + 100);
	post(&w, 2, 5, 101, QKEY);
	wc_ok(a.scq, 2);
	wc_none(b.rcq);
	post(&w, 1, 9, 100, QKEY);
	wc_ok(a.scq, 1);
	arrived(1, 77, 9, 100);
	q_recv(&b, 3, &dst, 77, GRH - 1);
	post(&w, 4, 5, 0, QKEY);
	wc_ok(a.scq, 4);
	wc_none(b.rcq);
	teardown();
}

/* No datagram is lost because the memory it goes to takes long to come. */
static void to_slow(void)
{
	uint8_t *was;
	struct wr w;
	int uffd;

	need_odp();
	setup();
	buf_free(&dst);
	buf_new(&dst, 16 * PAGE);
	uffd = buf_withhold(&dst, O_CLOEXEC);
	buf_reg(&dst, &nb, ACCESS_ALL);
	was = buf_copy(&dst);
	for (int i = 0; i < 50; i++)
		q_recv(&b, i, &dst, i * 1200 + 3, 1000 + GRH);
	for (int i = 0; i < 50; i++)
		post(&w, i, i * 501, 1000, QKEY);
	for (int i = 0; i < 50; i++)
		wc_ok(a.scq, i);
	wc_none(b.rcq);
	buf_serve(&dst, uffd, was);
	for (int i = 0; i < 50; i++)
		arrived(i, i * 1200 + 3, i * 501, 1000);
	free(was);
	teardown();
	close(uffd);
}

/* Nor because that does which it comes from. */
static void from_slow(void)
{
	uint8_t *was;
	struct wr w;
	int uffd;

	need_odp();
	setup();
	was = buf_copy(&src);
	uffd = buf_withhold(&src, O_CLOEXEC);
	for (int i = 0; i < 50; i++)
		q_recv(&b, i, &dst, i * 1200 + 3, 1000 + GRH);
	for (int i = 0; i < 50; i++)
		post(&w, i, i * 501, 1000, QKEY);
	wc_none(a.scq);
	wc_none(b.rcq);
	buf_serve(&src, uffd, was);
	for (int i = 0; i < 50; i++) {
		wc_ok(a.scq, i);
		arrived(i, i * 1200 + 3, i * 501, 1000);
	}
	free(was);
	teardown();
	close(uffd);
}

TEST_MAIN(CASE(sizes), CASE(wrong_qkey), CASE(own_qkey), CASE(no_receive), CASE(too_long),
	  CASE(too_short_receives), CASE(many), CASE(pieces), CASE(inline_pieces),
	  CASE(from_shared), CASE(two_targets), CASE(foreign_ah), CASE(to_slow),
	  CASE(from_slow))
