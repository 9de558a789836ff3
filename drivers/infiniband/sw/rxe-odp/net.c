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
#include <net/udp.h>

#include "dev.h"
#include "net.h"
#include "netns.h"
#include "qp.h"
#include "run.h"
#include "wire/hdr.h"
#include "wire/icrc.h"
#include "wire/packet.h"

/*
 * Out of our own netdev, but to an address of this host any way that leads there:
 * it may be another netdev's.
 */
static struct dst_entry *rxo_route4(struct net *net, struct rxo_path *path,
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

static struct dst_entry *rxo_route6(struct net *net, struct rxo_path *path,
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

void rxo_net_path_reset(struct rxo_path *path)
{
	dst_release(path->dst);
	path->dst = NULL;
}

/* The route, cached; owned by @path. Under RCU, which keeps the netdev. */
static struct dst_entry *rxo_net_route(struct rxo_qp *qp,
				       struct net_device *ndev)
{
	struct rxo_path *path = &qp->path;

	if (path->dst && dst_check(path->dst, path->dst_cookie))
		return path->dst;
	rxo_net_path_reset(path);

	if (path->v4)
		path->dst = rxo_route4(dev_net(ndev), path, ndev->ifindex);
	else
		path->dst = rxo_route6(dev_net(ndev), path, ndev->ifindex);
	if (path->dst && !path->v4)
		path->dst_cookie = rt6_get_cookie(dst_rt6_info(path->dst));
	return path->dst;
}

struct sk_buff *rxo_net_alloc(struct rxo_qp *qp, struct rxo_packet *pkt,
			      void **payload)
{
	unsigned int ip_len = qp->path.v4 ? RXO_IPV4_LEN : RXO_IPV6_LEN;
	unsigned int hdr_len = rxo_opcode(pkt->opcode)->hdr_len;
	unsigned int len, headroom;
	struct net_device *ndev;
	struct dst_entry *dst;
	struct sk_buff *skb;

	rxo_run_assert(qp);
	rcu_read_lock();
	ndev = rcu_dereference(qp->dev->ndev);
	dst = ndev ? rxo_net_route(qp, ndev) : NULL;
	if (!dst) {
		rcu_read_unlock();
		rxo_count(qp->dev, send_errors);
		return ERR_PTR(-EHOSTUNREACH);
	}

	len = hdr_len + ALIGN(pkt->payload_len, 4) + RXO_ICRC_LEN;
	headroom = LL_RESERVED_SPACE(dst->dev) + ip_len + RXO_UDP_LEN;
	skb = alloc_skb(headroom + len, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb) {
		rcu_read_unlock();
		rxo_count(qp->dev, send_no_memory);
		return ERR_PTR(-ENOMEM);
	}
	skb_reserve(skb, headroom);
	skb_put(skb, len);
	skb->dev = dst->dev;
	skb_dst_set(skb, dst_clone(dst));
	rcu_read_unlock();

	*payload = skb->data + hdr_len;
	return skb;
}

static void rxo_net_push_udp(const struct rxo_path *path, struct sk_buff *skb)
{
	struct udphdr *udp = skb_push(skb, sizeof(*udp));

	skb_reset_transport_header(skb);
	udp->source = path->sport;
	udp->dest = htons(RXO_UDP_PORT);
	udp->len = htons(skb->len);
	udp->check = 0; /* the ICRC is stronger (IBTA A17.3.2) */
}

static void rxo_net_push_ip4(const struct rxo_path *path, struct sk_buff *skb)
{
	struct iphdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	skb->protocol = htons(ETH_P_IP);
	memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = path->tos;
	ip->tot_len = htons(skb->len);
	/* Not to be fragmented, so its id says nothing (RFC 6864). */
	ip->frag_off = htons(IP_DF);
	ip->ttl = path->ttl;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = path->saddr.s6_addr32[3];
	ip->daddr = path->daddr.s6_addr32[3];
}

static void rxo_net_push_ip6(const struct rxo_path *path, struct sk_buff *skb)
{
	unsigned int payload = skb->len;
	struct ipv6hdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	skb->protocol = htons(ETH_P_IPV6);
	ip6_flow_hdr(ip, path->tos, htonl(path->flow_label));
	ip->payload_len = htons(payload);
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = path->ttl;
	ip->saddr = path->saddr;
	ip->daddr = path->daddr;
}

void rxo_net_send(struct rxo_qp *qp, struct rxo_packet *pkt,
		  struct sk_buff *skb)
{
	const struct rxo_path *path = &qp->path;
	void *bth = skb->data;
	size_t tail;
	__le32 icrc;
	u32 crc;
	int ret;

	rxo_run_assert(qp);
	rxo_packet_build(pkt, bth);
	/* Pad bytes are 0. */
	tail = pkt->hdr_len + pkt->payload_len;
	memset(bth + tail, 0, pkt->pad);

	rxo_net_push_udp(path, skb);
	if (path->v4)
		rxo_net_push_ip4(path, skb);
	else
		rxo_net_push_ip6(path, skb);

	crc = rxo_icrc_begin(skb_network_header(skb));
	crc = rxo_icrc_add(crc, bth + sizeof(struct rxo_bth),
			   tail + pkt->pad - sizeof(struct rxo_bth));
	icrc = rxo_icrc_end(crc);
	memcpy(bth + tail + pkt->pad, &icrc, sizeof(icrc));

	rxo_count(qp->dev, sent_pkts);
	rxo_count_add(qp->dev, sent_bytes, pkt->payload_len);
	if (path->v4)
		ret = ip_local_out(dev_net(skb_dst(skb)->dev), NULL, skb);
	else
		ret = ip6_local_out(dev_net(skb_dst(skb)->dev), NULL, skb);
	if (unlikely(net_xmit_eval(ret)))
		rxo_count(qp->dev, send_errors);
}

bool rxo_net_from_peer(const struct rxo_path *path, const struct sk_buff *skb)
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

/*
 * IP, UDP and transport headers and payload in one piece, and IP without
 * options, as the ICRC wants it.
 */
static bool rxo_net_linear(struct sk_buff *skb)
{
	unsigned int ip_len = skb->protocol == htons(ETH_P_IP) ? RXO_IPV4_LEN :
								 RXO_IPV6_LEN;

	return skb_transport_offset(skb) - skb_network_offset(skb) == ip_len &&
	       !skb_linearize(skb);
}

static bool rxo_net_icrc_ok(struct sk_buff *skb, const void *bth, size_t len)
{
	u32 crc = rxo_icrc_begin(skb_network_header(skb));
	__le32 icrc;

	crc = rxo_icrc_add(crc, bth + sizeof(struct rxo_bth),
			   len - sizeof(struct rxo_bth) - RXO_ICRC_LEN);
	icrc = rxo_icrc_end(crc);
	return !memcmp(&icrc, bth + len - RXO_ICRC_LEN, sizeof(icrc));
}

/* A packet that reached no QP is counted where it came in, if that is ours. */
static int rxo_net_drop(struct sock *sk, struct sk_buff *skb,
			enum rxo_counter counter)
{
	struct rxo_dev *dev = rxo_netns_find_dev(sk, skb);

	if (dev)
		this_cpu_inc(dev->stats->v[counter]);
	kfree_skb(skb);
	return 0;
}

int rxo_net_receive(struct sock *sk, struct sk_buff *skb)
{
	struct rxo_packet pkt;
	struct net_device *ndev;
	struct rxo_qp *qp;
	bool here;

	if (!rxo_net_linear(skb))
		return rxo_net_drop(sk, skb, RXO_CNT_rcvd_malformed);
	__skb_pull(skb, sizeof(struct udphdr));
	if (rxo_packet_parse(&pkt, skb->data, skb->len, skb->len) !=
	    RXO_PARSE_OK)
		return rxo_net_drop(sk, skb, RXO_CNT_rcvd_malformed);
	if (!rxo_net_icrc_ok(skb, skb->data, skb->len))
		return rxo_net_drop(sk, skb, RXO_CNT_rcvd_icrc_errors);
	qp = rxo_qp_find(pkt.qpn);
	if (!qp)
		return rxo_net_drop(sk, skb, RXO_CNT_rcvd_no_qp);

	/* QPNs are unique over all namespaces; packets stay in theirs. */
	rcu_read_lock();
	ndev = rcu_dereference(qp->dev->ndev);
	here = ndev && net_eq(dev_net(ndev), sock_net(sk));
	rcu_read_unlock();
	if (!here) {
		rxo_qp_put(qp);
		return rxo_net_drop(sk, skb, RXO_CNT_rcvd_no_qp);
	}
	/* IBTA 9.6.1.1: dropped without a word. */
	if (!rxo_packet_pkey_ok(&pkt)) {
		rxo_count(qp->dev, rcvd_wrong_pkey);
		rxo_qp_put(qp);
		kfree_skb(skb);
		return 0;
	}
	rxo_count(qp->dev, rcvd_pkts);
	rxo_count_add(qp->dev, rcvd_bytes, pkt.payload_len);
	skb_dst_drop(skb);
	rxo_run_packet(qp, skb, pkt.flags & RXO_OP_REQ);
	rxo_qp_put(qp);
	return 0;
}
