// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Posting work and waiting for what becomes of it. See ops.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"
#include "stuck.h"
#include "test.h"

void wr_init(struct wr *w, enum ibv_wr_opcode op, uint64_t id)
{
	memset(w, 0, sizeof(*w));
	w->wr.wr_id = id;
	w->wr.opcode = op;
	w->wr.sg_list = w->sge;
	w->wr.send_flags = IBV_SEND_SIGNALED;
}

void wr_sge(struct wr *w, const struct buf *b, size_t off, size_t len)
{
	check(w->wr.num_sge < MAX_SGE, "too many SGEs in the test");
	w->sge[w->wr.num_sge++] = (struct ibv_sge) {
		.addr = buf_addr(b, off),
		.length = len,
		.lkey = b->lkey,
	};
}

void wr_remote(struct wr *w, const struct buf *b, size_t off)
{
	w->wr.wr.rdma.remote_addr = buf_addr(b, off);
	w->wr.wr.rdma.rkey = b->rkey;
}

void wr_atomic(struct wr *w, const struct buf *b, size_t off, uint64_t compare_add,
	       uint64_t swap)
{
	w->wr.wr.atomic.remote_addr = buf_addr(b, off);
	w->wr.wr.atomic.rkey = b->rkey;
	w->wr.wr.atomic.compare_add = compare_add;
	w->wr.wr.atomic.swap = swap;
}

void wr_post(struct ep *e, struct wr *w)
{
	struct ibv_send_wr *bad;
	int ret = ibv_post_send(e->qp, &w->wr, &bad);

	check(!ret, "ibv_post_send of opcode %d: %s", w->wr.opcode, strerror(ret));
}

void rr_init(struct rr *r, uint64_t id)
{
	memset(r, 0, sizeof(*r));
	r->wr.wr_id = id;
	r->wr.sg_list = r->sge;
}

void rr_sge(struct rr *r, const struct buf *b, size_t off, size_t len)
{
	check(r->wr.num_sge < MAX_SGE, "too many SGEs in the test");
	r->sge[r->wr.num_sge++] = (struct ibv_sge) {
		.addr = buf_addr(b, off),
		.length = len,
		.lkey = b->lkey,
	};
}

void rr_post(struct ep *e, struct rr *r)
{
	struct ibv_recv_wr *bad;
	int ret = ibv_post_recv(e->qp, &r->wr, &bad);

	check(!ret, "ibv_post_recv: %s", strerror(ret));
}

void rr_post_srq(struct ibv_srq *srq, struct rr *r)
{
	struct ibv_recv_wr *bad;
	int ret = ibv_post_srq_recv(srq, &r->wr, &bad);

	check(!ret, "ibv_post_srq_recv: %s", strerror(ret));
}

bool wc_poll(struct ibv_cq *cq, struct ibv_wc *wc, unsigned int ms)
{
	uint64_t end = now_ms() + ms;
	unsigned int spins = 0;
	int n;

	for (;;) {
		n = ibv_poll_cq(cq, 1, wc);
		check(n >= 0, "ibv_poll_cq: %d", n);
		if (n)
			return true;
		/* A machine that stood still for so long has not waited. */
		if (now_ms() >= end && spins >= ms / 10)
			return false;
		/* The device's own workers need the processor as well. */
		if (++spins < 100)
			sched_yield();
		else
			sleep_ms(1);
	}
}

/* So many times WAIT_MS, which is less than a case may take. */
#define WAITS 3

struct ibv_wc wc_wait_at(struct ibv_cq *cq, const char *file, int line)
{
	struct ibv_wc wc;

	/* What gets over it is seen, as the machine may have stood still; but no failure. */
	for (int waits = 1; !wc_poll(cq, &wc, WAIT_MS); waits++) {
		printf("## %s:%d: no completion for %d ms\n", file, line, waits * WAIT_MS);
		stuck_print_devices();
		if (waits == WAITS)
			test_fail(file, line, "no completion in %d ms", waits * WAIT_MS);
	}
	return wc;
}

