// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A network namespace goes. A process outside of it has QPs there, with routes of it, and
 * one waits for a page: so they stay longer than the namespace.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"

#define NETNS "rxo_gone"
#define LINK "rxo_gone0"
#define NETDEV "dummyg"
/* Time for a namespace to be taken down, by a worker of the kernel's. */
#define GONE_MS (slow_kernel() ? 1500 : 500)

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	need_odp();
	shell("ip netns del " NETNS " 2>/dev/null");
	check(!shell("ip netns add " NETNS " && ip -n " NETNS " link set lo up && "
		     "ip -n " NETNS " link add " NETDEV " type dummy && "
		     "ip -n " NETNS " link set " NETDEV " up && "
		     "ip -n " NETNS " addr add fd00:7::7/64 dev " NETDEV " nodad && "
		     "ip netns exec " NETNS " rdma link add " LINK
		     " type rxe_odp netdev " NETDEV), "no link in a namespace");
	/* Only such a route knows what its namespace has. */
	cfg.v6 = true;
	cfg.dev = LINK;
	cfg.peer = LINK;
	pair_begin(&p, &l, 4 * PAGE, &r, 4 * PAGE);
	do_write(&p.a, &l, 5, &r, 9, 3 * PAGE);
	do_read(&p.a, &l, 99, &r, 3, 3 * PAGE);
}

/* QPs end with the device, when the page has come. */
static void outlived(void)
{
	static uint8_t bytes[4 * PAGE];
	long before;
	int uffd;

	setup();
	memcpy(bytes, l.want, sizeof(bytes));
	uffd = buf_withhold(&l, O_CLOEXEC);
	before = hw_counter(LINK, "parks");
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 7, &r, 1001, 2 * PAGE);
	for (uint64_t end = now_ms() + WAIT_MS; hw_counter(LINK, "parks") == before;)
		check(now_ms() < end, "it waits for no page");
	check(!shell("ip netns del " NETNS), "ip netns del");
	/*
	 * While the device goes others can be made, at any moment of it. And its memory
	 * goes with the next one.
	 */
	for (uint64_t end = now_ms() + 2 * GONE_MS; now_ms() < end;)
		check(!shell("ip netns add " NETNS " && ip netns del " NETNS),
		      "no other namespace can be made");
	sleep_ms(GONE_MS);
	buf_serve(&l, uffd, bytes);
	close(uffd);
	sleep_ms(GONE_MS);
	buf_check(&l, "local memory");
	/* Nothing can be sent any more. */
	buf_check(&r, "remote memory");
}

TEST_MAIN(CASE(outlived))
