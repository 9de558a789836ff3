// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Hostile packets at QPs that nobody answers for: UD, which takes a datagram from
 * whoever knows its Q_Key, and UC, which takes whatever is in sequence. Both have
 * receives of their own, and share an SRQ.
 *
 * Forged packets are right, bent somewhere in their headers, or wrong in one thing.
 * Genuine messages go on beside them. Each payload says what it is, so all that is
 * received is judged: whole, for this QP, and none of what is wrong. Genuine ones
 * come in order and once. Receives end within their bounds, memory that no key opened
 * stays as it is, and no packet puts a QP into an error. Meanwhile traffic over RC has
 * not a single error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "loose.h"
#include "ops.h"
#include "test.h"
#include "traffic.h"

#define GRH 40
#define UC_MTU 1024
#define UC_CHUNKS 4		/* of a message at most */
#define SLOTS 16
#define SLOT (2 * PAGE)

/* Where receives are posted, and what comes of them. */
struct pool {
	struct ibv_srq *srq;
	struct ep *ep;			/* whose it is, without SRQ */
	struct ibv_cq *cq;
	struct buf mem;
	struct { size_t off, len; bool posted; } slot[SLOTS];
};

/* From a QP of a to one of b. */
struct flow {
	bool ud;
	struct pool *pool;
	struct ep a, b;
	struct buf src;
	struct loose loose;		/* what the forger knows of b's */
	uint32_t sent, last, got;	/* genuine messages: numbers, and how many came */
};

enum { UD_OWN, UC_OWN, UD_SHARED, UC_SHARED, FLOWS };
enum { POOL_UD, POOL_UC, POOL_SHARED, POOLS };

static struct flow flows[FLOWS];
static struct pool pools[POOLS];
static struct pair p;
static struct traffic t;
static struct ibv_ah *ah;
static struct wire_end ends[2];
static struct tap taps[2];
static struct counters before;
static uint64_t sent, refused;
static volatile bool stop;

static uint32_t qkey_of(int i)
{
	return 0x1234500 + i;
}

/*
 * b's memory for UC's writes: TARGET is open, its neighbours have keys that must not
 * open them.
 */
enum { TARGET, READ_ONLY, OTHER_PD, STALE, ZONES = LOOSE_ZONES };
#define ZONE_LEN (4 * PAGE)
#define zone_off(i) ((i) * 2 * ZONE_LEN + PAGE / 2)

static struct buf g;
static struct ibv_mr *mrs[ZONES];
static struct zone zones[ZONES];
static uint32_t keys[ZONES];
static struct ibv_pd *other_pd;

static void zones_open(void)
{
	static const unsigned int access[ZONES] = {
		[TARGET] = ACCESS_ALL, [READ_ONLY] = IBV_ACCESS_REMOTE_READ,
		[OTHER_PD] = ACCESS_ALL, [STALE] = ACCESS_ALL,
	};

	other_pd = ibv_alloc_pd(p.nb.ctx);
	check(other_pd, "ibv_alloc_pd");
	buf_new_cold(&g, zone_off(ZONES));
	for (int i = 0; i < ZONES; i++) {
		struct nic nic = p.nb;

		if (i == OTHER_PD)
			nic.pd = other_pd;
		zones[i] = (struct zone) { (uintptr_t)g.map + zone_off(i), ZONE_LEN };
		mrs[i] = mr_try(&nic, g.map + zone_off(i), ZONE_LEN, zones[i].at, access[i],
				cfg.mode);
		check(mrs[i], "registering zone %d", i);
		keys[i] = mrs[i]->rkey;
	}
	check(!ibv_dereg_mr(mrs[STALE]), "ibv_dereg_mr");
}

static void zones_close(void)
{
	for (int i = 0; i < ZONES; i++)
		check(i == STALE || !ibv_dereg_mr(mrs[i]), "ibv_dereg_mr");
	check(!ibv_dealloc_pd(other_pd), "ibv_dealloc_pd");
	buf_free(&g);
}

