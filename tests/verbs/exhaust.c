// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A process makes objects of one kind until it is refused. That is a plain error, and
 * whoever comes beside it gets objects of all kinds, and its traffic. What ends it is its
 * share of the device, its RDMA cgroup, its memory cgroup, or RLIMIT_MEMLOCK.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "group.h"
#include "left.h"
#include "ops.h"
#include "test.h"

#define MIB (1ul << 20)
#define NOBODY 65534

/* What the greedy process works with. */
static struct nic nic;
static struct ibv_cq *cq;
static uint8_t *page;

static void *a_pd(void)
{
	return ibv_alloc_pd(nic.ctx);
}

static void *an_ah(void)
{
	struct ibv_ah_attr attr = {
		.is_global = 1, .port_num = PORT,
		.grh = { .dgid = nic.gid, .sgid_index = nic.gid_index, .hop_limit = 64 },
	};

	return ibv_create_ah(nic.pd, &attr);
}

static void *a_cq(void)
{
	return ibv_create_cq(nic.ctx, 10, NULL, NULL, 0);
}

static void *an_srq(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 4, .max_sge = 1 } };

	return ibv_create_srq(nic.pd, &init);
}

static void *a_qp(void)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC, .send_cq = cq, .recv_cq = cq,
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};

	return ibv_create_qp(nic.pd, &init);
}

static void *an_mr(void)
{
	return mr_try(&nic, page, PAGE, (uintptr_t)page, ACCESS_ALL, cfg.mode);
}

static void *an_mw(void)
{
	return ibv_alloc_mw(nic.pd, IBV_MW_TYPE_1);
}

static const struct kind {
	const char *name;
	void *(*make)(void);
} kinds[] = {
	{ "PD", a_pd }, { "AH", an_ah }, { "CQ", a_cq }, { "SRQ", an_srq },
	{ "QP", a_qp }, { "MR", an_mr }, { "MW", an_mw },
};

/* What the greedy process tells. */
static volatile struct {
	unsigned int made;
	int err;
} *told;

/* Who is greedy: prepares, makes @kind until that fails, and keeps all of it. */
static pid_t greedy_start(const struct kind *kind, void (*prepare)(void))
{
	pid_t pid;

	told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(told != MAP_FAILED, "mmap");
	pid = fork();
	check(pid >= 0, "fork");
	if (pid)
		return pid;
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(page != MAP_FAILED, "mmap");
	nic_open(&nic, cfg.dev);
	cq = cq_new(&nic, 10);
	if (prepare)
		prepare();
	while (kind->make())
		told->made++;
	told->err = errno;
	for (;;)
		pause();
}

/* Wait until it is refused: its error; SIGKILL of the OOM killer is one in a cgroup. */
static int greedy_refused(pid_t pid)
{
	int status;

	while (!told->err) {
		if (waitpid(pid, &status, WNOHANG)) {
			if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
				return -SIGKILL;
			_exit(WEXITSTATUS(status) ?: 1);
		}
		sleep_ms(1);
	}
	return told->err;
}

/* Another process has objects of all kinds, and they work. */
static void others_work(void)
{
	void *objects[ARRAY_SIZE(kinds)];
	struct pair p;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(page != MAP_FAILED, "mmap");
	nic_open(&nic, cfg.dev);
	cq = cq_new(&nic, 10);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		objects[i] = kinds[i].make();
		check(objects[i], "another process gets no %s: %s", kinds[i].name,
		      strerror(errno));
	}
	pair_open(&p, NULL);
	pair_works(&p);
	pair_close(&p);
	ibv_dealloc_pd(objects[0]);
	ibv_destroy_ah(objects[1]);
	ibv_destroy_cq(objects[2]);
	ibv_destroy_srq(objects[3]);
	ibv_destroy_qp(objects[4]);
	ibv_dereg_mr(objects[5]);
	ibv_dealloc_mw(objects[6]);
	cq_free(cq);
	nic_close(&nic);
	munmap(page, PAGE);
}

static void its_share(const struct kind *kind, uint32_t max)
{
	unsigned int made;
	pid_t first, second;

	first = greedy_start(kind, NULL);
	check(greedy_refused(first) == ENOMEM, "%s: %s", kind->name, strerror(told->err));
	made = told->made;
	check(made > max / 2 - 100 && made <= max / 2, "%u of %u %ss", made, max,
	      kind->name);
	others_work();
	second = greedy_start(kind, NULL);
	check(greedy_refused(second) == ENOMEM, "%s: %s", kind->name, strerror(told->err));
	printf("## of %u %ss the first has %u, the second %u\n", max, kind->name, made,
	       told->made);
	check(told->made > max / 4 - 100 && told->made <= max / 4, "%u of %u %ss",
	      told->made, max, kind->name);
	others_work();
	child_kill(first);
	child_kill(second);
}

