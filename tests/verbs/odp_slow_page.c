// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A page that takes a millisecond, a tenth of a second or three seconds to come, on
 * either side of every operation, and a requester whose ACK timeout is an ordinary one
 * or far too short. With the first nothing times out and nothing is sent twice, by the
 * counters; with the second all ends well, and they tell what it took.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"
#include "slow.h"
#include "stall.h"
#include "test.h"

#define LEN (3 * PAGE + 99)
#define ORDINARY 14	/* 67 ms */
#define HURRY 8		/* 1 ms */

/*
 * A kernel that checks itself is ten times slower. In a greater hurry it is kept busy
 * with what is sent again, and who sends again for that.
 */
#define SLOW_ORDINARY 16
#define SLOW_HURRY 14

#define TRIES 3
#define EXIT_AGAIN 99

enum { WRITE = 1, SEND = 2, ATOMIC = 4, READ = 8, OPS = 4, ALL = 15 };

struct row {
	unsigned int ops;
	bool remote;		/* is slow, else the local side */
	unsigned int midst;	/* only this page is, and what surrounds it is there; 0: all */
	unsigned int ms;
	uint8_t timeout, retry;
	uint8_t peer_timeout;	/* 0: the same */
};

/* One operation on a connection of its own. */
struct flow {
	struct slow s;
	unsigned int op;
	const char *name;
	size_t l_at, r_at, len;
	uint64_t add;
	bool done;
};

static struct flow flows[OPS];
static unsigned int n_flows;

static void flow_open(const struct row *row, unsigned int op, const char *name)
{
	struct flow *f = &flows[n_flows++];
	struct qp_opt opt = opt_rc;
	struct slow *s = &f->s;

	opt.timeout = row->timeout;
	opt.retry = row->retry;
	slow_open(s, &opt, row->remote);
	if (row->peer_timeout) {
		ep_destroy(&s->p.b);
		opt.timeout = row->peer_timeout;
		ep_create(&s->p.b, &s->p.nb, &opt);
		ep_set_state(&s->p.a, IBV_QPS_RESET);
		ep_join(&s->p.a, &s->p.b);
	}
	f->op = op;
	f->name = name;
	f->l_at = rnd_range(0, PAGE - 1) | 1;
	f->r_at = rnd_range(0, PAGE - 1) | 1;
	if (op == ATOMIC)
		f->r_at &= ~7ul;
	f->add = rnd();
	s->late = row->ms;
	f->len = LEN;
	if (row->midst) {
		f->len += (row->midst - 2) * PAGE;
		slow_bring(s, 0, row->midst);
		slow_bring(s, row->midst + 1, SLOW_PAGES - row->midst - 1);
		/* The device has what comes first, and so begins. */
		do_read(&s->p.a, s->l, 0, s->r, 0, 2 * PAGE);
	}
}

static void flow_post(struct flow *f)
{
	struct slow *s = &f->s;
	struct wr w;

	switch (f->op) {
	case WRITE:
	case READ:
		q_rdma(&s->p.a, f->op == READ ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, 1,
		       s->l, f->l_at, s->r, f->r_at, f->len);
		break;
	case SEND:
		q_recv(&s->p.b, 2, s->r, f->r_at, f->len);
		q_send(&s->p.a, 1, s->l, f->l_at, f->len);
		break;
	case ATOMIC:
		wr_init(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, 1);
		wr_sge(&w, s->l, f->l_at, 8);
		wr_atomic(&w, s->r, f->r_at, f->add, 0);
		wr_post(&s->p.a, &w);
		break;
	}
}

/* An atomic is done once, however often it was asked for. */
static void flow_moved(struct flow *f)
{
	struct slow *s = &f->s;
	uint64_t old, new;

	switch (f->op) {
	case SEND:
		wc_ok(s->p.b.rcq, 2);
		/* fall through */
	case WRITE:
		buf_moved(s->r, f->r_at, s->l, f->l_at, f->len);
		break;
	case READ:
		buf_moved(s->l, f->l_at, s->r, f->r_at, f->len);
		break;
	case ATOMIC:
		memcpy(&old, s->r->want + f->r_at, 8);
		new = old + f->add;
		buf_holds(s->l, f->l_at, &old, 8);
		buf_holds(s->r, f->r_at, &new, 8);
		break;
	}
}

/* Each is done without an error, but not before its page is there. */
static void await_flows(void)
{
	uint64_t end = now_ms() + WAIT_MS;
	unsigned int left = n_flows;
	struct ibv_wc wc;

	while (left) {
		for (struct flow *f = flows; f < flows + n_flows; f++) {
			if (f->done || !wc_poll(f->s.p.a.scq, &wc, 0))
				continue;
			check(wc.status == IBV_WC_SUCCESS, "%s: %s", f->name,
			      ibv_wc_status_str(wc.status));
			check(f->s.asked && f->s.serve, "%s was done without its page",
			      f->name);
			f->done = true;
			left--;
		}
		check(now_ms() < end, "%u of %u are not done", left, n_flows);
		sleep_ms(1);
	}
}

static uint8_t ordinary(void)
{
	return slow_kernel() ? SLOW_ORDINARY : ORDINARY;
}

/* There is to be no time-out at all, else not one too many. */
static bool calm(const struct row *row)
{
	return row->timeout >= ordinary();
}