static void flow_open(int i, bool ud, int pool)
{
	struct flow *f = &flows[i];
	struct qp_opt opt = opt_rc;

	f->ud = ud;
	f->pool = &pools[pool];
	opt.type = ud ? IBV_QPT_UD : IBV_QPT_UC;
	opt.mtu = IBV_MTU_1024;
	ep_create(&f->a, &p.na, &opt);
	opt.rcq = f->pool->cq;
	opt.srq = f->pool->srq;
	ep_create(&f->b, &p.nb, &opt);
	f->pool->ep = &f->b;
	if (ud) {
		ep_datagram(&f->a, qkey_of(i));
		ep_datagram(&f->b, qkey_of(i));
	} else {
		ep_join(&f->a, &f->b);
	}
	buf_new(&f->src, 4 * PAGE);
	buf_reg(&f->src, &p.na, ACCESS_ALL);
}

static void ah_open(void)
{
	struct ibv_ah_attr attr = {
		.is_global = 1, .port_num = PORT,
		.grh = { p.nb.gid, 0, p.na.gid_index, 64, 0 },
	};

	ah = ibv_create_ah(p.na.pd, &attr);
	check(ah, "ibv_create_ah: %s", strerror(errno));
}

static void loose_open(int i)
{
	struct flow *f = &flows[i];
	struct loose *l = &f->loose;

	l->flow = i;
	l->ud = f->ud;
	l->qpn = f->b.qp->qp_num;
	l->qkey = qkey_of(i);
	l->no_qpn = f->a.qp->qp_num;	/* in another namespace */
	l->mtu = f->ud ? mtu_bytes(p.nb.port.active_mtu) : UC_MTU;
	l->zones = zones;
	l->keys = keys;
	l->route.v6 = cfg.v6;
	check(nic_address(&p.na, cfg.v6, l->route.saddr) &&
	      nic_address(&p.nb, cfg.v6, l->route.daddr), "no addresses");
	memcpy(l->route.smac, taps[0].mac, 6);
	memcpy(l->route.dmac, taps[1].mac, 6);
	check(inet_pton(cfg.v6 ? AF_INET6 : AF_INET, cfg.v6 ? "fd09::9" : "10.9.9.9",
			l->elsewhere) == 1, "inet_pton");
}

static void flows_open(void)
{
	for (int i = 0; i < POOLS; i++) {
		pools[i].cq = cq_new(&p.nb, SLOTS + 1);
		buf_new_either(&pools[i].mem, SLOTS * SLOT, i & 1);
		buf_reg(&pools[i].mem, &p.nb, IBV_ACCESS_LOCAL_WRITE);
	}
	pools[POOL_SHARED].srq = srq_new(&p.nb, SLOTS);
	flow_open(UD_OWN, true, POOL_UD);
	flow_open(UC_OWN, false, POOL_UC);
	flow_open(UD_SHARED, true, POOL_SHARED);
	flow_open(UC_SHARED, false, POOL_SHARED);
	for (int i = 0; i < FLOWS; i++)
		loose_open(i);
	ah_open();
}

static void flows_close(void)
{
	check(!ibv_destroy_ah(ah), "ibv_destroy_ah");
	for (int i = 0; i < FLOWS; i++) {
		ep_destroy(&flows[i].a);
		ep_destroy(&flows[i].b);
		buf_free(&flows[i].src);
	}
	srq_free(pools[POOL_SHARED].srq);
	for (int i = 0; i < POOLS; i++) {
		cq_free(pools[i].cq);
		buf_free(&pools[i].mem);
	}
}

static void slot_post(struct pool *o, int i, size_t len)
{
	size_t off = i * SLOT + rnd_range(0, 300), head = rnd_range(0, len);
	struct rr r;

	rr_init(&r, i);
	rr_sge(&r, &o->mem, off, head);
	rr_sge(&r, &o->mem, off + head, len - head);
	o->slot[i].off = off;
	o->slot[i].len = len;
	o->slot[i].posted = true;
	if (o->srq)
		rr_post_srq(o->srq, &r);
	else
		rr_post(o->ep, &r);
}

#define ROOMY (GRH + UC_CHUNKS * UC_MTU)

