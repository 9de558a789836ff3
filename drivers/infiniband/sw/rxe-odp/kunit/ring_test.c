// SPDX-License-Identifier: GPL-2.0
/*
 * Rings whose other side is hostile: any index, at any time, any size asked for.
 * KASAN guards the memory.
 */
#include <linux/log2.h>
#include <linux/sizes.h>

#include "../qp.h"
#include "../srq.h"
#include "../swqe.h"
#include "env.h"

#define RING_MAX_BYTES SZ_64M

static void ring_check_shape(struct kunit *test, u32 elems, size_t size)
{
	struct rxo_ring ring = { .mask = 12345, .shift = 67 };
	size_t bytes = rxo_ring_shape(&ring, elems, size);
	u64 slots, slot;

	if (!bytes) {
		KUNIT_EXPECT_EQ(test, ring.mask, 12345);
		KUNIT_EXPECT_EQ(test, ring.shift, 67);
		if (!elems || !size || elems >= BIT(24) ||
		    size > RING_MAX_BYTES)
			return;
		/* Refused: with the smallest powers of two it is too large. */
		for (slots = 1; slots <= elems; slots *= 2)
			;
		for (slot = 1; slot < size; slot *= 2)
			;
		KUNIT_EXPECT_GT_MSG(test,
				    slots * max_t(u64, slot, SMP_CACHE_BYTES) +
					    sizeof(struct rxe_queue_buf),
				    RING_MAX_BYTES, "%u of %zu", elems, size);
		return;
	}
	slots = (u64)ring.mask + 1;
	slot = 1ull << ring.shift;
	KUNIT_EXPECT_NE(test, elems, 0);
	KUNIT_EXPECT_TRUE_MSG(test, is_power_of_2(slots) && slots > elems &&
			      slots / 2 <= elems, "%u: %llu", elems, slots);
	KUNIT_EXPECT_TRUE_MSG(test, slot >= size && slot >= SMP_CACHE_BYTES,
			      "%zu: %llu", size, slot);
	KUNIT_EXPECT_GE_MSG(test, bytes,
			    sizeof(struct rxe_queue_buf) + slots * slot,
			    "%u of %zu", elems, size);
	KUNIT_EXPECT_LE(test, bytes, PAGE_ALIGN(RING_MAX_BYTES));
	KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(bytes));
}

static void ring_shape(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	int a, b, da, db, i;

	for (a = 0; a < 32; a++)
		for (b = 0; b < 64; b++)
			for (da = -1; da <= 1; da++)
				for (db = -1; db <= 1; db++)
					ring_check_shape(test, BIT(a) + da,
							 BIT(b) + db);
	for (i = 0; i < 20000; i++)
		ring_check_shape(test,
				 rxo_env_u32(env) >> rxo_env_below(env, 32),
				 rxo_env_u32(env) >> rxo_env_below(env, 32));
	ring_check_shape(test, U32_MAX, SIZE_MAX);
	ring_check_shape(test, 1, SIZE_MAX);
	ring_check_shape(test, U32_MAX, 1);
	ring_check_shape(test, 0, 0);
}

/* Every u32 near an edge. */
static u32 ring_edge(unsigned int n)
{
	static const u32 near[] = { -2, -1, 0, 1, 2, 0x5a5a5a5a };

	return (n / ARRAY_SIZE(near) < 32 ? BIT(n / ARRAY_SIZE(near)) : 0) +
	       near[n % ARRAY_SIZE(near)];
}

#define RING_EDGES (33 * 6)

