/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prefault: what a message needs later on is brought while what it needs now is used, by
 * another CPU if there is one.
 *
 * It goes from the end towards the side, which brings what it comes to by itself, so that
 * nobody waits for a prefault; where they meet it ends. It brings only what takes no wait:
 * what does is for who needs it.
 */
#ifndef RXO_PREFAULT_H
#define RXO_PREFAULT_H

#include <linux/cpumask.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct hmm_mirror;
struct seq_file;

/* Brought in one go, by either. */
#define RXO_PREFAULT_PART SZ_128K

/**
 * struct rxo_prefault - one for each park
 * @work: brings the pages
 * @wq: ... on this
 * @busy: from the start on, until @work clears it with release; or who cancels
 * @mirror: with a reference while @busy; this and what follows is constant then, but
 *	    for @addr, and else it is the park's owner's
 * @addr: first byte that is still wanted; nobody's: the side moves it on
 * @end: after the last one
 * @flags: HMM_MIRROR_READ or _WRITE
 */
struct rxo_prefault {
	struct work_struct work;
	struct workqueue_struct *wq;
	bool busy;
	struct hmm_mirror *mirror;
	unsigned long addr;
	unsigned long end;
	unsigned int flags;
};

void rxo_prefault_init(struct rxo_prefault *pf, struct workqueue_struct *wq);

/* Is there a CPU that could bring @len bytes while another one uses what it has? */
static inline bool rxo_prefault_helps(size_t len)
{
	return len >= 2 * RXO_PREFAULT_PART && num_online_cpus() > 1;
}

/**
 * rxo_prefault_start() - bring pages that a side has not come to
 * @pf: the side's
 * @mirror: whose pages
 * @addr: first byte
 * @len: bytes, above 0
 * @flags: HMM_MIRROR_READ or _WRITE
 *
 * Context: who has the side's park; any.
 * Return: false if it is still busy with others.
 */
bool rxo_prefault_start(struct rxo_prefault *pf, struct hmm_mirror *mirror,
			unsigned long addr, size_t len, unsigned int flags);

/*
 * The side has no need of what is before @addr; ULONG_MAX: of nothing. Context: any, one
 * at a time.
 */
static inline void rxo_prefault_pass(struct rxo_prefault *pf,
				     unsigned long addr)
{
	if (pf->addr < addr)
		WRITE_ONCE(pf->addr, addr);
}

/**
 * rxo_prefault_cancel() - let it end, and wait for that
 * @pf: the side's, whose park nobody has
 *
 * Context: may sleep. It waits for no page that its process keeps back.
 */
void rxo_prefault_cancel(struct rxo_prefault *pf);

/* A picture, as rxo_park_show(). */
void rxo_prefault_show(const struct rxo_prefault *pf, const char *side,
		       struct seq_file *m);

#endif /* RXO_PREFAULT_H */
