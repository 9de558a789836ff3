/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way of a packet that never leaves the host: past the IP stack, with no ICRC.
 *
 * It is what a wire may do to a packet that an ICRC protects from, and here is none. As
 * with a device in hardware, the host's packet filters and captures do not see such
 * packets; whoever wants that writes N to the module's parameter local_bypass.
 */
#ifndef RXO_LOCAL_H
#define RXO_LOCAL_H

#include <linux/types.h>

struct dst_entry;
struct sk_buff;

void rxo_local_init(void);

/**
 * rxo_local_flush() - wait for the packets that were sent by now
 *
 * They have routes of their namespaces. Those that answer them may follow, if there are
 * QPs that do.
 *
 * Context: may sleep.
 */
void rxo_local_flush(void);

/**
 * rxo_local_leads() - is it the route to an address of this host
 * @dst: the route
 *
 * Context: an RCU reader, as who has bottom halves disabled is.
 * Return: true if a packet may go by rxo_local_send().
 */
bool rxo_local_leads(const struct dst_entry *dst);

/**
 * rxo_local_send() - have it received by rxo_net_receive_local(), in a softirq on this CPU
 * @skb: data is at the BTH, the network header is set; consumed
 *
 * Context: bottom halves disabled.
 * Return: false if too many wait already, and it is dropped.
 */
bool rxo_local_send(struct sk_buff *skb);

#endif /* RXO_LOCAL_H */
