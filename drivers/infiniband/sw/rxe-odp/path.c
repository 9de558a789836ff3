// SPDX-License-Identifier: GPL-2.0
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <rdma/ib_verbs.h>

#include "path.h"
#include "wire/hdr.h"

#define RXO_DEFAULT_TTL 64
#define RXO_FLOW_LABEL_MASK 0xfffff

int rxo_path_check(const struct rdma_ah_attr *attr)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(attr);

	if (!(rdma_ah_get_ah_flags(attr) & IB_AH_GRH) || !grh->sgid_attr)
		return -EINVAL;
	if (grh->sgid_attr->gid_type != IB_GID_TYPE_ROCE_UDP_ENCAP)
		return -EINVAL;
	if (ipv6_addr_v4mapped((struct in6_addr *)grh->dgid.raw) !=
	    ipv6_addr_v4mapped((struct in6_addr *)grh->sgid_attr->gid.raw))
		return -EINVAL;
	return 0;
}

void rxo_path_init(struct rxo_path *path, const struct rdma_ah_attr *attr)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(attr);

	memset(path, 0, sizeof(*path));
	memcpy(&path->saddr, grh->sgid_attr->gid.raw, sizeof(path->saddr));
	memcpy(&path->daddr, grh->dgid.raw, sizeof(path->daddr));
	path->v4 = ipv6_addr_v4mapped(&path->daddr);
	path->tos = grh->traffic_class;
	path->ttl = grh->hop_limit ?: RXO_DEFAULT_TTL;
	path->flow_label = grh->flow_label & RXO_FLOW_LABEL_MASK;
}

void rxo_path_move(struct rxo_path *path, const struct rxo_path *to)
{
	/* All that a route depends on. */
	if (!ipv6_addr_equal(&path->daddr, &to->daddr) ||
	    !ipv6_addr_equal(&path->saddr, &to->saddr))
		rxo_path_reset(path);
	path->v4 = to->v4;
	path->saddr = to->saddr;
	path->daddr = to->daddr;
	path->sport = to->sport;
	path->tos = to->tos;
	path->ttl = to->ttl;
	path->flow_label = to->flow_label;
}

/*
 * Out of our own netdev, but to an address of this host any way that leads there:
 * it may be another netdev's.
 */
static struct dst_entry *rxo_path_route4(struct net *net, struct rxo_path *path,
					 int oif)
{
	__be32 daddr = path->daddr.s6_addr32[3];
	struct flowi4 fl = {
		.flowi4_oif = inet_addr_type(net, daddr) == RTN_LOCAL ? 0 : oif,
		.flowi4_proto = IPPROTO_UDP,
		.saddr = path->saddr.s6_addr32[3],
		.daddr = daddr,
		.fl4_sport = path->sport,
		.fl4_dport = htons(RXO_UDP_PORT),
	};
	struct rtable *rt = ip_route_output_flow(net, &fl, NULL);

	return IS_ERR(rt) ? NULL : &rt->dst;
}

static struct dst_entry *rxo_path_route6(struct net *net, struct rxo_path *path,
					 int oif)
{
	bool local = !(ipv6_addr_type(&path->daddr) & IPV6_ADDR_LINKLOCAL) &&
		     ipv6_chk_addr(net, &path->daddr, NULL, 0);
	struct flowi6 fl = {
		.flowi6_oif = local ? 0 : oif,
		.flowi6_proto = IPPROTO_UDP,
		.saddr = path->saddr,
		.daddr = path->daddr,
		.fl6_sport = path->sport,
		.fl6_dport = htons(RXO_UDP_PORT),
	};
	struct dst_entry *dst = ip6_route_output(net, NULL, &fl);

	if (dst->error) {
		dst_release(dst);
		return NULL;
	}
	return dst;
}

void rxo_path_reset(struct rxo_path *path)
{
	dst_release(xchg(&path->dst, NULL));
}

struct dst_entry *rxo_path_route(struct rxo_path *path,
				 struct net_device *ndev)
{
	if (path->dst && dst_check(path->dst, path->dst_cookie))
		return path->dst;
	rxo_path_reset(path);

	if (path->v4)
		path->dst = rxo_path_route4(dev_net(ndev), path, ndev->ifindex);
	else
		path->dst = rxo_path_route6(dev_net(ndev), path, ndev->ifindex);
	if (path->dst && !path->v4)
		path->dst_cookie = rt6_get_cookie(dst_rt6_info(path->dst));
	return path->dst;
}

bool rxo_path_matches(const struct rxo_path *path, const struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP)) {
		const struct iphdr *ip = ip_hdr(skb);

		return path->v4 && ip->saddr == path->daddr.s6_addr32[3] &&
		       ip->daddr == path->saddr.s6_addr32[3];
	}
	return !path->v4 &&
	       ipv6_addr_equal(&ipv6_hdr(skb)->saddr, &path->daddr) &&
	       ipv6_addr_equal(&ipv6_hdr(skb)->daddr, &path->saddr);
}