/* Of which a half is not too many to be made here; KUnit has them all. */
static void share_of_device(void)
{
	struct ibv_device_attr attr;
	struct left before;

	if (!cfg.count)
		skip("a minute or more, so only with -n");
	left_now(&before);
	nic_open(&nic, cfg.dev);
	attr = nic.attr.orig_attr;
	nic_close(&nic);
	its_share(&kinds[3], attr.max_srq);
	its_share(&kinds[1], attr.max_ah);
	left_await(&before);
}

static void in_group(void)
{
	group_join();
}

#define OBJECTS 50

/* Its PD and its CQ are some of the objects, so they are made in the group. */
static void rdma_group(void)
{
	char limit[64];
	struct left before;

	left_now(&before);
	group_make_with("rdma");
	snprintf(limit, sizeof(limit), "%s hca_object=%d", cfg.dev, OBJECTS);
	group_put(limit, "rdma.max");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		pid_t pid = greedy_start(&kinds[i], in_group);
		int err = greedy_refused(pid);

		check(err == EAGAIN, "%s: %s", kinds[i].name, strerror(err));
		check(told->made == OBJECTS, "%u %ss instead of %d", told->made,
		      kinds[i].name, OBJECTS);
		others_work();
		child_kill(pid);
	}
	left_await(&before);
	/* The kernel frees what has a limit only then: later the device would find it freed. */
	snprintf(limit, sizeof(limit), "%s hca_object=max", cfg.dev);
	group_put(limit, "rdma.max");
	group_leave();
}

static void little_memory(void)
{
	char max[32];

	group_join();
	/* What is allocated once is allocated now. */
	cq_free(cq_new(&nic, 10));
	snprintf(max, sizeof(max), "%ld",
		 group_value("memory.stat", "kernel") + group_value("memory.stat", "anon") +
		 group_value("memory.stat", "file") + (long)(4 * MIB));
	group_put(max, "memory.max");
}

/* Where the kernel finds no memory by reclaiming it kills: in the group, nobody else. */
static void memory_group(void)
{
	struct left before;

	left_now(&before);
	/* The killer's report has a stack's trace, which is none of ours to complain of. */
	file_put("4", "/proc/sys/kernel/printk");
	for (size_t i = 2; i < ARRAY_SIZE(kinds) - 1; i++) {
		pid_t pid;
		int err;

		group_make();
		pid = greedy_start(&kinds[i], little_memory);
		err = greedy_refused(pid);
		printf("## %u %ss in 4 MiB, then %s\n", told->made, kinds[i].name,
		       err < 0 ? "killed" : strerror(err));
		check(err == ENOMEM || err < 0, "%s: %s", kinds[i].name, strerror(err));
		check(told->made > 9, "%u %ss", told->made, kinds[i].name);
		others_work();
		if (err > 0)
			child_kill(pid);
		group_leave();
	}
	file_put("7", "/proc/sys/kernel/printk");
	left_await(&before);
}

#define LOCKED (16 * PAGE)

static void *pin_more(void)
{
	return mr_try(&nic, page, PAGE, (uintptr_t)page, ACCESS_ALL, MODE_PINNED);
}

static void become_nobody(void)
{
	struct rlimit some = { LOCKED, LOCKED };

	check(!setrlimit(RLIMIT_MEMLOCK, &some), "setrlimit: %s", strerror(errno));
	check(!setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY),
	      "becoming an ordinary user: %s", strerror(errno));
}

/* Each time a page is pinned it counts, and what is deregistered does no more. */
static void memlock(void)
{
	static const struct kind pinned = { "pinned MR", pin_more };
	pid_t pid;

	if (file_has("Y", "/sys/module/rxe_odp/parameters/unpinned"))
		skip("what is to be pinned is not");
	for (int i = 0; i < 2; i++) {
		int err;

		pid = greedy_start(&pinned, become_nobody);
		err = greedy_refused(pid);
		check(err == ENOMEM, "%s", strerror(err));
		check(told->made == LOCKED / PAGE, "%u pages pinned, of %lu", told->made,
		      LOCKED / PAGE);
		others_work();
		child_kill(pid);
	}
}

TEST_MAIN(CASE(share_of_device), CASE(rdma_group), CASE(memory_group), CASE(memlock))
