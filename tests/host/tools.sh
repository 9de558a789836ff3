# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the host suites share: finding or installing the tools, and building.
# Where something fails, $why says what, on one line.

# shellcheck disable=SC2034 # read by the suites
why=

# install PACKAGE...: by apt, when we may
install()
{
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		why="install $* as root"
		return 1
	fi
	if log=$({ apt-get -q update && DEBIAN_FRONTEND=noninteractive \
		apt-get -qy --no-install-recommends install "$@"; } 2>&1); then
		return 0
	fi
	why="apt-get install $* failed: $(printf '%s\n' "$log" | tail -n 1)"
	return 1
}

# need COMMAND PACKAGE
need()
{
	command -v "$1" >/dev/null && return 0
	install "$2" && command -v "$1" >/dev/null
}

# probe_cc COMPILER: it, or its sanitizers, may be missing; sets $cc
probe_cc()
{
	cc=$1
	command -v "$cc" >/dev/null || return 1
	echo 'int main(void) { return 0; }' |
		"$cc" -fsanitize=address,undefined -x c -o /dev/null - \
		2>/dev/null
}

probe_fuzzer()
{
	printf '%s\n' '#include <stddef.h>' '#include <stdint.h>' \
		'int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)' \
		'{ return !p && n; }' |
		clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - \
		2>/dev/null
}

# skip_all REASON FILE...: all tests that are compiled of these files
skip_all()
{
	reason=$1
	shift
	for file; do
		echo "skip $(basename "$file" .c) $reason"
	done
	exit 0
}

# build HOST TARGET [VARIABLE=VALUE...]: quiet unless it fails
build()
{
	dir=$1
	shift
	log=$(make -s -j "$(nproc)" -C "$dir" "$@" 2>&1) && return 0
	printf '%s\n' "$log"
	echo "not ok build $*"
	return 1
}
