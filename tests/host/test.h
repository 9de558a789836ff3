/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Harness of the host tests. A failed check is told with its place and values
 * and counted; the program goes on and exits 1 in the end.
 */
#ifndef TEST_H
#define TEST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "host_types.h"

/* So that a check that fails in a loop does not bury the first failure. */
#define TEST_MAX_TOLD 20

static unsigned long test_checks;
static unsigned long test_failures;

#define check_eqf(got, want, fmt, ...) \
	do { \
		unsigned long long got_ = (unsigned long long)(got); \
		unsigned long long want_ = (unsigned long long)(want); \
		\
		test_checks++; \
		if (got_ != want_) \
			test_fail(__FILE__, __LINE__, \
				  "%s is %llu (0x%llx), not %llu (0x%llx)" fmt, \
				  #got, got_, got_, want_, want_, \
				  ##__VA_ARGS__); \
	} while (0)

#define check_eq(got, want) check_eqf(got, want, "")

#define checkf(cond, fmt, ...) \
	do { \
		test_checks++; \
		if (!(cond)) \
			test_fail(__FILE__, __LINE__, "%s" fmt, #cond, \
				  ##__VA_ARGS__); \
	} while (0)

#define check(cond) checkf(cond, "")

#define check_mem(got, want, len) \
	test_check_mem(__FILE__, __LINE__, #got, got, want, len)

__attribute__((format(printf, 3, 4)))
static inline void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (++test_failures > TEST_MAX_TOLD)
		return;
	printf("%s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static inline void test_check_mem(const char *file, int line, const char *what,
				  const void *got, const void *want, size_t len)
{
	const u8 *g = got, *w = want;
	size_t i;

	test_checks++;
	for (i = 0; i < len; i++) {
		if (g[i] == w[i])
			continue;
		test_fail(file, line, "%s[%zu] is 0x%02x, not 0x%02x", what, i,
			  g[i], w[i]);
		return;
	}
}

static u64 test_random_state;

/* Splitmix64: any seed will do, 0 included. */
static inline u64 rnd64(void)
{
	u64 z = test_random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* A number below @n, which is not 0. */
static inline u32 rnd(u32 n)
{
	return rnd64() % n;
}

/* Begin random testing; SEED=n in the environment repeats a run. */
static inline void test_seed(void)
{
	const char *env = getenv("SEED");
	struct timespec now;

	if (env) {
		test_random_state = strtoull(env, NULL, 0);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		test_random_state = (u64)now.tv_sec * 1000000007 + now.tv_nsec;
	}
	printf("SEED=%llu\n", (unsigned long long)test_random_state);
	fflush(stdout);
}

/*
 * Bytes in a heap block of their very size: a read past them is a report of
 * the address sanitizer.
 */
static inline void *test_exact(const void *bytes, size_t len)
{
	void *p = malloc(len);

	if (!p && len) {
		perror("malloc");
		exit(1);
	}
	if (len)
		memcpy(p, bytes, len);
	return p;
}

static inline int test_done(void)
{
	printf("%lu checks, %lu failed\n", test_checks, test_failures);
	return test_failures || !test_checks;
}

#endif /* TEST_H */
