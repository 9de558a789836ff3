// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The module's parameter "local_bypass": packets to this host's own addresses pass by the
 * IP stack or go through it, and nobody can tell but by the counter.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "traffic.h"

#define PARAMETER "/sys/module/rxe_odp/parameters/local_bypass"

static struct pair p;
static struct traffic t;

static long counted(const char *name)
{
	return hw_counter(cfg.dev, name);
}

static void run(void *arg)
{
	void (*fn)(void) = arg;

	pair_open(&p, NULL);
	traffic_open(&t, &p);
	fn();
	traffic_close(&t);
	pair_close(&p);
}

/*
 * In a child, so that the parameter is as it was whatever becomes of @fn; it begins with Y,
 * should a case have been killed before it was.
 */
static void on_one_host(void (*fn)(void))
{
	int status;

	if (access(PARAMETER, W_OK))
		skip("another driver");
	cfg.peer = cfg.dev;
	file_put("Y", PARAMETER);
	status = in_child(run, fn);
	file_put("Y", PARAMETER);
	if (status)
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void bypassing(void)
{
	long sent = counted("sent_pkts"), locally = counted("sent_locally");

	for (int i = 0; i < 4; i++)
		traffic_round(&t);
	sent = counted("sent_pkts") - sent;
	locally = counted("sent_locally") - locally;
	check(sent && sent == locally, "%ld packets, %ld of them past the stack", sent,
	      locally);
}

static void past_the_stack(void)
{
	on_one_host(bypassing);
}

static void not_bypassing(void)
{
	long sent = counted("sent_pkts"), locally = counted("sent_locally");

	file_put("N", PARAMETER);
	for (int i = 0; i < 4; i++)
		traffic_round(&t);
	check(counted("sent_pkts") > sent, "nothing was sent");
	check(counted("sent_locally") == locally, "%ld packets past the stack",
	      counted("sent_locally") - locally);
}

static void through_the_stack(void)
{
	on_one_host(not_bypassing);
}

static volatile bool over;

static void *switcher(void *arg)
{
	(void)arg;
	for (int i = 0; !over; i++) {
		file_put(i & 1 ? "Y" : "N", PARAMETER);
		sleep_ms(1);
	}
	return NULL;
}

/* Packets of both ways overtake each other, as on any wire. */
static void switching(void)
{
	long sent = counted("sent_pkts"), locally = counted("sent_locally");
	pthread_t thread;

	check(!pthread_create(&thread, NULL, switcher, NULL), "pthread_create");
	for (int i = 0; i < 12; i++)
		traffic_round(&t);
	over = true;
	pthread_join(thread, NULL);
	sent = counted("sent_pkts") - sent;
	locally = counted("sent_locally") - locally;
	check(locally && locally < sent, "%ld of %ld packets went past the stack", locally,
	      sent);
}

static void switched_meanwhile(void)
{
	on_one_host(switching);
}

TEST_MAIN(CASE(past_the_stack), CASE(through_the_stack), CASE(switched_meanwhile))
