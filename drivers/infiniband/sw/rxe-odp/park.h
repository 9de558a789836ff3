/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parking: what a side of a QP does at a translation miss. Its work stays queued
 * where it is, a worker faults the pages in, and the side tries again. The other
 * sides of the QP, and other QPs, go on.
 */
#ifndef RXO_PARK_H
#define RXO_PARK_H

#include <linux/types.h>
#include <linux/workqueue.h>

#include "access.h"
#include "prefault.h"

struct hmm_mirror;
struct rxo_mr;
struct rxo_park_list;
struct rxo_qp;
struct seq_file;

/*
 * A worker takes its time to wake up. A thread of the process that rings a doorbell
 * brings pages that cost no wait itself, up to so many bytes at once, as if it had
 * touched them. It brings few, and looks at few: others may have left many.
 */
#define RXO_HELP_MAX SZ_1M
#define RXO_HELP_LOOKS 16

/*
 * Of a fault ahead of the packet that needs it, within the same message. What is more than
 * two parts of a prefault is not waited for at once: the first part is, and then as the
 * side comes to them the others that the prefault has not brought.
 */
#define RXO_FAULT_AHEAD SZ_4M

/*
 * And beyond it, in the same region, for a stream: a fault that goes on where the one
 * before it ended looks ahead, each time twice as far as the last. It takes what is
 * mapped and brings nothing: nobody has asked for those pages, and nobody may be made
 * to wait for them.
 */
#define RXO_STREAM_AHEAD_MIN SZ_64K
#define RXO_STREAM_AHEAD_MAX SZ_1M

/*
 * A side gives up after so many faults in a row whose pages were gone again before
 * their use, if they also took so long: an invalidation that is held up while it
 * has the leaf makes many quick misses, and that is no error.
 */
#define RXO_PARK_TRIES 256
#define RXO_PARK_SECONDS 30

enum rxo_park_state {
	RXO_PARK_NONE,
	RXO_PARK_WAITING, /* a worker, a helper or a bell has it */
	RXO_PARK_DONE, /* the fault has ended, the runner has not looked */
};

/**
 * struct rxo_park - one for each side of a QP
 * @qp: the QP
 * @work: runs the fault
 * @wq: ... and on this
 * @state: enum rxo_park_state; WAITING to DONE with release by who has it, all
 *	   else by the runner
 * @list: of the address space that it waits for, or waited for last; the runner's
 * @waiting: there until the worker begins, or on a bell's; under @list's lock
 * @at_hand: on a bell's, and no worker has it; under @list's lock
 * @helpers: threads of the process that have, or just had, it instead of the worker;
 *	     counted up under @list's lock
 * @mirror: whose pages, with a reference while WAITING
 * @addr: first byte
 * @need: bytes that the packet at hand needs
 * @want: bytes to fault in one go, at least @need
 * @more: bytes after @want to bring while those are used
 * @prefault: brings @more
 * @part_end: the end of the last part that the side waited for, of a message in parts
 * @message_end: the end of all its parts; 0: none has parts
 * @write: for writing
 * @next: where the last fault ended, and what it looked ahead
 * @ahead: bytes that its last message looked ahead for a stream
 * @look: ... and of these this fault, after @want and @more
 * @begun: when this one was asked for
 * @psn: what the side works on, as it said last
 * @err: of the last fault, for @need bytes, until the side looks
 * @tries: faults since the side last made progress
 * @since: when the first of these was, in jiffies
 */
struct rxo_park {
	struct rxo_qp *qp;
	struct work_struct work;
	struct workqueue_struct *wq;
	int state;
	struct rxo_park_list *list;
	struct list_head waiting;
	bool at_hand;
	atomic_t helpers;
	struct hmm_mirror *mirror;
	unsigned long addr;
	size_t need;
	size_t want;
	size_t more;
	struct rxo_prefault prefault;
	unsigned long part_end;
	unsigned long message_end;
	bool write;
	unsigned long next;
	size_t ahead;
	size_t look;
	ktime_t begun;
	u32 psn;
	int err;
	unsigned int tries;
	unsigned long since;
};

/* Before any QP: when the module is loaded. */
void rxo_park_init_lists(void);

void rxo_park_init(struct rxo_park *park, struct rxo_qp *qp,
		   struct workqueue_struct *wq);

