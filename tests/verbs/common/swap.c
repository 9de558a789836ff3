// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include "swap.h"
#include "test.h"

#define SWAP_FILE "/var/tmp/verbs-test-swap"

void swap_on(void)
{
	if (!shell("grep -q ^/ /proc/swaps"))
		return;
	if (!shell("modprobe zram num_devices=1 2>/dev/null && "
		   "echo 64M >/sys/block/zram0/disksize && "
		   "mkswap /dev/zram0 >/dev/null && swapon /dev/zram0"))
		return;
	if (shell("rm -f " SWAP_FILE " && "
		  "dd if=/dev/zero of=" SWAP_FILE " bs=1M count=64 status=none && "
		  "chmod 600 " SWAP_FILE " && mkswap " SWAP_FILE " >/dev/null && "
		  "swapon " SWAP_FILE))
		skip("no swap can be made");
}

void swap_off(void)
{
	check(!shell("swapoff -a"), "swapoff");
	shell("rm -f " SWAP_FILE "; rmmod zram 2>/dev/null");
}
