// SPDX-License-Identifier: GPL-2.0
/*
 * The responder: what a peer would need gigabytes for.
 */
#include "../cq.h"
#include "../qp.h"
#include "../resp.h"
#include "../run.h"
#include "../wire/packet.h"
#include "../wire/rc.h"
#include "env.h"

#define RESP_PSN 77

struct resp_env {
	struct rxo_qp qp;
	struct rxo_cq cq;
};

/*
 * In the midst of a SEND of which @came bytes have come, into a receive WQE that has room
 * for more than a message may have, and no memory.
 */
static struct resp_env *resp_env_get(struct kunit *test, u32 came)
{
	struct resp_env *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	struct rxo_qp *qp;

	KUNIT_ASSERT_NOT_NULL(test, r);
	qp = &r->qp;
	rxo_env_qp(test->priv, qp, &r->cq);
	rxo_run_enter(qp);
	qp->state = IB_QPS_RTS;
	qp->mtu = 256;
	qp->resp.epsn = RESP_PSN;
	qp->resp.prev = RXO_OP_REQ | RXO_OP_SEND | RXO_OP_FIRST;
	qp->resp.have_recv = true;
	qp->resp.recv.len = 3ull * RXO_MAX_MSG_LEN;
	qp->resp.recv_off = came;
	rxo_run_leave(qp);
	return r;
}

/* The message's last bytes, so many. */
static void resp_give(struct kunit *test, struct resp_env *r, u32 payload)
{
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_SEND_LAST,
		.pkey = RXO_PKEY_DEFAULT,
		.psn = RESP_PSN,
		.payload_len = payload,
	};
	struct sk_buff *skb = rxo_env_packet(test, &pkt);

	rxo_run_packet(&r->qp, skb, &pkt);
}

/* IBTA 9.7.4.1.6: no message is longer, whatever there is room for. */
static void resp_longest_send(struct kunit *test)
{
	struct resp_env *r = resp_env_get(test, RXO_MAX_MSG_LEN - 5);

	resp_give(test, r, 5);
	KUNIT_EXPECT_EQ(test, 0,
			rxo_env_count(test->priv, RXO_CNT_local_length_errors));
	/* So far it has come: there is no memory. */
	KUNIT_EXPECT_EQ(test, 1,
			rxo_env_count(test->priv,
				      RXO_CNT_local_protection_errors));
}

static void resp_endless_send(struct kunit *test)
{
	struct resp_env *r = resp_env_get(test, RXO_MAX_MSG_LEN - 5);

	resp_give(test, r, 6);
	KUNIT_EXPECT_EQ(test, 1,
			rxo_env_count(test->priv, RXO_CNT_local_length_errors));
	KUNIT_EXPECT_EQ(test, r->qp.state, IB_QPS_ERR);
}

/* A round of all PSNs ago another READ had these, and is still remembered. */
static void resp_newest_copy(struct kunit *test)
{
	struct resp_env *r = resp_env_get(test, 0);
	struct rxo_res res = {
		.first_psn = RESP_PSN - 5,
		.last_psn = RESP_PSN - 1,
		.len = 5 * 256,
		.used = true,
	};
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_READ_REQUEST,
		.pkey = RXO_PKEY_DEFAULT,
		.psn = RESP_PSN - 5,
		.rkey = 0x1d00,
		.rdma_len = 5 * 256,
	};
	struct rxo_resp *resp = &r->qp.resp;
	int newest;

	for (newest = 0; newest < RXO_MAX_RD_ATOMIC; newest++) {
		int next = (newest + 1) % RXO_MAX_RD_ATOMIC;

		rxo_run_enter(&r->qp);
		resp->read.copy = false;
		resp->res[newest] = res;
		resp->res[newest].rkey = pkt.rkey;
		resp->res[next] = res;
		/* As far as it goes, until it starts over. */
		resp->res_next = newest + 1;
		rxo_run_leave(&r->qp);
		rxo_run_packet(&r->qp, rxo_env_packet(test, &pkt), &pkt);
		KUNIT_EXPECT_TRUE(test, resp->read.copy);
		resp->res[newest].used = false;
	}
}

/* A READ is remembered in place of one at @old, when @ack was the newest other message. */
static u32 resp_acknowledged(struct resp_env *r, u32 old, u32 ack, u32 epsn)
{
	struct rxo_resp *resp = &r->qp.resp;
	u32 psn;

	rxo_run_enter(&r->qp);
	r->qp.attr.max_dest_rd_atomic = 1;
	resp->res_next = 1;
	resp->res[0] = (struct rxo_res){ .last_psn = old, .used = true };
	resp->ack_psn = ack;
	resp->epsn = epsn;
	rxo_resp_remember(&r->qp);
	psn = resp->ack_psn;
	rxo_run_leave(&r->qp);
	return psn;
}

/* What is acknowledged while a READ waits is the past, and the newest there is. */
static void resp_remembers(struct kunit *test)
{
	struct resp_env *r = resp_env_get(test, 0);

	KUNIT_EXPECT_EQ(test, resp_acknowledged(r, 105, 99, 106), 105);
	KUNIT_EXPECT_EQ(test, resp_acknowledged(r, 99, 105, 106), 105);
	KUNIT_EXPECT_EQ(test, resp_acknowledged(r, 3, 0xfffff0, 4), 3);
	/* So long ago that it looks as if it were to come. */
	KUNIT_EXPECT_EQ(test, resp_acknowledged(r, 5, 10000005, 10000006),
			10000005);
	KUNIT_EXPECT_EQ(test, resp_acknowledged(r, 10000005, 5, 6), 5);
}

/*
 * A WRITE whose place a READ has taken, which its peer has never sent, is not answered:
 * else the peer would take that for patience, and ask for ever. One from before it is.
 */
static void resp_mismatches(struct kunit *test)
{
	struct resp_env *r = resp_env_get(test, 0);
	struct rxo_packet pkt = {
		.opcode = RXO_RC | RXO_WRITE_ONLY,
		.pkey = RXO_PKEY_DEFAULT,
		.psn = RESP_PSN - 1,
		.ack_req = true,
	};

	r->qp.resp.ack_psn = RESP_PSN - 2;
	rxo_run_packet(&r->qp, rxo_env_packet(test, &pkt), &pkt);
	KUNIT_EXPECT_EQ(test, 0, rxo_env_count(test->priv, RXO_CNT_sent_acks));
	KUNIT_EXPECT_EQ(test, 1,
			rxo_env_count(test->priv, RXO_CNT_rcvd_mismatches));
	pkt.psn = RESP_PSN - 2;
	rxo_run_packet(&r->qp, rxo_env_packet(test, &pkt), &pkt);
	KUNIT_EXPECT_EQ(test, 1, rxo_env_count(test->priv, RXO_CNT_sent_acks));
	KUNIT_EXPECT_EQ(test, 2,
			rxo_env_count(test->priv, RXO_CNT_rcvd_duplicates));
}

static struct kunit_case resp_cases[] = {
	KUNIT_CASE(resp_longest_send),
	KUNIT_CASE(resp_endless_send),
	KUNIT_CASE(resp_newest_copy),
	KUNIT_CASE(resp_remembers),
	KUNIT_CASE(resp_mismatches),
	{}
};

static struct kunit_suite resp_suite = {
	.name = "rxo_resp",
	.init = rxo_env_init,
	.test_cases = resp_cases,
};

kunit_test_suite(resp_suite);