static void ring_check_edges(struct kunit *test, struct rxo_ring *ring)
{
	size_t size = BIT(ring->shift);
	unsigned int a, b;
	u8 *elem;

	for (a = 0; a < RING_EDGES; a++) {
		ring->buf->producer_index = ring_edge(a);
		ring->buf->consumer_index = ring_edge(a);
		for (b = 0; b < RING_EDGES; b++) {
			ring->index = ring_edge(b) & ring->mask;
			KUNIT_EXPECT_LE(test, rxo_ring_pending(ring),
					rxo_ring_capacity(ring));
			KUNIT_EXPECT_LE(test, rxo_ring_unread(ring),
					rxo_ring_capacity(ring));
		}
		/* KASAN looks whether it is inside, first and last byte. */
		elem = rxo_ring_elem(ring, ring_edge(a));
		KUNIT_EXPECT_EQ(test, 0, (elem - ring->buf->data) % size);
		WRITE_ONCE(elem[0], a);
		WRITE_ONCE(elem[size - 1], b);
		/* One tells enough, and each takes its time. */
		if (test->status == KUNIT_FAILURE)
			return;
	}
}

static void ring_edges(struct kunit *test)
{
	static const u32 elems[] = { 1, 2, 3, 7, 64, 100, 1000 };
	static const size_t sizes[] = { 1, 64, 65, 200, 4096 };
	struct rxo_env *env = test->priv;
	struct rxo_ring *ring;
	int i, j;

	ring = kunit_kzalloc(test, sizeof(*ring), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ring);
	for (i = 0; i < ARRAY_SIZE(elems); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			rxo_env_ring(env, ring, elems[i], sizes[j]);
			ring_check_edges(test, ring);
			cond_resched();
		}
	}
	/* Our index comes round, in both roles, whatever theirs is. */
	rxo_env_ring(env, ring, 3, 64);
	ring->buf->producer_index = U32_MAX;
	ring->buf->consumer_index = U32_MAX;
	for (i = 0; i < 20; i++) {
		rxo_ring_consume(ring);
		KUNIT_EXPECT_EQ(test, ring->index, (2 * i + 1) % 4);
		KUNIT_EXPECT_EQ(test, ring->buf->consumer_index, ring->index);
		rxo_ring_produce(ring);
		KUNIT_EXPECT_EQ(test, ring->index, (2 * i + 2) % 4);
		KUNIT_EXPECT_EQ(test, ring->buf->producer_index, ring->index);
	}
}

/* An honest user, as librxe does it: nothing lost, nothing twice, in order. */
static void ring_honest(struct kunit *test)
{
	struct rxo_env *env = test->priv;
	struct rxo_ring in, out;
	u64 posted = 0, taken = 0, answered = 0, seen = 0;
	u32 n;

	rxo_env_ring(env, &in, 1 + rxo_env_below(env, 40), 64);
	rxo_env_ring(env, &out, 1 + rxo_env_below(env, 40), 64);
	while (seen < 20000 && test->status != KUNIT_FAILURE) {
		n = rxo_env_below(env, rxo_ring_capacity(&in) + 2);
		while (n-- && posted - taken < rxo_ring_capacity(&in)) {
			*(u64 *)rxo_ring_elem(&in, posted) = posted;
			posted++;
			in.buf->producer_index = posted & in.mask;
		}
		KUNIT_EXPECT_EQ(test, rxo_ring_pending(&in), posted - taken);

		n = rxo_env_below(env, rxo_ring_capacity(&in) + 2);
		while (n-- && rxo_ring_pending(&in) &&
		       rxo_ring_unread(&out) < rxo_ring_capacity(&out)) {
			u64 value = *(u64 *)rxo_ring_elem(&in, in.index);

			KUNIT_EXPECT_EQ(test, value, taken);
			rxo_ring_consume(&in);
			taken++;
			*(u64 *)rxo_ring_elem(&out, out.index) = value;
			rxo_ring_produce(&out);
			answered++;
		}
		KUNIT_EXPECT_EQ(test, rxo_ring_unread(&out), answered - seen);
		KUNIT_EXPECT_EQ(test, out.buf->producer_index,
				answered & out.mask);

		n = rxo_env_below(env, rxo_ring_capacity(&out) + 2);
		while (n-- && out.buf->producer_index != (seen & out.mask)) {
			KUNIT_EXPECT_EQ(test, seen,
					*(u64 *)rxo_ring_elem(&out, seen));
			seen++;
			out.buf->consumer_index = seen & out.mask;
		}
	}
	KUNIT_EXPECT_GE(test, seen, 20000);
}

