// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The process's own protection holds for the device as well, whatever the MR
 * was registered with: read-only memory is read but not written, PROT_NONE
 * neither, and both work again when the protection allows it again.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harm.h"
#include "ops.h"
#include "test.h"

#define PAGES 12

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	need_odp();
	pair_begin(&p, &l, PAGES * PAGE, &r, PAGES * PAGE);
}

static void teardown(void)
{
	pair_end(&p, &l, &r);
}

static void protect(struct buf *b, int prot)
{
	check(!mprotect(b->map, b->size, prot), "mprotect: %s", strerror(errno));
}

static void refused(enum ibv_wr_opcode op, enum ibv_wc_status status)
{
	size_t len = rnd_range(1, 5 * PAGE);
	struct wr w;

	wr_init(&w, op, 1);
	if (op == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr_sge(&w, &l, 3, 8);
		wr_atomic(&w, &r, 2 * PAGE, 1, 0);
	} else {
		wr_sge(&w, &l, 3, len);
		wr_remote(&w, &r, 2 * PAGE - 99);
	}
	wr_post(&p.a, &w);
	wc_expect(p.a.scq, 1, status);
	pair_renew(&p, NULL);
}

static void read_only(bool warm)
{
	setup();
	if (warm)
		do_write(&p.a, &l, 7, &r, 1, PAGES * PAGE - 9);
	for (int i = 0; i < 3; i++) {
		protect(&r, PROT_READ);
		do_read(&p.a, &l, 77, &r, 4095, 5 * PAGE);
		refused(IBV_WR_RDMA_WRITE, IBV_WC_REM_ACCESS_ERR);
		refused(IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WC_REM_ACCESS_ERR);
		buf_check(&r, "read-only memory");
		protect(&r, PROT_READ | PROT_WRITE);
		do_write(&p.a, &l, 77, &r, 4095, 5 * PAGE);
	}
	teardown();
}

static void read_only_warm(void)
{
	read_only(true);
}

static void read_only_cold(void)
{
	read_only(false);
}

static void no_access(void)
{
	setup();
	do_write(&p.a, &l, 7, &r, 1, PAGES * PAGE - 9);
	for (int i = 0; i < 2; i++) {
		protect(&r, PROT_NONE);
		refused(IBV_WR_RDMA_READ, IBV_WC_REM_ACCESS_ERR);
		refused(IBV_WR_RDMA_WRITE, IBV_WC_REM_ACCESS_ERR);
		buf_check(&l, "local memory");
		protect(&r, PROT_READ | PROT_WRITE);
		do_read(&p.a, &l, 77, &r, 4095, 5 * PAGE);
		do_write(&p.a, &l, 77, &r, 4095, 5 * PAGE);
	}
	teardown();
}

/* The local side: a source may be read-only, a target may not. */
static void local(void)
{
	setup();
	do_read(&p.a, &l, 1, &r, 7, PAGES * PAGE - 9);
	protect(&l, PROT_READ);
	do_write(&p.a, &l, 55, &r, 3, 5 * PAGE);
	do_send(&p, &l, 4093, &r, 7 * PAGE, 3 * PAGE);
	refused(IBV_WR_RDMA_READ, IBV_WC_LOC_PROT_ERR);
	buf_check(&l, "local memory");
	protect(&l, PROT_NONE);
	refused(IBV_WR_RDMA_WRITE, IBV_WC_LOC_PROT_ERR);
	protect(&l, PROT_READ | PROT_WRITE);
	do_read(&p.a, &l, 1, &r, 7, PAGES * PAGE - 9);
	teardown();
}

static void receive(void)
{
	setup();
	do_send(&p, &l, 5, &r, 3, 5 * PAGE);
	protect(&r, PROT_READ);
	q_recv(&p.b, 2, &r, 5, 2 * PAGE);
	q_send(&p.a, 1, &l, 5, 2 * PAGE);
	wc_expect(p.b.rcq, 2, IBV_WC_LOC_PROT_ERR);
	wc_expect(p.a.scq, 1, IBV_WC_REM_OP_ERR);
	buf_check(&r, "read-only memory");
	protect(&r, PROT_READ | PROT_WRITE);
	pair_renew(&p, NULL);
	do_send(&p, &l, 5, &r, 3, 5 * PAGE);
	teardown();
}

/* Memory that never was writable, registered with all rights. */
static void never_writable(void)
{
	setup();
	buf_dereg(&r);
	protect(&r, PROT_READ);
	buf_reg(&r, &p.nb, ACCESS_ALL);
	do_read(&p.a, &l, 77, &r, 4095, 5 * PAGE);
	refused(IBV_WR_RDMA_WRITE, IBV_WC_REM_ACCESS_ERR);
	do_read(&p.a, &l, 99, &r, 1, PAGES * PAGE - 100);
	teardown();
}

/* One page in the middle: its neighbours are as before. */
static void one_page(void)
{
	uint8_t *page;

	setup();
	do_write(&p.a, &l, 7, &r, 1, PAGES * PAGE - 9);
	page = r.map + 5 * PAGE;
	check(!mprotect(page, PAGE, PROT_READ), "mprotect");
	do_write(&p.a, &l, 7, &r, 3, 5 * PAGE - 3);
	do_write(&p.a, &l, 7, &r, 6 * PAGE, 5 * PAGE);
	do_read(&p.a, &l, 7, &r, 3, 10 * PAGE);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 7, &r, 6 * PAGE - 1, 1);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	pair_renew(&p, NULL);
	check(!mprotect(page, PAGE, PROT_READ | PROT_WRITE), "mprotect");
	do_write(&p.a, &l, 70, &r, 3, 10 * PAGE);
	teardown();
}

static void take_away(struct buf *b, size_t at, size_t len, int left)
{
	check(!mprotect(b->map + at, len, left), "mprotect: %s", strerror(errno));
	usleep(rnd_range(0, 200));
	check(!mprotect(b->map + at, len, PROT_READ | PROT_WRITE), "mprotect: %s",
	      strerror(errno));
}

static void take_writing(struct buf *b, size_t at, size_t len)
{
	take_away(b, at, len, PROT_READ);
}

static void take_all(struct buf *b, size_t at, size_t len)
{
	take_away(b, at, len, PROT_NONE);
}

/* What only reads must not notice. */
static void read_only_under_traffic(void)
{
	harm_both(&(struct harm) { .fn = take_writing, .denies = PROT_WRITE }, false);
	harm_both(&(struct harm) { .fn = take_writing, .denies = PROT_WRITE }, true);
}

static void no_access_under_traffic(void)
{
	harm_both(&(struct harm) { .fn = take_all, .denies = PROT_READ | PROT_WRITE }, false);
	harm_both(&(struct harm) { .fn = take_all, .denies = PROT_READ | PROT_WRITE }, true);
}

TEST_MAIN(CASE(read_only_warm), CASE(read_only_cold), CASE(no_access), CASE(local),
	  CASE(receive), CASE(never_writable), CASE(one_page),
	  CASE(read_only_under_traffic), CASE(no_access_under_traffic))
