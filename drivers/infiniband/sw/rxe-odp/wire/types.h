/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What wire/ needs of its surroundings: fixed-width types, byte order and
 * overflow helpers. Nothing else may be included from here on, so that the
 * same sources compile in the kernel and, for units and fuzzing, on the host.
 */
#ifndef RXO_WIRE_TYPES_H
#define RXO_WIRE_TYPES_H

#ifdef __KERNEL__

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/unaligned.h>

#else

#include "host_types.h"

#endif /* __KERNEL__ */

#endif /* RXO_WIRE_TYPES_H */