/* Some of the free ones; now and then with room for little, but not for nothing. */
static void pool_fill(struct pool *o, unsigned int percent)
{
	for (int i = 0; i < SLOTS; i++)
		if (!o->slot[i].posted && rnd_range(0, 99) < percent)
			slot_post(o, i, rnd_range(0, 15) ? ROOMY : rnd_range(GRH, 200));
}

/* The first chunk of a message tells whose it is, and when it was sent. */
static void in_order(struct flow *f, const struct chunk *c)
{
	if (c->mark != GENUINE || !c->nr)
		return;
	check(c->nr > f->last && c->nr <= f->sent, "message %u after %u, of %u", c->nr,
	      f->last, f->sent);
	f->last = c->nr;
	f->got++;
}

static void judge_datagram(int i, const uint8_t *grh, const struct ibv_wc *wc)
{
	size_t n = cfg.v6 ? 16 : 4, at = GRH - n;
	struct chunk c;

	check(wc->wc_flags & IBV_WC_GRH && wc->byte_len >= GRH, "no GRH");
	check(!memcmp(grh + at, flows[i].loose.route.daddr, n), "its GRH is not for us");
	c = chunk_judge(grh + GRH, wc->byte_len - GRH, i);
	if (c.nr && c.mark == GENUINE)
		check(wc->src_qp == flows[i].a.qp->qp_num, "from QP %u", wc->src_qp);
	in_order(&flows[i], &c);
}

/* Whatever it is made of, each packet of it is judged. */
static void judge_message(int i, const uint8_t *at, const struct ibv_wc *wc)
{
	for (size_t off = 0; off < wc->byte_len; off += UC_MTU) {
		size_t rest = wc->byte_len - off;
		struct chunk c = chunk_judge(at + off, rest < UC_MTU ? rest : UC_MTU, i);

		if (!off)
			in_order(&flows[i], &c);
	}
}

static void judge(struct pool *o, const struct ibv_wc *wc)
{
	const uint8_t *at = o->mem.map + o->slot[wc->wr_id].off;
	size_t len = o->slot[wc->wr_id].len;
	int i = 0;

	while (i < FLOWS && flows[i].b.qp->qp_num != wc->qp_num)
		i++;
	check(i < FLOWS && flows[i].pool == o, "from nobody's QP");
	check(o->slot[wc->wr_id].posted, "receive %d ends twice", (int)wc->wr_id);
	o->slot[wc->wr_id].posted = false;
	if (wc->status == IBV_WC_SUCCESS && wc->opcode == IBV_WC_RECV) {
		check(wc->byte_len <= len, "%u bytes for %zu", wc->byte_len, len);
		if (flows[i].ud)
			judge_datagram(i, at, wc);
		else
			judge_message(i, at, wc);
	} else if (wc->status != IBV_WC_SUCCESS) {
		/* A shared receive does not go back if it was too short, or its message cut off. */
		check(o->srq && (wc->status == IBV_WC_LOC_LEN_ERR ||
				 (wc->status == IBV_WC_REM_INV_REQ_ERR && !flows[i].ud)),
		      "a receive ends with %s", ibv_wc_status_str(wc->status));
	}
	/* Whatever is there now has to stay. */
	memcpy(o->mem.want + o->slot[wc->wr_id].off, at, len);
}

static unsigned int reap(void)
{
	unsigned int n = 0;
	struct ibv_wc wc;

	for (int i = 0; i < POOLS; i++)
		for (; ibv_poll_cq(pools[i].cq, 1, &wc) > 0; n++)
			judge(&pools[i], &wc);
	return n;
}

/* Receives that are posted may change while we look. */
static void check_memory(void)
{
	static uint8_t picture[SLOTS * SLOT];

	for (int i = 0; i < POOLS; i++) {
		struct pool *o = &pools[i];

		memcpy(picture, o->mem.map, o->mem.size);
		check(!chunk_banned_in(picture, o->mem.size), "pool %d has what is wrong", i);
		for (int k = 0; k < SLOTS; k++)
			if (o->slot[k].posted)
				memcpy(o->mem.want + o->slot[k].off,
				       picture + o->slot[k].off, o->slot[k].len);
		same(picture, o->mem.want, o->mem.size, "memory beside receives");
	}
	memcpy(picture, g.map, g.size);
	check(!chunk_banned_in(picture, g.size), "the target has what is wrong");
	memcpy(g.want + zone_off(TARGET), picture + zone_off(TARGET), ZONE_LEN);
	same(picture, g.want, g.size, "guarded memory");
}

