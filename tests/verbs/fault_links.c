// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Making and deleting a link with its 1st, 2nd, … nth allocation failing: each
 * failure leaves no link, no socket and no claim on the netdev behind, and a link
 * that was made all the same, or is there still, can be deleted. Netlink is spoken
 * here, in the thread whose allocations fail.
 */
#include <string.h>
#include <unistd.h>

#include "link.h"
#include "nth.h"
#include "test.h"

#define LINK "rxofault"
#define NETDEV "rxofaultdev"

static int sock;

static int add(void)
{
	return link_add(sock, LINK, NETDEV);
}

static unsigned int index_of_link;

static int del(void)
{
	return link_del(sock, index_of_link);
}

/* Whatever the answer was. */
static void no_more(int err)
{
	(void)err;
	if (!link_there(LINK))
		return;
	index_of_link = link_index(LINK);
	check(!del(), "deleting the link");
	check(!link_there(LINK), "a link that was deleted is still there");
}

static void made(void)
{
	int err = add();

	check(!err, "adding a link: %s", strerror(err));
	index_of_link = link_index(LINK);
}

static void setup(void)
{
	nth_open();
	shell("ip link del " NETDEV " 2>/dev/null");
	check(!shell("ip link add " NETDEV " type dummy && ip link set " NETDEV " up && "
		     "ip addr add 10.9.9.9/24 dev " NETDEV), "no netdev");
	sock = link_socket(NULL);
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
