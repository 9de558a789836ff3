// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A process killed in the middle of traffic takes its objects with it, whatever
 * was in flight: no hang, no splat, its peer gets an error at worst, and the
 * device serves the next one, and nothing of it is left. Also exec, and a device file kept by a child whose
 * parent, and with it the memory, is gone.
 */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "left.h"
#include "ops.h"
#include "peer.h"
#include "ring.h"
#include "test.h"

#define PAGES 64

static struct pair p;
static struct buf l, r;

static void setup(void)
{
	pair_open(&p, NULL);
	buf_new(&l, PAGES * PAGE);
	buf_new_cold(&r, PAGES * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

/* All operations both ways, until death. */
static void traffic_forever(void)
{
	unsigned int posted = 0, done = 0;
	struct ibv_wc wc;

	for (;;) {
		while (posted - done < 40) {
			size_t len = rnd_range(1, 6 * PAGE);

			q_rdma(posted & 1 ? &p.a : &p.b,
			       posted & 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
			       posted, posted & 1 ? &l : &r, rnd_range(0, 50 * PAGE),
			       posted & 1 ? &r : &l, rnd_range(0, 50 * PAGE), len);
			posted++;
		}
		done += ibv_poll_cq(p.a.scq, 1, &wc);
		done += ibv_poll_cq(p.b.scq, 1, &wc);
	}
}

static void device_still_works(void)
{
	pair_open(&p, NULL);
	pair_works(&p);
	pair_close(&p);
}

/* Both ends die at once. */
static void with_both_ends(void)
{
	for (uint64_t i = 0; i < (cfg.count ?: 8); i++) {
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (!pid) {
			setup();
			traffic_forever();
		}
		/* Now and then while it still sets up. */
		sleep_ms(rnd_range(0, 200));
		child_kill(pid);
	}
	device_still_works();
}

/* Side a here, impatient, and b in @peer, which runs @fn. */
static void with_peer(struct peer *peer, void (*fn)(void))
{
	peer_start(peer, &p.b, &p.nb, &r, PAGES * PAGE, fn);
	peer_open_a(&p, NULL, &l, PAGES * PAGE);
	buf_new(&r, PAGES * PAGE);
	peer_join(peer, &p.a, &l, &r);
}

/* Write until the other side no longer answers; what then comes is an error. */
static void until_error(void)
{
	uint64_t end = now_ms() + WAIT_MS;
	unsigned int n = 0, done = 0;
	struct ibv_wc wc;

	for (;;) {
		while (n - done < 20) {
			q_rdma(&p.a, n & 1 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, n,
			       &l, rnd_range(0, 50 * PAGE), &r,
			       rnd_range(0, 50 * PAGE), rnd_range(1, 6 * PAGE));
			n++;
		}
		wc = wc_wait(p.a.scq);
		check(wc.wr_id == done, "out of order");
		done++;
		if (wc.status != IBV_WC_SUCCESS)
			break;
		check(now_ms() < end, "the dead still answer");
	}
	check(wc.status == IBV_WC_RETRY_EXC_ERR ||
	      wc.status == IBV_WC_REM_ACCESS_ERR ||
	      wc.status == IBV_WC_REM_OP_ERR, "status \"%s\"",
	      ibv_wc_status_str(wc.status));
	while (done < n)
		wc_expect(p.a.scq, done++, IBV_WC_WR_FLUSH_ERR);
	ep_destroy(&p.a);
	buf_dereg(&l);
	nic_close(&p.na);
}

static void just_wait(void)
{
	pause();
}

static void peer_killed(void)
{
	for (uint64_t i = 0; i < (cfg.count ?: 4); i++) {
		struct peer peer;

		with_peer(&peer, just_wait);
		do_write(&p.a, &l, 3, &r, 5, 3000);
		kill(peer.pid, SIGKILL);
		until_error();
		peer_await(&peer);
	}
	device_still_works();
}

static void do_exec(void)
{
	/* The memory goes; the device file is close-on-exec and goes as well. */
	execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(1);
}

static void peer_execs(void)
{
	struct peer peer;

	with_peer(&peer, do_exec);
	until_error();
	peer_kill(&peer);
	device_still_works();
}

/* The memory's owner exits; its child keeps the device file, so QP and MR live. */
static void leave_a_child(void)
{
	pid_t pid = fork();

	if (pid)
		_exit(0);
	sleep_ms(1500);
	_exit(0);
}

static void memory_gone_device_kept(void)
{
	struct peer peer;

	need_odp();
	with_peer(&peer, leave_a_child);
	until_error();
	peer_await(&peer);
	/* Let the child end as well: the last reference goes there. */
	sleep_ms(1700);
	device_still_works();
}

/* What a process has: shown to be there, then to be gone. */
static void there(const struct left *before)
{
	struct left now;

	left_now(&now);
	check(now.qps == before->qps + 2 && now.mrs == before->mrs + 2 &&
	      now.rings == before->rings + 8, "%u QPs, %u MRs, %u rings more",
	      now.qps - before->qps, now.mrs - before->mrs, now.rings - before->rings);
}

static void nothing_is_left(void)
{
	struct left before;
	int ready[2];

	left_now(&before);
	check(!pipe(ready), "pipe");
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		char c;

		check(pid >= 0, "fork");
		if (!pid) {
			setup();
			check(write(ready[1], "", 1) == 1, "pipe");
			if (i)
				traffic_forever();
			pause();
		}
		check(read(ready[0], &c, 1) == 1, "pipe");
		there(&before);
		child_kill(pid);
		left_await(&before);
	}
}

/* Its child keeps rings mapped, and with them all the rest, until it lets go. */
static void child_keeps_the_rings(void)
{
	struct left before;
	int ready[2], go[2];
	pid_t pid;
	char c;

	left_now(&before);
	check(!pipe(ready) && !pipe(go), "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		struct ring rings[16];
		unsigned int n;

		setup();
		n = rings_find(rings, 0, ARRAY_SIZE(rings));
		if (fork())
			_exit(0);
		/* Those that are used now are those of nobody. */
		close(p.na.ctx->cmd_fd);
		close(p.nb.ctx->cmd_fd);
		close(p.na.ctx->async_fd);
		close(p.nb.ctx->async_fd);
		check(write(ready[1], "", 1) == 1 && read(go[0], &c, 1) == 1, "pipe");
		for (unsigned int i = 0; i < n; i++)
			ring_scribble(&rings[i]);
		for (unsigned int i = 0; i < n; i++)
			munmap(rings[i].at, rings[i].size);
		check(write(ready[1], "", 1) == 1 && read(go[0], &c, 1) == 1, "pipe");
		_exit(0);
	}
	child_await(pid);
	check(read(ready[0], &c, 1) == 1, "pipe");
	there(&before);
	check(write(go[1], "", 1) == 1 && read(ready[0], &c, 1) == 1, "pipe");
	/* The child is alive. */
	left_await(&before);
	check(write(go[1], "", 1) == 1, "pipe");
	device_still_works();
}

TEST_MAIN(CASE(with_both_ends), CASE(peer_killed), CASE(peer_execs),
	  CASE(memory_gone_device_kept), CASE(nothing_is_left),
	  CASE(child_keeps_the_rings))
