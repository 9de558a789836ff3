// SPDX-License-Identifier: GPL-2.0
/*
 * hmm_mirror: windows, by which the users of a mirror are told apart when it counts
 * what it does.
 */
#include <linux/mm.h>

#include "hmm_internal.h"

void hmm_mirror_window_add(struct hmm_mirror *mirror,
			   struct hmm_mirror_window *window, unsigned long addr,
			   unsigned long last)
{
	window->node.start = addr;
	window->node.last = last;
	spin_lock(&mirror->window_lock);
	interval_tree_insert(&window->node, &mirror->windows);
	spin_unlock(&mirror->window_lock);
}
EXPORT_SYMBOL_GPL(hmm_mirror_window_add);

void hmm_mirror_window_del(struct hmm_mirror *mirror,
			   struct hmm_mirror_window *window)
{
	spin_lock(&mirror->window_lock);
	interval_tree_remove(&window->node, &mirror->windows);
	spin_unlock(&mirror->window_lock);
	if (atomic_long_read(&mirror->regions))
		hmm_region_reap_soon(mirror, HMM_REAP_UNSEEN);
}
EXPORT_SYMBOL_GPL(hmm_mirror_window_del);

bool hmm_window_shows(struct hmm_mirror *mirror, unsigned long start,
		      unsigned long last)
{
	bool shows;

	spin_lock(&mirror->window_lock);
	shows = interval_tree_iter_first(&mirror->windows, start, last);
	spin_unlock(&mirror->window_lock);
	return shows;
}

/* Of @pages that changed somewhere in [start, last], no more than @window shows. */
static unsigned long hmm_window_share(const struct hmm_mirror_window *window,
				      unsigned long start, unsigned long last,
				      unsigned long pages)
{
	start = max(start, window->node.start) >> PAGE_SHIFT;
	last = min(last, window->node.last) >> PAGE_SHIFT;
	return min(pages, last - start + 1);
}

/*
 * A process may register the same page half a million times, and this runs in its
 * neighbours' notifiers too, with whatever locks they hold. So it has an end, and those
 * windows that were there first count.
 */
void hmm_window_count(struct hmm_mirror *mirror, unsigned long start,
		      unsigned long last, unsigned long pages, bool gone)
{
	struct hmm_mirror_window *window;
	struct interval_tree_node *node;
	unsigned int counted = 0;
	unsigned long share;

	spin_lock(&mirror->window_lock);
	for (node = interval_tree_iter_first(&mirror->windows, start, last);
	     node; node = interval_tree_iter_next(node, start, last)) {
		if (counted++ == HMM_WINDOWS_COUNTED) {
			hmm_stat_inc(mirror, counts_cut);
			break;
		}
		window = container_of(node, struct hmm_mirror_window, node);
		share = hmm_window_share(window, start, last, pages);
		if (gone) {
			atomic64_add(share, &window->invalidations);
			atomic64_inc(&window->invalidations_handled);
		} else {
			atomic64_add(share, &window->faults);
			atomic64_inc(&window->faults_handled);
		}
	}
	spin_unlock(&mirror->window_lock);
}
