# shellcheck shell=bash disable=SC2034 # sourced by the scripts beside it
# SPDX-License-Identifier: GPL-2.0
# Names and small functions that the VM scripts share.

# mke2fs and modprobe live there on Debian, whoever calls.
PATH=$PATH:/usr/sbin:/sbin

prog=${0##*/}
vm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
top=${vm%/tests/vm}
cache=${RXE_ODP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rxe-odp}

die() {
	echo "$prog: $*" >&2
	exit 1
}

hash_of() {
	cat "$@" | sha256sum | cut -c1-12
}

mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)

# One tree per recipe: changing these files makes the next run set up afresh.
tree_dir=$cache/tree-$(hash_of "$vm/setup" "$vm/setup-tree" "$vm/packages")
tree=$tree_dir/root
image=$tree_dir/root.img

# One build directory per checkout: two of them must not build over each other.
build=$cache/build/$(basename "$top")-$(hash_of <(echo "$top"))

# Run a command as the owner of the tree: root, or root of a user namespace.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		unshare --map-root-user --map-auto -- "$@"
	fi
}

check_kernel() {
	case $1 in
	stable | backports) ;;
	*)
		echo "$prog: kernel '$1' is neither 'stable' nor 'backports'" >&2
		exit 2
		;;
	esac
}

release_of() { cat "$tree_dir/$1/release"; }

need_setup() {
	[ -e "$tree_dir/complete" ] || "$vm/setup" >&2
}
