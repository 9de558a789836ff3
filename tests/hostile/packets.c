// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Hostile packets, while checked traffic runs between the two hosts.
 *
 * strangers: packets that are none of the connection's, each from somebody who
 * knows all its numbers: from another address, to another address, over the other
 * IP version, with a wrong ICRC, partition, length or version. All of them are
 * dropped and counted, and the traffic never notices.
 *
 * crowd: so many strangers that they would fill the queue of a QP that waits for a
 * page. None of the true peer's packets is lost for them.
 *
 * peer: packets that the true peer could have sent. They may break the connection,
 * never more than that: no byte changes that the key used does not give access to,
 * none is sent of memory that no key gives access to, and every request ends.
 *
 * All but the crowd go on for -T SECONDS, or -n COUNT packets if these come first.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "counters.h"
#include "forger.h"
#include "ops.h"
#include "test.h"
#include "traffic.h"

static struct pair p;
static struct wire_end ends[2];
static struct tap taps[2];		/* 0 is at a's end, 1 at b's */
static struct victim va, vb;
static struct counters before;
static uint64_t sent, refused;

static void victims_new(void)
{
	victim_init(&va, &p.a, &p.nb, &taps[0], &taps[1]);
	victim_init(&vb, &p.b, &p.na, &taps[1], &taps[0]);
	/* Each other's is in another namespace. */
	victim_knows_qpn(&va, p.b.qp->qp_num);
	victim_knows_qpn(&vb, p.a.qp->qp_num);
}

static void put(struct victim *v, const struct frame *f)
{
	if (tap_send(v->in, f))
		sent++;
	else
		refused++;
}

static bool time_is_up(uint64_t end)
{
	return now_ms() >= end || (cfg.count && sent >= cfg.count);
}

static void report(void)
{
	printf("# %" PRIu64 " packets sent, %" PRIu64 " not taken by the cable\n", sent,
	       refused);
	counters_print(&before);
}

/* Addresses of the hosts that the connection does not use. */
static const char *const second_address[2] = { "10.1.0.10%d/24", "fd01::10%d/64" };
static uint8_t other_addr[2][16];
static uint8_t plain_addr[2][2][16];	/* by host and version */
static struct traffic t;
static volatile bool stop;

static void second_addresses(const char *what)
{
	for (int i = 0; i < 2; i++) {
		char addr[64];

		snprintf(addr, sizeof(addr), second_address[cfg.v6], i + 1);
		shell("ip -n %s addr %s %s dev %s nodad 2>/dev/null", ends[i].netns, what,
		      addr, ends[i].ifname);
		memcpy(other_addr[i], plain_addr[i][cfg.v6], 16);
		if (cfg.v6)
			put16(&other_addr[i][14], 0x101 + i);
		else
			other_addr[i][3] = 101 + i;
	}
}

enum stranger {
	WRONG_SOURCE, WRONG_TARGET, WRONG_VERSION, WRONG_ICRC, WRONG_FORM, WRONG_PKEY,
	WRONG_QPN, WRONG_TRANSPORT, WRONG_IP, STRANGERS
};

static void stranger_source(struct frame *f)
{
	size_t at = ETH_LEN + (cfg.v6 ? 8 : 12), n = cfg.v6 ? 16 : 4;
	uint8_t *addr = f->bytes + at + n - 1;

	/* A neighbour, a bit away, or anywhere. */
	switch (rnd_range(0, 2)) {
	case 0: *addr = rnd_range(3, 99); break;
	case 1: *addr ^= 4 << rnd_range(0, 4); break;
	default: rnd_fill(f->bytes + at + 1, n - 1);
	}
	frame_seal(f);
}

/* A true frame but for the IP header: options, wrong lengths, a fragment. */
static void stranger_ip(struct frame *f)
{
	uint8_t *ip = f->bytes + ETH_LEN;

	forge_spoil(f);
	switch (rnd_range(0, 2)) {
	case 0:
		put16(ip + (cfg.v6 ? 44 : 24), rnd_range(0, f->len));
		break;
	case 1:
		put16(ip + (cfg.v6 ? 4 : 2), rnd_range(0, f->len));
		break;
	default:
		if (!cfg.v6)
			ip[rnd_range(0, 1) * 6] ^= rnd_range(1, 63);
		else
			ip[6] = rnd();
	}
}

