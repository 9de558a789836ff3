/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Printers: /sys/kernel/debug/rxe_odp/DEV/{mirrors,mrs,qps}
 */
#ifndef RXO_DEBUGFS_H
#define RXO_DEBUGFS_H

struct rxo_dev;

void rxo_debugfs_init(void);
void rxo_debugfs_exit(void);
void rxo_debugfs_add(struct rxo_dev *dev, const char *name);
void rxo_debugfs_del(struct rxo_dev *dev);

#endif /* RXO_DEBUGFS_H */
