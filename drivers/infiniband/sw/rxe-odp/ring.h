/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings shared with user space: send, receive, shared receive and completion
 * queues, laid out as rdma_user_rxe.h says.
 *
 * The memory is the user's to scribble on at any moment. So the kernel keeps its
 * own index and geometry here, reads the other side's index once and masks it,
 * and copies an element once before it looks at it.
 *
 * Barriers: the producer's index is stored with release after the element is
 * written and loaded with acquire before it is read; the consumer's index is
 * stored with release after the element was read. The other halves are in
 * rdma-core's providers/rxe/rxe_queue.h.
 */
#ifndef RXO_RING_H
#define RXO_RING_H

#include <linux/types.h>
#include <rdma/rdma_user_rxe.h>

struct ib_ucontext;
struct ib_udata;
struct rdma_user_mmap_entry;
struct rxo_ring_map;
struct vm_area_struct;

/**
 * struct rxo_ring - the kernel's end of a ring
 * @buf: shared memory
 * @map: what mmap finds it by
 * @mask: slots - 1; slots is a power of two
 * @shift: log2 of an element's size
 * @index: the side that is ours: consumer of SQ, RQ, SRQ, producer of a CQ; under
 *	   the owner's lock
 */
struct rxo_ring {
	struct rxe_queue_buf *buf;
	struct rxo_ring_map *map;
	u32 mask;
	u32 shift;
	u32 index;
};

/**
 * rxo_ring_shape() - what a ring for so many elements looks like
 * @ring: mask and shift are set
 * @elems: elements that must fit at the same time, at least 1
 * @size: bytes of an element, at least 1
 *
 * Context: any.
 * Return: bytes of the shared memory, whole pages, or 0 when it would be too large;
 * @ring is then as it was.
 */
size_t rxo_ring_shape(struct rxo_ring *ring, u32 elems, size_t size);

/**
 * rxo_ring_init() - make a ring and announce it for mmap
 * @ring: filled
 * @uctx: the process's context
 * @elems: elements that must fit at the same time, at least 1
 * @size: bytes of an element
 * @mi: filled with what the provider needs for mmap
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM or -EINVAL (too large).
 */
int rxo_ring_init(struct rxo_ring *ring, struct ib_ucontext *uctx, u32 elems,
		  size_t size, struct mminfo *mi);

/**
 * rxo_ring_fini() - take a ring back
 * @ring: from rxo_ring_init(), or zeroed
 *
 * Pages that the process has mapped stay with it until it unmaps them.
 * Context: may sleep.
 */
void rxo_ring_fini(struct rxo_ring *ring);

/**
 * rxo_ring_reset() - empty a ring
 * @ring: the ring; its lock is held or nobody uses it
 *
 * Context: any.
 */
void rxo_ring_reset(struct rxo_ring *ring);

/* ib_device_ops */
int rxo_ring_mmap(struct ib_ucontext *uctx, struct vm_area_struct *vma);
void rxo_ring_mmap_free(struct rdma_user_mmap_entry *entry);

/* Elements that fit at the same time. */
static inline u32 rxo_ring_capacity(const struct rxo_ring *ring)
{
	return ring->mask;
}

/* Elements that the user has produced and we have not consumed. */
static inline u32 rxo_ring_pending(const struct rxo_ring *ring)
{
	/* Elements are read after the index that announces them. */
	u32 prod = smp_load_acquire(&ring->buf->producer_index);

	return (prod - ring->index) & ring->mask;
}

/* The user has not yet consumed @n back from our producer index. */
static inline u32 rxo_ring_unread(const struct rxo_ring *ring)
{
	/* A slot is written after the index that frees it was read. */
	u32 cons = smp_load_acquire(&ring->buf->consumer_index);

	return (ring->index - cons) & ring->mask;
}

static inline void *rxo_ring_elem(const struct rxo_ring *ring, u32 index)
{
	return ring->buf->data + ((size_t)(index & ring->mask) << ring->shift);
}

/* We are done with the element at our consumer index. */
static inline void rxo_ring_consume(struct rxo_ring *ring)
{
	ring->index = (ring->index + 1) & ring->mask;
	/* The element was read before its slot is given back. */
	smp_store_release(&ring->buf->consumer_index, ring->index);
}

/* The element at our producer index is written. */
static inline void rxo_ring_produce(struct rxo_ring *ring)
{
	ring->index = (ring->index + 1) & ring->mask;
	/* The element is whole before it is announced. */
	smp_store_release(&ring->buf->producer_index, ring->index);
}

#endif /* RXO_RING_H */