static void stranger_version(struct victim *v, struct frame *f)
{
	struct route r = v->route, mine = v->route;
	int from = v == &vb ? 0 : 1;
	struct said s = { 0 };

	r.v6 = !r.v6;
	memcpy(r.saddr, plain_addr[from][r.v6], 16);
	memcpy(r.daddr, plain_addr[!from][r.v6], 16);
	s.opcode = 0x0a;
	s.flags = 0x40;
	s.pkey = 0xffff;
	s.qpn = v->ep->qp->qp_num;
	s.psn = v->req_psn;
	s.va = t.r.base;
	s.rkey = t.r.rkey;
	s.len = s.payload_len = 64;
	s.payload = mine.saddr;
	r.sport = forge_port();
	frame_make(f, &r, &s);
}

/* A frame that is right but for one thing, which must be enough. */
static void stranger_make(struct victim *v, struct frame *f, enum stranger kind)
{
	size_t bth = ETH_LEN + (cfg.v6 ? 40 : 20) + 8;
	int to = v == &vb;

	if (kind == WRONG_VERSION) {
		stranger_version(v, f);
		return;
	}
	if (kind == WRONG_FORM) {
		forge_malformed(v, f);
		return;
	}
	forge_any(v, f);
	/* Up to here it is as if from the peer: what follows must tell. */
	put16(f->bytes + bth + 2, 0xffff);
	switch (kind) {
	case WRONG_SOURCE:
		stranger_source(f);
		break;
	case WRONG_TARGET:
		memcpy(f->bytes + ETH_LEN + (cfg.v6 ? 24 : 16), other_addr[to],
		       cfg.v6 ? 16 : 4);
		frame_seal(f);
		break;
	case WRONG_ICRC:
		forge_spoil(f);
		break;
	case WRONG_PKEY:
		put16(f->bytes + bth + 2, rnd_range(0, 0x7ffe) | (rnd() & 0x8000));
		frame_seal(f);
		break;
	case WRONG_QPN:
		put24(f->bytes + bth + 5, rnd_range(0, 1) ? rnd_range(0, 15) :
		      v == &va ? p.b.qp->qp_num : p.a.qp->qp_num);
		frame_seal(f);
		break;
	case WRONG_TRANSPORT:
		/* Requests only: there are no others. */
		f->bytes[bth] = 0x20 | rnd_range(0, 5);
		frame_seal(f);
		break;
	default:
		stranger_ip(f);
	}
}

static uint64_t by_kind[STRANGERS];

static void *strangers_come(void *arg)
{
	static struct frame f;

	(void)arg;
	while (!stop) {
		for (int i = 0; i < 16; i++) {
			struct victim *v = rnd_range(0, 1) ? &va : &vb;
			enum stranger kind = rnd_range(0, STRANGERS - 1);

			stranger_make(v, &f, kind);
			put(v, &f);
			by_kind[kind]++;
		}
		victim_spy(&va, NULL, 0);
		victim_spy(&vb, NULL, 0);
		/* The traffic needs the processors as well. */
		sleep_ms(2);
	}
	return NULL;
}

static void strangers(void)
{
	static const char *const reached[] = {
		"rcvd_wrong_peer", "rcvd_icrc_errors", "rcvd_malformed", "rcvd_no_qp",
		"rcvd_wrong_pkey", "rcvd_wrong_transport", NULL,
	};
	static const char *const never[] = {
		"remote_access_errors", "invalid_requests", "local_length_errors",
		"retry_exceeded", "rnr_retry_exceeded", "cq_overflows",
	};
	unsigned int rounds = 0;
	uint64_t end;
	pthread_t th;

	pair_open(&p, NULL);
	traffic_open(&t, &p);
	taps_open(taps, ends, &p);
	for (int i = 0; i < 4; i++)
		check(nic_address(i & 1 ? &p.nb : &p.na, i >> 1,
				  plain_addr[i & 1][i >> 1]), "no addresses");
	second_addresses("add");
	counters_read(&before);
	victims_new();
	for (int i = 0; i < 2; i++) {
		struct victim *v = i ? &vb : &va;
		struct buf *b = i ? &t.r : &t.l;

		victim_knows_key(v, b->rkey);
		victim_knows_zone(v, b->base, b->size);
	}
	end = now_ms() + cfg.seconds * 1000ull;
	check(!pthread_create(&th, NULL, strangers_come, NULL), "thread");
	while (!time_is_up(end)) {
		traffic_round(&t);
		rounds++;
	}
	stop = true;
	pthread_join(th, NULL);
	traffic_round(&t);
	report();
	printf("# %u rounds of traffic beside them; by kind:", rounds);
	for (int i = 0; i < STRANGERS; i++)
		printf(" %" PRIu64, by_kind[i]);
	printf("\n");
	second_addresses("del");
	counters_reached(&before, reached);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		check(!counters_delta(&before, never[i]), "%s: a stranger was heard",
		      never[i]);
	traffic_close(&t);
	pair_close(&p);
}

