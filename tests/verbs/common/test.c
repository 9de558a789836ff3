// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Arguments, cases, verdicts and random numbers. See test.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stuck.h"
#include "test.h"

struct test_config cfg = {
	.mode = MODE_ODP,
	.limit = 60,
	.seconds = 10,
};

void (*volatile test_excuse)(void);

static const char *case_name = "?";
void (*test_mend)(void);

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000l };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* xoshiro256**, one state a thread, seeded by splitmix64. */
static __thread uint64_t state[4];
static __thread bool seeded;
static uint64_t case_seed;
static unsigned int thread_count;

static uint64_t splitmix(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static void rnd_seed(uint64_t s)
{
	for (size_t i = 0; i < ARRAY_SIZE(state); i++)
		state[i] = splitmix(&s);
	seeded = true;
}

void rnd_stream(uint64_t stream)
{
	rnd_seed(case_seed ^ splitmix(&stream));
}

uint64_t rnd(void)
{
	uint64_t r, t;

	if (!seeded)
		rnd_seed(case_seed + __atomic_add_fetch(&thread_count, 1,
							__ATOMIC_RELAXED));
	r = rotl(state[1] * 5, 7) * 9;
	t = state[1] << 17;
	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= t;
	state[3] = rotl(state[3], 45);
	return r;
}

uint64_t rnd_range(uint64_t lo, uint64_t hi)
{
	return lo + rnd() % (hi - lo + 1);
}

void rnd_fill(void *p, size_t n)
{
	uint8_t *b = p;

	for (; n >= 8; n -= 8, b += 8) {
		uint64_t v = rnd();

		memcpy(b, &v, 8);
	}
	if (n) {
		uint64_t v = rnd();

		memcpy(b, &v, n);
	}
}

static void vsay(const char *verdict, const char *where, const char *fmt,
		 va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s %s: ", verdict, case_name);

	n += vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	/* One write, so that lines of several processes do not mix. */
	dprintf(STDOUT_FILENO, "%s%s\n", line, where);
}

static void be_excused(void)
{
	void (*excuse)(void) = test_excuse;

	if (excuse)
		excuse();
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	char where[128];
	va_list ap;

	be_excused();
	snprintf(where, sizeof(where), " (%s:%d, SEED=%llu)",
		 strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line,
		 (unsigned long long)cfg.seed);
	va_start(ap, fmt);
	vsay("not ok", where, fmt, ap);
	va_end(ap);
	_exit(1);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	be_excused();
	va_start(ap, fmt);
	vsay("skip", "", fmt, ap);
	va_end(ap);
	_exit(EXIT_SKIP);
}

int in_child(void (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		check(errno == EINTR, "waitpid: %s", strerror(errno));
	return status;
}

int shell(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	status = system(cmd);
	return status < 0 || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

long proc_value(const char *path, const char *name)
{
	char line[256];
	size_t n = strlen(name);
	long v = -1;
	FILE *f = fopen(path, "r");

	check(f, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) && line[n] == ':')
			v = strtol(line + n + 1, NULL, 10);
	fclose(f);
	return v;
}

long list_value(const char *path, const char *name)
{
	char line[128], format[64];
	FILE *f = fopen(path, "r");
	long value = -1;

	check(f, "%s: %s", path, strerror(errno));
	snprintf(format, sizeof(format), "%s %%ld", name);
	while (value < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, format, &value) != 1)
			value = -1;
	fclose(f);
	return value;
}

long proc_vmstat(const char *name)
{
	long value = list_value("/proc/vmstat", name);

	return value < 0 ? 0 : value;
}

pid_t child_ready(void (*fn)(int ready))
{
	int ready[2];
	pid_t pid;
	char c;

	check(!pipe(ready), "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		fn(ready[1]);
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		child_verdict(pid);
	close(ready[0]);
	return pid;
}

void child_await(pid_t pid)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (!waitpid(pid, NULL, WNOHANG)) {
		check(now_ms() < end, "a killed process does not die");
		sleep_ms(1);
	}
}

void child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	child_await(pid);
}

void child_verdict(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid, "waitpid");
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

void file_put(const char *text, const char *path, ...)
{
	char name[256];
	va_list args;
	int fd;

	va_start(args, path);
	vsnprintf(name, sizeof(name), path, args);
	va_end(args);
	fd = open(name, O_WRONLY);
	check(fd >= 0, "%s: %s", name, strerror(errno));
	check(write(fd, text, strlen(text)) > 0, "%s to %s: %s", text, name,
	      strerror(errno));
	close(fd);
}

bool file_has(const char *text, const char *path, ...)
{
	char name[256], line[512];
	bool has = false;
	va_list args;
	FILE *f;

	va_start(args, path);
	vsnprintf(name, sizeof(name), path, args);
	va_end(args);
	f = fopen(name, "r");
	check(f, "%s: %s", name, strerror(errno));
	while (!has && fgets(line, sizeof(line), f))
		has = strstr(line, text);
	fclose(f);
	return has;
}

bool slow_kernel(void)
{
	const char *name = getenv("RXE_ODP_KERNEL");

	return name && strcmp(name, "stable") && strcmp(name, "backports");
}

