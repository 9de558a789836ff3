// SPDX-License-Identifier: GPL-2.0
#include <rdma/ib_verbs.h>

#include "dev.h"
#include "stats.h"

/* What the mirror counts is shown beside our own. */
static const struct rdma_stat_desc rxo_stat_descs[] = {
#define RXO_COUNTER_DESC(n) { .name = #n },
	RXO_COUNTERS(RXO_COUNTER_DESC)
#undef RXO_COUNTER_DESC
#define RXO_MIRROR_DESC(n) { .name = "odp_" #n },
	HMM_MIRROR_COUNTERS(RXO_MIRROR_DESC)
#undef RXO_MIRROR_DESC
};

struct rdma_hw_stats *rxo_stats_alloc(struct ib_device *ibdev, u32 port)
{
	return rdma_alloc_hw_stats_struct(rxo_stat_descs,
					  ARRAY_SIZE(rxo_stat_descs),
					  RDMA_HW_STATS_DEFAULT_LIFESPAN);
}

int rxo_stats_get(struct ib_device *ibdev, struct rdma_hw_stats *stats,
		  u32 port, int index)
{
	struct rxo_dev *dev = to_rxo_dev(ibdev);
	int i, cpu;

	if (port != 1 || !stats)
		return -EINVAL;

	for (i = 0; i < RXO_CNT_NUM; i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(dev->stats, cpu)->v[i]);
		stats->value[i] = sum;
	}
#define RXO_MIRROR_VALUE(n) \
	stats->value[i++] = atomic64_read(&dev->mirrors.stats.n);
	HMM_MIRROR_COUNTERS(RXO_MIRROR_VALUE)
#undef RXO_MIRROR_VALUE
	return ARRAY_SIZE(rxo_stat_descs);
}