#define CROWD 3000

static void crowd(void)
{
	static uint8_t bytes[PAGE];
	static struct frame f;
	struct uffd_msg msg;
	struct buf l, r;
	int fd;

	need_odp();
	pair_open(&p, NULL);
	taps_open(taps, ends, &p);
	buf_new(&l, PAGE);
	buf_new(&r, PAGE);
	memcpy(bytes, r.want, PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	fd = buf_withhold(&r, O_CLOEXEC);
	victims_new();
	counters_read(&before);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 5, &r, 9, 1001);
	check(read(fd, &msg, sizeof(msg)) == sizeof(msg), "userfaultfd");
	for (int i = 1; i <= CROWD; i++) {
		stranger_make(&vb, &f, WRONG_SOURCE);
		put(&vb, &f);
		if (i % 64 == 0)
			sleep_ms(1);
	}
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 2, &l, 99, &r, 2005, 1001);
	sleep_ms(50);
	report();
	buf_serve(&r, fd, bytes);
	close(fd);
	wc_ok(p.a.scq, 1);
	wc_ok(p.a.scq, 2);
	buf_moved(&r, 9, &l, 5, 1001);
	buf_moved(&r, 2005, &l, 99, 1001);
	buf_check(&r, "remote memory");
	check(counters_delta(&before, "rcvd_wrong_peer") > CROWD / 3,
	      "the crowd does not get there");
	check(!counters_delta(&before, "rcvd_queue_full"),
	      "strangers have filled the queue");
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

/*
 * b's memory: everything but what the key of TARGET gives access to, and what
 * receives were posted for, is guarded.
 */
enum { TARGET, READ_ONLY, NO_RIGHT, OTHER_PD, STALE, LANDING, GUESSED, ZONES };

static const struct {
	size_t off, len;
	unsigned int access;
	bool secret;			/* nobody may read it from outside */
} zone[ZONES] = {
	[TARGET] = { 2 * PAGE + 100, 6 * PAGE + 77, ACCESS_ALL, false },
	[READ_ONLY] = { 12 * PAGE, 2 * PAGE, IBV_ACCESS_REMOTE_READ, false },
	[NO_RIGHT] = { 16 * PAGE, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE, true },
	[OTHER_PD] = { 20 * PAGE, 2 * PAGE, ACCESS_ALL, true },
	[STALE] = { 24 * PAGE, 2 * PAGE, ACCESS_ALL, true },
	[LANDING] = { 28 * PAGE, 3 * PAGE, IBV_ACCESS_LOCAL_WRITE, false },
	/* Open to all who know the key, but of it they know all but one bit. */
	[GUESSED] = { 32 * PAGE, 2 * PAGE, ACCESS_ALL, true },
};

#define SECRET 24
#define RECVS 8

static struct buf g, h;		/* b's and a's memory */
static struct ibv_mr *mrs[ZONES];
static uint32_t known[ZONES];	/* keys, as the forger has them */
static struct ibv_pd *other_pd;
static uint8_t secret[2 * SECRET];
static unsigned int posted, recvs_a, recvs_b, renewals;

static void register_zone(int i)
{
	struct nic nic = p.nb;

	if (i == OTHER_PD)
		nic.pd = other_pd;
	mrs[i] = mr_try(&nic, g.map + zone[i].off, zone[i].len,
			(uintptr_t)g.map + zone[i].off, zone[i].access, cfg.mode);
	check(mrs[i], "registering zone %d", i);
	known[i] = mrs[i]->rkey;
}

/* Would another known key be this one if its index were? */
static bool tag_is_known(int i)
{
	for (int k = 0; k < i; k++)
		if (!((known[k] ^ known[i]) & 0xff))
			return true;
	return !((h.rkey ^ known[i]) & 0xff);
}

static void register_zones(void)
{
	other_pd = ibv_alloc_pd(p.nb.ctx);
	check(other_pd, "ibv_alloc_pd");
	for (int i = 0; i < ZONES; i++)
		register_zone(i);
	while (tag_is_known(GUESSED)) {
		check(!ibv_dereg_mr(mrs[GUESSED]), "ibv_dereg_mr");
		register_zone(GUESSED);
	}
	known[GUESSED] ^= 0x80;
	check(!ibv_dereg_mr(mrs[STALE]), "ibv_dereg_mr");
}

