// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The life of a worker. See worker.h.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "event.h"
#include "flow.h"
#include "test.h"
#include "worker.h"

#define EVENTERS 2

struct worker worker;
struct torture *torture;
bool may_lose, may_go;
unsigned int hang_ms;

static struct flow flow[FLOWS];
static uint64_t stream;
static pthread_t watcher;

static const enum ibv_qp_type types[FLOWS] = {
	IBV_QPT_RC, IBV_QPT_UC, IBV_QPT_UD, IBV_QPT_RC, IBV_QPT_RC,
};

static bool device_there(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s", name);
	return !access(path, F_OK);
}

static bool devices_gone(void)
{
	return worker.gone || !device_there(cfg.dev) || !device_there(cfg.peer);
}

/* Something failed: because a device goes, as it may? It may not be all gone yet. */
static void excuse(void)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (!devices_gone()) {
		if (now_ms() > end)
			return;
		sleep_ms(10);
	}
	if (pthread_equal(pthread_self(), watcher))
		_exit(EXIT_GONE);
	worker.gone = worker.end = true;
	pthread_exit(NULL);
}

void worker_end_if_gone(void)
{
	if (!worker.gone)
		return;
	/* Another one has found what nothing excuses, and is about to say so. */
	while (!test_excuse)
		pause();
	excuse();
}

static void *run_flow(void *arg)
{
	struct flow *f = arg;

	rnd_stream(stream + 1 + f->index);
	while (!worker.end) {
		flow_batch(f);
		if (rnd_range(0, 1))
			flow_check(f);
		if (!rnd_range(0, 2))
			change_one(f);
	}
	return NULL;
}

static void *run_events(void *arg)
{
	rnd_stream(stream + 1 + FLOWS + (uintptr_t)arg);
	while (!worker.end) {
		struct area *a = &flow[rnd_range(0, FLOWS - 1)].area[rnd_range(0, 1)];

		/* Who changes it holds the lock for long at times. */
		if (!pthread_mutex_trylock(&a->lock)) {
			event_one(a);
			pthread_mutex_unlock(&a->lock);
		}
		sleep_ms(rnd_range(0, 4));
	}
	return NULL;
}

/* Links go down and come back; and denied operations have their events. */
static void watch_events(struct nic *nic)
{
	struct ibv_async_event ev;

	while (!event_poll(nic, &ev, 0)) {
		switch (ev.event_type) {
		case IBV_EVENT_DEVICE_FATAL:
			check(may_go, "%s has gone", nic->name);
			worker.gone = true;
			return;
		case IBV_EVENT_QP_FATAL:
		case IBV_EVENT_QP_REQ_ERR:
		case IBV_EVENT_QP_ACCESS_ERR:
		case IBV_EVENT_COMM_EST:
			break;
		case IBV_EVENT_PORT_ERR:
		case IBV_EVENT_PORT_ACTIVE:
		case IBV_EVENT_GID_CHANGE:
			check(may_lose || may_go, "event \"%s\"",
			      ibv_event_type_str(ev.event_type));
			break;
		default:
			fail("event \"%s\"", ibv_event_type_str(ev.event_type));
		}
	}
}

static void join(pthread_t thread, const char *what)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 2 * hang_ms / 1000;
	check(!pthread_timedjoin_np(thread, NULL, &end), "worker %u: a thread of %s hangs",
	      worker.index, what);
}

static void __attribute__((noreturn)) leave(void)
{
	if (worker.gone) {
		test_excuse = NULL;
		/* Nobody writes any more. What was written is right. */
		for (int i = 0; i < FLOWS; i++) {
			area_open_up(&flow[i].area[0]);
			area_open_up(&flow[i].area[1]);
			flow_settle(&flow[i]);
			flow_check(&flow[i]);
		}
		_exit(EXIT_GONE);
	}
	for (int i = 0; i < FLOWS; i++)
		flow_close(&flow[i]);
	nic_close(&worker.nic[0]);
	nic_close(&worker.nic[1]);
	_exit(0);
}

void worker_run(unsigned int index, uint64_t numbers)
{
	pthread_t flows[FLOWS], eventers[EVENTERS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker.index = index;
	watcher = pthread_self();
	stream = numbers;
	rnd_stream(stream);
	if (may_go)
		test_excuse = excuse;
	nic_open(&worker.nic[0], cfg.dev);
	nic_open(&worker.nic[1], cfg.peer);
	for (int i = 0; i < FLOWS; i++)
		flow_open(&flow[i], i, types[i]);
	for (int i = 0; i < FLOWS; i++)
		check(!pthread_create(&flows[i], NULL, run_flow, &flow[i]), "thread");
	for (int i = 0; i < EVENTERS; i++)
		check(!pthread_create(&eventers[i], NULL, run_events, (void *)(uintptr_t)i),
		      "thread");
	torture->worker[index].up = true;
	while (!__atomic_load_n(&torture->stop, __ATOMIC_RELAXED) && !worker.gone) {
		watch_events(&worker.nic[0]);
		watch_events(&worker.nic[1]);
		if (may_go && devices_gone())
			worker.gone = true;
		sleep_ms(20);
	}
	worker.end = true;
	for (int i = 0; i < FLOWS; i++)
		join(flows[i], "traffic");
	for (int i = 0; i < EVENTERS; i++)
		join(eventers[i], "events");
	leave();
}
