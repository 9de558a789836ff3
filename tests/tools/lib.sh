# shellcheck shell=bash disable=SC2034 # sourced by the scripts beside it
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# What the scripts beside this one share: results, the kernel log, devices, and
# programs that come as a server and a client. Runs inside the VM.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/vm/guest/network
. "$top/tests/vm/guest/network"
# shellcheck source=tests/vm/guest/counters
. "$top/tests/vm/guest/counters"
# shellcheck source=tests/vm/guest/late
. "$top/tests/vm/guest/late"

limit=60 # seconds a program may take
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

splat='WARNING:|BUG:|Oops|general protection|KASAN|UBSAN|refcount_t|Call Trace:'
splat="$splat|blocked for more than|soft lockup|rcu.*stall|list_(add|del) corruption"
splat="$splat|unregister_netdevice: waiting|double free|use-after-free"

# What the kernel has said since the last mark: dmesg begins where -C left off, which is
# faster than to look for the mark in a long log.
mark() {
	echo "tools test $name" >/dev/kmsg
	dmesg -C
}
log_since_mark() { dmesg; }

# A test is what lies between begin and end.
begin() { # NAME
	name=$1
	mark
	counters >"$work/counters"
	: >"$work/output"
}

# Show what the test has printed into $work/output, if it failed.
end() { # [WHY]: it failed if there is a WHY
	local why=${1-} bad
	bad=$(log_since_mark | grep -E "$splat" | head -n 1)
	[ -z "$bad" ] || why="kernel log: $bad${why:+ | $why}"
	if [ -z "$why" ]; then
		echo "ok $name"
		return
	fi
	failed=1
	sed 's/^/# /' "$work/output"
	log_since_mark | tail -n 60 | sed 's/^/# kernel: /'
	counted_since "$work/counters"
	echo "not ok $name $why"
	# What it has died in stays locked: all else would hang.
	case $bad in *BUG:* | *Oops* | *corruption* | *'general protection'*) exit 3 ;; esac
}

skip() { # NAME WHY
	echo "skip $1 $2"
}

has_link() { rdma link show | grep -q "link $1/"; }

# The network and links of the harness as they were when the VM had started.
restore() {
	local n
	for n in 1 2; do
		ip netns del h$n 2>/dev/null
	done
	ip link del dummy0 2>/dev/null
	wait_until no_links || return
	modprobe -a hmm_mirror rxe_odp && setup_network && setup_links &&
		wait_until has_gids rxo0 10.0.0.1 fd00::1 &&
		wait_until has_gids rxo1 10.1.0.1 fd01::1 &&
		wait_until has_gids rxo2 10.1.0.2 fd01::2
}
no_links() { ! rdma link show | grep -q . && [ ! -e /sys/class/net/dummy0 ]; }

# Try a command until it succeeds, for 20 s.
wait_until() {
	local tries
	for ((tries = 0; tries < 200; tries++)); do
		"$@" && return
		sleep 0.1
	done
	return 1
}

# The index of a device's GID for an address.
gid() { # DEVICE ADDRESS
	local want dir=/sys/class/infiniband/$1/ports/1 i has type
	want=$(gid_of "$2")
	for i in {0..99}; do
		read -r has 2>/dev/null <"$dir/gids/$i" || break
		[ "$has" = "$want" ] || continue
		read -r type 2>/dev/null <"$dir/gid_attrs/types/$i" || continue
		[ "$type" != 'RoCE v2' ] || { echo "$i" && return; }
	done
	return 1
}
gid_of() { # of 10.1.0.2 or fd01::2
	local a b c d
	case $1 in
	*::*) printf '%s:0000:0000:0000:0000:0000:0000:%04x' "${1%%::*}" "0x${1##*::}" ;;
	*)
		IFS=. read -r a b c d <<<"$1"
		printf '0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x' "$a" "$b" "$c" "$d"
		;;
	esac
}
has_gids() { # DEVICE ADDRESS...
	local device=$1
	shift
	for address; do
		gid "$device" "$address" >/dev/null || return
	done
}