struct ibv_wc wc_expect_at(struct ibv_cq *cq, uint64_t id,
			   enum ibv_wc_status status, const char *file, int line)
{
	struct ibv_wc wc = wc_wait_at(cq, file, line);

	if (wc.wr_id != id)
		test_fail(file, line,
			  "completion of work %llu (%s) instead of %llu",
			  (unsigned long long)wc.wr_id,
			  ibv_wc_status_str(wc.status), (unsigned long long)id);
	if (wc.status != status)
		test_fail(file, line, "work %llu ended with \"%s\" instead of \"%s\"",
			  (unsigned long long)id, ibv_wc_status_str(wc.status),
			  ibv_wc_status_str(status));
	return wc;
}

void wc_none_at(struct ibv_cq *cq, const char *file, int line)
{
	struct ibv_wc wc;

	if (wc_poll(cq, &wc, QUIET_MS))
		test_fail(file, line, "unexpected completion of work %llu: %s",
			  (unsigned long long)wc.wr_id,
			  ibv_wc_status_str(wc.status));
}

int event_poll(struct nic *nic, struct ibv_async_event *ev, unsigned int ms)
{
	struct pollfd pfd = { .fd = nic->ctx->async_fd, .events = POLLIN };
	int n;

	do {
		n = poll(&pfd, 1, ms);
	} while (n < 0 && errno == EINTR);
	check(n >= 0, "poll: %s", strerror(errno));
	if (!n)
		return -1;
	check(!ibv_get_async_event(nic->ctx, ev), "ibv_get_async_event: %s",
	      strerror(errno));
	ibv_ack_async_event(ev);
	return 0;
}

void event_expect_at(struct nic *nic, enum ibv_event_type type, uint64_t skip_mask,
		     struct ibv_async_event *ev, const char *file, int line)
{
	do {
		if (event_poll(nic, ev, WAIT_MS))
			test_fail(file, line, "no event \"%s\"",
				  ibv_event_type_str(type));
		if (ev->event_type == type)
			return;
	} while (skip_mask & (1ull << ev->event_type));
	test_fail(file, line, "event \"%s\" instead of \"%s\"",
		  ibv_event_type_str(ev->event_type), ibv_event_type_str(type));
}

void q_recv(struct ep *e, uint64_t id, const struct buf *b, size_t off, size_t len)
{
	struct rr r;

	rr_init(&r, id);
	rr_sge(&r, b, off, len);
	rr_post(e, &r);
}

void q_send(struct ep *e, uint64_t id, const struct buf *b, size_t off, size_t len)
{
	struct wr w;

	wr_init(&w, IBV_WR_SEND, id);
	wr_sge(&w, b, off, len);
	wr_post(e, &w);
}

void q_rdma(struct ep *e, enum ibv_wr_opcode op, uint64_t id,
	    const struct buf *local, size_t l_off, const struct buf *remote,
	    size_t r_off, size_t len)
{
	struct wr w;

	wr_init(&w, op, id);
	wr_sge(&w, local, l_off, len);
	wr_remote(&w, remote, r_off);
	wr_post(e, &w);
}

static void in_bounds(const struct buf *a, size_t a_off, const struct buf *b,
		      size_t b_off, size_t len)
{
	check(a_off + len <= a->size && b_off + len <= b->size,
	      "the test itself is out of bounds");
}

void do_send(struct pair *p, struct buf *src, size_t s_off, struct buf *dst,
	     size_t d_off, size_t len)
{
	uint64_t id = rnd();
	struct ibv_wc wc;

	in_bounds(src, s_off, dst, d_off, len);
	q_recv(&p->b, id + 1, dst, d_off, len);
	q_send(&p->a, id, src, s_off, len);
	wc = wc_ok(p->b.rcq, id + 1);
	check(wc.byte_len == len, "received %u bytes instead of %zu", wc.byte_len,
	      len);
	check(wc.opcode == IBV_WC_RECV, "opcode %d of a receive", wc.opcode);
	check(wc.qp_num == p->b.qp->qp_num, "completion names another QP");
	wc = wc_ok(p->a.scq, id);
	check(wc.opcode == IBV_WC_SEND, "opcode %d of a send", wc.opcode);
	check(wc.qp_num == p->a.qp->qp_num, "completion names another QP");
	buf_moved(dst, d_off, src, s_off, len);
}

