// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Hostile processes and the rings they share with the driver.
 *
 * rings: random bytes and indices in the rings, which are unmapped, made read-only
 *	or moved meanwhile; memory that was registered is cut off.
 * maps: mappings of wrong places and sizes; none may reach beyond a ring.
 *
 * See siege.h for what must not happen.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <rdma/rdma_user_rxe.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops.h"
#include "ring.h"
#include "siege.h"
#include "test.h"

/* A ring may be gone when it is scribbled on. */
static __thread sigjmp_buf gone;
static __thread volatile bool careful;

static void on_fault(int sig)
{
	(void)sig;
	if (!careful)
		_exit(0);
	siglongjmp(gone, 1);
}

static struct ring ring[32];
static uint32_t shift[32];	/* log2 of an element's size, before it is scribbled on */
static unsigned int nr_rings;
static struct pair own;
static struct buf ol, or;

#define QKEY 0x11111111

/*
 * A completion queue that is full is so for ever, and breaks each QP at once. So there is
 * room for what some rings of bad requests bring.
 */
#define CQES 400

static void blow(struct ring *r)
{
	if (sigsetjmp(gone, 1))
		return;
	ring_scribble(r);
	/* Requests without end. */
	for (int i = rnd_range(0, 3) ? 0 : 2000; i; i--)
		ring_set(r, RING_PRODUCER, ring_get(r, RING_PRODUCER) + 1);
}

/* Who rings the doorbells needs the processors as well. */
static void breathe(void)
{
	siege_tell(blows);
	if (!rnd_range(0, 99))
		sleep_ms(1);
}

static void *scribble(void *arg)
{
	(void)arg;
	careful = true;
	for (;;) {
		blow(&ring[rnd_range(0, nr_rings - 1)]);
		breathe();
	}
	return NULL;
}

/* The elements of send queues are the largest, those of completion queues the least. */
#define SGES 8
#define REQUEST (sizeof(struct rxe_send_wqe) + SGES * sizeof(struct rxe_sge))

static void half_valid_dma(struct rxe_dma_info *dma, uint8_t *sges, const struct buf *b)
{
	dma->length = dma->resid = rnd_range(0, 3) ? rnd_range(0, 9000) :
		rnd() >> rnd_range(32, 63);
	/* Beyond what there can be by a little, by much, and altogether. */
	dma->num_sge = rnd_range(0, 2) ? rnd_range(0, 9) : rnd() >> rnd_range(32, 63);
	dma->cur_sge = rnd();
	dma->sge_offset = rnd();
	for (int i = 0; i < SGES; i++) {
		struct rxe_sge sge = {
			b->base + rnd_range(0, 4 * PAGE),
			rnd_range(0, 3) ? rnd_range(0, 5000) : rnd(),
			b->lkey,
		};

		memcpy(sges + i * sizeof(sge), &sge, sizeof(sge));
	}
}

/* A datagram for itself or anybody, by any handle; what only the kernel knows is wild. */
static void half_valid_datagram(struct rxe_send_wr *wr)
{
	rnd_fill(&wr->wr.ud, sizeof(wr->wr.ud));
	wr->opcode = rnd_range(0, 7) ? IBV_WR_SEND + rnd_range(0, 1) : rnd_range(0, 16);
	/* The lowest numbers are its own handle and that of the other attacker. */
	if (rnd_range(0, 15))
		wr->wr.ud.ah_num = rnd_range(1, 2);
	if (rnd_range(0, 7))
		wr->wr.ud.remote_qpn = rnd_range(0, 1) ? own.b.qp->qp_num :
							 own.a.qp->qp_num;
	if (rnd_range(0, 3))
		wr->wr.ud.remote_qkey = rnd_range(0, 1) ? QKEY : 1u << 31;
}

/* Right enough to be looked at in full. */
static void half_valid_make(uint8_t request[REQUEST])
{
	struct rxe_send_wqe w = { 0 };

	w.wr.opcode = rnd_range(0, 16);
	w.wr.send_flags = rnd_range(0, 63);
	if (rnd_range(0, 3))
		w.wr.send_flags &= ~IBV_SEND_INLINE;
	w.wr.wr.rdma.remote_addr = or.base + rnd_range(0, 4 * PAGE);
	w.wr.wr.rdma.rkey = or.rkey;
	if (own.a.opt.type == IBV_QPT_UD)
		half_valid_datagram(&w.wr);
	half_valid_dma(&w.dma, request + sizeof(w), &ol);
	/* One that is a datagram. */
	if (own.a.opt.type == IBV_QPT_UD && rnd_range(0, 1))
		w.dma.num_sge = rnd_range(0, 1);
	memcpy(request, &w, sizeof(w));
}

/* For receive queues; a bad one is the end of an SRQ, so most are good. */
static void half_valid_recv(uint8_t request[REQUEST])
{
	struct rxe_recv_wqe w = { .wr_id = rnd() };

	memset(request, 0, REQUEST);
	half_valid_dma(&w.dma, request + sizeof(w), &or);
	if (rnd_range(0, 31))
		w.dma.num_sge = rnd_range(0, own.a.opt.sge);
	memcpy(request, &w, sizeof(w));
}