static void ring_reset(struct kunit *test)
{
	struct rxo_ring none = {}, ring;
	struct rxo_env *env = test->priv;

	/* What was never made. */
	rxo_ring_reset(&none);
	rxo_ring_fini(&none);
	rxo_env_ring(env, &ring, 10, 64);
	ring.index = 5;
	ring.buf->producer_index = 7;
	ring.buf->consumer_index = 9;
	rxo_ring_reset(&ring);
	KUNIT_EXPECT_EQ(test, rxo_ring_pending(&ring), 0);
	KUNIT_EXPECT_EQ(test, rxo_ring_unread(&ring), 0);
	KUNIT_EXPECT_EQ(test, ring.index, 0);
	KUNIT_EXPECT_EQ(test, rxo_ring_capacity(&ring), 15);
}

/*
 * Somebody writes into the ring all the time, what it takes to pass a check and
 * what it takes to fail it in turns. A second read of a field is found only when a
 * write hits between the two, which under emulation is rare.
 */
struct ring_scribbler {
	bool send; /* scribble on send WQEs, else on receive WQEs */
	struct rxo_ring ring;
	struct rxo_recv recv;
	struct rxo_rq rq;
	struct rxo_qp qp;
};

static void ring_scribble_send(struct rxe_send_wqe *wqe, u32 n)
{
	static const u32 opcodes[] = { IB_WR_SEND, IB_WR_RDMA_READ,
				       IB_WR_ATOMIC_CMP_AND_SWP, 77 };

	WRITE_ONCE(wqe->wr.opcode, opcodes[n / 8 % ARRAY_SIZE(opcodes)]);
	WRITE_ONCE(wqe->wr.send_flags, n & 2 ? IB_SEND_INLINE : 0);
	WRITE_ONCE(wqe->dma.num_sge, n & 1 ? 3 : U32_MAX);
	WRITE_ONCE(wqe->dma.length, n & 1 ? 48 : U32_MAX);
	WRITE_ONCE(wqe->dma.sge[0].length, n & 4 ? 8 : U32_MAX);
	WRITE_ONCE(wqe->dma.sge[1].length, n & 4 ? 0 : 5);
}

/* The element that is read next, so that a write hits between two reads. */
static void ring_scribble_recv(struct rxo_ring *ring, u32 n)
{
	struct rxe_recv_wqe *wqe = rxo_ring_elem(ring, READ_ONCE(ring->index));
	int i;

	WRITE_ONCE(wqe->dma.num_sge, n & 8 ? 3 : U32_MAX);
	for (i = 0; i < 30; i++)
		WRITE_ONCE(wqe->dma.sge[i % 3].length, (n + i) * 2654435761u);
}

static int ring_scribble(void *arg)
{
	struct ring_scribbler *s = arg;
	u32 n = 0;

	while (!kthread_should_stop()) {
		n++;
		if (s->send)
			ring_scribble_send(rxo_ring_elem(&s->ring, 0), n);
		else
			ring_scribble_recv(&s->rq.ring, n);
		WRITE_ONCE(s->rq.ring.buf->producer_index, n * 2654435761u);
		WRITE_ONCE(s->rq.ring.buf->consumer_index, ~n);
		WRITE_ONCE(s->rq.ring.buf->index_mask, U32_MAX);
		WRITE_ONCE(s->rq.ring.buf->log2_elem_size, 31);
		if (!(n & 1023))
			cond_resched();
	}
	return 0;
}

