// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The state machine of an RC QP: every transition of the specification and no
 * other, no attribute missing or too much, no value out of range; and a query
 * gives back what was set.
 */
#include <errno.h>
#include <string.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct ep e;

#define INIT_MASK (IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS)
#define RTR_MASK (IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | \
		  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER)
#define RTS_MASK (IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | \
		  IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC)

/* All that an RC QP has to tell. */
#define QUERY_MASK (INIT_MASK | RTR_MASK | RTS_MASK | IBV_QP_CAP | IBV_QP_CUR_STATE)

/* Everything any transition wants, with @state as the aim. */
static void attributes(struct ibv_qp_attr *attr, enum ibv_qp_state state)
{
	struct ibv_qp_attr rts;

	ep_rtr_attr(&e, &p.b, attr);
	ep_rts_attr(&e, &rts);
	attr->sq_psn = rts.sq_psn;
	attr->timeout = rts.timeout;
	attr->retry_cnt = rts.retry_cnt;
	attr->rnr_retry = rts.rnr_retry;
	attr->max_rd_atomic = rts.max_rd_atomic;
	attr->port_num = PORT;
	attr->qp_access_flags = ACCESS_ALL;
	attr->qp_state = state;
}

static int to(enum ibv_qp_state state, int mask)
{
	struct ibv_qp_attr attr;

	attributes(&attr, state);
	return ibv_modify_qp(e.qp, &attr, mask);
}

/* The mask a transition into @state needs at least. */
static int mask_into(enum ibv_qp_state from, enum ibv_qp_state state)
{
	switch (state) {
	case IBV_QPS_INIT:
		return from == IBV_QPS_RESET ? INIT_MASK : IBV_QP_STATE;
	case IBV_QPS_RTR:
		return RTR_MASK;
	case IBV_QPS_RTS:
		return from == IBV_QPS_RTR ? RTS_MASK : IBV_QP_STATE;
	default:
		return IBV_QP_STATE;
	}
}

static void bring_to(enum ibv_qp_state state)
{
	static const enum ibv_qp_state way[] = {
		IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS, IBV_QPS_SQD,
	};

	ep_set_state(&e, IBV_QPS_RESET);
	if (state == IBV_QPS_ERR) {
		ep_init(&e);
		ep_set_state(&e, IBV_QPS_ERR);
		return;
	}
	for (size_t i = 0; way[i] != state; i++)
		check(!to(way[i + 1], mask_into(way[i], way[i + 1])),
		      "to state %d", way[i + 1]);
	check(ep_state(&e) == state, "state %d instead of %d", ep_state(&e), state);
}

static void setup(void)
{
	pair_open(&p, NULL);
	ep_create(&e, &p.na, &opt_rc);
}

static void teardown(void)
{
	ep_destroy(&e);
	pair_close(&p);
}

static bool legal(enum ibv_qp_state from, enum ibv_qp_state state)
{
	if (state == IBV_QPS_RESET || state == IBV_QPS_ERR)
		return true;
	switch (from) {
	case IBV_QPS_RESET:
		return state == IBV_QPS_INIT;
	case IBV_QPS_INIT:
		return state == IBV_QPS_INIT || state == IBV_QPS_RTR;
	case IBV_QPS_RTR:
		return state == IBV_QPS_RTS;
	case IBV_QPS_RTS:
	case IBV_QPS_SQD:
		return state == IBV_QPS_RTS || state == IBV_QPS_SQD;
	default:
		return false;
	}
}

