// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The rings this process shares with the driver. See ring.h.
 */
#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"
#include "ring.h"
#include "test.h"

unsigned int rings_find(struct ring *rings, unsigned int n, unsigned int max)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int known = n, i;
	unsigned long from, to;
	char line[512];

	check(f, "/proc/self/maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		/* All mappings of the device file are rings. */
		if (!strstr(line, "/dev/infiniband/uverbs") ||
		    sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		for (i = 0; i < known && rings[i].at != (uint8_t *)from; i++)
			;
		if (i < known)
			continue;
		check(n < max, "too many rings");
		rings[n++] = (struct ring) { (uint8_t *)from, to - from };
	}
	fclose(f);
	return n;
}

uint32_t ring_get(const struct ring *r, size_t at)
{
	uint32_t v;

	memcpy(&v, r->at + at, 4);
	return v;
}

void ring_set(struct ring *r, size_t at, uint32_t v)
{
	__atomic_store_n((uint32_t *)(r->at + at), v, __ATOMIC_RELEASE);
}

void *ring_elem(const struct ring *r, uint32_t i)
{
	i &= ring_get(r, RING_INDEX_MASK);
	return r->at + RING_DATA + ((size_t)i << ring_get(r, RING_LOG2_ELEM));
}

struct ring ring_of_sq(struct ep *e, struct buf *l, struct buf *r)
{
	struct ring rings[64];
	unsigned int n = rings_find(rings, 0, ARRAY_SIZE(rings));
	uint64_t id = rnd();

	q_rdma(e, IBV_WR_RDMA_WRITE, id, l, 0, r, 0, 8);
	wc_ok(e->scq, id);
	buf_moved(r, 0, l, 0, 8);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t last = ring_get(&rings[i], RING_PRODUCER) - 1;
		struct rxe_send_wqe *wqe = ring_elem(&rings[i], last);

		/* Completions begin with the number as well, but are shorter. */
		if (1ul << ring_get(&rings[i], RING_LOG2_ELEM) >= sizeof(*wqe) &&
		    wqe->wr.wr_id == id)
			return rings[i];
	}
	fail("the send queue's ring is not there");
}

static uint32_t nasty(void)
{
	static const uint32_t v[] = {
		0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000, 32, 64,
	};

	return rnd_range(0, 1) ? v[rnd_range(0, ARRAY_SIZE(v) - 1)] : (uint32_t)rnd();
}

void ring_scribble(struct ring *r)
{
	size_t words = (r->size - RING_DATA) / 4;

	switch (rnd_range(0, 5)) {
	case 0:
		ring_set(r, RING_PRODUCER, nasty());
		break;
	case 1:
		ring_set(r, RING_CONSUMER, nasty());
		break;
	case 2:
		ring_set(r, rnd_range(0, 1) ? RING_INDEX_MASK : RING_LOG2_ELEM, nasty());
		break;
	case 3:
		rnd_fill(r->at + RING_DATA, r->size - RING_DATA);
		break;
	default:
		for (int i = rnd_range(1, 30); i; i--)
			ring_set(r, RING_DATA + rnd_range(0, words - 1) * 4, nasty());
	}
}

int ring_doorbell(struct ep *e)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_post_send cmd;
	} req = {
		.hdr = {
			.command = IB_USER_VERBS_CMD_POST_SEND,
			.in_words = sizeof(req) / 4,
			.out_words = sizeof(struct ib_uverbs_post_send_resp) / 4,
		},
	};
	struct ib_uverbs_post_send_resp resp;

	req.cmd.response = (uintptr_t)&resp;
	req.cmd.qp_handle = e->qp->handle;
	req.cmd.wqe_size = sizeof(struct ib_uverbs_send_wr);
	return write(e->nic->ctx->cmd_fd, &req, sizeof(req)) < 0 ? errno : 0;
}
