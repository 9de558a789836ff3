// SPDX-License-Identifier: GPL-2.0
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/udp_tunnel.h>

#include "compat/compat.h"
#include "dev.h"
#include "local.h"
#include "net.h"
#include "netns.h"
#include "wire/hdr.h"

/**
 * struct rxo_netns - a namespace
 * @ref: one of the namespace itself, one of each device
 * @lock: protects all below; devs is read under RCU
 * @net: NULL once the namespace has gone
 * @users: devices; the sockets are open while there are some
 * @sock4: for IPv4
 * @sock6: for IPv6; NULL where the namespace has none
 * @devs: its devices
 */
struct rxo_netns {
	refcount_t ref;
	struct mutex lock;
	struct net *net;
	unsigned int users;
	struct socket *sock4;
	struct socket *sock6;
	struct list_head devs;
};

static unsigned int rxo_netns_id;

struct rxo_netns_slot {
	struct rxo_netns *ns;
};

static struct rxo_netns *rxo_netns_of(struct net *net)
{
	struct rxo_netns_slot *slot = net_generic(net, rxo_netns_id);

	return slot->ns;
}

static int rxo_netns_open(struct net *net, int family, struct socket **sock)
{
	struct udp_tunnel_sock_cfg cfg = {
		.encap_type = 1,
		.encap_rcv = rxo_net_receive,
	};
	struct udp_port_cfg port = {
		.family = family,
		.local_udp_port = htons(RXO_UDP_PORT),
		.ipv6_v6only = 1,
	};
	int ret;

	ret = udp_sock_create(net, &port, sock);
	if (ret) {
		*sock = NULL;
		return ret;
	}
	setup_udp_tunnel_sock(net, rxo_compat_tunnel_sock(*sock), &cfg);
	return 0;
}

static void rxo_netns_close(struct rxo_netns *ns)
{
	lockdep_assert_held(&ns->lock);
	if (ns->sock4)
		udp_tunnel_sock_release(rxo_compat_tunnel_sock(ns->sock4));
	if (ns->sock6)
		udp_tunnel_sock_release(rxo_compat_tunnel_sock(ns->sock6));
	ns->sock4 = NULL;
	ns->sock6 = NULL;
}

static int rxo_netns_open_both(struct rxo_netns *ns)
{
	int ret;

	lockdep_assert_held(&ns->lock);
	ret = rxo_netns_open(ns->net, AF_INET, &ns->sock4);
	if (ret)
		return ret;
	ret = rxo_netns_open(ns->net, AF_INET6, &ns->sock6);
	/* A kernel or namespace without IPv6 does with IPv4. */
	if (ret && ret != -EAFNOSUPPORT && ret != -EADDRNOTAVAIL) {
		rxo_netns_close(ns);
		return ret;
	}
	return 0;
}

static void rxo_netns_unref(struct rxo_netns *ns)
{
	if (refcount_dec_and_test(&ns->ref))
		kfree(ns);
}

struct rxo_netns *rxo_netns_get(struct net *net)
{
	struct rxo_netns *ns = rxo_netns_of(net);
	int ret = 0;

	mutex_lock(&ns->lock);
	if (!ns->net)
		ret = -ENODEV;
	else if (!ns->users)
		ret = rxo_netns_open_both(ns);
	if (!ret) {
		ns->users++;
		refcount_inc(&ns->ref);
	}
	mutex_unlock(&ns->lock);
	return ret ? ERR_PTR(ret) : ns;
}

void rxo_netns_put(struct rxo_netns *ns)
{
	mutex_lock(&ns->lock);
	if (!--ns->users)
		rxo_netns_close(ns);
	mutex_unlock(&ns->lock);
	rxo_netns_unref(ns);
}

void rxo_netns_add_dev(struct rxo_netns *ns, struct rxo_dev *dev)
{
	mutex_lock(&ns->lock);
	list_add_tail_rcu(&dev->netns_node, &ns->devs);
	mutex_unlock(&ns->lock);
}

void rxo_netns_del_dev(struct rxo_netns *ns, struct rxo_dev *dev)
{
	mutex_lock(&ns->lock);
	list_del_rcu(&dev->netns_node);
	mutex_unlock(&ns->lock);
	synchronize_rcu();
}

struct rxo_dev *rxo_netns_find_dev(struct net *net, struct sk_buff *skb)
{
	struct rxo_netns *ns = rxo_netns_of(net);
	struct rxo_dev *dev, *first = NULL;

	list_for_each_entry_rcu(dev, &ns->devs, netns_node) {
		if (rcu_access_pointer(dev->ndev) == skb->dev)
			return dev;
		if (!first)
			first = dev;
	}
	return first;
}

static int __net_init rxo_netns_start(struct net *net)
{
	struct rxo_netns_slot *slot = net_generic(net, rxo_netns_id);
	struct rxo_netns *ns = kzalloc(sizeof(*ns), GFP_KERNEL);

	if (!ns)
		return -ENOMEM;
	refcount_set(&ns->ref, 1);
	mutex_init(&ns->lock);
	INIT_LIST_HEAD(&ns->devs);
	ns->net = net;
	slot->ns = ns;
	return 0;
}

static void __net_exit rxo_netns_stop(struct net *net)
{
	struct rxo_netns *ns = rxo_netns_of(net);

	/* No netdev is left, so nobody sends. */
	rxo_local_flush();
	mutex_lock(&ns->lock);
	rxo_netns_close(ns);
	ns->net = NULL;
	mutex_unlock(&ns->lock);
	rxo_netns_unref(ns);
}

static struct pernet_operations rxo_netns_ops = {
	.init = rxo_netns_start,
	.exit = rxo_netns_stop,
	.id = &rxo_netns_id,
	.size = sizeof(struct rxo_netns_slot),
};

int rxo_netns_init(void)
{
	return register_pernet_subsys(&rxo_netns_ops);
}

void rxo_netns_exit(void)
{
	unregister_pernet_subsys(&rxo_netns_ops);
}
