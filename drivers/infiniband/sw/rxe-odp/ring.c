// SPDX-License-Identifier: GPL-2.0
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "ring.h"

/* A provider could ask for more; no real queue comes near. */
#define RXO_RING_MAX_BYTES SZ_64M

struct rxo_ring_map {
	struct rdma_user_mmap_entry entry;
	void *buf;
};

/*
 * Zeroed memory for @bytes, whole pages, that vfree() frees. vmalloc_user() would
 * not charge it to the process's memory cgroup, and would fill the log whenever
 * there is none. How much it is the process says, so this rather fails than has
 * somebody killed for it.
 */
static void *rxo_ring_alloc(size_t bytes)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN |
			  __GFP_RETRY_MAYFAIL;
	unsigned int n = bytes >> PAGE_SHIFT;
	struct page **pages;
	unsigned int i;
	void *buf;

	pages = kvmalloc_array(n, sizeof(*pages), gfp);
	if (!pages)
		return NULL;
	for (i = 0; i < n; i++) {
		pages[i] = alloc_page(gfp);
		if (!pages[i])
			goto free_pages;
	}
	buf = vmap(pages, n, VM_MAP | VM_MAP_PUT_PAGES | VM_USERMAP,
		   PAGE_KERNEL);
	if (!buf)
		goto free_pages;
	return buf;

free_pages:
	while (i--)
		__free_page(pages[i]);
	kvfree(pages);
	return NULL;
}

size_t rxo_ring_shape(struct rxo_ring *ring, u32 elems, size_t size)
{
	size_t bytes;
	u32 slots;

	if (!elems || elems >= BIT(24) || !size || size > RXO_RING_MAX_BYTES)
		return 0;
	/* One slot stays empty, to tell full from empty. */
	slots = roundup_pow_of_two(elems + 1);
	size = max_t(size_t, roundup_pow_of_two(size), SMP_CACHE_BYTES);
	if (check_mul_overflow(slots, size, &bytes) ||
	    check_add_overflow(bytes, sizeof(*ring->buf), &bytes) ||
	    bytes > RXO_RING_MAX_BYTES)
		return 0;
	ring->mask = slots - 1;
	ring->shift = ilog2(size);
	return PAGE_ALIGN(bytes);
}

int rxo_ring_init(struct rxo_ring *ring, struct ib_ucontext *uctx, u32 elems,
		  size_t size, struct mminfo *mi)
{
	struct rxo_ring shape = {};
	size_t bytes = rxo_ring_shape(&shape, elems, size);
	struct rxo_ring_map *map;
	int ret;

	if (!bytes)
		return -EINVAL;
	map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	if (!map)
		return -ENOMEM;
	map->buf = rxo_ring_alloc(bytes);
	if (!map->buf) {
		ret = -ENOMEM;
		goto free_map;
	}

	*ring = shape;
	ring->map = map;
	ring->buf = map->buf;
	ring->buf->log2_elem_size = ring->shift;
	ring->buf->index_mask = ring->mask;

	/* Published last: from here on the process can map it. */
	ret = rdma_user_mmap_entry_insert(uctx, &map->entry, bytes);
	if (ret)
		goto free_buf;
	mi->offset = rdma_user_mmap_get_offset(&map->entry);
	mi->size = bytes;
	return 0;

free_buf:
	vfree(map->buf);
	memset(ring, 0, sizeof(*ring));
free_map:
	kfree(map);
	return ret;
}

void rxo_ring_fini(struct rxo_ring *ring)
{
	if (!ring->map)
		return;
	rdma_user_mmap_entry_remove(&ring->map->entry);
	memset(ring, 0, sizeof(*ring));
}

void rxo_ring_reset(struct rxo_ring *ring)
{
	if (!ring->map)
		return;
	ring->index = 0;
	WRITE_ONCE(ring->buf->producer_index, 0);
	WRITE_ONCE(ring->buf->consumer_index, 0);
}

int rxo_ring_mmap(struct ib_ucontext *uctx, struct vm_area_struct *vma)
{
	struct rdma_user_mmap_entry *entry;
	struct rxo_ring_map *map;
	int ret;

	entry = rdma_user_mmap_entry_get(uctx, vma);
	if (!entry)
		return -EINVAL;
	/* The mapping holds its own references on the pages. */
	map = container_of(entry, struct rxo_ring_map, entry);
	ret = remap_vmalloc_range(vma, map->buf, 0);
	rdma_user_mmap_entry_put(entry);
	return ret;
}

void rxo_ring_mmap_free(struct rdma_user_mmap_entry *entry)
{
	struct rxo_ring_map *map =
		container_of(entry, struct rxo_ring_map, entry);

	vfree(map->buf);
	kfree(map);
}
