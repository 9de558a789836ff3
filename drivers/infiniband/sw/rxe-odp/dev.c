// SPDX-License-Identifier: GPL-2.0
#include <linux/etherdevice.h>
#include <linux/mm.h>
#include <linux/rtnetlink.h>
#include <net/addrconf.h>
#include <rdma/ib_addr.h>
#include <rdma/rdma_user_rxe.h>

#include "compat/compat.h"
#include "debugfs.h"
#include "dev.h"
#include "link.h"
#include "netns.h"
#include "qp.h"
#include "restrack.h"
#include "verbs.h"
#include "wire/hdr.h"
#include "wire/rc.h"

#define RXO_GID_TBL_LEN 1024

/* No OUI is ours. */
#define RXO_VENDOR_ID 0xffffff

/* RXE's: the stock librxe drives us by it. */
#define RXO_UVERBS_ABI_VERSION 2

struct net_device *rxo_dev_get_netdev(struct rxo_dev *dev)
{
	struct net_device *ndev;

	rcu_read_lock();
	ndev = rcu_dereference(dev->ndev);
	dev_hold(ndev);
	rcu_read_unlock();
	return ndev;
}

enum ib_mtu rxo_dev_mtu(int mtu)
{
	static const enum ib_mtu sizes[] = { IB_MTU_4096, IB_MTU_2048,
					     IB_MTU_1024, IB_MTU_512,
					     IB_MTU_256 };
	int room = mtu - RXO_IPV6_LEN - RXO_UDP_LEN - (int)RXO_MAX_HDR_LEN -
		   RXO_ICRC_LEN;
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		if (ib_mtu_enum_to_int(sizes[i]) <= room)
			return sizes[i];
	return 0;
}

static int rxo_query_device(struct ib_device *ibdev,
			    struct ib_device_attr *attr,
			    struct ib_udata *udata)
{
	struct rxo_dev *dev = to_rxo_dev(ibdev);

	if (udata && (udata->inlen || udata->outlen))
		return -EINVAL;

	attr->vendor_id = RXO_VENDOR_ID;
	attr->sys_image_guid = dev->guid;
	attr->max_mr_size = U64_MAX;
	attr->page_size_cap = PAGE_MASK & U32_MAX;
	attr->max_qp = RXO_MAX_QP;
	attr->max_qp_wr = RXO_MAX_QP_WR;
	attr->device_cap_flags = IB_DEVICE_SYS_IMAGE_GUID |
				 IB_DEVICE_PORT_ACTIVE_EVENT |
				 IB_DEVICE_RC_RNR_NAK_GEN |
				 IB_DEVICE_SRQ_RESIZE | IB_DEVICE_MEM_WINDOW |
				 IB_DEVICE_MEM_WINDOW_TYPE_2B;
	attr->kernel_cap_flags = IBK_ALLOW_USER_UNREG | IBK_ON_DEMAND_PAGING;
	attr->max_send_sge = RXO_MAX_SGE;
	attr->max_recv_sge = RXO_MAX_SGE;
	attr->max_sge_rd = RXO_MAX_SGE;
	attr->max_cq = RXO_MAX_CQ;
	attr->max_cqe = RXO_MAX_CQE;
	attr->max_mr = RXO_MAX_MR;
	attr->max_mw = RXO_MAX_MW;
	attr->max_pd = RXO_MAX_PD;
	attr->max_ah = RXO_MAX_AH;
	attr->max_qp_rd_atom = RXO_MAX_RD_ATOMIC;
	attr->max_qp_init_rd_atom = RXO_MAX_RD_ATOMIC;
	attr->max_res_rd_atom = RXO_MAX_RD_ATOMIC * RXO_MAX_QP;
	attr->atomic_cap = IB_ATOMIC_GLOB;
	attr->max_srq = RXO_MAX_SRQ;
	attr->max_srq_wr = RXO_MAX_SRQ_WR;
	attr->max_srq_sge = RXO_MAX_SGE;
	attr->max_pkeys = 1;
	attr->local_ca_ack_delay = 15;
	attr->odp_caps.general_caps = IB_ODP_SUPPORT | IB_ODP_SUPPORT_IMPLICIT;
	attr->odp_caps.per_transport_caps.rc_odp_caps =
		IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV |
		IB_ODP_SUPPORT_WRITE | IB_ODP_SUPPORT_READ |
		IB_ODP_SUPPORT_ATOMIC | IB_ODP_SUPPORT_SRQ_RECV;
	attr->odp_caps.per_transport_caps.uc_odp_caps =
		IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV |
		IB_ODP_SUPPORT_WRITE | IB_ODP_SUPPORT_SRQ_RECV;
	attr->odp_caps.per_transport_caps.ud_odp_caps =
		IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV |
		IB_ODP_SUPPORT_SRQ_RECV;
	return 0;
}