static bool is_sq(unsigned int i)
{
	return 1ul << shift[i] >= REQUEST;
}

static bool is_cq(unsigned int i)
{
	return 1ul << shift[i] < SGES * sizeof(struct rxe_sge);
}

static uint32_t slots_of(unsigned int i)
{
	return (ring[i].size - RING_DATA) >> shift[i];
}

/* One for ring @i, at @slot, of which there are @n then. */
static void half_valid_put(unsigned int i, uint32_t slot, uint32_t n)
{
	size_t at = (size_t)slot << shift[i], room = ring[i].size - RING_DATA - at;
	uint8_t request[REQUEST];

	if (is_sq(i))
		half_valid_make(request);
	else
		half_valid_recv(request);
	if (sigsetjmp(gone, 1))
		return;
	memcpy(ring[i].at + RING_DATA + at, request, room < REQUEST ? room : REQUEST);
	ring_set(&ring[i], RING_PRODUCER, n);
}

static void *half_valid(void *arg)
{
	(void)arg;
	careful = true;
	for (;;) {
		unsigned int i = rnd_range(0, nr_rings - 1);

		if (!is_cq(i))
			half_valid_put(i, rnd_range(0, slots_of(i) - 1), rnd_range(0, 128));
		breathe();
	}
	return NULL;
}

/* The first ones, for queues that begin anew: others come while these are looked at. */
static void deal(void)
{
	careful = true;
	for (unsigned int i = 0; i < nr_rings; i++)
		for (uint32_t n = is_cq(i) ? 0 : rnd_range(1, 8), k = 0; k < n; k++)
			half_valid_put(i, k, k + 1);
	careful = false;
}

static void *remap(void *arg)
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };

	(void)arg;
	for (;;) {
		struct ring *r = &ring[rnd_range(0, nr_rings - 1)];

		switch (rnd_range(0, 19)) {
		case 0:
			munmap(r->at + rnd_range(0, r->size / PAGE) * PAGE, PAGE);
			break;
		case 1:
			mremap(r->at, r->size, r->size * 2, MREMAP_MAYMOVE);
			break;
		case 2:
			if (ftruncate(ol.fd, rnd_range(0, ol.size)))
				siege_tell(refused);
			break;
		case 3:
			munmap(or.map + rnd_range(0, 3) * PAGE, PAGE);
			break;
		case 4:
			madvise(r->at, r->size, rnd_range(0, 25));
			break;
		case 5:
			madvise(or.map, or.size, rnd_range(0, 25));
			break;
		default:
			mprotect(r->at + rnd_range(0, r->size / PAGE) * PAGE, PAGE,
				 prot[rnd_range(0, 2)]);
			sleep_ms(1);
			mprotect(r->at, r->size, PROT_READ | PROT_WRITE);
		}
		sleep_ms(rnd_range(0, 5));
	}
	return NULL;
}

static void own_join(void)
{
	if (own.a.opt.type != IBV_QPT_UD) {
		ep_join(&own.a, &own.b);
		return;
	}
	ep_datagram(&own.a, QKEY);
	ep_datagram(&own.b, QKEY);
}

/* A kind after the other; b's receives are shared in half of the lives of each. */
static void own_open(void)
{
	static const enum ibv_qp_type types[] = { IBV_QPT_RC, IBV_QPT_UC, IBV_QPT_UD };
	struct qp_opt opt = opt_rc;

	nic_open(&own.na, cfg.dev);
	nic_open(&own.nb, cfg.peer);
	opt.type = types[siege->lives % ARRAY_SIZE(types)];
	opt.scq = opt.rcq = cq_new(&own.na, CQES);
	ep_create(&own.a, &own.na, &opt);
	opt.scq = opt.rcq = cq_new(&own.nb, CQES);
	if (siege->lives / ARRAY_SIZE(types) % 2)
		opt.srq = srq_new(&own.nb, opt.recv_wr);
	ep_create(&own.b, &own.nb, &opt);
	if (opt.type == IBV_QPT_UD) {
		struct ibv_ah_attr attr = {
			.is_global = 1, .port_num = PORT,
			.grh = { own.nb.gid, 0, own.na.gid_index, 64, 0 },
		};

		check(ibv_create_ah(own.na.pd, &attr), "ibv_create_ah");
	}
	own_join();
	buf_new_cold(&ol, 8 * PAGE);
	buf_new(&or, 8 * PAGE);
	buf_reg(&ol, &own.na, ACCESS_ALL);
	buf_reg(&or, &own.nb, ACCESS_ALL);
}

static void own_reap(void)
{
	careful = true;
	for (unsigned int i = 0; i < nr_rings; i++)
		if (is_cq(i) && !sigsetjmp(gone, 1))
			ring_set(&ring[i], RING_CONSUMER,
				 ring_get(&ring[i], RING_PRODUCER));
	careful = false;
}

