// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A flow: two connected QPs and batches of operations. See flow.h.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "flow.h"
#include "test.h"
#include "worker.h"

/* An immediate names batch and slot; one of a marker, no slot. */
#define IMM(batch, slot) htonl((batch) << 8 | (slot))
#define MARKER 0xffu
#define MARK_MS 500

static const char *const op_kinds[] = {
	"write", "write with immediate", "read", "fetch and add", "compare and swap",
	"send", "send with immediate",
};

static const char *type_name(const struct flow *f)
{
	return f->type == IBV_QPT_RC ? "RC" : f->type == IBV_QPT_UC ? "UC" : "UD";
}

/* Which flow, and what its memory is, for whoever reads a failure. */
static const char *flow_name(const struct flow *f)
{
	static __thread char name[160];

	snprintf(name, sizeof(name), "worker %u, flow %u, %s, %s %s and %s %s, batch %u",
		 worker.index, f->index, type_name(f), mr_modes[f->area[0].mode],
		 area_sorts[f->area[0].sort], mr_modes[f->area[1].mode],
		 area_sorts[f->area[1].sort], f->batch);
	return name;
}

#define flow_fail(f, fmt, ...) fail("%s: " fmt, flow_name(f), ##__VA_ARGS__)

static void step(const struct flow *f)
{
	__atomic_add_fetch(&torture->worker[worker.index].steps[f->index], 1,
			   __ATOMIC_RELAXED);
}

/* 0, or why there is no way to the other side. */
static int find_way(struct flow *f, int side)
{
	struct ibv_ah_attr ah = {
		.is_global = 1, .port_num = PORT,
		.grh = {
			.dgid = worker.nic[!side].gid,
			.sgid_index = worker.nic[side].gid_index,
			.hop_limit = 64,
		},
	};
	struct ibv_qp_attr attr;
	int mask;

	if (f->type == IBV_QPT_UD) {
		f->ah[side] = ibv_create_ah(worker.nic[side].pd, &ah);
		return f->ah[side] ? 0 : errno;
	}
	mask = ep_rtr_attr(&f->e[side], &f->e[!side], &attr);
	return ibv_modify_qp(f->e[side].qp, &attr, mask);
}

static int try_up(struct flow *f)
{
	struct qp_opt opt = opt_rc;
	int err;

	opt.type = f->type;
	/* A link that is down for less than a second is waited for. */
	if (may_lose)
		opt.timeout = 19;
	for (int i = 0; i < 2; i++)
		ep_create(&f->e[i], &worker.nic[i], &opt);
	for (int i = 0; i < 2; i++) {
		if (f->type == IBV_QPT_UD)
			ep_datagram(&f->e[i], QKEY);
		else
			ep_init(&f->e[i]);
	}
	err = find_way(f, 0) ?: find_way(f, 1);
	if (err)
		return err;
	for (int i = 0; i < 2 && f->type != IBV_QPT_UD; i++)
		ep_rts(&f->e[i]);
	return 0;
}

static void flow_down(struct flow *f)
{
	for (int i = 0; i < 2; i++) {
		if (f->ah[i])
			check(!ibv_destroy_ah(f->ah[i]), "ibv_destroy_ah");
		f->ah[i] = NULL;
		ep_destroy(&f->e[i]);
	}
}

static void flow_up(struct flow *f)
{
	uint64_t end = now_ms() + hang_ms;
	int err;

	/* While a link is down there is no way, and nobody who knows the peer's address. */
	while ((err = try_up(f))) {
		check(may_lose && (err == ENETUNREACH || err == ETIMEDOUT) &&
		      now_ms() < end, "connecting: %s", strerror(err));
		flow_down(f);
		sleep_ms(20);
	}
}

void flow_open(struct flow *f, unsigned int index, enum ibv_qp_type type)
{
	memset(f, 0, sizeof(*f));
	f->index = index;
	f->type = type;
	for (int i = 0; i < 2; i++)
		area_open(&f->area[i], &worker.nic[i]);
	flow_up(f);
}

void flow_close(struct flow *f)
{
	flow_check(f);
	flow_down(f);
	for (int i = 0; i < 2; i++)
		area_close(&f->area[i]);
}

void flow_check(struct flow *f)
{
	char what[200];

	for (int i = 0; i < 2; i++) {
		snprintf(what, sizeof(what), "%s: area %d", flow_name(f), i);
		area_check(&f->area[i], what);
	}
}

/* Which part of slot @k has which role in this batch: 0 source, 1 target, 2 receive. */
static size_t part(const struct flow *f, unsigned int k, unsigned int role, size_t *room,
		   int side)
{
	*room = f->area[side].b.size / SLOTS / 3 & ~7ul;
	return (k * 3 + (role + f->turn) % 3) * *room;
}