static void transitions(void)
{
	static const enum ibv_qp_state all[] = {
		IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS, IBV_QPS_SQD,
		IBV_QPS_ERR,
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
			enum ibv_qp_state want = all[k];
			int ret;

			/* Linux' core refuses it, the specification does not. */
			if (all[i] == IBV_QPS_RESET && all[k] == IBV_QPS_ERR)
				continue;
			bring_to(all[i]);
			ret = to(all[k], mask_into(all[i], all[k]));
			if (!legal(all[i], all[k])) {
				check(ret == EINVAL, "from %d to %d: %s", all[i],
				      all[k], strerror(ret));
				want = all[i];
			} else {
				check(!ret, "from %d to %d: %s", all[i], all[k],
				      strerror(ret));
			}
			check(ep_state(&e) == want, "state %d after %d to %d",
			      ep_state(&e), all[i], all[k]);
		}
	}
	teardown();
}

/* SQE is a state of unreliable QPs only, and no state has such a number. */
static void no_such_state(void)
{
	setup();
	bring_to(IBV_QPS_RTS);
	check(to(IBV_QPS_SQE, IBV_QP_STATE), "an RC QP went into SQE");
	check(to(17, IBV_QP_STATE), "a QP went into state 17");
	check(ep_state(&e) == IBV_QPS_RTS, "state %d", ep_state(&e));
	teardown();
}

/* Each attribute that must be given, left out once. */
static void missing_attributes(void)
{
	static const struct {
		enum ibv_qp_state from, to;
	} t[] = {
		{ IBV_QPS_RESET, IBV_QPS_INIT },
		{ IBV_QPS_INIT, IBV_QPS_RTR },
		{ IBV_QPS_RTR, IBV_QPS_RTS },
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		int mask = mask_into(t[i].from, t[i].to) & ~IBV_QP_STATE;

		for (int bit = 1; bit <= mask; bit <<= 1) {
			if (!(mask & bit))
				continue;
			bring_to(t[i].from);
			check(to(t[i].to, (mask | IBV_QP_STATE) & ~bit) == EINVAL,
			      "from %d to %d without attribute %#x", t[i].from,
			      t[i].to, bit);
			check(ep_state(&e) == t[i].from, "the state changed");
		}
	}
	teardown();
}

/* Attributes that have no place in a transition. */
static void too_many_attributes(void)
{
	setup();
	bring_to(IBV_QPS_RESET);
	check(to(IBV_QPS_INIT, INIT_MASK | IBV_QP_SQ_PSN) == EINVAL, "INIT with SQ_PSN");
	check(to(IBV_QPS_INIT, INIT_MASK | IBV_QP_QKEY) == EINVAL, "RC with QKEY");
	bring_to(IBV_QPS_INIT);
	check(to(IBV_QPS_RTR, RTR_MASK | IBV_QP_TIMEOUT) == EINVAL, "RTR with TIMEOUT");
	bring_to(IBV_QPS_RTS);
	check(to(IBV_QPS_RTS, IBV_QP_STATE | IBV_QP_DEST_QPN) == EINVAL,
	      "RTS with DEST_QPN");
	check(to(IBV_QPS_RTS, IBV_QP_STATE | IBV_QP_RQ_PSN) == EINVAL, "RTS with RQ_PSN");
	teardown();
}

static void expect_refused(enum ibv_qp_state from, struct ibv_qp_attr *attr, int mask,
			   const char *what)
{
	bring_to(from);
	check(ibv_modify_qp(e.qp, attr, mask), "%s was taken", what);
	check(ep_state(&e) == from, "state %d after a refused %s", ep_state(&e), what);
}