/* Returns the length of a genuine message of flow @i, laid out at @at of its source. */
static size_t lay(int i, size_t at, uint32_t nr, size_t len)
{
	size_t most = flows[i].ud ? len : UC_MTU;

	for (size_t off = 0; off < len; off += most) {
		struct chunk c = {
			GENUINE, i, nr, len - off < most ? len - off : most,
		};

		chunk_make(flows[i].src.map + at + off, &c);
	}
	return len;
}

static void send_genuine(int i, size_t len, bool may_write)
{
	struct flow *f = &flows[i];
	size_t at = (f->sent & 1) * 2 * PAGE;
	struct wr w;

	f->sent++;
	wr_init(&w, rnd_range(0, 1) ? IBV_WR_SEND : IBV_WR_SEND_WITH_IMM, f->sent);
	if (!f->ud && may_write && !rnd_range(0, 3)) {
		w.wr.opcode = rnd_range(0, 1) ? IBV_WR_RDMA_WRITE :
						IBV_WR_RDMA_WRITE_WITH_IMM;
		w.wr.wr.rdma.remote_addr = zones[TARGET].at + rnd_range(0, ZONE_LEN - len);
		w.wr.wr.rdma.rkey = keys[TARGET];
	}
	if (f->ud) {
		w.wr.wr.ud.ah = ah;
		w.wr.wr.ud.remote_qpn = f->b.qp->qp_num;
		/* With the top bit it is the QP's own. */
		w.wr.wr.ud.remote_qkey = rnd_range(0, 1) ? qkey_of(i) : 1u << 31;
	}
	wr_sge(&w, &f->src, at, lay(i, at, f->sent, len));
	wr_post(&f->a, &w);
	wc_ok(f->a.scq, f->sent);
}

static size_t genuine_len(int i)
{
	size_t max = flows[i].ud ? mtu_bytes(p.na.port.active_mtu) : UC_CHUNKS * UC_MTU;

	return rnd_range(0, 2) ? rnd_range(0, 100) : rnd_range(0, max);
}

static void learn_psns(void)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	for (int i = 0; i < FLOWS; i++) {
		if (flows[i].ud)
			continue;
		check(!ibv_query_qp(flows[i].b.qp, &attr, IBV_QP_RQ_PSN, &init),
		      "ibv_query_qp");
		flows[i].loose.epsn = attr.rq_psn;
	}
}

static void burst(void)
{
	static struct frame f;

	learn_psns();
	for (int i = rnd_range(1, 24); i; i--) {
		loose_forge(&flows[rnd_range(0, FLOWS - 1)].loose, &f);
		if (tap_send(&taps[0], &f))
			sent++;
		else
			refused++;
	}
}

static bool pool_is_empty(const struct pool *o)
{
	for (int i = 0; i < SLOTS; i++)
		if (o->slot[i].posted)
			return false;
	return true;
}

/*
 * What has no byte fits in everywhere: all receives that are left over are used up. A
 * shared one may be in the hands of either QP.
 */
static void use_up(const struct pool *o)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (!pool_is_empty(o)) {
		for (int i = 0; i < FLOWS; i++)
			if (flows[i].pool == o)
				send_genuine(i, 0, false);
		reap();
		check(now_ms() < end, "pool %d receives nothing any more",
		      (int)(o - pools));
	}
}

/* Where there is no receive a message is lost, and counted. */
static void none_arrives(int i)
{
	uint64_t end = now_ms() + WAIT_MS, lost;

	use_up(flows[i].pool);
	/* What it has sent too much has been lost by then as well. */
	sleep_ms(50);
	lost = counters_delta(&before, "rcvd_no_wqe");
	send_genuine(i, 0, false);
	while (counters_delta(&before, "rcvd_no_wqe") == lost) {
		check(now_ms() < end, "QP %d: lost, and not counted", i);
		sleep_ms(1);
	}
}

