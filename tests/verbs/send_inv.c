// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * SEND with invalidate: the receiver learns the key, the type 2 window behind it
 * is gone afterwards, and a key that is no window's of this QP is an error that
 * leaves the receiver's memory keys alone.
 */
#include <errno.h>
#include <string.h>

#include "ops.h"
#include "test.h"

static struct pair p;
static struct buf src, dst, rcv;
static struct ibv_mw *mw;

static void setup(void)
{
	pair_open(&p, NULL);
	if (!(p.nb.attr.orig_attr.device_cap_flags &
	      (IBV_DEVICE_MEM_WINDOW_TYPE_2A | IBV_DEVICE_MEM_WINDOW_TYPE_2B)))
		skip("no type 2 memory windows");
	buf_new(&src, 4 * PAGE);
	buf_new(&dst, 4 * PAGE);
	buf_new(&rcv, PAGE);
	buf_reg(&src, &p.na, ACCESS_ALL);
	buf_reg(&dst, &p.nb, ACCESS_ALL | IBV_ACCESS_MW_BIND);
	buf_reg(&rcv, &p.nb, IBV_ACCESS_LOCAL_WRITE);
	mw = ibv_alloc_mw(p.nb.pd, IBV_MW_TYPE_2);
	check(mw, "ibv_alloc_mw: %s", strerror(errno));
}

static void teardown(void)
{
	buf_check(&src, "source");
	buf_check(&dst, "target");
	buf_check(&rcv, "receive buffer");
	check(!ibv_dealloc_mw(mw), "ibv_dealloc_mw");
	buf_free(&src);
	buf_free(&dst);
	buf_free(&rcv);
	pair_close(&p);
}

/* A window on bytes 1000 to 8999 of dst; returns its key. */
static uint32_t bind(void)
{
	uint32_t rkey = ibv_inc_rkey(mw->rkey);
	struct wr w;

	wr_init(&w, IBV_WR_BIND_MW, 77);
	w.wr.bind_mw.mw = mw;
	w.wr.bind_mw.rkey = rkey;
	w.wr.bind_mw.bind_info = (struct ibv_mw_bind_info) {
		.mr = dst.mr,
		.addr = buf_addr(&dst, 1000),
		.length = 8000,
		.mw_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};
	wr_post(&p.b, &w);
	check(wc_ok(p.b.scq, 77).opcode == IBV_WC_BIND_MW, "opcode of a bind");
	mw->rkey = rkey;
	return rkey;
}

static void write_by(uint32_t rkey, uint64_t id, size_t off, size_t len)
{
	struct wr w;

	wr_init(&w, IBV_WR_RDMA_WRITE, id);
	wr_sge(&w, &src, 5, len);
	wr_remote(&w, &dst, off);
	w.wr.wr.rdma.rkey = rkey;
	wr_post(&p.a, &w);
}

static void send_inv(uint32_t rkey, uint64_t id, size_t len)
{
	struct wr w;

	wr_init(&w, IBV_WR_SEND_WITH_INV, id);
	wr_sge(&w, &src, 99, len);
	w.wr.invalidate_rkey = rkey;
	wr_post(&p.a, &w);
}

static void window(void)
{
	setup();
	for (int i = 0; i < 4; i++) {
		uint32_t rkey = bind();
		size_t len = rnd_range(0, 3000);
		struct ibv_wc wc;

		write_by(rkey, 1, 1001, 3001);
		wc_ok(p.a.scq, 1);
		buf_moved(&dst, 1001, &src, 5, 3001);
		q_recv(&p.b, 2, &rcv, 7, 3000);
		send_inv(rkey, 2, len);
		wc = wc_ok(p.b.rcq, 2);
		check(wc.wc_flags & IBV_WC_WITH_INV, "not told of the key");
		check(wc.invalidated_rkey == rkey, "key %#x instead of %#x",
		      wc.invalidated_rkey, rkey);
		check(wc.byte_len == len, "wrong length");
		wc_ok(p.a.scq, 2);
		buf_moved(&rcv, 7, &src, 99, len);
		buf_check(&rcv, "receive buffer");
	}
	teardown();
}

static void gone_afterwards(void)
{
	uint32_t rkey;

	setup();
	rkey = bind();
	q_recv(&p.b, 2, &rcv, 7, 100);
	send_inv(rkey, 2, 100);
	wc_ok(p.b.rcq, 2);
	wc_ok(p.a.scq, 2);
	buf_moved(&rcv, 7, &src, 99, 100);
	write_by(rkey, 3, 2000, 9);
	wc_expect(p.a.scq, 3, IBV_WC_REM_ACCESS_ERR);
	teardown();
}

/* The receiver's QP ends in an error, and the receive does not succeed. */
static void wrong_key_at(uint32_t rkey)
{
	struct ibv_wc wc;

	q_recv(&p.b, 2, &rcv, 7, 100);
	send_inv(rkey, 2, 100);
	wc = wc_wait(p.b.rcq);
	check(wc.wr_id == 2 && wc.status != IBV_WC_SUCCESS,
	      "the receive ended with \"%s\"", ibv_wc_status_str(wc.status));
	ep_await_state(&p.b, IBV_QPS_ERR);
	/* The bytes may have been placed before the key was looked at. */
	memcpy(rcv.want + 7, rcv.map + 7, 100);
	pair_renew(&p, NULL);
}

static void key_of_nothing(void)
{
	setup();
	wrong_key_at(mw->rkey ^ 0x5a5a00);
	teardown();
}

/* An MR of ibv_reg_mr() cannot be invalidated from afar: it still works. */
static void key_of_an_mr(void)
{
	setup();
	wrong_key_at(dst.rkey);
	do_write(&p.a, &src, 1, &dst, 4090, 4099);
	teardown();
}

static void stale_key_of_a_window(void)
{
	uint32_t rkey;

	setup();
	rkey = bind();
	wrong_key_at(rkey ^ 1);
	teardown();
}

TEST_MAIN(CASE(window), CASE(gone_afterwards), CASE(key_of_nothing),
	  CASE(key_of_an_mr), CASE(stale_key_of_a_window))
