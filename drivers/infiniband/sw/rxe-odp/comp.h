/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The completer: what the peer's responses mean for the requester (IBTA 9.7.5.2,
 * 9.7.6). Called by the QP's runner.
 */
#ifndef RXO_COMP_H
#define RXO_COMP_H

#include <linux/types.h>

struct rxo_qp;

/**
 * rxo_comp_step() - take one response
 * @qp: the QP
 *
 * Return: true when something was done.
 */
bool rxo_comp_step(struct rxo_qp *qp);

#endif /* RXO_COMP_H */
