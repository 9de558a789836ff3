// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The cable between the two hosts. See wire.h.
 */
#include <dirent.h>
#include <stdio.h>

#include "test.h"
#include "wire.h"

static void wire_mend(void)
{
	shell("cd /run/netns && for n in *; do"
	      "	ip -br -n $n link show type veth | while IFS=@ read -r d _; do"
	      "		tc -n $n qdisc del dev $d root; done; done 2>/dev/null");
}

static void __attribute__((constructor)) wire_init(void)
{
	test_mend = wire_mend;
}

void wire_end_find(struct wire_end *end, const struct nic *nic)
{
	char path[256];
	struct dirent *d;
	FILE *f;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%d/gid_attrs/ndevs/%d",
		 nic->name, PORT, nic->gid_index);
	f = fopen(path, "r");
	check(f && fscanf(f, "%63s", end->ifname) == 1, "%s cannot be read", path);
	fclose(f);
	dir = opendir("/run/netns");
	if (!dir)
		skip("no network namespaces, so no wire");
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(end->netns, sizeof(end->netns), "%.63s", d->d_name);
		if (!shell("ip -n %s link show dev %s type veth 2>/dev/null | grep -q .",
			   end->netns, end->ifname)) {
			closedir(dir);
			return;
		}
	}
	skip("%s is not on a veth", nic->name);
}

void wire_netem(const struct wire_end *end, const char *what)
{
	if (!what)
		shell("tc -n %s qdisc del dev %s root 2>/dev/null", end->netns, end->ifname);
	else if (shell("tc -n %s qdisc replace dev %s root netem limit 5000 %s", end->netns,
		       end->ifname, what))
		skip("no netem");
}
