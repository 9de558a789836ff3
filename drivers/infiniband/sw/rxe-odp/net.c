// SPDX-License-Identifier: GPL-2.0
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/udp.h>
#include <rdma/ib_cache.h>

#include "dev.h"
#include "local.h"
#include "net.h"
#include "netns.h"
#include "qp.h"
#include "run.h"
#include "spare.h"
#include "wire/hdr.h"
#include "wire/icrc.h"
#include "wire/packet.h"

/* Then the QP runs: who waits for it does not wait long, and the cache still has them. */
#define RXO_NET_ROW_MAX 16

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
	dst = ndev ? rxo_path_route(&qp->path, ndev) : NULL;
	if (!dst) {
		rcu_read_unlock();
		rxo_count(qp->dev, send_errors);
		return ERR_PTR(-EHOSTUNREACH);
	}

	len = hdr_len + ALIGN(pkt->payload_len, 4) + RXO_ICRC_LEN;
	headroom = LL_RESERVED_SPACE(dst->dev) + ip_len + RXO_UDP_LEN;
	if (rxo_local_leads(dst))
		skb = rxo_spare_get(headroom + len);
	else
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

/* Write the ICRC behind all that is there. */
static void rxo_net_seal(struct sk_buff *skb, void *bth)
{
	void *end = skb_tail_pointer(skb) - RXO_ICRC_LEN;
	u32 crc = rxo_icrc_begin(skb_network_header(skb));
	__le32 icrc;

	bth += sizeof(struct rxo_bth);
	crc = rxo_icrc_add(crc, bth, end - bth);
	icrc = rxo_icrc_end(crc);
	memcpy(end, &icrc, sizeof(icrc));
}

static bool rxo_net_send_out(const struct rxo_path *path, struct sk_buff *skb)
{
	struct net *net = dev_net(skb_dst(skb)->dev);
	int ret;

	if (path->v4)
		ret = ip_local_out(net, NULL, skb);
	else
		ret = ip6_local_out(net, NULL, skb);
	return !net_xmit_eval(ret);
}

/* As it would arrive. */
static bool rxo_net_send_local(const struct rxo_path *path,
			       struct sk_buff *skb, void *bth)
{
	if (path->v4)
		ip_send_check(ip_hdr(skb));
	skb_pull(skb, bth - (void *)skb->data);
	return rxo_local_send(skb);
}

void rxo_net_send(struct rxo_qp *qp, struct rxo_packet *pkt,
		  struct sk_buff *skb)
{
	const struct rxo_path *path = &qp->path;
	void *bth = skb->data;
	bool sent;

	rxo_run_assert(qp);
	rxo_packet_build(pkt, bth);
	/* Pad bytes are 0. */
	memset(bth + pkt->hdr_len + pkt->payload_len, 0, pkt->pad);

	rxo_net_push_udp(path, skb);
	if (path->v4)
		rxo_net_push_ip4(path, skb);
	else
		rxo_net_push_ip6(path, skb);

	rxo_count(qp->dev, sent_pkts);
	rxo_count_add(qp->dev, sent_bytes, pkt->payload_len);
	/* Where it goes was decided when it was made. */
	if (rxo_spare_is(skb)) {
		rxo_count(qp->dev, sent_locally);
		sent = rxo_net_send_local(path, skb, bth);
	} else {
		rxo_net_seal(skb, bth);
		sent = rxo_net_send_out(path, skb);
	}
	if (unlikely(!sent))
		rxo_count(qp->dev, send_errors);
}

