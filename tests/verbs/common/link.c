// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Links, made and deleted by netlink. See link.h.
 */
#include <errno.h>
#include <infiniband/verbs.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "netns.h"
#include "test.h"

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
static int msg_answer(int sock)
{
	char answer[1024];
	struct nlmsghdr *hdr = (void *)answer;
	ssize_t len = recv(sock, answer, sizeof(answer), MSG_DONTWAIT);

	if (len < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) ||
	    hdr->nlmsg_type != NLMSG_ERROR)
		return -1;
	return -((struct nlmsgerr *)NLMSG_DATA(hdr))->error;
}

static int msg_send(int sock)
{
	int err;

	if (send(sock, &msg, msg.hdr.nlmsg_len, 0) < 0)
		return errno;
	err = msg_answer(sock);
	return err < 0 ? ENOBUFS : err;
}

int link_socket(const char *netns)
{
	return netns_socket(netns, AF_NETLINK, SOCK_RAW, NETLINK_RDMA);
}

bool link_there(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s", name);
	return !access(path, F_OK);
}

int link_add(int sock, const char *name, const char *netdev)
{
	msg_begin(RDMA_NLDEV_CMD_NEWLINK);
	msg_attr(RDMA_NLDEV_ATTR_DEV_NAME, name, strlen(name) + 1);
	msg_attr(RDMA_NLDEV_ATTR_LINK_TYPE, "rxe_odp", sizeof("rxe_odp"));
	msg_attr(RDMA_NLDEV_ATTR_NDEV_NAME, netdev, strlen(netdev) + 1);
	return msg_send(sock);
}

int link_del(int sock, unsigned int index)
{
	msg_begin(RDMA_NLDEV_CMD_DELLINK);
	msg_attr(RDMA_NLDEV_ATTR_DEV_INDEX, &index, sizeof(index));
	return msg_send(sock);
}

unsigned int link_index(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	int index = 0;

	check(list, "ibv_get_device_list: %s", strerror(errno));
	for (int i = 0; list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			index = ibv_get_device_index(list[i]);
	ibv_free_device_list(list);
	check(index > 0, "no index of %s", name);
	return index;
}