static enum ib_port_state rxo_port_state(const struct net_device *ndev)
{
	return netif_running(ndev) && netif_carrier_ok(ndev) ? IB_PORT_ACTIVE :
							       IB_PORT_DOWN;
}

static int rxo_query_port(struct ib_device *ibdev, u32 port,
			  struct ib_port_attr *attr)
{
	struct net_device *ndev;

	if (port != 1)
		return -EINVAL;
	attr->max_mtu = IB_MTU_4096;
	attr->gid_tbl_len = RXO_GID_TBL_LEN;
	attr->ip_gids = true;
	attr->max_msg_sz = RXO_MAX_MSG_LEN;
	attr->pkey_tbl_len = 1;
	attr->max_vl_num = 1;
	attr->active_speed = IB_SPEED_SDR;
	attr->active_width = IB_WIDTH_1X;

	ndev = rxo_dev_get_netdev(to_rxo_dev(ibdev));
	if (!ndev) {
		/*
		 * We go with it, but may have to wait for a page. Whoever makes a
		 * namespace meanwhile asks, and must not fail for us.
		 */
		attr->state = IB_PORT_DOWN;
		attr->phys_state = IB_PORT_PHYS_STATE_DISABLED;
		attr->active_mtu = IB_MTU_256;
		return 0;
	}

	attr->state = rxo_port_state(ndev);
	attr->phys_state = attr->state == IB_PORT_ACTIVE ?
				   IB_PORT_PHYS_STATE_LINK_UP :
			   netif_running(ndev) ? IB_PORT_PHYS_STATE_POLLING :
						 IB_PORT_PHYS_STATE_DISABLED;
	attr->active_mtu = rxo_dev_mtu(ndev->mtu) ?: IB_MTU_256;
	dev_put(ndev);
	/* It may go right now, and then has no speed: what is above stays. */
	ib_get_eth_speed(ibdev, port, &attr->active_speed, &attr->active_width);
	return 0;
}

static int rxo_query_pkey(struct ib_device *ibdev, u32 port, u16 index,
			  u16 *pkey)
{
	if (port != 1 || index)
		return -EINVAL;
	*pkey = RXO_PKEY_DEFAULT;
	return 0;
}

static enum rdma_link_layer rxo_get_link_layer(struct ib_device *ibdev,
					       u32 port)
{
	return IB_LINK_LAYER_ETHERNET;
}

static int rxo_get_port_immutable(struct ib_device *ibdev, u32 port,
				  struct ib_port_immutable *immutable)
{
	if (port != 1)
		return -EINVAL;
	/* No MAD, no CM. */
	immutable->core_cap_flags = RDMA_CORE_CAP_PROT_ROCE_UDP_ENCAP |
				    RDMA_CORE_CAP_ETH_AH;
	immutable->gid_tbl_len = RXO_GID_TBL_LEN;
	immutable->pkey_tbl_len = 1;
	return 0;
}

/*
 * Instead of ib_device_set_netdev(), which would let rdma_rxe find our device by
 * its netdev and take it for its own.
 */
static struct net_device *rxo_get_netdev(struct ib_device *ibdev, u32 port)
{
	return port == 1 ? rxo_dev_get_netdev(to_rxo_dev(ibdev)) : NULL;
}

static int rxo_modify_device(struct ib_device *ibdev, int mask,
			     struct ib_device_modify *attr)
{
	if (mask & ~IB_DEVICE_MODIFY_NODE_DESC)
		return -EOPNOTSUPP;
	if (mask & IB_DEVICE_MODIFY_NODE_DESC)
		memcpy(ibdev->node_desc, attr->node_desc,
		       sizeof(ibdev->node_desc));
	return 0;
}

/* Last of all: whoever has unregistered us, nobody uses the device any more. */
static void rxo_dealloc_driver(struct ib_device *ibdev)
{
	struct rxo_dev *dev = to_rxo_dev(ibdev);

	rtnl_lock();
	rxo_dev_detach(dev);
	rtnl_unlock();
	rxo_debugfs_del(dev);
	rxo_netns_del_dev(dev->netns, dev);
	rxo_netns_put(dev->netns);
	hmm_mirror_device_fini(&dev->mirrors);
	WARN_ON(atomic_read(&dev->queued));
	WARN_ON(atomic_read(&dev->waiting));
	WARN_ON(!list_empty(&dev->quota.owners));
	WARN_ON(!xa_empty(&dev->keys));
	xa_destroy(&dev->keys);
	WARN_ON(!xa_empty(&dev->ahs));
	xa_destroy(&dev->ahs);
	WARN_ON(!list_empty(&dev->cqs) || !list_empty(&dev->srqs));
	mutex_destroy(&dev->queues_lock);
	free_percpu(dev->stats);
	/* The very last, as the module's end waits for it. */
	rxo_link_forget(dev);
}

