# SPDX-License-Identifier: GPL-2.0
# Print what the kernel complained about between guest/boot's marker lines, with
# the lines around it. Exit 1 if it did. Of data races only ours count: the kernel
# has many that are meant to be. And of failed allocations: tests make memory short, and
# kswapd of 7.3 reports that it found none to swap with.

BEGIN {
	alarm = "WARNING:|BUG:|KASAN|KCSAN|UBSAN|possible .*deadlock|INFO: possible|" \
		"INFO: task .* blocked|hung_task|refcount_t|Oops|general protection|" \
		"self-detected stall|detected stalls|soft lockup|hard LOCKUP|" \
		"waiting for .* to become free|memory leak|Bad page|Bad rss-counter|" \
		"Call Trace|Kernel panic|list_(add|del) corruption|" \
		"Objects remaining|" \
		"sleeping function called|scheduling while atomic"
	before = 3
	after = 40
}

{ sub(/\r$/, "") }

/vm: time is up/ { exit }
/vm: command ends/ { exit }
/vm: (loading our modules|command begins)/ { inside = 1; next }
!inside { next }

/BUG: KCSAN:/ { race = $0; ours = 0; next }
race != "" && !/==========/ {
	race = race "\n" $0
	if (/ \[(rxe_odp|hmm_mirror)\]/)
		ours = 1
	next
}
race != "" {
	if (ours) {
		print race
		found = 1
	}
	race = ""
	next
}

/: page allocation failure: / { failure = $0; ours = 0; next }
failure != "" {
	failure = failure "\n" $0
	if (/ \[(rxe_odp|hmm_mirror)\]/)
		ours = 1
	if (!/<\/TASK>/)
		next
	if (ours) {
		print failure
		found = 1
	}
	failure = ""
	next
}

$0 ~ alarm {
	for (i = NR - before; i < NR; i++)
		if (i in line)
			print line[i]
	delete line
	left = after
	found = 1
}

left > 0 { print; left--; next }
{ line[NR] = $0; delete line[NR - before] }

END {
	if (failure != "" && ours) {
		print failure
		found = 1
	}
	exit found
}