char proc_state(int pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = '?';
		fclose(f);
	}
	return state;
}

/* The verdict of a case's process; it has printed its own line unless killed. */
static int case_wait(pid_t pid)
{
	uint64_t started = now_ms(), end = started + cfg.limit * 1000ull;
	bool killed = false;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_ms() > end && killed) {
			printf("not ok %s: cannot be killed\n", case_name);
			return 1;
		}
		if (now_ms() > end) {
			stuck_print(pid);
			kill(-pid, SIGKILL);
			killed = true;
			end += 15000;
		}
		sleep_ms(killed ? 20 : 2);
	}
	kill(-pid, SIGKILL);
	if (killed) {
		printf("not ok %s: not done in %d s (SEED=%llu)\n", case_name,
		       cfg.limit, (unsigned long long)cfg.seed);
		return 1;
	}
	if (WIFSIGNALED(status)) {
		printf("not ok %s: died of signal %d, %s (SEED=%llu)\n",
		       case_name, WTERMSIG(status), strsignal(WTERMSIG(status)),
		       (unsigned long long)cfg.seed);
		return 1;
	}
	if (!WEXITSTATUS(status))
		printf("ok %s # %llu ms\n", case_name,
		       (unsigned long long)(now_ms() - started));
	return WEXITSTATUS(status);
}

static int case_run(const struct test_case *c)
{
	pid_t pid;
	int status;

	case_name = c->name;
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		printf("not ok %s: fork: %s\n", c->name, strerror(errno));
		return 1;
	}
	if (!pid) {
		/* A group of its own: whatever it forks dies with it. */
		setpgid(0, 0);
		case_seed = cfg.seed;
		for (const char *s = c->name; *s; s++)
			case_seed = case_seed * 31 + *s;
		rnd_seed(case_seed);
		c->run();
		_exit(0);
	}
	setpgid(pid, pid);
	status = case_wait(pid);
	if (status && test_mend)
		test_mend();
	return status;
}

static const char *env(const char *name, const char *def)
{
	const char *v = getenv(name);

	return v && *v ? v : def;
}

static int set_mode(const char *s)
{
	if (!strcmp(s, "pinned"))
		cfg.mode = MODE_PINNED;
	else if (!strcmp(s, "odp"))
		cfg.mode = MODE_ODP;
	else if (!strcmp(s, "implicit"))
		cfg.mode = MODE_IMPLICIT;
	else
		return -1;
	return 0;
}

static void usage(const char *prog, const struct test_case *cases, size_t n)
{
	fprintf(stderr,
		"usage: %s -d DEV [-D PEERDEV] [-g v4|v6] [-m pinned|odp|implicit]\n"
		"          [-s SEED] [-t SECONDS] [-T SECONDS] [-n COUNT] [CASE...]\n"
		"or by environment: VT_DEV VT_PEER VT_GID VT_MODE SEED\n"
		"cases:", prog);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, " %s", cases[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

static void parse(int argc, char **argv, const struct test_case *cases, size_t n)
{
	const char *gid = env("VT_GID", "v4"), *mode = env("VT_MODE", "odp");
	const char *seed = getenv("SEED");
	int c;

	cfg.dev = env("VT_DEV", NULL);
	cfg.peer = env("VT_PEER", NULL);
	while ((c = getopt(argc, argv, "d:D:g:m:n:s:t:T:")) != -1) {
		switch (c) {
		case 'd': cfg.dev = optarg; break;
		case 'D': cfg.peer = optarg; break;
		case 'g': gid = optarg; break;
		case 'm': mode = optarg; break;
		case 's': seed = optarg; break;
		case 't': cfg.limit = atoi(optarg); break;
		case 'T': cfg.seconds = atoi(optarg); break;
		case 'n': cfg.count = strtoull(optarg, NULL, 0); break;
		default: usage(argv[0], cases, n);
		}
	}
	if (!cfg.dev || set_mode(mode) ||
	    (strcmp(gid, "v4") && strcmp(gid, "v6")))
		usage(argv[0], cases, n);
	if (!cfg.peer)
		cfg.peer = cfg.dev;
	cfg.v6 = !strcmp(gid, "v6");
	if (seed)
		cfg.seed = strtoull(seed, NULL, 0);
	else if (getrandom(&cfg.seed, 4, 0) != 4)
		cfg.seed = now_ms();
}

static bool wanted(int argc, char **argv, const char *name)
{
	for (int i = optind; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return optind == argc;
}

int test_main(int argc, char **argv, const struct test_case *cases, size_t n)
{
	int passed = 0, failed = 0, skipped = 0;

	parse(argc, argv, cases, n);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# %s seed %llu\n", argv[0], (unsigned long long)cfg.seed);
	for (size_t i = 0; i < n; i++) {
		if (!wanted(argc, argv, cases[i].name))
			continue;
		switch (case_run(&cases[i])) {
		case 0: passed++; break;
		case EXIT_SKIP: skipped++; break;
		default: failed++;
		}
	}
	if (failed)
		return 1;
	if (passed)
		return 0;
	if (skipped)
		return EXIT_SKIP;
	fprintf(stderr, "%s: no such case\n", argv[0]);
	return 2;
}
