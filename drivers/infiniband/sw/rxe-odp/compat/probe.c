// SPDX-License-Identifier: GPL-2.0
/*
 * Which of two interfaces does this kernel have? Kbuild compiles this file once
 * for each RXO_TRY_* and defines RXO_HAVE_* where that works. Version numbers
 * would lie: distributions backport.
 */
#include <linux/build_bug.h>

#ifdef RXO_TRY_TUNNEL_SOCK
#include <net/udp_tunnel.h>
static_assert(__same_type(udp_tunnel_sock_release, void(struct sock *)));
#endif

#ifdef RXO_TRY_DMAH
#include <rdma/ib_verbs.h>
static_assert(sizeof(((struct ib_device_ops *)0)->alloc_dmah));
#endif

#ifdef RXO_TRY_RESIZE_USER_CQ
#include <rdma/ib_verbs.h>
static_assert(sizeof(((struct ib_device_ops *)0)->resize_user_cq));
#endif

#ifdef RXO_TRY_UMEM_GET_VA
#include <rdma/ib_umem.h>
static_assert(sizeof(&ib_umem_get_va));
#endif

#ifdef RXO_TRY_DELLINK
#include <rdma/rdma_netlink.h>
static_assert(sizeof(((struct rdma_link_ops *)0)->dellink));
#endif

#ifdef RXO_TRY_HRTIMER_SETUP
#include <linux/hrtimer.h>
static_assert(sizeof(&hrtimer_setup));
#endif

#ifdef RXO_TRY_PORT_STATE_EVENT
#include <rdma/ib_verbs.h>
static_assert(sizeof(&ib_dispatch_port_state_event));
#endif
