/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Verbs: thin adapters between ib_core and the objects. Copy in, call an object,
 * copy out; undo when the copy out fails.
 */
#ifndef RXO_VERBS_H
#define RXO_VERBS_H

struct ib_device_ops;

extern const struct ib_device_ops rxo_verbs_ops;

#endif /* RXO_VERBS_H */
