// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a peer may do to a connection but send wrong packets: stop, die, come back.
 * And a thousand QPs.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "left.h"
#include "ops.h"
#include "peer.h"
#include "test.h"

#define PAGES 32
#define PAIRS 500

static struct pair p;
static struct buf l, r, back;

static void just_wait(void)
{
	pause();
}

/* Two receives, no more before it is told; then what came must be right. */
static void receive_two(void)
{
	for (int i = 0; i < 2; i++)
		q_recv(&p.b, i, &r, i * 8 * PAGE, 8 * PAGE);
	raise(SIGSTOP);
	for (int i = 0; i < 4; i++) {
		struct ibv_wc wc = wc_wait(p.b.rcq);

		check(wc.status == IBV_WC_SUCCESS && wc.wr_id == (uint64_t)i,
		      "receive %d: %s", i, ibv_wc_status_str(wc.status));
		if (i < 2)
			q_recv(&p.b, 2 + i, &r, (2 + i) * 8 * PAGE, 8 * PAGE);
	}
	pause();
}

static void open_a(const struct qp_opt *opt)
{
	peer_open_a(&p, opt, &l, PAGES * PAGE);
	buf_new(&back, PAGES * PAGE);
	buf_reg(&back, &p.na, ACCESS_ALL);
	buf_new(&r, PAGES * PAGE);
}

static void close_a(void)
{
	ep_destroy(&p.a);
	buf_free(&l);
	buf_free(&back);
	free(r.want);
	memset(&r, 0, sizeof(r));
	nic_close(&p.na);
}

/* Write to the peer's memory and read it back. */
static void there_and_back(void)
{
	size_t len = rnd_range(1, 6 * PAGE), at = rnd_range(16 * PAGE, 25 * PAGE);

	do_write(&p.a, &l, rnd_range(0, 20 * PAGE), &r, at, len);
	do_read(&p.a, &back, 4095, &r, at, len);
	buf_check(&back, "what was read back");
}

/* A stopped process serves its memory all the same; what it must do waits. */
static void receiver_stopped_once(void)
{
	struct peer peer;

	peer_start(&peer, &p.b, &p.nb, &r, PAGES * PAGE, receive_two);
	open_a(&opt_rc);
	peer_join(&peer, &p.a, &l, &r);
	while (proc_state(peer.pid) != 'T')
		sleep_ms(1);
	for (int i = 0; i < 4; i++)
		q_send(&p.a, i, &l, i * 99, 8 * PAGE - i);
	wc_ok(p.a.scq, 0);
	wc_ok(p.a.scq, 1);
	wc_none(p.a.scq);
	kill(peer.pid, SIGCONT);
	wc_ok(p.a.scq, 2);
	wc_ok(p.a.scq, 3);
	kill(peer.pid, SIGSTOP);
	for (int i = 0; i < 20; i++)
		there_and_back();
	/* And what it received is in its memory. */
	for (int i = 0; i < 2; i++) {
		buf_moved(&r, i * 8 * PAGE, &l, i * 99, 8 * PAGE - i);
		do_read(&p.a, &back, 0, &r, i * 8 * PAGE, 8 * PAGE - i);
	}
	buf_check(&back, "what was received");
	peer_kill(&peer);
	close_a();
}

static void receiver_stopped(void)
{
	for (uint64_t i = 0; i < (cfg.count ?: 1); i++)
		receiver_stopped_once();
}

/* A peer that dies in mid-traffic and comes back with the same address. */
static void peer_reborn(void)
{
	struct qp_opt opt = opt_rc;
	struct left before;

	left_now(&before);
	/* Long enough for a peer that lives, on a machine that is busy too. */
	opt.timeout = slow_kernel() ? 15 : 12;
	opt.retry = 2;
	for (uint64_t i = 0; i < (cfg.count ?: 6); i++) {
		unsigned int posted = 0, done = 0;
		struct peer peer;
		struct ibv_wc wc;

		peer_start(&peer, &p.b, &p.nb, &r, PAGES * PAGE, just_wait);
		open_a(&opt);
		peer_join(&peer, &p.a, &l, &r);
		for (int k = 0; k < 3; k++)
			there_and_back();
		for (; posted < 30; posted++)
			q_rdma(&p.a, posted & 1 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
			       posted, &l, 0, &r, 0, 16 * PAGE);
		sleep_ms(rnd_range(0, 5));
		peer_kill(&peer);
		/* Each ends, in order: well, then one badly, then flushed. */
		for (int bad = 0; done < posted; done++) {
			wc = wc_wait(p.a.scq);
			check(wc.wr_id == done, "out of order");
			check(!bad || wc.status == IBV_WC_WR_FLUSH_ERR, "status \"%s\"",
			      ibv_wc_status_str(wc.status));
			bad |= wc.status != IBV_WC_SUCCESS;
		}
		close_a();
	}
	left_await(&before);
}

static void thousand_qps_once(void)
{
	static struct ep a[PAIRS], b[PAIRS];
	struct qp_opt opt = opt_rc;
	struct ibv_cq *cqa, *cqb;

	opt.send_wr = opt.recv_wr = 2;
	nic_open(&p.na, cfg.dev);
	nic_open(&p.nb, cfg.peer);
	buf_new(&l, PAIRS * 1024);
	buf_new(&r, PAIRS * 1024);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	cqa = cq_new(&p.na, 2 * PAIRS);
	cqb = cq_new(&p.nb, 2 * PAIRS);
	for (int i = 0; i < PAIRS; i++) {
		opt.scq = opt.rcq = cqa;
		ep_create(&a[i], &p.na, &opt);
		opt.scq = opt.rcq = cqb;
		ep_create(&b[i], &p.nb, &opt);
		ep_join(&a[i], &b[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		size_t at = i * 1024 + rnd_range(0, 23), len = rnd_range(1, 1000);

		q_rdma(&a[i], IBV_WR_RDMA_WRITE, i, &l, at, &r, at, len);
		buf_moved(&r, at, &l, at, len);
	}
	for (int i = 0; i < PAIRS; i++) {
		struct ibv_wc wc = wc_wait(cqa);

		check(wc.status == IBV_WC_SUCCESS, "QP %d: %s", (int)wc.wr_id,
		      ibv_wc_status_str(wc.status));
	}
	buf_check(&r, "remote memory");
	for (int i = 0; i < PAIRS; i++) {
		ep_destroy(&a[i]);
		ep_destroy(&b[i]);
	}
	cq_free(cqa);
	cq_free(cqb);
	buf_free(&l);
	buf_free(&r);
	nic_close(&p.na);
	nic_close(&p.nb);
}

static void thousand_qps(void)
{
	for (uint64_t i = 0; i < (cfg.count ?: 1); i++)
		thousand_qps_once();
}

TEST_MAIN(CASE(receiver_stopped), CASE(peer_reborn), CASE(thousand_qps))