static void values_out_of_range(void)
{
	struct ibv_qp_attr attr;

	setup();
	attributes(&attr, IBV_QPS_INIT);
	attr.port_num = 2;
	expect_refused(IBV_QPS_RESET, &attr, INIT_MASK, "port 2");
	attributes(&attr, IBV_QPS_INIT);
	attr.pkey_index = 60000;
	expect_refused(IBV_QPS_RESET, &attr, INIT_MASK, "P_Key index 60000");
	attributes(&attr, IBV_QPS_RTR);
	attr.path_mtu = 6;
	expect_refused(IBV_QPS_INIT, &attr, RTR_MASK, "path MTU 6");
	attributes(&attr, IBV_QPS_RTR);
	attr.path_mtu = 0;
	expect_refused(IBV_QPS_INIT, &attr, RTR_MASK, "path MTU 0");
	attributes(&attr, IBV_QPS_RTR);
	attr.ah_attr.grh.sgid_index = 255;
	expect_refused(IBV_QPS_INIT, &attr, RTR_MASK, "GID index 255");
	attributes(&attr, IBV_QPS_RTR);
	attr.max_dest_rd_atomic = 255;
	expect_refused(IBV_QPS_INIT, &attr, RTR_MASK, "255 reads to answer");
	attributes(&attr, IBV_QPS_RTS);
	attr.max_rd_atomic = 255;
	expect_refused(IBV_QPS_RTR, &attr, RTS_MASK, "255 reads to ask for");
	attributes(&attr, IBV_QPS_RTS);
	attr.timeout = 32;
	expect_refused(IBV_QPS_RTR, &attr, RTS_MASK, "time-out 32");
	teardown();
}

static void query_gives_back(void)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr set, got;

	setup();
	for (int i = 0; i < 10; i++) {
		ep_set_state(&e, IBV_QPS_RESET);
		attributes(&set, IBV_QPS_INIT);
		set.qp_access_flags = rnd() & (IBV_ACCESS_REMOTE_WRITE |
			IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC);
		set.path_mtu = rnd_range(IBV_MTU_256, pair_mtu(&p));
		set.rq_psn = rnd() & PSN_MASK;
		set.sq_psn = rnd() & PSN_MASK;
		set.dest_qp_num = rnd() & PSN_MASK;
		set.min_rnr_timer = rnd_range(0, 31);
		set.timeout = rnd_range(0, 31);
		set.retry_cnt = rnd_range(0, 7);
		set.rnr_retry = rnd_range(0, 7);
		set.max_rd_atomic = rnd_range(1, 16);
		set.max_dest_rd_atomic = rnd_range(1, 16);
		set.ah_attr.grh.traffic_class = rnd_range(0, 63) << 2;
		set.ah_attr.sl = rnd_range(0, 7);
		check(!ibv_modify_qp(e.qp, &set, INIT_MASK), "INIT");
		set.qp_state = IBV_QPS_RTR;
		check(!ibv_modify_qp(e.qp, &set, RTR_MASK), "RTR");
		set.qp_state = IBV_QPS_RTS;
		check(!ibv_modify_qp(e.qp, &set, RTS_MASK), "RTS");
		memset(&got, 0, sizeof(got));
		check(!ibv_query_qp(e.qp, &got, QUERY_MASK, &init), "ibv_query_qp");
#define BACK(field) check(got.field == set.field, #field " is %lu instead of %lu", \
			  (unsigned long)got.field, (unsigned long)set.field)
		BACK(qp_state);
		BACK(qp_access_flags);
		BACK(path_mtu);
		BACK(rq_psn);
		BACK(sq_psn);
		BACK(dest_qp_num);
		BACK(min_rnr_timer);
		BACK(timeout);
		BACK(retry_cnt);
		BACK(rnr_retry);
		BACK(max_rd_atomic);
		BACK(max_dest_rd_atomic);
		BACK(port_num);
		BACK(pkey_index);
		BACK(ah_attr.is_global);
		BACK(ah_attr.port_num);
		BACK(ah_attr.sl);
		BACK(ah_attr.grh.sgid_index);
		BACK(ah_attr.grh.traffic_class);
#undef BACK
		check(!memcmp(&got.ah_attr.grh.dgid, &set.ah_attr.grh.dgid, 16), "dgid");
		check(got.cap.max_send_wr >= e.opt.send_wr &&
		      got.cap.max_recv_wr >= e.opt.recv_wr &&
		      got.cap.max_send_sge >= e.opt.sge, "capabilities");
		check(init.qp_type == IBV_QPT_RC && init.send_cq == e.scq &&
		      init.recv_cq == e.rcq && init.sq_sig_all == 1, "init_attr");
	}
	teardown();
}

