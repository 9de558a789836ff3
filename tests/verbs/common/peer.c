// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <signal.h>
#include <unistd.h>

#include "peer.h"
#include "test.h"

struct address {
	union ibv_gid gid;
	uint32_t qpn, psn, rkey;
	uint64_t at;
};

static void tell(int fd, const struct ep *e, const struct buf *b)
{
	struct address a = {
		.gid = e->nic->gid, .qpn = e->qp->qp_num, .psn = e->psn,
		.rkey = b->rkey, .at = b->base,
	};

	check(write(fd, &a, sizeof(a)) == sizeof(a), "pipe");
}

static void connect_to(int fd, struct ep *e, struct buf *theirs)
{
	struct ibv_qp qp = { 0 };
	struct nic nic = { .port = e->nic->port };
	struct ep other = { .nic = &nic, .qp = &qp };
	struct address a;

	check(read(fd, &a, sizeof(a)) == sizeof(a), "pipe");
	nic.gid = a.gid;
	qp.qp_num = a.qpn;
	other.psn = a.psn;
	if (theirs) {
		theirs->rkey = a.rkey;
		theirs->base = a.at;
	}
	ep_connect(e, &other);
}

void peer_start(struct peer *peer, struct ep *e, struct nic *nic, struct buf *b,
		size_t size, void (*fn)(void))
{
	check(!pipe(peer->to) && !pipe(peer->from), "pipe");
	peer->pid = fork();
	check(peer->pid >= 0, "fork");
	if (peer->pid)
		return;
	nic_open(nic, cfg.peer);
	ep_create(e, nic, &opt_rc);
	buf_new(b, size);
	buf_reg(b, nic, ACCESS_ALL);
	tell(peer->from[1], e, b);
	connect_to(peer->to[0], e, NULL);
	check(write(peer->from[1], "", 1) == 1, "pipe");
	fn();
	_exit(0);
}

void peer_open_a(struct pair *p, const struct qp_opt *opt, struct buf *l, size_t size)
{
	struct qp_opt impatient = opt_rc;

	impatient.timeout = 12;
	impatient.retry = 3;
	nic_open(&p->na, cfg.dev);
	ep_create(&p->a, &p->na, opt ?: &impatient);
	buf_new(l, size);
	buf_reg(l, &p->na, ACCESS_ALL);
}

void peer_join(struct peer *peer, struct ep *e, const struct buf *mine,
	       struct buf *theirs)
{
	char c;

	tell(peer->to[1], e, mine);
	connect_to(peer->from[0], e, theirs);
	check(read(peer->from[0], &c, 1) == 1, "the other process died");
}

void peer_await(struct peer *peer)
{
	child_await(peer->pid);
	for (int i = 0; i < 2; i++) {
		close(peer->to[i]);
		close(peer->from[i]);
	}
}

void peer_kill(struct peer *peer)
{
	kill(peer->pid, SIGKILL);
	peer_await(peer);
}
