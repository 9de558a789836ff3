// SPDX-License-Identifier: GPL-2.0
#include <linux/bitops.h>
#include <linux/seq_file.h>

#include "latency.h"

void rxo_latency_add(struct rxo_latency *latency, u64 usec)
{
	int i = min(fls64(usec), RXO_LATENCY_BUCKETS - 1);

	atomic64_inc(&latency->v[i]);
}

void rxo_latency_show(struct rxo_latency *latency, struct seq_file *m)
{
	int i, last = RXO_LATENCY_BUCKETS - 1;

	while (last >= 0 && !atomic64_read(&latency->v[last]))
		last--;
	seq_puts(m, "from_us below_us count\n");
	for (i = 0; i <= last; i++) {
		seq_printf(m, "%llu ", i ? BIT_ULL(i - 1) : 0);
		if (i == RXO_LATENCY_BUCKETS - 1)
			seq_puts(m, "-");
		else
			seq_printf(m, "%llu", BIT_ULL(i));
		seq_printf(m, " %lld\n", atomic64_read(&latency->v[i]));
	}
}