/* What RTS to RTS may change takes effect at once. */
static void access_flags_changed(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.qp_access_flags = IBV_ACCESS_REMOTE_READ,
	};
	struct buf l, r;

	setup();
	buf_new(&l, 2 * PAGE);
	buf_new(&r, 2 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_write(&p.a, &l, 3, &r, 4090, 100);
	check(!ibv_modify_qp(p.b.qp, &attr, IBV_QP_STATE | IBV_QP_ACCESS_FLAGS),
	      "access flags in RTS");
	do_read(&p.a, &l, 3, &r, 4090, 100);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 5, &r, 9, 100);
	wc_expect(p.a.scq, 1, IBV_WC_REM_INV_REQ_ERR);
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	teardown();
}

/* Refused before RTS, and nothing comes of it later. */
static void posting_too_early(void)
{
	static const enum ibv_qp_state early[] = {
		IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR,
	};
	struct ibv_send_wr *bad;
	struct buf l, r;
	struct wr w;

	setup();
	buf_new(&l, PAGE);
	buf_new(&r, PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	wr_init(&w, IBV_WR_RDMA_WRITE, 7);
	wr_sge(&w, &l, 3, 99);
	wr_remote(&w, &r, 5);
	for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
		int ret;

		bring_to(early[i]);
		ret = ibv_post_send(e.qp, &w.wr, &bad);
		check(ret == EINVAL, "posted in state %d: %s", early[i], strerror(ret));
		if (early[i] != IBV_QPS_RESET)
			ep_set_state(&e, IBV_QPS_ERR);
		wc_none(e.scq);
	}
	/* The other end of a pair, up to where it may be posted. */
	ep_set_state(&p.a, IBV_QPS_RESET);
	ep_set_state(&p.b, IBV_QPS_RESET);
	ep_init(&p.a);
	ep_init(&p.b);
	check(ibv_post_send(p.a.qp, &w.wr, &bad) == EINVAL, "posted in INIT");
	ep_rtr(&p.a, &p.b);
	ep_rtr(&p.b, &p.a);
	check(ibv_post_send(p.a.qp, &w.wr, &bad) == EINVAL, "posted in RTR");
	ep_rts(&p.b);
	ep_rts(&p.a);
	wc_none(p.a.scq);
	do_write(&p.a, &l, 100, &r, 200, 99);
	buf_check(&r, "remote memory");
	wc_none(p.a.scq);
	buf_free(&l);
	buf_free(&r);
	teardown();
}

/* Nor if it is the peer whose request ends the QP. */
static void posting_too_early_for_err(void)
{
	struct ibv_send_wr *bad;
	struct buf l, r;
	struct wr w;

	pair_begin(&p, &l, PAGE, &r, PAGE);
	ep_set_state(&p.b, IBV_QPS_RESET);
	ep_init(&p.b);
	ep_rtr(&p.b, &p.a);
	wr_init(&w, IBV_WR_RDMA_WRITE, 7);
	wr_sge(&w, &r, 3, 99);
	wr_remote(&w, &l, 5);
	check(ibv_post_send(p.b.qp, &w.wr, &bad) == EINVAL, "posted in RTR");
	r.rkey ^= 0x5a;
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 8, &l, 3, &r, 5, 99);
	wc_expect(p.a.scq, 8, IBV_WC_REM_ACCESS_ERR);
	ep_await_state(&p.b, IBV_QPS_ERR);
	wc_none(p.b.scq);
	pair_end(&p, &l, &r);
}

TEST_MAIN(CASE(transitions), CASE(no_such_state), CASE(missing_attributes),
	  CASE(too_many_attributes), CASE(values_out_of_range), CASE(query_gives_back),
	  CASE(access_flags_changed), CASE(posting_too_early),
	  CASE(posting_too_early_for_err))