void rxo_net_grh(const struct sk_buff *skb, u8 *grh)
{
	if (skb->protocol == htons(ETH_P_IP)) {
		memset(grh, 0, RXO_GRH_LEN - RXO_IPV4_LEN);
		memcpy(grh + RXO_GRH_LEN - RXO_IPV4_LEN, ip_hdr(skb),
		       RXO_IPV4_LEN);
	} else {
		memcpy(grh, ipv6_hdr(skb), RXO_GRH_LEN);
	}
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
static void rxo_net_drop(struct net *net, struct sk_buff *skb,
			 enum rxo_counter counter)
{
	struct rxo_dev *dev = rxo_netns_find_dev(net, skb);

	if (dev)
		this_cpu_inc(dev->stats->v[counter]);
	kfree_skb(skb);
}

/* A datagram's QP has no peer to tell its own packets by; they go to our addresses. */
static bool rxo_net_to_dev(struct rxo_dev *dev, const struct sk_buff *skb)
{
	const struct ib_gid_attr *attr;
	union ib_gid gid;

	if (skb->protocol == htons(ETH_P_IP))
		ipv6_addr_set_v4mapped(ip_hdr(skb)->daddr,
				       (struct in6_addr *)&gid);
	else
		memcpy(&gid, &ipv6_hdr(skb)->daddr, sizeof(gid));
	attr = rdma_find_gid_by_port(&dev->ib, &gid, IB_GID_TYPE_ROCE_UDP_ENCAP,
				     1, NULL);
	if (IS_ERR(attr))
		return false;
	rdma_put_gid_attr(attr);
	return true;
}

/* May the packet reach the QP? Each reason why not has a counter. */
static bool rxo_net_admit(struct rxo_qp *qp, const struct rxo_packet *pkt,
			  const struct sk_buff *skb)
{
	/* IBTA 9.6.1.1: dropped without a word. */
	if (!rxo_packet_pkey_ok(pkt)) {
		rxo_count(qp->dev, rcvd_wrong_pkey);
		return false;
	}
	if ((pkt->opcode & RXO_TRANSPORT_MASK) != qp->transport) {
		rxo_count(qp->dev, rcvd_wrong_transport);
		return false;
	}
	if (qp->transport == RXO_UD && !rxo_net_to_dev(qp->dev, skb)) {
		rxo_count(qp->dev, rcvd_wrong_peer);
		return false;
	}
	return true;
}

/* QPNs are unique over all namespaces; packets stay in theirs. */
static bool rxo_net_is_in(const struct rxo_qp *qp, const struct net *net)
{
	struct net_device *ndev;
	bool in;

	rcu_read_lock();
	ndev = rcu_dereference(qp->dev->ndev);
	in = ndev && net_eq(dev_net(ndev), net);
	rcu_read_unlock();
	return in;
}

/* Return: false if it is dropped; each reason has a counter. */
static bool rxo_net_accept(struct rxo_qp *qp, struct net *net,
			   struct sk_buff *skb, const struct rxo_packet *pkt)
{
	if (!rxo_net_is_in(qp, net)) {
		rxo_net_drop(net, skb, RXO_CNT_rcvd_no_qp);
		return false;
	}
	if (!rxo_net_admit(qp, pkt, skb)) {
		kfree_skb(skb);
		return false;
	}
	rxo_count(qp->dev, rcvd_pkts);
	rxo_count_add(qp->dev, rcvd_bytes, pkt->payload_len);
	skb_dst_drop(skb);
	return true;
}

static void rxo_net_deliver(struct net *net, struct sk_buff *skb,
			    const struct rxo_packet *pkt)
{
	struct rxo_qp *qp = rxo_qp_find(pkt->qpn);

	if (!qp) {
		rxo_net_drop(net, skb, RXO_CNT_rcvd_no_qp);
		return;
	}
	if (rxo_net_accept(qp, net, skb, pkt))
		rxo_run_packet(qp, skb, pkt);
	rxo_qp_put(qp);
}

int rxo_net_receive(struct sock *sk, struct sk_buff *skb)
{
	struct net *net = sock_net(sk);
	struct rxo_packet pkt;

	rxo_spare_disown(skb);
	if (!rxo_net_linear(skb)) {
		rxo_net_drop(net, skb, RXO_CNT_rcvd_malformed);
		return 0;
	}
	__skb_pull(skb, sizeof(struct udphdr));
	if (rxo_packet_parse(&pkt, skb->data, skb->len, skb->len) !=
	    RXO_PARSE_OK)
		rxo_net_drop(net, skb, RXO_CNT_rcvd_malformed);
	else if (!rxo_net_icrc_ok(skb, skb->data, skb->len))
		rxo_net_drop(net, skb, RXO_CNT_rcvd_icrc_errors);
	else
		rxo_net_deliver(net, skb, &pkt);
	return 0;
}

void rxo_net_end_row(struct rxo_net_row *row)
{
	if (!row->qp)
		return;
	rxo_run_kick(row->qp, 0);
	rxo_qp_put(row->qp);
	row->qp = NULL;
}

/* Return: the QP of the row that the packet belongs to, which may begin with it, or NULL. */
static struct rxo_qp *rxo_net_in_row(struct rxo_net_row *row, u32 qpn)
{
	if (row->qp && row->qp->ib.qp_num == qpn &&
	    row->len < RXO_NET_ROW_MAX) {
		row->len++;
		return row->qp;
	}
	rxo_net_end_row(row);
	row->qp = rxo_qp_find(qpn);
	row->len = 1;
	return row->qp;
}

void rxo_net_receive_local(struct rxo_net_row *row, struct net *net,
			   struct sk_buff *skb)
{
	struct rxo_packet pkt;
	struct rxo_qp *qp;

	if (rxo_packet_parse(&pkt, skb->data, skb->len, skb->len) !=
	    RXO_PARSE_OK) {
		rxo_net_drop(net, skb, RXO_CNT_rcvd_malformed);
		return;
	}
	qp = rxo_net_in_row(row, pkt.qpn);
	if (!qp)
		rxo_net_drop(net, skb, RXO_CNT_rcvd_no_qp);
	else if (rxo_net_accept(qp, net, skb, &pkt))
		rxo_run_packet_in_row(qp, skb, &pkt);
}
