// SPDX-License-Identifier: GPL-2.0
#include <linux/align.h>
#include <linux/minmax.h>
#include <linux/seq_file.h>
#include <rdma/hmm_mirror.h>

#include "prefault.h"

static void rxo_prefault_work(struct work_struct *work)
{
	struct rxo_prefault *pf =
		container_of(work, struct rxo_prefault, work);
	unsigned int nowait = pf->flags | HMM_MIRROR_NOWAIT;
	unsigned long addr = READ_ONCE(pf->addr);
	unsigned long end = pf->end;
	unsigned long part;

	/* What is to be had without a wait needs a table to be put into. */
	if (addr < end)
		hmm_mirror_fault(pf->mirror, addr, end - addr,
				 pf->flags | HMM_MIRROR_SNAPSHOT);
	while ((addr = READ_ONCE(pf->addr)) < end) {
		part = max(addr, ALIGN_DOWN(end - 1, RXO_PREFAULT_PART));
		/* A hole is for who comes to it. */
		hmm_mirror_fault(pf->mirror, part, end - part, nowait);
		end = part;
	}
	hmm_mirror_put(pf->mirror);
	/* Pairs with rxo_prefault_start(). */
	smp_store_release(&pf->busy, false);
}

void rxo_prefault_init(struct rxo_prefault *pf, struct workqueue_struct *wq)
{
	pf->wq = wq;
	INIT_WORK(&pf->work, rxo_prefault_work);
}

bool rxo_prefault_start(struct rxo_prefault *pf, struct hmm_mirror *mirror,
			unsigned long addr, size_t len, unsigned int flags)
{
	/* Pairs with rxo_prefault_work(). */
	if (smp_load_acquire(&pf->busy))
		return false;
	hmm_mirror_hold(mirror);
	pf->busy = true;
	pf->mirror = mirror;
	WRITE_ONCE(pf->addr, addr);
	pf->end = addr + len;
	pf->flags = flags;
	WARN_ON_ONCE(!queue_work(pf->wq, &pf->work));
	return true;
}

void rxo_prefault_cancel(struct rxo_prefault *pf)
{
	rxo_prefault_pass(pf, ULONG_MAX);
	/* One that never ran still holds its mirror. */
	if (!cancel_work_sync(&pf->work))
		return;
	hmm_mirror_put(pf->mirror);
	pf->busy = false;
}

void rxo_prefault_show(const struct rxo_prefault *pf, const char *side,
		       struct seq_file *m)
{
	if (READ_ONCE(pf->busy))
		seq_printf(m, "; %s prefaults %#lx to %#lx", side,
			   READ_ONCE(pf->addr), READ_ONCE(pf->end));
}
