/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Links: "rdma link add NAME type rxe_odp netdev DEV", and what happens to the
 * netdev afterwards.
 */
#ifndef RXO_LINK_H
#define RXO_LINK_H

struct rxo_dev;

int rxo_link_init(void);
void rxo_link_exit(void);

/* A device is in the list of links from before its registration to its end. */
void rxo_link_remember(struct rxo_dev *dev);
void rxo_link_forget(struct rxo_dev *dev);

#endif /* RXO_LINK_H */
