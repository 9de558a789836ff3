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

# The tree's QEMU on any host: with 7.2, which is bookworm's, a processor may stand still for
# a minute while it clears a page whose code it has translated, and nothing interrupts it.
emulator=("$tree/usr/lib64/ld-linux-x86-64.so.2"
	--library-path "$tree/usr/lib/x86_64-linux-gnu"
	"$tree/usr/bin/qemu-system-x86_64"
	-L "$tree/usr/share/qemu" -L "$tree/usr/share/seabios")

# Run a command as the owner of the tree: root, or root of a user namespace.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		unshare --map-root-user --map-auto -- "$@"
	fi
}

# Debian's kernels came with the tree; ours are built from tests/vm/config.
kernels=$cache/kernels

own_kernels() {
	local file
	for file in "$vm"/config/*.config; do
		file=${file##*/}
		[ "$file" = base.config ] || echo "${file%.config}"
	done
}

is_own() { [ "$1" != base ] && [ -e "$vm/config/$1.config" ]; }

check_kernel() {
	case $1 in
	stable | backports) ;;
	*/* | '') false ;;
	*) is_own "$1" ;;
	esac || {
		echo "$prog: kernel '$1' is none of stable, backports," \
			"$(own_kernels | paste -sd' ')" >&2
		exit 2
	}
}

# Where a kernel lies: files kernel, release, initramfs-*. By content for ours.
kernel_dir() {
	if is_own "$1"; then
		echo "$kernels/$1-$(hash_of "$vm/kernel" "$vm/config/base.config" \
			"$vm/config/$1.config" <(ls "$tree_dir/source"))"
	else
		echo "$tree_dir/$1"
	fi
}

# What has its modules below lib/modules, and what modules are built against.
modules_root() { if is_own "$1"; then echo "$(kernel_dir "$1")/root"; else echo "$tree"; fi; }
headers_of() {
	if is_own "$1"; then
		echo "$(kernel_dir "$1")/src"
	else
		echo "/lib/modules/$(release_of "$1")/build"
	fi
}

release_of() { cat "$(kernel_dir "$1")/release"; }

need_setup() {
	[ -e "$tree_dir/complete" ] || "$vm/setup" >&2
}

need_kernel() {
	need_setup
	is_own "$1" && ! [ -e "$(kernel_dir "$1")/complete" ] || return 0
	# Not how it ends: its EXIT trap fails when there is nobody left to kill.
	"$vm/kernel" "$1" >&2 || [ -e "$(kernel_dir "$1")/complete" ]
}
