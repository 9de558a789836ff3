/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What every test program shares that knows nothing of RDMA: arguments,
 * cases, verdicts and random numbers.
 *
 * A program is a list of cases. Each case runs in a child process of its own,
 * so a failed check ends that case alone and the kernel takes down whatever
 * the case had open. The random generator is seeded from the program's seed
 * and the case's name: a case run by itself sees the same numbers.
 *
 * Lines that begin with # are for those who watch (run -v), with ## for all.
 *
 * Exit status: 0 every case passed, 1 some failed, 77 all were skipped.
 */
#ifndef TESTS_VERBS_TEST_H
#define TESTS_VERBS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define EXIT_SKIP 77

/* A wait for an event that must come; generous, since TCG is slow. */
#define WAIT_MS 15000
/* How long to look for something that must not come. */
#define QUIET_MS 150

enum mr_mode { MODE_PINNED, MODE_ODP, MODE_IMPLICIT };

struct test_config {
	const char *dev;	/* device of side a */
	const char *peer;	/* device of side b, the same one by default */
	bool v6;
	enum mr_mode mode;
	uint64_t seed;
	int limit;		/* seconds a case may take */
	unsigned int seconds;	/* of a case that goes on until told to end */
	uint64_t count;		/* steps after which it ends before that, 0: none */
};

extern struct test_config cfg;

struct test_case {
	const char *name;
	void (*run)(void);
};

int test_main(int argc, char **argv, const struct test_case *cases, size_t n);

#define CASE(fn) { #fn, fn }
#define TEST_MAIN(...)							\
	int main(int argc, char **argv)					\
	{								\
		static const struct test_case cases[] = { __VA_ARGS__ };\
									\
		return test_main(argc, argv, cases, ARRAY_SIZE(cases));	\
	}

/* Undoes outside of the process what a case that did not come to its end has left; or NULL. */
extern void (*test_mend)(void);

/* End the case with a verdict. Both may be called from any thread. */
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void test_skip(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

#define fail(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define skip(...) test_skip(__VA_ARGS__)
#define check(cond, ...)						\
	do {								\
		if (!(cond))						\
			fail(__VA_ARGS__);				\
	} while (0)

/*
 * Who sets it is called first when a check fails or something is not there, in its
 * thread: where that is what must be, it does not return.
 */
extern void (*volatile test_excuse)(void);

/* Random numbers: reproducible by SEED=, and not shared between threads. */
uint64_t rnd(void);
/* This thread draws from @stream of the case from now on, whichever thread it is. */
void rnd_stream(uint64_t stream);
uint64_t rnd_range(uint64_t lo, uint64_t hi);	/* both ends included */
void rnd_fill(void *p, size_t n);

uint64_t now_ms(void);
void sleep_ms(unsigned int ms);

/*
 * Run @fn(@arg) in a forked child and hand back its wait status. The child
 * ends by test_fail()/test_skip() or by returning.
 */
int in_child(void (*fn)(void *arg), void *arg);

/* A forked child that runs @fn, which does not return, and has written a byte to @ready. */
pid_t child_ready(void (*fn)(int ready));
/* A forked child that has to die now: wait for it, or kill it first. */
void child_await(pid_t pid);
void child_kill(pid_t pid);
/* A child has given up before its time: end as it did; it has said why. */
void child_verdict(pid_t pid) __attribute__((noreturn));

/* Write @text to a file of the kernel's. */
void file_put(const char *text, const char *path, ...)
	__attribute__((format(printf, 2, 3)));

/* Has one of its lines this @text in it? */
bool file_has(const char *text, const char *path, ...)
	__attribute__((format(printf, 2, 3)));

/* Run a shell command; its exit status, -1 if it could not be run. */
int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One of our own, with all its checks: give time-outs of a few ms more time. */
bool slow_kernel(void);

/* The letter that /proc has for a process's state, '?' if it is gone. */
char proc_state(int pid);

/* A number of /proc/self/status or another "Name: value kB" file. */
long proc_value(const char *path, const char *name);

/* The number behind @name in a list of names and numbers, or -1. */
long list_value(const char *path, const char *name);
/* A number of /proc/vmstat; 0 if it has none of this name. */
long proc_vmstat(const char *name);

#endif
