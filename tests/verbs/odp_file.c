// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Files on a disk, mapped and registered. A private mapping never changes its
 * file; a shared one does, also after write-back made its pages clean and after
 * the page cache was dropped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harm.h"
#include "ops.h"
#include "test.h"

#define PAGES (TRAFFIC_SIZE / PAGE)

static struct pair p;
static struct buf l, r;
static uint8_t *file;		/* what the file must hold */
static int fd;

static void setup(int flags, int prot)
{
	char name[] = "/var/tmp/verbs-test-XXXXXX";
	uint8_t *map;

	need_odp();
	pair_open(&p, NULL);
	fd = mkstemp(name);
	check(fd >= 0, "mkstemp: %s", strerror(errno));
	unlink(name);
	file = malloc(PAGES * PAGE);
	check(file, "no memory");
	rnd_fill(file, PAGES * PAGE);
	check(pwrite(fd, file, PAGES * PAGE, 0) == (ssize_t)(PAGES * PAGE), "pwrite");
	check(!fsync(fd), "fsync: %s", strerror(errno));
	map = mmap(NULL, PAGES * PAGE, prot, flags, fd, 0);
	check(map != MAP_FAILED, "mmap: %s", strerror(errno));
	/* Its shadow comes from the file's bytes: this mapping stays untouched. */
	buf_new(&l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	munmap(r.map, r.size);
	r.map = map;
	r.base = (uintptr_t)map;
	memcpy(r.want, file, r.size);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

/* Compare the file by read(), from the page cache or from the disk. */
static void check_file(bool from_disk, const char *what)
{
	uint8_t *now = malloc(PAGES * PAGE);
	int drop;

	check(now, "no memory");
	if (from_disk) {
		check(!fsync(fd), "fsync: %s", strerror(errno));
		/* Mapped pages stay cached: give up the mapping's first. */
		madvise(r.map, r.size, MADV_DONTNEED);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		drop = open("/proc/sys/vm/drop_caches", O_WRONLY);
		if (drop >= 0) {
			check(write(drop, "1", 1) == 1, "drop_caches");
			close(drop);
		}
	}
	check(pread(fd, now, PAGES * PAGE, 0) == (ssize_t)(PAGES * PAGE), "pread");
	same(now, file, PAGES * PAGE, what);
	free(now);
}

static void teardown(void)
{
	buf_check(&l, "local memory");
	buf_check(&r, "mapping");
	buf_free(&l);
	buf_free(&r);
	free(file);
	close(fd);
	pair_close(&p);
}

static void private_mapping(void)
{
	setup(MAP_PRIVATE, PROT_READ | PROT_WRITE);
	do_read(&p.a, &l, 3, &r, 5, 9 * PAGE);
	buf_check(&l, "what was read");
	/* Over pages that were read, and over untouched ones. */
	do_write(&p.a, &l, 77, &r, 8 * PAGE + 1, 4 * PAGE);
	do_send(&p, &l, 99, &r, 15 * PAGE - 3, 3 * PAGE);
	buf_check(&r, "mapping");
	check_file(false, "the file after writes to a private mapping");
	do_write(&p.a, &l, 4000, &r, 8 * PAGE + 2, 4 * PAGE);
	check_file(false, "the file after more of them");
	teardown();
}

/* What nobody has written yet still follows the file. */
static void private_mapping_follows(void)
{
	setup(MAP_PRIVATE, PROT_READ | PROT_WRITE);
	do_read(&p.a, &l, 3, &r, 5, 9 * PAGE);
	rnd_fill(file + 3 * PAGE, PAGE);
	check(pwrite(fd, file + 3 * PAGE, PAGE, 3 * PAGE) == PAGE, "pwrite");
	buf_holds(&r, 3 * PAGE, file + 3 * PAGE, PAGE);
	do_read(&p.a, &l, 3, &r, 5, 9 * PAGE);
	buf_check(&l, "what was read");
	teardown();
}

static void shared_mapping(void)
{
	setup(MAP_SHARED, PROT_READ | PROT_WRITE);
	do_read(&p.a, &l, 3, &r, 5, 9 * PAGE);
	buf_check(&l, "what was read");
	do_write(&p.a, &l, 77, &r, 8 * PAGE + 1, 4 * PAGE);
	memcpy(file, r.want, r.size);
	check_file(false, "the file by its page cache");
	check_file(true, "the file on the disk");
	do_send(&p, &l, 99, &r, 15 * PAGE - 3, 3 * PAGE);
	memcpy(file, r.want, r.size);
	check_file(true, "the file on the disk");
	teardown();
}

/*
 * Write-back makes a page clean while the device still knows it as writable: the
 * next write by the device must make it dirty again, or it is lost here.
 */
static void after_write_back(void)
{
	setup(MAP_SHARED, PROT_READ | PROT_WRITE);
	for (int i = 0; i < 12; i++) {
		size_t len = rnd_range(1, 4 * PAGE), at = off_for(&r, len);

		do_write(&p.a, &l, i * 99, &r, at, len);
		check(!msync(r.map, r.size, MS_SYNC), "msync: %s", strerror(errno));
		do_write(&p.a, &l, 4096 + i * 77, &r, at, len);
		memcpy(file, r.want, r.size);
		if (i % 3)
			check(!fsync(fd), "fsync: %s", strerror(errno));
		check_file(true, "the file on the disk");
		if (i & 1)
			do_read(&p.a, &l, 5, &r, at, len);
	}
	teardown();
}

/* Whole pages and their neighbours under write-back that runs all the time. */
static void during_write_back(void)
{
	setup(MAP_SHARED, PROT_READ | PROT_WRITE);
	for (int i = 0; i < 10; i++) {
		for (int k = 0; k < 20; k++) {
			size_t len = rnd_range(1, PAGE), at = off_for(&r, len);

			q_rdma(&p.a, IBV_WR_RDMA_WRITE, k, &l, k * 500, &r, at, len);
			buf_moved(&r, at, &l, k * 500, len);
		}
		check(!msync(r.map, r.size, i & 1 ? MS_SYNC : MS_ASYNC), "msync");
		if (i & 1)
			check(!fsync(fd), "fsync");
		for (int k = 0; k < 20; k++)
			wc_ok(p.a.scq, k);
	}
	memcpy(file, r.want, r.size);
	check_file(true, "the file on the disk");
	teardown();
}

static void read_only_mapping(void)
{
	setup(MAP_SHARED, PROT_READ);
	do_read(&p.a, &l, 3, &r, 5, 9 * PAGE);
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 3, &r, 4001, 3000);
	wc_expect(p.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	pair_renew(&p, NULL);
	check_file(true, "the file");
	do_read(&p.a, &l, 99, &r, 10 * PAGE + 5, 9 * PAGE);
	teardown();
}

static void harmed(const struct harm *h)
{
	static struct traffic t;

	t = (struct traffic) { .p = &p, .l = l, .r = r };
	harm_traffic(&t, h, false);
	l = t.l;
	r = t.r;
}

/*
 * Private pages go, and the file's are there again. Some of them the CPU copies before
 * the device does, some the device alone.
 */
static void forget_copies(struct buf *b, size_t at, size_t len)
{
	check(!madvise(b->map + at, len, MADV_DONTNEED), "madvise: %s", strerror(errno));
	for (size_t gap = 2 * PAGE - TRAFFIC_GAP; gap < b->size; gap += 2 * PAGE)
		if (gap >= at && gap < at + len && rnd_range(0, 1))
			*(volatile uint8_t *)(b->map + gap) = file[gap];
}

static void private_under_traffic(void)
{
	setup(MAP_PRIVATE, PROT_READ | PROT_WRITE);
	harmed(&(struct harm) { .fn = forget_copies, .leaves = file });
	check_file(false, "the file after writes to a private mapping");
	teardown();
}

static void cut_and_lengthen(struct buf *b, size_t at, size_t len)
{
	(void)b;
	check(!ftruncate(fd, at), "ftruncate: %s", strerror(errno));
	usleep(rnd_range(0, 200));
	check(!ftruncate(fd, at + len), "ftruncate: %s", strerror(errno));
}

static void punch(struct buf *b, size_t at, size_t len)
{
	(void)b;
	check(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len),
	      "fallocate: %s", strerror(errno));
}

static void shared_harmed(const struct harm *h)
{
	setup(MAP_SHARED, PROT_READ | PROT_WRITE);
	harmed(h);
	memcpy(file, r.want, r.size);
	check_file(true, "the file on the disk");
	teardown();
}

static void truncated_under_traffic(void)
{
	shared_harmed(&(struct harm) {
		.fn = cut_and_lengthen, .to_end = true, .denies = PROT_READ | PROT_WRITE,
		.leaves = harm_zeros,
	});
}

static void hole_punched_under_traffic(void)
{
	shared_harmed(&(struct harm) { .fn = punch, .leaves = harm_zeros });
}

TEST_MAIN(CASE(private_mapping), CASE(private_mapping_follows), CASE(shared_mapping),
	  CASE(after_write_back), CASE(during_write_back), CASE(read_only_mapping),
	  CASE(private_under_traffic), CASE(truncated_under_traffic),
	  CASE(hole_punched_under_traffic))
