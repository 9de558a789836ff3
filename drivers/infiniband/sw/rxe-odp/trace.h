/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rxe_odp

#if !defined(RXO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define RXO_TRACE_H

#include <linux/tracepoint.h>

#include "dev.h"
#include "park.h"
#include "qp.h"

/* Which side of a QP waits */
#define rxo_trace_side(qp, park)             \
	((park) == &(qp)->req.park  ? 0 :    \
	 (park) == &(qp)->comp.park ? 1 :    \
				      2)
#define rxo_trace_side_name(side) \
	__print_symbolic(side, { 0, "req" }, { 1, "comp" }, { 2, "resp" })

TRACE_EVENT(rxo_park,
	TP_PROTO(struct rxo_qp *qp, struct rxo_park *park),
	TP_ARGS(qp, park),
	TP_STRUCT__entry(
		__array(char, dev, IB_DEVICE_NAME_MAX)
		__field(u8, side)
		__field(u32, qpn)
		__field(unsigned long, addr)
		__field(size_t, need)
		__field(size_t, want)
		__field(size_t, more)
		__field(bool, write)
		__field(unsigned int, tries)
	),
	TP_fast_assign(
		strscpy(__entry->dev, dev_name(&qp->dev->ib.dev),
			IB_DEVICE_NAME_MAX);
		__entry->side = rxo_trace_side(qp, park);
		__entry->qpn = qp->ib.qp_num;
		__entry->addr = park->addr;
		__entry->need = park->need;
		__entry->want = park->want;
		__entry->more = park->more;
		__entry->write = park->write;
		__entry->tries = park->tries;
	),
	TP_printk("dev=%s qpn=%u side=%s addr=%#lx need=%zu want=%zu more=%zu write=%d tries=%u",
		  __entry->dev, __entry->qpn,
		  rxo_trace_side_name(__entry->side), __entry->addr,
		  __entry->need, __entry->want, __entry->more,
		  __entry->write, __entry->tries)
);

TRACE_EVENT(rxo_resume,
	TP_PROTO(struct rxo_qp *qp, struct rxo_park *park, u64 usec, int err),
	TP_ARGS(qp, park, usec, err),
	TP_STRUCT__entry(
		__array(char, dev, IB_DEVICE_NAME_MAX)
		__field(u8, side)
		__field(u32, qpn)
		__field(unsigned long, addr)
		__field(u64, usec)
		__field(int, err)
	),
	TP_fast_assign(
		strscpy(__entry->dev, dev_name(&qp->dev->ib.dev),
			IB_DEVICE_NAME_MAX);
		__entry->side = rxo_trace_side(qp, park);
		__entry->qpn = qp->ib.qp_num;
		__entry->addr = park->addr;
		__entry->usec = usec;
		__entry->err = err;
	),
	TP_printk("dev=%s qpn=%u side=%s addr=%#lx usec=%llu err=%d",
		  __entry->dev, __entry->qpn,
		  rxo_trace_side_name(__entry->side), __entry->addr,
		  __entry->usec, __entry->err)
);

TRACE_EVENT(rxo_prefetch,
	TP_PROTO(struct rxo_dev *dev, unsigned int how, u32 num, u32 flags),
	TP_ARGS(dev, how, num, flags),
	TP_STRUCT__entry(
		__array(char, dev, IB_DEVICE_NAME_MAX)
		__field(unsigned int, how)
		__field(u32, num)
		__field(u32, flags)
	),
	TP_fast_assign(
		strscpy(__entry->dev, dev_name(&dev->ib.dev),
			IB_DEVICE_NAME_MAX);
		__entry->how = how;
		__entry->num = num;
		__entry->flags = flags;
	),
	TP_printk("dev=%s how=%#x ranges=%u flags=%#x", __entry->dev,
		  __entry->how, __entry->num, __entry->flags)
);

#endif /* RXO_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
