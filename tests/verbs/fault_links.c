// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Making and deleting a link with its 1st, 2nd, … nth allocation failing: each
 * failure leaves no link, no socket and no claim on the netdev behind, and a link
 * that was made all the same, or is there still, can be deleted. Netlink is spoken
 * here, in the thread whose allocations fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nth.h"
#include "test.h"

#define LINK "rxofault"
#define NETDEV "rxofaultdev"

static int sock;
static struct {
	struct nlmsghdr hdr;
	char attrs[256];
} msg;

static void msg_begin(int cmd)
{
	memset(&msg, 0, sizeof(msg));
	msg.hdr.nlmsg_len = NLMSG_LENGTH(0);
	msg.hdr.nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, cmd);
	msg.hdr.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
}

static void msg_attr(int type, const void *value, size_t len)
{
	struct nlattr *attr = (void *)((char *)&msg + NLMSG_ALIGN(msg.hdr.nlmsg_len));

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	memcpy((char *)attr + NLA_HDRLEN, value, len);
	msg.hdr.nlmsg_len = NLMSG_ALIGN(msg.hdr.nlmsg_len) + NLA_ALIGN(attr->nla_len);
}

/* What the kernel answers; -1: nothing, as it could not even do that. */
static int msg_answer(void)
{
	char answer[1024];
	struct nlmsghdr *hdr = (void *)answer;
	ssize_t len = recv(sock, answer, sizeof(answer), MSG_DONTWAIT);

	if (len < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) ||
	    hdr->nlmsg_type != NLMSG_ERROR)
		return -1;
	return -((struct nlmsgerr *)NLMSG_DATA(hdr))->error;
}

static int msg_send(void)
{
	int err;

	if (send(sock, &msg, msg.hdr.nlmsg_len, 0) < 0)
		return errno;
	err = msg_answer();
	return err < 0 ? ENOBUFS : err;
}

static bool is_there(void)
{
	return !access("/sys/class/infiniband/" LINK, F_OK);
}

static int add(void)
{
	msg_begin(RDMA_NLDEV_CMD_NEWLINK);
	msg_attr(RDMA_NLDEV_ATTR_DEV_NAME, LINK, sizeof(LINK));
	msg_attr(RDMA_NLDEV_ATTR_LINK_TYPE, "rxe_odp", sizeof("rxe_odp"));
	msg_attr(RDMA_NLDEV_ATTR_NDEV_NAME, NETDEV, sizeof(NETDEV));
	return msg_send();
}

static unsigned int link_index(void)
{
	unsigned int index;
	FILE *f = popen("rdma -j dev show " LINK " | grep -o '\"ifindex\":[0-9]*' | "
			"cut -d: -f2", "r");

	check(f && fscanf(f, "%u", &index) == 1, "no index of " LINK);
	pclose(f);
	return index;
}

static unsigned int index_of_link;

static int del(void)
{
	msg_begin(RDMA_NLDEV_CMD_DELLINK);
	msg_attr(RDMA_NLDEV_ATTR_DEV_INDEX, &index_of_link, sizeof(index_of_link));
	return msg_send();
}

/* Whatever the answer was. */
static void no_more(int err)
{
	(void)err;
	if (!is_there())
		return;
	index_of_link = link_index();
	check(!del(), "deleting the link");
	check(!is_there(), "a link that was deleted is still there");
}

static void made(void)
{
	int err = add();

	check(!err, "adding a link: %s", strerror(err));
	index_of_link = link_index();
}

static void setup(void)
{
	nth_open();
	shell("ip link del " NETDEV " 2>/dev/null");
	check(!shell("ip link add " NETDEV " type dummy && ip link set " NETDEV " up && "
		     "ip addr add 10.9.9.9/24 dev " NETDEV), "no netdev");
	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);
	check(sock >= 0, "netlink: %s", strerror(errno));
}

static void teardown(void)
{
	/* The netdev is free for a link once more. */
	made();
	no_more(0);
	close(sock);
	check(!shell("ip link del " NETDEV), "the netdev cannot go");
}

/* Thousands of allocations, most of them for sysfs: all of them with -n 1. */
static void add_link(void)
{
	const struct nth_call c = NTH_CALL("add a link", NULL, add, no_more,
					   .any_errno = true, .sparse = !cfg.count);

	setup();
	nth_sweep(&c);
	teardown();
}

static void del_link(void)
{
	const struct nth_call c = NTH_CALL("delete a link", made, del, no_more,
					   .any_errno = true, .sparse = !cfg.count);

	setup();
	nth_sweep(&c);
	teardown();
}

TEST_MAIN(CASE(add_link), CASE(del_link))
