// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a process has the driver allocate is charged to its memory cgroup: rings
 * at once, tables of the mirror as it touches memory. At the limit there is an
 * error, and nothing is left behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "group.h"
#include "ops.h"
#include "test.h"

#define MIB (1ul << 20)
#define LEAF (2 * MIB)
/* An entry of a CQ's ring has 64 bytes. */
#define CQE_BYTES 64

/* The case's process moves into a group of its own. */
static void enter_group(void)
{
	group_make();
	group_join();
}

/* Bytes of one line of memory.stat. */
static long stat_of(const char *name)
{
	return group_value("memory.stat", name);
}

/* Has it grown by @bytes since @before? The kernel brings it up to date now and then. */
static void grows(const char *name, long before, long bytes)
{
	uint64_t end = now_ms() + WAIT_MS;
	long grown;

	while ((grown = stat_of(name) - before) < bytes) {
		check(now_ms() < end, "%s grew by %ld bytes instead of %ld", name, grown,
		      bytes);
		sleep_ms(50);
	}
}

static void rings(void)
{
	const int cqe = 60000;
	struct ibv_cq *cq;
	struct nic nic;
	long before, grown;

	enter_group();
	nic_open(&nic, cfg.dev);
	before = stat_of("kernel");
	cq = cq_new(&nic, cqe);
	grows("kernel", before, (long)cqe * CQE_BYTES);
	cq_free(cq);
	grown = stat_of("kernel") - before;
	check(grown < (long)cqe * CQE_BYTES / 4, "%ld bytes left of a CQ", grown);
	nic_close(&nic);
	group_leave();
}

static void tables(void)
{
	const unsigned int leaves = 64;
	struct pair p;
	struct buf l, r;
	long before;

	need_odp();
	enter_group();
	/* A huge page needs no table. */
	check(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "prctl");
	pair_begin(&p, &l, PAGE, &r, leaves * LEAF);
	before = stat_of("slab");
	for (unsigned int i = 0; i < leaves; i++)
		do_write(&p.a, &l, 3, &r, i * LEAF + rnd_range(0, LEAF - 999), 999);
	grows("slab", before, leaves * PAGE);
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
	group_leave();
}

static void at_the_limit(void)
{
	char max[32];
	struct ibv_cq *cq;
	struct nic nic;
	long before, grown;

	enter_group();
	nic_open(&nic, cfg.dev);
	/* Whatever is allocated once is allocated now. */
	cq_free(cq_new(&nic, 16));
	before = stat_of("kernel");
	snprintf(max, sizeof(max), "%ld",
		 before + stat_of("anon") + stat_of("file") + (long)(2 * MIB));
	group_put(max, "memory.max");
	cq = ibv_create_cq(nic.ctx, 60000, NULL, NULL, 0);
	check(!cq, "a CQ of 4 MiB with 2 MiB left");
	check(errno == ENOMEM, "%s instead of ENOMEM", strerror(errno));
	grown = stat_of("kernel") - before;
	check(grown < (long)MIB, "%ld bytes left of a CQ that was refused", grown);
	cq_free(cq_new(&nic, 1000));
	group_put("max", "memory.max");
	nic_close(&nic);
	group_leave();
}

TEST_MAIN(CASE(rings), CASE(tables), CASE(at_the_limit))