static size_t random_len(size_t most)
{
	switch (rnd_range(0, 9)) {
	case 0: return rnd_range(0, 64);
	case 1 ... 5: return rnd_range(1, most < PAGE ? most : PAGE);
	default: return rnd_range(1, most);
	}
}

static enum op_kind random_kind(const struct flow *f)
{
	if (f->type == IBV_QPT_UD)
		return OP_SEND_IMM;
	if (f->type == IBV_QPT_UC)
		return rnd_range(0, 1) ? OP_SEND_IMM : OP_WRITE_IMM;
	return rnd_range(OP_WRITE, OP_SEND_IMM);
}

static void op_draw(struct flow *f, unsigned int k, enum op_kind kind,
		    unsigned int dir)
{
	struct op *op = &f->op[k];
	size_t from, to, back, room[2], recv, most;
	/* A READ's source is the other's. */
	int source = kind == OP_READ ? !dir : dir;

	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->dir = dir;
	from = part(f, k, 0, &room[0], source);
	to = part(f, k, 1, &room[1], !source);
	most = (room[0] < room[1] ? room[0] : room[1]) - 200;
	if (f->type == IBV_QPT_UD)
		most = mtu_bytes(worker.nic[0].port.active_mtu);
	if (most > room[0] - 200)
		most = room[0] - 200;
	op->len = random_len(most);
	op->from = from + rnd_range(0, 199);
	op->to = to + rnd_range(0, 199);
	if (kind == OP_ADD || kind == OP_SWAP) {
		back = part(f, k, 1, &room[0], dir);
		op->back = back + rnd_range(0, 199);
		op->to &= ~7ul;
		op->len = 8;
		op->add = rnd();
		memcpy(&op->compare, f->area[!dir].b.want + op->to, 8);
		op->compare += rnd_range(0, 1);
	}
	op->has_recv = kind == OP_SEND || kind == OP_SEND_IMM || kind == OP_WRITE_IMM;
	recv = part(f, k, 2, &op->room, !dir);
	op->place = recv + rnd_range(0, 99);
	op->room -= 100;
}

/* Where a datagram goes. */
static void address(const struct flow *f, unsigned int dir, struct wr *w)
{
	w->wr.wr.ud.ah = f->ah[dir];
	w->wr.wr.ud.remote_qpn = f->e[!dir].qp->qp_num;
	w->wr.wr.ud.remote_qkey = QKEY;
}

/*
 * The functions of ops.h fail where a queue is full or a device gone; the latter is
 * excused there.
 */
static void op_post(struct flow *f, unsigned int k)
{
	static const enum ibv_wr_opcode opcode[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_RDMA_READ,
		IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WR_ATOMIC_CMP_AND_SWP,
		IBV_WR_SEND, IBV_WR_SEND_WITH_IMM,
	};
	struct op *op = &f->op[k];
	struct buf *mine = &f->area[op->dir].b, *theirs = &f->area[!op->dir].b;
	struct wr w;

	if (op->has_recv)
		q_recv(&f->e[!op->dir], k, theirs, op->place, op->room);
	wr_init(&w, opcode[op->kind], k);
	w.wr.imm_data = IMM(f->batch, k);
	switch (op->kind) {
	case OP_READ:
		wr_sge(&w, mine, op->to, op->len);
		wr_remote(&w, theirs, op->from);
		break;
	case OP_ADD:
		wr_sge(&w, mine, op->back, 8);
		wr_atomic(&w, theirs, op->to, op->add, 0);
		break;
	case OP_SWAP:
		wr_sge(&w, mine, op->back, 8);
		wr_atomic(&w, theirs, op->to, op->compare, op->add);
		break;
	default:
		/* In two pieces now and then. */
		if (op->len && rnd_range(0, 1)) {
			size_t piece = rnd_range(0, op->len);

			wr_sge(&w, mine, op->from, piece);
			wr_sge(&w, mine, op->from + piece, op->len - piece);
		} else {
			wr_sge(&w, mine, op->from, op->len);
		}
		if (f->type == IBV_QPT_UD)
			address(f, op->dir, &w);
		else
			wr_remote(&w, theirs, op->to);
	}
	wr_post(&f->e[op->dir], &w);
}

/* What is sent tells the receiver that nothing sent before it is under way any more. */
static void mark(struct flow *f, unsigned int dir)
{
	struct wr w;

	wr_init(&w, IBV_WR_SEND_WITH_IMM, MARKER);
	w.wr.imm_data = IMM(f->batch, MARKER);
	if (f->type == IBV_QPT_UD)
		address(f, dir, &w);
	wr_post(&f->e[dir], &w);
}

