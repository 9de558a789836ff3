/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets out and in: UDP port 4791 over IPv4 and IPv6.
 */
#ifndef RXO_NET_H
#define RXO_NET_H

#include <linux/types.h>

struct rxo_packet;
struct rxo_qp;
struct sk_buff;
struct sock;

/**
 * rxo_net_alloc() - an empty packet
 * @qp: sender; its path leads to the receiver
 * @pkt: opcode and payload_len are set
 * @payload: filled with where the payload goes
 *
 * Context: the QP's runner; bottom halves disabled.
 * Return: a packet for rxo_net_send(), or ERR_PTR: -ENOMEM; -EHOSTUNREACH without a
 * route, and the packet is as good as lost on the way.
 */
struct sk_buff *rxo_net_alloc(struct rxo_qp *qp, struct rxo_packet *pkt,
			      void **payload);

/**
 * rxo_net_send() - write the headers and send
 * @qp: sender
 * @pkt: whole
 * @skb: from rxo_net_alloc(), payload filled; consumed
 *
 * A packet that gets lost below us is counted and otherwise as any lost packet.
 * Context: as rxo_net_alloc().
 */
void rxo_net_send(struct rxo_qp *qp, struct rxo_packet *pkt,
		  struct sk_buff *skb);

/**
 * rxo_net_receive() - a datagram for port 4791; the socket's encap_rcv
 * @sk: the socket
 * @skb: data is at the UDP header
 *
 * Context: softirq.
 * Return: 0: consumed.
 */
int rxo_net_receive(struct sock *sk, struct sk_buff *skb);

/**
 * struct rxo_net_row - packets that come in a row for one QP, which runs once for them
 * @qp: theirs, with a reference, and yet to be run; or NULL
 * @len: how many have come
 */
struct rxo_net_row {
	struct rxo_qp *qp;
	unsigned int len;
};

/**
 * rxo_net_receive_local() - a packet of this host's
 * @row: of zeroes for the first; it ends with rxo_net_end_row()
 * @net: the namespace that it is sent in
 * @skb: data is at the BTH; it has the sender's route, and no ICRC; consumed
 *
 * Context: softirq, in an RCU reader.
 */
void rxo_net_receive_local(struct rxo_net_row *row, struct net *net,
			   struct sk_buff *skb);

/**
 * rxo_net_end_row() - nothing more comes soon
 * @row: the row, empty on return
 *
 * Context: softirq.
 */
void rxo_net_end_row(struct rxo_net_row *row);

/**
 * rxo_net_grh() - what a datagram's receiver sees in place of an InfiniBand GRH
 * @skb: received
 * @grh: RXO_GRH_LEN bytes; the IP header, an IPv4 one in the last 20 (IBTA A17.4.5.2)
 *
 * Context: any.
 */
void rxo_net_grh(const struct sk_buff *skb, u8 *grh);

#endif /* RXO_NET_H */
