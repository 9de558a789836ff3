# SPDX-License-Identifier: GPL-2.0
# Print what the kernel complained about between guest/boot's marker lines, or from the
# start with -v inside=1, with the lines around it. Exit 1 if it did. Of data races only
# ours count: the kernel has many that are meant to be. And of failed allocations: tests
# make memory short, and kswapd of 7.3 reports that it found none to swap with.

BEGIN {
	alarm = "WARNING:|BUG:|KASAN|KCSAN|UBSAN|possible .*deadlock|INFO: possible|" \
		"INFO: task .* blocked|hung_task|refcount_t|Oops|general protection|" \
		"self-detected stall|detected stalls|soft lockup|hard LOCKUP|" \
		"waiting for .* to become free|memory leak|Bad page|Bad rss-counter|" \
		"Kernel panic|list_(add|del) corruption|Objects remaining|" \
		"sleeping function called|scheduling while atomic"
	before = 3
	after = 40
	modules = " \\[(rxe_odp|hmm_mirror)\\]"
	# A race in one of these is its caller's.
	helper = " (__)?(xa|xas|rb|list|skb|mem|crc32|refcount|kref)[a-z0-9_.]*\\+0x"
}

# A report that counts only if our modules are in it, until a line with @last
function begin(last) { finish(); report = $0; end = last; top = last == "</TASK>" }
function finish() {
	if (ours) {
		print report
		found = 1
	}
	report = ""
	ours = 0
}

{ sub(/\r$/, "") }

/vm: time is up/ { exit }
/vm: command ends/ { exit }
/vm: (loading our modules|command begins)/ { inside = 1; next }
!inside { next }

/BUG: KCSAN:/ { begin("=========="); next }
/: page allocation failure: / { begin("</TASK>"); next }
# Another CPU's complaint amid a trace is one all the same.
report != "" && end == "</TASK>" && $0 ~ alarm { finish() }
report != "" {
	report = report "\n" $0
	# All of an allocation's frames say whose it is; of a race the first of either side.
	if (end == "==========" && / (to|at) 0x/)
		top = 1
	else if (top && /\+0x/) {
		if ($0 ~ modules)
			ours = 1
		if (end == "==========" && $0 !~ helper)
			top = 0
	}
	if (index($0, end))
		finish()
	next
}

$0 ~ alarm || /Call Trace/ {
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
	finish()
	exit found
}