/* What either side must do in time, in ms, without a processor. */
static unsigned int patience(const struct row *row)
{
	unsigned long usec = (4096ul << row->timeout) / 1000;

	return (calm(row) ? usec / 2 : usec * (row->retry + 1)) / 1000;
}

static const struct row *trying;

static void excuse(void)
{
	if (stall_longest() >= patience(trying))
		_exit(EXIT_AGAIN);
}

static void once(void *arg)
{
	const struct row *row = arg;
	static const char *const names[OPS] = { "WRITE", "SEND", "ATOMIC", "READ" };
	long told, timeouts, again;

	trying = row;
	for (unsigned int i = 0; i < OPS; i++)
		if (row->ops & 1u << i)
			flow_open(row, 1u << i, names[i]);
	test_excuse = excuse;
	stall_watch();
	told = hw_counter(cfg.peer, "sent_keepalives");
	timeouts = hw_counter(cfg.dev, "timeouts");
	again = hw_counter(cfg.dev, "retransmits");
	for (unsigned int i = 0; i < n_flows; i++)
		flow_post(&flows[i]);
	await_flows();
	for (unsigned int i = 0; i < n_flows; i++)
		flow_moved(&flows[i]);
	for (unsigned int i = 0; i < n_flows; i++)
		slow_close(&flows[i].s);
	told = hw_counter(cfg.peer, "sent_keepalives") - told;
	if (row->remote && row->ms >= 100)
		check(told || !slow_ours(cfg.peer), "the peer is not told");
	/* Not all drivers count. */
	if (timeouts < 0)
		return;
	timeouts = hw_counter(cfg.dev, "timeouts") - timeouts;
	again = hw_counter(cfg.dev, "retransmits") - again;
	printf("## timeout %u, %s page after %u ms: %ld keepalives, %ld timeouts, %ld retransmits, stood still for %u ms\n",
	       row->timeout, row->remote ? "remote" : "local", row->ms, told, timeouts,
	       again, stall_longest());
	if (calm(row))
		check(!timeouts && !again, "%ld timeouts, %ld retransmits", timeouts, again);
}

/* Again where a processor stood still for so long that it proves nothing. */
static void try(struct row row)
{
	for (int i = 0; i < TRIES; i++) {
		int status = in_child(once, &row);

		check(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
		if (!WEXITSTATUS(status))
			return;
		if (WEXITSTATUS(status) != EXIT_AGAIN)
			_exit(WEXITSTATUS(status));
	}
	skip("%d times a processor stood still for %u ms or longer", TRIES, patience(&row));
}

static void patient(bool remote, unsigned int ms)
{
	try((struct row){ .ops = ALL, .remote = remote, .ms = ms, .timeout = ordinary(),
			  .retry = 7 });
}

static void hurried(unsigned int ops, bool remote, unsigned int ms, uint8_t peer_timeout)
{
	try((struct row){ .ops = ops, .remote = remote, .ms = ms,
			  .timeout = slow_kernel() ? SLOW_HURRY : HURRY, .retry = 7,
			  .peer_timeout = peer_timeout });
}

#define TIMES(ms)							\
	static void remote_##ms##_ms(void) { patient(true, ms); }	\
	static void local_##ms##_ms(void) { patient(false, ms); }	\
	static void remote_##ms##_ms_hurry(void) { hurried(ALL, true, ms, 0); }	\
	static void local_##ms##_ms_hurry(void) { hurried(ALL, false, ms, 0); }

TIMES(1)
TIMES(100)
TIMES(3000)

#define CASES(ms)							\
	CASE(remote_##ms##_ms), CASE(local_##ms##_ms),			\
	CASE(remote_##ms##_ms_hurry), CASE(local_##ms##_ms_hurry)

/* Nor does b know of a's hurry: it learns from a's asking again, and that is cheap. */
static void secret_hurry(void)
{
	long learnt = hw_counter(cfg.peer, "peers_in_a_hurry");

	hurried(WRITE, true, 900, 20);
	/* There a's hurry is no greater than what b expects of anybody. */
	if (learnt >= 0 && !slow_kernel())
		check(hw_counter(cfg.peer, "peers_in_a_hurry") > learnt,
		      "b has not noticed");
}

/* Not one time-out in the second it takes, whoever does not count them. */
static void without_a_retry(void)
{
	try((struct row){ .ops = SEND, .remote = true, .ms = 900, .timeout = 17 });
}

static void midst(void)
{
	try((struct row){ .ops = WRITE | SEND | READ, .remote = true, .midst = 2, .ms = 3000,
			  .timeout = ordinary(), .retry = 7 });
}

/* In a part of the message that is not waited for at once, but of a READ. */
static void far(void)
{
	try((struct row){ .ops = WRITE | SEND | READ, .remote = true, .midst = 100, .ms = 1000,
			  .timeout = ordinary(), .retry = 7 });
}

static void far_in_source(void)
{
	try((struct row){ .ops = WRITE | SEND | READ, .midst = 100, .ms = 1000,
			  .timeout = ordinary(), .retry = 0 });
}

/* What has gone out already waits for the rest, too. */
static void midst_of_source(void)
{
	try((struct row){ .ops = WRITE | SEND, .midst = 2, .ms = 3000,
			  .timeout = ordinary(), .retry = 0 });
}

TEST_MAIN(CASES(1), CASES(100), CASES(3000), CASE(secret_hurry), CASE(without_a_retry),
	  CASE(midst), CASE(midst_of_source), CASE(far), CASE(far_in_source))
