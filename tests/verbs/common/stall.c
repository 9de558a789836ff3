// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "stall.h"
#include "test.h"

static unsigned int longest[CPU_SETSIZE];

static void *watch(void *arg)
{
	unsigned int *mine = arg;
	uint64_t was = now_ms(), now;

	for (;; was = now) {
		sleep_ms(1);
		now = now_ms();
		if (now - was > *mine)
			__atomic_store_n(mine, now - was, __ATOMIC_RELAXED);
	}
	return NULL;
}

void stall_watch(void)
{
	cpu_set_t all, one;
	pthread_attr_t attr;
	pthread_t thread;

	check(!sched_getaffinity(0, sizeof(all), &all), "affinity: %s", strerror(errno));
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		check(!pthread_attr_init(&attr) &&
		      !pthread_attr_setaffinity_np(&attr, sizeof(one), &one) &&
		      !pthread_create(&thread, &attr, watch, &longest[cpu]),
		      "a thread on processor %u", cpu);
		pthread_attr_destroy(&attr);
	}
}

unsigned int stall_longest(void)
{
	unsigned int max = 0, ms;

	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		ms = __atomic_load_n(&longest[cpu], __ATOMIC_RELAXED);
		if (ms > max)
			max = ms;
	}
	return max;
}
