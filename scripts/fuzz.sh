#!/usr/bin/env bash
# Runs every fuzz target of every module for FUZZTIME (default 10s), one after
# the other. New inputs stay in Go's build cache; an input that fails is
# written to the package's testdata/fuzz and belongs in a commit.
. "$(dirname "$0")/lib.sh"

# targets prints "package target" lines: go test lists the names of a package
# and then the package.
targets() {
	go test -list '^Fuzz' ./... |
		awk '/^Fuzz/ { name[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, name[i]; n = 0 }'
}

# Interesting inputs are not made shorter: for some targets nothing else would
# be done in the time there is. An input that fails is.
#
# Before Go 1.27 the engine itself may fail when its time is up, with nothing
# but the line "context deadline exceeded" (go.dev/issue/75804). A failure of
# the target names a place in the code, and mostly its input.
fuzz() {
	local log
	log=$(mktemp)
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1x "$1" 2>&1 | tee "$log"; then
		rm "$log"
	elif grep -qxE ' *context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic:' "$log"; then
		rm "$log"
		echo "$2: stopped late by the fuzzing engine, no failing input"
	else
		rm "$log"
		exit 1
	fi
}

fuzz_module() {
	local list package target
	list=$(targets)
	while read -r package target; do
		[ -z "$target" ] || step "$package $target" fuzz "$package" "$target" </dev/null
	done <<<"$list"
}

each fuzz_module