# A server and its client, in this namespace: RDMA devices are visible from all of
# them, and the programs find each other over lo.
port=18600
listens() { # PORT
	grep -qsE "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$1") [0-9A-F:]+ 0A " /proc/net/tcp{,6}
}
started() { ! kill -0 "$server" 2>/dev/null || listens "$port"; }
pair() { # NAME PROGRAM SERVER-ARGUMENTS -- CLIENT-ARGUMENTS
	local program=$2 args=() status tries why
	! left_out "$1" || return 0
	begin "$1"
	shift 2
	while [ "$1" != -- ]; do
		args+=("$1")
		shift
	done
	shift
	for ((tries = 0; tries < 5; tries++)); do
		port=$((port + 1))
		timeout -k 5 $limit "$program" -p $port "${args[@]}" >"$work/server" 2>&1 </dev/null &
		server=$!
		wait_until started
		timeout -k 5 $limit "$program" -p $port "$@" 127.0.0.1 >"$work/client" 2>&1 </dev/null
		status=$?
		[ $status = 0 ] || sleep 1
		[ $status = 0 ] || kill "$server" 2>/dev/null
		wait "$server"
		why=$(pair_why "$program" $status $?)
		# perftest measures the CPU's clock, which does not work on a busy machine.
		grep -qs "Can't produce a report" "$work/server" "$work/client" || break
	done
	end "$why"
}
pair_why() { # PROGRAM CLIENT-STATUS SERVER-STATUS
	if [ "$2" != 0 ] || [ "$3" != 0 ]; then
		{
			sed 's/^/server: /' "$work/server"
			sed 's/^/client: /' "$work/client"
		} >"$work/output"
		case $2,$3 in
		*124* | *137*) printf 'not done in %s s, ' $limit ;;
		esac
		echo "client ended with $2, server with $3:" \
			"$(grep -iahE 'fail|error|unable|could|not ' "$work/client" "$work/server" |
				head -n 2 | paste -sd'|')"
	fi
}

# Transfers from rxo2 to rxo1 without end, in the background: $server and $client.
endless() { # PROGRAM ARGUMENTS
	local program=$1 g1 g2
	shift
	port=$((port + 1))
	set -- -p $port --run_infinitely -D 5 "$@"
	g1=$(gid rxo1 10.1.0.1)
	g2=$(gid rxo2 10.1.0.2)
	"$program" "$@" -d rxo1 -x "$g1" >"$work/server" 2>&1 </dev/null &
	server=$!
	wait_until started
	"$program" "$@" -d rxo2 -x "$g2" 127.0.0.1 >"$work/client" 2>&1 </dev/null &
	client=$!
}

# Pairs of our two devices: rxo1 is the server's, rxo2 the client's.
veth_pair() { # NAME PROGRAM v4|v6 ARGUMENTS
	local test=$1 program=$2 gid=1 g=-x ip=10.1.0.
	[ "$3" = v4 ] || ip=fd01::
	case $program in ibv_*) g=-g ;; esac
	shift 3
	gid=$(gid rxo1 ${ip}1) && pair "$test" "$program" -d rxo1 $g "$gid" "$@" -- \
		-d rxo2 $g "$(gid rxo2 ${ip}2)" "$@"
}

# Is a table's next row for this kernel? Each of our two has a quarter of them, shifted by
# one from four to four, as rows that lie side by side differ in v4 and v6. ROWS=all: all.
row=-1
in_turn() {
	local turn=0
	[ "${RXE_ODP_KERNEL:-stable}" = stable ] || turn=2
	row=$((row + 1))
	[ "${ROWS-}" = all ] || [ $(((row + row / 4) % 4)) = $turn ]
}

# Does the driver have this: multicast, cm?
driver_has() {
	case $1 in
	multicast) ibv_devinfo -v -d rxo1 | grep -q 'max_mcast_grp:.*[1-9]' ;;
	cm) grep -qsx rxo1 /sys/class/infiniband_mad/umad*/ibdev ;;
	esac
}
