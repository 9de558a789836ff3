// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Translations taken away all the time while checked traffic goes on. The memory
 * is a memory file's, so that dropping page table entries loses no data.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define PAGES 64
#define DEPTH 16

static struct pair p;
static struct buf l, r;
static volatile bool stop;
static volatile unsigned long churned;

static void setup(void)
{
	need_odp();
	pair_open(&p, NULL);
	buf_new_cold(&l, PAGES * PAGE);
	buf_new_cold(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

/* Some pages of either buffer. */
static void some(uint8_t **at, size_t *len)
{
	size_t n = rnd_range(1, 8), first = rnd_range(0, PAGES - n);

	*at = (rnd_range(0, 1) ? l.map : r.map) + first * PAGE;
	*len = n * PAGE;
}

static void drop(void)
{
	uint8_t *at;
	size_t len;

	some(&at, &len);
	check(!madvise(at, len, MADV_DONTNEED), "madvise: %s", strerror(errno));
}

/* Execute permission comes and goes: nobody cares, but entries are rewritten. */
static void reprotect(void)
{
	uint8_t *at;
	size_t len;

	some(&at, &len);
	check(!mprotect(at, len, PROT_READ | PROT_WRITE | PROT_EXEC) &&
	      !mprotect(at, len, PROT_READ | PROT_WRITE), "mprotect: %s",
	      strerror(errno));
}

/* The same file's pages mapped anew over themselves. */
static void remap(void)
{
	struct buf *b = rnd_range(0, 1) ? &l : &r;
	size_t n = rnd_range(1, 8), first = rnd_range(0, PAGES - n);
	uint8_t *at = b->map + first * PAGE;

	check(mmap(at, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		   b->fd, first * PAGE) == at, "mmap: %s", strerror(errno));
}

/* Physical pages move about. */
static void compact(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

	if (fd >= 0) {
		check(write(fd, "1", 1) == 1 || errno, "compact");
		close(fd);
	}
	sleep_ms(5);
}

static void *churn(void *arg)
{
	void (*one)(void) = (void (*)(void))arg;

	while (!stop) {
		one();
		churned++;
	}
	return NULL;
}

/* Requests in flight, all kinds, never two on overlapping bytes of one side. */
static void traffic(unsigned int rounds)
{
	const size_t slot = PAGES * PAGE / 2 / DEPTH;

	for (unsigned int i = 0; i < rounds; i++) {
		for (int k = 0; k < DEPTH; k++) {
			size_t len = rnd_range(1, slot - 100);
			size_t lo = k * slot + rnd_range(0, 99);
			size_t ro = k * slot + rnd_range(0, 99);

			switch (rnd_range(0, 2)) {
			case 0:
				q_rdma(&p.a, IBV_WR_RDMA_WRITE, k, &l, lo, &r, ro, len);
				buf_moved(&r, ro, &l, lo, len);
				break;
			case 1:
				/* Into l's other half, so that no source changes. */
				lo += PAGES * PAGE / 2;
				q_rdma(&p.a, IBV_WR_RDMA_READ, k, &l, lo, &r, ro, len);
				buf_moved(&l, lo, &r, ro, len);
				break;
			default:
				ro += PAGES * PAGE / 2;
				q_recv(&p.b, k, &r, ro, len);
				q_send(&p.a, k, &l, lo, len);
				buf_moved(&r, ro, &l, lo, len);
			}
		}
		for (int k = 0; k < DEPTH; k++)
			wc_ok(p.a.scq, k);
		for (struct ibv_wc wc; ibv_poll_cq(p.b.rcq, 1, &wc) == 1;)
			check(wc.status == IBV_WC_SUCCESS, "receive: %s",
			      ibv_wc_status_str(wc.status));
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
}

static void with(void (*one)(void), unsigned int rounds)
{
	pthread_t t;

	setup();
	check(!pthread_create(&t, NULL, churn, one), "pthread_create");
	while (!churned)
		sleep_ms(1);
	traffic(rounds);
	stop = true;
	pthread_join(t, NULL);
	teardown();
}

static void drops(void)
{
	with(drop, 25);
}

static void protections(void)
{
	with(reprotect, 25);
}

static void remaps(void)
{
	with(remap, 25);
}

static void migrations(void)
{
	with(compact, 25);
}

static void everything(void)
{
	static void (*const all[])(void) = { drop, reprotect, remap };

	all[rnd_range(0, ARRAY_SIZE(all) - 1)]();
}

static void mixed(void)
{
	with(everything, 25);
}

/*
 * When a mapping has been replaced, nobody writes to the old pages any more. The
 * device writes ever new bytes to one address, while two files take turns there:
 * the one just replaced must stand still.
 */
static int turn_fd[2];

static void stands_still(uint8_t *view, int i)
{
	uint8_t before[8 * PAGE];

	memcpy(before, view, sizeof(before));
	for (int k = 0; k < 4; k++) {
		sleep_ms(1);
		same(view, before, sizeof(before), i & 1 ?
		     "the replaced odd file" : "the replaced even file");
	}
}

static void *write_all_the_time(void *arg)
{
	struct buf *src = arg;
	unsigned int n = 0, done = 0;

	while (!stop || done < n) {
		while (!stop && n - done < DEPTH) {
			q_rdma(&p.a, IBV_WR_RDMA_WRITE, n, src, rnd_range(0, 20 * PAGE),
			       &r, 5, 8 * PAGE - 9);
			n++;
		}
		if (done < n)
			wc_ok(p.a.scq, done++);
		churned = done;
	}
	return NULL;
}

static void old_pages_stand_still(void)
{
	uint8_t *view[2];
	pthread_t t;

	setup();
	for (int i = 0; i < 2; i++) {
		turn_fd[i] = memfd_create("turn", 0);
		check(turn_fd[i] >= 0 && !ftruncate(turn_fd[i], 8 * PAGE), "memfd");
		view[i] = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, turn_fd[i], 0);
		check(view[i] != MAP_FAILED, "mmap");
	}
	check(!pthread_create(&t, NULL, write_all_the_time, &l), "pthread_create");
	while (!churned)
		sleep_ms(1);
	for (int i = 0; i < 60; i++) {
		check(mmap(r.map, 8 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, turn_fd[i & 1], 0) == r.map, "mmap");
		stands_still(view[!(i & 1)], i);
	}
	stop = true;
	pthread_join(t, NULL);
	memcpy(r.want, r.map, 8 * PAGE);
	teardown();
}

TEST_MAIN(CASE(drops), CASE(protections), CASE(remaps), CASE(migrations), CASE(mixed),
	  CASE(old_pages_stand_still))
