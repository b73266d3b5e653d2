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
step "crash states" go test -count=1 -v -run 'CrashStates|Plants|Counted' . -ops "${OPS:-60}" -lane-ops "${LANE_OPS:-10}" -full "${FULL:-4}" -samples "${SAMPLES:-3}"
step "power cuts" go test -count=1 -v -run 'PowerCuts' . -cuts "${CUTS:-100}"
step faults go test -count=1 -v -run 'Faults' . -fault-skip "${FAULT_SKIP:-4}"
step histories go test -count=1 -v -run 'Histories' . -histories "${HISTORIES:-8s}"
step kills go test -count=1 -v -run 'Kill' . -kill "${KILL:-15s}"
step damage go test -count=1 -v -run 'Damage|Truth' . -damaged "${DAMAGED:-1500}"
step space go test -count=1 -v -run 'Full|FileSize|Cramped' .
step processes go test -count=1 -v -run 'HandOver|RestartInPlace|ChildrenAnd' .
step load go test -count=1 -v ${race:+-race} -run 'Load' . -load "${LOAD:-15s}"