void do_write(struct ep *e, struct buf *local, size_t l_off, struct buf *remote,
	      size_t r_off, size_t len)
{
	uint64_t id = rnd();
	struct ibv_wc wc;

	in_bounds(local, l_off, remote, r_off, len);
	q_rdma(e, IBV_WR_RDMA_WRITE, id, local, l_off, remote, r_off, len);
	wc = wc_ok(e->scq, id);
	check(wc.opcode == IBV_WC_RDMA_WRITE, "opcode %d of a write", wc.opcode);
	buf_moved(remote, r_off, local, l_off, len);
}

void do_read(struct ep *e, struct buf *local, size_t l_off, struct buf *remote,
	     size_t r_off, size_t len)
{
	uint64_t id = rnd();
	struct ibv_wc wc;

	in_bounds(local, l_off, remote, r_off, len);
	q_rdma(e, IBV_WR_RDMA_READ, id, local, l_off, remote, r_off, len);
	wc = wc_ok(e->scq, id);
	check(wc.opcode == IBV_WC_RDMA_READ, "opcode %d of a read", wc.opcode);
	buf_moved(local, l_off, remote, r_off, len);
}

void do_all_at(struct pair *p, struct buf *l, struct buf *r, size_t at, size_t len,
	       const char *file, int line)
{
	do_read(&p->a, l, rnd_range(0, PAGE), r, at, len);
	do_write(&p->b, r, at, l, rnd_range(0, PAGE), len);
	buf_check_at(l, file, line, "what was read");
	do_write(&p->a, l, rnd_range(0, PAGE), r, at, len);
	buf_check_at(r, file, line, "what was written");
	do_read(&p->b, r, at, l, rnd_range(0, PAGE), len);
	buf_check_at(r, file, line, "what was fetched");
	do_send(p, l, rnd_range(0, PAGE), r, at, len);
	buf_check_at(r, file, line, "what was received");
	do_read(&p->a, l, rnd_range(0, PAGE), r, at, len);
	buf_check_at(l, file, line, "what was read back");
}

void pair_works(struct pair *p)
{
	struct buf l, r;

	buf_new(&l, 3 * PAGE);
	buf_new(&r, 3 * PAGE);
	buf_reg(&l, &p->na, ACCESS_ALL);
	buf_reg(&r, &p->nb, ACCESS_ALL);
	do_write(&p->a, &l, 1001, &r, 17, 5003);
	do_read(&p->a, &l, 3, &r, 4011, 6007);
	do_send(p, &l, 77, &r, 4095, 4099);
	buf_check(&l, "local memory after it all");
	buf_check(&r, "remote memory after it all");
	buf_free(&l);
	buf_free(&r);
}

size_t sizes_for(const struct pair *p, size_t sizes[MAX_SIZES])
{
	size_t mtu = mtu_bytes(pair_mtu(p)), n = 0;
	const size_t fixed[] = {
		0, 1, 2, 3, 4, 5, 8, 31, 64, mtu - 1, mtu, mtu + 1, 2 * mtu - 1,
		2 * mtu, 2 * mtu + 1, 3 * mtu, PAGE - 1, PAGE, PAGE + 1,
		2 * PAGE + 3, 65536, 65536 + 13,
	};

	for (n = 0; n < ARRAY_SIZE(fixed); n++)
		sizes[n] = fixed[n];
	for (int i = 0; i < 6; i++)
		sizes[n++] = rnd_range(1, 5 * PAGE);
	return n;
}

size_t off_for(const struct buf *b, size_t len)
{
	size_t room = b->size - len;
	size_t off = rnd_range(0, room);

	check(len <= b->size, "the test itself is out of bounds");
	/* Often just before a page's end, so that short transfers straddle too. */
	if (len > 1 && room >= 2 * PAGE && rnd_range(0, 2))
		off = rnd_range(1, room / PAGE) * PAGE -
		      rnd_range(1, len < PAGE ? len - 1 : PAGE - 1);
	return off;
}
