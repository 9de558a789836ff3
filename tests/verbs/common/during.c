// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <string.h>

#include "during.h"
#include "test.h"
#include "traffic.h"

static void *over_and_over(void *arg)
{
	struct during *d = arg;

	while (!d->stop) {
		d->fn(d->arg);
		d->times++;
	}
	return NULL;
}

void during_start(struct during *d, void (*fn)(void *arg), void *arg)
{
	memset(d, 0, sizeof(*d));
	d->fn = fn;
	d->arg = arg;
	check(!pthread_create(&d->thread, NULL, over_and_over, d), "pthread_create");
	while (!d->times)
		sleep_ms(1);
}

unsigned long during_stop(struct during *d)
{
	d->stop = true;
	pthread_join(d->thread, NULL);
	return d->times;
}

struct beside {
	void (*fn)(struct traffic *t);
	struct traffic t;
};

static void meddle(void *arg)
{
	struct beside *b = arg;

	b->fn(&b->t);
}

void during_traffic(void (*fn)(struct traffic *t), const char *hardly)
{
	struct beside b = { .fn = fn };
	struct during d;
	struct pair p;

	pair_open(&p, NULL);
	traffic_open(&b.t, &p);
	during_start(&d, meddle, &b);
	for (int i = 0; i < 25; i++)
		traffic_round(&b.t);
	check(during_stop(&d) > 5, "%s", hardly);
	traffic_close(&b.t);
	pair_close(&p);
}