/* Secrets are one word again and again, so that any part of them tells. */
static void lay_secrets(void)
{
	rnd_fill(secret, SECRET);
	memcpy(secret + SECRET, secret, SECRET);
	for (int i = 0; i < ZONES; i++) {
		if (!zone[i].secret)
			continue;
		for (size_t n = 0; n < zone[i].len; n++)
			g.want[zone[i].off + n] = secret[n % SECRET];
		memcpy(g.map + zone[i].off, g.want + zone[i].off, zone[i].len);
	}
}

static void victims_learn(void)
{
	victims_new();
	for (int i = 0; i < ZONES; i++) {
		victim_knows_key(&vb, known[i]);
		victim_knows_zone(&vb, (uintptr_t)g.map + zone[i].off, zone[i].len);
	}
	/* More of what lets a packet in. */
	for (int i = 0; i < 3; i++) {
		victim_knows_key(&vb, mrs[TARGET]->rkey);
		victim_knows_zone(&vb, (uintptr_t)g.map + zone[TARGET].off,
				  zone[TARGET].len);
	}
	victim_knows_key(&va, h.rkey);
	victim_knows_zone(&va, h.base, h.size);
}

/* What may change does so while we look: of each side one picture is judged. */
static void check_guards(void)
{
	static const int open[] = { TARGET, LANDING };
	static uint8_t picture[36 * PAGE];

	memcpy(picture, g.map, g.size);
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		memcpy(g.want + zone[open[i]].off, picture + zone[open[i]].off,
		       zone[open[i]].len);
	same(picture, g.want, g.size, "guarded memory of b");
	/* The second half of h is a's landing place. */
	memcpy(picture, h.map, h.size);
	memcpy(h.want + h.size / 2, picture + h.size / 2, h.size / 2);
	same(picture, h.want, h.size, "guarded memory of a");
}

static void post_recvs(unsigned int wanted)
{
	struct ibv_sge sge = { .length = PAGE };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 }, *bad;

	for (; recvs_b < wanted; recvs_b++) {
		sge.addr = (uintptr_t)g.map + zone[LANDING].off + rnd_range(0, 2 * PAGE);
		sge.lkey = mrs[LANDING]->lkey;
		check(!ibv_post_recv(p.b.qp, &wr, &bad), "ibv_post_recv");
	}
	for (; recvs_a < wanted; recvs_a++) {
		sge.addr = h.base + h.size / 2 + rnd_range(0, h.size / 2 - PAGE);
		sge.lkey = h.lkey;
		check(!ibv_post_recv(p.a.qp, &wr, &bad), "ibv_post_recv");
	}
}

static void post_genuine(void)
{
	static const enum ibv_wr_opcode ops[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ, IBV_WR_SEND,
		IBV_WR_ATOMIC_FETCH_AND_ADD,
	};
	struct buf target = g, landing = g;
	struct wr w;

	target.rkey = mrs[TARGET]->rkey;
	landing.lkey = mrs[LANDING]->lkey;
	for (int i = rnd_range(1, 6); i; i--) {
		enum ibv_wr_opcode op = ops[rnd_range(0, ARRAY_SIZE(ops) - 1)];
		bool in = op == IBV_WR_RDMA_READ || op == IBV_WR_ATOMIC_FETCH_AND_ADD;
		size_t len = rnd_range(1, op == IBV_WR_SEND ? PAGE : 2 * PAGE);

		wr_init(&w, op, posted);
		if (op == IBV_WR_ATOMIC_FETCH_AND_ADD) {
			len = 8;
			wr_atomic(&w, &target, zone[TARGET].off + 4 +
				  8 * rnd_range(0, 5 * PAGE / 8), rnd(), 0);
		} else if (op != IBV_WR_SEND) {
			wr_remote(&w, &target, zone[TARGET].off + rnd_range(0, 3 * PAGE));
		}
		wr_sge(&w, &h, (in ? h.size / 2 : 0) + rnd_range(0, PAGE), len);
		wr_post(&p.a, &w);
		posted++;
	}
	wr_init(&w, IBV_WR_SEND, posted);
	wr_sge(&w, &landing, zone[LANDING].off + rnd_range(0, PAGE), rnd_range(1, PAGE));
	wr_post(&p.b, &w);
	posted++;
}

