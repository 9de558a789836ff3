// SPDX-License-Identifier: GPL-2.0
/*
 * rxe-odp: a software RoCEv2 NIC whose registered memory is never pinned.
 */
#include <linux/module.h>

#include "debugfs.h"
#include "link.h"
#include "local.h"
#include "netns.h"
#include "park.h"
#include "qp.h"
#include "spare.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init rxo_init(void)
{
	int ret;

	rxo_park_init_lists();
	rxo_qp_module_init();
	rxo_debugfs_init();
	rxo_local_init();
	rxo_spare_init();
	ret = rxo_netns_init();
	if (ret)
		goto exit_debugfs;
	ret = rxo_link_init();
	if (ret)
		goto exit_netns;
	return 0;

exit_netns:
	rxo_netns_exit();
exit_debugfs:
	rxo_debugfs_exit();
	return ret;
}

static void __exit rxo_exit(void)
{
	rxo_link_exit();
	/* Its packets look for devices in namespaces. */
	rxo_local_flush();
	rxo_netns_exit();
	rxo_spare_exit();
	rxo_debugfs_exit();
}

module_init(rxo_init);
module_exit(rxo_exit);

MODULE_DESCRIPTION("Software RDMA over Converged Ethernet, never pinned");
MODULE_LICENSE("GPL");
