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
static_assert(offsetof(struct ib_device_ops, alloc_dmah));
#endif

#ifdef RXO_TRY_RESIZE_USER_CQ
#include <rdma/ib_verbs.h>
static_assert(offsetof(struct ib_device_ops, resize_user_cq));
#endif

#ifdef RXO_TRY_UMEM_GET_VA
#include <rdma/ib_umem.h>
static_assert(sizeof(typeof(ib_umem_get_va) *));
#endif

#ifdef RXO_TRY_HRTIMER_SETUP
#include <linux/hrtimer.h>
static_assert(sizeof(typeof(hrtimer_setup) *));
#endif

#ifdef RXO_TRY_WQ_PERCPU
#include <linux/workqueue.h>
static_assert(WQ_PERCPU);
#endif
