// SPDX-License-Identifier: GPL-2.0
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <rdma/rdma_netlink.h>

#include "dev.h"
#include "link.h"
#include "netns.h"
#include "wire/hdr.h"

/*
 * All devices. Lock order: link mutex -> rtnl; the notifier, which comes with
 * RTNL held, uses the spinlock alone.
 */
static DEFINE_MUTEX(rxo_link_mutex); /* one newlink at a time */
static DEFINE_SPINLOCK(rxo_link_lock); /* protects rxo_links */
static LIST_HEAD(rxo_links);

void rxo_link_remember(struct rxo_dev *dev)
{
	spin_lock(&rxo_link_lock);
	list_add_tail(&dev->link, &rxo_links);
	spin_unlock(&rxo_link_lock);
}

void rxo_link_forget(struct rxo_dev *dev)
{
	spin_lock(&rxo_link_lock);
	list_del_init(&dev->link);
	spin_unlock(&rxo_link_lock);
}

/* A device that will not be unregistered until ib_device_put(). */
static struct rxo_dev *rxo_link_get(struct net_device *ndev)
{
	struct rxo_dev *dev, *found = NULL;

	spin_lock(&rxo_link_lock);
	list_for_each_entry(dev, &rxo_links, link)
		if (rcu_access_pointer(dev->ndev) == ndev &&
		    ib_device_try_get(&dev->ib)) {
			found = dev;
			break;
		}
	spin_unlock(&rxo_link_lock);
	return found;
}

static bool rxo_link_exists(struct net_device *ndev)
{
	struct rxo_dev *dev;
	bool found = false;

	spin_lock(&rxo_link_lock);
	list_for_each_entry(dev, &rxo_links, link)
		found |= rcu_access_pointer(dev->ndev) == ndev;
	spin_unlock(&rxo_link_lock);
	return found;
}

static int rxo_newlink_check(const char *name, struct net_device *ndev)
{
	if (ndev->type != ARPHRD_ETHER) {
		pr_err("%s: %s is not an Ethernet device\n", name, ndev->name);
		return -EINVAL;
	}
	if (!rxo_dev_mtu(ndev->mtu)) {
		pr_err("%s: MTU %u of %s leaves no room for 256 bytes of payload\n",
		       name, ndev->mtu, ndev->name);
		return -EINVAL;
	}
	if (rxo_link_exists(ndev)) {
		pr_err("%s: %s has an rxe_odp link already\n", name,
		       ndev->name);
		return -EEXIST;
	}
	return 0;
}

static int rxo_newlink(const char *name, struct net_device *ndev)
{
	struct rxo_netns *netns;
	int ret;

	mutex_lock(&rxo_link_mutex);
	ret = rxo_newlink_check(name, ndev);
	if (ret)
		goto unlock;

	netns = rxo_netns_get(dev_net(ndev));
	if (IS_ERR(netns)) {
		ret = PTR_ERR(netns);
		if (ret == -EADDRINUSE)
			pr_err("%s: UDP port %d is in use in this network namespace; is rdma_rxe loaded?\n",
			       name, RXO_UDP_PORT);
		goto unlock;
	}
	ret = rxo_dev_create(name, ndev, netns);
unlock:
	mutex_unlock(&rxo_link_mutex);
	return ret;
}

static struct rdma_link_ops rxo_link_ops = {
	.type = "rxe_odp",
	.newlink = rxo_newlink,
};

static int rxo_link_event(struct notifier_block *nb, unsigned long event,
			  void *arg)
{
	struct net_device *ndev = netdev_notifier_info_to_dev(arg);
	struct rxo_dev *dev = rxo_link_get(ndev);

	if (!dev)
		return NOTIFY_DONE;
	switch (event) {
	case NETDEV_UNREGISTER:
		/* The netdev goes now, the device as soon as a worker can. */
		rxo_dev_detach(dev);
		ib_unregister_device_queued(&dev->ib);
		break;
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
		rxo_dev_port_event(dev, ndev);
		break;
	case NETDEV_CHANGEMTU:
		if (!rxo_dev_mtu(ndev->mtu))
			pr_warn("%s: MTU %u of %s is too small\n",
				dev_name(&dev->ib.dev), ndev->mtu, ndev->name);
		break;
	default:
		break;
	}
	ib_device_put(&dev->ib);
	return NOTIFY_DONE;
}

static struct notifier_block rxo_link_nb = {
	.notifier_call = rxo_link_event,
};

static int rxo_link_client_add(struct ib_device *ibdev)
{
	if (ibdev->ops.owner != THIS_MODULE)
		return -EOPNOTSUPP;
	/* Back from a change of its namespace, maybe. */
	hmm_mirror_device_leaves(&to_rxo_dev(ibdev)->mirrors, false);
	return 0;
}

static void rxo_link_client_remove(struct ib_device *ibdev, void *data)
{
	hmm_mirror_device_leaves(&to_rxo_dev(ibdev)->mirrors, true);
}

/*
 * To hear first that a device goes. Another client, ib_uverbs, takes the device from its
 * users, and waits for their calls and QPs, which may wait for pages that their users keep
 * back. Clients are removed last in, first out; that one is in before us, as we use it.
 */
static struct ib_client rxo_link_client = {
	.name = "rxe_odp",
	.add = rxo_link_client_add,
	.remove = rxo_link_client_remove,
	.no_kverbs_req = true,
};

int rxo_link_init(void)
{
	int ret = ib_register_client(&rxo_link_client);

	if (ret)
		return ret;
	ret = register_netdevice_notifier(&rxo_link_nb);
	if (ret) {
		ib_unregister_client(&rxo_link_client);
		return ret;
	}
	rdma_link_register(&rxo_link_ops);
	return 0;
}

/*
 * Waits for a device that somebody else is unregistering. That lets go of the
 * spinlock, so start over until none is left.
 */
static void rxo_link_unregister_all(void)
{
	struct rxo_dev *dev;

	for (;;) {
		spin_lock(&rxo_link_lock);
		dev = list_first_entry_or_null(&rxo_links, struct rxo_dev,
					       link);
		if (dev)
			get_device(&dev->ib.dev);
		spin_unlock(&rxo_link_lock);
		if (!dev)
			return;
		ib_unregister_device(&dev->ib);
		put_device(&dev->ib.dev);
	}
}

void rxo_link_exit(void)
{
	rdma_link_unregister(&rxo_link_ops);
	/* Before the notifier goes, which would tell it that all netdevs go. */
	rxo_link_unregister_all();
	unregister_netdevice_notifier(&rxo_link_nb);
	rxo_link_unregister_all();
	ib_unregister_client(&rxo_link_client);
}

MODULE_ALIAS_RDMA_LINK("rxe_odp");