/* Where there are receives for all, nothing is lost. */
static void all_arrive(int i)
{
	struct pool *o = flows[i].pool;
	uint64_t end = now_ms() + WAIT_MS;
	uint32_t got = flows[i].got;

	use_up(o);
	for (int k = 0; k < SLOTS; k++)
		slot_post(o, k, ROOMY);
	for (int k = 0; k < SLOTS; k++)
		send_genuine(i, rnd_range(CHUNK_MIN, ROOMY - GRH), false);
	while (!pool_is_empty(o)) {
		reap();
		check(now_ms() < end, "QP %d has lost messages", i);
	}
	check(flows[i].got == got + SLOTS, "QP %d: %u messages of %d", i,
	      flows[i].got - got, SLOTS);
}

static void *rc_traffic(void *arg)
{
	(void)arg;
	rnd_stream(1);
	while (!stop)
		traffic_round(&t);
	return NULL;
}

/* An address of b's host that its device does not have. */
static void address_elsewhere(const char *what)
{
	shell("ip -n %s addr %s %s/%d dev lo 2>/dev/null", ends[1].netns, what,
	      cfg.v6 ? "fd09::9" : "10.9.9.9", cfg.v6 ? 128 : 32);
}

static void wire_open(void)
{
	taps_open(taps, ends, &p);
	address_elsewhere("add");
}

static void assault(void)
{
	uint64_t end = now_ms() + cfg.seconds * 1000ull;
	unsigned int rounds;

	for (rounds = 0; now_ms() < end && (!cfg.count || sent < cfg.count); rounds++) {
		for (int i = 0; i < POOLS; i++)
			pool_fill(&pools[i], rnd_range(0, 3) ? 70 : 5);
		for (int i = 0; i < FLOWS; i++)
			send_genuine(i, genuine_len(i), true);
		burst();
		reap();
		if (rounds % 8 == 7)
			check_memory();
	}
	printf("# %u rounds\n", rounds);
}

static void report(void)
{
	printf("# %" PRIu64 " packets sent, %" PRIu64 " not taken by the cable; genuine:", sent,
	       refused);
	for (int i = 0; i < FLOWS; i++)
		printf(" %u of %u", flows[i].got, flows[i].sent);
	printf("\n");
	counters_print(&before);
}

static void unreliable(void)
{
	static const char *const reached[] = {
		"rcvd_wrong_qkey", "rcvd_wrong_peer", "rcvd_wrong_pkey", "rcvd_no_qp",
		"rcvd_wrong_transport", "rcvd_malformed", "rcvd_icrc_errors", "rcvd_no_wqe",
		"rcvd_aborted", "rcvd_out_of_sequence", "invalid_requests",
		"local_length_errors", "remote_access_errors", NULL,
	};
	static const char *const never[] = {
		"retry_exceeded", "cq_overflows", "bad_wqes", "local_protection_errors",
	};
	pthread_t th;

	need_bounds();
	pair_open(&p, NULL);
	traffic_open(&t, &p);
	wire_open();
	zones_open();
	flows_open();
	counters_read(&before);
	check(!pthread_create(&th, NULL, rc_traffic, NULL), "thread");
	assault();
	stop = true;
	pthread_join(th, NULL);
	address_elsewhere("del");
	for (int i = 0; i < FLOWS; i++)
		none_arrives(i);
	for (int i = 0; i < FLOWS; i++)
		all_arrive(i);
	check_memory();
	report();
	for (int i = 0; i < FLOWS; i++)
		check(ep_state(&flows[i].b) == IBV_QPS_RTS, "QP %d is in an error", i);
	counters_reached(&before, reached);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		check(!counters_delta(&before, never[i]), "%s has moved", never[i]);
	flows_close();
	zones_close();
	traffic_close(&t);
	pair_close(&p);
}

TEST_MAIN(CASE(unreliable))
