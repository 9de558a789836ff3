# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
# What the checks share. They run from the repository's top, say a line for each
# finding and end with status 1 if there was one.

# shellcheck disable=SC2034 # the checks use it
driver=drivers/infiniband/sw/rxe-odp

# Names of the repository's files, also of those not yet committed.
files() {
	{
		git ls-files -co --exclude-standard -- "$@" 2>/dev/null ||
			find "${@:-.}" -name .git -prune -o -type f -print
	} | sed 's|^\./||' | sort -u | while IFS= read -r file; do
		[ ! -f "$file" ] || echo "$file"
	done
}

c_files() { files "$@" | grep '\.[ch]$'; }

# Shell scripts, by name or by first line.
scripts() {
	files | tr '\n' '\0' | LC_ALL=C xargs -0 awk '
		FNR == 1 && (FILENAME ~ /\.sh$/ ||
			     /^#!.*[\/ ](ba|da)?sh( |$)/) { print FILENAME }
		{ nextfile }'
}

skip() {
	echo "check: skipping ${0##*/}: $*"
	exit 0
}

# The Debian tree of the virtual machine; a check does not set it up.
need_tree() {
	# shellcheck disable=SC2016 # expanded over there
	tree=$(bash -c '. tests/vm/lib.sh; test ! -e "$tree_dir/complete" || echo "$tree"')
	[ -n "$tree" ] || skip 'no virtual machine is set up ("make setup")'
}