static const struct ib_device_ops rxo_dev_ops = {
	.owner = THIS_MODULE,
	.driver_id = RDMA_DRIVER_RXE,
	.uverbs_abi_ver = RXO_UVERBS_ABI_VERSION,

	.alloc_hw_port_stats = rxo_stats_alloc,
	.dealloc_driver = rxo_dealloc_driver,
	.get_hw_stats = rxo_stats_get,
	.get_link_layer = rxo_get_link_layer,
	.get_netdev = rxo_get_netdev,
	.get_port_immutable = rxo_get_port_immutable,
	.modify_device = rxo_modify_device,
	.query_device = rxo_query_device,
	.query_pkey = rxo_query_pkey,
	.query_port = rxo_query_port,
};

static void rxo_dev_init_ib(struct rxo_dev *dev, struct net_device *ndev)
{
	struct ib_device *ib = &dev->ib;

	strscpy(ib->node_desc, "rxe-odp", sizeof(ib->node_desc));
	ib->node_type = RDMA_NODE_IB_CA;
	ib->phys_port_cnt = 1;
	ib->num_comp_vectors = num_possible_cpus();
	addrconf_addr_eui48((u8 *)&dev->guid, ndev->dev_addr);
	ib->node_guid = dev->guid;
	ib->uverbs_cmd_mask |= BIT_ULL(IB_USER_VERBS_CMD_POST_SEND) |
			       BIT_ULL(IB_USER_VERBS_CMD_REQ_NOTIFY_CQ);
	ib_set_device_ops(ib, &rxo_dev_ops);
	ib_set_device_ops(ib, &rxo_verbs_ops);
	ib_set_device_ops(ib, &rxo_restrack_ops);
}

/* A packet of 4 KiB takes two pages and a little. */
static int rxo_dev_max_queued(void)
{
	return min_t(unsigned long, totalram_pages() / 16 / 2, INT_MAX);
}

int rxo_dev_create(const char *name, struct net_device *ndev,
		   struct rxo_netns *netns)
{
	struct rxo_dev *dev;
	int ret = -ENOMEM;

	dev = ib_alloc_device(rxo_dev, ib);
	if (!dev) {
		rxo_netns_put(netns);
		return -ENOMEM;
	}
	dev->stats = alloc_percpu(struct rxo_stats);
	if (!dev->stats)
		goto dealloc;

	hmm_mirror_device_init(&dev->mirrors);
	rxo_quota_init(&dev->quota);
	xa_init_flags(&dev->keys, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_IRQ);
	xa_init_flags(&dev->ahs, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_IRQ);
	mutex_init(&dev->queues_lock);
	INIT_LIST_HEAD(&dev->cqs);
	INIT_LIST_HEAD(&dev->srqs);
	dev->next_key = get_random_u32_inclusive(1, BIT(24) - 1);
	INIT_LIST_HEAD(&dev->link);
	dev->max_queued = rxo_dev_max_queued();
	dev->netns = netns;
	dev->port_state = rxo_port_state(ndev);
	rxo_dev_init_ib(dev, ndev);
	rxo_netns_add_dev(netns, dev);
	netdev_hold(ndev, &dev->ndev_tracker, GFP_KERNEL);
	rcu_assign_pointer(dev->ndev, ndev);
	rxo_link_remember(dev);

	/* Once registered, others may end the device at any moment. */
	get_device(&dev->ib.dev);
	ret = ib_register_device(&dev->ib, name, NULL);
	if (ret) {
		pr_err("%s: the RDMA device can't be registered (error %d); is the name taken?\n",
		       name, ret);
		/* Comes to rxo_dealloc_driver(), as any end of a device. */
		ib_dealloc_device(&dev->ib);
	} else if (ib_device_try_get(&dev->ib)) {
		/* The name is ours now. */
		rxo_debugfs_add(dev, name);
		ib_device_put(&dev->ib);
	}
	put_device(&dev->ib.dev);
	return ret;

dealloc:
	ib_dealloc_device(&dev->ib);
	rxo_netns_put(netns);
	return ret;
}

void rxo_dev_detach(struct rxo_dev *dev)
{
	struct net_device *ndev = rtnl_dereference(dev->ndev);

	if (!ndev)
		return;
	RCU_INIT_POINTER(dev->ndev, NULL);
	/* A sender may still be on its way down. */
	synchronize_net();
	rxo_qp_forget_routes(dev);
	netdev_put(ndev, &dev->ndev_tracker);
}

void rxo_dev_port_event(struct rxo_dev *dev, struct net_device *ndev)
{
	struct ib_event event = {
		.device = &dev->ib,
		.element.port_num = 1,
	};
	enum ib_port_state state = rxo_port_state(ndev);

	ASSERT_RTNL();
	if (state == dev->port_state)
		return;
	dev->port_state = state;
	event.event = state == IB_PORT_ACTIVE ? IB_EVENT_PORT_ACTIVE :
						IB_EVENT_PORT_ERR;
	ib_dispatch_event(&event);
}
