/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hmm_mirror

#if !defined(HMM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define HMM_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(hmm_mirror_fault_begin,
	TP_PROTO(int tgid, unsigned long addr, size_t len, unsigned int flags),
	TP_ARGS(tgid, addr, len, flags),
	TP_STRUCT__entry(
		__field(int, tgid)
		__field(unsigned int, flags)
		__field(unsigned long, addr)
		__field(size_t, len)
	),
	TP_fast_assign(
		__entry->tgid = tgid;
		__entry->flags = flags;
		__entry->addr = addr;
		__entry->len = len;
	),
	TP_printk("tgid=%d addr=%#lx len=%zu flags=%#x", __entry->tgid,
		  __entry->addr, __entry->len, __entry->flags)
);

TRACE_EVENT(hmm_mirror_fault_end,
	TP_PROTO(int tgid, unsigned long addr, size_t len, int err),
	TP_ARGS(tgid, addr, len, err),
	TP_STRUCT__entry(
		__field(int, tgid)
		__field(int, err)
		__field(unsigned long, addr)
		__field(size_t, len)
	),
	TP_fast_assign(
		__entry->tgid = tgid;
		__entry->err = err;
		__entry->addr = addr;
		__entry->len = len;
	),
	TP_printk("tgid=%d addr=%#lx len=%zu err=%d", __entry->tgid,
		  __entry->addr, __entry->len, __entry->err)
);

TRACE_EVENT(hmm_mirror_fault_retry,
	TP_PROTO(int tgid, unsigned long start, unsigned long end,
		 unsigned int tries),
	TP_ARGS(tgid, start, end, tries),
	TP_STRUCT__entry(
		__field(int, tgid)
		__field(unsigned int, tries)
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__entry->tgid = tgid;
		__entry->tries = tries;
		__entry->start = start;
		__entry->end = end;
	),
	TP_printk("tgid=%d range=%#lx-%#lx tries=%u", __entry->tgid,
		  __entry->start, __entry->end, __entry->tries)
);

TRACE_EVENT(hmm_mirror_invalidate,
	TP_PROTO(int tgid, unsigned long start, unsigned long end, int event,
		 unsigned int pages),
	TP_ARGS(tgid, start, end, event, pages),
	TP_STRUCT__entry(
		__field(int, tgid)
		__field(int, event)
		__field(unsigned int, pages)
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__entry->tgid = tgid;
		__entry->event = event;
		__entry->pages = pages;
		__entry->start = start;
		__entry->end = end;
	),
	TP_printk("tgid=%d range=%#lx-%#lx event=%d pages=%u", __entry->tgid,
		  __entry->start, __entry->end, __entry->event, __entry->pages)
);

TRACE_EVENT(hmm_mirror_evict,
	TP_PROTO(int tgid, unsigned long start, unsigned int pages),
	TP_ARGS(tgid, start, pages),
	TP_STRUCT__entry(
		__field(int, tgid)
		__field(unsigned int, pages)
		__field(unsigned long, start)
	),
	TP_fast_assign(
		__entry->tgid = tgid;
		__entry->pages = pages;
		__entry->start = start;
	),
	TP_printk("tgid=%d leaf=%#lx pages=%u", __entry->tgid, __entry->start,
		  __entry->pages)
);

#endif /* HMM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE hmm_trace
#include <trace/define_trace.h>
