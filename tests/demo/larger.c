// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * RDMA into more memory than the machine has free.
 *
 * usage: larger SERVER CLIENT GID MIB
 *
 * SERVER and CLIENT are RDMA devices whose GIDs of index GID reach each other.
 * MIB of memory are registered on SERVER, on demand, filled by RDMA WRITE from
 * CLIENT, read back by RDMA READ, and read by the CPU. Every word depends on its
 * place, and every byte is compared. Before that the same memory is registered
 * pinned, which has to fail.
 *
 * Standard error shows progress; standard output is lines "NAME VALUE". The exit
 * status is 0 only if every byte was right.
 */
#include <errno.h>
#include <infiniband/verbs.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1ul << 20)
#define DEPTH 4
#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

struct end {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	union ibv_gid gid;
	uint8_t gid_index;
};

static struct end server, client;
static struct ibv_mr *far_mr, *near_mr;
static uint8_t *area, *staging;
static size_t chunks;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("larger: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* KiB from /proc/self/status. */
static unsigned long status(const char *name)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long value = 0;
	size_t len = strlen(name);
	char line[256];

	if (!f)
		die("/proc/self/status: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			value = strtoul(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

/* The word at a byte offset (splitmix64). */
static uint64_t word_at(uint64_t offset)
{
	uint64_t z = offset / 8 * 0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void fill(uint64_t *words, size_t chunk)
{
	uint64_t offset = chunk * CHUNK;
	size_t i;

	for (i = 0; i < CHUNK / 8; i++)
		words[i] = word_at(offset + i * 8);
}

static void compare(const uint64_t *words, size_t chunk, const char *who)
{
	uint64_t offset = chunk * CHUNK;
	size_t i;

	for (i = 0; i < CHUNK / 8; i++)
		if (words[i] != word_at(offset + i * 8))
			die("%s: wrong data at byte %" PRIu64 ": %016" PRIx64
			    " instead of %016" PRIx64, who, offset + i * 8,
			    words[i], word_at(offset + i * 8));
}

static void open_end(struct end *end, const char *name, int gid_index)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.cap = { .max_send_wr = DEPTH, .max_send_sge = 1, .max_recv_wr = 1,
			 .max_recv_sge = 1 },
	};
	int i;

	for (i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			end->ctx = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	if (!end->ctx)
		die("cannot open RDMA device %s", name);
	end->gid_index = gid_index;
	if (ibv_query_gid(end->ctx, 1, gid_index, &end->gid))
		die("%s has no GID %d", name, gid_index);
	end->pd = ibv_alloc_pd(end->ctx);
	end->cq = ibv_create_cq(end->ctx, 2 * DEPTH, NULL, NULL, 0);
	if (!end->pd || !end->cq)
		die("%s: no PD or CQ: %s", name, strerror(errno));
	init.send_cq = end->cq;
	init.recv_cq = end->cq;
	end->qp = ibv_create_qp(end->pd, &init);
	if (!end->qp)
		die("%s: no QP: %s", name, strerror(errno));
}

static void connect_end(struct end *end, const struct end *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ACCESS,
	};
	int ret;

	ret = ibv_modify_qp(end->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			    IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	if (ret)
		die("INIT: %s", strerror(ret));

	attr.qp_state = IBV_QPS_RTR;
	attr.path_mtu = IBV_MTU_4096;
	attr.dest_qp_num = peer->qp->qp_num;
	attr.max_dest_rd_atomic = DEPTH;
	attr.min_rnr_timer = 12;
	attr.ah_attr.is_global = 1;
	attr.ah_attr.port_num = 1;
	attr.ah_attr.grh.dgid = peer->gid;
	attr.ah_attr.grh.sgid_index = end->gid_index;
	attr.ah_attr.grh.hop_limit = 64;
	ret = ibv_modify_qp(end->qp, &attr, IBV_QP_STATE | IBV_QP_AV |
			    IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			    IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	if (ret)
		die("RTR: %s", strerror(ret));

	attr.qp_state = IBV_QPS_RTS;
	attr.timeout = 20; /* 4 s: a page may have to wait for swap */
	attr.retry_cnt = 7;
	attr.rnr_retry = 7;
	attr.max_rd_atomic = DEPTH;
	ret = ibv_modify_qp(end->qp, &attr, IBV_QP_STATE | IBV_QP_TIMEOUT |
			    IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			    IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
	if (ret)
		die("RTS: %s", strerror(ret));
}

static void post(enum ibv_wr_opcode opcode, size_t chunk)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)staging + chunk % DEPTH * CHUNK,
		.length = CHUNK,
		.lkey = near_mr->lkey,
	};
	struct ibv_send_wr wr = {
		.wr_id = chunk,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma.remote_addr = (uintptr_t)area + chunk * CHUNK,
		.wr.rdma.rkey = far_mr->rkey,
	}, *bad;
	int ret = ibv_post_send(client.qp, &wr, &bad);

	if (ret)
		die("post_send: %s", strerror(ret));
}

static void wait_for(size_t chunk)
{
	double start = now();
	struct ibv_wc wc;
	int n;

	while (!(n = ibv_poll_cq(client.cq, 1, &wc))) {
		if (now() - start > 60)
			die("chunk %zu did not complete in 60 s", chunk);
		usleep(200); /* leave the processors to the transfer */
	}
	if (n < 0)
		die("poll_cq failed");
	if (wc.status != IBV_WC_SUCCESS)
		die("chunk %zu: %s", (size_t)wc.wr_id, ibv_wc_status_str(wc.status));
	if (wc.wr_id != chunk)
		die("chunk %zu completed instead of %zu", (size_t)wc.wr_id, chunk);
}

static void progress(const char *what, size_t chunk)
{
	if (chunk % 128 == 127 || chunk == chunks - 1)
		fprintf(stderr, "      %s: %zu of %zu MiB, resident %lu MiB, in swap %lu MiB\n",
			what, chunk + 1, chunks, status("VmRSS") >> 10,
			status("VmSwap") >> 10);
}

static void report(const char *name, double seconds)
{
	printf("%s %.1f\n", name, chunks / seconds);
}

/* The staging buffers' turns: chunk i uses i % DEPTH. */
static void write_all(void)
{
	double start = now();
	size_t i;

	for (i = 0; i < chunks + DEPTH; i++) {
		if (i >= DEPTH) {
			wait_for(i - DEPTH);
			progress("RDMA WRITE", i - DEPTH);
		}
		if (i < chunks) {
			fill((uint64_t *)(staging + i % DEPTH * CHUNK), i);
			post(IBV_WR_RDMA_WRITE, i);
		}
	}
	report("write_mib_s", now() - start);
}

static void read_all(void)
{
	double start = now();
	size_t i;

	for (i = 0; i < chunks + DEPTH; i++) {
		if (i >= DEPTH) {
			wait_for(i - DEPTH);
			compare((uint64_t *)(staging + i % DEPTH * CHUNK), i - DEPTH,
				"RDMA READ");
			progress("RDMA READ", i - DEPTH);
		}
		if (i < chunks) {
			memset(staging + i % DEPTH * CHUNK, 0, CHUNK);
			post(IBV_WR_RDMA_READ, i);
		}
	}
	report("read_mib_s", now() - start);
}

static void look_at_all(void)
{
	double start = now();
	size_t i;

	for (i = 0; i < chunks; i++) {
		compare((uint64_t *)(area + i * CHUNK), i, "CPU");
		progress("CPU", i);
	}
	report("cpu_mib_s", now() - start);
}

static void *allocate(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return p;
}

static struct ibv_mr *register_odp(struct end *end, void *p, size_t size)
{
	struct ibv_mr *mr = ibv_reg_mr(end->pd, p, size, ACCESS | IBV_ACCESS_ON_DEMAND);

	if (!mr)
		die("ibv_reg_mr on demand: %s", strerror(errno));
	return mr;
}

static void register_all(void)
{
	double start;

	errno = 0;
	if (ibv_reg_mr(server.pd, area, chunks * CHUNK, ACCESS))
		die("registering %zu MiB pinned succeeded; is RLIMIT_MEMLOCK set?",
		    chunks);
	fprintf(stderr, "      pinned:    ibv_reg_mr() of %zu MiB fails: %s\n", chunks,
		strerror(errno));

	start = now();
	far_mr = register_odp(&server, area, chunks * CHUNK);
	fprintf(stderr, "      on demand: ibv_reg_mr() of %zu MiB succeeds in %.0f us\n",
		chunks, (now() - start) * 1e6);
	near_mr = register_odp(&client, staging, DEPTH * CHUNK);
}

int main(int argc, char **argv)
{
	if (argc != 5 || !(chunks = strtoul(argv[4], NULL, 10)))
		die("usage: larger SERVER CLIENT GID MIB");

	open_end(&server, argv[1], atoi(argv[3]));
	open_end(&client, argv[2], atoi(argv[3]));
	connect_end(&server, &client);
	connect_end(&client, &server);
	area = allocate(chunks * CHUNK);
	staging = allocate(DEPTH * CHUNK);
	register_all();

	write_all();
	printf("vmpin_kib %lu\nvmlck_kib %lu\n", status("VmPin"), status("VmLck"));
	read_all();
	look_at_all();

	if (ibv_dereg_mr(far_mr) || ibv_dereg_mr(near_mr) ||
	    ibv_destroy_qp(server.qp) || ibv_destroy_qp(client.qp))
		die("taking down failed");
	printf("verified_mib %zu\n", chunks);
	return 0;
}