static struct ring_scribbler *ring_scribbler(struct kunit *test, bool send)
{
	struct ring_scribbler *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct rxo_env *env = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->send = send;
	s->qp.dev = &env->dev;
	s->qp.req.limits.max_sge = 3;
	s->qp.req.limits.max_inline = 3 * sizeof(struct rxe_sge);
	rxo_env_ring(env, &s->ring, 1,
		     sizeof(struct rxe_send_wqe) + 3 * sizeof(struct rxe_sge));
	spin_lock_init(&s->rq.lock);
	s->rq.max_sge = 3;
	rxo_env_ring(env, &s->rq.ring, 7,
		     sizeof(struct rxe_recv_wqe) + 3 * sizeof(struct rxe_sge));
	hmm_mirror_kunit_thread(test, ring_scribble, s);
	return s;
}

static void ring_recv_changing(struct kunit *test)
{
	struct ring_scribbler *s = ring_scribbler(test, false);
	unsigned int good = 0, bad = 0, i, k;
	u64 len;

	for (i = 0; i < 100000; i++) {
		int ret = rxo_rq_pop(&s->rq, &s->recv);

		KUNIT_EXPECT_LE(test, s->rq.ring.index, s->rq.ring.mask);
		if (!(i & 1023))
			cond_resched();
		if (ret <= 0) {
			bad += ret < 0;
			continue;
		}
		good++;
		KUNIT_ASSERT_LE(test, s->recv.num_sge, 3);
		for (len = 0, k = 0; k < s->recv.num_sge; k++)
			len += s->recv.sge[k].length;
		KUNIT_ASSERT_EQ(test, len, s->recv.len);
	}
	kunit_info(test, "%u good, %u bad\n", good, bad);
	KUNIT_EXPECT_GT(test, good, 0);
	KUNIT_EXPECT_GT(test, bad, 0);
}

static void ring_send_changing(struct kunit *test)
{
	struct ring_scribbler *s = ring_scribbler(test, true);
	unsigned int good = 0, bad = 0, i, k;
	struct rxo_swqe *wqe;
	u64 len;

	/* Exactly the room that a QP with these limits has. */
	wqe = kunit_kzalloc(test, sizeof(*wqe) + s->qp.req.limits.max_inline,
			    GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, wqe);
	for (i = 0; i < 100000; i++) {
		rxo_swqe_copy(&s->qp.req.limits, wqe,
			      rxo_ring_elem(&s->ring, 0));
		if (!(i & 1023))
			cond_resched();
		bad += !!wqe->bad;
		if (wqe->bad)
			continue;
		good++;
		KUNIT_ASSERT_NE(test, wqe->opcode, 77);
		KUNIT_ASSERT_LE(test, wqe->num_sge, 3);
		if (wqe->flags & IB_SEND_INLINE) {
			KUNIT_ASSERT_EQ(test, wqe->opcode, IB_WR_SEND);
			KUNIT_ASSERT_LE(test, wqe->len,
					s->qp.req.limits.max_inline);
			continue;
		}
		for (len = 0, k = 0; k < wqe->num_sge; k++)
			len += wqe->sge[k].length;
		KUNIT_ASSERT_EQ(test, len, wqe->len);
		if (rxo_swqe_is_atomic(wqe))
			KUNIT_ASSERT_EQ(test, wqe->len, 8);
	}
	kunit_info(test, "%u good, %u bad\n", good, bad);
	KUNIT_EXPECT_GT(test, good, 0);
	KUNIT_EXPECT_GT(test, bad, 0);
}

static struct kunit_case ring_cases[] = {
	KUNIT_CASE(ring_shape),
	KUNIT_CASE(ring_edges),
	KUNIT_CASE(ring_honest),
	KUNIT_CASE(ring_reset),
	KUNIT_CASE(ring_recv_changing),
	KUNIT_CASE(ring_send_changing),
	{}
};

static struct kunit_suite ring_suite = {
	.name = "rxo_ring",
	.init = rxo_env_init,
	.test_cases = ring_cases,
};

kunit_test_suite(ring_suite);
