// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Requests no provider would write: opcodes that do not exist or do not belong to
 * the QP, SGE counts and lengths that do not add up. Each ends with an error of
 * the QP, and nothing is sent that the SGEs do not name.
 */
#include <string.h>

#include "ops.h"
#include "ring.h"
#include "test.h"

static struct pair p;
static struct buf l, r;
static struct ring sq;

static void find_ring(void)
{
	sq = ring_of_sq(&p.a, &l, &r);
}

static void setup(void)
{
	pair_begin(&p, &l, 8 * PAGE, &r, 8 * PAGE);
	find_ring();
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

/* The next free element, filled as a valid write of @len bytes in one SGE. */
static struct rxe_send_wqe *next(uint64_t id, size_t len)
{
	struct rxe_send_wqe *w = ring_elem(&sq, ring_get(&sq, RING_PRODUCER));

	memset(w, 0, 1ul << ring_get(&sq, RING_LOG2_ELEM));
	w->wr.wr_id = id;
	w->wr.opcode = IBV_WR_RDMA_WRITE;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.wr.rdma.remote_addr = buf_addr(&r, 77);
	w->wr.wr.rdma.rkey = r.rkey;
	w->iova = buf_addr(&r, 77);
	w->dma.length = w->dma.resid = len;
	w->dma.num_sge = 1;
	w->dma.sge[0].addr = buf_addr(&l, 5);
	w->dma.sge[0].length = len;
	w->dma.sge[0].lkey = l.lkey;
	return w;
}

static void go(void)
{
	uint32_t producer = ring_get(&sq, RING_PRODUCER);

	ring_set(&sq, RING_PRODUCER, (producer + 1) & ring_get(&sq, RING_INDEX_MASK));
	check(!ring_doorbell(&p.a), "doorbell");
}

/* It must fail, with any status but a success, and leave both buffers alone. */
static void fails(const char *what, uint64_t n)
{
	struct ibv_wc wc;

	go();
	wc = wc_wait(p.a.scq);
	check(wc.status != IBV_WC_SUCCESS, "%s %llu was taken", what,
	      (unsigned long long)n);
	ep_await_state(&p.a, IBV_QPS_ERR);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	pair_renew(&p, NULL);
	find_ring();
}

/* First of all: written by hand a good one works. */
static void good(void)
{
	setup();
	for (int i = 0; i < 100; i++) {
		size_t len = rnd_range(0, 3 * PAGE);

		next(i, len);
		go();
		wc_ok(p.a.scq, i);
		buf_moved(&r, 77, &l, 5, len);
		buf_check(&r, "remote memory");
	}
	teardown();
}

static void opcodes(void)
{
	static const uint32_t ops[] = {
		IBV_WR_TSO, 11, 13, 16, 17, 31, 32, 33, 255, 256, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff,
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		next(1, 100)->wr.opcode = ops[i];
		fails("opcode", ops[i]);
	}
	teardown();
}

static void sge_counts(void)
{
	static const uint32_t counts[] = {
		9, 32, 33, 64, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff,
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		next(1, 100)->dma.num_sge = counts[i];
		fails("num_sge", counts[i]);
	}
	teardown();
}

/* A length that is not the SGEs' sum: the SGEs say what may be touched. */
static void lengths(void)
{
	static const uint32_t lens[] = {
		101, 4096, 65536, 0x7fffffff, 0x80000000, 0xffffffff,
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct rxe_send_wqe *w = next(1, 100);
		struct ibv_wc wc;

		w->dma.length = w->dma.resid = lens[i];
		go();
		wc = wc_wait(p.a.scq);
		/* Either an error, or the SGEs' 100 bytes and no more. */
		if (wc.status == IBV_WC_SUCCESS) {
			buf_moved(&r, 77, &l, 5, 100);
		} else {
			for (int k = 0; k < 100; k++)
				if (r.map[77 + k] == l.want[5 + k])
					r.want[77 + k] = l.want[5 + k];
		}
		buf_check(&r, "remote memory");
		buf_check(&l, "local memory");
		pair_renew(&p, NULL);
		find_ring();
	}
	teardown();
}

/* SGEs whose lengths add up beyond what a message, or 32 bits, can be. */
static void sums(void)
{
	setup();
	for (uint32_t n = 2; n <= 8; n += 3) {
		struct rxe_send_wqe *w = next(1, 100);

		w->dma.num_sge = n;
		for (uint32_t i = 0; i < n; i++) {
			w->dma.sge[i] = w->dma.sge[0];
			w->dma.sge[i].length = 0xffffffff;
		}
		fails("sum over", n);
	}
	teardown();
}

/* cur_sge and sge_offset are the driver's own business, whatever they say. */
static void progress_fields(void)
{
	setup();
	for (int i = 0; i < 10; i++) {
		struct rxe_send_wqe *w = next(i, 100);

		w->dma.cur_sge = rnd();
		w->dma.sge_offset = rnd();
		w->state = rnd();
		w->status = rnd();
		w->first_psn = rnd();
		w->last_psn = rnd();
		w->has_rd_atomic = rnd();
		w->mask = rnd();
		go();
		wc_ok(p.a.scq, i);
		buf_moved(&r, 77, &l, 5, 100);
		buf_check(&r, "remote memory");
	}
	teardown();
}

/* Inline: the length must not reach beyond the element. */
static void inline_lengths(void)
{
	static const uint32_t lens[] = { 5000, 0x10000, 0x7fffffff, 0xffffffff };

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct rxe_send_wqe *w = next(1, 100);

		w->wr.send_flags |= IBV_SEND_INLINE;
		w->dma.length = w->dma.resid = lens[i];
		w->dma.num_sge = 0;
		fails("an inline length of", lens[i]);
	}
	teardown();
}

TEST_MAIN(CASE(good), CASE(opcodes), CASE(sge_counts), CASE(lengths), CASE(sums),
	  CASE(progress_fields), CASE(inline_lengths))