/**
 * rxo_park() - start a fault
 * @park: the side's; in state NONE
 * @mr: ODP region in which an access missed
 * @iova: its first byte
 * @need: its bytes
 * @rest: bytes from @iova to the end of the message, at least @need; what is in
 *	  the region is faulted ahead
 * @dir: RXO_TO_MR writes
 *
 * The side goes on as soon as the first of these are there.
 *
 * Context: the QP's runner.
 * Return: -EAGAIN and the side has to wait; or the error of the fault that has just
 * ended for this access; or -EFAULT when it has been tried too often and too long.
 */
int rxo_park(struct rxo_park *park, struct rxo_mr *mr, u64 iova, size_t need,
	     size_t rest, enum rxo_dir dir);

/* The same for a side that may not stop once it has gone on: all are there by then. */
int rxo_park_whole(struct rxo_park *park, struct rxo_mr *mr, u64 iova,
		   size_t need, size_t rest, enum rxo_dir dir);

/**
 * rxo_park_ended() - the side's fault is over, if it is, and the side may look at it
 * @park: the side's, with a fault
 *
 * Context: the QP's runner.
 */
bool rxo_park_ended(struct rxo_park *park);

/**
 * struct rxo_bell - a doorbell that is rung, on its task's stack
 * @parks: sides that wait for its end; rxo_park_list.lock
 * @qp: rung for it
 * @cpu: where it was rung
 * @paused: the run of @qp has let go of it until the pages are there; its task's
 */
struct rxo_bell {
	struct list_head parks;
	struct rxo_qp *qp;
	int cpu;
	bool paused;
};

/**
 * rxo_bell_ring() - sides that miss on top of this task may wait for it
 * @bell: filled; ends with rxo_bell_end()
 * @qp: which is then kicked
 *
 * Context: process; a system call of the process whose pages they are.
 */
void rxo_bell_ring(struct rxo_bell *bell, struct rxo_qp *qp);

/**
 * rxo_bell_pauses() - is a page to be brought before @qp sends more
 * @qp: its runner asks
 *
 * What is sent to a side that waits only piles up there.
 *
 * Context: the QP's runner, any.
 * Return: true if @qp has to be let go of, with what there is left to do: rxo_bell_end()
 * kicks it.
 */
bool rxo_bell_pauses(struct rxo_qp *qp);

/**
 * rxo_bell_end() - bring pages that parked sides wait for, if that is quick
 * @bell: from rxo_bell_ring(), by this task
 *
 * Context: process.
 */
void rxo_bell_end(struct rxo_bell *bell);

/* A fault is under way, or nobody has looked at its end yet. */
static inline bool rxo_park_started(const struct rxo_park *park)
{
	return READ_ONCE(park->state) != RXO_PARK_NONE;
}

/**
 * rxo_park_waiting() - must the side wait for its fault
 * @park: the side's
 *
 * Context: the QP's runner.
 * Return: false when there is no fault or it has ended. The side then tries
 * again, and only a new miss makes the fault's error count.
 */
static inline bool rxo_park_waiting(struct rxo_park *park)
{
	return rxo_park_started(park) && !rxo_park_ended(park);
}

/* The side has done something; its tries start over. */
static inline void rxo_park_progress(struct rxo_park *park)
{
	park->tries = 0;
	park->err = 0;
}

/*
 * The side is about to do what has this PSN. Where that is not what it did last, which
 * then is done, or was overtaken while it waited, the error of that means nothing here.
 */
static inline void rxo_park_at(struct rxo_park *park, u32 psn)
{
	if (park->psn == psn)
		return;
	park->psn = psn;
	rxo_park_progress(park);
}

/**
 * rxo_park_cancel() - forget a fault, waiting for one that runs
 * @park: the side's
 *
 * Context: may sleep; the caller runs the QP.
 */
void rxo_park_cancel(struct rxo_park *park);

/**
 * rxo_park_show() - print what a side waits for, and who has it
 * @park: the side's
 * @side: its name
 * @m: goes on with the line that is there
 *
 * Context: process. A picture, not a proof: nobody is kept from changing it.
 */
void rxo_park_show(struct rxo_park *park, const char *side, struct seq_file *m);

#endif /* RXO_PARK_H */
