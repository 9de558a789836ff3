# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=sh
#
# What the suites that run in the virtual machine share.

# build_programs NAME: the C programs of tests/NAME, in the Debian tree
build_programs() {
	# shellcheck disable=SC2016 # expanded over there
	tests/vm/chroot sh -c 'make -s -j2 -C "tests/$1" O="$RXE_ODP_BUILD/$1" CC=gcc' sh "$1"
}

# labelled KERNEL COMMAND...: run it, with KERNEL's name in its result lines, and end
# with its status
labelled() {
	label=$1
	shift
	status=$(mktemp)
	trap 'rm -f "$status"' EXIT
	{
		"$@" || echo $? >"$status"
	} | sed -u -E "s/^(ok|not ok|skip) /\1 $label: /"
	[ ! -s "$status" ] || exit "$(cat "$status")"
}
