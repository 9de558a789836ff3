// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nth.h"
#include "test.h"

#define DEBUGFS "/sys/kernel/debug/"
/* More allocations than any call has. */
#define NTH_MAX 200000
/* How many a storm may make fail, so that we can see how many did. */
#define STORM_TIMES "1000000"

static int nth_fd = -1;

static void put_all(const char *file, const char *text)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		file_put(text, DEBUGFS "%s/%s", kinds[i], file);
}

void nth_open(void)
{
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0 || access(DEBUGFS "failslab", F_OK))
		skip("this kernel cannot make allocations fail");
	/* By itself nothing fails; what does may sleep, and says nothing. */
	put_all("probability", "0");
	put_all("ignore-gfp-wait", "N");
	/* Whoever allocates: a storm before us has left its module here. */
	put_all("require-start", "0");
	put_all("require-end", "0xffffffffffffffff");
	put_all("verbose", "0");
	file_put("0", DEBUGFS "fail_page_alloc/min-order");
	file_put("N", DEBUGFS "fail_page_alloc/ignore-gfp-highmem");
	file_put("0", DEBUGFS "fail_usercopy/verbose");
}

static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	/* The failure that is armed may be met right here. */
	while (pwrite(nth_fd, text, len, 0) != len)
		check(errno == EFAULT, "fail-nth: %s", strerror(errno));
}

/* Has the armed failure happened? Not if it happens to our asking. */
static bool disarm(void)
{
	char text[16] = "";
	ssize_t len = pread(nth_fd, text, sizeof(text) - 1, 0);

	check(len > 0 || errno == EFAULT, "fail-nth: %s", strerror(errno));
	arm(0);
	return len > 0 && !strtoul(text, NULL, 10);
}

static bool is_clean(const struct nth_call *c, int err)
{
	/* libibverbs guesses why it could not open a device. */
	if (c->any_errno)
		return err;
	return err == ENOMEM || err == EFAULT || err == ENOBUFS || err == EAGAIN;
}

void nth_sweep(const struct nth_call *c)
{
	unsigned int n, runs = 0, errors = 0;
	bool happened;
	int err;

	for (n = 1; n < NTH_MAX; n += 1 + (c->sparse ? rnd_range(0, 3 * n) : 0)) {
		if (c->prepare)
			c->prepare();
		arm(n);
		err = c->call();
		happened = disarm();
		if (!happened)
			check(!err, "%s fails by itself: %s", c->name, strerror(err));
		check(!err || is_clean(c, err), "%s, failure %u: %s", c->name, n,
		      strerror(err));
		check(!err || !c->may_not_fail, "%s, failure %u is not coped with: %s",
		      c->name, n, strerror(err));
		errors += !!err;
		runs += happened;
		if (c->undo)
			c->undo(err);
		if (!happened)
			break;
	}
	check(n < NTH_MAX, "%s still meets failure %u", c->name, n);
	check(runs || c->bare, "%s met no failure", c->name);
	printf("## %-22s %3u failures, %3u errors, %3u coped with\n", c->name, runs, errors,
	       runs - errors);
	fflush(stdout);
}

/* Where the code of @module lies. */
static void module_range(const char *module, unsigned long *start, unsigned long *end)
{
	char line[512], name[64];
	unsigned long at, size;
	FILE *f = fopen("/proc/modules", "r");
	bool found = false;

	check(f, "/proc/modules: %s", strerror(errno));
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%63s %lu %*s %*s %*s 0x%lx", name, &size, &at) == 3 &&
			!strcmp(name, module);
	fclose(f);
	check(found, "no module %s", module);
	*start = at;
	*end = at + size;
}

void nth_storm(const char *module, unsigned int percent)
{
	unsigned long start, end;
	char text[32];

	module_range(module, &start, &end);
	snprintf(text, sizeof(text), "0x%lx", start);
	put_all("require-start", text);
	snprintf(text, sizeof(text), "0x%lx", end);
	put_all("require-end", text);
	put_all("times", STORM_TIMES);
	put_all("interval", "1");
	snprintf(text, sizeof(text), "%u", percent);
	put_all("probability", text);
}

static unsigned int failed;

void nth_calm(void)
{
	static const char *const files[] = { DEBUGFS "failslab/times",
					     DEBUGFS "fail_page_alloc/times" };
	char text[32];
	FILE *f;

	put_all("probability", "0");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		f = fopen(files[i], "r");
		check(f && fgets(text, sizeof(text), f), "%s: %s", files[i],
		      strerror(errno));
		fclose(f);
		failed += atol(STORM_TIMES) - atol(text);
	}
}

unsigned int nth_storms_failed(void)
{
	return failed;
}
