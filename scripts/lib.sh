# Sourced by the other scripts: goes to the root of the repository and defines
# what they share. Needs Go and nothing else; a C compiler adds the race
# detector.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOWORK=off # a workspace around the checkout must not change the result

# The path of a socket has 107 bytes at most, and tests put some below the folder of
# temporary files.
if [ "${TMPDIR:-}" ] && [ ${#TMPDIR} -gt 40 ] && [ -w /tmp ]; then export TMPDIR=/tmp; fi

# modules prints the folder of every module, the root first.
modules() {
	find . -name go.mod -not -path '*/testdata/*' -not -path './out/*' |
		sed 's|/go\.mod$||' | sort
}

# each runs a command in every module.
each() {
	local module
	for module in $(modules); do (cd "$module" && "$@"); done
}

# step TITLE COMMAND... runs the command and says how long it took: time that passed,
# and that of the processors, which a busy machine does not change much. It must not
# be used in a condition, where bash would ignore the errors inside.
step() {
	local title=$1 TIMEFORMAT="== $1: %0R s, processors %0U s and %0S s in the kernel"
	shift
	echo "== $title"
	time "$@"
}

# lane COMMAND... begins a lane: it runs beside what follows, in a group of processes
# of its own, and its last process is the last of lanes. A terminal would stop it where
# it reads. end_lanes ends all of them.
lanes=()
lane() {
	set -m
	("$@") </dev/null &
	lanes+=($!)
	set +m
}
end_lanes() {
	local group
	for group in "${lanes[@]}"; do kill -- "-$group" 2>/dev/null || true; done
	wait "${lanes[@]}" 2>/dev/null || true
}

# two_lanes FIRST SECOND runs two commands side by side, as the last thing that a script
# does. The output of the second comes when it has ended, and is in a file until then. A
# signal to the script ends both, and so does a failure of the first.
said=
two_lanes() {
	local rc=0
	said=$(mktemp)
	trap ended EXIT
	trap 'exit 143' TERM HUP # to wait for lanes, not for a step of them, ends at once
	trap 'exit 130' INT
	echo "== second lane: in $said until it has ended"
	lane "$1"
	lane "$2" >"$said" 2>&1
	wait "${lanes[0]}"
	echo "== second lane"
	wait "${lanes[1]}" || rc=$?
	lanes=()
	cat "$said"
	[ $rc -eq 0 ] || exit 1
}
ended() {
	local rc=$?
	end_lanes
	[ "${#lanes[@]}" -lt 2 ] || { echo "== second lane, which was stopped" && cat "$said"; }
	rm -f "$said"
	[ $rc -eq 0 ] || echo "FAILED after $SECONDS s"
}

# The race detector needs cgo, and cgo a C compiler.
cc=$(go env CC)
if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "${cc%% *}" >/dev/null; then
	race=yes
else
	race=
	export CGO_ENABLED=0
fi

# While the root package has no files, go.mod names what nothing imports yet.
have_library() { compgen -G './*.go' >/dev/null; }
