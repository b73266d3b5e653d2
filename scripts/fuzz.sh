#!/usr/bin/env bash
# Runs every fuzz target of every module for FUZZTIME (default 10s), one after
# the other. New inputs stay in Go's build cache; an input that fails is
# written to the package's testdata/fuzz and belongs in a commit.
. "$(dirname "$0")/lib.sh"

# No target needs what bench and bench/http compile without it for minutes.
export GOFLAGS="${GOFLAGS:-} -tags=light"

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
# but the line "context deadline exceeded" (go.dev/issue/75804). So only progress
# is printed at once, and the rest when the failure is one of the target.
fuzz() {
	local log
	log=$(mktemp)
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1x "$1" 2>&1 |
		tee "$log" | awk '/^fuzz: / { print; fflush() }'; then
		grep '^ok' "$log"
	elif late "$2" "$log"; then
		echo "$2: stopped late by the fuzzing engine, no failing input"
	else
		grep -v '^fuzz: elapsed' "$log" || true
		rm "$log"
		exit 1
	fi
	rm "$log"
}

# late TARGET LOG says whether the time was up, and nothing else: every other line is
# a failure of the target, of its seeds or of the compiler.
late() {
	grep -qxE ' *context deadline exceeded' "$2" &&
		! grep -vxE "fuzz: elapsed: .*| *context deadline exceeded|--- FAIL: $1 \([0-9.]+s\)|FAIL|exit status 1|FAIL[[:space:]].*" "$2"
}

fuzz_module() {
	local list package target
	list=$(targets)
	while read -r package target; do
		[ -z "$target" ] || step "$package $target" fuzz "$package" "$target" </dev/null
	done <<<"$list"
}

each fuzz_module
