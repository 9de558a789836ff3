/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Invariant CRC of RoCEv2 (IBTA A17.3.3): CRC-32 over eight bytes of ones, the
 * IP and UDP headers with the fields masked that routers may change, the BTH
 * with its congestion bits masked, and the rest of the packet.
 */
#ifndef RXO_WIRE_ICRC_H
#define RXO_WIRE_ICRC_H

#include "types.h"

/**
 * rxo_icrc_begin() - CRC over everything up to the end of the BTH
 * @ip: IPv4 (without options) or IPv6 header, then UDP header, then BTH, in
 *	one piece
 *
 * Context: any.
 * Return: a CRC state for rxo_icrc_add().
 */
u32 rxo_icrc_begin(const void *ip);

/**
 * rxo_icrc_add() - go on over bytes behind the BTH
 * @crc: state
 * @data: extended headers, payload or pad, in their order
 * @len: bytes
 *
 * Context: any.
 * Return: the new state.
 */
u32 rxo_icrc_add(u32 crc, const void *data, size_t len);

/**
 * rxo_icrc_end() - the ICRC as it stands on the wire
 * @crc: state after the last byte
 *
 * Context: any.
 * Return: the four bytes in wire order.
 */
__le32 rxo_icrc_end(u32 crc);

#endif /* RXO_WIRE_ICRC_H */
