/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where packets go to and come from: a pair of addresses, and the route between
 * them.
 */
#ifndef RXO_PATH_H
#define RXO_PATH_H

#include <linux/in6.h>
#include <linux/types.h>

struct dst_entry;
struct net_device;
struct rdma_ah_attr;
struct sk_buff;

/**
 * struct rxo_path - of a connected QP, an address handle, or the last datagram of
 * a QP that sends such
 * @v4: IPv4; else IPv6
 * @saddr: ours, v4-mapped for IPv4
 * @daddr: the peer's
 * @sport: UDP source port, made from the flow
 * @tos: traffic class
 * @ttl: hop limit
 * @flow_label: 20 bits
 * @dst: cached route, checked before each use
 * @dst_cookie: for that check
 */
struct rxo_path {
	bool v4;
	struct in6_addr saddr;
	struct in6_addr daddr;
	__be16 sport;
	u8 tos;
	u8 ttl;
	u32 flow_label;
	struct dst_entry *dst;
	u32 dst_cookie;
};

/**
 * rxo_path_check() - can we send to this address
 * @attr: from a verb, its source GID resolved
 *
 * Context: any.
 * Return: 0, or -EINVAL: no GRH, no RoCEv2 GID, or two families.
 */
int rxo_path_check(const struct rdma_ah_attr *attr);

/**
 * rxo_path_init() - the path that an address names
 * @path: filled; @path->sport is 0, no route is cached
 * @attr: checked
 *
 * Context: any.
 */
void rxo_path_init(struct rxo_path *path, const struct rdma_ah_attr *attr);

/**
 * rxo_path_move() - take over the addresses of another path
 * @path: its route is kept if that leads there as well
 * @to: the other
 *
 * Context: the owner of @path.
 */
void rxo_path_move(struct rxo_path *path, const struct rxo_path *to);

/**
 * rxo_path_route() - the route, looked up when the cached one is no longer good
 * @path: the path
 * @ndev: the netdev it starts from
 *
 * Context: the owner of @path; under RCU, which keeps the netdev.
 * Return: owned by @path; NULL when there is none.
 */
struct dst_entry *rxo_path_route(struct rxo_path *path,
				 struct net_device *ndev);

/* Forget the cached route. */
void rxo_path_reset(struct rxo_path *path);

/**
 * rxo_path_matches() - did a packet come the path's way back
 * @path: the path
 * @skb: received
 *
 * Context: the owner of @path, or where nobody changes its addresses.
 * Return: true when both addresses are right.
 */
bool rxo_path_matches(const struct rxo_path *path, const struct sk_buff *skb);

#endif /* RXO_PATH_H */