static void op_tell(const struct flow *f, const struct op *op)
{
	count_add(bytes, op->len);
	switch (op->kind) {
	case OP_WRITE: count(writes); break;
	case OP_READ: count(reads); break;
	case OP_ADD:
	case OP_SWAP: count(atomics); break;
	case OP_WRITE_IMM:
		f->type == IBV_QPT_RC ? count(writes_imm) : count(uc_writes);
		break;
	default:
		if (f->type == IBV_QPT_RC)
			count(sends);
		else
			f->type == IBV_QPT_UC ? count(uc_sends) : count(ud_sends);
	}
}

/* It has completed at the asker: what it has done to memory there and beyond. */
static void op_sent(struct flow *f, struct op *op)
{
	struct buf *mine = &f->area[op->dir].b, *theirs = &f->area[!op->dir].b;
	uint64_t old, new;

	op->sent = true;
	switch (op->kind) {
	case OP_WRITE:
		buf_moved(theirs, op->to, mine, op->from, op->len);
		break;
	case OP_WRITE_IMM:
		if (f->type == IBV_QPT_RC)
			buf_moved(theirs, op->to, mine, op->from, op->len);
		break;
	case OP_READ:
		buf_moved(mine, op->to, theirs, op->from, op->len);
		break;
	case OP_ADD:
	case OP_SWAP:
		memcpy(&old, theirs->want + op->to, 8);
		new = op->kind == OP_ADD ? old + op->add :
			old == op->compare ? op->add : old;
		buf_holds(mine, op->back, &old, 8);
		buf_holds(theirs, op->to, &new, 8);
		break;
	default:
		break;
	}
	op_tell(f, op);
}

/* The receive of slot @k has got something of @op. */
static void op_arrived(struct flow *f, unsigned int k, struct op *op,
		       const struct ibv_wc *wc)
{
	struct area *to = &f->area[!op->dir];
	struct buf *from = &f->area[op->dir].b;
	size_t grh = f->type == IBV_QPT_UD ? GRH : 0;

	if (op->arrived || f->op[k].dir != op->dir)
		flow_fail(f, "what slot %u received is of slot %zd, again", k, op - f->op);
	if (wc->byte_len != op->len + grh)
		flow_fail(f, "a %s of %zu bytes arrived as one of %u", op_kinds[op->kind],
			  op->len, wc->byte_len);
	op->arrived = true;
	if (op->kind != OP_WRITE_IMM) {
		area_take(to, f->op[k].place, grh);
		buf_moved(&to->b, f->op[k].place + grh, from, op->from, op->len);
	} else if (f->type == IBV_QPT_UC) {
		buf_moved(&to->b, op->to, from, op->from, op->len);
	}
}

/* What comes to pass where a device goes, and its objects one after the other. */
static bool is_of_going(const struct flow *f, enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_WR_FLUSH_ERR:
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_REM_ACCESS_ERR:
	case IBV_WC_REM_OP_ERR:
	case IBV_WC_LOC_PROT_ERR:
		return true;
	case IBV_WC_LOC_QP_OP_ERR:
		/* The address handle, which is younger than the QP, has gone first. */
		return f->type == IBV_QPT_UD;
	default:
		return false;
	}
}

/* In a round where devices may go, an error means that one goes; else it is one. */
static void bad_completion(const struct flow *f, const struct ibv_wc *wc, const char *what)
{
	if (!is_of_going(f, wc->status))
		test_excuse = NULL;
	flow_fail(f, "%s of slot %d ended with \"%s\"", what, (int)wc->wr_id,
		  ibv_wc_status_str(wc->status));
}

static bool poll_sent(struct flow *f, int side)
{
	struct ibv_wc wc;
	int n = ibv_poll_cq(f->e[side].scq, 1, &wc);

	check(n >= 0, "ibv_poll_cq: %d", n);
	if (!n)
		return false;
	if (wc.status != IBV_WC_SUCCESS)
		bad_completion(f, &wc, "what was asked");
	if (wc.wr_id == MARKER)
		return true;
	if (wc.wr_id >= SLOTS || f->op[wc.wr_id].sent || f->op[wc.wr_id].dir != (unsigned)side)
		flow_fail(f, "completion of slot %d, which is none", (int)wc.wr_id);
	op_sent(f, &f->op[wc.wr_id]);
	return true;
}

