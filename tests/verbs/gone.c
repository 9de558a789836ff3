// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a device stands on goes in the midst of traffic: the link, the module, the netdev,
 * the namespace. Whoever used it is told and ends, or is killed; nothing hangs, and all of
 * it is made and used again. Which is done how often is printed; -n says how often.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "advise.h"
#include "link.h"
#include "ops.h"
#include "test.h"

#define SIZE (64 * PAGE)
#define DEPTH 40

/* The links of the harness, which is to find them as they were. */
static struct {
	const char *name, *netdev, *netns;
	bool was;
} links[] = {
	{ .name = "rxo0", .netdev = "dummy0" },
	{ .name = "rxo1", .netdev = "veth1", .netns = "h1" },
	{ .name = "rxo2", .netdev = "veth2", .netns = "h2" },
	{ .name = "rxo3", .netdev = "dummy3" },
};

static struct pair p;
static struct buf l, r;

static void post(unsigned int n)
{
	struct ep *e = n & 1 ? &p.a : &p.b;
	struct ibv_send_wr *bad;
	struct wr w;

	wr_init(&w, n & 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, n);
	wr_sge(&w, n & 1 ? &l : &r, rnd_range(0, 50 * PAGE), rnd_range(1, 6 * PAGE));
	wr_remote(&w, n & 1 ? &r : &l, rnd_range(0, 50 * PAGE));
	/* It may have gone. */
	ibv_post_send(e->qp, &w.wr, &bad);
}

static bool told(struct nic *nic)
{
	struct ibv_async_event ev;

	return !event_poll(nic, &ev, 0) && ev.event_type == IBV_EVENT_DEVICE_FATAL;
}

/* Traffic both ways until a device is gone; @ready is written to when it flows. */
static void load(int ready)
{
	unsigned int posted = 0, done = 0;
	struct ibv_wc wc[2];
	bool flows = false;

	pair_begin(&p, &l, SIZE, &r, SIZE);
	for (unsigned int n = 0; n % 64 || (!told(&p.na) && !told(&p.nb)); n++) {
		for (; posted - done < DEPTH; posted++)
			post(posted);
		for (int i = 0; i < 2; i++) {
			int got = ibv_poll_cq(i ? p.a.scq : p.b.scq, 1, &wc[i]);

			check(!got || flows || wc[i].status == IBV_WC_SUCCESS, "status \"%s\"",
			      ibv_wc_status_str(wc[i].status));
			done += got;
		}
		if (!flows && done > DEPTH) {
			flows = true;
			check(write(ready, "", 1) == 1, "pipe");
		}
	}
	_exit(0);
}

static void *bring_last(void *arg)
{
	struct buf *b = arg;

	advise(b->mr->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, IBV_ADVISE_MR_FLAG_FLUSH,
	       buf_addr(b, SIZE - PAGE), PAGE, b->lkey);
	return NULL;
}

/* Nobody serves it. */
static void await_asked(int uffd)
{
	struct uffd_msg msg;

	check(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "userfaultfd: %s",
	      strerror(errno));
}

/* A QP of each device waits for a page that never comes, and so does a system call. */
static void load_that_waits(int ready)
{
	pthread_t thread[2];
	int uffd[2];

	pair_begin(&p, &l, SIZE, &r, SIZE);
	uffd[0] = buf_withhold(&l, O_CLOEXEC);
	uffd[1] = buf_withhold(&r, O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		post(i);
		await_asked(uffd[!i]);
		check(!pthread_create(&thread[i], NULL, bring_last, i ? &l : &r),
		      "pthread_create");
		await_asked(uffd[!i]);
	}
	check(write(ready, "", 1) == 1, "pipe");
	while (!told(&p.na) && !told(&p.nb))
		sleep_ms(1);
	_exit(0);
}

static pid_t load_start(void (*fn)(int ready))
{
	/* Each has other numbers. */
	rnd();
	return child_ready(fn);
}

/* A namespace's end is left to a worker, which waits for RCU many times. */
static void await_gone(const char *link)
{
	uint64_t end = now_ms() + (slow_kernel() ? 6 : 1) * WAIT_MS;

	while (link_there(link)) {
		check(now_ms() < end, "%s is still there", link);
		sleep_ms(5);
	}
}

/* By itself, as it was told, or by force. */
static void load_end(pid_t pid)
{
	uint64_t end = now_ms() + WAIT_MS;
	int status;

	if (rnd_range(0, 1)) {
		child_kill(pid);
		return;
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		check(now_ms() < end, "nobody told the process that its device is gone");
		sleep_ms(2);
	}
	check(!status, "the process ended with %#x", status);
}

