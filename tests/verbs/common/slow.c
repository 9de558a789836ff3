// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "slow.h"
#include "test.h"

static void give(struct slow *s, size_t off, size_t len)
{
	struct uffdio_copy copy = {
		/* From the copy of what it held before: the shadow may be ahead. */
		.src = (uintptr_t)s->slow.want + s->slow.size + off,
		.dst = (uintptr_t)s->slow.map + off,
		.len = len,
	};

	check(!ioctl(s->uffd, UFFDIO_COPY, &copy) || errno == EEXIST, "UFFDIO_COPY: %s",
	      strerror(errno));
}

void slow_bring(struct slow *s, size_t first, size_t n)
{
	give(s, first * PAGE, n * PAGE);
}

static void wait_to_serve(struct slow *s)
{
	uint64_t asked = now_ms();

	while (!s->serve && !s->over) {
		sleep_ms(1);
		if (s->late && now_ms() - asked >= s->late)
			s->serve = true;
	}
}

static void *server(void *arg)
{
	struct slow *s = arg;
	struct pollfd pfd = { .fd = s->uffd, .events = POLLIN };
	struct uffd_msg msg;

	while (!s->over) {
		poll(&pfd, 1, 10);
		if (read(s->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		s->asked++;
		wait_to_serve(s);
		if (!s->over)
			give(s, (msg.arg.pagefault.address & ~(PAGE - 1)) -
			     (uintptr_t)s->slow.map, PAGE);
	}
	return NULL;
}

bool slow_ours(const char *dev)
{
	return !strncmp(dev, "rxo", 3);
}

void slow_open(struct slow *s, const struct qp_opt *opt, bool remote_is_slow)
{
	const enum mr_mode mode = cfg.mode;
	struct qp_opt impatient = opt_rc;

	need_odp();
	memset(s, 0, sizeof(*s));
	/* What another driver does with ODP is not ours to test. */
	if (!slow_ours(cfg.dev) || !slow_ours(cfg.peer))
		cfg.mode = MODE_PINNED;
	impatient.timeout = 14;
	impatient.retry = 2;
	pair_open(&s->p, opt ?: &impatient);
	buf_new(&s->slow, SLOW_PAGES * PAGE);
	s->uffd = buf_withhold(&s->slow, O_CLOEXEC | O_NONBLOCK);
	/* Twice the shadow: the second half keeps what the pages are served from. */
	s->slow.want = realloc(s->slow.want, 2 * s->slow.size);
	check(s->slow.want, "no memory");
	memcpy(s->slow.want + s->slow.size, s->slow.want, s->slow.size);
	buf_new(&s->fast, SLOW_PAGES * PAGE);
	buf_reg(&s->fast, remote_is_slow ? &s->p.na : &s->p.nb, ACCESS_ALL);
	cfg.mode = mode;
	buf_reg(&s->slow, remote_is_slow ? &s->p.nb : &s->p.na, ACCESS_ALL);
	s->l = remote_is_slow ? &s->fast : &s->slow;
	s->r = remote_is_slow ? &s->slow : &s->fast;
	check(!pthread_create(&s->thread, NULL, server, s), "pthread_create");
}

void slow_close(struct slow *s)
{
	buf_check(&s->fast, "fast memory");
	buf_check(&s->slow, "slow memory");
	s->over = true;
	pthread_join(s->thread, NULL);
	close(s->uffd);
	buf_free(&s->fast);
	buf_free(&s->slow);
	pair_close(&s->p);
}

void slow_await_asked(struct slow *s)
{
	for (uint64_t end = now_ms() + WAIT_MS; !s->asked;) {
		check(now_ms() < end, "no page was asked for");
		sleep_ms(1);
	}
}
