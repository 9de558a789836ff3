# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# In-tree rdma_rxe as the peer of rxo1, inside the VM.
#
# rdma_rxe of 6.12 sends and receives in the initial namespace alone, and up to
# 7.0 it takes UDP port 4791 there when it is loaded. So its link is on veth2 moved
# into the initial namespace, and rxo0, which has that port, makes room; rxo1 in h1
# stays as it is.

# shellcheck source=tests/tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

setup_peer() {
	rdma link del rxo0 && rdma link del rxo2 &&
		ip -n h2 link set veth2 netns 1 && modprobe rdma_rxe &&
		ip -batch - <<-EOF2 &&
			link set veth2 mtu 9000 up
			addr add 10.1.0.2/24 dev veth2
			addr add fd01::2/64 dev veth2
		EOF2
		rdma link add rxe2 type rxe netdev veth2 &&
		wait_until has_gids rxe2 10.1.0.2 fd01::2
}

# Everything as the harness had it.
remove_peer() {
	if [ -e /sys/module/rdma_rxe ]; then
		rdma link del rxe2 2>/dev/null
		timeout 60 rmmod rdma_rxe || return
	fi
	local link
	for link in rxo0 rxo1 rxo2; do
		! has_link $link || rdma link del $link
	done
	ip link del veth2 2>/dev/null
	restore
}
