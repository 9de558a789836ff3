/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device: one per link, on one netdev.
 *
 * Lock order over the whole driver, outermost first:
 *	link mutex -> rtnl -> netns mutex
 *	a QP's runner (ownership, not a lock) -> one of rq->lock, cq->lock, mw->lock,
 *	run.lock, leaf->lock of the mirror; nothing is taken under any of these
 */
#ifndef RXO_DEV_H
#define RXO_DEV_H

#include <linux/list.h>
#include <linux/netdevice.h>
#include <linux/xarray.h>
#include <rdma/hmm_mirror.h>
#include <rdma/ib_verbs.h>

#include "latency.h"
#include "quota.h"
#include "stats.h"

struct dentry;
struct rxo_netns;

#define RXO_MAX_CTX 8192
#define RXO_MAX_SGE 32
#define RXO_MAX_INLINE 512
#define RXO_MAX_QP_WR 16383
#define RXO_MAX_SRQ_WR 32767
#define RXO_MAX_CQE 65535
#define RXO_MAX_QP 65536
#define RXO_MAX_CQ 65536
#define RXO_MAX_SRQ 16384
#define RXO_MAX_MR (1 << 20)
#define RXO_MAX_MW (1 << 20)
#define RXO_MAX_PD 65536
#define RXO_MAX_AH 65536
#define RXO_MAX_RD_ATOMIC 128

/**
 * struct rxo_dev - a device
 * @ib: what ib_core knows
 * @ndev: the netdev we stand on; NULL once it unregisters. RCU to read, written
 *	  under RTNL; the device holds a reference while it is set
 * @ndev_tracker: of that reference
 * @netns: sockets of the namespace that @ndev is in; holds a reference
 * @netns_node: among the namespace's devices
 * @link: among all devices, under the link mutex
 * @mirrors: one mirror per process
 * @quota: how many objects there are
 * @keys: lkey and rkey >> 8 to handle of an MR or MW
 * @next_key: where the search for a free key goes on
 * @ahs: number to handle of an address handle
 * @queues_lock: protects @cqs and @srqs, and their rings from going
 * @cqs: completion queues, for who looks at the device
 * @srqs: shared receive queues, likewise
 * @queued: packets that wait for QPs, beyond those that each queue has for itself
 * @max_queued: of these; a 16th of the machine's memory if all are large. None has
 *		more than there are left
 * @waiting: QPs that tell their peers that they wait for a page
 * @stats: see stats.h
 * @fault_latency: from a miss until its pages are there
 * @debugfs: its folder
 * @guid: of node and system image, from the netdev's address
 * @port_state: as last told to ib_core; under RTNL
 */
struct rxo_dev {
	struct ib_device ib;
	struct net_device __rcu *ndev;
	netdevice_tracker ndev_tracker;
	struct rxo_netns *netns;
	struct list_head netns_node;
	struct list_head link;
	struct hmm_mirror_device mirrors;
	struct rxo_quota quota;
	struct xarray keys;
	u32 next_key;
	struct xarray ahs;
	struct mutex queues_lock;
	struct list_head cqs;
	struct list_head srqs;
	atomic_t queued;
	int max_queued;
	atomic_t waiting;
	struct rxo_stats __percpu *stats;
	struct rxo_latency fault_latency;
	struct dentry *debugfs;
	__be64 guid;
	enum ib_port_state port_state;
};

static inline struct rxo_dev *to_rxo_dev(struct ib_device *ibdev)
{
	return container_of(ibdev, struct rxo_dev, ib);
}

/**
 * rxo_dev_get_netdev() - the netdev with a reference
 * @dev: the device
 *
 * Context: any.
 * Return: to be released by dev_put(), or NULL when it is gone.
 */
struct net_device *rxo_dev_get_netdev(struct rxo_dev *dev);

/**
 * rxo_dev_create() - make a device and register it
 * @name: of the RDMA device
 * @ndev: Ethernet netdev to stand on
 * @netns: its namespace's sockets; the reference is taken over in any case
 *
 * Context: may sleep; RTNL is not held.
 * Return: 0 or an error; nothing is left behind then.
 */
int rxo_dev_create(const char *name, struct net_device *ndev,
		   struct rxo_netns *netns);

/**
 * rxo_dev_detach() - the netdev goes away
 * @dev: the device
 *
 * Context: RTNL is held.
 */
void rxo_dev_detach(struct rxo_dev *dev);

/**
 * rxo_dev_port_event() - tell ib_core that the port's state may have changed
 * @dev: the device
 * @ndev: its netdev
 *
 * Context: may sleep.
 */
void rxo_dev_port_event(struct rxo_dev *dev, struct net_device *ndev);

/**
 * rxo_dev_mtu() - the largest path MTU that fits a netdev
 * @mtu: of the netdev, in bytes
 *
 * Context: any.
 * Return: IB_MTU_256 to IB_MTU_4096, or 0 when not even 256 bytes fit.
 */
enum ib_mtu rxo_dev_mtu(int mtu);

#endif /* RXO_DEV_H */
