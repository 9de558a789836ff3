// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the driver has. See left.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "left.h"
#include "test.h"

/* Lines of a file of @dev in debugfs that do not begin with @head. */
static unsigned int objects(const char *dev, const char *file, const char *head)
{
	char path[256], line[512];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/rxe_odp/%s/%s", dev, file);
	f = fopen(path, "r");
	if (!f)
		skip("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f))
		n += !!strncmp(line, head, strlen(head));
	fclose(f);
	return n;
}

/* The kernel's memory for rings is named after the function that takes it. */
static unsigned int rings(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "r");
	unsigned int n = 0;
	char line[512];

	if (!f)
		skip("/proc/vmallocinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		n += !!strstr(line, "rxo_ring_init");
	fclose(f);
	return n;
}

void left_now(struct left *l)
{
	const char *const dev[] = { cfg.dev, cfg.peer };

	memset(l, 0, sizeof(*l));
	for (int i = 0; i < (strcmp(dev[0], dev[1]) ? 2 : 1); i++) {
		l->qps += objects(dev[i], "qps", "-");
		l->mrs += objects(dev[i], "mrs", "key ");
	}
	l->rings = rings();
}

void left_await(const struct left *before)
{
	uint64_t end = now_ms() + WAIT_MS;
	struct left l;

	for (;;) {
		left_now(&l);
		if (!memcmp(&l, before, sizeof(l)))
			return;
		check(now_ms() < end, "left over: %d QPs, %d MRs, %d rings",
		      (int)(l.qps - before->qps), (int)(l.mrs - before->mrs),
		      (int)(l.rings - before->rings));
		sleep_ms(10);
	}
}
