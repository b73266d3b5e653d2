#!/usr/bin/env bash
# The crash machinery, bounded for CI: see crash/README.md. Needs Linux and
# strace, which is installed where this script may do that. Where nothing can
# be traced, SNIB_CRASH_NO_STRACE=1 says that the rest shall do. Power cuts need
# root, FUSE, a loop device and mkfs.ext4; without them the test says what is
# missing and skips.
. "$(dirname "$0")/lib.sh"

if [ "$(uname)" != Linux ]; then
	echo "!!!! NOT LINUX: crash states, power cuts, faults and damage are NOT TESTED !!!!"
	exit 0
fi
if ! command -v strace >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get install -y -q strace || { apt-get update -q && apt-get install -y -q strace; } ||
		echo "!!!! strace could not be installed !!!!"
fi

cd crash
program=$(mktemp -d)
trap 'rm -rf "$program"' EXIT
step build go test -c -o "$program/crash" . # once, for all steps but the last

# tests TITLE PATTERN FLAGS... runs tests of the crash machinery, for TIMEOUT at most: a
# binary of tests has no bound of its own.
tests() {
	local title=$1 pattern=$2
	shift 2
	step "$title" "$program/crash" -test.v -test.timeout "${TIMEOUT:-1h}" -test.run "$pattern" "$@"
}

tests "crash states" 'CrashStates|PlantsAre|Counted|Heard|EveryKind|Occasions' ${OPS:+-ops "$OPS"} -lane-ops "${LANE_OPS:-10}" -full "${FULL:-4}" -samples "${SAMPLES:-3}"
tests "power cuts" 'PowerCuts' -cuts "${CUTS:-100}"
tests faults 'Faults' -fault-skip "${FAULT_SKIP:-4}"
tests histories 'Histories' -histories "${HISTORIES:-8s}"
tests kills 'Kill' -kill "${KILL:-15s}"
tests damage 'Damage|Truth' -damaged "${DAMAGED:-1500}"
tests space 'Full|FileSize|Cramped'
tests processes 'HandOver|RestartInPlace|ChildrenAnd'
step load go test -count=1 -v -timeout "${TIMEOUT:-1h}" ${race:+-race} -run 'Load' . -load "${LOAD:-15s}"