/* A marker has come: *@marked. */
static bool poll_arrived(struct flow *f, int side, bool *marked)
{
	unsigned int k, slot;
	struct ibv_wc wc;
	int n = ibv_poll_cq(f->e[side].rcq, 1, &wc);

	check(n >= 0, "ibv_poll_cq: %d", n);
	if (!n)
		return false;
	if (wc.status != IBV_WC_SUCCESS)
		bad_completion(f, &wc, "the receive");
	k = slot = wc.wr_id;
	if (k >= SLOTS || !f->op[k].has_recv || f->op[k].filled)
		flow_fail(f, "completion of receive %u, which is none", k);
	f->op[k].filled = true;
	if (wc.wc_flags & IBV_WC_WITH_IMM) {
		uint32_t imm = ntohl(wc.imm_data);

		slot = imm & 0xff;
		if (imm >> 8 != (f->batch & 0xffffff) || (slot >= SLOTS && slot != MARKER))
			flow_fail(f, "immediate data %#x", imm);
	}
	if (slot == MARKER) {
		*marked = true;
		area_take(&f->area[side], f->op[k].place,
			  f->type == IBV_QPT_UD ? GRH : 0);
		return true;
	}
	/* Reliable, it is that of the same slot. */
	if (f->type == IBV_QPT_RC && slot != k)
		flow_fail(f, "receive %u got what slot %u sent", k, slot);
	op_arrived(f, k, &f->op[slot], &wc);
	return true;
}

static unsigned int missing(const struct flow *f, bool sent, int dir)
{
	unsigned int n = 0;

	for (const struct op *op = f->op; op < f->op + SLOTS; op++) {
		if (op->dir != (unsigned int)dir)
			continue;
		n += sent ? !op->sent : op->has_recv && !op->arrived;
	}
	return n;
}

static void __attribute__((noreturn)) hung(struct flow *f)
{
	char list[200] = "";
	int n = 0;

	for (int k = 0; k < SLOTS; k++) {
		const struct op *op = &f->op[k];

		if ((op->sent && (!op->has_recv || op->arrived)) || n > 120)
			continue;
		n += snprintf(list + n, sizeof(list) - n, " %d:%s%s%s", k,
			      op_kinds[op->kind], op->dir ? " back" : "",
			      op->sent ? " (sent)" : "");
	}
	flow_fail(f, "hangs: not completed in %u ms:%s; QPs in states %d and %d", hang_ms,
		  list, ep_state(&f->e[0]), ep_state(&f->e[1]));
}

/*
 * Until all have completed, or a marker says that those of UC and UD which are missing
 * have been lost. A marker takes the receive of one that was lost; where none was, it
 * finds no receive.
 */
static bool batch_await(struct flow *f)
{
	uint64_t end = now_ms() + hang_ms, mark_at = now_ms() + MARK_MS;
	unsigned int spins = 0;
	bool marked[2] = { false };

	for (;;) {
		bool some = false;

		for (int i = 0; i < 2; i++) {
			some |= poll_sent(f, i);
			some |= poll_arrived(f, i, &marked[!i]);
		}
		if (some) {
			step(f);
			spins = 0;
			continue;
		}
		if (!missing(f, true, 0) && !missing(f, true, 1) &&
		    (!missing(f, false, 0) || marked[0]) &&
		    (!missing(f, false, 1) || marked[1]))
			return !missing(f, false, 0) && !missing(f, false, 1);
		/* Its devices have gone and tell no more. */
		worker_end_if_gone();
		if (now_ms() > end)
			hung(f);
		if (f->type != IBV_QPT_RC && now_ms() > mark_at) {
			for (int i = 0; i < 2; i++)
				if (missing(f, false, i) && !missing(f, true, i))
					mark(f, i);
			mark_at = now_ms() + MARK_MS;
			f->marked = true;
		}
		if (++spins < 50)
			sched_yield();
		else
			sleep_ms(1);
	}
}

/* One that was cut off: it may have done all, some or nothing of this. */
static void op_settle(struct flow *f, struct op *op)
{
	struct area *mine = &f->area[op->dir], *theirs = &f->area[!op->dir];
	size_t grh = f->type == IBV_QPT_UD ? GRH : 0;
	uint64_t old, new;
	char what[240];

	snprintf(what, sizeof(what), "%s: a %s that was cut off", flow_name(f),
		 op_kinds[op->kind]);
	count(settled);
	switch (op->kind) {
	case OP_WRITE:
	case OP_WRITE_IMM:
		area_settle(theirs, op->to, mine->b.want + op->from, op->len, what);
		break;
	case OP_READ:
		area_settle(mine, op->to, theirs->b.want + op->from, op->len, what);
		break;
	case OP_ADD:
	case OP_SWAP:
		memcpy(&old, theirs->b.want + op->to, 8);
		new = op->kind == OP_ADD ? old + op->add :
			old == op->compare ? op->add : old;
		area_settle(mine, op->back, (uint8_t *)&old, 8, what);
		area_settle(theirs, op->to, (uint8_t *)&new, 8, what);
		break;
	default:
		/* Which receive it went to is known of RC alone. */
		if (f->type == IBV_QPT_RC)
			area_settle(theirs, op->place + grh, mine->b.want + op->from,
				    op->len, what);
	}
}

