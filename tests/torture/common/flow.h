/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A flow: two connected QPs, an area at each of them, and batches of random operations
 * both ways. What an operation did to memory is known when it has completed; of one that
 * was cut off it is known that each byte is an old or a new one.
 *
 * An area is cut into slots, one for each operation of a batch, and a slot into three
 * parts, which take turns: what operations read from, what they write to, and where
 * receives are. So nothing that is read changes while a batch is under way.
 */
#ifndef TESTS_TORTURE_FLOW_H
#define TESTS_TORTURE_FLOW_H

#include "area.h"
#include "ops.h"

#define SLOTS 16
#define GRH 40
#define QKEY 0x1234567u

enum op_kind { OP_WRITE, OP_WRITE_IMM, OP_READ, OP_ADD, OP_SWAP, OP_SEND, OP_SEND_IMM };

struct op {
	enum op_kind kind;
	unsigned int dir;	/* the side that asks: 0 or 1 */
	size_t from, to, len;	/* in the source's and the target's area */
	size_t back;		/* where an atomic's answer goes, in the asker's */
	size_t place, room;	/* of the receive, in the other's area */
	uint64_t add, compare;
	bool has_recv;
	bool sent, arrived;	/* completed at the asker; at the receiver */
	bool filled;		/* its receive was consumed */
};

struct flow {
	unsigned int index;
	enum ibv_qp_type type;
	struct ep e[2];
	struct ibv_ah *ah[2];
	struct area area[2];
	unsigned int batch, turn;
	struct op op[SLOTS];
	bool marked;		/* markers were sent */
	bool under_way;		/* op[] is not settled */
};

void flow_open(struct flow *f, unsigned int index, enum ibv_qp_type type);
void flow_close(struct flow *f);

/* New QPs for the old ones; what was under way is settled. */
void flow_renew(struct flow *f);

/* A batch, to its end or cut off by destroying the QPs. */
void flow_batch(struct flow *f);
void flow_batch_cut(struct flow *f);

/*
 * One operation of RC in slot 0, which must end with @bad; or may as well succeed, if it
 * is not before it has been posted that @take takes a right on @a away. The QPs are of no
 * use afterwards, and what it did is not settled.
 */
void flow_denied(struct flow *f, enum op_kind kind, unsigned int dir,
		 enum ibv_wc_status bad, void (*take)(struct area *a), struct area *a);

/* The QPs are gone: what was under way has done its work, a part of it, or nothing. */
void flow_settle(struct flow *f);

/* Both areas are as they should be. */
void flow_check(struct flow *f);

#endif