/* The new rings are found by nobody, so the end of this life is near. */
static void own_resize(void)
{
	struct ibv_srq_attr attr = { .max_wr = rnd_range(1, 300), .srq_limit = 2 };

	ibv_resize_cq(own.a.scq, rnd_range(1, 2 * CQES));
	if (own.b.opt.srq)
		ibv_modify_srq(own.b.opt.srq, &attr, rnd_range(1, 3));
}

/* Back on their feet: in ERR nothing of it is looked at. */
static void own_again(void)
{
	for (int i = 0; i < 2; i++) {
		struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

		ibv_modify_qp(i ? own.b.qp : own.a.qp, &attr, IBV_QP_STATE);
	}
	own_join();
	if (!rnd_range(0, 63))
		own_resize();
}

static void wreck_rings(void)
{
	pthread_t th;

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	own_open();
	nr_rings = rings_find(ring, 0, ARRAY_SIZE(ring));
	for (unsigned int i = 0; i < nr_rings; i++)
		shift[i] = ring_get(&ring[i], RING_LOG2_ELEM);
	pthread_create(&th, NULL, half_valid, NULL);
	pthread_create(&th, NULL, rnd_range(0, 1) ? scribble : half_valid, NULL);
	pthread_create(&th, NULL, remap, NULL);
	for (;;) {
		deal();
		for (int i = 0; i < 20; i++) {
			ring_doorbell(&own.a);
			ring_doorbell(&own.b);
		}
		own_reap();
		own_again();
		siege_tell(rounds);
	}
}

static void rings(void)
{
	static const char *const reached[] = {
		"bad_wqes", "local_protection_errors", "cq_overflows", NULL,
	};

	besiege(wreck_rings, reached);
	check(siege->blows > 100, "the rings are hardly touched");
}

struct map {
	unsigned long from, to, offset;
};

static unsigned int ring_maps(struct map *m, unsigned int max)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	char line[512];

	while (f && n < max && fgets(line, sizeof(line), f))
		if (strstr(line, "/dev/infiniband/uverbs") &&
		    sscanf(line, "%lx-%lx %*s %lx", &m[n].from, &m[n].to,
			   &m[n].offset) == 3)
			n++;
	if (f)
		fclose(f);
	return n;
}

static void map_touch(uint8_t *at, size_t len, int prot)
{
	careful = true;
	if (!sigsetjmp(gone, 1)) {
		at[0] = at[len - 1];
		if (mremap(at, len, len + PAGE, MREMAP_MAYMOVE) != MAP_FAILED)
			siege_tell(too_far);
		mprotect(at, len, prot);
		at[rnd_range(0, len - 1)] = rnd();
		madvise(at, len, rnd_range(0, 25));
		at[rnd_range(0, len - 1)]++;
	}
	careful = false;
}

static void map_one(const struct map *known, unsigned int n, bool late)
{
	static const int prots[] = {
		PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE,
		PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	const struct map *m = &known[rnd_range(0, n - 1)];
	size_t real = m->to - m->from, len = real;
	unsigned long offset = m->offset;
	int flags = rnd_range(0, 4) ? MAP_SHARED : MAP_PRIVATE;
	uint8_t *at;

	switch (rnd_range(0, 4)) {
	case 0: len = rnd_range(1, 64) * PAGE; break;
	case 1: len = real + rnd_range(1, 8) * PAGE; break;
	case 2: len = rnd() >> rnd_range(20, 63); break;
	}
	switch (rnd_range(0, 4)) {
	case 0: offset = rnd_range(0, 40) * PAGE; break;
	case 1: offset += rnd_range(0, 8) * PAGE; break;
	case 2: offset = rnd() << 12; break;
	}
	at = mmap(NULL, len, prots[rnd_range(0, 5)], flags, own.na.ctx->cmd_fd, offset);
	if (at == MAP_FAILED) {
		siege_tell(refused);
		return;
	}
	siege_tell(maps);
	if (late)
		siege_tell(too_late);
	for (unsigned int i = 0; i < n; i++)
		if (known[i].offset == offset &&
		    (len + PAGE - 1) / PAGE > (known[i].to - known[i].from) / PAGE)
			siege_tell(too_far);
	map_touch(at, len, prots[rnd_range(0, 5)]);
	if (rnd_range(0, 7))
		munmap(at, len);
}

static void map_it(void)
{
	struct map known[16];
	unsigned int n;

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	nic_open(&own.na, cfg.dev);
	ep_create(&own.a, &own.na, &opt_rc);
	ep_create(&own.b, &own.na, &opt_rc);
	n = ring_maps(known, ARRAY_SIZE(known));
	if (n < 4)
		_exit(2);
	/* A mapping outlives its ring, but there is no new one then. */
	for (int i = 0; ; i++) {
		map_one(known, n, i > 400);
		if (i == 400) {
			ep_destroy(&own.a);
			ep_destroy(&own.b);
		}
	}
}

static void maps(void)
{
	besiege(map_it, NULL);
	printf("# %" PRIu64 " mappings made, %" PRIu64 " refused\n", siege->maps,
	       siege->refused);
	check(siege->maps && siege->refused, "mappings are always %s",
	      siege->maps ? "made" : "refused");
}

TEST_MAIN(CASE(rings), CASE(maps))