static void reap(void)
{
	struct ibv_wc wc;

	while (ibv_poll_cq(p.a.scq, 1, &wc) > 0 || ibv_poll_cq(p.b.scq, 1, &wc) > 0)
		posted--;
	while (ibv_poll_cq(p.a.rcq, 1, &wc) > 0)
		recvs_a--;
	while (ibv_poll_cq(p.b.rcq, 1, &wc) > 0)
		recvs_b--;
	victim_spy(&va, secret, SECRET);
	victim_spy(&vb, secret, SECRET);
}

static bool broken(void)
{
	return ep_state(&p.a) != IBV_QPS_RTS || ep_state(&p.b) != IBV_QPS_RTS;
}

/* However the connection has been played with, everything posted ends. */
static void await_all(void)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (posted) {
		reap();
		if (!broken())
			post_recvs(RECVS);
		check(now_ms() < end, "%u requests never end", posted);
		sleep_ms(1);
	}
}

static void forge_burst(void)
{
	static struct frame f[MAX_MESSAGE];

	victim_ask(&va);
	victim_ask(&vb);
	for (int i = rnd_range(1, 12); i; i--) {
		struct victim *v = rnd_range(0, 3) ? &vb : &va;
		unsigned int n = 1;

		switch (rnd_range(0, 7)) {
		case 0:
			n = forge_message(v, f);
			break;
		case 1:
			forge_malformed(v, f);
			break;
		default:
			forge_any(v, f);
		}
		if (!rnd_range(0, 31))
			forge_spoil(f);
		for (unsigned int k = 0; k < n; k++)
			put(v, &f[k]);
	}
}

/* Short time-outs: what the forger has taken from a requester is waited for. */
static const struct qp_opt quick = {
	.type = IBV_QPT_RC, .send_wr = 64, .recv_wr = 64, .sge = 8, .timeout = 12,
	.retry = 7, .rnr_retry = 7, .min_rnr = 18, .rd_atomic = 16, .access = ACCESS_ALL,
};

static void connect_again(void)
{
	await_all();
	check_guards();
	recvs_a = recvs_b = 0;
	pair_renew(&p, &quick);
	victims_learn();
	renewals++;
}

static void peer(void)
{
	static const char *const reached[] = {
		"rcvd_pkts", "rcvd_malformed", "rcvd_icrc_errors", "rcvd_no_qp",
		"rcvd_wrong_transport", "rcvd_wrong_pkey", "rcvd_duplicates",
		"rcvd_out_of_sequence", "rcvd_naks", "rcvd_rnr_naks", "rcvd_ghosts",
		"rcvd_mismatches", "remote_access_errors", "invalid_requests", NULL,
	};
	unsigned int rounds = 0;
	uint64_t end;

	need_bounds();
	pair_open(&p, &quick);
	taps_open(taps, ends, &p);
	buf_new_cold(&g, 36 * PAGE);
	buf_new_cold(&h, 16 * PAGE);
	buf_reg(&h, &p.na, IBV_ACCESS_LOCAL_WRITE);
	register_zones();
	lay_secrets();
	victims_learn();
	counters_read(&before);
	end = now_ms() + cfg.seconds * 1000ull;
	for (; !time_is_up(end); rounds++) {
		/* Shared memory keeps its bytes; the next access has to wait for them. */
		if (!rnd_range(0, 2))
			madvise(rnd_range(0, 1) ? g.map : h.map, h.size, MADV_DONTNEED);
		/* Without receives requests stay outstanding for a while. */
		post_recvs(rnd_range(0, 1) * rnd_range(0, 8));
		post_genuine();
		for (int i = rnd_range(1, 3); i; i--)
			forge_burst();
		reap();
		if (broken())
			connect_again();
		else if (posted > 40 || !rnd_range(0, 7))
			await_all();
		if (rounds % 8 == 7)
			check_guards();
	}
	connect_again();
	pair_works(&p);
	report();
	printf("# %u rounds, %u connections broken\n", rounds, renewals);
	counters_reached(&before, reached);
	check_guards();
	for (int i = 0; i < ZONES; i++)
		check(i == STALE || !ibv_dereg_mr(mrs[i]), "ibv_dereg_mr");
	check(!ibv_dealloc_pd(other_pd), "ibv_dealloc_pd");
	buf_free(&g);
	buf_free(&h);
	pair_close(&p);
}

TEST_MAIN(CASE(strangers), CASE(crowd), CASE(peer))
