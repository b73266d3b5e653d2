# Sourced by the other scripts: goes to the root of the repository and defines
# what they share. Needs Go and nothing else; a C compiler adds the race
# detector.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOWORK=off # a workspace around the checkout must not change the result

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

# step TITLE COMMAND... runs the command and says how long it took. It must not
# be used in a condition, where bash would ignore the errors inside.
step() {
	local title=$1 start=$SECONDS
	shift
	echo "== $title"
	"$@"
	echo "== $title: ok, $((SECONDS - start)) s"
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
