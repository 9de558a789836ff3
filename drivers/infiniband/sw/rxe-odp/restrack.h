/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What "rdma resource show" and "rdma statistic show mr" tell of our objects beyond
 * what ib_core knows.
 */
#ifndef RXO_RESTRACK_H
#define RXO_RESTRACK_H

#include <rdma/ib_verbs.h>

extern const struct ib_device_ops rxo_restrack_ops;

#endif /* RXO_RESTRACK_H */
