// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a responder acknowledges without data: never a READ or an atomic whose answer may
 * be lost. That would tell the peer so (IBTA 9.7.5.1.2), who asks once more, and rdma_rxe
 * takes it for the answer. Seen on the wire, where the responder waits for a page and says
 * that it is alive, and where it is asked again for what came before.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns.h"
#include "ops.h"
#include "slow.h"
#include "test.h"
#include "wire.h"

#define ROCE_PORT 4791
#define READ_FIRST 0x0d
#define ACK 0x11
#define ATOMIC_ACK 0x12
#define MOST 4096

/* What b answered a's QP, in order. */
struct answer {
	uint32_t psn;
	bool data;
};

static struct answer said[MOST];
static unsigned int n_said;
static struct wire_end end[2];
static int sock;
static long told;	/* keepalives */

static void listen_to(struct pair *p)
{
	const int room = 8 << 20;

	wire_end_find(&end[0], &p->na);
	wire_end_find(&end[1], &p->nb);
	sock = netns_socket(end[1].netns, AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	n_said = 0;
}

/* BTH and what is behind it of a RoCE packet, or NULL. */
static const uint8_t *bth_of(const uint8_t *ip, size_t len)
{
	size_t at = len && ip[0] >> 4 == 6 ? 40 : 20;
	uint16_t port;

	if (len < at + 8 + 12 + 4 || ip[at == 40 ? 6 : 9] != IPPROTO_UDP)
		return NULL;
	memcpy(&port, ip + at + 2, sizeof(port));
	return ntohs(port) == ROCE_PORT ? ip + at + 8 : NULL;
}

static void hear(const uint8_t *ip, size_t len, uint32_t qpn)
{
	const uint8_t *bth = bth_of(ip, len);
	uint32_t to;

	if (!bth || bth[0] < READ_FIRST || bth[0] > ATOMIC_ACK)
		return;
	memcpy(&to, bth + 4, sizeof(to));
	if ((ntohl(to) & PSN_MASK) != qpn)
		return;
	/* Not a NAK. */
	if (bth[0] == ACK && bth[12] & 0x60)
		return;
	check(n_said < MOST, "too many answers");
	memcpy(&to, bth + 8, sizeof(to));
	said[n_said].psn = ntohl(to) & PSN_MASK;
	said[n_said++].data = bth[0] != ACK;
}

static void hear_all(uint32_t qpn)
{
	uint8_t frame[16384];
	ssize_t n;

	while ((n = recv(sock, frame, sizeof(frame), MSG_DONTWAIT)) > 0)
		hear(frame, n, qpn);
	close(sock);
}

/* Where data was said, no ACK was, but for the first @old that were asked for. */
static unsigned int acks(unsigned int old)
{
	unsigned int n = 0, before = 0;

	for (unsigned int i = 0; i < n_said; i++) {
		if (said[i].data)
			continue;
		n++;
		before = 0;
		for (unsigned int k = 0; k < n_said; k++) {
			if (!said[k].data)
				continue;
			check(before++ < old || said[k].psn != said[i].psn,
			      "PSN %#x has data, and an ACK without", said[i].psn);
		}
	}
	return n;
}

/* A page more of @s is served late, and so b has something to say before that. */
static void late_write(struct slow *s, size_t page)
{
	s->serve = false;
	q_rdma(&s->p.a, IBV_WR_RDMA_WRITE, 9, s->l, 3, s->r, page * PAGE + 5, PAGE / 2);
	wc_ok(s->p.a.scq, 9);
	buf_moved(s->r, page * PAGE + 5, s->l, 3, PAGE / 2);
}

static void atomic(struct slow *s, size_t l_at, size_t r_at)
{
	uint64_t add = rnd(), old, new;
	struct wr w;

	wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, 7);
	wr_sge(&w, s->l, l_at, 8);
	wr_atomic(&w, s->r, r_at, add, 0);
	wr_post(&s->p.a, &w);
	wc_ok(s->p.a.scq, 7);
	memcpy(&old, s->r->want + r_at, 8);
	new = old + add;
	buf_holds(s->l, l_at, &old, 8);
	buf_holds(s->r, r_at, &new, 8);
}

