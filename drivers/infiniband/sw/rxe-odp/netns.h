/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Per network namespace: the UDP sockets that own port 4791 while the namespace
 * has a device, and its devices.
 *
 * A device is unregistered by a worker, which may come after its namespace has
 * gone. So this has a reference count of its own, and the sockets are closed
 * when the namespace exits, whoever still holds it.
 */
#ifndef RXO_NETNS_H
#define RXO_NETNS_H

#include <linux/types.h>

struct net;
struct netlink_ext_ack;
struct rxo_dev;
struct rxo_netns;
struct sk_buff;

int rxo_netns_init(void);
void rxo_netns_exit(void);

/**
 * rxo_netns_get() - open the port in a namespace, or share it
 * @net: the namespace
 *
 * Context: may sleep; RTNL is not held.
 * Return: with a reference, or ERR_PTR: -EADDRINUSE when somebody else has the
 * port, -ENOMEM, ...
 */
struct rxo_netns *rxo_netns_get(struct net *net);

/**
 * rxo_netns_put() - a device is done; the last one closes the port
 * @ns: from rxo_netns_get()
 *
 * Context: may sleep; RTNL is not held.
 */
void rxo_netns_put(struct rxo_netns *ns);

/* A device of the namespace; del waits until packets no longer find it. */
void rxo_netns_add_dev(struct rxo_netns *ns, struct rxo_dev *dev);
void rxo_netns_del_dev(struct rxo_netns *ns, struct rxo_dev *dev);

/**
 * rxo_netns_find_dev() - whose counters does a packet belong to
 * @net: where it was received
 * @skb: the packet
 *
 * Context: softirq, in an RCU reader.
 * Return: the device on the netdev it came in by, or the namespace's first, or NULL.
 */
struct rxo_dev *rxo_netns_find_dev(struct net *net, struct sk_buff *skb);

#endif /* RXO_NETNS_H */
