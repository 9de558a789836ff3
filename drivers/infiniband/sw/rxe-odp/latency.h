/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A histogram of times, in powers of two of a microsecond.
 */
#ifndef RXO_LATENCY_H
#define RXO_LATENCY_H

#include <linux/atomic.h>
#include <linux/types.h>

struct seq_file;

/* The last one is everything from 2^25 us, half a minute, on. */
#define RXO_LATENCY_BUCKETS 27

/* Bucket 0 is less than 1 us, bucket n from 2^(n-1) us to less than 2^n us. */
struct rxo_latency {
	atomic64_t v[RXO_LATENCY_BUCKETS];
};

/* Context: any. */
void rxo_latency_add(struct rxo_latency *latency, u64 usec);

/* A line for each bucket up to the last that is not empty. */
void rxo_latency_show(struct rxo_latency *latency, struct seq_file *m);

#endif /* RXO_LATENCY_H */
