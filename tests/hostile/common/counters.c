// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The devices' counters. See counters.h.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "ep.h"
#include "test.h"

static uint64_t *counter(struct counters *c, const char *name)
{
	unsigned int i;

	for (i = 0; i < c->n && strcmp(c->name[i], name); i++)
		;
	if (i == c->n) {
		check(c->n < MAX_COUNTERS, "too many counters");
		snprintf(c->name[c->n++], sizeof(c->name[0]), "%.31s", name);
		c->value[i] = 0;
	}
	return &c->value[i];
}

static void add(struct counters *c, const char *dev)
{
	char path[128];
	struct dirent *d;
	DIR *dir;
	long v;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%d/hw_counters",
		 dev, PORT);
	dir = opendir(path);
	check(dir, "%s: %s", path, strerror(errno));
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.' || !strcmp(d->d_name, "lifespan"))
			continue;
		v = hw_counter(dev, d->d_name);
		check(v >= 0, "%s of %s cannot be read", d->d_name, dev);
		*counter(c, d->d_name) += v;
	}
	closedir(dir);
}

void counters_read(struct counters *c)
{
	/* The kernel hands out the same values for 10 ms. */
	sleep_ms(20);
	c->n = 0;
	add(c, cfg.dev);
	if (strcmp(cfg.dev, cfg.peer))
		add(c, cfg.peer);
}

static uint64_t delta(const struct counters *before, struct counters *now,
		      const char *name)
{
	unsigned int i;

	for (i = 0; i < before->n && strcmp(before->name[i], name); i++)
		;
	check(i < before->n, "there is no counter %s", name);
	return *counter(now, name) - before->value[i];
}

uint64_t counters_delta(const struct counters *before, const char *name)
{
	struct counters now;

	counters_read(&now);
	return delta(before, &now, name);
}

void counters_print(const struct counters *before)
{
	struct counters now;
	char line[4096] = "# counters:";
	size_t n = strlen(line);

	counters_read(&now);
	for (unsigned int i = 0; i < before->n; i++) {
		uint64_t d = delta(before, &now, before->name[i]);

		if (d && n < sizeof(line))
			n += snprintf(line + n, sizeof(line) - n, " %s %" PRIu64,
				      before->name[i], d);
	}
	printf("%s\n", line);
}

const char *counters_missed(const struct counters *before, const char *const *names)
{
	struct counters now;

	counters_read(&now);
	while (*names && delta(before, &now, *names))
		names++;
	return *names;
}

void counters_reached(const struct counters *before, const char *const *names)
{
	const char *missed = counters_missed(before, names);

	check(!missed, "nothing was counted as %s: the packets do not get there", missed);
}
