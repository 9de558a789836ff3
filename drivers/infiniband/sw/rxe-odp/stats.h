/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters: one for every distinct path, per CPU, shown by "rdma statistic" and
 * in /sys/class/infiniband/DEV/ports/1/hw_counters.
 */
#ifndef RXO_STATS_H
#define RXO_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

struct ib_device;
struct rdma_hw_stats;
struct rxo_dev;

/* op(name) for each of them. */
#define RXO_COUNTERS(op)                                                      \
	op(sent_pkts)                                                         \
	op(sent_bytes)                                                        \
	op(sent_locally) /* of sent_pkts, past the IP stack */                \
	op(rcvd_pkts)                                                         \
	op(rcvd_bytes)                                                        \
	op(sent_acks)                                                         \
	op(sent_naks)                                                         \
	op(sent_keepalives) /* the responder waits for a page */              \
	op(peers_in_a_hurry) /* did not wait for a keepalive */               \
	op(peers_calmed) /* ... and did in a whole wait since */              \
	op(sent_rnr_naks)                                                     \
	op(sent_read_resps)                                                   \
	op(reads_set_aside) /* while an older one is answered again */        \
	op(send_errors) /* no route, interface down, dropped below us */      \
	op(send_no_memory) /* tried again a little later */                   \
	op(rcvd_malformed) /* headers do not parse */                         \
	op(rcvd_icrc_errors)                                                  \
	op(rcvd_no_qp) /* no such QP, or it is not able to receive */         \
	op(rcvd_wrong_pkey) /* of another partition */                        \
	op(rcvd_wrong_peer) /* not the addresses it is connected with */      \
	op(rcvd_wrong_qkey)                                                   \
	op(rcvd_wrong_transport) /* RC packet at another kind of QP ... */    \
	op(rcvd_queue_full) /* QP had too much to do; go-back-N recovers */   \
	op(rcvd_flushed) /* queued, and the QP then reset or in error */      \
	op(rcvd_no_wqe) /* UC, UD: no receive was posted */                   \
	op(rcvd_aborted) /* UC: a message broke off */                        \
	op(rcvd_duplicates)                                                   \
	op(rcvd_out_of_sequence)                                              \
	op(rcvd_early) /* responses kept for those that they overtook */      \
	op(rcvd_too_early) /* ... and not, as too many were */                \
	op(rcvd_mismatches) /* duplicates of what was not so, or long ago */  \
	op(rcvd_naks)                                                         \
	op(rcvd_keepalives) /* the peer works on what we asked for */         \
	op(rcvd_rnr_naks)                                                     \
	op(rcvd_stale_naks) /* of what is sent again already */               \
	op(rcvd_ghosts) /* responses to nothing outstanding */                \
	op(retransmits) /* times a requester went back */                     \
	op(timeouts)                                                          \
	op(timeouts_put_off) /* responses were here, not looked at yet */     \
	op(retry_exceeded)                                                    \
	op(rnr_retry_exceeded)                                                \
	op(remote_access_errors)                                              \
	op(local_protection_errors)                                           \
	op(local_length_errors)                                               \
	op(invalid_requests)                                                  \
	op(cq_overflows)                                                      \
	op(bad_wqes) /* a WQE in user memory that makes no sense */           \
	op(parks) /* a QP waited for a page */                                \
	op(resumes)                                                           \
	op(parks_helped) /* the thread that posted brought the page */        \
	op(sends_paused) /* ... before it sent more to who waits for it */    \
	op(prefaults) /* of a message, while its first pages are used */      \
	op(fault_retries) /* page gone again before it was used */            \
	op(budget_yields) /* a run had to give the CPU away */                \
	op(prefetches)                                                        \
	op(prefetches_dropped) /* the device was closed before their end */

enum rxo_counter {
#define RXO_COUNTER_ENUM(name) RXO_CNT_##name,
	RXO_COUNTERS(RXO_COUNTER_ENUM)
#undef RXO_COUNTER_ENUM
	RXO_CNT_NUM
};

struct rxo_stats {
	u64 v[RXO_CNT_NUM];
};

#define rxo_count(dev, name) rxo_count_add(dev, name, 1)
#define rxo_count_add(dev, name, n) \
	this_cpu_add((dev)->stats->v[RXO_CNT_##name], n)

/* ib_device_ops */
struct rdma_hw_stats *rxo_stats_alloc(struct ib_device *ibdev, u32 port);
int rxo_stats_get(struct ib_device *ibdev, struct rdma_hw_stats *stats,
		  u32 port, int index);

#endif /* RXO_STATS_H */