static void links_make(bool all)
{
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		int sock, err;

		if (link_there(links[i].name) ||
		    !(links[i].netns || (all && links[i].was)))
			continue;
		sock = link_socket(links[i].netns);
		err = link_add(sock, links[i].name, links[i].netdev);
		check(!err, "%s cannot be made again: %s", links[i].name, strerror(err));
		close(sock);
	}
}

/* Both hosts, or what is left of them, and the cable between them. */
static void hosts_make(void)
{
	check(!shell("for n in 1 2; do ip netns add h$n 2>/dev/null; done\n"
		     "ip link add veth1 mtu 9000 netns h1 type veth "
		     "peer name veth2 mtu 9000 netns h2 || exit\n"
		     "for n in 1 2; do ip -n h$n -batch - <<E || exit\n"
		     "link set lo up\n"
		     "link set veth$n up\n"
		     "addr add 10.1.0.$n/24 dev veth$n\n"
		     "addr add fd01::$n/64 dev veth$n nodad\n"
		     "E\n"
		     "done"), "the hosts cannot be made again");
}

/* Where the module is; @n bytes of @path. */
static void module_find(char *path, int n)
{
	FILE *f = popen("modinfo -n rxe_odp", "r");

	check(f && fgets(path, n, f), "modinfo: %s", strerror(errno));
	pclose(f);
	path[strcspn(path, "\n")] = 0;
}

static void module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	check(fd >= 0 && !syscall(SYS_finit_module, fd, "", 0), "%s: %s", path,
	      strerror(errno));
	close(fd);
}

/* Take away what one link stands on, of host @n, or also the other one. */
static void repeat_under(void (*fn)(int ready), const char *name, void (*take)(int n),
			 bool both, bool hosts)
{
	uint64_t times = cfg.count ?: slow_kernel() ? 1 : 3, started = now_ms();
	char module[256];

	if (strcmp(cfg.dev, "rxo1") || strcmp(cfg.peer, "rxo2"))
		skip("for the two hosts");
	module_find(module, sizeof(module));
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		links[i].was = link_there(links[i].name);
	for (uint64_t i = 0; i < times; i++) {
		int n = rnd_range(1, 2);
		pid_t pid = load_start(fn);

		sleep_ms(rnd_range(0, 30));
		take(n);
		for (int k = 1; k <= 2; k++)
			if (both || k == n)
				await_gone(links[k].name);
		load_end(pid);
		if (hosts)
			hosts_make();
		if (access("/sys/module/rxe_odp", F_OK))
			module_load(module);
		links_make(i == times - 1);
	}
	printf("## %s: %d times under load, %d s\n", name, (int)times,
	       (int)((now_ms() - started) / 1000));
	pair_open(&p, NULL);
	pair_works(&p);
	pair_close(&p);
}

static void repeat(const char *name, void (*take)(int n), bool both, bool hosts)
{
	repeat_under(load, name, take, both, hosts);
}

static void take_link(int n)
{
	int sock = link_socket(NULL);
	int err = link_del(sock, link_index(links[n].name));

	check(!err, "rdma link del: %s", strerror(err));
	close(sock);
}

static void one_link(void)
{
	repeat("rdma link del", take_link, false, false);
}

static void take_module(int n)
{
	(void)n;
	check(!syscall(SYS_delete_module, "rxe_odp", O_NONBLOCK), "rmmod: %s",
	      strerror(errno));
}

static void module(void)
{
	repeat("rmmod", take_module, true, false);
}

static void take_netdev(int n)
{
	check(!shell("timeout 60 ip -n h%d link del veth%d", n, n), "ip link del");
}

static void netdev(void)
{
	repeat("ip link del", take_netdev, true, true);
}

static void take_namespace(int n)
{
	check(!shell("timeout 60 ip netns del h%d", n), "ip netns del");
}

static void namespace(void)
{
	repeat("ip netns del", take_namespace, true, true);
}

/* What never comes is not waited for by who deletes. */
static void link_that_waits(void)
{
	need_odp();
	repeat_under(load_that_waits, "rdma link del", take_link, false, false);
}

static void module_that_waits(void)
{
	need_odp();
	repeat_under(load_that_waits, "rmmod", take_module, true, false);
}

TEST_MAIN(CASE(one_link), CASE(module), CASE(netdev), CASE(namespace), CASE(link_that_waits),
	  CASE(module_that_waits))
