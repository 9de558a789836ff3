// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A wire that loses, doubles and reorders packets (netem): everything still
 * arrives, once and in order, and nothing else changes.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"
#include "test.h"

#define DEPTH 16

static struct pair p;
static struct buf l, r;

/* The namespace and name of the interface under @nic; a veth end, or skip. */
static void wire_end(const struct nic *nic, char netns[64], char name[64])
{
	char path[256];
	struct dirent *d;
	FILE *f;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%d/gid_attrs/ndevs/%d",
		 nic->name, PORT, nic->gid_index);
	f = fopen(path, "r");
	check(f && fscanf(f, "%63s", name) == 1, "%s cannot be read", path);
	fclose(f);
	dir = opendir("/run/netns");
	if (!dir)
		skip("no network namespaces, so no wire");
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(netns, 64, "%.63s", d->d_name);
		if (!shell("ip -n %s link show dev %s type veth 2>/dev/null | grep -q .",
			   netns, name)) {
			closedir(dir);
			return;
		}
	}
	skip("%s is not on a veth", nic->name);
}

static char ns[2][64], ifname[2][64];

static void netem(const char *what)
{
	if (!*ns[0]) {
		wire_end(&p.na, ns[0], ifname[0]);
		wire_end(&p.nb, ns[1], ifname[1]);
	}
	if (!what)
		shell("tc -n %s qdisc del dev %s root 2>/dev/null; "
		      "tc -n %s qdisc del dev %s root 2>/dev/null",
		      ns[0], ifname[0], ns[1], ifname[1]);
	else if (shell("tc -n %s qdisc replace dev %s root netem limit 5000 %s && "
		       "tc -n %s qdisc replace dev %s root netem limit 5000 %s",
		       ns[0], ifname[0], what, ns[1], ifname[1], what))
		skip("no netem");
}

static void setup(uint8_t timeout)
{
	struct qp_opt opt = opt_rc;

	opt.timeout = timeout;
	pair_open(&p, &opt);
	/* What a case that failed has left. */
	netem(NULL);
	buf_new(&l, DEPTH * 4 * PAGE);
	buf_new_cold(&r, DEPTH * 4 * PAGE);
	buf_reg(&l, &p.na, ACCESS_ALL);
	buf_reg(&r, &p.nb, ACCESS_ALL);
}

static void teardown(void)
{
	netem(NULL);
	buf_check(&l, "local memory");
	buf_check(&r, "remote memory");
	buf_free(&l);
	buf_free(&r);
	pair_close(&p);
}

/* Sources in the first half of l's slots, results in the second. */
static unsigned int one(int k)
{
	size_t slot = 4 * PAGE, len = rnd_range(1, 2 * PAGE - 200);
	size_t lo = k * slot + rnd_range(0, 99);
	size_t ro = k * slot + rnd_range(0, 99);
	uint64_t old, v = rnd(), new;
	struct wr w;

	switch (rnd_range(0, 3)) {
	case 0:
		q_rdma(&p.a, IBV_WR_RDMA_WRITE, k, &l, lo, &r, ro, len);
		buf_moved(&r, ro, &l, lo, len);
		return 0;
	case 1:
		lo += 2 * PAGE;
		q_rdma(&p.a, IBV_WR_RDMA_READ, k, &l, lo, &r, ro, len);
		buf_moved(&l, lo, &r, ro, len);
		return 0;
	case 2:
		/* An atomic done twice would show. */
		lo += 2 * PAGE;
		ro = (ro + 7) & ~7ul;
		memcpy(&old, r.want + ro, 8);
		new = old + v;
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, k);
		wr_sge(&w, &l, lo, 8);
		wr_atomic(&w, &r, ro, v, 0);
		wr_post(&p.a, &w);
		buf_holds(&l, lo, &old, 8);
		buf_holds(&r, ro, &new, 8);
		return 0;
	default:
		ro += 2 * PAGE;
		q_recv(&p.b, k, &r, ro, len);
		q_send(&p.a, k, &l, lo, len);
		buf_moved(&r, ro, &l, lo, len);
		return 1;
	}
}

static void traffic(unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		bool sent[DEPTH];

		for (int k = 0; k < DEPTH; k++)
			sent[k] = one(k);
		for (int k = 0; k < DEPTH; k++)
			wc_ok(p.a.scq, k);
		for (int k = 0; k < DEPTH; k++)
			if (sent[k])
				wc_ok(p.b.rcq, k);
		buf_check(&l, "local memory");
		buf_check(&r, "remote memory");
	}
}

static void with(const char *what, unsigned int rounds)
{
	/* 8.4 ms: long for this wire, short for the test. */
	setup(11);
	netem(what);
	traffic(rounds);
	teardown();
}

static void lost(void)
{
	with("loss 5%", 8);
}

static void doubled(void)
{
	with("duplicate 20%", 6);
}

static void reordered(void)
{
	with("delay 2ms reorder 75% gap 3", 5);
}

static void lost_doubled_reordered(void)
{
	with("delay 1ms reorder 80% gap 4 loss 3% duplicate 5%", 6);
}

/* netem flips a bit: the check sums find it. */
static void corrupted(void)
{
	with("corrupt 5%", 6);
}

/* A break in the wire shorter than the retries is only a delay. */
static void short_break(void)
{
	/* 0.5 s, seven times: longer than two calls of tc, however slow. */
	setup(17);
	for (int i = 0; i < 2; i++) {
		bool sent = false;

		netem("loss 100%");
		sent = one(0);
		sleep_ms(25);
		netem(NULL);
		wc_ok(p.a.scq, 0);
		if (sent)
			wc_ok(p.b.rcq, 0);
		buf_check(&r, "remote memory");
	}
	teardown();
}

/* And one that lasts is an error. */
static void long_break(void)
{
	setup(11);
	netem("loss 100%");
	q_rdma(&p.a, IBV_WR_RDMA_WRITE, 1, &l, 3, &r, 5, 3001);
	wc_expect(p.a.scq, 1, IBV_WC_RETRY_EXC_ERR);
	netem(NULL);
	teardown();
}

/* Last: what a case that failed has left would trouble the programs after this. */
static void whole_again(void)
{
	setup(17);
	traffic(2);
	teardown();
}

TEST_MAIN(CASE(lost), CASE(doubled), CASE(reordered), CASE(lost_doubled_reordered),
	  CASE(corrupted), CASE(short_break), CASE(long_break), CASE(whole_again))
