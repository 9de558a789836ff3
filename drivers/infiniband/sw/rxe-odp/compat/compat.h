/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One face for interfaces that differ between the kernels we build for. Nothing
 * outside this folder asks which kernel it is.
 */
#ifndef RXO_COMPAT_H
#define RXO_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/net.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <net/udp_tunnel.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

#ifdef RXO_HAVE_TUNNEL_SOCK
#define rxo_compat_tunnel_sock(sock) ((sock)->sk)
#else
#define rxo_compat_tunnel_sock(sock) (sock)
#endif

#ifdef RXO_HAVE_DMAH
#define RXO_COMPAT_DMAH_ARG struct ib_dmah *dmah,
#else
#define RXO_COMPAT_DMAH_ARG
#endif

#ifdef RXO_HAVE_RESIZE_USER_CQ
#define RXO_COMPAT_RESIZE_CQ resize_user_cq
typedef unsigned int rxo_compat_cqe_t;
#else
#define RXO_COMPAT_RESIZE_CQ resize_cq
typedef int rxo_compat_cqe_t;
#endif

#ifndef RXO_HAVE_UMEM_GET_VA
static inline struct ib_umem *ib_umem_get_va(struct ib_device *dev,
					     unsigned long addr, size_t size,
					     int access)
{
	return ib_umem_get(dev, addr, size, access);
}
#endif

#ifndef RXO_HAVE_HRTIMER_SETUP
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*fn)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#endif

/* What is not WQ_UNBOUND is bound to a CPU; later kernels want to be told so. */
#ifndef RXO_HAVE_WQ_PERCPU
#define WQ_PERCPU 0
#endif

#endif /* RXO_COMPAT_H */