void flow_settle(struct flow *f)
{
	if (!f->under_way)
		return;
	for (struct op *op = f->op; op < f->op + SLOTS; op++) {
		bool whole = f->type == IBV_QPT_RC && op->kind != OP_SEND &&
			     op->kind != OP_SEND_IMM ? op->sent : op->arrived;

		/* Parts of messages that broke off lie in receives. */
		if (op->has_recv && f->type != IBV_QPT_RC)
			area_take(&f->area[!op->dir], op->place, op->room);
		if (!whole && op->len)
			op_settle(f, op);
	}
	f->under_way = false;
}

void flow_renew(struct flow *f)
{
	flow_down(f);
	flow_settle(f);
	flow_up(f);
}

static void batch_post(struct flow *f)
{
	f->batch++;
	f->turn++;
	f->marked = false;
	for (int k = 0; k < SLOTS; k++)
		op_draw(f, k, random_kind(f), rnd_range(0, 1));
	f->under_way = true;
	for (int k = 0; k < SLOTS; k++)
		op_post(f, k);
}

void flow_batch(struct flow *f)
{
	unsigned int lost;

	batch_post(f);
	if (batch_await(f) && !f->marked) {
		f->under_way = false;
		return;
	}
	lost = missing(f, false, 0) + missing(f, false, 1);
	if (f->type == IBV_QPT_UC)
		count_add(uc_lost, lost);
	else
		count_add(ud_lost, lost);
	/* Neither a marker nor half a message may reach the next batch. */
	flow_renew(f);
}

void flow_batch_cut(struct flow *f)
{
	bool marked;

	batch_post(f);
	if (rnd_range(0, 1))
		sleep_ms(rnd_range(0, 5));
	for (int i = rnd_range(0, 2 * SLOTS); i > 0; i--) {
		poll_sent(f, i & 1);
		poll_arrived(f, i & 1, &marked);
	}
	flow_renew(f);
}

static struct ibv_wc await_one(struct flow *f, struct ibv_cq *cq)
{
	uint64_t end = now_ms() + hang_ms;
	struct ibv_wc wc;

	while (!wc_poll(cq, &wc, 20)) {
		worker_end_if_gone();
		if (now_ms() > end)
			hung(f);
	}
	step(f);
	return wc;
}

/* What the receiver of a send has to say: it, too, has got it or was denied. */
static void denied_receive(struct flow *f, unsigned int dir, enum ibv_wc_status status)
{
	struct ibv_wc wc = await_one(f, f->e[!dir].rcq);

	if (status == IBV_WC_SUCCESS && wc.status == IBV_WC_SUCCESS) {
		f->op[0].filled = true;
		op_arrived(f, 0, &f->op[0], &wc);
	} else if (status == IBV_WC_SUCCESS || wc.status != IBV_WC_LOC_PROT_ERR) {
		bad_completion(f, &wc, "the receive of what must be denied");
	}
}

void flow_denied(struct flow *f, enum op_kind kind, unsigned int dir,
		 enum ibv_wc_status bad, void (*take)(struct area *a), struct area *a)
{
	struct ibv_wc wc;

	f->batch++;
	memset(f->op, 0, sizeof(f->op));
	op_draw(f, 0, kind, dir);
	/* Nothing needs no right. */
	if (!f->op[0].len)
		f->op[0].len = 1;
	for (int k = 1; k < SLOTS; k++)
		f->op[k].sent = f->op[k].arrived = true;
	f->under_way = true;
	op_post(f, 0);
	if (take)
		take(a);
	wc = await_one(f, f->e[dir].scq);
	if (wc.status == IBV_WC_SUCCESS && !take) {
		test_excuse = NULL;
		flow_fail(f, "a %s without the right to was done", op_kinds[kind]);
	}
	if (wc.status == IBV_WC_SUCCESS)
		op_sent(f, &f->op[0]);
	else if (wc.status != bad)
		bad_completion(f, &wc, "what must be denied");
	if (f->op[0].has_recv && (wc.status == IBV_WC_SUCCESS || bad == IBV_WC_REM_OP_ERR))
		denied_receive(f, dir, wc.status);
}
