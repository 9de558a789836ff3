/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A pair whose sides live in two processes: b in a child, which may be stopped,
 * killed or replaced while a goes on.
 */
#ifndef TESTS_VERBS_PEER_H
#define TESTS_VERBS_PEER_H

#include <sys/types.h>

#include "ep.h"
#include "mem.h"

struct peer {
	pid_t pid;
	int to[2], from[2];	/* pipes */
};

/*
 * The child opens cfg.peer with @e, registers @b of @size bytes, tells us, connects
 * with us (peer_join()) and runs @fn; when that returns it exits.
 */
void peer_start(struct peer *peer, struct ep *e, struct nic *nic, struct buf *b,
		size_t size, void (*fn)(void));
/* Side a of @p here, @opt NULL for one of little patience; and @l of @size bytes. */
void peer_open_a(struct pair *p, const struct qp_opt *opt, struct buf *l, size_t size);
/* Connect @e, whose memory is @mine; @theirs gets the child's key and address. */
void peer_join(struct peer *peer, struct ep *e, const struct buf *mine,
	       struct buf *theirs);
/* Kill it, and see it die. */
void peer_kill(struct peer *peer);
/* Wait for it to end. */
void peer_await(struct peer *peer);

#endif