static void open_late(struct slow *s, const struct qp_opt *opt)
{
	slow_open(s, opt, true);
	if (!slow_ours(cfg.peer))
		skip("of the responder, and that is not ours");
	listen_to(&s->p);
	told = hw_counter(cfg.peer, "sent_keepalives");
	s->late = 100;
	slow_bring(s, 0, 4);
}

static void close_late(struct slow *s, unsigned int old)
{
	told = hw_counter(cfg.peer, "sent_keepalives") - told;
	hear_all(s->p.a.qp->qp_num);
	check(told && acks(old), "b has said nothing");
	slow_close(s);
}

/* b waits for a page, with a READ and an atomic as the last that it has executed. */
static void waits_behind_data(void)
{
	struct slow s;

	open_late(&s, &opt_rc);
	do_write(&s.p.a, s.l, 9, s.r, 7, PAGE);
	do_read(&s.p.a, s.l, 9, s.r, 1001, 2 * PAGE + 1);
	late_write(&s, 5);
	do_read(&s.p.a, s.l, 9, s.r, 11, PAGE);
	atomic(&s, 16, 24);
	late_write(&s, 6);
	close_late(&s, 0);
}

/* The same before anything else was asked for. */
static void waits_behind_nothing_else(void)
{
	struct slow s;

	open_late(&s, &opt_rc);
	atomic(&s, 16, 24);
	do_read(&s.p.a, s.l, 9, s.r, 1001, 2 * PAGE + 1);
	late_write(&s, 5);
	close_late(&s, 0);
}

/* Of the @nth READ that was answered, of one packet each. */
static uint32_t read_psn(unsigned int nth)
{
	uint32_t psn = 0;

	for (unsigned int i = 0, n = 0; i < n_said && n <= nth; i++) {
		if (!said[i].data || (n && said[i].psn == psn))
			continue;
		psn = said[i].psn;
		n++;
	}
	return psn;
}

/* What was asked for before the last has been answered, or it would not be the last. */
static void waits_behind_many(void)
{
	struct qp_opt opt = opt_rc;
	bool kept = false, last = false;
	struct slow s;

	opt.rd_atomic = 1;
	open_late(&s, &opt);
	for (int i = 0; i < 3; i++)
		do_read(&s.p.a, s.l, i, s.r, 9 * i, 100);
	late_write(&s, 5);
	close_late(&s, 2);
	/* Behind the last of them, else there is only the WRITE. */
	for (unsigned int i = 0; i < n_said; i++) {
		last |= said[i].data && said[i].psn == read_psn(2);
		if (said[i].data || !last)
			continue;
		kept |= said[i].psn == read_psn(1);
		check(said[i].psn == read_psn(1) ||
		      said[i].psn == ((read_psn(2) + 1) & PSN_MASK),
		      "b acknowledges %#x, not the last READ but one", said[i].psn);
	}
	check(kept, "b has acknowledged no READ");
}

/* Copies of WRITEs come after the READs and atomics behind them. */
static void asked_again(void)
{
	long before = hw_counter(cfg.peer, "rcvd_duplicates");
	struct slow s;

	open_late(&s, &opt_rc);
	wire_netem(&end[0], "duplicate 50% delay 4ms 3ms");
	for (int i = 0; i < 6; i++) {
		q_rdma(&s.p.a, IBV_WR_RDMA_WRITE, 1, s.l, i, s.r, PAGE + 50 * i, 49);
		q_rdma(&s.p.a, IBV_WR_RDMA_READ, 2, s.l, PAGE + 100 * i, s.r, i, 99);
		wc_ok(s.p.a.scq, 1);
		wc_ok(s.p.a.scq, 2);
		buf_moved(s.r, PAGE + 50 * i, s.l, i, 49);
		buf_moved(s.l, PAGE + 100 * i, s.r, i, 99);
	}
	wire_netem(&end[0], NULL);
	check(hw_counter(cfg.peer, "rcvd_duplicates") > before, "nothing came twice");
	late_write(&s, 5);
	close_late(&s, 0);
}

TEST_MAIN(CASE(waits_behind_data), CASE(waits_behind_nothing_else), CASE(waits_behind_many),
	  CASE(asked_again))
