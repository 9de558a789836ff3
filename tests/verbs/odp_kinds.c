// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * All kinds of memory a process has: stack, heap, data, text, anonymous shared,
 * System V, devices. What the CPU may read or write the device may, too; what is
 * not ordinary memory is refused with an error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ops.h"
#include "ring.h"
#include "test.h"

#define LEN (3 * PAGE + 501)

static struct pair p;
static struct buf l;

static void setup(void)
{
	need_odp();
	pair_open(&p, NULL);
	buf_new(&l, 8 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
}

static void teardown(void)
{
	buf_check(&l, "local memory");
	buf_free(&l);
	pair_close(&p);
}

/* Registers any @len bytes at @at as b's; the shadow is filled by reading them. */
static void take(struct buf *b, void *at, size_t len)
{
	memset(b, 0, sizeof(*b));
	b->fd = -1;
	b->map = at;
	b->size = len;
	b->want = malloc(len);
	check(b->want, "no memory");
	memcpy(b->want, at, len);
	b->base = (uintptr_t)at;
	buf_reg(b, &p.nb, ACCESS_ALL);
}

static void give_up(struct buf *b)
{
	buf_check(b, "the memory");
	buf_dereg(b);
	free(b->want);
}

static void works(void *at, size_t len)
{
	struct buf b;

	take(&b, at, len);
	for (int i = 0; i < 4; i++) {
		size_t n = rnd_range(1, len), off = rnd_range(0, len - n);

		do_write(&p.a, &l, i * 99, &b, off, n);
		buf_check(&b, "written memory");
		do_read(&p.a, &l, 4 * PAGE - 7 + i, &b, off, n);
		buf_check(&l, "what was read");
	}
	give_up(&b);
}

static void read_only(void *at, size_t len)
{
	struct buf b;

	take(&b, at, len);
	do_read(&p.a, &l, 33, &b, 0, len);
	buf_check(&l, "what was read");
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 3, &b, 5, len - 5);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	pair_renew(&p, NULL);
	do_read(&p.a, &l, 77, &b, 1, len - 1);
	give_up(&b);
}

/* Neither read nor written, by an error at registration or at access. */
static void refused(void *at, size_t len, const char *what)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_READ, IBV_WR_RDMA_WRITE };
	struct ibv_mr *mr;
	struct wr w;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		mr = mr_try(&p.nb, at, len, (uintptr_t)at, ACCESS_ALL, cfg.mode);
		if (!mr)
			continue;
		wr_init(&w, ops[i], 1);
		wr_sge(&w, &l, 3, 100);
		w.wr.wr.rdma.remote_addr = (uintptr_t)at + 8;
		w.wr.wr.rdma.rkey = mr->rkey;
		wr_post(&p.a, &w);
		if (wc_wait(p.a.scq).status != IBV_WC_REM_ACCESS_ERR)
			fail("%s was not refused to opcode %d", what, ops[i]);
		check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
		pair_renew(&p, NULL);
	}
	buf_check(&l, "local memory");
}

static uint8_t bss[LEN], data[LEN] = { 1, 2, 3 };
static const uint8_t rodata[LEN] = { 4, 5, 6 };

static void static_data(void)
{
	setup();
	works(bss, LEN);
	rnd_fill(data, LEN);
	works(data, LEN);
	teardown();
}

static void text_and_constants(void)
{
	setup();
	read_only((void *)rodata, LEN);
	read_only((void *)(uintptr_t)test_main, 500);
	teardown();
}

static void stack(void)
{
	uint8_t bytes[LEN];

	setup();
	rnd_fill(bytes, LEN);
	works(bytes, LEN);
	teardown();
}

static void heap(void)
{
	uint8_t *small = malloc(777), *large = malloc(LEN);

	setup();
	check(small && large, "no memory");
	rnd_fill(small, 777);
	rnd_fill(large, LEN);
	works(small, 777);
	works(large, LEN);
	free(small);
	free(large);
	teardown();
}

static void anonymous_shared(void)
{
	uint8_t *m = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(m != MAP_FAILED, "mmap");
	setup();
	works(m, LEN);
	munmap(m, LEN);
	teardown();
}

static void system_v(void)
{
	int id = shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600);
	uint8_t *m;

	if (id < 0)
		skip("shmget: %s", strerror(errno));
	m = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	check(m != (void *)-1, "shmat: %s", strerror(errno));
	setup();
	rnd_fill(m, LEN);
	works(m, LEN);
	shmdt(m);
	teardown();
}

static void locked(void)
{
	uint8_t *m = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(m != MAP_FAILED && !mlock(m, LEN), "mlock: %s", strerror(errno));
	setup();
	works(m, LEN);
	check(!munlock(m, LEN), "munlock");
	works(m, LEN);
	teardown();
}

static void device_zero(void)
{
	int fd = open("/dev/zero", O_RDWR);
	uint8_t *m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	check(fd >= 0 && m != MAP_FAILED, "/dev/zero: %s", strerror(errno));
	setup();
	works(m, LEN);
	munmap(m, LEN);
	close(fd);
	teardown();
}

/* Memory that is not even in the kernel's own page table. */
static void secret(void)
{
	int fd = syscall(SYS_memfd_secret, 0);
	uint8_t *m;

	if (fd < 0 || ftruncate(fd, LEN))
		skip("memfd_secret: %s", strerror(errno));
	m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(m != MAP_FAILED, "mmap: %s", strerror(errno));
	rnd_fill(m, LEN);
	setup();
	refused(m, LEN, "secret memory");
	teardown();
}

/* The device's own rings, of all things. */
static void device_mapping(void)
{
	struct ring rings[16];
	unsigned int n;

	setup();
	n = rings_find(rings, 0, ARRAY_SIZE(rings));
	check(n, "no rings");
	/* Such memory may be taken or not, but nothing may go wrong. */
	for (unsigned int i = 0; i < n; i++) {
		struct ibv_mr *mr = mr_try(&p.nb, rings[i].at, rings[i].size,
					   (uintptr_t)rings[i].at,
					   IBV_ACCESS_REMOTE_READ, cfg.mode);
		struct ibv_wc wc;
		struct wr w;

		if (!mr)
			continue;
		wr_init(&w, IBV_WR_RDMA_READ, 1);
		wr_sge(&w, &l, 3, 100);
		w.wr.wr.rdma.remote_addr = (uintptr_t)rings[i].at + 384;
		w.wr.wr.rdma.rkey = mr->rkey;
		wr_post(&p.a, &w);
		wc = wc_wait(p.a.scq);
		check(!ibv_dereg_mr(mr), "ibv_dereg_mr");
		if (wc.status == IBV_WC_SUCCESS)
			buf_holds(&l, 3, l.map + 3, 100);
		else
			pair_renew(&p, NULL);
	}
	pair_works(&p);
	teardown();
}

/* The kernel's time page beside the vdso is frames without pages to us. */
static void time_page(void)
{
	uint8_t *m = (uint8_t *)getauxval(AT_SYSINFO_EHDR);

	if (!m)
		skip("no vdso");
	setup();
	refused(m - PAGE, PAGE, "the kernel's time page");
	teardown();
}

TEST_MAIN(CASE(static_data), CASE(text_and_constants), CASE(stack), CASE(heap),
	  CASE(anonymous_shared), CASE(system_v), CASE(locked), CASE(device_zero),
	  CASE(secret), CASE(device_mapping), CASE(time_page))
